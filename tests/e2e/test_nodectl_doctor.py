"""nodectl doctor over real processes: a fleet under leases, a cluster that nobody supervises, and nobody at all."""
import json

from cases import case
from lab import wait_until
from lab.clusters import make_cluster
from lab.saying_proxy import SayingProxy
from lab.supervised import Supervised
from lab.tool import FAILED, NOBODY, OK, USAGE, at, run
from test_noded_dbmap import Waiter

OURS = ("ours",)


def doctor(lab, *args):
    return run(lab, "doctor", *args)


def findings(done, *checks):
    """(severity, check, where, what), without those that are about the machine that the test runs on."""
    document = json.loads(done.stdout)
    assert document["ok"] == (done.returncode == OK), document
    return [(f["severity"], f["check"], f["where"], f["what"]) for f in document["findings"]
            if f["check"] in (checks or ("reach", "supervisors", "quorum", "cluster", "replication", "timeouts",
                                         "clocks", "versions", "passwords"))]


def has(found, *parts):
    """Exactly one that has all of these."""
    fitting = [f for f in found if all(any(p in word for word in f) for p in parts)]
    assert len(fitting) == 1, (parts, found)
    return fitting[0]


@case(kinds=OURS, limit_s=120)
def test_a_fleet_under_leases(lab):
    """Well but for being on one host; then a pause, a refused write and a dead replica are found, each with what to
    change."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, down_after_ms=2000,
                       node_options={"appendonly": "yes"})
    sentinels, master, replica = fleet.supervisors, fleet.masters[0], fleet.replicas[0]

    def well():
        found = findings(doctor(lab, "-s", at(sentinels[0]), "-o", "json"))
        assert found == [("note", "quorum", "all", "all of it is on one host")], found
        return True
    wait_until(well, 20, "nothing is wrong with the fleet")
    facts = json.loads(doctor(lab, "-s", at(sentinels[0]), "-o", "json").stdout)["facts"]
    assert len(facts["nodes"]) == 2 and len(facts["supervisors"]) == 3, facts
    assert all(n["open_files"] > 0 and n["disk_total"] > 0 and n["local"] for n in facts["nodes"]), facts["nodes"]
    assert isinstance(facts["machine"]["overcommit_memory"], int), facts["machine"]

    assert sentinels[0].ok("SENTINEL", "PAUSE", "orders", "3600000", "ann", "a try") == "OK"
    master.ok("CONFIG", "SET", "min-replicas-to-write", "2")
    replica.ok("CONFIG", "SET", "appendonly", "no")
    replica.ok("CONFIG", "SET", "save", "")
    done = doctor(lab, "-s", at(sentinels[0]), "-o", "json")
    assert done.returncode == FAILED, done.stderr
    found = findings(done, "supervisors", "replication", "persistence")
    has(found, "warning", "supervisors", at(sentinels[0]), "by ann: a try")
    has(found, "critical", "replication", at(master), "it refuses writes: min-replicas-to-write is 2")
    has(found, "warning", "persistence", at(replica), "keeps nothing on disk")
    shown = doctor(lab, "-s", at(sentinels[0])).stdout
    assert "-> nodectl supervisor resume" in shown and "-> CONFIG SET appendonly yes" in shown, shown

    replica.kill9()
    sentinels[2].kill9()
    found = findings(doctor(lab, "-s", at(*sentinels), "-o", "json"))
    has(found, "critical", "reach", at(replica), "the node cannot be asked")
    has(found, "critical", "reach", at(sentinels[2]), "the supervisor cannot be asked")
    assert any(f[:3] == ("warning", "quorum", at(sentinels[1])) for f in found), found


@case(kinds=OURS, limit_s=60)
def test_nodes_that_nobody_supervises(lab):
    """A stock cluster by one seed: all of its nodes are found; a node timeout that is too short, a master without a
    replica and one that lost its password are told."""
    masters, replicas = make_cluster(lab, ["stock"] * 3, [("stock", 0), ("stock", 1)], cluster_node_timeout=990,
                                     requirepass="secret", masterauth="secret")
    masters[2].ok("CONFIG", "SET", "masterauth", "")
    secret = lab.path("word")
    with open(secret, "w", encoding="utf-8") as f:
        f.write("secret\n")
    ask = ["--seeds", at(masters[0]), "--node-password-file", secret, "-o", "json"]

    def known():
        done = doctor(lab, *ask)
        found = findings(done)
        assert len(json.loads(done.stdout)["facts"]["nodes"]) == 5, done.stdout
        has(found, "warning", "cluster", "cluster-node-timeout is below a second")
        has(found, "warning", "replication", at(masters[2]), "it has no replica")
        has(found, "warning", "passwords", at(masters[2]), "no masterauth")
        return done
    assert wait_until(known, 20, "the cluster is known").returncode == FAILED
    refused = doctor(lab, "--seeds", at(masters[0]), "-o", "json")
    assert refused.returncode == FAILED, refused.stderr
    has(findings(refused), "critical", "reach", "NOAUTH")
    for node in masters + replicas:
        node.kill9()
    done = doctor(lab, *ask)
    assert done.returncode == NOBODY and at(masters[0]) in done.stderr, done
    assert at(masters[0]) in json.loads(done.stdout)["failure"], done
    assert doctor(lab, "--config", lab.path("none")).returncode == USAGE


@case(kinds=OURS, limit_s=90)
def test_a_swap_that_nobody_ends(lab):
    """Databases that were prepared by hand: who waits is counted, the log and the doctor tell, and what the doctor says
    ends it."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, down_after_ms=2000)
    sentinel, master = fleet.supervisors[0], fleet.masters[0]
    prepare = ("CLUSTER", "DBMAP", "PREPARE", 1, 2, "EPOCH", 1, "BALLOT", 1000)
    wait_until(lambda: str(master.call(*prepare)).startswith("YES"), 20, "prepared")
    waiter = Waiter(master, 1, "GET", "key")
    wait_until(lambda: master.info("clients")["blocked_clients"] == "1", 20, "who waits is counted")
    wait_until(lambda: "Databases 1 and 2 wait to be swapped for a second already (mapping 1, attempt 1000)"
               in master.log(), 20, "the log says so")
    assert "Databases 1 and 2 are about to be swapped (mapping 1, attempt 1000)" in master.log()
    done = doctor(lab, "-s", at(sentinel), "-o", "json")
    assert done.returncode == FAILED, done.stderr
    has(findings(done, "swapdb"), "critical", at(master), "two databases wait to be swapped")
    change = next(f["change"] for f in json.loads(done.stdout)["findings"] if f["check"] == "swapdb")
    command = "CLUSTER DBMAP ABORT EPOCH 1 BALLOT 1000"
    assert command + " there" in change, change
    refused = run(lab, "db", "swap", "1", "2", "--yes", "-s", at(sentinel))
    assert refused.returncode != OK and "waits for the end of another swap" in refused.stdout + refused.stderr, refused
    assert master.ok(*command.split()) == "ABORTED 1000"
    assert waiter.answered() is None
    wait_until(lambda: "Databases 1 and 2 are not swapped (mapping 1, attempt 1000): a supervisor ended it"
               in master.log(), 20, "the log says so")
    assert not findings(doctor(lab, "-s", at(sentinel), "-o", "json"), "swapdb")


