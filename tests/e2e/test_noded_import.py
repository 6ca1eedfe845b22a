"""The target's end of an atomic migration of slots: the source is this test, which speaks on the link by hand."""
import os
import random
import socket
import time

from cases import case
from lab import RespError, wait_until
from lab.append_only import files_of, kill_written, restart, with_failing_flush
from lab.clusters import key_in, lines, make_cluster, my_id, wait_agreed
from lab.held_thread import HeldThread
from lab.resp import Closed, encode

OURS = ("ours",)
WORKER = "noded-files"
JOB = "0123456789abcdef0123456789abcdef01234567"


def two_masters(lab, replicas=(), **options):
    """With a node timeout of which a quarter is longer than a busy machine keeps a node: it takes no slot then."""
    return make_cluster(lab, ["ours", "ours"], replicas, cluster_node_timeout=5000, **options)


class Link:
    """A link to the target as the source's data side has it."""

    def __init__(self, source, target, *ranges, job=JOB):
        self.wire = target.connect()
        self.offset = 0
        self.answer = self.wire.call("CLUSTER", "SYNCSLOTS", "ESTABLISH", job, my_id(source), my_id(target), 0, 16,
                                     "SLOTSRANGE", *ranges)

    def say(self, *words):
        data = encode(*words)
        self.offset += len(data)
        self.wire.send_raw(data)
        return self

    def sync(self, *words):
        return self.say("CLUSTER", "SYNCSLOTS", *words)

    def hear(self, what, timeout_s=15.0):
        """The next line but for acknowledgements, which say nothing of what was not sent."""
        end = time.monotonic() + timeout_s
        while True:
            line = self.wire.read(max(end - time.monotonic(), 0.001))
            words = str(line).split()
            if words[0] != "ACK":
                assert isinstance(line, RespError) == (what == "error"), line
                assert what == "error" or words[0] == what, line
                return line
            assert int(words[1]) <= self.offset, (line, self.offset)

    def hear_nothing(self, seconds):
        try:
            line = self.hear("nothing", seconds)
        except TimeoutError:
            return
        raise AssertionError(line)

    def hear_end(self, part):
        """An error that says this, and the end of the link."""
        line = self.hear("error", 30)
        assert part in str(line), line
        try:
            self.wire.read(15)
        except Closed:
            return
        raise AssertionError("the link is open")


def opened(source, target, *ranges, job=JOB):
    """A target that a busy machine has kept from running for a moment accepts nothing for another moment."""
    link = answered(source, target, *ranges, job=job)
    assert link.answer == "OK", link.answer
    return link


def answered(source, target, *ranges, job=JOB):
    def one():
        link = Link(source, target, *ranges, job=job)
        if "has just come back" in str(link.answer):
            link.wire.close()
            return None
        return link
    return wait_until(one, 20, "%s answers" % target.name)


def state_of(node, job=JOB):
    rows = [dict(zip(row[::2], row[1::2])) for row in node.ok("CLUSTER", "GETSLOTMIGRATIONS")]
    return next((row for row in rows if row["name"] == job), None)


def wait_failed(node, part):
    def over():
        job = state_of(node)
        assert job["state"] == "failed", job
        return job
    job = wait_until(over, 15, "the target knows that it is over", every_s=0.02)
    assert part in job["message"], job


def logged(node):
    data = b""
    for path in files_of(node, "i"):
        with open(path, "rb") as f:
            data += f.read()
    return data


