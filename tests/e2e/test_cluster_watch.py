"""Whole clusters are watched: shards, replicas and slots are found and followed, and keep their names."""
import re
import time

from cases import case
from lab import RespError, stays_true, wait_until
from lab.clusters import SLOTS, cluster_node, info, lines, meet, my_id
from lab.supervised import Supervised, slot_range

OURS = ("ours",)
KINDS = [("ours",), ("stock",)]
MIXED = (("ours", "stock"), ("stock", "ours"), ("ours", "ours"))


def three(kind):
    """Three shards with a replica each; kind "mixed": of both kinds."""
    return MIXED if kind == "mixed" else ((kind, kind),) * 3


def default_name(fleet, node):
    """The name that the shard of this master has where no shard ids are told: by the smallest id of its members."""
    ids = [words[0] for words in lines(node).values() if words[0] == my_id(node) or words[3] == my_id(node)]
    return "%s/%s" % (fleet.name, min(ids)[:8])


def connected(supervisor):
    return {name: int(m["num-other-sentinels"]) for name, m in ((m["name"], m) for m in supervisor.masters())}


@case(kinds=OURS, matrix=[("ours",), ("stock",), ("mixed",)], limit_s=90)
def test_found(lab, kind):
    """Three supervisors with their default timers, told of two nodes, know three shards within 3 s on a machine that
    has time for them, by the same names."""
    fleet = Supervised(lab, three(kind), timers={}, wait=False)
    for s in fleet.supervisors:
        s.terminate()
    for s in fleet.supervisors:
        s.forget_state()
    began = time.monotonic()
    for s in fleet.supervisors:
        s.start()
    fleet.wait_well()
    took = time.monotonic() - began
    print("%s: all is known after %.2f s" % (kind, took))
    assert took <= 5.0, took  # 3 s, and room for a machine on which three programs start late
    assert set(fleet.shards(fleet.supervisors[0])) == {default_name(fleet, n) for n in fleet.masters}


@case(kinds=OURS, matrix=KINDS, sample=1, limit_s=90)
def test_names_stay(lab, kind):
    """Names survive restarts of supervisors, also while no node runs, and the member after whom the shard was named;
    a newcomer without a state takes them over."""
    fleet = Supervised(lab, three(kind))
    names = fleet.shards(fleet.supervisors[0])
    for s in fleet.supervisors:
        assert s.terminate() == 0
        s.boot()
    fleet.wait_well()
    assert fleet.shards(fleet.supervisors[0]) == names
    for node in fleet.nodes:
        node.kill9()
    for s in fleet.supervisors:
        s.terminate()
        s.boot()
        assert fleet.shards(s) == names
    for node in fleet.nodes:
        node.start()
        node.wait_ready()
    fleet.wait_well(timeout_s=40)
    # The member that gave its name leaves: the name stays, here and for whoever comes.
    first = next(n for n in fleet.nodes if any(name.endswith(my_id(n)[:8]) for name in names))
    shard = next(name for name in names if name.endswith(my_id(first)[:8]))
    partner = next(n for n in fleet.nodes if n is not first and
                   my_id(n) in {w[0] if w[3] == my_id(first) else w[3] if w[0] == my_id(first) else None
                                for w in lines(first).values()})
    if first.info("replication")["role"] == "master":
        fleet.supervisors[0].begin_failover(shard)
        fleet.wait_switched(shard, first)
        fleet.wait_follows(first, partner)
    gone = my_id(first)
    first.kill9()
    fleet.nodes.remove(first)
    wait_until(lambda: all(gone not in lines(n) or n.ok("CLUSTER", "FORGET", gone) == "OK" for n in fleet.nodes) and
               all(gone not in lines(n) for n in fleet.nodes), 20, "it is forgotten")
    fleet.wait_well()
    assert set(fleet.shards(fleet.supervisors[0])) == set(names)
    newcomer = fleet.supervisors[2]
    newcomer.terminate()
    newcomer.forget_state()
    newcomer.boot()
    # Its former self is remembered as one that is down, so not all is well; but the names are theirs.
    wait_until(lambda: fleet.seen(newcomer) == fleet.seen(fleet.supervisors[0]) and set(fleet.shards(newcomer)) ==
               set(names), 20, "the newcomer has taken over the names")
    stays_true(lambda: set(fleet.shards(newcomer)) == set(names), 2, "and keeps them", every_s=0.1)


