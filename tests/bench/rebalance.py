"""A fourth master for a cluster of three: nodectl slots rebalance of noded in four databases, under load, beside
redis-cli --cluster rebalance of redis-server, which has one database.
"""
import os
import statistics
import subprocess
import sys
import time

from lab import Lab
from lab.clusters import SLOTS, cluster_node, lines, make_cluster, meet, my_id, wait_agreed
from lab.supervisors import nodectl_path
from slots import DATABASES, Load, load_path

VALUE_BYTES = 1000
RATE = 2000  # writes a second meanwhile, to all slots
RATIO_TARGET = 8.0
BATCH = 10  # redis-cli's --cluster-pipeline, when nobody says otherwise


def fill(nodes, mb, databases):
    each = max(1, mb * 1000000 // (SLOTS * databases * VALUE_BYTES))
    argv = [load_path(), "fill", ",".join(str(n.port) for n in nodes), 0, SLOTS - 1, databases, each, VALUE_BYTES]
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, universal_newlines=True, check=False)
    assert done.returncode == 0, done.stdout
    return each


def with_fourth(lab, kind, mb, databases):
    nodes, _ = make_cluster(lab, [kind] * 3, cluster_node_timeout=15000, prefix=kind)
    each = fill(nodes, mb, databases)
    empty = cluster_node(lab, kind, kind + "empty", cluster_node_timeout=15000)
    meet(nodes[0], [empty])
    wait_agreed(nodes + [empty], 30)
    return nodes, empty, each


def slots_of(node):
    ranges = [w.partition("-") for w in lines(node)[my_id(node)][8:] if not w.startswith("[")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)


def timed(argv):
    began = time.monotonic()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=1800, check=False)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout[-500:]
    return took


def measure_one(lab, args, kind):
    """Seconds, and what the load says of the time meanwhile."""
    ours = kind == "ours"
    databases = DATABASES if ours else 1
    nodes, empty, each = with_fourth(lab, kind, args.rebalance_mb, databases)
    at = "127.0.0.1:%d" % nodes[0].port
    argv = [nodectl_path(), "slots", "rebalance", "--seeds", at, "--yes"] if ours else [
        "redis-cli", "--cluster", "rebalance", at, "--cluster-use-empty-masters", "--cluster-pipeline", str(BATCH)]
    load = None
    if ours:
        load = Load(nodes + [empty], (0, SLOTS - 1), each, VALUE_BYTES, RATE, "count")
        time.sleep(2)
        load.mark()
    took = timed(argv)
    said = load.mark() if ours else {"max_us": 0, "n": 0}
    if ours:
        said["wrong"] = load.stop()["wrong"]
        load.__exit__()
        assert said["wrong"] == 0, said
    assert SLOTS // 4 - 100 <= slots_of(empty) <= SLOTS // 4 + 100, slots_of(empty)
    return took, said


def measure(args):
    results = {"ours": [], "stock": []}
    for number in range(args.rebalance_rounds):
        for kind in ("ours", "stock"):
            if kind == "stock" and number > 0:
                continue  # it takes minutes, and the same each time
            with Lab() as lab:
                results[kind].append(measure_one(lab, args, kind))
            print("rebalance: %s %.2f s, longest wait of a write %.0f ms" % (
                kind, results[kind][-1][0], results[kind][-1][1]["max_us"] / 1000), file=sys.stderr, flush=True)
    return results


def report(results, args):
    """Prints the lines; returns what was missed."""
    ours = statistics.median(r[0] for r in results["ours"])
    stock = statistics.median(r[0] for r in results["stock"])
    ratio, ok = stock / ours, stock / ours >= RATIO_TARGET
    print("\n%-62s %12s   target" % ("from 3 to 4 masters, %d MB" % args.rebalance_mb, ""))
    print("%-62s %12s   (%d writes/s meanwhile, none refused or wrong; longest wait %.0f ms)" % (
        "nodectl slots rebalance, %d databases" % DATABASES, "%.2f s" % ours, RATE,
        max(r[1]["max_us"] for r in results["ours"]) / 1000))
    print("%-62s %12s   (nobody writes)" % ("redis-cli --cluster rebalance of redis-server, 1 database",
                                            "%.2f s" % stock))
    print("%-62s %12s   >= %.0f x%s" % ("  nodectl beside redis-cli", "%.1f x" % ratio, RATIO_TARGET,
                                        "" if ok else "  MISSED"))
    print("%d processors." % os.cpu_count())
    return [] if ok else ["rebalance beside redis-cli"]
