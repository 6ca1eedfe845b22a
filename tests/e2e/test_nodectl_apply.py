"""nodectl fleet plan and apply: a fleet is made as a file declares it, larger and smaller again; nothing is lost."""
import json
import os

from cases import case
from lab.adopted import adopt_all
from lab.clusters import make_cluster
from lab.made_fleet import MadeFleet, ask
from lab.resp import RespError
from lab.wait import wait_until
from test_nodectl_node import at, document, nodectl

OK, FAILED, USAGE = 0, 1, 2


def declare(lab, **keys):
    text = dict({"name": '"orders"', "shards": 1, "replicas": 0}, **keys)
    path = lab.path("orders.fleet")
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join("%s = %s;\n" % row for row in text.items()))
    return path


def shape(fleet, status=OK):
    """Per shard: slots, and how many replicas."""
    nodes = fleet.json("node", "list", status=status)["nodes"]
    return sorted((n["slots"], sum(r["master"] == n["address"] for r in nodes)) for n in nodes if n["role"] == "master")


def addresses(fleet):
    """The nodes of the fleet's folder."""
    with open(os.path.join(fleet.folder, "fleet.json"), encoding="utf-8") as f:
        return {node["address"] for node in json.load(f)["nodes"]}


def ports(fleet):
    return sorted(int(address.rsplit(":", 1)[1]) for address in addresses(fleet))


def started(fleet):
    return {port: ask(port, "INFO", "server").split("process_id:")[1].split("\r")[0] for port in ports(fleet)}


def setting(fleet, name):
    return {ask(port, "CONFIG", "GET", name)[1] for port in ports(fleet)}


def sure(port, *words, db=0):
    """What must not be refused, as it is while a lease has run out."""
    wait_until(lambda: not isinstance(ask(port, *words, db=db), RespError), 20, "port %d takes %s" % (port, words))


@case(kinds=("ours",), limit_s=150)
def test_settings_of_the_start(lab):
    """What nodes read when they start goes into their files, and they are started again one after the other, while a
    client writes: more databases and back, never at the price of a key."""
    fleet = MadeFleet(lab)
    fleet.create(shards=1, replicas=1)
    before, keys = started(fleet), 0
    # One that joins later begins with it.
    more = declare(lab, shards=1, replicas=2, databases=20, options="{ io_threads = 2; }")
    planned = fleet.json("fleet", "plan", more)
    steps = [step["step"] for step in planned["steps"]]
    assert len(steps) == 3 and started(fleet) == before, steps
    for port, text in zip(ports(fleet), reversed(steps[1:])):
        assert ":%d " % port in text and "cluster-databases 20 (16 now), io-threads 2 (1 now)" in text, steps
        assert "node-%d/noded.conf" % port in text, steps

    writer = fleet.popen("fleet", "apply", more, "--yes", "-o", "json")
    while writer.poll() is None:
        keys += write(fleet, keys)
    done = json.loads(writer.communicate()[0])
    assert done["ok"] and done["done"] == 3, done
    after = started(fleet)
    assert len(after) == 3 and all(after[port] != before[port] for port in before), (before, after)
    assert setting(fleet, "cluster-databases") == {"20"} and setting(fleet, "io-threads") == {"2"}
    assert keys > 0 and ask(master(fleet), "DBSIZE") == keys
    again = fleet.json("fleet", "apply", more, "--yes")
    assert again["ok"] and again["steps"] == [] and started(fleet) == after, again

    # A node that does not come back ends it there: the others are not touched.
    broken = ports(fleet)[-1]
    manifest = os.path.join(fleet.folder, "node-%d" % broken, "appendonlydir", "appendonly.aof.manifest")
    with open(manifest, encoding="utf-8") as f:
        good = f.read()
    with open(manifest, "w", encoding="utf-8") as f:
        f.write("nonsense\n")
    three = declare(lab, shards=1, replicas=2, options="{ io_threads = 3; }")
    halted = fleet.run("fleet", "apply", three, "--yes", status=FAILED, said="has ended").stderr
    assert "the same command goes on" in halted, halted
    with open(manifest, "w", encoding="utf-8") as f:
        f.write(good)
    fleet.run("fleet", "start", "orders", "--yes")
    done = fleet.json("fleet", "apply", three, "--yes")
    assert done["ok"] and setting(fleet, "io-threads") == {"3"}, done
    after = started(fleet)

    # Fewer: not while a key would be lost, and what was deleted does not come back by the append-only file.
    fewer = declare(lab, shards=1, replicas=2, databases=4)
    sure(master(fleet), "SET", "a", "b", db=17)
    refused = fleet.run("fleet", "apply", fewer, "--yes", status=FAILED, said="db17 holds 1 key")
    assert "would be lost" in refused.stderr and started(fleet) == after
    sure(master(fleet), "DEL", "a", db=17)
    # One that is not ours to write: what is to be put where is said, and nothing is done.
    hidden = min(ports(fleet))
    path = os.path.join(fleet.folder, "node-%d" % hidden, "noded.conf")
    os.rename(path, path + ".away")
    refused = fleet.run("fleet", "apply", fewer, "--yes", status=FAILED, said=":%d" % hidden).stderr
    assert path in refused and "cluster_databases = 4;" in refused and "fleet restart --rolling" in refused, refused
    os.rename(path + ".away", path)
    assert started(fleet) == after
    done = fleet.json("fleet", "apply", fewer, "--yes")
    assert done["ok"] and fleet.json("node", "add", "--yes")["ok"]
    assert setting(fleet, "cluster-databases") == {"4"} and setting(fleet, "io-threads") == {"3", "1"}, done
    assert ask(master(fleet), "DBSIZE") == keys and isinstance(ask(master(fleet), "SELECT", 17), RespError)


