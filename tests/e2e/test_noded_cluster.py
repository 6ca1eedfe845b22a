"""Clusters of noded: made with redis-cli, restarted, killed, resharded; nodes.conf and the bus under attack; all
databases."""
import os
import random
import re
import socket
import subprocess
import time

from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot

from cases import case
from lab import Resp, RespError, run_noded, wait_until
from lab.clusters import (SLOTS, cluster_node, flags_of, info, key_in, keys_of, lines, make_cluster, my_id, view,
                          wait_agreed, write_until_taken)

OURS = ("ours",)


def cli(*args):
    """redis-cli --cluster; returns what it prints."""
    done = subprocess.run(["redis-cli", "--cluster", *[str(a) for a in args]], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, universal_newlines=True, timeout=60,
                          check=False)
    text = re.sub("\x1b\\[[0-9;]*m", "", done.stdout)
    assert done.returncode == 0, text
    return text


def address(node):
    return "127.0.0.1:%d" % node.port


def owned(node):
    """Slots of a node by its own word."""
    words = lines(node)[my_id(node)][8:]
    count = 0
    for word in words:
        if word.startswith("["):
            continue
        first, _, last = word.partition("-")
        count += int(last or first) - int(first) + 1
    return count


def tool_node(lab, kind, name):
    """redis-cli finds the bus at port + 10000 only."""
    options = {"cluster_enabled": "yes", "cluster_node_timeout": 2000, "port": lab.ports.take_with_bus()}
    return lab.node(name, **options) if kind == "ours" else lab.redis(name, **options).wait_ready()


# ---- redis-cli --cluster ----

@case(kinds=OURS, limit_s=150)
def test_tools(lab):
    """create, check, info, add-node, reshard, rebalance, del-node, with keys that are all there in the end."""
    nodes = [tool_node(lab, "ours", "n%d" % i) for i in range(6)]
    assert "[OK] All 16384 slots covered." in cli("create", *[address(n) for n in nodes], "--cluster-replicas", "1",
                                                  "--cluster-yes")
    wait_agreed(nodes, cluster_size=3)
    client = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", nodes[0].port)])
    for i in range(600):
        client.set("key%d" % i, i)
    client.close()
    assert "[OK] 600 keys in 3 masters." in cli("info", address(nodes[0]))
    text = cli("reshard", address(nodes[0]), "--cluster-from", my_id(nodes[0]), "--cluster-to", my_id(nodes[1]),
               "--cluster-slots", "150", "--cluster-yes", "--cluster-pipeline", "20")
    assert "Moving slot" in text
    wait_agreed(nodes, cluster_size=3)
    assert owned(nodes[1]) == 5462 + 150
    cli("rebalance", address(nodes[0]), "--cluster-threshold", "1")
    wait_agreed(nodes, cluster_size=3)
    assert max(owned(n) for n in nodes[:3]) - min(owned(n) for n in nodes[:3]) <= 2
    fourth = tool_node(lab, "ours", "fourth")
    cli("add-node", address(fourth), address(nodes[0]))
    everybody = nodes + [fourth]
    wait_agreed(everybody)
    cli("reshard", address(nodes[0]), "--cluster-from", "all", "--cluster-to", my_id(fourth), "--cluster-slots", "60",
        "--cluster-yes")
    wait_agreed(everybody, cluster_size=4)
    assert "[OK] 600 keys in 4 masters." in cli("info", address(nodes[1]))
    cli("reshard", address(nodes[0]), "--cluster-from", my_id(fourth), "--cluster-to", my_id(nodes[0]),
        "--cluster-slots", owned(fourth), "--cluster-yes")
    wait_until(lambda: owned(fourth) == 0, 20, "the fourth node has no slots left")
    cli("del-node", address(nodes[0]), my_id(fourth))
    wait_until(lambda: len(view(nodes[0])) == 6, 20, "it is forgotten")
    wait_agreed(nodes, cluster_size=3)
    assert "[OK] 600 keys in 3 masters." in cli("check", address(nodes[2]))
    client = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", nodes[0].port)])
    assert all(client.get("key%d" % i) == b"%d" % i for i in range(600))
    client.close()


# ---- a master dies ----

BOUND_MS = 1000 + 400 + 600  # the node timeout, and what comes behind it


