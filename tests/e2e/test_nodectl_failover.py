"""nodectl failover: the plan, the question, the deed, its phases and its exit status."""
import os
import pty
import subprocess
import threading

from cases import case
from lab import Group, pairs, wait_until
from lab.supervisors import ORDER_TIMERS, QUICK_TIMERS, nodectl_path, secret
from lab.tool import FAILED, INTERRUPTED, NOBODY, OK, USAGE, at, clean_env, document, expect, of, run

# What a paused replica told last counts for three of these periods.
PATIENT = dict(QUICK_TIMERS, **{"info-period": 3000})
# And it is taken while its last answer to PING is younger than five of these.
PATIENT_OF_SILENCE = dict(PATIENT, **{"ping-period": 1000})


def failover(lab, *args, supervisors=(), group="mymaster", **env):
    return run(lab, "failover", group, *args, *(of(*supervisors) if supervisors else ()), **env)


def settled(fleet):
    fleet.wait_failover_over()
    fleet.wait_well()


def shown_status(lab, supervisors):
    """Wait until the supervisors have told each other and us everything that the plan needs."""
    def ready():
        expect(run(lab, "status", *of(*supervisors)), OK)
        return True
    wait_until(ready, 15, "nodectl status finds nothing wrong")


@case(limit_s=90)
def test_plain_failover(lab):
    """The plan names both ends, the progress is the supervisors' events, the end is true at all of them."""
    fleet = lab.fleet(replica_options=[{"replica-priority": "50"}, {"replica-priority": "40"}], timers=ORDER_TIMERS)
    shown_status(lab, fleet.supervisors)
    old, new = fleet.master, fleet.replicas[1]
    kind = "sentineld" if lab.kind == "ours" else "redis-sentinel"
    done = expect(failover(lab, "--yes", supervisors=fleet.supervisors), OK, "from         %s (master, ok)" % at(old),
                  "to           %s (replica, priority 40, " % at(new), "(%s)" % kind,
                  "3 of 3 usable, quorum 2", "+switch-master mymaster 127.0.0.1 %d 127.0.0.1 %d" % (old.port, new.port),
                  "mymaster: the master is now %s; it was %s." % (at(new), at(old)), "replica promoted",
                  "all supervisors that answer agree", "the other replicas follow")
    assert fleet.agreed_port() == new.port and new.role() == "master", done.stdout
    settled(fleet)
    told = document(failover(lab, "-y", "-o", "json", supervisors=fleet.supervisors[:1]))
    assert told["ok"] and told["done"] == 1 and told["failure"] is None and told["from"] == at(new), told
    assert told["steps"] == [{"step": "promote %s in the place of %s" % (told["planned_to"], at(new)),
                              "state": "done"}], told
    assert told["to"] == at(fleet.server(fleet.agreed_port())) and told["coordinated"] is False, told
    phases = told["phases_ms"]
    assert list(phases) == ["selected", "promoted", "switched", "agreed", "finished"], told
    assert 0 <= phases["selected"] <= phases["promoted"] <= phases["switched"] <= phases["agreed"], told
    assert {e["supervisor"] for e in told["events"] if e["event"] == "+switch-master"} == \
        {at(s) for s in fleet.supervisors}, "not all were listened to: %s" % told


@case(kinds=("ours",), limit_s=90)
def test_chosen_replica(lab):
    """--to promotes that replica although another one is preferred; one that cannot be promoted is refused before
    anything happens."""
    fleet = lab.fleet(replica_options=[{"replica-priority": "0"}, {"replica-priority": "200"}, {}], replicas=3,
                      timers=ORDER_TIMERS)
    shown_status(lab, fleet.supervisors)
    expect(failover(lab, "-y", "--to", at(fleet.replicas[0]), supervisors=fleet.supervisors), FAILED,
           "%s cannot be promoted: its priority is 0" % at(fleet.replicas[0]))
    expect(failover(lab, "-y", "--to", at(fleet.master), supervisors=fleet.supervisors), FAILED,
           "is no replica of this group. Its replicas are: ")
    expect(failover(lab, "-y", "--to", "nowhere", supervisors=fleet.supervisors), USAGE, "must be host:port")
    assert fleet.agreed_port() == fleet.master.port
    expect(failover(lab, "-y", "--to", at(fleet.replicas[1]), supervisors=fleet.supervisors), OK,
           "the master is now %s" % at(fleet.replicas[1]))
    assert fleet.agreed_port() == fleet.replicas[1].port
    settled(fleet)


