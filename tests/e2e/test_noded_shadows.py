"""Shadow databases, where slots lie that are on their way to a node: they are part of the dataset, on disk and on
replicas, and no client sees them. So is the epoch of the mapping of databases."""
import os
import subprocess

from cases import case
from lab import wait_until
from lab.append_only import check_files, files_of, kill_written, wait_rewritten
from lab.clusters import cluster_node, info, key_in, make_cluster, meet, my_id
from lab.following import counts, wait_in_step, wait_up
from lab.resp import encode

OURS = ("ours",)
JOB = "0123456789abcdef0123456789abcdef01234567"
# Nobody takes over while a node of the test is down, or is held for down that stands still; snapshots come at once.
STAY = {"cluster-replica-no-failover": "yes", "cluster-allow-replica-migration": "no", "repl-diskless-sync-delay": 0,
        "cluster_node_timeout": 6000}
SLOT = 12000  # of the second master


def requests_of(data):
    """The requests of an append-only file, and its annotations."""
    requests, notes = [], []
    while data:
        line, data = data.split(b"\r\n", 1)
        if line.startswith(b"#"):
            notes.append(line.decode())
            continue
        words = []
        for _ in range(int(line[1:])):
            size, data = data.split(b"\r\n", 1)
            size = int(size[1:])
            words.append(data[:size].decode())
            data = data[size + 2:]
        requests.append(words)
    return requests, notes


def dataset(node):
    """What a rewritten append-only file makes of all databases, shadows too: (database, key) -> its requests."""
    node.ok("CONFIG", "SET", "aof-use-rdb-preamble", "no")
    node.ok("BGREWRITEAOF")
    wait_rewritten(node)
    check_files(node)
    (base,) = files_of(node, "b")
    with open(base, "rb") as f:
        requests, notes = requests_of(f.read())
    found, db = {}, 0
    for words in requests:
        if words[0] == "SELECT":
            db = int(words[1])
        else:
            found.setdefault((db, words[1]), []).append(words)
    return found, notes


class Source:
    """The link of a migration to `target`, as its source writes it."""

    def __init__(self, target, source, slot=SLOT):
        self.client = target.connect()
        self.client.send_raw(encode("CLUSTER", "SYNCSLOTS", "ESTABLISH", JOB, my_id(source), my_id(target), 0, 16,
                                    "SLOTSRANGE", slot, slot))
        assert self.client.read() == "OK"

    def say(self, *requests):
        self.client.send_raw(b"".join(encode(*words) for words in requests))

    def close(self):
        self.say(("CLUSTER", "SYNCSLOTS", "ABORT", "the test is over"))
        self.client.close()


def fill(source):
    tag = key_in(SLOT)
    source.say(("SELECT", 0), ("SET", tag + "zero", "0"), ("SELECT", 2), ("RPUSH", tag + "list", "a", "b"),
               ("SET", tag + "over", "x", "PXAT", 1000), ("SELECT", 15), ("MULTI",), ("SET", tag, "1"),
               ("COPY", tag, tag + "copy", "DB", 2), ("EXEC",))
    return {(16, tag + "zero"): [["SET", tag + "zero", "0"]],
            (18, tag + "list"): [["RPUSH", tag + "list", "a", "b"]],
            (18, tag + "over"): [["SET", tag + "over", "x"], ["PEXPIREAT", tag + "over", "1000"]],
            (31, tag): [["SET", tag, "1"]],
            (18, tag + "copy"): [["SET", tag + "copy", "1"]]}


def moved(expected, databases):
    """The same in a node with another number of databases."""
    return {(db - 16 + databases if db >= 16 else db, key): words for (db, key), words in expected.items()}


def wait_has(node, expected, timeout_s=20):
    def has():
        found = dataset(node)[0]
        assert found == expected, (node.name, found)
        return True
    wait_until(has, timeout_s, "%s has what is imported" % node.name, every_s=0.2)


