"""nodectl node: nodes that join, leave, change places and are put into maintenance, under supervisors and without."""
import json
import os
import subprocess

from cases import case
from lab import tool
from lab.clusters import cluster_node, flags_of, info, key_in, lines, make_cluster, my_id, wait_agreed
from lab.shard_load import ShardLoad
from lab.supervised import NODE_TIMEOUT_MS, Supervised
from lab.supervisors import ORDER_TIMERS, nodectl_path

OK, FAILED, USAGE, NOBODY, INTERRUPTED = 0, 1, 2, 3, 130


def at(node):
    return "127.0.0.1:%d" % node.port


def nodectl(lab, *args, expect=OK):
    env = {k: v for k, v in os.environ.items() if not k.startswith("NODECTL_")}
    env["HOME"] = lab.path("home")
    done = subprocess.run([nodectl_path(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, env=env, timeout=180, check=False)
    assert done.returncode == expect, "%s: %d\n%s\n%s" % (args, done.returncode, done.stdout, done.stderr)
    return done


def interrupted(lab, step, *args):
    """Ctrl-C when that step begins: it ends with the status of that, and says how to go on."""
    done = tool.run(lab, *args, **tool.ctrl_c_at(lab, step))
    assert done.returncode == INTERRUPTED and "goes on" in done.stderr, done


def document(done):
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise AssertionError("no document: %r" % done.stdout) from error


def by_supervisors(fleet):
    return ["--supervisor", at(fleet.supervisors[1])]


def rows(lab, where, expect=OK):
    """node list: address -> row"""
    return {row["address"]: row for row in document(nodectl(lab, "node", "list", "-o", "json", *where,
                                                            expect=expect))["nodes"]}


def listed(nodes, node_id):
    return [n.name for n in nodes if node_id in lines(n)]


@case(kinds=("ours",), limit_s=120)
def test_under_leases(lab):
    """A node joins, is made the master, put into maintenance, and replaced, while clients write: nothing that was
    acknowledged is gone, and all supervisors know all of it when the command has ended."""
    fleet = Supervised(lab, shards=(("ours", "ours"),) * 2, declared=True, down_after_ms=2000, timers=ORDER_TIMERS)
    where = by_supervisors(fleet)
    master, replica = fleet.masters[0], fleet.replicas[0]
    shard = fleet.name_of(master)
    seen = rows(lab, where)
    assert {(r["role"], r["state"], r["shard"] == shard) for r in seen.values()} == {
        ("master", "ok", True), ("master", "ok", False), ("replica", "ok", True), ("replica", "ok", False)}, seen
    new = cluster_node(lab, "ours", "new", cluster_node_timeout=NODE_TIMEOUT_MS)

    new.ok("CLUSTER", "ADDSLOTS", "5")
    refused = nodectl(lab, "node", "add", at(new), "--yes", *where, expect=FAILED)
    assert "has slots of its own" in refused.stderr and len(lines(new)) == 1
    new.ok("CLUSTER", "DELSLOTS", "5")
    planned = document(nodectl(lab, "node", "add", at(new), "--shard", shard, "--dry-run", "-o", "json", *where))
    assert planned["dry_run"] and [s["state"] for s in planned["steps"]] == ["planned"] * 3, planned
    assert len(lines(new)) == 1 and len(lines(master)) == 4

    load = ShardLoad(fleet, 0, threads=2, pause_s=0.001)
    try:
        added = document(nodectl(lab, "node", "add", at(new), "--shard", shard.split("/")[1], "--yes", "-o", "json",
                                 *where))
        assert added["ok"] and added["master"] == my_id(master) and added["done"] == 3, added
        for supervisor in fleet.supervisors:
            assert new.port in fleet.seen(supervisor)[shard][1], supervisor.name
        again = document(nodectl(lab, "node", "add", at(new), "--yes", "-o", "json", *where))
        assert again["ok"] and again["master"] == my_id(master), "given again it finds all as it is: %s" % again

        nodectl(lab, "node", "promote", at(new), "--yes", *where)
        assert {fleet.shards(s)[shard] for s in fleet.supervisors} == {new.port}
        assert flags_of(fleet.masters[1], new) == ["master"]

        on = document(nodectl(lab, "node", "maintenance", "on", at(new), "--yes", "-o", "json", *where))
        assert on["ok"] and new.info("replication")["role"] == "slave", on
        assert rows(lab, where)[at(new)]["state"] == "maintenance"
        refused = nodectl(lab, "node", "promote", at(new), "--yes", *where, expect=FAILED)
        assert "maintenance off" in refused.stderr, refused.stderr
        nodectl(lab, "node", "maintenance", "off", at(new), "--yes", *where)
        assert new.ok("CONFIG", "GET", "replica-priority")[1] == "100"

        nodectl(lab, "node", "promote", at(master), "--yes", *where)
        gone = my_id(new)
        interrupted(lab, 2, "node", "remove", at(new), "--yes", *where)
        assert not listed(fleet.nodes, gone) and gone in lines(new), "half of it is done"
        nodectl(lab, "node", "remove", at(new), "--yes", *where)
        assert not listed(fleet.nodes, gone) and len(lines(new)) == 1 and new.call("DBSIZE") == 0
        assert info(new)["cluster_supervised"] == "0"
        nodectl(lab, "node", "replace", at(master), at(new), "--yes", *where)
    finally:
        load.stop()
    assert load.lost(new) == 0, "acknowledged writes are gone"
    fleet.nodes = [new, replica, fleet.masters[1], fleet.replicas[1]]
    fleet.wait_well()
    assert fleet.shards(fleet.supervisors[0])[shard] == new.port and len(lines(master)) == 1
    logs = nodectl(lab, "node", "logs", at(new), "-n", "3", *where)
    assert logs.stdout.splitlines() == new.log().splitlines()[-3:], logs.stdout


def seeds(*nodes):
    return ["--seeds", ",".join(at(n) for n in nodes)]


@case(kinds=("ours",), limit_s=120)
def test_without_supervisors(lab):
    """A cluster of redis-server: nodes join and leave, dead ones too, and a removal that was cut short is ended."""
    patient = {"cluster_node_timeout": 5000}  # no election when somebody stands still for a moment
    masters, replicas = make_cluster(lab, ["stock"] * 3, [("stock", 0), ("stock", 0), ("stock", 1)], **patient)
    nodes = masters + replicas
    where = seeds(masters[2])
    key = key_in(0)
    masters[0].ok("SET", key, "value")

    # Of two replicas one is promoted; its old master follows it.
    nodectl(lab, "node", "promote", at(replicas[0]), "--yes", *where)
    assert replicas[0].call("GET", key) == "value" and flags_of(masters[2], replicas[0]) == ["master"]

    # A new one goes where no replica is.
    new = cluster_node(lab, "stock", "new", **patient)
    added = document(nodectl(lab, "node", "add", at(new), "--yes", "-o", "json", *where))
    assert added["master"] == my_id(masters[2]), added
    wait_agreed(nodes + [new])

    # One that another node does not hear of is not removed: that one would bring it back.
    replicas[2].kill9()
    gone = my_id(new)
    refused = nodectl(lab, "node", "remove", at(new), "--yes", *where, expect=FAILED)
    assert at(replicas[2]) + " does not answer" in refused.stderr, refused.stderr
    assert len(listed(nodes[:5], gone)) == 5
    # The dead one itself can be removed.
    dead = lines(masters[0])
    dead_id = next(i for i, words in dead.items() if words[1].startswith(at(replicas[2]) + "@"))
    nodectl(lab, "node", "remove", at(replicas[2]), "--yes", *where)
    alive = nodes[:5] + [new]
    assert not listed(alive, dead_id)

    # Half of the nodes have forgotten it, as after redis-cli that was interrupted; some as if long ago.
    for node in (masters[0], replicas[1]):
        node.ok("CLUSTER", "FORGET", gone)
    assert len(listed(nodes[:5], gone)) == 3
    nodectl(lab, "node", "remove", gone[:8], "--yes", *where)
    assert not listed(nodes[:5], gone) and len(lines(new)) == 1
    # All have forgotten it, and it does not know.
    nodectl(lab, "node", "add", at(new), "--master", "--yes", *where)
    assert flags_of(masters[2], new) == ["master"]
    for node in nodes[:5]:
        node.ok("CLUSTER", "FORGET", my_id(new))
    assert len(lines(new)) == 6
    nodectl(lab, "node", "remove", at(new), "--yes", *where)
    assert len(lines(new)) == 1

    # Another cluster's node, one that is none, and one that is not there.
    for text, reason in ((at(masters[1]), "slots of this cluster"), ("127.0.0.1:1", "refused"), ("x", "host:port")):
        refused = nodectl(lab, "node", "add", text, "--yes", *where, expect=FAILED)
        assert reason in refused.stderr, refused.stderr
    nodectl(lab, "node", "add", at(new), *where, expect=USAGE)
    nodectl(lab, "node", "list", "--seeds", "127.0.0.1:1", expect=NOBODY)

    nodectl(lab, "node", "maintenance", "on", at(masters[0]), "--yes", *where)
    assert masters[0].ok("CONFIG", "GET", "cluster-replica-no-failover")[1] == "yes"
    assert rows(lab, where)[at(masters[0])]["state"] == "maintenance"

    # A master with slots and a replica: both are other masters' afterwards, and so is the data.
    leaving = next(n for n in (replicas[0], masters[0]) if flags_of(n, n)[1:] == ["master"])
    moved_key = key_in(2)
    leaving.ok("SET", moved_key, "moved")
    nodectl(lab, "node", "remove", at(leaving), "--yes", *where)
    owners = [n for n in (masters[1], masters[2]) if n.call("GET", moved_key) == "moved"]
    assert len(owners) == 1 and len(lines(leaving)) == 1 and leaving.call("DBSIZE") == 0
    wait_agreed([n for n in nodes[:5] if n is not leaving])
