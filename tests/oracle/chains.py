#!/usr/bin/python3
"""Chains of three servers, redis-server and noded in turn, whose links are cut at moments of chance while commands of
chance run at the head: in the end all hold the same, at the same offset, and after the first synchronization none was
needed in full.
"""
import argparse
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import families  # noqa: E402
from oracle import BATCH, ROOT, Server  # noqa: E402
from resp import Connection  # noqa: E402
from words import Pools, Template, spoil  # noqa: E402

CHAINS = (("redis", "noded", "redis"), ("noded", "redis", "noded"), ("noded", "noded", "noded"))
FAMILIES = ("string", "bits", "list", "hash", "set", "zset", "generic", "transaction")
# redis-server does not tell its replicas of a key that BITFIELD made without a change of a bit.
LEFT_OUT = ("BITFIELD ",)
DATABASES = 16
LOADS = ("disabled", "on-empty-db", "swapdb")
SETTLE_S = 60


class Link:
    """What a replica connects to instead of its master. cut() ends what passes through it; the next is let through."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs, self.lock, self.over = [], threading.Lock(), False
        self.cuts = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.over:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                continue
            with self.lock:
                self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pass_on, args=(a, b), daemon=True).start()

    @staticmethod
    def pass_on(a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        self.cuts += len(pairs)
        for pair in pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()

    def close(self):
        self.over = True
        self.listener.close()
        self.cut()


def fields(connection):
    text = connection.call("INFO", "everything").decode()
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def wait(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(0.02)


class Chain:
    def __init__(self, kinds, rng, folder, noded):
        self.kinds, self.rng = kinds, rng
        self.servers, self.links, self.connections = [], [], []
        programs = {"redis": ["redis-server"], "noded": [noded]}
        options = ["--repl-backlog-size", "64mb", "--repl-diskless-sync-delay", "0", "--repl-timeout", "10",
                   "--repl-diskless-sync", rng.choice(("yes", "no")), "--loglevel", "verbose"]
        for number, kind in enumerate(kinds):
            load = ["--repl-diskless-load", rng.choice(LOADS if kind == "noded" else LOADS[::2])]
            server = Server(programs[kind] + options + load, os.path.join(folder, "%d-%s" % (number, kind)))
            self.servers.append(server)
            self.connections.append(Connection(server.port))

    def attach(self):
        for master, replica in zip(self.servers, self.connections[1:]):
            self.links.append(Link(master.port))
            assert replica.call("REPLICAOF", "127.0.0.1", self.links[-1].port) == "OK"
        for number, c in enumerate(self.connections[1:]):
            wait(lambda c=c: fields(c)["master_link_status"] == "up", SETTLE_S, "link %d is up" % number)

    def run(self, seconds):
        """Commands of chance at the head, cuts of chance meanwhile."""
        end = time.monotonic() + seconds
        next_cut = time.monotonic() + self.rng.uniform(0.05, 0.6)
        pools = Pools(self.rng)
        templates = [Template(t) for name in FAMILIES for t in families.FAMILIES[name].strip().split("\n")
                     if not t.startswith(LEFT_OUT)]
        head, count = self.connections[0], 0
        while time.monotonic() < end:
            batch = [["SELECT", self.rng.randrange(DATABASES)]] if self.rng.random() < 0.5 else []
            for _ in range(BATCH):
                argv = [a if isinstance(a, bytes) else str(a).encode() for a in self.rng.choice(templates).make(pools)]
                batch.append(spoil(argv, self.rng) if self.rng.random() < 0.03 else argv)
            head.send(*batch)
            for _ in batch:
                head.read()
            count += len(batch)
            if self.links and time.monotonic() > next_cut:
                self.rng.choice(self.links).cut()
                next_cut = time.monotonic() + self.rng.uniform(0.05, 0.6)
        head.call("DISCARD")
        return count

    def check(self):
        offsets, digests = [], []

        def same():
            offsets[:] = [fields(c)["master_repl_offset"] for c in self.connections]
            digests[:] = [c.call("DEBUG", "DIGEST") for c in self.connections]
            return len(set(offsets)) == 1 and len(set(digests)) == 1

        try:
            wait(same, SETTLE_S, "all hold the same")
        except AssertionError as e:
            raise AssertionError("%s: offsets %s, digests %s%s" % (e, offsets, digests, self.differing_keys())) from e

        def in_part():
            return [int(fields(c)["sync_partial_ok"]) for c in self.connections[:2]]

        if sum(link.cuts for link in self.links) > 0:  # the last of them may have been a moment ago
            wait(lambda: sum(in_part()) > 0, SETTLE_S, "a link that was cut is there again")
        full, partial = [int(fields(c)["sync_full"]) for c in self.connections[:2]], in_part()
        assert full == [1, 1], "synchronized in full %s times, in part %s" % (full, partial)
        return partial

    def differing_keys(self):
        """The first database and key that the head and another hold differently."""
        for db in range(DATABASES):
            for c in self.connections:
                c.call("SELECT", db)
            keys = sorted(set().union(*(c.call("KEYS", "*") for c in self.connections)))
            for key in keys:
                values = [c.call("DEBUG", "DIGEST-VALUE", key) for c in self.connections]
                if any(v != values[0] for v in values):
                    dumps = [[c.call("TYPE", key), c.call("DUMP", key), c.call("PTTL", key)] for c in self.connections]
                    return "; database %d, key %r: %.1500r" % (db, key, dumps)
        return ""

    def stop(self):
        for link in self.links:
            link.close()
        for s in self.servers:
            s.stop()


def run_chain(kinds, seed, args, folder):
    rng = random.Random("%s/%s" % (seed, "-".join(kinds)))
    chain = Chain(kinds, rng, os.path.join(folder, "-".join(kinds) + "-" + seed), args.noded)
    try:
        before = chain.run(0.5) if rng.random() < 0.5 else 0  # there is something to be synchronized, or nothing
        chain.attach()
        count = before + chain.run(args.seconds)
        partial = chain.check()
        cuts = [link.cuts for link in chain.links]
        print("ok   %s, seed %s: %d commands, %s links cut, %s partial" % (
            " -> ".join(kinds), seed, count, cuts, partial), flush=True)
        return True
    except (AssertionError, OSError, ValueError) as e:
        print("FAIL %s, seed %s: %s" % (" -> ".join(kinds), seed, e), flush=True)
        if args.keep:
            print("     its files are in %s" % folder)
        return False
    finally:
        chain.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=4, help="of commands a chain (default 4)")
    parser.add_argument("--runs", type=int, default=1, help="of each chain (default 1)")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--keep", action="store_true", help="leave the servers' folders behind")
    parser.add_argument("--noded", default=os.environ.get("NODED", os.path.join(ROOT, "build", "noded")))
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="noded-chains-")
    passed = failed = 0
    try:
        for number in range(args.runs):
            for kinds in CHAINS:
                ok = run_chain(kinds, "%s.%d" % (args.seed, number), args, folder)
                passed, failed = passed + ok, failed + (not ok)
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
