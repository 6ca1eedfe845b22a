"""Leases at one master: who is supervised, when writes are taken, what ends them, and what stands still without one."""
import os
import re
import threading
import time

from cases import case
from lab import Closed, RespError, encode, pairs, stays_true, wait_until
from lab.append_only import kill_written
from lab.clusters import info, make_cluster
from lab.held_thread import HeldThread
from lab.leases import LeaseKeepers

OURS = ("ours",)
NO_LEASE = "CLUSTERDOWN This master holds no lease: "
TOO_LATE = "ERR Executed, but this master's lease ended before this answer could leave: "


def shard(lab, replicas=1, **options):
    """One master with all slots, and its replicas."""
    options = dict({"repl_diskless_sync_delay": 0}, **options)
    masters, copies = make_cluster(lab, ["ours"], [("ours", 0)] * replicas, **options)
    return masters[0], copies


def supervised(lab, replicas=1, ttl_ms=2000, **options):
    master, copies = shard(lab, replicas, **options)
    keepers = LeaseKeepers(lab, ttl_ms=ttl_ms)
    keepers.keep("a", master, copies)
    wait_until(lambda: all(keepers.answer(node).get("supervised") for node in (master, *copies)), 20,
               "the nodes are supervised")
    wait_until(lambda: master.call("SET", "first", 1) == "OK", 20, "the master has a lease")
    return master, copies, keepers


def is_refused(reply):
    return isinstance(reply, RespError) and str(reply).startswith(NO_LEASE)


def wait_refused(master, timeout_s=20):
    wait_until(lambda: is_refused(master.call("SET", "probe", 1)), timeout_s, "writes are refused", every_s=0.002)


def wait_taken(master, timeout_s=20):
    wait_until(lambda: master.call("SET", "probe", 1) == "OK", timeout_s, "writes are taken", every_s=0.002)


class Writer(threading.Thread):
    """Writes n:<i> to one node, one after the other: what was answered, and when it was sent and answered."""

    def __init__(self, lab, node, name="n", pause_s=0.0):
        super().__init__(daemon=True)
        self.node, self.name_of, self.pause_s = node, name, pause_s
        self.ending = threading.Event()
        self.taken, self.refused = [], []  # (number, sent, answered), (number, sent, answered, reply)
        lab.on_close(self.stop)
        self.start()

    def stop(self):
        self.ending.set()
        if self.is_alive():
            self.join(20)
        return self

    def key(self, number):
        return "%s:%d" % (self.name_of, number)

    def run(self):
        number, client = 0, None
        while not self.ending.is_set():
            number += 1
            sent = time.monotonic()
            try:
                client = client or self.node.connect(timeout_s=30)
                reply = client.call("SET", self.key(number), number)
            except (OSError, Closed) as error:
                client, reply = None, error
            if reply == "OK":
                self.taken.append((number, sent, time.monotonic()))
            else:
                self.refused.append((number, sent, time.monotonic(), reply))
                self.ending.wait(0.002)
            if self.pause_s:
                self.ending.wait(self.pause_s)


@case(kinds=OURS, limit_s=60)
def test_adoption_refuses_no_write(lab):
    """A running shard is taken under leases, and released, while somebody writes."""
    master, copies = shard(lab)
    writer = Writer(lab, master, pause_s=0.0005)
    wait_until(lambda: len(writer.taken) > 50, 20, "it is written to")
    keepers = LeaseKeepers(lab, ttl_ms=3000)
    keepers.keep("a", master, copies)
    wait_until(lambda: info(master)["cluster_supervised"] == "1" and info(copies[0])["cluster_supervised"] == "1", 20,
               "both are supervised")

    def written():
        with open(os.path.join(master.directory, "nodes.conf"), encoding="ascii") as f:
            said = f.read()
        assert " supervised 1,1,0,%s" % keepers.list in said, said
        return True
    wait_until(written, 20, "its file has it")
    before = len(writer.taken)
    wait_until(lambda: len(writer.taken) > before + 200, 20, "it goes on")
    fields = info(master)
    assert (fields["cluster_supervisors"], fields["cluster_state"]) == ("3", "ok"), fields
    assert 0 < int(fields["cluster_lease_ms"]) <= keepers.ttl_ms
    assert master.info("cluster")["cluster_lease_grants"] == fields["cluster_lease_grants"] == "3"
    for node in (master, copies[0]):
        keepers.unwatch(node)
    assert master.ok("CLUSTER", "RELEASE") == "OK"
    wait_until(lambda: info(copies[0])["cluster_supervised"] == "0", 20, "the replica is released with it")
    before = len(writer.taken)
    wait_until(lambda: len(writer.taken) > before + 200, 20, "it goes on after the release")
    writer.stop()
    assert not writer.refused, writer.refused[:3]
    assert info(master)["cluster_lease_ms"] == "-1"
    assert "not supervised" in str(master.call("CLUSTER", "RELEASE"))


