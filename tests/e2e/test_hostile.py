"""Bad input at our port, and bad nodes and peers at the other end of our links."""
import os
import random
import sys
import time

from cases import case
from lab import Closed, Group, Resp, RespError, encode, wait_until
from lab.hostile_node import ANSWERS
from lab.processes import Child
from test_history import assert_answered_at_once

HOSTILE_NODE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lab", "hostile_node.py")
WORDS = [b"PING", b"SENTINEL", b"MASTER", b"mymaster", b"SET", b"HELLO", b"SUBSCRIBE", b"AUTH", b"CLIENT", b"INFO",
         b"*", b"3", b"-1", b"99999999999999999999", b"", b"\x00", b"\xff\xfe", b"%s%n", b"A" * 300,
         b"IS-MASTER-DOWN-BY-ADDR", b"127.0.0.1", b"MONITOR", b"CONFIG", b"GET", b"DEBUG", b"PUBLISH",
         b"__sentinel__:hello", b"RESET", b"[", b"\\"]


def one_watched(lab):
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)])
    wait_until(lambda: s.flags() == ["master"], 10, "the master is watched")
    return s


def assert_well(s, pid):
    """Same process, and it answers a new connection."""
    assert s.alive() and s.pid == pid, "%s ended with status %s:\n%s" % (s.name, s.proc.returncode, s.log()[-2000:])
    with Resp(s.port, timeout_s=20) as client:
        assert client.call("PING") == "PONG"
        assert client.call("SENTINEL", "MASTERS")


@case()
def test_broken_protocol_is_refused(lab):
    """Each of these is answered with -ERR Protocol error and the connection is closed."""
    s = one_watched(lab)
    pid = s.pid
    for data, text in (
            (b"*99999999999\r\n", b"invalid multibulk length"), (b"*abc\r\n", b"invalid multibulk length"),
            (b"*1\r\n$-5\r\n", b"invalid bulk length"), (b"*1\r\n$abc\r\n", b"invalid bulk length"),
            (b"*1\r\n$99999999999\r\n", b"invalid bulk length"), (b"*1\r\n:1\r\n", b"expected '$', got ':'"),
            (b"PING \"unbalanced\r\n", b"unbalanced quotes in request"), (b"x" * 70000, b"too big inline request"),
            (b"*" + b"1" * 70000, b"too big mbulk count string"),
            (b"*1\r\n$" + b"1" * 70000, b"too big bulk count string")):
        with s.connect() as client:
            try:
                client.send_raw(data)
            except Closed:  # it has heard enough before all was sent
                pass
            got = client.read_until_closed(20)
            assert got == b"-ERR Protocol error: %s\r\n" % text, "%r gave %r" % (data[:40], got)
        assert_well(s, pid)


@case()
def test_requests_in_pieces_and_in_heaps(lab):
    """Byte by byte, many at once, empty ones, inline ones: all are answered, in order."""
    s = one_watched(lab)
    with s.connect() as client:
        for byte in encode("PING", "slow"):
            client.send_raw(bytes([byte]))
        assert client.read() == "slow"
        client.send_raw(b"\r\n\r\n*0\r\n*-1\r\nPING\r\nping\nsentinel  'get-master-addr-by-name'  \"nobo\\x64y\"\r\n")
        assert [client.read() for _ in range(3)] == ["PONG", "PONG", None]
        client.send_raw(encode("PING", "a") * 10000)
        for n in range(10000):
            assert client.read() == "a", n
        big = b"x" * 200000
        client.send_raw(encode("PING", big))
        assert client.read() == big.decode()


@case()
def test_cut_off_requests_leave_nothing(lab):
    """Connections that close in the middle of a request, hundreds of them, cost no descriptor."""
    s = one_watched(lab)
    pid = s.pid

    def descriptors():
        return len(os.listdir("/proc/%d/fd" % pid))
    before = descriptors()
    request = encode("SENTINEL", "SET", "mymaster", "quorum", "2")
    held = []
    for n in range(300):
        client = Resp(s.port)
        client.send_raw(request[:n % len(request)])
        held.append(client)
    for n, client in enumerate(held):
        if n % 2:
            client.sock.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # SO_LINGER 0: a reset instead of an end
        client.close()
    wait_until(lambda: descriptors() <= before + 2, 20, "the descriptors are free again (%d before)" % before)
    assert s.master()["quorum"] == "1", "half a request was executed"
    assert_well(s, pid)


