"""Slots moved by hand, with keys in several databases: redis-cli moves those of database 0 and tells the target first
that the slot is its own, and no key of another database is lost by that."""
import os
import re
import signal
import subprocess
import time

from cases import case
from lab import wait_until
from lab.clusters import flags_of, key_in, lines, make_cluster, my_id, wait_agreed

OURS = ("ours",)
SLOT = 0
# An owner is asked for half of it, and a second at most: nodes that stand still for a moment answer in time.
TIMEOUT = {"cluster_node_timeout": 6000}


def cli(*args):
    """redis-cli --cluster: its exit status and what it prints."""
    done = subprocess.run(["redis-cli", "--cluster", *[str(a) for a in args]], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, universal_newlines=True, timeout=60,
                          check=False)
    return done.returncode, re.sub("\x1b\\[[0-9;]*m", "", done.stdout)


def address(node):
    return "127.0.0.1:%d" % node.port


def reshard_one(source, target):
    return cli("reshard", address(source), "--cluster-from", my_id(source), "--cluster-to", my_id(target),
               "--cluster-slots", 1, "--cluster-yes")


def put(node, databases, count=5):
    """Keys of the slot; returns database -> key -> value."""
    data = {}
    with node.connect() as client:
        for db in databases:
            client.ok("SELECT", db)
            data[db] = {key_in(SLOT, i): "%d of %d" % (i, db) for i in range(1, count + 1)}
            for key, value in data[db].items():
                client.ok("SET", key, value)
    return data


def has(node, data, databases):
    """Whether the node has exactly these databases of the data."""
    with node.connect() as client:
        for db, keys in data.items():
            client.ok("SELECT", db)
            found = set(client.ok("CLUSTER", "GETKEYSINSLOT", SLOT, 100))
            if found != (set(keys) if db in databases else set()):
                return False
    return True


def values(node, data):
    """What clients find at the owner."""
    with node.connect() as client:
        for db, keys in data.items():
            client.ok("SELECT", db)
            for key, value in keys.items():
                assert client.ok("GET", key) == value


def owner_of(node, slot=SLOT):
    for first, last, who in [entry[:3] for entry in node.ok("CLUSTER", "SLOTS")]:
        if first <= slot <= last:
            return who[2]
    return None


def move_by_hand(source, target, db, keys):
    with source.connect() as client:
        client.ok("SELECT", db)
        assert client.ok("MIGRATE", "127.0.0.1", target.port, "", db, 5000, "KEYS", *keys) == "OK"


def grab(node, slot):
    """As redis-cli's fix takes slots: nobody is asked."""
    with node.connect() as client:
        client.ok("MULTI")
        for words in (("DELSLOTS", slot), ("ADDSLOTS", slot), ("BUMPEPOCH",)):
            client.ok("CLUSTER", *words)
        client.ok("EXEC")


def open_slot(source, target):
    target.ok("CLUSTER", "SETSLOT", SLOT, "IMPORTING", my_id(source))
    source.ok("CLUSTER", "SETSLOT", SLOT, "MIGRATING", my_id(target))


@case(kinds=OURS, limit_s=90)
def test_other_databases_stop_redis_cli(lab):
    """reshard ends with an error, and neither it nor fix loses a key; those of other databases are moved by hand."""
    nodes, _ = make_cluster(lab, ["ours"] * 3, **TIMEOUT)
    source, target = nodes[:2]
    data = put(source, (0, 3))
    status, text = reshard_one(source, target)
    assert status != 0, text
    assert "Can't take hash slot %d: node %s still holds 5 keys of it" % (SLOT, my_id(source)) in text, text
    assert has(target, data, {0}) and has(source, data, {3})
    for node in nodes:
        assert owner_of(node) == my_id(source)
    # redis-cli makes the node with most keys the owner, and moves those of database 0; the others stay where they are.
    status, text = cli("fix", address(source))
    assert status == 0, text
    wait_agreed(nodes)
    assert has(target, data, {0}) and has(source, data, {3})
    assert "keys of it are still here" in source.log()
    source.ok("CLUSTER", "SETSLOT", SLOT, "IMPORTING", my_id(target))
    move_by_hand(source, target, 3, data[3])
    source.ok("CLUSTER", "SETSLOT", SLOT, "STABLE")
    assert owner_of(nodes[2]) == my_id(target)
    assert has(target, data, {0, 3}) and has(source, data, set())
    values(target, data)
    assert cli("check", address(target))[0] == 0


@case(kinds=OURS, limit_s=90)
def test_all_databases_by_hand(lab):
    """Either order of SETSLOT NODE; a slot without keys elsewhere goes as it always did."""
    nodes, _ = make_cluster(lab, ["ours"] * 3, **TIMEOUT)
    data = put(nodes[0], (0, 3, 15))
    source, target = nodes[:2]
    for first in ("target", "source"):
        open_slot(source, target)
        for db in data:
            refused = [str(node.call("CLUSTER", "SETSLOT", SLOT, "NODE", my_id(target))) for node in (target, source)]
            assert "still holds %d keys" % (5 * (len(data) - list(data).index(db))) in refused[0], refused
            assert "while I still hold keys" in refused[1], refused
            move_by_hand(source, target, db, data[db])
        order = [target, source] if first == "target" else [source, target]
        for node in order:
            assert node.ok("CLUSTER", "SETSLOT", SLOT, "NODE", my_id(target)) == "OK"
        wait_agreed(nodes)
        assert owner_of(nodes[2]) == my_id(target) and has(target, data, set(data)) and has(source, data, set())
        values(target, data)
        source, target = target, source


