"""Random writes of every type into many databases: to fill a server, or to keep it busy from a thread."""
import random
import threading
import time

from .resp import Resp, RespError


def fill(client, rng, keys=300, databases=16):
    """Keys of every type and encoding in each database."""
    for db in range(databases):
        client.ok("SELECT", db)
        for i in range(keys // databases + 1):
            client.ok("SET", "str:%d" % i, "x" * rng.choice([0, 3, 44, 45, 200, 5000]))
            client.ok("SET", "int:%d" % i, rng.randrange(-10**12, 10**12), "EX", 100000)
        client.ok("RPUSH", "list", *range(20))
        client.ok("RPUSH", "longlist", *("item-%d" % n * 9 for n in range(300)))
        client.ok("SADD", "ints", *range(100))
        client.ok("SADD", "words", *("w%d" % n for n in range(rng.choice([5, 300]))))
        client.ok("HSET", "hash", *(x for n in range(rng.choice([5, 300])) for x in ("f%d" % n, "v" * (n % 90))))
        client.ok("ZADD", "zset", *(x for n in range(rng.choice([5, 300])) for x in (n / 3, "m%d" % n)))
        client.ok("PEXPIRE", "hash", 10000000)
    client.ok("SELECT", 0)


def one(rng):
    """One random write."""
    k, v = rng.randrange(40), rng.randrange(10**6)
    return rng.choice([
        lambda: ("SET", "str:%d" % k, "v%d" % v),
        lambda: ("SET", "str:%d" % k, v, "PX", rng.choice([1, 20, 100000])),
        lambda: ("APPEND", "str:%d" % k, "x%d" % v),
        lambda: ("INCRBY", "count:%d" % k, v),
        lambda: ("INCRBYFLOAT", "float:%d" % k, "0.%d" % v),
        lambda: ("SETRANGE", "range:%d" % k, k, "abc"),
        lambda: ("DEL", "str:%d" % k, "l:%d" % k),
        lambda: ("EXPIRE", "z:%d" % k, rng.choice([1, 1000])),
        lambda: ("GETEX", "str:%d" % k, "EX", 1000),
        lambda: ("RPUSH", "l:%d" % k, v, "e" * (v % 300)),
        lambda: ("LPOP", "l:%d" % k),
        lambda: ("LMOVE", "l:%d" % k, "l:%d" % (v % 40), "LEFT", "RIGHT"),
        lambda: ("LTRIM", "l:%d" % k, 0, 50),
        lambda: ("SADD", "s:%d" % k, v % 1000, "m%d" % (v % 50)),
        lambda: ("SPOP", "s:%d" % k, 2),
        lambda: ("SMOVE", "s:%d" % k, "s:%d" % (v % 40), v % 1000),
        lambda: ("SUNIONSTORE", "su:%d" % k, "s:%d" % k, "s:%d" % (v % 40)),
        lambda: ("HSET", "h:%d" % k, "f%d" % (v % 200), v),
        lambda: ("HINCRBYFLOAT", "h:%d" % k, "float", "1.%d" % v),
        lambda: ("HDEL", "h:%d" % k, "f%d" % (v % 200)),
        lambda: ("ZADD", "z:%d" % k, v / 7, "m%d" % (v % 300)),
        lambda: ("ZINCRBY", "z:%d" % k, "0.5", "m%d" % (v % 300)),
        lambda: ("ZPOPMIN", "z:%d" % k),
        lambda: ("ZUNIONSTORE", "zu:%d" % k, 2, "z:%d" % k, "z:%d" % (v % 40)),
        lambda: ("SETBIT", "bits:%d" % k, v % 2000, 1),
        lambda: ("COPY", "str:%d" % k, "copy:%d" % k, "REPLACE"),
        lambda: ("RENAME", "copy:%d" % k, "renamed:%d" % (v % 40)),
        lambda: ("MOVE", "str:%d" % k, v % 16),
        lambda: ("SORT", "s:%d" % k, "ALPHA", "STORE", "sorted:%d" % k),
        lambda: ("SWAPDB", v % 16, k % 16) if v % 50 == 0 else ("PING",),
        lambda: ("FLUSHDB",) if v % 500 == 0 else ("PING",),
        lambda: ("PUBLISH", "channel", v),
    ])()


class RandomWrites:
    """Writes from a thread until it is stopped. Errors of commands (wrong types, no key) are part of it."""

    def __init__(self, lab, server, seed, databases=16, pause_s=0.0, leave_out=()):
        self.leave_out = leave_out  # names of commands that are not sent
        self.port, self.seed, self.databases, self.pause_s = server.port, seed, databases, pause_s
        self.done = 0
        self.error = None
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        lab.on_close(self.halt)
        self.thread.start()

    def run(self):
        rng = random.Random(self.seed)
        try:
            with Resp(self.port, timeout_s=20) as client:
                while not self.stopping:
                    client.ok("SELECT", rng.randrange(self.databases))
                    many = rng.random() < 0.2
                    requests = [one(rng) for _ in range(rng.randrange(1, 6))]
                    requests = [request for request in requests if request[0] not in self.leave_out]
                    if many:
                        client.ok("MULTI")
                    for request in requests:
                        client.call(*request)
                    if many:
                        client.call("EXEC")
                    self.done += len(requests)
                    if self.pause_s:
                        time.sleep(self.pause_s)
        except (OSError, RespError) as e:
            self.error = e

    def halt(self):
        self.stopping = True
        self.thread.join(20)

    def stop(self):
        """Ends the writing; fails if it had failed before."""
        self.halt()
        assert self.error is None, "the writer failed: %r" % self.error
        return self.done
