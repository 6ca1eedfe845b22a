"""noded as a program: connections and their limits, what the process does, clients of all kinds."""
import os
import re
import signal
import socket
import subprocess
import time

import redis
from cases import case
from lab import Closed, Resp, both_servers, encode, noded_path, run_noded, wait_until
from lab.notify_socket import NotifySocket
from lab.supervisors import ROOT

OK, NOT_STARTED = 0, 1


# ---- connections ----

@case(kinds=("ours",))
def test_protocol_errors_are_those_of_redis(lab):
    """Byte for byte, and the connection ends or goes on as there."""
    ours, stock = both_servers(lab)

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
        wait_until(lambda: node.info("clients")["blocked_clients"] == "1", 15, "it blocks")
        assert other.ok("GET", "after") is None
        other.ok("RPUSH", "list", "a")
        assert blocked.read() == ["list", "a"] and blocked.read() == "OK"
        other.ok("RPUSH", "list", "b")
        assert blocked.read() == ["list", "b"] and blocked.read() == "PONG"
        gone = node.connect()
        gone.send_raw(encode("BLPOP", "list", "0"))
        wait_until(lambda: node.info("clients")["blocked_clients"] == "1", 15, "it blocks")
        gone.close()
        wait_until(lambda: node.info("clients")["blocked_clients"] == "0", 15, "it is forgotten")
        other.ok("RPUSH", "list", "c")
        assert other.ok("LRANGE", "list", "0", "-1") == ["c"]


@case(kinds=("ours",))
def test_maxclients(lab):
    ours, stock = both_servers(lab, maxclients="3")
    said = []
    for server in (ours, stock):
        held = [server.connect() for _ in range(3)]
        assert all(c.ok("PING") == "PONG" for c in held)
        with Resp(server.port) as c:
            said.append(c.read_until_closed())
        held.pop().close()
        wait_until(lambda s=server: s.ok("PING") == "PONG", 15, "there is room again")
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
    node = lab.node("n", timeout="2")
    started = time.monotonic()
    with node.connect() as idle, node.connect() as busy, node.connect() as subscriber, node.connect() as blocked:
        subscriber.ok("SUBSCRIBE", "c")
        blocked.send_raw(encode("BLPOP", "list", "0"))
        idle.sock.settimeout(0.05)

        def closed():
            assert busy.ok("PING") == "PONG"
            try:
                return idle.sock.recv(1) == b""
            except socket.timeout:
                return False
        wait_until(closed, 20, "the idle client is closed")
        assert time.monotonic() - started > 1.9
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
        wait_until(lambda: node.info("stats")["client_output_buffer_limit_disconnections"] == "1", 15, "hard limit")
        slow = node.connect()
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.ok("SUBSCRIBE", "c")
        started = time.monotonic()
        for _ in range(16):  # the kernel takes some megabytes before anything is counted as unread
            c.ok("PUBLISH", "c", "y" * 1_000_000)
        wait_until(lambda: node.info("stats")["client_output_buffer_limit_disconnections"] == "2", 20, "soft limit")
        assert time.monotonic() - started > 0.8
        assert c.ok("PING") == "PONG"
        greedy.close()
        slow.close()


@case(kinds=("ours",))
def test_query_buffer_limit(lab):
    node = lab.node("n", client_query_buffer_limit="1mb")
    with node.connect() as c:
        c.send_raw(b"*2\r\n$3\r\nGET\r\n$2000000\r\n")  # refused by its length, before the bytes come
        assert b"Protocol error" in c.read_until_closed()
    with node.connect() as blocked:
        blocked.send_raw(encode("BLPOP", "l", "0"))
        wait_until(lambda: node.info("clients")["blocked_clients"] == "1", 15, "it blocks")
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
        wait_until(lambda: node.info("stats")["evicted_clients"] == "1", 15, "one is evicted")
        assert greedy.read_until_closed() == b""
        greedy.close()
        assert other.ok("PING") == "PONG"
        keeper.send_raw(b"x" * 2_000_000 + b"\r\n")
        assert len(keeper.read()) == 5_000_000


