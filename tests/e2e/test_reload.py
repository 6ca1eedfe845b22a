"""The configuration is read again: what changes, what cannot, what a bad file does, and a failover meanwhile."""
import os
import re
import signal

from cases import case
from lab import Group, pairs, stays_true, wait_until
from lab.notify_socket import NotifySocket


def text_of(s):
    with open(s.conf_path, encoding="utf-8") as f:
        return f.read()


def edit(s, old, new, count=1):
    text = text_of(s)
    assert text.count(old) == count, (old, text)
    s.write_config(text.replace(old, new))


def add_group(s, name, port, more="down_after_ms = 600;"):
    edit(s, "\n);", ",\n  { name = \"%s\"; master = \"127.0.0.1:%d\"; quorum = 1; %s }\n);" % (name, port, more))


def reload(s):
    reply = s.ok("SENTINEL", "RELOAD")
    assert isinstance(reply, list) and reply, reply
    return reply


def overrides(s):
    return {(r["group"], r["option"]): r for r in (pairs(x) for x in s.ok("SENTINEL", "OVERRIDES"))}


def alone(lab, **kwargs):
    master = lab.redis("master").wait_ready()
    return lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)], **kwargs), master


@case(kinds=("ours",))
def test_groups_come_go_and_change(lab):
    """SIGHUP: a new group is supervised, one that is gone is not, a changed setting holds; others are not disturbed."""
    s, master = alone(lab)
    other = lab.redis("other").wait_ready()
    log = lab.events(s)
    runid = s.master()["runid"] if s.master()["runid"] else None
    add_group(s, "second", other.port)
    edit(s, "failover_timeout_ms = 5000", "failover_timeout_ms = 7000")
    s.signal(signal.SIGHUP)
    done = log.wait("+config-reloaded")
    assert done.payload == "groups: 1 added, 0 removed, 1 changed", done
    assert log.wait("+monitor").payload == "master second 127.0.0.1 %d quorum 1" % other.port
    assert log.wait("+set").payload == "master mymaster 127.0.0.1 %d failover-timeout 7000" % master.port
    assert s.master()["failover-timeout"] == "7000" and s.master_port("second") == other.port
    wait_until(lambda: s.flags("second") == ["master"], 20, "the new group's master is seen")
    edit(s, ",\n  { name = \"second\"", "\n  #{ name = \"second\"")
    assert reload(s) == ["groups: 0 added, 1 removed, 0 changed",
                         "second: is no longer in the configuration file, so it is not supervised any more"]
    assert {m["name"] for m in s.masters()} == {"mymaster"} and log.wait("-monitor", "second")
    assert not log.all("-monitor", "mymaster") and (runid is None or s.master()["runid"] == runid)
    assert reload(s)[0] == "groups: 0 added, 0 removed, 0 changed"
    s.terminate()
    s.boot()
    assert {m["name"] for m in s.masters()} == {"mymaster"} and s.master()["failover-timeout"] == "7000"


@case(kinds=("ours",))
def test_run_time_changes_win_until_the_file_changes(lab):
    s, _ = alone(lab)
    assert s.call("SENTINEL", "SET", "mymaster", "down-after-milliseconds", 1234, "quorum", 3) == "OK"
    assert s.call("SENTINEL", "CONFIG", "SET", "loglevel", "verbose") == "OK"
    shown = overrides(s)
    assert shown["mymaster", "down-after-milliseconds"] == {
        "group": "mymaster", "option": "down-after-milliseconds", "value": "1234", "file": "600"}, shown
    assert shown["", "loglevel"]["value"] == "verbose" and shown["", "loglevel"]["file"] == "notice", shown
    edit(s, "parallel_syncs = 1", "parallel_syncs = 4")
    reload(s)
    m = s.master()
    assert (m["down-after-milliseconds"], m["quorum"], m["parallel-syncs"]) == ("1234", "3", "4"), m
    edit(s, "down_after_ms = 600", "down_after_ms = 800")
    notes = reload(s)
    assert any("down-after-milliseconds was changed in the configuration file since" in n for n in notes), notes
    m = s.master()
    assert (m["down-after-milliseconds"], m["quorum"]) == ("800", "3"), m
    assert set(overrides(s)) == {("mymaster", "quorum"), ("", "loglevel")}, overrides(s)
    assert pairs(s.ok("SENTINEL", "CONFIG", "GET", "loglevel")) == {"loglevel": "verbose"}
    # What was forgotten stays forgotten over a restart, and what was kept is kept.
    s.terminate()
    s.boot()
    m = s.master()
    assert (m["down-after-milliseconds"], m["quorum"], m["parallel-syncs"]) == ("800", "3", "4"), m


