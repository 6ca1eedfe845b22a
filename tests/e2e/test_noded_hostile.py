"""Clients that mean harm to noded: broken requests, requests without an end, answers that nobody reads. The node stays
the same process, answers others quickly meanwhile, and its memory comes back."""
import os
import random
import socket
import threading
import time

from cases import case
from lab import Closed, Resp, encode, wait_until

OURS = ("ours",)
MB = 1024 * 1024
QUICK_S = 0.25  # the slowest PING but one in a hundred, on a machine that runs other tests too,
BUT = 2  # and but for these, where there are few of them: it may stand still itself
SANITIZED = 6  # times as slow


class Pinger:
    """A well-behaved client beside the others."""

    def __init__(self, node):
        self.node = node
        self.times = []
        self.problem = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            with self.node.connect(timeout_s=20) as client:
                while not self.over.is_set():
                    at = time.monotonic()
                    client.ok("PING")
                    self.times.append(time.monotonic() - at)
                    self.over.wait(0.002)
        except (OSError, AssertionError) as e:
            self.problem = e

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            wait_until(lambda: len(self.times) >= 20 or self.problem is not None, 20, "twenty pings")
        self.over.set()
        self.thread.join(30)
        if kind is not None:
            return
        assert self.problem is None, self.problem
        p99 = sorted(self.times)[min(int(len(self.times) * 0.99), len(self.times) - 1 - BUT)]
        print("%d pings, p99 %.1f ms, longest %.1f ms" % (len(self.times), p99 * 1e3, max(self.times) * 1e3))
        bound = QUICK_S * (SANITIZED if is_sanitized(self.node) else 1)
        assert p99 < bound, "the 99th of 100 pings took %.0f ms" % (p99 * 1e3)


def resident(node):
    with open("/proc/%d/status" % node.pid, encoding="ascii") as f:
        return int(next(line.split()[1] for line in f if line.startswith("VmRSS"))) * 1024


def is_sanitized(node):
    with open("/proc/%d/maps" % node.pid, encoding="ascii") as f:
        return "libasan" in f.read()


def descriptors(node):
    return len(os.listdir("/proc/%d/fd" % node.pid))


def used(node):
    return int(node.info("memory")["used_memory"])


def assert_well(node, pid):
    assert node.alive() and node.pid == pid, "it ended with %s:\n%s" % (node.proc.returncode, node.log()[-2000:])
    assert node.ok("PING") == "PONG"


def clients_left(node):
    """Connections beside the one that asks."""
    return int(node.info("clients")["connected_clients"]) - 1


def closed_at_limit(node):
    return int(node.info("stats")["client_output_buffer_limit_disconnections"])