def planned_and_done(lab, fleet, wanted):
    """The plan that is shown, and what the supervisors then choose, are the same and this one."""
    done = expect(failover(lab, "-y", supervisors=fleet.supervisors), OK, "to           %s (replica" % at(wanted),
                  "the master is now %s" % at(wanted))
    assert "The plan said" not in done.stdout, done.stdout
    assert fleet.agreed_port() == wanted.port
    return done


@case(kinds=("ours",), limit_s=90, matrix=[("offset",), ("priority",), ("run id",), ("cut off",)])
def test_the_plan_is_what_happens(lab, rule):
    """Of replicas that differ by one rule, while the rules below it would choose another, the plan names the one that
    is promoted."""
    quiet = {"repl_ping_replica_period": "3600"}
    options = [dict(quiet), dict(quiet)]
    fleet = lab.fleet(down_after_ms=10000, master_options=quiet, replica_options=options, timers=PATIENT)
    fleet.master.ok("SET", "first", "1")
    wait_until(lambda: all(r.ok("GET", "first") == "1" for r in fleet.replicas), 10, "both have a key")
    less, more = sorted(fleet.replicas, key=lambda r: r.run_id())
    wanted = {"offset": more, "priority": more, "run id": less, "cut off": more}[rule]
    if rule == "priority":
        more.ok("CONFIG", "SET", "replica-priority", "50")
    if rule == "cut off":  # the better priority, but its master does not take it any more
        less.ok("CONFIG", "SET", "replica-priority", "10")
        less.ok("CONFIG", "SET", "masterauth", "wrong", "masteruser", "nobody")
        less.ok("CLIENT", "KILL", "TYPE", "master")
        wait_until(lambda: less.info("replication")["master_link_status"] == "down", 10, "it is cut off")
    shown = {"priority": (more, "50"), "cut off": (less, "10")}.get(rule, (less, "100"))
    for s in fleet.supervisors:
        wait_until(lambda s=s: [r["slave-priority"] for r in s.replicas() if r["port"] == str(shown[0].port)] ==
                   [shown[1]], 10, "%s knows the priority" % s.name)
    if rule == "offset":
        less.pause()
        fleet.master.ok("SET", "second", "x" * 1000)
    rows = [pairs(r) for r in fleet.supervisors[0].ok("SENTINEL", "RANKING", "mymaster")]
    assert {r["port"] for r in rows} == {str(r.port) for r in fleet.replicas}, rows
    assert all(r["verdict"] == "suitable" for r in rows), rows
    done = planned_and_done(lab, fleet, wanted)
    assert "  ! " not in done.stdout, done.stdout
    if rule == "offset":
        less.resume()


@case(kinds=("ours",), limit_s=60)
def test_an_impaired_replica_is_warned_of(lab):
    """The only replica is cut off from its master: it is taken, and the plan says what is wrong with it."""
    fleet = lab.fleet(replicas=1, down_after_ms=10000, timers=ORDER_TIMERS)
    replica = fleet.replicas[0]
    replica.ok("CONFIG", "SET", "masterauth", "wrong", "masteruser", "nobody")
    replica.ok("CLIENT", "KILL", "TYPE", "master")
    for s in fleet.supervisors:
        wait_until(lambda s=s: s.replicas()[0]["master-link-status"] == "err", 10, "%s sees it" % s.name)
    expect(failover(lab, "-y", supervisors=fleet.supervisors), OK, "  ! %s is loading, sync" % at(replica),
           "the master is now %s" % at(replica))


@case(kinds=("ours",), limit_s=90)
def test_coordinated_loses_nothing(lab):
    """Under writes, to a chosen replica: every acknowledged write is on the new master. (The pause may last half of
    down-after, and a replica may take a second to say how far it is.)"""
    fleet = lab.fleet(down_after_ms=6000, timers=ORDER_TIMERS)
    shown_status(lab, fleet.supervisors)
    writer = lab.writer(fleet.supervisors).start()
    wait_until(lambda: len(writer.acked) > 200, 15, "the writer has begun")
    expect(failover(lab, "-y", "--coordinated", "--to", at(fleet.replicas[0]), supervisors=fleet.supervisors), OK,
           "coordinated: writes are paused", "the master is now %s" % at(fleet.replicas[0]))
    count = len(writer.acked)
    wait_until(lambda: len(writer.acked) > count + 200, 15, "writes go on")
    writer.stop()
    assert not writer.lost(fleet.replicas[0])