@case(kinds=("ours",))
def test_removed_and_monitored_at_run_time(lab):
    s, _ = alone(lab)
    other = lab.redis("other").wait_ready()
    assert s.call("SENTINEL", "MONITOR", "made", "127.0.0.1", other.port, 1) == "OK"
    assert s.call("SENTINEL", "REMOVE", "mymaster") == "OK"
    notes = reload(s)
    assert {m["name"] for m in s.masters()} == {"made"}, notes
    assert any(n.startswith("mymaster: stays removed") for n in notes), notes
    edit(s, "down_after_ms = 600", "down_after_ms = 900")
    reload(s)
    assert {m["name"] for m in s.masters()} == {"made", "mymaster"}
    assert s.master()["down-after-milliseconds"] == "900"


@case(kinds=("ours",))
def test_a_bad_file_changes_nothing(lab):
    s, _ = alone(lab)
    log = lab.events(s)
    wait_until(lambda: s.flags() == ["master"], 20, "it sees its master")
    good, before = text_of(s), s.master()
    for bad, wanted in ((good.replace("quorum = 1", "quorum = 2; quorun = 3"), "quorun"),
                        (good + "\ngroups = (", "duplicate setting"),
                        (good.replace("down_after_ms = 600", "down_after_ms = -1"), "down_after_ms")):
        s.write_config(bad)
        count = len(log.all("-config-reload-failed"))
        reply = str(s.call("SENTINEL", "RELOAD"))
        assert reply.startswith("ERR nothing was changed: ") and wanted in reply, reply
        wait_until(lambda n=count: len(log.all("-config-reload-failed")) == n + 1, 15, "it is published")
        s.signal(signal.SIGHUP)
        wait_until(lambda n=count: len(log.all("-config-reload-failed")) == n + 2, 15, "for SIGHUP too")
    os.unlink(s.conf_path)
    assert str(s.call("SENTINEL", "RELOAD")).startswith("ERR nothing was changed: ")
    after = s.master()
    for key in ("quorum", "down-after-milliseconds", "failover-timeout"):
        assert after[key] == before[key], (key, after[key], before[key])
    # Not at every moment: a master that is let wait for a processor is held for down.
    wait_until(lambda: s.flags() == ["master"], 20, "it sees its master as before")
    s.write_config(good)
    reload(s)
    assert log.wait("+config-reloaded")


@case(kinds=("ours",))
def test_what_cannot_change_is_named(lab):
    s, _ = alone(lab)
    port = lab.ports.take()
    edit(s, "127.0.0.1:%d\" ]" % s.port, "127.0.0.1:%d\" ]" % port)
    edit(s, s.state_dir, s.state_dir + "2")
    for _ in range(2):
        notes = reload(s)
        named = {n.split(":")[0] for n in notes if "restart it for that" in n}
        assert named == {"listen", "state_dir"}, notes
    assert s.ok("PING") == "PONG"
    wait_until(lambda: "listen: was changed in the file" in s.log(), 15, "the log names it")


@case(kinds=("ours",))
def test_users_hooks_and_the_log(lab):
    """Users, hooks, and the log file are taken from the file that is read again."""
    hook = lab.script("hook", "#!/bin/sh\necho \"$SENTINELD_EVENT\" >> '%s'\n" % lab.path("calls"))
    s, _ = alone(lab)
    lines = lab.path("new.log")
    quorum = lambda n: s.ok("SENTINEL", "SET", "mymaster", "quorum", n)  # noqa: E731
    quorum(2)
    s.write_config('log = { file = "%s"; };\nhooks = ( { on = [ "+set" ]; run = [ "%s" ]; } );\n'
                   'users = ( { name = "default"; access = "all"; },\n'
                   '          { name = "eye"; password = "see"; access = "read"; } );\n'
                   % (lines, hook) + text_of(s))
    reload(s)
    quorum(3)
    wait_until(lambda: os.path.exists(lab.path("calls")), 20, "the new hook is run")
    with open(lines, encoding="utf-8") as f:
        assert "+set master mymaster" in f.read()
    with s.connect() as eye:
        assert eye.call("AUTH", "eye", "see") == "OK"
        assert str(eye.call("SENTINEL", "REMOVE", "mymaster")).startswith("NOPERM")
        text = text_of(s)
        s.write_config(text.replace('"see"', '"other"').replace('on = [ "+set" ]', 'on = [ "+never" ]'))
        reload(s)
        try:
            gone = eye.call("PING") != "PONG"
        except OSError:
            gone = True
        assert gone, "a connection whose password is no longer good ends"
    os.unlink(lab.path("calls"))
    quorum(4)
    assert [pairs(r)["on"] for r in s.ok("SENTINEL", "HOOK", "LIST")] == [["+never"]]
    stays_true(lambda: not os.path.exists(lab.path("calls")), 0.3, "the hook that is gone is not run")


