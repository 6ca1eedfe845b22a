"""CLUSTER MIGRATESLOTS: slots move with all their databases, under load, without a wrong answer or a lost write."""
import threading
import time

from cases import case
from lab import RespError, encode, wait_until
from lab.append_only import kill_written
from lab.clusters import key_in, lines, make_cluster, my_id, wait_agreed

OURS = ("ours",)


def jobs(node):
    """CLUSTER GETSLOTMIGRATIONS: name -> its fields."""
    rows = [dict(zip(row[::2], row[1::2])) for row in node.ok("CLUSTER", "GETSLOTMIGRATIONS")]
    return {row["name"]: row for row in rows}


def only_job(node):
    rows = list(jobs(node).values())
    assert len(rows) == 1, rows
    return rows[0]


def wait_over(node, state="success", timeout_s=20):
    def over():
        job = only_job(node)
        assert job["state"] == state, job
        return job
    return wait_until(over, timeout_s, "the migration ends with %s" % state, every_s=0.02)


def move(source, target_id, *ranges):
    assert source.ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *ranges, "NODE", target_id) == "OK"


def fill(node, slots, databases=(0, 3, 15), each=20):
    """Keys of several types in these slots; (database, key) -> what GET or its like gives."""
    client, said = node.connect(), {}
    for db in databases:
        client.ok("SELECT", db)
        for slot in slots:
            tag = key_in(slot)
            for i in range(each):
                key = "%s:%d" % (tag, i)
                client.ok("SET", key, "%d/%s" % (db, key))
                said[db, key] = "%d/%s" % (db, key)
            client.ok("RPUSH", tag + "list", *range(300))
            client.ok("SET", tag + "soon", "x", "PX", 100000)
    client.close()
    return said


def assert_has(node, said):
    client = node.connect()
    for db in sorted({db for db, _ in said}):
        client.ok("SELECT", db)
        for (of, key), value in said.items():
            if of == db:
                assert client.call("GET", key) == value, (db, key)
    client.close()


@case(kinds=OURS, limit_s=90)
def test_slots_move(lab):
    """All databases at once; both ends tell of it; the source and the replicas of both are as they should be."""
    (one, two), (of_one, of_two) = make_cluster(lab, ["ours", "ours"], [("ours", 0), ("ours", 1)], appendonly="yes",
                                                cluster_node_timeout=15000)  # nobody takes over when they are killed
    slots = [5, 6, 100]
    said = fill(one, slots)
    kept = fill(one, [200])
    before, blocked = one.connect(), one.connect(timeout_s=20)
    blocked.send_raw(encode("BLPOP", key_in(5) + "none", 0))
    moved = before.ok("CLUSTER", "SLOT-KEYS", 5)
    assert moved == [0, 22, 3, 22, 15, 22]
    move(one, my_id(two), 5, 6, 100, 100)
    job = wait_over(one)
    assert job["operation"] == "EXPORT" and job["slot_ranges"] == "5-6 100-100", job
    assert job["source_node"] == my_id(one) and job["target_node"] == my_id(two), job
    assert job["create_time"] <= job["last_ack_time"] <= int(time.time()) + 1, job
    other = wait_over(two)
    assert other["name"] == job["name"] and other["operation"] == "IMPORT", other
    assert job["snapshot_keys"] == other["snapshot_keys"] == 3 * len(slots) * 22, (job, other)
    wait_agreed([one, two, of_one, of_two])
    assert "5-6" in lines(one)[my_id(two)] and "100" in lines(one)[my_id(two)]
    assert_has(two, said)
    assert_has(one, kept)
    assert two.ok("CLUSTER", "SLOT-KEYS", 5) == moved
    assert str(blocked.read(15)) == "MOVED 5 127.0.0.1:%d" % two.port
    wait_until(lambda: one.ok("CLUSTER", "SLOT-KEYS", 5) == [], 20, "the source has deleted its copy")
    assert isinstance(one.call("GET", key_in(5) + ":0"), RespError)
    for node, copy in ((one, of_one), (two, of_two)):
        wait_until(lambda n=node, c=copy: n.ok("DEBUG", "DIGEST") == c.ok("DEBUG", "DIGEST"), 20, "replicas are equal")
    before.close()
    blocked.close()
    digests = [node.ok("DEBUG", "DIGEST") for node in (one, two)]
    for node in (one, two):
        kill_written(node)
        node.start()
        node.wait_ready()
    wait_agreed([one, two, of_one, of_two])
    assert [node.ok("DEBUG", "DIGEST") for node in (one, two)] == digests
    assert len(jobs(one)) == len(jobs(two)) == 1 and only_job(one)["state"] == only_job(two)["state"] == "success"


