"""noded as a program: command line, file, settings at run time, connections and their limits, start and end."""
import os
import re
import signal
import socket
import subprocess
import time

import redis
from cases import case
from lab import Closed, Resp, encode, noded_path, wait_until
from lab.notify_socket import NotifySocket
from lab.supervisors import ROOT, nodectl_path

OK, NOT_STARTED, WRONG = 0, 1, 2


def run(*args, stdin=None, cwd=None):
    return subprocess.run([noded_path(), *[str(a) for a in args]], input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=20,
                          check=False, cwd=cwd)


def both(lab, **options):
    """The same server twice: ours, and the one whose answers decide."""
    ours = lab.node("ours", **options)
    stock = lab.redis("stock", **options).wait_ready()
    return ours, stock


def same(ours, stock, *args):
    """One request to both; the replies are equal byte for byte."""
    mine, theirs = ours.call_raw(*args), stock.call_raw(*args)
    assert mine == theirs, (args, mine, theirs)
    return mine


# ---- command line and file ----

@case(kinds=("ours",))
def test_help_version_check(lab):
    done = run("--help")
    assert done.returncode == OK and done.stderr == "" and done.stdout.startswith("usage: noded [FILE]")
    for name in ("maxmemory-policy", "client-output-buffer-limit", "tcp-keepalive"):
        assert "  --%s " % name in done.stdout
    assert re.match(r"noded \d+\.\d+\.\d+ \(as Redis 7\.0\.15\)$", run("--version").stdout.strip())
    path = lab.path("good.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write('port = 7000; maxmemory = "1gb";\n')
    done = run(path, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (OK, "%s: good\n" % path, ""), done
    assert run("-", "--check", stdin="port = 7000;\n").returncode == OK
    assert run("--check", "--port", "7000").returncode == OK


@case(kinds=("ours",))
def test_wrong_arguments_and_files(lab):
    """Each is told with its place, starts nothing, and exits with 2."""
    path = lab.path("bad.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\nprot = 7000;\nmaxmemory = \"1tb\";\n")
    for args, said in (((path,), ["bad.conf:2: prot: unknown key (did you mean 'port'?)",
                                  "bad.conf:3: maxmemory: argument must be a memory value"]),
                       (("--prot", "1"), ["--prot: unknown option (did you mean '--port'?)"]),
                       (("--port", "x"), ["--port: argument couldn't be parsed into an integer"]),
                       (("--port",), ["--port: wrong number of arguments"]),
                       (("--tls-port", "1"), ["--tls-port: this server cannot do that"]),
                       (("a", "b"), ["unexpected argument 'b'"]),
                       (("/does/not/exist",), ["/does/not/exist cannot be opened"]),
                       ((lab.path(""),), ["is a folder"])):
        done = run(*args)
        assert done.returncode == WRONG and done.stdout == "", (args, done)
        assert all(s in done.stderr for s in said), (args, done.stderr)
    old = lab.path("redis.conf")
    with open(old, "w", encoding="utf-8") as f:
        f.write("port 6379\nsave 900 1\n")
    done = run(old)
    assert done.returncode == WRONG and "nodectl config convert" in done.stderr, done


@case(kinds=("ours",))
def test_what_cannot_start(lab):
    """A port that is taken, a folder that is not there, nowhere to listen: status 1, with the reason."""
    other = lab.node("other")
    for args, said in ((("--port", other.port, "--bind", "127.0.0.1"), "another process listens there"),
                       (("--port", 0), "nowhere to listen"),
                       (("--dir", "/does/not/exist"), "/does/not/exist cannot be entered"),
                       (("--bind", "192.0.2.77", "--port", lab.ports.take()), "this host does not have that address"),
                       (("--logfile", "/does/not/exist"), "cannot be opened")):
        done = run(*args)
        assert done.returncode == NOT_STARTED and said in done.stderr, (args, done)
    # An optional address that this host has not is passed over.
    port = lab.ports.take()
    node = lab.node("optional", port=port, bind=["127.0.0.1", "-192.0.2.77"])
    assert node.ok("CONFIG", "GET", "bind") == ["bind", "127.0.0.1 -192.0.2.77"]


@case(kinds=("ours",))
def test_file_options_and_what_counts(lab):
    """Options count after the file, in either way of writing several words."""
    port = lab.ports.take()
    node = lab.node("n", port=port, config='port = 1; databases = 20; timeout = 7; dir = "%s"; bind = ["127.0.0.1"];\n'
                    % lab.path("n"), client_output_buffer_limit=["normal", "0", "0", "0", "pubsub", "1mb", "2mb", "3"],
                    save="900 1 300 10", timeout="9", extra=["--port=%d" % port])
    with node.connect() as c:
        def get(name):
            return c.ok("CONFIG", "GET", name)[1]
        assert get("databases") == "20" and get("timeout") == "9" and get("save") == "900 1 300 10"
        assert get("client-output-buffer-limit").endswith("pubsub 1048576 2097152 3")
        assert get("dir") == lab.path("n")
        assert c.ok("SELECT", "19") == "OK"
        assert str(c.call("SELECT", "20")) == "ERR DB index is out of range"


# ---- CONFIG ----

# What differs on purpose: ours shows another default, or does not take what stock takes.
OTHER_DEFAULTS = {"port", "dir", "logfile", "pidfile", "daemonize", "bind", "save", "enable-debug-command",
                  "repl-diskless-sync-delay", "repl-ping-replica-period", "repl-ping-slave-period",
                  "repl-diskless-sync", "jemalloc-bg-thread", "cluster-databases"}


@case(kinds=("ours",))
def test_every_setting_of_redis_is_there(lab):
    """CONFIG GET * of both: the same names, and the same defaults but for a few."""
    ours, stock = both(lab)
    mine, theirs = (dict(zip(r[::2], r[1::2])) for r in (s.ok("CONFIG", "GET", "*") for s in (ours, stock)))
    missing = sorted(set(theirs) - set(mine))
    assert not missing, "noded does not know %s" % missing
    assert set(mine) - set(theirs) == {"cluster-databases"}, set(mine) - set(theirs)
    different = {n: (mine[n], theirs[n]) for n in theirs if mine[n] != theirs[n] and n not in OTHER_DEFAULTS}
    assert not different, different


BAD_VALUES = ("abc", "-1", "", "10%", "1000000000000", "99999999999999999999", "5 5", "0", "yes", "1.5mb", " 1")
# Refused here with another reason (no TLS, no file of users), or taken where stock is stricter or looser for reasons of
# its own: sizes beyond 63 bits, a template of ps.
NOT_COMPARED = {"tls-port", "tls-cluster", "tls-replication", "aclfile", "bind", "port", "maxclients", "oom-score-adj",
                "proc-title-template", "appendonly", "save", "requirepass", "active-defrag-cycle-min", "activedefrag",
                "client-output-buffer-limit", "unixsocketperm", "latency-tracking-info-percentiles",
                "propagation-error-behavior", "maxmemory"}


@case(kinds=("ours",))
def test_config_set_answers_as_redis_does(lab):
    """Every setting with every bad or odd value: the same error, or the same value afterwards."""
    ours, stock = both(lab, enable_protected_configs="no")
    with ours.connect() as a, stock.connect() as b:
        for name in sorted(set(b.ok("CONFIG", "GET", "*")[::2]) - NOT_COMPARED):
            before = b.ok("CONFIG", "GET", name)[1]
            for value in BAD_VALUES:
                if value == "99999999999999999999" and name in ("cluster-link-sendbuf-limit", "maxmemory-clients"):
                    continue  # taken there although it does not fit into 63 bits
                mine, theirs = (c.call("CONFIG", "SET", name, value) for c in (a, b))
                assert str(mine) == str(theirs), (name, value, mine, theirs)
                if name not in OTHER_DEFAULTS:
                    same(a, b, "CONFIG", "GET", name)
            for c in (a, b):
                c.call("CONFIG", "SET", name, before)


@case(kinds=("ours",))
def test_config_command(lab):
    ours, stock = both(lab)
    with ours.connect() as a, stock.connect() as b:
        for args in (("GET",), ("SET", "a"), ("SET", "a", "b", "c"), ("FOO",), ("RESETSTAT", "x"),
                     ("SET", "nosuch", "1"), ("SET", "timeout", "5", "timeout", "6"),
                     ("SET", "timeout", "5", "hz", "50", "nosuch", "1"), ("SET", "timeout", "3", "slave-priority", "x"),
                     ("GET", "timeout"), ("SET", "slave-priority", "5", "replica-priority", "6"),
                     ("GET", "slave-priority"), ("SET", "TIMEOUT", "5"), ("GET", "TIMEO*"), ("GET", "nosuch"),
                     ("SET", "timeout", "6", "databases", "5"), ("SET", "databases", "5", "nosuch", "6"),
                     ("SET", "timeout", "7", "dir", "/tmp"), ("GET", "timeout"), ("RESETSTAT",),
                     ("SET", "maxmemory", "5mb", "maxmemory-policy", "allkeys-lru", "maxmemory-samples", "7"),
                     ("GET", "maxmemory"), ("GET", "maxmemory-policy"), ("SET", "notify-keyspace-events", "KA"),
                     ("GET", "notify-keyspace-events"), ("REWRITE", "x"), ("HELP", "x"), ("SET", "maxmemory", "0")):
            same(a, b, "CONFIG", *args)
        assert str(a.call("CONFIG", "REWRITE")) == "ERR The server is running without a config file"
        assert a.ok("CONFIG", "HELP")[0].startswith("CONFIG <subcommand>")
        for c in (a, b):
            c.ok("HELLO", "3")
        same(a, b, "CONFIG", "GET", "timeout")
        assert a.ok("CONFIG", "GET", "maxmemory*", "timeout")["timeout"] == "5"


@case(kinds=("ours",))
def test_config_set_is_all_or_nothing(lab):
    """A port that is taken takes everything back that was set before it, and what was followed already."""
    ours, other = lab.node("ours"), lab.node("other")
    with ours.connect() as c:
        reply = c.call("CONFIG", "SET", "timeout", "77", "loglevel", "debug", "port", str(other.port))
        assert str(reply) == ("ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this "
                              "port. Check server logs."), reply
        assert c.ok("CONFIG", "GET", "timeout")[1] == "0" and c.ok("CONFIG", "GET", "loglevel")[1] == "notice"
        assert c.ok("CONFIG", "GET", "port")[1] == str(ours.port)
        assert ours.ok("PING") == "PONG"
        moved = lab.ports.take()
        assert c.ok("CONFIG", "SET", "port", str(moved)) == "OK"
        assert c.ok("PING") == "PONG", "connections stay"
    with Resp(moved) as c:
        assert c.ok("PING") == "PONG"
        assert str(c.call("CONFIG", "SET", "bind", "192.0.2.77")) == \
            "ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses."
        assert c.ok("CONFIG", "GET", "bind")[1] == "127.0.0.1"
    with Resp(moved) as c:
        assert c.ok("PING") == "PONG"
    try:
        Resp(ours.port).close()
        raise AssertionError("the old port is still listened on")
    except ConnectionRefusedError:
        pass


@case(kinds=("ours",))
def test_config_rewrite(lab):
    """Comments and order stay, changed values stand in their place, the rest follows; and a node starts with it."""
    port = lab.ports.take()
    text = ('# ours\nport = %d; // the port\nbind = [ "127.0.0.1" ];\ndir = "%s";\n/* limits */ maxmemory = "1gb";\n'
            'timeout = 5;\n' % (port, lab.path("n")))
    node = lab.node("n", port=port, config=text)
    assert node.ok("CONFIG", "REWRITE") == "OK"
    with open(node.conf_path, encoding="utf-8") as f:
        assert f.read() == text, "nothing has changed"
    assert node.ok("CONFIG", "SET", "maxmemory", "100mb", "hash-max-listpack-entries", "7", "requirepass", 'a "b" \\c') \
        == "OK"
    node.password = 'a "b" \\c'
    assert node.ok("CONFIG", "REWRITE") == "OK"
    with open(node.conf_path, encoding="utf-8") as f:
        written = f.read()
    assert written == text.replace("1gb", "100mb") + \
        '\n# Written by CONFIG REWRITE:\nhash_max_listpack_entries = 7;\nrequirepass = "a \\"b\\" \\\\c";\n', written
    assert node.terminate() == 0
    node.start()
    node.wait_ready()
    assert node.ok("CONFIG", "GET", "hash-max-listpack-entries")[1] == "7"
    assert node.ok("CONFIG", "GET", "maxmemory")[1] == str(100 << 20)
    # A folder in which nothing can be written, and a file that somebody broke.
    if os.getuid() != 0:
        os.chmod(lab.path("n"), 0o500)
        assert "Rewriting config file: " in str(node.call("CONFIG", "REWRITE"))
        os.chmod(lab.path("n"), 0o700)
    with open(node.conf_path, "a", encoding="utf-8") as f:
        f.write("broken\n")
    assert str(node.call("CONFIG", "REWRITE")).startswith("ERR Rewriting config file: the file is not good any more")


@case(kinds=("ours",))
def test_converted_redis_conf_starts(lab):
    """What nodectl config convert writes of Debian's redis.conf, noded reads."""
    done = subprocess.run([nodectl_path(), "config", "convert", "--to", "noded", "/etc/redis/redis.conf"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=20, check=False)
    assert done.returncode == 0 and done.stderr == "", done
    path = lab.path("noded.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(done.stdout)
    checked = run(path, "--check")
    assert checked.returncode == OK, (checked, done.stdout)


@case(kinds=("ours",))
def test_a_whole_redis_conf_is_taken_over(lab):
    """Every setting of a running server as a redis.conf, converted: noded shows the same values."""
    stock = lab.redis("stock", tcp_keepalive="77", maxmemory="123mb", notify_keyspace_events="Kg$",
                      client_output_buffer_limit="pubsub 5mb 1mb 9", hash_max_listpack_entries="99").wait_ready()
    flat = stock.ok("CONFIG", "GET", "*")
    values = dict(zip(flat[::2], flat[1::2]))
    # Places of this run; what is off or empty has no line in a file; older names stand beside the newer ones.
    left_out = {"port", "bind", "dir", "logfile", "pidfile", "daemonize", "aof-disable-auto-gc"}
    several = {"client-output-buffer-limit", "latency-tracking-info-percentiles", "oom-score-adj-values"}
    path, converted = lab.path("redis.conf"), lab.path("noded.conf")
    with open(path, "w", encoding="utf-8") as f:
        for name, value in values.items():
            if name not in left_out and not re.search("slave|ziplist|lua-time", name):
                f.write("%s %s\n" % (name, value if name in several else '"%s"' % value))
    done = subprocess.run([nodectl_path(), "config", "convert", "--to", "noded", path], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=20,
                          check=False)
    assert done.returncode == 0 and done.stderr == "", done
    port = lab.ports.take()
    with open(converted, "w", encoding="utf-8") as f:
        f.write(done.stdout)
    node = lab.node("n", port=port, config=done.stdout, dir=lab.path("n"), bind="127.0.0.1", extra=["--port=%d" % port])
    mine = node.ok("CONFIG", "GET", "*")
    mine = dict(zip(mine[::2], mine[1::2]))
    different = {n: (mine[n], v) for n, v in values.items() if n not in left_out and mine[n] != v}
    assert not different, different


# ---- connections ----

@case(kinds=("ours",))
def test_protocol_errors_are_those_of_redis(lab):
    """Byte for byte, and the connection ends or goes on as there."""
    ours, stock = both(lab)

    def answer(port, data):
        with Resp(port) as c:
            c.send_raw(data + b"PING last\r\nQUIT\r\n")
            return c.read_until_closed()
    for data in (b"*3\r\n$3\r\nSET\r\nfoo\r\n", b"*-5\r\n", b"*99999999999\r\n", b'"abc\r\n', b"*1\r\n$-1\r\n",
                 b"*1\r\n$999999999999\r\n", b"*2147483648\r\n", b"\r\n\r\n", b"GET a b\r\n", b"*0\r\n",
                 b"POST / HTTP/1.1\r\n", b"Host: x\r\n", b"SET 'a b' \"c\\x41\"\r\nGET 'a b'\r\n", b"nosuch a b\r\n",
                 b"*2\r\n$3\r\nGET\r\n$x\r\n", b"*1\r\n:1\r\n", b"*x\r\n", b"  PING   x  \r\n"):
        mine, theirs = answer(ours.port, data), answer(stock.port, data)
        assert mine == theirs, (data, mine, theirs)
    for port in (ours.port, stock.port):
        with Resp(port) as c:
            c.ok("CONFIG", "SET", "requirepass", "x")
    for data in (b"*11\r\n", b"*1\r\n$16385\r\n", b"PING\r\n", b"*1\r\n$4\r\nECHO\r\n"):
        mine, theirs = answer(ours.port, data), answer(stock.port, data)
        assert mine == theirs, (data, mine, theirs)


@case(kinds=("ours",))
def test_requests_in_any_pieces(lab):
    """Byte by byte, in halves, hundreds in one write, and more answers than the kernel takes at once."""
    node = lab.node("n")
    with node.connect(timeout_s=30) as c:
        for byte in encode("SET", "key", "value"):
            c.send_raw(bytes([byte]))
        assert c.read() == "OK"
        big = "x" * 3_000_000
        data = encode("SET", "big", big) + encode("GET", "key")
        for cut in (1, 20, 70_000, 1_500_000, len(data) - 3):
            c.send_raw(data[:cut])
            c.send_raw(data[cut:])
            assert c.read() == "OK" and c.read() == "value"
        c.send_raw(encode("GET", "big") * 40 + encode("GET", "key"))
        for _ in range(40):
            assert c.read() == big
        assert c.read() == "value"
        many = 20_000
        c.send_raw(b"".join(encode("INCR", "n") for _ in range(many)))
        assert [c.read() for _ in range(many)] == list(range(1, many + 1))
        # A whole pipeline written before any answer is read, tens of megabytes of answers.
        c.sock.settimeout(30)
        c.send_raw(encode("GET", "big") * 20)
        assert sum(len(c.read()) for _ in range(20)) == 20 * len(big)


@case(kinds=("ours",))
def test_blocked_clients_get_their_requests_in_order(lab):
    """What a client sends while it is blocked waits, and runs in order; nothing is lost when it hangs up."""
    node = lab.node("n")
    with node.connect() as blocked, node.connect() as other:
        blocked.send_raw(encode("BLPOP", "list", "0") + encode("SET", "after", "1") + encode("BLPOP", "list", "0") +
                         encode("PING"))
        wait_until(lambda: node.info("clients")["blocked_clients"] == "1", 5, "it blocks")
        assert other.ok("GET", "after") is None
        other.ok("RPUSH", "list", "a")
        assert blocked.read() == ["list", "a"] and blocked.read() == "OK"
        other.ok("RPUSH", "list", "b")
        assert blocked.read() == ["list", "b"] and blocked.read() == "PONG"
        gone = node.connect()
        gone.send_raw(encode("BLPOP", "list", "0"))
        wait_until(lambda: node.info("clients")["blocked_clients"] == "1", 5, "it blocks")
        gone.close()
        wait_until(lambda: node.info("clients")["blocked_clients"] == "0", 5, "it is forgotten")
        other.ok("RPUSH", "list", "c")
        assert other.ok("LRANGE", "list", "0", "-1") == ["c"]


@case(kinds=("ours",))
def test_maxclients(lab):
    ours, stock = both(lab, maxclients="3")
    said = []
    for server in (ours, stock):
        held = [server.connect() for _ in range(3)]
        assert all(c.ok("PING") == "PONG" for c in held)
        with Resp(server.port) as c:
            said.append(c.read_until_closed())
        held.pop().close()
        wait_until(lambda s=server: s.ok("PING") == "PONG", 5, "there is room again")
        assert server.info("stats")["rejected_connections"] != "0"
        for c in held:
            c.close()
    assert said[0] == said[1] == b"-ERR max number of clients reached\r\n", said
    assert ours.ok("CONFIG", "SET", "maxclients", "100") == "OK"
    assert "The operating system is not able to handle" in str(ours.call("CONFIG", "SET", "maxclients", "4000000000"))
    assert ours.ok("CONFIG", "GET", "maxclients")[1] == "100"


@case(kinds=("ours",))
def test_idle_clients_are_closed(lab):
    """timeout: the idle one goes; the busy one, the subscriber and the blocked one stay."""
    node = lab.node("n", timeout="1")
    with node.connect() as idle, node.connect() as busy, node.connect() as subscriber, node.connect() as blocked:
        subscriber.ok("SUBSCRIBE", "c")
        blocked.send_raw(encode("BLPOP", "list", "0"))
        started = time.monotonic()
        idle.sock.settimeout(0.05)

        def closed():
            assert busy.ok("PING") == "PONG"
            try:
                return idle.sock.recv(1) == b""
            except socket.timeout:
                return False
        wait_until(closed, 6, "the idle client is closed")
        assert time.monotonic() - started > 0.9
        assert busy.ok("RPUSH", "list", "x") == 1 and blocked.read() == ["list", "x"]
        assert busy.ok("PUBLISH", "c", "hello") == 1 and subscriber.read() == ["message", "c", "hello"]


@case(kinds=("ours",))
def test_output_limits(lab):
    """The hard limit of its class closes a client at once, the soft one after its seconds; others go on."""
    node = lab.node("n", client_output_buffer_limit=["normal", "8mb", "0", "0", "pubsub", "0", "1mb", "1"])
    with node.connect() as c:
        c.ok("SET", "big", "x" * 1_000_000)
        greedy = node.connect()
        greedy.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.send_raw(encode("GET", "big") * 30)
        wait_until(lambda: node.info("stats")["client_output_buffer_limit_disconnections"] == "1", 5, "hard limit")
        slow = node.connect()
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.ok("SUBSCRIBE", "c")
        started = time.monotonic()
        for _ in range(16):  # the kernel takes some megabytes before anything is counted as unread
            c.ok("PUBLISH", "c", "y" * 1_000_000)
        wait_until(lambda: node.info("stats")["client_output_buffer_limit_disconnections"] == "2", 8, "soft limit")
        assert time.monotonic() - started > 0.8
        assert c.ok("PING") == "PONG"
        greedy.close()
        slow.close()


@case(kinds=("ours",))
def test_query_buffer_limit(lab):
    node = lab.node("n", client_query_buffer_limit="1mb")
    with node.connect() as c:
        c.send_raw(b"*2\r\n$3\r\nGET\r\n$2000000\r\n" + b"x" * 1_200_000)
        assert b"Protocol error" in c.read_until_closed()
    with node.connect() as blocked:
        blocked.send_raw(encode("BLPOP", "l", "0"))
        wait_until(lambda: node.info("clients")["blocked_clients"] == "1", 5, "it blocks")
        try:
            for _ in range(40):
                blocked.send_raw(b"PING\r\n" * 20_000)
        except Closed:
            pass
        blocked.read_until_closed()
    assert node.info("stats")["client_query_buffer_limit_disconnections"] == "1"
    assert node.ok("PING") == "PONG"


@case(kinds=("ours",))
def test_client_eviction(lab):
    """maxmemory-clients: the client with most goes; one that asked not to be stays."""
    node = lab.node("n", maxmemory_clients="6mb")
    with node.connect() as keeper, node.connect() as other:
        keeper.ok("CLIENT", "NO-EVICT", "on")
        keeper.send_raw(b"*2\r\n$4\r\nECHO\r\n$5000000\r\n" + b"x" * 3_000_000)
        greedy = node.connect()
        try:
            greedy.send_raw(b"*2\r\n$4\r\nECHO\r\n$9000000\r\n" + b"x" * 8_900_000)
        except Closed:
            pass
        wait_until(lambda: node.info("stats")["evicted_clients"] == "1", 5, "one is evicted")
        assert greedy.read_until_closed() == b""
        greedy.close()
        assert other.ok("PING") == "PONG"
        keeper.send_raw(b"x" * 2_000_000 + b"\r\n")
        assert len(keeper.read()) == 5_000_000


@case(kinds=("ours",))
def test_protected_mode(lab):
    """Without a password only this host is let in; with one, or without the mode, all are."""
    hosts = subprocess.run(["hostname", "-I"], stdout=subprocess.PIPE, universal_newlines=True, check=False).stdout.split()
    outside = next((h for h in hosts if "." in h and not h.startswith("127.")), None)
    node = lab.node("n", bind="*")
    assert node.ok("PING") == "PONG"
    if outside is None:
        return
    with Resp(node.port, host=outside) as c:
        assert c.read_until_closed().startswith(b"-DENIED Redis is running in protected mode because protected mode is ")
    node.ok("CONFIG", "SET", "requirepass", "x")
    with Resp(node.port, host=outside) as c:
        assert str(c.call("PING")) == "NOAUTH Authentication required."
        assert c.ok("AUTH", "x") == "OK" and c.ok("CONFIG", "SET", "requirepass", "", "protected-mode", "no") == "OK"
    with Resp(node.port, host=outside) as c:
        assert c.ok("PING") == "PONG"


@case(kinds=("ours",))
def test_unix_socket_and_ipv6(lab):
    path = lab.path("n", "s.sock")
    node = lab.node("n", unixsocket=path, unixsocketperm="700", bind=["127.0.0.1", "-::1"])
    assert os.stat(path).st_mode & 0o777 == 0o700
    client = redis.Redis(unix_socket_path=path)
    assert client.ping() and client.set("a", "b")
    assert any(c["addr"] == path + ":0" for c in client.client_list())
    client.close()
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
            has_ipv6 = True
        except OSError:
            has_ipv6 = False
    if has_ipv6:
        with Resp(node.port, host="::1") as c:
            assert c.ok("GET", "a") == "b"
    assert node.terminate() == 0
    assert not os.path.exists(path), "the socket goes with the server"


@case(kinds=("ours",))
def test_many_connections(lab):
    """Hundreds come, work and go; nothing of them stays."""
    node = lab.node("n")
    rounds = []
    for _ in range(3):
        held = [node.connect() for _ in range(500)]
        for i, c in enumerate(held):
            c.send_raw(encode("SET", "k%d" % i, "v" * 100) + encode("GET", "k%d" % i))
        for c in held:
            assert c.read() == "OK" and c.read() == "v" * 100
        for c in held:
            c.close()
        wait_until(lambda: node.info("clients")["connected_clients"] == "1", 10, "all are gone")
        rounds.append(int(node.info("memory")["used_memory"]))
    assert abs(rounds[2] - rounds[1]) < 100_000, rounds


# ---- the process ----

@case(kinds=("ours",))
def test_signals_pidfile_log(lab):
    log = lab.path("n", "noded.log")
    node = lab.node("n", pidfile=lab.path("n", "pid"), logfile=log, loglevel="verbose")
    with open(lab.path("n", "pid"), encoding="ascii") as f:
        assert int(f.read()) == node.pid
    os.rename(log, log + ".1")
    node.signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(log), 5, "the log is opened again")
    assert node.ok("PING") == "PONG"
    with node.connect() as c:
        c.send_raw(encode("PING"))
        assert node.terminate() == 0
        assert c.read_until_closed() in (b"+PONG\r\n", b"")
    assert not os.path.exists(lab.path("n", "pid"))
    with open(log, encoding="utf-8") as f:
        text = f.read()
    assert "SIGTERM received" in text and text.rstrip().endswith("noded has ended")
    node.start()
    node.wait_ready()
    node.signal(signal.SIGINT)
    assert node.proc.wait(10) == 0


@case(kinds=("ours",))
def test_shutdown_command(lab):
    for args in (("SHUTDOWN",), ("SHUTDOWN", "NOSAVE")):
        node = lab.node("n-%d" % len(args))
        assert str(node.call("SHUTDOWN", "ABORT")) == "ERR No shutdown in progress."
        with node.connect() as c:
            c.send_raw(encode(*args))
            assert c.read_until_closed() == b""
        assert node.proc.wait(10) == 0


@case(kinds=("ours",))
def test_daemonize(lab):
    """The parent ends when the child is ready, or with 1 when it cannot start."""
    port = lab.ports.take()
    os.makedirs(lab.path("d"))
    args = ("--port", port, "--bind", "127.0.0.1", "--dir", lab.path("d"), "--daemonize", "yes", "--pidfile",
            lab.path("d", "pid"), "--logfile", lab.path("d", "log"))
    assert run(*args).returncode == OK
    with open(lab.path("d", "pid"), encoding="ascii") as f:
        pid = int(f.read())
    lab.on_close(lambda: end(pid))
    with Resp(port) as c:
        assert c.ok("PING") == "PONG"
        assert os.getsid(pid) == pid
        assert run(*args).returncode == NOT_STARTED, "the port is taken"
        c.send_raw(encode("SHUTDOWN", "NOSAVE"))
        c.read_until_closed()


def end(pid):
    try:
        with open("/proc/%d/comm" % pid, encoding="ascii") as f:
            if f.read().strip() == "noded":
                os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass


@case(kinds=("ours",))
def test_readiness(lab):
    """READY when it listens, STOPPING when it ends."""
    told = NotifySocket(lab.path("notify"))
    lab.on_close(told.close)
    node = lab.node("n", boot=False)
    node.start()
    assert told.wait("READY")["READY"] == "1"
    assert node.ok("PING") == "PONG"
    assert node.terminate() == 0
    assert told.wait("STOPPING")["STOPPING"] == "1"


@case(kinds=("ours",))
def test_the_unit_is_clean(lab):
    unit = os.path.join(ROOT, "etc", "systemd", "noded.service")
    with open(unit, encoding="utf-8") as f:
        text = f.read()
    installed = lab.path("noded.service")
    with open(installed, "w", encoding="utf-8") as f:
        f.write(text.replace("ExecStart=/usr/bin/env noded", "ExecStart=" + noded_path()))
    for path in (unit, installed):
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", installed],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, "exposure above 2.0: " + done.stdout.splitlines()[-1]
    for wanted in (r"^Type=notify$", r"^Restart=on-failure$", r"^StateDirectory=noded$", r"^LimitNOFILE=\d"):
        assert re.search(wanted, text, re.M), wanted


@case(kinds=("ours",), alone=True)
def test_an_idle_node_sleeps(lab):
    """No processor time and little memory while nothing happens, with clients connected."""
    node = lab.node("n")
    with node.connect() as c:
        assert c.ok("SET", "a", "b") == "OK"
        node.ok("PING")
        time.sleep(2.5)  # instantaneous_* settle
        before = node.cpu_s()
        time.sleep(3)
        assert node.cpu_s() - before <= 0.01
    with open("/proc/%d/status" % node.pid, encoding="ascii") as f:
        fields = dict(line.split(":", 1) for line in f)
    if "SAN" not in os.environ and "asan" not in noded_path() and "/san/" not in noded_path():
        assert int(fields["VmRSS"].split()[0]) <= 4096, fields["VmRSS"]
        assert int(fields["Threads"]) == 1, "threads are started when they are needed"


@case(kinds=("ours",))
def test_lazy_free(lab):
    """UNLINK and FLUSHALL ASYNC answer at once, and the memory comes back."""
    node = lab.node("n")
    with node.connect(timeout_s=30) as c:
        empty = int(node.info("memory")["used_memory"])
        c.send_raw(b"".join(encode("RPUSH", "l%d" % (i % 50), *("element-%d-%d" % (i, k) for k in range(100)))
                            for i in range(2000)))
        for _ in range(2000):
            c.read()
        c.send_raw(b"".join(encode("SADD", "s", *("member-%d-%d" % (i, k) for k in range(500))) for i in range(200)))
        for _ in range(200):
            assert c.read() == 500
        full = int(node.info("memory")["used_memory"])
        assert full > empty + 5_000_000
        assert c.ok("UNLINK", "s") == 1 and c.ok("EXISTS", "s") == 0
        wait_until(lambda: node.info("memory")["lazyfreed_objects"] != "0", 10, "it is freed in the background")
        assert c.ok("FLUSHALL", "ASYNC") == "OK" and c.ok("DBSIZE") == 0
        wait_until(lambda: node.info("memory")["lazyfree_pending_objects"] == "0", 10, "all is freed")
        wait_until(lambda: int(node.info("memory")["used_memory"]) < empty + 500_000, 10, "the memory is back")
        assert c.ok("SET", "a", "b") == "OK"


@case(kinds=("ours",))
def test_clients_of_all_kinds(lab):
    """redis-py with a pipeline, a transaction and a subscription; redis-cli; redis-benchmark."""
    node = lab.node("n")
    r = redis.Redis(port=node.port, decode_responses=True)
    pipe = r.pipeline(transaction=True)
    for i in range(1000):
        pipe.set("k%d" % i, i)
    assert all(pipe.execute())
    assert r.mget("k0", "k999", "nosuch") == ["0", "999", None]
    assert sum(1 for _ in r.scan_iter(match="k*", count=100)) == 1000
    subscription = r.pubsub()
    subscription.subscribe("c")
    assert subscription.get_message(timeout=5)["type"] == "subscribe"
    r.publish("c", "hello")
    assert subscription.get_message(timeout=5)["data"] == "hello"
    subscription.close()
    assert r.config_get("port")["port"] == str(node.port)
    assert isinstance(r.info()["used_memory"], int)
    r.close()
    cli = subprocess.run(["redis-cli", "-3", "-p", str(node.port), "config", "get", "port"], stdout=subprocess.PIPE,
                         universal_newlines=True, timeout=20, check=True)
    assert str(node.port) in cli.stdout
    bench = subprocess.run(["redis-benchmark", "-p", str(node.port), "-n", "2000", "-P", "16", "-q", "--csv"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=60,
                           check=True)
    assert "MSET" in bench.stdout and "ERR" not in bench.stdout, bench.stdout
