"""The operator's hooks: what they are given, and that whatever they do harms neither each other nor the supervisor."""
import http.server
import json
import os
import re
import socketserver
import subprocess
import threading
import time

from cases import case
from lab import Group, encode, pairs, stays_true, wait_until
from lab.supervisors import ROOT, nodectl_path, quoted

SAMPLES = os.path.join(ROOT, "etc", "hooks")


def hooks(*rows):
    """The configuration's list of hooks, from dictionaries."""
    def value(v):
        if isinstance(v, bool):
            return "true" if v else "false"
        if isinstance(v, (list, tuple)):
            return "[ %s ]" % ", ".join(quoted(x) for x in v)
        return str(v) if isinstance(v, int) else quoted(v)
    return "hooks = ( %s );" % ", ".join(
        "{ %s }" % " ".join("%s = %s;" % (k, value(v)) for k, v in row.items()) for row in rows)


def keeper(lab, name, then=""):
    """A hook that keeps its standard input and its environment, one file each per run, and a reader of them."""
    out = lab.path(name + ".kept")
    path = lab.script(name, "#!/bin/sh\nset -e\nline=$(cat)\nenv | grep ^SENTINELD_ | sort >> '%s.env'\n"
                            "printf '%%s\\n' \"$line\" >> '%s'\n%s\n" % (out, out, then))
    return path, lambda: [json.loads(x) for x in open(out, encoding="utf-8")] if os.path.exists(out) else []


def one(lab, *rows, **kwargs):
    master = lab.redis("master").wait_ready()
    return lab.supervisor("sentinel0", [Group(port=master.port, quorum=1, **kwargs)], extra=[hooks(*rows)]), master


def listed(s):
    return [pairs(row) for row in s.ok("SENTINEL", "HOOK", "LIST")]


def change(s, n):
    """An event: +set."""
    assert s.call("SENTINEL", "SET", "mymaster", "quorum", n) == "OK"


@case(kinds=("ours",))
def test_hook_of_a_failover(lab):
    """Every supervisor runs it once with all there is to know, in JSON and in variables."""
    hook, kept = keeper(lab, "hook")
    odd, others = keeper(lab, "odd")
    fleet = lab.fleet(supervisor_args={"extra": [hooks(
        {"on": ["+switch-*"], "run": [hook, "arg"], "group": "my*"}, {"on": ["*"], "run": [odd], "group": "other"})]})
    old = fleet.master
    old.kill9()
    new = fleet.wait_switched(old.port)
    told = wait_until(lambda: len(kept()) == 3 and kept(), 15, "all three have run their hook")
    for t in told:
        assert t["event"] == "+switch-master" and t["level"] == "warning" and t["group"] == "mymaster", t
        assert t["payload"] == "mymaster 127.0.0.1 %d 127.0.0.1 %d" % (old.port, new.port), t
        assert t["from"] == {"host": "127.0.0.1", "port": old.port} and t["to"]["port"] == new.port, t
        assert t["epoch"] >= 1 and t["current_epoch"] >= t["epoch"] and t["attempt"] == 1 and t["test"] is False, t
        assert abs(t["time_ms"] / 1000 - time.time()) < 60 and t["time"].endswith("Z"), t
    assert {t["supervisor"]["id"] for t in told} == {s.my_id() for s in fleet.supervisors}
    assert len({t["event_id"] for t in told}) == 3
    with open(lab.path("hook.kept.env"), encoding="utf-8") as f:
        env = f.read().splitlines()
    assert env.count("SENTINELD_EVENT=+switch-master") == 3 and env.count("SENTINELD_TO_PORT=%d" % new.port) == 3, env
    assert not others(), "events of another group: %s" % others()


