"""nodectl db list, scan, copy and flush over clusters of three masters, also while slots move and masters die."""
import base64
import json
import subprocess

from cases import case
from lab import wait_until
from lab.clusters import cluster_node, key_in, make_cluster, my_id
from lab.dataset import client, content, fill, owner_of
from lab.supervisors import nodectl_path
from lab.tool import FAILED, NOBODY, OK, USAGE, clean_env
from test_documents import leaves
from test_nodectl_answers import documented

OURS = ("ours",)
DATABASES = (0, 3, 15)


def run(lab, nodes, *words, stdin=None, timeout_s=60):
    seeds = ["--seeds", ",".join("127.0.0.1:%d" % n.port for n in nodes)] if nodes else []
    return subprocess.run([nodectl_path(), *[str(w) for w in words], *seeds], input=stdin,
                          stdin=subprocess.DEVNULL if stdin is None else None, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, env=clean_env(lab), timeout=timeout_s,
                          check=False)


def document(done):
    assert done.returncode in (OK, FAILED), done
    return json.loads(done.stdout)


def keys_of(done):
    """Of db scan -o json, as bytes."""
    rows = document(done)["keys"]
    return [row["key"].encode() if "key" in row else base64.b64decode(row["key_base64"]) for row in rows]


def of_database(found, db):
    return {key: value for (number, key), value in found.items() if number == db}


@case(kinds=OURS, limit_s=120)
def test_list_scan_copy_flush(lab):
    """16 databases over three shards: what is told, printed, copied and deleted is what is there."""
    masters, _ = make_cluster(lab, ["ours"] * 3, cluster_node_timeout=6000)
    fill(masters, DATABASES, 300)
    before = content(masters, range(16))
    check_list(lab, masters, before)
    check_scan(lab, masters, before)
    check_copy(lab, masters, before)
    check_flush(lab, masters)


def check_list(lab, masters, before):
    told = {row["db"]: row for row in document(run(lab, masters[:1], "db", "list", "-o", "json"))["databases"]}
    assert sorted(told) == list(DATABASES), told
    for db, row in told.items():
        here = of_database(before, db)
        assert row["keys"] == len(here) and row["expires"] == sum(at >= 0 for _, at in here.values()), row
        used = sum(client(n, db).memory_usage(k, samples=0) or 0 for n in masters for k in client(n, db).scan_iter())
        assert 0.4 * used < row["memory_bytes"] < 2.5 * used, (row, used)
        assert sum(s["keys"] for s in row["shards"]) == row["keys"] and len(row["shards"]) == 3, row
    wide = run(lab, masters[:1], "db", "list", "-o", "wide").stdout
    assert wide.count("127.0.0.1:%d" % masters[1].port) == len(DATABASES) and wide.count(" all ") == 3, wide


def check_scan(lab, masters, before):
    for db in (0, 3, 7):
        keys = keys_of(run(lab, masters[1:2], "db", "scan", db, "-o", "json"))
        assert len(keys) == len(set(keys)) and set(keys) == set(of_database(before, db)), (db, len(keys))
    lines = run(lab, masters, "db", "scan", 3).stdout.splitlines()
    assert len(lines) == len(of_database(before, 3))
    seen = {line[1:-1].encode().decode("unicode_escape").encode("latin-1") for line in lines}
    assert seen == set(of_database(before, 3))
    hashes = keys_of(run(lab, masters, "db", "scan", 0, "--type", "hash", "--match", "*-?5", "-o", "json"))
    assert hashes and all(client(owner(masters, k)).type(k) == b"hash" and k[-3:-2] == b"-" for k in hashes)
    assert len(run(lab, masters, "db", "scan", 0, "--limit", 5).stdout.splitlines()) == 5
    wrong = run(lab, masters, "db", "scan", 0, "--type", "foo")
    assert wrong.returncode == USAGE and "--type is 'foo'" in wrong.stderr, wrong
    assert run(lab, masters, "db", "scan", 0, "--type", "ReJSON-RL").stdout == ""
    yaml = run(lab, masters, "db", "scan", 7, "-o", "yaml").stdout
    assert yaml == "database: 7\nkeys: []\ncount: 0\nok: true\nfailure: null\n", yaml
    assert run(lab, masters, "db", "scan", 16).returncode == FAILED
    assert run(lab, masters, "db", "scan", "x").returncode == USAGE


