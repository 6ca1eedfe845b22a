"""noded as a replica of redis-server: equal datasets whatever happens to the link, and changes of roles."""
import os
import random
import time

from cases import case
from lab import RespError, encode, wait_until
from lab.append_only import kill_written, wait_rewritten
from lab.cutting_proxy import CuttingProxy
from lab.following import counts, field, filled, follow, is_up, wait_equal, wait_up
from lab.random_writes import RandomWrites

OURS = ("ours",)
SEEDS = random.Random()


# ---- datasets ----

@case(kinds=OURS, matrix=[(sync, load) for sync in ("yes", "no") for load in ("disabled", "on-empty-db", "swapdb")])
def test_dataset_of_a_busy_master(lab, diskless_sync, diskless_load):
    """Every type in sixteen databases, written to before, while and after it is taken: equal in the end; and once more
    over what is there already."""
    master = filled(lab, repl_diskless_sync=diskless_sync)
    replica = lab.node("replica", repl_diskless_load=diskless_load)
    writes = RandomWrites(lab, master, SEEDS.randrange(10**6))
    for _ in range(2):
        follow(replica, master.port)
        wait_up(replica)
        before = writes.done
        wait_until(lambda b=before: writes.done > b + 300, 20, "some writes pass through the stream")
        assert replica.ok("REPLICAOF", "NO", "ONE") == "OK"
        replica.ok("SET", "written here", 1)  # so that the history is another one
        replica.ok("CONFIG", "SET", "replica-guard", "yes")
    follow(replica, master.port)
    wait_up(replica)
    writes.stop()
    wait_equal(master, replica)
    assert replica.call("SET", "x", 1) == RespError("READONLY You can't write against a read only replica.")
    assert counts(master)["full"] >= 1


@case(kinds=OURS, limit_s=120)
def test_link_cut_at_any_byte(lab):
    """Cut in the greeting, in the snapshot and in the stream, again and again, while the master is written to: in the
    end equal, and what the backlog has is enough after the first snapshot."""
    master = filled(lab, repl_backlog_size="16mb")
    proxy = CuttingProxy(lab, master.port)
    replica = lab.node("replica")
    rng = random.Random(5)
    writes = RandomWrites(lab, master, 11, pause_s=0.001)
    proxy.cut_after = 3
    follow(replica, proxy.port)
    for _ in range(4):
        proxy.cut_after = rng.choice([1, 7, 40, 90, 150, 400, 20000, 60000])
        before = proxy.connections
        wait_until(lambda b=before: proxy.connections > b, 20, "the replica tries again")
    proxy.cut_after = None
    wait_until(lambda: is_up(replica), 20, "the replica is in step")
    full = counts(master)["full"]
    for _ in range(4):
        proxy.cut_after = rng.randrange(60, 5000)
        before, went_on = proxy.connections, counts(master)["partial_ok"]
        proxy.cut()
        wait_until(lambda b=before, w=went_on: proxy.connections > b + 1 and counts(master)["partial_ok"] > w, 20,
                   "the stream was cut once more")
    went_on = counts(master)["partial_ok"]
    proxy.cut_after = None
    proxy.cut()
    wait_until(lambda: counts(master)["partial_ok"] > went_on and is_up(replica), 20, "the replica is in step again")
    writes.stop()
    wait_equal(master, replica)
    after = counts(master)
    assert after["full"] == full and after["partial_ok"] >= 5, after


@case(kinds=OURS, matrix=[("yes",), ("no",)])
def test_damaged_snapshot(lab, diskless_sync):
    """A bit that falls over on the way: the old dataset stays until a whole one is there."""
    master = filled(lab, repl_diskless_sync=diskless_sync)
    proxy = CuttingProxy(lab, master.port)
    replica = lab.node("replica", replica_guard="no")
    replica.ok("SET", "mine", 1)
    rng = random.Random(3)
    proxy.flip = 5000
    follow(replica, proxy.port)
    for _ in range(3):
        before = proxy.connections
        wait_until(lambda b=before: proxy.connections > b, 20, "the replica tries again")
        assert replica.ok("GET", "mine") == "1" and not is_up(replica)
        proxy.flip = rng.randrange(500, 20000)
    wait_until(lambda: "checksum is wrong" in replica.log(), 20, "the replica says what is wrong")
    proxy.flip = None
    wait_up(replica)
    wait_equal(master, replica)