def send_and_forget(node, data):
    """The first bytes of what it answers to this and to the end of the input."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            got = b""
            while len(got) < MB:
                more = sock.recv(1 << 16)
                if not more:
                    break
                got += more
            return got
        except ConnectionError:
            return b""


@case(kinds=OURS, limit_s=90)
def test_broken_at_every_byte(lab):
    """Each byte of some requests is changed, left out, doubled, and is the last one: an answer or an error comes, the
    connection ends, nothing else happens."""
    node = lab.node("n")
    pid, rng = node.pid, random.Random(41)
    # No command in here does anything to the next round, whatever is made of it.
    request = encode("SET", "key", "value") + encode("HSET", "h", "f", "v") + b"GET key\r\n" + encode("MGET", "a", "b")
    before = descriptors(node)
    with Pinger(node):
        for at in range(len(request)):
            front, byte, rest = request[:at], request[at:at + 1], request[at + 1:]
            other = rng.choice([b"\0", b"\r", b"\n", b"$", b"*", b"-1", b"9" * 12])
            for data in (front, front + rest, front + byte + byte + rest, front + rng.randbytes(1) + rest,
                         front + other + rest):
                got = send_and_forget(node, data)
                assert got == b"" or got[:1] in b"+-$:*", got[:100]
    assert_well(node, pid)
    wait_until(lambda: clients_left(node) == 0, 20, "all of them are gone")
    wait_until(lambda: descriptors(node) <= before, 20, "their descriptors too")


@case(kinds=OURS)
def test_huge_lengths_cost_nothing(lab):
    """A length is a promise, not a reason to take memory: hundreds of clients announce 500 MB each and send little."""
    node = lab.node("n")
    pid, before = node.pid, used(node)
    socks = []
    for announced in (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc", b"*1000000\r\n$3\r\nDEL\r\n",
                      b"*2\r\n$3\r\nGET\r\n$400000000\r\n" + b"x" * 1000, b"*1048576\r\n"):
        for _ in range(100):
            socks.append(socket.create_connection(("127.0.0.1", node.port), timeout=5))
            socks[-1].sendall(announced)
    wait_until(lambda: clients_left(node) == len(socks), 20, "all have come")
    grown = used(node) - before
    assert grown < 40 * MB, "%d bytes for each client" % (grown // len(socks))
    for sock in socks:
        sock.close()
    wait_until(lambda: clients_left(node) == 0, 20, "all are gone")
    wait_until(lambda: used(node) < before + 2 * MB, 20, "the memory is free again")
    assert_well(node, pid)


@case(kinds=OURS)
def test_half_requests_held_for_ever(lab):
    """A thousand clients that each hold half a request, and then bring the other half."""
    node = lab.node("n", maxclients=1200)
    pid = node.pid
    socks = []
    with Pinger(node):
        for i in range(1000):
            sock = socket.create_connection(("127.0.0.1", node.port), timeout=10)
            data = encode("SET", "key:%d" % i, "v" * (i % 300))
            cut = 1 + i % (len(data) - 1)
            sock.sendall(data[:cut])
            socks.append((sock, data[cut:]))
        wait_until(lambda: clients_left(node) >= 1000, 20, "all are there")
        assert node.ok("DBSIZE") == 0
        for sock, rest in reversed(socks):
            sock.sendall(rest)
        for sock, _ in socks:
            assert sock.recv(100) == b"+OK\r\n"
    assert node.ok("DBSIZE") == 1000
    for sock, _ in socks:
        sock.close()
    wait_until(lambda: clients_left(node) == 0, 20, "all are gone")
    assert_well(node, pid)


@case(kinds=OURS)
def test_slow_loris(lab):
    """Two hundred clients that send a byte now and then, for as long as the test likes. With a timeout for idle clients
    they keep their places as long as something comes; those from whom nothing comes lose theirs."""
    node = lab.node("n", timeout=2)
    data = encode("SET", "loris", "x" * 50)
    slow = [socket.create_connection(("127.0.0.1", node.port), timeout=10) for _ in range(200)]
    silent = [Resp(node.port) for _ in range(20)]
    with Pinger(node):
        for at in range(len(data)):
            for sock in slow:
                sock.sendall(data[at:at + 1])
            time.sleep(0.04)  # its slowness is what is tested
        for sock in slow:
            assert sock.recv(100) == b"+OK\r\n"
    for client in silent:
        assert client.read_until_closed(15) == b""
        client.close()
    for sock in slow:
        sock.close()


@case(kinds=OURS, limit_s=90)
def test_asks_and_never_reads(lab):
    """Megabytes of answers to clients that don't read: each is closed at its limit, with a line in the log, and
    takes its memory along."""
    node = lab.node("n", loglevel="verbose",
                    client_output_buffer_limit=["normal", "16mb", "0", "0", "pubsub", "8mb", "2mb", "60"])
    pid = node.pid
    node.ok("SET", "big", b"x" * MB)
    before = used(node)
    with Pinger(node):
        for _ in range(5):
            sock = socket.create_connection(("127.0.0.1", node.port), timeout=10)
            count = closed_at_limit(node)
            try:
                sock.sendall(encode("GET", "big") * 100)
            except ConnectionError:
                pass
            wait_until(lambda n=count: closed_at_limit(node) == n + 1, 20, "it is closed at its limit")
            sock.close()
        with Resp(node.port) as reader:
            reader.ok("SUBSCRIBE", "channel")
            wait_until(lambda: node.ok("PUBLISH", "channel", b"y" * MB) == 0, 20, "the subscriber is closed")
    assert_well(node, pid)
    wait_until(lambda: used(node) < before + 3 * MB, 20, "the memory is free again")
    lines = [line for line in node.log().splitlines() if "output" in line and "limit" in line]
    assert len(lines) >= 6 and all("addr=127.0.0.1:" in line for line in lines), lines[:3] or node.log()[-1500:]


@case(kinds=OURS)
def test_endless_requests(lab):
    """A request that grows and grows is cut off at the query buffer limit; a line without an end much earlier."""
    node = lab.node("n", client_query_buffer_limit="4mb", proto_max_bulk_len="3mb", loglevel="verbose")
    pid, before = node.pid, used(node)
    with Pinger(node):
        for start, more in ((b"*1000000\r\n", b"$1000000\r\n" + b"x" * 1000000 + b"\r\n"), (b"", b"y" * 70000),
                            (b"*1\r\n$", b"1" * 70000), (b"*1\r\n$4000000\r\n", b"z" * 70000)):
            with Resp(node.port, timeout_s=20) as client:
                sent = len(start)
                client.send_raw(start)
                try:
                    while sent < 20 * MB:
                        client.send_raw(more)
                        sent += len(more)
                except Closed:
                    pass
                assert sent < 20 * MB, "%r... was never cut off" % (start or more)[:20]
    assert_well(node, pid)
    wait_until(lambda: used(node) < before + 2 * MB, 20, "the memory is free again")


@case(kinds=OURS, limit_s=90)
def test_a_thousand_at_once(lab):
    """A thousand clients that all work, come and go without saying goodbye."""
    node = lab.node("n", maxclients=2000)
    pid, fds = node.pid, descriptors(node)
    before = resident(node)
    with Pinger(node):
        for turn in range(3):
            socks = [socket.create_connection(("127.0.0.1", node.port), timeout=20) for _ in range(1000)]
            for i, sock in enumerate(socks):
                sock.sendall(encode("INCR", "n") * 10 + encode("LPUSH", "l%d" % i, "x") + encode("BLPOP", "none", 0))
            wait_until(lambda: int(node.info("clients")["blocked_clients"]) == 1000, 20, "all of them block")
            for sock in socks:
                sock.close()
            wait_until(lambda: clients_left(node) <= 1, 20, "all of them are gone")
            assert int(node.ok("GET", "n")) == 10000 * (turn + 1)
    assert_well(node, pid)
    assert node.info("clients")["blocked_clients"] == "0"
    wait_until(lambda: descriptors(node) <= fds, 20, "no descriptor is left")
    node.ok("FLUSHALL")
    node.ok("MEMORY", "PURGE")
    if not is_sanitized(node):  # the address sanitizer keeps what was freed
        wait_until(lambda: resident(node) < before + 12 * MB, 20, "the memory is the system's again")


@case(kinds=OURS)
def test_more_clients_than_places(lab):
    """Those beyond maxclients are told so and cost those inside nothing."""
    node = lab.node("n", maxclients=50)
    pid = node.pid
    with Pinger(node):
        inside = [Resp(node.port) for _ in range(40)]
        for client in inside:
            client.ok("PING")
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
                sock.settimeout(10)
                sock.sendall(encode("PING"))
                first = sock.recv(100)
                assert first in (b"+PONG\r\n", b"-ERR max number of clients reached\r\n"), first
        crowd = [socket.create_connection(("127.0.0.1", node.port), timeout=10) for _ in range(30)]
        refused = sum(sock.recv(100).startswith(b"-ERR max") for sock in crowd[15:])
        assert refused >= 15, refused
        for client in inside:
            client.ok("PING")
            client.close()
        for sock in crowd:
            sock.close()
    assert_well(node, pid)


@case(kinds=OURS)
def test_words_without_sense(lab):
    """Requests that are well formed and say nonsense, in heaps: each has its answer."""
    node = lab.node("n")
    pid, rng = node.pid, random.Random(5)
    words = [b"", b"\0", b"\xff" * 300, b"-1", b"0", b"9223372036854775807", b"1e400", b"nan", b"key", b"*", b"%s%n",
             b"KEYS", b"LIMIT", b"STORE", b"BY", b"(1", b"[a", b"+", b"-", b"GET", b"WITHSCORES", b"COUNT", b"MATCH"]
    # Those that end, stop or wait, or that change where answers go, are tested elsewhere.
    spared = {"shutdown", "debug", "monitor", "client", "subscribe", "psubscribe", "ssubscribe", "blpop", "brpop",
              "blmove", "brpoplpush", "bzpopmin", "bzpopmax", "blmpop", "bzmpop", "multi", "quit", "config", "reset",
              "hello", "auth", "exec", "migrate", "swapdb", "replicaof", "slaveof", "failover", "psync", "sync"}
    with node.connect(timeout_s=20) as client, Pinger(node):
        names = [name for name in client.ok("COMMAND", "LIST") if name not in spared and "|" not in name]
        assert len(names) > 130
        for _ in range(60):
            batch = [encode(name, *(rng.choice(words) for _ in range(rng.randrange(7)))) for name in names]
            client.send_raw(b"".join(batch))
            for _ in batch:
                client.read()
    assert_well(node, pid)


@case(kinds=OURS, limit_s=90)
def test_much_in_store(lab):
    """A client that waits goes on sending. When it may go on, all of it is run in order, but the others do not have to
    wait until it is through."""
    node = lab.node("n")
    pid, many = node.pid, 700000
    with node.connect(timeout_s=60) as victim, node.connect() as other, node.connect() as third:
        # What is asked among them is sent beforehand: the first of them lets it go on.
        third.send_raw(encode("BLPOP", "turn", "0") + encode("INFO", "commandstats"))
        first = encode("BLPOP", "list", "0"), encode("RPUSH", "turn", "v")
        data = b"".join(encode("SET", "k", "%020d" % i) for i in range(1000))
        victim.send_raw(b"".join(first))
        for _ in range(many // 1000):
            victim.send_raw(data)
        size = len(first[1]) + len(data) * many // 1000
        wait_until(lambda: "qbuf=%d " % size in other.ok("CLIENT", "LIST"), 30, "all of it has arrived")
        wait_until(lambda: node.info("clients")["blocked_clients"] == "2", 20, "both wait")
        assert other.ok("RPUSH", "list", "v") == 1
        assert third.read() == ["turn", "v"]
        done = third.read().split("cmdstat_set:calls=")
        assert len(done) == 1 or int(done[1].split(",")[0]) < many, "the others had to wait for all of it"
        assert victim.read() == ["list", "v"] and victim.read() == 1
        for _ in range(many):
            assert victim.read() == "OK"
        assert victim.ok("GET", "k") == "%020d" % 999
    assert_well(node, pid)


@case(kinds=OURS)
def test_a_queue_without_an_end_counts_as_memory(lab):
    """The commands that a transaction has queued count against maxmemory-clients."""
    node = lab.node("n", maxmemory_clients="20mb")
    with node.connect(timeout_s=20) as client:
        client.ok("MULTI")
        try:
            for _ in range(100):
                assert client.call("SET", "k", "v" * MB) == "QUEUED"
        except Closed:
            pass
        else:
            raise AssertionError("100 MB were queued")
    assert node.info("stats")["evicted_clients"] == "1"
