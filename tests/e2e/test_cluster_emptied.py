"""A master whose keys are gone rightly, and a replica that was away meanwhile and has them still (replica-guard). With
an append-only file alone, a node that was killed comes back with a history of its own, so what its master sends is the
empty dataset of a history that it has never heard of."""
import os
import shutil

from cases import case
from lab import stays_true, wait_until
from lab.clusters import key_in, make_cluster
from lab.resp import RespError, pairs
from lab.supervised import UNCOUNTED, Supervised, slot_range
from lab.tool import expect, of, run

OURS = ("ours",)
PERSISTENT = {"appendonly": "yes", "appendfsync": "always"}
KEY = key_in(slot_range(0, 3)[0] + 1)
SPOKEN = "replica-guard: the master"


def guarded(node):
    return node.info("replication").get("master_sync_guarded")


def fill(master, replica, *more):
    """The key is at both, and on the disk of both."""
    wait_until(lambda: master.call("SET", KEY, "precious", *more) == "OK", 20, "the master takes writes")
    with replica.connect() as client:
        client.ok("READONLY")
        wait_until(lambda: client.call("GET", KEY) == "precious", 20, "the replica has the key")


def delete_all(node):
    wait_until(lambda: not isinstance(node.call("DEL", KEY), RespError), 20, "the key is deleted")
    assert node.ok("DBSIZE") == 0


def start_again(node):
    node.start()
    node.wait_ready()


def without_data(node):
    """Killed, and its disk with its dataset is gone; what it knows of the cluster is on another."""
    node.kill9()
    shutil.rmtree(os.path.join(node.directory, "appendonlydir"))


def infos(node):
    """How often somebody has asked for INFO."""
    return int(node.info("commandstats")["cmdstat_info"].split("calls=")[1].split(",")[0])


def wait_promotable(fleet, shard, node):
    """Every supervisor would choose it: it knows what its master has promised."""
    def suitable(s):
        rows = [pairs(row) for row in s.ok("SENTINEL", "RANKING", shard)]
        return [row["verdict"] for row in rows if row["port"] == str(node.port)] == ["suitable"]
    wait_until(lambda: all(suitable(s) for s in fleet.supervisors), 20, "%s may be promoted" % node.name)


def followed_empty(fleet, replica, master):
    fleet.wait_follows(replica, master, 30)
    assert replica.ok("DBSIZE") == 0 and guarded(replica) is None


@case(kinds=OURS, limit_s=120)
def test_replica_was_away(lab):
    """Its key was deleted meanwhile: the supervisors know that, and the replica follows by itself."""
    fleet = Supervised(lab, declared=True, node_options=PERSISTENT)
    master, replica = fleet.masters[0], fleet.replicas[0]
    fill(master, replica)
    replica.kill9()
    delete_all(master)
    start_again(replica)
    followed_empty(fleet, replica, master)
    assert SPOKEN in replica.log(), "nothing was guarded, so nothing was tested"
    # Who has said it hears the answer, and tells it, when the replica is at work already.
    wait_until(lambda: any("+accept-empty" in s.log() for s in fleet.supervisors), 20, "it is told")
    fleet.wait_well(timeout_s=40)


@case(kinds=OURS, limit_s=120)
def test_old_master_comes_back(lab):
    """The key was deleted at its successor."""
    fleet = Supervised(lab, declared=True, node_options=PERSISTENT)
    old, new = fleet.masters[0], fleet.replicas[0]
    shard = fleet.name_of(old)
    fill(old, new)
    wait_promotable(fleet, shard, new)
    old.kill9()
    assert fleet.wait_switched(shard, old) is new
    delete_all(new)
    start_again(old)
    followed_empty(fleet, old, new)
    assert SPOKEN in old.log(), "nothing was guarded, so nothing was tested"
    fleet.wait_well(timeout_s=40)


@case(kinds=OURS, limit_s=120)
def test_the_successor_never_had_the_key(lab):
    """It took its master's empty dataset, and is promoted: why that was empty came with it."""
    fleet = Supervised(lab, shards=(("ours", "ours", "ours"), ("ours",), ("ours",)), declared=True,
                       node_options=PERSISTENT)
    old, away, new = fleet.masters[0], fleet.replicas[0], fleet.replicas[1]
    shard = fleet.name_of(old)
    fill(old, away)
    away.kill9()
    new.kill9()
    delete_all(old)
    shutil.rmtree(os.path.join(new.directory, "appendonlydir"))
    start_again(new)
    followed_empty(fleet, new, old)
    wait_promotable(fleet, shard, new)
    old.kill9()
    assert fleet.wait_switched(shard, old) is new
    assert new.info("replication")["dataset_emptied"] == "1"
    start_again(away)
    followed_empty(fleet, away, new)
    assert SPOKEN in away.log(), "nothing was guarded, so nothing was tested"


@case(kinds=OURS, limit_s=120, matrix=[(True,), (False,)])
def test_expired(lab, supervised):
    """What has expired meanwhile is no data that could be lost: nobody needs to be asked, with or without
    supervisors."""
    if supervised:
        fleet = Supervised(lab, declared=True, node_options=PERSISTENT)
        master, replica = fleet.masters[0], fleet.replicas[0]
    else:
        masters, replicas = make_cluster(lab, ["ours"] * 3, [("ours", 0)], **PERSISTENT)
        master, replica = masters[0], replicas[0]
    fill(master, replica, "PX", 6000)  # it has to be seen at both, whatever the disk does
    replica.kill9()
    wait_until(lambda: master.ok("DBSIZE") == 0, 20, "the key has expired")
    start_again(replica)
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 30, "the replica follows")
    assert replica.ok("DBSIZE") == 0 and SPOKEN not in replica.log()


