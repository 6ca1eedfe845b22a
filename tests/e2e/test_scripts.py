"""notification-script and client-reconfig-script: arguments, retries, limits."""
import os

from cases import case
from lab import Group, pairs, wait_until

RECORD = """#!/bin/sh
# One line per call: the arguments, separated by |. The +monitor of the start is not what is tested.
[ "$1" = +monitor ] && exit 0
line=$1; shift
for a in "$@"; do line="$line|$a"; done
printf '%%s\\n' "$line" >> '%s'
%s
"""


def recorder(lab, name, then="exit 0"):
    out = lab.path(name + ".calls")
    return lab.script(name, RECORD % (out, then)), lambda: open(out, encoding="utf-8").read().splitlines() \
        if os.path.exists(out) else []


@case()
def test_scripts_of_a_failover(lab):
    """Leader and observers call client-reconfig-script, all call notification-script, with the stock arguments."""
    notify, notified = recorder(lab, "notify")
    reconfig, reconfigured = recorder(lab, "reconfig")
    fleet = lab.fleet(group={"notification_script": notify, "client_reconfig_script": reconfig})
    old = fleet.master
    for s in fleet.supervisors:
        m = s.master()
        assert m["notification-script"] == notify and m["client-reconfig-script"] == reconfig
    old.kill9()
    new = fleet.wait_switched(old.port)
    wait_until(lambda: len(reconfigured()) >= 3, 20, "all three supervisors have called client-reconfig-script")
    fleet.wait_failover_over()
    tail = "start|127.0.0.1|%d|127.0.0.1|%d" % (old.port, new.port)
    calls = reconfigured()
    assert sorted(c for c in calls if c.endswith(tail)) == sorted(calls), calls
    assert calls.count("mymaster|leader|" + tail) == 1, calls
    assert calls.count("mymaster|observer|" + tail) == 2, calls

    def told():
        """Scripts run beside each other, so that one that began earlier may be the later one to write. It takes two to
        replace a master: a third may hear of that before it has noted the death itself."""
        lines = notified()
        assert sum(c.startswith("+switch-master|") for c in lines) == 3, lines
        assert "+switch-master|mymaster 127.0.0.1 %d 127.0.0.1 %d" % (old.port, new.port) in lines
        assert sum(c == "+sdown|master mymaster 127.0.0.1 %d" % old.port for c in lines) in (2, 3), lines
        names = {c.split("|")[0] for c in lines}
        assert {"+odown", "+try-failover", "+elected-leader", "+selected-slave", "+promoted-slave"} <= names, names
        return lines, names
    lines, names = wait_until(told, 20, "all notifications")
    # Notice and verbose events are not given to it.
    assert not names & {"+slave", "+sentinel", "-role-change", "+role-change", "+slave-reconf-sent",
                        "+slave-reconf-done", "+failover-state-wait-promotion", "+convert-to-slave"}, names
    assert all(c.count("|") == 1 for c in lines), "two arguments each: %s" % lines


def one_master(lab, script, **timers):
    master = lab.redis("master").wait_ready()
    # A master that is held for down for a moment would be one more event.
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1, down_after_ms=60000,
                                           notification_script=script)])
    s.set_timers(**timers)
    return s, lab.events(s)


@case()
def test_failing_script_is_tried_ten_times(lab):
    """Exit status 1: retried with a doubling delay, ten runs in all, then -script-error."""
    script, calls = recorder(lab, "notify", "exit 1")
    s, log = one_master(lab, script, script_retry_delay=4)
    s.ok("SENTINEL", "SET", "mymaster", "quorum", "2")
    wanted = "+set|" + log.wait("+set").payload
    failed = log.wait("-script-error", timeout_s=30)
    assert failed.payload == "%s 0 1" % script, failed
    assert calls() == [wanted] * 10, calls()
    assert s.ok("SENTINEL", "PENDING-SCRIPTS") == []


@case()
def test_script_that_says_give_up(lab):
    """Exit status 2 or more: not retried."""
    script, calls = recorder(lab, "notify", "exit 2")
    s, log = one_master(lab, script, script_retry_delay=20)
    s.ok("SENTINEL", "SET", "mymaster", "quorum", "2")
    assert log.wait("-script-error").payload == "%s 0 2" % script
    wait_until(lambda: s.ok("SENTINEL", "PENDING-SCRIPTS") == [], 15, "nothing is scheduled")
    assert len(calls()) == 1


