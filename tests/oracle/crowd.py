#!/usr/bin/python3
"""Many clients at once against redis-server and noded: transactions with WATCH, blocking, channels, events, databases.

One command after the other is sent by a client of chance on both servers; after each the output of every client is
compared: who is served, in which order, what is published. Commands are few keys wide, so that clients meet.
"""
import argparse
import io
import os
import random
import re
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from oracle import ROOT, Server  # noqa: E402
from resp import Connection  # noqa: E402
from words import Pools, Template, spoil  # noqa: E402

# Times of expiry are those of the clock: what counts from now would differ by the time between the two servers.
TEMPLATES = """
BLPOP <l> 0
BRPOP <l> 0
BZPOPMAX <z> 0
BZMPOP 0 1 <z> (MIN|MAX) ?(COUNT 2)
RPUSH <l> ...<mem>
RPUSH <l> ...<mem>
LPUSH <l> ...<mem>
LPUSHX <l> <mem>
ZADD <z> ...(<score> <mem>)
ZADD <z> ...(<score> <mem>)
ZADD <l> 1 <mem>
LMOVE <l> <l> LEFT RIGHT
LPOP <l>
ZPOPMIN <z> 5
MULTI
MULTI
EXEC
EXEC
EXEC
DISCARD
WATCH ...<any>
UNWATCH
SUBSCRIBE ...<channel>
PSUBSCRIBE <pattern>
SSUBSCRIBE <channel>
UNSUBSCRIBE <channel>
PUNSUBSCRIBE <pattern>
SUNSUBSCRIBE <channel>
PUBLISH <channel> <mem>
SPUBLISH <channel> <mem>
PUBSUB NUMSUB a b c
PUBSUB SHARDNUMSUB a b c
PUBSUB NUMPAT
SELECT <near>
SELECT <near>
MOVE <any> <near>
COPY <any> <any> ?(DB <near>) ?REPLACE
RENAME <any> <any>
RENAMENX <any> <any>
SORT <l> ALPHA STORE <l>
ZUNIONSTORE <z> 2 <z> <z>
FLUSHDB
FLUSHALL ?ASYNC
DEL ...<any>
UNLINK <any>
SET <s> <val> ?(PXAT 1|EXAT 9000000000)
SET <l> <val>
GET <s>
INCR <s>
LLEN <l>
EXPIREAT <any> (9000000000|9000000001|-1) ?(NX|XX|GT|LT)
PEXPIREAT <any> 1
PERSIST <any>
EXPIRETIME <any>
EXISTS ...<any>
TYPE <any>
DBSIZE
HELLO (2|3)
RESET
CLIENT REPLY (SKIP|OFF|ON)
CLIENT REPLY ON
PING ?<mem>
GET
NOSUCH <val>
"""
# SWAPDB makes keys ready in the order of a hash table, which is each server's own: it goes without what makes the order
# matter, which is waiting for several keys, and requests behind one that waits.
ORDERED = """
BLPOP ...<l> 0
BRPOP ...<l> 0
BLMOVE <l> <l> (LEFT|RIGHT) (LEFT|RIGHT) 0
BLMOVE <l> <l> (LEFT|RIGHT) (LEFT|RIGHT) 0
BRPOPLPUSH <l> <l> 0
BLMPOP 0 2 <l> <l> (LEFT|RIGHT) ?(COUNT 2)
BZPOPMIN ...<z> 0
"""
SWAPPING = """
SWAPDB <near> <near>
SWAPDB <near> <near>
"""
SHOWN = 60  # commands before a difference
CLIENTS = 8
ATTEMPTS = 100  # to see the same of both servers, before it is a difference


