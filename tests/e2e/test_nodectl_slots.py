"""nodectl slots: what it shows, and slots that move with all their keys while clients write, after a crash too."""
import json
import os
import signal
import subprocess

from cases import case
from lab import encode, wait_until
from lab.clusters import SLOTS, cluster_node, info, key_in, lines, make_cluster, meet, my_id
from lab.processes import die_with_parent
from lab.supervised import Supervised
from lab.supervisors import nodectl_path
from lab.tool import FAILED, INTERRUPTED, OK, USAGE, at, clean_env
from test_cluster_lease import leased
from test_noded_rebalance import Load, assert_has, fill, open_slot, slots_of

OURS = ("ours",)
TIMEOUT = {"cluster_node_timeout": 6000}
WIRE = b"\xff\x00{%s}\r\n \x1b[31m"  # what a key may be called


class Result:
    def __init__(self, args, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.text = "nodectl %s: exit status %d\n%s%s" % (" ".join(args), code, out, err)

    def expect(self, code, *parts):
        assert self.code == code, "wanted exit status %d\n%s" % (code, self.text)
        for part in parts:
            assert part in self.out + self.err, "%r is not there\n%s" % (part, self.text)
        return self

    def document(self):
        return json.loads(self.out)


def with_seeds(seeds, args):
    args = [str(a) for a in args]
    return args[:2] + ["--seeds", at(*seeds)] + args[2:]


def nodectl(lab, seeds, *args, timeout_s=60):
    args = with_seeds(seeds, args)
    done = subprocess.run([nodectl_path()] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=clean_env(lab), timeout=timeout_s, check=False)
    return Result(args, done.returncode, *(text.decode("utf-8") for text in (done.stdout, done.stderr)))


def begin(lab, seeds, *args):
    """One that runs on, until the test ends."""
    parent = os.getpid()
    args = with_seeds(seeds, args)
    return subprocess.Popen([nodectl_path()] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env=clean_env(lab), universal_newlines=True,
                            preexec_fn=lambda: die_with_parent(parent))


def binary_keys(node, slot, count=20):
    """Keys whose names no text holds, as what they are and what they have."""
    tag = key_in(slot).strip("{}").encode()
    said = {}
    with node.connect() as link:
        for i in range(count):
            key = WIRE % tag + bytes([i])
            link.send_raw(encode("SET", key, b"\x00v%d" % i))
            assert link.read() == "OK"
            said[key] = b"\x00v%d" % i
    return said


def assert_binary(node, said):
    with node.connect() as link:
        for key, value in said.items():
            assert link.call_raw("GET", key) == b"$%d\r\n%s\r\n" % (len(value), value), key


def codes(lab, *nodes):
    said = nodectl(lab, nodes, "slots", "check", "-o", "json")
    assert said.code in (OK, FAILED), said.text
    document = said.document()
    found = {f["code"] for f in document["findings"] if f["level"] != "note"}
    assert document["ok"] == (not found) == (said.code == OK), said.text
    return found


def wait_clean(lab, node):
    def clean():
        found = codes(lab, node)
        assert not found, found
        return True
    wait_until(clean, 20, "slots check finds nothing")


def owned(node):
    return slots_of(node, node)


def is_open(node):
    return any(word.startswith("[") for word in lines(node)[my_id(node)][8:])


@case(kinds=OURS, limit_s=120)
def test_move_in_one_piece(lab):
    """Between nodes of noded, with all databases and any names of keys, while clients write; killed, interrupted, and
    given again."""
    nodes, _ = make_cluster(lab, ["ours"] * 3, **TIMEOUT)
    one, two, three = nodes
    databases, slots = (0, 5, 15), [0, 1, 7, 499]
    said = fill(one, slots, databases, each=20)
    odd = binary_keys(one, 7)
    load = Load(nodes, slots, databases)
    load.goes_on("the start")
    document = nodectl(lab, [two], "slots", "show", "-o", "json").expect(OK).document()
    assert [m["slots"] for m in document["masters"]] == [5461, 5461, 5462] and document["slots_covered"] == SLOTS
    assert {d["database"] for d in document["masters"][0]["databases"]} == set(databases), document
    nodectl(lab, [two], "slots", "show", "-o", "wide").expect(OK, at(one), "0-5460", "db15:", "A" * 64)
    shown = nodectl(lab, [two], "slots", "show", "--key", key_in(7) + "x", "-o", "json").expect(OK).document()
    assert shown["slot"] == 7 and [m["address"] for m in shown["masters"]] == [at(one)], shown
    move = ("slots", "move", "--from", at(one), "--to", my_id(two)[:8], "--slots", "0-499", "--rate", "100")
    nodectl(lab, [two], *move, "--dry-run").expect(OK, "in one piece", "0-499")
    nodectl(lab, [two], *move).expect(USAGE, "--yes")
    assert not owned(two) & set(range(500))
    # Killed in the middle: what the nodes have begun they finish, and the same command does the rest.
    killed = begin(lab, [two], *move, "--yes")
    wait_until(lambda: len(owned(two) & set(range(500))) > 20, 20, "some slots are there", every_s=0.01)
    killed.kill()
    killed.communicate()
    assert len(owned(one) & set(range(500))) > 0, "it was too fast to be killed"
    load.goes_on("killed")
    # Interrupted: it ends what is under way, and says how to go on.
    before = len(owned(two))
    stopped = begin(lab, [two], *move, "--yes", "-o", "json")
    wait_until(lambda: len(owned(two)) > before, 20, "it has gone on", every_s=0.01)
    stopped.send_signal(signal.SIGINT)
    text = stopped.communicate(timeout=20)[0]
    assert stopped.returncode == INTERRUPTED and "interrupted" in text, text
    assert 0 < len(owned(one) & set(range(500))), text
    moved = nodectl(lab, [two], *move[:-2], "--yes", "-o", "json").expect(OK).document()
    assert moved["ok"] and moved["failure"] is None and moved["steps"][0]["state"] == "done", moved
    assert set(range(500)) <= owned(two) and set(range(500)) <= slots_of(three, two)
    nodectl(lab, [two], *move[:-2], "--yes").expect(OK, "nothing is to be done")
    load.goes_on("moved")
    # Of several, in proportion; and what is not there.
    moved = nodectl(lab, [two], "slots", "move", "--from", "all", "--to", at(three), "--count", "109", "--yes", "-o",
                    "json").expect(OK).document()["moves"]
    assert sorted(m["count"] for m in moved) == [50, 59] and len(owned(one)) == 4911, moved
    both = "%s,%s" % (at(one), my_id(two)[:8])
    nodectl(lab, [two], "slots", "move", "--from", both, "--to", at(three), "--count", "10812").expect(USAGE, "--yes")
    nodectl(lab, [two], "slots", "move", "--from", both, "--to", at(three), "--count", "10814", "--yes").expect(
        FAILED, "has 10813 slots, and 10814 are wanted")
    nodectl(lab, [two], "slots", "move", "--from", at(one) + ",nobody", "--to", at(three), "--count", "2",
            "--yes").expect(FAILED, "nobody")
    nodectl(lab, [two], "slots", "move", "--from", both, "--to", at(three), "--count", "20", "--yes").expect(OK)
    assert len(owned(three)) == 5462 + 109 + 20
    # By keys, with the empty master, and back to shares of slots.
    nodectl(lab, [two], "slots", "rebalance", "--by", "keys", "--yes").expect(OK)
    sizes = [m["keys"] for m in nodectl(lab, [one], "cluster", "info", "-o", "json").expect(OK).document()["masters"]]
    assert min(sizes) > 0, sizes
    nodectl(lab, [three], "slots", "rebalance", "--threshold", "0", "--yes").expect(OK)
    counts = sorted(len(owned(n)) for n in nodes)
    assert counts == [5461, 5461, 5462], counts
    nodectl(lab, [three], "slots", "rebalance", "--weight", at(one) + "=0", "--yes").expect(OK)
    assert not owned(one) and abs(len(owned(two)) - len(owned(three))) <= 1
    nodectl(lab, [three], "slots", "rebalance", "--skip-empty-masters", "--yes").expect(OK, "nothing is to be done")
    load.stop()
    assert_has(said, lambda slot: next(n for n in nodes if slot in owned(n)), databases)
    assert_binary(next(n for n in nodes if 7 in owned(n)), odd)
    assert codes(lab, one) <= {"master-without-replica"}  # one has none left, and follows whoever took its last slot


@case(kinds=OURS, limit_s=90)
def test_move_that_waits(lab):
    """A replica of the target hangs, and might still be elected: what is waited for is told, and SIGTERM takes the
    migration back. Afterwards the same command does it."""
    (one, two), (copy,) = make_cluster(lab, ["ours"] * 2, [("ours", 1)], cluster_node_timeout=2000)
    said = fill(one, [3], (0,), each=20)
    name = my_id(copy)
    copy.pause()
    wait_until(lambda: "fail" in lines(two)[name][2].split(","), 20, "the replica is missed")
    move = ("slots", "move", "--from", at(one), "--to", at(two), "--slots", "0-9", "--yes")
    stopped = begin(lab, [one], *move)
    why = "does not go on: Waits for replicas of this shard"
    wait_until(lambda: why in stopped.stdout.readline(), 30, "it is told")
    stopped.send_signal(signal.SIGTERM)
    text = stopped.communicate(timeout=30)[0]
    assert stopped.returncode == INTERRUPTED and "is taken back" in text, text
    assert set(range(10)) <= owned(one) and not is_open(one)
    assert_has(said, lambda slot: one, (0,))
    copy.resume()
    wait_until(lambda: "fail" not in lines(two)[name][2], 20, "the replica is back")
    nodectl(lab, [one], *move).expect(OK)
    assert set(range(10)) <= owned(two)
    assert_has(said, lambda slot: two, (0,))


@case(kinds=OURS, limit_s=60)
def test_rebalance_by_load(lab):
    """By what slots take, in whatever database, and not by how many keys they have: large values, and busy slots. A
    stock node does not tell it by slot, and the plan says so."""
    nodes, _ = make_cluster(lab, ["ours", "ours"], **TIMEOUT)
    one, two = nodes
    large, busy = [0, 1, 2, 3], list(range(100, 108))
    with one.connect() as link:
        link.ok("SELECT", 6)
        for slot in large:
            for i in range(20):
                link.ok("SET", key_in(slot) + "k%d" % i, "v" * 50000)
    with two.connect() as link:
        for i in range(400):
            link.ok("SET", key_in(10000 + i % 4) + "k%d" % i, "v")
    def shown(*args):
        return nodectl(lab, [two], "slots", "show", "-o", "json", *args).expect(OK).document()["masters"]
    before = {m["address"]: m["memory_bytes"] for m in shown()}
    assert 4e6 < before[at(one)] < 6e6 and before[at(two)] < 1e5, before
    balance = ("slots", "rebalance", "--threshold", "20", "--by")
    nodectl(lab, [two], *balance, "memory", "--yes").expect(OK, "by a sample of their keys")
    assert len(owned(two) & set(large)) == 2 and len(owned(one) | set(large)) <= SLOTS // 2 + 2
    after = [m["memory_bytes"] for m in shown()]
    assert min(after) > 0.8 * max(after), after
    nodectl(lab, [two], *balance, "ops", "--over", "100ms", "--yes").expect(FAILED, "no node had commands to do")
    load = Load(nodes, busy, (0, 3))
    load.goes_on("the start")
    nodectl(lab, [two], *balance, "ops", "--over", "1s", "--yes").expect(OK, "processor time")
    # A busy machine makes one or the other slot dearer than it is.
    assert 2 <= len(owned(two) & set(busy)) <= 6 and len(owned(one)) > 8000, sorted(owned(two))[:10]
    load.goes_on("rebalanced")
    hot = shown("--slot", busy[0])
    assert hot[0]["cpu_usec"] > 0 < hot[0]["network_bytes_in"], hot
    nodectl(lab, [two], "slots", "show", "--slot", busy[0], "-o", "wide").expect(OK, "CPU S")
    load.stop()
    assert [len(owned(n)) for n in nodes] != [SLOTS // 2] * 2
    (stock, _), _ = make_cluster(lab, ["stock", "stock"], prefix="other", **TIMEOUT)
    for slot in range(4):
        stock.ok("SET", key_in(slot), "x")
    said = nodectl(lab, [stock], "slots", "rebalance", "--by", "memory", "--dry-run")
    said.expect(OK, "by the number of their keys", "does not tell it by slot")
    assert "?" in nodectl(lab, [stock], "slots", "show", "-o", "wide").expect(OK).out


@case(kinds=OURS, limit_s=60)
def test_left_open(lab):
    """A move between stock nodes that died between its words to the two ends: the slots are the target's, and the
    source goes on sending them away. The same command closes them there, and so does a rebalance."""
    (one, two), _ = make_cluster(lab, ["stock", "stock"], **TIMEOUT)
    def half_told(first, last):
        for slot in range(first, last + 1):
            open_slot(slot, one, two)
            two.ok("CLUSTER", "SETSLOT", slot, "NODE", my_id(two))
        wait_until(lambda: not set(range(first, last + 1)) & (owned(one) | slots_of(two, one)), 20, "they are two's")
        assert is_open(one) and "slot-open" in codes(lab, two)
    half_told(5, 7)
    move = ("slots", "move", "--to", at(two), "--slots")
    nodectl(lab, [one], *move, "5-9", "--dry-run").expect(OK, "close slots 5-7 at " + at(one), "key by key")
    assert is_open(one) and not set(range(8, 10)) & owned(two)
    nodectl(lab, [one], "slots", "move", "--to", at(one), "--slots", "0", "--yes").expect(OK, "nothing is to be done")
    assert is_open(one)  # those are on their way to another one than was named
    nodectl(lab, [one], *move, "5-7", "--yes").expect(OK, "no key of them is left")
    assert not is_open(one) and set(range(5, 8)) <= owned(two)
    half_told(10, 12)
    nodectl(lab, [one], *move, "9-12", "--yes").expect(OK, "close slots 10-12", "key by key")
    assert not is_open(one) and 9 in owned(two) and 13 in owned(one)
    half_told(20, 20)
    nodectl(lab, [two], "slots", "rebalance", "--threshold", "50", "--yes").expect(OK, "close slots 20 at " + at(one))
    assert not is_open(one) and 20 in owned(two)
    wait_clean(lab, two)


@case(kinds=OURS, matrix=[("stock", "stock", "stock"), ("ours", "stock", "ours")], sample=1, limit_s=120)
def test_move_key_by_key(lab, *kinds):
    """With stock nodes: killed while slots are open, found by check, finished by the same command; keys at both
    ends; and what would be lost is refused."""
    nodes, _ = make_cluster(lab, kinds, **TIMEOUT)
    one, two, _ = nodes
    slots = [0, 1, 7]
    odd = binary_keys(one, 7, 200)
    with one.connect() as link:
        for i in range(3000):
            link.send_raw(encode("SET", key_in(i % 60) + "k%d" % i, "v" * 100))
        for _ in range(3000):
            assert link.read() == "OK"
    load = Load(nodes, slots)
    load.goes_on("the start")
    move = ("slots", "move", "--to", at(two), "--slots", "0-63")
    killed = begin(lab, [two], *move, "--rate", "20", "--yes")
    wait_until(lambda: is_open(one) and is_open(two), 20, "slots are open", every_s=0.002)
    killed.kill()
    killed.communicate()
    if is_open(one) or is_open(two):
        assert "slot-open" in codes(lab, two)
    # A request for two keys waits (TRYAGAIN) while each end has one of them, until the move is finished.
    # A key of which a copy is at the target, and one that has another value there.
    same, other = key_in(62) + "same", key_in(63) + "other"
    for slot, key, values in ((62, same, ("1", "1")), (63, other, ("1", "2"))):
        one.ok("SET", key, values[0])
        two.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", my_id(one))
        with two.connect() as link:
            link.ok("ASKING")
            link.ok("SET", key, values[1])
    nodectl(lab, [two], *move, "--yes").expect(FAILED, "other", "database 0, slot 63", "--owner-wins")
    assert set(range(63)) <= owned(two) and 63 in owned(one)
    with two.connect() as link:
        link.ok("ASKING")
        link.ok("DEL", other)
    nodectl(lab, [two], *move, "--yes").expect(OK, "key by key")
    assert set(range(64)) <= owned(two)
    assert two.ok("GET", same) == "1" and two.ok("GET", other) == "1" and one.ok("DBSIZE") == 0
    load.goes_on("moved")
    load.stop()
    assert_binary(two, odd)
    wait_clean(lab, two)
    if kinds[0] == "ours":
        with one.connect() as link:
            link.ok("SELECT", 3)
            link.ok("SET", key_in(100), "only noded has this database")
        refused = nodectl(lab, [two], "slots", "move", "--to", at(two), "--slots", "100-101", "--yes")
        refused.expect(FAILED, "database 3", "database 0 only")
        assert 100 in owned(one) and not is_open(one) and not is_open(two)


@case(kinds=OURS, matrix=[("source",), ("target",)], limit_s=120)
def test_move_key_by_key_beside_a_switchover(lab, end):
    """One of the two masters gives way to its replica while slots are open at both: the move goes on with that one."""
    nodes, replicas = make_cluster(lab, ["ours"] * 3, [("ours", 0), ("ours", 1)], **TIMEOUT)
    one, two, _ = nodes
    keys = {db: [key_in(slot) + "k%d" % i for slot in range(60) for i in range(20)] for db in (0, 3)}
    with one.connect() as link:
        for db, names in keys.items():
            link.ok("SELECT", db)
            for name in names:
                link.send_raw(encode("SET", name, "v%d" % db))
            assert all(link.read() == "OK" for _ in names)
        assert link.ok("WAIT", 1, 10000) == 1
    move = begin(lab, nodes, "slots", "move", "--to", at(two), "--slots", "0-59", "--key-by-key", "--rate", "12",
                 "--yes")
    wait_until(lambda: is_open(one) and is_open(two) and len(owned(two)) > SLOTS // 3 + 5, 20, "slots are open",
               every_s=0.002)
    successor = replicas[0 if end == "source" else 1]
    assert successor.ok("CLUSTER", "FAILOVER") == "OK"
    text = move.communicate(timeout=60)[0]
    assert move.returncode == OK, text
    source, target = (successor, two) if end == "source" else (one, successor)
    assert set(range(60)) <= owned(target) and not is_open(source) and not is_open(target)
    with target.connect() as link:
        for db, names in keys.items():
            link.ok("SELECT", db)
            assert all(link.ok("GET", name) == "v%d" % db for name in names)
    assert not source.info("keyspace"), source.info("keyspace")


@case(kinds=OURS, limit_s=60)
def test_functions_come_along(lab):
    """A new stock master gets the libraries that the others have; where they differ, it is found."""
    nodes, _ = make_cluster(lab, ["stock"] * 2, **TIMEOUT)
    code = "#!lua name=mine\nredis.register_function('nine', function() return 9 end)"
    for node in nodes:
        assert node.ok("FUNCTION", "LOAD", code) == "mine"
    new = cluster_node(lab, "stock", "new", **TIMEOUT)
    nodectl(lab, nodes, "node", "add", "--yes", "--master", at(new)).expect(OK, "copy the 1 function libraries")
    assert new.ok("FCALL", "nine", 0) == 9
    wait_clean(lab, nodes[0])
    new.ok("FUNCTION", "FLUSH")
    assert codes(lab, nodes[0]) == {"functions-differ"}
    new.ok("FUNCTION", "LOAD", code.replace("mine", "other"))
    assert codes(lab, nodes[0]) == {"functions-differ"}
    ours = cluster_node(lab, "ours", "ours", **TIMEOUT)
    nodectl(lab, nodes, "node", "add", "--dry-run", "--master", at(ours)).expect(OK, "a noded has none")


@case(kinds=OURS, limit_s=60)
def test_cluster_verbs(lab):
    """What redis-cli --cluster calls info, call and set-timeout, on nodes of both kinds."""
    (one, two), (copy,) = make_cluster(lab, ["ours", "stock"], [("stock", 1)], **TIMEOUT)
    one.ok("SET", key_in(3), "x")
    nodectl(lab, [two], "cluster", "info").expect(OK, at(one), at(two), "1 keys in 2 masters")
    document = nodectl(lab, [two], "cluster", "info", "-o", "json").expect(OK).document()
    assert {(m["address"], m["keys"], m["replicas"]) for m in document["masters"]} == {(at(one), 1, 0), (at(two), 0, 1)}
    said = nodectl(lab, [two], "cluster", "call", "-o", "json", "--", "ECHO", "-1").expect(OK).document()
    assert [n["reply"] for n in said["nodes"]] == ["-1"] * 3, said
    said = nodectl(lab, [two], "cluster", "call", "--only-replicas", "ROLE", "-o", "json").expect(OK).document()
    assert [(n["address"], n["reply"][0]) for n in said["nodes"]] == [(at(copy), "slave")], said
    nodectl(lab, [two], "cluster", "call", "GET", key_in(3)).expect(FAILED, "2 of 3 nodes", "MOVED")
    nodectl(lab, [two], "cluster", "call", "--yes", "Subscribe", "x").expect(USAGE, "no one answer")
    nodectl(lab, [two], "cluster", "call", "CONFIG", "SET", "maxmemory", "100mb").expect(USAGE, "--yes")
    nodectl(lab, [two], "cluster", "call", "--yes", "CONFIG", "SET", "maxmemory", "100mb").expect(OK, "say CONFIG SET")
    nodectl(lab, [two], "cluster", "call", "--only-masters", "--yes", "--escapes", "-o", "json",
            "SET", key_in(3) + "\\x00\\xff", "\\n").expect(FAILED)
    with one.connect() as link:
        link.send_raw(encode("GET", key_in(3).encode() + b"\x00\xff"))
        assert link.read() == "\n"
    for node in (one, two, copy):
        assert node.ok("CONFIG", "GET", "maxmemory")[1] == str(100 << 20)
    nodectl(lab, [two], "cluster", "set-timeout", "50").expect(USAGE)
    nodectl(lab, [two], "cluster", "set-timeout", "7000", "--yes").expect(OK)
    for node in (one, two, copy):
        assert node.ok("CONFIG", "GET", "cluster-node-timeout")[1] == "7000"
    (other,), _ = make_cluster(lab, ["ours"], prefix="other")
    for words in (("cluster", "info"), ("cluster", "call", "PING"), ("slots", "rebalance"), ("db", "list"),
                  ("db", "scan", 0)):
        nodectl(lab, [two, other], *words).expect(USAGE, at(two), at(other), "of two clusters")
    assert "node-half-known" in codes(lab, two, other)  # what check and fix tell, they tell
    copy.kill9()
    nodectl(lab, [two], "cluster", "call", "PING").expect(FAILED, "1 of 3 nodes")
    nodectl(lab, [two], "cluster", "set-timeout", "8000", "--yes").expect(FAILED, at(copy))
    assert one.ok("CONFIG", "GET", "cluster-node-timeout")[1] == "7000"


@case(kinds=OURS, limit_s=120)
def test_supervised_rebalance(lab):
    """A fourth master joins a cluster under leases and gets its share under load; a master is killed meanwhile:
    clients that follow redirects, and try again what they are told to try again, see no error."""
    fleet = Supervised(lab, declared=True, node_timeout_ms=6000, down_after_ms=2000)
    leased(fleet)
    databases, slots = (0, 4), [5000, 10500, 16000]  # those that the new one will get
    empty = cluster_node(lab, "ours", "empty", **TIMEOUT)
    meet(fleet.masters[0], [empty])
    nodes = fleet.masters + [empty]
    wait_until(lambda: all(info(n)["cluster_known_nodes"] == "7" for n in fleet.nodes + [empty]), 20, "all know it")
    for slot in slots:
        with fleet.masters[slot * 3 // SLOTS].connect() as link:
            for i in range(200):
                link.ok("SET", key_in(slot) + "k%d" % i, "v" * 100)
    load = Load(nodes, slots, databases)
    load.goes_on("the start")
    seeds = [nodes[0], nodes[1]]
    done = nodectl(lab, seeds, "slots", "rebalance", "--yes", "-o", "json").expect(OK).document()
    assert sorted(m["count"] for m in done["moves"]) == [1365, 1365, 1366], done["moves"]
    assert [len(owned(n)) for n in nodes] == [4096] * 4, [len(owned(n)) for n in nodes]
    load.goes_on("rebalanced")
    load.stop()
    epochs = [int(lines(n)[my_id(n)][6]) for n in nodes]
    assert len(set(epochs)) == 4, epochs
    wait_until(lambda: codes(lab, nodes[0]) == {"master-without-replica"}, 20, "check finds what is so")
    # By the names of shards, as supervisors know them; the cluster is found through these too.
    names = [fleet.name_of(fleet.masters[i]) for i in (0, 2)]
    argv = [nodectl_path(), "slots", "move", "--supervisor", at(fleet.supervisors[0]), "--from", names[0], "--to",
            names[1], "--count", "3", "--yes"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=clean_env(lab), universal_newlines=True, timeout=60, check=False)
    assert done.returncode == OK and len(owned(nodes[2])) == 4099, done.stdout
    # Back again, slowly, and the second source's master dies meanwhile.
    victim, heir = fleet.masters[1], fleet.replicas[1]
    shard = fleet.name_of(victim)
    runs = begin(lab, seeds, "slots", "rebalance", "--weight", at(empty) + "=0", "--rate", "1500", "--yes")
    wait_until(lambda: len(owned(empty)) < 4000, 20, "slots go back", every_s=0.02)
    victim.kill9()
    fleet.wait_switched(shard, victim)
    text = runs.communicate(timeout=60)[0]
    assert runs.returncode == OK, text
    assert sum(len(owned(n)) for n in (nodes[0], heir, nodes[2])) == SLOTS, text
    for slot in slots:
        assert next(n for n in (nodes[0], heir, nodes[2]) if slot in owned(n)).ok("GET", key_in(slot) + "k199"), slot
