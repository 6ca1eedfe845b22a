"""Migrations of slots while nodes die, hang, are cut off and are replaced: at every state there is one owner in the
end, which has all that was acknowledged, and nothing is left anywhere else."""
from cases import case
from lab import wait_until
from lab.append_only import kill_written
from lab.clusters import lines, my_id
from lab.migrating import Cluster, Writer
from lab.slot_proxy import STAGES

OURS = ("ours",)


class Faults:
    """What happens to an end while the migration stands still. Each leaves all nodes running."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.ends = {"source": 0, "target": 1}

    def shard(self, end):
        return self.cluster.shards[self.ends[end]]

    def restarted(self, end):
        """Killed, and back at once with what its log has."""
        node = self.shard(end)[0]
        kill_written(node)
        self.cluster.restart(node)

    def both_restarted(self, _end):
        nodes = [self.shard(end)[0] for end in self.ends]
        for node in nodes:
            kill_written(node)
        for node in nodes:
            self.cluster.restart(node)

    def replaced(self, end):
        """Killed, and back when its replica is the master."""
        node, copy = self.shard(end)
        node.kill9()
        self.cluster.wait_promoted(copy)
        self.cluster.restart(node)

    def stopped(self, end):
        """It hangs for longer than the others wait for it."""
        node, copy = self.shard(end)
        node.pause()
        self.cluster.wait_promoted(copy)
        node.resume()

    def hung(self, end):
        """The same, and nobody replaces it."""
        node, copy = self.shard(end)
        other = self.cluster.shards[2][0]
        copy.ok("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        name = my_id(node)
        node.pause()
        wait_until(lambda: "fail" in lines(other)[name][2].split(","), 20, "the rest misses it")
        node.resume()

    def failover(self, end):
        """As an operator wants, who asks again when it is refused because slots are handed over."""
        copy = self.shard(end)[1]
        def over():
            copy.call("CLUSTER", "FAILOVER")
            wait_until(lambda: copy.ok("ROLE")[0] == "master", 1, "%s is a master" % copy.name)
            return True
        wait_until(over, 20, "%s has taken over" % copy.name)

    def takeover(self, end):
        copy = self.shard(end)[1]
        assert copy.ok("CLUSTER", "FAILOVER", "TAKEOVER") == "OK"
        self.cluster.wait_promoted(copy)

    def copy_restarted(self, end):
        copy = self.shard(end)[1]
        copy.kill9()
        self.cluster.restart(copy)

    def cut_off(self, end):
        """It reaches nobody, and nobody it, until its replica has replaced it."""
        node, copy = self.shard(end)
        self.isolate(my_id(node))
        self.cluster.wait_promoted(copy)
        self.join()

    def both_cut_off(self, _end):
        """Both ends at once: the rest is a minority, and can't replace them."""
        ids = [my_id(self.shard(end)[0]) for end in self.ends]
        self.isolate(*ids)
        other = self.cluster.shards[2][0]
        wait_until(lambda: all("fail?" in lines(other)[i][2] for i in ids), 20, "the rest misses both")
        self.join()

    def isolate(self, *ids):
        """Nor is there any other link between nodes."""
        self.cluster.net.cut(*ids)
        for proxy in self.cluster.proxies.values():
            proxy.cut()

    def join(self):
        for proxy in self.cluster.proxies.values():
            proxy.mend()
        self.cluster.net.mend()


NAMES = ("restarted", "replaced", "stopped", "hung", "failover", "takeover", "copy_restarted", "cut_off")
FAULTS = [(name, end) for name in NAMES for end in ("source", "target")]
FAULTS += [("both_restarted", "source"), ("both_cut_off", "source")]


@case(kinds=OURS, limit_s=120, matrix=[(fault, end, stage, fate) for fault, end in FAULTS for stage in STAGES
                                       for fate in (("pass", "drop") if stage == "grant" else ("pass",))], sample=10)
def test_fault(lab, fault, end, stage, fate):
    """A migration is stopped at a stage, this happens to an end, and what was held is delivered or lost."""
    persistent = {"appendonly": "yes"} if fault in ("restarted", "both_restarted") else {}
    cluster = Cluster(lab, cut_off=fault.endswith("cut_off"), cluster_node_timeout=1200, **persistent)
    said = cluster.fill(cluster.shards[0][0])
    writer = Writer(cluster, timeout_s=1.0)  # it goes elsewhere when a node hangs
    writer.wait_more()
    proxy, name = cluster.move_to(stage)
    getattr(Faults(cluster), fault)(end)
    (proxy.drop if fate == "drop" else proxy.release)()
    cluster.settle(written=True)
    writer.wait_more()
    writer.halt()
    cluster.settle()
    owner = cluster.assert_job(name)
    if fault not in ("copy_restarted", "both_cut_off") and stage not in ("grant", "granted"):
        assert owner == 0
    if fate == "drop":
        assert owner == 0
    cluster.assert_data(said, writer)
    print("%s %s at %s: the slots are with shard %d, %d writes, the longest %.0f ms" % (
        fault, end, stage, owner, len(writer.acked), writer.longest_s * 1000))
