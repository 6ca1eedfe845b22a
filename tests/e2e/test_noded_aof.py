"""The append-only file: whose files it reads, what it promises after kill -9."""
import os
import random
import shutil
import threading
import time

from cases import case
from lab import Closed, RespError, encode, same_reply, wait_until
from lab.append_only import (check_files, files_of, fill, folder_of, kill_written, manifest_of, restart, snapshot_of,
                             wait_loaded, wait_rewritten)

ON = {"appendonly": "yes"}


# ---- files ----

@case(kinds=("ours",), matrix=[("yes",), ("no",)])
def test_files_go_both_ways(lab, preamble):
    """Ours load in redis-server, its in ours, with equal digests each time; redis-check-aof takes all of them."""
    rng = random.Random(5)
    ours = lab.node("x", aof_use_rdb_preamble=preamble, aof_timestamp_enabled="yes", **ON)
    stock = lab.redis("x2", aof_use_rdb_preamble=preamble, aof_timestamp_enabled="yes", **ON)
    stock.discard()
    stock.reap()
    for round_no in range(3):
        fill(ours, rng)
        if round_no > 0:
            assert ours.ok("BGREWRITEAOF") == "Background append only file rewriting started"
            fill(ours, rng, 100)
            wait_rewritten(ours)
        digest = ours.ok("DEBUG", "DIGEST")
        kill_written(ours) if round_no == 1 else ours.terminate()
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
    kill_written(ours)
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
        return ({k: info[k] for k in info if k.startswith("aof_") and "size" not in k and "time" not in k},
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
        kill_written(server)
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
    """Without files a set of nothing is made, as redis-server does."""
    seen = []
    for server in (lab.node("ours", boot=False, **ON), lab.redis("stock", **ON)):
        server.discard()
        server.reap()
        shutil.rmtree(folder_of(server), ignore_errors=True)
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
        restart(node)
        check_files(node)  # what a write that was under way has left in the last file is cut off by now
        assert lost_by(node, writers) == (0, 0.0), (sorted(before), node.log()[-600:])
        assert node.ok("GET", "p:19999") is not None
    node.ok("BGREWRITEAOF")
    wait_rewritten(node)
    named = {words[1] for words in manifest_of(node)} | {"appendonly.aof.manifest"}
    digest = node.ok("DEBUG", "DIGEST")
    node.terminate()
    restart(node)
    assert node.ok("DEBUG", "DIGEST") == digest
    assert set(os.listdir(folder_of(node))) == named, "what killed children left is gone"


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
    assert node.proc.wait(30) == 0
    check_files(node)
    restart(node)
    assert node.ok("GET", "n") == "500"
    node.ok("INCR", "n")
    node.terminate()
    restart(node)
    assert node.ok("GET", "n") == "501"


@case(kinds=("ours",), limit_s=90, quiet=True)
def test_clients_are_told_while_it_loads(lab):
    """LOADING, PING and INFO among it, the loop lives; then the dataset is whole."""
    node = lab.node("n", auto_aof_rewrite_percentage="0", **ON)
    with node.connect(timeout_s=60) as c:
        for start in range(0, 600000, 20000):
            c.send_raw(b"".join(encode("SET", "key:%d" % i, "value") for i in range(start, start + 20000)))
            for _ in range(20000):
                c.read()

    def look():
        """A start: how many answers told of the loading, and how long the slowest of all took."""
        kill_written(node)
        node.start()
        wait_until(lambda: node.call("PING") is not None, 20, "it listens")
        seen, longest_s = 0, 0.0
        with node.connect() as c:
            while True:
                at = time.monotonic()
                reply = c.call("GET", "key:1")
                longest_s = max(longest_s, time.monotonic() - at)
                if not isinstance(reply, RespError):
                    return seen, longest_s
                assert str(reply) == "LOADING Redis is loading the dataset in memory", reply
                info = c.ok("INFO", "persistence")
                seen += "loading:1" in info and "loading_total_bytes" in info
    # It loads for half a second. If this process stands still meanwhile it has seen nothing of that, and looks at
    # another start; a loop that stands still does so each time.
    looks = [look()]
    while (looks[-1][0] <= 3 or looks[-1][1] >= 0.5) and len(looks) < 5:
        looks.append(look())
    assert looks[-1][0] > 3 and looks[-1][1] < 0.5, looks
    assert node.ok("DBSIZE") == 600000


@case(kinds=("ours",), limit_s=90)
def test_of_a_replica(lab):
    """A replica's file has what its master's commands did, begins anew with a snapshot, and loads to the same dataset;
    a master feeds replicas and file alike."""
    rng = random.Random(19)
    master = lab.node("master", appendfsync="always", repl_diskless_sync_delay="0", repl_ping_replica_period="1", **ON)
    fill(master, rng, 200)
    replica = lab.node("replica", **ON)
    replica.ok("SET", "own", "1")
    old = files_of(replica, "b") + files_of(replica, "i")
    replica.ok("REPLICAOF", "127.0.0.1", master.port)

    def same():
        mine, theirs = replica.ok("DEBUG", "DIGEST"), master.ok("DEBUG", "DIGEST")
        return mine == theirs and int(replica.info("replication")["master_repl_offset"]) > 0
    wait_until(same, 20, "the replica has the master's dataset")
    wait_rewritten(replica)
    assert not set(old) & set(files_of(replica, "b") + files_of(replica, "i"))
    fill(master, rng, 200)
    wait_until(same, 20, "the replica follows")
    digest = master.ok("DEBUG", "DIGEST")
    for node in (master, replica):
        kill_written(node)
        check_files(node)
        restart(node)
        assert node.ok("DEBUG", "DIGEST") == digest, node.name
