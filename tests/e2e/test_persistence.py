"""What survives: run-time changes, topology, epochs; and the configuration file, which belongs to the operator."""
import os
import re
import subprocess

from cases import case
from lab import Group, RespError, sentineld_path, wait_until


@case()
def test_run_time_changes_survive_kill(lab):
    """MONITOR, SET and REMOVE hold after kill -9 right after their +OK."""
    first, second = lab.redis("first").wait_ready(), lab.redis("second").wait_ready()
    s = lab.supervisor("sentinel0", [Group(name="one", port=first.port), Group(name="two", port=second.port)])
    third = lab.redis("third").wait_ready()
    changes = {"down-after-milliseconds": "4321", "failover-timeout": "8765", "parallel-syncs": "3", "quorum": "5"}
    s.ok("SENTINEL", "SET", "one", *[x for item in changes.items() for x in item])
    s.kill9()
    s.boot()
    assert {k: s.master("one")[k] for k in changes} == changes
    s.ok("SENTINEL", "MONITOR", "three", "127.0.0.1", third.port, "2")
    s.kill9()
    s.boot()
    assert s.master_port("three") == third.port and s.master("three")["quorum"] == "2"
    s.ok("SENTINEL", "REMOVE", "two")
    s.kill9()
    s.boot()
    # The file of ours still names "two"; the run-time removal wins until the file's own value changes.
    assert sorted(m["name"] for m in s.masters()) == ["one", "three"], "a removed group came back"
    assert {k: s.master("one")[k] for k in changes} == changes


@case(limit_s=90)
def test_topology_survives_restart(lab):
    """Replicas, peers and epochs are known again at once after a restart, before anything could be discovered: the
    servers are stopped, and a failover happens from what was kept."""
    fleet = lab.fleet(down_after_ms=4000)  # the last of them is asked before the first two replace the dead master
    old = fleet.master
    s = fleet.supervisors[0]
    assert s.call("SENTINEL", "FAILOVER", "mymaster") == "OK"
    new = fleet.wait_switched(old.port)
    fleet.wait_all_follow(new)
    fleet.wait_failover_over()
    fleet.wait_well()
    epoch = s.config_epoch()
    for x in fleet.supervisors:
        assert x.ok("SENTINEL", "FLUSHCONFIG") == "OK"  # what it says it may say before it is on its disk
        x.kill9()
    new.kill9()
    for x in fleet.supervisors:
        x.boot()
        m = x.master()
        assert int(m["port"]) == new.port and int(m["config-epoch"]) == epoch, m
        assert (m["num-slaves"], m["num-other-sentinels"]) == ("2", "2"), m
    third = fleet.wait_switched(new.port, 40)
    assert third is not new and fleet.supervisors[0].config_epoch() > epoch


@case(kinds=("ours",))
def test_configuration_file_is_never_written(lab):
    """After a failover, SET, MONITOR, CONFIG SET and FLUSHCONFIG it is as before, to the nanosecond."""
    fleet = lab.fleet(replicas=1)
    before = [s.config_hash() for s in fleet.supervisors]
    entries = [sorted(os.listdir(s.directory)) for s in fleet.supervisors]
    s = fleet.supervisors[0]
    s.ok("SENTINEL", "SET", "mymaster", "parallel-syncs", "2")
    s.ok("SENTINEL", "MONITOR", "absent", "127.0.0.1", lab.ports.take(), "1")
    s.ok("SENTINEL", "CONFIG", "SET", "announce-port", "1234")
    s.ok("SENTINEL", "CONFIG", "SET", "announce-port", "0")
    s.ok("SENTINEL", "FLUSHCONFIG")
    fleet.master.kill9()
    fleet.wait_switched(fleet.master.port)
    for x in fleet.supervisors:
        x.terminate()
        x.boot()
    assert [x.config_hash() for x in fleet.supervisors] == before
    assert [sorted(os.listdir(x.directory)) for x in fleet.supervisors] == entries, "files beside the configuration"