class CrowdPools(Pools):
    """Few keys, few channels, few databases."""

    def key(self, letter):
        return b"%s:%d" % (letter.encode(), self.rng.randrange(2))

    def draw(self, name):
        if name == "channel":
            return self.rng.choice([b"a", b"b", b"c"])
        if name == "pattern":
            return self.rng.choice([b"a*", b"[bc]", b"__key*", b"*"])
        if name == "near":
            return self.rng.choice([b"0", b"0", b"1", b"2"])
        if name == "score":
            return b"%d" % self.rng.randint(-3, 3)
        if name == "mem":
            return self.rng.choice([b"a", b"b", b"c", b"foo", b"10", b"x" * 70])
        return super().draw(name)


class Client:
    """One client of one server, whose output is read as far as it has come."""

    def __init__(self, port):
        self.port = port
        self.connection = Connection(port)
        self.id = self.connection.call("CLIENT", "ID")
        self.bytes = b""

    def close(self):
        self.connection.close()

    def arrived(self):
        """All replies and messages that are here; a last one that says the connection was closed."""
        sock = self.connection.socket
        sock.setblocking(False)
        closed = False
        try:
            while True:
                data = sock.recv(1 << 16)
                if not data:
                    closed = True
                    break
                self.bytes += data
        except BlockingIOError:
            pass
        except ConnectionError:
            closed = True
        sock.setblocking(True)
        return closed


def parsed(data):
    """Complete replies at the front of data."""
    reader = Connection.__new__(Connection)
    reader.file = io.BytesIO(data)
    replies = []
    while reader.file.tell() < len(data):
        try:
            replies.append(reader.read())
        except (ConnectionError, ValueError) as e:
            replies.append("unreadable %s: %r" % (e, data))
            break
    return replies


def is_message(reply):
    return isinstance(reply, list) and reply and reply[0] in (b"message", b"pmessage", b"smessage")


LEAVING = (b"unsubscribe", b"punsubscribe", b"sunsubscribe")


def is_farewell(reply):
    return isinstance(reply, list) and len(reply) == 3 and reply[0] in LEAVING


def without_id(data):
    """HELLO shows the number of the connection."""
    return re.sub(rb"(\r\nid\r\n:)\d+", rb"\1", data)


def comparable(data):
    """Messages of several patterns, and channels that are left all at once, come in an order of each server's own."""
    replies = parsed(data)
    farewells = [r for r in replies if is_farewell(r)]
    return ([repr(r) for r in replies if not is_message(r) and not is_farewell(r)],
            sorted(repr(r) for r in replies if is_message(r)), sorted(repr(r[:2]) for r in farewells),
            sorted(r[2] for r in farewells))


def same(a, b):
    """A client that is told of what its own transaction does gets the messages amid the answers, in RESP2 with nothing
    to tell them apart: then the pieces are compared."""
    if a == b or comparable(a) == comparable(b):
        return True
    return b"message\r\n" in a and sorted(a.split(b"\r\n")) == sorted(b.split(b"\r\n"))


