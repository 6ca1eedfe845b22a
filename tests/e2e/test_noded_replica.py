"""noded as a replica of redis-server: equal datasets whatever happens to the link, and nothing of its own lost to a
master that is empty, damaged or makes no sense."""
import random
import socket
import threading
import time

from cases import case
from lab import Resp, RespError, encode, wait_until
from lab.cutting_proxy import CuttingProxy
from lab.random_writes import RandomWrites, fill

OURS = ("ours",)
SEEDS = random.Random()


def field(server, name, section="replication"):
    return server.info(section).get(name)


def is_up(server):
    return field(server, "master_link_status") == "up"


def wait_up(server, timeout_s=20):
    wait_until(lambda: is_up(server), timeout_s, "%s is in step with its master" % server.name)


def wait_equal(master, replica, timeout_s=30):
    """The replica has all of the stream, and the datasets are equal. Nobody writes meanwhile; what runs out of time is
    deleted by the master when it is looked at."""
    def caught_up():
        return field(replica, "master_repl_offset") == field(master, "master_repl_offset") and is_up(replica)
    def equal():
        with master.connect() as client:
            for db in range(16):
                client.ok("SELECT", db)
                for key in client.ok("KEYS", "*"):
                    client.call("TTL", key)
        assert wait_until(caught_up, timeout_s, "%s has the stream of %s" % (replica.name, master.name))
        mine, theirs = replica.ok("DEBUG", "DIGEST"), master.ok("DEBUG", "DIGEST")
        assert mine == theirs, (mine, theirs)
        return True
    wait_until(equal, timeout_s, "%s has the dataset of %s" % (replica.name, master.name), every_s=0.2)


def counts(master):
    fields = master.info("stats")
    return {name: int(fields["sync_" + name]) for name in ("full", "partial_ok", "partial_err")}


def filled(lab, name="master", seed=1, **options):
    master = lab.redis(name, **options).wait_ready()
    with master.connect() as client:
        fill(client, random.Random(seed))
    return master


def follow(replica, port):
    assert replica.ok("REPLICAOF", "127.0.0.1", port).startswith("OK")


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
    for _ in range(5):
        proxy.cut_after = rng.choice([1, 7, 40, 90, 150, 400, 20000, 60000])
        before = proxy.connections
        wait_until(lambda b=before: proxy.connections > b, 10, "the replica tries again")
    proxy.cut_after = None
    wait_until(lambda: is_up(replica), 20, "the replica is in step")
    full = counts(master)["full"]
    for _ in range(6):
        proxy.cut_after = rng.randrange(60, 5000)
        before = proxy.connections
        proxy.cut()
        wait_until(lambda b=before: proxy.connections > b + 1, 20, "the stream was cut once more")
    proxy.cut_after = None
    proxy.cut()
    wait_until(lambda: is_up(replica), 20, "the replica is in step again")
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
        wait_until(lambda b=before: proxy.connections > b, 10, "the replica tries again")
        assert replica.ok("GET", "mine") == "1" and not is_up(replica)
        proxy.flip = rng.randrange(500, 20000)
    assert "checksum is wrong" in replica.log()
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


# ---- roles ----

@case(kinds=OURS)
def test_promotion_and_the_way_back(lab):
    """The replica becomes the master and the master its replica, both ways, without a second snapshot: the history has
    two names then."""
    stock = filled(lab, "stock")
    ours = lab.node("ours", repl_backlog_size="16mb")
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


