"""Slots that move while everything is done to their keys: the cluster answers as one server that never moves them."""
import random
import threading
import time

from cases import case
from lab import RespError, encode, wait_until
from lab.append_only import kill_written
from lab.clusters import info, key_in, lines, make_cluster, my_id, wait_agreed
from lab.migrating import jobs

OURS = ("ours",)
OVER = ("success", "failed", "cancelled")
SLOTS = (20, 21, 22, 30)
DATABASES = (0, 1, 15)
TYPES = "silhz"
LONG_MS = 2**42  # Unix time: what is relative to now is another one at each server


# ---- one request ----

def of_strings(rng, at):
    v = rng.randrange(10**6)
    return rng.choice([
        ("SET", at("s"), "v%d" % v), ("SET", at("s"), v, "PXAT", LONG_MS), ("SET", at("s"), v, "NX"),
        ("SET", at("s"), "big" * rng.choice([10, 30000])), ("GET", at("s")), ("GETDEL", at("s")),
        ("APPEND", at("s"), "x%d" % v), ("INCRBY", at("i"), v), ("DECR", at("i")), ("SETRANGE", at("s"), v % 50, "abc"),
        ("GETEX", at("s"), "PXAT", 2**41), ("GETEX", at("s"), "PERSIST"), ("SETBIT", at("s"), v % 2000, 1),
        ("BITOP", "OR", at("s"), at("s"), at("i")), ("MSET", at("s"), 1, at("i"), 2), ("STRLEN", at("s"))])


def of_others(rng, at):
    v = rng.randrange(10**6)
    return rng.choice([
        ("RPUSH", at("l"), *range(v % 40 + 1)), ("LPUSH", at("l"), "e" * (v % 300)), ("LPOP", at("l")),
        ("LMOVE", at("l"), at("l"), "LEFT", "RIGHT"), ("LTRIM", at("l"), 0, 60), ("LREM", at("l"), 0, v % 40),
        ("LINSERT", at("l"), "BEFORE", v % 40, v), ("LRANGE", at("l"), 0, -1), ("RPOPLPUSH", at("l"), at("l")),
        ("HSET", at("h"), *(w for i in range(v % 30 + 1) for w in ("f%d" % (v % 200 + i), i))),
        ("HDEL", at("h"), "f%d" % (v % 200)), ("HINCRBY", at("h"), "n", v), ("HGET", at("h"), "f%d" % (v % 200)),
        ("ZADD", at("z"), *(w for i in range(v % 30 + 1) for w in (v % 97 + i, "m%d" % (v % 200 + i)))),
        ("ZINCRBY", at("z"), v % 9, "m%d" % (v % 200)), ("ZPOPMIN", at("z")), ("ZRANGE", at("z"), 0, -1, "WITHSCORES"),
        ("ZUNIONSTORE", at("z"), 2, at("z"), at("z")), ("ZRANGESTORE", at("z"), at("z"), 0, 50),
        ("SORT", at("l"), "ALPHA", "STORE", at("l")), ("LLEN", at("l")), ("HLEN", at("h")), ("ZCARD", at("z"))])


def of_keys(rng, at):
    v = rng.randrange(10**6)
    key = at(rng.choice(TYPES))
    return rng.choice([
        ("DEL", key), ("UNLINK", key, at("s")), ("EXISTS", key), ("TYPE", key), ("PERSIST", key),
        ("PEXPIREAT", key, LONG_MS), ("EXPIREAT", key, 2**31), ("EXPIREAT", key, 1), ("EXPIRETIME", key),
        ("RENAME", key, at(key[-2])), ("RENAMENX", key, at(key[-2])), ("COPY", key, at(key[-2]), "REPLACE"),
        ("COPY", key, at(key[-2]), "DB", rng.choice(DATABASES), "REPLACE"), ("MOVE", key, rng.choice(DATABASES)),
        ("TOUCH", key), ("OBJECT", "REFCOUNT", at("none%d" % v))])


def request(rng, tag):
    def at(kind):
        return "%s%s%d" % (tag, kind, rng.randrange(4))
    return rng.choice([of_strings, of_others, of_others, of_keys])(rng, at)