class Crowd:
    def __init__(self, seed, servers):
        self.rng = random.Random("crowd/%s" % seed)
        self.pools = CrowdPools(self.rng)
        self.swapping = seed % 2 == 0
        self.waits = [False] * CLIENTS
        texts = TEMPLATES + (SWAPPING if self.swapping else ORDERED)
        self.templates = [Template(t) for t in texts.split("\n") if t]
        self.ports = [s.port for s in servers]
        self.controls = [Connection(p) for p in self.ports]
        self.history = []
        for c in self.controls:
            c.call("FLUSHALL")
            c.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
            c.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
        self.pairs = [[Client(p) for p in self.ports] for _ in range(CLIENTS)]

    def close(self):
        for pair in self.pairs:
            for c in pair:
                c.close()
        for c in self.controls:
            c.call("CONFIG", "SET", "notify-keyspace-events", "")
            c.close()

    def draw(self):
        """A command; leaving all channels at once is left out, because their order is each server's own."""
        while True:
            words = self.rng.choice(self.templates).make(self.pools)
            argv = [w if isinstance(w, bytes) else str(w).encode() for w in words]
            if self.rng.random() < 0.03:
                argv = spoil(argv, self.rng)
            if not argv[0].endswith(b"UNSUBSCRIBE") or len(argv) > 1:
                return argv

    def step(self):
        """Sends one command; returns what differs, or None."""
        at = self.rng.randrange(CLIENTS)
        if self.rng.random() < 0.03:
            return self.control(at)
        if self.swapping and self.waits[at]:
            return None
        argv = self.draw()
        self.history.append((at, argv))
        self.waits[at] = argv[0][:1] == b"B"
        for c in self.pairs[at]:
            c.connection.send(argv)
        return self.settle()

    def control(self, at):
        """What comes from outside: a client is unblocked, killed, or goes away."""
        how = self.rng.choice(["UNBLOCK", "UNBLOCK ERROR", "UNBLOCK TIMEOUT", "KILL", "away"])
        self.history.append((at, how))
        if how == "away":
            for i, c in enumerate(self.pairs[at]):
                c.close()
                self.pairs[at][i] = Client(self.ports[i])
            self.waits[at] = False
            return self.settle()
        answers = []
        for control, c in zip(self.controls, self.pairs[at]):
            words = how.split(" ")
            command = ["CLIENT", "KILL", "ID", c.id] if how == "KILL" else ["CLIENT", words[0], c.id] + words[1:]
            answers.append(control.call(*command))
        if answers[0] != answers[1]:
            return "control: redis %r, noded %r" % tuple(answers)
        return self.settle()

    def settle(self):
        """Reads what has come of the last command. A client that waited may have more requests behind it, and those
        may serve others: a server may need a few of its loops for all of it."""
        for attempt in range(ATTEMPTS):
            for control in self.controls:
                control.call("PING")
            if attempt == 0:
                continue
            closed = [[c.arrived() for c in pair] for pair in self.pairs]
            if all(c[0] == c[1] and same(*(without_id(x.bytes) for x in pair))
                   for c, pair in zip(closed, self.pairs)):
                break
            if attempt > ATTEMPTS // 2:
                time.sleep(0.002)
        for i, pair in enumerate(self.pairs):
            data = [without_id(c.bytes) for c in pair]
            for c in pair:
                c.bytes = b""
            if closed[i][0] != closed[i][1]:
                return "client %d: closed by redis %r, by noded %r" % (i, *closed[i])
            if not same(*data):
                return "client %d\n    redis: %r\n    noded: %r" % (i, *data)
            if closed[i][0] or any(not is_message(r) for r in parsed(data[0])):
                self.waits[i] = False
            if closed[i][0]:
                for j, c in enumerate(pair):
                    c.close()
                    pair[j] = Client(self.ports[j])
        return None

    def digests(self):
        a, b = (c.call("DEBUG", "DIGEST") for c in self.controls)
        return None if a == b else "the datasets differ"

    def run(self, steps):
        for n in range(steps):
            difference = self.step() or (self.digests() if n % 50 == 49 else None)
            if difference:
                print("DIFFERENCE at step %d: %s" % (n, difference))
                for at, argv in self.history[-SHOWN:]:
                    print("    %d: %r" % (at, argv))
                return False
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000, help="commands of a run (default 3000)")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noded", default=os.environ.get("NODED", os.path.join(ROOT, "build", "noded")))
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="noded-crowd-")
    servers = []
    passed = failed = 0
    try:
        servers.append(Server(["redis-server"], os.path.join(folder, "redis")))
        servers.append(Server([args.noded], os.path.join(folder, "noded")))
        for seed in range(args.seed, args.seed + args.runs):
            crowd = Crowd(seed, servers)
            ok = crowd.run(args.steps)
            crowd.close()
            print("%s crowd, seed %d: %d commands" % ("ok  " if ok else "FAIL", seed, args.steps), flush=True)
            passed, failed = passed + ok, failed + (not ok)
    finally:
        for s in servers:
            s.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
