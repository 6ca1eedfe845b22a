"""Where an append-only file begins and ends: the first start, switching, a second process, an end that cannot be."""
import os
import select
import shutil
import signal

from cases import case
from lab import RespError, encode, wait_until
from lab.append_only import (check_files, files_of, folder_of, kill_written, manifest_of, restart, wait_rewritten,
                             with_failing_flush)
from lab.held_thread import HeldThread
from lab.small_disk import SmallDisk

ON = {"appendonly": "yes"}


@case(kinds=("ours",), matrix=[("yes",), ("no",)])
def test_it_begins_with_the_snapshot(lab, preamble):
    """The file is switched on in the settings of a server that had an RDB file only: its data stay."""
    seeds = lab.redis("seeds").wait_ready()
    with seeds.connect() as c:
        for request in (("SET", "a", "1"), ("SET", "gone", "5", "PX", "1"), ("RPUSH", "l", "x", "y"), ("SELECT", "3"),
                        ("SET", "b", "2")):
            c.ok(*request)
        c.ok("SAVE")
    seeds.kill9()
    node = lab.node("n", boot=False, aof_use_rdb_preamble=preamble, **ON)
    snapshot = os.path.join(node.directory, "dump.rdb")
    shutil.copy(os.path.join(seeds.directory, "dump.rdb"), snapshot)
    with open(snapshot, "rb") as f:
        before = f.read()
    restart(node)
    assert [words[1] for words in manifest_of(node)] == ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"]
    assert "begins with a copy of " + snapshot in node.log()
    with node.connect() as c:
        assert c.ok("GET", "a") == "1" and c.ok("GET", "gone") is None
        assert c.ok("INCR", "a") == 2 and c.ok("INCR", "gone") == 1
        digest = c.ok("DEBUG", "DIGEST")
    check_files(node)
    kill_written(node)
    # From here on the copy counts, whatever becomes of the snapshot.
    with open(snapshot, "r+b") as f:
        assert f.read() == before
        f.seek(0)
        f.write(b"damaged")
    restart(node)
    assert node.ok("DEBUG", "DIGEST") == digest
    node.ok("BGREWRITEAOF")
    wait_rewritten(node)
    assert node.ok("DEBUG", "DIGEST") == digest
    assert sorted(os.listdir(folder_of(node))) == sorted([words[1] for words in manifest_of(node)] +
                                                         ["appendonly.aof.manifest"])


@case(kinds=("ours",))
def test_it_does_not_begin_with_what_is_no_snapshot(lab):
    seeds = lab.redis("seeds").wait_ready()
    seeds.ok("SET", "a", "1")
    seeds.ok("SAVE")
    with open(os.path.join(seeds.directory, "dump.rdb"), "rb") as f:
        good = f.read()
    node = lab.node("n", boot=False, **ON)
    snapshot = os.path.join(node.directory, "dump.rdb")
    for bad in (b"", b"REDI", good[:-1], good[:40], good + b"more", good + encode("SET", "a", "2")[:-1],
                encode("SET", "a", "2")):
        with open(snapshot, "wb") as f:
            f.write(bad)
        node.start()
        assert node.proc.wait(20) == 1 and snapshot in node.log()[-600:], (bad, node.log()[-600:])
        with open(snapshot, "rb") as f:
            assert f.read() == bad
        assert not os.path.exists(folder_of(node))


@case(kinds=("ours",))
def test_a_transaction_is_not_cut_by_the_first_base(lab):
    node = lab.node("n")
    with node.connect() as c:
        for request in (("MULTI",), ("INCR", "n"), ("CONFIG", "SET", "appendonly", "yes"), ("INCR", "n"), ("EXEC",)):
            c.ok(*request)
    wait_rewritten(node)
    node.ok("INCR", "n")
    digest = node.ok("DEBUG", "DIGEST")
    kill_written(node)
    node.argv += ["--appendonly", "yes"]
    restart(node)
    assert node.ok("GET", "n") == "3" and node.ok("DEBUG", "DIGEST") == digest


@case(kinds=("ours",))
def test_a_folder_has_one_writer(lab):
    first = lab.node("first", appendfsync="always", **ON)
    first.ok("SET", "a", "1")
    with open(files_of(first, "i")[0], "ab") as f:
        f.write(b"*3\r\n$3\r\nSET")  # as it looks in the middle of a write
    size = os.path.getsize(files_of(first, "i")[0])
    second = lab.node("second", boot=False, dir=first.directory, **ON)
    second.start()
    assert second.proc.wait(20) == 1 and "is in use" in second.log(), second.log()
    assert os.path.getsize(files_of(first, "i")[0]) == size
    third = lab.node("third", dir=first.directory)
    assert "Unable to turn on AOF" in str(third.call("CONFIG", "SET", "appendonly", "yes"))
    first.ok("CONFIG", "SET", "appendonly", "no")
    assert third.ok("CONFIG", "SET", "appendonly", "yes") == "OK"
    wait_rewritten(third)
    assert "Unable to turn on AOF" in str(first.call("CONFIG", "SET", "appendonly", "yes"))
    third.kill9()
    assert first.ok("CONFIG", "SET", "appendonly", "yes") == "OK"
    wait_rewritten(first)
    first.kill9()
    restart(first)
    assert first.ok("GET", "a") == "1"