@case(kinds=OURS, limit_s=60)
def test_what_a_lease_answers(lab):
    master, copies, keepers = supervised(lab)
    ids = {node: node.ok("CLUSTER", "MYID") for node in (master, *copies)}

    def in_step():  # each of them hears of the other and of all supervisors in its own time
        mine, copy = keepers.answer(master), keepers.answer(copies[0])
        for name in ("offset", "supervised", "keys", "config_epoch", "shard"):
            assert mine[name] == copy[name], (name, mine, copy)
        assert mine["keys"] == 1 and mine["grants"] == 3, mine
        assert copy["state_known"] == 1 and copy["link"] == "up" and copy["link_ms"] > 0, copy
        return mine, copy
    mine, copy = wait_until(in_step, 20, "they are in step, and all grant to the master")
    assert (mine["node"], mine["role"], mine["master"], mine["link"]) == (ids[master], "master", "", "none")
    assert (copy["node"], copy["role"], copy["master"], copy["link"]) == (ids[copies[0]], "replica", ids[master], "up")
    assert mine["shard"] == copy["shard"] == master.ok("CLUSTER", "MYSHARDID")
    assert mine["replid"] == copy["replid"] == master.info("replication")["master_replid"]
    assert (mine["slots"], copy["slots"], mine["keys"], copy["keys"]) == (16384, 0, 1, 1)
    assert (mine["version"], mine["grants"], copy["grants"], copy["lease_ms"]) == (1, 3, 0, 0)
    assert copy["state_known"] == 1 and copy["link_ms"] > 0 and mine["migrating"] == mine["loading"] == 0
    assert mine["priority"] == 100 and mine["config_epoch"] == copy["config_epoch"] == 1
    with master.connect() as client:  # a map where there are maps
        client.ok("HELLO", 3)
        said = client.ok("CLUSTER", "LEASE", "0" * 40, keepers.speaker(0), 1000, 0)
        assert isinstance(said, dict) and set(said) == set(mine), said
        assert said["incarnation"] == mine["incarnation"] and said["clock"] > mine["clock"]
        assert said["incarnation"] != copy["incarnation"] and int(said["incarnation"], 16) > 0


@case(kinds=OURS, limit_s=60)
def test_words_that_make_no_sense(lab):
    master, _, keepers = supervised(lab, replicas=0)
    name, speaker = "0" * 40, keepers.speaker(0)
    for words, error in (
            (("xyz", speaker, 100, 0), "ERR Invalid id of a supervisor"),
            ((name, "1:0:", 100, 0), "ERR Invalid speaker"),
            ((name, "0:0:a:1", 100, 0), "ERR Invalid speaker"),
            ((name, "1:0:a:1,a:1", 100, 0), "ERR Invalid speaker"),
            ((name, "1:3:" + keepers.list, 100, 0), "ERR The list of supervisors has no position 3"),
            ((name, speaker, -1, 0), "ERR Invalid ttl"),
            ((name, speaker, 3600001, 0), "ERR Invalid ttl"),
            ((name, speaker, 100, -1), "ERR Invalid epoch"),
            ((name, speaker, 100, 2**64 - 1), "ERR Invalid epoch"),
            ((name, speaker, 100, 0, "g", 1), "ERR Invalid stamp"),
            ((name, speaker, 100, 0, "a", -1), "ERR Invalid stamp"),
            ((name, speaker, 100, 0, "a"), "ERR unknown subcommand or wrong number of arguments for 'LEASE'"),
            ((name, "1:0:other:1", 100, 0), "STALESUPERVISORS "),
            (("RETURN", name, speaker, 0), "ERR Epoch 0 is not above"),
            (("RETURN", name, speaker), "ERR wrong number of arguments for 'cluster|lease' command")):
        reply = master.call("CLUSTER", "LEASE", *words)
        assert str(reply).startswith(error) and isinstance(reply, RespError), (words, reply)
    with master.connect() as client:
        client.ok("MULTI")
        assert "not allowed inside a transaction" in str(client.call("CLUSTER", "LEASE", name, speaker, 100, 0))
    wait_taken(master)
    with lab.node("alone").connect() as client:
        assert "cluster support disabled" in str(client.call("CLUSTER", "LEASE", name, speaker, 100, 0))


