"""Clusters under supervisors that die themselves, and shards that cannot be helped."""
from cases import case
from lab import Group, stays_true, wait_until
from lab.clusters import cluster_node, info, key_in, meet, my_id
from lab.shard_load import ShardLoad
from lab.supervised import Supervised, epoch_of, slot_range

OURS = ("ours",)


def by_rank(fleet):
    """Supervisors in the order in which they stand: by id."""
    return sorted(fleet.supervisors, key=lambda s: s.my_id())


@case(kinds=OURS, matrix=[(kind, moment) for moment in ("crash-after-election", "crash-after-promotion")
                          for kind in ("ours", "stock")], sample=2, limit_s=150)
def test_the_leader_dies(lab, kind, moment):
    """The leader ends in the middle of its failover, before or after the promotion was sent: the others bring it to one
    end, with one new master."""
    fleet = Supervised(lab, ((kind, kind),) * 3)
    leader = by_rank(fleet)[0]
    leader.ok("SENTINEL", "SIMULATE-FAILURE", moment)
    pairs = list(zip(fleet.masters, fleet.replicas))
    for turn in range(9):
        place = turn % 3
        old, new = pairs[place]
        shard = fleet.name_of(old)
        old.kill9()
        wait_until(lambda: not leader.alive() or fleet.port_of(shard) == new.port, 30, "it leads, or another did")
        if not leader.alive():
            break
        pairs[place] = (new, old)
        old.start()  # on a busy machine another may be quicker: then the next shard's master
        old.wait_ready()
        fleet.wait_follows(old, new, 40)
        fleet.wait_well(timeout_s=40)
    assert not leader.alive()
    fleet.wait_switched(shard, old, 40)  # a ballot may fail, and is held again later
    key = key_in(slot_range(place, 3)[0] + 1)
    wait_until(lambda: new.call("SET", key, "x") == "OK", 20, "writes are taken")
    wait_until(lambda: {s.config_epoch(shard) for s in fleet.running()} == {epoch_of(new)}, 20,
               "the epoch is the node's, everywhere")
    leader.boot()
    old.start()
    old.wait_ready()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well(timeout_s=40)
    assert fleet.port_of(shard) == new.port


@case(kinds=OURS, matrix=[("ours",), ("stock",)], sample=1, limit_s=90)
def test_a_supervisor_dies_with_the_master(lab, kind):
    """A master, a supervisor and the only replica of another shard at once: two of three supervisors are enough."""
    fleet = Supervised(lab, ((kind, kind),) * 3)
    shard = fleet.name_of(fleet.masters[0])
    for child in (by_rank(fleet)[0], fleet.masters[0], fleet.replicas[1]):
        child.kill9()
    fleet.wait_switched(shard, fleet.masters[0])
    assert fleet.name_of(fleet.masters[1])


@case(kinds=OURS, limit_s=90)
def test_no_replica(lab):
    """A shard without a replica: nobody is promoted, it is told, and the master takes up where it was when it is
    back. A shard beside it, and a classic group, fail over meanwhile."""
    fleet = Supervised(lab, (("ours",), ("ours", "ours"), ("stock", "stock")),
                       node_options={"appendonly": "yes", "appendfsync": "always"})
    classic = lab.redis("classic").wait_ready()
    copy = lab.redis("copy", replica_of=classic).wait_ready()
    copy.wait_follows(classic.port)
    group = Group(name="classic", port=classic.port, quorum=2)
    for s in fleet.supervisors:
        s.ok("SENTINEL", "MONITOR", group.name, group.host, group.port, group.quorum)
        s.ok("SENTINEL", "SET", group.name, "down-after-milliseconds", 600, "failover-timeout", 5000)
    for s in fleet.supervisors:
        wait_until(lambda x=s: x.knows("classic", 1, 2), 20, "the group is known")
    logs = [lab.events(s) for s in fleet.supervisors]
    lonely = fleet.masters[0]
    shards = [fleet.name_of(n) for n in fleet.masters]
    key = key_in(slot_range(0, 3)[0] + 1)
    lonely.ok("SET", key, "kept")
    for node in (lonely, fleet.masters[1], classic):
        node.kill9()
    fleet.wait_switched(shards[1], fleet.masters[1])
    wait_until(lambda: {s.master_port("classic") for s in fleet.supervisors} == {copy.port}, 20, "the group, too")
    for log in logs:
        log.wait("+odown", shards[0])
    lonely.start()
    lonely.wait_ready()
    for log in logs:
        log.wait("-odown", shards[0])
    wait_until(lambda: lonely.call("GET", key) == "kept", 30, "it serves its slots again")
    assert fleet.port_of(shards[0]) == lonely.port
    assert not any(log.all("+switch-master", shards[0]) for log in logs)


