"""Clusters of noded, of redis-server, and of both: nodes on ports of their own, met and given slots by hand."""
import functools
import os
import re

from redis.crc import key_slot

from .nodes import Node
from .resp import RespError
from .wait import wait_until

SLOTS = 16384
OPTIONS = {"cluster_enabled": "yes", "cluster_node_timeout": 1000}


def cluster_node(lab, kind, name, **options):
    """A node of a cluster, alone still. kind: "ours" or "stock"."""
    merged = dict(OPTIONS, cluster_port=lab.ports.take(), **options)
    return lab.node(name, **merged) if kind == "ours" else lab.redis(name, **merged).wait_ready()


def my_id(node):
    return node.ok("CLUSTER", "MYID")


def info(node):
    return dict(line.split(":", 1) for line in node.ok("CLUSTER", "INFO").splitlines() if ":" in line)


def lines(node):
    """CLUSTER NODES: id -> its words."""
    return {line.split()[0]: line.split() for line in node.ok("CLUSTER", "NODES").splitlines()}


def flags_of(node, other):
    return lines(node)[my_id(other)][2].split(",")


def view(node):
    """What CLUSTER NODES says and all nodes must say alike: id -> (address, role, master, epoch, slots)."""
    seen = {}
    for words in lines(node).values():
        role = "master" if "master" in words[2] else "slave"
        seen[words[0]] = (words[1].split(",")[0], role, words[3], words[6], tuple(sorted(words[8:])))
    return seen


def wait_agreed(nodes, timeout_s=20, **expected):
    """All nodes see the same, all of it is well, and info() has what is expected."""
    def agreed():
        views = [view(node) for node in nodes]
        for other in views[1:]:
            assert other == views[0], (views[0], other)
        for node in nodes:
            fields = info(node)
            assert fields["cluster_state"] == "ok", (node.name, fields)
            for name, value in expected.items():
                assert fields[name] == str(value), (node.name, name, fields[name])
        return len(views[0]) == len(nodes)
    wait_until(agreed, timeout_s, "all nodes agree that all is well", every_s=0.05)


def wait_known(nodes):
    """The files of those of our kind have what all nodes see: who the others are is not on the disk at once, and a
    replica may stand for its master only when that has it there."""
    wanted = {(node_id, words[3]) for node_id, words in lines(nodes[0]).items()}
    for node in nodes:
        if not isinstance(node, Node):
            continue
        def known(path=os.path.join(node.directory, "nodes.conf")):
            with open(path, encoding="utf-8") as f:
                found = {(words[0], words[3]) for words in map(str.split, f) if len(words) >= 8}
            assert wanted <= found, (wanted, found)
            return True
        wait_until(known, 20, "the file of %s has all nodes" % node.name)


def forget(nodes, gone_id):
    """Whoever has been told it by another node by then answers that it knows no such node."""
    for node in nodes:
        answer = node.call("CLUSTER", "FORGET", gone_id)
        assert answer == "OK" or "Unknown node" in str(answer), answer


def meet(first, others):
    for other in others:
        bus = lines(other)[my_id(other)][1].split("@")[1].split(",")[0]
        assert first.ok("CLUSTER", "MEET", "127.0.0.1", other.port, bus) == "OK"


def make_cluster(lab, masters, replicas=(), prefix="", **options):
    """masters: kinds; replicas: (kind, index of its master). Slots are dealt out evenly. Returns (masters,
    replicas)."""
    kinds = {*masters, *(kind for kind, _ in replicas)}
    made = [cluster_node(lab, kind, "%smaster%d" % (prefix, i), **options) for i, kind in enumerate(masters)]
    copies = [cluster_node(lab, kind, "%sreplica%d" % (prefix, i), **options) for i, (kind, _) in enumerate(replicas)]
    for i, node in enumerate(made):
        node.ok("CLUSTER", "ADDSLOTSRANGE", SLOTS * i // len(made), SLOTS * (i + 1) // len(made) - 1)
        node.ok("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
    meet(made[0], made[1:] + copies)
    everybody = made + copies
    patience_s = 20 + 2 * len(everybody)  # who does not know whom is found out by gossip

    def known():
        if any(info(n)["cluster_known_nodes"] != str(len(everybody)) for n in everybody):
            if "stock" in kinds:  # redis-server forgets whom it met when a busy machine lets it wait for an answer
                meet(made[0], everybody[1:])
            return False
        return True
    wait_until(known, patience_s, "everybody knows everybody", 1 if "stock" in kinds else 0.02)
    for node, (_, of) in zip(copies, replicas):
        wait_until(lambda n=node, m=made[of]: n.call("CLUSTER", "REPLICATE", my_id(m)) == "OK", 20,
                   "%s may follow" % node.name)
    wait_agreed(everybody, patience_s)
    wait_known(everybody)
    for node in copies:
        wait_until(lambda n=node: n.info("replication").get("master_link_status") == "up", 20,
                   "%s has the data of its master" % node.name)
    return made, copies


def plain(reply, nodes):
    """A reply's bytes without what differs from cluster to cluster: ids and ports become names, numbers of clients
    go."""
    text = reply.decode("utf-8", "replace")
    for i, node in enumerate(nodes):
        own = lines(node)[my_id(node)]
        text = text.replace(own[0], "<id %d>" % i)
        text = re.sub(r"\b%s\b" % own[1].split("@")[1].split(",")[0], "<bus %d>" % i, text)
        text = re.sub(r"\b%d\b" % node.port, "<port %d>" % i, text)
    return re.sub("\nid\r\n:[0-9]+", "\nid\r\n:<client>", text)


@functools.lru_cache(maxsize=None)
def key_in(slot, number=0):
    """A key of this slot; other numbers give others."""
    for i in range(10**7):
        key = "{t%d}" % i
        if key_slot(key.encode()) == slot:
            return key + str(number) if number else key
    raise AssertionError("no key of slot %d" % slot)


def keys_of(low, high, count):
    """Keys of slots low..high-1, each of another slot."""
    found = {}
    for i in range(10**6):
        slot = key_slot(b"key%d" % i)
        if low <= slot < high and slot not in found:
            found[slot] = "key%d" % i
            if len(found) == count:
                break
    return list(found.values())


def write_until_taken(nodes, key, value, timeout_s=20):
    """SET by whatever node takes it; returns the node."""
    def taken():
        for node in nodes:
            if node.alive() and not isinstance(node.call("SET", key, value), RespError):
                return node
        return None
    return wait_until(taken, timeout_s, "somebody takes a write of %s" % key, every_s=0.002)
