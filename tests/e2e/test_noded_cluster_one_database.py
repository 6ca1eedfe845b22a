"""A redis-server in a shard of noded knows database 0 only: whatever is tried with the other databases, its database 0
stays that of its master (SAFETY, section 7)."""
import subprocess

from cases import case
from lab import RespError, wait_until
from lab.clusters import SLOTS, cluster_node, forget, info, keys_of, lines, make_cluster, meet, my_id

OURS = ("ours",)
# Stock replicas stay with the master that the test is about, and snapshots come at once.
# Whom a busy machine keeps for a moment is not missed.
STAY = {"cluster-allow-replica-migration": "no", "repl-diskless-sync-delay": 0, "cluster_node_timeout": 2500}
REFUSED = "can't be written"


def follows(replica, master):
    fields = replica.info("replication")
    return fields["role"] == "slave" and fields["master_port"] == str(master.port) and \
        fields["master_link_status"] == "up"


def equal(a, b):
    wait_until(lambda: a.ok("DEBUG", "DIGEST") == b.ok("DEBUG", "DIGEST"), 20, "%s has what %s has" % (a.name, b.name))


def holds(node, keys, tag):
    with node.connect() as client:
        client.ok("READONLY")
        wait_until(lambda: info(node)["cluster_state"] == "ok", 20, "%s may be read" % node.name)
        for key in keys:
            assert client.ok("GET", key) == tag + key, key
        assert client.ok("DBSIZE") == len(keys)


