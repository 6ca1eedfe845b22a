"""Supervisors that die, come back and forget while they hold the leases of a shard, at each phase of a promotion."""
import math
import time

from cases import case
from lab import wait_until
from lab.resp import Resp, RespError
from lab.supervised import Supervised, epoch_of
from lab.two_sides import TwoSides

OURS = ("ours",)
ASYNC_S = 0.8  # what the master acknowledged so shortly before its death its replica, half a second late, may not have
CRASHED = 99


def one_shard(lab, replicas=1, **options):
    fleet = Supervised(lab, shards=(("ours",) * (1 + replicas),), declared=True, **options)
    wait_leased(fleet.masters[0])
    sides = TwoSides(lab, fleet.nodes, connect=lambda node: Resp(node.port, timeout_s=20))
    wait_until(lambda: len(sides.of(fleet.masters[0])) > 100, 20, "writes flow")
    return fleet, sides


def lease_ms(node):
    text = node.ok("CLUSTER", "INFO")
    return int(dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)["cluster_lease_ms"])


def wait_leased(node, timeout_s=20):
    wait_until(lambda: lease_ms(node) > 0, timeout_s, "%s is leased" % node.name)


def wait_taken(sides, node, count=100, timeout_s=20):
    since = time.monotonic()
    wait_until(lambda: len(sides.of(node, since)) > count, timeout_s, "%s takes writes" % node.name)


def crash_next(supervisors, phase):
    """Whoever leads next ends by itself when it gets so far."""
    for s in supervisors:
        assert s.ok("SENTINEL", "SIMULATE-FAILURE", phase) == "OK"


def wait_crashed(supervisors):
    ended = wait_until(lambda: [s for s in supervisors if not s.alive()], 40, "the leader ends by itself")[0]
    assert ended.proc.returncode == CRASHED, ended.proc.returncode
    return ended


def start_anew(supervisors):
    """Only so they lose the order to end; what they have voted is in their state."""
    for s in supervisors:
        if s.alive():
            s.kill9()
    for s in supervisors:
        s.start()
    for s in supervisors:
        s.wait_ready()


def grants_of(node):
    text = node.ok("CLUSTER", "INFO")
    return int(dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)["cluster_lease_grants"])


@case(kinds=OURS, limit_s=120, matrix=[("crash-after-election",), ("crash-after-promotion",)])
def test_leader_dies(lab, phase):
    """With the votes in its hands, or with the promotion sent and its answer read: another one goes on, whatever of it
    has come through."""
    fleet, sides = one_shard(lab)
    old, new = fleet.nodes
    shard = fleet.name_of(old)
    crash_next(fleet.supervisors, phase)
    killed = old.kill9()
    dead = time.monotonic()  # what was sent since the killing began may have been taken before it came
    leader = wait_crashed(fleet.supervisors)
    start_anew([s for s in fleet.supervisors if s is not leader])
    assert fleet.wait_switched(shard, old, 30) is new
    wait_taken(sides, new)
    leader.boot()
    old.start()
    old.wait_ready()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well()
    wait_taken(sides, new)
    sides.stop()
    sides.check(new, lost_since=killed - ASYNC_S)
    assert not sides.of(old, dead)


@case(kinds=OURS, limit_s=120)
def test_all_leaders_die(lab):
    """Two in a row win and end; both are back, and somebody gets through."""
    fleet, sides = one_shard(lab)
    old, new = fleet.nodes
    shard = fleet.name_of(old)
    crash_next(fleet.supervisors, "crash-after-election")
    killed = old.kill9()
    first = wait_crashed(fleet.supervisors)
    wait_crashed([s for s in fleet.supervisors if s is not first])
    start_anew(fleet.supervisors)
    assert fleet.wait_switched(shard, old, 30) is new
    wait_taken(sides, new)
    sides.stop()
    sides.check(new, lost_since=killed - ASYNC_S)