@case(kinds=("ours",))
def test_hook_about_an_instance(lab):
    hook, kept = keeper(lab, "hook")
    s, master = one(lab, {"on": ["+sdown", "-sdown"], "run": [hook]}, down_after_ms=1000)
    master.kill9()
    down = wait_until(kept, 20, "the hook is told of +sdown")[0]
    assert down["instance"] == {"type": "master", "name": "mymaster", "host": "127.0.0.1", "port": master.port}, down
    assert down["master"]["port"] == master.port and down["detail"] == "", down
    master.start()
    up = wait_until(lambda: len(kept()) == 2 and kept()[1], 15, "and of -sdown")
    assert up["event"] == "-sdown", up
    assert s.alive()


@case(kinds=("ours",))
def test_hook_that_hangs(lab):
    """Its whole process group is killed at its deadline; other hooks do not wait for it."""
    pids = lab.path("pids")
    hanging = lab.script("hanging", "#!/bin/sh\nsleep 300 &\necho $! $$ >> '%s'\nwait\n" % pids)
    quick, kept = keeper(lab, "quick")
    s, _ = one(lab, {"on": ["+set"], "run": [hanging], "timeout_ms": 500, "retries": 0},
               {"on": ["+set"], "run": [quick]})
    log = lab.events(s)
    for n in range(1, 13):
        change(s, n)
    wait_until(lambda: len(kept()) == 12, 20, "the other hook has had all events")
    wait_until(lambda: len(log.all("-hook-timeout")) == 12, 30, "every run of the one that hangs was ended")
    assert log.wait("-hook-error").payload.startswith("%s 9 0" % hanging), log.first("-hook-error")
    with open(pids, encoding="utf-8") as f:
        for pid in f.read().split():
            wait_until(lambda pid=pid: gone(pid), 15, "process %s is gone" % pid)

    def over():
        row = listed(s)[0]
        assert (row["running"], row["waiting"], row["failures"]) == ("0", "0", "12"), row
        return True
    wait_until(over, 20, "all its runs are counted")


