"""Cut networks under leases, by namespaces: who may write is one at any time, and what was acknowledged where nobody
could hear of it any more is all that may be gone."""
import time

from cases import case
from lab import wait_until
from lab.places import PlacedShard, lease_ms, resp
from lab.supervised import epoch_of
from lab.two_sides import TwoSides

OURS = ("ours",)
BUSY_S = 0.5  # what a busy machine may take to notice
ASYNC_S = 0.8  # what the master acknowledged so shortly before its death its replica, half a second late, may not have


def begin(lab, **options):
    shard = PlacedShard(lab, **options)
    sides = TwoSides(lab, shard.nodes, connect=lambda node: resp(node, 20))
    wait_until(lambda: len(sides.of(shard.master)) > 100, 20, "writes flow")
    return shard, sides


def wait_taken(sides, node, count=100, timeout_s=30):
    since = time.monotonic()
    wait_until(lambda: len(sides.of(node, since)) > count, timeout_s, "%s takes writes" % node.name)


def wait_fenced(shard, sides, since):
    """The old master ends within a lease of the cut, whoever still speaks to it."""
    late = sides.of(shard.master, since + shard.lease_s + BUSY_S)
    assert not late, "taken %.0f ms after the cut" % ((late[0].sent - since) * 1000)


def addresses(servers):
    return [s.place for s in servers]


@case(kinds=OURS, limit_s=150)
def test_from_supervisors(lab):
    """Clients and replica reach the master, supervisors do not: it ends by itself, and all that it acknowledged has
    gone to its replica long before that one is promoted."""
    shard, sides = begin(lab)
    shard.places.cut(shard.master.place, addresses(shard.supervisors))
    cut = time.monotonic()
    wait_taken(sides, shard.replica)
    wait_fenced(shard, sides, cut)
    wait_until(lambda: shard.master.info("replication")["role"] == "slave", 20, "the old master hears by the bus")
    shard.places.heal()
    shard.wait_well(shard.replica)
    sides.stop()
    assert sides.check(shard.replica) == 0


@case(kinds=OURS, limit_s=150)
def test_from_clients(lab):
    """Nobody but its clients misses the master: it stays."""
    shard, sides = begin(lab)
    epoch = epoch_of(shard.master)
    shard.places.cut_clients(shard.master.place)
    watcher = shard.supervisors[0]
    name = watcher.masters()[0]["name"]
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert watcher.flags(name) == ["master"], watcher.flags(name)
        time.sleep(0.05)
    shard.places.heal()
    wait_taken(sides, shard.master, timeout_s=60)
    assert epoch_of(shard.master) == epoch
    sides.stop()
    assert sides.check(shard.master, switches=0) == 0


@case(kinds=OURS, limit_s=150, matrix=[("with its replica",), ("alone",)])
def test_from_supervisors_and_clients(lab, who):
    """Nobody sees the master any more, but it sees its replica, or not even that. What clients have sent is executed
    within its lease or not at all: when they hear from it again, it takes nothing."""
    shard, sides = begin(lab)
    began = time.monotonic()
    shard.places.cut(shard.master.place, addresses(shard.supervisors + ([shard.replica] if who == "alone" else [])))
    shard.places.cut_clients(shard.master.place)
    cut = time.monotonic()  # it takes several commands
    wait_taken(sides, shard.replica)
    shard.places.heal()
    shard.wait_well(shard.replica)
    wait_fenced(shard, sides, cut)
    wait_taken(sides, shard.replica)
    sides.stop()
    sides.check(shard.replica, lost_since=began - 0.1 if who == "alone" else None)


@case(kinds=OURS, limit_s=150)
def test_from_its_replica(lab):
    """The master goes on alone; the replica is not promoted, and catches up."""
    shard, sides = begin(lab)
    shard.places.cut(shard.master.place, [shard.replica.place])
    wait_taken(sides, shard.master, 1000)
    assert shard.replica.info("replication")["role"] == "slave" and "Promoted by" not in shard.replica.log()
    wait_until(lambda: lease_ms(shard.master) > 0, 20, "it is leased")
    shard.places.heal()
    shard.wait_well(shard.master)
    wait_taken(sides, shard.master)
    sides.stop()
    assert sides.check(shard.master, switches=0) == 0
    assert not sides.of(shard.replica)