def owner(masters, key):
    return next(n for n in masters if client(n).exists(key)) if len(masters) == 1 else \
        next(n for n in masters if holds(n, key))


def holds(node, key):
    try:
        return client(node).exists(key)
    except Exception as e:  # pylint: disable=broad-except
        assert "MOVED" in str(e) or type(e).__name__ == "MovedError", e
        return False


def check_copy(lab, masters, before):
    target = key_in(5000)
    node = next(n for n in masters if holds(n, target) is not False)
    client(node, 3).set(target, "source")
    client(node, 9).set(target, "was there")
    dry = run(lab, masters, "db", "copy", 3, 9, "--dry-run")
    assert dry.returncode == OK and "stay as they are" in dry.stdout and client(node, 9).dbsize() == 1, dry
    done = document(run(lab, masters, "db", "copy", 3, 9, "--yes", "-o", "json"))
    wanted = len(of_database(before, 3))
    assert (done["copied"], done["kept"], done["ok"]) == (wanted, 1, True), done
    after = content(masters, range(16))
    copied = of_database(after, 9)
    for key, value in of_database(before, 3).items():
        assert copied[key] == value, key
    assert client(node, 9).get(target) == b"was there"
    done = document(run(lab, masters, "db", "copy", 3, 9, "--yes", "--replace", "--match", "{t*", "-o", "json"))
    assert (done["copied"], done["kept"]) == (1, 0) and client(node, 9).get(target) == b"source", done
    assert run(lab, masters, "db", "copy", 3, 3, "--yes").returncode == USAGE


def check_flush(lab, masters):
    """Nothing goes before the very name was said."""
    name = "127.0.0.1:%d/9" % masters[0].port
    keys = sum(client(n, 9).dbsize() for n in masters)
    refused = run(lab, masters, "db", "flush", 9, "--yes")
    assert refused.returncode == USAGE and "--confirm %s" % name in refused.stderr, refused
    wrong = run(lab, masters, "db", "flush", 9, "--yes", "--confirm", "127.0.0.1:%d/3" % masters[0].port)
    assert wrong.returncode == USAGE and "is about %s" % name in wrong.stderr, wrong
    assert sum(client(n, 9).dbsize() for n in masters) == keys
    done = run(lab, masters, "db", "flush", 9, "--yes", "--confirm", name, "-o", "json")
    assert document(done)["keys"] == keys and len(document(done)["steps"]) == 3, done
    assert sum(client(n, 9).dbsize() for n in masters) == 0
    assert sum(client(n, 3).dbsize() for n in masters) >= 300


@case(kinds=OURS, limit_s=120)
def test_scan_while_slots_move_and_a_master_dies(lab):
    """A slow reader of db scan; meanwhile slots go to another master, and a master is replaced by its replica. No key
    is missing."""
    # A node that stood still for a quarter of the node timeout takes no slots for a while.
    masters, replicas = make_cluster(lab, ["ours"] * 3, [("ours", 0)], cluster_node_timeout=4000)
    wanted = {"user:%d" % i for i in range(24000)}
    pipes = {node.port: client(node, 3).pipeline(transaction=False) for node in masters}
    for key in wanted:
        pipes[owner_of(masters, key.encode()).port].set(key, "x")
    for pipe in pipes.values():
        pipe.execute()
    before = client(masters[1], 3).dbsize()
    assert client(masters[0], 3).wait(1, 20000) == 1
    argv = [nodectl_path(), "db", "scan", "3", "--count", "20", "--seeds", "127.0.0.1:%d" % masters[1].port]
    reader = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True)
    lab.on_close(reader.kill)
    seen = [reader.stdout.readline() for _ in range(100)]
    job = masters[2].ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 12000, 15000, "NODE", my_id(masters[1]))
    wait_until(lambda: client(masters[1], 3).dbsize() > before + 2000, 20, "the slots have moved (%s)" % job)
    masters[0].kill9()
    seen += reader.stdout.readlines()
    assert reader.wait(timeout=60) == OK, reader.stderr.read()
    found = {line.strip()[1:-1] for line in seen}
    assert found == wanted, (len(found), len(wanted), sorted(wanted - found)[:5])
    wait_until(lambda: replicas[0].info("replication")["role"] == "master", 20, "the replica has taken its place")


