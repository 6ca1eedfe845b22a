"""What nodectl makes: a fleet out of nothing, and an import of a live redis-server, beside the time in which the source
gives the same data to a replica of its own kind, which is the most that any import could reach.
"""
import json
import os
import statistics
import subprocess
import sys
import time

from lab import Lab, wait_until
from lab.made_fleet import MadeFleet
from lab.supervisors import nodectl_path

CREATE_TARGET_S = 4.0
IMPORT_TARGET = 4.0  # times what a replica takes: the same bytes are read, and then written to three masters
DATABASES = 16
VALUE_BYTES = 30


def create(rounds):
    took = []
    for _ in range(rounds):
        with Lab("ours") as lab:
            fleet = MadeFleet(lab)
            began = time.monotonic()
            fleet.create()
            took.append(time.monotonic() - began)
    return took


def fill(source, keys):
    with source.connect(60) as c:
        for db in range(DATABASES):
            c.ok("SELECT", db)
            c.ok("DEBUG", "POPULATE", keys // DATABASES, "key:%d" % db, VALUE_BYTES)


def replica_s(lab, source):
    """A redis-server that follows, until its link is up."""
    replica = lab.redis("replica").wait_ready()
    began = time.monotonic()
    replica.ok("REPLICAOF", "127.0.0.1", source.port)
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 60, "it follows", 0.005)
    took = time.monotonic() - began
    replica.terminate()
    return took


def import_one(keys):
    with Lab("ours") as lab:
        source = lab.redis("source", save="", repl_diskless_sync_delay=0, enable_debug_command="yes").wait_ready()
        fill(source, keys)
        stock = replica_s(lab, source)
        source.ok("CONFIG", "SET", "repl-diskless-sync-delay", 5)  # as it is delivered: nobody is to wait for that
        fleet = MadeFleet(lab)
        fleet.create()
        began = time.monotonic()
        done = subprocess.run([nodectl_path(), "--fleet", fleet.name, "import", "from", "127.0.0.1:%d" % source.port,
                               "--yes", "-o", "json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, env=fleet.environment(), timeout=600,
                              check=False)
        took = time.monotonic() - began
        assert done.returncode == 0, done.stderr[-1000:]
        told = json.loads(done.stdout)
        assert told["checked"] and told["copied"] == keys // DATABASES * DATABASES, told
        return {"keys": told["copied"], "all_s": took, "waited_s": told["writers_waited_ms"] / 1000, "replica_s": stock}


def measure(args):
    results = {"create": create(args.made_rounds), "import": [import_one(args.import_keys) for _ in range(3)]}
    print("made: fleets %s s, imports %s s" % (["%.2f" % s for s in results["create"]],
                                               ["%.2f" % r["all_s"] for r in results["import"]]),
          file=sys.stderr, flush=True)
    return results


def report(results, args):
    """Prints the lines; returns what was missed."""
    made = statistics.median(results["create"])
    copied = statistics.median(r["all_s"] - r["waited_s"] for r in results["import"])
    waited = statistics.median(r["waited_s"] for r in results["import"])
    replica = statistics.median(r["replica_s"] for r in results["import"])
    rows = (("nodectl fleet create: 3 shards, replicas, 3 supervisors", "%.2f s" % made, "<= %.0f s" % CREATE_TARGET_S,
             made <= CREATE_TARGET_S),
            ("the source's data at a replica of redis-server", "%.2f s" % replica, "-", True),
            ("nodectl import: copied to three masters", "%.2f s" % copied, "-", True),
            ("  beside the replica", "%.1f x" % (copied / replica), "<= %.0f x" % IMPORT_TARGET,
             copied <= IMPORT_TARGET * replica),
            ("  and at the cut-over writers wait, all keys compared", "%.2f s" % waited, "-", True))
    print("\n%-62s %12s   target" % ("%d keys in %d databases" % (results["import"][0]["keys"], DATABASES), ""))
    for what, value, target, ok in rows:
        print("%-62s %12s   %s%s" % (what, value, target, "" if ok else "  MISSED"))
    print("%d processors." % os.cpu_count())
    return [what.strip() for what, _, _, ok in rows if not ok]
