# SPDX-License-Identifier: Apache-2.0
"""The figures as tables for etc/doc/benchmarks.md: ratios first, with the spread over the rounds."""
import statistics

from runner.aims import aims_of

_SIDES = {"this": "this build", "other": "the other build"}


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


def _print_edge(found):
    _print_rates(found["rounds"], ["h2c", "tls"])
    _print_ratios(found)


def _print_search(found):
    print(f"Load average of the machine before the questions: {found['load average']:.1f}\n")
    print(f"| {found['events']:,} events in {found['shards']} journals | asked | p50 | p99 | longest | items |\n|---|---|---|---|---|---|")
    for name, each in found["questions"].items():
        print(f"| {name} | {each['count']} | {each['p50_ms']:.1f} ms | **{each['p99_ms']:.1f} ms** | {each['most_ms']:.1f} ms | {each.get('items', '')} |")
    print("\n| p99 of answers at 2000/s | alone | beside 20 questions a second | ratio | p99 of a question |\n|---|---|---|---|---|")
    for number, each in enumerate(found["rounds"], 1):
        print(f"| round {number} | {_ms(each['alone_p99_us'])} | {_ms(each['beside_p99_us'])} | "
              f"{each['beside_p99_us'] / each['alone_p99_us']:.2f} | {each['questions']['p99_ms']:.1f} ms |")
    print(f"| median | | | **{found['p99 of answers']:.2f}** | |\n")


def _print_limit(found):
    print("| posted per second | accepted | limit | neighbour's p99 alone | beside it |\n"
          "|---|---|---|---|---|")
    for each in found["rounds"]:
        print(f"| {each['posted']:,.0f} | **{each['accepted']:.1f}** | {each['limit']} | "
              f"{_ms(each['alone_p99_us'])} | {_ms(each['beside_p99_us'])} |")
    print(f"\np99 of the neighbour, beside / alone: **{found['p99 of the neighbour']:.2f}**\n")


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
    print(f"| of each waiting delivery | {found['bytes_per_delivery']:.0f} bytes |")
    print(f"| peak over filling and draining (VmHWM) | {_mib(found['peak_rss_bytes'])} |")
    print(f"| filled in | {found['filled_in_seconds']:.0f} s |")
    print(f"| delivered, from when the clients came back | {found['drained_in_seconds']:.0f} s |\n")


def _print_sustained(found):
    answers, verdict = found["load"]["answers"], found["verdict"]
    print(f"2000/s for 10 minutes: **{verdict['verdict']}**; {found['load']['events']:,} events, {found['load']['accepted']:,} accepted; "
          f"answers p50 {_ms(answers['p50_us'])}, p99 {_ms(answers['p99_us'])}, p99.9 {_ms(answers['p999_us'])}, max "
          f"{_ms(answers['max_us'])}; gateway's peak {_mib(found['rss_bytes'])}.\n")


def _print_cases(found):
    for side, cases in found["compared"].items():
        print(f"| p99 of freshness of the healthy, {_SIDES[side]} | without the fault | ratio | "
              "least | most | difference | longest | not delivered |\n"
              "|---|---|---|---|---|---|---|---|")
        for label, windows in cases.items():
            for window, each in windows.items():
                difference = "" if each["difference_us"] is None else _ms(each["difference_us"])
                ratio, least, most = (_ratio(each[key]) for key in ("ratio", "least", "most"))
                print(f"| {label}, {window} | {_ms(each['without_p99_us'])} | **{ratio}** | {least} "
                      f"| {most} | {difference} | {_ms(each['with_max_us'])} | "
                      f"{each['not_delivered']} |")
        print()


def _ratio(value):
    return "no p99" if value is None else f"{value:.2f}"


def _seconds(value):
    return "never" if value is None else f"{value:.1f} s"


def _print_recovery(found):
    print(f"{found['title']}:\n")
    print("| | backlog | slowest account begins to move | half is gone | 99 % | all | share of what "
          "the clients take | fresh p99 | never delivered | verdict |\n"
          "|---|---|---|---|---|---|---|---|---|---|")
    for number, sides in enumerate(found["rounds"], 1):
        for side, labels in sides.items():
            for label, each in labels.items():
                share = "" if each["share"] is None else f"{each['share']:.0%}"
                print(f"| {label}, {_SIDES[side]}, round {number} | {each['backlog']} | "
                      f"{_seconds(each['slowest_starts'])} | {_seconds(each['shares_gone']['50%'])} "
                      f"| {_seconds(each['shares_gone']['99%'])} | {_seconds(each['gone'])} | "
                      f"**{share}** | {_ms(each['fresh_p99_us'])} | {each['not_delivered']} | "
                      f"{each['verdict']} |")
    print()


