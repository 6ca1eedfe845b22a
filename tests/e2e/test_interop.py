"""Stock redis-sentinel and sentineld in one quorum."""
import subprocess

from cases import case
from lab import wait_until
from lab.servers import wait_streams
from lab.supervisors import ORDER_TIMERS, Sentineld, nodectl_path

MIXES = {"2+1": ["stock", "stock", "ours"], "1+2": ["stock", "ours", "ours"]}


def only_this_one_leads(fleet, leader):
    """Let only one supervisor find the master down in time: it is alone with a short down-after and a quorum of 1, so
    it reaches O_DOWN and stands; the others only vote. A majority of votes is needed all the same."""
    for s in fleet.supervisors:
        s.ok("SENTINEL", "SET", fleet.name, "quorum", "1",
             "down-after-milliseconds", str(fleet.down_after_ms if s is leader else 600000))


def level_again(fleet):
    for s in fleet.supervisors:
        s.ok("SENTINEL", "SET", fleet.name, "quorum", "2", "down-after-milliseconds", str(fleet.down_after_ms))


def assert_converged(fleet, new):
    """All name the same master at the same config epoch, and the old master is again a replica."""
    wait_until(lambda: fleet.agreed_port() == new.port, 20, "all supervisors name port %d" % new.port)
    wait_until(lambda: len({s.config_epoch(fleet.name) for s in fleet.supervisors}) == 1, 20, "one config epoch")
    for server in fleet.servers:
        if not server.alive():
            server.start()
            server.wait_ready()
    fleet.wait_all_follow(new, 40)
    fleet.wait_failover_over(40)
    fleet.wait_well(timeout_s=30)


@case(kinds=("ours",), matrix=(("2+1", "stock"), ("2+1", "ours"), ("1+2", "stock"), ("1+2", "ours")), limit_s=120)
def test_either_kind_leads(lab, mix, leading):
    """The chosen kind is elected by votes of the other kind, and all take over its configuration."""
    fleet = lab.fleet(kinds=MIXES[mix], failover_timeout_ms=6000)
    leader = next(s for s in fleet.supervisors if s.kind == leading)
    log = lab.events(leader)
    only_this_one_leads(fleet, leader)
    fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port, 40)
    log.wait("+elected-leader")
    log.wait("+switch-master")
    level_again(fleet)
    assert_converged(fleet, new)
    votes = {(s.name, p["voted-leader-epoch"], p["voted-leader"]) for s in fleet.supervisors for p in s.sentinels()}
    print("votes known afterwards: %s" % sorted(votes))


@case(kinds=("ours",), matrix=(("2+1",), ("1+2",)), limit_s=120)
def test_failovers_in_a_row(lab, mix):
    """Whoever leads: three failovers, each at a higher epoch, all agree after each."""
    fleet = lab.fleet(kinds=MIXES[mix], failover_timeout_ms=3000)
    master, epoch = fleet.master, 0
    for _ in range(3):
        master.kill9()
        master = fleet.wait_switched(master.port, 45)
        assert_converged(fleet, master)
        assert fleet.supervisors[0].config_epoch() > epoch
        epoch = fleet.supervisors[0].config_epoch()


@case(kinds=("ours",), matrix=(("2+1", "stock"), ("2+1", "ours"), ("1+2", "stock"), ("1+2", "ours")), sample=2,
      limit_s=120)
def test_manual_failover_at_either_kind(lab, mix, asked):
    """SENTINEL FAILOVER at one kind; the other kind follows its configuration."""
    fleet = lab.fleet(kinds=MIXES[mix], failover_timeout_ms=6000, timers=ORDER_TIMERS)
    s = next(x for x in fleet.supervisors if x.kind == asked)
    assert s.call("SENTINEL", "FAILOVER", "mymaster") == "OK"
    new = fleet.wait_switched(fleet.master.port, 40)
    assert_converged(fleet, new)


@case(kinds=("ours",), matrix=(("stock",), ("ours",)), limit_s=90)
def test_late_one_of_either_kind_learns(lab, late_kind):
    """One supervisor is down during the failover; it learns the new master from the other kind when it is back."""
    fleet = lab.fleet(kinds=["stock", "ours", late_kind], failover_timeout_ms=6000)
    late = fleet.supervisors[2]
    late.kill9()
    fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port, 40)
    late.boot()
    assert_converged(fleet, new)


