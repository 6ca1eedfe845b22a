"""RDB files between noded and redis-server, of other versions, and damaged: each is loaded whole or refused by name."""
import os
import random
import shutil
import subprocess
import threading
import time

from cases import case
from lab import Closed, Resp, RespError, both_servers, encode, run_noded, same_reply, wait_until
from lab import rdb_files as rdb

OURS = ("ours",)
DUMP = "dump.rdb"


def fill(server, seed, databases=16):
    """Values of every type and size in many databases, some with an expiry."""
    rng = random.Random(seed)

    def word(most=30):
        return bytes(rng.randrange(256) for _ in range(rng.randrange(most)))
    with server.connect(timeout_s=30) as c:
        requests = []
        for db in rng.sample(range(databases), min(6, databases)) + [0, databases - 1]:
            requests.append(("SELECT", db))
            for i in range(25):
                key = "%d:%d" % (db, i)
                size = rng.choice((1, 3, 40, 200, 600))
                kind = i % 9
                if kind == 0:
                    requests.append(("SET", key, rng.randrange(-1 << 40, 1 << 40) >> rng.randrange(40)))
                elif kind == 1:
                    requests.append(("SET", key, word(4000)))
                elif kind == 2:
                    requests.append(("SET", key, "x%d" % i * size))
                elif kind == 3:
                    requests.append(("RPUSH", key, *(rng.choice((word(), rng.randrange(-99999, 99999)))
                                                     for _ in range(size))))
                elif kind == 4:
                    requests.append(("SADD", key, *(rng.randrange(-1 << 33, 1 << 33) for _ in range(size))))
                elif kind == 5:
                    requests.append(("SADD", key, *(word(90) for _ in range(size))))
                elif kind == 6:
                    requests.append(("HSET", key, *(w for _ in range(size) for w in (word(), word(80)))))
                elif kind == 7:
                    requests.append(("ZADD", key, *(w for _ in range(size) for w in (
                        rng.choice((rng.randrange(100), rng.random() * 1e9, "-inf", "inf", -0.5)), word()))))
                else:
                    requests.append(("RPUSH", key, b"long" * 20000, *range(size)))
                if rng.random() < 0.3:
                    requests.append(("PEXPIRE", key, rng.randrange(1000000, 1 << 33)))
        c.send_raw(b"".join(encode(*r) for r in requests))
        for r in requests:
            reply = c.read()
            assert not isinstance(reply, RespError), (r, reply)


def facts(server):
    """What can be seen of each key: its type, encoding and expiry."""
    seen = {}
    with server.connect(timeout_s=30) as c:
        for db in range(16):
            c.ok("SELECT", db)
            for key in c.ok("KEYS", "*"):
                seen[db, key] = (c.ok("TYPE", key), c.ok("OBJECT", "ENCODING", key), c.ok("PEXPIRETIME", key))
    return seen