@case(kinds=OURS, limit_s=60)
def test_a_lost_majority(lab):
    """Writes are refused when the last grants end, and not later; reads go on; all is well when one comes back."""
    master, copies, keepers = supervised(lab)
    master.ok("SET", "k", "v")
    keepers.pause(0)
    stays_true(lambda: master.call("SET", "k", "v") == "OK", 1.0, "two of three are enough")
    with master.connect() as client:
        keepers.pause(1)
        until = keepers.granted_until(master)
        sent = time.monotonic()
        while not is_refused(client.call("SET", "k", "late")):
            assert sent <= until, "sent %.3f s behind the end of all grants in the books, and taken" % (sent - until)
            sent = time.monotonic()
        text = NO_LEASE + "1 of 2 grants that it needs from its 3 supervisors"
        wait_until(lambda: str(client.call("SET", "k", "w")) == text, 20, "it says what is missing")
        value = client.ok("GET", "k")
        assert value in ("v", "late")
        for words in (("DEL", "k"), ("FLUSHALL",), ("INCR", "n"), ("EXPIRE", "k", 100), ("GETDEL", "k"),
                      ("MIGRATE", "127.0.0.1", master.port, "k", 0, 100), ("SORT", "k", "STORE", "k")):
            assert is_refused(client.call(*words)), words
        client.ok("MULTI")
        assert client.ok("SET", "k", "x") == "QUEUED"
        assert is_refused(client.call("EXEC"))
        assert str(client.call("EXEC")) == "ERR EXEC without MULTI"
        client.ok("MULTI")
        client.ok("GET", "k")
        assert client.ok("EXEC") == [value]
    fields = info(master)
    assert (fields["cluster_state"], fields["cluster_lease_ms"]) == ("fail", "0"), fields
    assert re.search("This master's lease has ended: [01] of 2 grants that it needs from its 3 supervisors; writes are "
                     "refused\n", master.log())
    assert info(copies[0])["cluster_supervised"] != "0"
    assert "This master" not in copies[0].log()
    keepers.resume(1)
    wait_taken(master)
    assert info(master)["cluster_state"] == "ok"
    wait_until(lambda: "This master holds a lease: grants of 2 of its 3 supervisors; writes are taken" in master.log(),
               20, "it is told")
    assert master.ok("GET", "k") == value


@case(kinds=OURS, limit_s=60)
def test_answers_kept_back(lab):
    """A stamp that gets old grants ever less: whoever hears no answers gives no lease for long."""
    master, _, keepers = supervised(lab, replicas=0)
    keepers.pause(2)
    keepers.hold(0, 1)
    wait_refused(master)
    sent = keepers.answers(master)
    stays_true(lambda: is_refused(master.call("SET", "k", 1)), 1.0, "old stamps revive nothing", every_s=0.005)
    keepers.release(0, 1)
    wait_taken(master)
    assert keepers.answers(master) > sent + 5  # they have gone on speaking all the time


