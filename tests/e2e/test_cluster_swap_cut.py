"""Swaps of databases while participants are cut off by the network, each in a namespace of its own: whatever a cut
hits, afterwards the master and all supervisors agree, by themselves, and who was told OK was told the truth."""
import random
import time

from cases import case
from lab import wait_until
from lab.places import PlacedShard, lease_ms, resp
from lab.resp import pairs
from test_cluster_swap import in_background

OURS = ("ours",)
HOLD_S = 1.2  # longer than down-after and a lease: a master that is cut off is replaced
KEY = "key"


def value(node, db):
    with resp(node, 20) as client:
        assert client.call("SELECT", db) == "OK"
        return client.call("GET", KEY)


def ask(node, *command):
    with resp(node, 30) as client:
        return client.call(*command)


def master_of(shard):
    """Whom all supervisors call so, and who says so and is leased."""
    ports = {int(pairs(s.ok("SENTINEL", "MASTERS")[0])["port"]) for s in shard.supervisors}
    assert len(ports) == 1, ports
    node = next(n for n in shard.nodes if n.port in ports)
    assert node.info("replication")["role"] == "master" and lease_ms(node) > 0, node.name
    return node


def wait_master(shard):
    return wait_until(lambda: master_of(shard), 60, "all agree on a master, which is leased")


def agreed(shard):
    """The epoch of the mapping that everybody has, with nothing prepared any more."""
    master, said = master_of(shard), set()
    for s in shard.supervisors:
        view = pairs(s.ok("SENTINEL", "CLUSTER", "orders"))
        said.add((int(view["mapping-epoch"]), view["swapdb-state"] in ("done", "aborted", "none")))
    mapping = pairs(master.ok("CLUSTER", "DBMAP"))
    epoch = int(mapping["epoch"])
    assert said == {(epoch, True)} and mapping["state"] != "prepared", (said, mapping)
    return (epoch,)


def others_of(shard, victim):
    return [p.place for p in shard.nodes + shard.supervisors if p is not victim]


@case(kinds=OURS, limit_s=200)
def test_cut_off_at_every_step(lab):
    shard = PlacedShard(lab)
    draw = random.Random()
    for db in (1, 2):
        with resp(shard.master, 20) as client:
            assert client.call("SELECT", db) == "OK" and client.call("SET", KEY, "of %d" % db) == "OK"
            assert client.call("WAIT", 1, 5000) == 1
    epoch = 0
    for turn in range(6):
        master, leader = wait_master(shard), shard.supervisors[turn % 3]
        victim = (leader, master, shard.supervisors[(turn + 1) % 3])[turn % 3]
        delay_s = draw.random() * 0.02
        thread, result = in_background(ask, leader, "SENTINEL", "SWAPDB", "orders", 1, 2)
        time.sleep(delay_s)
        shard.places.cut(victim.place, others_of(shard, victim))
        time.sleep(HOLD_S)
        shard.places.heal()
        thread.join(timeout=40)
        assert not thread.is_alive()
        now = wait_until(lambda: agreed(shard), 60, "the shard and all supervisors agree on the mapping")[0]
        print(turn, victim.name, "%.0f ms" % (delay_s * 1000), result, epoch, "->", now)
        assert now in (epoch, epoch + 1), (epoch, now)
        if result == ["OK"]:
            assert now == epoch + 1
        if result and "nothing has changed" in str(result[0]):
            assert now == epoch
        for db in (1, 2):
            assert value(wait_master(shard), db) == "of %d" % (db if now % 2 == 0 else 3 - db), (turn, db, now)
        shard.wait_well(wait_master(shard))
        epoch = now
