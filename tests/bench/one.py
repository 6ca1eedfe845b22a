"""One master killed: first write accepted, all supervisors agree."""
import random
import sys
import time

from lab import Group, wait_until
from lab.servers import wait_streams
from probes import SwitchWatch

DOWN_AFTER_MS = 1000
FAILOVER_TIMEOUT_MS = 10000


class OneMaster:
    """One master and two replicas that serve all rounds of both kinds."""

    def __init__(self, lab):
        self.lab = lab
        self.servers = [lab.redis("one0")]
        self.servers += [lab.redis("one%d" % i, replica_of=self.servers[0]) for i in (1, 2)]
        for server in self.servers:
            server.wait_ready()
        self.master = self.servers[0]
        self.settle()
        self.generation = 0

    def settle(self):
        for server in self.servers:
            if server is not self.master:
                server.wait_follows(self.master.port, 30)

    def start(self, kind):
        """Three new supervisors of that kind, with their default timers, that have found each other."""
        self.generation += 1
        wait_streams(self.master, [s for s in self.servers if s is not self.master])
        group = Group(port=self.master.port, quorum=2, down_after_ms=DOWN_AFTER_MS,
                      failover_timeout_ms=FAILOVER_TIMEOUT_MS)
        return [self.lab.supervisor("%s%d-%d" % (kind, self.generation, i), [group], kind=kind, timers={})
                for i in range(3)]

    def wait_well(self, supervisors):
        for s in supervisors:
            wait_until(lambda s=s: s.knows("mymaster", 2, 2), 60, "%s sees everything well" % s.name, 0.1)

    def round(self, supervisors, number):
        """One kill. Returns milliseconds after kill + down-after: (a node takes writes, a client's first write, all
        agree)."""
        self.wait_well(supervisors)
        time.sleep(random.uniform(0.0, 1.0))  # so that the kill meets every phase of the daemons' timers
        old = self.master
        watch = SwitchWatch([s.port for s in supervisors], [r.port for r in self.servers if r is not old],
                            "mymaster", old.port, "bench:%d" % number)
        try:
            killed = old.kill9()
            due = killed + DOWN_AFTER_MS / 1000
            # Polling starts well before down-after ends, so that a failover that comes too early is seen as such.
            node, client, agreed, port = watch.run(due - 0.3, 60)
        finally:
            watch.close()
        self.master = next(s for s in self.servers if s.port == port)
        self.return_as_replica(old)
        return tuple((at - due) * 1000 for at in (node, client, agreed))

    def return_as_replica(self, old):
        """The old master comes back as a replica at once, so that a round does not wait for the supervisors to demote
        it. Its configuration file may hold an older replicaof line; the command line comes after it."""
        old.argv = ["redis-server", old.conf_path, "--replicaof", "127.0.0.1", str(self.master.port)]
        old.start()
        old.wait_ready()
        self.settle()


def measure(lab, rounds, progress=sys.stderr):
    """rounds: {"ours": 20, "stock": 5}. Returns {kind: [(node, client, all agree), ...]}, in milliseconds."""
    bench = OneMaster(lab)
    results = {kind: [] for kind in rounds}
    pairs = max(1, min(n for n in rounds.values() if n))
    for pair in range(pairs):
        for kind, total in rounds.items():
            share = total * (pair + 1) // pairs - total * pair // pairs
            if not share:
                continue
            supervisors = bench.start(kind)
            for _ in range(share):
                result = bench.round(supervisors, len(results[kind]))
                results[kind].append(result)
                print("one master, %-5s round %2d: node writable %7.1f, client writes %7.1f, all agree %7.1f ms" % (
                    kind, len(results[kind]), *result), file=progress, flush=True)
            for s in supervisors:
                s.terminate()
    return results