def assert_unseen(node, databases=16):
    with node.connect() as client:
        client.call("READONLY")
        for db in range(databases):
            client.ok("SELECT", db)
            assert client.ok("DBSIZE") == 0 and client.ok("KEYS", "*") == [] and client.ok("RANDOMKEY") is None
            assert client.ok("SCAN", 0) == ["0", []]
        for db in (databases, databases + 2, 2 * databases - 1, 2 * databases):
            assert "out of range" in str(client.call("SELECT", db))
        assert client.ok("CLUSTER", "COUNTKEYSINSLOT", SLOT) == 0
        assert client.ok("DEBUG", "DIGEST") == "0" * 40
        assert "db" not in client.ok("INFO", "keyspace").split("# Keyspace")[1]


def replica_of(lab, master, name, **options):
    node = cluster_node(lab, "ours", name, **STAY, **options)
    meet(master, [node])
    wait_until(lambda: node.call("CLUSTER", "REPLICATE", my_id(master)) == "OK", 20, "%s may follow" % name)
    wait_up(node)
    return node


@case(kinds=OURS, limit_s=120)
def test_replicas_have_the_shadows(lab):
    """By the stream, by full syncs of every kind, and after restarts of a replica from all kinds of files."""
    (master, other), (replica,) = make_cluster(lab, ["ours"] * 2, [("ours", 0)], appendonly="yes", **STAY)
    source = Source(master, other)
    expected = fill(source)
    wait_has(master, expected)
    wait_in_step(master, replica)
    wait_has(replica, expected)
    late = [replica_of(lab, master, "late-" + way, **{"repl-diskless-load": way, "appendonly": "yes"})
            for way in ("disabled", "on-empty-db", "swapdb")]
    for node in late:
        wait_has(node, expected)
    for node in [master, replica] + late:
        assert_unseen(node)
    # A link that breaks goes on where it was, with the same database selected.
    tag, before = key_in(SLOT), counts(master)
    source.say(("SET", tag + "n", "-"))
    wait_in_step(master, replica)
    assert master.ok("CLIENT", "KILL", "TYPE", "replica") == 4
    source.say(("APPEND", tag + "n", "+"))
    expected[31, tag + "n"] = [["SET", tag + "n", "-+"]]
    for node in [replica] + late:
        wait_up(node)
        wait_has(node, expected)
    after = counts(master)
    assert after["partial_ok"] == before["partial_ok"] + 4 and after["full"] == before["full"], (before, after)
    # The next writes find the replicas where they are, restarted from every kind of file.
    node = replica
    for i, preamble in enumerate(("yes", "no")):
        node.ok("CONFIG", "SET", "aof-use-rdb-preamble", preamble)
        node.ok("BGREWRITEAOF")
        wait_rewritten(node)
        source.say(("SET", tag + "n", i))
        expected[31, tag + "n"] = [["SET", tag + "n", str(i)]]
        wait_in_step(master, node)
        kill_written(node)
        node.start()
        node.wait_ready()
        wait_up(node)
        source.say(("APPEND", tag + "n", "!"))
        expected[31, tag + "n"][0][2] += "!"
        wait_in_step(master, node)
        wait_has(node, expected)
    source.close()
    for node in [master, replica] + late:
        wait_has(node, {})