@case(kinds=OURS, limit_s=60)
def test_import_by_hand(lab):
    """Keys are seen with the grant and not before, on replicas too, and after a kill."""
    (one, two), (copy,) = two_masters(lab, [("ours", 1)], appendonly="yes")
    a, b = key_in(5), key_in(6)
    link = opened(one, two, 5, 6)
    assert state_of(two)["operation"] == "IMPORT" and state_of(two)["source_node"] == my_id(one), state_of(two)
    link.say("SET", a, 1).say("SELECT", 15).say("RPUSH", b, *range(1000)).sync("SNAPSHOT-END")
    link.say("MULTI").say("SELECT", 2).say("SET", a, "two").say("INCR", a + "n").say("EXEC")
    link.say("SET", a + "soon", 1, "PXAT", int(time.time() * 1000) + 100)
    link.sync("FLUSH")
    assert int(link.hear("FLUSHED").split()[1]) == link.offset
    assert "flags=ei " in two.ok("CLIENT", "LIST"), two.ok("CLIENT", "LIST")
    for node in (two, copy):
        client = node.connect()
        assert client.ok("DBSIZE") == 0
        assert client.ok("CLUSTER", "SLOT-KEYS", 5) == []
        assert "keys=" not in client.ok("INFO", "keyspace")
        assert client.ok("DEBUG", "DIGEST") == "0" * 40
        assert isinstance(client.call("SELECT", 16), RespError)
        client.close()
    assert b"SELECT" in logged(two) and b"\r\n18\r\n" in logged(two)
    link.sync("DRAIN")
    answer = link.hear("DRAINED").split()
    assert int(answer[1]) == link.offset
    epoch = int(answer[2]) + 5
    link.sync("GRANT", epoch)
    wait_until(lambda: "5-6" in lines(one)[my_id(two)], 20, "the source knows who has the slots")
    wait_agreed([one, two, copy])
    assert lines(one)[my_id(two)][6] == str(epoch)
    assert state_of(two)["state"] == "success", state_of(two)
    assert two.ok("GET", a) == "1"
    assert two.ok("CLUSTER", "SLOT-KEYS", 6) == [15, 1]
    wait_until(lambda: two.ok("CLUSTER", "SLOT-KEYS", 5) == [0, 1, 2, 2], 15, "the one whose time is over has gone")
    wait_until(lambda: two.ok("DEBUG", "DIGEST") == copy.ok("DEBUG", "DIGEST"), 15, "the replica is equal")
    digest = two.ok("DEBUG", "DIGEST")
    kill_written(two)
    restart(two)
    assert two.ok("DEBUG", "DIGEST") == digest
    assert two.ok("CLUSTER", "SLOT-KEYS", 5) == [0, 1, 2, 2]


@case(kinds=OURS, limit_s=60)
def test_import_lost(lab):
    """Whatever ends the link before the grant leaves nothing, here and on the replica."""
    (one, two), (copy,) = two_masters(lab, [("ours", 1)], appendonly="yes")
    a, own = key_in(5), key_in(9000)
    two.ok("SET", own, "mine")

    def close(link):
        link.wire.close()
        return "the link to the source is closed"

    def reset(link):
        link.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        link.wire.close()
        return "the link to the source is closed"

    def kill(link):
        listed = two.ok("CLIENT", "LIST").splitlines()
        ids = [line.split()[0][3:] for line in listed if "flags=ei " in line]
        assert len(ids) == 1, listed
        two.ok("CLIENT", "KILL", "ID", ids[0])
        assert not link.wire.read_until_closed()
        return "the link to the source is closed"

    def abort(link):
        link.sync("ABORT", "its operator").hear_end("its operator")
        return "its operator"

    def key_elsewhere(link):
        link.say("SET", key_in(7), 1).hear_end("a key of another slot")
        return "a key of another slot"

    def flushed(link):
        two.ok("FLUSHDB")
        two.ok("SET", own, "mine")
        link.hear_end("emptied")
        return "emptied"

    def broken(link):
        link.wire.send_raw(b"*1\r\n$-9\r\n")
        return "the link to the source is closed"

    for how in (close, reset, kill, abort, key_elsewhere, flushed, broken):
        link = opened(one, two, 5, 6)
        link.say("SELECT", 3).say("SET", a, how.__name__).sync("SNAPSHOT-END").sync("FLUSH").hear("FLUSHED")
        before = logged(two).count(b"FORGET")
        wait_failed_with = how(link)
        wait_failed(two, wait_failed_with)
        wait_until(lambda n=before: logged(two).count(b"FORGET") == n + 1, 15, "what was imported is forgotten")
        assert two.ok("GET", own) == "mine"
        assert two.ok("DBSIZE") == 1
        wait_until(lambda: two.ok("DEBUG", "DIGEST") == copy.ok("DEBUG", "DIGEST"), 15, "the replica is equal")
    assert "5-" not in lines(two)[my_id(two)]
    # The next one starts with nothing.
    link = opened(one, two, 5, 6)
    link.sync("SNAPSHOT-END").sync("DRAIN").hear("DRAINED")
    link.sync("GRANT", 50)
    wait_until(lambda: "5-6" in lines(two)[my_id(two)], 20, "it has the slots")
    assert two.ok("CLUSTER", "SLOT-KEYS", 5) == []
    wait_agreed([one, two, copy])