@case(kinds=OURS, limit_s=150)
def test_from_all_but_clients(lab):
    """Alone with its clients it writes on until its lease ends. That, and no more than that, is gone."""
    shard, sides = begin(lab)
    began = time.monotonic()
    shard.places.cut(shard.master.place, addresses(shard.supervisors + [shard.replica]))
    cut = time.monotonic()  # it takes several commands
    wait_taken(sides, shard.replica)
    wait_fenced(shard, sides, cut)
    shard.places.heal()
    shard.wait_well(shard.replica)
    sides.stop()
    lost = sides.check(shard.replica, lost_since=began - 0.1)
    assert lost <= len([t for t in sides.of(shard.master) if t.acked > began - 0.1])


@case(kinds=OURS, limit_s=150, matrix=[("deaf",), ("mute",)])
def test_one_way(lab, which):
    """deaf: what supervisors send does not come. mute: it does, and its answers do not, so LEASE after LEASE comes with
    an old stamp: nothing is prolonged."""
    shard, sides = begin(lab)
    for s in shard.supervisors:
        source, target = (s, shard.master) if which == "deaf" else (shard.master, s)
        shard.places.drop(source.place.address, target.place.address)
    cut = time.monotonic()
    wait_taken(sides, shard.replica)
    wait_fenced(shard, sides, cut)
    shard.places.heal()
    shard.wait_well(shard.replica)
    sides.stop()
    assert sides.check(shard.replica) == 0


@case(kinds=OURS, limit_s=150)
def test_two_halves(lab):
    """The master and one supervisor on one side, the replica and two on the other, clients on both."""
    shard, sides = begin(lab)
    began = time.monotonic()
    there = addresses(shard.supervisors[1:] + [shard.replica])
    for place in addresses([shard.master, shard.supervisors[0]]):
        shard.places.cut(place, there)
    cut = time.monotonic()  # it takes several commands
    wait_taken(sides, shard.replica)
    wait_fenced(shard, sides, cut)
    shard.places.heal()
    shard.wait_well(shard.replica)
    sides.stop()
    sides.check(shard.replica, lost_since=began - 0.1)


@case(kinds=OURS, limit_s=150)
def test_one_supervisor(lab):
    """Cut off from everything: the other two carry the lease, and nobody is promoted by it."""
    shard, sides = begin(lab, down_after_ms=2000)
    epoch, alone = epoch_of(shard.master), shard.supervisors[0]
    name = alone.masters()[0]["name"]
    shard.places.cut(alone.place, addresses(shard.nodes + shard.supervisors[1:]))
    wait_until(lambda: "s_down" in alone.flags(name), 20, "it holds the master for down")
    refused = sides.refused[shard.master]
    wait_taken(sides, shard.master, 500)
    assert sides.refused[shard.master] == refused
    shard.places.heal()
    shard.wait_well(shard.master)
    assert epoch_of(shard.master) == epoch
    sides.stop()
    assert sides.check(shard.master, switches=0) == 0


@case(kinds=OURS, limit_s=150)
def test_supervisors_from_each_other(lab):
    """None hears another, all hear the nodes: leases need nobody's agreement, so the master writes on; when it dies
    nobody is elected until they hear each other again."""
    shard, sides = begin(lab, down_after_ms=2000)
    places = addresses(shard.supervisors)
    for i, place in enumerate(places):
        shard.places.cut(place, places[i + 1:])
    refused = sides.refused[shard.master]
    wait_taken(sides, shard.master, 500)
    assert sides.refused[shard.master] == refused
    killed = shard.master.kill9()
    for s in shard.supervisors:
        name = s.masters()[0]["name"]
        wait_until(lambda s=s, name=name: "s_down" in s.flags(name), 20, "%s holds it for down" % s.name)
    assert shard.replica.info("replication")["role"] == "slave"
    shard.places.heal()
    wait_taken(sides, shard.replica, timeout_s=60)
    shard.master.start()
    shard.master.wait_ready()
    shard.wait_well(shard.replica)
    sides.stop()
    sides.check(shard.replica, lost_since=killed - ASYNC_S)
