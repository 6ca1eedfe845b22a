"""A cluster under leases is given up by all its supervisors, and taken on again, while it is written to."""
import json
import os
import subprocess
import time

from cases import case
from lab import wait_until
from lab.resp import Resp, RespError
from lab.supervised import Supervised
from lab.supervisors import nodectl_path
from lab.two_sides import TwoSides

OURS = ("ours",)
OK, FAILED, USAGE = 0, 1, 2


def cluster_info(node):
    text = node.ok("CLUSTER", "INFO")
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def is_supervised(node):
    return cluster_info(node)["cluster_supervised"] != "0"


def wait_leased(fleet):
    for node in fleet.masters:
        wait_until(lambda n=node: int(cluster_info(n)["cluster_lease_ms"]) > 0, 20, "%s is leased" % node.name)
    wait_until(lambda: all(is_supervised(n) for n in fleet.nodes), 20, "replicas have inherited it")


def nodectl(lab, fleet, *args):
    env = {k: v for k, v in os.environ.items() if not k.startswith("NODECTL_")}
    argv = [nodectl_path(), "cluster", *args, "-s", ",".join("127.0.0.1:%d" % s.port for s in fleet.running())]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, env=dict(env, HOME=lab.path("home")), timeout=60, check=False)


def watch(lab, fleet):
    loads = []
    for place, node in enumerate(fleet.masters):
        loads.append(TwoSides(lab, [node], place=place, shards=len(fleet.masters),
                              connect=lambda n: Resp(n.port, timeout_s=20)))
    wait_until(lambda: all(len(s.taken) > 100 for s in loads), 20, "writes flow")
    return loads


def assert_nothing_refused(fleet, loads):
    before = [len(s.taken) for s in loads]
    wait_until(lambda: all(len(s.taken) > b + 100 for s, b in zip(loads, before)), 20, "writes flow")
    assert [s.refused[n] for s, n in zip(loads, fleet.masters)] == [0] * len(loads), "writes were refused"


@case(kinds=OURS, limit_s=120)
def test_released_and_adopted_under_load(lab):
    """By a word to one of three; no write is refused on either way. Between them the nodes are on their own: one that
    dies is replaced by their own election."""
    # The nodes' own time-out is longer than a busy machine stands still.
    fleet = Supervised(lab, declared=True, down_after_ms=10000, node_timeout_ms=3000)
    wait_leased(fleet)
    loads = watch(lab, fleet)
    began = time.monotonic()
    assert fleet.supervisors[1].ok("SENTINEL", "CLUSTER", "RELEASE", fleet.name, timeout_s=20) == "OK"
    print("released in %.0f ms" % ((time.monotonic() - began) * 1000))
    assert not any(is_supervised(n) for n in fleet.nodes)
    assert not any(s.masters() for s in fleet.supervisors)
    assert_nothing_refused(fleet, loads)
    for s in fleet.supervisors[:2]:
        s.terminate()
        s.boot()
        assert not s.masters(), "a release survives a restart"
    assert not any(is_supervised(n) for n in fleet.nodes)
    began = time.monotonic()
    assert fleet.supervisors[0].ok("SENTINEL", "CLUSTER", "ADOPT", fleet.name, timeout_s=20) == "OK"
    wait_leased(fleet)
    print("adopted in %.0f ms" % ((time.monotonic() - began) * 1000))
    fleet.wait_well()
    assert_nothing_refused(fleet, loads)
    assert fleet.supervisors[2].ok("SENTINEL", "CLUSTER", "RELEASE", fleet.name, timeout_s=20) == "OK"
    assert_nothing_refused(fleet, loads)
    for sides, node in zip(loads, fleet.masters):
        sides.stop()
        assert sides.check(node, switches=0) == 0
    old, new = fleet.masters[0], fleet.replicas[0]
    old.kill9()
    wait_until(lambda: new.info("replication")["role"] == "master", 30, "the nodes elect by themselves")


