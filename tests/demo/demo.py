#!/usr/bin/python3
"""A fleet, and a drill on it: three shards of noded, a master and a replica each, with 16 databases, under three
supervisors with leases; all real, all on this machine. A master is killed while clients write in every database of its
shard, and the fleet is brought back to where it was.

Exit status 0 only when the drill passed, its report is told again by every supervisor, `nodectl explain` tells the same
failover, and the fleet is as it was. Nothing stays behind.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.dont_write_bytecode = True

from lab import Lab, NotInTime, wait_until  # noqa: E402
from lab.adopted import adopt_all  # noqa: E402
from lab.nodes import noded_path  # noqa: E402
from lab.supervised import Supervised  # noqa: E402
from lab.supervisors import nodectl_path, sentineld_path  # noqa: E402

DOWN_AFTER_MS = 1000
MAX_OUTAGE_MS = 3000
# Replication is asynchronous: a master that is killed may have told OK of the writes of its last turn, which no replica
# has then. With 16 writers that is rarely one, and never many.
MAX_LOST = 20
COLORS = {"bold": "1", "red": "31", "green": "32"}


def say(text="", color=None):
    if color and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        text = "\033[%sm%s\033[0m" % (COLORS[color], text)
    print(text, flush=True)


class Nodectl:
    """Calls nodectl as an operator does: what it prints is shown as it comes."""

    def __init__(self, lab, supervisors):
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("NODECTL_")}
        self.env.update(HOME=lab.path("home"),
                        NODECTL_SUPERVISORS=",".join("127.0.0.1:%d" % s.port for s in supervisors))

    def show(self, *args):
        say("\n$ nodectl " + " ".join(args), "bold")
        process = subprocess.Popen([nodectl_path(), *args], stdin=subprocess.DEVNULL, env=self.env)
        try:
            status = process.wait(120)
        except BaseException:
            process.send_signal(signal.SIGINT)  # it brings back what it has killed, so that it is there to be ended
            process.wait(120)
            raise
        assert status == 0, "nodectl %s ended with status %d" % (" ".join(args), status)

    def json(self, *args):
        done = subprocess.run([nodectl_path(), *args, "-o", "json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=self.env, timeout=60, check=True)
        return json.loads(done.stdout)


def check(nodectl, fleet, shard, before):
    """The report is everywhere and true, and all is as it was."""
    reports = []
    for s in fleet.supervisors:
        nodectl.env["NODECTL_SUPERVISORS"] = "127.0.0.1:%d" % s.port
        reports.append(nodectl.json("drill", "report"))
    report = reports[0]
    assert all(r == report for r in reports), "the supervisors tell different reports: %s" % reports
    assert report["verdict"] == "PASS" and report["back"] and report["group"] == shard, report
    assert report["writes"]["lost"] <= MAX_LOST and report["outage_ms"] <= MAX_OUTAGE_MS, report
    assert {d["database"] for d in report["databases"]} == set(range(16)), report
    told = nodectl.json("explain", shard, str(report["phases_ms"]["epoch"]))
    assert told["switched"]["total_ms"] == report["phases_ms"]["total"], (told["switched"], report)
    assert (told["from"], told["to"]) == (report["from"], report["to"]), (told["from"], told["to"], report)
    fleet.wait_well(supervisors=fleet.supervisors)
    assert fleet.truth() == before, (fleet.truth(), before)
    return report


def demo(lab):
    say("\nA fleet: 3 shards of noded with 16 databases, a master and a replica each; 3 supervisors with leases",
        "bold")
    began = time.monotonic()
    fleet = Supervised(lab, declared=True, down_after_ms=DOWN_AFTER_MS, failover_timeout_ms=10000, timers={})
    lab.on_close(lambda: adopt_all(fleet.nodes + fleet.supervisors))
    for i, (master, replica) in enumerate(zip(fleet.masters, fleet.replicas)):
        say("  shard %d     master 127.0.0.1:%d, replica 127.0.0.1:%d" % (i, master.port, replica.port))
    for s in fleet.supervisors:
        say("  supervisor  127.0.0.1:%d, down-after %d ms, quorum 2 of 3" % (s.port, DOWN_AFTER_MS))
    before = fleet.truth()
    shard = fleet.name_of(fleet.masters[1])
    nodectl = Nodectl(lab, fleet.supervisors)
    wait_until(lambda: nodectl.json("status")["ok"], 20, "nodectl status finds nothing wrong")
    say("  well after %.1f s" % (time.monotonic() - began), "green")
    nodectl.show("drill", "run", "kill-master", "--shard", shard, "--max-outage-ms", str(MAX_OUTAGE_MS),
                 "--max-lost", str(MAX_LOST), "--yes")
    report = check(nodectl, fleet, shard, before)
    nodectl.show("drill", "list")
    nodectl.show("explain", shard, str(report["phases_ms"]["epoch"]), "--replay")
    nodectl.show("status", fleet.name)
    say("\nThe drill passed: %d writes acknowledged, %d lost, %d ms without one; the old master is master again.\n" % (
        report["writes"]["acked"], report["writes"]["lost"], report["outage_ms"]), "green")


def main():
    argparse.ArgumentParser(description="Show a drill on a fleet of real processes.").parse_args()
    for path in (noded_path(), sentineld_path(), nodectl_path()):
        if not os.access(path, os.X_OK):
            sys.exit("%s is missing: build it with make" % path)

    def interrupted(_sig, _frame):
        raise KeyboardInterrupt

    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, interrupted)
    with Lab("ours") as lab:
        try:
            demo(lab)
        except KeyboardInterrupt:
            say("\nInterrupted; all processes of the demo were ended.")
            return 130
        except (NotInTime, AssertionError, OSError, subprocess.SubprocessError) as e:
            say("\nThe demo failed: %s" % e, "red")
            say(lab.describe())
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