@case(kinds=("stock",), limit_s=60)
def test_what_stock_cannot(lab):
    """redis-sentinel knows neither --to nor --coordinated: that is said, and nothing happens."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=20000)
    for option in (["--to", at(fleet.replicas[0])], ["--coordinated"]):
        expect(failover(lab, "-y", *option, supervisors=fleet.supervisors), FAILED, "is known to sentineld only")
    assert fleet.agreed_port() == fleet.master.port and fleet.supervisors[0].config_epoch() == 0


@case(kinds=("ours",), limit_s=90)
def test_mixed_supervisors(lab):
    """Two redis-sentinels and a sentineld: what only sentineld can is asked of it; all are listened to."""
    fleet = lab.fleet(kinds=["stock", "stock", "ours"], down_after_ms=2000, timers=ORDER_TIMERS)
    shown_status(lab, fleet.supervisors)
    told = document(failover(lab, "-y", "--to", at(fleet.replicas[1]), "-o", "json", supervisors=fleet.supervisors[:1]))
    assert told["by"] == at(fleet.supervisors[2]) and told["sentineld"] is True, told
    assert told["to"] == at(fleet.replicas[1]) and told["phases_ms"]["agreed"] is not None, told


@case(limit_s=90)
def test_failure_is_told(lab):
    """The replica hangs: the supervisor gives it up, and so do we, with its reason."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=20000, failover_timeout_ms=3000,
                      timers=PATIENT_OF_SILENCE)
    shown_status(lab, fleet.supervisors)
    fleet.replicas[0].pause()
    done = failover(lab, "-y", "-o", "json", supervisors=fleet.supervisors)
    fleet.replicas[0].resume()
    expect(done, FAILED, "the replica did not become a master in time (-failover-abort-slave-timeout)")
    told = document(done, FAILED)
    assert not told["ok"] and told["done"] == 0 and told["steps"][0]["state"] == "failed", told
    assert told["phases_ms"]["selected"] is not None and told["phases_ms"]["switched"] is None, told
    assert "-failover-abort-slave-timeout" in told["failure"], told


@case(kinds=("ours",), limit_s=90)
def test_refusals(lab):
    """No such group, no replica, one already under way, no right to, too short a wait."""
    users = 'users = ( { name = "default"; password = ""; access = "read"; },' \
            ' { name = "admin"; password = "a"; access = "all"; } );'
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=20000, failover_timeout_ms=5000,
                      timers={}, supervisor_args={"extra": [users]})
    lonely = lab.redis("lonely").wait_ready()
    s = fleet.supervisors[0]
    login = ("--user", "admin", "--password-file", secret(lab, "a"))
    with s.connect() as client:
        client.ok("AUTH", "admin", "a")
        client.ok("SENTINEL", "MONITOR", "lonely", "127.0.0.1", lonely.port, "1")
    wait_until(lambda: s.flags("lonely") == ["master"], 10, "the master without replicas is watched")
    expect(failover(lab, "-y", supervisors=[s], group="nobody"), FAILED, "watches a group named 'nobody'")
    expect(failover(lab, "-y", *login, supervisors=[s], group="lonely"), FAILED, "no replica can be promoted")
    expect(failover(lab, "-y", supervisors=[s]), FAILED, "refuses: NOPERM")
    expect(failover(lab, "-y", "--wait-ms", "0", supervisors=[s]), USAGE, "--wait-ms is '0'")
    assert s.config_epoch() == 0
    fleet.replicas[0].pause()
    expect(failover(lab, "-y", "--wait-ms", "200", *login, supervisors=[s]), FAILED, "it is not over after 200 ms")
    expect(failover(lab, "-y", *login, supervisors=[s]), FAILED, "refuses: INPROG")
    fleet.replicas[0].resume()


