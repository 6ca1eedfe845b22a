"""nodectl status: what it shows of a fleet that is well, of each thing that can be wrong, and its exit status."""
import json
import os
import pty
import socket
import subprocess
import threading
import time

from cases import case
from lab import Group, wait_until
from lab.ports import listener
from lab.supervised import Supervised
from lab.supervisors import nodectl_path, secret
from lab.tool import FAILED as WRONG, NOBODY, OK, USAGE, at, clean_env


class Result:
    """What one run of nodectl status said."""

    def __init__(self, args, done, seconds):
        self.code, self.out, self.err, self.seconds = done.returncode, done.stdout, done.stderr, seconds
        self.text = "nodectl status %s: exit status %d, %.2f s\n%s%s" % (" ".join(args), self.code, seconds, self.out,
                                                                        self.err)

    def expect(self, code):
        assert self.code == code, "wanted exit status %d\n%s" % (code, self.text)
        return self

    def has(self, *parts):
        for part in parts:
            assert part in self.out + self.err, "%r is not there\n%s" % (part, self.text)
        return self

    def document(self):
        try:
            return json.loads(self.out)
        except ValueError as e:
            raise AssertionError("no JSON (%s)\n%s" % (e, self.text)) from None

    def group(self, name="mymaster"):
        found = [g for g in self.document()["groups"] if g["name"] == name]
        assert len(found) == 1, "group %s\n%s" % (name, self.text)
        return found[0]


def status(lab, *args, supervisors=(), env=None):
    """Run it with no settings of the machine: own home, no variables of its own."""
    args = [str(a) for a in args]
    if supervisors:
        args = ["--supervisor", ",".join("127.0.0.1:%d" % getattr(s, "port", s) for s in supervisors)] + args
    began = time.monotonic()
    done = subprocess.run([nodectl_path(), "status"] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True,
                          env=clean_env(lab, **(env or {})), timeout=30, check=False)
    return Result(args, done, time.monotonic() - began)


def by_address(nodes):
    return {n["address"]: n for n in nodes}


def all_well(lab, supervisors, *args):
    """Wait until it says that all is well: a hello or an INFO may still be on its way."""
    return wait_until(lambda: (lambda r: r if r.code == OK else r.expect(OK))(
        status(lab, *args, supervisors=supervisors)), 15, "nodectl status finds nothing wrong")


@case()
def test_all_is_well(lab):
    """Names, addresses, ids, epochs, quorum, offsets and priorities are those of the servers."""
    fleet = lab.fleet(replica_options=[{"replica-priority": "10"}, {"replica-priority": "20"}])
    fleet.master.ok("SET", "a", "x" * 1000)
    told = all_well(lab, fleet.supervisors, "-o", "json")
    document, group = told.document(), told.group()
    assert document["ok"] is True and document["problems"] == [] and document["notes"] == [], told.text
    assert [(s["address"], s["id"], s["reachable"], s["given"]) for s in document["supervisors"]] == \
        [(at(s), s.my_id(), True, True) for s in fleet.supervisors], told.text
    wanted = {"state": "ok", "agreed": True, "config_epoch": 0, "quorum": 2, "quorum_ok": True,
              "usable_supervisors": 3, "known_supervisors": 3, "watched_by": 3}
    assert {k: group[k] for k in wanted} == wanted, told.text
    master = group["master"]
    assert master["address"] == at(fleet.master) and master["run_id"] == fleet.master.run_id(), told.text
    assert master["state"] == "ok" and master["flags"] == ["master"] and master["connected"] is True, told.text
    replicas = by_address(group["replicas"])
    assert sorted(replicas) == sorted(at(r) for r in fleet.replicas), told.text
    for server, priority in zip(fleet.replicas, (10, 20)):
        r = replicas[at(server)]
        assert r["priority"] == priority and r["run_id"] == server.run_id() and r["state"] == "ok", told.text
        assert r["master_link"] == "ok" and r["follows"] == at(fleet.master) and r["announced"] is True, told.text
        assert r["seen_down_by"] == [] and r["why"] is None and 0 <= r["last_ok_ping_ms"] < 5000, told.text
    for s in group["supervisors"]:
        assert s["state"] == "up" and s["says"] == {"master": at(fleet.master), "config_epoch": 0, "state": "ok",
                                                      "grant_ms": None}, \
            told.text


