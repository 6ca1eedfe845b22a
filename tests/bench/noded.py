"""noded beside redis-server: requests a second, processor time of a request, bytes of a key, what an idle server needs.

Both serve in turn, in rounds, on the same machine and with the same settings; a ratio is the median of the rounds'
ratios, so that a machine that gets slower or faster meanwhile counts for both.
"""
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import time

from lab import encode

TESTS = ("set", "get", "incr", "lpush", "rpop", "sadd", "hset", "zadd", "mset")
CLIENTS = 50
SETTLE_S = 0.3
KEYS, KEY_BYTES, VALUE_BYTES = 1_000_000, 16, 32
DATABASES = 16
IDLE_S = 10
KINDS = ("ours", "stock")


def rss_bytes(server):
    with open("/proc/%d/status" % server.pid, encoding="ascii") as f:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024


def start(lab, kind, name):
    """The defaults of each, without persistence."""
    if kind == "ours":
        return lab.node(name)
    return lab.redis(name, enable_debug_command="yes").wait_ready()


# ---- requests a second ----

def benchmark(server, test, requests, pipeline, keyspace, threads):
    """One run of redis-benchmark: (requests a second, the server's processor time of a request in microseconds)."""
    argv = ["redis-benchmark", "-p", str(server.port), "-c", str(CLIENTS), "-n", str(requests), "-P", str(pipeline),
            "-t", test, "-q", "--precision", "3"]
    argv += ["-r", str(keyspace)] if keyspace else []
    argv += ["--threads", str(threads)] if threads else []
    before = server.cpu_s()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=300, check=False)
    used = server.cpu_s() - before
    found = re.findall(r"([\d.]+) requests per second", done.stdout)
    assert done.returncode == 0 and found, "redis-benchmark -t %s: %s" % (test, done.stdout[-300:])
    return float(found[-1]), used / requests * 1e6


def measure_speed(lab, args, pipeline, requests):
    """{test: {kind: [(requests a second, us of processor time)]}}"""
    servers = {kind: start(lab, kind, "%s-p%d" % (kind, pipeline)) for kind in KINDS}
    results = {test: {kind: [] for kind in KINDS} for test in TESTS}
    for number in range(args.node_rounds):
        for test in TESTS:
            n = requests // 4 if test == "mset" else requests
            for kind in KINDS if number % 2 == 0 else reversed(KINDS):
                server = servers[kind]
                server.ok("FLUSHALL")
                if test == "rpop":
                    benchmark(server, "lpush", n, 16, args.node_keyspace, args.node_threads)
                results[test][kind].append(benchmark(server, test, n, pipeline, args.node_keyspace, args.node_threads))
        print("noded: pipeline %d, round %d of %d" % (pipeline, number + 1, args.node_rounds), file=sys.stderr,
              flush=True)
    for server in servers.values():
        server.discard()
        server.reap()
    return results


def ratios(results, index):
    """{test: median over the rounds of ours against stock}; index 1: less is better."""
    def one(mine, theirs):
        return theirs / mine if index else mine / theirs
    return {test: statistics.median(one(a[index], b[index]) for a, b in zip(r["ours"], r["stock"]) if a[index] > 0)
            for test, r in results.items()}


def geometric_mean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def report_speed(results, pipeline, mean_target, least_target):
    """Prints the table; returns what was missed."""
    speed, cost = ratios(results, 0), ratios(results, 1)
    missed = []
    print("\npipeline %-3d %14s %14s %7s   %s" % (pipeline, "noded", "redis-server", "ratio",
                                               "server's processor time of a request, ratio"))
    for test in TESTS:
        median = {kind: [statistics.median(r[i] for r in results[test][kind]) for i in (0, 1)] for kind in KINDS}
        verdict = ""
        if least_target and speed[test] < least_target:
            verdict = "  MISSED (>= %.2f)" % least_target
            missed.append("%s, pipeline %d" % (test.upper(), pipeline))
        print("%-12s %12.0f/s %12.0f/s %6.2fx   %5.2f us %5.2f us %5.2fx%s" % (
            test.upper(), median["ours"][0], median["stock"][0], speed[test], median["ours"][1], median["stock"][1],
            cost[test], verdict))
    mean = geometric_mean(speed.values())
    ok = mean >= mean_target
    print("%-12s %31s %6.2fx   %23.2fx  target >= %.2f x %s" % (
        "geom. mean", "", mean, geometric_mean(cost.values()), mean_target, "" if ok else "MISSED"))
    return missed + ([] if ok else ["geometric mean, pipeline %d" % pipeline])