@case(kinds=OURS, limit_s=60)
def test_a_pipeline_across_the_end(lab):
    """Each write of a pipeline is either executed or not, as its answer says; transactions are whole."""
    master, _, keepers = supervised(lab, replicas=0)
    with master.connect() as client:
        batch = encode("INCR", "{k}n") * 30 + \
            (encode("MULTI") + encode("INCR", "{k}a") + encode("INCR", "{k}b") + encode("EXEC")) * 30

        def run_batch():
            client.send_raw(batch)
            singles = [client.read() for _ in range(30)]
            many = [client.read() for _ in range(120)]
            return singles, many[3::4]
        done = exec_done = unsure = exec_unsure = 0
        refused = False
        for round_number in range(3):
            keepers.resume(0, 1)
            wait_taken(master)
            keepers.pause(0, 1)
            refused = False
            while not refused:
                singles, execs = run_batch()
                done += sum(isinstance(x, int) for x in singles)
                unsure += sum(str(x).startswith(TOO_LATE) for x in singles)
                exec_done += sum(isinstance(x, list) for x in execs)
                exec_unsure += sum(str(x).startswith(TOO_LATE) for x in execs)
                refused = is_refused(singles[-1])
                if refused:
                    assert all(is_refused(x) for x in execs)
                for x in singles + execs:
                    assert not isinstance(x, RespError) or is_refused(x) or str(x).startswith(TOO_LATE), x
        value, a, b = (int(client.ok("GET", key)) for key in ("{k}n", "{k}a", "{k}b"))
        assert done > 100 and exec_done > 100
        assert done <= value <= done + unsure, (done, value, unsure)
        assert a == b and exec_done <= a <= exec_done + exec_unsure, (a, b, exec_done, exec_unsure)


@case(kinds=OURS, matrix=[("no", "no"), ("yes", "always"), ("yes", "everysec")], limit_s=60)
def test_an_answer_that_comes_too_late(lab, appendonly, fsync):
    """A write that was executed under a lease which has ended before its answer leaves must not be told as done."""
    master, _, keepers = supervised(lab, replicas=0, ttl_ms=1500, appendonly=appendonly, appendfsync=fsync)
    with master.connect(timeout_s=20) as client, master.connect() as other, master.connect() as third:
        third.send_raw(encode("BLPOP", "{k}list", 0))
        wait_until(lambda: master.info("clients")["blocked_clients"] == "1", 20, "it waits")
        # Nothing of this leaves before the end of the turn.
        client.send_raw(encode("SET", "{k}x", 1) + encode("RPUSH", "{k}list", "e") + encode("MULTI") +
                        encode("SET", "{k}y", 1) + encode("EXEC") + encode("DEBUG", "SLEEP", 2 * keepers.ttl_ms / 1000))
        answers = [client.read() for _ in range(6)]
        assert all(str(x).startswith(TOO_LATE) for x in answers), answers
        assert str(third.read()).startswith(TOO_LATE)
        wait_taken(master)
        assert other.ok("MGET", "{k}x", "{k}y") == ["1", "1"]  # it was executed
        assert client.ok("SET", "{k}x", 2) == "OK"
        # Reads alone say nothing that could be undone, and neither does what an unleased node answers of itself.
        client.send_raw(encode("GET", "{k}x") + encode("DEBUG", "SLEEP", 2 * keepers.ttl_ms / 1000))
        assert [client.read(), client.read()] == ["2", "OK"]


@case(kinds=OURS, limit_s=60)
def test_nothing_changes_by_itself(lab):
    """Without a lease keys that expire are read as missing and stay, and nothing is evicted."""
    master, copies, keepers = supervised(lab)
    with master.connect() as client:
        for i in range(20):
            assert client.ok("SET", "k%d" % i, "v", "PX", 8000) == "OK"
        for i in range(50):
            assert client.ok("SET", "keep%d" % i, "x" * 1000) == "OK"
        keepers.pause(0, 1)
        wait_refused(master)
        keys = client.ok("DBSIZE")
        assert keys >= 70
        ttl = client.ok("PTTL", "k19")
        assert ttl > 0, "the lease outlived the keys: %d" % ttl
        wait_until(lambda: client.ok("EXISTS", "k19") == 0, 20, "the time of the keys is over")
        assert client.ok("GET", "k0") is None and client.ok("TTL", "k1") == -2
        client.ok("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", 1)
        assert is_refused(client.call("SET", "k", "v"))
        assert client.ok("GET", "keep0") == "x" * 1000
        stays_true(lambda: client.ok("DBSIZE") == keys, 1.0, "nothing goes")
        stats = master.info("stats")
        assert (stats["expired_keys"], stats["evicted_keys"]) == ("0", "0")
        assert copies[0].ok("DBSIZE") == keys
        client.ok("CONFIG", "SET", "maxmemory", 0)
        keepers.resume(0, 1)
        wait_until(lambda: int(master.info("stats")["expired_keys"]) == 20, 20, "they expire")
        client.ok("CONFIG", "SET", "maxmemory", 1)
        wait_until(lambda: str(client.call("SET", "k", "v")).startswith("OOM") or client.ok("DBSIZE") == 0, 20,
                   "keys are evicted")
        client.ok("CONFIG", "SET", "maxmemory", 0)
        wait_until(lambda: copies[0].ok("DBSIZE") == client.ok("DBSIZE"), 20, "the replica has followed")