@case(kinds=OURS, limit_s=60)
def test_import_refused(lab):
    """What the data side or the core does not take, and what a client may not say."""
    (one, two), (copy,) = two_masters(lab, [("ours", 1)])
    for ranges, job, part in (((5,), JOB, "ESTABLISH <job>"), ((6, 5), JOB, "range"), ((5, 6, 6, 7), JOB, "twice"),
                              ((5, 6), "x", "name"), ((9000, 9000), JOB, "not known to own"),
                              ((5, 16384), JOB, "range")):
        answer = answered(one, two, *ranges, job=job).answer
        assert isinstance(answer, RespError) and part in str(answer), answer
    answer = answered(one, copy, 5, 6).answer
    assert isinstance(answer, RespError) and "not a master" in str(answer), answer
    answer = answered(two, two, 5, 6).answer
    assert isinstance(answer, RespError) and "source" in str(answer), answer
    first = opened(one, two, 5, 6)
    answer = answered(one, two, 6, 7, job="f" * 40).answer
    assert isinstance(answer, RespError) and "on their way" in str(answer), answer
    second = opened(one, two, 7, 7, job="f" * 40)
    for words in (("SHOW", 5, 6), ("FORGET", 5, 6), ("FLUSH",), ("GRANT", 50)):
        assert isinstance(two.call("CLUSTER", "SYNCSLOTS", *words), RespError), words
    for link in (first, second):
        link.say("SET", key_in(5 if link is first else 7), 1).sync("FLUSH").hear("FLUSHED")
    two.ok("CONFIG", "SET", "maxmemory", 1000)
    first.say("SET", key_in(5), 2).hear_end("out of memory")
    second.hear_end("out of memory")
    wait_failed(two, "out of memory")


@case(kinds=OURS, limit_s=90)
def test_import_disk_and_replica(lab):
    """An answered question means that the disk has it, whatever appendfsync says, and the replica."""
    (one, two), (copy,) = two_masters(lab, [("ours", 1)], appendonly="yes")
    two.ok("CONFIG", "SET", "appendfsync", "no")
    a = key_in(5)
    link = opened(one, two, 5, 6)
    link.say("SET", a, 1).sync("FLUSH").hear("FLUSHED")
    held = HeldThread(lab, two.pid, WORKER, ".incr.aof", newest=True)  # the other one writes nodes.conf
    link.say("SET", a, 2).sync("FLUSH")
    held.wait_held()
    link.say("SET", a, 3).sync("FLUSH")
    link.hear_nothing(0.5)
    held.release()
    link.hear("FLUSHED")
    assert int(link.hear("FLUSHED").split()[1]) == link.offset
    copy.pause()
    link.say("SET", a, 4).sync("SNAPSHOT-END").sync("FLUSH")
    link.hear_nothing(0.5)
    copy.resume()
    assert int(link.hear("FLUSHED").split()[1]) == link.offset
    copy.pause()
    link.say("SET", a, 5).sync("DRAIN").hear_end("a replica of the target is behind")
    copy.resume()
    wait_failed(two, "behind")
    # A disk that fails: nobody is promised anything.
    two.terminate()
    switch = with_failing_flush(lab, two)
    restart(two)
    wait_agreed([one, two, copy])
    link = opened(one, two, 5, 6)
    with open(switch, "w", encoding="ascii"):
        pass
    link.say("SET", a, 6).sync("FLUSH").hear_end("append-only file")
    os.unlink(switch)
    wait_until(lambda: two.call("SET", key_in(9000), 1) == "OK", 20, "the disk works again")