def fill(master, count, tag):
    keys = keys_of(0, SLOTS // 3, count)
    with master.connect() as client:
        for key in keys:
            client.ok("SET", key, tag + key)
    return keys


@case(kinds=OURS, limit_s=60)
def test_every_way_into_another_database(lab):
    """Commands of all kinds, alone, queued, waiting and sent by another shard: each is refused with the node's name,
    and what means database 0 reaches the stock replica."""
    masters, (replica,) = make_cluster(lab, ["ours"] * 2, [("stock", 0)], **STAY)
    master, elsewhere = masters
    keys = keys_of(0, SLOTS // 2, 6)
    with master.connect() as client:
        for key in keys:
            client.ok("SET", key, "zero " + key)
    name = my_id(replica)

    def refused(answer):
        assert REFUSED in str(answer) and name in str(answer), answer

    a, b = keys[:2]
    with master.connect() as client, master.connect() as waiting:
        client.ok("SELECT", 4)
        for words in (["SET", a, 1, "PX", 1], ["INCR", a], ["HSET", a, "f", 1], ["ZADD", a, 1, "m"], ["UNLINK", a],
                      ["SETBIT", a, 1, 1], ["RESTORE", a, 0, "x"], ["BLPOP", a, 0.1],
                      ["EXPIRE", a, 1], ["GETDEL", a], ["GETEX", a, "PX", 1], ["RENAME", a, a], ["MOVE", a, 0],
                      ["COPY", a, a, "DB", 0], ["SORT", a, "STORE", a], ["LMPOP", 1, a, "LEFT"],
                      ["MIGRATE", "127.0.0.1", elsewhere.port, a, 0, 7000], ["BLMOVE", a, a, "LEFT", "LEFT", 0.1]):
            refused(client.call(*words))
        for words in (["MULTI"], ["SELECT", 0], ["SET", a, "zero " + a], ["SELECT", 4]):
            client.ok(*words)
        refused(client.call("SET", a, "four"))
        assert str(client.call("EXEC")).startswith("EXECABORT")
        assert str(client.call("SWAPDB", 0, 4)).startswith("ERR")
        client.ok("SELECT", 0)
        for words in (["MOVE", a, 4], ["COPY", a, a, "DB", 4], ["COPY", a, b, "DB", "4", "REPLACE"]):
            assert isinstance(client.call(*words), RespError), words
        # A write that waits while writes are paused is looked at when it runs.
        waiting.ok("SELECT", 4)
        client.ok("CLIENT", "PAUSE", 300, "WRITE")
        refused(waiting.call("SET", a, "four"))
        client.ok("CLIENT", "UNPAUSE")
    # MIGRATE of another shard brings a key to database 4, which is refused here too.
    theirs = keys_of(SLOTS // 2, SLOTS, 1)[0]
    slot = elsewhere.ok("CLUSTER", "KEYSLOT", theirs)
    elsewhere.ok("SET", theirs, "four")
    master.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", my_id(elsewhere))
    elsewhere.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", my_id(master))
    with elsewhere.connect() as client:
        refused(client.call("MIGRATE", "127.0.0.1", master.port, theirs, 4, 7000))
        assert client.ok("GET", theirs) == "four"
    for node in (master, elsewhere):
        node.ok("CLUSTER", "SETSLOT", slot, "STABLE")
    equal(replica, master)
    holds(replica, keys, "zero ")
    with master.connect() as client:
        client.ok("SELECT", 4)
        assert client.call("FLUSHALL") == "OK"  # means the same to it
        client.ok("SELECT", 0)
        client.ok("SET", a, "anew " + a)
    equal(replica, master)
    holds(replica, [a], "anew ")


@case(kinds=OURS, limit_s=60)
def test_forgotten_and_still_there(lab):
    """FORGET takes a stock replica out of the cluster, not off its connection: other databases stay closed until that
    has ended, and the answer says for whom."""
    masters, (replica,) = make_cluster(lab, ["ours"] * 3, [("stock", 0)], **STAY)
    master = masters[0]
    keys = fill(master, 10, "zero ")
    equal(replica, master)
    forget(masters, my_id(replica))
    assert follows(replica, master)
    with master.connect() as client:
        client.ok("SELECT", 3)
        answer = str(client.call("SET", keys[0], "three"))
        assert REFUSED in answer and str(replica.port) in answer, answer
        client.ok("MULTI")
        assert REFUSED in str(client.call("DEL", keys[0]))
        assert str(client.call("EXEC")).startswith("EXECABORT")
    equal(replica, master)
    holds(replica, keys, "zero ")
    replica.kill9()
    with master.connect() as client:
        client.ok("SELECT", 3)
        wait_until(lambda: client.call("SET", keys[0], "three") == "OK", 20, "it is free when the connection is gone")
        client.ok("DEL", keys[0])


@case(kinds=OURS, limit_s=60)
def test_from_the_first_byte(lab):
    """A stock node begins to follow while somebody writes to database 3 and empties it again all the time: from its
    first byte it sees nothing of that, whenever the bus tells of it."""
    masters, _ = make_cluster(lab, ["ours"] * 3, **STAY)
    master = masters[0]
    keys = fill(master, 10, "zero ")
    fresh = cluster_node(lab, "stock", "fresh", **STAY)
    meet(master, [fresh])
    wait_until(lambda: len(lines(fresh)) == 4 and "handshake" not in str(lines(fresh)), 20, "it knows all")
    refused = 0
    with master.connect() as client:
        client.ok("SELECT", 3)
        wait_until(lambda: fresh.call("CLUSTER", "REPLICATE", my_id(master)) == "OK", 20, "it may follow")

        def works():
            nonlocal refused
            for key in keys:
                if client.call("SET", key, "three") == "OK":
                    client.call("DEL", key)
                else:
                    refused += 1
            return follows(fresh, master) and refused > 0
        wait_until(works, 30, "it follows and database 3 is closed", every_s=0)
    equal(fresh, master)
    holds(fresh, keys, "zero ")


@case(kinds=OURS, matrix=[("same master",), ("promoted",)], limit_s=90)
def test_back_after_other_databases(lab, who):
    """A stock replica is away while another database is written and emptied. The backlog has all it has missed, and it
    gets a snapshot all the same: from the old master, and from a replica of ours that has taken over since."""
    masters, (ours, stock) = make_cluster(lab, ["ours"] * 3, [("ours", 0), ("stock", 0)], **STAY)
    master = masters[0]
    keys = fill(master, 10, "zero ")
    equal(stock, master)
    stock.pause()
    forget(masters + [ours], my_id_of(stock, master))
    master.ok("CLIENT", "KILL", "TYPE", "replica")
    with master.connect() as client:
        client.ok("SELECT", 3)
        wait_until(lambda: client.call("SET", keys[0], "three") == "OK", 20, "database 3 is free")
        client.ok("MULTI")
        client.ok("DEL", keys[0])
        client.ok("SELECT", 0)
        client.ok("SET", keys[0], "zero " + keys[0])
        client.ok("EXEC")
    wait_until(lambda: follows(ours, master), 20, "our replica is back")
    equal(ours, master)
    if who == "promoted":
        master.kill9()
        wait_until(lambda: ours.ok("ROLE")[0] == "master", 20, "our replica is the master")
        master = ours
    before = int(master.info("stats")["sync_full"])
    stock.resume()
    meet(master, [stock])
    wait_until(lambda: stock.call("CLUSTER", "REPLICATE", my_id(master)) == "OK", 30, "it may follow")
    wait_until(lambda: follows(stock, master), 30, "it follows")
    assert int(master.info("stats")["sync_full"]) > before
    equal(stock, master)
    holds(stock, keys, "zero ")


def my_id_of(gone, node):
    """The id of a node that can't be asked."""
    return next(words[0] for words in lines(node).values() if ":%d@" % gone.port in words[1])


@case(kinds=OURS)
def test_a_backup_takes_all_databases(lab):
    """redis-cli --rdb asks like a replica of one database, but for a file alone."""
    node = cluster_node(lab, "ours", "ours", repl_diskless_sync_delay=0)
    assert node.ok("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1) == "OK"
    wait_until(lambda: info(node)["cluster_state"] == "ok", 20, "it takes writes")
    with node.connect() as client:
        client.ok("SELECT", 3)
        client.ok("SET", "three", 3)
        path = lab.path("backup.rdb")
        done = subprocess.run(["redis-cli", "-p", str(node.port), "--rdb", path], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=30,
                              check=False)
        assert done.returncode == 0, done.stdout
        client.ok("SET", "four", 4)
    checked = subprocess.run(["redis-check-rdb", path], stdout=subprocess.PIPE, universal_newlines=True, timeout=30,
                             check=False)
    assert checked.returncode == 0 and "1 keys read" in checked.stdout, checked.stdout