# ---- who asks ----

class Twin:
    """Asks the cluster and the one server the same, and compares what they say."""

    def __init__(self, nodes, stock):
        self.nodes = {node.port: node for node in nodes}
        self.links, self.selected = {}, {}
        self.at = nodes[0].port
        self.stock, self.stock_db = stock.connect(), 0
        self.asked = 0

    def link(self, db):
        if self.at not in self.links:
            self.links[self.at] = self.nodes[self.at].connect(timeout_s=20)
            self.selected[self.at] = 0
        link = self.links[self.at]
        if self.selected[self.at] != db:
            link.ok("SELECT", db)
            self.selected[self.at] = db
        return link

    def follow(self, say):
        """say(link) until no redirect comes back."""
        for _ in range(20):
            reply = say()
            if not isinstance(reply, RespError) or not str(reply).startswith("MOVED "):
                return reply
            self.at = int(str(reply).rsplit(":", 1)[1])
        raise AssertionError("sent back and forth")

    def same(self, db, *words):
        if self.stock_db != db:
            self.stock.ok("SELECT", db)
            self.stock_db = db
        theirs = self.stock.call(*words)
        mine = self.follow(lambda: self.link(db).call(*words))
        assert mine == theirs, (db, words, str(mine)[:200], str(theirs)[:200])
        self.asked += 1

    def unit(self, db, requests):
        """MULTI ... EXEC, with SELECT among them; what is queued may be sent elsewhere."""
        words = [("MULTI",)] + requests + [("EXEC",)]

        def mine():
            link = self.link(db)
            link.send_raw(b"".join(encode(*w) for w in words))
            replies = [link.read() for _ in words]
            moved = [r for r in replies if isinstance(r, RespError) and str(r).startswith("MOVED ")]
            if not moved:
                link.ok("SELECT", db)
            return moved[0] if moved else replies[-1]
        self.stock.ok("SELECT", db)
        self.stock_db = db
        theirs = [self.stock.call(*w) for w in words][-1]
        self.stock.ok("SELECT", db)
        got = self.follow(mine)
        assert got == theirs, (db, requests, str(got)[:300], str(theirs)[:300])
        self.asked += 1

    def served(self, db, key):
        """Somebody waits for a list and is served by a push, on whatever node has it then."""
        self.same(db, "DEL", key)
        waiting = self.nodes[self.at].connect(timeout_s=20)
        waiting.ok("SELECT", db)
        waiting.send_raw(encode("BLPOP", key, 0))
        self.same(db, "RPUSH", key, "one")
        reply = waiting.read()
        if isinstance(reply, RespError):
            assert str(reply).startswith("MOVED "), reply
            reply = self.follow(lambda: self.link(db).call("BLPOP", key, 0))
        assert reply == [key, "one"], reply
        waiting.close()
        self.stock.ok("LPOP", key)
        self.same(db, "EXISTS", key)


class Mover:
    """Moves the slots to and fro from a thread, and now and then calls it off or lets files be rewritten meanwhile."""

    def __init__(self, lab, nodes, seed, disturb=()):
        self.nodes, self.rng, self.disturb = nodes, random.Random(seed), disturb
        self.states, self.error, self.stopping = {}, None, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        lab.on_close(self.halt)
        self.thread.start()

    def move(self):
        one, two = self.nodes
        owners = {r[2][2]: (r[0], r[1]) for r in one.ok("CLUSTER", "SLOTS") if r[0] <= SLOTS[0] <= r[1]}
        source, target = (one, two) if my_id(one) in owners else (two, one)
        before = set(jobs(source))
        reply = source.call("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", SLOTS[0], SLOTS[-1], "NODE", my_id(target))
        if isinstance(reply, RespError):
            time.sleep(0.02)
            return
        name = next(iter(set(jobs(source)) - before))
        for words in self.disturb:
            if self.rng.random() < 0.3:
                self.rng.choice(self.nodes).call(*words)
        if self.rng.random() < 0.2:
            time.sleep(self.rng.random() * 0.1)
            source.call("CLUSTER", "CANCELSLOTMIGRATIONS")
        job = wait_until(lambda: jobs(source)[name]["state"] in OVER and jobs(source)[name], 30, "it is over",
                         every_s=0.01)
        self.states[job["state"]] = self.states.get(job["state"], 0) + 1
        if job["state"] == "failed":
            self.states.setdefault("why", set()).add(job["message"])
        time.sleep(0.05)

    def run(self):
        try:
            while not self.stopping:
                self.move()
        except Exception as e:  # pylint: disable=broad-except
            self.error = e

    def halt(self):
        self.stopping = True
        self.thread.join(30)
        assert self.error is None, self.error


