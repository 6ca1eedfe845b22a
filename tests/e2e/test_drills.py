"""nodectl drill on a live fleet: harm, canaries, limits, the way back, and reports that every supervisor has."""
import json
import os
import signal
import subprocess

from cases import case
from lab import RespError, wait_until
from lab.adopted import adopt, adopt_all
from lab.places import PlacedShard
from lab.supervised import Supervised
from lab.supervisors import ORDER_TIMERS, nodectl_path
from lab.tool import FAILED, OK, USAGE, at, clean_env
from test_access import PASSWORD, guarded

OURS = ("ours",)
DOWN_AFTER_MS = 1200  # twice the lease: a fleet without one is not well, and no drill is begun there
KEYS = "nodectl-drill:"
# Replication is asynchronous: a master that is killed or stopped may have told OK of the writes of its last turn, which
# no replica has then. How many that may be here; a planned switch loses none.
LAST_TURN = ("--max-lost", 50)
# On a busy machine clients that should notice nothing wait for a processor all the same.
BUSY = ("--max-bystander-ms", 5000)
UNNOTICED = ("--max-outage-ms", 5000, *BUSY)


def again_when_fit(drill, wait_fit):
    """On a busy machine a lease may run out, and the fleet is not well for a moment: then it is tried again."""
    for _ in range(5):
        done = drill()
        if done.returncode != USAGE or "the fleet is not well" not in done.stderr:
            break
        wait_fit()
    return done


