"""nodectl fleet restart --rolling: every process is another one afterwards, and clients lose nothing."""
import re

from cases import case
from lab.adopted import adopt, adopt_all
from lab.shard_load import ShardLoad
from lab.supervised import Supervised
from test_nodectl_node import FAILED, USAGE, at, by_supervisors, document, nodectl


def processes(children):
    return {c.name: re.search(r"process_id:(\d+)", c.ok("INFO")).group(1) for c in children}


@case(kinds=("ours",), limit_s=150)
def test_rolling_restart(lab):
    """Under load: a halt where the objective is missed, then the rest, and no more than the rest; masters are masters
    again; no acknowledged write is gone. A fleet that is not well is not touched."""
    fleet = Supervised(lab, shards=(("ours", "ours"),) * 2, declared=True, node_timeout_ms=2000)
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