@case(kinds=OURS, limit_s=120, matrix=[(False,), (True,)])
def test_all_restarted_at_once(lab, wiped):
    """kill -9 of all three, one of them loses its state directory: the same master is leased again, at its epoch, and
    writes were not taken for longer than the leases that were out."""
    fleet, sides = one_shard(lab)
    master = fleet.masters[0]
    epoch = epoch_of(master)
    for s in fleet.supervisors:
        s.kill9()
    ended = time.monotonic()
    wait_until(lambda: lease_ms(master) == 0, 20, "the leases end")
    if wiped:
        fleet.supervisors[1].forget_state()
    assert not sides.of(master, ended + 0.5), "taken without a lease"
    for s in fleet.supervisors:
        s.start()
    for s in fleet.supervisors:
        s.wait_ready()
    started = time.monotonic()
    wait_taken(sides, master)
    print("started to first write %.0f ms" % ((sides.of(master, started)[0].acked - started) * 1000))
    fleet.wait_well()
    assert epoch_of(master) == epoch
    sides.stop()
    assert sides.check(master, switches=0) == 0
    assert not sides.of(fleet.replicas[0])


@case(kinds=OURS, limit_s=120)
def test_one_wiped_while_it_leases(lab):
    """One of three restarts without its state: the others carry the lease, no write is refused, and it joins in."""
    fleet, sides = one_shard(lab, down_after_ms=3000)
    master = fleet.masters[0]
    refused = sides.refused[master]
    for s in fleet.supervisors:
        wait_until(lambda: grants_of(master) == 3, 20, "all three grant")
        s.kill9()
        wait_until(lambda: grants_of(master) == 2, 20, "its grant ends")
        s.forget_state()
        s.boot()
    wait_until(lambda: grants_of(master) == 3, 20, "all three grant again")
    assert sides.refused[master] == refused, "writes were refused"
    sides.stop()
    assert sides.check(master, switches=0) == 0


@case(kinds=OURS, limit_s=120)
def test_two_die_while_the_master_is_down(lab):
    """Nothing is promoted without a majority; with one again the replica is, and no vote from before stands in its
    way."""
    fleet, sides = one_shard(lab)
    old, new = fleet.nodes
    shard = fleet.name_of(old)
    for s in fleet.supervisors[:2]:
        s.kill9()
    killed = old.kill9()
    wait_until(lambda: "s_down" in fleet.supervisors[2].flags(shard), 20, "the one that is left sees it down")
    assert isinstance(new.call("SET", "x", "1"), RespError)
    assert new.info("replication")["role"] == "slave"
    fleet.supervisors[0].boot()
    assert fleet.wait_switched(shard, old, 30) is new
    wait_taken(sides, new)
    sides.stop()
    sides.check(new, lost_since=killed - ASYNC_S)


@case(kinds=OURS, limit_s=120)
def test_leader_of_a_planned_switch_dies(lab):
    """The master may have given its lease back already: it gets it again by a ballot, or the replica is promoted.
    Writes go on within seconds, and none that was acknowledged is gone."""
    fleet, sides = one_shard(lab)
    shard = fleet.name_of(fleet.masters[0])
    switches = 0
    for turn in range(3):
        leader = fleet.supervisors[turn]
        before = fleet.node(fleet.port_of(shard))
        log = lab.events(leader)
        leader.begin_failover(shard)
        log.wait("+elected-leader")
        leader.kill9()
        died = time.monotonic()
        wait_until(lambda: any(t.sent > died for t in list(sides.taken)[-50:]), 20, "writes go on")
        first = min(t.acked for t in sides.taken if t.sent > died)
        print("leader dead to next write %.0f ms" % ((first - died) * 1000))
        leader.boot()
        fleet.wait_well(timeout_s=40)
        switches += fleet.node(fleet.port_of(shard)) is not before
        wait_taken(sides, fleet.node(fleet.port_of(shard)))
    sides.stop()
    assert sides.check(fleet.node(fleet.port_of(shard)), switches=switches) == 0


def longest_pause(sides, since):
    """Seconds between two writes that were taken one after the other."""
    acked = sorted(t.acked for t in list(sides.taken) if t.acked >= since)
    return max((b - a, a - since) for a, b in zip(acked, acked[1:]))


def bring_back(fleet, old, new):
    """The old master, as a replica of the new one."""
    if not old.alive():
        old.start()
        old.wait_ready()
    fleet.wait_follows(old, new, 40)
    fleet.wait_well(timeout_s=40)