@case(kinds=("ours",), limit_s=150)
def test_reload_in_the_middle_of_a_failover(lab):
    """Wherever it hits, the failover goes on, and what the file changed holds afterwards."""
    pause = lab.script("pause", "#!/bin/sh\nsleep 0.5\n")
    hooks = 'hooks = ( { on = [ "pre-failover" ]; run = [ "%s" ]; veto = true; } );' % pause
    fleet = lab.fleet(supervisor_args={"extra": [hooks]})
    logs = [lab.events(s) for s in fleet.supervisors]
    old = fleet.master
    for s in fleet.supervisors:
        edit(s, "parallel_syncs = 1", "parallel_syncs = 2")
    old.kill9()
    wait_until(lambda: any(log.all("+elected-leader") for log in logs), 20, "there is a leader, and its hook is asked")
    for s in fleet.supervisors:
        s.signal(signal.SIGHUP)
    new = fleet.wait_switched(old.port)
    for log in logs:
        log.wait("+config-reloaded")
    assert sum(len(log.all("+elected-leader")) for log in logs) == 1, "the first attempt went on"
    fleet.wait_failover_over()
    assert all(s.master()["parallel-syncs"] == "2" for s in fleet.supervisors)
    assert all(s.master_port() == new.port for s in fleet.supervisors), "the file still names the old master"
    # And many times while another one runs, which needs a replica that has the data.
    fleet.wait_all_follow(new)
    new.kill9()
    for _ in range(30):
        for s in fleet.supervisors:
            s.signal(signal.SIGHUP)
    fleet.wait_switched(new.port, 40)


@case(kinds=("ours",))
def test_another_master_in_the_file(lab):
    s, _ = alone(lab)
    other = lab.redis("other").wait_ready()
    text = text_of(s)
    s.write_config(re.sub(r'master = "[^"]*"', 'master = "127.0.0.1:%d"' % other.port, text))
    early = s.call("SENTINEL", "RELOAD")
    assert "may not be known yet" in str(early), early  # it has just begun, and does not know yet that it is alone
    wait_until(lambda: "may not be known yet" not in str(s.call("SENTINEL", "RELOAD")), 20, "nobody else said hello")
    assert s.master_port() == other.port
    wait_until(lambda: s.flags() == ["master"], 20, "it is seen")
    assert reload(s) == ["groups: 0 added, 0 removed, 0 changed"]


@case(kinds=("ours",))
def test_another_master_in_the_file_of_one_of_three(lab):
    """The supervisors have agreed on the master: one file does not move it, neither by a reload nor by a restart."""
    fleet = lab.fleet(replicas=1)
    s, old = fleet.supervisors[0], fleet.master
    text = text_of(s)
    s.write_config(re.sub(r'master = "[^"]*"', 'master = "127.0.0.1:%d"' % fleet.replicas[0].port, text))
    notes = reload(s)
    assert any("127.0.0.1:%d, which stays" % old.port in n for n in notes), notes
    assert s.master_port() == old.port
    s.kill9()
    s.boot()
    assert s.master_port() == old.port
    assert fleet.replicas[0].role() == "slave"


@case(kinds=("ours",))
def test_reload_as_a_service_manager_sees_it(lab):
    told = NotifySocket(lab.path("notify"))
    lab.on_close(told.close)
    s, _ = alone(lab)
    told.wait("READY")
    s.signal(signal.SIGHUP)
    reloading = told.wait("RELOADING")
    assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0, reloading
    told.wait("READY", 2)
    s.write_config("groups = (")
    s.signal(signal.SIGHUP)
    told.wait("RELOADING", 2)
    told.wait("READY", 3)
    order = [k for _, m in told.messages for k in m if k in ("READY", "RELOADING")]
    assert order == ["READY", "RELOADING", "READY", "RELOADING", "READY"], order
