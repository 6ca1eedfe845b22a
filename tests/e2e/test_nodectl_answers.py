"""What nodectl answers to a program: exit codes are those that the help and the man page document, each of them
happens, and -o json is JSON, also where something is wrong."""
import json
import os
import re
import subprocess

from cases import case
from lab import Group, wait_until
from lab.clusters import cluster_node, info, make_cluster
from lab.supervised import Supervised
from lab.supervisors import ORDER_TIMERS, Cluster, nodectl_path, quoted, secret
from lab.tool import wait_leased
from test_documents import help_of, leaves, options
from test_drills import again_when_fit

OK, FAILED, USAGE, NOBODY = 0, 1, 2, 3
DOWN_AFTER_MS = 4000  # no command finds a failover or a lease that has ended because a process stood still


def nodectl(*args):
    return subprocess.run([nodectl_path(), *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=60,
                          env={k: v for k, v in os.environ.items() if not k.startswith("NODECTL_")})


def documented(text):
    """The codes of a command's help."""
    words = re.search(r"^Exit status: (.*?)\n\n", text, re.M | re.S).group(1)
    return {int(code) for code in re.findall(r"(?:^|;\s)(\d) ", words)}


def file_of(lab, name, text):
    with open(lab.path(name), "w", encoding="utf-8") as f:
        f.write(text)
    return lab.path(name)


class Asked:
    """A supervisor with hooks and users, and for each command what makes it end with each of its codes."""

    def __init__(self, lab):
        hook = lab.script("hook", "#!/bin/sh\necho fine\n")
        extra = ["hooks = ( { on = [ \"+switch-master\" ]; run = [ %s ]; } );" % quoted(hook),
                 'users = ( { name = "default"; access = "all"; },'
                 ' { name = "eye"; password = "see"; access = "read"; } );']
        self.fleet = lab.fleet(supervisors=1, quorum=1, replicas=1, supervisor_args={"extra": extra},
                               down_after_ms=DOWN_AFTER_MS, timers=ORDER_TIMERS)
        self.s = self.fleet.supervisors[0]
        self.at = ["-s", "127.0.0.1:%d" % self.s.port]
        self.dead = ["-s", "127.0.0.1:%d" % lab.ports.take()]
        self.both = ["-s", self.at[1] + "," + self.dead[1]]
        self.bad = file_of(lab, "bad.conf", "listen = [ 1 ];\nquorun = 3;\n")
        self.blind = self.at + ["--user", "blind", "--password-file", secret(lab, "dark")]
        self.eye = self.at + ["--user", "eye", "--password-file", secret(lab, "see")]

    def settle(self):
        """What comes next finds the fleet well."""
        self.fleet.wait_failover_over()
        self.fleet.wait_well()

    def runs(self, lab):
        """(command, arguments, code), in this order: the first ones see no failover."""
        redis_conf = file_of(lab, "redis.conf", "port 5000\n")
        broken_conf = file_of(lab, "broken.conf", "port\nsave 1\n")
        yield ("completion",), ["bash"], OK
        yield ("completion",), ["tcsh"], USAGE
        yield ("config", "check"), [self.s.conf_path], OK
        yield ("config", "check"), [self.bad], USAGE
        yield ("config", "convert"), [redis_conf], OK
        yield ("config", "convert"), [broken_conf], USAGE
        yield ("config", "diff"), self.at, OK
        yield ("config", "diff"), [self.bad, *self.at], USAGE
        yield ("config", "diff"), self.both, FAILED
        yield ("config", "diff"), self.dead, NOBODY
        yield ("hook", "test"), self.at, OK
        yield ("hook", "test"), ["--file", self.s.conf_path], OK
        yield ("hook", "test"), ["--event", "+nothing", *self.at], FAILED
        yield ("hook", "test"), ["--group", "nobody", *self.at], FAILED
        yield ("hook", "test"), self.eye, FAILED
        yield ("hook", "test"), ["--file", self.bad], USAGE
        yield ("hook", "test"), self.dead, NOBODY
        yield ("status",), self.at, OK
        yield ("status",), self.eye, OK
        yield ("status",), self.both, FAILED
        yield ("status",), ["--timeout", "x", *self.at], USAGE
        yield ("status",), self.dead, NOBODY
        self.s.ok("ACL", "SETUSER", "blind", "on", ">dark", "+auth", "+ping", "+sentinel|myid")
        for words in (("events",), ("history",)):
            yield words, self.at, OK
            yield words, self.eye, OK
            yield words, self.blind, FAILED
            yield words, ["--timeout", "x", *self.at], USAGE
            yield words, self.dead, NOBODY
        yield ("explain",), ["mymaster", *self.at], FAILED
        yield ("explain",), ["mymaster", "x", *self.at], USAGE
        yield ("explain",), ["mymaster", *self.dead], NOBODY
        yield ("failover",), ["nobody", "--yes", *self.at], FAILED
        yield ("failover",), ["mymaster", "--yes", *self.eye], FAILED
        yield ("failover",), ["mymaster", *self.at], USAGE
        yield ("failover",), ["mymaster", "--yes", *self.dead], NOBODY
        yield ("failover",), ["mymaster", "--yes", *self.at], OK
        self.settle()
        yield ("explain",), ["mymaster", *self.eye], OK
        yield from self.supervisors(lab)
        yield from self.drills(lab)
        yield from self.clusters(lab)
        yield from self.databases(lab)
        yield from self.nodes(lab)
        yield from self.slots(lab)

    def supervisors(self, lab):
        pause = ["mymaster", "--for", "1h", "--reason", "a try"]
        yield ("supervisor", "list"), self.at, OK
        yield ("supervisor", "list"), self.both, FAILED
        yield ("supervisor", "list"), ["--timeout", "x", *self.at], USAGE
        away = self.dead[1]
        yield ("supervisor", "add"), [away, "--dry-run", *self.at], OK
        yield ("supervisor", "add"), [away, "--yes", "--wait", "1ms", *self.at], FAILED
        yield ("supervisor", "add"), ["here", "--yes", *self.at], USAGE
        yield ("supervisor", "remove"), [away, "--dry-run", *self.both], FAILED  # nobody knows it
        yield ("supervisor", "remove"), [self.at[1], "--yes", *self.at], FAILED
        yield ("supervisor", "quorum"), self.at, OK
        yield ("supervisor", "quorum"), ["nowhere", *self.at], FAILED
        yield ("supervisor", "quorum"), ["--zones", "x", *self.at], USAGE
        yield ("supervisor", "availability"), self.at, OK
        yield ("supervisor", "availability"), ["nobody", *self.at], FAILED
        yield ("supervisor", "availability"), ["--since", "x", *self.at], USAGE
        yield ("supervisor", "pause"), [*pause, "--yes", *self.at], OK
        yield ("supervisor", "pause"), [*pause, "--yes", *self.eye], FAILED
        yield ("supervisor", "pause"), [*pause, *self.at], USAGE
        yield ("supervisor", "resume"), ["--yes", *self.eye], FAILED
        yield ("supervisor", "resume"), self.at, USAGE
        yield ("supervisor", "resume"), ["--yes", *self.at], OK
        for verb, args in (("list", []), ("quorum", []), ("add", [away, "--yes"]), ("remove", [away, "--yes"]),
                           ("availability", []), ("pause", [*pause, "--yes"]), ("resume", ["--yes"]), ("events", []),
                           ("history", []), ("explain", ["mymaster"])):
            yield ("supervisor", verb), [*args, *self.dead], NOBODY
        for verb in ("events", "history"):
            yield ("supervisor", verb), self.at, OK
            yield ("supervisor", verb), self.blind, FAILED
            yield ("supervisor", verb), ["--timeout", "x", *self.at], USAGE
        yield ("supervisor", "explain"), ["mymaster", *self.at], OK
        yield ("supervisor", "explain"), ["nobody", *self.at], FAILED
        yield ("supervisor", "explain"), ["mymaster", "x", *self.at], USAGE
        nodes = [self.fleet.master, *self.fleet.replicas]
        for node in nodes:  # it may look at the state, and not at the settings, so nothing but notes is left
            node.ok("ACL", "SETUSER", "looker", "on", ">see", "+info", "+ping", "+cluster")
        yield ("doctor",), self.at, FAILED
        yield ("doctor",), ["--seeds", "127.0.0.1:%d" % nodes[0].port, "--node-user", "looker", "--node-password-file",
                            secret(lab, "see")], OK
        yield ("doctor",), ["--timeout", "x", *self.at], USAGE
        yield ("doctor",), self.dead, NOBODY

    def drills(self, lab):
        switch = ["switchover", "--group", "mymaster", "--hold-ms", 0]

        def settle():
            self.settle()
            wait_until(lambda: nodectl("drill", "plan", *switch, *self.at).returncode == OK, 20, "it is fit")
        yield ("drill", "report"), self.at, FAILED
        yield ("drill", "run"), [*switch, "--yes", "--max-lost", "x", *self.at], USAGE
        yield ("drill", "run"), [*switch, "--yes", *self.dead], NOBODY
        settle()
        yield ("drill", "run"), [*switch, "--yes", "--no-restore-roles", *self.at], OK
        settle()
        yield ("drill", "run"), [*switch, "--yes", "--no-restore-roles", "--max-outage-ms", 0, *self.at], FAILED
        settle()
        yield ("drill", "plan"), [*switch, *self.at], OK
        yield ("drill", "plan"), ["kill-supervisor", "--group", "mymaster", *self.at], USAGE
        yield ("drill", "plan"), [*switch, *self.dead], NOBODY
        for words in (("drill", "list"), ("drill", "report")):
            yield words, self.eye, OK
            yield words, ["--timeout", "x", *self.at], USAGE
            yield words, self.dead, NOBODY
        self.s.ok("ACL", "SETUSER", "other", "on", ">word", "+@all", "-sentinel|drill")
        yield ("drill", "list"), [*self.at, "--user", "other", "--password-file", secret(lab, "word")], FAILED

    def clusters(self, lab):
        self.s.configure([Group(port=self.fleet.supervisors[0].master_port(), quorum=1, down_after_ms=DOWN_AFTER_MS)],
                         [Cluster(name="orders", seeds=(lab.ports.take(),), quorum=1)])
        self.s.ok("SENTINEL", "RELOAD", timeout_s=20)
        for verb in ("release", "adopt"):
            yield ("cluster", verb), ["orders", *self.at], USAGE
            yield ("cluster", verb), ["orders", "--yes", *self.dead], NOBODY
            yield ("cluster", verb), ["nobody", "--yes", *self.at], FAILED
            yield ("cluster", verb), ["orders", "--yes", *self.eye], FAILED
            yield ("cluster", verb), ["orders", "--yes", *self.at], OK
        yield ("cluster", "release"), ["orders", "--dry-run", *self.at], OK
        yield ("cluster", "adopt"), ["orders", "--dry-run", *self.at], OK
        yield ("cluster", "adopt"), ["nobody", "--dry-run", *self.at], FAILED
        seeds = ["--seeds", "127.0.0.1:%d" % lab.ports.take()]
        yield ("cluster", "adopt"), ["carts", *seeds, *self.at], FAILED
        yield ("cluster", "adopt"), ["carts", *seeds, "--yes", "--wait", "x", *self.at], USAGE
        yield ("cluster", "adopt"), ["carts", *seeds, "--yes", *self.dead], NOBODY

    def databases(self, lab):
        cluster = Supervised(lab, shards=(("ours",),), declared=True, prefix="c", down_after_ms=DOWN_AFTER_MS)
        wait_leased(cluster.masters[0])
        there = ["-s", "127.0.0.1:%d" % cluster.supervisors[0].port]
        away = "127.0.0.1:%d" % cluster.supervisors[2].port
        yield ("supervisor", "remove"), [away, "--dry-run", *there], OK
        yield ("supervisor", "remove"), [away, *there], USAGE
        yield ("db", "swap"), [1, 2, "--dry-run", *there], OK
        yield ("db", "swap"), [1, 2, "--yes", *there], OK
        yield ("db", "swap"), [1, 999, "--yes", *there], FAILED
        yield ("db", "swap"), [1, 2, "--yes", *self.at], FAILED
        yield ("db", "swap"), [1, 2, *there], USAGE
        yield ("db", "swap"), [1, 1, "--yes", *there], USAGE
        yield ("db", "swap"), [1, 2, "--yes", *self.dead], NOBODY


    def nodes(self, lab):
        cluster = Supervised(lab, shards=(("ours", "ours"),), supervisors=1, declared=True, prefix="n",
                             down_after_ms=DOWN_AFTER_MS, timers=ORDER_TIMERS)
        wait_leased(cluster.masters[0])
        there = ["-s", "127.0.0.1:%d" % cluster.supervisors[0].port]
        replica, new = cluster.replicas[0], cluster_node(lab, "ours", "n-new")
        at, fresh = ("127.0.0.1:%d" % n.port for n in (replica, new))
        yield ("node", "list"), there, OK
        yield ("node", "list"), ["--timeout", "x", *there], USAGE
        yield ("node", "info"), [at, *there], OK
        yield ("node", "info"), [at, "--timeout", "x", *there], USAGE
        yield ("node", "logs"), [at, *there], OK
        yield ("node", "logs"), [at, "--lines", "x", *there], USAGE
        yield ("node", "maintenance"), ["off", at, *there], USAGE
        yield ("node", "maintenance"), ["on", at, "--yes", *there], OK
        yield ("node", "maintenance"), ["off", at, "--yes", *there], OK
        yield ("node", "promote"), [at, *there], USAGE
        yield ("node", "promote"), [at, "--dry-run", *there], OK
        yield ("node", "remove"), [at, *there], USAGE
        yield ("node", "remove"), [at, "--dry-run", *there], OK
        # It is the only master with slots.
        yield ("node", "remove"), ["127.0.0.1:%d" % cluster.masters[0].port, "--yes", *there], FAILED
        yield ("node", "add"), [fresh, "--dry-run", *there], OK
        yield ("node", "add"), [fresh, *there], USAGE
        yield ("node", "replace"), [at, fresh, *there], USAGE
        yield ("node", "replace"), [at, fresh, "--dry-run", *there], OK
        for verb, args in (("info", []), ("logs", []), ("maintenance", ["on"]), ("promote", []), ("remove", []),
                           ("add", []), ("replace", [at])):
            args = [*args, "127.0.0.1:1"] + (["--yes"] if verb not in ("info", "logs") else [])
            yield ("node", verb), [*args, *there], FAILED
            yield ("node", verb), [*args, *self.dead], NOBODY
        yield from self.declared(lab, there)
        replica.kill9()
        yield ("fleet", "restart"), ["--rolling", "--yes", *there], FAILED
        yield ("node", "list"), there, FAILED
        yield ("node", "list"), self.dead, NOBODY

    def declared(self, lab, there):
        text = 'name = "orders"; shards = 1; replicas = %d;\n'
        same = file_of(lab, "same.fleet", text % 1)
        wider = file_of(lab, "wider.fleet", text % 2)
        wrong = file_of(lab, "wrong.fleet", text % -1)
        for verb, yes in (("plan", []), ("apply", ["--yes"])):
            yield ("fleet", verb), [same, *yes, *there], OK
            yield ("fleet", verb), [wider, *yes, *there], FAILED  # there is no node that it could take
            yield ("fleet", verb), [wrong, *yes, *there], USAGE
            yield ("fleet", verb), [same, *yes, *self.dead], NOBODY
        yield ("fleet", "restart"), ["--rolling", "--dry-run", *there], OK
        yield ("fleet", "restart"), ["--yes", *there], USAGE
        yield ("fleet", "restart"), ["--rolling", "--yes", *self.dead], NOBODY


    def slots(self, lab):
        (one, two), (copy,) = make_cluster(lab, ["ours"] * 2, [("ours", 0)], prefix="s", cluster_node_timeout=6000)
        there, dead = (["--seeds", "127.0.0.1:%d" % port] for port in (one.port, lab.ports.take()))
        to = ["--to", "127.0.0.1:%d" % two.port]
        yield ("slots", "check"), there, FAILED  # one has a replica, and two has none
        lone = cluster_node(lab, "ours", "s-lone")
        lone.ok("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: info(lone)["cluster_state"] == "ok", 20, "it is a cluster of its own")
        yield ("slots", "check"), ["--seeds", "127.0.0.1:%d" % lone.port], OK
        calls = ((("slots", "show"), []), (("slots", "check"), []), (("slots", "move"), ["--slots", "1", *to]),
                 (("slots", "rebalance"), ["--by", "slots"]), (("slots", "fix"), []), (("cluster", "info"), []),
                 (("cluster", "call"), ["PING"]), (("cluster", "set-timeout"), [7000]))
        for words, args in calls:
            if words != ("slots", "check"):
                asks = words[1] in ("move", "rebalance", "fix", "set-timeout")
                yield words, args + there + (["--yes"] if asks else []), OK
            yield words, args + dead + (["--dry-run"] if "--dry-run" in options(help_of(*words)) else []), NOBODY
            yield words, [*args, "--timeout", "x", *there], USAGE
        yield ("slots", "show"), ["--slot", "x", *there], USAGE
        yield ("slots", "move"), ["--slots", "1-0", *to, *there], USAGE
        yield ("slots", "move"), ["--count", 20000, *to, *there], USAGE
        yield ("slots", "move"), ["--slots", "1", *to, "--from", "127.0.0.1:1", "--yes", *there], FAILED
        yield ("slots", "rebalance"), ["--weight", "x", *there], USAGE
        yield ("slots", "rebalance"), ["--by", "keys", "--yes", *there], FAILED  # there are none
        yield ("cluster", "call"), ["GET", "x", *there], FAILED  # MOVED
        yield ("cluster", "call"), ["FLUSHALL", *there], USAGE
        two.kill9()
        for words, args in calls:
            if words[1] not in ("move", "rebalance", "check", "call"):
                asks = words[1] in ("fix", "set-timeout")
                if words[1] == "fix":
                    one.ok("CLUSTER", "DELSLOTS", 2)
                yield words, args + there + (["--yes"] if asks else []), FAILED


@case(kinds=("ours",), limit_s=120)
def test_exit_codes_are_the_documented_ones(lab):
    """Each command ends with each code that its help names, and with no other."""
    asked, seen = Asked(lab), {}
    for words, args, code in asked.runs(lab):
        def run(w=words, a=args):
            return nodectl(*w, *a)
        done = run() if code == USAGE else again_when_fit(run, asked.settle)
        assert done.returncode == code, "%s %s: %d instead of %d\n%s%s" % (
            words, args, done.returncode, code, done.stdout, done.stderr)
        assert code == OK or done.stderr or done.stdout, "%s %s says nothing" % (words, args)
        seen.setdefault(words, set()).add(code)
    known = dict(leaves())
    for words in seen:
        text = known.get(words) or help_of(*words)
        assert documented(text) == seen[words], "%s: help says %s, seen %s" % (words, documented(text), seen[words])


def understood(done):
    """The command line was read, so that it is known that a document is wanted."""
    return not re.search(r"unknown option|needs an argument|takes no argument|; expected: |json or yaml", done.stderr)


@case(kinds=("ours",), limit_s=120)
def test_json_everywhere(lab):
    """Every command but the one that prints a script has -o json, and prints one document with it, however it ends;
    what is wrong in a file is in it too."""
    missing = [words for words, text in leaves() if "--output" not in options(text)]
    assert missing == [("completion",)], "without --output: %s" % missing
    asked, documents = Asked(lab), {}
    for words, args, code in asked.runs(lab):
        if words == ("completion",):
            continue
        done = nodectl(*words, *args, "-o", "json")
        assert done.returncode == code, "%s %s: %d\n%s%s" % (words, args, done.returncode, done.stdout, done.stderr)
        assert "\x1b" not in done.stdout
        if not understood(done):
            assert done.stdout == "", (words, args, done)
            continue
        assert done.stdout, (words, args, done)
        documents.setdefault((words, code), []).append(json.loads(done.stdout))
        wrong = nodectl(*words, *args, "-o", "xml")
        assert wrong.returncode == USAGE and wrong.stdout == "" and "json or yaml" in wrong.stderr, wrong
    for words in (("config", "check"), ("config", "diff"), ("hook", "test")):
        problems = documents[words, USAGE][0]["problems"]
        assert any("bad.conf:2" in p and "quorun" in p for p in problems), problems
    good, converted = documents[("config", "check"), OK][0], documents[("config", "convert"), OK][0]
    assert good == {"file": asked.s.conf_path, "good": True, "groups": 1, "problems": []}, good
    assert converted["program"] == "noded" and "port = 5000;" in converted["text"], converted
    refused = documents[("config", "convert"), USAGE][0]
    assert refused["converted"] is False and refused["text"] is None, refused
    assert "broken.conf:1" in refused["errors"][0], refused
    assert documents[("explain",), OK][0]["outcome"] == "switched"
    assert [e["event"] for e in documents[("events",), OK][-1]][0] == "+monitor", "after a login too"
    changes = [d for key in documents for d in documents[key] if isinstance(d, dict) and {"steps", "dry_run"} <= set(d)]
    assert all(d["ok"] == (d["failure"] is None) and d["done"] <= len(d["steps"]) for d in changes), changes
    assert documents[("failover",), OK][0]["steps"][0]["state"] == "done", documents[("failover",), OK]
    assert "NOPERM" in documents[("failover",), FAILED][1]["failure"], documents[("failover",), FAILED]
