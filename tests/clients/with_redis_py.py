#!/usr/bin/python3
"""redis-py: RESP2, its parsed replies, pipelines with WATCH, locks, pub/sub, blocking commands, reconnection."""
import sys
import threading
import time

import redis
import redis.backoff
import redis.retry

PORT, PASSWORD = int(sys.argv[1]), sys.argv[2]


def connect(**more):
    return redis.Redis(**{**dict(host="127.0.0.1", port=PORT, password=PASSWORD, decode_responses=True,
                                 socket_timeout=20), **more})


def show(label, value):
    print("%s: %s" % (label, plain(value)), flush=True)


def plain(value):
    if isinstance(value, set):
        return "{%s}" % ", ".join(sorted(plain(v) for v in value))
    if isinstance(value, dict):
        return "{%s}" % ", ".join(sorted("%s: %s" % (plain(k), plain(v)) for k, v in value.items()))
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(plain(v) for v in value)
    return repr(value)


def outcome(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except redis.RedisError as e:
        return e


def until(condition, what):
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("not in time: " + what)
        time.sleep(0.01)


def section(name):
    print("== " + name, flush=True)


def values(r):
    section("strings")
    show("set", [r.set("k", "v"), r.get("k"), r.get("none"), r.set("k", "w", nx=True),
                 r.set("k", "w", ex=100, get=True), r.setnx("k", 1), r.setex("e", 100, "v"), r.psetex("e", 5000, "v"),
                 r.getset("k", "x")])
    show("many", [r.mset({"a": 1, "b": 2.5}), r.mget("a", "none", "b"), r.msetnx({"a": 1}), r.incr("n"),
                  r.incr("n", 41), r.decr("n", 2), r.incrbyfloat("f", 1.25), r.append("s", "abc"),
                  r.setrange("s", 5, "x"), r.getrange("s", 0, -1), r.strlen("s"), r.getdel("s"), r.getex("a", ex=10),
                  r.persist("a")])
    show("bytes", connect(decode_responses=False).get("k"))
    show("lcs", [r.mset({"l1": "ohmytext", "l2": "mynewtext"}),
                 r.execute_command("LCS", "l1", "l2", "IDX", "WITHMATCHLEN")])
    section("bits")
    show("bits", [r.setbit("bits", 9, 1), r.getbit("bits", 9), r.bitcount("bits"), r.bitcount("bits", 0, 0),
                  r.bitpos("bits", 1), r.bitop("NOT", "not", "bits"),
                  r.bitfield("bf").set("u8", 0, 255).incrby("u8", 0, 1, "SAT").get("i8", 0).execute()])
    section("keys")
    show("keys", [r.exists("a", "b", "none"), r.type("a"), r.expire("a", 100), r.expire("a", 10, gt=True),
                  r.ttl("none"), r.pexpireat("a", 4000000000000), r.expiretime("a"), r.rename("a", "aa"),
                  outcome(r.rename, "none", "x"), r.renamenx("aa", "b"), r.copy("aa", "a"), r.touch("a", "none"),
                  r.unlink("aa"), sorted(r.keys("l*")), r.object("encoding", "a"), r.object("refcount", "l1")])
    payload = connect(decode_responses=False).dump("l1")
    show("dump", [payload, r.restore("again", 0, payload), r.get("again"), outcome(r.restore, "again", 0, payload),
                  r.restore("again", 100000, payload, replace=True)])
    section("lists")
    show("lists", [r.rpush("l", *"abcb"), r.lpush("l", "z"), r.lrange("l", 0, -1), r.lpos("l", "b", rank=-1),
                   r.lpos("l", "b", count=0), r.linsert("l", "before", "a", "y"), r.lrem("l", 1, "b"),
                   r.lset("l", 0, "Z"), r.lindex("l", 0), r.lpop("l"), r.rpop("l", 2), r.lpop("none"),
                   r.lpop("none", 1), r.llen("l"), r.ltrim("l", 0, 0), r.rpoplpush("l", "m"),
                   r.lmove("m", "l", "LEFT", "RIGHT"), r.lmpop(2, "none", "l", direction="LEFT"), r.lpushx("none", 1)])
    section("hashes")
    show("hashes", [r.hset("h", mapping={"f": 1, "g": "two"}), r.hset("h", "i", 3), r.hget("h", "f"), r.hgetall("h"),
                    r.hgetall("none"), r.hmget("h", "f", "x"), r.hincrby("h", "f", 2), r.hincrbyfloat("h", "f", 0.5),
                    r.hexists("h", "f"), r.hlen("h"), r.hsetnx("h", "f", 1), r.hstrlen("h", "g"), sorted(r.hkeys("h")),
                    sorted(r.hvals("h")), len(r.hrandfield("h", 9, withvalues=True)), r.hdel("h", "f", "x")])
    section("sets")
    show("sets", [r.sadd("s1", 1, 2, 3), r.sadd("s2", 2, 3, 4), r.smembers("s1"), r.sismember("s1", 1),
                  r.smismember("s1", [1, 9]), r.scard("s1"), r.sinter("s1", "s2"), r.sunion("s1", "s2"),
                  r.sdiff("s1", "s2"), r.sintercard(2, ["s1", "s2"]), r.sunionstore("s3", "s1", "s2"),
                  r.smove("s1", "s2", 1), r.srem("s2", 4, 9), len(r.spop("s3", 2)), len(r.srandmember("s3", -5)),
                  r.spop("none")])
    section("sorted sets")
    show("zsets", [r.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}), r.zadd("z", {"a": 3}, xx=True, ch=True),
                   r.zadd("z", {"a": 1}, incr=True), r.zscore("z", "a"), r.zscore("z", "x"), r.zmscore("z", ["a", "x"]),
                   r.zincrby("z", 2, "b"), r.zrange("z", 0, -1, withscores=True), r.zrange("z", 0, 0, desc=True),
                   r.zrangebyscore("z", 0, 5, withscores=True), r.zrevrangebyscore("z", "+inf", 0, start=0, num=2),
                   r.zrank("z", "a"), r.zrevrank("z", "x"), r.zcount("z", "(4", "+inf"), r.zcard("z")])
    show("more", [r.zadd("y", {"b": 7}), r.zinter(["z", "y"], withscores=True),
                  r.zunion({"z": 2, "y": 1}, withscores=True), r.zdiff(["z", "y"], withscores=True),
                  r.zunionstore("zu", ["z", "y"], aggregate="MAX"), r.zintercard(2, ["z", "y"]), r.zpopmin("z"),
                  r.zpopmax("z", 2), r.zpopmin("none"), r.zrem("zu", "a", "x"), r.zremrangebyrank("zu", 0, 0),
                  r.zadd("lex", {x: 0 for x in "abcd"}), r.zrangebylex("lex", "[b", "(d"), r.zlexcount("lex", "-", "+"),
                  r.zrangestore("zs", "lex", 0, 1), r.zmpop(1, ["lex"], max=True),
                  len(r.zrandmember("lex", -4, withscores=True))])
    section("sort")
    r.rpush("tosort", 3, 1, 2)
    r.mset({"w_1": 30, "w_2": 20, "w_3": 10})
    show("sort", [r.sort("tosort"), r.sort("tosort", by="w_*", get=["#", "w_*"], groups=True),
                  r.sort("tosort", desc=True, start=0, num=2), r.sort("tosort", store="sorted"),
                  r.sort_ro("tosort", alpha=True)])


