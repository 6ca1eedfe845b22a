"""Who watches: declared supervisors, stalled supervisors, and nodes that are known by name."""
import time

from cases import case
from lab import Group, Resp, stays_true, wait_until


def declared_fleet(lab, count=3, **kwargs):
    """A fleet of ours whose supervisors are declared in the configuration."""
    ports = [lab.ports.take() for _ in range(count)]
    line = "supervisors = [ %s ];" % ", ".join('"127.0.0.1:%d"' % p for p in ports)
    fleet = lab.fleet(supervisors=0, wait=False, **kwargs)
    fleet.supervisors = [lab.supervisor("sentinel%d" % i, [fleet.group], port=port, extra=[line])
                         for i, port in enumerate(ports)]
    return fleet.wait_well()


@case(kinds=("ours",))
def test_declared_supervisors(lab):
    """They know each other from the list, fail over, and do not take an undeclared one for a voter."""
    fleet = declared_fleet(lab)
    hello = "127.0.0.1,%d,%s,0,mymaster,127.0.0.1,%d,0" % (lab.ports.take(), "f" * 40, fleet.master.port)
    wait_until(lambda: fleet.master.ok("PUBLISH", "__sentinel__:hello", hello) >= 3, 20, "all three hear it")
    stays_true(lambda: all(s.master()["num-other-sentinels"] == "2" for s in fleet.supervisors), 1.0,
               "an undeclared supervisor is not counted", 0.1)
    fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port)
    fleet.wait_all_follow(new)


@case(kinds=("ours",))
def test_declared_majority_counts_the_absent(lab):
    """Two of three declared ones were never started: the third alone is no majority, whatever its quorum is."""
    ports = [lab.ports.take() for _ in range(3)]
    line = "supervisors = [ %s ];" % ", ".join('"127.0.0.1:%d"' % p for p in ports)
    fleet = lab.fleet(supervisors=0, replicas=1, quorum=1, wait=False)
    s = lab.supervisor("sentinel0", [fleet.group], port=ports[0], extra=[line])
    fleet.supervisors = [s]
    wait_until(lambda: s.master()["num-slaves"] == "1", 10, "the replica is known")
    fleet.master.kill9()
    wait_until(lambda: "s_down" in s.flags(), 10, "the master is S_DOWN")
    stays_true(lambda: fleet.replicas[0].role() == "slave" and s.master_port() == fleet.master.port, 3.0,
               "one of three does not fail over", 0.1)


@case(kinds=("ours",))
def test_not_on_the_list_refuses_to_start(lab):
    master = lab.redis("master").wait_ready()
    line = 'supervisors = [ "127.0.0.1:%d" ];' % lab.ports.take()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)], extra=[line], boot=False)
    s.start()
    assert s.proc.wait(10) == 2, s.log()
    assert "supervisors" in s.log() and str(s.port) in s.log(), s.log()


@case(kinds=("ours",))
def test_stalled_supervisors_see_nothing_down(lab):
    """Stopped for several times down-after, with everybody else alive: the silence was their own. Nothing is S_DOWN
    when they go on, and a master that dies then is replaced as usual."""
    fleet = lab.fleet(down_after_ms=700)
    logs = [lab.events(s) for s in fleet.supervisors]
    for _ in range(3):
        for s in fleet.supervisors:
            s.pause()
        time.sleep(1.6)  # this is the fault itself, not a wait for something
        for s in fleet.supervisors:
            s.resume()
        stays_true(lambda: fleet.agreed_port() == fleet.master.port, 0.5, "the master stays", 0.05)
    for log in logs:
        assert not log.all("+sdown", "master mymaster") and not log.all("+odown"), log.dump()
    fleet.master.kill9()
    fleet.wait_switched(fleet.master.port)


@case()
def test_stalled_supervisor_adopts_what_happened(lab):
    """A supervisor that was stopped during the failover wakes up with its old view: it starts nothing and follows."""
    fleet = lab.fleet(failover_timeout_ms=3000)
    asleep = fleet.supervisors[2]
    log = lab.events(asleep)
    asleep.pause()
    fleet.master.kill9()
    awake = fleet.supervisors[:2]
    new = fleet.wait_switched(fleet.master.port, supervisors=awake)
    epoch = awake[0].config_epoch()
    asleep.resume()
    wait_until(lambda: asleep.master_port() == new.port and asleep.config_epoch() == epoch, 45, "it follows the others")
    assert not log.all("+promoted-slave"), log.dump()
    assert fleet.agreed_port() == new.port