@case(kinds=OURS, limit_s=90)
def test_a_target_that_imports_nothing(lab):
    """It asks all the same; so does the replica that has taken the target's place, and does not know of the move."""
    nodes, replicas = make_cluster(lab, ["ours"] * 3, [("ours", i) for i in range(3)], **TIMEOUT)
    source, target = nodes[:2]
    data = put(source, (3,))
    told = "Can't take hash slot %d: node %s still holds 5 keys of it" % (SLOT, my_id(source))
    target.ok("CLUSTER", "BUMPEPOCH")
    assert told in str(target.call("CLUSTER", "SETSLOT", SLOT, "NODE", my_id(target)))
    open_slot(source, target)
    successor = replicas[1]
    successor.ok("CLUSTER", "FAILOVER")
    wait_until(lambda: all("master" in lines(n)[my_id(successor)][2] for n in nodes), 20, "the replica is the master")
    wait_until(lambda: told in str(successor.call("CLUSTER", "SETSLOT", SLOT, "NODE", my_id(successor))), 20,
               "it is not taken")
    assert owner_of(successor) == my_id(source) and has(source, data, {3})
    grab(successor, SLOT)
    wait_until(lambda: owner_of(source) == my_id(successor), 20, "the slot has gone")
    wait_until(lambda: "keys of it are still here" in source.log(), 20, "the source says what stays")
    assert has(source, data, {3})
    # Of one that was not on its way the newest claim counts, and what that costs is told.
    source.ok("SET", key_in(SLOT + 1), "value")
    grab(successor, SLOT + 1)
    wait_until(lambda: "Deleted 1 keys of 1 slots that others have now: of slot %d" % (SLOT + 1) in source.log(), 20,
               "the source says what it deletes")


@case(kinds=OURS, limit_s=90)
def test_a_slot_given_up_with_keys(lab):
    """DELSLOTS is obeyed; when another node takes the slot its keys show, and can be moved after it."""
    nodes, _ = make_cluster(lab, ["ours"] * 3, **TIMEOUT)
    source, target = nodes[:2]
    data = put(source, (0, 3))
    for node in nodes:
        node.ok("CLUSTER", "DELSLOTS", SLOT)
    target.ok("CLUSTER", "ADDSLOTS", SLOT)
    wait_until(lambda: "Slot %d has been taken, and 10 keys of it are still here" % SLOT in source.log(), 20,
               "the source says what stays")
    assert owner_of(source) == my_id(target)
    source.ok("CLUSTER", "SETSLOT", SLOT, "IMPORTING", my_id(target))
    for db in data:
        move_by_hand(source, target, db, data[db])
    source.ok("CLUSTER", "SETSLOT", SLOT, "STABLE")
    wait_agreed(nodes)
    values(target, data)


@case(kinds=OURS, limit_s=90)
def test_an_owner_that_is_silent(lab):
    """One that does not answer keeps its slot until the cluster holds it for failed."""
    nodes, _ = make_cluster(lab, ["ours"] * 3, cluster_node_timeout=3000)
    source, target = nodes[:2]
    open_slot(source, target)
    source_id = my_id(source)
    os.kill(source.proc.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = str(target.call("CLUSTER", "SETSLOT", SLOT, "NODE", my_id(target)))
        took_s = time.monotonic() - began
        assert answer == "ERR Node %s does not say whether it still holds keys of hash slot %d: try again" % (
            source_id, SLOT), answer
        assert took_s < 2.5, took_s  # long before it is held for failed
        assert owner_of(target) == source_id
        wait_until(lambda: "fail" in lines(target)[source_id][2].split(","), 20, "it is held for failed")
        assert target.ok("CLUSTER", "SETSLOT", SLOT, "NODE", my_id(target)) == "OK"
    finally:
        os.kill(source.proc.pid, signal.SIGCONT)
    wait_agreed(nodes)
    assert owner_of(source) == my_id(target)


@case(kinds=OURS, limit_s=90)
def test_a_stock_target(lab):
    """It knows database 0 only: a slot that others hold keys of does not begin to move there."""
    nodes, _ = make_cluster(lab, ["ours", "stock", "ours"], **TIMEOUT)
    source, target = nodes[:2]
    data = put(source, (0, 3))
    status, text = reshard_one(source, target)
    assert status != 0, text
    assert "Node %s knows database 0 only, and other databases hold keys of hash slot %d" % (
        my_id(target), SLOT) in text, text
    assert has(source, data, {0, 3}) and target.ok("CLUSTER", "COUNTKEYSINSLOT", SLOT) == 0
    assert "master" in flags_of(source, target)
    with source.connect() as client:
        client.ok("SELECT", 3)
        client.ok("DEL", *data[3])
    target.ok("CLUSTER", "SETSLOT", SLOT, "STABLE")
    status, text = reshard_one(source, target)
    assert status == 0, text
    wait_agreed(nodes)
    assert owner_of(nodes[2]) == my_id(target)
    values(target, {0: data[0]})


@case(kinds=OURS, limit_s=90)
def test_a_stock_source(lab):
    """It is not asked, and tells nothing that would be lost: it has database 0 only."""
    nodes, _ = make_cluster(lab, ["stock", "ours", "stock"], **TIMEOUT)
    source, target = nodes[:2]
    data = put(source, (0,))
    status, text = reshard_one(source, target)
    assert status == 0, text
    wait_agreed(nodes)
    assert owner_of(nodes[2]) == my_id(target)
    values(target, data)
