"""The units under a systemd that really runs: what it starts, kills, limits and logs."""
import os
import signal
import threading

from cases import case
from lab import Resp, RespError, wait_until
from lab.booted import Booted
from lab.supervisors import ROOT

UNITS = os.path.join(ROOT, "etc", "systemd")
NO_LEAKS = "Environment=ASAN_OPTIONS=detect_leaks=0\n"  # a build that looks for them needs what the units forbid
NODED_CONF = "bind = [ \"127.0.0.1\" ]; port = %d; dir = \"/var/lib/noded\"; appendonly = true; save = [ ];\n"
SENTINELD_CONF = """listen = [ "127.0.0.1:%d" ];
state_dir = "/var/lib/sentineld";
groups = ( { name = "mymaster"; master = "127.0.0.1:%d"; quorum = 1; down_after_ms = %d; } );
"""


def install(host):
    """The units as `make install` leaves them."""
    for unit in os.listdir(UNITS):
        with open(os.path.join(UNITS, unit), encoding="utf-8") as f:
            host.write("/etc/systemd/system/" + unit, f.read().replace("/usr/bin/env ", "/usr/local/bin/"))
    host.systemctl("daemon-reload")


def call(port, *args):
    with Resp(port) as client:
        return client.call(*args)


def again(host, unit, restarts, port):
    """It was started again, and answers as soon as systemd calls it started."""
    wait_until(lambda: host.show(unit, "NRestarts", "ActiveState") == {"NRestarts": str(restarts),
                                                                      "ActiveState": "active"}, 30,
               "%s is started again" % unit)
    assert call(port, "PING") == "PONG"


def wait_journal(host, unit, words, *options):
    """What the journal has of the unit, as soon as the words are in it: it is written after they were said."""
    def written():
        text = host.journal(unit, *options)
        assert words in text, text
        return text
    return wait_until(written, 20, "the journal says: " + words, every_s=0.1)


class Load:
    """Writes key after key until the server ends; acknowledged: how many."""

    def __init__(self, port):
        self.acknowledged, self.port = 0, port
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            with Resp(self.port) as client:
                while client.call("SET", "key%d" % self.acknowledged, self.acknowledged) == "OK":
                    self.acknowledged += 1
        except (OSError, RespError):
            pass


@case(kinds=("ours",), limit_s=120)
def test_units(lab):
    host = Booted(lab, "host")
    install(host)
    node, supervisor = lab.ports.take(), lab.ports.take()
    host.write("/etc/noded/noded.conf", NODED_CONF % node)
    host.write("/etc/sentineld/sentineld.conf", SENTINELD_CONF % (supervisor, node, 900))
    # What is told apart of the unit: a watchdog that the test needs not wait for.
    host.write("/etc/systemd/system/sentineld.service.d/quick.conf",
               "[Service]\nWatchdogSec=2\nTimeoutAbortSec=200ms\nRestartSec=100ms\n" + NO_LEAKS)
    host.write("/etc/systemd/system/noded.service.d/quick.conf", "[Service]\nRestartSec=100ms\n" + NO_LEAKS)
    host.systemctl("daemon-reload")
    host.systemctl("start", "noded", "sentineld")
    assert call(node, "SET", "a", "1") == "OK" and call(supervisor, "PING") == "PONG", "started means that it listens"
    wait_until(lambda: host.show("sentineld", "StatusText") == "1 group, all masters up", 20, "it says how all is")

    # Within the limits of the units they can do what they have to: save, rewrite, keep their state; and no more.
    assert "started" in call(node, "BGSAVE")
    wait_until(lambda: "rdb_bgsave_in_progress:0" in call(node, "INFO", "persistence"), 20, "it was saved")
    assert "rdb_last_bgsave_status:ok" in call(node, "INFO", "persistence")
    assert "Permission denied" in str(call(node, "CONFIG", "REWRITE"))
    for unit, state in (("noded", "dump.rdb"), ("sentineld", "state.db")):
        with open("/proc/%d/status" % host.main_pid(unit), encoding="ascii") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert int(status["CapBnd"], 16) == 0 and status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", status
        kept = os.stat(host.path("/var/lib/private/%s/%s" % (unit, state)))
        assert kept.st_uid == int(status["Uid"].split()[0]) != 0 and kept.st_mode & 0o077 == 0, (unit, kept, status)

    # Killed, again and again, more often than systemd would have it: started each time. Standing still: killed.
    identity = call(supervisor, "SENTINEL", "MYID")
    for i in range(6):
        os.kill(host.main_pid("noded"), signal.SIGKILL)
        again(host, "noded", i + 1, node)
    assert call(node, "GET", "a") == "1"
    os.kill(host.main_pid("sentineld"), signal.SIGSTOP)
    again(host, "sentineld", 1, supervisor)
    assert call(supervisor, "SENTINEL", "MYID") == identity
    wait_journal(host, "sentineld", "Watchdog timeout")

    # Reload, and the journal with priorities of its own.
    host.write("/etc/sentineld/sentineld.conf", SENTINELD_CONF % (supervisor, node, 1234))
    host.systemctl("reload", "sentineld", "noded")
    wait_until(lambda: "1234" in call(supervisor, "SENTINEL", "MASTER", "mymaster"), 20, "it was reloaded")
    notices = wait_journal(host, "sentineld", "SIGHUP received", "--priority=notice..notice")
    assert "has started" not in notices, notices
    wait_journal(host, "sentineld", "has started", "--priority=warning..warning")

    # Stopped while it is written to: nothing of what was acknowledged is lost, and nothing is started again.
    load = Load(node)
    wait_until(lambda: load.acknowledged > 300, 20, "there is load")
    host.systemctl("stop", "noded")
    load.thread.join(10)
    shown = host.show("noded", "ActiveState", "Result")
    assert shown == {"ActiveState": "inactive", "Result": "success"}, (shown, host.journal("noded"))
    host.systemctl("start", "noded")
    last = load.acknowledged - 1
    assert last > 300 and call(node, "GET", "key%d" % last) == str(last)

    # A configuration that is wrong is not tried for ever; why, is in the journal.
    host.write("/etc/sentineld/sentineld.conf", "listening = [ ];\n")
    host.systemctl("restart", "sentineld", status=1)
    assert host.show("sentineld", "ActiveState", "ExecMainStatus") == {"ActiveState": "failed", "ExecMainStatus": "2"}
    wait_journal(host, "sentineld", "listening: unknown key")