@case(kinds=OURS, limit_s=120)
def test_reborn_empty_is_followed_where_wanted(lab):
    """reborn_empty = "follow": what a cache lost, its replicas drop."""
    fleet = Supervised(lab, declared=True, node_options=PERSISTENT, down_after_ms=15000,
                       cluster={"reborn_empty": "follow"})
    master, replica = fleet.masters[0], fleet.replicas[0]
    fill(master, replica)
    without_data(master)
    start_again(master)
    # Until it has noticed that its master was away, its link is the one of before.
    wait_until(lambda: SPOKEN in replica.log(), 30, "it is guarded against, else nothing is tested")
    followed_empty(fleet, replica, master)
    assert fleet.port_of(fleet.name_of(master)) == master.port


def lost_unseen(lab):
    """The master lost its disk while no supervisor was there to see it: none may say that its replica's data may go.
    Returns the fleet and the history that its replica does not let in."""
    fleet = Supervised(lab, declared=True, node_options=PERSISTENT, down_after_ms=600)
    master, replica = fleet.masters[0], fleet.replicas[0]
    fill(master, replica)
    for s in fleet.supervisors:
        s.kill9()
    without_data(master)
    start_again(master)
    history = wait_until(lambda: guarded(replica), 30, "the empty dataset is refused")
    for s in fleet.supervisors:
        s.start()
    for s in fleet.supervisors:
        wait_until(lambda s=s: s.call("PING") == "PONG", 15, "%s runs" % s.name)
    return fleet, history


@case(kinds=OURS, limit_s=120)
def test_a_loss_that_nobody_saw_is_kept_out(lab):
    """The operator is told, and may drop what the replica has."""
    fleet, history = lost_unseen(lab)
    master, replica = fleet.masters[0], fleet.replicas[0]
    told = "REPLICAOF ACCEPT %s" % history
    wait_until(lambda: told in run(lab, "status", *of(*fleet.supervisors)).stdout, 30, "status names the guard")
    wait_until(lambda: expect(run(lab, "doctor", *of(*fleet.supervisors)), 1, "may have lost its data", told), 30,
               "doctor names it too")
    before = infos(replica)
    wait_until(lambda: infos(replica) > before + 30, 30, "all supervisors have seen it often")
    assert guarded(replica) == history and replica.ok("DBSIZE") == 1
    assert str(replica.call("REPLICAOF", "NO", "ONE")) == "ERR REPLICAOF not allowed in cluster mode."
    assert replica.ok("REPLICAOF", "ACCEPT", history) == "OK"
    followed_empty(fleet, replica, master)


@case(kinds=OURS, limit_s=120)
def test_what_was_kept_is_promoted_by_order(lab):
    """Or keep it: the empty master is stopped, and its replica promoted."""
    fleet, _ = lost_unseen(lab)
    master, replica = fleet.masters[0], fleet.replicas[0]
    wait_until(lambda: fleet.name_of(master), 20, "the supervisors know the shard")
    shard = fleet.name_of(master)

    def kept(s):
        rows = [pairs(row) for row in s.ok("SENTINEL", "RANKING", shard)]
        return [row["verdict"] for row in rows] == [UNCOUNTED]
    wait_until(lambda: all(kept(s) for s in fleet.supervisors), 40, "it has been cut off for longer than may be")
    # That is ten down-afters, and from the master's death on longer by as much as that lasts: not at the very border,
    # where an INFO that is a little old makes the replica suitable.
    wait_until(lambda: int(replica.info("replication")["master_link_down_since_seconds"]) >= 10, 20, "by far, that is")
    master.kill9()
    wait_until(lambda: all("o_down" in s.master(shard)["flags"] for s in fleet.supervisors), 20, "the master is down")
    expect(run(lab, "failover", shard, "--yes", *of(*fleet.supervisors)), 0, "keys that were deleted while it was away")
    assert fleet.wait_switched(shard, master) is replica
    with replica.connect() as client:
        wait_until(lambda: client.call("GET", KEY) == "precious", 20, "the data is there")
    start_again(master)
    fleet.wait_follows(master, replica, 30)
    assert master.ok("DBSIZE") == 1


@case(kinds=OURS, limit_s=120)
def test_without_supervisors_the_operator_decides(lab):
    masters, replicas = make_cluster(lab, ["ours"] * 3, [("ours", 0)], **PERSISTENT)
    fill(masters[0], replicas[0])
    replicas[0].kill9()
    delete_all(masters[0])
    start_again(replicas[0])
    history = wait_until(lambda: guarded(replicas[0]), 30, "the empty dataset is refused")
    stays_true(lambda: replicas[0].ok("DBSIZE") == 1, 1.5, "the data is kept", 0.1)
    assert "REPLICAOF ACCEPT %s, said to this node" % history in replicas[0].log()
    assert str(masters[0].call("REPLICAOF", "ACCEPT", history)).startswith("ERR REPLICAOF ACCEPT is for a replica")
    assert replicas[0].ok("REPLICAOF", "ACCEPT", history) == "OK"
    wait_until(lambda: replicas[0].info("replication")["master_link_status"] == "up", 30, "the replica follows")
    assert replicas[0].ok("DBSIZE") == 0
