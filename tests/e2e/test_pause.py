"""Automatic failovers switched off by an operator: at a majority they do not happen, over restarts, until the end."""
import time

from cases import case
from lab import pairs, wait_until
from lab.supervised import Supervised
from lab.tool import FAILED, OK, expect, of, run, wait_leased

OURS = ("ours",)


def pauses(supervisor):
    return {p["failover-paused"]: p for p in map(pairs, supervisor.ok("SENTINEL", "PAUSES"))}


def wait_held_back(fleet, shard):
    """Every running supervisor has noted that it would stand, but for the pause."""
    def noted():
        for s in fleet.running():
            notes = s.ok("SENTINEL", "HISTORY", "GROUP", shard, "KIND", "waiting", "COUNT", "1")
            assert notes and "paused by an operator" in notes[0][5], (s.name, notes)
        return True
    wait_until(noted, 20, "all supervisors hold back because of the pause")


@case(kinds=OURS, limit_s=120)
def test_paused_until_an_operator_orders(lab):
    """A dead master stays where it is while a majority has the pause, also after a supervisor was killed and came
    back; the operator's own failover works; explain, status, history and INFO say why nothing happened."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True)
    wait_leased(fleet.masters[0])
    old, shard = fleet.masters[0], fleet.name_of(fleet.masters[0])
    expect(run(lab, "supervisor", "pause", "orders", "--for", "1h", "--reason", "new switches", "--owner",
               "ann", "--yes", *of(fleet.supervisors[0])), OK, "[3/3]", "by ann: new switches")
    for s in fleet.supervisors:
        shown = pauses(s)["orders"]
        left = int(shown["failover-paused-until"]) - time.time() * 1000
        assert 3500000 < left <= 3600000 and shown["failover-paused-by"] == "ann", shown
        assert s.master(shard)["failover-paused-reason"] == "new switches"
        assert "name=orders,until=%s,by=ann" % shown["failover-paused-until"] in s.ok("INFO", "sentinel")
    old.kill9()
    wait_until(lambda: all("o_down" in s.flags(shard) for s in fleet.supervisors), 20, "all hold it for down")
    wait_held_back(fleet, shard)
    victim = fleet.supervisors[1]
    victim.kill9()
    victim.start()
    victim.wait_ready()
    assert pauses(victim)["orders"]["failover-paused-reason"] == "new switches"
    wait_until(lambda: "o_down" in victim.flags(shard), 20, "the restarted one holds it for down")
    wait_held_back(fleet, shard)
    wait_until(lambda: [r["flags"] for r in victim.replicas(shard)] == ["slave"], 20, "it has heard the replica again")
    assert {s.master_port(shard) for s in fleet.supervisors} == {old.port}
    expect(run(lab, "history", shard, "--kind", "waiting", *of(victim)), OK, "new switches, by ann until")
    expect(run(lab, "explain", shard, *of(victim)), OK, "No failover of %s now" % shard,
           "paused by ann until", "new switches")
    expect(run(lab, "status", *of(victim)), FAILED, "automatic failovers of orders are paused until",
           "at 3 of 3 supervisors, by ann: new switches")
    # Until it knows enough of the replica it refuses.
    wait_until(lambda: victim.call("SENTINEL", "FAILOVER", shard) == "OK", 20, "an operator's own failover begins")
    new = fleet.wait_switched(shard, old)
    wait_leased(new)
    # It still holds, until it is ended.
    expect(run(lab, "supervisor", "resume", "orders", "--yes", *of(fleet.supervisors[0])), OK)
    assert not any(pauses(s) for s in fleet.supervisors)


@case(kinds=OURS, limit_s=120)
def test_a_pause_ends_by_itself(lab):
    """And what a minority was told stops nothing, which is said loudly."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True)
    wait_leased(fleet.masters[0])
    old, shard = fleet.masters[0], fleet.name_of(fleet.masters[0])
    events = lab.events(fleet.supervisors[0])
    pause = ["supervisor", "pause", shard, "--reason", "a try", "--yes"]
    expect(run(lab, *pause, "--for", "6s", *of(*fleet.supervisors)), OK)
    old.kill9()
    wait_held_back(fleet, shard)
    fleet.wait_switched(shard, old)
    names = events.names("-failover-paused", "+try-failover", "+switch-master")
    assert names[0] == "-failover-paused" and "+switch-master" in names, names  # its own pause ended first
    fleet.supervisors[2].kill9()
    done = expect(run(lab, *pause, "--for", "1h", *of(*fleet.supervisors)), FAILED, "cannot be asked",
                  "the pause holds, as a majority has it, but 1 of 3 supervisors could not be told")
    assert "127.0.0.1:%d" % fleet.supervisors[2].port in done.stderr
    fleet.supervisors[1].kill9()
    expect(run(lab, *pause, "--for", "1h", *of(*fleet.supervisors)), FAILED, "THE PAUSE DOES NOT HOLD")
    expect(run(lab, "supervisor", "pause", "nobody", "--for", "1h", "--reason", "x", "--yes",
               *of(fleet.supervisors[0])), FAILED, "no supervisor that answers watches")
