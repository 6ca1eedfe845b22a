"""nodectl supervisor: who they are and whether they agree, what a loss would cost, how available the masters were."""
import os
import subprocess
import threading
import time

from cases import case
from lab import pairs, tool, wait_until
from lab.resp import Resp, RespError
from lab.supervised import Supervised
from lab.supervisors import Cluster, nodectl_path
from lab.tool import FAILED, INTERRUPTED, NOBODY, OK, USAGE, expect, of, wait_leased

OURS = ("ours",)


def run(lab, *args):
    return tool.run(lab, "supervisor", *args)


def document(lab, code, *args):
    return tool.document(run(lab, *args, "-o", "json"), code)


def by_name(rows, name, field="name"):
    return next(r for r in rows if r[field] == name)


@case(kinds=OURS, limit_s=120)
def test_a_fleet_and_its_losses(lab):
    """Three supervisors over two shards: the list, what single losses do, and what is left when some are gone; then the
    availability after a master was killed."""
    # A lease of a second does not end when a supervisor stands still for a moment.
    fleet = Supervised(lab, shards=(("ours", "ours"), ("ours",)), declared=True, down_after_ms=2000)
    for master in fleet.masters:
        wait_leased(master)
    first, second = (fleet.name_of(m) for m in fleet.masters)
    a, b, c = fleet.supervisors

    def all_lease():
        found = document(lab, OK, "list", *of(a))
        assert [s["leases"] for s in found["supervisors"]] == [2, 2, 2], found
        assert all(s["list_counted"] for s in found["supervisors"]), found
        return found
    listed = wait_until(all_lease, 20, "all three lease both masters")
    assert listed["ok"], listed
    for s, row in ((s, by_name(listed["supervisors"], "127.0.0.1:%d" % s.port, "address")) for s in fleet.supervisors):
        assert row["id"] == s.my_id() and row["kind"] == "sentineld" and row["pid"] == str(s.pid), row
        assert row["list_version"] == 1 and row["list_counted"] and row["clusters"] == ["orders"], row
        assert abs(row["clock_ms"]) <= row["clock_error_ms"] + 50, row
        assert sorted(row["groups"]) == sorted((first, second)) and row["disagrees"] == [] and row["paused"] == [], row
    expect(run(lab, "list", *of(b)), OK, "AGREES", "yes")

    quorum = document(lab, FAILED, "quorum", *of(a))  # the second shard has no replica
    assert quorum["one_host"] and not quorum["ok"], quorum
    lost = {loss["name"]: loss for loss in quorum["losses"]}
    assert lost[""]["ok"] and lost[""]["shards"] == [
        {"name": second, "state": "alone", "writes": True, "replicas": 0, "why": "no replica is left"}], lost[""]
    dead = lost["127.0.0.1:%d" % fleet.masters[0].port]
    assert dead["ok"] and by_name(dead["shards"], first)["state"] == "failover", dead
    dead = lost["127.0.0.1:%d" % fleet.masters[1].port]
    assert not dead["ok"] and by_name(dead["shards"], second)["state"] == "lost", dead
    assert lost["127.0.0.1:%d" % a.port]["ok"] and lost["127.0.0.1:%d" % a.port]["supervisors"] == 2
    expect(run(lab, "quorum", "127.0.0.1:%d" % fleet.masters[1].port, *of(a)), FAILED, "stop", second)
    expect(run(lab, "quorum", "127.0.0.1:%d" % fleet.masters[0].port, *of(a)), OK, "go on", first)
    expect(run(lab, "quorum", "10.0.0.9", *of(a)), FAILED, "is neither a zone nor a host")
    zones = document(lab, FAILED, "quorum", "here", "--zones", "here=127.0.0.1;there=10.0.0.1", *of(a))
    assert zones["kind"] == "zone" and {s["state"] for s in zones["shards"]} == {"lost"}, zones
    expect(run(lab, "quorum", "--zones", "here", *of(a)), USAGE, "--zones")

    calm = document(lab, OK, "availability", *of(a))
    assert {s["failures"] for s in calm["shards"]} == {0} and len(calm["shards"]) == 2, calm
    fleet.masters[0].kill9()
    new = fleet.wait_switched(first, fleet.masters[0])
    wait_leased(new)

    def recorded():
        # Each of the three tells it, and it is one outage all the same.
        told = document(lab, OK, "availability", "orders", "--since", "1h", *of(a, b, c))
        row = by_name(told["shards"], first)
        assert row["failures"] == 1 and not row["outages"][0]["open"], row
        assert by_name(told["shards"], second)["failures"] == 0, told
        return row
    row = wait_until(recorded, 20, "the outage is recorded")
    assert 2000 <= row["down_ms"] == row["longest_ms"] < 10000 and 0 < row["available"] < 1, row
    expect(run(lab, "availability", first, "--since", "2020-01-01", *of(a)), OK, "as far as it is recorded", first)
    expect(run(lab, "availability", "nobody", *of(a)), FAILED, "no supervisor that answers watches such a group")
    expect(run(lab, "availability", "--since", "tomorrow", *of(a)), USAGE, "--since is 'tomorrow'")

    c.kill9()
    less = document(lab, FAILED, "list", *of(a, c))
    row = by_name(less["supervisors"], "127.0.0.1:%d" % c.port, "address")
    assert not less["ok"] and "refused" in row["error"].lower(), row
    expect(run(lab, "list", *of(a, c)), FAILED, "no answer", "cannot be asked")

    def alone():
        one = document(lab, FAILED, "quorum", "127.0.0.1:%d" % b.port, *of(a))
        assert {s["state"] for s in one["shards"]} == {"no-lease"}, one
        return True
    wait_until(alone, 20, "of two that are left none may go")
    expect(run(lab, "list", *of(c)), NOBODY, "no supervisor can be asked")


