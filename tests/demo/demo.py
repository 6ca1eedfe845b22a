#!/usr/bin/python3
"""A master dies while a client writes: three supervisors, one master, two replicas, all real, all on this machine.

Exit status 0 only when the failover happened, every supervisor agrees, writes go on, the hook wrote its lines, `nodectl
explain` tells this very failover, and the old master came back as a replica. Nothing stays behind.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.dont_write_bytecode = True

import redis  # noqa: E402
import redis.sentinel  # noqa: E402

from lab import Lab, NotInTime, sentineld_path, wait_until  # noqa: E402
from lab.supervisors import ROOT, nodectl_path, quoted  # noqa: E402

DOWN_AFTER_MS = 1000
HOOK = os.path.join(ROOT, "etc", "hooks", "log")
HOOK_EVENTS = ("+odown", "+switch-master")
COLORS = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def paint(text, color):
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return "\033[%sm%s\033[0m" % (COLORS[color], text)


def say(text="", color=None):
    print(paint(text, color) if color else text, flush=True)


class ClientWriter:
    """A redis-py Sentinel client, as an application has one: it writes unique values without a pause."""

    def __init__(self, supervisors):
        sentinel = redis.sentinel.Sentinel([s.addr for s in supervisors], socket_timeout=0.3)
        self.master = sentinel.master_for("mymaster", socket_timeout=0.3)
        self.acked = []  # (number, time of the reply)
        self.failed = 0
        self.last_error = ""
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        n = 0
        while not self.ending.wait(0.001):
            n += 1
            try:
                if self.master.set("demo:%d" % n, n):
                    self.acked.append((n, time.monotonic()))
            except redis.RedisError as e:
                self.failed += 1
                self.last_error = str(e)

    def start(self):
        self.thread.start()

    def stop(self):
        self.ending.set()
        if self.thread.is_alive():
            self.thread.join(10)

    def first_after(self, moment):
        return next((at for _, at in self.acked if at > moment), None)

    def lost(self, server):
        """Numbers that were acknowledged and are not on server."""
        numbers = [n for n, _ in self.acked]
        with server.connect() as client:
            values = client.ok("MGET", *["demo:%d" % n for n in numbers])
        return [n for n, value in zip(numbers, values) if value != str(n)]


def timeline(killed, rows):
    """Print the phases in the order in which they happened, with a bar that shows when."""
    rows = sorted((at, text, color) for at, text, color in rows if at is not None)
    last = max(at for at, _, _ in rows) - killed
    width = 30
    say("     after kill   since down-after", "dim")
    for at, text, color in rows:
        ms = (at - killed) * 1000
        since = ms - DOWN_AFTER_MS
        bar = " " * int(width * (at - killed) / last) if last > 0 else ""
        say("  %10.1f ms   %12s   %s %s" % (ms, "%+.1f ms" % since if since > -DOWN_AFTER_MS else "",
                                           paint("|" + (bar + "*").ljust(width + 1) + "|", "dim"), paint(text, color)))


def phases(logs, killed, old, writer):
    """The moments of the failover as the supervisors published them: (time, text, colour)."""
    leader = next((log for log in logs.values() if log.first("+elected-leader")), None)
    name_of = {log: name for name, log in logs.items()}
    rows = [(killed, "master %d killed (kill -9)" % old.port, "red")]

    def earliest(event, text, color, sources=None):
        found = [log.first(event) for log in (sources or logs.values()) if log.first(event)]
        if found:
            rows.append((min(e.at for e in found), text, color))

    earliest("+sdown", "S_DOWN: a supervisor finds it silent", "yellow")
    earliest("+odown", "O_DOWN: the quorum agrees", "yellow")
    if leader is not None:
        earliest("+elected-leader", "%s elected leader" % name_of[leader], "cyan", [leader])
        earliest("+selected-slave", "replica selected", "cyan", [leader])
        earliest("+promoted-slave", "replica promoted", "green", [leader])
    for name, log in logs.items():
        event = log.first("+switch-master")
        if event:
            rows.append((event.at, "%s: +switch-master" % name, "green"))
    rows.append((writer.first_after(rows_down(rows, killed)), "first write accepted again", "bold"))
    return rows


def rows_down(rows, killed):
    """The moment after which an accepted write has gone to the new master: S_DOWN, or the kill if that is unknown."""
    return next((at for at, text, _ in rows if text.startswith("S_DOWN")), killed)


def hook_setting(path):
    """The line of the configuration that has the sample hook write into this file."""
    return "hooks = ( { on = [ %s ]; run = [ %s, %s ]; } );" % (
        ", ".join(quoted(e) for e in HOOK_EVENTS), quoted(HOOK), quoted(path))


def show_hook(path, old, new, supervisors):
    """What the hook wrote: each supervisor runs its own, so the line about the new master is there once for each."""
    wanted = "mymaster: the master is now 127.0.0.1:%d, it was 127.0.0.1:%d (" % (new.port, old.port)

    def lines():
        with open(path, encoding="utf-8") as f:
            found = f.read().splitlines()
        assert sum(wanted in line for line in found) == supervisors, "not yet: %s" % found
        return found
    found = wait_until(lines, 10, "the hook of all %d supervisors wrote of the new master" % supervisors)
    down = [line for line in found if " +odown master mymaster 127.0.0.1 %d " % old.port in line]
    assert down, "the hook wrote nothing of +odown: %s" % found
    say("\n  What the hook etc/hooks/log wrote (of %s, at each supervisor; the first line of each):" %
        " and ".join(HOOK_EVENTS))
    for line in (down[0], next(line for line in found if wanted in line)):
        say("     " + line, "cyan")


def nodectl(fleet, *args):
    """The standard output of nodectl, which must end with status 0."""
    asked = ",".join("127.0.0.1:%d" % s.port for s in fleet.supervisors)
    done = subprocess.run([nodectl_path(), *args, "-s", asked], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=30, check=False)
    assert done.returncode == 0, "nodectl %s ended with status %d: %s" % (" ".join(args), done.returncode, done.stderr)
    return done.stdout


def show_explanation(fleet, old, new, epoch):
    """`nodectl explain` of the failover: the one just made, by whoever led it, decided again from its record."""
    def told():
        d = json.loads(nodectl(fleet, "explain", "mymaster", "--replay", "-o", "json"))
        is_it = (d["outcome"], d["from"], d["to"], d["epoch"]) == (
            "switched", "127.0.0.1:%d" % old.port, "127.0.0.1:%d" % new.port, epoch)
        assert is_it and d["by"]["id"] in {s.my_id() for s in fleet.supervisors} and d["replay"]["same"], d
        return any(r["kind"] == "converged" for r in d["records"])
    wait_until(told, 15, "nodectl explains the failover, to the last replica that follows")
    text = nodectl(fleet, "explain", "mymaster", "--replay")
    for part in ("127.0.0.1:%d" % old.port, "127.0.0.1:%d" % new.port, "chosen", "granted"):
        assert part in text, "%r is not in what nodectl explains:\n%s" % (part, text)
    say("\n  $ nodectl explain mymaster --replay", "bold")
    for line in text.splitlines():
        say("  " + line)


def demo(lab, kind):
    say("\n sentineld demo: 3 supervisors, 1 master, 2 replicas, a client that never stops writing\n", "bold")
    ours = kind == "ours"
    hook_file = lab.path("hook-lines")
    fleet = lab.fleet(down_after_ms=DOWN_AFTER_MS, failover_timeout_ms=10000, timers={} if ours else None,
                      supervisor_args={"extra": [hook_setting(hook_file)]} if ours else None)
    old = fleet.master
    say("  master    127.0.0.1:%d" % old.port)
    for replica in fleet.replicas:
        say("  replica   127.0.0.1:%d" % replica.port)
    for s in fleet.supervisors:
        say("  %s 127.0.0.1:%d   quorum %d of %d, down-after %d ms" % (
            s.name, s.port, fleet.group.quorum, len(fleet.supervisors), DOWN_AFTER_MS))
    # A master streams to a new replica from its first acknowledgement on, up to a second after the link is up.
    with old.connect() as client:
        client.ok("SET", "demo:0", "0")
        assert client.ok("WAIT", len(fleet.replicas), 5000) == len(fleet.replicas), "the replicas take writes"
    logs = {s.name: lab.events(s) for s in fleet.supervisors}
    writer = ClientWriter(fleet.supervisors)
    lab.on_close(writer.stop)
    writer.start()
    wait_until(lambda: len(writer.acked) >= 500, 10, "the client has written 500 values")
    before = len(writer.acked)
    say("\n  The client wrote %d values. Now the master is killed.\n" % before)
    killed = old.kill9()
    new = fleet.wait_switched(old.port)
    for log in logs.values():
        log.wait("+switch-master")
    wait_until(lambda: writer.acked[-1][1] > killed + DOWN_AFTER_MS / 1000, 10, "writes are accepted again")
    enough = len(writer.acked) + 200
    wait_until(lambda: len(writer.acked) >= enough, 10, "the client goes on writing")
    writer.stop()
    timeline(killed, phases(logs, killed, old, writer))

    lost = writer.lost(new)
    say("\n  New master 127.0.0.1:%d at config epoch %d; all %d supervisors agree." % (
        new.port, fleet.supervisors[0].config_epoch(), len(fleet.supervisors)), "green")
    say("  Writes acknowledged: %d. Refused or failed during the switch: %d." % (len(writer.acked), writer.failed))
    say("  Acknowledged and lost: %d%s" % (len(lost), "." if not lost else
        " (the old master acknowledged them and died before a replica had them:\n"
        "  replication is asynchronous; min-replicas-to-write narrows that window)."), "yellow" if lost else None)
    if ours:
        show_hook(hook_file, old, new, len(fleet.supervisors))
        show_explanation(fleet, old, new, fleet.supervisors[0].config_epoch())

    say("\n  The old master is started again ...")
    began = time.monotonic()
    old.start()
    old.wait_ready()
    old.wait_follows(new.port)
    took = time.monotonic() - began
    say("  ... and is a replica of the new master, %.1f s later. Everything is well.\n" % took, "green")
    assert old.role() == "slave" and fleet.agreed_port() == new.port


def main():
    parser = argparse.ArgumentParser(description="Show a failover on real servers.")
    parser.add_argument("--kind", choices=("ours", "stock"), default="ours", help="which supervisor (default ours)")
    args = parser.parse_args()
    if args.kind == "ours" and not os.access(sentineld_path(), os.X_OK):
        parser.error("%s is missing: build it with make" % sentineld_path())

    def interrupted(_sig, _frame):
        raise KeyboardInterrupt

    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, interrupted)
    with Lab(args.kind) as lab:
        try:
            demo(lab, args.kind)
        except KeyboardInterrupt:
            say("\n  Interrupted; all processes of the demo were ended.")
            return 130
        except (NotInTime, AssertionError, OSError, subprocess.SubprocessError) as e:
            say("\n  The demo failed: %s" % e, "red")
            say(lab.describe())
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
