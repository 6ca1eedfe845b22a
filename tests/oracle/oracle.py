#!/usr/bin/python3
"""Runs the same commands of chance through redis-server and noded and compares every answer.

Both get the same sequence; what differs by nature (order of sets, chance, milliseconds) is compared as what it is.
Every few hundred commands the whole dataset (DEBUG DIGEST), the encodings, and DUMP in both directions are compared
too. A difference is shown with the commands before it that named the same keys.
"""
import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import families  # noqa: E402
from resp import NIL, NIL_ARRAY, Connection, Error, Map, Set  # noqa: E402
from words import Pools, Template, spoil  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BATCH = 50  # commands sent at once
CHECK_EVERY = 6  # batches
KEYS = [b"%c:%d" % (letter, n) for letter in b"slehzx" for n in range(5)]


class Server:
    """A server of its own folder and port, ended with the test."""

    def __init__(self, argv, folder):
        os.makedirs(folder)
        # Held until the end, so that nobody else gets the port before the server has it: beside a socket that does not
        # listen it may be bound once more.
        self.held = socket.socket()
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.held.bind(("127.0.0.1", 0))
        self.port = self.held.getsockname()[1]
        self.log = open(os.path.join(folder, "log"), "wb")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no",
                   "--enable-debug-command", "yes"]
        self.process = subprocess.Popen(argv + options, stdout=self.log, stderr=self.log)
        self.wait_ready(folder)

    def wait_ready(self, folder):
        end = time.monotonic() + 30
        while True:
            try:
                Connection(self.port).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as f:
                        raise SystemExit("a server did not start:\n" + f.read())
                time.sleep(0.01)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.held.close()
        self.log.close()


def name_of(argv):
    first = argv[0].upper().decode("latin1")
    if first in ("OBJECT", "COMMAND") and len(argv) > 1:
        return first + " " + argv[1].upper().decode("latin1")
    return first


def pairs(items):
    return sorted((repr(items[i]), repr(items[i + 1])) for i in range(0, len(items) - 1, 2))


def content(connection, key):
    """A value as it can be read, for people."""
    read = {"string": ["GET", key], "list": ["LRANGE", key, 0, -1], "set": ["SMEMBERS", key], "hash": ["HGETALL", key],
            "zset": ["ZRANGE", key, 0, -1, "WITHSCORES"]}
    kind = connection.call("TYPE", key)
    return [kind, connection.call(*read[kind]) if kind in read else None, connection.call("PTTL", key)]


def shape(reply):
    """Of an answer by chance: how many, and of which kind."""
    if isinstance(reply, list):
        return [type(reply).__name__, len(reply), {type(x).__name__ for x in reply}]
    return type(reply).__name__


def comparable(argv, reply):
    """The reply in a form that must be equal."""
    name = name_of(argv)
    if isinstance(reply, Error) or reply is NIL or reply is NIL_ARRAY:
        return repr(type(reply)) + repr(reply)
    if name.endswith(" HELP"):
        return reply[0]
    if name in families.SHAPE_ONLY or (name == "SORT" and b"BY" in argv and b"LIMIT" in argv):
        return shape(reply)
    if name in families.BY_CHANCE:
        return shape(reply)
    if (name in families.UNORDERED or (name == "SORT" and b"BY" in argv)) and isinstance(reply, list):
        return [type(reply).__name__] + sorted(map(repr, reply))
    if name in families.PAIRS:
        return [type(reply).__name__] + pairs(reply)
    if name in families.SCANS and isinstance(reply, list) and (b"1000" not in argv or b"0" not in argv[1:3]):
        return shape(reply)  # a part of the whole: which one is each server's own
    if name in families.SCANS and isinstance(reply, list):
        items = pairs(reply[1]) if name in ("HSCAN", "ZSCAN") else sorted(map(repr, reply[1]))
        return [reply[0], items]
    if name in ("HELLO", "CLIENT") and isinstance(reply, (list, Map)):
        return shape(reply)
    return reply