@case(kinds=OURS, limit_s=90)
def test_import_restart(lab):
    """A replica that is restarted in between has all in the end; a target that is killed, or whose replica takes over,
    has nothing of it."""
    (one, two), (copy,) = two_masters(lab, [("ours", 1)], appendonly="yes")
    a, own = key_in(5), key_in(9000)
    two.ok("SET", own, "mine")
    link = opened(one, two, 5, 6)
    link.say("SELECT", 3).say("SET", a, 1).sync("SNAPSHOT-END").sync("FLUSH").hear("FLUSHED")
    copy.kill9()
    restart(copy)
    wait_until(lambda: copy.info("replication")["master_link_status"] == "up", 20, "it follows again")
    link.say("INCR", a).sync("DRAIN").hear("DRAINED", 20)
    link.sync("GRANT", 50)
    wait_until(lambda: "5-6" in lines(one)[my_id(two)], 20, "the source knows who has the slots")
    wait_until(lambda: two.ok("CLUSTER", "SLOT-KEYS", 5) == [3, 1], 15, "they are shown")
    wait_until(lambda: two.ok("DEBUG", "DIGEST") == copy.ok("DEBUG", "DIGEST"), 15, "the replica is equal")
    # Killed with what is on its disk.
    wait_agreed([one, two, copy])
    link = opened(one, two, 7, 8, job="a" * 40)
    link.say("SET", key_in(7), 1).sync("FLUSH").hear("FLUSHED")
    before = logged(two).count(b"FORGET")
    two.kill9()
    restart(two)
    job = state_of(two, "a" * 40)  # the source has it on disk, the target not at once
    assert job is None or job["state"] == "failed", job
    wait_until(lambda: logged(two).count(b"FORGET") == before + 1, 15, "what was imported is forgotten")
    wait_agreed([one, two, copy])
    assert two.ok("GET", own) == "mine"
    wait_until(lambda: two.ok("DEBUG", "DIGEST") == copy.ok("DEBUG", "DIGEST"), 15, "the replica is equal")
    # Another one takes over.
    link = opened(one, two, 7, 8, job="b" * 40)
    link.say("SET", key_in(7), 1).sync("FLUSH").hear("FLUSHED")
    wait_until(lambda: copy.call("CLUSTER", "FAILOVER") == "OK", 15, "the replica may take over")
    link.hear("error", 20)
    wait_until(lambda: "master" in lines(one)[my_id(copy)][2], 15, "it has taken over")
    wait_agreed([one, two, copy])
    assert copy.ok("CLUSTER", "SLOT-KEYS", 7) == [] and copy.ok("GET", own) == "mine"
    link = opened(one, copy, 7, 8, job="c" * 40)
    link.sync("SNAPSHOT-END").sync("DRAIN").hear("DRAINED", 20)
    link.sync("GRANT", 90)
    wait_until(lambda: "5-8" in lines(one)[my_id(copy)], 20, "the source knows who has the slots")
    assert copy.ok("CLUSTER", "SLOT-KEYS", 7) == []
    wait_until(lambda: two.ok("DEBUG", "DIGEST") == copy.ok("DEBUG", "DIGEST"), 15, "the replica is equal")


@case(kinds=OURS, limit_s=60)
def test_import_hostile(lab):
    """Bytes of chance on a link: the node lives, and its own keys and the map are as they were."""
    (one, two), _ = two_masters(lab)
    own, rng = key_in(9000), random.Random(7)
    two.ok("SET", own, "mine")
    words = ("SET SELECT MULTI EXEC CLUSTER SYNCSLOTS FLUSH DRAIN GRANT SNAPSHOT-END SHOW FORGET ABORT DEL FLUSHALL "
             "RESTORE 0 5 -1 16384 99999999999 MOVE COPY DB PXAT EVAL QUIT RESET SHUTDOWN DEBUG BLPOP MIGRATE").split()
    words += [key_in(5), own, "", "\0\xff"]
    for _ in range(150):
        link = Link(one, two, 5, 6)
        if link.answer != "OK":  # the core has not heard yet that the last one is over
            time.sleep(0.01)
            continue
        try:
            for _ in range(rng.randrange(1, 30)):
                kind = rng.random()
                if kind < 0.5:
                    link.say("SET", key_in(5) + str(rng.randrange(9)), "x" * rng.randrange(100))
                elif kind < 0.95:
                    link.say(*[rng.choice(words) for _ in range(rng.randrange(1, 6))])
                else:
                    link.wire.send_raw(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 60))))
        except Closed:
            pass
        link.wire.close()
    assert two.alive()
    wait_until(lambda: state_of(two)["state"] == "failed", 15, "the last one is over")
    assert two.ok("GET", own) == "mine"
    assert two.ok("DBSIZE") == 1
    assert two.ok("CLUSTER", "SLOT-KEYS", 5) == []
    assert lines(two)[my_id(two)][8:] == ["8192-16383"], lines(two)
    wait_agreed([one, two])