class Writer:
    """INCR of one key per slot in two databases, wherever the cluster has it; what was acknowledged is counted."""

    def __init__(self, nodes, slots, transactions=False):
        self.nodes, self.transactions = nodes, transactions
        self.keys = [key_in(slot) + ("t" if transactions else "n") for slot in slots]
        self.counts = {(db, key): 0 for db in (0, 7) for key in self.keys}
        self.errors, self.longest_s, self.stopping = [], 0.0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def ask(self, link, key):
        """The key's count behind it: by INCR, or within a transaction of two."""
        if not self.transactions:
            return link.call("INCR", key)
        link.ok("MULTI")
        for command in ("INCR", "GET"):
            queued = link.call(command, key)
            if isinstance(queued, RespError):
                link.ok("DISCARD")
                return queued
        reply = link.call("EXEC")
        if isinstance(reply, RespError):
            return reply
        return reply[0] if str(reply[0]) == reply[1] else RespError("torn: %r" % (reply,))

    def incr(self, links, at, db, key):
        for _ in range(10):
            reply = self.ask(links[at, db], key)
            if isinstance(reply, RespError) and str(reply).startswith("MOVED "):
                port = int(str(reply).rsplit(":", 1)[1])
                at = next(i for i, node in enumerate(self.nodes) if node.port == port)
                continue
            return at, reply
        return at, RespError("it is sent back and forth")

    def run(self):
        links = {(i, db): node.connect() for i, node in enumerate(self.nodes) for db in (0, 7)}
        for (_, db), link in links.items():
            link.ok("SELECT", db)
        at = {key: 0 for key in self.keys}
        while not self.stopping:
            for (db, key) in self.counts:
                begin = time.monotonic()
                at[key], reply = self.incr(links, at[key], db, key)
                self.longest_s = max(self.longest_s, time.monotonic() - begin)
                self.counts[db, key] += 1
                if reply != self.counts[db, key]:
                    self.errors.append((db, key, self.counts[db, key], reply))
                    self.stopping = True
        for link in links.values():
            link.close()

    def stop(self):
        self.stopping = True
        self.thread.join()
        assert not self.errors, self.errors[:3]


@case(kinds=OURS, limit_s=90)
def test_slots_move_under_load(lab):
    """There and back again while clients write: each write is answered once and right, by whoever has the slot."""
    # Nodes that miss each other for a moment, on a machine that is busy with other things, end a migration.
    (one, two), _ = make_cluster(lab, ["ours", "ours"], cluster_node_timeout=6000)
    slots = list(range(300, 310))
    said = fill(one, slots, each=100)
    writers = [Writer([one, two], slots), Writer([one, two], slots, transactions=True)]
    for turn in range(15):
        source, target = ((one, two), (two, one))[turn % 2]
        least = [min(writer.counts.values()) for writer in writers]
        seen = set(jobs(source))
        move(source, my_id(target), 300, 309)
        name = wait_until(lambda s=source, k=seen: next(iter(set(jobs(s)) - k), None), 15, "the job is there")
        def over(s=source, n=name):
            job = jobs(s)[n]
            assert job["state"] == "success", job
            return True
        wait_until(over, 20, "the slots have moved", every_s=0.02)
        wait_agreed([one, two])
        wait_until(lambda b=least: all(w.errors or min(w.counts.values()) > n + 1 for w, n in zip(writers, b)), 20,
                   "every key is written in every turn")
    link = two.connect()
    for writer in writers:
        writer.stop()
        assert writer.longest_s < 2.5, writer.longest_s  # of which the machine may take some
        for (db, key), count in writer.counts.items():
            link.ok("SELECT", db)
            assert link.ok("GET", key) == str(count), (db, key)
    link.close()
    assert_has(two, said)


@case(kinds=OURS, limit_s=90)
def test_what_ends_a_migration(lab):
    """Cancelled, or a database emptied at either end: the source goes on, and the target is clean."""
    (one, two), _ = make_cluster(lab, ["ours", "ours"], cluster_node_timeout=6000)
    said = fill(one, [7], each=5)
    reader, target = two.connect(), my_id(two)
    for end, state in (("CANCELSLOTMIGRATIONS", "cancelled"), ("FLUSHDB", "failed"), ("FLUSHALL", "failed")):
        seen = set(jobs(one))
        two.pause()  # so that the job does not get anywhere
        move(one, target, 7, 7)
        name = next(iter(set(jobs(one)) - seen))
        link = one.connect()
        link.ok("SELECT", 9)  # nothing is there
        assert link.ok(*(["CLUSTER", end] if state == "cancelled" else [end])) == "OK"
        link.close()
        two.resume()
        def over(n=name, s=state):
            assert jobs(one)[n]["state"] == s, jobs(one)[n]
            return True
        wait_until(over, 20, "%s ends it" % end)
        if end != "FLUSHALL":
            assert_has(one, said)
        wait_agreed([one, two])
        assert reader.ok("DBSIZE") == 0
    reader.close()