@case(kinds=("ours",))
def test_file_wins_when_its_own_value_changes(lab):
    """A run-time change wins over the file, until the operator changes that value in the file; other values stay."""
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=2, down_after_ms=5000)])
    s.ok("SENTINEL", "SET", "mymaster", "down-after-milliseconds", "7000", "quorum", "3")
    s.terminate()
    s.boot()
    m = s.master()
    assert (m["down-after-milliseconds"], m["quorum"]) == ("7000", "3"), "the file won without a change"
    s.terminate()
    with open(s.conf_path, encoding="utf-8") as f:
        text = f.read()
    assert "down_after_ms = 5000;" in text
    s.write_config(text.replace("down_after_ms = 5000;", "down_after_ms = 9000;"))
    s.boot()
    m = s.master()
    assert (m["down-after-milliseconds"], m["quorum"]) == ("9000", "3"), \
        "the file's changed value must win, the other run-time change must stay: %s" % m
    s.terminate()
    s.boot()
    assert s.master()["down-after-milliseconds"] == "9000"


@case(kinds=("ours",))
def test_flushconfig_and_state_dir(lab):
    """State is in the state directory only; a lost state directory is a new identity that learns from its peers."""
    fleet = lab.fleet(replicas=1)
    s = fleet.supervisors[0]
    assert s.ok("SENTINEL", "FLUSHCONFIG") == "OK"
    assert any(re.search(r"\.(db|sqlite3?)$", name) for name in os.listdir(s.state_dir)), os.listdir(s.state_dir)
    fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port)
    fleet.wait_failover_over()
    identity, epoch = s.my_id(), s.config_epoch()
    s.terminate()
    s.forget_state()
    s.boot()
    assert s.my_id() != identity, "a lost identity cannot be known again"
    wait_until(lambda: s.master_port() == new.port and s.config_epoch() == epoch, 25,
               "the one without state learns the new master from its peers, though its file names the old one")


@case(kinds=("ours",))
def test_bad_configuration_is_refused(lab):
    """Status 2 and a message with file, line and key; --check says the same; a good file passes."""
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)], boot=False)
    with open(s.conf_path, encoding="utf-8") as f:
        good = f.read()

    def run(*args):
        return subprocess.run([sentineld_path(), *args], capture_output=True, text=True, timeout=20, check=False)
    done = run("-c", s.conf_path, "--check")
    assert done.returncode == 0, done
    for text, wanted in (
            (good.replace("quorum = 1;", "quorum = 0;"), "quorum"),
            (good.replace("quorum = 1;", 'quorum = "two";'), "quorum"),
            (good.replace("down_after_ms", "down_after_mss"), "down_after_ms"),
            (good.replace("127.0.0.1:%d" % master.port, "127.0.0.1:99999"), "99999"),
            (good.replace('"mymaster"', '"my master"'), "name"),
            (good.replace("listen =", "listen = ="), "syntax"),
            (good.replace("failover_timeout_ms = 5000", "failover_timeout_ms = 4294967296"), "failover_timeout_ms")):
        s.write_config(text)
        for args in (("-c", s.conf_path, "--check"), ("-c", s.conf_path)):
            done = run(*args)
            assert done.returncode == 2, "%s: status %s for:\n%s" % (wanted, done.returncode, text)
            assert s.conf_path in done.stderr and wanted in done.stderr, "%s: %s" % (wanted, done.stderr)
            assert re.search(re.escape(s.conf_path) + r":\d+", done.stderr), "no line: %s" % done.stderr
    done = run("-c", lab.path("no-such-file"))
    assert done.returncode == 2 and "no-such-file" in done.stderr
    assert run("--version").returncode == 0 and run("--help").returncode == 0
    assert "-c FILE" in run("--help").stdout
    assert run("--nonsense").returncode == 2


@case(kinds=("ours",))
def test_port_in_use_is_said(lab):
    """Another process has the port: a clear message with the address, and a non-zero end."""
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)], port=master.port, boot=False)
    s.start()
    assert s.proc.wait(20) != 0
    assert "127.0.0.1:%d" % master.port in s.log(), s.log()


@case()
def test_unknown_master_stays_unknown_after_remove(lab):
    """A hello of a removed master does not bring it back."""
    fleet = lab.fleet(replicas=1, supervisors=2)
    s, peer = fleet.supervisors
    s.ok("SENTINEL", "REMOVE", "mymaster")
    log = lab.events(peer)
    peer.ok("SENTINEL", "SET", "mymaster", "parallel-syncs", "2")
    log.wait("+set")
    hello = "127.0.0.1,%d,%s,0,mymaster,127.0.0.1,%d,9" % (peer.port, peer.my_id(), fleet.master.port)
    assert s.call("PUBLISH", "__sentinel__:hello", hello) == 1
    assert s.masters() == [] and isinstance(s.call("SENTINEL", "MASTER", "mymaster"), RespError)
