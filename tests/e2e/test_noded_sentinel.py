"""Groups of noded and redis-server under supervisors, stock and ours: what they promote, they promote, and what comes
back follows."""
from cases import case
from lab import Group, wait_until
from lab.random_writes import RandomWrites, fill
import random

WAYS = [("node", "node", "redis"), ("redis", "node", "node"), ("node", "redis", "redis")]


def start(lab, kind, name, master=None):
    if kind == "node":
        more = {} if master is None else {"replicaof": ["127.0.0.1", master.port]}
        return lab.node(name, repl_diskless_sync_delay=0, repl_ping_replica_period=1, **more)
    return lab.redis(name, replica_of=master).wait_ready()


def role(server):
    return server.ok("ROLE")


def follows(server, port):
    said = role(server)
    return said[0] == "slave" and said[2] == port and said[3] == "connected"


@case(matrix=WAYS, limit_s=90)
def test_failover_there_and_back(lab, *kinds):
    """The master dies, one of the replicas is promoted, the other and the old one follow it; and then by hand."""
    master = start(lab, kinds[0], "server0")
    with master.connect() as client:
        fill(client, random.Random(4), keys=100)
    servers = [master] + [start(lab, kind, "server%d" % (i + 1), master) for i, kind in enumerate(kinds[1:])]
    for server in servers[1:]:
        wait_until(lambda s=server: follows(s, master.port), 20, "%s follows" % server.name)
    group = Group(name="mymaster", port=master.port, quorum=2, down_after_ms=600, failover_timeout_ms=5000,
                  parallel_syncs=1)
    supervisors = [lab.supervisor("sentinel%d" % i, [group]) for i in range(3)]
    for s in supervisors:
        wait_until(lambda s=s: s.knows("mymaster", 2, 2), 20, "%s knows all" % s.name)
    digest = master.ok("DEBUG", "DIGEST")
    wait_until(lambda: all(s.ok("DEBUG", "DIGEST") == digest for s in servers), 20, "equal datasets")
    master.kill9()

    def promoted(old):
        ports = {s.master_port("mymaster") for s in supervisors}
        assert len(ports) == 1 and old not in ports, ports
        found = [s for s in servers if s.port in ports][0]
        assert role(found)[0] == "master"
        return found
    second = wait_until(lambda: promoted(master.port), 30, "another master")
    assert second.ok("DEBUG", "DIGEST") == digest
    second.ok("SET", "after", "failover")
    master.start()
    master.wait_ready()
    for server in servers:
        if server is not second:
            wait_until(lambda s=server: follows(s, second.port), 40, "%s follows the new master" % server.name)
    writes = RandomWrites(lab, second, 9, pause_s=0.001)
    wait_until(lambda: writes.done > 100, 20, "writes pass")
    writes.stop()

    def equal():
        offsets = {s.info("replication")["master_repl_offset"] for s in servers}
        digests = {s.ok("DEBUG", "DIGEST") for s in servers}
        assert len(offsets) == 1 and len(digests) == 1, (offsets, digests)
        return True
    # What runs out of time is deleted by the master, and the replicas hear of it.
    wait_until(equal, 20, "equal datasets", every_s=0.2)


@case(kinds=("ours",), matrix=[("node",), ("redis",)], limit_s=90)
def test_replica_of_an_emptied_master(lab, kind):
    """It was away while the last key was deleted, and comes back with a history of its own: the supervisors let the
    empty dataset in, since the master tells that it was emptied (ours), or they have seen it with keys (any)."""
    master = start(lab, kind, "server0")
    replica = lab.node("server1", replicaof=["127.0.0.1", master.port], appendonly="yes", appendfsync="always")
    master.ok("SET", "precious", "1")
    wait_until(lambda: replica.ok("GET", "precious") == "1", 20, "the replica has the key")
    group = Group(name="mymaster", port=master.port, quorum=2, down_after_ms=5000, failover_timeout_ms=5000,
                  parallel_syncs=1)
    supervisors = [lab.supervisor("sentinel%d" % i, [group], kind="ours") for i in range(3)]
    for s in supervisors:
        wait_until(lambda s=s: s.knows("mymaster", 1, 2), 20, "%s knows all" % s.name)
    replica.kill9()
    assert master.ok("DEL", "precious") == 1
    replica.start()
    replica.wait_ready()
    wait_until(lambda: follows(replica, master.port), 30, "the replica follows")
    assert replica.ok("DBSIZE") == 0 and "replica-guard: the master" in replica.log()
    # Who let it in says so when it has heard the answer, which may be after the replica has followed.
    wait_until(lambda: any("+accept-empty" in s.log() for s in supervisors), 20, "it is told who let it in")