@case(kinds=("ours",), limit_s=60)
def test_nobody_to_ask(lab):
    """No terminal and no --yes: nothing is done. No supervisor: 3. One of three: it is enough."""
    fleet = lab.fleet(down_after_ms=2000, timers=ORDER_TIMERS)
    shown_status(lab, fleet.supervisors)
    expect(failover(lab, supervisors=fleet.supervisors), USAGE, "give --yes to do it without asking")
    free = [lab.ports.take() for _ in range(2)]
    expect(failover(lab, "-y", supervisors=free), NOBODY, "no supervisor can be asked", "Connection refused")
    expect(failover(lab, "-y"), USAGE, "no supervisor is named")
    assert fleet.supervisors[0].config_epoch() == 0
    expect(failover(lab, "-y", supervisors=free + fleet.supervisors[1:2]), OK, "all supervisors that answer agree")
    # Two of the three are gone: the plain form needs no agreement, and the warning says what is missing.
    settled(fleet)
    for s in fleet.supervisors[:2]:
        s.kill9()
    expect(failover(lab, "-y", supervisors=fleet.supervisors), OK, "  ! ", "the master is now ")


class Terminal:
    """nodectl with a terminal of its own for all three streams."""

    def __init__(self, lab, *args):
        self.text = ""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execve(nodectl_path(), ["nodectl"] + [str(a) for a in args], clean_env(lab, TERM="xterm"))
        self.pid = pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        lab.on_close(self.close)

    def _read(self):
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                return
            if not data:
                return
            self.text += data.decode("utf-8", "replace")

    def wait_for(self, part):
        wait_until(lambda: part in self.text, 15, "the terminal shows %r" % part)

    def type(self, text):
        os.write(self.fd, text.encode())

    def status(self):
        self.reader.join(30)
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self):
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@case(kinds=("ours",), limit_s=60)
def test_the_question(lab):
    """At a terminal it asks: anything but y changes nothing; the end of the input too; y does it."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=20000, timers=ORDER_TIMERS)
    shown_status(lab, fleet.supervisors)
    for answer in ("n\n", "\n", "\x04"):
        t = Terminal(lab, "failover", "mymaster", "-s", at(fleet.supervisors[0]))
        t.wait_for("Fail over now? [y/N] ")
        t.type(answer)
        assert t.status() == FAILED and "nothing was done: it was not confirmed" in t.text, t.text
    assert fleet.supervisors[0].config_epoch() == 0
    t = Terminal(lab, "failover", "mymaster", "-s", at(fleet.supervisors[0]))
    t.wait_for("Fail over now? [y/N] ")
    t.type("y\n")
    assert t.status() == OK and "the master is now %s" % at(fleet.replicas[0]) in t.text, t.text
    assert fleet.agreed_port() == fleet.replicas[0].port


@case(kinds=("ours",), limit_s=60)
def test_the_supervisor_dies_meanwhile(lab):
    """Ctrl-C does not leave a failover alone that is under way, once more would; and when the connection is lost, that
    is said, with where to look."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=20000, failover_timeout_ms=10000,
                      timers=PATIENT)
    shown_status(lab, fleet.supervisors)
    fleet.replicas[0].pause()
    t = Terminal(lab, "failover", "mymaster", "-y", "-s", at(fleet.supervisors[0]))
    t.wait_for("+failover-state-wait-promotion")
    t.type("\x03")
    t.wait_for("Ctrl-C once more does not wait")
    fleet.supervisors[0].kill9()
    assert t.status() == INTERRUPTED and "was lost. It may still go on: see nodectl status" in t.text, t.text
    fleet.replicas[0].resume()


@case(kinds=("ours",), limit_s=30)
def test_help_and_groups_of_odd_names(lab):
    """The help says the exit codes; names from outside reach the terminal without what it would obey."""
    done = subprocess.run([nodectl_path(), "help", "failover"], stdout=subprocess.PIPE, universal_newlines=True,
                          timeout=10, check=True)
    for part in ("--to NODE", "--coordinated", "--yes", "Exit status: 0 done, or"):
        assert part in done.stdout, done.stdout
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)])
    done = failover(lab, "-y", supervisors=[s], group="a\x1b[31mb")
    assert done.returncode == FAILED and "\x1b" not in done.stdout + done.stderr, done.stderr