@case(kinds=OURS)
def test_great_values_and_pauses(lab):
    """Requests of megabytes in the stream, and transactions that the link breaks in the middle of."""
    master = filled(lab, repl_backlog_size="64mb")
    proxy = CuttingProxy(lab, master.port)
    replica = lab.node("replica")
    follow(replica, proxy.port)
    wait_up(replica)
    with master.connect(timeout_s=20) as client:
        for size in (100000, 3000000, 9000000):
            client.ok("MULTI")
            client.ok("SET", "great:%d" % size, "g" * size)
            client.ok("RPUSH", "greatlist", "l" * size, "m" * size)
            proxy.cut_after = size
            proxy.cut()
            client.ok("EXEC")
    proxy.cut_after = None
    proxy.cut()
    wait_equal(master, replica)
    assert counts(master)["full"] == 1, counts(master)


LOADING = RespError("LOADING Redis is loading the dataset in memory")


def snapshot_comes(replica):
    said = replica.info("replication")
    return said.get("master_sync_in_progress") == "1" and int(said["master_sync_read_bytes"]) > 10000


@case(kinds=OURS, matrix=[("disabled",), ("on-empty-db",), ("swapdb",)])
def test_while_a_snapshot_comes(lab, load):
    """In the middle of a snapshot: a file leaves the old dataset as it is; what is loaded as it comes is not shown
    before it is whole; beside one of the same history the old one answers."""
    master = filled(lab, repl_backlog_size="16384")
    proxy = CuttingProxy(lab, master.port)
    replica = lab.node("replica", repl_diskless_load=load)
    if load != "on-empty-db":
        follow(replica, proxy.port)
        wait_up(replica)
        proxy.refuse = True
        proxy.cut()
        with master.connect() as client:  # more than the backlog has
            for i in range(20):
                client.ok("SET", "str:0", "new" + "x" * 1000 * i)
    proxy.hold_after = 20000
    proxy.refuse = False
    if load == "on-empty-db":
        follow(replica, proxy.port)
    wait_until(lambda: snapshot_comes(replica), 20, "the snapshot comes")
    said = replica.info("persistence")
    assert (said["loading"], said["async_loading"]) == {"disabled": ("0", "0"), "on-empty-db": ("1", "0"),
                                                        "swapdb": ("0", "1")}[load], said
    assert replica.ok("ROLE")[3] == "sync"
    assert replica.call("PING") == (LOADING if load == "on-empty-db" else "PONG")
    answer = replica.call("GET", "str:0")
    assert answer == LOADING if load == "on-empty-db" else not answer.startswith("new"), answer
    flush = replica.call("REPLICAOF", "127.0.0.1", proxy.port)
    assert flush == ("OK Already connected to specified master" if load == "disabled" else LOADING), flush
    proxy.go_on()
    wait_up(replica)
    wait_equal(master, replica)
    said = replica.info("persistence")
    assert (said["loading"], said["async_loading"]) == ("0", "0"), said


@case(kinds=OURS)
def test_promotion_in_the_middle_of_a_snapshot(lab):
    """What has not come whole is forgotten, file and all, and the old dataset is the master's."""
    master = filled(lab)
    proxy = CuttingProxy(lab, master.port)
    replica = lab.node("replica")
    replica.ok("SET", "mine", 1)
    proxy.hold_after = 20000
    follow(replica, proxy.port)
    wait_until(lambda: snapshot_comes(replica), 20, "the snapshot comes")
    assert any(name.startswith("temp-") for name in os.listdir(replica.directory))
    assert replica.ok("REPLICAOF", "NO", "ONE") == "OK"
    assert not any(name.startswith("temp-") for name in os.listdir(replica.directory))
    assert replica.ok("GET", "mine") == "1" and replica.ok("DBSIZE") == 1
    assert replica.ok("SET", "mine", 2) == "OK"