@case(kinds=("ours",))
def test_stock_nodes_hold_no_leases(lab):
    """A cluster of redis-server under declared supervisors is well without."""
    fleet = Supervised(lab, shards=(("stock", "stock"),), declared=True)
    told = all_well(lab, fleet.supervisors, "-o", "json")
    assert told.document()["problems"] == [], told.text
    assert all(group["master"]["lease_ms"] is None for group in told.document()["groups"]), told.text


@case()
def test_the_table(lab):
    """One line per group, node and supervisor; the columns of each table begin at the same places."""
    fleet = lab.fleet(replicas=1, supervisors=2)
    told = all_well(lab, fleet.supervisors)
    lines = told.out.splitlines()
    assert lines[0].split() == ["GROUP", "STATE", "MASTER", "EPOCH", "QUORUM", "SUPERVISORS", "REPLICAS",
                                "LAG"], told.text
    assert lines[1].split()[:13] == ["mymaster", "ok", at(fleet.master), "0", "2", "2", "of", "2", "usable", "1", "of",
                                      "1", "up"], told.text
    for title, cell in (("MASTER", at(fleet.master)), ("EPOCH", "0"), ("SUPERVISORS", "2 of 2 usable")):
        assert lines[1].startswith(cell, lines[0].index(title)), told.text
    nodes = {line.split()[0]: line.split() for line in lines[2:] if line.startswith("  127.0.0.1:")}
    assert nodes[at(fleet.master)][1:4] == ["master", "ok", "master"], told.text
    assert nodes[at(fleet.replicas[0])][1:5] == ["replica", "ok", "slave", "up"], told.text
    for s in fleet.supervisors:
        assert nodes[at(s)][1:3] == [s.my_id()[:8], "up"], told.text
    assert "\033" not in told.out and "Problems" not in told.out, told.text


@case()
def test_lag(lab):
    """A replica that does not read is behind by what the master wrote meanwhile."""
    fleet = lab.fleet(down_after_ms=20000)
    slow, quick = fleet.replicas
    slow.pause()
    for _ in range(20):
        fleet.master.ok("SET", "a", "x" * 1000)
    goal = fleet.master.offset()

    def lags():
        replicas = by_address(status(lab, "-o", "json", supervisors=fleet.supervisors).group()["replicas"])
        behind = replicas[at(slow)]["lag_bytes"] or 0  # None: of one of the two the offset is not known now
        return behind > 20000 and (replicas[at(quick)]["offset"] or 0) >= goal and replicas
    seen = wait_until(lags, 15, "the paused replica is seen to be more than 20,000 bytes behind")
    assert seen[at(slow)]["lag_bytes"] < 40000 and seen[at(quick)]["lag_bytes"] < 2000, seen
    slow.resume()

    def caught_up():
        replicas = by_address(status(lab, "-o", "json", supervisors=fleet.supervisors).group()["replicas"])
        lag = replicas[at(slow)]["lag_bytes"]
        return lag is not None and lag < 2000
    wait_until(caught_up, 20, "it catches up")


@case()
def test_others_are_found(lab):
    """One address is enough: the supervisors that it knows are asked as well; a group can be picked."""
    fleet = lab.fleet(replicas=1)
    told = all_well(lab, fleet.supervisors[1:2], "-o", "json", "mymaster")
    given = {s["address"]: s["given"] for s in told.document()["supervisors"]}
    assert given == {at(s): s is fleet.supervisors[1] for s in fleet.supervisors}, told.text
    assert told.group()["watched_by"] == 3, told.text
    # The same one by two names is one.
    port = fleet.supervisors[0].port
    told = status(lab, "-o", "json", "--supervisor", "127.0.0.1:%d, localhost:%d" % (port, port)).expect(OK)
    assert sorted(s["id"] for s in told.document()["supervisors"]) == sorted(s.my_id() for s in fleet.supervisors), \
        told.text
    status(lab, "other", supervisors=fleet.supervisors).expect(WRONG).has(
        "other: no supervisor that answers watches a group of this name")