@case(kinds=("ours",))
def test_protected_mode(lab):
    """Without a password only this host is let in; with one, or without the mode, all are."""
    hosts = subprocess.run(["hostname", "-I"], stdout=subprocess.PIPE, text=True, check=False).stdout.split()
    outside = next((h for h in hosts if "." in h and not h.startswith("127.")), None)
    node = lab.node("n", bind="*")
    assert node.ok("PING") == "PONG"
    if outside is None:
        return
    with Resp(node.port, host=outside) as c:
        assert c.read_until_closed().startswith(b"-DENIED Redis is running in protected mode because ")
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
        wait_until(lambda: node.info("clients")["connected_clients"] == "1", 20, "all are gone")
        rounds.append(int(node.info("memory")["used_memory"]))
    # Up to 64 output buffers are kept for whoever comes next; how many were in use at once is chance.
    assert abs(rounds[2] - rounds[1]) < 100_000 + 64 * 16 * 1024, rounds


# ---- the process ----

@case(kinds=("ours",))
def test_signals_pidfile_log(lab):
    log = lab.path("n", "noded.log")
    node = lab.node("n", pidfile=lab.path("n", "pid"), logfile=log, loglevel="verbose")
    with open(lab.path("n", "pid"), encoding="ascii") as f:
        assert int(f.read()) == node.pid
    os.rename(log, log + ".1")
    node.signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(log), 15, "the log is opened again")
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
    assert node.proc.wait(20) == 0


@case(kinds=("ours",))
def test_shutdown_command(lab):
    for args in (("SHUTDOWN",), ("SHUTDOWN", "NOSAVE")):
        node = lab.node("n-%d" % len(args))
        assert str(node.call("SHUTDOWN", "ABORT")) == "ERR No shutdown in progress."
        with node.connect() as c:
            c.send_raw(encode(*args))
            assert c.read_until_closed() == b""
        assert node.proc.wait(20) == 0


@case(kinds=("ours",))
def test_daemonize(lab):
    """The parent ends when the child is ready, or with 1 when it cannot start."""
    port = lab.ports.take()
    os.makedirs(lab.path("d"))
    args = ("--port", port, "--bind", "127.0.0.1", "--dir", lab.path("d"), "--daemonize", "yes", "--pidfile",
            lab.path("d", "pid"), "--logfile", lab.path("d", "log"))
    assert run_noded(*args).returncode == OK
    with open(lab.path("d", "pid"), encoding="ascii") as f:
        pid = int(f.read())
    lab.on_close(lambda: end(pid))
    with Resp(port) as c:
        assert c.ok("PING") == "PONG"
        assert os.getsid(pid) == pid
        assert run_noded(*args).returncode == NOT_STARTED, "the port is taken"
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


@case(kinds=("ours",))
def test_an_idle_node_sleeps(lab):
    """No processor time and little memory while nothing happens, with clients connected."""
    node = lab.node("n")
    with node.connect() as c:
        assert c.ok("SET", "a", "b") == "OK"
        node.ok("PING")

        def sleeps():  # once instantaneous_* have settled
            before = node.cpu_s()
            time.sleep(3)
            return node.cpu_s() - before <= 0.01
        wait_until(sleeps, 30, "three seconds with next to no work", every_s=0)
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
        wait_until(lambda: node.info("memory")["lazyfreed_objects"] != "0", 20, "it is freed in the background")
        assert c.ok("FLUSHALL", "ASYNC") == "OK" and c.ok("DBSIZE") == 0
        wait_until(lambda: node.info("memory")["lazyfree_pending_objects"] == "0", 20, "all is freed")
        wait_until(lambda: int(node.info("memory")["used_memory"]) < empty + 500_000, 20, "the memory is back")
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
    assert subscription.get_message(timeout=15)["type"] == "subscribe"
    r.publish("c", "hello")
    assert subscription.get_message(timeout=15)["data"] == "hello"
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
