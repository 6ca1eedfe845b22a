"""The Sentinel API on shards, the views of whole clusters, and what operators change."""
import json
import subprocess

from cases import case
from lab import pairs, wait_until
from lab.clusters import SLOTS, keys_of, my_id
from lab.supervised import Supervised, deep, no_failover, slot_range
from lab.supervisors import nodectl_path

OURS = ("ours",)


def nodectl(*args):
    done = subprocess.run([nodectl_path(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, stdin=subprocess.DEVNULL, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


@case(kinds=OURS, limit_s=60)
def test_shards_are_masters(lab):
    """Every command of the Sentinel API takes a shard's name."""
    fleet = Supervised(lab)
    s = fleet.supervisors[0]
    shard = fleet.name_of(fleet.masters[0])
    master = s.master(shard)
    assert master["port"] == str(fleet.masters[0].port) and master["flags"] == "master", master
    assert master["num-slaves"] == "1" and master["num-other-sentinels"] == "2" and master["quorum"] == "2", master
    assert master["cluster"] == "orders" and master["node-id"] == my_id(fleet.masters[0]), master
    assert master["slots"] == str(slot_range(0, 3)[1]), master
    assert [r["port"] for r in s.replicas(shard)] == [str(fleet.replicas[0].port)]
    assert {p["port"] for p in s.sentinels(shard)} == {str(x.port) for x in fleet.supervisors[1:]}
    assert s.ok("SENTINEL", "CKQUORUM", shard).startswith("OK 3 usable Sentinels")

    def verdict():  # for half a second without INFO it is another
        found = pairs(s.ok("SENTINEL", "RANKING", shard)[0])["verdict"]
        assert found == "suitable", found
        return True
    wait_until(verdict, 20, "the replica is suitable")
    assert len(s.ok("SENTINEL", "INFO-CACHE", shard)[1]) == 2
    assert s.call("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", fleet.masters[0].port, 0, "*")[0] == 0
    info = s.ok("INFO", "sentinel")
    assert "sentinel_masters:3\r\n" in info and "name=%s,status=ok,address=127.0.0.1:%d,slaves=1,sentinels=3" % (
        shard, fleet.masters[0].port) in info, info
    for missing in ("orders", "orders/00000000", "orders/"):
        assert "No such master" in str(s.call("SENTINEL", "MASTER", missing))
        assert s.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", missing) is None


@case(kinds=OURS, limit_s=60)
def test_refusals(lab):
    """What cannot be done to a shard is refused, with words that say what to do."""
    fleet = Supervised(lab, supervisors=1)
    s = fleet.supervisors[0]
    shard = fleet.name_of(fleet.masters[0])
    for name in ("orders/12345678", "orders/mine", "orders"):
        reply = str(s.call("SENTINEL", "MONITOR", name, "127.0.0.1", fleet.masters[0].port, 1))
        assert reply.startswith("ERR Names that begin with 'orders/' belong to the shards"), reply
    reply = str(s.call("SENTINEL", "REMOVE", shard))
    assert "is a shard of the cluster 'orders'" in reply and "SENTINEL CLUSTER RELEASE orders" in reply, reply
    for words in (["CLUSTER", "nobody"], ["CLUSTER", "RELEASE", "nobody"]):
        assert str(s.call("SENTINEL", *words)) == "ERR No such cluster with that name"
    assert str(s.call("SENTINEL", "CLUSTER", "RELEASE", "orders", "now")).startswith("ERR Expected SENTINEL CLUSTER")
    assert "wrong number" in str(s.call("SENTINEL", "CLUSTER"))
    assert "wrong number" in str(s.call("SENTINEL", "CLUSTERS", "orders"))
    s.ok("ACL", "SETUSER", "looker", "on", "nopass", "+sentinel", "-sentinel|remove")
    with s.connect() as client:
        client.ok("AUTH", "looker", "x")
        assert deep(client.ok("SENTINEL", "CLUSTER", "orders"))["name"] == "orders"
        assert str(client.call("SENTINEL", "CLUSTER", "RELEASE", "orders")).startswith("NOPERM")
    fleet.wait_well()
    # A classic group beside the cluster, over one of its nodes' neighbours, is still a classic group.
    alone = lab.redis("alone").wait_ready()
    assert s.ok("SENTINEL", "MONITOR", "alone", "127.0.0.1", alone.port, 1) == "OK"
    wait_until(lambda: s.knows("alone", 0, 0), 10, "the group is watched")
    assert "cluster" not in s.master("alone")
    assert s.ok("SENTINEL", "REMOVE", "alone") == "OK"


@case(kinds=OURS, matrix=[("ours",), ("stock",)], limit_s=60)
def test_the_whole_cluster(lab, kind):
    """SENTINEL CLUSTERS and CLUSTER: slots, shards, replicas with their lag, and what all databases hold together."""
    fleet = Supervised(lab, ((kind, kind),) * 3, supervisors=1)
    s = fleet.supervisors[0]
    databases = (0, 3, 11) if kind == "ours" else (0,)
    for i, node in enumerate(fleet.masters):
        with node.connect() as client:
            for db in databases:
                if db:
                    client.ok("SELECT", db)
                for n, key in enumerate(keys_of(*slot_range(i, 3), 10 + db)):
                    client.ok("SET", key, "x", *(["EX", 1000] if n < 4 else []))

    def counted():
        view = fleet.view_of(s)
        sums = {int(d["db"]): (int(d["keys"]), int(d["expires"])) for d in view["databases"]}
        assert sums == {db: (3 * (10 + db), 12) for db in databases}, sums
        for shard in view["shards"]:
            assert all(0 <= int(r["lag-bytes"]) < 1000 for r in shard["replicas"]), shard
        return view
    view = wait_until(counted, 20, "keys and expiries of all databases are summed")
    assert view["state"] == "ok" and view["slots-covered"] == str(SLOTS), view
    assert view["num-shards"] == "3" and view["num-nodes"] == "6" and view["info-shards"] == "3", view
    used = sum(int(n.info("memory")["used_memory"]) for n in fleet.masters)
    assert 0.5 * used < int(view["used-memory"]) < 2 * used, (used, view["used-memory"])
    ranges = {int(x["port"]): x["slot-ranges"] for x in view["shards"]}
    assert ranges == {n.port: "%d-%d" % (slot_range(i, 3)[0], slot_range(i, 3)[1] - 1)
                      for i, n in enumerate(fleet.masters)}, ranges
    for shard in view["shards"]:
        i = next(i for i, n in enumerate(fleet.masters) if n.port == int(shard["port"]))
        assert shard["node-id"] == my_id(fleet.masters[i]) and shard["state"] == "ok", shard
        assert [(int(r["port"]), r["node-id"], r["master-link-status"]) for r in shard["replicas"]] == [
            (fleet.replicas[i].port, my_id(fleet.replicas[i]), "ok")], shard
    rows = [pairs(x) for x in s.ok("SENTINEL", "CLUSTERS")]
    assert len(rows) == 1 and rows[0]["name"] == "orders" and rows[0]["state"] == "ok", rows
    with s.connect() as client:
        client.ok("HELLO", "3")
        reply = client.ok("SENTINEL", "CLUSTER", "orders")
        assert isinstance(reply, dict) and isinstance(reply["shards"][0]["replicas"][0], dict), reply
    fleet.masters[1].kill9()
    fleet.replicas[1].kill9()
    seen = wait_until(lambda: [v for v in [fleet.view_of(s)] if v["state"] == "down"], 20, "a third is down")
    assert int(seen[0]["slots-covered"]) == SLOTS - (slot_range(1, 3)[1] - slot_range(1, 3)[0])


@case(kinds=OURS, limit_s=90)
def test_settings(lab):
    """SENTINEL SET concerns one shard and holds; the file's value for the cluster concerns all others, and takes the
    one back when it changes."""
    fleet = Supervised(lab, supervisors=1, down_after_ms=600)
    s = fleet.supervisors[0]
    names = sorted(fleet.shards(s))

    def down_after():
        return [int(s.master(name)["down-after-milliseconds"]) for name in names]
    assert down_after() == [600] * 3
    assert s.ok("SENTINEL", "SET", names[1], "down-after-milliseconds", "901") == "OK"
    assert down_after() == [600, 901, 600]
    rows = [pairs(row) for row in s.ok("SENTINEL", "OVERRIDES")]
    assert rows == [{"group": names[1], "option": "down-after-milliseconds", "value": "901", "file": "600"}], rows
    s.terminate()
    s.boot()
    assert down_after() == [600, 901, 600]
    fleet.cluster.failover_timeout_ms = 7777
    s.configure([], [fleet.cluster])
    told = s.ok("SENTINEL", "RELOAD", timeout_s=20)
    assert told[0].endswith("; clusters: 0 added, 0 released, 1 changed"), told
    assert down_after() == [600, 901, 600]
    assert all(s.master(name)["failover-timeout"] == "7777" for name in names)
    fleet.cluster.down_after_ms = 800
    s.configure([], [fleet.cluster])
    s.ok("SENTINEL", "RELOAD", timeout_s=20)
    assert down_after() == [800] * 3
    assert s.ok("SENTINEL", "OVERRIDES") == []
    fleet.wait_well()


@case(kinds=OURS, limit_s=90)
def test_reload(lab):
    """A cluster is added beside another one and beside a group, and given up again, by SIGHUP's door; a cluster that
    went from the file while nobody ran is released at the start."""
    fleet = Supervised(lab, (("ours", "stock"),) * 2, supervisors=1)
    s = fleet.supervisors[0]
    other = Supervised(lab, (("stock", "ours"),), supervisors=0, name="carts", wait=False, prefix="b")
    s.configure([], [fleet.cluster, other.cluster])
    told = s.ok("SENTINEL", "RELOAD", timeout_s=20)
    assert told[0].endswith("; clusters: 1 added, 0 released, 0 changed"), told
    other.supervisors = [s]
    other.wait_well()
    fleet.wait_well()
    wait_until(lambda: all(no_failover(n) for n in fleet.nodes + other.nodes), 10, "nobody elects by itself")
    assert {pairs(x)["name"] for x in s.ok("SENTINEL", "CLUSTERS")} == {"orders", "carts"}
    s.configure([], [other.cluster])
    told = s.ok("SENTINEL", "RELOAD", timeout_s=20)
    assert told[0].endswith("; clusters: 0 added, 1 released, 0 changed"), told
    wait_until(lambda: not any(no_failover(n) for n in fleet.nodes), 10, "the first one elects by itself")
    wait_until(lambda: [pairs(x)["name"] for x in s.ok("SENTINEL", "CLUSTERS")] == ["carts"], 15, "it is gone")
    assert all(name.startswith("carts/") for name in (m["name"] for m in s.masters()))
    assert all(no_failover(n) for n in other.nodes)
    s.terminate()
    s.configure([], [])
    s.boot()
    wait_until(lambda: not any(no_failover(n) for n in other.nodes), 10, "the other one does, too")
    wait_until(lambda: s.ok("SENTINEL", "CLUSTERS") == [], 15, "nothing is left")
    s.configure([], [fleet.cluster])
    s.ok("SENTINEL", "RELOAD", timeout_s=20)
    fleet.wait_well()


@case(kinds=OURS, limit_s=60)
def test_nodectl_status(lab):
    """The cluster as a whole, then its shards as groups; its name stands for all of them."""
    fleet = Supervised(lab, supervisors=1)
    s = fleet.supervisors[0]
    address = "127.0.0.1:%d" % s.port
    code, text, errors = nodectl("status", "-s", address, "orders")
    assert code == 0, (text, errors)
    lines = text.splitlines()
    assert lines[0].split() == ["CLUSTER", "STATE", "EPOCH", "SLOTS", "SHARDS", "NODES"], text
    assert lines[1].split()[:2] == ["orders", "ok"] and "16384 of 16384" in lines[1], text
    assert sum(line.startswith("orders/") for line in lines) >= 3, text
    code, text, _ = nodectl("status", "-s", address, "-o", "json")
    document = json.loads(text)
    assert code == 0 and document["ok"] and [c["name"] for c in document["clusters"]] == ["orders"], text
    assert document["clusters"][0]["slots_covered"] == SLOTS and document["clusters"][0]["shards"] == 3, text
    assert sorted(g["name"] for g in document["groups"]) == sorted(fleet.shards(s))
    shard = fleet.name_of(fleet.masters[0])
    code, text, _ = nodectl("status", "-s", address, shard, "-o", "json")
    document = json.loads(text)
    assert [g["name"] for g in document["groups"]] == [shard] and document["clusters"] == [], text
    fleet.masters[0].kill9()
    fleet.replicas[0].kill9()
    wait_until(lambda: "o_down" in s.flags(shard), 10, "it is down")
    code, text, _ = nodectl("status", "-s", address)
    assert code == 1 and "cluster orders: the master of" in text, text
    code, text, _ = nodectl("status", "-s", address, "nobody")
    assert code == 1 and "nobody: no supervisor" in text, text