@case()
def test_dead_replica_and_dead_supervisor(lab):
    """Both are named, with who says so and why; the rest is still told by those that answer."""
    fleet = lab.fleet()
    dead, gone = fleet.replicas[0], fleet.supervisors[2]
    dead.kill9()
    gone.kill9()
    left = fleet.supervisors[:2]

    def both_seen():
        told = status(lab, "-o", "json", supervisors=fleet.supervisors).expect(WRONG)
        group = told.group()
        replica, seat = by_address(group["replicas"])[at(dead)], by_address(group["supervisors"])[at(gone)]
        assert sorted(replica["seen_down_by"]) == sorted(seat["seen_down_by"]) == sorted(at(s) for s in left), told.text
        return told
    told = wait_until(both_seen, 15, "both deaths are told by both supervisors that are left")
    group = told.group()
    replica, seat = by_address(group["replicas"])[at(dead)], by_address(group["supervisors"])[at(gone)]
    assert replica["state"] == "s_down" and "s_down" in replica["flags"] and replica["connected"] is False, told.text
    assert replica["why"] and seat["why"] and replica["down_ms"] >= 0, told.text
    assert seat["state"] == "down" and seat["reachable"] is False and seat["says"] is None, told.text
    assert group["state"] == "ok" and group["agreed"] is True and group["quorum_ok"] is True, told.text
    assert group["usable_supervisors"] == 2 and group["known_supervisors"] == 3, told.text
    status(lab, supervisors=fleet.supervisors).expect(WRONG).has(
        "supervisor %s cannot be asked: Connection refused" % at(gone),
        "mymaster: replica %s is s_down for 2 of 2 supervisors: " % at(dead),
        "mymaster: supervisor %s is s_down for 2 of 2 supervisors: " % at(gone), "2 of 3 usable", "1 of 2 up")
    # Not named, but known to the others: down all the same.
    status(lab, supervisors=left).expect(WRONG).has("supervisor %s is s_down for 2 of 2" % at(gone))


@case()
def test_no_quorum(lab):
    """Two of three supervisors are gone: the answer of CKQUORUM is among the problems."""
    fleet = lab.fleet(replicas=1)
    for s in fleet.supervisors[1:]:
        s.kill9()

    def told_so():
        told = status(lab, "-o", "json", supervisors=fleet.supervisors[:1]).expect(WRONG)
        assert told.group()["quorum_ok"] is False and told.group()["usable_supervisors"] == 1, told.text
        return told
    told = wait_until(told_so, 15, "no quorum is told")
    assert any("NOQUORUM 1 usable" in p for p in told.document()["problems"]), told.text


@case()
def test_failover_is_followed(lab):
    """From the death of the master to the new one: every state on the way exits 1, the end is told by all. Ours may be
    through between two looks."""
    fleet = lab.fleet()
    old = fleet.master
    old.kill9()
    seen = set()

    def over():
        told = status(lab, "-o", "json", supervisors=fleet.supervisors)
        group = told.group()
        told.expect(WRONG)  # the old master stays dead, so it is down as a replica in the end
        seen.add(group["state"])
        return group["state"] == "ok" and group["agreed"] and group["master"]["address"] != at(old) and \
            by_address(group["replicas"]).get(at(old), {}).get("state") == "s_down" and told
    told = wait_until(over, 25, "a new master is told by all supervisors")
    group = told.group()
    assert {s["says"]["master"] for s in group["supervisors"]} == {group["master"]["address"]}, told.text
    assert group["master"]["address"] in [at(r) for r in fleet.replicas], told.text
    assert group["config_epoch"] > 0, told.text
    on_the_way = seen - {"ok"}
    assert on_the_way or lab.kind == "ours", "only seen: %s" % seen
    assert on_the_way <= {"s_down", "o_down", "wait_start", "select_slave", "send_slaveof_noone", "wait_promotion",
                          "reconf_slaves", "update_config"}, "seen: %s" % seen
    old.start()
    all_well(lab, fleet.supervisors)


