"""Who the supervisors of a cluster under leases are: adopted under load, more of them, and others that nobody
asked for."""
import time

from cases import case
from lab import wait_until
from lab.resp import Resp
from lab.supervised import Supervised
from lab.supervisors import Cluster
from lab.two_sides import TwoSides

OURS = ("ours",)


def cluster_info(node):
    text = node.ok("CLUSTER", "INFO")
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


def load(lab, fleet, place=0, shards=1):
    sides = TwoSides(lab, [fleet.masters[place]], place=place, shards=shards,
                     connect=lambda node: Resp(node.port, timeout_s=20))
    wait_until(lambda: len(sides.of(fleet.masters[place])) > 100, 20, "writes flow")
    return sides


def list_of(ports):
    return "supervisors = [ %s ];" % ", ".join('"127.0.0.1:%d"' % p for p in ports)


def supervisor(lab, fleet, name, port, ports, **cluster):
    watched = Cluster(name=fleet.name, seeds=(fleet.masters[0].port,), quorum=len(ports) // 2 + 1,
                      **{"down_after_ms": fleet.cluster.down_after_ms, **cluster})
    return lab.supervisor(name, [], kind="ours", port=port, clusters=[watched], extra=[list_of(ports)], boot=False)


def wait_counted(fleet, count, timeout_s=30):
    def counted():
        for node in fleet.nodes:
            assert cluster_info(node)["cluster_supervisors"] == str(count), (node.name, cluster_info(node))
        return True
    wait_until(counted, timeout_s, "all nodes count %d supervisors" % count)


def wait_granted(node, count, timeout_s=30):
    wait_until(lambda: cluster_info(node)["cluster_lease_grants"] == str(count), timeout_s,
               "%d supervisors grant to %s" % (count, node.name))


@case(kinds=OURS, limit_s=120)
def test_adopted_under_load(lab):
    """Three supervisors begin to watch a cluster of three shards that is written to: no write is refused."""
    fleet = Supervised(lab, supervisors=0, wait=False)
    loads = [load(lab, fleet, place, 3) for place in range(3)]
    epochs = [cluster_info(node)["cluster_my_epoch"] for node in fleet.masters]
    ports = [lab.ports.take() for _ in range(3)]
    fleet.supervisors = [supervisor(lab, fleet, "sentinel%d" % i, port, ports, down_after_ms=20000)
                         for i, port in enumerate(ports)]
    started = time.monotonic()
    for s in fleet.supervisors:
        s.start()

    def leased():
        for node in fleet.masters:
            info = cluster_info(node)
            assert info["cluster_supervised"] != "0" and int(info["cluster_lease_ms"]) > 0, (node.name, info)
        return True
    wait_until(leased, 20, "all masters are leased")
    # Long before a lease's length, which is ten seconds, and with room for three programs that start on a busy machine.
    took = time.monotonic() - started
    assert took < 6, "leased %.0f ms after their start" % (took * 1000)
    fleet.wait_well()
    print("leased %.0f ms after their start, all is known after %.0f ms" % (
        took * 1000, (time.monotonic() - started) * 1000))
    for place, sides in enumerate(loads):
        before = len(sides.taken)
        wait_until(lambda s=sides, b=before: len(s.taken) > b + 100, 20, "writes flow")
        sides.stop()
        assert sides.refused[fleet.masters[place]] == 0
        assert sides.check(fleet.masters[place], switches=0) == 0
    assert [cluster_info(node)["cluster_my_epoch"] for node in fleet.masters] == epochs, "ballots were held for it"
    see_leases(fleet)


def see_leases(fleet):
    """What operators are shown."""
    own = {node.port: node.ok("CLUSTER", "MYID") for node in fleet.masters}

    def seen(supervisor):
        shown = fleet.view_of(supervisor)
        assert shown["lease-milliseconds"] == "10000" and shown["supervisors-version"] == "1", shown
        assert shown["supervisors-counted"] == "1", shown
        for shard in shown["shards"] + supervisor.masters():
            assert shard["lease-grantee"] == own[int(shard["port"])], shard
            assert 0 < int(shard["lease-granted-ms"]) <= 10100 and 0 < int(shard["lease-held-ms"]) <= 9900, shard
            assert int(shard["lease-grants"]) >= 2, shard
        return True
    for s in fleet.supervisors:
        wait_until(lambda s=s: seen(s), 20, "%s shows the leases" % s.name)


