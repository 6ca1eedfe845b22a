"""When noded saves, what a failed snapshot means, and how the program ends."""
import os
import signal
import time

from cases import case
from lab import Closed, RespError, both_servers, encode, same_reply, stays_true, wait_until
from lab.small_disk import SmallDisk

OURS = ("ours",)
DUMP = "dump.rdb"
NOT_SAVED = "The dataset could not be saved"
MISCONF = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."


def dump(node):
    return os.path.join(node.directory, DUMP)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def persistence(node):
    return node.info("persistence")


def status(node):
    return persistence(node)["rdb_last_bgsave_status"]


def wait_saved(node, times):
    def saved():
        fields = persistence(node)
        return fields["rdb_bgsave_in_progress"] == "0" and int(fields["rdb_saves"]) >= times
    wait_until(saved, 20, "%d snapshots" % times)


def child_of(node):
    """The process that writes a snapshot."""
    with open("/proc/%d/task/%d/children" % (node.pid, node.pid), encoding="ascii") as f:
        children = f.read().split()
    return int(children[0]) if children else None


def slow_dataset(node):
    """So much that a snapshot takes a while."""
    with node.connect(timeout_s=60) as c:
        c.ok("DEBUG", "POPULATE", 1500000)


def stopped_writing(node):
    """The child of a background save, stopped in its midst; None: it has ended, which it may do before this thread has
    a processor again. Then it has saved all."""
    def child_or_end():
        return child_of(node) or (persistence(node)["rdb_bgsave_in_progress"] == "0" and "over")
    child = wait_until(child_or_end, 15, "the child lives, or is over", 0.001)
    temp = os.path.join(node.directory, "temp-%s.rdb" % child)
    while child != "over" and os.path.exists("/proc/%d" % child):
        if os.path.exists(temp):
            os.kill(child, signal.SIGSTOP)  # it is this node's to bury, so its number is nobody else's
            wait_until(lambda: state_of(child) in "TZ", 15, "it stands still, or is over", 0.001)
            if state_of(child) == "T" and os.path.exists(temp):
                return child
            os.kill(child, signal.SIGCONT)
        time.sleep(0.0005)
    return None


