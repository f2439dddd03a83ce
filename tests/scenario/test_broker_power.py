# SPDX-License-Identifier: Apache-2.0
"""The broker's file system loses power. What the broker had confirmed is there when it comes back.

The node lives on an ext4 of its own in a file, which is shut down without writing anything more (what the kernel has not synced is gone),
unmounted and mounted again."""
import fcntl
import os
import struct
import subprocess

import pytest
from support.broker import Broker, Vhost
from support.load import Load
from support.wait import wait_for

SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN and its flag
IMAGE_BYTES = 1024 * 1024 * 1024

pytestmark = pytest.mark.once


class Disk:
    def __init__(self, directory):
        self.image, self.place = directory / "disk.img", directory / "disk"
        self.place.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        self.mount()

    def mount(self):
        # Another test's mount namespace may hold the file system for a while, and it stays shut down until then.
        wait_for(lambda: not subprocess.run(["losetup", "-j", self.image], capture_output=True, check=True).stdout,
                 "the loop device is free", 60)
        subprocess.run(["mount", "-o", "loop", self.image, self.place], check=True)

    def unmount(self):
        subprocess.run(["umount", self.place], check=True)

    def sync(self):
        subprocess.run(["sync", "-f", self.place], check=True)

    def lose_power(self):
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)


@pytest.fixture
def disk(tmp_path):
    if os.getuid() != 0:
        pytest.fail("loop devices and mounts are root's")
    disk = Disk(tmp_path)
    yield disk
    subprocess.run(["umount", "-l", disk.place], check=False)  # whoever still holds it


@pytest.fixture
def node(disk):
    with Broker(disk.place / "broker") as node:
        yield node


def test_03_power_loss_on_the_brokers_data(disk, node, make_brokered, sink, capsys):
    vhost = Vhost(node)
    leader = make_brokered(vhost)
    leader.point_endpoint_at(sink.url())
    follower = make_brokered(vhost, leader=leader)
    follower.wait_for_broker()
    assert leader.terminate() == 0
    disk.sync()  # a node that was made seconds ago has not synced what it made of itself, and would not start again
    with Load([follower], sink, rate=300) as load:
        load.more(600)  # only the broker has them
        disk.lose_power()
        node.kill9()
        load.more(100)
        disk.unmount()
        disk.mount()
        node.start()
        follower.wait_for_broker()
        load.more(100)
    assert sink.count() == 0
    leader.start()
    report = load.drain(capsys, "3: power loss of the broker's disk", leader)
    assert report.duplicates == 0 and report.unavailable == 0
    vhost.wait_until_empty()