@case(kinds=OURS, limit_s=120)
def test_released_by_some(lab):
    """A majority decides, and who was not told is named. Without a majority nothing is done; by one alone its nodes
    stay as they are. nodectl says the same, and asks first."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, down_after_ms=4000)
    wait_leased(fleet)
    wait_until(lambda: cluster_info(fleet.masters[0])["cluster_lease_grants"] == "3", 20, "all grant")
    loads = watch(lab, fleet)
    first, second, third = fleet.supervisors
    assert first.ok("SENTINEL", "CLUSTER", "RELEASE", fleet.name, "ALONE", timeout_s=20) == "OK"
    assert not first.masters() and second.masters()
    assert_nothing_refused(fleet, loads)
    assert all(is_supervised(n) for n in fleet.nodes)
    assert first.ok("SENTINEL", "CLUSTER", "ADOPT", fleet.name, timeout_s=20) == "OK"
    fleet.wait_well()
    wait_until(lambda: int(first.master(fleet.name_of(fleet.masters[0]))["lease-granted-ms"]) > 0, 20,
               "it grants again, when what it had granted before is over")

    asked = nodectl(lab, fleet, "release", fleet.name)
    assert asked.returncode == USAGE and "--yes" in asked.stderr, asked
    shown = nodectl(lab, fleet, "release", fleet.name, "--dry-run")
    assert shown.returncode == OK and "elect" in shown.stdout, shown
    assert nodectl(lab, fleet, "release", "nobody", "--yes").returncode == FAILED
    assert all(is_supervised(n) for n in fleet.nodes)

    third.kill9()
    wait_until(lambda: len([x for x in first.sentinels(fleet.name_of(fleet.masters[0]))
                            if "disconnected" in x["flags"]]) == 1, 20, "its end is seen")
    done = nodectl(lab, fleet, "release", fleet.name, "--yes", "-o", "json")
    result = json.loads(done.stdout)
    assert done.returncode == FAILED and result["done"] is False, done
    assert "released by 2 of 3 supervisors" in result["reason"] and str(third.port) in result["reason"], result
    assert not any(is_supervised(n) for n in fleet.nodes)
    assert_nothing_refused(fleet, loads)
    third.boot()
    wait_until(third.masters, 20, "it watches alone")
    assert third.ok("SENTINEL", "CLUSTER", "RELEASE", fleet.name, "ALONE", timeout_s=20) == "OK"
    assert not any(is_supervised(n) for n in fleet.nodes)

    # The first ones reach it again after a second at most.
    wait_until(lambda: nodectl(lab, fleet, "adopt", fleet.name, "--yes").returncode == OK, 20, "all have adopted it")
    wait_leased(fleet)
    fleet.wait_well()
    assert_nothing_refused(fleet, loads)
    second.kill9()
    third.kill9()
    refused = first.call("SENTINEL", "CLUSTER", "RELEASE", fleet.name, timeout_s=20)
    assert isinstance(refused, RespError) and "Nothing was done: 1 of the 3" in str(refused), refused
    assert first.masters()
    for sides in loads:
        sides.stop()


@case(kinds=OURS, limit_s=120)
def test_what_an_operator_has_to_decide(lab):
    """The master is gone for good, and its last word to its replica is old by now: nobody promotes it, and everybody
    says what it takes."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, node_timeout_ms=500,
                       node_options={"cluster-replica-validity-factor": 1, "repl-ping-replica-period": 1})
    wait_leased(fleet)
    old, new = fleet.nodes
    shard = fleet.name_of(old)
    wait_until(lambda: old.call("SET", "written", "1") == "OK", 20, "a write is taken: its lease is short")
    wait_until(lambda: new.info("replication")["slave_repl_offset"] == old.info("replication")["master_repl_offset"],
               20, "the replica has it")
    for s in fleet.supervisors:
        s.kill9()
    old.kill9()
    time.sleep(3)  # no longer than that its last word counts: two node timeouts and a ping
    for s in fleet.supervisors:
        s.boot()
    first = fleet.supervisors[0]
    wait_until(lambda: first.master(shard)["needs-operator"] == "1", 20, "it is told")
    status = subprocess.run([nodectl_path(), "status", "-s", "127.0.0.1:%d" % first.port], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=30,
                            env=dict(os.environ, HOME=lab.path("home")), check=False)
    assert status.returncode == FAILED and "nodectl failover %s" % shard in status.stdout, status.stdout
    assert new.info("replication")["role"] == "slave"
    done = subprocess.run([nodectl_path(), "failover", shard, "--yes", "-s", "127.0.0.1:%d" % first.port],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, env=dict(os.environ, HOME=lab.path("home")), timeout=60, check=False)
    assert done.returncode == OK and "by force" in done.stdout, done.stdout
    assert fleet.wait_switched(shard, old) is new
    wait_until(lambda: not isinstance(new.call("SET", "written", "2"), RespError), 20, "it takes writes")