def check_rdb(path):
    done = subprocess.run(["redis-check-rdb", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          universal_newlines=True)
    assert done.returncode == 0 and "RDB looks OK" in done.stdout, done.stdout
    return done.stdout


def start_with(lab, name, data, **options):
    """A node that finds this file; not waited for."""
    node = lab.node(name, boot=False, **options)
    with open(os.path.join(node.directory, DUMP), "wb") as f:
        f.write(data)
    return node


def refused(lab, name, data, *words, **options):
    """It ends with status 1, names the file and the reason, and the file is as it was."""
    node = start_with(lab, name, data, **options)
    node.start()
    assert node.proc.wait(30) == 1, node.log()
    for word in ("noded cannot start: " + DUMP, *words):
        assert word in node.log(), (word, node.log())
    with open(os.path.join(node.directory, DUMP), "rb") as f:
        assert f.read() == data
    assert sorted(os.listdir(node.directory)) == [DUMP, "log"], os.listdir(node.directory)


# ---- with redis-server ----

@case(kinds=OURS, matrix=[("yes", "yes", "noeviction"), ("no", "no", "allkeys-lru"), ("yes", "no", "volatile-lfu")])
def test_redis_loads_what_noded_writes(lab, compression, checksum, policy):
    node = lab.node("n", rdbcompression=compression, rdbchecksum=checksum, maxmemory_policy=policy)
    fill(node, "ours to stock %s %s" % (compression, checksum))
    node.ok("SAVE")
    check_rdb(os.path.join(node.directory, DUMP))
    os.makedirs(lab.path("stock"))
    shutil.copy(os.path.join(node.directory, DUMP), lab.path("stock"))
    stock = lab.redis("stock", maxmemory_policy=policy).wait_ready()
    assert stock.ok("DEBUG", "DIGEST") == node.ok("DEBUG", "DIGEST")
    assert facts(stock) == facts(node)


@case(kinds=OURS, matrix=[("yes", "yes", "noeviction"), ("no", "no", "allkeys-lfu"), ("yes", "yes", "allkeys-lru")])
def test_noded_loads_what_redis_writes(lab, compression, checksum, policy):
    stock = lab.redis("stock", rdbcompression=compression, rdbchecksum=checksum, maxmemory_policy=policy).wait_ready()
    fill(stock, "stock to ours %s %s" % (compression, checksum))
    stock.ok("SAVE")
    with open(os.path.join(stock.directory, DUMP), "rb") as f:
        node = start_with(lab, "n", f.read(), maxmemory_policy=policy)
    node.start()
    node.wait_ready()
    assert node.ok("DEBUG", "DIGEST") == stock.ok("DEBUG", "DIGEST")
    assert facts(node) == facts(stock)
    loaded = node.info("persistence")["rdb_last_load_keys_loaded"]
    assert loaded == str(sum(int(v.split(",")[0].split("=")[1]) for k, v in stock.info("keyspace").items()
                             if k.startswith("db"))), loaded


@case(kinds=OURS)
def test_ages_go_through_files(lab):
    for policy, question in (("allkeys-lru", "IDLETIME"), ("allkeys-lfu", "FREQ")):
        stock = lab.redis("stock-" + policy, maxmemory_policy=policy).wait_ready()
        stock.ok("SET", "k", "v")
        stock.ok("RESTORE", "old", 0, bytes.fromhex("000568656c6c6f0a006372df766534200a"), question, 100)
        stock.ok("SAVE")
        with open(os.path.join(stock.directory, DUMP), "rb") as f:
            node = start_with(lab, "node-" + policy, f.read(), maxmemory_policy=policy)
        node.start()
        node.wait_ready()
        assert 95 <= node.ok("OBJECT", question, "old") <= 120  # idle times grow meanwhile
        node.ok("SAVE")
        os.makedirs(lab.path("again-" + policy))
        shutil.copy(os.path.join(node.directory, DUMP), lab.path("again-" + policy))
        again = lab.redis("again-" + policy, maxmemory_policy=policy).wait_ready()
        assert 95 <= again.ok("OBJECT", question, "old") <= 140


@case(kinds=OURS)
def test_expired_keys_are_not_loaded(lab):
    node = lab.node("n")
    with node.connect() as c:
        c.ok("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        c.ok("SET", "gone", "v", "PX", 1)
        c.ok("SET", "stays", "v", "EX", 1000)
        c.ok("SAVE")
    node.terminate()
    node.start()
    node.wait_ready()
    assert node.ok("DBSIZE") == 1
    fields = node.info("persistence")
    assert (fields["rdb_last_load_keys_loaded"], fields["rdb_last_load_keys_expired"]) == ("1", "1"), fields


# ---- other versions ----

@case(kinds=OURS, matrix=[(1,), (3,), (4,), (6,), (8,), (9,)])
def test_files_of_older_servers(lab, version):
    """Redis 2.4 to 6.2: all their encodings; redis-server loads the same file as the same dataset."""
    file = rdb.RdbFile(version)
    if version >= 8:
        file.aux("redis-ver", "5.0.7").aux("redis-bits", b"\xc0\x40").aux("lua", "return 1")
    rdb.old_values(file.db(0))
    file.db(5).value(rdb.STRING, "seconds", rdb.text("v"), expire_s=0x7f000000)
    file.value(rdb.STRING, "past", rdb.text("v"), expire_s=1000)
    file.value(rdb.STRING, "ms", rdb.text("v"), expire_ms=4102444800123)
    node = start_with(lab, "n", file.bytes())
    node.start()
    node.wait_ready()
    stock = lab.redis("stock").wait_ready()
    with stock.connect() as c:
        rdb.old_commands(c)
        c.ok("SELECT", 5)
        c.ok("SET", "seconds", "v", "PXAT", 0x7f000000 * 1000)
        c.ok("SET", "ms", "v", "PXAT", 4102444800123)
    assert node.ok("DEBUG", "DIGEST") == stock.ok("DEBUG", "DIGEST")
    assert facts(node) == facts(stock)


@case(kinds=OURS)
def test_files_of_newer_servers(lab):
    """7.2 has sets as listpacks; 7.4 another version of the file."""
    for version in (11, 12):
        file = rdb.RdbFile(version).aux("redis-ver", "7.2.4").db(0).resize(2, 0)
        file.value(rdb.SET_LISTPACK, "set", rdb.text(rdb.listpack(["a", "bc", 7])))
        file.value(rdb.LIST_QUICKLIST_2, "list", rdb.length(2) + rdb.length(2) + rdb.text(rdb.listpack(["a", 1])) +
                   rdb.length(1) + rdb.text("plain"))
        node = start_with(lab, "n%d" % version, file.bytes())
        node.start()
        node.wait_ready()
        assert sorted(node.ok("SMEMBERS", "set")) == ["7", "a", "bc"]
        assert node.ok("LRANGE", "list", 0, -1) == ["a", "1", "plain"]


@case(kinds=OURS)
def test_what_noded_has_not_is_refused_by_name(lab):
    hold = rdb.RdbFile(10).db(3).value(rdb.STRING, "good", rdb.text("v"))
    rows = (
        ("version", rdb.RdbFile(13).bytes(), "its RDB version is 13, and this server reads those up to 12"),
        ("fields", rdb.RdbFile(12).db(3).value(rdb.HASH_METADATA, "expiring", rdb.length(1)).bytes(),
         "key expiring of database 3: it is a hash whose fields expire"),
        ("module", rdb.RdbFile(10).raw(b"\xf7\x01\x02").bytes(), "data of a module"),
        ("database", rdb.RdbFile(10).db(16).bytes(), "database 16, but there are only 16 (setting databases)"),
        ("twice", hold.value(rdb.STRING, "good", rdb.text("w")).bytes(), "key good of database 3: the key is there"),
        ("other", b"not a file of a dataset", "it is no RDB file"),
        ("nothing", b"", "it ends at byte 0"),
    )
    for name, data, reason in rows:
        refused(lab, name, data, reason)
    stock = lab.redis("stock").wait_ready()
    path = os.path.join(stock.directory, DUMP)
    for name, request, reason in (
            ("stream", ("XADD", "events", "*", "f", "v"), "key events of database 0: it is a stream"),
            ("function", ("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)"),
             "it has functions (FUNCTION LOAD)")):
        stock.ok("FLUSHALL")
        stock.ok(*request)
        stock.ok("SAVE")
        with open(path, "rb") as f:
            refused(lab, name, f.read(), reason)


@case(kinds=OURS, limit_s=120)
def test_damaged_files_are_refused(lab):
    """Cut and flipped files of our own: never a start, and never another file than before."""
    node = lab.node("n")
    fill(node, "damage", databases=8)
    node.ok("SAVE")
    with open(os.path.join(node.directory, DUMP), "rb") as f:
        whole = f.read()
    rng = random.Random("damage")
    for i in range(6):
        cut = rng.randrange(len(whole))
        refused(lab, "cut%d" % i, whole[:cut], "is not whole: it ends at byte %d" % cut)
    for i in range(12):
        at = rng.randrange(len(whole))
        refused(lab, "flip%d" % i, whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1:], "byte ")


# ---- while it is loaded ----

TRIES = 20  # to meet a node while it loads, which takes less than this thread may have to wait for a processor


def loaded_since(node, at):
    """Whether its log behind this position says that the file is loaded."""
    return "was loaded in" in node.log()[at:]


@case(kinds=OURS, limit_s=120)
def test_clients_are_told_while_a_file_is_loaded(lab):
    stock = lab.redis("stock").wait_ready()
    with stock.connect(timeout_s=60) as c:
        c.ok("DEBUG", "POPULATE", 600000)
        c.ok("SAVE")
        digest = c.ok("DEBUG", "DIGEST")
    node = lab.node("n", boot=False)
    os.rename(os.path.join(stock.directory, DUMP), os.path.join(node.directory, DUMP))

    def told():
        """What SET was answered until it was OK, and what INFO said in the midst of the loading."""
        seen, fields = [], {}
        with wait_until(lambda: Resp(node.port, timeout_s=30), 20, "it listens") as c:
            while not seen or seen[-1] != "OK":
                c.send_raw(encode("SET", "own", "v") + encode("INFO", "persistence"))  # both of one moment
                seen.append(str(c.read()))
                now = dict(line.split(":", 1) for line in c.read().split("\r\n") if ":" in line)
                assert (now["loading"] == "1") == (seen[-1] != "OK"), (seen[-1], now)
                fields = now if now.get("loading_loaded_bytes", "0") != "0" else fields
            c.ok("DEL", "own")
            assert c.ok("DEBUG", "DIGEST") == digest
        return seen, fields
    for _ in range(TRIES):
        at = len(node.log())
        node.start()
        seen, fields = told()
        if fields:
            break
        assert loaded_since(node, at)
        node.kill9()
    assert seen[0] == "LOADING Redis is loading the dataset in memory", seen[:3]
    assert int(fields["loading_total_bytes"]) == os.path.getsize(os.path.join(node.directory, DUMP))
    assert 0 < int(fields["loading_loaded_bytes"]) <= int(fields["loading_total_bytes"]), fields
    assert int(fields["loading_rdb_used_mem"]) > 0, fields


@case(kinds=OURS)
def test_an_end_while_a_file_is_loaded_saves_nothing(lab):
    """SIGTERM and SHUTDOWN SAVE in the middle: the file is as it was."""
    stock = lab.redis("stock").wait_ready()
    with stock.connect(timeout_s=60) as c:
        c.ok("DEBUG", "POPULATE", 2000000)
        c.ok("SAVE")
    node = lab.node("n", boot=False, save="1 1")
    path = os.path.join(node.directory, DUMP)
    os.rename(os.path.join(stock.directory, DUMP), path)
    with open(path, "rb") as f:
        before = f.read()

    def end_in_the_middle(way):
        """False: it had loaded all before it could be told to end."""
        at = len(node.log())
        node.start()
        wait_until(lambda: str(node.call("GET", "x")), 20, "it answers")
        if way == "signal":
            assert node.terminate() == 0
        else:
            with node.connect() as c:
                try:
                    c.call("SHUTDOWN", "SAVE")
                except Closed:
                    pass
            assert node.proc.wait(20) == 0
        return not loaded_since(node, at)
    for way in ("signal", "command"):
        for _ in range(TRIES):
            if end_in_the_middle(way):
                break
            with open(path, "wb") as f:
                f.write(before)
        else:
            raise AssertionError("it was never met while it loads")
        with open(path, "rb") as f:
            assert f.read() == before
        assert sorted(os.listdir(node.directory)) == [DUMP, "log"]


# ---- DEBUG RELOAD ----

@case(kinds=OURS)
def test_debug_reload(lab):
    ours, stock = both_servers(lab)
    for server in (ours, stock):
        fill(server, "reload", databases=4)
    with ours.connect(timeout_s=20) as a, stock.connect(timeout_s=20) as b:
        before = same_reply(a, b, "DEBUG", "DIGEST")
        for words in ((), ("NOSAVE",), ("NOFLUSH", "MERGE"), ("x",), ("NOSAVE", "MERGE", "NOFLUSH")):
            same_reply(a, b, "DEBUG", "RELOAD", *words)
            assert same_reply(a, b, "DEBUG", "DIGEST") == before
        for c in (a, b):
            c.ok("SET", "late", "v")
        same_reply(a, b, "DEBUG", "RELOAD", "NOSAVE")
        assert same_reply(a, b, "EXISTS", "late") == b":0\r\n"
        for c in (a, b):
            c.ok("SET", "other", "v")
        same_reply(a, b, "DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE")
        assert same_reply(a, b, "GET", "other") == b"$1\r\nv\r\n"
        os.unlink(os.path.join(ours.directory, DUMP))
        assert str(a.call("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH")) == \
            "ERR Error trying to load the RDB dump, check server logs."


@case(kinds=OURS)
def test_a_missing_file_is_an_empty_dataset(lab):
    node = lab.node("n")
    assert node.ok("DBSIZE") == 0
    assert run_noded("--port", 0).returncode == 1
    os.makedirs(os.path.join(node.directory, "folder"))
    other = lab.node("other", boot=False, dir=node.directory, dbfilename="folder")
    other.start()
    assert other.proc.wait(20) == 1 and "folder cannot be read" in other.log(), other.log()


@case(kinds=OURS)
def test_writers_are_served_while_a_snapshot_is_written(lab):
    """A snapshot is the dataset of one moment, however much is written meanwhile."""
    node = lab.node("n")
    with node.connect(timeout_s=30) as c:
        c.ok("DEBUG", "POPULATE", 300000)
        stop = threading.Event()

        def write():
            with node.connect(timeout_s=30) as w:
                n = 0
                while not stop.is_set():
                    w.send_raw(b"".join(encode("MSET", "a", n + i, "b", n + i) for i in range(50)))
                    n += 50
                    for _ in range(50):
                        w.read()
        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_until(lambda: c.ok("EXISTS", "a"), 15, "it writes")
            c.ok("BGSAVE")
            wait_until(lambda: node.info("persistence")["rdb_bgsave_in_progress"] == "0", 30, "the snapshot is whole")
        finally:
            stop.set()
            writer.join()
    shutil.copytree(node.directory, lab.path("copy"), ignore=shutil.ignore_patterns("log"))
    check_rdb(os.path.join(lab.path("copy"), DUMP))
    copy = lab.node("copy")
    assert copy.ok("GET", "a") == copy.ok("GET", "b") is not None
    assert copy.ok("DBSIZE") == 300002
    assert time.time() - int(copy.info("persistence")["rdb_last_save_time"]) < 60