@case(kinds=("ours",))
def test_kinds_see_each_other_alike(lab):
    """What stock shows of our peer and what ours shows of the stock one: same fields, healthy, addresses and ids right;
    CKQUORUM agrees."""
    fleet = lab.fleet(kinds=["stock", "ours"], replicas=1, replica_options=[{"replica_priority": "0"}],
                      down_after_ms=2000)  # a node that is S_DOWN for a moment has fields more
    stock, ours = fleet.supervisors
    seen, own = stock.sentinels()[0], ours.sentinels()[0]
    assert (seen["runid"], seen["port"]) == (ours.my_id(), str(ours.port))
    assert (own["runid"], own["port"]) == (stock.my_id(), str(stock.port))
    assert list(own)[:len(seen)] == list(seen)
    assert stock.ok("SENTINEL", "CKQUORUM", "mymaster") == ours.ok("SENTINEL", "CKQUORUM", "mymaster")
    for one, two in ((stock.master(), ours.master()), (stock.replicas()[0], ours.replicas()[0])):
        assert list(two)[:len(one)] == list(one)
    fleet.master.pause()
    for s in fleet.supervisors:
        wait_until(lambda s=s: "o_down" in s.flags(), 15, "%s reaches O_DOWN by the other kind's answer" % s.name)
    fleet.master.resume()


def after_each_step(fleet):
    """A failover must work at this point; afterwards all is level again."""
    master = fleet.server(fleet.agreed_port())
    master.kill9()
    new = fleet.wait_switched(master.port, 45)
    assert_converged(fleet, new)


@case(kinds=("ours",), limit_s=240)
def test_rolling_replacement_with_new_identities(lab):
    """Three stock are replaced by three of ours, one by one, each with a new id and port; the others are told to forget
    the old one by RESET. A failover after each step."""
    # Whoever stands still for a second is not taken for dead: no failover but those of this test.
    fleet = lab.fleet(kinds=["stock"] * 3, failover_timeout_ms=3000, down_after_ms=2000)
    for n in range(3):
        fleet.supervisors[n].terminate()
        fleet.group.port = fleet.agreed_port()
        master = fleet.server(fleet.agreed_port())
        wait_streams(master, fleet.others(master))
        fleet.supervisors[n] = lab.supervisor("ours%d" % n, [fleet.group], kind="ours")
        for s in fleet.supervisors:
            if s is not fleet.supervisors[n]:
                s.ok("SENTINEL", "RESET", "*")
                fleet.wait_well(timeout_s=30, supervisors=[s], peers=2)
        fleet.wait_well(timeout_s=30)
        after_each_step(fleet)
    assert [s.kind for s in fleet.supervisors] == ["ours"] * 3


def converted(lab, stock, name):
    """A sentineld with the identity, port and knowledge of a stock sentinel, by `nodectl config convert`."""
    done = subprocess.run([nodectl_path(), "config", "convert", stock.conf_path],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done
    made = Sentineld(lab.path(name), name, stock.port)
    made.write_config(done.stdout)
    lab.children.append(made)
    return made


@case(kinds=("ours",), limit_s=240)
def test_rolling_replacement_with_converted_configuration(lab):
    """Three stock are replaced on the spot by three of ours that carry their ids, epochs and knowledge. Nobody has to
    forget anybody. A failover after each step; ids and epochs go on."""
    fleet = lab.fleet(kinds=["stock"] * 3, failover_timeout_ms=3000)
    after_each_step(fleet)
    for n in range(3):
        old = fleet.supervisors[n]
        identity, epoch = old.my_id(), old.config_epoch()
        old.ok("SENTINEL", "FLUSHCONFIG")
        old.terminate()
        fleet.supervisors[n] = converted(lab, old, "ours%d" % n)
        fleet.supervisors[n].boot()
        assert fleet.supervisors[n].my_id() == identity and fleet.supervisors[n].config_epoch() == epoch
        fleet.wait_well(timeout_s=30)
        after_each_step(fleet)
    assert all(s.master()["num-other-sentinels"] == "2" for s in fleet.supervisors)
