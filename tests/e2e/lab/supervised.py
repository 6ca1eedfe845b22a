"""A cluster under supervisors: shards of any kind of node, and sentineld over it."""
from .clusters import SLOTS, lines, make_cluster, my_id, view
from .resp import RespError, pairs
from .supervisors import Cluster
from .wait import wait_until

# Far above all that a test waits for: what happens sooner was not the cluster's own doing.
NODE_TIMEOUT_MS = 15000
# The verdict of SENTINEL RANKING on a replica that is promoted by an operator's order only.
UNCOUNTED = "may not know what its master has promised"


class Supervised:
    """shards: one tuple of kinds a shard, its master first. supervisors: how many. declared: they are listed in the
    file, instead of finding each other through the nodes."""

    def __init__(self, lab, shards=(("ours", "ours"),) * 3, supervisors=3, quorum=None, down_after_ms=1000,
                 failover_timeout_ms=5000, name="orders", declared=False, node_timeout_ms=NODE_TIMEOUT_MS, timers=None,
                 wait=True, node_options=None, cluster=None, prefix=""):
        self.lab = lab
        self.name = name
        self.masters, self.replicas = make_cluster(
            lab, [kinds[0] for kinds in shards],
            [(kind, i) for i, kinds in enumerate(shards) for kind in kinds[1:]],
            prefix=prefix, cluster_node_timeout=node_timeout_ms, **(node_options or {}))
        self.nodes = self.masters + self.replicas
        self.cluster = Cluster(name=name, seeds=tuple(n.port for n in self.masters[:2]),
                               quorum=quorum or supervisors // 2 + 1, down_after_ms=down_after_ms,
                               failover_timeout_ms=failover_timeout_ms, **(cluster or {}))
        ports = [lab.ports.take() for _ in range(supervisors)]
        self.extra = ["supervisors = [ %s ];" % ", ".join('"127.0.0.1:%d"' % p for p in ports)] if declared else []
        self.supervisors = [lab.supervisor("%ssentinel%d" % (prefix, i), [], kind="ours", port=port,
                                           clusters=[self.cluster], extra=self.extra, timers=timers)
                            for i, port in enumerate(ports)]
        if wait:
            self.wait_well()

    # ---- what supervisors say ----

    def running(self):
        return [s for s in self.supervisors if s.alive() and not s.paused]

    def shards(self, supervisor):
        """name -> port of its master, as clients are told it"""
        names = [m["name"] for m in supervisor.masters() if m["name"].startswith(self.name + "/")]
        return {name: supervisor.master_port(name) for name in names}

    def seen(self, supervisor):
        """name -> (port of the master, ports of its replicas)"""
        return {name: (port, tuple(sorted(int(r["port"]) for r in supervisor.replicas(name))))
                for name, port in self.shards(supervisor).items()}

    def truth(self):
        """What the nodes themselves say, by one that runs: {(port of the master, ports of its replicas)}. A master
        without slots is no shard."""
        witness = next(n for n in self.nodes if n.alive() and not n.paused)
        seen = view(witness)
        port = {node: int(row[0].split("@")[0].rsplit(":", 1)[1]) for node, row in seen.items()}
        return {(port[node], tuple(sorted(port[r] for r, row in seen.items() if row[2] == node)))
                for node, row in seen.items() if row[1] == "master" and row[4]}

    def wait_well(self, timeout_s=20, supervisors=None):
        """Every supervisor knows the shards as they are, and all others, and sees no fault; the names are the same
        everywhere. Any master may die then: its replicas have heard from it that they count."""
        watching = supervisors or self.running()

        def well():
            names = None
            for s in watching:
                said = self.seen(s)
                assert set(said.values()) == self.truth(), (s.name, said, self.truth())
                assert names in (None, said), (s.name, said, names)
                names = said
                for name, (_, replicas) in said.items():
                    assert s.knows(name, len(replicas), len(self.running()) - 1), (
                        s.name, s.master(name), s.replicas(name), [x["flags"] for x in s.sentinels(name)])
                    ranking = [pairs(row) for row in s.ok("SENTINEL", "RANKING", name)]
                    assert UNCOUNTED not in [row["verdict"] for row in ranking], (s.name, ranking)
            return bool(names)
        # Each look asks every supervisor about every shard.
        wait_until(well, timeout_s, "all supervisors know all shards, and all is well", 0.005 * len(self.nodes))
        return self

    def name_of(self, node):
        """The shard whose master it is, if need be as soon as the supervisor that is asked has heard of it."""
        def name():
            return [name for name, port in self.shards(self.running()[0]).items() if port == node.port]
        return wait_until(name, 10, "%s is master of a shard" % node.name)[0]

    def port_of(self, shard):
        """Of the shard's master, where all running supervisors agree; else None."""
        ports = {s.master_port(shard) for s in self.running()}
        return ports.pop() if len(ports) == 1 else None

    def node(self, port):
        found = [n for n in self.nodes if n.port == port]
        assert found, "no node of this fleet has port %s" % port
        return found[0]

    def view_of(self, supervisor):
        """SENTINEL CLUSTER: maps all the way down."""
        return deep(supervisor.ok("SENTINEL", "CLUSTER", self.name))

    # ---- waiting ----

    def wait_switched(self, shard, old, timeout_s=20):
        """All running supervisors agree on another master of this shard, and it says that it is one. Returns it."""
        def switched():
            port = self.port_of(shard)
            assert port not in (None, old.port), "agreed on %s" % port
            return self.node(port).info("replication")["role"] == "master" and port
        return self.node(wait_until(switched, timeout_s, "another master than %s for %s" % (old.name, shard)))

    def wait_follows(self, replica, master, timeout_s=20):
        def follows():
            fields = replica.info("replication")
            return fields["role"] == "slave" and fields["master_port"] == str(master.port) and \
                fields["master_link_status"] == "up"
        wait_until(follows, timeout_s, "%s follows %s" % (replica.name, master.name))

    def wait_nodes_agree(self, timeout_s=20):
        """All running nodes have the same view: roles, epochs, slots."""
        def agreed():
            views = [view(n) for n in self.nodes if n.alive() and not n.paused]
            assert all(v == views[0] for v in views), views
            return views[0]
        return wait_until(agreed, timeout_s, "all running nodes have the same view")


def deep(reply):
    """Flat arrays of pairs become maps, all the way down. An array is one when its first element is a field's name and
    it has an even number; lists of maps stay lists."""
    if not isinstance(reply, list):
        return reply
    if reply and isinstance(reply[0], str) and len(reply) % 2 == 0:
        return {key: deep(value) for key, value in pairs(reply).items()}
    return [deep(item) for item in reply]


def no_failover(node):
    """Whether the node's own election is switched off."""
    return node.ok("CONFIG", "GET", "cluster-replica-no-failover")[1] == "yes"


def epoch_of(node):
    """The config epoch that the node claims for itself."""
    return int(lines(node)[my_id(node)][6])


def write(node, key, value):
    """True: taken there."""
    return not isinstance(node.call("SET", key, value), RespError)


def slot_range(shard, shards):
    """First slot and one behind the last of a shard, as make_cluster deals them."""
    return SLOTS * shard // shards, SLOTS * (shard + 1) // shards
