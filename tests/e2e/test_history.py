"""History and explain: what a supervisor published and decided can be asked for, told, and decided again."""
import json
import os
import signal
import subprocess
import time

from cases import case
from lab import RespError, stays_true, wait_until
from lab.supervisors import QUICK_TIMERS, nodectl_path


def nodectl(*args, supervisors, timeout_s=20):
    """Run nodectl against these supervisors; the finished process."""
    names = ",".join("127.0.0.1:%d" % s.port for s in supervisors)
    return subprocess.run([nodectl_path(), *args, "--supervisor", names], capture_output=True, text=True,
                          timeout=timeout_s, check=False)


def explained(*args, supervisors):
    done = nodectl("explain", *args, "-o", "json", supervisors=supervisors)
    assert done.returncode == 0, "status %d: %s%s" % (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def failed_over(fleet):
    old = fleet.master
    old.kill9()
    new = fleet.wait_switched(old.port)
    fleet.wait_failover_over()
    return old, new


def assert_answered_at_once(waits):
    """Times of PINGs in seconds: a loop that waits for a disk or a child keeps many of them waiting, and long; where a
    machine stands still for half a second, few of them notice."""
    waits = sorted(waits)
    assert waits[-4] < 0.25 and waits[-1] < 1, "PINGs waited for %s ms" % ["%.0f" % (w * 1000) for w in waits[-5:]]


def events(s, since=0):
    return s.ok("SENTINEL", "EVENTS", "SINCE", since, "COUNT", 10000)


@case(kinds=("ours",))
def test_explain_tells_a_failover(lab):
    """Evidence, votes, ranking with the reason of each rejection, phases; any one supervisor leads to all records, and
    the replay agrees."""
    fleet = lab.fleet(replicas=3, replica_options=[{}, {"replica_priority": 0}, {"replica_priority": 50}])
    old, new = failed_over(fleet)
    assert new is fleet.replicas[2]
    for s in fleet.supervisors:
        d = explained("mymaster", "--replay", supervisors=[s])
        assert d["outcome"] == "switched" and d["from"] == "127.0.0.1:%d" % old.port
        assert d["to"] == "127.0.0.1:%d" % new.port and d["epoch"] == s.config_epoch()
        verdicts = {row["address"]: row["verdict"] for row in d["stand"]["ranking"]}
        assert verdicts == {"127.0.0.1:%d" % r.port: "priority 0" if i == 1 else "suitable"
                            for i, r in enumerate(fleet.replicas)}, verdicts
        assert [row["address"] for row in d["stand"]["ranking"]][0] == "127.0.0.1:%d" % new.port
        evidence = d["stand"]["master"]
        assert evidence["reason"] == "silent" and evidence["since_us"] >= fleet.down_after_ms * 1000
        granted = [v for v in d["ballot"]["supervisors"]
                   if v["vote"] == d["by"]["id"] and v["vote_epoch"] == d["epoch"]]
        assert d["ballot"]["kind"] == "won" and len(granted) >= 2
        phases = d["switched"]
        assert phases["detect_ms"] >= fleet.down_after_ms
        assert phases["total_ms"] >= phases["detect_ms"] + phases["elect_ms"] + phases["promote_ms"]
        assert len(d["supervisors"]) == 3 and all(x["error"] is None for x in d["supervisors"])
        assert {r["supervisor_id"] for r in d["records"]} == {x.my_id() for x in fleet.supervisors}
        assert d["replay"]["possible"] and d["replay"]["same"], d["replay"]
        assert {"S_DOWN", "O_DOWN", "candidate", "votes", "new master"} <= {c["what"] for c in d["replay"]["checks"]}
    text = nodectl("explain", "mymaster", "--replay", supervisors=fleet.supervisors)
    assert text.returncode == 0
    for part in ("failed over from 127.0.0.1:%d to 127.0.0.1:%d" % (old.port, new.port), "priority 0", "chosen",
                 "granted", "connection refused", "in all", "Replay"):
        assert part in text.stdout, "%r is missing in\n%s" % (part, text.stdout)


@case(kinds=("ours",))
def test_explain_without_the_leader(lab):
    """One of three reachable: what it learned is told, and who is missing; none reachable is status 3."""
    fleet = lab.fleet()
    failed_over(fleet)
    leader = explained("mymaster", supervisors=fleet.supervisors)["by"]["id"]
    rest = [s for s in fleet.supervisors if s.my_id() != leader]
    for s in fleet.supervisors:
        if s not in rest[:1]:
            s.kill9()
    d = explained("mymaster", supervisors=fleet.supervisors)
    assert d["outcome"] == "learned" and d["by"]["id"] == leader, d
    assert sorted(x["error"] is None for x in d["supervisors"]) == [False, False, True]
    text = nodectl("explain", "mymaster", "--replay", supervisors=fleet.supervisors)
    assert text.returncode == 1 and "Not in this account" in text.stdout and "not possible" in text.stdout, text.stdout
    rest[0].kill9()
    for verb in (["explain", "mymaster"], ["history"], ["events"]):
        nobody = nodectl(*verb, supervisors=fleet.supervisors)
        assert nobody.returncode == 3 and "Connection refused" in nobody.stderr, nobody


@case(kinds=("ours",))
def test_why_nobody_is_promoted(lab):
    """Non-decisions are recorded: no suitable replica, with the reasons; too few supervisors."""
    # What one holds of the master counts at the other for five periods of asking: no slow moment takes it away.
    fleet = lab.fleet(replicas=1, supervisors=2, replica_options=[{"replica_priority": 0}],
                      timers={**QUICK_TIMERS, "ask-period": 1000})
    fleet.master.kill9()
    s = fleet.supervisors[0]

    def reasons():
        return [json.loads(n[5]) for n in s.ok("SENTINEL", "HISTORY", "GROUP", "mymaster", "KIND", "waiting")]
    wait_until(lambda: any(r["why"] == "no replica is suitable" for r in reasons()), 15, "the reason is recorded")
    ranking = [r for r in reasons() if r["why"] == "no replica is suitable"][0]["ranking"]
    assert [row["verdict"] for row in ranking] == ["priority 0"]
    count = len(reasons())
    stays_true(lambda: len(reasons()) == count, 1.5, "the same reason is not told again")
    done = nodectl("history", "mymaster", supervisors=[s])
    assert done.returncode == 0 and "no replica is suitable" in done.stdout


@case(kinds=("ours",))
def test_numbers_survive_a_restart(lab):
    """EVENTS SINCE gives every published event once, in order, over a restart; LAST is the highest number."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1, down_after_ms=5000)
    s = fleet.supervisors[0]
    log = lab.events(s)
    s.ok("SENTINEL", "MONITOR", "second", "127.0.0.1", fleet.replicas[0].port, 1)
    s.ok("SENTINEL", "REMOVE", "second")
    log.wait("-monitor", "second")
    last = s.ok("SENTINEL", "EVENTS", "LAST")
    before = [e for e in events(s) if e[0] <= last]
    assert before and [e[0] for e in before] == sorted({e[0] for e in before})
    assert [e[2] for e in before if e[4] == "second"][0] == "+monitor"
    s.terminate()
    s.boot()
    after = events(s)
    assert after[:len(before)] == before
    assert all(e[0] > last for e in after[len(before):]) and len(after) > len(before)
    assert s.ok("SENTINEL", "EVENTS", "SINCE", 0, "GROUP", "second", "COUNT", 1)[0][4] == "second"


@case(kinds=("ours",), limit_s=90, quiet=True)
def test_a_thousand_events_a_second(lab):
    """Five seconds of a thousand events each: none is missing, and the loop answers all the time."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1)
    s = fleet.supervisors[0]
    start = s.ok("SENTINEL", "EVENTS", "LAST")
    waits = []
    with s.connect() as writer, s.connect() as asker:
        begin = time.monotonic()
        for second in range(5):
            for part in range(10):
                for i in range(50):
                    name = "g%d" % (second * 500 + part * 50 + i)
                    writer.ok("SENTINEL", "MONITOR", name, "127.0.0.1", 1, 1)
                    writer.ok("SENTINEL", "REMOVE", name)
                asked = time.monotonic()
                assert asker.ok("PING") == "PONG"
                waits.append(time.monotonic() - asked)
        took = time.monotonic() - begin
    names = [(e[2], e[4]) for e in events(s, start) if e[4].startswith("g")]
    monitored = [n for event, n in names if event == "+monitor"]
    assert monitored == ["g%d" % i for i in range(2500)], "%d of 2500 in %.1f s" % (len(monitored), took)
    assert_answered_at_once(waits)


@case(kinds=("ours",), limit_s=90)
def test_failing_history_disk_disturbs_nothing(lab):
    """The history cannot be written: it is told once, the failover goes on as ever, and afterwards nothing is lost."""
    fleet = lab.fleet()
    logs = [lab.events(s) for s in fleet.supervisors]
    paths = []
    for s in fleet.supervisors:
        assert s.ok("SENTINEL", "EVENTS", "LAST") > 0  # so it is open
        path = [os.path.join(folder, "history.db") for folder, _, names in os.walk(s.directory)
                if "history.db" in names][0]
        paths.append(path)
        os.rename(path, path + ".moved")
        os.mkdir(path)
    old, new = failed_over(fleet)
    for s, log in zip(fleet.supervisors, logs):
        wait_until(lambda s=s: "-history-not-saved" in s.log(), 20, "%s tells that its history is not saved" % s.name)
        assert s.log().count("-history-not-saved") == 1
        assert isinstance(s.call("SENTINEL", "EVENTS", "SINCE", 0), RespError)
    for path in paths:
        os.rmdir(path)
    for s in fleet.supervisors:
        wait_until(lambda s=s: "+history-saved" in s.log(), 20, "%s saves its history again" % s.name)
        assert "+switch-master" in [e[2] for e in events(s)], "the failover was kept in memory"
    d = explained("mymaster", "--replay", supervisors=fleet.supervisors)
    assert d["to"] == "127.0.0.1:%d" % new.port and d["from"] == "127.0.0.1:%d" % old.port and d["replay"]["same"]


class Follower:
    """nodectl events --follow, its lines as they come in a file."""

    def __init__(self, lab, supervisor, *args):
        self.path = lab.path("follow-%d" % time.monotonic_ns())
        with open(self.path, "wb") as out:
            self.proc = subprocess.Popen([nodectl_path(), "events", "--follow", "-s", "127.0.0.1:%d" % supervisor.port,
                                          *args], stdout=out, stderr=subprocess.PIPE)
        lab.on_close(self.close)

    def lines(self):
        """Whole ones; the last may still be on its way."""
        with open(self.path, encoding="utf-8") as f:
            return f.read().rpartition("\n")[0].splitlines()

    def numbers(self):
        return [json.loads(line)["number"] for line in self.lines()]

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.communicate()


@case(kinds=("ours",))
def test_follow_over_a_restart(lab):
    """Each event comes once, also those of a restart; Ctrl-C and a closed pipe end it cleanly."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1, down_after_ms=5000)  # nothing happens by itself
    s = fleet.supervisors[0]
    follower = Follower(lab, s, "--since", "0", "-o", "json")
    wait_until(lambda: follower.numbers() == [e[0] for e in events(s)], 20, "all so far is shown")
    s.ok("SENTINEL", "MONITOR", "second", "127.0.0.1", 1, 1)
    wait_until(lambda: "second" in [json.loads(line)["group"] for line in follower.lines()], 15, "what is new is shown")
    s.terminate()
    s.boot()
    s.ok("SENTINEL", "REMOVE", "second")
    wait_until(lambda: follower.numbers() == [e[0] for e in events(s)], 20, "what came meanwhile is shown, once")
    follower.proc.send_signal(signal.SIGINT)
    assert follower.proc.wait(20) == 0
    numbers = [e[0] for e in events(s)]
    once = nodectl("events", "--since", "0", "-o", "json", supervisors=[s]).stdout
    assert [e["number"] for e in json.loads(once)] == numbers, once
    once = nodectl("events", "--since", "0", "-o", "yaml", supervisors=[s]).stdout
    assert once.count("number:") == len(numbers) and "---" not in once, once
    follower = Follower(lab, s, "--since", "0", "-o", "yaml")
    wait_until(lambda: follower.lines().count("---") == len(numbers), 20, "each event is a document")
    piped = subprocess.Popen([nodectl_path(), "events", "--follow", "--since", "0", "-s", "127.0.0.1:%d" % s.port],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lab.on_close(lambda: (piped.poll() is None and piped.kill(), piped.wait(), piped.stderr.close()))
    assert piped.stdout.readline().startswith(b"1 ")
    piped.stdout.close()
    assert piped.wait(20) == 0


@case(kinds=("ours",))
def test_bad_questions(lab):
    """Wrong words, numbers and kinds get an error that says what is expected."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1)
    s = fleet.supervisors[0]
    for words, says in ((("EVENTS", "SINCE"), "needs a number"), (("EVENTS", "SINCE", "x"), "needs a number"),
                        (("EVENTS", "SINCE", "-1"), "needs a number"), (("EVENTS", "FIRST"), "syntax"),
                        (("EVENTS", "LAST", "3"), "syntax"), (("EVENTS", "SINCE", "0", "COUNT", "0"), "needs a number"),
                        (("EVENTS", "SINCE", "0", "GROUP"), "syntax"), (("HISTORY", "KIND", "x"), "no such kind"),
                        (("HISTORY", "BEFORE", "0"), "needs a number"), (("HISTORY", "WHAT", "1"), "syntax")):
        reply = s.call("SENTINEL", *words)
        assert isinstance(reply, RespError) and says in str(reply), "%s: %s" % (words, reply)
    assert "-events-renumbered" in [e[2] for e in events(s, 10 ** 9)]
    for args in (["events", "--since", "x"], ["history", "--count", "0"], ["explain"], ["explain", "mymaster", "x"]):
        done = nodectl(*args, supervisors=[s])
        assert done.returncode == 2 and done.stderr, "%s: %s" % (args, done)
    assert nodectl("history", "--kind", "x", supervisors=[s]).returncode == 1
    assert nodectl("explain", "nogroup", supervisors=[s]).returncode == 1
