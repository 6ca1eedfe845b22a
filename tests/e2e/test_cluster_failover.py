"""Masters of clusters die: the supervisors promote, whatever the cluster itself could do. Its own election would take
15 seconds to begin, so what happens sooner is theirs."""
import time

import redis.sentinel

from cases import case
from lab import stays_true, wait_until
from lab.clusters import key_in, keys_of, lines, my_id
from lab.shard_load import switch_under_load
from lab.supervised import NODE_TIMEOUT_MS, Supervised, epoch_of, no_failover, slot_range

OURS = ("ours",)
KINDS = [("ours",), ("stock",), ("mixed",)]
MIXED = (("ours", "stock"), ("stock", "ours"), ("ours", "ours"))
SOON_S = NODE_TIMEOUT_MS / 1000 * 0.8  # the cluster itself needs more than all of it


def three(kind):
    return MIXED if kind == "mixed" else ((kind, kind),) * 3


def replica_of(fleet, master):
    return fleet.replicas[fleet.masters.index(master)]


def wait_writes(fleet, shards, deadline):
    """Keys of these shards (by their place) are taken by the promoted replicas; returns when the last was."""
    for place in shards:
        node = fleet.replicas[place]
        with node.connect() as client:
            key = key_in(slot_range(place, len(fleet.masters))[0] + 1)
            while client.call("SET", key, "after") != "OK":
                assert time.monotonic() < deadline, "shard %d takes no write: %s" % (place, client.call("SET", key, 1))
                time.sleep(0.005)
    return time.monotonic()


def check_switched(fleet, logs, place, shard):
    """The events of all, the node's own word, the epochs."""
    old, new = fleet.masters[place], fleet.replicas[place]
    expected = "%s 127.0.0.1 %d 127.0.0.1 %d" % (shard, old.port, new.port)
    for log in logs:
        event = log.wait("+switch-master", shard + " ")
        assert event.payload == expected, (event.payload, expected)
        assert len(log.all("+switch-master", shard + " ")) == 1, log.dump()

    # Two that take over in the same moment may get one epoch; one of them raises its own then.
    def the_same_epoch():
        epochs = {s.config_epoch(shard) for s in fleet.running()}
        assert epochs == {epoch_of(new)}, (epochs, epoch_of(new))
        return True
    wait_until(the_same_epoch, 15, "supervisors and node have the same epoch")


@case(kinds=OURS, matrix=KINDS, limit_s=120)
def test_one_killed(lab, kind):
    """The replica is promoted, clients write again, the old master comes back as a replica, and all nodes agree."""
    fleet = Supervised(lab, three(kind))
    logs = [lab.events(s) for s in fleet.supervisors]
    old = fleet.masters[0]
    new = replica_of(fleet, old)
    shard = fleet.name_of(old)
    highest = max(epoch_of(n) for n in fleet.masters)
    keys = keys_of(*slot_range(0, 3), 20)
    with old.connect() as client:
        for key in keys:
            client.ok("SET", key, "before")
        assert client.ok("WAIT", 1, 5000) == 1
    killed = old.kill9()
    took = wait_writes(fleet, [0], killed + SOON_S) - killed
    print("%s: kill to first write %.0f ms, beyond down-after %.0f ms" % (kind, took * 1000, took * 1000 - 600))
    assert fleet.wait_switched(shard, old) is new
    check_switched(fleet, logs, 0, shard)
    assert epoch_of(new) > highest
    with new.connect() as client:
        assert all(client.ok("GET", key) == ("before" if key != key_in(1) else "after") for key in keys)
    assert time.monotonic() - killed < SOON_S, "too late to be told from the cluster's own election"
    old.start()
    old.wait_ready()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well(timeout_s=40)
    fleet.wait_nodes_agree()
    for log in logs:
        assert len(log.all("+switch-master")) == 1, log.dump()


