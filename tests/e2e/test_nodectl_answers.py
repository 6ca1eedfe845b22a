"""What nodectl answers to a program: exit codes are those that the help and the man page document, each of them
happens, and -o json is JSON, also where something is wrong."""
import json
import os
import re
import subprocess

from cases import case
from lab import Group
from lab.supervised import Supervised
from lab.supervisors import Cluster, ROOT, nodectl_path, quoted
from test_documents import leaves, options

OK, FAILED, USAGE, NOBODY = 0, 1, 2, 3


def nodectl(*args):
    return subprocess.run([nodectl_path(), *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=60,
                          env={k: v for k, v in os.environ.items() if not k.startswith("NODECTL_")})


def documented(text):
    """The codes of a command's help."""
    words = re.search(r"^Exit status: (.*?)\n\n", text, re.M | re.S).group(1)
    return {int(code) for code in re.findall(r"(?:^|;\s)(\d) ", words)}


def in_the_man_page():
    """Command -> codes, from the list below EXIT STATUS; lines without a command are for all."""
    with open(os.path.join(ROOT, "etc", "man", "nodectl.1"), encoding="utf-8") as f:
        part = f.read().split('.SH "EXIT STATUS"')[1].split("\n.SH ")[0]
    found = {}
    for row in re.findall(r"^\.TP\n\.B (.*)\n((?:(?!\.TP).*\n?)*)", part, re.M):
        found[tuple(row[0].split())] = {int(c) for c in re.findall(r"(?:^|; )(\d) ", row[1], re.M)}
    return found


def file_of(lab, name, text):
    with open(lab.path(name), "w", encoding="utf-8") as f:
        f.write(text)
    return lab.path(name)


def read_json(text):
    """One document, or one for each line (events, history)."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines()]


class Asked:
    """A supervisor with hooks and users, and for each command what makes it end with each of its codes."""

    def __init__(self, lab):
        hook = lab.script("hook", "#!/bin/sh\necho fine\n")
        extra = ["hooks = ( { on = [ \"+switch-master\" ]; run = [ %s ]; } );" % quoted(hook),
                 'users = ( { name = "default"; access = "all"; },'
                 ' { name = "eye"; password = "see"; access = "read"; } );']
        self.fleet = lab.fleet(supervisors=1, quorum=1, replicas=1, supervisor_args={"extra": extra})
        self.s = self.fleet.supervisors[0]
        self.at = ["-s", "127.0.0.1:%d" % self.s.port]
        self.dead = ["-s", "127.0.0.1:%d" % lab.ports.take()]
        self.both = ["-s", self.at[1] + "," + self.dead[1]]
        self.bad = file_of(lab, "bad.conf", "listen = [ 1 ];\nquorun = 3;\n")
        self.blind = self.at + ["--user", "blind", "--password", "dark"]
        self.eye = self.at + ["--user", "eye", "--password", "see"]

    def runs(self, lab):
        """(command, arguments, code), in this order: the first ones see no failover."""
        redis_conf = file_of(lab, "redis.conf", "port 5000\n")
        broken_conf = file_of(lab, "broken.conf", "port\nsave 1\n")
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
        yield ("status",), ["--timeout-ms", "x", *self.at], USAGE
        yield ("status",), self.dead, NOBODY
        self.s.ok("ACL", "SETUSER", "blind", "on", ">dark", "+auth", "+ping", "+sentinel|myid")
        for words in (("events",), ("history",)):
            yield words, self.at, OK
            yield words, self.eye, OK
            yield words, self.blind, FAILED
            yield words, ["--timeout-ms", "x", *self.at], USAGE
            yield words, self.dead, NOBODY
        yield ("explain",), ["mymaster", *self.at], FAILED
        yield ("explain",), ["mymaster", "x", *self.at], USAGE
        yield ("explain",), ["mymaster", *self.dead], NOBODY
        yield ("failover",), ["nobody", "--yes", *self.at], FAILED
        yield ("failover",), ["mymaster", "--yes", *self.eye], FAILED
        yield ("failover",), ["mymaster", *self.at], USAGE
        yield ("failover",), ["mymaster", "--yes", *self.dead], NOBODY
        yield ("failover",), ["mymaster", "--yes", *self.at], OK
        self.fleet.wait_failover_over()
        yield ("explain",), ["mymaster", *self.eye], OK
        yield from self.drills()
        yield from self.clusters(lab)
        yield from self.databases(lab)

    def drills(self):
        switch = ["switchover", "--group", "mymaster", "--hold-ms", 0]
        yield ("drill", "report"), self.at, FAILED
        yield ("drill", "run"), [*switch, "--yes", "--max-lost", "x", *self.at], USAGE
        yield ("drill", "run"), [*switch, "--yes", *self.dead], NOBODY
        yield ("drill", "run"), [*switch, "--yes", "--no-restore-roles", *self.at], OK
        self.fleet.wait_failover_over()
        yield ("drill", "run"), [*switch, "--yes", "--no-restore-roles", "--max-outage-ms", 0, *self.at], FAILED
        yield ("drill", "plan"), [*switch, *self.at], OK
        yield ("drill", "plan"), ["kill-supervisor", "--group", "mymaster", *self.at], USAGE
        yield ("drill", "plan"), [*switch, *self.dead], NOBODY
        for words in (("drill", "list"), ("drill", "report")):
            yield words, self.eye, OK
            yield words, ["--timeout-ms", "x", *self.at], USAGE
            yield words, self.dead, NOBODY
        self.s.ok("ACL", "SETUSER", "other", "on", ">word", "+@all", "-sentinel|drill")
        yield ("drill", "list"), [*self.at, "--user", "other", "--password", "word"], FAILED

    def clusters(self, lab):
        self.s.configure([Group(port=self.fleet.supervisors[0].master_port(), quorum=1)],
                         [Cluster(name="orders", seeds=(lab.ports.take(),), quorum=1)])
        self.s.ok("SENTINEL", "RELOAD", timeout_s=20)
        for verb in ("release", "adopt"):
            yield ("cluster", verb), ["orders", *self.at], USAGE
            yield ("cluster", verb), ["orders", "--yes", *self.dead], NOBODY
            yield ("cluster", verb), ["nobody", "--yes", *self.at], FAILED
            yield ("cluster", verb), ["orders", "--yes", *self.eye], FAILED
            yield ("cluster", verb), ["orders", "--yes", *self.at], OK
        yield ("cluster", "release"), ["orders", "--dry-run", *self.at], OK

    def databases(self, lab):
        cluster = Supervised(lab, shards=(("ours",),), supervisors=1, declared=True, prefix="c")
        there = ["-s", "127.0.0.1:%d" % cluster.supervisors[0].port]
        yield ("db", "swap"), [1, 2, "--dry-run", *there], OK
        yield ("db", "swap"), [1, 2, "--yes", *there], OK
        yield ("db", "swap"), [1, 999, "--yes", *there], FAILED
        yield ("db", "swap"), [1, 2, "--yes", *self.at], FAILED
        yield ("db", "swap"), [1, 2, *there], USAGE
        yield ("db", "swap"), [1, 1, "--yes", *there], USAGE
        yield ("db", "swap"), [1, 2, "--yes", *self.dead], NOBODY


@case(kinds=("ours",), limit_s=120)
def test_exit_codes_are_the_documented_ones(lab):
    """Each command ends with each code that its help names, with no other, and the man page names the same."""
    asked, seen = Asked(lab), {}
    for words, args, code in asked.runs(lab):
        done = nodectl(*words, *args)
        assert done.returncode == code, "%s %s: %d instead of %d\n%s%s" % (
            words, args, done.returncode, code, done.stdout, done.stderr)
        assert code == OK or done.stderr or done.stdout, "%s %s says nothing" % (words, args)
        seen.setdefault(words, set()).add(code)
    manual = in_the_man_page()
    for words, text in leaves():
        assert documented(text) == seen[words], "%s: help says %s, seen %s" % (words, documented(text), seen[words])
        assert manual[words] == seen[words], "%s: nodectl(1) says %s, seen %s" % (words, manual.get(words), seen[words])


@case(kinds=("ours",), limit_s=120)
def test_json_everywhere(lab):
    """Every command has -o json, and whatever it prints with it is JSON; what is wrong in a file is in it too."""
    missing = [words for words, text in leaves() if "--output" not in options(text)]
    assert not missing, "without --output: %s" % missing
    asked, documents = Asked(lab), {}
    for words, args, code in asked.runs(lab):
        done = nodectl(*words, *args, "-o", "json")
        assert done.returncode == code, "%s %s: %d\n%s%s" % (words, args, done.returncode, done.stdout, done.stderr)
        assert "\x1b" not in done.stdout
        if done.stdout:
            documents.setdefault((words, code), []).append(read_json(done.stdout))
        elif code not in (USAGE, NOBODY):  # nothing was shown, and standard error says why
            assert code == FAILED and done.stderr, (words, args, done)
        wrong = nodectl(*words, *args, "-o", "xml")
        assert wrong.returncode == USAGE and wrong.stdout == "" and "table or json" in wrong.stderr, wrong
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
