"""Clusters of both kinds: redis-server and noded as masters and replicas of one another; a node that knows database 0
only does no harm."""
import time

from cases import case
from lab import RespError, stays_true, wait_until
from lab.clusters import SLOTS, cluster_node, flags_of, forget, keys_of, lines, make_cluster, my_id, meet, wait_agreed

OURS = ("ours",)
PAIRS = [("ours", "stock"), ("stock", "ours")]
TIMEOUT = {"cluster_node_timeout": 2500}  # whom a busy machine keeps for a moment is not missed


def follows(replica, master):
    fields = replica.info("replication")
    return fields["role"] == "slave" and fields["master_port"] == str(master.port) and \
        fields["master_link_status"] == "up"


def fill(master, first, count, tag):
    """Keys of the first third of the slots."""
    keys = keys_of(0, SLOTS // 3, count)
    with master.connect() as client:
        for key in keys:
            client.ok("SET", key, tag + key)
            client.ok("RPUSH", "{%s}l" % key, *[tag + str(i) for i in range(first, first + 3)])
    return keys


def check(node, keys, tag):
    with node.connect() as client:
        client.ok("READONLY")
        for key in keys:
            assert client.ok("GET", key) == tag + key


def equal(a, b):
    wait_until(lambda: a.ok("DEBUG", "DIGEST") == b.ok("DEBUG", "DIGEST"), 20, "%s has what %s has" % (a.name, b.name))


def change_parts(replica, master):
    """By hand. A voter of stock that has no link to it yet, as it has come back just now, loses its vote and gives no
    other for two node timeouts: then it times out, and is asked for again."""
    def changed():
        if follows(master, replica):
            return True
        if replica.log().count("Manual failover timed out") == asked[0]:
            assert replica.ok("CLUSTER", "FAILOVER") == "OK"
            asked[0] += 1
        return False
    asked = [replica.log().count("Manual failover timed out")]
    wait_until(changed, 40, "they have changed their parts again", every_s=0.1)


@case(kinds=OURS, matrix=PAIRS, limit_s=150)
def test_failover_there_and_back(lab, master_kind, replica_kind):
    """A master of one kind dies, its replica of the other kind takes over; the old master comes back as its replica and
    takes its part back by hand. All data are there at each step."""
    masters, (replica,) = make_cluster(lab, [master_kind, "ours", "stock"], [(replica_kind, 0)], **TIMEOUT)
    master = masters[0]
    nodes = masters + [replica]
    keys = fill(master, 0, 50, "a")
    equal(replica, master)
    at = master.kill9()
    with replica.connect() as client:
        wait_until(lambda: client.call("SET", keys[0], "a" + keys[0]) == "OK", 20, "the replica takes writes",
                   every_s=0.005)
        print("%s for %s: kill to first write %d ms" % (replica_kind, master_kind, (time.monotonic() - at) * 1000))
    check(replica, keys, "a")
    fill(replica, 3, 50, "b")
    master.start()
    master.wait_ready()
    wait_until(lambda: follows(master, replica), 30, "the old master follows")
    wait_agreed(nodes)
    equal(master, replica)
    change_parts(master, replica)
    wait_agreed(nodes)
    check(master, keys, "b")
    fill(master, 6, 50, "c")
    equal(replica, master)


@case(kinds=OURS, limit_s=90)
def test_nodes_of_both_kinds_agree(lab):
    """Lines of CLUSTER NODES, also of an open slot and of a node that is gone."""
    masters, replicas = make_cluster(lab, ["ours", "stock", "ours", "stock"], [("stock", 0), ("ours", 1)], **TIMEOUT)
    nodes = masters + replicas
    wait_agreed(nodes, cluster_size=4, cluster_slots_ok=SLOTS)
    for node in (replicas[0], replicas[1]):
        dead = my_id(node)
        node.kill9()
        for other in nodes:
            if other.alive():
                wait_until(lambda o=other: "fail" in lines(o)[dead][2].split(","), 20, "%s knows it" % other.name)
        node.start()
        node.wait_ready()
        wait_agreed(nodes)
    for i in (0, 1):
        here, there = masters[i], masters[1 - i]
        slot = SLOTS // 4 * i
        here.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", my_id(there))
        there.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", my_id(here))
        for node in (there, here):
            node.ok("CLUSTER", "SETSLOT", slot, "NODE", my_id(there))
        wait_agreed(nodes)
    gone = replicas[0]
    gone_id = my_id(gone)
    gone.kill9()
    for node in nodes:
        if node.alive():
            answer = node.call("CLUSTER", "FORGET", gone_id)
        assert answer == "OK" or "Unknown node" in str(answer), answer  # others may have told it already
    left = [node for node in nodes if node is not gone]
    wait_agreed(left)
    stays_true(lambda: all(gone_id not in lines(node) for node in left), 3, "it stays forgotten", every_s=0.2)


@case(kinds=OURS, limit_s=90)
def test_database_0_of_a_stock_replica(lab):
    """Whatever is written to other databases of its master, database 0 of a stock replica is its master's."""
    masters, (replica,) = make_cluster(lab, ["ours"] * 3, [("stock", 0)], **TIMEOUT)
    master = masters[0]
    keys = fill(master, 0, 20, "zero ")
    stock_id = my_id(replica)
    with master.connect() as client:
        client.ok("SELECT", 3)
        for words in (["SET", keys[0], "three"], ["DEL", keys[0]], ["FLUSHDB"], ["RPUSH", keys[1], 1],
                      ["COPY", keys[0], keys[0], "DB", "0"]):
            error = str(client.call(*words))
            assert error.startswith("ERR Database 3 can't be written: node %s at 127.0.0.1:%d" %
                                    (stock_id, replica.port)), (words, error)
        assert client.call("GET", keys[0]) is None  # reading does no harm
        client.ok("SELECT", 0)
        for words in (["MOVE", keys[0], 5], ["COPY", keys[0], "{%s}c" % keys[0], "DB", 5]):
            assert str(client.call(*words)).startswith("ERR Database 5 can't be written"), words
        for words in (["MULTI"], ["SELECT", 7], ["SET", keys[0], "seven"]):
            answer = client.call(*words)
        assert str(answer).startswith("ERR Database 7 can't be written"), answer
        assert str(client.call("EXEC")).startswith("EXECABORT")
        assert client.call("SET", keys[0], "zero " + keys[0]) == "OK"
    equal(replica, master)
    check(replica, keys, "zero ")
    # Without it the other databases are free, and it is not taken back while they hold keys.
    replica.kill9()
    forget(masters, stock_id)
    with master.connect() as client:
        client.ok("SELECT", 3)
        wait_until(lambda: client.call("SET", keys[0], "three") == "OK", 20, "it is free when the connection is gone")
        for key in keys:
            assert client.call("SET", key, "three") == "OK"
    fresh = cluster_node(lab, "stock", "fresh", **TIMEOUT)
    meet(master, [fresh])
    wait_until(lambda: len(lines(fresh)) == 4 and "handshake" not in str(lines(fresh)), 20, "it knows all")
    wait_until(lambda: fresh.call("CLUSTER", "REPLICATE", my_id(master)) == "OK", 20, "it may follow")
    wait_until(lambda: "database 0 only" in fresh.log(), 20, "it is refused, with the reason")
    stays_true(lambda: fresh.info("replication")["master_link_status"] == "down" and fresh.ok("DBSIZE") == 0, 2,
               "it gets nothing", every_s=0.1)
    wait_until(lambda: "slave" in flags_of(master, fresh), 20, "the master knows of it")
    with master.connect() as client:
        client.ok("SELECT", 3)
        assert isinstance(client.call("SET", keys[0], "x"), RespError)
        assert client.call("FLUSHALL") == "OK"
        client.ok("SELECT", 0)
    fill(master, 0, 20, "anew ")
    wait_until(lambda: follows(fresh, master), 30, "it follows once they are empty")
    equal(fresh, master)
    check(fresh, keys, "anew ")