def master(fleet):
    return next(int(n["address"].rsplit(":", 1)[1]) for n in fleet.json("node", "list")["nodes"] if n["slots"] > 0)


def write(fleet, number):
    """One key more, wherever the master is. Returns 1 when it was acknowledged, else 0."""
    for port in ports(fleet):
        try:
            if ask(port, "SET", "key%d" % number, "x") == "OK":
                return 1
        except OSError:
            continue
    return 0


@case(kinds=("ours", "stock"), limit_s=60)
def test_settings_without_a_fleet_of_ours(lab):
    """Nodes that an operator has started: with a file it is written, redis.conf too; without one that is said."""
    masters, replicas = make_cluster(lab, [lab.kind], [(lab.kind, 0)])
    nodes = masters + replicas
    lab.on_close(lambda: adopt_all(nodes))
    where = ["--seeds", at(masters[0])]
    masters[0].ok("SET", "key", "value")
    path = declare(lab, shards=1, replicas=1, options="{ io_threads = 2; }")
    if lab.kind == "ours":
        refused = nodectl(lab, "fleet", "apply", path, "--yes", *where, expect=FAILED).stderr
        assert all(at(node) in refused for node in nodes) and "io_threads = 2;" in refused, refused
        assert "started without one" in refused, refused
        return
    done = document(nodectl(lab, "fleet", "apply", path, "--yes", "-o", "json", *where))
    assert done["ok"] and done["done"] == 2, done
    assert [node.ok("CONFIG", "GET", "io-threads")[1] for node in nodes] == ["2", "2"]
    assert replicas[0].info("replication")["role"] == "master" and replicas[0].ok("GET", "key") == "value"
    path = declare(lab, shards=1, replicas=1, databases=4)
    assert "database 0 only" in nodectl(lab, "fleet", "apply", path, "--yes", *where, expect=FAILED).stderr


@case(kinds=("ours",), limit_s=150)
def test_a_declared_fleet(lab):
    """One shard becomes two with replicas and a setting, then one again. Given again there is nothing to do."""
    fleet = MadeFleet(lab)
    made = fleet.create(shards=1, replicas=0)
    first = int(made["nodes"][0]["address"].rsplit(":", 1)[1])
    keys = ["key%d" % i for i in range(200)]
    for key in keys:
        sure(first, "SET", key, "of " + key)

    wider = declare(lab, shards=2, replicas=1, databases=16, options="{ maxmemory = \"512mb\"; }")
    planned = fleet.json("fleet", "plan", wider)
    assert planned["dry_run"] and len(planned["steps"]) == 5 and shape(fleet) == [(16384, 0)], planned
    done = fleet.json("fleet", "apply", wider, "--yes")
    assert done["ok"], done
    assert shape(fleet) == [(8192, 1), (8192, 1)]
    for node in fleet.json("node", "list")["nodes"]:
        port = int(node["address"].rsplit(":", 1)[1])
        assert ask(port, "CONFIG", "GET", "maxmemory")[1] == str(512 << 20), node
    again = fleet.json("fleet", "apply", wider, "--yes")
    assert again["ok"] and again["steps"] == [], again

    for own in ("port = 1", "dir = \"/\"", "cluster_databases = 4", "cluster_announce_ip = \"::1\""):
        fleet.run("fleet", "plan", declare(lab, options="{ %s; }" % own), status=USAGE, said=own.split(" ")[0])
    fleet.run("fleet", "apply", declare(lab, options="{ no_such = 1; }"), "--yes", status=FAILED, said="no setting")
    fleet.run("fleet", "plan", declare(lab, shards=0), status=USAGE, said="shards")
    fleet.run("fleet", "plan", declare(lab, name='"other"'), status=FAILED, said="this is orders")

    narrow = declare(lab, shards=1, replicas=1)
    done = fleet.json("fleet", "apply", narrow, "--yes")
    assert done["ok"] and shape(fleet) == [(16384, 1)], done
    # Who is too many has ended, and is not started again; what it had is still there.
    kept = {node["address"] for node in fleet.json("node", "list")["nodes"]}
    assert kept == addresses(fleet) and len(fleet.processes()) == 5, fleet.processes()
    assert len([name for name in os.listdir(fleet.folder) if name.startswith("node-")]) == 4
    assert "] start" not in fleet.run("fleet", "start", "orders", "--yes").stdout and len(fleet.processes()) == 5
    master = next(n for n in fleet.json("node", "list")["nodes"] if n["role"] == "master")
    port = int(master["address"].rsplit(":", 1)[1])
    assert [ask(port, "GET", key) for key in keys] == ["of " + key for key in keys]

    # A dead node's log is shown too; nothing is changed while it is down.
    fleet.kill9(port)
    assert "Ready to accept connections" in fleet.run("node", "logs", master["address"], "-n", "1000").stdout
    fleet.run("fleet", "apply", wider, "--yes", status=FAILED, said="is down")

    # It is taken out of the fleet's record as well, and a new one gets a folder of its own.
    wait_until(lambda: shape(fleet, FAILED)[-1:] == [(16384, 0)], 20, "the replica to be promoted")
    fleet.run("node", "remove", master["address"], "--yes", said="stop " + master["address"])
    assert "] start" not in fleet.run("fleet", "start", "orders", "--yes").stdout and len(fleet.processes()) == 4
    added = fleet.json("node", "add", "--yes")["node"]
    assert added in addresses(fleet) and added not in kept and shape(fleet) == [(16384, 1)], added
    with open(fleet.conf, encoding="utf-8") as f:
        text = f.read()
    assert added in text and master["address"] not in text, text
    fleet.run("fleet", "destroy", "orders", "--yes")
    assert not os.path.exists(fleet.folder)
