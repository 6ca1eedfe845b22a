"""Lab owns directories, ports and processes; Fleet is the usual set-up: a master, replicas and their supervisors."""
import os
import shutil
import tempfile

from .events import EventLog
from .nodes import Node
from .ports import Ports
from .resp import RespError
from .servers import RedisServer
from .supervisors import KINDS, Group
from .wait import wait_until
from .writer import UniqueWriter


def tail(text, lines):
    kept = text.splitlines()[-lines:]
    return "\n".join("    " + line for line in kept)


class Lab:
    """A context manager. kind is the kind of supervisor that a test asked for: "stock" or "ours"."""

    def __init__(self, kind="stock", root=None):
        self.kind = kind
        self.own_root = root is None
        self.root = tempfile.mkdtemp(prefix="sentineld-e2e-") if root is None else root
        self.ports = Ports()
        self.children = []
        self.cleanups = []
        self.event_logs = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for cleanup in reversed(self.cleanups):
            cleanup()
        self.cleanups.clear()
        for log in self.event_logs.values():
            log.close()
        for child in self.children:
            child.discard()
        for child in self.children:
            child.reap()
        self.ports.close()
        if self.own_root:
            shutil.rmtree(self.root, ignore_errors=True)

    def on_close(self, call):
        self.cleanups.append(call)

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    # Processes.
    def redis(self, name, replica_of=None, port=None, **options):
        """Start a redis-server; option names with _ for -."""
        options = {key.replace("_", "-"): value for key, value in options.items()}
        server = RedisServer(self.path(name), name, port or self.ports.take(),
                             replica_of.port if hasattr(replica_of, "port") else replica_of, options)
        self.children.append(server)
        server.start()
        return server

    def node(self, name, port=None, config=None, boot=True, extra=(), **options):
        """A noded; started and ready unless told otherwise."""
        made = Node(self.path(name), name, port or self.ports.take(), config, extra, **options)
        self.children.append(made)
        if boot:
            made.start()
            made.wait_ready()
        return made

    def supervisor(self, name, groups, kind=None, port=None, boot=True, timers=None, **kwargs):
        """Make a supervisor of the lab's kind (or the given one) and, unless told otherwise, start it."""
        made = KINDS[kind or self.kind](self.path(name), name, port or self.ports.take(), groups, **kwargs)
        if timers is not None:
            made.timers = timers
        self.children.append(made)
        if boot:
            made.boot()
        return made

    def events(self, supervisor):
        """The recording of everything that supervisor publishes from now on (one per start of it)."""
        key = (supervisor.name, supervisor.pid)
        if key not in self.event_logs:
            self.event_logs[key] = EventLog(supervisor.port, supervisor.password, stopped=lambda: supervisor.paused)
        return self.event_logs[key]

    def writer(self, supervisors, group="mymaster", **kwargs):
        writer = UniqueWriter([s.port for s in supervisors], group, **kwargs)
        self.on_close(writer.stop)
        return writer

    def fleet(self, **kwargs):
        return Fleet(self, **kwargs)

    def script(self, name, text):
        """Write an executable script into the lab."""
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o755)
        return path

    # What a failure report shows.
    def describe(self, lines=12):
        out = []
        for child in self.children:
            state = "never started" if child.proc is None else "running" if child.alive() else \
                "ended with status %s" % child.proc.returncode
            out.append("--- %s (port %d): %s%s" % (child.name, child.port, state, ", paused" if child.paused else ""))
            out.append(tail(child.log(), lines))
            if hasattr(child, "masters") and child.alive() and not child.paused:
                try:
                    for m in child.masters():
                        out.append("    says: " + " ".join("%s=%s" % (k, m.get(k)) for k in (
                            "name", "port", "flags", "config-epoch", "num-slaves", "num-other-sentinels", "quorum")))
                        for r in child.replicas(m["name"]):
                            out.append("    says: " + " ".join("%s=%s" % (k, r.get(k)) for k in (
                                "name", "flags", "master-link-status", "slave-priority", "slave-repl-offset")))
                        for p in child.sentinels(m["name"]):
                            out.append("    says: " + " ".join("%s=%s" % (k, p.get(k)) for k in (
                                "name", "flags", "last-ok-ping-reply", "last-hello-message")))
                except (OSError, AssertionError) as e:
                    out.append("    SENTINEL MASTERS failed: %s" % e)
        for (name, pid), log in self.event_logs.items():
            out.append("--- events of %s (pid %d)" % (name, pid))
            out.append(tail(log.dump(), 40))
        return "\n".join(out)


