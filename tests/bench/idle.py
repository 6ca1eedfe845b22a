"""Processor time of supervisors when nothing happens: both kinds in turns, so that both meet the same machine."""
import os
import sys
import time

DOWN_AFTER_MS = (1000, 5000)
TURNS = 3
SETTLE_S = 2
SHARE_FROM_MS = 5000  # from this down-after on a third of stock's time is the target, below it stock's
SHARE = 1 / 3


def on_cpu_s(pid):
    """Seconds that its threads ran, user and system; to the nanosecond, where ticks of 10 ms would not do."""
    total = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, thread), encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def percent(supervisors, instances, seconds):
    """Of a core, that one of them uses per 100 watched instances."""
    before, began = sum(on_cpu_s(s.proc.pid) for s in supervisors), time.monotonic()
    time.sleep(seconds)
    used = sum(on_cpu_s(s.proc.pid) for s in supervisors) - before
    return 100.0 * used / (time.monotonic() - began) / len(supervisors) * 100.0 / instances


def measure(start, instances, kinds, seconds, what, notes=None, progress=sys.stderr):
    """start(kind, down-after ms) gives supervisors that know everybody. Each kind is measured for `seconds` in all, at
    each down-after. notes, when given, is called with None before and with the seconds after each measurement; what it
    returns then is shown. Returns {down-after ms: {kind: percent}}."""
    results = {}
    for down_after_ms in DOWN_AFTER_MS:
        turns = {kind: [] for kind in kinds}
        for turn in range(TURNS):
            for kind in kinds if turn % 2 == 0 else reversed(kinds):
                supervisors = start(kind, down_after_ms)
                time.sleep(SETTLE_S)
                if notes:
                    notes(None)
                turns[kind].append(percent(supervisors, instances, seconds / TURNS))
                note = notes(seconds / TURNS) if notes else ""
                print("idle, %s at %d ms, %-5s: %.2f %% of a core per 100 instances%s" % (
                    what, down_after_ms, kind, turns[kind][-1], note), file=progress, flush=True)
                for s in supervisors:
                    s.terminate()
        results[down_after_ms] = {kind: sum(v) / len(v) for kind, v in turns.items()}
    return results


def rows(results, what):
    """Lines of the table, as lines.show() takes them."""
    for down_after_ms, found in results.items():
        share = 1.0 if down_after_ms < SHARE_FROM_MS else SHARE
        target = found["stock"] * share if "stock" in found else None
        title = "idle at %d ms: core per 100 %s" % (down_after_ms, what)
        yield title, "%", target, found.get("ours"), found.get("stock"), None