def contents(link, db):
    link.ok("SELECT", db)
    found = {}
    for key in link.ok("KEYS", "*"):
        kind = link.ok("TYPE", key)
        read = {"string": ("GET", key), "list": ("LRANGE", key, 0, -1), "hash": ("HGETALL", key),
                "set": ("SMEMBERS", key), "zset": ("ZRANGE", key, 0, -1, "WITHSCORES")}[kind]
        value = link.ok(*read)
        if kind == "hash":
            value = sorted(zip(value[::2], value[1::2]))
        found[key] = (kind, sorted(value) if kind == "set" else value, link.ok("PEXPIRETIME", key))
    return found


def assert_same_data(nodes, stock):
    mine = [node.connect(timeout_s=20) for node in nodes]
    theirs = stock.connect(timeout_s=20)
    for db in range(16):
        all_mine = {}
        for link in mine:
            part = contents(link, db)
            assert not set(part) & set(all_mine), ("on both", sorted(set(part) & set(all_mine))[:5])
            all_mine.update(part)
        wanted = contents(theirs, db)
        differ = [k for k in set(wanted) | set(all_mine) if wanted.get(k) != all_mine.get(k)]
        assert not differ, (db, len(differ), [(k, str(all_mine.get(k))[:80], str(wanted.get(k))[:80])
                                              for k in differ[:3]])
    for link in (*mine, theirs):
        link.close()


def wait_equal(pairs):
    for master, copy in pairs:
        wait_until(lambda m=master, c=copy: m.ok("DEBUG", "DIGEST") == c.ok("DEBUG", "DIGEST"), 20,
                   "%s is as %s" % (copy.name, master.name))