def batches(r):
    section("iterators")
    with r.pipeline(transaction=False) as p:
        for i in range(1000):
            p.set("scan:%d" % i, i).hset("sh", "f%d" % i, i).sadd("ss", "m%d" % i).zadd("sz", {"m%d" % i: i / 4})
        p.execute()
    show("scan", len(set(r.scan_iter("scan:*", count=70))))
    show("type", set(r.scan_iter(_type="list")))
    show("others", [len(dict(r.hscan_iter("sh"))), len(set(r.sscan_iter("ss"))),
                    sum(s for _, s in set(r.zscan_iter("sz"))), len(dict(r.hscan_iter("sh", "*9")))])
    section("pipelines")
    with r.pipeline(transaction=False) as p:
        show("mixed", p.set("p", 1).incr("p").lpush("p", 1).get("p").execute(raise_on_error=False))
        for _ in range(20000):
            p.incr("counter")
        show("many", p.execute() == list(range(1, 20001)))
    section("transactions")
    with r.pipeline() as p:
        show("multi", p.set("t", 1).incr("t").hset("th", "f", "v").hgetall("th").execute())
        show("error", outcome(p.set("t", "x").lpush("t", 1).get("t").execute))
        p.watch("t")
        connect().set("t", "other")
        p.multi()
        show("watch", outcome(p.set("t", "mine").execute))
    show("transaction()", r.transaction(lambda p: (p.get("t"), p.multi(), p.set("t", "mine"))[0] and None, "t"))
    show("left", r.get("t"))