def kill_to_write(master, others, key):
    """Milliseconds from SIGKILL to the first write that is taken, and by whom."""
    clients = {node.port: node.connect() for node in others}
    at = master.kill9()
    def taken():
        for node in others:
            if clients[node.port].call("SET", key, "after") == "OK":
                return node
        return None
    winner = wait_until(taken, 20, "a replica takes writes", every_s=0.002)
    took_ms = (time.monotonic() - at) * 1000
    for client in clients.values():
        client.close()
    return took_ms, winner


@case(kinds=OURS, limit_s=90, alone=True)
def test_master_killed(lab):
    """Every acknowledged write that had reached the replica is there, the replica takes writes soon after the node
    timeout, the old master comes back as its replica."""
    times_ms = []
    while len(times_ms) < 3 and min(times_ms, default=9999) > BOUND_MS:  # one is late when the machine stands still
        times_ms.append(kill_and_restart(lab, "turn%d-" % len(times_ms)))
    assert min(times_ms) <= BOUND_MS, "from the kill to the first write: %s ms, timeout 1000 ms" % times_ms


def kill_and_restart(lab, prefix):
    masters, (replica,) = make_cluster(lab, ["ours"] * 3, [("ours", 0)], prefix=prefix)
    key = keys_of(0, SLOTS // 3, 1)[0]
    with masters[0].connect() as client:
        client.ok("SELECT", 5)
        client.ok("SET", key, "in five")
        client.ok("SELECT", 0)
        client.ok("SET", key, "before")
        assert client.ok("WAIT", 1, 5000) == 1
    took_ms, winner = kill_to_write(masters[0], [replica], key)
    assert winner is replica
    print("kill to first write: %d ms" % took_ms)
    with replica.connect() as client:
        client.ok("SELECT", 5)
        assert client.ok("GET", key) == "in five"
    masters[0].start()
    masters[0].wait_ready()
    wait_agreed(masters + [replica])
    assert "slave" in flags_of(replica, masters[0])
    wait_until(lambda: masters[0].info("replication")["master_link_status"] == "up", 20, "it follows")
    with masters[0].connect() as client:
        client.ok("READONLY")
        wait_until(lambda: client.call("GET", key) == "after", 20, "the old master has what was written since")
    return took_ms


@case(kinds=OURS, limit_s=90)
def test_manual_failover(lab):
    """Nothing acknowledged is lost, and nothing refused is done, while the parts change again and again under load."""
    masters, (replica,) = make_cluster(lab, ["ours"] * 3, [("ours", 0)], cluster_node_timeout=2500)
    key = keys_of(0, SLOTS // 3, 1)[0]
    old, new = masters[0], replica
    taken = 0
    for turn in range(3):
        with old.connect() as there, new.connect() as here:
            assert new.ok("CLUSTER", "FAILOVER") == "OK"
            deadline = time.monotonic() + 20
            while isinstance(there.call("INCR", key), int):
                taken += 1
                assert time.monotonic() < deadline, "turn %d: the old master takes writes for ever" % turn
            wait_until(lambda c=here: isinstance(c.call("INCR", key), int), 20, "the new master takes writes")
            taken += 1
            assert int(here.ok("GET", key)) == taken
        wait_agreed(masters + [replica])
        wait_until(lambda o=old: o.info("replication").get("master_link_status") == "up", 20, "the old one follows")
        old, new = new, old


# ---- nodes.conf ----

@case(kinds=OURS, limit_s=60)
def test_restart(lab):
    """Everybody is stopped and started again: the same cluster, without a word of anybody."""
    # Nobody is missed for so short a time.
    masters, replicas = make_cluster(lab, ["ours"] * 3, [("ours", 0)], cluster_node_timeout=5000)
    nodes = masters + replicas
    before = view(masters[0])
    for node in nodes:
        assert node.terminate() == 0
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready()
    wait_agreed(nodes)
    assert view(masters[0]) == before


@case(kinds=OURS, limit_s=60)
def test_restart_with_data(lab):
    """The log of writes is read back in all databases, and slots whose keys it has are taken when they are nobody's."""
    node = cluster_node(lab, "ours", "n", appendonly="yes", appendfsync="always", cluster_require_full_coverage="no")
    node.ok("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
    wait_until(lambda: info(node)["cluster_state"] == "ok", 20, "it takes writes")
    keys = keys_of(0, SLOTS, 200)
    with node.connect() as client:
        for i, key in enumerate(keys):
            client.ok("SELECT", i % 16)
            client.ok("SET", key, i)
    node.kill9()
    os.unlink(os.path.join(node.directory, "nodes.conf"))  # by accident
    node.start()
    node.wait_ready()
    assert owned(node) == len(keys)
    with node.connect() as client:
        for i, key in enumerate(keys):
            client.ok("SELECT", i % 16)
            wait_until(lambda k=key, v=str(i): client.call("GET", k) == v, 20, "the value is there", every_s=0.1)


@case(kinds=OURS, limit_s=60)
def test_reset(lab):
    """A replica that leaves forgets the data too; a master with keys may not; HARD changes the id."""
    masters, (replica,) = make_cluster(lab, ["ours", "ours"], [("ours", 0)])
    key = keys_of(0, SLOTS // 2, 1)[0]
    masters[0].ok("SET", key, 1)
    assert masters[0].ok("WAIT", 1, 5000) == 1
    assert str(masters[0].call("CLUSTER", "RESET")) == \
        "ERR CLUSTER RESET can't be called with master nodes containing keys"
    before = my_id(replica)
    assert replica.ok("CLUSTER", "RESET", "SOFT") == "OK"
    assert my_id(replica) == before and len(lines(replica)) == 1
    wait_until(lambda: replica.ok("ROLE")[0] == "master" and replica.ok("DBSIZE") == 0, 20, "a master without keys")
    assert replica.ok("CLUSTER", "RESET", "HARD") == "OK"
    assert my_id(replica) != before
    assert info(replica)["cluster_current_epoch"] == "0"
    wait_until(lambda: {"fail", "fail?", "noaddr"} & set(lines(masters[0])[before][2].split(",")), 20,
               "the others see that nobody of this id is there")


@case(kinds=OURS)
def test_torn_file(lab):
    """A file that was cut anywhere, or has a line that makes no sense, is refused with the line, and left as it is."""
    node = cluster_node(lab, "ours", "n")
    node.ok("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    node.terminate()
    path = os.path.join(node.directory, "nodes.conf")
    with open(path, "rb") as f:
        whole = f.read()
    assert whole.endswith(b"\n") and b"vars currentEpoch" in whole
    for damaged in (whole[:len(whole) // 2], whole[:-1], whole[:-20], b"x" + whole, whole.replace(b"master", b"mister"),
                    whole.replace(b"0-16383", b"0-16384"), whole.replace(b" 0-16383", b" 0-16383 5"),
                    whole.split(b"\n")[0] + b"\n"):
        with open(path, "wb") as f:
            f.write(damaged)
        done = run_noded("--port", lab.ports.take(), "--cluster-port", lab.ports.take(), "--cluster-enabled", "yes",
                         "--dir", node.directory)
        assert done.returncode == 1, (damaged, done)
        assert "nodes.conf" in done.stderr and "line" in done.stderr, (damaged, done.stderr)
        with open(path, "rb") as f:
            assert f.read() == damaged
    with open(path, "wb") as f:
        f.write(whole)
    node.start()
    node.wait_ready()
    assert owned(node) == SLOTS


@case(kinds=OURS)
def test_file_is_of_one_process(lab):
    """A second process on the same file is refused while the first lives, also after the file was written anew; stock
    redis-server is refused too."""
    node = cluster_node(lab, "ours", "n")
    for round_ in range(2):
        done = run_noded("--port", lab.ports.take(), "--cluster-port", lab.ports.take(), "--cluster-enabled", "yes",
                         "--dir", node.directory)
        assert done.returncode == 1 and "in use by another process" in done.stderr, done
        stock = lab.redis("stock%d" % round_, cluster_enabled="yes", cluster_port=lab.ports.take(),
                          cluster_config_file=os.path.join(node.directory, "nodes.conf"))
        wait_until(lambda s=stock: not s.alive(), 20, "redis-server ends")
        node.ok("CLUSTER", "BUMPEPOCH")
        node.ok("CLUSTER", "SAVECONFIG")
    node.kill9()
    node.start()
    node.wait_ready()


@case(kinds=OURS)
def test_file_cannot_be_written(lab):
    """What is not on the disk is not promised: the command fails, the node lives, and goes on when it can."""
    node = cluster_node(lab, "ours", "n")
    beside = os.path.join(node.directory, "nodes.conf.new-%d" % node.pid)
    def in_the_way():
        os.mkdir(beside)  # where the new file would go; the first one may just be written
        return True
    wait_until(in_the_way, 20, "nothing is being written")
    with node.connect(timeout_s=20) as client:
        client.send_raw(b"*2\r\n$7\r\nCLUSTER\r\n$10\r\nSAVECONFIG\r\n")
        wait_until(lambda: "cannot be written" in node.log(), 20, "the failure is logged")
        assert node.ok("PING") == "PONG"
        os.rmdir(beside)
        client.read(timeout_s=20)
    wait_until(lambda: node.call("CLUSTER", "SAVECONFIG") == "OK", 20, "it is written again")


# ---- the bus ----

@case(kinds=OURS, limit_s=90)
def test_bytes_that_are_no_messages(lab):
    """Whatever comes to the bus port, the cluster and its clients do not notice."""
    masters, _ = make_cluster(lab, ["ours"] * 3, cluster_node_timeout=2500)
    bus = int(lines(masters[0])[my_id(masters[0])][1].split("@")[1])
    rng = random.Random()
    before = view(masters[1])
    for i in range(120):
        head = b"RCmb" if i % 3 else rng.randbytes(4)
        length = rng.choice([0, 1, 16, 2256, 2300, 5000, 2**31, 2**32 - 1, rng.randrange(2**32)])
        body = rng.randbytes(rng.choice([0, 1, 100, 2248, 5000]))
        with socket.create_connection(("127.0.0.1", bus), timeout=5) as sock:
            try:
                sock.sendall(head + length.to_bytes(4, "big") + b"\0\1" + body)
                if i % 4 == 0:
                    sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it is closed already
    with socket.create_connection(("127.0.0.1", bus), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(100) == b""
    wait_agreed(masters)
    assert view(masters[1]) == before
    key = keys_of(0, SLOTS // 3, 1)[0]
    assert masters[0].ok("SET", key, 1) == "OK"


@case(kinds=OURS, limit_s=60)
def test_memory(lab):
    """An empty node with sixteen databases."""
    masters, _ = make_cluster(lab, ["ours"] * 3)
    with open("/proc/%d/status" % masters[0].pid, encoding="ascii") as f:
        rss_kb = int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))
    with open("/proc/%d/maps" % masters[0].pid, encoding="ascii", errors="replace") as f:
        sanitized = "libasan" in f.read()  # it keeps what was freed, and puts room around each piece
    assert rss_kb <= 6 * 1024 * (10 if sanitized else 1), "%d kB resident" % rss_kb


# ---- databases ----

@case(kinds=OURS, limit_s=60)
def test_databases(lab):
    """SELECT up to cluster-databases, the same slot in all of them, MOVE and COPY, FLUSHDB of one, and transactions
    with a SELECT."""
    masters, _ = make_cluster(lab, ["ours"] * 2, cluster_node_timeout=5000)
    k, other = keys_of(0, SLOTS // 2, 1)[0], keys_of(SLOTS // 2, SLOTS, 1)[0]
    slot = key_slot(k.encode())
    with masters[0].connect() as c:
        for db in (0, 3, 15):
            assert c.call("SELECT", db) == "OK"
            assert c.call("SET", k, "in %d" % db) == "OK"
            assert c.call("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
            assert c.call("CLUSTER", "GETKEYSINSLOT", slot, 10) == [k]
            assert str(c.call("GET", other)).startswith("MOVED")
        assert c.call("SELECT", 16) == RespError("ERR DB index is out of range")
        assert c.call("SWAPDB", 0, 3) == RespError("ERR SWAPDB is not allowed in cluster mode")
        assert c.call("CLUSTER", "SLOT-KEYS", slot) == [0, 1, 3, 1, 15, 1]
        assert c.call("SELECT", 3) == "OK"
        assert c.call("MOVE", k, 4) == 1
        assert c.call("COPY", k, "{%s}c" % k, "DB", 5) == 0
        assert c.call("CLUSTER", "SLOT-KEYS", slot) == [0, 1, 4, 1, 15, 1]
        # The slot is open: what would have to look at two databases waits.
        assert c.call("CLUSTER", "SETSLOT", slot, "MIGRATING", my_id(masters[1])) == "OK"
        assert c.call("SELECT", 4) == "OK"
        assert str(c.call("MOVE", k, 5)).startswith("TRYAGAIN")
        assert str(c.call("COPY", k, "{%s}c" % k, "DB", 5)).startswith("TRYAGAIN")
        assert c.call("GET", k) == "in 3"
        assert c.call("SELECT", 5) == "OK"
        assert str(c.call("GET", k)).startswith("ASK %d" % slot)
        # Keys are looked for in the database that the transaction has chosen by then.
        for words in (["MULTI"], ["SELECT", 4], ["GET", k]):
            c.call(*words)
        assert c.call("EXEC") == ["OK", "in 3"]
        assert c.call("SELECT", 4) == "OK"
        for words in (["MULTI"], ["SELECT", 5]):
            c.call(*words)
        assert str(c.call("GET", k)).startswith("ASK")
        assert str(c.call("EXEC")).startswith("EXECABORT")
        assert c.call("GET", k) == "in 3"  # the SELECT did not leak
        # The other side's databases all count before the slot is let go.
        assert c.call("SELECT", 0) == "OK"
        assert "I still hold keys" in str(c.call("CLUSTER", "SETSLOT", slot, "NODE", my_id(masters[1])))
        assert c.call("CLUSTER", "SETSLOT", slot, "STABLE") == "OK"
        assert c.call("DEL", k) == 1
        assert "I still hold keys" in str(c.call("CLUSTER", "SETSLOT", slot, "NODE", my_id(masters[1])))
        assert c.call("FLUSHDB") == "OK"
        assert c.call("CLUSTER", "SLOT-KEYS", slot) == [4, 1, 15, 1]
        assert c.call("FLUSHALL") == "OK"
        assert c.call("CLUSTER", "SLOT-KEYS", slot) == []


@case(kinds=OURS, limit_s=60)
def test_slot_moved_with_all_databases(lab):
    """The classic flow for every database: MIGRATE of the selected one, the source refuses to let go before all are
    empty."""
    masters, _ = make_cluster(lab, ["ours"] * 2, cluster_node_timeout=5000)
    source, target = masters
    slot = 100
    keys = [key_in(slot, n) for n in range(1, 6)]
    source_id, target_id = my_id(source), my_id(target)
    with source.connect() as c, target.connect() as t:
        for db in (0, 2, 9):
            c.ok("SELECT", db)
            for k in keys:
                c.ok("SET", k, "%s of %d" % (k, db))
        t.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        c.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        for db in (0, 2, 9):
            assert "I still hold keys" in str(c.call("CLUSTER", "SETSLOT", slot, "NODE", target_id))
            c.ok("SELECT", db)
            while c.ok("CLUSTER", "COUNTKEYSINSLOT", slot):
                some = c.ok("CLUSTER", "GETKEYSINSLOT", slot, 2)
                assert c.ok("MIGRATE", "127.0.0.1", target.port, "", db, 7000, "KEYS", *some) == "OK"
        for node in (target, source):
            assert node.ok("CLUSTER", "SETSLOT", slot, "NODE", target_id) == "OK"
        wait_agreed(masters)
        for db in (0, 2, 9):
            t.ok("SELECT", db)
            assert [t.ok("GET", k) for k in keys] == ["%s of %d" % (k, db) for k in keys]
        assert str(c.call("GET", keys[0])) == "MOVED %d 127.0.0.1:%d" % (slot, target.port)


# ---- clients that wait, and messages ----

@case(kinds=OURS, limit_s=60)
def test_waiting_clients_are_sent_on(lab):
    """BLPOP waits for a key whose slot goes away: -MOVED; shard channels of the slot are left, with a word."""
    masters, _ = make_cluster(lab, ["ours"] * 2, cluster_node_timeout=5000)
    k = keys_of(0, SLOTS // 2, 1)[0]
    slot = key_slot(k.encode())
    blocked, sub = masters[0].connect(), masters[0].connect()
    blocked.send_raw(b"*3\r\n$5\r\nBLPOP\r\n$%d\r\n%s\r\n$1\r\n0\r\n" % (len(k), k.encode()))
    assert sub.call("SSUBSCRIBE", k) == ["ssubscribe", k, 1]
    wait_until(lambda: masters[0].info("clients")["blocked_clients"] == "1", 15, "the client waits")
    other = my_id(masters[1])
    for node in reversed(masters):
        node.ok("CLUSTER", "SETSLOT", slot, "NODE", other)
    assert str(blocked.read(15)) == "MOVED %d 127.0.0.1:%d" % (slot, masters[1].port)
    assert sub.read(15) == ["sunsubscribe", k, 0]
    assert sub.call("GET", "x") is not None  # no subscriber any more: any command is allowed
    blocked.close()
    sub.close()


@case(kinds=OURS, limit_s=60)
def test_messages(lab):
    """PUBLISH reaches subscribers of every node, SPUBLISH those of its shard."""
    masters, (replica,) = make_cluster(lab, ["ours", "stock", "ours"], [("ours", 0)], cluster_node_timeout=5000)
    k = keys_of(0, SLOTS // 3, 1)[0]
    nodes = masters + [replica]
    # Messages go over the links that there are.
    wait_until(lambda: all(words[7] == "connected" for node in nodes for words in lines(node).values()), 20,
               "everybody has a link to everybody")
    clients = [node.connect() for node in nodes]
    shard = [node.connect() for node in (masters[0], replica)]
    for client in clients:
        assert client.call("SUBSCRIBE", "news") == ["subscribe", "news", 1]
    for client in shard:
        assert client.call("SSUBSCRIBE", k) == ["ssubscribe", k, 1]
    for i, node in enumerate(nodes):
        node.ok("PUBLISH", "news", "from %d" % i)
        for client in clients:
            assert client.read(15) == ["message", "news", "from %d" % i]
    for i, node in enumerate((masters[0], replica)):
        node.ok("SPUBLISH", k, "shard %d" % i)
        for client in shard:
            assert client.read(15) == ["smessage", k, "shard %d" % i]
    big = "x" * 3000000
    masters[0].ok("PUBLISH", "news", big)
    for client in clients:
        assert client.read(20) == ["message", "news", big]
    for client in clients + shard:
        client.close()


# ---- redis-py ----

@case(kinds=OURS, limit_s=90)
def test_redis_py(lab):
    """RedisCluster reads and writes through the death of a master; its caller sees no wrong answer."""
    masters, replicas = make_cluster(lab, ["ours"] * 3, [("ours", 0), ("ours", 1), ("ours", 2)],
                                     cluster_node_timeout=2500)
    client = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", n.port) for n in masters],
                          cluster_error_retry_attempts=40, socket_timeout=2)
    for i in range(300):
        assert client.set("key%d" % i, i)
    assert client.mget_nonatomic(*["key%d" % i for i in range(300)]) == [b"%d" % i for i in range(300)]
    for node in masters:
        node.ok("WAIT", 1, 5000)
    masters[1].kill9()
    deadline = time.monotonic() + 40
    done = 0
    while done < 300:
        try:
            assert client.get("key%d" % done) == b"%d" % done
            done += 1
        except AssertionError:
            raise
        except Exception:  # redis-py gives up sooner than the cluster
            assert time.monotonic() < deadline
    assert write_until_taken(replicas, keys_of(SLOTS // 3, SLOTS * 2 // 3, 1)[0], "x") is replicas[1]
    client.close()


@case(kinds=OURS)
def test_resp_of_a_lone_node(lab):
    """Without cluster mode CLUSTER and its like say so, and nothing of the bus is there."""
    node = lab.node("n")
    disabled = RespError("ERR This instance has cluster support disabled")
    for words in (["CLUSTER", "INFO"], ["CLUSTER", "NODES"], ["CLUSTER", "ADDSLOTS", 1], ["READONLY"], ["READWRITE"],
                  ["ASKING"], ["CLUSTER", "RESET"]):
        assert node.call(*words) == disabled, words
    assert node.info("cluster")["cluster_enabled"] == "0"
    assert not os.path.exists(os.path.join(node.directory, "nodes.conf"))
    with Resp(node.port) as client:
        assert client.call("SWAPDB", 0, 1) == "OK"
