"""nodectl cluster adopt of a cluster that nobody ever supervised: its entry comes into the supervisors' files first."""
import os
import re
import subprocess

from cases import case
from lab import tool, wait_until
from lab.clusters import info, make_cluster, write_until_taken
from lab.supervised import Supervised
from lab.supervisors import Cluster, nodectl_path
from lab.tool import FAILED, INTERRUPTED, OK, USAGE, at, document, expect, of, wait_leased

OURS = ("ours",)


def supervised(nodes):
    def known():
        for node in nodes:
            assert int(info(node)["cluster_supervised"]) > 0, info(node)
        return True
    wait_until(known, 20, "all nodes know that they are supervised")


def watched(lab, *where):
    """name -> the supervisors that watch that cluster"""
    listed = document(tool.run(lab, "supervisor", "list", "-o", "json", *where), OK)["supervisors"]
    return {name: sum(name in s["clusters"] for s in listed) for s in listed for name in s["clusters"]}


@case(kinds=OURS, limit_s=150)
def test_by_supervisors_of_this_host(lab):
    """A fleet that nodectl made takes on a second cluster: the entry is written, with Ctrl-C in the middle; one that is
    added later watches it too."""
    os.makedirs(lab.path("home", ".config"))

    def nodectl(*args):
        return tool.run(lab, *args)
    lab.on_close(lambda: nodectl("--fleet", "orders", "fleet", "destroy", "--yes"))
    expect(nodectl("fleet", "create", "orders", "--shards", "1", "--replicas", "1", "--yes", "--dir",
                   lab.path("orders"), "--port", lab.ports.block()), OK)
    masters, replicas = make_cluster(lab, ["ours"] * 2, [("ours", 0), ("ours", 1)])
    nodes = masters + replicas
    adopt = ("cluster", "adopt", "carts", "--seeds", at(*masters))

    # Without an entry there is nothing to adopt, and no plan is shown.
    for last in ("--dry-run", "--yes"):
        done = expect(nodectl("cluster", "adopt", "carts", last), FAILED,
                      "no supervisor that answers has a cluster 'carts' in its configuration file", "--seeds")
        assert "Adoption" not in done.stdout, done.stdout
    expect(nodectl("cluster", "adopt", "carts", "--seeds", "127.0.0.1:%d" % lab.ports.take(), "--yes"), FAILED,
           "none of the seeds", "refused")
    expect(nodectl("cluster", "adopt", "carts", "--seeds", "nonsense", "--yes"), USAGE, "is not host:port")
    expect(nodectl("cluster", "adopt", "car/ts", "--seeds", at(masters[0]), "--yes"), USAGE, "is no name")
    shown = expect(nodectl(*adopt, "--dry-run"), OK, "1. put its entry into", 'name = "carts"').stdout
    files = re.findall(r"put its entry into (\S+)", shown)
    assert len(files) == 3 and not any("carts" in open(f, encoding="utf-8").read() for f in files), shown

    expect(tool.run(lab, *adopt, "--yes", **tool.ctrl_c_at(lab, 4)), INTERRUPTED, "[4/7]")
    expect(nodectl(*adopt, "--yes"), OK, "[1/7]", "is so already", "[7/7]")
    assert watched(lab) == {"orders": 3, "carts": 3}
    supervised(nodes)
    for master in masters:
        wait_leased(master)
    again = document(nodectl(*adopt, "--yes", "-o", "json"))
    assert [s["state"] for s in again["steps"]] == ["skipped"] * 6 + ["done"] and again["cluster"] == "carts", again

    new = "127.0.0.1:%d" % lab.ports.take()
    expect(nodectl("supervisor", "add", new, "--yes"), OK)
    assert watched(lab) == {"orders": 4, "carts": 4}


@case(kinds=OURS, limit_s=120)
def test_by_supervisors_of_others(lab):
    """Supervisors that somebody else configures: the entry is shown, and waited for; whoever is supervised elsewhere is
    refused."""
    fleet = Supervised(lab, shards=(("ours",),), declared=True)
    masters, replicas = make_cluster(lab, ["ours"], [("ours", 0)], prefix="carts-")
    adopt = ("cluster", "adopt", "carts", "--seeds", at(masters[0]), "--down-after", "900ms")
    where = of(*fleet.supervisors)
    done = expect(tool.run(lab, *adopt, "--yes", "--wait", "300ms", *where), FAILED, "names no such cluster",
                  "1. on the host of supervisor", 'seeds = [ "%s" ]; down_after_ms = 900;' % at(masters[0]))
    assert watched(lab, *where) == {"orders": 3}, done.stdout

    with open(lab.path("said"), "w", encoding="utf-8") as said:
        following = subprocess.Popen([nodectl_path(), *adopt, "--yes", *where], stdin=subprocess.DEVNULL, stdout=said,
                                     stderr=subprocess.STDOUT, env=tool.clean_env(lab))
    carts = Cluster(name="carts", seeds=(masters[0].port,), quorum=2, down_after_ms=900)
    for s in fleet.supervisors:
        s.configure([], [fleet.cluster, carts])
    code = following.wait(60)
    with open(lab.path("said"), encoding="utf-8") as said:
        assert code == OK, said.read()
    assert watched(lab, *where) == {"orders": 3, "carts": 3}
    supervised(masters + replicas)
    wait_leased(masters[0])
    write_until_taken(masters, "a", "1")  # a lease lasts 450 ms

    other = Supervised(lab, shards=(("ours",),), declared=True, name="others", prefix="o-")
    supervised(other.masters)
    expect(tool.run(lab, "cluster", "adopt", "others", "--seeds", at(other.masters[0]), "--yes", *where), FAILED,
           "supervised already, and not by these supervisors")
    fleet.supervisors[2].kill9()
    expect(tool.run(lab, *adopt, "--yes", *where), FAILED, "all supervisors have to answer", at(fleet.supervisors[2]))
