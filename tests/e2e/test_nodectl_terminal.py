"""Every verb of nodectl that asks: in a real terminal (tmux), piped, with nobody to ask, with one of three."""
import json
import re
import shlex
import subprocess

from cases import case
from lab import tool, wait_until
from lab.supervisors import ORDER_TIMERS, nodectl_path
from test_documents import leaves, options

OK, FAILED, USAGE, NOBODY = 0, 1, 2, 3

# What the verbs are called with that do their work on a group that is no cluster; the others are tried only where
# nobody can be asked, with arguments made of their help, and have tests of their own.
ARGUMENTS = {
    ("fleet", "status"): [],
    ("fleet", "topology"): [],
    ("shard", "list"): [],
    ("shard", "candidates"): ["mymaster"],
    ("shard", "failover"): ["mymaster", "--yes"],
    ("shard", "switchover"): ["mymaster", "--yes"],
    ("supervisor", "events"): [],
    ("supervisor", "history"): [],
    ("supervisor", "explain"): ["mymaster"],
    ("config", "diff"): [],
    ("hook", "test"): [],
    ("db", "swap"): ["1", "2", "--yes"],
    ("cluster", "release"): ["orders", "--yes"],
    ("cluster", "adopt"): ["orders", "--yes"],
    ("drill", "run"): ["switchover", "--group", "mymaster", "--yes"],
    ("drill", "plan"): ["switchover", "--group", "mymaster"],
    ("drill", "list"): [],
    ("drill", "report"): [],
    ("node", "add"): ["127.0.0.1:1", "--yes"],
    ("node", "info"): ["127.0.0.1:1"],
    ("node", "list"): [],
    ("node", "logs"): ["127.0.0.1:1"],
    ("node", "maintenance"): ["on", "127.0.0.1:1", "--yes"],
    ("node", "promote"): ["127.0.0.1:1", "--yes"],
    ("node", "remove"): ["127.0.0.1:1", "--yes"],
    ("node", "replace"): ["127.0.0.1:1", "127.0.0.1:2", "--yes"],
    ("supervisor", "list"): [],
    ("supervisor", "add"): ["127.0.0.1:1", "--yes", "--wait", "1ms"],
    ("supervisor", "remove"): ["127.0.0.1:1", "--yes", "--wait", "1ms"],
    ("supervisor", "pause"): ["--for", "1ms", "--reason", "a try", "--yes"],
    ("supervisor", "resume"): ["--yes"],
    ("supervisor", "quorum"): [],
    ("supervisor", "availability"): [],
    ("doctor",): [],
    ("slots", "rebalance"): ["--yes"],
    ("slots", "move"): ["--from", "127.0.0.1:1", "--to", "127.0.0.1:2", "--count", "1", "--yes"],
    ("slots", "fix"): ["--yes"],
    ("cluster", "call"): ["PING"],
    ("cluster", "set-timeout"): ["5000", "--yes"],
}
OF_CLUSTERS = ("node", "slots")  # nouns of which all verbs need a cluster's nodes, where these tests have groups
SPEAK_TO_NODES = (("cluster", "info"), ("cluster", "call"), ("cluster", "set-timeout"))
FAILOVER = ("shard", "failover")
# They want more said than their arguments, before they ask anybody.
GUARDED = (("db", "flush"), ("fleet", "create"), ("fleet", "destroy"), ("fleet", "restart"), ("slots", "move"))

# What may stand for an argument that the help names so.
SAMPLES = {"GROUP": "mymaster", "SHARD": "mymaster", "NODE": "127.0.0.1:1", "NAME": "orders", "DATABASE": "1",
           "DRILL": "switchover"}


def clean_env(lab, **more):
    env = tool.clean_env(lab, LC_ALL="C.UTF-8", **more)
    for name in ("NO_COLOR", "TMUX", "TMUX_PANE"):
        env.pop(name, None)
    return env


def asking_verbs():
    """Those of ARGUMENTS, which must be there."""
    known = dict(leaves())
    assert all("--supervisor" in options(known[path]) for path in ARGUMENTS), sorted(known)
    return list(ARGUMENTS.items())


def sample_call(path, text):
    """Arguments that the verb accepts, as far as its help tells; None: it does not tell."""
    if path in ARGUMENTS:
        return ARGUMENTS[path]
    words = text.split("\n")[0].split()[2 + len(path):]
    wanted = [w for w in words if not w.startswith("[")]
    if path in GUARDED or any(w not in SAMPLES for w in wanted):
        return None
    return [SAMPLES[w] for w in wanted] + (["--yes"] if "--yes" in options(text) else [])


