"""Fifty masters killed at once: the last one promoted, all supervisors agree. And the processor time when idle."""
import os
import sys
import time

import idle
from lab import Group, wait_until
from lab.servers import wait_streams
from one import DOWN_AFTER_MS, FAILOVER_TIMEOUT_MS
from probes import FleetWatch

TINY = {"repl-backlog-size": "64kb", "maxclients": "200", "appendonly": "no"}


class ManyMasters:
    """count masters with one replica each, which serve all rounds of both kinds."""

    def __init__(self, lab, count):
        self.lab = lab
        self.generation = 0
        tiny = {key.replace("-", "_"): value for key, value in TINY.items()}
        self.masters = {"m%02d" % i: lab.redis("m%02d-a" % i, **tiny) for i in range(count)}
        self.replicas = {name: lab.redis("%s-b" % name, replica_of=master, **tiny)
                         for name, master in self.masters.items()}
        for server in (*self.masters.values(), *self.replicas.values()):
            server.wait_ready(60)
        self.settle()

    def settle(self):
        for name, replica in self.replicas.items():
            replica.wait_follows(self.masters[name].port, 60)

    def start(self, kind, down_after_ms=DOWN_AFTER_MS):
        self.generation += 1
        for name, master in self.masters.items():
            wait_streams(master, [self.replicas[name]])
        groups = [Group(name=name, port=master.port, quorum=2, down_after_ms=down_after_ms,
                        failover_timeout_ms=FAILOVER_TIMEOUT_MS) for name, master in self.masters.items()]
        return [self.lab.supervisor("many-%s%d-%d" % (kind, self.generation, i), groups, kind=kind, timers={})
                for i in range(3)]

    def wait_well(self, supervisors):
        for s in supervisors:
            for name in self.masters:
                wait_until(lambda s=s, name=name: s.knows(name, 1, 2), 120,
                           "%s sees all of %s well" % (s.name, name), 0.2)

    def round(self, supervisors):
        """Kill all masters. Returns milliseconds after kill + down-after: (last promoted, all agree), and how many
        milliseconds lay between the first and the last kill. The supervisors are ended before the servers are made
        ready for the next round: starting fifty servers keeps two cores so busy that a healthy one may look down."""
        self.wait_well(supervisors)
        watch = FleetWatch(supervisors, {name: r.port for name, r in self.replicas.items()})
        killed = self.kill_all()
        spread = max(killed.values()) - min(killed.values())
        down_after = DOWN_AFTER_MS / 1000
        try:
            written, told = watch.run(min(killed.values()) + down_after - 0.3, 120)
        finally:
            watch.close()
        for s in supervisors:
            s.terminate()
        for master in self.masters.values():
            master.reap()
        promoted = max(at - killed[name] for name, at in written.items()) - down_after
        agreed = max(at - killed[name] for (_, name), at in told.items()) - down_after
        self.masters, self.replicas = self.replicas, self.masters
        for name, replica in self.replicas.items():
            replica.argv = ["redis-server", replica.conf_path, "--replicaof", "127.0.0.1", str(self.masters[name].port)]
            replica.start()
        for replica in self.replicas.values():
            replica.wait_ready(60)
        self.settle()
        return promoted * 1000, agreed * 1000, spread * 1000

    def kill_all(self):
        """SIGKILL without waiting for the ends; {group: time of its kill}. Where it is allowed (root), in a scheduling
        class that the dying processes cannot interrupt, so that all are hit within a millisecond or two."""
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            pass
        killed = {}
        for name, master in self.masters.items():
            killed[name] = time.monotonic()
            master.proc.kill()
        try:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        except PermissionError:
            pass
        return killed


def measure(bench, rounds, progress=sys.stderr):
    """rounds: {"ours": 3, "stock": 2}. Returns {kind: [(last promoted ms, all agree ms), ...]}."""
    results = {kind: [] for kind in rounds}
    for number in range(max(rounds.values())):
        for kind, total in rounds.items():
            if number >= total:
                continue
            supervisors = bench.start(kind)
            promoted, agreed, spread = bench.round(supervisors)
            results[kind].append((promoted, agreed))
            print("%d masters, %-5s round %d: last promoted %7.1f ms, all agree %7.1f ms (killed within %.1f ms)" % (
                len(bench.masters), kind, number + 1, promoted, agreed, spread), file=progress, flush=True)
    return results


def measure_idle(bench, kinds, seconds, progress=sys.stderr):
    def start(kind, down_after_ms):
        supervisors = bench.start(kind, down_after_ms)
        bench.wait_well(supervisors)
        return supervisors

    servers = len(bench.masters) + len(bench.replicas)
    return idle.measure(start, servers, kinds, seconds, "real servers", progress=progress)
