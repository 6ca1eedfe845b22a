"""noded in cluster mode: failover beside redis-server's own, many idle nodes beside as many of redis-server, and what
the mode costs beside a noded without it.
"""
import os
import statistics
import sys
import time

import noded
from lab import Lab, wait_until
from lab.clusters import SLOTS, cluster_node, info, key_in, lines, make_cluster, my_id
from noded import benchmark, fill, rss_bytes

KINDS = ("ours", "stock")
TIMEOUT_MS = 1000
SHARDS = 3
FAILOVER_TARGET_MS = 400
EMPTY_TARGET_MB = 6
BYTES_TARGET = 1.10
MANY_TARGET = 0.5
SPEED_TARGET = 0.95
SPEED_TESTS = ("set", "get", "incr", "hset", "zadd")
SPEED_REQUESTS = 400000
SETTLE_S = 3


def stop(servers):
    for server in servers:
        server.discard()
    for server in servers:
        server.reap()


# ---- failover ----

def measure_failover(kind, number):
    """Milliseconds from the kill of a master to the first write that its replica takes, beyond the timeout."""
    with Lab() as lab:
        masters, replicas = make_cluster(lab, [kind] * SHARDS, [(kind, i) for i in range(SHARDS)],
                                         cluster_node_timeout=TIMEOUT_MS)
        key = key_in(1, number)
        with replicas[0].connect() as c:
            killed = masters[0].kill9()
            while c.call("SET", key, "x") != "OK":
                time.sleep(0.001)
                assert time.monotonic() - killed < 60, "nobody takes over"
        return (time.monotonic() - killed) * 1000 - TIMEOUT_MS


# ---- memory ----

def measure_memory(lab):
    results = {}
    node = cluster_node(lab, "ours", "empty", cluster_databases=16)
    node.ok("PING")
    time.sleep(SETTLE_S)
    results["empty_mb"] = rss_bytes(node) / 2 ** 20
    node.ok("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
    wait_until(lambda: info(node)["cluster_state"] == "ok", 10, "the slots are served")
    node.ok("SET", "first", "x")
    node.ok("FLUSHALL")
    before = rss_bytes(node)
    fill(node, noded.KEYS, noded.DATABASES)
    time.sleep(noded.SETTLE_S)
    results["cluster_bytes"] = (rss_bytes(node) - before) / noded.KEYS
    stop([node])
    results["one_bytes"] = noded.measure_bytes(lab, "ours", 1)
    return results


# ---- many nodes ----

def measure_many(lab, kind, count, idle_s):
    """Processor time of so many idle nodes of one cluster, as a share of one processor. All are masters: those with
    slots are three, so that the others have nothing to do but to know each other."""
    nodes = [cluster_node(lab, kind, "%s-many%d" % (kind, i), cluster_node_timeout=15000) for i in range(count)]
    for i, node in enumerate(nodes[:SHARDS]):
        node.ok("CLUSTER", "ADDSLOTSRANGE", SLOTS * i // SHARDS, SLOTS * (i + 1) // SHARDS - 1)
    for i, node in enumerate(nodes):
        node.ok("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
    with nodes[0].connect() as c:
        for other in nodes[1:]:
            bus = lines(other)[my_id(other)][1].split("@")[1].split(",")[0]
            c.ok("CLUSTER", "MEET", "127.0.0.1", other.port, bus)
    began = time.monotonic()
    wait_until(lambda: all(info(n)["cluster_known_nodes"] == str(count) and info(n)["cluster_state"] == "ok"
                           for n in nodes), 180, "all %d know each other" % count, every_s=0.5)
    formed = time.monotonic() - began
    time.sleep(SETTLE_S)
    before = sum(n.cpu_s() for n in nodes)
    time.sleep(idle_s)
    used = (sum(n.cpu_s() for n in nodes) - before) / idle_s
    stop(nodes)
    return used, formed


# ---- speed ----

def measure_speed(lab, rounds):
    """{test: ratio of the cluster node's requests a second to those of a node without cluster mode}"""
    plain = noded.start(lab, "ours", "plain")
    node = cluster_node(lab, "ours", "slots")
    node.ok("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
    wait_until(lambda: info(node)["cluster_state"] == "ok", 10, "the slots are served")
    found = {test: [] for test in SPEED_TESTS}
    for number in range(rounds):
        for test in SPEED_TESTS:
            rates = {}
            for name in (("plain", "node") if number % 2 == 0 else ("node", "plain")):
                server = plain if name == "plain" else node
                server.ok("FLUSHALL")
                rates[name] = benchmark(server, test, SPEED_REQUESTS, 16, 100000, 0)[0]
            found[test].append(rates["node"] / rates["plain"])
    stop([plain, node])
    return {test: statistics.median(values) for test, values in found.items()}


def measure(lab, args):
    results = {"failover": {kind: [] for kind in KINDS}}
    for number in range(args.cluster_rounds):
        for kind in KINDS if number % 2 == 0 else reversed(KINDS):
            results["failover"][kind].append(measure_failover(kind, number))
        print("cluster: failover, round %d of %d" % (number + 1, args.cluster_rounds), file=sys.stderr, flush=True)
    results["memory"] = measure_memory(lab)
    results["speed"] = measure_speed(lab, 2 * args.cluster_rounds + 1)
    results["many"] = {kind: measure_many(lab, kind, args.cluster_nodes, args.idle_seconds) for kind in KINDS}
    return results


def report(results, args):
    """Prints the table; returns what was missed."""
    missed = []

    def row(title, ours, stock, target, ok):
        print("%-52s %10s %12s   %s%s" % (title, ours, stock, target, "" if ok else "  MISSED"))
        missed.extend([] if ok else [title])

    print("\n%-52s %10s %12s   target" % ("cluster mode", "noded", "redis-server"))
    ours, stock = (statistics.median(results["failover"][kind]) for kind in KINDS)
    row("kill to first write, beyond the timeout (%d ms)" % TIMEOUT_MS, "%.0f ms" % ours, "%.0f ms" % stock,
        "<= %d ms" % FAILOVER_TARGET_MS, ours <= FAILOVER_TARGET_MS)
    memory = results["memory"]
    row("empty node, 16 databases", "%.1f MB" % memory["empty_mb"], "", "<= %d MB" % EMPTY_TARGET_MB,
        memory["empty_mb"] <= EMPTY_TARGET_MB)
    row("bytes a key, 16384 slots and 16 databases", "%.1f" % memory["cluster_bytes"], "",
        "<= %.2f x one table's %.1f" % (BYTES_TARGET, memory["one_bytes"]),
        memory["cluster_bytes"] <= memory["one_bytes"] * BYTES_TARGET)
    ours, stock = (results["many"][kind][0] for kind in KINDS)
    row("%d idle nodes: share of a processor" % args.cluster_nodes, "%.1f %%" % (100 * ours), "%.1f %%" % (100 * stock),
        "<= %.1f x stock" % MANY_TARGET, ours <= stock * MANY_TARGET)
    print("%-52s %10s %12s" % ("  until all knew all", *("%.1f s" % results["many"][kind][1] for kind in KINDS)))
    for test, ratio in results["speed"].items():
        row("%s, pipeline 16, beside noded without cluster mode" % test.upper(), "%.2f x" % ratio, "",
            ">= %.2f x" % SPEED_TARGET, ratio >= SPEED_TARGET)
    print("\n%d shards with a replica each, %d rounds in turn; %d processors." % (SHARDS, args.cluster_rounds,
                                                                              os.cpu_count()))
    return missed
