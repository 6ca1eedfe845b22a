"""nodectl fleet create, start, stop, destroy and list, over real processes."""
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import textwrap

from cases import case
from lab import noded_path, sentineld_path, tool, wait_until
from lab.made_fleet import MadeFleet, ask, role
from lab.places import Places
from lab.supervisors import nodectl_path

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def cli(port, db, *words):
    """redis-cli -c, as a user has it."""
    done = subprocess.run(["redis-cli", "-c", "-p", str(port), "-n", str(db), *words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip()


@case(kinds=("ours",), limit_s=120)
def test_a_life(lab):
    """From nothing to well, a dead master, stopped, started, destroyed: what was written is there until the end, and
    then nothing is."""
    fleet = MadeFleet(lab)
    os.makedirs(os.path.dirname(fleet.conf))
    own = "# the operator's own\nsupervisors = [ \"127.0.0.1:1\" ]; // one\n"
    with open(fleet.conf, "w", encoding="utf-8") as f:
        f.write(own)
    os.chmod(fleet.conf, 0o640)
    made = fleet.create()
    assert made["ok"] and [step["state"] for step in made["steps"]] == ["done"] * 6, made
    ports = [port_of(node["address"]) for node in made["nodes"]]
    masters = {node["shard"]: port_of(node["address"]) for node in made["nodes"] if node["role"] == "master"}
    assert len(ports) == 6 and sorted(masters) == [1, 2, 3] and len(made["supervisors"]) == 3, made
    assert len(fleet.processes()) == 9, fleet.processes()
    text = read(fleet.conf)
    assert text.startswith(own) and '"orders"' in text and os.stat(fleet.conf).st_mode & 0o777 == 0o640, text
    fleet.run("fleet", "create", "orders", "--yes", status=FAILED, said=("exists already", "fleet start orders"))
    assert fleet.json("fleet", "list")["fleets"][0]["state"] == "answers"
    fleet.run("fleet", "start", "--yes", "--fleet", "orders", said="nothing is to be done")
    again = fleet.run("node", "promote", "127.0.0.1:%d" % masters[1], "--yes", "--fleet", "orders",
                      said="is the master of its shard already: nothing is to be done")
    assert "[1/" not in again.stdout, again.stdout

    written = {(db, "key%d" % i): "%d of %d" % (i, db) for db in (0, 5) for i in range(12)}
    for (db, key), value in written.items():
        assert cli(ports[0], db, "SET", key, value) == "OK"

    def intact():
        for (db, key), value in written.items():
            assert cli(ports[1], db, "GET", key) == value, (db, key)
        return True

    # A replica takes the place of a master that dies, and fleet start brings the dead one back.
    fleet.kill9(masters[1])
    replica = next(port_of(n["address"]) for n in made["nodes"] if n["shard"] == 1 and n["role"] == "replica")
    wait_until(lambda: role(replica) == "master", 20, "the replica is promoted")
    wait_until(lambda: cli(ports[1], 0, "SET", "after", "it") == "OK", 20, "every shard takes writes")
    fleet.run("fleet", "start", "--yes", "--fleet", "orders", said="start 1 node (5 run)")
    assert role(masters[1]) == "slave" and len(fleet.processes()) == 9
    wait_until(intact, 20, "all is there")

    fleet.run("--fleet", "orders", "fleet", "stop", "--yes",
              said=("end 3 supervisors", "end 3 replicas", "end 3 masters"))
    assert not fleet.processes()
    assert fleet.json("fleet", "list")["fleets"][0]["state"] == "silent"
    fleet.run("fleet", "stop", "orders", "--yes", said="nothing is to be done")
    fleet.run("fleet", "start", "orders", "--yes")
    wait_until(intact, 20, "all is there")

    fleet.run("fleet", "destroy", "orders", status=USAGE, said="--yes")
    assert len(fleet.processes()) == 9
    fleet.run("--fleet", "orders", "fleet", "destroy", "--yes")
    assert not fleet.processes() and not os.path.exists(fleet.folder)
    assert "orders" not in read(fleet.conf) and read(fleet.conf).startswith(own)


def listens(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False


@case(kinds=("ours",), limit_s=90)
def test_maintenance_then_stopped_and_started(lab):
    """What the tool writes into the files of replicas lets them start again."""
    fleet = MadeFleet(lab)
    made = fleet.create(shards=1, replicas=2)
    replicas = [n["address"] for n in made["nodes"] if n["role"] == "replica"]
    assert ask(port_of(replicas[0]), "CONFIG", "SET", "replica-priority", 42) == "OK"
    fleet.run("--fleet", "orders", "node", "maintenance", "on", replicas[0], "--yes")
    fleet.run("--fleet", "orders", "node", "maintenance", "on", replicas[0], "--yes", said="nothing is to be done")
    fleet.kill9(port_of(replicas[0]))
    wait_until(lambda: len(fleet.processes()) == len(made["supervisors"]) + 2 and
               not listens(port_of(replicas[0])), 20, "it has ended")
    fleet.run("fleet", "start", "orders", "--yes")
    fleet.run("--fleet", "orders", "cluster", "set-timeout", "6000", "--yes")
    fleet.run("fleet", "stop", "orders", "--yes")
    fleet.run("fleet", "start", "orders", "--yes")
    shown = {row["address"]: row for row in fleet.json("--fleet", "orders", "node", "list")["nodes"]}
    assert [shown[r]["role"] for r in replicas] == ["replica"] * 2, shown
    assert shown[replicas[0]]["state"] == "maintenance", shown

    def priority(node):
        return ask(port_of(node), "CONFIG", "GET", "replica-priority")[1]
    # It gets back what it had; of one whose priority was set by hand that is not known.
    off = ["--fleet", "orders", "node", "maintenance", "off"]
    fleet.run(*off, replicas[0], "--yes", said="replica-priority 42")
    assert priority(replicas[0]) == "42" and not os.path.exists(os.path.join(fleet.folder, "notes.json"))
    fleet.run(*off, replicas[0], "--yes", said="nothing is to be done")
    assert ask(port_of(replicas[1]), "CONFIG", "SET", "replica-priority", 0) == "OK"
    fleet.run(*off, replicas[1], "--yes", said="is not known here")
    assert priority(replicas[1]) == "100"
    # What is noted goes with the fleet.
    fleet.run("--fleet", "orders", "node", "maintenance", "on", replicas[1], "--yes")
    fleet.run("fleet", "destroy", "orders", "--yes")
    assert not os.path.exists(fleet.folder)


@case(kinds=("ours",), limit_s=90, matrix=[(0,), (1,)])
def test_the_last_that_is_up_is_not_removed(lab, supervisors):
    """A master whose replica is stopped, a replica whose master is, and a node that is alone: with them all would be
    gone. A process that is dead and may have slots is not taken out either."""
    fleet = MadeFleet(lab)
    made = fleet.create(shards=1, replicas=1, supervisors=supervisors, down_after="60s")
    ports = {n["role"]: port_of(n["address"]) for n in made["nodes"]}
    before = set(fleet.processes())
    for silent, other in (("replica", "master"), ("master", "replica")):
        os.kill(fleet.pid_of(ports[silent]), signal.SIGSTOP)
        for more in ([], ["--force"]):
            refused = fleet.run("--fleet", "orders", "node", "remove", "127.0.0.1:%d" % ports[other], "--yes",
                                "--timeout", "2s", *more, status=FAILED)
            assert "no other node of its cluster answers" in refused.stderr, refused.stderr
        os.kill(fleet.pid_of(ports[silent]), signal.SIGCONT)
    assert set(fleet.processes()) == before
    fleet.run("--fleet", "orders", "node", "remove", "127.0.0.1:%d" % ports["replica"], "--yes")
    text = read(fleet.conf)
    for more in ([], ["--force"]):
        fleet.run("--fleet", "orders", "node", "remove", "127.0.0.1:%d" % ports["master"], "--yes", *more,
                  status=FAILED, said=("the last node of its cluster", "fleet destroy"))
    assert len(fleet.processes()) == 1 + supervisors and read(fleet.conf) == text
    wait_until(lambda: ask(ports["master"], "SET", "key", "value") == "OK", 20, "it takes writes")


@case(kinds=("ours",), limit_s=150)
def test_a_node_leaves_while_a_supervisor_hangs(lab):
    """The plan names it, nobody waits for it, and it learns of it afterwards."""
    fleet = MadeFleet(lab)
    made = fleet.create(shards=1, replicas=2)
    gone = next(n["address"] for n in made["nodes"] if n["role"] == "replica")
    port = port_of(made["supervisors"][2])
    hung = fleet.pid_of(port)

    def known():
        return gone.rsplit(":", 1)[1] in str(ask(port, "SENTINEL", "CLUSTER", "orders"))
    wait_until(known, 20, "it knows it")
    os.kill(hung, signal.SIGSTOP)
    done = fleet.run("--fleet", "orders", "node", "remove", gone, "--yes", "--timeout", "2s",
                     said=("wait until 2 supervisors have forgotten", "not waited for, since they do not answer"))
    assert made["supervisors"][2] in done.stdout, done.stdout
    os.kill(hung, signal.SIGCONT)
    wait_until(lambda: not known(), 90, "it has forgotten it")


@case(kinds=("ours",), limit_s=60)
def test_a_dead_process_that_may_have_slots_is_kept(lab):
    """The others have forgotten it, and its slots are nobody's."""
    fleet = MadeFleet(lab)
    made = fleet.create(shards=2, replicas=0, supervisors=0)
    ports = [port_of(n["address"]) for n in made["nodes"]]
    address = made["nodes"][1]["address"]
    assert ask(ports[0], "CLUSTER", "FORGET", ask(ports[1], "CLUSTER", "MYID")) == "OK"
    fleet.run("--fleet", "orders", "node", "remove", address, "--yes", "--force", status=FAILED, said="by its own word")
    fleet.kill9(ports[1])
    remove = ["--fleet", "orders", "node", "remove", address, "--yes"]
    fleet.run(*remove, status=FAILED, said="8192 slots are nobody's")
    fleet.run(*remove, "--force", said="take it out of the fleet's record")
    assert address not in read(os.path.join(fleet.folder, "fleet.json")).split('"left"')[0]


@case(kinds=("ours",), limit_s=90)
def test_a_wrong_entry_spoils_its_own_fleet_only(lab):
    """Of fleets in one file: the others are listed, worked with and made, and the wrong one is destroyed."""
    fleet = MadeFleet(lab)
    fleet.create(shards=1, replicas=0, supervisors=1)
    entry = '{ name = "%s"; %s },\n'
    text = read(fleet.conf).replace("fleets = (\n", "fleets = (\n" + entry % ("empty", 'dir = "/nowhere";') +
                                    entry % ("odd", 'seeds = [ "nonsense" ]; sed = 1;'))
    with open(fleet.conf, "w", encoding="utf-8") as f:
        f.write(text)
    shown = {row["name"]: row for row in fleet.json("fleet", "list")["fleets"]}
    assert {name: row["state"] for name, row in shown.items()} == {
        "orders": "answers", "empty": "wrong", "odd": "wrong"}, shown
    assert "neither seeds nor supervisors" in shown["empty"]["problem"], shown
    fleet.run("fleet", "list", said=("nodectl.conf:2", "fleets[0]", "fleets[1]", "nonsense"))
    fleet.run("--fleet", "orders", "status")
    for name, words in (("empty", "neither seeds nor"), ("odd", "nonsense")):
        fleet.run("--fleet", name, "status", status=USAGE, said=words)
    fleet.run("fleet", "destroy", "empty", "--yes")
    fleet.run("fleet", "destroy", "odd", "--yes")
    assert [row["name"] for row in fleet.json("fleet", "list")["fleets"]] == ["orders"]
    # The folder knows better than an entry that is wrong.
    with open(fleet.conf, "w", encoding="utf-8") as f:
        f.write('fleets = ( { name = "orders"; dir = "%s"; } );\n' % fleet.folder)
    fleet.run("fleet", "stop", "orders", "--yes")
    assert not fleet.processes()
    fleet.run("fleet", "start", "orders", "--yes")
    fleet.run("fleet", "destroy", "orders", "--yes")
    assert not fleet.processes() and "orders" not in read(fleet.conf)


@case(kinds=("ours",), limit_s=120)
def test_what_is_refused_before_anything_is_made(lab):
    fleet = MadeFleet(lab)
    base = ["fleet", "create", "orders", "--shards", 1, "--replicas", 0, "--supervisors", 1]

    def nothing():
        assert not os.path.exists(fleet.folder) and not fleet.processes(), (os.listdir(fleet.home), fleet.processes())

    planned = fleet.json(*base, "--dry-run")
    assert planned["dry_run"] and [s["state"] for s in planned["steps"]] == ["planned"] * 6, planned
    fleet.run(*base, status=USAGE, said="--yes")
    nothing()
    for wrong, words in (
            (["fleet", "create", "a/b", "--yes"], "no name for a fleet"),
            (["fleet", "create", "--yes"], "needs a name"),
            ([*base, "--shards", "0", "--yes"], "--shards is '0'"),
            ([*base, "--systemd", "--yes"], "--run-as"),
            ([*base, "--down-after", "soon", "--yes"], "--down-after"),
            ([*base, "-s", "127.0.0.1:1", "--yes"], "--nodes")):
        fleet.run(*wrong, status=USAGE, said=words)
    nothing()
    # A port that somebody has, a folder that is not empty, hosts that are too few.
    node = lab.node("other")
    fleet.run(*base, "--port", node.port, "--yes", status=FAILED, said="port %d of 127.0.0.1 is taken" % node.port)
    below = lab.ports.take_with_bus()
    lab.node("bus", port=below + 10000)
    fleet.run(*base, "--port", below, "--yes", status=FAILED,
              said=("port %d of 127.0.0.1 is taken" % (below + 10000), "bus of node %d" % below))
    fleet.run(*base, "--dir", lab.path("other"), "--yes", status=FAILED, said=("is in use", "--dir"))
    fleet.run(*base, "--replicas", 2, "--hosts", "127.0.0.1:a,127.0.0.2:a,127.0.0.3:b", "--yes", status=FAILED,
              said="needs 3 zones, and there are 2")
    fleet.run(*base, "--hosts", "here", "--yes", status=USAGE, said="'here' is not host[:zone]")
    nothing()
    # A record that cannot be read is named with its line, and not touched.
    os.makedirs(os.path.dirname(fleet.conf), exist_ok=True)
    for text, status, words in (("fleets = (\n  { name = \"a\" seeds };\n", USAGE, "nodectl.conf:2"),
                        ("fleets = ( { name = \"orders\"; seeds = [ \"127.0.0.1:1\" ]; } );\n", FAILED, "recorded")):
        with open(fleet.conf, "w", encoding="utf-8") as f:
            f.write(text)
        fleet.run(*base, "--yes", status=status, said=words)
        assert read(fleet.conf) == text
    nothing()
    fleet.run("fleet", "start", "orders", "--yes", status=FAILED, said="not made by fleet create")
    fleet.run("fleet", "stop", "nobody", "--yes", status=USAGE, said="nobody")
    # Of a fleet that others have made, destroy takes the record alone.
    fleet.run("fleet", "destroy", "orders", "--yes", said="run on")
    assert "orders" not in read(fleet.conf)
    fleet.run("fleet", "list", said="No fleet is recorded")
    # A disk that is full says so, and what was written is taken away again.
    os.makedirs(lab.path("small"))
    script = 'mount -t tmpfs -o size=8k small "$1" && "$0" fleet create orders --dir "$1/it" --yes; ' \
             '"$0" fleet destroy orders --yes && ls -A "$1"'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(["unshare", "--mount", *user, "sh", "-c", script, fleet.program, lab.path("small")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=True,
                          env=fleet.environment())
    assert "No space left on device" in done.stderr and not done.stdout.endswith("it\n"), done
    nothing()
    # Programs that are not there.
    os.makedirs(lab.path("alone"))
    fleet.program = shutil.copy(nodectl_path(), lab.path("alone"))
    fleet.run(*base, "--yes", status=FAILED, said=(lab.path("alone/noded"), "beside"))
    nothing()


@contextlib.contextmanager
def holds(folder):
    """As another nodectl does that changes the fleet."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(fd)


@case(kinds=("ours",), limit_s=120)
def test_cut_short_and_gone_on(lab):
    """Ctrl-C or the end of nodectl in the middle leaves what the same command finishes, or destroy takes away."""
    fleet = MadeFleet(lab)
    args = ["fleet", "create", "orders", "--shards", 4, "--replicas", 1, "--supervisors", 3, "--port",
            lab.ports.block(), "--yes", "-o", "json"]
    fleet.env = tool.ctrl_c_at(lab, 3)
    cut = fleet.run(*args, status=INTERRUPTED, said=("[3/6]", "the same command"))
    done = json.loads(cut.stdout)
    assert not done["ok"] and done["failure"].startswith("interrupted"), (cut.stderr, done)
    fleet.env = {}
    fleet.run("fleet", "create", "orders", "--shards", 2, "--yes", status=FAILED, said=("--shards 4", "fleet destroy"))

    fleet.env = tool.ctrl_c_at(lab, 4, by=signal.SIGKILL)
    fleet.run(*args, status=-signal.SIGKILL, said="[4/6]")
    fleet.env = {}
    again = json.loads(fleet.run(*args).stdout)
    assert again["ok"] and read(fleet.conf).count('"orders"') == 1, (again, read(fleet.conf))
    assert len(fleet.processes()) == 11
    for i in range(20):
        assert cli(port_of(again["nodes"][0]["address"]), 3, "SET", "key%d" % i, "x") == "OK"

    # One that does not end by itself is named, and killed when that is said.
    victim = port_of(again["supervisors"][1])
    os.kill(fleet.pid_of(victim), signal.SIGSTOP)
    fleet.run("fleet", "destroy", "orders", "--yes", "--timeout", "300ms", status=FAILED,
              said=("127.0.0.1:%d" % victim, "did not end in time", "--force"))
    assert os.path.exists(fleet.folder) and "orders" in read(fleet.conf)
    with open(os.path.join(fleet.folder, "notes"), "w", encoding="utf-8") as f:
        f.write("mine")
    fleet.run("fleet", "destroy", "orders", "--yes", "--force", "--timeout", "300ms")
    assert not fleet.processes() and os.listdir(fleet.folder) == ["notes"]
    fleet.run("fleet", "destroy", "--dir", fleet.folder, "--yes", status=FAILED, said="no folder of a fleet")


@case(kinds=("ours",), limit_s=60)
def test_start_of_a_released_fleet(lab):
    """Its processes are started, and that nobody watches them is said at once. The file of its supervisors has one
    cluster and no group."""
    fleet = MadeFleet(lab)
    made = fleet.create(shards=1)
    conf = next(os.path.join(fleet.folder, name, "sentineld.conf") for name in sorted(os.listdir(fleet.folder))
                if os.path.exists(os.path.join(fleet.folder, name, "sentineld.conf")))
    checked = subprocess.run([sentineld_path(), "-c", conf, "--check"], capture_output=True, text=True, timeout=20,
                             check=False)
    assert (checked.returncode, checked.stdout) == (OK, "%s: good; 0 groups, 1 cluster\n" % conf), checked
    fleet.run("config", "check", conf, said="good; 0 groups, 1 cluster")
    fleet.run("cluster", "release", "orders", "--yes")
    replica = next(port_of(n["address"]) for n in made["nodes"] if n["role"] == "replica")
    fleet.kill9(replica)
    fleet.run("fleet", "start", "orders", "--yes", status=FAILED,
              said=("cluster orders is released", "nodectl cluster adopt orders"))
    assert role(replica) == "slave"
    fleet.run("cluster", "adopt", "orders", "--yes")
    fleet.run("fleet", "start", "orders", "--yes")


@case(kinds=("ours",), limit_s=60)
def test_a_process_that_ends_at_once(lab):
    """Its log says why, and nothing is left running that cannot be found again."""
    fleet = MadeFleet(lab)
    os.makedirs(lab.path("bin"))
    fleet.program = shutil.copy(nodectl_path(), lab.path("bin"))
    shutil.copy(sentineld_path(), lab.path("bin"))
    with open(lab.path("bin/noded"), "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho 'it is Monday' >&2\nexit 3\n")
    os.chmod(lab.path("bin/noded"), 0o755)
    args = ["fleet", "create", "orders", "--shards", 1, "--replicas", 1, "--supervisors", 1, "--port",
            lab.ports.block(), "--yes"]
    fleet.run(*args, status=FAILED, said=("ended at once", "it is Monday", "the same command"))
    assert not fleet.processes()
    os.remove(lab.path("bin/noded"))
    os.symlink(noded_path(), lab.path("bin/noded"))
    fleet.run(*args, said="is well after")

    # Another program has taken its port meanwhile, and even answers there.
    fleet.run("fleet", "stop", "orders", "--yes")
    port = next(int(name.split("-")[1]) for name in sorted(os.listdir(fleet.folder)) if name.startswith("node-"))
    other = lab.node("other", port=port)
    fleet.run("fleet", "start", "orders", "--yes", status=FAILED, said=("127.0.0.1:%d ended at once" % port, "its log"))
    other.terminate()
    with open(os.path.join(fleet.folder, "fleet.json"), "rb") as f, holds(fleet.folder):
        assert json.load(f)["complete"]
        fleet.run("fleet", "start", "orders", "--yes", status=FAILED, said="another nodectl is at work")
    fleet.run("fleet", "start", "orders", "--yes")
    fleet.run("fleet", "destroy", "orders", "--yes")
    assert not fleet.processes() and not os.path.exists(fleet.folder)


@case(kinds=("ours",), limit_s=60)
def test_passwords_and_zones(lab):
    """Over hosts with zones no shard has two nodes in one, with passwords that only their owner can read."""
    fleet = MadeFleet(lab)
    for name, text in (("nodes", "for \"nodes\"\nnot this\n"), ("supervisors", "for supervisors")):
        with open(lab.path(name), "w", encoding="utf-8") as f:
            f.write(text)
    made = fleet.create("--hosts", "127.0.0.1:a,127.0.0.2:b,127.0.0.3:c,127.0.0.4:a", "--node-password-file",
                        lab.path("nodes"), "--password-file", lab.path("supervisors"))
    zones = {}
    for node in made["nodes"]:
        zones.setdefault(node["shard"], []).append(node["zone"])
    assert all(len(set(z)) == 2 for z in zones.values()) and len(zones) == 3, made
    assert len({s.rsplit(":", 1)[0] for s in made["supervisors"]}) == 3, made
    host, port = made["nodes"][0]["address"].split(":")
    assert "NOAUTH" in str(ask(int(port), "GET", "a", host=host))
    conf = os.path.join(fleet.folder, host, "node-%s" % port, "noded.conf")
    assert os.stat(conf).st_mode & 0o777 == 0o600
    fleet.run("fleet", "stop", "orders", "--yes")
    fleet.run("fleet", "start", "orders", "--yes")
    fleet.run("fleet", "destroy", "orders", "--yes")
    assert not os.path.exists(fleet.folder)
    # Where everything would be, and what that would not survive, is shown before anything is done.
    plan = fleet.run("fleet", "create", "orders", "--shards", 1, "--dry-run", "--hosts",
                     "127.0.0.1:a,127.0.0.2:b,127.0.0.3:a").stdout
    assert re.search(r"shard 1: master 127\.0\.0\.\d:\d+ \([ab]\), 127\.0\.0\.\d:\d+ \([ab]\)", plan), plan
    assert "supervisors are in zone a: when it is lost" in plan, plan
    fleet.run("fleet", "create", "orders", "--shards", 1, "--dry-run", "--supervisors", 2, said="survive no loss")
    # A host that is not this one: what is for it is written, and said what to do with it.
    fleet.run("fleet", "create", "orders", "--shards", 1, "--replicas", 1, "--supervisors", 1, "--yes", "--hosts",
              "127.0.0.1,192.0.2.1", status=FAILED,
              said=("192.0.2.1:7001", "Copy " + fleet.folder, "fleet start --dir"))
    assert os.path.exists(os.path.join(fleet.folder, "192.0.2.1", "node-7001", "noded.conf"))
    fleet.run("fleet", "destroy", "orders", "--yes")
    assert not fleet.processes() and not os.path.exists(fleet.folder)


# It does what systemd does with such units, as far as that is asked of it here.
SYSTEMCTL = '''
    #!/usr/bin/python3
    import os, re, shlex, signal, subprocess, sys
    words = sys.argv[1:]
    with open(os.environ["CALLS"], "a") as f:
        f.write(" ".join(words) + "\\n")
    if os.environ.get("NO_SYSTEMD"):
        sys.exit("System has not been booted with systemd as init system (PID 1). Can't operate.")
    assert words[0] == "--user", words
    for unit in words[2:]:
        path = os.path.join(os.environ["HOME"], ".config/systemd/user", unit)
        text = open(path).read()
        pid_file = path + ".pid"
        if words[1] == "start":
            argv = shlex.split(re.search("^ExecStart=:(.*)$", text, re.M).group(1))
            log = open(re.search("^StandardOutput=append:(.*)$", text, re.M).group(1), "ab")
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            open(pid_file, "w").write(str(child.pid))
        elif words[1] == "stop":
            os.kill(int(open(pid_file).read()), signal.SIGTERM)
            os.remove(pid_file)
'''


@case(kinds=("ours",), limit_s=60)
def test_units_of_systemd(lab):
    fleet = MadeFleet(lab)
    os.makedirs(lab.path("path"))
    with open(lab.path("path/systemctl"), "w", encoding="utf-8") as f:
        f.write(textwrap.dedent(SYSTEMCTL).lstrip())
    os.chmod(lab.path("path/systemctl"), 0o755)
    calls = lab.path("calls")
    fleet.env = {"PATH": lab.path("path") + ":" + os.environ["PATH"], "CALLS": calls, "NO_SYSTEMD": "1"}
    args = ["--systemd-user"]
    refused = fleet.run("fleet", "create", "orders", "--shards", 1, "--yes", *args, status=FAILED,
                        said=("there is no systemd", "not been booted", "without --systemd-user"))
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert not os.path.exists(fleet.folder)
    del fleet.env["NO_SYSTEMD"]
    made = fleet.create(*args, shards=1)
    units = os.path.join(fleet.home, ".config", "systemd", "user")
    names = sorted(n for n in os.listdir(units) if n.endswith(".service"))
    ports = [port_of(n["address"]) for n in made["nodes"]] + [port_of(s) for s in made["supervisors"]]
    assert len(names) == 5 and all(any("-%d.service" % p in n for n in names) for p in ports), names
    text = read(os.path.join(units, names[0]))
    assert "Type=notify" in text and "WantedBy=default.target" in text and "User=" not in text, text
    said = read(calls)
    assert "--user daemon-reload\n" in said and "--user enable " + names[0] in said, said
    assert len(fleet.processes()) == 5
    added = port_of(fleet.json("node", "add", "--yes")["node"])
    unit = next(n for n in os.listdir(units) if n.endswith("-node-%d.service" % added))
    assert len(fleet.processes()) == 6 and "--user start " + unit in read(calls)
    fleet.run("node", "remove", "127.0.0.1:%d" % added, "--yes")
    assert len(fleet.processes()) == 5 and unit not in os.listdir(units)
    assert "--user stop " + unit in read(calls) and "--user disable " + unit in read(calls)
    fleet.run("fleet", "stop", "orders", "--yes")
    assert not fleet.processes()
    fleet.run("fleet", "destroy", "orders", "--yes")
    assert not os.path.exists(fleet.folder) and not [n for n in os.listdir(units) if n.endswith(".service")]
    assert "--user disable " in read(calls)


@case(kinds=("ours",), limit_s=60)
def test_nodes_that_run_already(lab):
    """As redis-cli --cluster create: of any kind of node, empty and alone; what is not is refused before anything is
    done."""
    fleet = MadeFleet(lab)
    stock = [lab.redis("stock%d" % i, cluster_enabled="yes", cluster_port=lab.ports.take()).wait_ready()
             for i in range(3)]
    ours = [lab.node("ours%d" % i, cluster_enabled="yes", cluster_port=lab.ports.take()) for i in range(3)]
    nodes = stock + ours

    def with_bus(node):
        bus = node.ok("CLUSTER", "NODES").split()[1].split("@")[1].split(",")[0]
        return "127.0.0.1:%d@%s" % (node.port, bus)
    args = ["fleet", "create", "joined", "--nodes", ",".join(map(with_bus, nodes)), "--replicas", 1, "--yes"]

    stock[1].ok("CLUSTER", "ADDSLOTS", 3)
    fleet.run(*args, status=FAILED, said="127.0.0.1:%d has 1 slots already" % stock[1].port)
    stock[1].ok("CLUSTER", "DELSLOTS", 3)
    fleet.run(*args[:4], "127.0.0.1:%d" % lab.ports.take(), "--replicas", 0, "--yes", status=FAILED, said="refused")
    fleet.run(*args[:4], "127.0.0.1:%d,what" % nodes[0].port, "--yes", status=USAGE, said="'what' is not host:port")
    fleet.run(*args[:4], with_bus(nodes[0]), "--yes", status=USAGE, said="that takes 2")
    alone = lab.node("alone")
    fleet.run(*args[:4], "127.0.0.1:%d" % alone.port, "--replicas", 0, "--yes", status=FAILED,
              said="cluster support disabled")
    assert not os.path.exists(fleet.conf)

    done = fleet.json(*args)
    assert done["ok"] and done["shards"] == 3 and "clusters = (" in done["for_sentineld_conf"], done
    for node in nodes:
        assert "cluster_state:ok" in node.ok("CLUSTER", "INFO"), node.name
    for entry in done["nodes"]:
        assert (entry["role"] == "master") == (role(port_of(entry["address"])) == "master"), entry
    again = fleet.json(*args)
    assert again["ok"] and {s["state"] for s in again["steps"]} == {"skipped"}, again
    other = lab.node("other", cluster_enabled="yes", cluster_port=lab.ports.take())
    fleet.run("fleet", "create", "second", "--nodes", with_bus(stock[0]) + "," + with_bus(other), "--replicas", 0,
              "--yes", status=FAILED, said="belongs to a cluster already")
    fleet.run("fleet", "destroy", "joined", "--yes", said="run on")
    assert all(node.alive() for node in nodes) and "joined" not in read(fleet.conf)


@case(kinds=("ours",), limit_s=90)
def test_over_hosts(lab):
    """Three hosts, each with a network of its own: the first nodectl writes everything and starts what is its host's,
    the others start theirs out of the folder, and then the cluster is made. Each ends what is its own."""
    fleet = MadeFleet(lab)
    places = Places(lab)
    hosts = [places.make() for _ in range(3)]
    args = ["fleet", "create", "orders", "--shards", "3", "--replicas", "1", "--supervisors", "3", "--yes", "--timeout",
            "30s", "--hosts", ",".join("%s:zone%d" % (h.address, i) for i, h in enumerate(hosts))]

    def at(place, *words, status=OK):
        done = subprocess.run([*place.enter, fleet.program, *words], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False, env=fleet.environment())
        assert done.returncode == status, (place.address, words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr
    said = at(hosts[0], *args, status=FAILED)
    assert "Copy " + fleet.folder in said and hosts[1].address in said and "no password" in said, said
    assert len(fleet.processes()) == 2
    # No supervisor comes before the cluster is there.
    said = at(hosts[1], "fleet", "start", "--dir", fleet.folder, "--no-wait", "--yes", status=FAILED)
    assert "no cluster yet" in said and len(fleet.processes()) == 4, said
    waiting = [subprocess.Popen([*place.enter, fleet.program, "fleet", "start", "--dir", fleet.folder, "--yes"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env=fleet.environment()) for place in hosts[1:]]
    wait_until(lambda: len(fleet.processes()) == 6, 20, "all nodes run")
    said = at(hosts[0], *args)
    assert "is well after" in said and len(fleet.processes()) == 9, said
    for child in waiting:
        out, _ = child.communicate(timeout=30)
        assert child.returncode == OK, out
    with open(os.path.join(fleet.folder, "fleet.json"), encoding="utf-8") as f:
        shards = {}
        for node in json.load(f)["nodes"]:
            shards.setdefault(node["shard"], set()).add(node["zone"])
    assert {len(zones) for zones in shards.values()} == {2}, shards
    at(hosts[1], "fleet", "stop", "orders", "--yes")
    assert len(fleet.processes()) == 6
    said = at(hosts[1], "fleet", "start", "orders", "--yes")
    assert "start 2 nodes (0 run)" in said and len(fleet.processes()) == 9, said
    for place in hosts:
        at(place, "fleet", "stop", "--dir", fleet.folder, "--yes", "--force")
    assert not fleet.processes()