_COSTS = {"cpu_us": "CPU, us", "syncs": "fsyncs", "writes": "pwrites",
          "answer_p99_us": "p99 of answers, us", "freshness_p99_us": "p99 of freshness, us"}


def _print_cost(found):
    ratios = found.get("ratios", {})
    print(f"| of each event at {found['rate']}/s | this build | the other | ratio |\n|---|---|---|---|")
    for key, what in _COSTS.items():
        if key not in found["this"]:
            continue
        other = found.get("other", {}).get(key)
        print(f"| {what} | {found['this'][key]:.2f} | {'' if other is None else f'{other:.2f}'} | "
              f"{f'**{ratios[key]:.2f}**' if key in ratios else ''} |")
    print()


def _print_waiting(found):
    print("| deliveries that wait | memory | CPU of each event that passes | its p99 of freshness | "
          "CPU with nothing to do |\n|---|---|---|---|---|")
    for step in found["steps"]:
        print(f"| {step['waiting']:,} | {_mib(step['rss_bytes'])} | {step['cpu_us']:.1f} us | "
              f"{_ms(step['freshness_p99_us'])} | {step['idle_cpu_us_per_s'] / 1000:.2f} ms/s |")
    print(f"\nMemory of a waiting delivery: **{found['bytes_per_delivery']:.0f} bytes**\n")


def _print_queues(found):
    print("| backlog in the queues | delivered in | per second | fresh p99 | "
          "fresh p99 behind the backlog | not delivered |\n|---|---|---|---|---|---|")
    for each in found["rounds"]:
        print(f"| {each['backlog']:,} | {each['drained_in_seconds']:.1f} s | "
              f"**{each['rate']:,.0f}** | {_ms(each['fresh_p99_us'])} | "
              f"{_ms(each['after_p99_us'])} | {each['not_delivered']} |")
    print()


def _print_peak(found):
    print(f"{found['title']}:\n\n| round | p99 of freshness | p99 of answers | verdict |\n"
          "|---|---|---|---|")
    for number, each in enumerate(found["rounds"], 1):
        print(f"| {number} | {_ms(each['freshness_p99_us'])} | {_ms(each['answer_p99_us'])} | "
              f"{each['verdict']} |")
    print()


def _print_replay(found):
    print("| a replay beside fresh events | replayed per second | fresh p99 before | beside | progress off by at most | cancel answered | last replayed event "
          "after the cancel | moved, replayed |\n|---|---|---|---|---|---|---|---|")
    for number, each in enumerate(found["rounds"], 1):
        print(f"| round {number} | {each['rate']:.0f} | {_ms(each['fresh_before_p99_us'])} | **{_ms(each['fresh_beside_p99_us'])}** | "
              f"{each['progress_off_max']} deliveries | {each['cancel_answered_in_s']:.2f} s | **{each['cancelled_in_s']:.2f} s** | {each['moved']}, {each['replayed']} |")
    print()


PRINTERS = {"accuracy": _print_accuracy, "ceilings": _print_ceilings, "broker": _print_broker, "publishing": _print_publishing, "delivered": _print_delivered, "edge": _print_edge, "limit": _print_limit, "search": _print_search, "replay": _print_replay, "profile": _print_profile,
            "backlog": _print_backlog, "sustained": _print_sustained, "versus": _print_versus, "cost": _print_cost, "hung": _print_cases,
            "failing": _print_cases, "recovery": _print_recovery, "waiting": _print_waiting, "queues": _print_queues, "peak": _print_peak}


def print_report(results):
    print()
    _print_machine(results["of"])
    for name, found in results.items():
        if name != "of":
            print(f"### {name}\n")
            PRINTERS[name.partition(":")[0]](found)
    rows = aims_of(results)
    if rows:
        print("### Against the aims\n\n| | aim | this build | the other build | | command |\n"
              "|---|---|---|---|---|---|")
        for row in rows:
            print(f"| {row.what} | {row.aim} | {row.this} | {row.other} | "
                  f"{'met' if row.is_met else '**missed**'} | `{row.command}` |")
        print()
