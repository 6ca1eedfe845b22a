"""Nodes that are not what the configuration says: reborn masters, returning masters, replicas of the wrong master."""
from cases import case
from lab import encode, stays_true, wait_until

# A server that lets no replica synchronize with it: what a resync that takes long looks like from outside.
NO_SYNC = ["--rename-command", "PSYNC", "psync-off", "--rename-command", "SYNC", "sync-off"]


def reborn_empty(fleet):
    """Kill the master, which has no persistence, and start it again at once: empty, with a new run id. Its replicas do
    not get to synchronize with it, so that the test does not depend on who is first."""
    fleet.master.ok("SET", "precious", "1")
    for replica in fleet.replicas:
        wait_until(lambda r=replica: r.ok("GET", "precious") == "1", 15, "%s has the data" % replica.name)
    # The supervisors must have seen that the master held data: INFO comes every 150 ms here.
    for s in fleet.supervisors:
        wait_until(lambda s=s: "keys=" in str(s.ok("SENTINEL", "INFO-CACHE", "mymaster")), 15, "%s saw keys" % s.name)
    fleet.master.kill9()
    fleet.master.argv += NO_SYNC
    fleet.master.start()
    fleet.master.wait_ready()


@case(kinds=("ours",))
def test_master_reborn_empty_is_replaced(lab):
    """It counts as down at once, long before down-after, and the data of its replicas survives."""
    fleet = lab.fleet(down_after_ms=30000)
    logs = [lab.events(s) for s in fleet.supervisors]
    reborn_empty(fleet)
    new = fleet.wait_switched(fleet.master.port, 20)
    assert new.ok("GET", "precious") == "1", "the data is gone"
    assert any(log.all("+reboot") for log in logs)
    fleet.wait_all_follow(new)
    assert fleet.master.ok("GET", "precious") == "1", "the old master got the data back"


@case(kinds=("ours",))
def test_master_reborn_empty_may_be_followed(lab):
    """reborn_empty = "follow": a cache goes on with the empty master."""
    fleet = lab.fleet(down_after_ms=30000, group={"reborn_empty": "follow"})
    logs = [lab.events(s) for s in fleet.supervisors]
    reborn_empty(fleet)
    for log in logs:
        log.wait("+reboot")
    stays_true(lambda: fleet.agreed_port() == fleet.master.port, 2.0, "the reborn master stays the master", 0.1)
    assert not any(log.all("+switch-master") or log.all("+try-failover") for log in logs)


@case()
def test_restarted_master_with_its_data_stays(lab):
    """A new run id alone is no reason: the master loaded its data from disk."""
    fleet = lab.fleet(down_after_ms=30000, master_options={"appendonly": "yes", "appendfsync": "always"})
    fleet.master.ok("SET", "precious", "1")
    logs = [lab.events(s) for s in fleet.supervisors]
    fleet.master.kill9()
    fleet.master.start()
    fleet.master.wait_ready()
    for log in logs:
        log.wait("+reboot", "master mymaster")
    fleet.wait_well()
    assert fleet.agreed_port() == fleet.master.port and fleet.supervisors[0].config_epoch() == 0
    for replica in fleet.replicas:
        replica.wait_follows(fleet.master.port)
        wait_until(lambda r=replica: r.ok("GET", "precious") == "1", 20, "%s has the data" % replica.name)


@case()
def test_returning_master_is_demoted_while_the_new_one_is_busy(lab):
    """The old master is back with writes of its own that the fleet never saw: it is made a replica."""
    fleet = lab.fleet(replicas=1)
    old = fleet.master
    old.kill9()
    new = fleet.wait_switched(old.port)
    fleet.wait_failover_over()
    new.ok("SET", "truth", "new")
    old.start()
    old.wait_ready()
    written = old.call("SET", "truth", "old")  # unless it has been made a replica by then
    assert written == "OK" or str(written).startswith("READONLY"), written
    old.wait_follows(new.port)
    wait_until(lambda: old.ok("GET", "truth") == "new", 15, "the old master has the data of the new one")
    assert fleet.agreed_port() == new.port


@case(limit_s=120)
def test_replica_of_the_wrong_master_is_corrected(lab):
    """+fix-slave-config, after the wait that the failover timeout gives."""
    fleet = lab.fleet(failover_timeout_ms=1500)
    stranger = lab.redis("stranger").wait_ready()
    logs = [lab.events(s) for s in fleet.supervisors]
    lost = fleet.replicas[0]
    lost.ok("REPLICAOF", "127.0.0.1", stranger.port)
    wait_until(lambda: any(log.all("+fix-slave-config", "127.0.0.1:%d" % lost.port) for log in logs), 30,
               "somebody tells it whom to follow")
    lost.wait_follows(fleet.master.port, 30)
    fleet.wait_well(timeout_s=30)


@case(limit_s=120)
def test_replica_that_was_made_a_master_is_demoted(lab):
    """REPLICAOF NO ONE by hand: +convert-to-slave."""
    fleet = lab.fleet()
    logs = [lab.events(s) for s in fleet.supervisors]
    odd = fleet.replicas[1]
    with odd.connect() as client:  # at once: a moment later it may be a replica again
        client.send_raw(encode("REPLICAOF", "NO", "ONE") + encode("ROLE"))
        assert client.read() == "OK" and client.read()[0] == "master"
    odd.wait_follows(fleet.master.port, 30)
    wait_until(lambda: any(log.all("+convert-to-slave", "127.0.0.1:%d" % odd.port) for log in logs), 20,
               "whoever has told it says so")
    assert fleet.agreed_port() == fleet.master.port


@case(limit_s=120)
def test_master_turned_replica_is_down(lab):
    """The master says that it is a replica: S_DOWN after a while, then another one is promoted."""
    fleet = lab.fleet(replicas=2, down_after_ms=600, timers={
        "info-period": 200, "ping-period": 250, "ask-period": 100, "publish-period": 500})
    fleet.master.ok("REPLICAOF", "127.0.0.1", fleet.replicas[0].port)
    new = fleet.wait_switched(fleet.master.port, 45)
    fleet.wait_all_follow(new, 40)


@case()
def test_new_replica_is_found(lab):
    """A replica that joins later is known to all, and can be promoted."""
    fleet = lab.fleet(replicas=1, replica_options=[{"replica_priority": "0"}])
    late = lab.redis("late", replica_of=fleet.master).wait_ready().wait_follows(fleet.master.port)
    fleet.servers.append(late)
    fleet.replicas.append(late)
    fleet.wait_well(replicas=2)
    fleet.master.kill9()
    assert fleet.wait_switched(fleet.master.port) is late


@case(limit_s=120)
def test_busy_master_gets_script_kill(lab):
    """A master that is busy in a script for longer than down-after is helped by SCRIPT KILL. It says so as long as the
    master is busy: in a script that has written, and so cannot be killed, that is for ever."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=2, down_after_ms=600)
    s = fleet.supervisors[0]
    fleet.master.ok("CONFIG", "SET", "busy-reply-threshold", "100")
    with fleet.master.connect(timeout_s=40) as client:
        client.send_raw(encode("EVAL", "while true do end", "0"))
        killed = client.read(30)
        assert "killed by user" in str(killed), killed
        wait_until(lambda: s.flags() == ["master"], 20, "the master is well again")
        client.send_raw(encode("EVAL", "redis.call('SET', 'a', 'b') while true do end", "0"))
        wait_until(lambda: "script_kill_sent" in s.flags(), 20, "SCRIPT KILL was sent to the busy master")
        assert "UNKILLABLE" in str(fleet.master.call("SCRIPT", "KILL"))
        fleet.master.kill9()