@case()
def test_disagreement(lab):
    """Two supervisors that give different masters for one name, and do not know each other."""
    one, two = lab.redis("one"), lab.redis("two")
    for server in (one, two):
        server.wait_ready()
    a, b = (lab.supervisor("s-%s" % server.name, [Group(port=server.port, quorum=1, down_after_ms=5000)])
            for server in (one, two))
    for s in (a, b):
        wait_until(lambda s=s: s.flags() == ["master"], 20, "%s watches its master" % s.name)
    told = status(lab, "-o", "json", supervisors=(a, b)).expect(WRONG)
    assert told.group()["agreed"] is False, told.text
    says = {s["address"]: s["says"]["master"] for s in told.group()["supervisors"]}
    assert says == {at(a): at(one), at(b): at(two)}, told.text
    table = status(lab, supervisors=(a, b)).expect(WRONG)
    table.has("ok, disagreement",
              "the supervisors disagree about the master: %s says %s at epoch 0; %s says %s at epoch 0"
              % (at(a), at(one), at(b), at(two)), "supervisor %s does not know supervisor %s" % (at(a), at(b)),
              "mymaster has no replica")


@case()
def test_replica_of_another_master(lab):
    """A replica that follows the wrong master is up, and a problem."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, failover_timeout_ms=60000)
    stranger = lab.redis("stranger")
    stranger.wait_ready()
    all_well(lab, fleet.supervisors)
    fleet.replicas[0].ok("REPLICAOF", "127.0.0.1", stranger.port)

    def told_so():
        # The supervisor may put it right before anybody looks; then it is done again.
        if not fleet.replicas[0].follows(stranger.port):
            fleet.replicas[0].ok("REPLICAOF", "127.0.0.1", stranger.port)
        told = status(lab, supervisors=fleet.supervisors)
        return "replica %s follows %s instead of %s" % (at(fleet.replicas[0]), at(stranger), at(fleet.master)) \
            in told.out and told
    wait_until(told_so, 20, "the wrong master is told").expect(WRONG)


class Stranger:
    """Listens and treats every connection badly."""

    def __init__(self, behave):
        self.sock = listener()
        self.port = self.sock.getsockname()[1]
        self.behave = behave
        self.open = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.open.append(conn)
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        try:
            self.behave(conn)
        except OSError:
            pass

    def close(self):
        for sock in self.open + [self.sock]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()


def silent(conn):
    while conn.recv(1000):
        pass


def trickle(conn):
    conn.recv(1000)
    while True:
        conn.sendall(b"$")
        threading.Event().wait(0.1)


def endless(conn):
    conn.recv(1000)
    conn.sendall(b"*1000000\r\n")
    while True:
        conn.sendall(b"$5\r\nhello\r\n" * 100)
        threading.Event().wait(0.01)


def sends(data):
    def behave(conn):
        conn.recv(1000)
        conn.sendall(data)
        silent(conn)
    return behave


@case()
def test_strangers_do_not_delay(lab):
    """Hosts that hang, trickle, flood, hang up or speak something else: each is named with a reason, the supervisor
    that is well is still told, and the whole takes hardly longer than two timeouts."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1)
    reasons = (
        *((silent, "it is connected but does not answer within 1500 ms") for _ in range(4)),
        (trickle, "it is connected but does not answer within 1500 ms"),
        (endless, "it is connected but does not answer within 1500 ms"),
        (lambda conn: conn.close(), "it closed the connection"),
        (sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "it does not speak the Redis protocol"),
        (sends(b"-ERR unknown command\r\n-ERR unknown command\r\n"), "does not answer as a supervisor"),
        (sends(b"*1\r\n" * 50), "it does not speak the Redis protocol"),
        (sends(b"$5\r\nhello\r\n*1\r\n*2\r\n$4\r\nname\r\n$3\r\na\xff\x1b\r\n"), "does not answer within 1500 ms"),
        (sends(b"$-1\r\n:1\r\n"), "it does not answer as a supervisor"),
    )
    strangers = [Stranger(behave) for behave, _ in reasons]
    for s in strangers:
        lab.on_close(s.close)
    all_well(lab, fleet.supervisors)
    told = status(lab, "--timeout", "1500ms", supervisors=strangers[:4] + fleet.supervisors + strangers[4:])
    told.expect(WRONG)
    for s, (_, reason) in zip(strangers, reasons):
        line = [x for x in told.out.splitlines() if "supervisor %s cannot be asked: " % at(s) in x]
        assert len(line) == 1 and reason in line[0], "wanted for %s: %s\n%s" % (at(s), reason, told.text)
    told.has("1 of 1 usable")
    assert told.seconds < 5, told.text  # one after the other they would take ten
    document = status(lab, "--timeout", "1500ms", "-o", "json", supervisors=strangers).expect(NOBODY).document()
    assert document["groups"] == [] and document["ok"] is False
    assert all(s["error"] and not s["reachable"] for s in document["supervisors"]), document