# ---- memory ----

def fill(server, keys, databases):
    """So many keys of 16 bytes with values of 32, dealt out to the databases in turn."""
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.settimeout(60)
    value = b"v" * VALUE_BYTES
    each = keys // databases
    for db in range(databases):
        exchange(sock, encode("SELECT", str(db)), 5)
        for first in range(0, each, 2000):
            batch = range(db * each + first, db * each + min(first + 2000, each))
            exchange(sock, b"".join(encode("SET", b"key:%012d" % i, value) for i in batch), 5 * len(batch))
    sock.close()


def exchange(sock, data, reply_bytes):
    """Sends it and waits for the replies, each +OK."""
    sock.sendall(data)
    got = b""
    while len(got) < reply_bytes:
        more = sock.recv(1 << 20)
        assert more, "the server closed the connection"
        got += more
    assert got == b"+OK\r\n" * (reply_bytes // 5), got[:100]


def measure_bytes(lab, kind, databases):
    server = start(lab, kind, "%s-mem%d" % (kind, databases))
    server.ok("SET", "first", "x")  # the code that is needed is in memory
    server.ok("FLUSHALL")
    before = rss_bytes(server)
    fill(server, KEYS, databases)
    with server.connect() as c:
        count = 0
        for db in range(databases):
            c.ok("SELECT", str(db))
            count += c.ok("DBSIZE")
    assert count == KEYS, count
    time.sleep(SETTLE_S)
    grown = rss_bytes(server) - before
    server.discard()
    server.reap()
    return grown / KEYS


def measure_memory(lab):
    return {"one": {kind: measure_bytes(lab, kind, 1) for kind in KINDS},
            "many": {kind: measure_bytes(lab, kind, DATABASES) for kind in KINDS}}


def report_memory(results):
    missed = []
    print("\n%-50s %10s %14s   target" % ("memory", "noded", "redis-server"))
    one, many = results["one"], results["many"]
    rows = (("bytes a key (%d keys, %d + %d bytes)" % (KEYS, KEY_BYTES, VALUE_BYTES), one, one["ours"] <= 85, "<= 85"),
            ("the same over %d databases" % DATABASES, many, many["ours"] <= one["ours"] * 1.03, "<= 1.03 x one"))
    for title, values, ok, target in rows:
        print("%-50s %10.1f %14.1f   %s%s" % (title, values["ours"], values["stock"], target, "" if ok else "  MISSED"))
        missed += [] if ok else [title]
    return missed


# ---- idle ----

def measure_idle(lab):
    results = {}
    for kind in KINDS:
        server = start(lab, kind, "%s-idle" % kind)
        server.ok("PING")
        time.sleep(3)  # rates of the PING have settled
        before = server.cpu_s()
        time.sleep(IDLE_S)
        results[kind] = (rss_bytes(server) / 2 ** 20, (server.cpu_s() - before) / IDLE_S * 100)
        server.discard()
        server.reap()
    return results


def report_idle(results):
    missed = []
    for index, title, target in ((0, "idle: resident MB", 4.0), (1, "idle: processor, %", 0.1)):
        ok = results["ours"][index] <= target
        print("%-50s %10.2f %14.2f   <= %.1f%s" % (title, results["ours"][index], results["stock"][index], target,
                                                   "" if ok else "  MISSED"))
        missed += [] if ok else [title]
    return missed


# ---- all ----

def measure(lab, args):
    load = os.getloadavg()[0]
    if load > os.cpu_count() / 2:
        print("noded: the load of this machine is %.1f already: requests a second will say little, processor time still"
              " does" % load, file=sys.stderr)
    return {"16": measure_speed(lab, args, 16, args.node_requests),
            "1": measure_speed(lab, args, 1, args.node_requests // 8),
            "memory": measure_memory(lab), "idle": measure_idle(lab)}


def report(results, args):
    missed = report_speed(results["16"], 16, 1.4, None)
    missed += report_speed(results["1"], 1, 1.05, 0.95)
    missed += report_memory(results["memory"])
    missed += report_idle(results["idle"])
    print("\nredis-benchmark, %d clients%s%s, %d rounds in turn; no persistence; each server with its default "
          "settings; %d processors." % (CLIENTS, ", -r %d" % args.node_keyspace if args.node_keyspace else "",
                           ", --threads %d" % args.node_threads if args.node_threads else "", args.node_rounds,
                           os.cpu_count()))
    return missed