@case(kinds=OURS, matrix=[("ours",), ("stock",)], sample=1, limit_s=180)
def test_again_and_again(lab, kind):
    """The master of one shard is killed or switched, in turns, six times: after each time all agree on one master,
    epochs only rise, and what was acknowledged and replicated is there. The nodes themselves would vote for a switch of
    one shard once in two node timeouts only."""
    fleet = Supervised(lab, ((kind, kind, kind), (kind, kind)), failover_timeout_ms=2000)
    shard = fleet.name_of(fleet.masters[0])
    s = fleet.supervisors[0]
    epoch = s.config_epoch(shard)
    for turn in range(6):
        old = fleet.node(fleet.port_of(shard))
        old.ok("SET", key_in(1, turn), str(turn))
        assert old.ok("WAIT", 1, 5000) >= 1
        if turn % 2 == 0:
            old.kill9()
        else:
            wait_until(lambda: s.call("SENTINEL", "FAILOVER", shard) == "OK", 20, "a switch may begin")
        new = fleet.wait_switched(shard, old)
        if not old.alive():
            old.start()
            old.wait_ready()
        fleet.wait_follows(old, new, 40)
        fleet.wait_well(timeout_s=40)
        fleet.wait_nodes_agree(timeout_s=40)
        assert s.config_epoch(shard) > epoch, (s.config_epoch(shard), epoch)
        epoch = s.config_epoch(shard)
        for n in range(turn + 1):
            wait_until(lambda k=key_in(1, n), m=new, v=str(n): m.ok("GET", k) == v, 20, "write %d is there" % n)


@case(kinds=OURS, limit_s=90)
def test_kill_under_load(lab):
    """Writes acknowledged with WAIT survive a killed master; the shards beside it go on undisturbed."""
    fleet = Supervised(lab)
    load = ShardLoad(fleet, 1)
    try:
        wait_until(lambda: len(load.acked) > 300, 20, "writes flow beside it")
        with fleet.masters[0].connect() as client:
            for n in range(50):
                client.ok("SET", key_in(1, n), n)
            assert client.ok("WAIT", 1, 5000) == 1
        shard = fleet.name_of(fleet.masters[0])
        fleet.masters[0].kill9()
        new = fleet.wait_switched(shard, fleet.masters[0])
        count = len(load.acked)
        wait_until(lambda: len(load.acked) > count + 100, 20, "writes still flow beside it")
    finally:
        load.stop()
    with new.connect() as client:
        assert all(client.ok("GET", key_in(1, n)) == str(n) for n in range(50))
    assert load.lost(fleet.masters[1]) == 0
    print("beside a failover: longest time without an acknowledged write %.0f ms" % load.gap_ms())


@case(kinds=OURS, limit_s=60)
def test_another_cluster_at_its_addresses(lab):
    """A seed that belongs to another cluster, or to none, is not taken for one of ours."""
    fleet = Supervised(lab, (("ours", "ours"),) * 2, supervisors=1)
    s = fleet.supervisors[0]
    before = fleet.seen(s)
    stranger = cluster_node(lab, "ours", "stranger")
    stranger.ok("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    alone = lab.redis("alone").wait_ready()
    fleet.cluster.seeds = (stranger.port, alone.port, fleet.nodes[0].port)
    s.configure([], [fleet.cluster])
    s.ok("SENTINEL", "RELOAD", timeout_s=20)
    stays_true(lambda: fleet.seen(s) == before, 3, "nothing of the other cluster comes in", every_s=0.1)
    fleet.wait_well()
    assert info(stranger)["cluster_known_nodes"] == "1"
    # The two become one cluster: then it is one of ours, as a master of no slots that anybody lacks.
    stranger.ok("CLUSTER", "FLUSHSLOTS")
    meet(fleet.masters[0], [stranger])
    fleet.nodes.append(stranger)
    wait_until(lambda: all(info(n)["cluster_known_nodes"] == "5" for n in fleet.nodes), 20, "all know it")
    wait_until(lambda: stranger.call("CLUSTER", "REPLICATE", my_id(fleet.masters[0])) == "OK", 20, "it may follow")
    fleet.wait_nodes_agree()
    fleet.wait_well()
    assert any(stranger.port in replicas for _, replicas in fleet.seen(s).values())