@case(kinds=OURS, limit_s=120, matrix=[("everysec",), ("always",), ("no",)], sample=1)
def test_as_one_server(lab, fsync):
    """Any requests, while slots go to and fro and are called off: answers, data, replicas and what is loaded again."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    print("seed", seed)
    (one, two), (of_one, of_two) = make_cluster(lab, ["ours", "ours"], [("ours", 0), ("ours", 1)], appendonly="yes",
                                                appendfsync=fsync, cluster_node_timeout=5000,
                                                repl_diskless_sync_delay=0)
    stock = lab.redis("stock").wait_ready()
    twin = Twin([one, two], stock)
    tags = {slot: key_in(slot) for slot in SLOTS}
    for slot in SLOTS:
        for i in range(300):
            twin.same(rng.choice(DATABASES), "SET", "%sfill%d" % (tags[slot], i), "x" * 500)
    mover = Mover(lab, [one, two], seed, [("BGREWRITEAOF",), ("BGSAVE",), ("CLIENT", "PAUSE", 30, "WRITE"),
                                          ("DEBUG", "RELOAD") if fsync == "no" else ("PING",)])
    least, most = time.monotonic() + 8, time.monotonic() + 60
    while mover.error is None and time.monotonic() < most and (
            time.monotonic() < least or mover.states.get("success", 0) < 4):
        tag, db, dice = tags[rng.choice(SLOTS)], rng.choice(DATABASES), rng.random()
        if dice < 0.05:
            requests = [asked for _ in range(4) for asked in
                        ((("SELECT", rng.choice(DATABASES)),) if rng.random() < 0.4 else (request(rng, tag),))]
            twin.unit(db, requests)
        elif dice < 0.06:
            twin.served(db, tag + "l9")
        else:
            twin.same(db, *request(rng, tag))
    mover.halt()
    print("asked", twin.asked, mover.states)
    assert mover.states.get("success", 0) >= 3, mover.states
    wait_agreed([one, two, of_one, of_two])
    assert_same_data([one, two], stock)
    wait_equal([(one, of_one), (two, of_two)])
    for node in (one, two, of_one, of_two):
        kill_written(node) if rng.random() < 0.5 else node.call("BGREWRITEAOF")
        if not node.alive():
            node.start()
            node.wait_ready()
    wait_agreed([one, two, of_one, of_two])
    if fsync == "always":
        assert_same_data([one, two], stock)


def begin_job(source, target, slot):
    """A job that streams; its name. A target that stood still for a moment takes nothing for another one."""
    for node in (source, target):
        node.ok("CONFIG", "SET", "cluster-node-timeout", 4000)  # then it may stand still for a quarter of that
    names = []

    def streams():
        if not names or jobs(source)[names[-1]]["state"] == "failed":
            before = set(jobs(source))
            assert source.ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", my_id(target)) == "OK"
            names.extend(set(jobs(source)) - before)
        assert jobs(source)[names[-1]]["state"] == "streaming", jobs(source)[names[-1]]
        return names[-1]
    return wait_until(streams, 20, "the job streams")


@case(kinds=OURS, limit_s=60)
def test_replica_of_the_target_just_died(lab):
    """One that died a while ago may still come back and be elected, so the hand-over has to wait for it: before writes
    do."""
    (one, two), (copy,) = make_cluster(lab, ["ours", "ours"], [("ours", 1)], repl_diskless_sync_delay=0)
    tag = key_in(SLOTS[0])
    link = one.connect(timeout_s=30)
    link.ok("SET", tag, 0)
    heard = int(info(two)["cluster_stats_messages_received"])
    wait_until(lambda: int(info(two)["cluster_stats_messages_received"]) > heard + 20, 20, "all know what they should")
    copy.kill9()
    wait_until(lambda: any("fail" in words[2].split(",") for words in lines(one).values()), 20, "it has failed")
    name = begin_job(one, two, SLOTS[0])
    longest, until, reply = 0.0, time.monotonic() + 5, None
    while not str(reply).startswith("MOVED "):
        begin = time.monotonic()
        reply = link.call("INCR", tag)
        assert isinstance(reply, int) or str(reply).startswith("MOVED "), reply
        longest = max(longest, time.monotonic() - begin)
        if begin > until and not copy.alive():
            assert jobs(one)[name]["state"] == "streaming", jobs(one)
            copy.start()
            copy.wait_ready()
    assert longest < 2.0, longest
    assert copy.alive(), "it was not waited for"
    wait_equal([(two, copy)])


@case(kinds=OURS, limit_s=60)
def test_replica_of_the_target_does_not_follow(lab):
    """It is there, but lost its link to its master: elected, it would have nothing of what has come. It is waited for,
    and writes go on meanwhile."""
    (one, two), (copy,) = make_cluster(lab, ["ours", "ours"], [("ours", 1)], repl_diskless_sync_delay=0)
    tag = key_in(SLOTS[0])
    link, other = one.connect(timeout_s=30), two.connect()
    assert link.ok("CONFIG", "SET", "masterauth", "secret") == "OK"
    other.ok("CONFIG", "SET", "requirepass", "secret")
    two.password = "secret"
    two.ok("CLIENT", "KILL", "TYPE", "replica")
    wait_until(lambda: copy.info("replication")["master_link_status"] == "down", 20, "it has no link")
    name = begin_job(one, two, SLOTS[0])
    until = time.monotonic() + 3
    while time.monotonic() < until:
        reply = link.call("INCR", tag)
        assert isinstance(reply, int), reply
    count = link.ok("INCR", tag)
    copy.ok("CONFIG", "SET", "masterauth", "secret")
    wait_until(lambda: jobs(one)[name]["state"] == "success", 20, "the slot moves")
    assert two.ok("GET", tag) == str(count)
    wait_equal([(two, copy)])