def same(argv, a, b):
    name = name_of(argv)
    if name == "OBJECT ENCODING" and a == b"skiplist" and b == b"listpack":
        return True  # redis-server's SORT changes a sorted set that it reads; whatever else does shows in check()
    if name == "CONFIG" and isinstance(a, list) and isinstance(b, list):
        return "*" in repr(argv) or pairs(a) == pairs(b)  # which settings there are is each server's own
    if name in families.TIMES and isinstance(a, int) and isinstance(b, int) and a > 0 and b > 0:
        return abs(a - b) <= families.TIMES[name]
    if isinstance(a, Set) != isinstance(b, Set) or isinstance(a, Map) != isinstance(b, Map):
        return False
    x, y = comparable(argv, a), comparable(argv, b)
    if name == "EXEC" and isinstance(x, list) and isinstance(y, list):
        return len(x) == len(y) and all(repr(p) == repr(q) or (type(p) is type(q) is list and len(p) == len(q))
                                        for p, q in zip(x, y))
    return repr(type(x)) == repr(type(y)) and repr(x) == repr(y)


class Run:
    """One family against both servers."""

    def __init__(self, family, args, stock, ours):
        self.family, self.args = family, args
        self.rng = random.Random("%s/%s" % (args.seed, family))
        self.pools = Pools(self.rng)
        self.templates = [Template(t) for t in families.FAMILIES[family].strip().split("\n")]
        self.servers = (stock, ours)
        self.connections = []
        self.history = []
        self.found = {}
        self.begin()

    def begin(self):
        for c in self.connections:
            c.close()
        self.connections = [Connection(s.port) for s in self.servers]
        self.history = []
        for c in self.connections:
            c.call("CONFIG", "SET", "hash-max-listpack-value", 64, "slowlog-log-slower-than", -1)
            c.call("FLUSHALL")
            c.call("HELLO", self.args.proto)

    def next_command(self):
        argv = self.rng.choice(self.templates).make(self.pools)
        argv = [a if isinstance(a, bytes) else str(a).encode() for a in argv]
        # A spoiled timeout could be "for ever".
        return spoil(argv, self.rng) if self.rng.random() < 0.06 and self.family != "blocking" else argv

    def difference(self, argv, a, b, what=""):
        known = (name_of(argv), what, type(a).__name__, type(b).__name__)
        if known not in self.found:
            keys = {w for w in argv[1:] if w in KEYS}
            before = [c for c in self.history if keys & set(c)][-12:]
            lines = ["DIFFERENCE in %s (seed %s, protocol %d)%s" % (self.family, self.args.seed, self.args.proto,
                                                                 " " + what if what else "")]
            lines += ["    before: %r" % c for c in before]
            lines += ["    command: %r" % argv, "    redis: %.600r" % (a,), "    noded: %.600r" % (b,)]
            self.found[known] = "\n".join(lines)
            print(self.found[known], flush=True)
        self.begin()

    def copy_keys(self, argv):
        """After an answer by chance both hold the same again: redis's values go to noded."""
        for key in {w for w in argv[1:] if w in KEYS} | set(argv[1:2]):
            payload = self.connections[0].call("DUMP", key)
            ttl = self.connections[0].call("PTTL", key)
            if payload is NIL:
                self.connections[1].call("DEL", key)
            else:
                answers = [c.call("RESTORE", key, max(ttl, 0), payload, "REPLACE") for c in self.connections]
                if isinstance(answers[1], Error):
                    return self.difference([b"RESTORE", key, payload], *answers)
        return None

    def one_by_one(self, batch):
        for argv in batch:
            a, b = (c.call(*argv) for c in self.connections)
            self.history.append(argv)
            if not same(argv, a, b):
                return self.difference(argv, a, b)
            if name_of(argv) in families.BY_CHANCE:
                self.copy_keys(argv)
        return None

    def batch(self):
        commands = [self.next_command() for _ in range(BATCH)]
        if any(name_of(c) in families.BY_CHANCE for c in commands):
            return self.one_by_one(commands)
        for c in self.connections:
            c.send(*commands)
        replies = []
        for c in self.connections:
            try:
                replies.append([c.read() for _ in commands])
            except (OSError, ValueError) as e:
                raise SystemExit("%s: %s after %r" % (self.family, e, commands[-5:])) from e
        for argv, a, b in zip(commands, *replies):
            self.history.append(argv)
            if not same(argv, a, b):
                return self.difference(argv, a, b)
        return None

    def check(self):
        """The whole dataset, encodings, and that each reads what the other writes."""
        for c in self.connections:
            c.call("DISCARD")
            c.call("UNWATCH")
            c.call("SELECT", 0)
        a, b = (c.call("DEBUG", "DIGEST") for c in self.connections)
        if a != b:
            for key in KEYS:
                x, y = (c.call("DEBUG", "DIGEST-VALUE", key) for c in self.connections)
                if x != y:
                    x, y = (content(c, key) for c in self.connections)
                    return self.difference([b"DEBUG", b"DIGEST-VALUE", key], x, y, "the values differ")
            return self.difference([b"DEBUG", b"DIGEST"], a, b, "the datasets differ")
        for key in KEYS:
            x, y = (c.call("OBJECT", "ENCODING", key) for c in self.connections)
            if x != y and not (self.family == "generic" and x == b"skiplist" and y == b"listpack"):  # SORT's doing
                return self.difference([b"OBJECT", b"ENCODING", key], x, y)
        key = self.rng.choice(KEYS)
        for source, target in (self.connections, self.connections[::-1]):
            payload = source.call("DUMP", key)
            if payload is NIL:
                continue
            answer = target.call("RESTORE", b"copy", 0, payload, "REPLACE")
            x, y = source.call("DEBUG", "DIGEST-VALUE", key), target.call("DEBUG", "DIGEST-VALUE", b"copy")
            encodings = source.call("OBJECT", "ENCODING", key), target.call("OBJECT", "ENCODING", b"copy")
            ttl = source.call("PTTL", key)
            target.call("DEL", b"copy")
            if answer != "OK" or (x != y and ttl < 0):
                return self.difference([b"RESTORE", key, payload], x, answer if answer != "OK" else y, "after DUMP")
            if encodings[0] != encodings[1] and encodings[0] not in (b"raw", b"embstr", b"hashtable", b"skiplist"):
                return self.difference([b"OBJECT", b"ENCODING", key], *encodings, "after DUMP and RESTORE")
        return None

    def run(self):
        count = self.args.commands * families.SHARE.get(self.family, 1)
        for n in range(max(1, int(count / BATCH))):
            self.batch()
            if n % CHECK_EVERY == CHECK_EVERY - 1:
                self.check()
        self.check()
        for c in self.connections:
            c.close()
        return len(self.found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", help="of: " + " ".join(families.FAMILIES))
    parser.add_argument("--commands", type=int, default=5000, help="for each family and protocol (default 5000)")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--noded", default=os.environ.get("NODED", os.path.join(ROOT, "build", "noded")))
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="noded-oracle-")
    servers = []
    passed = failed = 0
    try:
        servers.append(Server(["redis-server"], os.path.join(folder, "redis")))
        servers.append(Server([args.noded], os.path.join(folder, "noded")))
        for family in args.families or families.FAMILIES:
            for proto in (2, 3):
                args.proto = proto
                started = time.monotonic()
                found = Run(family, args, *servers).run()
                seconds = time.monotonic() - started
                print("%s %s, RESP%d, %.1f s" % ("FAIL" if found else "ok  ", family, proto, seconds), flush=True)
                passed, failed = passed + (found == 0), failed + (found > 0)
    finally:
        for s in servers:
            s.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
