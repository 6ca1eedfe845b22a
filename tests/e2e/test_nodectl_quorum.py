"""nodectl supervisor quorum, status and doctor tell what would not work although all processes are up: a replica that
nobody would promote, and a master that has no lease."""
from cases import case
from lab import tool, wait_until
from lab.resp import RespError
from lab.supervised import Supervised
from lab.supervisors import Cluster
from lab.tool import FAILED, OK, at, document, expect, of, wait_leased

OURS = ("ours",)


def loss(lab, supervisor, name):
    found = tool.run(lab, "supervisor", "quorum", "-o", "json", *of(supervisor))
    return next(one for one in document(found, found.returncode)["losses"] if one["name"] == name)


def findings(lab, supervisor, severity):
    found = tool.run(lab, "doctor", "-o", "json", *of(supervisor))
    return [f["what"] for f in document(found, found.returncode)["findings"]
            if (f["severity"], f["check"]) == (severity, "quorum")]


@case(kinds=OURS, limit_s=90)
def test_nobody_to_promote(lab):
    """The only replica gets priority 0: writes would not go on when the master is lost, and they do not."""
    # A lease of a second does not end when a supervisor stands still for a moment, and status has nothing to tell.
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, down_after_ms=2000)
    master, replica, asked = fleet.masters[0], fleet.replicas[0], fleet.supervisors[0]
    name = fleet.name_of(master)
    wait_leased(master)

    def replaceable():
        assert loss(lab, asked, at(master))["ok"]
        return True
    wait_until(replaceable, 20, "the replica would be promoted")
    assert not any("nobody can be promoted" in n for n in document(tool.run(lab, "status", "-o", "json", *of(asked)),
                                                                  OK)["notes"])

    replica.ok("CONFIG", "SET", "replica-priority", "0")
    why = "no replica that is left can be promoted (%s: priority 0)" % at(replica)

    def not_replaceable():
        lost = loss(lab, asked, at(master))
        assert lost["shards"] == [{"name": name, "state": "lost", "writes": False, "replicas": 1, "why": why}], lost
        return True
    wait_until(not_replaceable, 20, "the replica would not be promoted")
    now = loss(lab, asked, "")
    assert now["ok"] and now["shards"][0]["state"] == "alone", now
    expect(tool.run(lab, "supervisor", "quorum", at(master), *of(asked)), FAILED, "stop", name)
    expect(tool.run(lab, "status", *of(asked)), OK,
           "%s: nobody can be promoted in it when its master dies (%s: priority 0)" % (name, at(replica)))
    assert any("nobody can be promoted in it" in what and at(replica) in what
               for what in findings(lab, asked, "warning"))

    replica.ok("CONFIG", "SET", "replica-priority", "100")
    wait_until(replaceable, 20, "the replica would be promoted again")


@case(kinds=OURS, limit_s=90)
def test_lists_without_a_majority(lab):
    """All is up, and each supervisor has been given another list: no master gets a lease, and that is what is told of
    now, not only of losses."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True)
    master, asked = fleet.masters[0], fleet.supervisors[0]
    wait_leased(master)
    watched = Cluster(name=fleet.name, seeds=(master.port,), quorum=2, down_after_ms=600)
    for s in fleet.supervisors:
        s.terminate()
        strangers = [lab.ports.take(), lab.ports.take()]
        s.extra = ("supervisors = [ %s ];" % ", ".join('"127.0.0.1:%d"' % p for p in (s.port, *strangers)),)
        s.configure([], [watched])
        s.boot()

    def stopped():
        said = master.call("SET", "a", "1")
        assert isinstance(said, RespError) and "lease" in str(said), said
        now = loss(lab, asked, "")
        assert not now["ok"] and [s["state"] for s in now["shards"]] == ["no-lease"], now
        return True
    wait_until(stopped, 20, "nothing is granted, and that is told")
    expect(tool.run(lab, "supervisor", "quorum", *of(asked)), FAILED, "nothing (as it is now)", "stop")
    assert any("take no writes" in what for what in findings(lab, asked, "critical"))
    expect(tool.run(lab, "status", *of(asked)), FAILED, "has no lease of a majority of the supervisors")