@case(kinds=OURS, matrix=KINDS, sample=1, limit_s=120)
def test_two_of_three_killed(lab, kind):
    """The majority of the masters is gone at once: the cluster itself could elect nobody, ever."""
    fleet = Supervised(lab, three(kind))
    logs = [lab.events(s) for s in fleet.supervisors]
    shards = [fleet.name_of(n) for n in fleet.masters]
    killed = time.monotonic()
    for node in fleet.masters[:2]:
        node.kill9()
    took = wait_writes(fleet, [0, 1], killed + SOON_S) - killed
    print("%s: kill of two to the first write of both %.0f ms, beyond down-after %.0f ms" % (
        kind, took * 1000, took * 1000 - 600))
    for place in (0, 1):
        fleet.wait_switched(shards[place], fleet.masters[place])
        check_switched(fleet, logs, place, shards[place])
    fleet.wait_nodes_agree()
    epochs = [epoch_of(n) for n in (fleet.replicas[0], fleet.replicas[1], fleet.masters[2])]
    assert len(set(epochs)) == 3, epochs
    for place in (0, 1):
        fleet.masters[place].start()
        fleet.masters[place].wait_ready()
    for place in (0, 1):
        fleet.wait_follows(fleet.masters[place], fleet.replicas[place], 40)
    fleet.wait_well(timeout_s=40)


@case(kinds=OURS, matrix=[(k, n) for k in ("ours", "stock") for n in (1, 2)], sample=2, limit_s=90)
def test_small_clusters(lab, kind, shards):
    """Clusters of one and of two shards, which never elect by themselves."""
    fleet = Supervised(lab, ((kind, kind, kind),) * shards)
    fleet.replicas.sort(key=lambda n: n.port)
    shard = fleet.name_of(fleet.masters[0])
    old = fleet.masters[0]
    killed = old.kill9()
    new = fleet.wait_switched(shard, old, timeout_s=SOON_S)
    wait_until(lambda: new.call("SET", key_in(1), "x") == "OK", SOON_S, "it takes writes", every_s=0.005)
    print("%d shards of %s: kill to first write at most %.0f ms" % (shards, kind, (time.monotonic() - killed) * 1000))
    other = next(n for n in fleet.replicas if n is not new and
                 lines(new)[my_id(n)][3] in (my_id(new), my_id_of(fleet, old, new)))
    fleet.wait_follows(other, new, 30)
    old.start()
    old.wait_ready()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well(timeout_s=40)
    # And back again: the third failover-capable state is as good as the first.
    new.kill9()
    fleet.wait_switched(shard, new, timeout_s=SOON_S)


def my_id_of(fleet, dead, witness):
    """The id of a node that does not run, by another one's view."""
    return next(words[0] for words in lines(witness).values()
                if words[1].split("@")[0].endswith(":%d" % dead.port))


@case(kinds=OURS, matrix=KINDS, limit_s=90)
def test_planned_switch(lab, kind):
    """SENTINEL FAILOVER of a shard under load loses no acknowledged write, and the old master follows."""
    fleet = Supervised(lab, three(kind))
    logs = [lab.events(s) for s in fleet.supervisors]
    shard = fleet.name_of(fleet.masters[0])
    load = switch_under_load(fleet, 0)
    print("%s: longest time without an acknowledged write %.0f ms" % (kind, load.gap_ms()))
    check_switched(fleet, logs, 0, shard)
    fleet.wait_well()
    fleet.wait_nodes_agree()


@case(kinds=OURS, matrix=KINDS, sample=1, limit_s=90)
def test_own_election_is_off(lab, kind):
    """Nodes under supervision do not elect by themselves; a restart loses that, and it is asserted again; whoever is
    released elects again."""
    fleet = Supervised(lab, three(kind))
    wait_until(lambda: all(no_failover(n) for n in fleet.nodes), 10, "no node elects by itself")
    for node in (fleet.replicas[0], fleet.masters[1]):
        node.kill9()
        node.start()
        node.wait_ready()
        wait_until(lambda n=node: no_failover(n), 10, "it is asserted again")
    fleet.wait_well(timeout_s=40)
    for s in fleet.supervisors:
        s.configure([], [])
        s.ok("SENTINEL", "RELOAD", timeout_s=20)
        wait_until(lambda x=s: not x.masters(), 10, "nothing is supervised any more")
    wait_until(lambda: not any(no_failover(n) for n in fleet.nodes), 10, "all elect by themselves again")
    for s in fleet.supervisors:
        s.configure([], [fleet.cluster])
        s.ok("SENTINEL", "RELOAD", timeout_s=20)
    fleet.wait_well()
    wait_until(lambda: all(no_failover(n) for n in fleet.nodes), 10, "no node elects by itself")
    for s in fleet.supervisors:
        assert s.ok("SENTINEL", "CLUSTER", "RELEASE", fleet.name, timeout_s=20) == "OK"
    wait_until(lambda: not any(no_failover(n) for n in fleet.nodes), 10, "all elect by themselves again")
    for s in fleet.supervisors:
        assert not s.masters()
        s.terminate()
        s.boot()
        assert not s.masters(), "a release survives a restart"