@case(kinds=("ours",), limit_s=90)
def test_an_end_that_would_lose_writes_is_called_off(lab):
    node = lab.node("n", boot=False, appendfsync="no", auto_aof_rewrite_percentage="0", **ON)
    switch = with_failing_flush(lab, node)
    restart(node)
    node.ok("SET", "a", "1")
    with open(switch, "w", encoding="ascii") as f:
        f.write("x")
    assert "Errors trying to SHUTDOWN" in str(node.call("SHUTDOWN"))
    assert "Errors trying to SHUTDOWN" in str(node.call("SHUTDOWN", "NOSAVE"))
    node.proc.send_signal(signal.SIGTERM)
    wait_until(lambda: node.log().count("the program does not end") == 3, 20, "the signal is refused too")
    assert node.ok("GET", "a") == "1"
    os.unlink(switch)
    wait_until(lambda: node.call("SET", "b", "1") == "OK", 15, "writes are taken again")
    with node.connect() as c:
        c.send_raw(encode("SET", "c", "1") + encode("SHUTDOWN"))
        assert c.read() == "OK"
        c.read_until_closed()
    assert node.proc.wait(20) == 0
    restart(node)
    assert node.ok("MGET", "a", "b", "c") == ["1", "1", "1"]
    node.ok("SET", "d", "1")
    with open(switch, "w", encoding="ascii") as f:
        f.write("x")
    with node.connect() as c:
        c.send_raw(encode("SHUTDOWN", "FORCE"))
        c.read_until_closed()
    assert node.proc.wait(20) == 0


@case(kinds=("ours",), limit_s=90)
def test_answers_do_not_wait_for_a_file_that_is_switched_off(lab):
    """They waited for a flush that failed: nobody will ever flush it, and they say so."""
    node = lab.node("n", boot=False, appendfsync="always", auto_aof_rewrite_percentage="0", **ON)
    switch = with_failing_flush(lab, node)
    restart(node)
    with node.connect(timeout_s=20) as c:
        assert c.ok("SET", "a", "1") == "OK"
        with open(switch, "w", encoding="ascii") as f:
            f.write("x")
        c.send_raw(encode("SET", "a", "2"))
        wait_until(lambda: isinstance(node.call("SET", "b", "1"), RespError), 30, "writes are refused")
        assert node.ok("CONFIG", "SET", "appendonly", "no") == "OK"
        answer = c.read()
        assert isinstance(answer, RespError) and "Executed, but not saved" in str(answer), answer
        assert c.ok("GET", "a") == "2" and c.ok("SET", "a", "3") == "OK"


@case(kinds=("ours",), limit_s=90)
def test_a_folder_that_cannot_be_flushed(lab):
    """The name of a new increment may not be on disk: what is written there is not acknowledged before it is."""
    node = lab.node("n", boot=False, appendfsync="always", auto_aof_rewrite_percentage="0", **ON)
    switch = with_failing_flush(lab, node) + ".folder"
    restart(node)
    node.ok("SET", "a", "1")
    with open(switch, "w", encoding="ascii") as f:
        f.write("x")
    node.ok("BGREWRITEAOF")
    wait_until(lambda: "MISCONF" in str(node.call("SET", "a", "2")), 30, "writes are refused")
    os.unlink(switch)
    wait_until(lambda: node.call("SET", "b", "1") == "OK", 15, "writes are taken again")
    wait_rewritten(node)
    check_files(node)
    node.kill9()
    restart(node)
    assert node.ok("GET", "b") == "1"


@case(kinds=("ours",), limit_s=60)
def test_subscribers_hear_no_errors_of_others(lab):
    """Messages that waited for a flush, behind which the disk was full: they are passed on as they are."""
    node = lab.node("n", boot=False, appendfsync="always", **ON)
    node.state_dir = node.directory
    disk = SmallDisk(lab, node)
    node.log_path = lab.path("log-of-n")
    restart(node)
    with node.connect(timeout_s=20) as writer, node.connect(timeout_s=20) as listener:
        listener.ok("SUBSCRIBE", "news")
        assert writer.ok("SET", "a", "1") == "OK"
        held = HeldThread(lab, node.pid, "noded-files", ".incr.aof")
        writer.send_raw(encode("SET", "a", "2"))
        held.wait_held()
        writer.send_raw(encode("SET", "a", "x" * 100000) + encode("PUBLISH", "news", "one"))
        wait_until(lambda: select.select([writer.sock], [], [], 0.3)[0] == [], 15, "its answers wait")
        disk.fill()
        held.release()
        assert writer.read() == "OK"
        answers = [writer.read(), writer.read()]
        assert all("Executed, but not saved" in str(a) for a in answers), answers
        assert listener.read() == ["message", "news", "one"]


@case(kinds=("ours",))
def test_a_file_that_cannot_be_loaded_again_ends_the_program(lab):
    """DEBUG LOADAOF empties the dataset first: half of one is not served, as with redis-server."""
    for server in (lab.node("ours", **ON), lab.redis("stock", **ON).wait_ready()):
        server.ok("SET", "a", "1")
        with open(files_of(server, "i")[0], "ab") as f:
            f.write(b"garbage")
        size = os.path.getsize(files_of(server, "i")[0])
        with server.connect() as c:
            c.send_raw(encode("DEBUG", "LOADAOF"))
            assert c.read_until_closed() == b""
        assert server.proc.wait(20) == 1
        assert os.path.getsize(files_of(server, "i")[0]) == size


@case(kinds=("ours",), limit_s=60)
def test_slow_flushes_are_latency_events(lab):
    node = lab.node("n", appendfsync="always", latency_monitor_threshold="100", **ON)
    with node.connect(timeout_s=20) as c:
        assert c.ok("INCR", "n") == 1
        held = HeldThread(lab, node.pid, "noded-files", ".incr.aof")
        c.send_raw(encode("INCR", "n"))
        held.wait_held()
        with node.connect() as other:
            try:
                assert False, other.call("PING", timeout_s=0.3)
            except TimeoutError:
                pass
        held.release()
        assert c.read() == 2
        events = {event[0]: int(event[3]) for event in c.ok("LATENCY", "LATEST")}
        assert events.get("aof-fsync-always", 0) >= 100, events
