"""What keeping and sharing the data costs: noded beside redis-server, in turn, with the same settings.

A million keys each: a pipelined load while snapshots are written, the start with an RDB file, a full synchronization of
one replica; and SETs with an append-only file that is synced every second.
"""
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

from lab import wait_until

KINDS = ("ours", "stock")
CLIENTS = 50
PIPELINE = 16
KEYS = 1_000_000
LOAD_REQUESTS = 1_500_000
AOF_REQUESTS = 600_000
TITLES = {"snapshot": "p99 of a pipelined load during snapshots", "start": "start with an RDB file of a million keys",
          "sync": "full synchronization of a million keys", "everysec": "SET, appendfsync everysec, pipeline 16"}


def start(lab, kind, name, wait=True, **options):
    if kind == "ours":
        made = lab.node(name, boot=False, **options)
        made.start()
    else:
        made = lab.redis(name, enable_debug_command="yes", **options)
    return made.wait_ready(60) if wait else made


def stop(server):
    server.discard()
    server.reap()


def benchmark(server, requests, keyspace):
    """SETs by redis-benchmark: (requests a second, 99th percentile in ms)."""
    done = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-c", str(CLIENTS), "-n", str(requests), "-P", str(PIPELINE), "-r",
         str(keyspace), "-d", "32", "-t", "set", "--csv"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, universal_newlines=True, timeout=300, check=False)
    rows = [line.split(",") for line in done.stdout.splitlines() if line.startswith('"SET"')]
    assert done.returncode == 0 and rows, done.stdout[-300:]
    values = [float(cell.strip('"')) for cell in rows[-1][1:]]
    return values[0], values[5]


def populate(server):
    with server.connect(timeout_s=120) as c:
        c.ok("DEBUG", "POPULATE", str(KEYS), "key", "32")
        assert c.ok("DBSIZE") == KEYS


# ---- a load while snapshots are written ----

def measure_snapshot(lab, kind, number):
    server = start(lab, kind, "%s-snap%d" % (kind, number))
    populate(server)
    over, saves = threading.Event(), []

    def save():
        with server.connect(timeout_s=120) as c:
            while not over.is_set():
                c.ok("BGSAVE")
                wait_until(lambda: "rdb_bgsave_in_progress:0" in c.ok("INFO", "persistence"), 120, "the snapshot ends")
                saves.append(1)

    saver = threading.Thread(target=save)
    saver.start()
    _, p99 = benchmark(server, LOAD_REQUESTS, KEYS)
    over.set()
    saver.join()
    assert "rdb_last_bgsave_status:ok" in server.ok("INFO", "persistence") and saves, server.log()[-300:]
    stop(server)
    return p99


# ---- start ----

def make_file(lab):
    """The same file for both."""
    server = start(lab, "stock", "maker")
    populate(server)
    with server.connect(timeout_s=120) as c:
        c.ok("SAVE")
    stop(server)
    return os.path.join(server.directory, "dump.rdb")


def measure_start(lab, kind, number, path):
    name = "%s-start%d" % (kind, number)
    os.makedirs(lab.path(name), exist_ok=True)
    shutil.copy(path, os.path.join(lab.path(name), "dump.rdb"))
    began = time.monotonic()
    server = start(lab, kind, name, wait=False)

    def loaded():
        try:
            return server.call("DBSIZE") == KEYS
        except (OSError, AssertionError):
            assert server.alive(), server.log()[-300:]
            return False

    while not loaded():
        time.sleep(0.002)
        assert time.monotonic() - began < 120, "it does not start"
    took = time.monotonic() - began
    stop(server)
    return took


# ---- a replica ----

def measure_sync(lab, kind, number):
    options = {"repl_diskless_sync": "yes", "repl_diskless_sync_delay": "0"}
    master = start(lab, kind, "%s-master%d" % (kind, number), **options)
    populate(master)
    replica = start(lab, kind, "%s-replica%d" % (kind, number), **options)
    with replica.connect(timeout_s=120) as c:
        began = time.monotonic()
        c.ok("REPLICAOF", "127.0.0.1", str(master.port))
        while True:
            up = "master_link_status:up" in c.ok("INFO", "replication")
            if up and c.call("DBSIZE") == KEYS:
                break
            time.sleep(0.002)
            assert time.monotonic() - began < 120, "it does not synchronize"
        took = time.monotonic() - began
    stop(replica)
    stop(master)
    return took


# ---- the append-only file ----

def measure_everysec(lab, kind, number):
    server = start(lab, kind, "%s-aof%d" % (kind, number), appendonly="yes", appendfsync="everysec")
    rate, _ = benchmark(server, AOF_REQUESTS, 100000)
    stop(server)
    return rate


def measure(lab, args):
    parts = {"snapshot": measure_snapshot, "sync": measure_sync, "everysec": measure_everysec,
             "start": lambda *a: measure_start(*a, path)}
    path = make_file(lab)
    results = {part: {kind: [] for kind in KINDS} for part in parts}
    for number in range(args.durable_rounds):
        for part, run in parts.items():
            for kind in KINDS if number % 2 == 0 else reversed(KINDS):
                results[part][kind].append(run(lab, kind, number))
        print("durable: round %d of %d" % (number + 1, args.durable_rounds), file=sys.stderr, flush=True)
    return results


# Part, unit, target as a bound of ours / stock, and whether less is better.
ROWS = (("snapshot", "ms", 1.2, True), ("start", "s", 0.8, True), ("sync", "s", 0.8, True),
        ("everysec", "/s", 1.3, False))


def report(results):
    """Prints the table; returns what was missed."""
    missed = []
    print("\n%-46s %12s %14s %7s   target" % ("persistence and replication", "noded", "redis-server", "ratio"))
    for part, unit, target, less in ROWS:
        ours, stock = (statistics.median(results[part][kind]) for kind in KINDS)
        ratio = statistics.median(a / b for a, b in zip(results[part]["ours"], results[part]["stock"]))
        ok = ratio <= target if less else ratio >= target
        form = "%.0f%s" if unit == "/s" else "%.2f %s"
        print("%-46s %12s %14s %6.2fx   %s %.1f x%s" % (TITLES[part], form % (ours, unit), form % (stock, unit), ratio,
                                                       "<=" if less else ">=", target, "" if ok else "  MISSED"))
        missed += [] if ok else [TITLES[part]]
    return missed
