"""nodectl config check and diff, nodectl hook test."""
import json
import os
import subprocess

from cases import case
from lab import Group, sentineld_path
from lab.supervisors import nodectl_path


def nodectl(*args, env=None):
    return subprocess.run([nodectl_path(), *map(str, args)], capture_output=True, text=True, check=False, timeout=60,
                          env={**{k: v for k, v in os.environ.items() if k != "NODECTL_SUPERVISORS"}, **(env or {})})


def one(lab, name="sentinel0", extra=(), **kwargs):
    master = lab.redis(name + "-master").wait_ready()
    return lab.supervisor(name, [Group(port=master.port, quorum=1)], extra=extra, **kwargs)


def at(*supervisors):
    return ["-s", ",".join("127.0.0.1:%d" % s.port for s in supervisors)]


def rows(done):
    return {(r["group"], r["option"]): r for r in json.loads(done.stdout)["differences"]}


@case(kinds=("ours",))
def test_check_says_what_the_daemon_says(lab):
    s = one(lab)
    with open(s.conf_path, encoding="utf-8") as f:
        good = f.read()
    for text, code in ((good, 0), ("listen = [ 1 ];\nquorun = 3;\n", 2), ("(", 2)):
        path = lab.path("some.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        daemon = subprocess.run([sentineld_path(), "-c", path, "--check"], capture_output=True, text=True, check=False)
        tool = nodectl("config", "check", path)
        assert (tool.returncode, tool.stdout, tool.stderr) == (daemon.returncode, daemon.stdout, daemon.stderr), tool
        assert tool.returncode == code, tool
    assert nodectl("config", "check", lab.path("none")).returncode == 2


@case(kinds=("ours",))
def test_diff(lab):
    s, quiet = one(lab), one(lab, "sentinel1")
    assert nodectl("config", "diff", *at(s)).returncode == 0
    assert nodectl("config", "diff", s.conf_path, *at(s)).stdout == "no differences\n"
    s.ok("SENTINEL", "SET", "mymaster", "down-after-milliseconds", 1234, "auth-pass", "secret")
    s.ok("SENTINEL", "CONFIG", "SET", "announce-port", 4321)
    done = nodectl("config", "diff", "-o", "json", *at(s, quiet))
    assert done.returncode == 1, done
    found = rows(done)
    assert set(found) == {("mymaster", "down-after-milliseconds"), ("mymaster", "auth-pass"), ("", "announce-port")}
    row = found["mymaster", "down-after-milliseconds"]
    assert row == {"supervisor": "127.0.0.1:%d" % s.port, "group": "mymaster", "option": "down-after-milliseconds",
                   "file": "600", "running": "1234", "from": "run time"}, row
    assert "secret" not in done.stdout and json.loads(done.stdout)["same"] is False
    table = nodectl("config", "diff", *at(s)).stdout.splitlines()
    assert table[0].split() == ["SUPERVISOR", "GROUP", "OPTION", "FILE", "RUNNING", "FROM"], table
    # The file of the command line: settings and groups that were not read yet, groups that it does not have.
    text = open(s.conf_path, encoding="utf-8").read()
    s.write_config(text.replace("failover_timeout_ms = 5000", "failover_timeout_ms = 6000").replace(
        "\n);", ",\n  { name = \"more\"; master = \"127.0.0.1:1\"; quorum = 1; }\n);"))
    s.ok("SENTINEL", "MONITOR", "own", "127.0.0.1", 9, 1)
    found = rows(nodectl("config", "diff", "-o", "json", s.conf_path, *at(s)))
    assert found["mymaster", "failover-timeout"]["from"] == "file not read again", found
    assert found["mymaster", "failover-timeout"]["running"] == "5000", found
    assert found["more", "(group)"]["running"] is None and found["own", "(group)"]["file"] is None, found
    s.ok("SENTINEL", "RELOAD")
    found = rows(nodectl("config", "diff", "-o", "json", s.conf_path, *at(s)))
    assert ("more", "(group)") not in found and ("mymaster", "failover-timeout") not in found, found


@case(kinds=("ours",))
def test_diff_and_who_cannot_be_asked(lab):
    s = one(lab)
    nobody = lab.ports.take()
    done = nodectl("config", "diff", "-s", "127.0.0.1:%d" % nobody)
    assert done.returncode == 3 and "no supervisor can be asked" in done.stderr, done
    done = nodectl("config", "diff", "-s", "127.0.0.1:%d,127.0.0.1:%d" % (s.port, nobody))
    assert done.returncode == 1 and "is left out" in done.stderr and done.stdout == "no differences\n", done
    assert nodectl("config", "diff", lab.path("none"), *at(s)).returncode == 2
    assert nodectl("config", "diff", "-o", "xml", *at(s)).returncode == 2


@case(kinds=("ours",))
def test_master_that_the_fleet_moved_is_no_difference(lab):
    fleet = lab.fleet()
    old = fleet.master
    old.kill9()
    new = fleet.wait_switched(old.port)
    s = fleet.supervisors[0]
    done = nodectl("config", "diff", "-o", "json", s.conf_path, *at(s))
    row = rows(done)["mymaster", "(master)"]
    assert (row["file"], row["running"], row["from"]) == (
        "127.0.0.1:%d" % old.port, "127.0.0.1:%d" % new.port, "fleet"), row
    assert done.returncode == 0, done


@case(kinds=("ours",))
def test_hook_test(lab):
    """By the supervisor, and here from the file."""
    good = lab.script("good", "#!/bin/sh\nread -r line\n"
                              "case $line in *'\"test\":true'*) echo \"$SENTINELD_GROUP fine\";; esac\n")
    bad = lab.script("bad", "#!/bin/sh\necho no >&2\nexit 3\n")
    s = one(lab, extra=['hooks = ( { on = [ "+switch-*" ]; run = [ "%s" ]; }, { on = [ "+odown" ]; run = [ "%s" ]; } );'
                        % (good, bad)])
    for where in (at(s), ["--file", s.conf_path]):
        done = nodectl("hook", "test", *where)
        assert done.returncode == 0 and "exit status 0" in done.stdout and "    mymaster fine\n" in done.stdout, done
        done = nodectl("hook", "test", "--event", "+odown", "-o", "json", *where)
        row = json.loads(done.stdout)[0]
        assert done.returncode == 1 and row["exit_status"] == 3 and row["output"] == "no\n" and row["run"] == bad, done
        assert row["time_us"] > 0, row
        done = nodectl("hook", "test", "--event", "+nothing", *where)
        assert done.returncode == 1 and "no hook wants the event +nothing" in done.stdout, done
    done = nodectl("hook", "test", "--group", "nobody", *at(s))
    assert done.returncode == 1 and "refuses: ERR No such master" in done.stderr, done