@case(matrix=tuple((n,) for n in range(16)), sample=3)
def test_random_input(lab, round_number):
    """Random bytes, random requests, and valid requests with a few bytes changed. The topology is as before."""
    rng = random.Random("hostile-%d" % round_number)
    s = one_watched(lab)
    pid = s.pid
    spoiling = {b"SHUTDOWN", b"SIMULATE-FAILURE"}
    for _ in range(400):
        shape = rng.randrange(3)
        if shape == 0:
            data = rng.randbytes(rng.randrange(1, 400))
        else:
            data = encode(*[rng.choice(WORDS) for _ in range(rng.randrange(1, 9))])
            if shape == 2:
                changed = bytearray(data)
                for _ in range(rng.randrange(1, 5)):
                    changed[rng.randrange(len(changed))] = rng.randrange(256)
                data = bytes(changed)
        if any(word in data.upper() for word in spoiling):
            continue
        try:
            with Resp(s.port, timeout_s=2) as client:
                client.send_raw(data)
                client.sock.shutdown(1)
                client.read_until_closed(2)
        except (Closed, OSError):
            pass
        assert s.alive(), "it ended on %r:\n%s" % (data, s.log()[-3000:])
    assert_well(s, pid)
    assert "mymaster" in [m["name"] for m in s.masters()]


@case()
def test_every_command_with_odd_arguments(lab):
    """Every command that is offered, with none to many odd arguments: an answer or an error, never a close."""
    s = one_watched(lab)
    pid = s.pid
    names = [n.split("|") for n in sorted(s.ok("COMMAND", "LIST"))]  # stock has another order at each start
    odd = ["", "*", "-1", "0", "9" * 30, "mymaster", "\r\n", "\0", "x" * 1000, "nan", "127.0.0.1", "%n"]
    rng = random.Random(5)
    skip = ("shutdown", "sentinel|simulate-failure", "client|kill", "client|reply", "client|pause", "subscribe",
            "psubscribe", "acl|setuser", "acl|deluser", "auth", "hello")
    for name in names:
        if "|".join(name) in skip:
            continue
        with s.connect() as client:
            for count in range(10):
                args = [rng.choice(odd) for _ in range(count)]
                if name[-1] == "remove" and args == ["mymaster"]:
                    continue  # that is not odd: the group would be gone
                reply = client.call(*name, *args)
                assert reply is None or isinstance(reply, (RespError, str, int, list, dict)), (name, reply)
                if name[0] in ("unsubscribe", "punsubscribe"):
                    break
            assert client.call("PING") in ("PONG", ["pong", ""]), name
    assert_well(s, pid)


