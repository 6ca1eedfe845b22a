"""noded over real time and real memory: timeouts, pauses, keys that expire, eviction, an idle process."""
import os
import time

import redis
from cases import case
from lab import Resp, encode, wait_until

CLOCK_S = 0.005  # the node counts in whole milliseconds of another clock


def client(node):
    return redis.Redis(port=node.port, decode_responses=True)


@case(kinds=("ours",))
def test_waiting_ends_in_time(lab):
    """Neither before its time nor long after it, each client for itself. All of them wait before the first has
    waited long enough."""
    node = lab.node("n")
    clients = []
    started = time.monotonic()
    for n in range(20):
        c = node.connect()
        c.send_raw(encode("BLPOP", "list", "%.2f" % (3 - n * 0.02)))
        clients.append((3 - n * 0.02, c))
    wait_until(lambda: node.info("clients")["blocked_clients"] == "20", 15, "all of them wait")
    for timeout_s, c in reversed(clients):
        assert c.read() is None
        took_s = time.monotonic() - started
        assert took_s >= timeout_s - CLOCK_S, (timeout_s, took_s)
        c.sock.close()
    assert time.monotonic() - started < 8
    assert node.info("clients")["blocked_clients"] == "0"


@case(kinds=("ours",))
def test_a_pause_holds_writes_back(lab):
    node = lab.node("n")
    with node.connect() as writer, node.connect() as reader:
        reader.ok("SET", "key", "old")
        started = time.monotonic()
        reader.ok("CLIENT", "PAUSE", "2000", "WRITE")
        writer.send_raw(encode("SET", "key", "new") + encode("GET", "key"))
        assert reader.ok("GET", "key") == "old"
        assert writer.read() == "OK" and writer.read() == "new"
        assert time.monotonic() - started >= 2 - CLOCK_S
        # A pause of all ends by itself; UNPAUSE ends one of writes at once.
        reader.ok("CLIENT", "PAUSE", "60000", "WRITE")
        writer.send_raw(encode("SET", "key", "newer"))
        assert reader.ok("GET", "key") == "new"
        reader.ok("CLIENT", "UNPAUSE")
        assert writer.read() == "OK"
        started = time.monotonic()
        reader.ok("CLIENT", "PAUSE", "300", "ALL")
        assert writer.ok("PING") == "PONG"
        assert time.monotonic() - started >= 0.3 - CLOCK_S


@case(kinds=("ours",))
def test_keys_expire_although_nobody_asks(lab):
    """Thousands with an expiry go soon after their time, are told as events, and leave the others alone."""
    node = lab.node("n", notify_keyspace_events="Ex")
    r = client(node)
    events = r.pubsub()
    events.psubscribe("__keyevent@*__:expired")
    pipe = r.pipeline(transaction=False)
    for n in range(5000):
        pipe.set("soon:%d" % n, "x", px=200 + n % 300)
        pipe.set("late:%d" % n, "x", ex=1000)
    pipe.execute()
    wait_until(lambda: r.dbsize() == 5000, 20, "those whose time is over are gone")
    told = set()

    def all_told():
        while True:
            message = events.get_message(ignore_subscribe_messages=True, timeout=0)
            if message is None:
                return len(told) == 5000
            told.add(message["data"])
    wait_until(all_told, 20, "each was told")
    assert told == {"soon:%d" % n for n in range(5000)}
    assert r.info("stats")["expired_keys"] == 5000
    info = r.info("keyspace")["db0"]
    assert info["keys"] == info["expires"] == 5000
    assert 900_000 < r.pttl("late:0") <= 1_000_000


def cpu_s(node):
    with open("/proc/%d/stat" % node.proc.pid, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@case(kinds=("ours",))
def test_an_idle_node_sleeps(lab):
    """Also with many databases and with keys that expire much later."""
    node = lab.node("n", databases=16384)
    r = client(node)
    pipe = r.pipeline(transaction=False)
    for n in range(20000):
        pipe.set("key:%d" % n, "x", ex=10000)
    pipe.execute()
    r.close()

    def sleeps():
        before = cpu_s(node)
        time.sleep(1)
        return cpu_s(node) - before <= 0.01
    wait_until(sleeps, 30, "a second with next to no work", every_s=0)
    with node.connect() as c:
        c.ok("SET", "short", "x", "PX", "300")
    wait_until(lambda: node.info("stats")["expired_keys"] == "1", 15, "it wakes for the one that expires")


@case(kinds=("ours",), matrix=[("allkeys-lru",), ("allkeys-lfu",), ("allkeys-random",), ("volatile-lru",),
                               ("volatile-ttl",), ("volatile-random",), ("noeviction",)])
def test_memory_stays_within_its_limit(lab, policy):
    """More is written than fits; nothing that may not go is gone, and what is used stays near the limit."""
    node = lab.node("n", maxmemory_policy=policy)
    r = client(node)
    for n in range(50):
        r.set("stays:%d" % n, "x" * 1000)
    used = r.info("memory")["used_memory"]
    limit = used + 5_000_000
    r.config_set("maxmemory", limit)
    refused = 0
    for batch in range(50):
        pipe = r.pipeline(transaction=False)
        for n in range(400):
            pipe.set("k:%d:%d" % (batch, n), "y" * 1000, ex=10000 + n)
        refused += sum(isinstance(x, redis.ResponseError) for x in pipe.execute(raise_on_error=False))
    # A node that is let wait for a processor makes room in pieces, and some of them after the answers.
    wait_until(lambda: r.info("memory")["used_memory"] <= limit + 200_000, 10, "no more is used than may be")
    stats = r.info("stats")
    assert r.dbsize() > 3000
    if policy == "noeviction":
        assert refused > 10000 and stats["evicted_keys"] == 0
        try:
            r.set("one", "more")
        except redis.ResponseError as e:
            assert str(e) == "OOM command not allowed when used memory > 'maxmemory'.", e
        else:
            assert False, "it was taken"
        assert r.delete("k:0:0") == 1
    else:
        assert refused == 0 and stats["evicted_keys"] > 10000, (refused, stats["evicted_keys"])
    if not policy.startswith("allkeys"):
        assert r.exists(*["stays:%d" % n for n in range(50)]) == 50
    # A limit that is made smaller acts although nobody writes.
    if policy != "noeviction":
        r.config_set("maxmemory", used + 2_000_000)
        wait_until(lambda: r.info("memory")["used_memory"] <= used + 2_100_000, 20, "the node has made room")


@case(kinds=("ours",))
def test_watchers_and_waiters_of_other_databases(lab):
    """SWAPDB under the eyes of clients that watch and wait, over real connections."""
    node = lab.node("n")
    with node.connect() as a, node.connect() as b, Resp(node.port) as c:
        a.ok("WATCH", "key")
        b.send_raw(encode("BLPOP", "list", "0"))
        c.ok("SELECT", "1")
        c.ok("MSET", "key", "1")
        c.ok("RPUSH", "list", "x", "y")
        a.ok("MULTI")
        a.ok("SET", "mine", "1")
        c.ok("SWAPDB", "0", "1")
        assert b.read() == ["list", "x"]
        assert a.call("EXEC") is None
        assert b.ok("LRANGE", "list", "0", "-1") == ["y"]
