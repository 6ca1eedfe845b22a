"""The append-only file: what it promises after kill -9, whose files it reads, and what it does when the disk fails."""
import os
import random
import re
import shutil
import subprocess
import threading
import time

from cases import case
from lab import Closed, RespError, encode, same_reply, wait_until
from lab.held_thread import HeldThread
from lab.small_disk import SmallDisk

ON = {"appendonly": "yes"}
WORKER = "noded-files"  # the thread that flushes


def folder_of(server):
    return os.path.join(server.directory, "appendonlydir")


def manifest_of(server):
    with open(os.path.join(folder_of(server), "appendonly.aof.manifest"), encoding="ascii") as f:
        return [line.split() for line in f]


def files_of(server, kind):
    return [os.path.join(folder_of(server), words[1]) for words in manifest_of(server) if words[5] == kind]


def snapshot_of(folder):
    """Every file with its bytes."""
    seen = {}
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as f:
                seen[os.path.relpath(os.path.join(root, name), folder)] = f.read()
    return seen


def wait_loaded(server, timeout_s=30):
    wait_until(lambda: server.ok("PING") == "PONG", timeout_s, "%s has loaded" % server.name)
    return server


def restart(server):
    server.start()
    return wait_loaded(server)


def wait_rewritten(server, timeout_s=20):
    def over():
        info = server.info("persistence")
        return info["aof_rewrite_in_progress"] == "0" and info["aof_rewrite_scheduled"] == "0"
    wait_until(over, timeout_s, "no rewrite is under way")
    assert server.info("persistence")["aof_last_bgrewrite_status"] == "ok"


