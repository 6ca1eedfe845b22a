"""sentineld as a service: readiness, watchdog, status line, reload and end as a service manager sees them; the unit."""
import os
import re
import shutil
import statistics
import subprocess

from cases import case
from lab import Group, sentineld_path, stays_true, wait_until
from lab.notify_socket import NotifySocket
from lab.supervisors import ROOT

UNIT = os.path.join(ROOT, "etc", "systemd", "sentineld.service")


def manager(lab, watchdog_us=0):
    made = NotifySocket(lab.path("notify"), watchdog_us)
    lab.on_close(made.close)
    return made


@case(kinds=("ours",))
def test_ready_watchdog_and_stopping(lab):
    """READY once it listens, WATCHDOG at half of WATCHDOG_USEC from then on, STOPPING at SIGTERM."""
    told = manager(lab, watchdog_us=400000)
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)], boot=False)
    s.start()
    ready = told.wait("READY")
    assert ready["READY"] == "1" and ready["STATUS"] == "1 group, all masters up", ready
    assert s.ok("PING") == "PONG", "it listens as soon as it says READY"
    told.wait("WATCHDOG", 10)
    times = [at for at, _ in told.having("WATCHDOG")]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert 0.15 < statistics.median(gaps) < 0.3, "half of 400 ms, but for a slow moment: %s" % gaps
    assert s.terminate() == 0
    assert told.wait("STOPPING")["STOPPING"] == "1"
    keys = [key for _, m in told.messages for key in m]
    assert keys[0] == "READY" and keys.count("READY") == 1 and keys.count("STOPPING") == 1, keys


def state_of(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


@case(kinds=("ours",))
def test_watchdog_is_silent_while_the_loop_stands_still(lab):
    """The sign of life comes from the loop: a process that does not run gives none."""
    told = manager(lab, watchdog_us=200000)
    s = lab.supervisor("sentinel0", [Group(port=lab.redis("master").wait_ready().port, quorum=1)], boot=False)
    s.start()
    told.wait("WATCHDOG", 3)
    s.pause()
    wait_until(lambda: state_of(s.pid) == "T", 15, "the process stands still")
    told.ask_quiet()
    before = len(told.having("WATCHDOG"))
    stays_true(lambda: len(told.having("WATCHDOG")) == before, 0.6, "no sign of life while it is stopped")
    s.resume()
    told.wait("WATCHDOG", before + 2)


@case(kinds=("ours",))
def test_status_line_names_masters_that_are_down(lab):
    told = manager(lab)
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1, down_after_ms=300)])
    told.wait("READY")
    master.kill9()
    wait_until(lambda: [m for _, m in told.having("STATUS") if m["STATUS"] == "1 group, 1 master down (mymaster)"], 20,
               "the status line says so")
    s.ok("SENTINEL", "REMOVE", "mymaster")
    wait_until(lambda: told.having("STATUS")[-1][1]["STATUS"] == "0 groups, all masters up", 20, "and that it is gone")
    assert not told.having("WATCHDOG"), "nobody asked for one"


@case(kinds=("ours",))
def test_the_unit_is_clean(lab):
    """systemd-analyze verify has nothing to say about the unit as it stands and as it is installed."""
    with open(UNIT, encoding="utf-8") as f:
        text = f.read()
    installed = lab.path("sentineld.service")
    with open(installed, "w", encoding="utf-8") as f:
        f.write(text.replace("ExecStart=/usr/bin/env sentineld", "ExecStart=" + sentineld_path()))
    assert shutil.which("systemd-analyze"), "the package systemd is missing"
    for path in (UNIT, installed):
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", installed],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, "exposure above 2.0: " + done.stdout.splitlines()[-1]
    for wanted in (r"^Type=notify$", r"^WatchdogSec=\d", r"^Restart=on-failure$", r"^StateDirectory=sentineld$",
                   r"^LimitNOFILE=\d", r"^ExecReload="):
        assert re.search(wanted, text, re.M), wanted