def run(lab, path, args, ports, **env):
    argv = [nodectl_path(), *path, *args]
    if ports:
        argv += ["--supervisor", ",".join("127.0.0.1:%d" % p for p in ports)]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, env=clean_env(lab, **env), timeout=60, check=False)


@case(kinds=("ours",), limit_s=60)
def test_nobody_can_be_asked(lab):
    """Nobody listens: status 3, the reason for each address on standard error, no table; and with -o
    json one document. Nobody is named: status 2 and what to do."""
    ports = [lab.ports.take(), lab.ports.take()]
    tried = 0
    for path, text in leaves():
        args = sample_call(path, text) if "--supervisor" in options(text) else None
        if args is None:
            continue
        tried += 1
        for extra in ([], ["-o", "json"]):
            done = run(lab, path, args + extra, ports)
            text = "%s %s: %s\n%s%s" % (path, extra, done.returncode, done.stdout, done.stderr)
            assert done.returncode == NOBODY, text
            for port in ports:
                assert re.search(r"127\.0\.0\.1:%d: .*Connection refused" % port, done.stderr), text
            if extra:
                assert done.stdout and isinstance(json.loads(done.stdout), (dict, list)), text
            else:
                assert done.stdout == "", text
        done = run(lab, path, args, [])
        assert done.returncode == USAGE and "is named" in done.stderr, "%s: %s" % (path, done.stderr)
    assert tried >= len(ARGUMENTS), tried


@case(kinds=("ours",), limit_s=120)
def test_one_of_three_is_enough(lab):
    """The first two addresses are dead: every verb does its work with the third, and a pipe gets no colours."""
    fleet = lab.fleet(down_after_ms=2000, timers=ORDER_TIMERS)
    dead = [lab.ports.take(), lab.ports.take()]
    settled = False
    for path, args in sorted(asking_verbs(), key=lambda v: v[0] != FAILOVER):
        done = run(lab, path, args, dead + [fleet.supervisors[2].port], TERM="xterm-256color")
        text = "%s: %s\n%s%s" % (path, done.returncode, done.stdout, done.stderr)
        # status, topology, config diff, doctor and the verbs that speak of or to all supervisors call the dead ones,
        # which were named, a problem; hook test has no hook to run here, db swap and cluster no cluster. No drill is
        # done to a fleet with a supervisor that cannot be asked, so there is no report of one.
        failing = (("fleet", "status"), ("fleet", "topology"), ("config", "diff"), ("hook", "test"), ("db", "swap"),
                   ("drill", "report"), ("cluster", "release"), ("cluster", "adopt"), ("supervisor", "list"),
                   ("supervisor", "pause"), ("supervisor", "resume"), ("supervisor", "add"),
                   ("supervisor", "remove"), ("doctor",))
        wanted = FAILED if path in failing else USAGE if path in (("drill", "run"), ("drill", "plan")) else OK
        wanted = NOBODY if path[0] in OF_CLUSTERS or path in SPEAK_TO_NODES else wanted
        assert done.returncode == wanted, text
        assert "\x1b" not in done.stdout + done.stderr, text
        if path in (FAILOVER, ("shard", "switchover")):
            assert "the master is now" in done.stdout, text
            fleet.wait_failover_over()
            fleet.wait_well()
            settled = True
    assert settled