@case(kinds=OURS, matrix=[("yes",), ("no",)])
def test_file_of_a_replica(lab, rdb_del_sync_files):
    """The snapshot becomes the replica's own file; with rdb-del-sync-files and no persistence it goes."""
    master = filled(lab)
    replica = lab.node("replica", rdb_del_sync_files=rdb_del_sync_files)
    follow(replica, master.port)
    wait_up(replica)
    names = os.listdir(replica.directory)
    assert ("dump.rdb" in names) == (rdb_del_sync_files == "no"), names
    assert not any(name.startswith("temp-") for name in names), names
    if rdb_del_sync_files == "yes":
        return
    digest = replica.ok("DEBUG", "DIGEST")
    replica.kill9()
    master.kill9()
    replica.start()
    replica.wait_ready()
    wait_until(lambda: replica.ok("DEBUG", "DIGEST") == digest, 20, "it has its data without its master")


@case(kinds=OURS, limit_s=90)
def test_append_only_file_of_a_replica(lab):
    """The append-only file begins anew with the dataset of the master, and has what comes through the stream."""
    master = filled(lab)
    replica = lab.node("replica", appendonly="yes", appendfsync="always", replica_guard="no")
    replica.ok("SET", "mine", 1)
    follow(replica, master.port)
    wait_up(replica)
    master.ok("SET", "later", 1)
    wait_equal(master, replica)
    wait_rewritten(replica)
    master.ok("SET", "last", 1)
    wait_equal(master, replica)
    digest = replica.ok("DEBUG", "DIGEST")
    master.kill9()
    kill_written(replica)
    replica.start()
    replica.wait_ready()
    wait_until(lambda: replica.ok("DEBUG", "DIGEST") == digest, 20, "it has its data without its master")


# ---- roles ----

SILENT = {"repl_ping_replica_period": "3600"}  # nothing is in the stream but what a test writes

@case(kinds=OURS, limit_s=90)
def test_promotion_and_the_way_back(lab):
    """The replica becomes the master and the master its replica, both ways, without a second snapshot: the history has
    two names then."""
    stock = filled(lab, "stock", **SILENT)  # a ping that one has and the other has not would make another history
    ours = lab.node("ours", repl_backlog_size="16mb", **SILENT)
    follow(ours, stock.port)
    wait_up(ours)
    wait_equal(stock, ours)
    first_id = field(stock, "master_replid")
    assert ours.ok("REPLICAOF", "NO", "ONE") == "OK"
    assert field(ours, "master_replid2") == first_id
    ours.ok("SET", "after", "promotion")
    follow(stock, ours.port)
    wait_up(stock)
    wait_equal(ours, stock)
    assert "Successful partial resynchronization" in stock.log() or "MASTER <-> REPLICA sync: Master accepted a " \
        "Partial Resynchronization" in stock.log(), stock.log()[-2000:]
    for turn in range(3):
        assert stock.ok("REPLICAOF", "NO", "ONE") == "OK"
        stock.ok("SET", "turn:%d" % turn, "stock")
        follow(ours, stock.port)
        wait_up(ours)
        wait_equal(stock, ours)
        assert ours.ok("REPLICAOF", "NO", "ONE") == "OK"
        ours.ok("SET", "turn:%d" % turn, "ours")
        follow(stock, ours.port)
        wait_up(stock)
        wait_equal(ours, stock)
    assert counts(stock)["full"] == 1 and counts(ours)["full"] == 0, (counts(stock), counts(ours))


@case(kinds=OURS, matrix=[("stock",), ("ours",)], limit_s=90)
def test_restart_of_a_replica(lab, kind):
    """A replica that ends with a snapshot goes on from there: no second one is sent, and the database that the stream
    was in is known."""
    master = filled(lab) if kind == "stock" else lab.node("master", repl_diskless_sync_delay=0)
    ours = lab.node("ours", replicaof=["127.0.0.1", master.port])
    wait_up(ours)
    with master.connect() as client:
        client.ok("SELECT", 9)
        client.ok("SET", "in nine", 1)
        wait_equal(master, ours)
        with ours.connect() as last:
            last.send_raw(encode("SHUTDOWN", "SAVE"))
            assert last.read_until_closed(20) == b""
        wait_until(lambda: not ours.alive(), 20, "the replica has ended")
        client.ok("SET", "meanwhile", 2)  # without another SELECT in the stream
    ours.start()
    ours.wait_ready()
    wait_up(ours)
    wait_equal(master, ours)
    assert counts(master)["full"] == 1 and counts(master)["partial_ok"] == 1, counts(master)
    ours.kill9()
    master.ok("SET", "again", 3)
    ours.start()
    ours.wait_ready()
    wait_up(ours)
    wait_equal(master, ours)