@case(kinds=OURS, matrix=[("stock",), ("ours",)])
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
            assert last.read_until_closed(10) == b""
        wait_until(lambda: not ours.alive(), 10, "the replica has ended")
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
        wait_until(lambda: field(ours, "blocked_clients", "clients") == "1", 5, "the client waits")
        follow(ours, master.port)
        assert blocked.read(5) == RespError(
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")
        assert blocked.read_until_closed(5) == b""
        assert multi.call("EXEC") == RespError("EXECABORT Transaction discarded because of: READONLY You can't write "
                                               "against a read only replica.")
        wait_up(ours)
        watcher.ok("MULTI")
        watcher.call("GET", "str:1")
        assert watcher.call("EXEC") is None


@case(kinds=OURS)
def test_words_of_a_replica(lab):
    """REPLICAOF, ROLE and INFO as redis-server has them."""
    master = filled(lab)
    ours, stock = lab.node("ours"), lab.redis("stock").wait_ready()
    for server in (ours, stock):
        for words in (("127.0.0.1", "x"), ("127.0.0.1", 65536), ("127.0.0.1", -1)):
            assert server.call("REPLICAOF", *words) == RespError("ERR Invalid master port"), words
        assert server.ok("REPLICAOF", "NO", "ONE") == "OK"
        assert server.ok("REPLICAOF", "127.0.0.1", master.port) == "OK"
        assert server.ok("REPLICAOF", "127.0.0.1", master.port) == "OK Already connected to specified master"
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
    wait_until(lambda: field(ours, "slave_repl_offset") == field(master, "master_repl_offset"), 5, "in step")
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
    wait_until(lambda: not is_up(ours), 5, "the link is down")
    assert ours.call("GET", "str:0") == RespError(
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
    assert ours.ok("ROLE")[0] == "slave"
    ours.ok("CONFIG", "SET", "replica-serve-stale-data", "yes")
    assert ours.ok("GET", "str:0") is not None
    ours.ok("CONFIG", "SET", "replica-serve-stale-data", "no")
    assert isinstance(ours.call("GET", "str:0"), RespError)
    ours.ok("REPLICAOF", "NO", "ONE")
    assert ours.ok("GET", "str:0") is not None


# ---- what cannot be followed ----

@case(kinds=OURS, matrix=[("XADD", "s", "*", "a", "1"), ("PFADD", "p", "x"),
                           ("FUNCTION", "LOAD",
                            "#!lua name=l \n redis.register_function('f', function() return 1 end)")])
def test_unknown_command_in_the_stream(lab, *request):
    """Nothing diverges silently: the following ends, says where and why, and begins anew when it is told to."""
    master, ours = filled(lab), lab.node("ours")
    follow(ours, master.port)
    wait_up(ours)
    master.ok("SET", "before", 1)
    master.ok(*request)
    master.ok("SET", "behind", 1)
    wait_until(lambda: field(ours, "master_stream_stopped") is not None, 10, "the following has ended")
    said = field(ours, "master_stream_stopped")
    assert request[0] in said and "unknown command" in said, said
    assert request[0] in ours.log()
    assert ours.ok("GET", "before") == "1" and ours.ok("GET", "behind") is None and not is_up(ours)
    master.ok("FUNCTION", "FLUSH")
    master.ok("DEL", request[1])
    follow(ours, master.port)
    wait_up(ours)
    wait_equal(master, ours)
    assert counts(master)["full"] == 2


@case(kinds=OURS, matrix=[("disabled",), ("on-empty-db",), ("swapdb",)])
def test_unknown_type_in_the_snapshot(lab, load):
    master, ours = filled(lab), lab.node("ours", repl_diskless_load=load)
    master.ok("XADD", "a stream", "*", "a", "1")
    follow(ours, master.port)
    wait_until(lambda: field(ours, "master_stream_stopped") is not None, 20, "the following has ended")
    assert "a stream" in field(ours, "master_stream_stopped"), field(ours, "master_stream_stopped")
    assert field(ours, "loading", "persistence") == "0"


# ---- replica-guard ----

def reborn(lab, load="disabled"):
    """A replica with data, whose master came back without any."""
    master = filled(lab)
    ours = lab.node("ours", repl_diskless_load=load)
    follow(ours, master.port)
    wait_up(ours)
    wait_equal(master, ours)
    master.kill9()
    empty = lab.redis("empty", port=master.port).wait_ready()
    wait_until(lambda: field(ours, "master_sync_guarded") is not None, 20, "the empty dataset is refused")
    assert field(ours, "master_sync_guarded") == field(empty, "master_replid")
    assert ours.ok("DBSIZE") > 10 and not is_up(ours)
    return empty, ours


@case(kinds=OURS, matrix=[("disabled",), ("on-empty-db",), ("swapdb",)])
def test_guard_until_accepted(lab, load):
    """An empty dataset of an unknown history is let in by REPLICAOF ACCEPT with its name, and by no other name."""
    empty, ours = reborn(lab, load)
    assert isinstance(ours.call("REPLICAOF", "ACCEPT", "0" * 39), RespError)
    assert ours.ok("REPLICAOF", "ACCEPT", "0" * 40) == "OK"
    before = field(ours, "master_link_status")
    assert before == "down" and ours.ok("DBSIZE") > 10
    assert ours.ok("REPLICAOF", "ACCEPT", field(empty, "master_replid")) == "OK"
    wait_up(ours)
    assert ours.ok("DBSIZE") == 0 and field(ours, "master_sync_guarded") is None


@case(kinds=OURS)
def test_guard_switched_off(lab):
    _, ours = reborn(lab)
    ours.ok("CONFIG", "SET", "replica-guard", "no")
    wait_up(ours)
    assert ours.ok("DBSIZE") == 0


@case(kinds=OURS)
def test_guard_is_about_empty_datasets(lab):
    """A master that has keys after all is followed; so is one that was emptied by a command, and a promotion of the
    replica keeps its data."""
    empty, ours = reborn(lab)
    empty.ok("SET", "some", "key")
    wait_up(ours)
    wait_equal(empty, ours)
    empty.ok("FLUSHALL")
    wait_equal(empty, ours)
    ours.ok("REPLICAOF", "NO", "ONE")
    ours.ok("SET", "own", 1)
    follow(ours, empty.port)  # known: the history that ours went on from
    wait_up(ours)
    assert ours.ok("DBSIZE") == 0


# ---- masters that make no sense ----

class FakeMaster:
    """Answers each connection with the same bytes, after what the replica has said first; then waits or closes."""

    def __init__(self, lab, answers, closes=False):
        self.answers, self.closes = answers, closes
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(20)
        self.port = self.server.getsockname()[1]
        self.connections = 0
        lab.on_close(self.server.close)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        kept = []
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            kept.append(client)
            client.settimeout(2)
            try:
                for answer in self.answers:
                    client.recv(4096)
                    client.sendall(answer)
                if self.closes:
                    client.close()
            except OSError:
                pass


HELLO = [b"+PONG\r\n", b"+OK\r\n+OK\r\n"]
FULL = b"+FULLRESYNC " + b"a" * 40 + b" 1\r\n"
NONSENSE = {
    "http": [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "endless line": [b"+" + b"x" * 100000],
    "no psync": HELLO + [b"-ERR unknown command\r\n"],
    "continue of nothing": HELLO + [b"+CONTINUE " + b"b" * 40 + b"\r\n"],
    "bad offset": HELLO + [b"+FULLRESYNC " + b"a" * 40 + b" -5\r\n"],
    "bad id": HELLO + [b"+FULLRESYNC abc 5\r\n"],
    "no payload": HELLO + [FULL + b"hello\r\n"],
    "negative length": HELLO + [FULL + b"$-1\r\n"],
    "great length": HELLO + [FULL + b"$99999999999999999999\r\nREDIS0010"],
    "garbage for a file": HELLO + [FULL + b"$20\r\n" + b"\xff" * 20],
    "newer version": HELLO + [FULL + b"$18\r\nREDIS0099\xff" + b"\0" * 8],
    "short": HELLO + [FULL + b"$9\r\nREDIS0010"],
    "mark at once": HELLO + [FULL + b"$EOF:" + b"m" * 40 + b"\r\n" + b"m" * 40],
}


@case(kinds=OURS, matrix=[(name, load) for name in sorted(NONSENSE) for load in ("disabled", "swapdb")])
def test_nonsense(lab, name, load):
    """Whatever a master says, the replica lives, keeps what it has, tries again, and follows a real one later."""
    fake = FakeMaster(lab, NONSENSE[name], closes=name == "short")
    ours = lab.node("ours", repl_diskless_load=load, replica_guard="no", repl_timeout=5)
    ours.ok("SET", "mine", 1)
    follow(ours, fake.port)
    wait_until(lambda: fake.connections >= 2 or field(ours, "master_stream_stopped") is not None or
               (name == "great length" and fake.connections == 1), 15, "it has been tried")
    assert ours.ok("GET", "mine") == "1" and not is_up(ours)
    master = filled(lab)
    follow(ours, master.port)
    wait_up(ours)
    wait_equal(master, ours)


@case(kinds=OURS)
def test_silent_master(lab):
    """Silence for longer than repl-timeout ends a link, in the greeting and in the stream."""
    master = filled(lab)
    ours = lab.node("ours", repl_timeout=2)
    fake = FakeMaster(lab, [])
    follow(ours, fake.port)
    wait_until(lambda: fake.connections >= 2, 15, "a silent master is tried again")
    follow(ours, master.port)
    wait_up(ours)
    master.pause()
    wait_until(lambda: not is_up(ours), 15, "the stream stands still, and is left")
    master.resume()
    wait_up(ours)
    wait_equal(master, ours)


# ---- passwords, addresses, settings ----

@case(kinds=OURS)
def test_password_and_announced_address(lab):
    master = filled(lab)
    master.ok("CONFIG", "SET", "requirepass", "secret")
    master.password = "secret"
    ours = lab.node("ours", replicaof=["localhost", master.port], replica_announce_ip="10.1.2.3",
                    replica_announce_port=7777, bind_source_addr="127.0.0.1", replica_priority=7)
    wait_until(lambda: "NOAUTH" in ours.log(), 10, "the master wants a password")
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
