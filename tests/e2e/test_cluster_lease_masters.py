"""Masters under leases that are stopped, killed and restarted, with clients that keep to each side: no slot has two
nodes that execute writes at one time, and what was acknowledged and is gone is counted."""
import signal
import time

from cases import case
from lab import wait_until
from lab.clusters import key_in, keys_of
from lab.resp import Resp, RespError, encode
from lab.supervised import Supervised, epoch_of, slot_range
from lab.two_sides import TwoSides

OURS = ("ours",)
ASYNC_S = 0.8  # what the master acknowledged so shortly before its death its replica, half a second late, may not have


def one_shard(lab, **options):
    """One master, one replica, three supervisors: what counts here is within a shard."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, **options)
    wait_leased(fleet.masters[0])
    return fleet, fleet.masters[0], fleet.replicas[0]


def lease_ms(node):
    text = node.ok("CLUSTER", "INFO")
    return int(dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)["cluster_lease_ms"])


def wait_leased(node, timeout_s=20):
    wait_until(lambda: lease_ms(node) > 0, timeout_s, "%s is leased" % node.name)


def two_sides(lab, nodes, **options):
    sides = TwoSides(lab, nodes, connect=lambda node: Resp(node.port, timeout_s=20), **options)
    wait_until(lambda: len(sides.of(nodes[0])) > 100, 20, "writes flow")
    return sides


def wait_taken(sides, node, count=100):
    since = time.monotonic()
    wait_until(lambda: len(sides.of(node, since)) > count, 20, "%s takes writes" % node.name)


@case(kinds=OURS, limit_s=120)
def test_stopped_and_continued(lab):
    """The old master has leases and writes unread in its sockets when it is continued: it takes none of the writes, and
    becomes a replica."""
    fleet, old, new = one_shard(lab)
    shard = fleet.name_of(old)
    sides = two_sides(lab, [old, new])
    waiting = [Resp(old.port, timeout_s=20) for _ in range(8)]
    keys = keys_of(*slot_range(0, 1), len(waiting))
    for client in waiting:
        assert client.ok("PING") == "PONG"
    stopped = time.monotonic()
    old.pause()
    for client, key in zip(waiting, keys):
        client.send_raw(b"".join(encode("SET", key, "late%d" % i) for i in range(50)))
    assert fleet.wait_switched(shard, old) is new
    wait_taken(sides, new)
    old.resume()
    for client in waiting:
        for _ in range(50):
            reply = client.read(20)
            assert isinstance(reply, RespError), "a write from before was taken: %r" % (reply,)
        client.close()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well()
    sides.stop()
    assert sides.check(new, lost_since=stopped - ASYNC_S) < 200
    for key in keys:
        assert not str(new.call("GET", key)).startswith("late")


@case(kinds=OURS, limit_s=120)
def test_stopped_shortly_and_often(lab):
    """Stopped for longer than a lease and shorter than down-after: nothing that waited is taken before there is a new
    lease, and nobody is promoted."""
    fleet, master, replica = one_shard(lab, down_after_ms=4000)
    epoch = epoch_of(master)
    sides = two_sides(lab, [master, replica])
    for _ in range(3):
        wait_leased(master)
        master.pause()
        stopped = time.monotonic()
        probe = Resp(master.port, timeout_s=10)
        while time.monotonic() < stopped + 2.1:  # the lease, which is 2000 ms, ends meanwhile
            time.sleep(0.01)
        probe.send_raw(encode("SET", key_in(1), "x"))
        master.resume()
        probe.read(10)  # taken or refused: who was first read, the write or a newer lease, is open
        probe.close()
        wait_taken(sides, master, 50)
    assert epoch_of(master) == epoch and replica.info("replication")["role"] == "slave"
    sides.stop()
    assert not sides.of(replica)
    assert sides.check(master, switches=0) == 0


@case(kinds=OURS, limit_s=120)
def test_restarted_before_its_replacement(lab):
    """Killed and back within down-after with its data: it is the master again when it is leased, at its epoch, and a
    stale lease of its former life means nothing."""
    fleet, master, replica = one_shard(lab, down_after_ms=6000,
                                       node_options={"appendonly": "yes", "appendfsync": "always"})
    epoch, keys = epoch_of(master), keys_of(*slot_range(0, 1), 2)
    sides = two_sides(lab, [master, replica])
    master.kill9()
    master.start()
    master.wait_ready()
    wait_taken(sides, master)
    assert epoch_of(master) == epoch
    fleet.wait_follows(replica, master)
    fleet.wait_well()
    sides.stop()
    assert not sides.of(replica)
    assert sides.check(master, switches=0) == 0
    assert sum(master.ok("LLEN", key) for key in keys) > 200  # more than 100 of each of its two lives


@case(kinds=OURS, limit_s=120)
def test_restarted_empty(lab):
    """Killed and back at once without its data: it gets no lease, takes no write, and its replica is promoted."""
    fleet, old, new = one_shard(lab, down_after_ms=3000)
    shard = fleet.name_of(old)
    sides = two_sides(lab, [old, new])
    killed = old.kill9()
    dead = time.monotonic()  # what was sent since the killing began may have been taken before it came
    old.start()
    old.wait_ready()
    assert fleet.wait_switched(shard, old) is new
    wait_taken(sides, new)
    fleet.wait_follows(old, new, 40)
    fleet.wait_well()
    sides.stop()
    assert not sides.of(old, dead), "an empty master took writes"
    sides.check(new, lost_since=killed - ASYNC_S)


@case(kinds=OURS, limit_s=120)
def test_restarted_after_its_replacement(lab):
    """Back with the nodes.conf in which it is the master, with data: it takes nothing, and follows."""
    fleet, old, new = one_shard(lab, node_options={"appendonly": "yes"})
    shard = fleet.name_of(old)
    sides = two_sides(lab, [old, new])
    killed = old.kill9()
    dead = time.monotonic()
    assert fleet.wait_switched(shard, old) is new
    wait_taken(sides, new)
    old.start()
    old.wait_ready()
    refused = sides.refused[old]
    wait_until(lambda: sides.refused[old] > refused + 10, 20, "its clients are refused")
    fleet.wait_follows(old, new, 40)
    fleet.wait_well()
    wait_taken(sides, new)
    sides.stop()
    assert not sides.of(old, dead), "the old master took writes again"
    sides.check(new, lost_since=killed - ASYNC_S)


@case(kinds=OURS, limit_s=120)
def test_restarted_alone(lab):
    """Back with its nodes.conf while the new master is stopped, so that nobody tells it, for less than down-after: the
    supervisors do not lease it."""
    fleet, old, new = one_shard(lab, down_after_ms=6000, node_options={"appendonly": "yes"})
    shard = fleet.name_of(old)
    sides = two_sides(lab, [old, new])
    killed = old.kill9()
    dead = time.monotonic()
    assert fleet.wait_switched(shard, old) is new
    wait_taken(sides, new)
    new.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    old.start()
    old.wait_ready()
    refused = sides.refused[old]
    wait_until(lambda: sides.refused[old] > refused + 100, 30, "its clients are refused for a while")
    assert lease_ms(old) == 0
    print("%.0f ms alone" % ((time.monotonic() - stopped) * 1000))
    new.signal(signal.SIGCONT)
    fleet.wait_follows(old, new, 40)
    fleet.wait_well()
    wait_taken(sides, new)
    sides.stop()
    assert not sides.of(old, dead), "the old master took writes again"
    sides.check(new, lost_since=killed - ASYNC_S)
