"""Clusters under leases: masters write by the grants of a majority of the declared supervisors only."""
import time

from cases import case
from lab import wait_until
from lab.clusters import key_in
from lab.resp import RespError
from lab.shard_load import switch_under_load
from lab.supervised import NODE_TIMEOUT_MS, Supervised, epoch_of, slot_range

OURS = ("ours",)
SOON_S = NODE_TIMEOUT_MS / 1000 * 0.8  # the nodes themselves need more than all of it


def info_of(node):
    return dict(line.split(":", 1) for line in node.ok("CLUSTER", "INFO").split("\r\n") if ":" in line)


def leased(fleet):
    def all_leased():
        for node in fleet.masters:
            info = info_of(node)
            assert int(info["cluster_supervised"]) > 0 and int(info["cluster_lease_ms"]) > 0, (node.name, info)
            assert info["cluster_supervisors"] == str(len(fleet.supervisors)), info
        return True
    return wait_until(all_leased, 20, "all masters are leased")


def wait_set(node, key, value):
    """A lease of a few hundred milliseconds may run out on a busy machine, for as long as that one stands still."""
    wait_until(lambda: node.call("SET", key, value) == "OK", 20, "%s takes a write" % node.name)


@case(kinds=OURS, limit_s=120)
def test_one_killed(lab):
    """The replica is promoted at the ballot's epoch, with a lease; the old master comes back as a replica."""
    fleet = Supervised(lab, declared=True)
    leased(fleet)
    old, new = fleet.masters[0], fleet.replicas[0]
    shard = fleet.name_of(old)
    highest = max(epoch_of(n) for n in fleet.masters)
    key = key_in(slot_range(0, 3)[0] + 1)
    wait_set(old, key, "before")
    killed = old.kill9()
    with new.connect() as client:
        while client.call("SET", key, "after") != "OK":
            assert time.monotonic() < killed + SOON_S, client.call("SET", key, "after")
            time.sleep(0.002)
    took = time.monotonic() - killed
    print("kill to first write %.0f ms, beyond down-after %.0f ms" % (took * 1000, took * 1000 - 600))
    assert fleet.wait_switched(shard, old) is new
    wait_until(lambda: {s.config_epoch(shard) for s in fleet.running()} == {epoch_of(new)}, 20,
               "supervisors and node have the same epoch")
    assert epoch_of(new) > highest
    old.start()
    old.wait_ready()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well(timeout_s=40)
    fleet.wait_nodes_agree()


@case(kinds=OURS, limit_s=120)
def test_supervisors_gone(lab):
    """Without a majority of supervisors writes stop within a lease, reads go on; with one again, writes go on."""
    fleet = Supervised(lab, declared=True)
    leased(fleet)
    node = fleet.masters[0]
    key = key_in(slot_range(0, 3)[0] + 1)
    wait_set(node, key, "1")
    for s in fleet.supervisors[:2]:
        s.pause()
    paused, last = time.monotonic(), "1"
    with node.connect() as client:
        while True:
            sent = time.monotonic()
            if isinstance(client.call("SET", key, "2"), RespError):
                break
            last = "2"
            assert sent < paused + 1, "still taken"
            time.sleep(0.002)

        def refused():  # the third's own grant may be late for a moment
            text = str(client.call("SET", key, "3"))
            assert text.startswith("CLUSTERDOWN This master holds no lease: 1 of 2 grants"), text
            return True
        wait_until(refused, 20, "it is told how many grants it has")
        assert client.ok("GET", key) == last
        fleet.supervisors[0].resume()
        wait_until(lambda: client.call("SET", key, "4") == "OK", 20, "writes are taken again")


@case(kinds=OURS, limit_s=120)
def test_planned_switch(lab):
    """The master gives its lease back, the replica gets one without a wait: no acknowledged write is lost."""
    fleet = Supervised(lab, declared=True)
    leased(fleet)
    load = switch_under_load(fleet, 0)
    print("longest time without an acknowledged write %.0f ms" % load.gap_ms())
    fleet.wait_well()
    fleet.wait_nodes_agree()


@case(kinds=OURS, limit_s=120)
def test_two_of_three_killed(lab):
    """A majority of the masters at once: the supervisors are another quorum."""
    fleet = Supervised(lab, declared=True)
    leased(fleet)
    shards = [fleet.name_of(m) for m in fleet.masters]
    keys = [key_in(slot_range(place, 3)[0] + 1) for place in (0, 1)]
    killed = [master.kill9() for master in fleet.masters[:2]][0]
    for place in (0, 1):
        with fleet.replicas[place].connect() as client:
            while client.call("SET", keys[place], "after") != "OK":
                assert time.monotonic() < killed + SOON_S, client.call("SET", keys[place], "after")
                time.sleep(0.002)
    print("kill to writes in both, beyond down-after %.0f ms" % ((time.monotonic() - killed) * 1000 - 600))
    for place in (0, 1):
        assert fleet.wait_switched(shards[place], fleet.masters[place]) is fleet.replicas[place]
    wait_until(lambda: all(int(info_of(n)["cluster_lease_ms"]) > 0 for n in fleet.replicas[:2]), 20, "both are leased")
    fleet.wait_nodes_agree()
    epochs = [epoch_of(n) for n in (fleet.replicas[0], fleet.replicas[1], fleet.masters[2])]
    assert len(set(epochs)) == 3, epochs
    for place in (0, 1):
        wait_set(fleet.replicas[place], keys[place], "1")