class Tmux:
    """A terminal of tmux's making, with a server of our own that ends with the test."""

    def __init__(self, lab, columns=130, lines=50):
        self.socket = lab.path("tmux")
        self.begun = 0
        self.env = clean_env(lab, TERM="xterm-256color")
        lab.on_close(self.close)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), "-s", "t",
                  "bash --norc --noprofile")
        self.type("PS1='ready> '")
        self.wait_for(r"^ready> $")

    def tmux(self, *args):
        done = subprocess.run(["tmux", "-S", self.socket, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, env=self.env, timeout=20, check=False)
        assert done.returncode == 0, "tmux %s: %s" % (args, done.stderr)
        return done.stdout

    def type(self, text, enter=True):
        self.tmux("send-keys", "-t", "t", "-l", text)
        if enter:
            self.tmux("send-keys", "-t", "t", "Enter")

    def key(self, name):
        self.tmux("send-keys", "-t", "t", name)

    def screen(self, colours=False):
        return self.tmux("capture-pane", "-p", "-J", "-t", "t", *(["-e"] if colours else []))

    def resize(self, columns, lines):
        """Returns when programs see it."""
        self.tmux("resize-window", "-t", "t", "-x", str(columns), "-y", str(lines))
        wait_until(lambda: "%d %d" % (lines, columns) in self.command("stty", "size")[1], 10, "the terminal's size")

    def wait_for(self, pattern):
        def seen():
            text = self.screen()
            assert re.search(pattern, text, re.M), "the screen shows:\n%s" % text
            return text
        return wait_until(seen, 20, "the screen shows %r" % pattern)

    def begin(self, *argv):
        """Clear the screen and run it. The end of each command has a number, so that it is not taken for another's."""
        self.begun += 1
        self.type("clear; %s; echo \"end %d: exit status $?.\"" % (" ".join(shlex.quote(str(a)) for a in argv),
                                                                   self.begun))

    def ended(self):
        """Wait for the end of what was begun; returns (exit status, screen)."""
        pattern = r"end %d: exit status (\d+)\.$" % self.begun
        text = self.wait_for(pattern)
        return int(re.search(pattern, text, re.M).group(1)), text

    def command(self, *argv):
        self.begin(*argv)
        return self.ended()

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=self.env, timeout=20, check=False)


@case(kinds=("ours",), limit_s=120)
def test_in_a_terminal(lab):
    """Verbs in tmux; the table of status in colours, the question of failover answered by keys, Ctrl-C obeyed."""
    fleet = lab.fleet(replicas=1, down_after_ms=2000, timers=ORDER_TIMERS)
    t = Tmux(lab)
    where = ["--supervisor", ",".join("127.0.0.1:%d" % s.port for s in fleet.supervisors)]

    t.begin(nodectl_path(), "failover", "mymaster", *where)
    t.wait_for(r"Fail over now\? \[y/N\] $")
    t.key("C-c")
    t.wait_for(r"^ready> $")  # after Ctrl-C bash drops the rest of the line
    assert fleet.agreed_port() == fleet.master.port

    t.begin(nodectl_path(), "failover", "mymaster", *where)
    t.wait_for(r"Fail over now\? \[y/N\] $")
    t.type("y")
    code, text = t.ended()
    assert code == OK and "the master is now 127.0.0.1:%d" % fleet.replicas[0].port in text, text
    fleet.wait_failover_over()
    fleet.wait_well()

    for path, args in asking_verbs():
        if path not in (FAILOVER, ("shard", "switchover")):
            code, text = t.command(nodectl_path(), *path, *args, *where)
            wanted = FAILED if path in (("hook", "test"), ("db", "swap"), ("doctor",), ("supervisor", "add"),
                                        ("supervisor", "remove")) or path[0] == "cluster" else OK
            wanted = NOBODY if path[0] in OF_CLUSTERS or path in SPEAK_TO_NODES else wanted
            assert code == wanted, "%s: %d\n%s" % (path, code, text)
    code, text = t.command(nodectl_path(), "status", *where)
    assert code == OK, text
    assert re.search(r"\x1b\[[0-9;]*m", t.screen(colours=True)), t.screen(colours=True)
    code, text = t.command("env", "NO_COLOR=1", nodectl_path(), "status", *where)
    assert code == OK and "\x1b[3" not in t.screen(colours=True), text

    # A narrower terminal has fewer columns, a very narrow one a block for each row; a pipe has all.
    for columns, seen in ((74, r"^GROUP +STATE +MASTER +(EPOCH +)?SUPERVISORS +REPLICAS +LAG *$"),
                          (40, r"^MASTER +127.*\n *EPOCH +\d")):
        t.resize(columns, 50)
        code, text = t.command(nodectl_path(), "status", *where)
        assert code == OK and re.search(seen, text, re.M), text
    code, text = t.command("sh", "-c", "%s | cat" % shlex.join([nodectl_path(), "status", *where]))
    assert code == OK and re.search(r"QUORUM +SUPERVISORS", text), text
    t.resize(130, 50)

    t.begin(nodectl_path(), "events", "--follow", "--since", "0", *where)
    fleet.supervisors[0].ok("SENTINEL", "SET", "mymaster", "parallel-syncs", "2")
    t.wait_for(r"\+set .*parallel-syncs 2")
    t.key("C-c")
    code, text = t.ended()
    assert code == OK, text
