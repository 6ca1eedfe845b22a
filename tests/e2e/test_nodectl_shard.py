"""nodectl shard and fleet topology: who is where, who could be the master, and planned switches, now and later."""
import json
import re
import signal
import subprocess
import time

from cases import case
from lab import wait_until
from lab.clusters import make_cluster
from lab.shard_load import ShardLoad
from lab.supervised import Supervised
from lab.supervisors import ORDER_TIMERS, Cluster, nodectl_path
from lab.tool import FAILED, INTERRUPTED, OK, USAGE, at, clean_env

# No lease ends, and no replica is too long unheard of to be promoted, when somebody stands still for a moment.
STEADY = {"declared": True, "down_after_ms": 2000, "timers": ORDER_TIMERS}


class Tool:
    def __init__(self, lab, supervisors):
        self.at = at(*supervisors)
        self.env = clean_env(lab, LC_ALL="C")

    def begin(self, *args):
        return subprocess.Popen([nodectl_path(), *map(str, args), "-s", self.at], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)

    def end(self, child, code, *parts):
        out, err = child.communicate(timeout=60)
        text = "%s: exit status %d\n%s%s" % (child.args, child.returncode, out, err)
        assert child.returncode == code, "wanted %d: %s" % (code, text)
        for part in parts:
            assert part in out + err, "%r is not there: %s" % (part, text)
        return out

    def run(self, *args, code=OK, parts=()):
        return self.end(self.begin(*args), code, *parts)

    def document(self, *args, code=OK):
        return json.loads(self.run(*args, "-o", "json", code=code))


@case(kinds=("ours",), limit_s=90)
def test_who_is_where(lab):
    """shard list, topology and candidates of a fleet that is well, and of one that is not."""
    fleet = Supervised(lab, **STEADY)
    tool = Tool(lab, fleet.supervisors)
    names = {fleet.name_of(m): (m, r) for m, r in zip(fleet.masters, fleet.replicas)}
    rows = {row["name"]: row for row in tool.document("shard", "list")}
    assert {n: (row["master"], row["replicas"]) for n, row in rows.items()} == {
        n: (at(m), [at(r)]) for n, (m, r) in names.items()}, rows
    assert sum(row["slots"] for row in rows.values()) == 16384, rows
    tool.run("shard", "list", "nosuch", code=FAILED, parts=["watches a group of this name"])

    def leased():
        return all(s["grants"] == s["of"] == 3 for s in tool.document("fleet", "topology")["supervisors"])
    wait_until(leased, 20, "every supervisor grants leases to every master")
    tree = tool.run("fleet", "topology", "-o", "wide", parts=["host 127.0.0.1\n|- 3 masters: "])
    for name, (master, replica) in names.items():
        assert re.search(r"%s  ok  slots .*\n.*%s +master +ok .*leased by \d.*\n.*%s +replica +ok" % (
            re.escape(name), re.escape(at(master)), re.escape(at(replica))), tree), tree

    name, (master, replica) = sorted(names.items())[0]
    short = name.split("/")[1]
    row = tool.document("shard", "candidates", short)["candidates"]
    assert [(r["rank"], r["address"], r["suitable"], r["reason"]) for r in row] == [(1, at(replica), True, None)], row
    tool.run("shard", "candidates", short, parts=["the next master"])
    replica.ok("CONFIG", "SET", "replica-priority", "0")

    def refused():
        row = tool.document("shard", "candidates", name)["candidates"][0]
        return row["rank"] is None and "priority" in row["reason"]
    wait_until(refused, 20, "a replica of priority 0 is no candidate")
    tool.run("shard", "switchover", name, "--yes", code=FAILED, parts=["no replica can be promoted"])
    replica.pause()
    key = "a{%s}" % load_key(fleet, master)
    master.ok("SET", key, "x" * 100000)

    def behind():
        row = tool.document("shard", "candidates", name)["candidates"][0]
        return (row["loss_bytes"] or 0) >= 100000 or row["state"] != "ok"
    wait_until(behind, 20, "what the replica lacks is told")
    wait_until(lambda: "s_down" in tool.run("fleet", "topology", code=FAILED), 20, "the tree shows who is down")
    replica.resume()
    tool.run("shard", "candidates", "nosuch", code=FAILED, parts=["watches a group named 'nosuch'", name])


@case(kinds=("ours",), limit_s=60)
def test_two_clusters_of_one_fleet_of_supervisors(lab):
    """--fleet, before the noun or behind the verb, narrows what is shown to its cluster; the tab key proposes what
    there is, in any place of the line."""
    clusters = [make_cluster(lab, ["ours"], [], prefix=name)[0] for name in ("orders", "stock")]
    ports = [n.port for nodes in clusters for n in nodes]
    s = lab.supervisor("sentinel0", [], clusters=[Cluster(name=name, seeds=(port,), quorum=1)
                                                  for name, port in zip(("orders", "stock"), ports)])
    conf = lab.path("nodectl.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write("fleets = ( %s );" % ", ".join('{ name = "%s"; supervisors = [ "127.0.0.1:%d" ]; }' % (name, s.port)
                                               for name in ("orders", "stock")))
    tool = Tool(lab, [])

    def shards(*args):
        done = subprocess.run([nodectl_path(), *args, "-c", conf, "-o", "json"], capture_output=True, text=True,
                              env=tool.env, timeout=30, check=False)
        assert done.returncode == OK, done
        return [row["name"] for row in json.loads(done.stdout)]
    both = wait_until(lambda: [m["name"] for m in s.masters()] if len(s.masters()) == 2 else None, 20, "both are seen")
    orders = [name for name in both if name.startswith("orders/")]
    assert shards("--fleet", "orders", "shard", "list") == orders
    assert shards("shard", "list", "--fleet", "stock") == sorted(set(both) - set(orders))

    def proposed(*words):
        done = subprocess.run([nodectl_path(), "__complete", "--", "-c", conf, *words], capture_output=True, text=True,
                              env=tool.env, timeout=30, check=False)
        assert done.returncode == OK and done.stderr == "", done
        return sorted(line.split("\t")[0] for line in done.stdout.splitlines())
    assert proposed("--fleet", "") == ["orders", "stock"]
    assert proposed("--fleet", "orders", "shard", "switchover", "") == sorted(both)
    assert proposed("--fleet", "orders", "explain", "ord") == orders
    assert proposed("--fleet=orders", "shard", "failover", orders[0], "--to=") == sorted(
        "--to=127.0.0.1:%d" % port for port in ports)