@case(kinds=OURS, limit_s=120)
def test_from_three_to_five(lab):
    """The two new ones first, then each of the three with the new list: no write is refused meanwhile."""
    # A lease outlasts a restart on a busy machine.
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, down_after_ms=8000)
    master = fleet.masters[0]
    wait_granted(master, 3)
    sides = load(lab, fleet)
    ports = [s.port for s in fleet.supervisors] + [lab.ports.take() for _ in range(2)]
    new = [supervisor(lab, fleet, "sentinel%d" % i, ports[i], ports) for i in (3, 4)]
    for s in new:
        s.boot()
    for s in fleet.supervisors:
        s.terminate()
        s.extra = (list_of(ports),)
        s.configure([], [Cluster(name=fleet.name, seeds=(master.port,), quorum=3, down_after_ms=8000)])
        s.boot()
    wait_counted(fleet, 5)
    wait_granted(master, 5)
    fleet.supervisors += new
    fleet.wait_well(timeout_s=40)
    refused = sides.refused[master]
    sides.stop()
    assert refused == 0, "%d writes were refused" % refused
    assert sides.check(master, switches=0) == 0
    # Any three of the five are a majority now; two are not.
    for s in fleet.supervisors[:2]:
        s.pause()
    wait_granted(master, 3)
    assert master.ok("SET", "a", "1") == "OK"
    fleet.supervisors[2].pause()
    wait_until(lambda: "holds no lease" in str(master.call("SET", "a", "2")), 20, "two of five are none")
    for s in fleet.supervisors[:3]:
        s.resume()


@case(kinds=OURS, limit_s=120)
def test_left_behind(lab):
    """One of three keeps the old list of supervisors: what it grants counts no more, and it says so, once."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, down_after_ms=4000)
    master, behind = fleet.masters[0], fleet.supervisors[2]
    wait_granted(master, 3)
    events = lab.events(behind)
    ports = [s.port for s in fleet.supervisors[:2]] + [lab.ports.take()]
    new = supervisor(lab, fleet, "sentinel3", ports[2], ports)
    new.boot()
    for s in fleet.supervisors[:2]:
        s.terminate()
        s.extra = (list_of(ports),)
        s.configure([], [Cluster(name=fleet.name, seeds=(master.port,), quorum=2, down_after_ms=4000)])
        s.boot()
    wait_granted(master, 3)
    told = events.wait("-supervisors-list", "counts version 2")
    assert "version 1" in told.payload, told
    count = len(events.all("-supervisors-list"))
    for s in fleet.supervisors[:2]:  # many answers later
        wait_until(lambda s=s: s.ok("PING") == "PONG", 20, "it answers")
    fleet.supervisors[1].pause()
    wait_granted(master, 2)
    fleet.supervisors[1].resume()
    assert len(events.all("-supervisors-list")) == count == 1


@case(kinds=OURS, limit_s=120)
def test_foreign_list(lab):
    """A supervisor with a list of its own making gets no say, says that it has none, and changes nothing for the
    others."""
    fleet = Supervised(lab, shards=(("ours", "ours"),), declared=True, down_after_ms=4000)
    master = fleet.masters[0]
    wait_granted(master, 3)
    sides = load(lab, fleet)
    ports = [lab.ports.take(), lab.ports.take()]
    foreign = supervisor(lab, fleet, "foreign", ports[0], ports)
    foreign.boot()
    events = lab.events(foreign)
    events.wait("-supervisors-list", timeout_s=30)
    assert cluster_info(master)["cluster_supervisors"] == "3"
    fleet.wait_well()
    sides.stop()
    assert sides.refused[master] == 0
    assert sides.check(master, switches=0) == 0
