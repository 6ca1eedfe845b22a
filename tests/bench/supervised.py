"""Clusters under three supervisors, beside the stock cluster's own failover: kill to first accepted write.

Milliseconds count from the kill plus down-after (ours), or plus the node timeout (the cluster's own election).
"""
import os
import statistics
import sys
import threading
import time

from lab import Lab, wait_until
from lab.clusters import info, key_in, make_cluster
from lab.shard_load import ShardLoad
from lab.supervised import Supervised, slot_range
from lab.supervisors import Cluster

DOWN_AFTER_MS = 1000
TIMEOUT_MS = 1000  # of the cluster that elects by itself
NODE_TIMEOUT_MS = 15000  # of the supervised ones: their own election could not begin within a round
NEVER_MS = 6000  # beyond the timeout: so long is waited for those that cannot elect
MANY_TIMEOUT_MS = 5000

# name: title, kind of the nodes, leased, shards, masters that are killed, target in ms
ROWS = {
    "one": ("noded, leased, 3 shards, one killed", "ours", True, 3, 1, 40),
    "two": ("noded, leased, 3 shards, two killed at once", "ours", True, 3, 2, 60),
    "single": ("noded, leased, 1 shard", "ours", True, 1, 1, 40),
    "pair": ("noded, leased, 2 shards, one killed", "ours", True, 2, 1, 40),
    "free one": ("noded without leases, 3 shards, one killed", "ours", False, 3, 1, 40),
    "free two": ("noded without leases, two killed at once", "ours", False, 3, 2, 60),
    "stock one": ("redis-server, 3 shards, one killed", "stock", False, 3, 1, 60),
    "stock two": ("redis-server, 3 shards, two killed at once", "stock", False, 3, 2, 2000),
}
OWN = {
    "own one": ("redis-server by itself, 3 shards, one killed", 1),
    "own two": ("redis-server by itself, 3 shards, two killed at once", 2),
}
PLANNED_TARGET_MS = 20
ADOPTED_TARGET_MS = 3000
SWAP_TARGET_MS = 50
SWAPS = 20  # a round
MANY_PROMOTED_MS, MANY_AGREED_MS = 800, 2000
MANY = {"many, leased": True, "many, without leases": False}


class FirstWrites:
    """One client for each of these replicas that tries a write, over and over, until it is taken. Many of them try less
    often each, and none before quiet_s: they share the processors with what is measured."""

    def __init__(self, replicas, keys, bound_s, quiet_s=0.0):
        self.at = {}
        self.end = time.monotonic() + bound_s
        self.pause_s, self.quiet_s = 0.001 * len(replicas), quiet_s
        self.threads = [threading.Thread(target=self.run, args=(node, key), daemon=True)
                        for node, key in zip(replicas, keys)]
        for thread in self.threads:
            thread.start()

    def run(self, node, key):
        with node.connect() as client:
            time.sleep(self.quiet_s)
            while time.monotonic() < self.end:
                if client.call("SET", key, "x") == "OK":
                    self.at[node.port] = time.monotonic()
                    return
                time.sleep(self.pause_s)

    def wait(self):
        """When the last of them was taken; None: not all were."""
        for thread in self.threads:
            thread.join()
        return max(self.at.values()) if len(self.at) == len(self.threads) else None


def kill(masters, replicas, shards, killed, beyond_ms, bound_s):
    """Kills the first masters at once; milliseconds to the first write of all of them, beyond the time that it takes to
    notice. None: not within the bound."""
    keys = [key_in(slot_range(i, shards)[0] + 1) for i in range(killed)]
    time.sleep(0.2)
    at = time.monotonic()
    for node in masters[:killed]:
        node.discard()
    writes = FirstWrites(replicas[:killed], keys, bound_s)
    last = writes.wait()
    return None if last is None else (last - at) * 1000 - beyond_ms


def measure_supervised(kind, leased, shards, killed):
    with Lab("ours") as lab:
        fleet = Supervised(lab, ((kind, kind),) * shards, down_after_ms=DOWN_AFTER_MS, timers={}, declared=leased,
                           node_timeout_ms=NODE_TIMEOUT_MS)
        return kill(fleet.masters, fleet.replicas, shards, killed, DOWN_AFTER_MS, 30)


def measure_own(killed):
    with Lab("ours") as lab:
        masters, replicas = make_cluster(lab, ["stock"] * 3, [("stock", i) for i in range(3)],
                                         cluster_node_timeout=TIMEOUT_MS)
        return kill(masters, replicas, 3, killed, TIMEOUT_MS, (TIMEOUT_MS + NEVER_MS) / 1000 if killed > 1 else 30)