def add_master(lab, fleet, kind, name):
    """A new node that has slots of the first master; returns it."""
    node = cluster_node(lab, kind, name, cluster_node_timeout=15000)
    fleet.nodes.append(node)
    meet(fleet.masters[0], [node])
    wait_until(lambda: all(info(n)["cluster_known_nodes"] == str(len(fleet.nodes)) for n in fleet.nodes), 20,
               "everybody knows %s" % name)
    move_slots(fleet, range(0, 20), fleet.masters[0], node)
    return node


def move_slots(fleet, slots, source, target):
    """Empty slots, by hand, as redis-cli does it: who imports a slot takes an epoch for it."""
    here, there = my_id(source), my_id(target)
    with source.connect() as a, target.connect() as b:
        for slot in slots:
            b.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
            a.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
            b.ok("CLUSTER", "SETSLOT", slot, "NODE", there)
            a.call("CLUSTER", "SETSLOT", slot, "NODE", there)  # who has lost its last slot may be a replica already
    fleet.wait_nodes_agree()


@case(kinds=OURS, matrix=KINDS, sample=1, limit_s=120)
def test_changes_are_followed(lab, kind):
    """A shard is added, a replica is added, moved and removed, the shard is removed: nobody is told by hand, and
    nothing fails over."""
    fleet = Supervised(lab, three(kind), down_after_ms=2000)
    logs = [lab.events(s) for s in fleet.supervisors]
    before = fleet.shards(fleet.supervisors[0])
    added = add_master(lab, fleet, kind, "added")
    fleet.wait_well()
    assert set(fleet.shards(fleet.supervisors[0])) > set(before)
    shard = fleet.name_of(added)
    copy = cluster_node(lab, kind, "copy", cluster_node_timeout=15000)
    fleet.nodes.append(copy)
    meet(added, [copy])
    wait_until(lambda: copy.call("CLUSTER", "REPLICATE", my_id(added)) == "OK", 20, "the copy knows its master")
    fleet.wait_nodes_agree()
    fleet.wait_well()
    assert int(fleet.supervisors[0].master(shard)["num-slaves"]) == 1
    copy.ok("CLUSTER", "REPLICATE", my_id(fleet.masters[1]))
    fleet.wait_nodes_agree()
    fleet.wait_well()
    assert int(fleet.supervisors[0].master(shard)["num-slaves"]) == 0
    assert int(fleet.supervisors[0].master(fleet.name_of(fleet.masters[1]))["num-slaves"]) == 2
    for node in (copy, added):
        if node is added:
            move_slots(fleet, range(0, 20), added, fleet.masters[0])
        gone = my_id(node)
        node.kill9()
        fleet.nodes.remove(node)
        wait_until(lambda g=gone: all(g not in lines(n) or str(n.call("CLUSTER", "FORGET", g)) == "OK"
                                      for n in fleet.nodes) and all(g not in lines(n) for n in fleet.nodes), 20,
                   "it is forgotten")
        fleet.wait_well(timeout_s=40)
    assert fleet.shards(fleet.supervisors[0]) == before
    for log in logs:
        assert not log.all("+switch-master"), log.dump()
        assert not log.all("+odown", before and sorted(before)[0]), log.dump()


@case(kinds=OURS, matrix=KINDS, sample=1, limit_s=60)
def test_slots_are_facts(lab, kind):
    """Slots move: the view follows, and nothing else happens."""
    fleet = Supervised(lab, three(kind), down_after_ms=3000)
    log = lab.events(fleet.supervisors[0])
    here, there = fleet.masters[0], fleet.masters[1]

    def count(node):
        view = fleet.view_of(fleet.supervisors[0])
        return next(int(x["slots"]) for x in view["shards"] if x["name"] == fleet.name_of(node))
    low, high = slot_range(0, 3)
    wait_until(lambda: count(here) == high - low, 20, "the slots of the first shard are counted")
    move_slots(fleet, range(100, 110), here, there)
    wait_until(lambda: count(here) == high - low - 10, 20, "ten of them are gone")
    low, high = slot_range(1, 3)
    wait_until(lambda: count(there) == high - low + 10, 20, "and there")
    view = fleet.view_of(fleet.supervisors[0])
    assert int(view["slots-covered"]) == SLOTS and view["state"] == "ok", view
    fleet.wait_well()
    assert not log.names("+switch-master", "+odown", "+sdown"), log.dump()


