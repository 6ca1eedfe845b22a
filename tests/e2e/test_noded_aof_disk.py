"""The append-only file that is damaged, and the disk that is full, slow or broken."""
import os
import random
import re
import time

from cases import case
from lab import RespError, encode, wait_until
from lab.append_only import (check_files, files_of, fill, folder_of, kill_written, restart, snapshot_of, wait_rewritten,
                             with_failing_flush)
from lab.held_thread import HeldThread
from lab.small_disk import SmallDisk

ON = {"appendonly": "yes"}
WORKER = "noded-files"  # the thread that flushes


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
                          (encode("SHUTDOWN"), ("SHUTDOWN",)), (encode("SELECT", "16"), ("databases", "16")),
                          (encode("SET", "a"), ("SET",)),
                          (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n12\r\n", ())):
        with_content(first, damage, second)
        start_refused(node, increment, offset, *words)
    with_content(first, encode("MULTI"), encode("SELECT", "16"), second, encode("EXEC"))
    start_refused(node, increment, "databases")
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
    kill_written(node)
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
    # In one turn: writes, a read, a client that is served by one of them. None of them is told that it was done.
    blocked = node.connect(timeout_s=20)
    blocked.send_raw(encode("BLPOP", "list", 0))
    wait_until(lambda: node.info("clients")["blocked_clients"] == "1", 15, "it blocks")
    answers = [1]

    def refused():
        answers.append(writer.call("APPEND", "big", "x" * 10000))
        return isinstance(answers[-1], RespError)
    assert refused() or wait_until(refused, 20, "the disk is full for the writer")
    unsaved = "ERR Executed, but not saved: the append-only file cannot be written: No space left on device"
    assert str(answers[-1]) == unsaved, answers[-1]
    error = wait_until(lambda: (lambda r: r if isinstance(r, RespError) else None)(reader.call("SET", "x", "1")), 20,
                       "writes are refused")
    assert str(error) == "MISCONF Errors writing to the AOF file: No space left on device", error
    assert str(reader.call("PING")).startswith("MISCONF Errors writing to the AOF file") and \
        reader.ok("GET", "kept") == "1"
    info = node.info("persistence")
    assert info["aof_last_write_status"] == "err" and int(info["aof_buffer_length"]) > 0
    assert "No space left on device" in node.log() and "What to do" in node.log()
    disk.free()
    wait_until(lambda: node.call("SET", "x", "2") == "OK", 20, "writes are taken again")
    assert writer.ok("STRLEN", "big") == (len(answers) - 1) * 10000, "what was executed counts"
    # Again with a pipeline of which no answer fits into one buffer, and somebody who is served in the same turn.
    disk.fill()
    writer.send_raw(encode("SET", "x", "y" * 5000) + encode("GET", "x") * 20 + encode("RPUSH", "list", "a") +
                    encode("HELLO", "3"))
    said = [writer.read() for _ in range(23)]
    assert all(str(r).startswith((unsaved, "MISCONF")) for r in said if isinstance(r, RespError)), said
    assert isinstance(said[0], RespError) and isinstance(said[21], RespError)
    disk.free()
    wait_until(lambda: node.call("SET", "x", "2") == "OK", 20, "writes are taken again")
    if str(said[21]) == unsaved:
        assert str(blocked.read()) == unsaved
    blocked.close()
    assert node.info("persistence")["aof_last_write_status"] == "ok"
    digest = node.ok("DEBUG", "DIGEST")
    kill_written(node)
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
    assert node.proc.wait(20) == 1 and folder_of(node) in node.log()
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
        assert writer.read() == 2 and reader.read() in ("2", "3") and other.read() == 3
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
        wait_until(lambda: WORKER in threads_of(node), 15, "the first flush")
        held = HeldThread(lab, node.pid, WORKER, ".incr.aof")
        assert c.ok("INCR", "n") == 2
        held.wait_held()
        began = answered = time.monotonic()
        n = 2
        while True:
            try:
                n += 1
                assert c.call("INCR", "n", timeout_s=2) == n  # no answer for so long is more than a busy machine
                answered = time.monotonic()
            except TimeoutError:
                break
        assert 1 < answered - began < 4, answered - began
        held.release()
        assert c.read() == n
    assert node.info("persistence")["aof_delayed_fsync"] == "1"
    kill_written(node)
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
    node = lab.node("n", appendfsync=policy, boot=False, **ON)
    switch = with_failing_flush(lab, node)
    restart(node)
    with node.connect(timeout_s=20) as c:
        assert c.ok("SET", "a", "1") == "OK"
        old = files_of(node, "i")
        with open(switch, "w", encoding="ascii") as f:
            f.write("x")
        c.send_raw(encode("SET", "a", "2"))
        error = wait_until(lambda: (lambda r: r if isinstance(r, RespError) else None)(node.call("SET", "b", "1")), 30,
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
    kill_written(node)
    restart(node)
    assert node.ok("MGET", "a", "b") == ["2", "1"]