@case(kinds=OURS)
def test_blocked_clients_and_transactions(lab):
    """Who waits for a key is sent away when the node becomes a replica; a transaction of before writes nothing."""
    master, ours = filled(lab), lab.node("ours")
    with ours.connect() as blocked, ours.connect() as multi, ours.connect() as watcher:
        blocked.send_raw(encode("BLPOP", "nothing", 0))
        multi.ok("MULTI")
        assert multi.call("SET", "a", 1) == "QUEUED"
        watcher.ok("WATCH", "str:1")
        wait_until(lambda: field(ours, "blocked_clients", "clients") == "1", 15, "the client waits")
        follow(ours, master.port)
        assert blocked.read(15) == RespError(
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
        assert blocked.read_until_closed(15) == b""
        assert multi.call("EXEC") == RespError("EXECABORT Transaction discarded because of: READONLY You can't write "
                                               "against a read only replica.")
        wait_up(ours)
        watcher.ok("MULTI")
        watcher.call("GET", "str:1")
        assert watcher.call("EXEC") is None


@case(kinds=OURS)
def test_master_among_the_clients(lab):
    """CLIENT LIST shows the master; CLIENT KILL of it ends the link, which comes back where it was."""
    master, ours = filled(lab), lab.node("ours")
    follow(ours, master.port)
    wait_up(ours)
    shown = ours.ok("CLIENT", "LIST", "TYPE", "master")
    assert "addr=127.0.0.1:%d " % master.port in shown and "flags=M" in shown, shown
    assert ours.ok("CLIENT", "KILL", "TYPE", "master") == 1
    wait_until(lambda: counts(master)["partial_ok"] == 1, 20, "the link comes back")
    assert ours.ok("CLIENT", "KILL", "TYPE", "normal") == 0
    wait_up(ours)
    wait_equal(master, ours)


@case(kinds=OURS)
def test_transaction_around_a_change_of_role(lab):
    """As supervisors send it; and what a transaction wrote before it belongs to the history that ends."""
    master, ours = filled(lab), lab.node("ours")
    follow(ours, master.port)
    wait_up(ours)
    with ours.connect() as client:
        client.ok("MULTI")
        for words in (("REPLICAOF", "NO", "ONE"), ("CLIENT", "KILL", "TYPE", "normal")):
            assert client.call(*words) == "QUEUED"
        assert client.call("EXEC")[0] == "OK"
    ours.ok("SET", "first", "write")
    follow(master, ours.port)
    wait_up(master)
    wait_equal(ours, master)
    with ours.connect() as client:
        client.ok("MULTI")
        client.call("SET", "last", "write")
        client.call("REPLICAOF", "127.0.0.1", master.port)
        assert client.call("EXEC") == ["OK", "OK"]
    assert master.ok("REPLICAOF", "NO", "ONE") == "OK"
    wait_up(ours)
    wait_equal(master, ours)


@case(kinds=OURS)
def test_words_of_a_replica(lab):
    """REPLICAOF, ROLE and INFO as redis-server has them."""
    master = filled(lab, **SILENT)
    ours, stock = lab.node("ours"), lab.redis("stock").wait_ready()
    for server in (ours, stock):
        for words in (("127.0.0.1", "x"), ("127.0.0.1", 65536), ("127.0.0.1", -1)):
            assert server.call("REPLICAOF", *words) == RespError("ERR Invalid master port"), words
        assert server.ok("REPLICAOF", "NO", "ONE") == "OK"
        with server.connect() as client:  # at once: the second one would be refused while the snapshot is loaded
            client.send_raw(encode("REPLICAOF", "127.0.0.1", master.port) * 2)
            assert [client.read(), client.read()] == ["OK", "OK Already connected to specified master"]
        assert server.ok("CONFIG", "GET", "replicaof") == ["replicaof", "127.0.0.1 %d" % master.port]
        wait_up(server)
        assert server.ok("ROLE")[:4] == ["slave", "127.0.0.1", master.port, "connected"]
    wait_equal(master, ours)
    wait_equal(master, stock)
    mine, theirs = ours.info("replication"), stock.info("replication")
    assert list(mine) == list(theirs), (list(mine), list(theirs))
    for name in ("master_replid", "master_repl_offset", "slave_repl_offset", "slave_read_repl_offset", "role",
                 "slave_priority", "slave_read_only", "replica_announced", "master_sync_in_progress"):
        assert mine[name] == theirs[name], name


@case(kinds=OURS)
def test_expired_keys_are_hidden(lab):
    """A replica shows no key whose time is over, and deletes none by itself."""
    master, ours, stock = filled(lab), lab.node("ours"), lab.redis("stock").wait_ready()
    for server in (ours, stock):
        follow(server, master.port)
        wait_up(server)
    master.ok("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    with master.connect() as client:
        client.ok("SELECT", 3)
        client.ok("FLUSHDB")
        for i in range(20):
            client.ok("SET", "k%d" % i, i, "PX", 30)
        client.ok("SET", "stays", 1)
    for server in (ours, stock):
        wait_until(lambda s=server: field(s, "slave_repl_offset") == field(master, "master_repl_offset"), 20, "in step")
    time.sleep(0.1)  # the time of the keys is over by then
    with ours.connect() as mine, stock.connect() as theirs:
        for words in (("SELECT", 3), ("DBSIZE",), ("GET", "k1"), ("TTL", "k1"), ("EXISTS", "k1", "k2", "stays"),
                      ("TYPE", "k1"), ("KEYS", "*"), ("RANDOMKEY",), ("SCAN", 0, "COUNT", 1000), ("STRLEN", "k1"),
                      ("OBJECT", "ENCODING", "k1"), ("DUMP", "k1"), ("EXPIRETIME", "k1")):
            assert mine.call(*words) == theirs.call(*words), words
    master.ok("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    wait_equal(master, ours)


@case(kinds=OURS)
def test_stale_data(lab):
    """replica-serve-stale-data no: without its master a replica answers nothing of what it has."""
    master, ours = filled(lab), lab.node("ours", replica_serve_stale_data="no")
    follow(ours, master.port)
    wait_up(ours)
    assert ours.ok("GET", "str:0") is not None
    master.kill9()
    wait_until(lambda: not is_up(ours), 15, "the link is down")
    assert ours.call("GET", "str:0") == RespError(
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
    assert ours.ok("ROLE")[0] == "slave"
    ours.ok("CONFIG", "SET", "replica-serve-stale-data", "yes")
    assert ours.ok("GET", "str:0") is not None
    ours.ok("CONFIG", "SET", "replica-serve-stale-data", "no")
    assert isinstance(ours.call("GET", "str:0"), RespError)
    ours.ok("REPLICAOF", "NO", "ONE")
    assert ours.ok("GET", "str:0") is not None


# ---- passwords, addresses, settings ----

@case(kinds=OURS)
def test_password_and_announced_address(lab):
    master = filled(lab)
    master.ok("CONFIG", "SET", "requirepass", "secret")
    master.password = "secret"
    ours = lab.node("ours", replicaof=["localhost", master.port], replica_announce_ip="10.1.2.3",
                    replica_announce_port=7777, bind_source_addr="127.0.0.1", replica_priority=7)
    wait_until(lambda: "NOAUTH" in ours.log(), 20, "the master wants a password")
    ours.ok("CONFIG", "SET", "masterauth", "secret")
    wait_up(ours)
    wait_equal(master, ours)
    replica = field(master, "slave0")
    assert "ip=10.1.2.3" in replica and "port=7777" in replica, replica
    assert field(ours, "slave_priority") == "7"


@case(kinds=OURS)
def test_kept_in_the_file(lab):
    """CONFIG REWRITE keeps whom the node follows, and that it follows nobody."""
    master = filled(lab)
    port = lab.ports.take()
    ours = lab.node("ours", port=port, config='port = %d;\nbind = "127.0.0.1";\nenable-debug-command = "yes";\n'
                    'save = "";\ndir = "%s";\n' % (port, lab.path("ours")))
    follow(ours, master.port)
    wait_up(ours)
    ours.ok("CONFIG", "REWRITE")
    ours.terminate()
    ours.start()
    ours.wait_ready()
    wait_up(ours)
    wait_equal(master, ours)
    ours.ok("REPLICAOF", "NO", "ONE")
    ours.ok("CONFIG", "REWRITE")
    ours.terminate()
    ours.start()
    ours.wait_ready()
    assert ours.ok("ROLE")[0] == "master"