@case(limit_s=60)
def test_classic_groups(lab):
    """A master, a replica and three supervisors of either kind: stock ones have no leases, events and pauses, and the
    rest is told all the same."""
    fleet = lab.fleet()
    listed = document(lab, OK, "list", *of(fleet.supervisors[0]))
    kind = "sentineld" if lab.kind == "ours" else "redis-sentinel"
    assert {(s["kind"], s["leases"], s["list_version"]) for s in listed["supervisors"]} == {(kind, 0, 0)}, listed
    assert {s["epoch"] for s in listed["supervisors"]} == {fleet.supervisors[0].config_epoch()}, listed
    told = document(lab, OK, "quorum", "127.0.0.1:%d" % fleet.master.port, *of(*fleet.supervisors))
    assert by_name(told["shards"], "mymaster")["state"] == "failover", told
    history = run(lab, "availability", *of(*fleet.supervisors))
    paused = run(lab, "pause", "mymaster", "--for", "1h", "--reason", "a try", "--yes", *of(*fleet.supervisors))
    if lab.kind == "ours":
        expect(history, OK, "mymaster")
        expect(paused, OK)
        assert pairs(fleet.supervisors[1].ok("SENTINEL", "PAUSES")[0])["failover-paused"] == "mymaster"
        expect(run(lab, "resume", "--yes", *of(fleet.supervisors[1])), OK)
    else:
        expect(history, FAILED, "keeps its events")
        expect(paused, FAILED, "knows no pauses", "THE PAUSE DOES NOT HOLD")


# ---- other lists of supervisors ----

def list_of(ports):
    return "supervisors = [ %s ];" % ", ".join('"127.0.0.1:%d"' % p for p in ports)


# None on a machine that has time; where it has none, a lease may run out before it is given again.
REFUSED_MAX_S = 2


class Writer:
    """Writes to one master, a thousand times a second, until it is stopped; longest_s: how long no write was taken."""

    def __init__(self, port):
        self.port, self.written, self.refused, self.longest_s, self.stopping = port, 0, 0, 0.0, False
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        client = Resp(self.port, timeout_s=20)
        taken = time.monotonic()
        while not self.stopping:
            if isinstance(client.call("SET", "a", self.written), RespError):
                self.refused += 1
                self.longest_s = max(self.longest_s, time.monotonic() - taken)
            else:
                self.written += 1
                taken = time.monotonic()
            time.sleep(0.001)
        client.close()

    def __str__(self):
        return "%d writes were taken, %d refused; for %.3f s at the longest" % (self.written, self.refused,
                                                                                self.longest_s)

    def stop(self):
        self.stopping = True
        self.thread.join()
        return self