@case(kinds=("ours",), limit_s=400)
def test_fleet_of_units(lab):
    """nodectl's fleets with a systemd that runs them: made, a drill, restarted in turn, stopped, started, destroyed."""
    host = Booted(lab, "host")
    for name, line in (("passwd", "orders:x:990:990::/:/usr/sbin/nologin\n"), ("group", "orders:x:990:\n")):
        with open(host.path("/etc/" + name), "a", encoding="ascii") as f:
            f.write(line)
    # Whatever systemd would read out of a path, it does not.
    folder = "/srv/50%d \"$HOME\""
    port = lab.ports.block()

    def nodectl(*args, **options):
        return host.run("nodectl", *args, timeout_s=150, **options)

    def active():
        said = host.systemctl("list-units", "--plain", "--no-legend", "--state=active", "nodectl-orders-*")
        return sorted(line.split()[0] for line in said.splitlines())
    nodectl("fleet", "create", "orders", "--shards", 1, "--supervisors", 3, "--down-after", "2s", "--port", port,
            "--yes", "--systemd", "--run-as", "orders", "--dir", folder)
    units = active()
    assert len(units) == 5, units
    node = next(unit for unit in units if "-node-" in unit)
    with open("/proc/%d/status" % host.main_pid(node), encoding="ascii") as f:
        assert "Uid:\t990\t990" in f.read()
    assert call(port, "SET", "a", "1") == "OK"

    said = nodectl("fleet", "restart", "--rolling", "--fleet", "orders", "--yes")
    assert "unit " + node in said, said
    assert active() == units and "Ready to accept" in nodectl("node", "logs", "127.0.0.1:%d" % port)
    said = nodectl("drill", "run", "kill-master", "--fleet", "orders", "--hold-ms", 0, "--max-lost", 100, "--yes")
    assert "systemctl start nodectl-orders-node-" in said and "PASS; the fleet is well again" in said, said
    assert active() == units
    # One by its timer, with the configuration of the host.
    install(host)
    with open(host.path("/root/.config/nodectl.conf"), encoding="utf-8") as f:
        host.write("/etc/nodectl.conf", f.read())
    host.write("/etc/systemd/system/nodectl-drill@switchover.timer.d/now.conf",
               "[Timer]\nOnCalendar=\nOnActiveSec=100ms\nAccuracySec=1ms\nRandomizedDelaySec=0\n")
    host.systemctl("daemon-reload")
    host.systemctl("start", "nodectl-drill@switchover.timer")
    wait_until(lambda: "PASS; the fleet is well again" in host.journal("nodectl-drill@switchover"), 60, "it is over")
    wait_until(lambda: host.show("nodectl-drill@switchover", "ActiveState") == "inactive", 20, "the drill has ended")
    assert host.show("nodectl-drill@switchover", "Result") == "success" and active() == units
    nodectl("fleet", "stop", "orders", "--yes")
    assert not active()
    nodectl("fleet", "start", "orders", "--yes")
    assert active() == units and "1" in (call(port, "GET", "a"), call(port + 1, "GET", "a"))
    nodectl("fleet", "destroy", "orders", "--yes")
    assert not active() and not os.path.exists(host.path(folder))
    assert not [unit for unit in os.listdir(host.units) if "orders" in unit]
