# SPDX-License-Identifier: Apache-2.0
"""The figures as tables for etc/doc/benchmarks.md: ratios first, with the spread over the rounds."""
import statistics


def _middle(rounds, name, key):
    return statistics.median(each[name][key] for each in rounds)


def _ms(us):
    return f"{us / 1000:.2f} ms"


def _mib(count):
    return f"{count / 1048576:.0f} MiB"


def _print_machine(of):
    print(f"Machine: {of['cpu']}, {of['cores']} cores, {of['memory_gib']} GiB, Linux {of['kernel']}. Commit {of['commit']} ({of['build']} "
          f"build), {of['date']}. Command: `{of['command']}`.\n")


def _print_rates(rounds, names):
    print("| | 200s per second | CPU of the server per 200 | p50 | p99 | CPU of the generator per event |\n|---|---|---|---|---|---|")
    for name in names:
        limited = any(each[name]["bottleneck"] for each in rounds)
        broker = f" + {_middle(rounds, name, 'broker_cpu_us'):.1f} us of the broker" if "broker_cpu_us" in rounds[0][name] else ""
        print(f"| {name}{' (the generator was the limit)' if limited else ''} | {_middle(rounds, name, 'rate'):,.0f} | {_middle(rounds, name, 'cpu_us'):.1f} us{broker} | "
              f"{_ms(_middle(rounds, name, 'p50_us'))} | {_ms(_middle(rounds, name, 'p99_us'))} | "
              f"{_middle(rounds, name, 'generator_cpu_us'):.1f} us |")
    print()


def _print_ratios(found):
    print("| ratio of 200s per second | median | least | most | the same by the servers' CPU alone |\n|---|---|---|---|---|")
    for name, ratio in found.items():
        if "/" in name:
            print(f"| {name} | **{ratio['median']:.2f}** | {ratio['least']:.2f} | {ratio['most']:.2f} | {ratio['cpu']:.2f} |")
    print()


def _print_accuracy(found):
    print("| accuracy of the generator | |\n|---|---|")
    for number, each in enumerate(found["rounds"], 1):
        print(f"| round {number}: p50 of 5000/s, ours and h2load's | {each['load_p50_us']:.0f} us, {each['h2load_p50_us']:.0f} us: "
              f"{each['ratio']:.2f} (ours from when they were due: {each['from_due_p50_us']} us) |")
    print(f"| median of the ratios | **{found['ratio']:.2f}** |")
    print(f"| a server that answers after 20 ms: p50 | {_ms(found['after_20_ms']['p50_us'])} |")
    print(f"| a server that stalls for 1 s of 10: p99.9 | {_ms(found['stall_of_1_s']['p999_us'])} |\n")


def _print_ceilings(found):
    _print_rates(found["rounds"], ["echo", "commit", "commit_two_files", "gateway"])
    _print_ratios(found)


def _print_broker(found):
    _print_rates(found["rounds"], ["echo", "publish", "consume", "gateway"])
    _print_ratios(found)


def _print_publishing(found):
    _print_rates(found["rounds"], ["publish", "publish_event", "gateway"])
    _print_ratios({name: ratio for name, ratio in found.items() if name.startswith("gateway/publish")})
    rounds = found["rounds"]
    print("| | p50 of answers at 2000/s | p99 |\n|---|---|---|")
    for name in ("publish", "publish_event", "gateway"):
        print(f"| {name} | {_ms(_middle(rounds, name, 'paced_p50_us'))} | {_ms(_middle(rounds, name, 'paced_p99_us'))} |")
    print(f"\np99 at 2000/s, gateway / bare loop: **{found['p99 at 2000/s']:.2f}** (gateway / the broker's confirms, as it sees them in buckets: "
          f"{found['p99 at 2000/s, to the confirms']:.2f}); CPU of the gateway / of the broker per event: "
          f"**{found['cpu of gateway/broker']:.2f}**; events that took the direct path: {sum(each['gateway']['direct'] for each in rounds):.0f}\n")


def _print_delivered(found):
    print("| keys in the dedupe store before | delivered per second | CPU of the gateway per delivered event | answers p50 | p99 |\n"
          "|---|---|---|---|---|")
    for name in ("empty", "1M", "10M"):
        rounds = found["rounds"]
        print(f"| {name} | {_middle(rounds, name, 'rate'):,.0f} | {_middle(rounds, name, 'cpu_us'):.1f} us | "
              f"{_ms(_middle(rounds, name, 'p50_us'))} | {_ms(_middle(rounds, name, 'p99_us'))} |")
    print(f"\n1M older keys / empty: **{found['1M/empty']:.2f}**; 10M / empty: **{found['10M/empty']:.2f}**\n")


def _print_profile(found):
    print(f"{found['rate']:,.0f} delivered per second, {found['cpu_us']:.1f} us of the gateway's CPU for each ({found['samples']} samples):\n")
    print("| thread: where | us per event | share |\n|---|---|---|")
    for row in found["rows"]:
        print(f"| {row['what']} | {row['us']:.1f} | {row['share']:.0%} |")
    print()


def _print_versus(found):
    print(f"| this / {found['against']} | events per second | CPU of the gateway per event | p99 of answers |\n|---|---|---|---|")
    for what in ("accepted", "delivered"):
        print(f"| {what} | **{found[what + ': rate']:.2f}** | {found[what + ': cpu_us']:.2f} | {found[what + ': p99_us']:.2f} |")
    print()


def _print_backlog(found):
    print("| memory of the gateway (VmRSS) | |\n|---|---|")
    print(f"| idle, 16 endpoints | {_mib(found['idle_rss_bytes'])} |")
    print(f"| with {found['backlog']:,} events waiting for clients that hang | {_mib(found['backlog_rss_bytes'])} |")
    print(f"| peak over filling and draining (VmHWM) | {_mib(found['peak_rss_bytes'])} |")
    print(f"| filled in | {found['filled_in_seconds']:.0f} s |")
    print(f"| delivered, from when the clients came back | {found['drained_in_seconds']:.0f} s |\n")


def _print_steady(found):
    answers, verdict = found["load"]["answers"], found["verdict"]
    print(f"2000/s for 10 minutes: **{verdict['verdict']}**; {found['load']['events']:,} events, {found['load']['accepted']:,} accepted; "
          f"answers p50 {_ms(answers['p50_us'])}, p99 {_ms(answers['p99_us'])}, p99.9 {_ms(answers['p999_us'])}, max "
          f"{_ms(answers['max_us'])}; gateway's peak {_mib(found['rss_bytes'])}.\n")


PRINTERS = {"accuracy": _print_accuracy, "ceilings": _print_ceilings, "broker": _print_broker, "publishing": _print_publishing, "delivered": _print_delivered, "profile": _print_profile,
            "backlog": _print_backlog, "steady": _print_steady,
            "versus": _print_versus}


def print_report(results):
    print()
    _print_machine(results["of"])
    for name, printer in PRINTERS.items():
        if name in results:
            print(f"### {name}\n")
            printer(results[name])
