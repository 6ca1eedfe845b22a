"""Slots that move in a supervised cluster: no node takes a config epoch by itself, a ballot gives it one (SAFETY
E2)."""
import subprocess

from redis.crc import key_slot

from cases import case
from lab import wait_until
from lab.clusters import key_in, keys_of, lines, my_id
from lab.migrating import jobs
from lab.shard_load import ShardLoad
from lab.supervised import Supervised, epoch_of, slot_range
from test_cluster_lease import info_of, leased

OURS = ("ours",)
DOWN_AFTER_MS = 2000  # twice the lease, without which no slot moves: it outlasts what a busy machine stands still
RANGE = (0, 5400)  # of the first shard's; the last ones stay, so that it remains one


def move(source, target, *ranges):
    """Begins; returns the job's name."""
    before = set(jobs(source))
    assert source.ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *ranges, "NODE", my_id(target)) == "OK"
    return next(iter(set(jobs(source)) - before))


def wait_moved(source, name, timeout_s=20):
    def moved():
        job = jobs(source)[name]
        assert job["state"] == "success", job
        return job
    return wait_until(moved, timeout_s, "the migration succeeds", every_s=0.02)


def won(fleet, shard):
    """Epochs of the ballots that were held in this shard, by the supervisors' histories."""
    return {note[4] for s in fleet.supervisors
            for note in s.ok("SENTINEL", "HISTORY", "GROUP", shard, "KIND", "won")}


@case(kinds=OURS, limit_s=120)
def test_slots_move_by_ballot(lab):
    """There and back under load. Nothing is lost, and the node that gets slots claims them at an epoch above the
    source's: one that it has already, or the one of a ballot. Nobody else's epoch changes."""
    fleet = Supervised(lab, declared=True, down_after_ms=DOWN_AFTER_MS)
    leased(fleet)
    one, two = fleet.masters[:2]
    shards = {m: fleet.name_of(m) for m in fleet.masters}
    assert all(key_slot(key.encode()) <= RANGE[1] for key in keys_of(*slot_range(0, 3), 4))
    load = ShardLoad(fleet, 0)
    try:
        for source, target in ((one, two), (two, one)):
            count = len(load.acked)
            wait_until(lambda: len(load.acked) > count + 200, 20, "writes flow")
            before = {m: epoch_of(m) for m in fleet.masters}
            wait_moved(source, move(source, target, *RANGE))
            after = {m: epoch_of(m) for m in fleet.masters}
            assert after[target] > after[source]
            assert all(after[m] == before[m] for m in fleet.masters if m is not target), (before, after)
            if before[target] > before[source]:
                assert after[target] == before[target], (before, after)
            else:
                wait_until(lambda: after[target] in won(fleet, shards[target]), 20, "a ballot gave that epoch")
        count = len(load.acked)
        wait_until(lambda: len(load.acked) > count + 200, 20, "writes flow again")
    finally:
        load.stop()
    print("longest time without an acknowledged write %.0f ms" % load.gap_ms())
    assert load.lost(one) == 0, "acknowledged writes are gone"
    assert after[one] > before[one], "the way back needs a ballot"
    wait_until(lambda: {s.config_epoch(shards[one]) for s in fleet.running()} == {after[one]}, 20,
               "supervisors and node have the same epoch")
    fleet.wait_well()
    fleet.wait_nodes_agree()


def leased_now(node):
    info = info_of(node)
    return int(info["cluster_supervised"]) > 0 and int(info["cluster_lease_ms"]) > 0