@case()
def test_script_that_hangs_is_killed(lab):
    """After script-max-runtime: SIGKILL, -script-timeout, and a retry."""
    script, calls = recorder(lab, "notify", "exec sleep 300")
    s, log = one_master(lab, script, script_max_runtime=400, script_retry_delay=100)
    s.ok("SENTINEL", "SET", "mymaster", "quorum", "2")

    def running():
        rows = [pairs(r) for r in s.ok("SENTINEL", "PENDING-SCRIPTS")]
        return [r for r in rows if r["flags"] == "running" and r["argv"][1] == "+set"]
    shown = wait_until(running, 15, "the script runs")[0]
    assert list(shown) == ["argv", "flags", "pid", "run-time", "retry-num"], shown
    assert shown["argv"] == [script, "+set", log.wait("+set").payload]
    pid = int(shown["pid"])
    assert pid > 1 and shown["run-time"].isdigit()
    assert log.wait("-script-timeout", " %d" % pid).payload == "%s %d" % (script, pid)  # it may be a later try
    wait_until(lambda: len(calls()) >= 2, 20, "the script is tried again")
    wait_until(lambda: not os.path.exists("/proc/%d" % pid), 15, "the first run is gone")


@case()
def test_waiting_scripts_are_shown(lab):
    """Between two tries the script is scheduled, with the time until then."""
    script, calls = recorder(lab, "notify", "exit 1")
    s, _ = one_master(lab, script, script_retry_delay=30000)
    s.ok("SENTINEL", "SET", "mymaster", "quorum", "2")

    def scheduled():
        rows = [pairs(r) for r in s.ok("SENTINEL", "PENDING-SCRIPTS")]
        return [r for r in rows if r["flags"] == "scheduled" and int(r["retry-num"]) >= 1]
    row = wait_until(scheduled, 20, "the retry is scheduled")[0]
    assert list(row) == ["argv", "flags", "pid", "run-delay", "retry-num"], row
    assert row["pid"] == "0" and 0 < int(row["run-delay"]) <= 30000, row
    assert len(calls()) == 1


@case()
def test_sixteen_scripts_at_one_time(lab):
    """Never more than 16 run; the others wait their turn and all are run."""
    gate = lab.path("gate")
    script, calls = recorder(lab, "notify", "while [ ! -e '%s' ]; do sleep 0.05; done" % gate)
    s, _ = one_master(lab, script)
    with s.connect() as client:
        for n in range(24):
            assert client.call("SENTINEL", "SET", "mymaster", "quorum", n + 1) == "OK"
    wait_until(lambda: len(calls()) == 16, 20, "16 scripts run")
    rows = [pairs(r) for r in s.ok("SENTINEL", "PENDING-SCRIPTS")]
    assert [r["flags"] for r in rows].count("running") == 16 and len(rows) == 24, rows
    with open(gate, "w", encoding="utf-8"):
        pass
    wait_until(lambda: len(calls()) == 24 and s.ok("SENTINEL", "PENDING-SCRIPTS") == [], 20, "all have run")
    assert len(set(calls())) == 24


@case()
def test_scripts_are_not_set_at_run_time_by_default(lab):
    """deny-scripts-reconfig is on by default; a script that cannot be run is refused when it is off."""
    script, _ = recorder(lab, "notify")
    extra = ["sentinel deny-scripts-reconfig no"] if lab.kind == "stock" else ["deny_scripts_reconfig = false;"]
    master = lab.redis("master").wait_ready()
    group = Group(port=master.port, quorum=1)
    closed = lab.supervisor("closed", [group])
    opened = lab.supervisor("opened", [group], extra=extra)
    for option in ("notification-script", "client-reconfig-script"):
        assert str(closed.call("SENTINEL", "SET", "mymaster", option, script)).startswith(
            "ERR Reconfiguration of scripts path is denied for security reasons.")
        assert opened.call("SENTINEL", "SET", "mymaster", option, script) == "OK"
        assert opened.master()[option] == script
        name = "Notification script" if option.startswith("n") else "Client reconfiguration script"
        assert str(opened.call("SENTINEL", "SET", "mymaster", option, "/no/such")) == \
            "ERR %s seems non existing or non executable" % name
        assert opened.call("SENTINEL", "SET", "mymaster", option, "") == "OK"
        assert option not in opened.master()