def gone(pid):
    try:
        with open("/proc/%s/stat" % pid, encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@case(kinds=("ours",))
def test_hook_that_forks(lab):
    """What it leaves behind in its process group ends with it."""
    pids = lab.path("pids")
    forking = lab.script("forking", "#!/bin/sh\nfor n in 1 2 3 4 5; do sleep 300 & echo $! >> '%s'; done\n" % pids)
    s, _ = one(lab, {"on": ["+set"], "run": [forking]})
    change(s, 2)
    wait_until(lambda: listed(s)[0]["runs"] == "1" and listed(s)[0]["running"] == "0", 20, "it has run")
    with open(pids, encoding="utf-8") as f:
        left = f.read().split()
    assert len(left) == 5
    for pid in left:
        wait_until(lambda pid=pid: gone(pid), 15, "process %s is gone" % pid)


def rss_kb(s):
    with open("/proc/%d/status" % s.pid, encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


@case(kinds=("ours",))
def test_hook_that_floods(lab):
    """One that writes without end: little of it is kept, nobody waits for it, and it ends at its deadline."""
    flooding = lab.script("flooding", "#!/bin/sh\nexec yes a lot of words that nobody will ever read\n")
    quick, kept = keeper(lab, "quick")
    s, _ = one(lab, {"on": ["+set"], "run": [flooding], "timeout_ms": 1500, "retries": 0},
               {"on": ["+set"], "run": [quick]})
    log = lab.events(s)
    before, waits = rss_kb(s), []
    change(s, 2)
    while not log.all("-hook-timeout"):
        asked = time.monotonic()
        assert s.ok("PING") == "PONG"
        waits.append(time.monotonic() - asked)
        assert sum(waits) < 20, "it was not ended"
        time.sleep(0.005)
    waits.sort()
    assert waits[len(waits) * 9 // 10] < 0.1, waits[-5:]
    wait_until(lambda: len(kept()) == 1, 20, "the other hook has had the event")
    assert rss_kb(s) - before < 20000, "%d KiB more memory" % (rss_kb(s) - before)
    log.wait("-hook-error", "%s 9 0" % flooding)


@case(kinds=("ours",))
def test_hook_that_leaves_a_daemon(lab):
    """One whose child has a session of its own and keeps the output open: the hook is over when it itself ends."""
    pids = lab.path("pids")
    leaving = lab.script("leaving", "#!/bin/sh\nsetsid sh -c 'echo $$ >> \"%s\"; exec sleep 60' &\n"
                                    "while [ ! -s '%s' ]; do sleep 0.01; done\n" % (pids, pids))

    def bury():
        if os.path.exists(pids):
            with open(pids, encoding="utf-8") as f:
                for pid in f.read().split():
                    try:
                        os.kill(int(pid), 9)
                    except ProcessLookupError:
                        pass
    lab.on_close(bury)
    s, _ = one(lab, {"on": ["+set"], "run": [leaving], "timeout_ms": 30000})
    change(s, 2)
    wait_until(lambda: listed(s)[0]["runs"] == "1" and listed(s)[0]["running"] == "0", 20, "it has run")
    assert listed(s)[0]["failures"] == "0", listed(s)
    began = time.monotonic()
    assert s.terminate() == 0 and time.monotonic() - began < 5


@case(kinds=("ours",))
def test_hook_that_fails_is_tried_again(lab):
    """Exit 1 and signals: with a doubling delay, `retries` times. Exit 2: not. The reason is told."""
    again, kept = keeper(lab, "again", "echo the reason; exit 1")
    crash, crashed = keeper(lab, "crash", "kill -SEGV $$")
    never, once = keeper(lab, "never", "exit 3")
    s, _ = one(lab, {"on": ["+set"], "run": [again], "retries": 3, "retry_delay_ms": 40},
               {"on": ["+set"], "run": [crash], "retries": 1, "retry_delay_ms": 40}, {"on": ["+set"], "run": [never]})
    log = lab.events(s)
    change(s, 2)
    log.wait("-hook-error", "%s 0 1 the reason" % again)
    log.wait("-hook-error", "%s 11 0" % crash)
    log.wait("-hook-error", "%s 0 3" % never)
    assert [t["attempt"] for t in kept()] == [1, 2, 3, 4], kept()
    assert len({t["event_id"] for t in kept()}) == 1, "the same event"
    assert len(crashed()) == 2 and len(once()) == 1


@case(kinds=("ours",), limit_s=120, quiet=True)
def test_a_flood_of_events(lab):
    """A thousand events a second: the queue is bounded, what is dropped is counted and told, the supervisor goes on."""
    slow = lab.script("slow", "#!/bin/sh\nsleep 0.2\n")
    s, _ = one(lab, {"on": ["+set"], "run": [slow]}, {"on": ["-hook-*", "+hook-*"], "run": [slow]})
    log = lab.events(s)
    with s.connect(30) as client:
        began = time.monotonic()
        for n in range(0, 3000, 100):
            client.sock.sendall(b"".join(encode("SENTINEL", "SET", "mymaster", "quorum", i % 9 + 1)
                                         for i in range(n, n + 100)))
            for _ in range(100):
                assert client.read() == "OK"
        rate = 3000 / (time.monotonic() - began)
    assert rate > 1000, "%.0f events a second" % rate
    row = wait_until(lambda: next((r for r in listed(s)[:1] if r["running"] == "8"), None), 20, "as many as may run")
    assert int(row["waiting"]) <= 256 and int(row["dropped"]) > 2000, row
    dropped = log.wait("-hook-dropped")
    assert dropped.payload.startswith(slow + " "), dropped
    wait_until(lambda: (listed(s)[0]["waiting"], listed(s)[0]["running"]) == ("0", "0"), 60,
               "the queue has been worked off")
    row = listed(s)[0]
    assert int(row["runs"]) + int(row["dropped"]) == 3000, row
    last = wait_until(lambda: [e for e in log.all("-hook-dropped") if e.payload.endswith(" " + row["dropped"])], 15,
                      "the last word has the whole number")
    assert len(log.all("-hook-dropped")) < 60 and last
    assert listed(s)[1]["runs"] == "0", "hooks are not run on what is published about hooks"


@case(kinds=("ours",), limit_s=90)
def test_veto(lab):
    """A hook that exits with 1 before a failover stops it; its first line is the reason; SENTINEL FAILOVER too."""
    gate = lab.path("allowed")
    policy, asked = keeper(lab, "policy", "[ -e '%s' ] || { echo maintenance until noon; exit 1; }" % gate)
    fleet = lab.fleet(supervisor_args={"extra": [hooks({"on": ["pre-failover"], "run": [policy], "veto": True})]},
                      failover_timeout_ms=2000)
    logs = [lab.events(s) for s in fleet.supervisors]
    old = fleet.master
    fleet.supervisors[0].begin_failover()
    aborted = logs[0].wait("-failover-abort-vetoed")
    assert aborted.payload == "master mymaster 127.0.0.1 %d %s: maintenance until noon" % (old.port, policy), aborted
    question = asked()[0]
    assert question["event"] == "pre-failover" and question["from"]["port"] == old.port, question
    assert question["to"]["port"] in {r.port for r in fleet.replicas} and question["group"] == "mymaster", question
    old.kill9()
    wait_until(lambda: sum(len(log.all("-failover-abort-vetoed")) for log in logs) >= 3, 40, "it is vetoed")
    assert not any(log.all("+promoted-slave") for log in logs)
    assert all(r.role() == "slave" for r in fleet.replicas)
    # The reason is recorded with the attempt, and nodectl explains it.
    where = ["-s", ",".join("127.0.0.1:%d" % s.port for s in fleet.supervisors)]
    told = subprocess.run([nodectl_path(), "explain", "mymaster", "aborted", *where], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=30)
    reason = "Given up because: .*%s: maintenance until noon" % policy
    assert told.returncode == 0 and re.search(reason, told.stdout), told
    with open(gate, "w", encoding="utf-8"):
        pass
    fleet.wait_switched(old.port)


@case(kinds=("ours",), matrix=[("exec sleep 100", "continue"), ("kill -9 $$", "continue"), ("kill -9 $$", "abort"),
                               ("exec sleep 100", "abort")])
def test_veto_hook_that_fails(lab, how, on_error):
    """A policy that crashes or hangs does not stop a failover, unless on_error says so."""
    policy = lab.script("policy", "#!/bin/sh\n%s\n" % how)
    fleet = lab.fleet(supervisor_args={"extra": [hooks({"on": ["pre-failover"], "run": [policy], "veto": True,
                                                        "timeout_ms": 300, "on_error": on_error})]})
    logs = [lab.events(s) for s in fleet.supervisors]
    old = fleet.master
    old.kill9()
    if on_error == "continue":
        fleet.wait_switched(old.port)
        assert not any(log.all("-failover-abort-vetoed") for log in logs)
        assert any(log.all("-hook-error", "the failover goes on without its answer") for log in logs)
    else:
        wait_until(lambda: any(log.all("-failover-abort-vetoed") for log in logs), 20, "it is given up")
        stays_true(lambda: not any(log.all("+promoted-slave") for log in logs), 1, "nobody is promoted")


@case(kinds=("ours",))
def test_veto_that_takes_long(lab):
    """However long the hook may take: after the ballot's life no promotion leaves, and the question ends before it."""
    policy = lab.script("policy", "#!/bin/sh\nexec sleep 100\n")
    fleet = lab.fleet(supervisor_args={"extra": [hooks({"on": ["pre-failover"], "run": [policy], "veto": True,
                                                        "timeout_ms": 60000})]})
    log = lab.events(fleet.supervisors[0])
    old = fleet.master
    began = old.kill9()
    fleet.wait_switched(old.port)
    # It has a minute by itself. One more ballot, where the machine had no time for the first, takes some seconds.
    assert time.monotonic() - began < 12, "the limit is a part of the ballot's two seconds"
    assert log.closed is False


@case(kinds=("ours",))
def test_hook_test(lab):
    """SENTINEL HOOK TEST runs the hooks with a made-up event and shows how it went."""
    good, kept = keeper(lab, "good", "echo fine; echo more")
    bad, _ = keeper(lab, "bad", "exit 7")
    s, master = one(lab, {"on": ["+switch-master"], "run": [good]}, {"on": ["+s*"], "run": [bad]},
                    {"on": ["+odown"], "run": [bad]})
    rows = sorted((pairs(r) for r in s.ok("SENTINEL", "HOOK", "TEST", timeout_s=20)), key=lambda r: r["run"])
    assert [r["run"] for r in rows] == [bad, good], rows
    assert rows[0]["result"] == "exit status 7" and rows[1]["result"] == "exit status 0", rows
    assert rows[1]["output"] == "fine\nmore\n" and int(rows[1]["time-us"]) > 0, rows
    told = kept()[0]
    assert told["test"] is True and told["from"]["port"] == master.port and told["group"] == "mymaster", told
    assert len(s.ok("SENTINEL", "HOOK", "TEST", "EVENT", "+odown", "GROUP", "mymaster")) == 1
    assert s.ok("SENTINEL", "HOOK", "TEST", "EVENT", "+nothing") == []
    assert str(s.call("SENTINEL", "HOOK", "TEST", "GROUP", "nobody")).startswith("ERR No such master")
    assert str(s.call("SENTINEL", "HOOK", "TEST", "EVENT")).startswith("ERR")


class Mailbox(socketserver.StreamRequestHandler):
    """Just enough of SMTP to take a letter."""

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                for text in self.rfile:
                    if text == b".\r\n":
                        self.server.taken = True
                        break
                    self.server.letter.append(text.decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


class Post(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.posts.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204 if len(self.server.posts) > 1 else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


def served(lab, server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lab.on_close(lambda: (server.shutdown(), server.server_close()))
    return server.server_address[1]


@case(kinds=("ours",))
def test_samples(lab):
    """etc/hooks/log, mail and webhook do what they say with a real failover's event."""
    mailbox = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox)
    mailbox.daemon_threads, mailbox.letter, mailbox.taken = True, [], False
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Post)
    web.posts = []
    lines = lab.path("lines")
    url = "http://127.0.0.1:%d/fleet" % served(lab, web)
    fleet = lab.fleet(supervisors=1, quorum=1, supervisor_args={"extra": [hooks(*[
        {"on": ["+switch-master"], "run": [os.path.join(SAMPLES, name)] + args, "retry_delay_ms": 100}
        for name, args in (("log", [lines]), ("webhook", [url, "X-Fleet: lab"]),
                           ("mail", ["ops@example.org", "me@example.org", "127.0.0.1:%d" % served(lab, mailbox)]))])]})
    old = fleet.master
    old.kill9()
    new = fleet.wait_switched(old.port)

    def logged():
        if not os.path.exists(lines):
            return ""
        with open(lines, encoding="utf-8") as f:
            return f.read()
    wait_until(lambda: logged().endswith("\n") and mailbox.taken and len(web.posts) == 2, 20, "all three have come")
    text = logged()
    assert "mymaster: the master is now 127.0.0.1:%d, it was 127.0.0.1:%d" % (new.port, old.port) in text, text
    letter = "".join(mailbox.letter)
    assert "Subject: +switch-master of mymaster" in letter and "is now 127.0.0.1:%d" % new.port in letter, letter
    (first, body), (second, again) = web.posts
    assert json.loads(body)["to"]["port"] == new.port and json.loads(again)["attempt"] == 2
    assert first["X-Fleet"] == "lab" and first["Idempotency-Key"] == second["Idempotency-Key"]