@case(kinds=OURS, limit_s=60)
def test_supervisors_are_never_held_up(lab):
    """Pauses of clients, limits and timeouts are not for them."""
    master, _, keepers = supervised(lab, replicas=0, ttl_ms=3000, maxmemory_clients=0, timeout=1)
    before = keepers.answers(master)
    master.ok("CLIENT", "PAUSE", 4000, "ALL")
    assert master.ok("PING") == "PONG"  # the pause is over
    assert keepers.answers(master) >= before + 3
    assert "lease has ended" not in master.log()
    master.ok("CONFIG", "SET", "maxmemory-clients", "1")
    before = keepers.answers(master)
    wait_until(lambda: keepers.answers(master) > before + 3, 20, "they are not closed")
    try:
        master.call("PING")
        raise AssertionError("another client was not closed either")
    except Closed:
        pass
    assert "lease has ended" not in master.log()


@case(kinds=OURS, limit_s=60)
def test_a_disk_that_does_not_answer(lab):
    """Writes wait for their flush, and so do reads of what they wrote; supervisors do not, and the lease goes on."""
    master, _, keepers = supervised(lab, replicas=0, ttl_ms=2000, appendonly="yes", appendfsync="always",
                                    auto_aof_rewrite_percentage=0)
    with master.connect(timeout_s=20) as writer, master.connect(timeout_s=20) as reader:
        assert writer.ok("INCR", "n") == 1
        held = HeldThread(lab, master.pid, "noded-files", ".incr.aof", newest=True)
        writer.send_raw(encode("INCR", "n"))
        held.wait_held()
        reader.send_raw(encode("GET", "n"))
        before = keepers.answers(master)
        wait_until(lambda: keepers.answers(master) >= before + 6, 20, "supervisors are answered")
        for client in (writer, reader):
            try:
                raise AssertionError(client.read(0.05))
            except TimeoutError:
                pass
        held.release()
        assert writer.read() == 2 and reader.read() == "2"
        assert "lease has ended" not in master.log()


@case(kinds=OURS, limit_s=90)
def test_answers_while_loading(lab):
    """A node that loads its dataset says so, and takes no write when it has, before it is leased."""
    master, _, keepers = supervised(lab, replicas=0, ttl_ms=3000, appendonly="yes", appendfsync="no",
                                    auto_aof_rewrite_percentage=0)
    with master.connect(timeout_s=60) as client:
        for start in range(0, 500000, 1000):
            words = [word for i in range(start, start + 1000) for word in (b"{k}%d" % i, b"value")]
            assert client.ok("MSET", *words) == "OK"
    old = keepers.answer(master)
    keepers.unwatch(master)
    kill_written(master)
    for _ in range(5):  # it may have loaded before a busy machine lets us ask
        master.start()
        with wait_until(lambda: connected(master), 20, "it listens", every_s=0.001) as client:
            said = pairs(client.ok("CLUSTER", "LEASE", "0" * 40, keepers.speaker(0), 400, 0))
            again = pairs(client.ok("CLUSTER", "LEASE", "0" * 40, keepers.speaker(0), 400, 0, said["incarnation"],
                                    said["clock"]))
            loads = str(client.call("PING")).startswith("LOADING")
        if loads:
            break
        master.kill9()
    assert loads, "it has loaded too fast for this test"
    for one in (said, again):
        assert one["loading"] == 1 and one["lease_ms"] == 0 and one["node"] == old["node"], one
        assert one["incarnation"] != old["incarnation"] and one["supervised"] == old["supervised"]
    assert again["clock"] > said["clock"]
    master.wait_ready(60)
    assert is_refused(master.call("SET", "k", 1))
    keepers.watch("a", master)
    wait_taken(master)
    assert master.ok("DBSIZE") >= 500000


def connected(node):
    try:
        return node.connect(timeout_s=60)
    except OSError:
        return None
