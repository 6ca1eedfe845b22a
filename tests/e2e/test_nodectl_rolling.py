"""nodectl fleet restart --rolling: every process is another one afterwards, and clients lose nothing."""
import os
import re
import signal

from cases import case
from lab import wait_until
from lab.adopted import adopt, adopt_all
from lab.made_fleet import MadeFleet, ask
from lab.shard_load import ShardLoad
from lab.supervised import Supervised
from lab.supervisors import ORDER_TIMERS
from test_nodectl_node import FAILED, USAGE, by_supervisors, document, nodectl


def processes(children):
    return {c.name: re.search(r"process_id:(\d+)", c.ok("INFO")).group(1) for c in children}


@case(kinds=("ours",), limit_s=150)
def test_rolling_restart(lab):
    """Under load: a halt where the objective is missed, then the rest, and no more than the rest; masters are masters
    again; no acknowledged write is gone. A fleet that is not well is not touched."""
    fleet = Supervised(lab, shards=(("ours", "ours"),) * 2, declared=True, node_timeout_ms=4000, down_after_ms=2000,
                       timers=ORDER_TIMERS)
    where = by_supervisors(fleet)
    everybody = fleet.nodes + fleet.supervisors
    lab.on_close(lambda: adopt_all(everybody))
    before = processes(everybody)
    restart = ["fleet", "restart", "--rolling", *where]
    nodectl(lab, "fleet", "restart", "--yes", *where, expect=USAGE)
    planned = document(nodectl(lab, *restart, "--dry-run", "-o", "json"))
    assert len(planned["steps"]) == len(everybody) and processes(everybody) == before, planned

    load = ShardLoad(fleet, 0, threads=2, pause_s=0.002)
    try:
        halted = nodectl(lab, *restart, "--yes", "--max-outage-ms", "0", "-o", "json", expect=FAILED)
        said = document(halted)
        assert "are allowed" in said["failure"] and said["done"] == 2, said
        half = processes(everybody)
        renewed = [name for name in before if half[name] != before[name]]
        assert len(renewed) == 3, renewed
        assert "goes on" in said["failure"] and "the same command, given again" not in halted.stderr, halted.stderr
        since = re.search(r"--since (\d+)", said["failure"]).group(1)
        rest = document(nodectl(lab, *restart, "--yes", "--max-outage-ms", "5000", "--keep-masters", "--since", since,
                                "-o", "json"))
        assert rest["ok"] and len(rest["steps"]) == len(everybody) - 3, rest
        assert [r["outage_ms"] for r in rest["restarts"] if r["outage_ms"] is not None], rest
    finally:
        load.stop()
    after = processes(everybody)
    assert all(after[name] != before[name] for name in before), (before, after)
    assert all(after[name] == half[name] for name in renewed), "who was restarted is left alone"
    for child in everybody:
        adopt(child)
    master = next(n for n in fleet.nodes[::2] if n.info("replication")["role"] == "master")
    assert load.lost(master) == 0, "acknowledged writes are gone"

    fleet.replicas[1].kill9()
    refused = nodectl(lab, *restart, "--yes", expect=FAILED)
    assert "is down" in refused.stderr, refused.stderr
    assert processes(fleet.supervisors) == {s.name: after[s.name] for s in fleet.supervisors}


@case(kinds=("ours",), limit_s=120)
def test_what_is_left_of_one_that_was_killed(lab):
    """The folder of the fleet keeps when it began: the same command goes on with the rest, after kill -9 and after a
    halt; when it is finished the next one begins anew."""
    fleet = MadeFleet(lab)
    made = fleet.create(shards=1, replicas=1, supervisors=1)
    ports = [int(n["address"].rsplit(":", 1)[1]) for n in made["nodes"]]
    restart = ["--fleet", "orders", "fleet", "restart", "--rolling"]

    def lives():
        return [ask(port, "INFO", "server").split("run_id:")[1].split("\r")[0] for port in ports]

    def supervisors():
        return sorted(pid for pid, words in fleet.processes().items() if "sentineld" in words[0])

    first, watching = lives(), supervisors()
    replica = next(int(n["address"].rsplit(":", 1)[1]) for n in made["nodes"] if n["role"] == "replica")
    pid = fleet.pid_of(replica)
    words = " ".join("'%s'" % word for word in fleet.processes()[pid])
    # It restarts the replica, and is killed when the master's turn has come.
    script = "[ $NODECTL_PORT = %d ] || kill -9 $PPID; kill %d; while kill -0 %d; do sleep 0.02; done; " \
        "setsid %s </dev/null >/dev/null 2>&1 &" % (replica, pid, pid, words)
    fleet.run(*restart, "--yes", "--command", script, status=-signal.SIGKILL)
    half = lives()
    assert [a != b for a, b in zip(first, half)] == [port == replica for port in ports], (first, half)
    kept = os.path.join(fleet.folder, "notes.json")
    assert os.path.exists(kept), os.listdir(fleet.folder)
    wait_until(lambda: fleet.run(*restart, "--dry-run", said="goes on with the one that began"), 20, "it is well")
    assert len(fleet.json(*restart, "--dry-run", "--anew")["steps"]) == 3
    halted = fleet.run(*restart, "--yes", "--command", "exit 7", status=FAILED, said="the same command goes on")
    assert "--since" not in halted.stdout + halted.stderr, halted
    assert lives() == half and supervisors() == watching
    told = fleet.json(*restart, "--yes")
    whole = lives()
    assert [a != b for a, b in zip(half, whole)] == [port != replica for port in ports], (half, whole, told)
    assert supervisors() != watching, told
    assert not os.path.exists(kept)
    assert len(fleet.json(*restart, "--dry-run")["steps"]) == 3, "the next one is another one"