class Fleet:
    """One master, its replicas and its supervisors, all of which have found each other when this is made.

    kinds: kind of each supervisor; default is the lab's kind for all. Options of a server by replica_options[i].
    """

    def __init__(self, lab, replicas=2, supervisors=3, quorum=2, down_after_ms=600, failover_timeout_ms=5000,
                 parallel_syncs=1, kinds=None, name="mymaster", master_options=None, replica_options=None, group=None,
                 timers=None, wait=True, prefix="", supervisor_args=None):
        self.lab = lab
        self.name = name
        self.down_after_ms = down_after_ms
        replica_options = replica_options or [{}] * replicas
        self.master = lab.redis(prefix + "master", **(master_options or {}))
        self.replicas = [lab.redis("%sreplica%d" % (prefix, i), replica_of=self.master, **replica_options[i])
                         for i in range(replicas)]
        self.servers = [self.master] + self.replicas
        for server in self.servers:
            server.wait_ready()
        for replica in self.replicas:
            replica.wait_follows(self.master.port)
        self.group = Group(name=name, port=self.master.port, quorum=quorum, down_after_ms=down_after_ms,
                           failover_timeout_ms=failover_timeout_ms, parallel_syncs=parallel_syncs, **(group or {}))
        kinds = kinds or [lab.kind] * supervisors
        self.supervisors = [lab.supervisor("%ssentinel%d" % (prefix, i), [self.group], kind=kind, timers=timers,
                                           **(supervisor_args or {}))
                            for i, kind in enumerate(kinds)]
        if wait:
            self.wait_well()

    def wait_well(self, timeout_s=20, supervisors=None, replicas=None, peers=None):
        """Every running supervisor knows all replicas and all peers, sees no fault, and agrees on the master."""
        watching = supervisors if supervisors is not None else [s for s in self.supervisors if s.alive()]
        count = len(self.replicas) if replicas is None else replicas
        others = len(watching) - 1 if peers is None else peers
        for s in watching:
            wait_until(lambda s=s: s.knows(self.name, count, others), timeout_s,
                       "%s knows %d replicas and %d peers of %s, all well" % (s.name, count, others, self.name))
        return self

    def server(self, port):
        found = [s for s in self.servers if s.port == port]
        assert found, "no server of this fleet has port %d" % port
        return found[0]

    def others(self, server):
        return [s for s in self.servers if s is not server]

    def agreed_port(self, supervisors=None):
        """The port that all running supervisors give as the master's, or None while they differ."""
        ports = {s.master_port(self.name) for s in (supervisors or self.supervisors) if s.alive() and not s.paused}
        return ports.pop() if len(ports) == 1 else None

    def wait_switched(self, old_port, timeout_s=25, supervisors=None):
        """Wait until all running supervisors agree on a master other than old_port that says it is one."""
        def switched():
            port = self.agreed_port(supervisors)
            assert port is not None and port != old_port, "agreed on %s" % port
            return self.server(port).role() == "master" and port
        port = wait_until(switched, timeout_s, "all supervisors agree on a new master other than port %d" % old_port)
        return self.server(port)

    def wait_all_follow(self, master, timeout_s=25):
        """Every other running server is a connected replica of master."""
        for server in self.others(master):
            if server.alive() and not server.paused:
                server.wait_follows(master.port, timeout_s)

    def wait_failover_over(self, timeout_s=25):
        """No supervisor has a failover in progress and all have the same config epoch."""
        def over():
            states = [s.master(self.name) for s in self.supervisors if s.alive() and not s.paused]
            busy = [m for m in states if "failover-state" in m and m["failover-state"] != "none"]
            assert not busy, "in progress: %s" % [m["failover-state"] for m in busy]
            assert len({m["config-epoch"] for m in states}) == 1, "config epochs differ"
            return True
        wait_until(over, timeout_s, "the failover is over at all supervisors")

    def refused(self, supervisor):
        reply = supervisor.call("SENTINEL", "FAILOVER", self.name)
        return reply if isinstance(reply, RespError) else None
