"""The folder of an append-only file, of ours and of redis-server, and what is asked of it."""
import os
import subprocess

from .wait import wait_until


def folder_of(server):
    return os.path.join(server.directory, "appendonlydir")


def manifest_of(server):
    with open(os.path.join(folder_of(server), "appendonly.aof.manifest"), encoding="ascii") as f:
        return [line.split() for line in f]


def files_of(server, kind):
    return [os.path.join(folder_of(server), words[1]) for words in manifest_of(server) if words[5] == kind]


def snapshot_of(folder):
    """Every file with its bytes."""
    seen = {}
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as f:
                seen[os.path.relpath(os.path.join(root, name), folder)] = f.read()
    return seen


def wait_loaded(server, timeout_s=30):
    wait_until(lambda: server.ok("PING") == "PONG", timeout_s, "%s has loaded" % server.name)
    return server


def restart(server):
    server.start()
    return wait_loaded(server)


def kill_written(server):
    """kill -9 when all that it has executed is in the file: unless appendfsync is always, what was executed during a
    flush waits in memory for the end of it."""
    if server.info("persistence")["aof_enabled"] == "1":
        wait_until(lambda: server.info("persistence")["aof_buffer_length"] == "0", 20, "all is written")
    return server.kill9()


def wait_rewritten(server, timeout_s=20):
    def over():
        info = server.info("persistence")
        return info["aof_rewrite_in_progress"] == "0" and info["aof_rewrite_scheduled"] == "0"
    wait_until(over, timeout_s, "no rewrite is under way")
    assert server.info("persistence")["aof_last_bgrewrite_status"] == "ok"


def with_failing_flush(lab, node):
    """fdatasync() of the node, which is not started yet, fails while the file is there whose name is returned."""
    library, switch = lab.path("failing_flush.so"), lab.path("fail")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "failing_flush.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=60)
    sanitizer = "ASAN_OPTIONS=verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")
    node.argv = ["env", "LD_PRELOAD=" + library, "FAILING_FLUSH=" + switch, sanitizer] + node.argv
    return switch


def check_files(server):
    """redis-check-aof takes the whole set."""
    path = os.path.join(folder_of(server), "appendonly.aof.manifest")
    ran = subprocess.run(["redis-check-aof", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                         universal_newlines=True, timeout=60)
    assert ran.returncode == 0 and "All AOF files and manifest are valid" in ran.stdout, ran.stdout[-800:]


def fill(server, rng, count=400):
    """Random writes of every type in several databases, transactions and expiries among them."""
    with server.connect(timeout_s=20) as c:
        for i in range(count):
            if i % 25 == 0:
                c.ok("SELECT", rng.choice((0, 0, 3, 15)))
            key = "k%d" % rng.randrange(60)
            word = "".join(rng.choice("abc\r\n*$19 \x00") for _ in range(rng.choice((0, 1, 5, 80, 3000))))
            n = rng.randrange(100)
            if rng.random() < 0.1:
                c.call("MULTI")
                c.call("SET", "in:" + key, word)
                c.call("INCR", "counter")
                c.call("EXEC")
            c.call(*rng.choice((
                ("SET", "s" + key, word), ("SET", "s" + key, n, "EX", 1000 + n), ("APPEND", "s" + key, word),
                ("RPUSH", "l" + key, word, n, "x"), ("LPOP", "l" + key), ("SADD", "t" + key, word, n),
                ("SADD", "n" + key, n, n + 1), ("SPOP", "t" + key), ("HSET", "h" + key, "f%d" % n, word),
                ("ZADD", "z" + key, n / 7, word), ("ZADD", "z" + key, "inf", "m%d" % n), ("DEL", "s" + key),
                ("PEXPIRE", "h" + key, 900000), ("INCRBYFLOAT", "f" + key, "0.1"), ("SETEX", "e" + key, 5000, word),
                ("SWAPDB", 3, 15), ("COPY", "z" + key, "c" + key, "REPLACE"))))
