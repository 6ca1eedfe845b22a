"""A leased fleet under as much load as the machine gives, and what it makes of it."""
import os
import subprocess
import sys
import threading
import time

from .clusters import keys_of
from .resp import RespError, encode
from .supervised import Supervised, slot_range
from .wait import wait_until

DOWN_AFTER_MS = 500
SHARDS, SUPERVISORS = 3, 3
PIPELINE, WRITERS = 16, 2
EVENTS = ("+sdown", "+odown", "+try-failover", "+switch-master")


class Writer:
    """One client of a shard's master, PIPELINE writes at a time."""

    def __init__(self, node, key):
        self.node, self.key = node, key
        self.written, self.refused, self.refused_s, self.first_error, self.longest_s = 0, 0, 0.0, None, 0.0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with self.node.connect(timeout_s=30) as client:
            while not self.stopping.is_set():
                began, before = time.monotonic(), self.refused
                client.send_raw(encode("SET", self.key, "x" * 32) * PIPELINE)
                for _ in range(PIPELINE):
                    answer = client.read()
                    self.written += answer == "OK"
                    self.refused += isinstance(answer, RespError)
                    if isinstance(answer, RespError):
                        self.first_error = self.first_error or str(answer)
                took = time.monotonic() - began
                self.longest_s = max(self.longest_s, took)
                self.refused_s += took if self.refused > before else 0.0

    def stop(self):
        self.stopping.set()
        self.thread.join(10)


class Load:
    """redis-benchmark over the whole cluster, and a program for each processor that does nothing but count; each is a
    session of its own, as services are."""

    def __init__(self, lab, port):
        bench = ["redis-benchmark", "-p", str(port), "--cluster", "-t", "set", "-r", "100000", "-c", "50", "-P", "16",
                 "-l", "-q"]
        burner = [sys.executable, "-c", "while True: pass"]
        self.running = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, start_new_session=True)
                        for argv in [bench] + [burner] * os.cpu_count()]
        lab.on_close(self.stop)

    def all_run(self):
        return all(p.poll() is None for p in self.running)

    def stop(self):
        for p in self.running:
            p.kill()
            p.wait()
        self.running = []


def events(supervisor):
    """How often each of EVENTS was told by it."""
    rows = supervisor.ok("SENTINEL", "EVENTS", "SINCE", "0", "COUNT", "10000", timeout_s=30)
    return {event: sum(row[2] == event for row in rows) for event in EVENTS}


def hold(lab, seconds, say=None):
    """Three shards with down-after 500 ms and the lease its half under full load. What was seen: writes, refused ones,
    how often each of EVENTS was told. say: called with a line now and then."""
    fleet = Supervised(lab, (("ours", "ours"),) * SHARDS, down_after_ms=DOWN_AFTER_MS, timers={}, declared=True,
                       name="steady")
    wait_until(lambda: all(n.info("cluster")["cluster_lease_grants"] == str(SUPERVISORS) for n in fleet.masters), 20,
               "all masters are leased by all")
    before = [events(s) for s in fleet.supervisors]
    writers = [Writer(node, key) for i, node in enumerate(fleet.masters)
               for key in keys_of(*slot_range(i, SHARDS), WRITERS)]
    load = Load(lab, fleet.masters[0].port)
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            time.sleep(min(30.0, max(0.0, end - time.monotonic())))
            if say:
                say("%.0f s left, %d writes, %d refused" % (
                    max(0.0, end - time.monotonic()), sum(w.written for w in writers), sum(w.refused for w in writers)))
        assert load.all_run(), "redis-benchmark has ended: it was refused a write"
    finally:
        for w in writers:
            w.stop()
        load.stop()
    seen = [events(s) for s in fleet.supervisors]
    return {
        "seconds": seconds,
        "written": sum(w.written for w in writers),
        "refused": sum(w.refused for w in writers),
        "refused_ms": max(w.refused_s for w in writers) * 1000,
        "error": next((w.first_error for w in writers if w.first_error), ""),
        "longest_ms": max(w.longest_s for w in writers) * 1000,
        **{event: sum(s[event] - b[event] for s, b in zip(seen, before)) for event in EVENTS},
    }
