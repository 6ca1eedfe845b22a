"""The source of an atomic migration against a target that a test plays: what goes over the link and in which order, and
that every trouble ends the job, its child too, and nothing else."""
import contextlib
import os
import signal
import time

from cases import case
from lab import Resp, wait_until
from lab.clusters import key_in, lines, make_cluster, my_id
from lab.slot_target import SlotTarget

OURS = ("ours",)
LOST = "the link to the target is lost: "


def job(node, name=None):
    rows = [dict(zip(row[::2], row[1::2])) for row in node.ok("CLUSTER", "GETSLOTMIGRATIONS")]
    return next(row for row in rows if name in (None, row["name"]))


def wait_state(node, *states, timeout_s=20):
    def there():
        now = job(node)
        assert now["state"] in states, now
        return now
    return wait_until(there, timeout_s, "the job is %s" % " or ".join(states), every_s=0.01)


def child_of(node):
    with open("/proc/%d/task/%d/children" % (node.pid, node.pid), encoding="ascii") as f:
        children = f.read().split()
    return int(children[0]) if children else None


@contextlib.contextmanager
def played(lab, **options):
    """Two masters; whoever wants the second one as a client gets what the test plays. options: settings of the first,
    and of the SlotTarget."""
    of_target = {k: options.pop(k) for k in ("reads", "answers") if k in options}
    (one, two), _ = make_cluster(lab, ["ours", "ours"], cluster_node_timeout=5000)  # a moment is no absence
    for name, value in options.items():
        one.ok("CONFIG", "SET", name.replace("_", "-"), value)
    target = SlotTarget(**of_target)
    two.ok("CONFIG", "SET", "cluster-announce-port", target.port)
    wait_until(lambda: ":%d@" % target.port in lines(one)[my_id(two)][1], 20, "the source knows the address")
    try:
        yield one, two, target
    finally:
        target.close()


def begin(one, two, *ranges):
    assert one.ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *(ranges or (0, 99)), "NODE", my_id(two)) == "OK"


def assert_as_before(one):
    """The source has the slots, and nothing of the job is left."""
    wait_until(lambda: child_of(one) is None, 20, "the child is gone")
    assert "0-8191" in lines(one)[my_id(one)]
    assert one.ok("SET", key_in(7), "still") == "OK"
    wait_until(lambda: one.info("memory")["mem_clients_slaves"] == "0", 20, "nothing is kept for the link")


def big_dataset(node):
    """More than two sockets hold: some 60 MB in the slots of the job."""
    with node.connect(timeout_s=60) as c:
        c.ok("DEBUG", "POPULATE", 60000, "key", 2000)


@case(kinds=OURS)
def test_what_goes_over(lab):
    """Password, ESTABLISH, a snapshot of all databases, the writes, FLUSH, DRAIN, GRANT; the target never takes the
    slots, says so over the bus when it is asked, and the source goes on."""
    with played(lab, masteruser="default", masterauth="pw", reads=False) as (one, two, target):
        client = one.connect()
        for db in (0, 9):
            client.ok("SELECT", db)
            client.ok("SET", key_in(3), "before")
            client.ok("SET", key_in(300), "not of the job")
        begin(one, two, 0, 50, 99, 99)
        wait_state(one, "streaming")  # so little that it stays in the sockets
        client.ok("SET", key_in(3), "after")
        client.ok("SET", key_in(300), "x")
        client.ok("MULTI")
        client.ok("SET", key_in(99), "1")
        client.ok("SELECT", 1)
        client.ok("SET", key_in(99), "2")
        client.ok("EXEC")
        assert job(one)["state"] == "streaming"
        target.read_on()
        wait_until(lambda: target.said("GRANT"), 20, "the slots are granted")
        auth, establish = target.requests[:2]
        assert auth == ["AUTH", "default", "pw"]
        assert establish[3:9] == [job(one)["name"], my_id(one), my_id(two), "0", "16", "SLOTSRANGE"], establish
        assert establish[9:] == ["0", "50", "99", "99"]
        verbs = [w[2] for w in target.requests if w[0] == "CLUSTER"]
        assert verbs[:2] == ["ESTABLISH", "SNAPSHOT-END"] and verbs[-2:] == ["DRAIN", "GRANT"], verbs
        # A target that stands still for a moment is asked again, and writes go on meanwhile.
        again = {"DRAIN", "RESUME"} if job(one)["pauses"] > 1 else set()
        assert "FLUSH" in verbs and set(verbs[2:-2]) <= {"FLUSH"} | again, verbs
        end = target.requests.index(["CLUSTER", "SYNCSLOTS", "SNAPSHOT-END"])
        assert target.requests[2:end] == [["SELECT", "0"], ["SET", key_in(3), "before"],
                                          ["SELECT", "9"], ["SET", key_in(3), "before"]]
        assert [w for w in target.requests[end + 1:] if w[0] != "CLUSTER"] == [
            ["SELECT", "9"], ["SET", key_in(3), "after"], ["MULTI"], ["SET", key_in(99), "1"], ["SELECT", "1"],
            ["SET", key_in(99), "2"], ["EXEC"]]
        assert target.data == {(0, key_in(3)): "before", (9, key_in(3)): "after", (9, key_in(99)): "1",
                               (1, key_in(99)): "2"}
        wait_state(one, "failed")
        assert_as_before(one)
        client.close()


