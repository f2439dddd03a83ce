#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages of packages.txt that are missing: `install.sh build`, `install.sh build test`, `install.sh build bench`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# The packages of one section of the list.
packages_of() {
    awk -v wanted="$1" 'BEGIN { section = "build" } /^# (test|bench)$/ { section = $2 } /^#/ || NF == 0 { next } section == wanted' \
        "$here/packages.txt"
}

# Node and npm often come from elsewhere (Debian's npm then can't be installed beside them): having the command is enough.
is_present() {
    case $1 in
    nodejs) command -v node >/dev/null 2>&1 && return 0 ;;
    npm) command -v npm >/dev/null 2>&1 && return 0 ;;
    esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for section in "$@"; do
    for package in $(packages_of "$section"); do
        is_present "$package" || missing="$missing $package"
    done
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "These packages are missing, and there is no apt-get here (Penstock is built on Debian 12):$missing" >&2
    exit 69
fi
if [ "$(id -u)" = 0 ]; then
    as_root="env"
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
else
    echo "These packages are missing; install them as root, or run this again as root: apt-get install --no-install-recommends$missing" >&2
    exit 77
fi
# Debian starts the services of what it installs. Tests start their own RabbitMQ and nginx, so those of the machine stay off
# (unless it has a policy of its own).
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$as_root rm -f $policy' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
fi
echo "Installing:$missing" >&2
if ! { $as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >&2; then
    echo "apt-get could not install them: see above (is there a network, and is this Debian 12?)" >&2
    exit 69
fi