def measure_planned():
    """(longest time without an acknowledged write, acknowledged writes lost) of a planned switch under load"""
    with Lab("ours") as lab:
        fleet = Supervised(lab, (("ours", "ours"),) * 3, down_after_ms=DOWN_AFTER_MS, timers={}, declared=True,
                           node_timeout_ms=NODE_TIMEOUT_MS)
        shard = fleet.name_of(fleet.masters[0])
        load = ShardLoad(fleet, 0)
        try:
            wait_until(lambda: len(load.acked) > 500, 20, "writes flow")
            load.acked.clear()
            assert fleet.supervisors[0].ok("SENTINEL", "FAILOVER", shard) == "OK"
            fleet.wait_switched(shard, fleet.masters[0])
            count = len(load.acked)
            wait_until(lambda: len(load.acked) > count + 500, 20, "writes flow again")
        finally:
            load.stop()
        return load.gap_ms(), load.lost(fleet.replicas[0])


def measure_adopted():
    """Three supervisors start on a cluster that runs: until all of its masters are leased and all is known."""
    with Lab("ours") as lab:
        fleet = Supervised(lab, (("ours", "ours"),) * 3, supervisors=0, wait=False, node_timeout_ms=NODE_TIMEOUT_MS)
        ports = [lab.ports.take() for _ in range(3)]
        listed = ["supervisors = [ %s ];" % ", ".join('"127.0.0.1:%d"' % port for port in ports)]
        cluster = Cluster(name="orders", seeds=(fleet.masters[0].port,), quorum=2, down_after_ms=DOWN_AFTER_MS)
        fleet.supervisors = [lab.supervisor("sentinel%d" % i, [], kind="ours", port=port, clusters=[cluster],
                                            extra=listed, boot=False) for i, port in enumerate(ports)]
        at = time.monotonic()
        for s in fleet.supervisors:
            s.start()

        def leased():
            infos = [info(node) for node in fleet.masters]
            return all(i["cluster_supervised"] != "0" and int(i["cluster_lease_ms"]) > 0 for i in infos)
        wait_until(leased, 30, "all masters are leased", 0.005)
        fleet.wait_well()
        return (time.monotonic() - at) * 1000


class Reads(threading.Thread):
    """Reads a key of database 1, one request behind the other; knows how long the longest of them took."""

    def __init__(self, node, key):
        super().__init__(daemon=True)
        self.client = node.connect(timeout_s=30)
        self.client.call("SELECT", 1)
        self.key, self.longest_ms, self.count, self.ends = key, 0.0, 0, False
        self.start()

    def run(self):
        while not self.ends:
            before = time.monotonic()
            self.client.call("GET", self.key)
            self.longest_ms = max(self.longest_ms, (time.monotonic() - before) * 1000)
            self.count += 1

    def stop(self):
        self.ends = True
        self.join(30)
        self.client.close()


def measure_swaps():
    """For how long requests to the two databases waited, in each of some swaps: on the master where it was longest"""
    with Lab("ours") as lab:
        fleet = Supervised(lab, (("ours", "ours"),) * 3, down_after_ms=DOWN_AFTER_MS, timers={}, declared=True,
                           node_timeout_ms=NODE_TIMEOUT_MS)
        keys = [key_in(slot_range(i, 3)[0] + 1) for i in range(3)]
        waits = []
        for _ in range(SWAPS):
            readers = [Reads(node, key) for node, key in zip(fleet.masters, keys)]
            wait_until(lambda: all(r.count > 20 for r in readers), 20, "reads flow")
            for reader in readers:
                reader.longest_ms = 0.0
            assert fleet.supervisors[0].ok("SENTINEL", "SWAPDB", fleet.name, 1, 2) == "OK"
            for reader in readers:
                reader.stop()
            waits.append(max(r.longest_ms for r in readers))
        return waits