def codes_of(lab, good, half, dead):
    """(words, code) of each verb of db and backup, for each code that its help names."""
    name = "127.0.0.1:%d/0" % good[0].port
    seeds = {key: ["--seeds", "127.0.0.1:%d" % node.port] for key, node in
             (("good", good[0]), ("half", half[0]), ("dead", dead))}
    made = json.loads(run(lab, good, "backup", "create", "--to", lab.path("saved"), "-o", "json").stdout)["backup"]
    flush = ["--yes", "--confirm"]
    calls = {("db", "list"): [], ("db", "scan"): ["0"], ("db", "copy"): ["0", "1", "--yes"],
             ("db", "flush"): ["0", *flush], ("backup", "create"): ["--to", lab.path("saved2")],
             ("backup", "restore"): [made, "--yes", "--replace"]}
    for words, args in calls.items():
        for key, code in (("good", OK), ("half", FAILED), ("dead", NOBODY)):
            said = ["127.0.0.1:%s/0" % seeds[key][1].split(":")[1]] if words[1] == "flush" else []
            yield words, [*args, *said, *seeds[key], "-t", "5s"], code
        yield words, [*args, *([name] if words[1] == "flush" else []), "-t", "x", *seeds["good"]], USAGE
    for words, args in ((("backup", "list"), [lab.path("saved")]), (("backup", "verify"), [made])):
        yield words, args, OK
        yield words, [lab.path("nothing here")], FAILED
        yield words, [*args, "-o", "xml"], USAGE


@case(kinds=OURS, limit_s=60)
def test_exit_codes(lab):
    """Each verb of db and backup ends with each code that its help names; what -o json prints is one document."""
    good, _ = make_cluster(lab, ["ours"], prefix="good-")
    half, _ = make_cluster(lab, ["ours"] * 2, prefix="half-")
    half[1].kill9()
    dead = cluster_node(lab, "ours", "dead")
    dead.kill9()
    client(good[0]).set("some", "key")
    seen = {}
    for words, args, code in codes_of(lab, good, half, dead):
        done = run(lab, (), *words, *args)
        assert done.returncode == code and (code == OK or done.stderr or done.stdout), (words, args, code, done)
        seen.setdefault(words, set()).add(code)
        if code in (OK, FAILED):
            told = run(lab, (), *words, *args, "-o", "json")
            assert told.stdout == "" or isinstance(json.loads(told.stdout), dict), (words, args, told)
    known = dict(leaves())
    for words, codes in seen.items():
        assert documented(known[words]) == codes, (words, codes, known[words])
    assert {w for w in known if w[0] in ("db", "backup")} - seen.keys() == {("db", "swap")}


@case(kinds=OURS, limit_s=60)
def test_stock_cluster(lab):
    """redis-server has database 0 only: list and scan work, another database is refused before anything is done."""
    masters, _ = make_cluster(lab, ["stock"] * 2)
    fill(masters, (0,), 300)
    keys = set(of_database(content(masters, (0,)), 0))
    assert set(keys_of(run(lab, masters, "db", "scan", 0, "-o", "json"))) == keys
    told = document(run(lab, masters, "db", "list", "-o", "json"))["databases"]
    assert [(row["db"], row["keys"]) for row in told] == [(0, len(keys))], told
    refused = run(lab, masters, "db", "copy", 0, 1, "--yes")
    assert refused.returncode == FAILED and "database 0 only" in refused.stderr, refused
    masters[1].kill9()
    partly = run(lab, masters[:1], "db", "list", "-o", "json", "-t", "5s")
    assert partly.returncode == FAILED and "%d" % masters[1].port in partly.stderr, partly
    assert run(lab, masters[1:], "db", "list").returncode == NOBODY
