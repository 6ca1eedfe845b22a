"""noded's settings: command line, file, CONFIG at run time, and what nodectl makes of a redis.conf."""
import os
import re
import subprocess

from cases import case
from lab import Resp, both_servers, run_noded, same_reply, wait_until
from lab.supervisors import nodectl_path

OK, NOT_STARTED, WRONG = 0, 1, 2


# ---- command line and file ----

@case(kinds=("ours",))
def test_help_version_check(lab):
    done = run_noded("--help")
    assert done.returncode == OK and done.stderr == "" and done.stdout.startswith("usage: noded [FILE]")
    for name in ("maxmemory-policy", "client-output-buffer-limit", "tcp-keepalive"):
        assert "  --%s " % name in done.stdout
    assert re.match(r"noded \d+\.\d+\.\d+ \(as Redis 7\.0\.15\)$", run_noded("--version").stdout.strip())
    path = lab.path("good.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write('port = 7000; maxmemory = "1gb";\n')
    done = run_noded(path, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (OK, "%s: good\n" % path, ""), done
    assert run_noded("-", "--check", stdin="port = 7000;\n").returncode == OK
    assert run_noded("--check", "--port", "7000").returncode == OK


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
        done = run_noded(*args)
        assert done.returncode == WRONG and done.stdout == "", (args, done)
        assert all(s in done.stderr for s in said), (args, done.stderr)
    old = lab.path("redis.conf")
    with open(old, "w", encoding="utf-8") as f:
        f.write("port 6379\nsave 900 1\n")
    done = run_noded(old)
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
        done = run_noded(*args)
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
    ours, stock = both_servers(lab)
    mine, theirs = (dict(zip(r[::2], r[1::2])) for r in (s.ok("CONFIG", "GET", "*") for s in (ours, stock)))
    missing = sorted(set(theirs) - set(mine))
    assert not missing, "noded does not know %s" % missing
    more = set(mine) - set(theirs)
    assert more == {"cluster-databases", "cluster-slot-stats-enabled", "replica-guard", "slot-migration-buffer-limit",
                    "slot-migration-max-failover-repl-bytes"}, more
    different = {n: (mine[n], theirs[n]) for n in theirs if mine[n] != theirs[n] and n not in OTHER_DEFAULTS}
    assert not different, different


BAD_VALUES = ("abc", "-1", "", "10%", "1000000000000", "99999999999999999999", "5 5", "0", "yes", "1.5mb", " 1")
# Refused here with another reason (no TLS, no file of users), or taken where stock is stricter or looser for reasons of
# its own: sizes beyond 63 bits, a template of ps; arguments are 512 MB here at most.
NOT_COMPARED = {"tls-port", "tls-cluster", "tls-replication", "aclfile", "bind", "port", "maxclients", "oom-score-adj",
                "proc-title-template", "appendonly", "save", "requirepass", "active-defrag-cycle-min", "activedefrag",
                "client-output-buffer-limit", "unixsocketperm", "latency-tracking-info-percentiles",
                "propagation-error-behavior", "maxmemory", "proto-max-bulk-len"}


@case(kinds=("ours",))
def test_config_set_answers_as_redis_does(lab):
    """Every setting with every bad or odd value: the same error, or the same value afterwards."""
    ours, stock = both_servers(lab, enable_protected_configs="no")
    with ours.connect() as a, stock.connect() as b:
        for name in sorted(set(b.ok("CONFIG", "GET", "*")[::2]) - NOT_COMPARED):
            before = b.ok("CONFIG", "GET", name)[1]
            for value in BAD_VALUES:
                if value == "99999999999999999999" and name in ("cluster-link-sendbuf-limit", "maxmemory-clients"):
                    continue  # taken there although it does not fit into 63 bits
                mine, theirs = (c.call("CONFIG", "SET", name, value) for c in (a, b))
                assert str(mine) == str(theirs), (name, value, mine, theirs)
                if name not in OTHER_DEFAULTS:
                    same_reply(a, b, "CONFIG", "GET", name)
            for c in (a, b):
                c.call("CONFIG", "SET", name, before)


@case(kinds=("ours",))
def test_config_command(lab):
    ours, stock = both_servers(lab)
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
            same_reply(a, b, "CONFIG", *args)
        assert str(a.call("CONFIG", "REWRITE")) == "ERR The server is running without a config file"
        assert a.ok("CONFIG", "HELP")[0].startswith("CONFIG <subcommand>")
        for c in (a, b):
            c.ok("HELLO", "3")
        same_reply(a, b, "CONFIG", "GET", "timeout")
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
def test_a_smaller_maxmemory_works_by_itself(lab):
    """Keys go at once, without a write that would ask for it."""
    node = lab.node("n")
    with node.connect() as c:
        for i in range(200):
            c.ok("SET", "k%d" % i, "x" * 50_000)
        assert c.ok("CONFIG", "SET", "maxmemory", "4mb", "maxmemory-policy", "allkeys-random") == "OK"
        wait_until(lambda: int(node.info("memory")["used_memory"]) < 4 << 20, 15, "keys are evicted")
        assert 0 < c.ok("DBSIZE") < 100 and node.info("stats")["evicted_keys"] != "0"


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
    odd = 'a "b" \\c'
    assert node.ok("CONFIG", "SET", "maxmemory", "100mb", "hash-max-listpack-entries", "7", "requirepass", odd) == "OK"
    node.password = odd
    assert node.ok("CONFIG", "REWRITE") == "OK"
    with open(node.conf_path, encoding="utf-8") as f:
        written = f.read()
    assert written == text.replace('"1gb"', '"100mb"') + \
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
    checked = run_noded(path, "--check")
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