def measure_many(shards, leased):
    """Half of the masters at once: (all promoted, all nodes agree), beyond down-after. Real processes."""
    with Lab("ours") as lab:
        fleet = Supervised(lab, (("ours", "ours"),) * shards, down_after_ms=DOWN_AFTER_MS, timers={}, wait=False,
                           declared=leased, node_timeout_ms=MANY_TIMEOUT_MS, name="many")
        fleet.wait_well(timeout_s=120)
        killed = shards // 2
        keys = [key_in(slot_range(i, shards)[0] + 1) for i in range(killed)]  # takes long: before the kill
        at = time.monotonic()
        for node in fleet.masters[:killed]:
            node.discard()
        writes = FirstWrites(fleet.replicas[:killed], keys, 60, DOWN_AFTER_MS / 1000 - 0.1)
        last = writes.wait()
        assert last is not None, "%d of %d were promoted" % (len(writes.at), killed)
        fleet.wait_nodes_agree(timeout_s=60)
        return (last - at) * 1000 - DOWN_AFTER_MS, (time.monotonic() - at) * 1000 - DOWN_AFTER_MS


def measure(args):
    results = {name: [] for name in (*ROWS, *OWN, "planned", "adopted", "swaps")}
    for name, leased in MANY.items() if args.supervised_shards else ():
        results[name] = measure_many(args.supervised_shards, leased)
        print("supervised: %d shards%s: all promoted %.0f ms, all agree %.0f ms" % (
            args.supervised_shards, name[4:], *results[name]), file=sys.stderr, flush=True)
    for number in range(args.supervised_rounds):
        for name in list(OWN) + list(ROWS):
            value = measure_own(OWN[name][1]) if name in OWN else measure_supervised(*ROWS[name][1:5])
            results[name].append(value)
        results["planned"].append(measure_planned())
        results["adopted"].append(measure_adopted())
        results["swaps"].extend(measure_swaps())
        print("supervised: round %d of %d: %s" % (number + 1, args.supervised_rounds, ", ".join(
            "%s %s" % (name, "never" if v[-1] is None else "%.0f ms" % v[-1])
            for name, v in results.items() if name in ROWS or name in OWN)), file=sys.stderr, flush=True)
    return results


def report(results, args):
    """Prints the table; returns what was missed."""
    missed = []

    def row(title, text, target, ok):
        print("%-52s %14s   %s%s" % (title, text, target, "" if ok else "  MISSED"))
        missed.extend([] if ok else [title])

    def spread(values):
        return "%.0f ms" % statistics.median(values) if None not in values else "never"

    print("\n%-52s %14s   target" % ("supervised clusters", "first write"))
    for name, (title, _) in OWN.items():
        row(title, spread(results[name]), "-", True)
    for name, (title, _, _, _, _, target) in ROWS.items():
        values = results[name]
        ok = None not in values and statistics.median(values) <= target
        row(title, spread(values), "<= %d ms" % target, ok)
        if None not in values:
            print("%-52s %14s" % ("", "%.0f to %.0f" % (min(values), max(values))))
    gap = statistics.median(v[0] for v in results["planned"])
    lost = sum(v[1] for v in results["planned"])
    row("planned switch under load: no write taken for", "%.0f ms" % gap, "<= %d ms" % PLANNED_TARGET_MS,
        gap <= PLANNED_TARGET_MS)
    row("planned switch: acknowledged writes lost", str(lost), "0", lost == 0)
    adopted = statistics.median(results["adopted"])
    row("3 supervisors start on 3 shards: watched and leased", "%.0f ms" % adopted, "<= %d ms" % ADOPTED_TARGET_MS,
        adopted <= ADOPTED_TARGET_MS)
    waits = results["swaps"]
    row("databases swapped, 3 shards: requests wait for", "%.0f ms" % statistics.median(waits),
        "<= %d ms" % SWAP_TARGET_MS, statistics.median(waits) <= SWAP_TARGET_MS)
    print("%-52s %14s" % ("", "%.0f to %.0f" % (min(waits), max(waits))))
    for name in MANY:
        if name not in results:
            continue
        title = "%d of %d masters at once%s" % (args.supervised_shards // 2, args.supervised_shards, name[4:])
        promoted, agreed = results[name]
        row(title + ": promoted", "%.0f ms" % promoted, "<= %d ms" % MANY_PROMOTED_MS, promoted <= MANY_PROMOTED_MS)
        row(title + ": nodes agree", "%.0f ms" % agreed, "<= %d ms" % MANY_AGREED_MS, agreed <= MANY_AGREED_MS)
    print("\nMilliseconds from kill -9 to the first write, beyond down-after (%d ms) or the node timeout (%d ms);"
          "\nmedian of %d rounds in turn, 3 supervisors with their default timers; node timeout of supervised nodes "
          "%d ms; %d processors." %
          (DOWN_AFTER_MS, TIMEOUT_MS, args.supervised_rounds, NODE_TIMEOUT_MS, os.cpu_count()))
    return missed