@case(kinds=OURS, matrix=[("stock",), ("ours",)], sample=1, limit_s=120)
def test_an_election_of_theirs_is_adopted(lab, kind):
    """The election is switched on by hand and wins before the supervisors would act: they take it over, with its
    epoch."""
    fleet = Supervised(lab, three(kind), down_after_ms=10000, node_timeout_ms=1000)
    logs = [lab.events(s) for s in fleet.supervisors]
    old, new = fleet.masters[0], fleet.replicas[0]
    shard = fleet.name_of(old)
    wait_until(lambda: no_failover(new), 10, "no node elects by itself")
    killed = old.kill9()

    def elected():
        if no_failover(new):  # a supervisor switches it off once, whenever it has a new connection
            new.ok("CONFIG", "SET", "cluster-replica-no-failover", "no")
        return fleet.port_of(shard) == new.port
    wait_until(elected, 20, "it is elected")
    fleet.wait_switched(shard, old)
    assert time.monotonic() - killed < 10, "it was the supervisors' doing"
    check_switched(fleet, logs, 0, shard)
    old.start()
    old.wait_ready()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well(timeout_s=40)


@case(kinds=OURS, matrix=KINDS, sample=1, limit_s=120)
def test_supervisor_restarted_meanwhile(lab, kind):
    """All supervisors are restarted while a master is down: they promote when they are back, by what they stored."""
    fleet = Supervised(lab, three(kind), down_after_ms=3000)
    old = fleet.masters[0]
    shard = fleet.name_of(old)
    for s in fleet.supervisors:
        s.terminate()
    killed = old.kill9()
    for s in fleet.supervisors:
        s.boot()
        assert s.master_port(shard) == old.port  # before two of them have missed it for down-after
    new = fleet.wait_switched(shard, old, timeout_s=SOON_S)
    assert new is fleet.replicas[0] and time.monotonic() - killed < NODE_TIMEOUT_MS / 1000
    old.start()
    old.wait_ready()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well(timeout_s=40)


@case(kinds=OURS, matrix=KINDS[:2], sample=1, limit_s=90)
def test_redis_py(lab, kind):
    """A Sentinel client asks for a shard by its name, before and after a failover."""
    fleet = Supervised(lab, three(kind))
    shard = fleet.name_of(fleet.masters[0])
    client = redis.sentinel.Sentinel([s.addr for s in fleet.supervisors], socket_timeout=5)
    assert client.discover_master(shard) == ("127.0.0.1", fleet.masters[0].port)
    assert client.discover_slaves(shard) == [("127.0.0.1", fleet.replicas[0].port)]
    assert client.master_for(shard, socket_timeout=5).set(key_in(1), "1")
    fleet.masters[0].kill9()
    new = fleet.wait_switched(shard, fleet.masters[0])
    assert client.discover_master(shard) == ("127.0.0.1", new.port)
    assert client.master_for(shard, socket_timeout=5).set(key_in(1), "2")


@case(kinds=OURS, limit_s=90)
def test_no_quorum_no_failover(lab):
    """One supervisor of three promotes nobody; with the second one it happens."""
    fleet = Supervised(lab, three("ours"))
    old = fleet.masters[0]
    shard = fleet.name_of(old)
    for s in fleet.supervisors[1:]:
        s.kill9()
    old.kill9()
    alone = fleet.supervisors[0]
    wait_until(lambda: "s_down" in alone.flags(shard), 20, "it sees the master down")
    stays_true(lambda: fleet.replicas[0].info("replication")["role"] == "slave", 3, "nobody is promoted", every_s=0.1)
    fleet.supervisors[1].boot()
    fleet.wait_switched(shard, old)


@case(kinds=OURS, matrix=KINDS[:2], sample=1, limit_s=90)
def test_stopped_master(lab, kind):
    """SIGSTOP, and later SIGCONT: the old master finds out by itself that it has been replaced, and follows."""
    fleet = Supervised(lab, three(kind))
    old = fleet.masters[0]
    shard = fleet.name_of(old)
    old.pause()
    new = fleet.wait_switched(shard, old, timeout_s=SOON_S)
    old.resume()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well(timeout_s=40)
    fleet.wait_nodes_agree()