@case(kinds=OURS, limit_s=120)
def test_redis_cli_reshards_to_a_new_master(lab):
    """A master that joins is leased nothing before it is to get slots. redis-cli moves keys to it by hand; behind it
    MIGRATESLOTS goes on, and all comes back."""
    fleet = Supervised(lab, declared=True, shards=(OURS * 2,) * 2, down_after_ms=DOWN_AFTER_MS)
    leased(fleet)
    source = fleet.masters[0]
    new = lab.node("new", port=lab.ports.take_with_bus(), cluster_enabled="yes", cluster_node_timeout=15000,
                   cluster_allow_replica_migration="no")
    fleet.nodes.append(new)
    assert source.ok("CLUSTER", "MEET", "127.0.0.1", new.port) == "OK"
    fleet.wait_nodes_agree()
    keys = [key_in(slot) + str(i) for slot in (0, 7, 19, 40) for i in range(20)]
    for key in keys:
        source.ok("SET", key, "of " + key)
    done = subprocess.run(
        ["redis-cli", "--cluster", "reshard", "127.0.0.1:%d" % source.port, "--cluster-from", my_id(source),
         "--cluster-to", my_id(new), "--cluster-slots", "20", "--cluster-yes"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-600:]
    assert epoch_of(new) > epoch_of(source)
    wait_until(lambda: leased_now(new), 20, "the new master is leased")
    wait_until(lambda: epoch_of(new) in won(fleet, fleet.name_of(new)), 20, "a ballot gave that epoch")
    wait_moved(source, move(source, new, 20, 50))
    with new.connect() as client:
        assert [client.ok("GET", key) for key in keys] == ["of " + key for key in keys]
    wait_moved(new, move(new, source, 0, 50))
    with source.connect() as client:
        assert [client.ok("GET", key) for key in keys] == ["of " + key for key in keys]
    wait_until(lambda: epoch_of(source) > epoch_of(new), 20, "the way back needed a ballot")
    wait_moved(source, move(source, new, 0, 9))  # which has lost all, and may have no lease any more


def begin_frozen(source, target, *ranges):
    """A migration that has sent all, and waits: an operator may freeze too."""
    assert source.ok("CLUSTER", "FREEZESLOTMIGRATIONS", my_id(target), 60000) == "OK"
    name = move(source, target, *ranges)

    def frozen():
        job = jobs(source)[name]
        assert job["state"] == "streaming" and job["message"].startswith("Frozen:"), job
        return True
    wait_until(frozen, 20, "the migration is frozen")
    return name


@case(kinds=OURS, limit_s=120)
def test_target_is_replaced(lab):
    """The migration begins anew with the promoted node, and ends there; nothing is lost."""
    fleet = Supervised(lab, declared=True, down_after_ms=DOWN_AFTER_MS)
    leased(fleet)
    source, target, promoted = fleet.masters[0], fleet.masters[1], fleet.replicas[1]
    shard = fleet.name_of(target)
    load = ShardLoad(fleet, 0, pause_s=0.002)
    try:
        wait_until(lambda: len(load.acked) > 100, 20, "writes flow")
        first = begin_frozen(source, target, *RANGE)
        target.kill9()
        fleet.wait_switched(shard, target)

        def goes_on():
            last = max(jobs(source).values(), key=lambda job: job["name"] in jobs(source)[first]["message"])
            assert last["name"] != first and last["state"] == "success", jobs(source)
            return last
        last = wait_until(goes_on, 40, "it has begun anew, and has come through")
        assert last["target_node"] == my_id(promoted), last
        assert jobs(source)[first]["state"] == "failed"
        count = len(load.acked)
        wait_until(lambda: len(load.acked) > count + 100, 20, "writes flow again")
    finally:
        load.stop()
    assert load.lost(promoted) == 0, "acknowledged writes are gone"
    wait_until(lambda: epoch_of(promoted) in won(fleet, shard), 20, "a ballot gave that epoch")
    assert epoch_of(promoted) > epoch_of(source)


@case(kinds=OURS, limit_s=120)
def test_source_is_replaced(lab):
    """It is rolled back: the promoted node has the slots, and may migrate them again."""
    fleet = Supervised(lab, declared=True, down_after_ms=DOWN_AFTER_MS)
    leased(fleet)
    source, target, promoted = fleet.masters[0], fleet.masters[1], fleet.replicas[0]
    shard = fleet.name_of(source)
    keys = keys_of(*slot_range(0, 3), 20)
    for key in keys:
        source.ok("SET", key, "of " + key)
    assert source.ok("WAIT", 1, 5000) == 1
    name = begin_frozen(source, target, *RANGE)
    source.kill9()
    fleet.wait_switched(shard, source)

    def rolled_back():
        job = jobs(target)[name]
        assert job["state"] == "failed", job
        return True
    wait_until(rolled_back, 20, "the target has given it up")
    with promoted.connect() as client:
        assert [client.ok("GET", key) for key in keys] == ["of " + key for key in keys]
    moved = [key for key in keys if key_slot(key.encode()) <= RANGE[1]]
    wait_until(lambda: leased_now(promoted), 20, "the promoted node is leased")
    wait_moved(promoted, move(promoted, target, *RANGE))
    with target.connect() as client:
        assert [client.ok("GET", key) for key in moved] == ["of " + key for key in moved]