@case(kinds=OURS, limit_s=60)
def test_clocks_and_versions(lab):
    """A supervisor whose clock is ahead, one of another version, nodes of two versions: each is found, and nothing of
    the kind before."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True)
    a, b, c = fleet.supervisors
    assert not findings(doctor(lab, "-s", at(a, b, c), "-o", "json"), "clocks", "versions")

    def ahead(line):
        name, _, value = line.partition(b":")
        return b"server_time_usec:%d" % (int(value) + 9000000) if name == b"server_time_usec" else line

    def newer(line):
        last = b"1" if line[-1:] == b"0" else b"0"
        return line[:-1] + last if line.startswith(b"sentineld_version:") else line

    fast, new = SayingProxy(lab, a.port, ahead), SayingProxy(lab, b.port, newer)
    done = doctor(lab, "-s", at(fast, c), "-o", "json")
    assert done.returncode == FAILED, done.stdout
    found = findings(done, "clocks", "versions")
    assert len(found) == 1, found
    has(found, "warning", "clocks", at(fast), "ms ahead of that of the others")
    assert "-> synchronize it" in doctor(lab, "-s", at(fast, c)).stdout

    found = findings(doctor(lab, "-s", at(c, new), "-o", "json"), "clocks", "versions")
    assert len(found) == 1, found
    has(found, "versions", at(new), "supervisors of several versions run together", "at %s" % at(c))

    node = SayingProxy(lab, fleet.masters[0].port, lambda line: line.replace(b"redis_version:7", b"redis_version:6"))
    found = findings(doctor(lab, "--seeds", at(node, fleet.replicas[0]), "-o", "json"), "versions")
    has(found, "warning", "versions", "nodes of several versions run together: ")