@case(kinds=("stock",))
def test_nobody_can_be_reached(lab):
    """Each address is named with its reason."""
    ports = [lab.ports.take() for _ in range(2)]
    told = status(lab, "-s", "127.0.0.1:%d,no-such-host.invalid:26379,localhost:%d" % tuple(ports)).expect(NOBODY)
    told.has("no supervisor can be asked (they are named by --supervisor)",
             "127.0.0.1:%d: Connection refused" % ports[0], "localhost:%d: Connection refused" % ports[1],
             "no-such-host.invalid:26379: its name cannot be resolved: ")
    assert told.out == "", told.text
    server = lab.redis("server")
    server.wait_ready()
    status(lab, supervisors=[server]).expect(NOBODY).has("does not answer as a supervisor (ERR unknown command")


@case(kinds=("stock",))
def test_where_supervisors_are_named(lab):
    """--supervisor before the variable before the file; ~/.config/nodectl.conf is the default file."""
    one, two, three, four = (lab.ports.take() for _ in range(4))
    os.makedirs(lab.path("home", ".config"))

    def write(path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path
    own = write(lab.path("home", ".config", "nodectl.conf"),
                'supervisors = [ "127.0.0.1:%d", "127.0.0.1:%d" ];\n'
                'fleets = ( { name = "orders"; seeds = [ "127.0.0.1:7001" ]; } );\n' % (three, one))
    other = write(lab.path("other.conf"), 'supervisors = [ "127.0.0.1:%d" ];\n' % four)
    variable = {"NODECTL_SUPERVISORS": "127.0.0.1:%d" % two}
    status(lab, "-s", "127.0.0.1:%d" % one, env=variable).expect(NOBODY).has("--supervisor", "127.0.0.1:%d:" % one)
    status(lab, env=variable).expect(NOBODY).has("NODECTL_SUPERVISORS", "127.0.0.1:%d:" % two)
    status(lab).expect(NOBODY).has(own, "127.0.0.1:%d:" % three, "127.0.0.1:%d:" % one)
    status(lab, "--config", other, env=variable).expect(NOBODY).has(other, "127.0.0.1:%d:" % four)

    bad = write(lab.path("bad.conf"), 'supervisors = [ "127.0.0.1" ];\nsupervisor = 1;\n')
    status(lab, "--config", bad).expect(USAGE).has("%s:1: " % bad, "%s:2: " % bad, "supervisors")
    empty = write(lab.path("empty.conf"), "\n")
    status(lab, "--config", empty).expect(USAGE).has(empty, "names no supervisors")
    status(lab, "--config", lab.path("none.conf")).expect(USAGE).has(lab.path("none.conf"))
    os.unlink(own)
    if not os.path.exists("/etc/nodectl.conf"):
        status(lab).expect(USAGE).has("no supervisor is named", "--supervisor", "NODECTL_SUPERVISORS", "nodectl.conf")


@case(kinds=("stock",))
def test_usage_errors(lab):
    """Each says what is wrong; the help says what the exit statuses mean."""
    for args, parts in (
            (["-s", "127.0.0.1"], ["'127.0.0.1' is not host:port"]),
            (["-s", ""], ["is not host:port"]),
            (["-s", "127.0.0.1:1,"], ["is not host:port"]),
            (["-s", "127.0.0.1:0"], ["is not host:port"]),
            (["-s", "127.0.0.1:1", "-o", "xml"], ["'xml'", "json or yaml"]),
            (["-s", "127.0.0.1:1", "--timeout", "0"], ["--timeout", "1ms to 10m"]),
            (["-s", "127.0.0.1:1", "--user", "me"], ["--password-file", "NODECTL_PASSWORD"]),
            (["--nonsense"], ["--nonsense"]),
            (["-s"], ["needs an argument"])):
        told = status(lab, *args).expect(USAGE)
        assert told.out == "", told.text
        told.has(*parts)
    status(lab, "--help").expect(OK).has("Exit status", "3 no supervisor", "NODECTL_SUPERVISORS", "NO_COLOR")


@case()
def test_password(lab):
    """Without the password the reason names the option; a wrong one is refused; the right one works by option and
    by variable."""
    server = lab.redis("server")
    server.wait_ready()
    group = [Group(port=server.port, quorum=1, down_after_ms=5000)]
    if lab.kind == "stock":
        s = lab.supervisor("s", group, boot=False, extra=["requirepass hush"])
        s.password = "hush"
        s.boot()
    else:
        s = lab.supervisor("s", group, password="hush")
    status(lab, supervisors=[s]).expect(NOBODY).has("asks for a password", "--password-file", "NODECTL_PASSWORD")
    refused = status(lab, "--password-file", secret(lab, "loud"), supervisors=[s]).expect(NOBODY)
    refused.has("refuses the password", "WRONGPASS")
    all_well(lab, [s], "--password-file", secret(lab, "hush"))
    status(lab, "--user", "default", supervisors=[s], env={"NODECTL_PASSWORD": "hush"}).expect(OK)
    status(lab, "--user", "nobody", supervisors=[s], env={"NODECTL_PASSWORD": "hush"}).expect(NOBODY)


def on_a_terminal(lab, supervisor, **env):
    """The output of a run whose standard output is a terminal."""
    ours, theirs = pty.openpty()
    try:
        environment = dict(os.environ, HOME=lab.path("home"), TERM="xterm", **env)
        if "NO_COLOR" not in env:
            environment.pop("NO_COLOR", None)
        child = subprocess.Popen([nodectl_path(), "status", "-s", at(supervisor)], stdin=subprocess.DEVNULL,
                                 stdout=theirs, stderr=subprocess.PIPE, env=environment)
        os.close(theirs)
        out = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how Linux tells the end of a terminal
                break
            if not part:
                break
            out += part
        assert child.wait(20) == OK, out + child.stderr.read()
        child.stderr.close()
        return out
    finally:
        os.close(ours)


@case(kinds=("stock",))
def test_colours(lab):
    """On a terminal only, and never with NO_COLOR."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1)
    all_well(lab, fleet.supervisors)
    assert b"\033[32mok\033[0m" in on_a_terminal(lab, fleet.supervisors[0])
    assert b"\033" not in on_a_terminal(lab, fleet.supervisors[0], NO_COLOR="1")


@case()
def test_many_groups(lab):
    """Fifty groups of one supervisor: all are told, within the timeout."""
    server = lab.redis("server")
    server.wait_ready()
    groups = [Group(name="g%d" % i, port=server.port, quorum=1, down_after_ms=60000) for i in range(50)]
    for g in groups[1:]:
        g.port = lab.ports.take()  # nobody is there: an address belongs to one group only
    s = lab.supervisor("s", groups)
    told = status(lab, "-o", "json", supervisors=[s])
    assert sorted(g["name"] for g in told.document()["groups"]) == sorted(g.name for g in groups), told.text
    told.expect(WRONG)
    picked = status(lab, "-o", "json", "g7", "g8", supervisors=[s])
    assert sorted(g["name"] for g in picked.document()["groups"]) == ["g7", "g8"], picked.text