@case()
def test_forged_hellos(lab):
    """Hellos with odd fields, through our port and through the master's channel, change nothing."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=5000)
    s = fleet.supervisors[0]
    good = ["127.0.0.1", "26379", "d" * 40, "0", "mymaster", "127.0.0.1", str(fleet.master.port), "0"]
    odd = ["", "-1", "0", "99999999999999999999", "x" * 3000, "no.such.host", "65536", "\0", "\xff", "'", "1.5"]
    with fleet.master.connect() as client:
        for place in (0, 1, 3, 5, 6, 7):
            for value in odd:
                if place in (3, 7) and (value.isdigit() or lab.kind == "stock"):
                    continue  # an epoch that is merely high is a fact, not a fault; stock reads "-1" as a high one
                hello = ",".join(good[:place] + [value] + good[place + 1:])
                client.ok("PUBLISH", "__sentinel__:hello", hello)
                s.ok("PUBLISH", "__sentinel__:hello", hello)
    marker = ",".join(["127.0.0.1", str(lab.ports.take()), "e" * 40, *good[3:]])
    fleet.master.ok("PUBLISH", "__sentinel__:hello", marker)
    wait_until(lambda: "e" * 40 in [p["runid"] for p in s.sentinels()], 20, "the last hello has arrived")
    assert s.master_port() == fleet.master.port and s.alive()
    assert "s_down" not in s.flags() and int(s.config_epoch()) == 0


def ping(s, duration_s):
    """How long PING took over a kept connection, asked every 5 ms. A blocking connect or lookup takes seconds."""
    waits = []
    deadline = time.monotonic() + duration_s
    with Resp(s.port, timeout_s=10) as client:
        while time.monotonic() < deadline:
            asked = time.monotonic()
            assert client.call("PING") == "PONG"
            waits.append(time.monotonic() - asked)
            time.sleep(0.005)
    assert_answered_at_once(waits)
    return max(waits) * 1000


def hostile_node(lab, mode):
    port = lab.ports.take()
    child = Child(mode, [sys.executable, HOSTILE_NODE, mode, port], lab.root, lab.path("node-%s.log" % mode))
    child.port = port
    lab.children.append(child)
    child.start()
    wait_until(lambda: "ready" in child.log(), 10, "the hostile node (%s) listens" % mode)
    return child


@case(kinds=("ours",), quiet=True, limit_s=120)  # stock crashes on some of these nodes
def test_hostile_nodes_stall_nothing(lab):
    """Groups whose masters are silent, slow, full of garbage or absent: PING is answered at once all the while, and a
    healthy group beside them fails over."""
    fleet = lab.fleet(down_after_ms=1000)
    for mode in sorted(ANSWERS) + ["no-accept"]:
        node = hostile_node(lab, mode)
        for s in fleet.supervisors:
            s.ok("SENTINEL", "MONITOR", "bad-" + mode, "127.0.0.1", node.port, "2")
            s.ok("SENTINEL", "SET", "bad-" + mode, "down-after-milliseconds", "700")
    for s in fleet.supervisors:
        s.ok("SENTINEL", "MONITOR", "unreachable", "192.0.2.1", "6379", "2")  # TEST-NET-1: packets vanish
        s.ok("SENTINEL", "SET", "unreachable", "down-after-milliseconds", "700")
    s = fleet.supervisors[0]
    for mode in ("silent", "garbage", "half", "close", "unreachable", "no-accept", "error"):
        name = mode if mode == "unreachable" else "bad-" + mode
        wait_until(lambda n=name: "s_down" in s.flags(n), 15, "%s is S_DOWN" % name)
    pid = s.pid
    worst = ping(s, 3.0)
    fleet.master.kill9()
    killed = time.monotonic()
    fleet.wait_switched(fleet.master.port, 30)
    print("PING at worst %.1f ms; healthy group switched %.2f s after the kill" % (worst, time.monotonic() - killed))
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        resident_kb = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    assert resident_kb < 200 * 1024, "it uses %d MB" % (resident_kb // 1024)
    assert_well(s, pid)


@case(quiet=True)
def test_hostile_peers_stall_nothing(lab):
    """Peers that are announced and are silent, garbage or absent: the three real ones are a majority of five only; they
    still fail over."""
    fleet = lab.fleet(down_after_ms=800)
    for n, mode in enumerate(("garbage", "half")):
        node = hostile_node(lab, mode)
        hello = "127.0.0.1,%d,%s,0,mymaster,127.0.0.1,%d,0" % (node.port, ("%x" % (n + 1)) * 40, fleet.master.port)
        wait_until(lambda h=hello: fleet.master.ok("PUBLISH", "__sentinel__:hello", h) == 3, 20,
                   "all three are subscribed")
    for s in fleet.supervisors:
        wait_until(lambda s=s: s.master()["num-other-sentinels"] == "4", 20, "%s knows four peers" % s.name)
    ping(fleet.supervisors[0], 1.0)
    fleet.master.kill9()
    fleet.wait_switched(fleet.master.port, 30)


@case()
def test_deaf_subscriber_harms_nobody(lab):
    """A subscriber that never reads and a client that never reads its replies: others are served."""
    s = one_watched(lab)
    pid = s.pid
    with s.connect() as deaf, s.connect() as greedy:
        deaf.send_raw(encode("PSUBSCRIBE", "*"))
        if lab.kind == "ours":
            try:
                greedy.sock.settimeout(1)
                for _ in range(200):
                    greedy.sock.sendall(encode("SENTINEL", "MASTERS") * 500)
            except OSError:
                pass  # it was cut off, or is no longer read: both are right
        with s.connect() as client:
            for n in range(2000):
                assert client.call("SENTINEL", "SET", "mymaster", "parallel-syncs", n % 7 + 1) == "OK"
            assert client.call("PING") == "PONG"
        with open("/proc/%d/status" % pid, encoding="ascii") as f:
            resident_kb = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        assert resident_kb < 300 * 1024, "it uses %d MB" % (resident_kb // 1024)
    assert_well(s, pid)