class Drilled:
    """A fleet of three shards under three supervisors with leases, and nodectl."""

    def __init__(self, lab, **fleet):
        self.lab = lab
        self.fleet = Supervised(lab, declared=True, down_after_ms=DOWN_AFTER_MS, timers=ORDER_TIMERS, **fleet)
        self.all = self.fleet.nodes + self.fleet.supervisors
        lab.on_close(lambda: adopt_all(self.all))
        self.env = clean_env(lab)
        self.ask(*self.fleet.supervisors)
        self.wait_fit()

    def ask(self, *supervisors):
        self.env["NODECTL_SUPERVISORS"] = at(*supervisors)

    def wait_fit(self):
        wait_until(lambda: self.once("plan", "switchover").returncode == OK, 20, "the fleet is fit for a drill")

    def wait_truth(self, before):
        """The drill ends when those that it is about say so; the node that is asked here hears it over the bus."""
        def same():
            assert self.fleet.truth() == before, (self.fleet.truth(), before)
            return True
        wait_until(same, 20, "every shard is as it was")

    def start(self, *args):
        """nodectl drill in the background; it ends with the test."""
        process = subprocess.Popen([nodectl_path(), "drill", *map(str, args)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                                   env=self.env)
        self.lab.on_close(lambda: process.poll() is None and process.kill())
        return process

    def run(self, *args):
        return again_when_fit(lambda: self.once(*args), self.wait_fit)

    def once(self, *args):
        process = self.start(*args)
        try:
            out, err = process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it brings back what it has killed, so that it is there to be ended
            out, err = process.communicate(timeout=60)
            raise AssertionError("nodectl drill %s took too long:\n%s%s" % (args, out, err)) from None
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def report(self, code, *args):
        done = self.run("run", *args, "--yes", "-o", "json")
        assert done.returncode == code, "%s: %d\n%s%s" % (args, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def shard(self, i=0):
        return self.fleet.name_of(self.fleet.masters[i])

    def no_keys_are_left(self):
        for node in self.fleet.nodes:
            with node.connect() as client:
                for database in range(16):
                    client.ok("SELECT", database)
                    assert client.ok("DBSIZE") == 0, (node.name, database, client.ok("KEYS", "*")[:5])

    def listed(self):
        done = self.run("list", "-o", "json")
        assert done.returncode == OK, done.stderr
        return [d["id"] for d in json.loads(done.stdout)]


def stopped(process):
    with open("/proc/%d/stat" % process.pid, encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


def until_line(process, text):
    """What it has printed up to the line with this text."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("'%s' was not said:\n%s%s" % (text, "".join(lines), process.communicate()[1]))


def history(supervisor, shard, kind, epoch):
    """Notes of this kind and epoch."""
    rows = supervisor.ok("SENTINEL", "HISTORY", "GROUP", shard, "KIND", kind, "COUNT", "100")
    return [json.loads(row[5]) for row in rows if row[4] == epoch]


@case(kinds=OURS, limit_s=120)
def test_kill_master(lab):
    """A master is killed: what the report says of the failover is what the supervisors' history says; the process runs
    again, is master again, and nothing of the drill stays."""
    d = Drilled(lab)
    master, before = d.fleet.masters[1], d.fleet.truth()
    old_pid = master.pid
    report = d.report(OK, "kill-master", "--shard", d.shard(1), "--max-outage-ms", 5000, *LAST_TURN, *BUSY)
    assert report["verdict"] == "PASS" and report["reasons"] == [] and report["back"], report
    adopt(master)
    assert master.pid != old_pid
    d.fleet.wait_well(supervisors=d.fleet.supervisors)
    d.wait_truth(before)
    phases, epoch = report["phases_ms"], report["phases_ms"]["epoch"]
    notes = [n for s in d.fleet.supervisors for n in history(s, report["group"], "switched", epoch)]
    assert len(notes) == 1, notes
    note = notes[0]
    assert (note["from"], note["to"]) == (at(master), report["to"]), (note, report)
    assert [phases[k] for k in ("detect", "agree", "fence", "promote", "tell", "total")] == \
        [note[k + "_ms"] for k in ("detect", "agree", "prepare", "promote", "tell", "total")], (phases, note)
    assert phases["elect"] == note["stand_ms"] + note["elect_ms"], (phases, note)
    assert phases["converge"] == max(n["took_ms"] for s in d.fleet.supervisors
                                     for n in history(s, report["group"], "agreed", epoch)), phases
    # What clients noticed cannot be shorter than what the supervisors needed to notice it.
    assert DOWN_AFTER_MS <= report["outage_ms"] <= 5000 and phases["detect"] >= DOWN_AFTER_MS, report
    assert report["outage_ms"] >= phases["detect"] + phases["elect"] - 50, report
    lanes = report["databases"]
    assert sorted((x["database"], x["bystander"]) for x in lanes) == sorted(
        [(i, False) for i in range(16)] + [(0, True)])
    assert all(x["acked"] > 20 and x["lost"] <= 2 and x["reads"] > 5 for x in lanes), lanes
    assert report["writes"]["acked"] == sum(x["acked"] for x in lanes), report
    assert report["bystander_outage_ms"] < report["outage_ms"], report
    assert any("refused" in e["text"] for e in report["errors"]), report["errors"]
    d.no_keys_are_left()
    # The report is at every supervisor, also when the others are gone.
    for s in d.fleet.supervisors:
        d.ask(s)
        assert json.loads(d.run("report", report["id"], "-o", "json").stdout) == report
    d.fleet.supervisors[0].kill9()
    d.fleet.supervisors[2].kill9()
    d.ask(d.fleet.supervisors[1])
    assert d.listed() == [report["id"]]
    text = d.run("report").stdout
    for part in ("PASS; the fleet is well again", "%8d  total" % phases["total"], report["id"],
                 "%8d of them lost" % report["writes"]["lost"]):
        assert part in text, text
    assert d.run("report", "nobody").returncode == FAILED


@case(kinds=OURS, limit_s=120)
def test_the_other_drills(lab):
    """Switchover loses nothing and needs no restart; a stopped master is continued; a supervisor that is killed runs
    again and nobody noticed; a missed objective is a FAIL with status 1, and the fleet is brought back all the same."""
    d = Drilled(lab)
    before = d.fleet.truth()
    report = d.report(OK, "switchover", "--shard", d.shard(0).split("/")[1], "--hold-ms", 100, *BUSY)
    assert report["writes"]["lost"] == 0 and report["verdict"] == "PASS" and report["to"] != report["from"], report
    assert report["phases_ms"]["detect"] is None or report["phases_ms"]["detect"] < DOWN_AFTER_MS, report
    d.wait_truth(before)

    master = d.fleet.masters[1]
    pid = master.pid
    report = d.report(OK, "stop-master", "--shard", d.shard(1), "--hold-ms", 100, *LAST_TURN, *BUSY)
    assert (report["phases_ms"]["detect"] or 0) >= DOWN_AFTER_MS, report
    assert master.alive() and master.pid == pid and master.info("replication")["role"] == "master"
    d.wait_truth(before)

    report = d.report(OK, "kill-supervisor", "--seed", 4, *UNNOTICED)
    victim = next(s for s in d.fleet.supervisors if at(s) == report["victim"])
    adopt(victim)
    assert report["writes"]["lost"] == 0 and report["phases_ms"]["total"] is None and report["to"] is None, report
    d.fleet.wait_well(supervisors=d.fleet.supervisors)
    assert len(d.listed()) == 3

    # The same seed draws the same; the objective cannot be met.
    plan = json.loads(d.run("plan", "random", "--seed", 11, "-o", "json").stdout)
    again = json.loads(d.run("plan", "random", "--seed", 11, "-o", "json").stdout)
    assert plan == again and plan["kind"] != "random", (plan, again)
    report = d.report(FAILED, "kill-master", "--max-outage-ms", 200, "--shard", d.shard(2))
    adopt(d.fleet.masters[2])
    assert report["verdict"] == "FAIL" and report["back"] and report["outage_ms"] > 200, report
    # It was not started again before there was another master: it has no file that its data could be read from.
    assert any("waits for a new master" in step["text"] for step in report["steps"]), report["steps"]
    assert report["to"] == at(d.fleet.replicas[2]) and report["phases_ms"]["detect"] >= DOWN_AFTER_MS, report
    assert "no acknowledged write for more than 200 ms" in report["aborted"], report
    assert any("objective is 200 ms" in r for r in report["reasons"]), report
    d.wait_truth(before)
    d.no_keys_are_left()


@case(kinds=OURS, limit_s=180)
def test_replicas_supervisors_and_who_is_named(lab):
    """A replica is killed or stopped until it is missed, a supervisor is stopped: whoever is named, and the master
    stays. A switchover goes to the replica that is named. A kind that is not for the named one is refused, and why."""
    d = Drilled(lab)
    before, nodes = d.fleet.truth(), d.fleet.nodes
    pids = {n.name: n.pid for n in nodes}
    replica = d.fleet.replicas[2]
    report = d.report(OK, "kill-replica", "--node", at(replica), "--hold-ms", 100, *UNNOTICED)
    assert (report["victim"], report["group"]) == (at(replica), d.shard(2)), report
    assert any("the supervisors miss %s" % at(replica) in s["text"] for s in report["steps"]), report["steps"]
    assert report["objective"]["max_outage_ms"] == 5000 and report["to"] is None, report
    adopt(replica)
    assert replica.pid != pids[replica.name]
    d.fleet.wait_well(supervisors=d.fleet.supervisors)
    d.wait_truth(before)

    report = d.report(OK, "stop-replica", "--hold-ms", 100, "--seed", 3, *UNNOTICED)
    victim = next(n for n in d.fleet.replicas if at(n) == report["victim"])
    assert "SIGSTOP" in report["harm"] and report["to"] is None and not stopped(victim), report
    supervisor = d.fleet.supervisors[1]
    process = d.start("run", "stop-supervisor", "--node", at(supervisor), "--hold-ms", 60000, "--yes", *UNNOTICED)
    until_line(process, "writes are acknowledged in every database")
    assert stopped(supervisor), "it is stopped"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "ended early: interrupted" in out and "all is as it was" in out and not stopped(supervisor), out + err

    heir, shard = d.fleet.replicas[0], d.shard(0)
    report = d.report(OK, "switchover", "--node", at(heir), "--hold-ms", 100, *BUSY)
    assert (report["group"], report["to"]) == (shard, at(heir)) and report["writes"]["lost"] == 0, report
    d.wait_truth(before)
    assert {n.name: n.pid for n in nodes if n is not replica} == {
        name: pid for name, pid in pids.items() if name != replica.name}
    for words, why in ((("kill-replica", "--node", at(d.fleet.masters[0])), "is a master, and kill-replica is done to"),
                       (("kill-master", "--node", at(supervisor)), "is a supervisor, and kill-master is done to a"),
                       (("kill-master", "--node", "127.0.0.1:1"), "127.0.0.1:1 is no node of orders"),
                       (("kill-master", "--node", at(heir), "--shard", d.shard(1)), "and not of %s" % d.shard(1)),
                       (("cut-replica",), "kind = \"cut-replica\""), (("kill-master", "--node", "x"), "host:port")):
        done = d.run("run", *words, "--yes")
        assert done.returncode == USAGE and why in done.stderr, (words, done)
    # Without --max-outage-ms nobody should notice anything; the plan says so.
    plan = json.loads(d.run("run", "stop-replica", "--seed", 3, "--dry-run", "-o", "json").stdout)
    assert (plan["objective"]["max_outage_ms"], plan["objective"]["max_bystander_ms"]) == (1000, 1000), plan
    assert plan["victim"] == at(victim) and not stopped(victim), plan
    assert "a replica" in d.run("run", "stop-replica", "--dry-run").stdout
    d.no_keys_are_left()


@case(kinds=OURS, limit_s=180)
def test_one_drill_at_a_time(lab):
    """While a drill runs no other one begins there, and who runs it since when is told; a supervisor's claim alone
    keeps nobody out, that of a majority does. A claim is over when nodectl is killed."""
    d = Drilled(lab)
    pids = [s.pid for s in d.fleet.supervisors]
    first = d.start("run", "switchover", "--shard", d.shard(0), "--no-restore-roles", "--hold-ms", 60000, "--yes")
    until_line(first, "writes are acknowledged in every database")
    d.wait_fit()
    for words in (("kill-supervisor",), ("switchover", "--shard", d.shard(1))):
        done = d.run("run", *words, "--yes")
        assert done.returncode == USAGE and "nothing was done" in done.stderr, done
        assert "(switchover of orders/" in done.stderr and "(process %d) runs since" % first.pid in done.stderr, done
    assert [s.pid for s in d.fleet.supervisors] == pids and all(s.alive() for s in d.fleet.supervisors)
    first.kill()
    first.communicate()

    def free():
        assert not any(s.ok("SENTINEL", "DRILL", "CLAIMS") for s in d.fleet.supervisors)
        return True
    wait_until(free, 20, "the claim is given up")
    d.wait_fit()
    claim = ("SENTINEL", "DRILL", "BEGIN", "other-1", "orders", 60000, "somebody@elsewhere", "kill-master of orders/x")
    d.fleet.supervisors[0].ok(*claim)
    d.report(OK, "switchover", "--hold-ms", 0, *BUSY)
    d.fleet.supervisors[1].ok(*claim)
    done = d.run("run", "switchover", "--yes")
    assert done.returncode == USAGE and "other-1 (kill-master of orders/x) by somebody@elsewhere" in done.stderr, done
    assert not any(len(s.ok("SENTINEL", "DRILL", "CLAIMS")) > 1 for s in d.fleet.supervisors)
    assert d.fleet.supervisors[2].ok("SENTINEL", "DRILL", "CLAIMS") == []
    assert d.fleet.supervisors[1].ok("SENTINEL", "DRILL", "END", "other-1") == 1
    d.report(OK, "switchover", "--hold-ms", 0, *BUSY)
    for bad in (("BEGIN", "a", "orders", "0", "me", "x"), ("BEGIN", "a b", "orders", "9", "me", "x"), ("BEGIN",),
                ("END",)):
        assert isinstance(d.fleet.supervisors[0].call("SENTINEL", "DRILL", *bad), RespError), bad


@case(kinds=("stock",), limit_s=120)
def test_supervisors_that_keep_no_claims(lab):
    """Under redis-sentinel, which knows no claims, a drill is done all the same, and says what is missing."""
    fleet = lab.fleet()
    env = clean_env(lab, NODECTL_SUPERVISORS=at(*fleet.supervisors))

    def drill(verb, *args):
        return subprocess.run([nodectl_path(), "drill", verb, "stop-master", "--group", "mymaster", *map(str, args)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              universal_newlines=True, env=env, timeout=100)

    def wait_fit():
        wait_until(lambda: drill("plan").returncode == OK, 20, "the group is fit for a drill")
    wait_fit()
    done = again_when_fit(lambda: drill("run", "--no-restore-roles", "--hold-ms", 0, "--yes", "-o", "json", *LAST_TURN),
                          wait_fit)
    assert done.returncode == OK and "these supervisors keep no claims" in done.stderr, done
    assert json.loads(done.stdout)["to"] in {at(r) for r in fleet.replicas}, done


SSH = """#!/bin/sh
# ssh root@HOST COMMAND...: to one of the test's places. Where there is no nft its two commands are rules of the network
# between the places.
host=${1#root@}; shift
if command -v nft >/dev/null; then
    exec nsenter --target $(cat "$0.$host") --net -- sh -c "$(echo "$*" | sed 's|/etc/nftables/|%s/|')"
fi
case "$*" in
"nft -f -") grep -q 'delete table inet drill' || exit 1; word=del;;
"nft -f /etc/nftables/drill.nft") word=add;;
*) exit 1;;
esac
ip rule $word pref 10 from $host blackhole && ip rule $word pref 10 to $host blackhole
"""


@case(kinds=OURS, limit_s=180)
def test_a_real_cut(lab):
    """The sample's drill `cut`, as it stands: the master's host is off the network, for supervisors, replica and
    clients, until the rules are deleted; then it is the master again."""
    shard = PlacedShard(lab)
    etc = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "etc")
    os.makedirs(lab.path("bin"))
    ssh = lab.path("bin", "ssh")
    with open(ssh, "w", encoding="utf-8") as f:
        f.write(SSH % etc)
    os.chmod(ssh, 0o755)
    with open("%s.%s" % (ssh, shard.master.place.address), "w", encoding="ascii") as f:
        f.write(str(shard.master.place.holder.pid))
    env = clean_env(lab, NODECTL_SUPERVISORS=",".join("%s:%d" % (s.place.address, s.port) for s in shard.supervisors))
    env["PATH"] = os.path.dirname(ssh) + os.pathsep + os.environ["PATH"]

    def drill(verb, *args):
        return subprocess.run([nodectl_path(), "drill", verb, "cut", "--file", os.path.join(etc, "drills.conf"),
                               *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.PIPE, universal_newlines=True, env=env, timeout=120)

    def wait_fit():
        wait_until(lambda: drill("plan").returncode == OK, 20, "the fleet is fit for a drill")
    wait_fit()
    done = again_when_fit(lambda: drill("run", "--hold-ms", 0, "--yes", "-o", "json", *LAST_TURN), wait_fit)
    assert done.returncode == OK, done
    report = json.loads(done.stdout)
    place = {node: "%s:%d" % (node.place.address, node.port) for node in shard.nodes}
    assert (report["victim"], report["to"]) == (place[shard.master], place[shard.replica]), report
    assert report["phases_ms"]["detect"] >= 1000 and report["outage_ms"] >= 900, report
    # Nobody refused anything: what was sent there was never answered.
    assert any(e["text"].startswith("no answer within") for e in report["errors"]), report["errors"]
    shard.wait_well(shard.master)


@case(kinds=OURS, limit_s=120)
def test_nobody_listens(lab):
    """The reader of the drill's output goes away at its first line: the drill goes on to its end, the supervisors have
    the report, and no key stays."""
    d = Drilled(lab)
    before = d.fleet.truth()
    process = d.start("run", "stop-master", "--shard", d.shard(1), "--hold-ms", 100, "--yes", *LAST_TURN, *BUSY)
    assert process.stdout.readline().startswith("Drill stop-master"), "the plan"
    process.stdout.close()
    assert process.wait(timeout=90) == FAILED  # what it had to say it could not say
    assert "standard output cannot be written" in process.stderr.read()
    report = json.loads(d.run("report", "-o", "json").stdout)
    assert report["verdict"] == "PASS" and report["back"], report
    d.wait_truth(before)
    d.no_keys_are_left()


@case(kinds=OURS, limit_s=180)
def test_phases_where_ballots_and_nodes_count_apart(lab):
    """redis-server takes config epochs of its own, so those of ballots are other numbers. Each of two drills reports
    the phases of its own failover, and nodectl explain tells the same of it by either number."""
    d = Drilled(lab, shards=(("stock", "stock"),) * 3)
    # Somebody who is not on the list asks for a vote at a high epoch: ballots are above it from now on.
    for s in d.fleet.supervisors:
        s.ok("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", d.fleet.masters[1].port, 40, "f" * 40)
    seen = set()
    for _ in range(2):
        # How long redis-server is silent here, on a disk that others use too, is not what this is about.
        report = d.report(OK, "stop-master", "--shard", d.shard(1), "--hold-ms", 100, "--max-lost", 100000,
                          "--max-bystander-ms", 60000)
        phases = report["phases_ms"]
        ballot, config = phases["epoch"], phases["config_epoch"]
        assert ballot > 40 > config > 0 and ballot not in seen, (phases, seen)
        seen.add(ballot)
        notes = {kind: [n for s in d.fleet.supervisors for n in history(s, report["group"], kind, ballot)]
                 for kind in ("switched", "agreed", "stand")}
        note, = notes["switched"]
        assert (note["from"], note["to"]) == (report["from"], report["to"]), (note, report)
        assert (note["ballot"], note["config_epoch"]) == (ballot, config), (note, phases)
        assert [phases[k] for k in ("detect", "agree", "fence", "promote", "tell", "total")] == \
            [note[k + "_ms"] for k in ("detect", "agree", "prepare", "promote", "tell", "total")], (phases, note)
        assert phases["detect"] >= DOWN_AFTER_MS and phases["converge"] is not None, phases
        assert all((n["ballot"], n["config_epoch"]) == (ballot, config) for n in notes["agreed"]), (notes, phases)
        told = []
        for number in (ballot, config):
            done = subprocess.run([nodectl_path(), "explain", report["group"], str(number), "-o", "json"], check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=d.env, timeout=30)
            told.append(json.loads(done.stdout))
        for t in told:
            assert (t["epoch"], t["config_epoch"], t["outcome"]) == (ballot, config, "switched"), (t, phases)
            assert (t["from"], t["to"]) == (report["from"], report["to"]), (t, report)
            assert t["switched"]["total_ms"] == phases["total"] and t["stand"]["epoch"] == ballot, t
            assert {e["note"]["ballot"] for e in t["records"] if e["kind"] in ("agreed", "config")} <= {ballot, 0}, t


@case(kinds=OURS, limit_s=120)
def test_not_on_a_fleet_that_is_not_well(lab):
    """A replica that is gone, an unknown shard, cut-master without commands: status 2, the reason, and nothing is done.
    Own drills come from a file, with commands of the operator's that are told whom it is about."""
    d = Drilled(lab)
    before = d.fleet.truth()
    done = d.run("run", "cut-master", "--yes")
    assert done.returncode == USAGE and "needs commands of yours" in done.stderr, done
    done = d.run("run", "kill-master", "--shard", "nobody", "--yes")
    assert done.returncode == USAGE and "has no shard nobody" in done.stderr, done
    path, log = lab.path("drills.conf"), lab.path("log")
    with open(path, "w", encoding="utf-8") as f:
        f.write('drills = ( { name = "cut"; kind = "cut-master"; shard = "%s"; max_time_s = 2; every_ms = 20;\n'
                '  harm_command = "echo $NODECTL_DRILL_ACTION $NODECTL_DRILL_HOST:$NODECTL_DRILL_PORT '
                '$NODECTL_DRILL_PID >>%s; kill -STOP $NODECTL_DRILL_PID";\n'
                '  heal_command = "echo $NODECTL_DRILL_ACTION >>%s; kill -CONT %d"; },\n'
                '  { name = "thief"; kind = "cut-master"; shard = "%s"; hold_ms = 0; heal_command = "true";\n'
                '  harm_command = "c=\'redis-cli -p \'$NODECTL_DRILL_PORT\' -n 3\'; $c KEYS \\"%s*\\" | '
                'xargs $c DEL; exit 1"; } );\n' % (d.shard(2), log, log, d.fleet.masters[2].pid, d.shard(1), KEYS))
    report = d.report(OK, "cut", "--file", path, "--max-time-s", 20, "--hold-ms", 0, *LAST_TURN, *BUSY)
    with open(log, encoding="utf-8") as f:
        said = f.read()
    assert said == "harm %s %d\nheal\n" % (at(d.fleet.masters[2]), d.fleet.masters[2].pid), said
    assert report["kind"] == "cut-master" and report["to"], report
    # Somebody takes acknowledged writes away in one database: they are missed there and nowhere else.
    report = d.report(FAILED, "thief", "--file", path)
    lost = {x["database"]: x["lost"] for x in report["databases"]}
    assert lost[3] > 5 and set(lost[i] for i in lost if i != 3) == {0} and report["back"], lost
    assert any("acknowledged writes are lost" in r for r in report["reasons"]), report
    assert "status 1" in report["aborted"], report
    d.wait_truth(before)
    with open(path, "a", encoding="utf-8") as f:
        f.write("dirlls = 1;\n")
    done = d.run("run", "cut", "--file", path, "--yes")
    assert done.returncode == USAGE and "dirlls" in done.stderr and "drills.conf:" in done.stderr, done
    d.fleet.replicas[0].kill9()
    pids = [n.pid for n in d.fleet.masters]

    def refused():
        again = d.once("run", "kill-master", "--shard", d.shard(1), "--yes")
        assert again.returncode == USAGE, again
        return "the fleet is not well" in again.stderr and "no replica of %s is up" % at(d.fleet.masters[0]) in \
            again.stderr
    wait_until(refused, 20, "the drill is refused for the dead replica")
    assert all(n.alive() for n in d.fleet.masters) and [n.pid for n in d.fleet.masters] == pids
    d.fleet.supervisors[0].ok("SENTINEL", "DRILL", "RECORD", "x-1", "g", "{}")
    for bad in (("RECORD", "x y", "g", "{}"), ("RECORD", "x", "g", "[]"), ("RECORD", "x", "g", "{"), ("SHOW",),
                ("NO",)):
        assert isinstance(d.fleet.supervisors[0].call("SENTINEL", "DRILL", *bad), RespError), bad


@case(kinds=OURS, limit_s=120, matrix=[("stop-master", signal.SIGINT), ("kill-master", signal.SIGKILL)])
def test_interrupted_in_the_middle(lab, drill, sig):
    """Ctrl-C while a master is stopped: it is continued, is master again, and the report is a FAIL that says so. When
    nodectl itself is killed, a master that it has killed is started again all the same."""
    d = Drilled(lab)
    before, master = d.fleet.truth(), d.fleet.masters[0]
    process = d.start("run", drill, "--shard", d.shard(0), "--hold-ms", 60000, "--yes")
    until_line(process, "writes are acknowledged in every database")
    if drill == "stop-master":
        assert stopped(master), "it is stopped"
        done = d.once("run", "kill-supervisor", "--yes")  # nor is the fleet well, and it is said whose doing that is
        assert done.returncode == USAGE and "the fleet is not well" in done.stderr, done
        assert "(stop-master of orders/" in done.stderr and "(process %d)" % process.pid in done.stderr, done
    else:
        assert not master.alive()
    process.send_signal(sig)
    out, err = process.communicate(timeout=60)
    if sig == signal.SIGKILL:
        adopt(master)
        d.fleet.wait_well(timeout_s=40, supervisors=d.fleet.supervisors)  # as a replica of the new one
        assert d.fleet.truth() != before
        return
    assert process.returncode == FAILED and "FAIL; the fleet is well again" in out, out + err
    assert "ended early: interrupted" in out and "all is as it was" in out, out
    d.wait_truth(before)
    d.no_keys_are_left()


@case(kinds=OURS, limit_s=120)
def test_a_group_with_passwords(lab):
    """A master and two replicas that are no cluster: the canaries ask the supervisors where the master is, and log in
    everywhere. Without the password of the nodes nothing is done."""
    secret = {"requirepass": "nodepass", "masterauth": "nodepass"}
    fleet = lab.fleet(master_options=secret, replica_options=[secret, secret], group={"password": "nodepass"},
                      supervisor_args=guarded(lab, "ours"), wait=False)
    for s in fleet.supervisors:
        s.password = PASSWORD
    fleet.wait_well()
    env = clean_env(lab, NODECTL_PASSWORD=PASSWORD, NODECTL_SUPERVISORS=at(*fleet.supervisors))

    def drill():
        argv = [nodectl_path(), "drill", "run", "stop-master", "--group", "mymaster", "--hold-ms", "0", "--yes", "-o",
                "json", *map(str, LAST_TURN)]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, env=env, timeout=90, check=False)

    def locked_out():
        done = drill()
        assert done.returncode == USAGE and json.loads(done.stdout)["ok"] is False, done
        return "Give --node-password-file, or NODECTL_NODE_PASSWORD" in done.stderr
    wait_until(locked_out, 20, "the fleet is fit, and the password is missing")
    env["NODECTL_NODE_PASSWORD"] = "nodepass"
    done = again_when_fit(drill, fleet.wait_well)
    assert done.returncode == OK, done
    report = json.loads(done.stdout)
    assert report["cluster"] is None and report["to"] in {at(r) for r in fleet.replicas}, report
    assert len(report["databases"]) == 16, report
    wait_until(lambda: fleet.agreed_port() == fleet.master.port, 20, "all supervisors have the old master again")
    assert fleet.master.role() == "master"