def waiting(r):
    section("pub/sub")
    sub = r.pubsub()
    sub.subscribe("news", "other")
    sub.psubscribe("n?ws")
    got = []

    def take(n):
        until(lambda: [got.append(m) for m in [sub.get_message(timeout=0.1)] if m] is not None and len(got) >= n,
              "%d messages" % n)
        out = sorted((m["type"], str(m["pattern"]), m["channel"], str(m["data"])) for m in got)
        got.clear()
        return out
    show("subscribed", take(3))
    show("publish", [r.publish("news", "hello"), r.publish("nobody", "x")])
    show("got", take(2))
    show("pubsub", [sorted(r.pubsub_channels()), r.pubsub_numsub("news", "none"), r.pubsub_numpat()])
    sub.unsubscribe()
    sub.punsubscribe()
    show("unsubscribed", len(take(3)))
    sub.close()
    section("blocking")
    for label, call, release in (
            ("blpop", lambda c: c.blpop(["b1", "b2"], 5), lambda: r.rpush("b2", "v")),
            ("blmove", lambda c: c.blmove("b1", "b3", 5, "LEFT", "RIGHT"), lambda: r.rpush("b1", "v")),
            ("bzpopmin", lambda c: c.bzpopmin("bz", 5), lambda: r.zadd("bz", {"m": 1.5})),
            ("blmpop", lambda c: c.blmpop(5, 1, "b1", direction="LEFT", count=2), lambda: r.rpush("b1", 1, 2, 3)),
            ("brpoplpush", lambda c: c.brpoplpush("b9", "b8", 5), lambda: r.rpush("b9", "x"))):
        answers = []
        thread = threading.Thread(target=lambda call=call, answers=answers: answers.append(outcome(call, connect())))
        thread.start()
        until(lambda: r.info("clients")["blocked_clients"] == 1, "it blocks")
        release()
        thread.join(10)
        show(label, answers)
    show("timeouts", [r.blpop("none", 0.05), r.bzpopmax("none", 0.05), r.brpop("none", 0.05)])
    section("lock")
    lock = r.lock("lock", timeout=20)
    show("lock", [lock.acquire(blocking=False), r.lock("lock").acquire(blocking=False), r.pttl("lock") > 10000])


def server(r):
    section("databases")
    three = connect(db=3)
    show("databases", [three.set("only", "here"), r.get("only"), three.dbsize(), three.move("only", 4), r.swapdb(3, 4),
                       three.get("only"), three.copy("only", "only", destination_db=5),
                       r.info("keyspace")["db5"]["keys"], three.flushdb(), three.flushdb(asynchronous=True),
                       outcome(connect(db=99).ping)])
    section("login")
    show("refused", [outcome(connect(password=None).get, "k"), outcome(connect(password="wrong").get, "k"),
                     outcome(connect(username="nobody").get, "k"), connect(username="default").ping()])
    section("client")
    show("client", [r.client_setname("me"), r.client_getname(), r.client_info()["name"], isinstance(r.client_id(), int),
                    [c["name"] for c in r.client_list() if c["name"]], r.client_no_evict("on"), r.client_pause(20),
                    r.client_unpause(), r.ping(), r.echo("hi"), r.config_get("maxclients"),
                    r.config_set("maxclients", 5000), outcome(r.config_set, "nosuch", 1), r.config_resetstat(),
                    r.slowlog_len() >= 0, r.command_count() > 150, r.command_getkeys("MSET", "a", 1, "b", 2),
                    r.memory_usage("t") > 0, sorted(r.info("server"))[:1], r.info("server")["redis_version"],
                    [type(x).__name__ for x in r.time()], r.role()[0]])
    section("errors")
    for words in (("LPUSH", "t", 1), ("INCR", "l1"), ("NOSUCH", "a", "b c"), ("GET",), ("SET", "k", "v", "EX", -1),
                  ("OBJECT", "NOSUCH", "k"), ("ZADD", "z", "nan", "m"), ("SETBIT", "k", -1, 1), ("SCAN", "x"),
                  ("HELLO", 4), ("EXPIRE", "k", 1, "NX", "XX"), ("LMPOP", 0, "k", "LEFT"), ("GETRANGE", "k", "a", "b")):
        show(" ".join(map(str, words)), outcome(r.execute_command, *words))
    section("reconnect")
    c = connect(db=2, client_name="comes-back", retry_on_error=[redis.ConnectionError], single_connection_client=True,
                retry=redis.retry.Retry(redis.backoff.NoBackoff(), 3))
    c.set("mine", 1)
    r.client_kill_filter(_id=c.client_id())
    show("again", [c.incr("mine"), c.client_getname(), c.client_info()["db"]])


def main():
    r = connect()
    r.flushall()
    values(r)
    batches(r)
    waiting(r)
    server(r)


main()