@case(kinds=OURS, matrix=KINDS, sample=1, limit_s=90)
def test_new_address(lab, kind):
    """A node that comes back at another port is the same node: a replica first, then a master within down-after."""
    fleet = Supervised(lab, three(kind), down_after_ms=8000)
    logs = [lab.events(s) for s in fleet.supervisors]
    names = set(fleet.shards(fleet.supervisors[0]))
    for node in (fleet.replicas[0], fleet.masters[1]):
        shard = None if node in fleet.replicas else fleet.name_of(node)
        node.kill9()
        move_port(node, lab.ports.take())
        node.start()
        node.wait_ready()
        fleet.wait_well(timeout_s=30)
        assert set(fleet.shards(fleet.supervisors[0])) == names
        if shard is not None:
            assert fleet.port_of(shard) == node.port
    for log in logs:
        assert not log.all("+odown"), log.dump()


def move_port(node, port):
    """Another port in its file or on its command line."""
    if hasattr(node, "conf_path") and node.conf_path:
        with open(node.conf_path, encoding="utf-8") as f:
            text = re.sub(r"(?m)^port \d+$", "port %d" % port, f.read())
        with open(node.conf_path, "w", encoding="utf-8") as f:
            f.write(text)
    else:
        node.argv[node.argv.index("--port") + 1] = str(port)
    node.port = port


@case(kinds=OURS, matrix=[(False,), (True,)], limit_s=90)
def test_traffic_on_the_bus(lab, declared):
    """What supervisors publish does not grow with the number of shards: a PUBLISH on a node goes to all the others.
    Declared ones publish nothing on nodes at all."""
    def published(nodes):
        return sum(int(info(n).get("cluster_stats_messages_publish_sent", 0)) for n in nodes)
    rates = []
    for shards in (2, 6):
        fleet = Supervised(lab, (("stock",),) * shards, declared=declared, timers={},
                           prefix="of%d-" % shards)
        first, began = published(fleet.nodes), time.monotonic()
        time.sleep(6)  # a rate needs a length of time: three periods of hello
        took = time.monotonic() - began
        hellos = (published(fleet.nodes) - first) / (shards - 1)  # each goes to all the other nodes
        rates.append(hellos / took)
        for child in fleet.supervisors + fleet.nodes:
            child.kill9()
        lab.children = []
    print("hellos a second with 2 and 6 shards: %.2f, %.2f" % tuple(rates))
    if declared:
        assert rates == [0, 0], rates
    else:
        assert all(0.5 <= rate <= 3.5 for rate in rates), rates


@case(kinds=OURS, matrix=KINDS, sample=1, limit_s=60)
def test_password(lab, kind):
    """A cluster that asks for a password, with the one of the file."""
    fleet = Supervised(lab, ((kind, kind),) * 2, supervisors=1,
                       node_options={"requirepass": "sesame", "masterauth": "sesame"}, cluster={"password": "sesame"})
    shard = fleet.name_of(fleet.masters[0])
    fleet.masters[0].kill9()
    fleet.wait_switched(shard, fleet.masters[0])


@case(kinds=OURS, limit_s=60)
def test_unreachable_is_not_removed(lab):
    """A shard of which no node answers stays, and is told as down."""
    fleet = Supervised(lab, three("ours"), supervisors=1)
    s = fleet.supervisors[0]
    shard = fleet.name_of(fleet.masters[2])
    fleet.masters[2].kill9()
    fleet.replicas[2].kill9()
    wait_until(lambda: "o_down" in s.flags(shard), 20, "it is down")
    stays_true(lambda: shard in fleet.shards(s), 8, "it is a shard still", every_s=0.2)
    view = fleet.view_of(s)
    assert view["state"] == "down", view["state"]
    assert not isinstance(s.call("SENTINEL", "MASTER", shard), RespError)