def load_key(fleet, master):
    """A hash tag of a slot of this master."""
    return next(tag for tag in map(str, range(1000)) if "MOVED" not in str(master.call("GET", "{%s}" % tag)))


@case(kinds=("ours",), limit_s=120)
def test_switchover(lab):
    """A plan changes nothing; a switch under load loses nothing; --at waits, looks again, obeys Ctrl-C, and does not
    switch from a master that was not agreed on."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), **STEADY)
    tool = Tool(lab, fleet.supervisors)
    first, second = fleet.masters[0], fleet.replicas[0]
    name = fleet.name_of(first)
    tool.run("shard", "switchover", name, code=USAGE, parts=["give --yes"])
    tool.run("shard", "switchover", name, "--yes", "--at", "25:00", code=USAGE, parts=["a time that is to come"])
    tool.run("shard", "switchover", name, "--yes", "--to", "nowhere", code=USAGE, parts=["host:port"])
    tool.run("shard", "switchover", name, "--yes", "--to", at(first), code=FAILED, parts=["is no replica of"])
    tool.run("shard", "switchover", "nosuch", "--yes", code=FAILED, parts=["watches a group named 'nosuch'"])
    tool.run("shard", "switchover", name, "--dry-run",
             parts=["switch %s from %s to %s" % (name, at(first), at(second))])
    assert tool.document("shard", "switchover", name, "--dry-run")["dry_run"] is True
    for node in (first, second):  # by any node of it
        tool.run("shard", "switchover", at(node), "--dry-run",
                 parts=["switch %s from %s to %s" % (name, at(first), at(second))])
    tool.run("shard", "switchover", "127.0.0.1:1", "--yes", code=FAILED, parts=["knows a node 127.0.0.1:1", name])
    assert fleet.port_of(name) == first.port

    load = ShardLoad(fleet, 0)
    try:
        wait_until(lambda: len(load.acked) > 200, 20, "writes flow")
        told = tool.document("shard", "switchover", name.split("/")[1], "--to", at(second), "--yes")
        assert told["ok"] and told["from"] == at(first) and told["to"] == at(second), told
        assert told["phases_ms"]["agreed"] is not None and told["steps"][-1]["state"] == "done", told
        assert fleet.wait_switched(name, first) is second
        count = len(load.acked)
        wait_until(lambda: len(load.acked) > count + 200, 20, "writes flow again")
    finally:
        load.stop()
    assert load.lost(second) == 0
    fleet.wait_follows(first, second)

    def wait_for_candidate():
        wait_until(lambda: tool.document("shard", "candidates", name)["candidates"][0]["suitable"], 20,
                   "the supervisors see that the replica can be promoted")
    wait_for_candidate()
    began = time.monotonic()
    tool.run("shard", "switchover", name, "--yes", "--at", "+2s",
             parts=["wait until", "the master is now %s" % at(first)])
    assert time.monotonic() - began >= 1, "it did not wait"
    fleet.wait_follows(second, first)

    wait_for_candidate()
    child = tool.begin("shard", "switchover", name, "--yes", "--at", "+1h")
    wait_for_line(child, "[1/2] wait until")
    child.send_signal(signal.SIGINT)
    tool.end(child, INTERRUPTED, "interrupted while it waited: nothing was done")
    assert fleet.port_of(name) == first.port

    child = tool.begin("shard", "switchover", name, "--yes", "--at", "+8s")
    wait_for_line(child, "[1/2] wait until")
    tool.run("failover", name, "--yes", "--coordinated")
    tool.end(child, FAILED, "nothing was done: the master is %s now; it was %s" % (at(second), at(first)))
    assert fleet.port_of(name) == second.port


def wait_for_line(child, begin):
    for line in child.stdout:
        if line.startswith(begin):
            return
    raise AssertionError("%s did not say %r" % (child.args, begin))


@case(kinds=("ours",), limit_s=60)
def test_masters_without_leases(lab):
    """Only noded is leased. Where other masters are leased, one that writes without is a problem; where none is, the
    tree says so."""
    mixed = Supervised(lab, (("ours", "ours"), ("stock", "ours")), **STEADY)
    tool, name = Tool(lab, mixed.supervisors), mixed.name_of(mixed.masters[1])

    def told():
        status = tool.document("status", code=FAILED)
        text = "%s: its master %s is no noded" % (name, at(mixed.masters[1]))
        return len(status["problems"]) == 1 and text in status["problems"][0] and status
    status = wait_until(told, 20, "the only problem is the master without a lease")
    assert status["clusters"][0]["leased_shards"] == 1, status
    tool.run("shard", "switchover", name, "--yes")
    wait_until(lambda: tool.document("status")["clusters"][0]["leased_shards"] == 2, 20, "both are leased")

    stock = Supervised(lab, (("stock", "stock"),), declared=True, name="others", prefix="other-")
    Tool(lab, stock.supervisors).run("fleet", "topology", parts=["no leases: no master is a noded"])