@case(kinds=OURS, limit_s=90)
def test_a_snapshot_has_the_shadows(lab):
    """A replica is restarted from an RDB file, which redis-check-rdb takes too."""
    (master, other), (replica,) = make_cluster(lab, ["ours"] * 2, [("ours", 0)], **STAY)
    source = Source(master, other)
    expected = fill(source)
    wait_has(master, expected)
    wait_in_step(master, replica)
    replica.ok("SAVE")
    path = os.path.join(replica.directory, "dump.rdb")
    ran = subprocess.run(["redis-check-rdb", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                         universal_newlines=True, timeout=60)
    assert ran.returncode == 0 and "RDB looks OK" in ran.stdout, ran.stdout[-800:]
    assert "cluster-databases = '16'" in ran.stdout and "mapping-epoch = '0'" in ran.stdout, ran.stdout
    replica.kill9()
    replica.start()
    replica.wait_ready()
    wait_up(replica)
    tag = key_in(SLOT)
    source.say(("SET", tag + "more", "1"))
    expected[31, tag + "more"] = [["SET", tag + "more", "1"]]
    wait_has(replica, expected)
    assert_unseen(replica)
    source.close()
    wait_has(replica, {})


@case(kinds=OURS, limit_s=90)
def test_another_number_of_databases(lab):
    """A node with more databases than the one that its files come from does not show what was a shadow there."""
    (master, other), (replica,) = make_cluster(lab, ["ours"] * 2, [("ours", 0)], appendonly="yes", **STAY)
    source = Source(master, other)
    expected = fill(source)
    wait_has(master, expected)
    wait_in_step(master, replica)
    for preamble in ("yes", "no"):
        replica.ok("CONFIG", "SET", "aof-use-rdb-preamble", preamble)
        replica.ok("BGREWRITEAOF")
        wait_rewritten(replica)
        tag = key_in(SLOT)
        source.say(("SET", tag + preamble, "1"))
        expected[31, tag + preamble] = [["SET", tag + preamble, "1"]]
        wait_in_step(master, replica)
        kill_written(replica)
        replica.argv += ["--cluster-databases", "40"]
        replica.start()
        replica.wait_ready()
        wait_up(replica)
        wait_has(replica, moved(expected, 40))
        assert_unseen(replica, 40)
        # What the stream says of them means the same, from its beginning and after a break of the link.
        source.say(("APPEND", tag + preamble, "2"))
        wait_in_step(master, replica)
        assert master.ok("CLIENT", "KILL", "TYPE", "replica") == 1
        source.say(("SELECT", 3), ("SET", tag + "three", "3"), ("SELECT", 15), ("APPEND", tag + preamble, "4"))
        expected[31, tag + preamble] = [["SET", tag + preamble, "124"]]
        expected[19, tag + "three"] = [["SET", tag + "three", "3"]]
        wait_up(replica)
        wait_has(replica, moved(expected, 40))
        assert_unseen(replica, 40)
    source.close()


def wait_well(node):
    wait_until(lambda: info(node)["cluster_state"] == "ok", 20, "the cluster is well")


def lone_node(lab, **options):
    """All slots are its own. Not started any more, and its files are there."""
    node = cluster_node(lab, "ours", "node", appendonly="yes", **options)
    node.ok("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_well(node)
    return node


def append(node, *requests):
    (path,) = files_of(node, "i")
    with open(path, "ab") as f:
        f.write(b"".join(encode(*words) for words in requests))


def epoch_of(node):
    return node.info("cluster").get("db_mapping_epoch", "0")


@case(kinds=OURS, limit_s=90)
def test_the_mapping_goes_along(lab):
    """Swaps of a cluster that the log has are made once, at the next start and at every one after it, whatever the
    form of the base; and a replica takes the epoch with the dataset."""
    node = lone_node(lab, **dict(STAY, cluster_node_timeout=1000))  # it is well so long after each start
    node.ok("SET", "a", "1")
    assert epoch_of(node) == "0"
    assert "not allowed" in str(node.call("SWAPDB", 0, 5))
    assert "wrong number" in str(node.call("SWAPDB", 0, 5, "EPOCH", 1))
    node.terminate()
    append(node, ("SWAPDB", 0, 5, "EPOCH", 1), ("SWAPDB", 0, 5, "EPOCH", 1), ("SWAPDB", 5, 6, "EPOCH", 2))
    for preamble in ("yes", "no", "yes"):
        node.start()
        node.wait_ready()
        wait_well(node)
        with node.connect() as client:
            assert epoch_of(node) == "2"
            client.ok("SELECT", 6)
            assert client.ok("GET", "a") == "1" and client.ok("CONFIG", "SET", "aof-use-rdb-preamble", preamble)
            client.ok("BGREWRITEAOF")
        wait_rewritten(node)
        kill_written(node)
    node.start()
    node.wait_ready()
    wait_well(node)
    for way in ("disabled", "swapdb"):
        replica = replica_of(lab, node, "replica-" + way, **{"repl-diskless-load": way})
        assert epoch_of(replica) == "2"
        assert dataset(replica)[1] == ["#cluster-databases:16", "#mapping-epoch:2"]
    node.ok("FLUSHALL")
    assert epoch_of(node) == "2"
    node.terminate()
    append(node, ("SWAPDB", 0, 5, "EPOCH", 4))
    node.start()
    wait_until(lambda: not node.alive(), 20, "a log in which a swap is missing is refused")
    assert "an exchange of databases whose EPOCH is not the next: '4'" in node.log()