def state_of(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def begin_save(node):
    """A background save that is stopped in its midst; returns the child's number, and how many saves were over before
    they could be stopped: the file of before is what they have written."""
    for over in range(20):
        assert node.ok("BGSAVE") == "Background saving started"
        try:
            child = stopped_writing(node)
        except (FileNotFoundError, ProcessLookupError):  # it has ended, and was buried
            child = None
        if child is not None:
            assert persistence(node)["rdb_bgsave_in_progress"] == "1"
            return child, over
        wait_until(lambda: persistence(node)["rdb_bgsave_in_progress"] == "0", 20, "the save is over")
        assert status(node) == "ok"
    raise AssertionError("no save could be stopped in its midst")


def end_of(node, *request):
    """Sends a request that ends the program, and waits for that."""
    with node.connect(timeout_s=20) as c:
        try:
            reply = c.call(*request)
            raise AssertionError("%s was answered: %s" % (request, reply))
        except Closed:
            pass
    return node.proc.wait(20)


# ---- when ----

@case(kinds=OURS)
def test_commands_answer_as_redis_does(lab):
    ours, stock = both_servers(lab)
    with ours.connect() as a, stock.connect() as b:
        for request in (("SAVE",), ("SAVE", "x"), ("BGSAVE", "x"), ("BGSAVE", "SCHEDULE", "x"), ("LASTSAVE", "x"),
                        ("SHUTDOWN", "x"), ("SHUTDOWN", "SAVE", "NOSAVE"), ("SHUTDOWN", "ABORT"),
                        ("SHUTDOWN", "ABORT", "NOW"), ("CONFIG", "SET", "dir", "/nowhere"),
                        ("CONFIG", "SET", "dbfilename", "a/b"), ("CONFIG", "SET", "save", "10"),
                        ("CONFIG", "SET", "save", "0 1"), ("CONFIG", "SET", "rdbchecksum", "no"),
                        ("COMMAND", "INFO", "SAVE"), ("COMMAND", "INFO", "BGSAVE"), ("COMMAND", "INFO", "LASTSAVE"),
                        ("COMMAND", "INFO", "SHUTDOWN")):
            same_reply(a, b, *request)
        for c in (a, b):
            c.ok("MULTI")
        same_reply(a, b, "SHUTDOWN")
        same_reply(a, b, "SAVE")
        same_reply(a, b, "EXEC")
        for c in (a, b):
            c.ok("MULTI")
            c.ok("SET", "k", "v")
        same_reply(a, b, "BGSAVE")
        same_reply(a, b, "EXEC")
    wait_saved(ours, 2)
    wait_saved(stock, 2)
    mine, theirs = persistence(ours), persistence(stock)
    assert list(mine) == list(theirs), (list(mine), list(theirs))
    # A save that begins in one second of the clock and ends in the next took a second.
    volatile = {"rdb_last_save_time", "rdb_last_bgsave_time_sec", "rdb_last_cow_size"}
    assert {k: v for k, v in mine.items() if k not in volatile} == \
        {k: v for k, v in theirs.items() if k not in volatile}


@case(kinds=OURS)
def test_save_points(lab):
    node = lab.node("n", save="1 3")
    with node.connect() as c:
        c.ok("MSET", "a", 1, "b", 2)
        stays_true(lambda: not os.path.exists(dump(node)), 2.5, "two changes are too few")
        c.ok("SET", "c", 3)
        wait_until(lambda: os.path.exists(dump(node)), 15, "it is saved by itself")
        wait_until(lambda: persistence(node)["rdb_changes_since_last_save"] == "0", 15, "all is saved")
        assert persistence(node)["rdb_saves"] == "1"
        c.ok("CONFIG", "SET", "save", "1 1")
        c.ok("SET", "d", 4)
        wait_saved(node, 2)
        c.ok("CONFIG", "SET", "save", "")
        c.ok("SET", "e", 5)
        stays_true(lambda: persistence(node)["rdb_saves"] == "2", 2.5, "there are no points any more")
        assert persistence(node)["rdb_changes_since_last_save"] == "1"


@case(kinds=OURS)
def test_flushall_empties_the_file(lab):
    ours, stock = both_servers(lab, save="3600 1")
    for server in (ours, stock):
        with server.connect() as c:
            c.ok("MSET", "a", "v", "b", "w")
            c.ok("SAVE")
            full = len(read(dump(server)))
            c.ok("FLUSHALL")
            assert len(read(dump(server))) < full
            fields = persistence(server)
            assert (fields["rdb_changes_since_last_save"], fields["rdb_saves"]) == ("0", "1"), fields
    node = ours
    node.kill9()
    node.start()
    node.wait_ready()
    assert node.ok("DBSIZE") == 0


@case(kinds=OURS)
def test_files_are_where_the_settings_say(lab):
    node = lab.node("n", enable_protected_configs="yes")
    with node.connect() as c:
        c.ok("SET", "a", "v")
        os.makedirs(lab.path("elsewhere"))
        c.ok("CONFIG", "SET", "dir", lab.path("elsewhere"), "dbfilename", "other.rdb")
        c.ok("SAVE")
        assert os.listdir(lab.path("elsewhere")) == ["other.rdb"] and not os.path.exists(dump(node))
        assert "can't be a path" in str(c.call("CONFIG", "SET", "dbfilename", "../x.rdb"))


# ---- failures ----

@case(kinds=OURS, limit_s=90)
def test_a_killed_child_leaves_nothing_and_writes_are_refused(lab):
    node = lab.node("n", save="3600 1000000000")
    slow_dataset(node)
    with node.connect(timeout_s=20) as c:
        c.ok("SAVE")
        c.ok("SET", "new", "v")
        child, _ = begin_save(node)
        whole = read(dump(node))
        for words in ((), ("SCHEDULE",)):
            assert str(c.call("BGSAVE", *words)) == "ERR Background save already in progress"
        assert str(c.call("SAVE")) == "ERR Background save already in progress"
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: status(node) == "err", 15, "it is known")
        assert sorted(os.listdir(node.directory)) == [DUMP, "log"] and read(dump(node)) == whole
        assert str(c.call("SET", "a", "b")).startswith(MISCONF) and str(c.call("PING")).startswith(MISCONF)
        assert c.ok("GET", "new") == "v"
        c.ok("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        c.ok("SET", "a", "b")
        c.ok("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
        assert str(c.call("SET", "a", "c")).startswith(MISCONF)
        c.ok("BGSAVE")
        wait_until(lambda: status(node) == "ok", 20, "a snapshot succeeds")
        c.ok("SET", "a", "c")
        assert read(dump(node)) != whole


@case(kinds=OURS, limit_s=90)
def test_the_old_file_is_whole_when_the_program_is_killed(lab):
    """kill -9 in the midst of a save: the file of before stands, and what was begun is gone at the next start."""
    node = lab.node("n")
    slow_dataset(node)
    node.ok("SAVE")
    node.ok("SET", "new", "v")
    child, over = begin_save(node)
    whole = read(dump(node))
    node.kill9()
    wait_until(lambda: not os.path.exists("/proc/%d" % child) or "State:\tZ" in
               read("/proc/%d/status" % child).decode(), 20, "the child is gone too")
    assert read(dump(node)) == whole
    node.start()
    node.wait_ready(30)
    assert sorted(os.listdir(node.directory)) == [DUMP, "log"]
    assert node.ok("DBSIZE") == 1500000 + (over > 0)


@case(kinds=OURS, limit_s=90)
def test_a_full_disk_harms_nothing_that_is_saved(lab):
    node = lab.node("n", boot=False, save="3600 1")
    node.state_dir = lab.path("small")
    os.makedirs(node.state_dir)
    node.argv[node.argv.index("--dir") + 1] = node.state_dir
    disk = SmallDisk(lab, node, "2m")
    path = os.path.join(disk.path, DUMP)
    node.start()
    node.wait_ready()
    with node.connect(timeout_s=20) as c:
        c.ok("SET", "a", os.urandom(200000))
        c.ok("SAVE")
        whole = read(path)
        c.ok("SET", "b", os.urandom(600000))
        disk.fill()
        assert "temp-" in str(c.call("SAVE")) and read(path) == whole
        c.ok("BGSAVE")
        wait_until(lambda: status(node) == "err", 20, "it is known")
        assert sorted(os.listdir(disk.path)) == ["ballast", DUMP] and read(path) == whole
        assert str(c.call("SET", "c", "v")).startswith(MISCONF)
        assert str(c.call("SHUTDOWN")) == "ERR Errors trying to SHUTDOWN. Check logs."
        assert node.alive() and c.ok("EXISTS", "b") == 1
        refused = node.log().count(NOT_SAVED)
        node.signal(signal.SIGTERM)
        wait_until(lambda: node.log().count(NOT_SAVED) > refused, 15, "it cannot save, and says so")
        stays_true(node.alive, 0.5, "it lives on")
        disk.free()
        c.ok("SAVE")
        c.ok("SET", "c", "v")
        disk.fill()
        saved = read(path)
    assert end_of(node, "SHUTDOWN", "FORCE") == 0 and read(path) == saved


@case(kinds=OURS)
def test_a_folder_that_takes_no_files(lab):
    node = lab.node("n", enable_protected_configs="yes", save="3600 1")
    with node.connect() as c:
        c.ok("SET", "a", "v")
        c.ok("CONFIG", "SET", "dir", "/proc")
        assert "cannot be made" in str(c.call("SAVE"))
        assert c.ok("BGSAVE") == "Background saving started"
        wait_until(lambda: status(node) == "err", 15, "it is known")
        assert str(c.call("SET", "a", "w")).startswith(MISCONF)
        c.ok("CONFIG", "SET", "dir", node.directory)
        # It is tried again by itself, five seconds later.
        c.ok("CONFIG", "SET", "save", "1 1")
        wait_until(lambda: status(node) == "ok", 25, "it is tried again")
        c.ok("SET", "a", "w")


# ---- the end ----

@case(kinds=OURS)
def test_shutdown_saves_where_it_should(lab):
    for name, save, words, saved in (("a", "3600 1", (), True), ("b", "", (), False), ("c", "", ("SAVE",), True),
                                     ("d", "3600 1", ("NOSAVE",), False), ("e", "3600 1", ("NOW", "SAVE"), True),
                                     ("f", "3600 1", ("NOSAVE", "NOW", "FORCE"), False)):
        node = lab.node(name, save=save)
        node.ok("SET", "a", "v")
        assert end_of(node, "SHUTDOWN", *words) == 0
        assert os.path.exists(dump(node)) == saved, (save, words)
    for name, sig, save, setting, saved in (
            ("g", signal.SIGTERM, "3600 1", "default", True), ("h", signal.SIGTERM, "", "default", False),
            ("i", signal.SIGTERM, "", "save", True), ("j", signal.SIGINT, "3600 1", "nosave", False),
            ("k", signal.SIGINT, "3600 1", "nosave now force", False), ("l", signal.SIGINT, "", "now save", True)):
        option = "shutdown_on_sigterm" if sig == signal.SIGTERM else "shutdown_on_sigint"
        node = lab.node(name, save=save, **{option: setting})
        node.ok("SET", "a", "v")
        node.signal(sig)
        assert node.proc.wait(20) == 0
        assert os.path.exists(dump(node)) == saved, (sig, save, setting)


@case(kinds=OURS, limit_s=90)
def test_an_end_while_a_child_saves(lab):
    node = lab.node("n", save="3600 1")
    slow_dataset(node)
    child, _ = begin_save(node)
    node.ok("SET", "late", "v")
    assert end_of(node, "SHUTDOWN") == 0
    assert not os.path.exists("/proc/%d" % child)
    assert sorted(os.listdir(node.directory)) == [DUMP, "log"]
    node.start()
    node.wait_ready(30)
    assert node.ok("GET", "late") == "v"


def lagging(lab, **options):
    """A node, and a replica that hangs."""
    node = lab.node("n", repl_diskless_sync_delay=0, **options)
    replica = lab.redis("replica", replica_of=node).wait_ready()
    replica.wait_follows(node.port)
    wait_until(lambda: "state=online" in node.info("replication").get("slave0", ""), 20,
               "its snapshot is over here too")
    replica.pause()
    node.ok("SET", "a", "v")
    return node, replica


@case(kinds=OURS)
def test_the_end_waits_for_replicas(lab):
    node, replica = lagging(lab, shutdown_timeout=60)
    with node.connect() as asks, node.connect() as also, node.connect() as writes, node.connect() as other:
        asks.send_raw(encode("SHUTDOWN"))
        wait_until(lambda: "waits at most 60 seconds" in node.log(), 15, "it waits")
        also.send_raw(encode("SHUTDOWN"))
        writes.send_raw(encode("SET", "a", "w"))
        assert other.ok("GET", "a") == "v"
        assert other.ok("SHUTDOWN", "ABORT") == "OK"
        assert writes.read() == "OK" and other.ok("GET", "a") == "w"
        for c in (asks, also):
            assert c.read() == RespError("ERR Errors trying to SHUTDOWN. Check logs.")
        assert str(other.call("SHUTDOWN", "ABORT")) == "ERR No shutdown in progress."
        asks.send_raw(encode("SHUTDOWN"))
        wait_until(lambda: node.log().count("waits at most 60 seconds") == 2, 15, "it waits")
        stays_true(node.alive, 0.5, "it lives on")
        replica.resume()
        assert node.proc.wait(20) == 0
    assert replica.ok("GET", "a") == "w"


@case(kinds=OURS)
def test_the_end_waits_no_longer_than_it_should(lab):
    node, replica = lagging(lab, shutdown_timeout=1)
    began = time.monotonic()
    assert end_of(node, "SHUTDOWN") == 0
    assert 0.9 < time.monotonic() - began < 5
    replica.resume()


@case(kinds=OURS)
def test_a_second_signal_ends_the_waiting(lab):
    node, replica = lagging(lab, shutdown_timeout=60, save="3600 1")
    node.signal(signal.SIGTERM)
    wait_until(lambda: "waits at most" in node.log(), 15, "it waits")
    node.signal(signal.SIGTERM)
    assert node.proc.wait(20) == 0 and os.path.exists(dump(node))
    replica.resume()


@case(kinds=OURS, limit_s=90)
def test_replicas_go_on_after_a_clean_restart(lab):
    """The file says where in the history it stands: a partial synchronization is enough, and what has expired
    meanwhile goes from the replica too."""
    node = lab.node("n", repl_diskless_sync_delay=0, save="3600 1")
    replica = lab.redis("replica", replica_of=node).wait_ready()
    replica.wait_follows(node.port)
    with node.connect() as c:
        c.ok("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        c.ok("SELECT", 3)
        c.ok("SET", "stays", "v")
        c.ok("SET", "short", "v", "PX", 300)
        c.ok("WAIT", 1, 5000)
        offset = int(node.info("replication")["master_repl_offset"])
    assert end_of(node, "SHUTDOWN") == 0
    wait_until(lambda: time.time() * 1000 > os.stat(dump(node)).st_mtime * 1000 + 400, 15, "the key has expired")
    node.start()
    node.wait_ready()
    replica.wait_follows(node.port)
    fields = node.info("stats")
    assert (fields["sync_full"], fields["sync_partial_ok"]) == ("0", "1"), fields
    assert int(node.info("replication")["master_repl_offset"]) > offset
    node.ok("SET", "after", "v")
    wait_until(lambda: replica.ok("DEBUG", "DIGEST") == node.ok("DEBUG", "DIGEST"), 20, "both have the same")
    with replica.connect() as c:
        c.ok("SELECT", 3)
        assert c.ok("KEYS", "*") == ["stays"]


@case(kinds=OURS, limit_s=90)
def test_a_replica_goes_on_after_a_clean_restart(lab):
    """The other side: what its master says next is of the database that was selected before."""
    stock = lab.redis("stock").wait_ready()
    node = lab.node("n", save="3600 1", replicaof=["127.0.0.1", stock.port])
    wait_until(lambda: node.info("replication")["master_link_status"] == "up", 20, "it follows")
    with stock.connect() as c:
        c.ok("SELECT", 3)
        c.ok("SET", "a", "v")
        c.ok("WAIT", 1, 5000)
        assert end_of(node, "SHUTDOWN") == 0
        c.ok("SET", "b", "v")
        node.start()
        node.wait_ready()
        wait_until(lambda: node.info("replication")["master_link_status"] == "up", 20, "it follows again")
        c.ok("SET", "c", "v")
        c.ok("WAIT", 1, 5000)
        fields = stock.info("stats")
        assert (fields["sync_full"], fields["sync_partial_ok"]) == ("1", "1"), fields
        wait_until(lambda: node.ok("DEBUG", "DIGEST") == c.ok("DEBUG", "DIGEST"), 20, "both have the same")