@case()
def test_master_by_name(lab):
    """resolve-hostnames: a group is declared by name; clients are told addresses, and a failover works."""
    extra = ["sentinel resolve-hostnames yes"] if lab.kind == "stock" else ["resolve_hostnames = true;"]
    both = {"bind": "127.0.0.1 -::1"}  # localhost may be either
    fleet = lab.fleet(replicas=1, supervisors=0, wait=False, master_options=both, replica_options=[both])
    group = Group(host="localhost", port=fleet.master.port, down_after_ms=600, failover_timeout_ms=5000)
    if lab.kind == "stock":  # there the directive must come before the group that needs it
        fleet.supervisors = [lab.supervisor("sentinel%d" % i, [], extra=extra) for i in range(3)]
        for s in fleet.supervisors:
            s.ok("SENTINEL", "MONITOR", "mymaster", "localhost", fleet.master.port, "2")
            s.ok("SENTINEL", "SET", "mymaster", "down-after-milliseconds", "600", "failover-timeout", "5000")
    else:
        fleet.supervisors = [lab.supervisor("sentinel%d" % i, [group], extra=extra) for i in range(3)]
    fleet.wait_well()
    addr = fleet.supervisors[0].ok("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
    assert addr[0] in ("127.0.0.1", "::1") and addr[1] == str(fleet.master.port), addr
    fleet.master.kill9()
    fleet.wait_switched(fleet.master.port)


@case(kinds=("ours",), quiet=True)
def test_names_that_do_not_resolve_stall_nothing(lab):
    """Lookups that fail or take long are made beside the loop: PING is answered at once, and the good group works."""
    master = lab.redis("master").wait_ready()
    groups = [Group(port=master.port, quorum=1)]
    groups += [Group(name="lost%d" % i, host="no-such-host-%d.invalid" % i, port=6379, quorum=1) for i in range(8)]
    s = lab.supervisor("sentinel0", groups, extra=["resolve_hostnames = true;"])
    wait_until(lambda: "disconnected" not in s.flags("mymaster") and s.flags("mymaster") == ["master"], 10,
               "the group with an address is watched")
    worst, deadline = 0.0, time.monotonic() + 3
    with Resp(s.port) as client:
        while time.monotonic() < deadline:
            asked = time.monotonic()
            assert client.call("PING") == "PONG"
            worst = max(worst, time.monotonic() - asked)
            time.sleep(0.005)
    # A lookup that gets no answer takes seconds; this process or that one may stand still for half of one.
    assert worst < 1.0, "PING took %.0f ms" % (worst * 1000)
    for i in range(8):
        wait_until(lambda i=i: "s_down" in s.flags("lost%d" % i), 10, "lost%d is S_DOWN" % i)


@case()
def test_supervisor_that_moved_to_another_port(lab):
    """The same identity at a new address: the others follow it there and count it once."""
    fleet = lab.fleet(replicas=1)
    moved, other = fleet.supervisors[2], fleet.supervisors[0]
    log = lab.events(other)
    identity, old_port = moved.my_id(), moved.port
    moved.terminate()
    with open(moved.conf_path, encoding="utf-8") as f:
        text = f.read()
    moved.port = lab.ports.take()
    with open(moved.conf_path, "w", encoding="utf-8") as f:
        f.write(text.replace("port %d\n" % old_port, "port %d\n" % moved.port)
                .replace("127.0.0.1:%d" % old_port, "127.0.0.1:%d" % moved.port))
    moved.boot()
    assert moved.my_id() == identity
    wait_until(lambda: str(moved.port) in [p["port"] for p in other.sentinels()], 15, "the new address is known")
    told = log.wait("+sentinel-address-switch").payload
    assert told == "master mymaster 127.0.0.1 %d ip 127.0.0.1 port %d for %s" % (
        fleet.master.port, moved.port, identity)
    fleet.wait_well()
    fleet.master.kill9()
    fleet.wait_switched(fleet.master.port)
