"""SENTINEL FAILOVER, plain and COORDINATED."""
import time

from cases import case
from lab import Group, RespError, wait_until
from lab.supervisors import ORDER_TIMERS

# As ORDER_TIMERS, of a replica that is paused: its last answer to PING has to be younger than five periods of this one.
PAUSED_TIMERS = dict(ORDER_TIMERS, **{"ping-period": 1000})


@case()
def test_manual_failover_of_a_healthy_master(lab):
    """No election is needed, everybody follows, the old master becomes a replica."""
    fleet = lab.fleet(down_after_ms=2000, timers=ORDER_TIMERS)
    old = fleet.master
    log = lab.events(fleet.supervisors[1])
    assert fleet.supervisors[1].call("SENTINEL", "FAILOVER", "mymaster") == "OK"
    new = fleet.wait_switched(old.port)
    fleet.wait_all_follow(new)
    fleet.wait_failover_over()
    old.wait_follows(new.port)
    assert not log.all("+odown", "master mymaster"), log.dump()
    assert log.all("+switch-master", "mymaster 127.0.0.1 %d 127.0.0.1 %d" % (old.port, new.port)), log.dump()
    fleet.wait_well()


@case()
def test_manual_failover_works_without_the_other_supervisors(lab):
    """The plain form needs no agreement: it works when the majority is gone."""
    fleet = lab.fleet(timers=ORDER_TIMERS)
    for s in fleet.supervisors[1:]:
        s.kill9()
    assert fleet.supervisors[0].call("SENTINEL", "FAILOVER", "mymaster") == "OK"
    new = fleet.wait_switched(fleet.master.port)
    fleet.wait_all_follow(new)
    # The others learn it when they are back, and nobody goes back to the old one.
    for s in fleet.supervisors[1:]:
        s.boot()
    wait_until(lambda: fleet.agreed_port() == new.port, 20, "the restarted supervisors adopt the new master")


@case()
def test_failover_in_progress_is_refused(lab):
    """A second FAILOVER while one runs: -INPROG. It is kept running by a replica that does not answer."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=30000, failover_timeout_ms=4000,
                      timers=PAUSED_TIMERS)
    s = fleet.supervisors[0]
    fleet.replicas[0].pause()
    assert s.call("SENTINEL", "FAILOVER", "mymaster") == "OK"
    with s.connect() as client:
        assert client.call_raw("SENTINEL", "FAILOVER", "mymaster") == b"-INPROG Failover already in progress\r\n"
    fleet.replicas[0].resume()
    fleet.wait_switched(fleet.master.port)


@case()
def test_failover_without_a_replica_is_refused(lab):
    """No replica, or none that may be promoted: -NOGOODSLAVE, and nothing changes."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=30000,
                      replica_options=[{"replica_priority": "0"}])
    empty = lab.redis("lonely").wait_ready()
    s = fleet.supervisors[0]
    s.ok("SENTINEL", "MONITOR", "lonely", "127.0.0.1", empty.port, "1")
    wait_until(lambda: s.flags("lonely") == ["master"], 10, "the master without replicas is watched")
    for name in ("mymaster", "lonely"):
        with s.connect() as client:
            reply = client.call_raw("SENTINEL", "FAILOVER", name)
            assert reply == b"-NOGOODSLAVE No suitable replica to promote\r\n", (name, reply)
    with s.connect() as client:
        assert client.call_raw("SENTINEL", "FAILOVER", "nobody") == b"-ERR No such master with that name\r\n"
    assert s.master_port() == fleet.master.port and s.config_epoch() == 0


def wait_coordinated(fleet, old_port, timeout_s=25):
    new = fleet.wait_switched(old_port, timeout_s)
    fleet.wait_failover_over()
    return new


@case(kinds=("ours",), limit_s=90)
def test_coordinated_failover_loses_no_acknowledged_write(lab):
    """Under a write load, several switches in a row: every acknowledged write is on the master at the end, and writes
    were never paused for long."""
    fleet = lab.fleet(down_after_ms=2000, failover_timeout_ms=4000, timers=ORDER_TIMERS)
    writers = [lab.writer(fleet.supervisors, prefix="w%d" % i).start() for i in range(3)]
    wait_until(lambda: all(len(w.acked) > 200 for w in writers), 15, "the writers have begun")
    for round_number in range(3):
        old = fleet.server(fleet.agreed_port())
        s = fleet.supervisors[round_number % 3]
        assert s.call("SENTINEL", "FAILOVER", "mymaster", "COORDINATED") == "OK"
        new = wait_coordinated(fleet, old.port)
        counts = [len(w.acked) for w in writers]
        wait_until(lambda: all(len(w.acked) > n + 100 for w, n in zip(writers, counts)), 15, "writes go on")
        fleet.wait_all_follow(new)
        fleet.wait_well()
    for w in writers:
        w.stop()
    master = fleet.server(fleet.agreed_port())
    for w in writers:
        lost = w.lost(master)
        assert not lost, "%d of %d acknowledged writes are lost: %s ..." % (len(lost), len(w.acked), lost[:10])
        assert w.longest_gap_s() < 3.0, "writes were paused for %.1f s" % w.longest_gap_s()


@case(kinds=("ours",), limit_s=90)
def test_coordinated_failover_that_cannot_be_done_is_undone(lab):
    """The replica is silent: the switch is given up in time, the old master takes writes again, nothing is lost."""
    fleet = lab.fleet(replicas=1, down_after_ms=30000, failover_timeout_ms=2000, timers=ORDER_TIMERS)
    writer = lab.writer(fleet.supervisors).start()
    wait_until(lambda: len(writer.acked) > 100, 15, "the writer has begun")
    fleet.replicas[0].pause()
    reply = fleet.supervisors[0].call("SENTINEL", "FAILOVER", "mymaster", "COORDINATED")
    asked = time.monotonic()
    if not isinstance(reply, RespError):
        assert reply == "OK"
    else:
        assert str(reply).startswith("NOGOODSLAVE"), reply

    def writes_go_on():
        return writer.acked[-1][1] > asked + 4.0
    wait_until(writes_go_on, 20, "the old master takes writes again")
    assert fleet.agreed_port() == fleet.master.port
    assert fleet.master.role() == "master"
    wait_until(lambda: fleet.supervisors[0].master().get("failover-state", "none") == "none", 15, "it was given up")
    fleet.replicas[0].resume()
    writer.stop()
    assert not writer.lost(fleet.master)
    # And it works once the replica is well.
    fleet.wait_well()
    wait_until(lambda: fleet.supervisors[0].call("SENTINEL", "FAILOVER", "mymaster", "COORDINATED") == "OK", 20,
               "a second attempt is taken", 0.3)
    new = wait_coordinated(fleet, fleet.master.port)
    assert not writer.lost(new)


@case(kinds=("ours",))
def test_coordinated_failover_errors(lab):
    """Unknown group, no replica, and an unknown word."""
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)])
    with s.connect() as client:
        assert client.call_raw("SENTINEL", "FAILOVER", "nobody", "COORDINATED") == \
            b"-ERR No such master with that name\r\n"
        wait_until(lambda: s.flags() == ["master"], 10, "the master is watched")
        assert str(client.call("SENTINEL", "FAILOVER", "mymaster", "COORDINATED")).startswith("NOGOODSLAVE")
        assert isinstance(client.call("SENTINEL", "FAILOVER", "mymaster", "QUICKLY"), RespError)
        assert client.call("PING") == "PONG"