@case(kinds=OURS, matrix=[("refuses",), ("closes",), ("nonsense",), ("password",)])
def test_target_that_does_not_want(lab, how):
    """What the target answers is the job's message."""
    answers = {"refuses": {"ESTABLISH": b"-ERR not now\r\n"}, "closes": {"ESTABLISH": None},
               "nonsense": {"ESTABLISH": b"+FLUSHED 7\r\n"}, "password": {"AUTH": b"-WRONGPASS no\r\n"}}[how]
    expected = {"refuses": "the target refuses: ERR not now", "closes": LOST + "it was closed",
                "nonsense": "the target says what it should not: +FLUSHED 7",
                "password": "the target refuses: WRONGPASS no"}[how]
    with played(lab, answers=answers, masterauth="pw") as (one, two, target):
        begin(one, two)
        assert expected in wait_state(one, "failed")["message"]
        wait_until(lambda: target.closed, 20, "the link is closed")
        assert target.said("ABORT") == []
        assert_as_before(one)


@case(kinds=OURS, matrix=[("closes",), ("error",), ("killed child",), ("cancel",), ("flush",), ("hangs",),
                          ("overflow",), ("source killed",), ("source ends",)], sample=4)
def test_trouble_while_the_child_writes(lab, how):
    """The child stands in the midst of its snapshot, as nobody reads it."""
    with played(lab, reads=False, repl_timeout=2 if how == "hangs" else 60,
                slot_migration_buffer_limit="100kb" if how == "overflow" else "256mb") as (one, two, target):
        big_dataset(one)
        begin(one, two, 0, 8191)
        child = wait_until(lambda: child_of(one), 20, "the child lives")
        wait_state(one, "snapshotting")
        expected = "failed"
        if how == "closes":
            target.close()
        elif how == "error":
            target.say(b"-OOM no memory\r\n")
        elif how == "killed child":
            os.kill(child, signal.SIGKILL)
        elif how == "cancel":
            assert one.ok("CLUSTER", "CANCELSLOTMIGRATIONS") == "OK"
            expected = "cancelled"
        elif how == "flush":
            one.ok("FLUSHDB")
        elif how == "overflow":
            for _ in range(3):
                one.ok("SET", key_in(7), "x" * 50000)
        elif how.startswith("source"):
            one.proc.send_signal(signal.SIGKILL if how == "source killed" else signal.SIGTERM)
            assert one.proc.wait(20) == (-signal.SIGKILL if how == "source killed" else 0)
            wait_until(lambda: not os.path.exists("/proc/%d" % child), 20, "the child dies with its parent")
            return
        message = wait_state(one, expected)["message"]
        assert {"closes": "", "error": "OOM no memory", "killed child": "killed by signal 9", "cancel": "",
                "flush": "emptied", "hangs": "does not take the snapshot", "overflow": "overflow"}[how] in message
        wait_until(lambda: not os.path.exists("/proc/%d" % child), 20, "the child is gone")
        assert_as_before(one)
        assert one.ok("BGSAVE") == "Background saving started"  # there may be another one


@case(kinds=OURS)
def test_two_jobs_and_a_save(lab):
    """Snapshots come one after the other; a link that waits for its turn shows life, and is not given up."""
    with played(lab, repl_timeout=3, repl_ping_replica_period=1) as (one, two, target):
        with one.connect(timeout_s=60) as c:
            c.ok("DEBUG", "POPULATE", 300000)

        def stopped():
            """The child of a save; it may be through before it is stopped."""
            wait_until(lambda: child_of(one) is None, 20, "no other child is there")
            assert one.ok("BGSAVE") == "Background saving started"
            child = child_of(one)
            if child is not None:
                os.kill(child, signal.SIGSTOP)
            return child_of(one)
        child = wait_until(stopped, 20, "a child stands still")
        begin(one, two)
        wait_until(lambda: ["PING"] in target.requests, 20, "a sign of life")
        time.sleep(4)  # longer than repl-timeout
        assert job(one)["state"] == "connecting", job(one)
        os.kill(child, signal.SIGCONT)
        wait_until(lambda: target.said("GRANT"), 20, "its turn has come")
        assert one.info("persistence")["rdb_last_bgsave_status"] == "ok"


@case(kinds=OURS)
def test_cancelled_in_the_stream(lab):
    """The target is told why, behind what was sent before."""
    with played(lab, answers={"FLUSH": b""}) as (one, two, target):
        one.ok("SET", key_in(5), "x" * 100000)
        begin(one, two)
        wait_state(one, "streaming")
        one.ok("SET", key_in(6), "last")
        assert one.ok("CLUSTER", "CANCELSLOTMIGRATIONS") == "OK"
        wait_until(lambda: target.said("ABORT"), 20, "the target hears of it")
        assert target.data[0, key_in(6)] == "last" and len(target.data[0, key_in(5)]) == 100000
        wait_until(lambda: target.closed, 20, "the link is closed")
        assert wait_state(one, "cancelled")
        assert_as_before(one)


@case(kinds=OURS)
def test_silent_target(lab):
    """FLUSH and DRAIN that are never answered."""
    with played(lab, answers={"FLUSH": b""}, repl_timeout=3) as (one, two, target):
        begin(one, two)
        assert "repl-timeout" in wait_state(one, "failed")["message"]
        assert target.said("DRAIN") == []
        assert_as_before(one)
    # Nobody listens at the address.
    with Resp(two.port) as c:
        c.ok("CONFIG", "SET", "cluster-announce-port", lab.ports.take())
    wait_until(lambda: ":%d@" % target.port not in lines(one)[my_id(two)][1], 20, "the source knows the address")
    begin(one, two)
    assert "refused" in wait_state(one, "failed")["message"].lower()