@case(kinds=OURS, limit_s=120)
def test_lists_of_a_fleet_of_this_host(lab):
    """A fleet that nodectl made: a fourth supervisor, interrupted in the middle and gone on with, while clients write;
    and away again. Files, processes and records are brought along."""
    os.makedirs(lab.path("home", ".config"))

    def nodectl(*args, **env):
        return tool.run(lab, *args, **env)
    lab.on_close(lambda: nodectl("--fleet", "orders", "fleet", "destroy", "--yes"))
    expect(nodectl("fleet", "create", "orders", "--shards", "1", "--replicas", "1", "--yes", "--dir",
                   lab.path("orders"), "--port", lab.ports.block()), OK)
    shown = tool.document(nodectl("supervisor", "list", "-o", "json"))["supervisors"]
    old = [s["address"] for s in shown]
    new = "127.0.0.1:%d" % lab.ports.take()
    master = tool.document(nodectl("doctor", "-o", "json"), FAILED)["facts"]["nodes"]
    writer = Writer(next(int(n["address"].rsplit(":", 1)[1]) for n in master if n["info"]["role"] == "master"))

    expect(nodectl("supervisor", "add", new, "--dry-run"), OK, "1. start supervisor %s" % new, '"%s" ];' % new)
    expect(nodectl("supervisor", "add", new, "--yes", **tool.ctrl_c_at(lab, 2)), INTERRUPTED, "[2/6]", "again")
    done = expect(nodectl("supervisor", "add", new, "--yes"), OK,
                  "[1/6] start supervisor %s with the new list: is so" % new)
    assert done.stdout.count("is so already") >= 1, done.stdout
    shown = tool.document(nodectl("supervisor", "list", "-o", "json"))["supervisors"]
    assert sorted(s["address"] for s in shown) == sorted(old + [new]), shown
    assert {s["list_counted"] for s in shown} == {True}, shown

    def all_lease():
        found = tool.document(nodectl("supervisor", "list", "-o", "json"))["supervisors"]
        assert {s["leases"] for s in found} == {1}, found
        return True
    wait_until(all_lease, 20, "all four lease the master")

    assert writer.longest_s < REFUSED_MAX_S, writer
    expect(nodectl("supervisor", "remove", "127.0.0.1:1", "--yes", "-s", old[0]), FAILED,
           "knows a supervisor 127.0.0.1:1")
    away = tool.document(nodectl("supervisor", "remove", new, "--yes", "-o", "json"))
    assert away["ok"] and [s["state"] for s in away["steps"]] == ["done"] * 6, away
    shown = tool.document(nodectl("supervisor", "list", "-o", "json"))["supervisors"]
    assert sorted(s["address"] for s in shown) == sorted(old), shown
    with open(lab.path("home", ".config", "nodectl.conf"), encoding="utf-8") as f:
        assert new not in f.read()
    writer.stop()
    print(writer)
    assert writer.written > 100 and writer.longest_s < REFUSED_MAX_S, writer


@case(kinds=OURS, limit_s=120)
def test_lists_of_other_fleets(lab):
    """Processes that somebody else starts: the steps are shown, and followed until they are done; or not in time."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, down_after_ms=4000)
    master = fleet.masters[0]
    wait_leased(master)
    ports = [s.port for s in fleet.supervisors] + [lab.ports.take()]
    new = "127.0.0.1:%d" % ports[3]
    expect(run(lab, "add", new, "--yes", "--wait", "300ms", *of(fleet.supervisors[0])), FAILED,
           "1. on its host: write a sentineld.conf for %s" % new, "not within 0 s: %s does not answer" % new,
           "you do each step")
    expect(run(lab, "add", "nonsense", "--yes", *of(fleet.supervisors[0])), USAGE, "is not host:port")
    with open(lab.path("said"), "w", encoding="utf-8") as said:
        following = subprocess.Popen([nodectl_path(), "supervisor", "add", new, "--yes", *of(*fleet.supervisors)],
                                     stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                                     env=tool.clean_env(lab))
    watched = Cluster(name=fleet.name, seeds=(master.port,), quorum=3, down_after_ms=4000)
    fourth = lab.supervisor("sentinel3", [], kind="ours", port=ports[3], clusters=[watched], extra=[list_of(ports)])
    for s in fleet.supervisors:
        s.terminate()
        s.extra = (list_of(ports),)
        s.configure([], [watched])
        s.boot()
    assert following.wait(60) == OK, open(lab.path("said"), encoding="utf-8").read()
    counted = document(lab, OK, "list", *of(fourth))
    assert [s["list_counted"] for s in counted["supervisors"]] == [True] * 4, counted