@case(kinds=OURS, limit_s=180)
def test_votes_for_a_dead_leader_keep_nobody(lab):
    """It dies with the votes in its hands, of a planned switch and of a failover: another one finishes what it began as
    soon as its connections break, and not when its ballot is too old."""
    fleet, sides = one_shard(lab, down_after_ms=1000)
    first = min(fleet.supervisors, key=lambda s: s.ok("SENTINEL", "MYID"))
    shard = fleet.name_of(fleet.masters[0])
    switches, killed = 0, math.inf
    # A ballot would be too old after two seconds, here behind a down-after of one.
    for planned, most_s in ((True, 1.8), (False, 2.8)):
        for _ in range(4):  # on a busy machine two others may stand at one time, and neither is elected: then once more
            crash_next([first], "crash-after-election")
            while first.alive():
                old = fleet.node(fleet.port_of(shard))
                began = time.monotonic()
                if planned:
                    first.begin_failover(shard)
                    wait_crashed(fleet.supervisors)
                else:
                    killed = min(killed, old.kill9())
                    wait_until(lambda: not first.alive() or fleet.port_of(shard) not in (None, old.port), 40,
                               "it leads, or another did")
                switches += 1
                if first.alive():  # or another may be quicker
                    bring_back(fleet, old, fleet.wait_switched(shard, old, 30))
            assert first.proc.returncode == CRASHED, first.proc.returncode
            new = fleet.wait_switched(shard, old, 30)
            wait_taken(sides, new)
            pause_s = longest_pause(sides, began - 0.1)[0]
            print("%s: writes paused for %.0f ms" % ("planned" if planned else "of a dead master", pause_s * 1000))
            first.boot()
            bring_back(fleet, old, new)
            if pause_s < most_s:
                break
        assert pause_s < most_s, (planned, pause_s)
    sides.stop()
    sides.check(new, switches=switches, lost_since=killed - ASYNC_S)


@case(kinds=OURS, limit_s=120)
def test_promotion_that_fails(lab):
    """The leader and the replica die with the votes for it given; the old master is back, and gets a lease at a higher
    epoch only: what may be hidden in the dead ones counts no more."""
    fleet, sides = one_shard(lab, node_options={"appendonly": "yes", "appendfsync": "always"})
    old, new = fleet.nodes
    epoch = epoch_of(old)
    crash_next(fleet.supervisors, "crash-after-election")
    old.kill9()
    leader = wait_crashed(fleet.supervisors)
    new.kill9()
    start_anew([s for s in fleet.supervisors if s is not leader])
    old.start()
    old.wait_ready()
    back = time.monotonic()
    wait_taken(sides, old, timeout_s=40)
    print("back to first write %.0f ms" % ((sides.of(old, back)[0].acked - back) * 1000))
    assert epoch_of(old) > epoch, "leased at epoch %d" % epoch
    new.start()
    new.wait_ready()
    leader.boot()
    fleet.wait_follows(new, old, 40)
    fleet.wait_well(timeout_s=40)
    sides.stop()
    assert not sides.of(new)
    assert sides.check(old, switches=0) == 0


@case(kinds=OURS, limit_s=120)
def test_promotion_that_is_hidden(lab):
    """The leader dies when the candidate has said yes, and the candidate is stopped at once: two supervisors have voted
    for it. The old master, back with its data, is not leased at its old epoch."""
    fleet, sides = one_shard(lab, node_options={"appendonly": "yes", "appendfsync": "always"})
    old, new = fleet.nodes
    epoch = epoch_of(old)
    crash_next(fleet.supervisors, "crash-after-promotion")
    killed = old.kill9()
    leader = wait_crashed(fleet.supervisors)
    new.pause()
    start_anew([s for s in fleet.supervisors if s is not leader])
    old.start()
    old.wait_ready()

    def somebody():
        taken = [t for t in list(sides.taken)[-20:] if t.sent > killed + 1]
        return taken and taken[-1].node
    new_epoch = epoch_of(old)
    assert new_epoch == epoch or new_epoch > epoch + 1, "at the epoch of the hidden promotion"
    leader.boot()
    new.resume()
    master = wait_until(somebody, 40, "somebody takes writes")
    fleet.wait_well(timeout_s=40)
    master = fleet.node(fleet.port_of(fleet.shards(leader).popitem()[0]))
    wait_taken(sides, master)
    sides.stop()
    print("the master is %s at epoch %d" % (master.name, epoch_of(master)))
    sides.check(master, switches=2, lost_since=killed - ASYNC_S)
