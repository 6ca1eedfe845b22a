"""Which replica is promoted: priority, then replication offset, then run id."""
from cases import case
from lab import stays_true, wait_until

QUIET = {"repl_ping_replica_period": "3600"}  # offsets move only by what a test writes
BULK = b"x" * (1 << 20)


def fill_beyond_a_paused_replica(fleet, behind, megabytes=24):
    """Make `behind` lag: while it is stopped the master writes more than the sockets can hold, so that the rest stays
    in the master's memory and dies with it. Returns when the other replicas have everything."""
    fleet.master.ok("SET", "first", "1")  # a replica without any key would lose for that reason
    wait_until(lambda: behind.ok("GET", "first") == "1", 20, "%s has a key" % behind.name)
    behind.pause()
    with fleet.master.connect(timeout_s=20) as client:
        for i in range(megabytes):
            client.ok("SET", "bulk:%d" % i, BULK)
    for replica in fleet.replicas:
        if replica is not behind:
            wait_until(lambda r=replica: r.offset() == fleet.master.offset(), 20, "%s has caught up" % replica.name)


@case(matrix=(("priority",), ("offset",), ("run_id",)), limit_s=150)
def test_right_replica_is_promoted(lab, rule):
    """Of three replicas the right one is promoted; the rules below the deciding one would choose another."""
    slow = {"client_output_buffer_limit": "replica 0 0 0"}
    options = [dict(QUIET) for _ in range(3)]
    if rule == "priority":
        for o, priority in zip(options, (100, 10, 50)):
            o["replica_priority"] = str(priority)
    fleet = lab.fleet(replicas=3, down_after_ms=2000, master_options=dict(QUIET, **slow), replica_options=options)
    wait_until(lambda: all(r.offset() >= fleet.master.offset() > 0 for r in fleet.replicas), 20, "the streams flow")
    by_run_id = sorted(fleet.replicas, key=lambda r: r.run_id())
    if rule == "priority":
        wanted, behind = fleet.replicas[1], fleet.replicas[1]
    elif rule == "offset":
        wanted, behind = by_run_id[1], by_run_id[0]  # the least run id lags, so it must lose
        others = [r for r in fleet.replicas if r not in (wanted, behind)]
        for r in others:  # and a better priority number is not at play: all are equal
            assert r.info("replication")["slave_priority"] == "100"
    else:
        wanted, behind = by_run_id[0], None
    if behind is not None:
        fill_beyond_a_paused_replica(fleet, behind)
    if rule == "offset":
        # The third one gets as much as the wanted one, so between those two the run id decides.
        assert by_run_id[1].run_id() < by_run_id[2].run_id()
    fleet.master.kill9()
    if behind is not None:
        behind.resume()
        wait_until(lambda: behind.offset() < max(r.offset() for r in fleet.replicas), 15, "%s lags" % behind.name)
    new = fleet.wait_switched(fleet.master.port, 40)
    assert new is wanted, "promoted %s, the %s wants %s (run ids in order: %s; offsets %s)" % (
        new.name, rule, wanted.name, [r.name for r in by_run_id], {r.name: r.offset() for r in fleet.replicas})
    fleet.wait_all_follow(new, 40)


@case(limit_s=120)
def test_priority_zero_is_never_promoted(lab):
    """A replica of priority 0 is passed over, even when no other one is there."""
    fleet = lab.fleet(replicas=1, failover_timeout_ms=1500, replica_options=[{"replica_priority": "0"}])
    logs = [lab.events(s) for s in fleet.supervisors]
    assert all(s.replicas()[0]["slave-priority"] == "0" for s in fleet.supervisors)
    fleet.master.kill9()
    for log in logs:
        log.wait("+odown", "master mymaster")
    stays_true(lambda: fleet.replicas[0].role() == "slave", 3.0, "the replica of priority 0 stays a replica", 0.1)
    assert fleet.agreed_port() == fleet.master.port
    assert not any(log.all("+switch-master") for log in logs)
    if lab.kind == "stock":  # ours does not even stand for election without a suitable replica (SAFETY E3)
        # Whose election fails stands again after twice the failover timeout.
        wait_until(lambda: any(log.all("-failover-abort-no-good-slave") for log in logs), 20, "there is no good one")
    # The moment it may be promoted, it is.
    fleet.replicas[0].ok("CONFIG", "SET", "replica-priority", "100")
    fleet.wait_switched(fleet.master.port, 40)


@case(limit_s=90)
def test_dead_replica_is_passed_over(lab):
    """The replica of the best priority is dead: the other one is promoted."""
    fleet = lab.fleet(replica_options=[{"replica_priority": "1"}, {"replica_priority": "100"}])
    fleet.replicas[0].kill9()
    for s in fleet.supervisors:
        wait_until(lambda s=s: any("s_down" in r["flags"] for r in s.replicas()), 20, "%s sees it down" % s.name)
    fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port)
    assert new is fleet.replicas[1]
    fleet.replicas[0].start()
    fleet.replicas[0].wait_ready().wait_follows(new.port)