def check_files(server):
    """redis-check-aof takes the whole set."""
    path = os.path.join(folder_of(server), "appendonly.aof.manifest")
    ran = subprocess.run(["redis-check-aof", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                         universal_newlines=True, timeout=60)
    assert ran.returncode == 0 and "All AOF files and manifest are valid" in ran.stdout, ran.stdout[-800:]


def fill(server, rng, count=400):
    """Random writes of every type in several databases, transactions and expiries among them."""
    with server.connect(timeout_s=20) as c:
        for i in range(count):
            if i % 25 == 0:
                c.ok("SELECT", rng.choice((0, 0, 3, 15)))
            key = "k%d" % rng.randrange(60)
            word = "".join(rng.choice("abc\r\n*$19 \x00") for _ in range(rng.choice((0, 1, 5, 80, 3000))))
            n = rng.randrange(100)
            if rng.random() < 0.1:
                c.call("MULTI")
                c.call("SET", "in:" + key, word)
                c.call("INCR", "counter")
                c.call("EXEC")
            c.call(*rng.choice((
                ("SET", "s" + key, word), ("SET", "s" + key, n, "EX", 1000 + n), ("APPEND", "s" + key, word),
                ("RPUSH", "l" + key, word, n, "x"), ("LPOP", "l" + key), ("SADD", "t" + key, word, n),
                ("SADD", "n" + key, n, n + 1), ("SPOP", "t" + key), ("HSET", "h" + key, "f%d" % n, word),
                ("ZADD", "z" + key, n / 7, word), ("ZADD", "z" + key, "inf", "m%d" % n), ("DEL", "s" + key),
                ("PEXPIRE", "h" + key, 900000), ("INCRBYFLOAT", "f" + key, "0.1"), ("SETEX", "e" + key, 5000, word),
                ("SWAPDB", 3, 15), ("COPY", "z" + key, "c" + key, "REPLACE"))))


# ---- files ----

@case(kinds=("ours",), matrix=[("yes",), ("no",)])
def test_files_go_both_ways(lab, preamble):
    """Ours load in redis-server, its in ours, with equal digests each time; redis-check-aof takes all of them."""
    rng = random.Random(5)
    ours = lab.node("x", aof_use_rdb_preamble=preamble, aof_timestamp_enabled="yes", **ON)
    stock = lab.redis("x2", port=ours.port, aof_use_rdb_preamble=preamble, aof_timestamp_enabled="yes", **ON)
    stock.wait_ready() if False else stock.discard()
    stock.reap()
    for round_no in range(3):
        fill(ours, rng)
        if round_no > 0:
            assert ours.ok("BGREWRITEAOF") == "Background append only file rewriting started"
            fill(ours, rng, 100)
            wait_rewritten(ours)
        digest = ours.ok("DEBUG", "DIGEST")
        ours.kill9() if round_no == 1 else ours.terminate()
        check_files(ours)
        shutil.rmtree(folder_of(stock), ignore_errors=True)
        shutil.copytree(folder_of(ours), folder_of(stock))
        wait_loaded(stock.start())
        assert stock.ok("DEBUG", "DIGEST") == digest
        fill(stock, rng)
        stock.ok("BGREWRITEAOF")
        fill(stock, rng, 100)
        wait_rewritten(stock)
        digest = stock.ok("DEBUG", "DIGEST")
        stock.terminate()
        shutil.rmtree(folder_of(ours))
        shutil.copytree(folder_of(stock), folder_of(ours))
        restart(ours)
        assert ours.ok("DEBUG", "DIGEST") == digest
        assert ours.ok("DEBUG", "LOADAOF") == "OK" and ours.ok("DEBUG", "DIGEST") == digest


@case(kinds=("ours",), matrix=[("yes",), ("no",)])
def test_a_single_file_of_old_becomes_the_base(lab, preamble):
    """appendonly.aof as Redis wrote it before 7, as requests or with a snapshot in front."""
    rng = random.Random(7)
    stock = lab.redis("stock", aof_use_rdb_preamble=preamble, **ON).wait_ready()
    fill(stock, rng)
    stock.ok("BGREWRITEAOF")
    wait_rewritten(stock)
    fill(stock, rng, 100)
    digest = stock.ok("DEBUG", "DIGEST")
    stock.terminate()
    parts = [open(path, "rb").read() for path in files_of(stock, "b") + files_of(stock, "i")]
    ours = lab.node("ours", boot=False, **ON)
    old = os.path.join(ours.directory, "appendonly.aof")
    with open(old, "wb") as f:
        f.write(b"".join(parts))
    restart(ours)
    assert ours.ok("DEBUG", "DIGEST") == digest
    assert not os.path.exists(old) and files_of(ours, "b") == [os.path.join(folder_of(ours), "appendonly.aof")]
    ours.ok("SET", "more", "1")
    digest = ours.ok("DEBUG", "DIGEST")
    ours.kill9()
    # Interrupted between the manifest and the move: the same again.
    for path in files_of(ours, "i"):
        os.unlink(path)
    os.rename(os.path.join(folder_of(ours), "appendonly.aof"), old)
    with open(os.path.join(folder_of(ours), "appendonly.aof.manifest"), "w", encoding="ascii") as f:
        f.write("file appendonly.aof seq 1 type b\n")
    restart(ours)
    assert ours.ok("GET", "more") is None and not os.path.exists(old)
    ours.ok("SET", "more", "1")
    assert ours.ok("DEBUG", "DIGEST") == digest
    ours.ok("BGREWRITEAOF")
    wait_rewritten(ours)
    check_files(ours)
    assert len(os.listdir(folder_of(ours))) == 3, os.listdir(folder_of(ours))


@case(kinds=("ours",))
def test_switched_on_and_off(lab):
    """CONFIG SET appendonly, BGREWRITEAOF with the file on and off, and what INFO says, as redis-server has it."""
    ours, stock = lab.node("ours"), lab.redis("stock").wait_ready()

    def seen(server):
        info = server.info("persistence")
        return ({k: info[k] for k in info if k.startswith("aof_") and "size" not in k},
                manifest_of(server) if os.path.exists(folder_of(server)) else None,
                sorted(os.listdir(folder_of(server))) if os.path.exists(folder_of(server)) else None)

    def both(*request):
        with ours.connect() as a, stock.connect() as b:
            same_reply(a, b, *request)
        for server in (ours, stock):
            wait_rewritten(server)
        wait_until(lambda: seen(ours) == seen(stock), 10, "%s leaves the same: %r and %r" % (
            request, seen(ours), seen(stock)))
    for request in (("SET", "a", "1"), ("BGREWRITEAOF",), ("BGREWRITEAOF",), ("CONFIG", "SET", "appendonly", "yes"),
                    ("INCR", "a"), ("BGREWRITEAOF",), ("INCR", "a"), ("CONFIG", "SET", "appendonly", "no"),
                    ("INCR", "a"), ("CONFIG", "SET", "appendonly", "yes"), ("INCR", "a")):
        both(*request)
    for server in (ours, stock):
        server.kill9()
    assert [open(p, "rb").read() for p in files_of(ours, "i")] == [open(p, "rb").read() for p in files_of(stock, "i")]
    ours.argv += ["--appendonly", "yes"]
    restart(ours)
    assert ours.ok("GET", "a") == "5"
    with ours.connect() as c:
        assert c.ok("MULTI") == "OK" and c.ok("BGREWRITEAOF") == "QUEUED"
        assert c.ok("EXEC") == ["Background append only file rewriting scheduled"]
    wait_rewritten(ours)
    assert ours.ok("CONFIG", "GET", "appendonly") == ["appendonly", "yes"]


@case(kinds=("ours",))
def test_first_start(lab):
    """Without files a set is made, of nothing even when there is an RDB file, as redis-server does."""
    seeds = lab.redis("seeds").wait_ready()
    seeds.ok("SET", "a", "1")
    seeds.ok("SAVE")
    seen = []
    for server in (lab.node("ours", boot=False, **ON), lab.redis("stock", **ON)):
        server.discard()
        server.reap()
        shutil.rmtree(folder_of(server), ignore_errors=True)
        shutil.copy(os.path.join(seeds.directory, "dump.rdb"), server.directory)
        restart(server)
        seen.append((server.ok("DBSIZE"), manifest_of(server), sorted(os.listdir(folder_of(server)))))
        check_files(server)
    assert seen[0] == seen[1], seen


@case(kinds=("ours",))
def test_grows_and_is_rewritten(lab):
    """auto-aof-rewrite-percentage and -min-size."""
    node = lab.node("n", auto_aof_rewrite_min_size="64kb", auto_aof_rewrite_percentage="100", **ON)
    with node.connect() as c:
        for i in range(3000):
            c.ok("SET", "key", "x" * 100)
    wait_until(lambda: int(node.info("persistence")["aof_rewrites"]) >= 1, 10, "it was rewritten")
    wait_rewritten(node)
    info = node.info("persistence")
    size = sum(os.path.getsize(p) for p in files_of(node, "b") + files_of(node, "i"))
    assert int(info["aof_current_size"]) == size < 3000 * 130, (info, size)
    node.ok("CONFIG", "SET", "auto-aof-rewrite-percentage", "0")
    rewrites = node.info("persistence")["aof_rewrites"]
    with node.connect() as c:
        for i in range(3000):
            c.ok("SET", "key", "x" * 100)
    assert node.info("persistence")["aof_rewrites"] == rewrites


# ---- kill -9 ----

class Writer:
    """INCR of a key of its own and LPUSH of the numbers, one after the other or pipelined; counts what was answered."""

    def __init__(self, server, name, pipeline=1):
        self.server, self.name, self.pipeline = server, name, pipeline
        self.acked = []  # (number, monotonic time)
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            with self.server.connect(timeout_s=10) as c:
                while not self.stopping:
                    c.send_raw(b"".join(encode("INCR", self.name) + encode("LPUSH", "l" + self.name, "x")
                                        for _ in range(self.pipeline)))
                    for _ in range(self.pipeline):
                        n = c.read()
                        length = c.read()
                        assert isinstance(n, int) and isinstance(length, int), (n, length)
                        self.acked.append((n, time.monotonic()))
        except (OSError, Closed):
            pass

    def join(self):
        self.stopping = True
        self.thread.join(20)
        assert not self.thread.is_alive()


def lost_by(server, writers):
    """For each writer how many acknowledged numbers are missing, and how old the oldest of them was at the end."""
    missing, oldest_s = 0, 0.0
    for w in writers:
        if not w.acked:
            continue
        have = min(int(server.ok("GET", w.name) or 0), server.ok("LLEN", "l" + w.name))
        gone = [at for n, at in w.acked if n > have]
        missing += len(gone)
        if gone:
            oldest_s = max(oldest_s, w.acked[-1][1] - gone[0])
    return missing, oldest_s


@case(kinds=("ours",), limit_s=120, matrix=[("always",), ("everysec",), ("no",)])
def test_kill9(lab, policy):
    """always: every acknowledged write is there after each kill. everysec and no: what the kernel got survives a killed
    process too; what waited for a flush in memory may be missing, two seconds of it at most."""
    rng = random.Random(11)
    node = lab.node("n", appendfsync=policy, auto_aof_rewrite_percentage="0", **ON)
    worst, total = (0, 0.0), 0
    for _ in range(8):
        node.ok("FLUSHALL")
        writers = [Writer(node, "w%d" % i, pipeline) for i, pipeline in enumerate((1, 1, 1, 8, 40))]
        wait_until(lambda: all(len(w.acked) > 2 for w in writers), 10, "all write")
        time.sleep(rng.uniform(0.01, 0.9))
        node.kill9()
        for w in writers:
            w.join()
        restart(node)
        lost = lost_by(node, writers)
        total += sum(len(w.acked) for w in writers)
        worst = max(worst, lost)
        if policy == "always":
            assert lost == (0, 0.0), lost
        assert lost[1] < 2.5, lost
    print("appendfsync %s: %d writes acknowledged, at worst %d of one kill missing, the oldest from %.2f s before" % (
        policy, total, *worst))
    assert total > 300, total


@case(kinds=("ours",), limit_s=120, matrix=[("yes",), ("no",)])
def test_kill9_while_it_is_rewritten(lab, preamble):
    """At whatever moment of a rewrite: the set that is left loads, and nothing acknowledged is missing."""
    rng = random.Random(13)
    node = lab.node("n", appendfsync="always", aof_use_rdb_preamble=preamble, **ON)
    with node.connect(timeout_s=20) as c:
        c.ok("DEBUG", "POPULATE", "20000", "p", "100")
    node.ok("BGREWRITEAOF")
    wait_rewritten(node)
    for round_no in range(12):
        writers = [Writer(node, "r%d.%d" % (round_no, i), 4) for i in range(3)]
        wait_until(lambda: all(len(w.acked) > 2 for w in writers), 10, "all write")
        assert isinstance(node.call("BGREWRITEAOF"), str)
        time.sleep(rng.choice((0, 0.002, 0.01, 0.03, 0.1)) * rng.random())
        if round_no % 3 == 2:
            wait_rewritten(node)
        node.kill9()
        for w in writers:
            w.join()
        before = snapshot_of(folder_of(node))
        check_files(node)
        restart(node)
        assert lost_by(node, writers) == (0, 0.0), (sorted(before), node.log()[-600:])
        assert node.ok("GET", "p:19999") is not None
    node.ok("BGREWRITEAOF")
    wait_rewritten(node)
    named = {words[1] for words in manifest_of(node)} | {"appendonly.aof.manifest"}
    digest = node.ok("DEBUG", "DIGEST")
    node.terminate()
    restart(node)
    assert node.ok("DEBUG", "DIGEST") == digest
    assert {n for n in os.listdir(folder_of(node)) if not n.startswith("temp-")} == named


# ---- damage ----

def make_damaged(lab, name, pieces, **options):
    """A node that is not started, with an increment of these requests behind an empty base."""
    node = lab.node(name, **dict(ON, **options))
    node.terminate()
    with open(files_of(node, "i")[0], "wb") as f:
        f.write(b"".join(pieces))
    return node


def start_refused(node, *words):
    """It ends with status 1, says these words, and leaves every file as it was."""
    before = snapshot_of(folder_of(node))
    node.start()
    assert node.proc.wait(20) == 1, node.log()[-500:]
    said = node.log()
    for word in words:
        assert word in said, (word, said[-800:])
    assert snapshot_of(folder_of(node)) == before


@case(kinds=("ours",), limit_s=120)
def test_a_torn_tail_is_cut(lab):
    """At every byte of the last unit: it starts, without that unit, and the file ends where the unit began."""
    units = [encode("SELECT", 0), encode("SET", "a", "1"), encode("SET", "b", "2"),
             encode("MULTI") + encode("SET", "c", "3") + encode("INCR", "d") + encode("EXEC")]
    node = make_damaged(lab, "n", units)
    increment = files_of(node, "i")[0]
    whole = b"".join(units)
    for at in range(len(whole) - len(units[-1]) - len(units[-2]), len(whole) + 1):
        with open(increment, "wb") as f:
            f.write(whole[:at])
        restart(node)
        with node.connect() as c:
            seen = c.ok("MGET", "a", "b", "c", "d")
        node.kill9()
        have_b = at >= len(whole) - len(units[-1])
        have_all = at == len(whole)
        assert seen == ["1", "2" if have_b else None, "3" if have_all else None, "1" if have_all else None], (at, seen)
        kept = sum(len(u) for u in units[:2 + have_b + have_all])
        assert os.path.getsize(increment) == kept, (at, os.path.getsize(increment), kept)
    assert "cut off" in node.log()
    with open(increment, "wb") as f:
        f.write(whole[:-3])
    node.argv += ["--aof-load-truncated", "no"]
    start_refused(node, increment, "aof-load-truncated")


@case(kinds=("ours",))
def test_damage_is_refused_by_name_and_offset(lab):
    first, second = encode("SET", "a", "1"), encode("SET", "b", "2")
    node = make_damaged(lab, "n", [first, second])
    increment = files_of(node, "i")[0]

    def with_content(*pieces):
        with open(increment, "wb") as f:
            f.write(b"".join(pieces))
    offset = "offset %d" % len(first)
    for damage, words in ((b"garbage\r\n", ()), (b"*3\r\n$3\r\nSET\r\n:1\r\n", ()), (b"*0\r\n", ()),
                          (encode("XADD", "s", "*", "a", "b"), ("XADD",)), (encode("FUNCTION", "LOAD", "x"), ("FUNC",)),
                          (encode("SHUTDOWN"), ("SHUTDOWN",)), (encode("SET", "a"), ("SET",)),
                          (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n12\r\n", ())):
        with_content(first, damage, second)
        start_refused(node, increment, offset, *words)
    # A length that reaches past the end of the file, with whole requests behind it, is no torn tail.
    with_content(first, encode("SET", "b", "2").replace(b"$1\r\n2", b"$9\r\n2"), second, second)
    start_refused(node, increment, offset)
    with_content(first, encode("MULTI"), second)
    restart(node)
    assert node.ok("MGET", "a", "b") == ["1", None]
    node.kill9()
    # The same in a file that is not the last one.
    last = os.path.join(folder_of(node), "appendonly.aof.2.incr.aof")
    with open(os.path.join(folder_of(node), "appendonly.aof.manifest"), "a", encoding="ascii") as f:
        f.write("file appendonly.aof.2.incr.aof seq 2 type i\n")
    with open(last, "wb") as f:
        f.write(second)
    with_content(first, second[:-2])
    start_refused(node, increment, "not the last file")
    with open(last, "wb"):
        pass
    restart(node)
    assert node.ok("MGET", "a", "b") == ["1", None]
    node.terminate()
    os.unlink(last)
    start_refused(node, last, "is not there")
    with open(os.path.join(folder_of(node), "appendonly.aof.manifest"), "a", encoding="ascii") as f:
        f.write("file ../x seq 3 type i\n")
    start_refused(node, "appendonly.aof.manifest", "line 4")


@case(kinds=("ours",), limit_s=120)
def test_flipped_bits(lab):
    """It starts with what the file says, or refuses with name and offset and touches nothing; it never hangs, never
    ends in another way, and cuts nothing but a last unit."""
    rng = random.Random(17)
    node = lab.node("n", **ON)
    fill(node, rng, 60)
    node.ok("BGREWRITEAOF")
    wait_rewritten(node)
    fill(node, rng, 60)
    node.kill9()
    good = {path: open(path, "rb").read() for path in files_of(node, "b") + files_of(node, "i")}
    outcomes = {"loads": 0, "refused": 0, "cut": 0}
    for _ in range(60):
        path = rng.choice(sorted(good))
        data = bytearray(good[path])
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
        with open(path, "wb") as f:
            f.write(data)
        mark = len(node.log())
        node.start()
        wait_until(lambda: node.proc.poll() is not None or "Ready to accept" in node.log()[mark:], 20, "an outcome")
        said = node.log()[mark:]
        if node.proc.poll() is None:
            node.kill9()
            size = os.path.getsize(path)
            outcomes["loads" if size == len(data) else "cut"] += 1
            assert size == len(data) or "cut off" in said
            assert size > len(data) - 4000, (path, at, size, len(data))
        else:
            outcomes["refused"] += 1
            assert node.proc.returncode == 1 and path in said and re.search(r"(offset|byte) \d+", said), said[-600:]
            with open(path, "rb") as f:
                assert f.read() == bytes(data)
        with open(path, "wb") as f:
            f.write(good[path])
        for name in os.listdir(folder_of(node)):
            assert os.path.join(folder_of(node), name) in good or name.endswith("manifest"), name
    print(outcomes)
    assert outcomes["refused"] > 5 and outcomes["loads"] > 5, outcomes


# ---- the disk ----

@case(kinds=("ours",), limit_s=90, matrix=[("always",), ("everysec",)])
def test_full_disk(lab, policy):
    """Writes are refused with MISCONF, reads and PING of others go on, nothing saved is harmed; with room again it goes
    on by itself, and whoever waited gets an answer that is true."""
    node = lab.node("n", appendfsync=policy, auto_aof_rewrite_percentage="0", **ON)
    node.ok("SET", "kept", "1")
    node.terminate()
    node.state_dir = node.directory
    disk = SmallDisk(lab, node)
    node.log_path = lab.path("log-of-n")
    restart(node)
    writer = node.connect(timeout_s=30)
    reader = node.connect()
    reader.ok("GET", "kept")
    disk.fill()
    sent = 0
    answers = []

    def write_some():
        nonlocal sent
        writer.send_raw(encode("APPEND", "big", "x" * 10000))
        sent += 1
        try:
            answers.append(writer.read(0.3))
        except TimeoutError:
            return True
        return isinstance(answers[-1], RespError)
    wait_until(write_some, 20, "the disk is full for the writer")
    error = wait_until(lambda: (lambda r: r if isinstance(r, RespError) else None)(reader.call("SET", "x", "1")), 10,
                       "writes are refused")
    assert str(error) == "MISCONF Errors writing to the AOF file: No space left on device", error
    assert str(reader.call("PING")).startswith("MISCONF Errors writing to the AOF file") and \
        reader.ok("GET", "kept") == "1"
    info = node.info("persistence")
    assert info["aof_last_write_status"] == "err" and int(info["aof_buffer_length"]) > 0
    assert "No space left on device" in node.log() and "What to do" in node.log()
    # What is there now loads: in a copy, and after a kill of the server itself.
    acked = sum(isinstance(a, int) for a in answers)
    disk.free()
    wait_until(lambda: node.call("SET", "x", "2") == "OK", 10, "writes are taken again")
    while len(answers) < sent:
        answers.append(writer.read(10))
    assert [a for a in answers if isinstance(a, int)][-1] >= acked * 10000
    assert node.info("persistence")["aof_last_write_status"] == "ok"
    digest = node.ok("DEBUG", "DIGEST")
    node.kill9()
    restart(node)
    assert node.ok("DEBUG", "DIGEST") == digest
    writer.close()
    reader.close()


@case(kinds=("ours",), limit_s=90)
def test_killed_on_a_full_disk(lab):
    """always: what was acknowledged before the disk was full is there after a kill on the full disk."""
    node = lab.node("n", appendfsync="always", auto_aof_rewrite_percentage="0", boot=False, **ON)
    node.state_dir = node.directory
    node.log_path = lab.path("log-of-n")
    disk = SmallDisk(lab, node)
    restart(node)
    acked = 0
    with node.connect(timeout_s=10) as c:
        disk.fill()
        try:
            while True:
                reply = c.call("APPEND", "big", "x" * 1000, timeout_s=0.5)
                if isinstance(reply, RespError):
                    break
                acked = reply
        except TimeoutError:
            pass
    node.kill9()
    disk.free()
    restart(node)
    assert node.ok("STRLEN", "big") >= acked
    assert node.ok("SET", "x", "1") == "OK"


@case(kinds=("ours",), limit_s=60)
def test_a_folder_that_cannot_be_written(lab):
    """At the start it is refused; at run time CONFIG SET is, and the node goes on as it was."""
    node = lab.node("n", boot=False, **ON)
    with open(folder_of(node), "w", encoding="ascii") as f:
        f.write("a file\n")
    node.start()
    assert node.proc.wait(10) == 1 and folder_of(node) in node.log()
    node.argv[node.argv.index("--appendonly") + 1] = "no"
    restart(node)
    reply = node.call("CONFIG", "SET", "appendonly", "yes")
    assert "Unable to turn on AOF. Check server logs." in str(reply), reply
    assert node.ok("SET", "a", "1") == "OK" and node.ok("CONFIG", "GET", "appendonly")[1] == "no"
    assert node.info("persistence")["aof_enabled"] == "0"
    assert "can't execute an aof background rewriting" in str(node.call("BGREWRITEAOF")).lower()


@case(kinds=("ours",), limit_s=90)
def test_always_does_not_overtake_a_slow_disk(lab):
    """While a flush hangs no answer that depends on it leaves, not of a reader either; connections whose requests come
    later wait too; a new client is accepted. All get their answers when the disk does."""
    node = lab.node("n", appendfsync="always", auto_aof_rewrite_percentage="0", **ON)
    with node.connect(timeout_s=20) as writer, node.connect(timeout_s=20) as reader, node.connect() as other:
        assert writer.ok("INCR", "n") == 1
        held = HeldThread(lab, node.pid, WORKER, ".incr.aof")
        writer.send_raw(encode("INCR", "n"))
        held.wait_held()
        reader.send_raw(encode("GET", "n"))
        other.send_raw(encode("INCR", "n"))
        for client in (writer, reader, other):
            try:
                assert False, client.read(0.4)
            except TimeoutError:
                pass
        cpu = node.cpu_s()
        time.sleep(0.5)
        assert node.cpu_s() - cpu < 0.2, "it spins while it waits"
        held.release()
        assert writer.read() == 2 and reader.read() == "2" and other.read() == 3
        # A pipeline longer than a buffer, and a client that is closed behind its answer.
        held = HeldThread(lab, node.pid, WORKER, ".incr.aof")
        writer.send_raw(encode("INCR", "n") * 3000 + encode("QUIT"))
        held.wait_held()
        held.release()
        assert [writer.read() for _ in range(3001)] == list(range(4, 3004)) + ["OK"]
        assert writer.read_until_closed() == b""


@case(kinds=("ours",), limit_s=90)
def test_everysec_does_not_wait_for_a_slow_disk(lab):
    """Two seconds of a hanging flush pass unnoticed; then answers of writes wait, and are counted as delayed."""
    node = lab.node("n", appendfsync="everysec", auto_aof_rewrite_percentage="0", **ON)
    with node.connect(timeout_s=20) as c:
        assert c.ok("INCR", "n") == 1
        wait_until(lambda: WORKER in threads_of(node), 5, "the first flush")
        held = HeldThread(lab, node.pid, WORKER, ".incr.aof")
        assert c.ok("INCR", "n") == 2
        held.wait_held()
        began = time.monotonic()
        n = 2
        while True:
            try:
                n += 1
                assert c.call("INCR", "n", timeout_s=0.5) == n
            except TimeoutError:
                break
        waited = time.monotonic() - began
        assert 1.5 < waited < 4.5, waited
        held.release()
        assert c.read() == n
    assert node.info("persistence")["aof_delayed_fsync"] == "1"
    node.kill9()
    restart(node)
    assert node.ok("GET", "n") == str(n)


def threads_of(node):
    names = []
    for task in os.listdir("/proc/%d/task" % node.pid):
        with open("/proc/%d/task/%s/comm" % (node.pid, task), encoding="ascii") as f:
            names.append(f.read().strip())
    return names


@case(kinds=("ours",), limit_s=90, matrix=[("always",), ("everysec",)])
def test_a_flush_that_fails_leads_to_new_files(lab, policy):
    """After an error of fdatasync() the file is not trusted: writes are refused until a rewrite is on disk."""
    library, switch = lab.path("failing_flush.so"), lab.path("fail")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lab", "failing_flush.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=60)
    node = lab.node("n", appendfsync=policy, boot=False, **ON)
    node.argv = ["env", "LD_PRELOAD=" + library, "FAILING_FLUSH=" + switch] + node.argv
    restart(node)
    with node.connect(timeout_s=20) as c:
        assert c.ok("SET", "a", "1") == "OK"
        old = files_of(node, "i")
        with open(switch, "w", encoding="ascii") as f:
            f.write("x")
        c.send_raw(encode("SET", "a", "2"))
        error = wait_until(lambda: (lambda r: r if isinstance(r, RespError) else None)(node.call("SET", "b", "1")), 10,
                           "writes are refused")
        assert "MISCONF Errors writing to the AOF file: Input/output error" in str(error), error
        if policy == "always":
            try:
                assert False, c.read(0.5)
            except TimeoutError:
                pass
        os.unlink(switch)
        assert c.read(15) == "OK"
        wait_until(lambda: node.call("SET", "b", "1") == "OK", 15, "writes are taken again")
    assert not set(old) & set(files_of(node, "i")), "the old increment is gone"
    assert "not be on disk" in node.log()
    check_files(node)
    node.kill9()
    restart(node)
    assert node.ok("MGET", "a", "b") == ["2", "1"]


@case(kinds=("ours",))
def test_the_end_is_flushed(lab):
    """SHUTDOWN and SIGTERM with everysec: everything is in the file; a rewrite under way is given up."""
    node = lab.node("n", **ON)
    with node.connect(timeout_s=20) as c:
        c.ok("DEBUG", "POPULATE", "50000", "p", "200")
        c.ok("BGREWRITEAOF")
        c.send_raw(b"".join(encode("INCR", "n") for _ in range(500)) + encode("SHUTDOWN"))
        assert [c.read() for _ in range(500)] == list(range(1, 501))
        c.read_until_closed()
    assert node.proc.wait(10) == 0
    check_files(node)
    restart(node)
    assert node.ok("GET", "n") == "500"
    node.ok("INCR", "n")
    node.terminate()
    restart(node)
    assert node.ok("GET", "n") == "501"


@case(kinds=("ours",), limit_s=90)
def test_clients_are_told_while_it_loads(lab):
    """LOADING, PING and INFO among it, the loop lives; then the dataset is whole."""
    node = lab.node("n", auto_aof_rewrite_percentage="0", **ON)
    with node.connect(timeout_s=60) as c:
        for start in range(0, 600000, 20000):
            c.send_raw(b"".join(encode("SET", "key:%d" % i, "value") for i in range(start, start + 20000)))
            for _ in range(20000):
                c.read()
    node.kill9()
    node.start()
    wait_until(lambda: node.call("PING") is not None, 10, "it listens")
    seen = 0
    with node.connect() as c:
        while True:
            at = time.monotonic()
            reply = c.call("GET", "key:1")
            assert time.monotonic() - at < 0.5
            if not isinstance(reply, RespError):
                break
            assert str(reply) == "LOADING Redis is loading the dataset in memory", reply
            info = c.ok("INFO", "persistence")
            seen += "loading:1" in info and "loading_total_bytes" in info
    assert seen > 3, seen
    assert node.ok("DBSIZE") == 600000
