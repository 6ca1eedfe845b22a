"""Supervisors of both kinds behind one interface: the stock redis-sentinel ("stock") and our sentineld ("ours")."""
import dataclasses
import hashlib
import os
import shutil

from .processes import Child
from .resp import Resp, RespError, pairs
from .wait import wait_until

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))

# Timers that make both kinds quick in tests; SENTINEL DEBUG sets them. Benchmarks leave the defaults alone.
# Stock demotes a node that says it is a master after four publish periods, and its leader looks at the promoted node
# once a second: with much less than 500 ms the others would undo a promotion before the leader has seen it. And it
# promotes only a replica whose INFO is younger than five ping periods, of which it also sends one a second only.
QUICK_TIMERS = {
    "info-period": 150, "ping-period": 250, "ask-period": 100, "publish-period": 500,
    "min-link-reconnect-period": 200,
}

# For tests that order a failover: what a replica told last counts for three of these periods, and is to count still
# when a process stood still for a moment.
ORDER_TIMERS = dict(QUICK_TIMERS, **{"info-period": 1000})


def sentineld_path():
    """The program under test; SENTINELD names another build of it."""
    return os.environ.get("SENTINELD") or os.path.join(ROOT, "build", "sentineld")


def secret(lab, word):
    """A file with this password, for --password-file."""
    path = lab.path("secret-%s" % word)
    with open(path, "w", encoding="utf-8") as f:
        f.write(word + "\n")
    os.chmod(path, 0o600)
    return path


def nodectl_path():
    """The operator's tool; NODECTL names another build of it."""
    return os.environ.get("NODECTL") or os.path.join(ROOT, "build", "nodectl")


@dataclasses.dataclass
class Group:
    """What a supervisor is told to watch: one master and, by way of it, its replicas."""
    name: str = "mymaster"
    port: int = 0
    quorum: int = 2
    down_after_ms: int = 600
    failover_timeout_ms: int = 5000
    parallel_syncs: int = 1
    password: str = ""
    notification_script: str = ""
    client_reconfig_script: str = ""
    reborn_empty: str = ""  # ours only
    host: str = "127.0.0.1"


@dataclasses.dataclass
class Cluster:
    """What ours is told to watch: a cluster, found from these nodes."""
    name: str = "orders"
    seeds: tuple = ()  # ports
    quorum: int = 2
    down_after_ms: int = 600
    failover_timeout_ms: int = 5000
    parallel_syncs: int = 1
    reborn_empty: str = ""
    user: str = ""
    password: str = ""


class Supervisor(Child):
    """What both kinds have in common: the Sentinel API."""
    kind = "?"

    def __init__(self, directory, name, port, argv, log_path):
        super().__init__(name, argv, directory, log_path)
        self.directory = directory
        self.port = port
        self.timers = dict(QUICK_TIMERS)
        self.password = ""

    @property
    def addr(self):
        return ("127.0.0.1", self.port)

    def connect(self, timeout_s=8.0):
        client = Resp(self.port, timeout_s=timeout_s)
        if self.password:
            client.ok("AUTH", self.password)
        return client

    def call(self, *args, timeout_s=5.0):
        with self.connect(timeout_s) as client:
            return client.call(*args)

    def ok(self, *args, timeout_s=5.0):
        with self.connect(timeout_s) as client:
            return client.ok(*args)

    def boot(self):
        """Start, wait until it answers, and set its timers."""
        self.start()
        self.wait_ready()
        if self.timers:
            self.set_timers(**self.timers)
        return self

    def wait_ready(self, timeout_s=30):
        def ready():
            assert self.alive(), "%s ended with status %s: %s" % (self.name, self.proc.returncode, self.log()[-600:])
            return self.ok("PING") == "PONG"
        wait_until(ready, timeout_s, "%s (port %d) answers PING" % (self.name, self.port))
        return self

    def set_timers(self, **timers):
        """Set timers of SENTINEL DEBUG; names with - or _."""
        args = [str(x) for key, ms in timers.items() for x in (key.replace("_", "-"), ms)]
        self.ok("SENTINEL", "DEBUG", *args)

    # What it says about a group.
    def my_id(self):
        return self.ok("SENTINEL", "MYID")

    def master(self, group="mymaster"):
        return pairs(self.ok("SENTINEL", "MASTER", group))

    def masters(self):
        return [pairs(m) for m in self.ok("SENTINEL", "MASTERS")]

    def replicas(self, group="mymaster"):
        return [pairs(m) for m in self.ok("SENTINEL", "REPLICAS", group)]

    def sentinels(self, group="mymaster"):
        return [pairs(m) for m in self.ok("SENTINEL", "SENTINELS", group)]

    def master_port(self, group="mymaster"):
        """The port of the master that clients are told, or None when the group is unknown."""
        addr = self.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", group)
        if isinstance(addr, RespError):
            raise AssertionError("%s: %s" % (self.name, addr))
        return None if addr is None else int(addr[1])

    def config_epoch(self, group="mymaster"):
        return int(self.master(group)["config-epoch"])

    def flags(self, group="mymaster"):
        return self.master(group)["flags"].split(",")

    def knows(self, group, replicas, peers):
        """True when it has found that many replicas and peers, and all of them are well."""
        m = self.master(group)
        return (m["flags"] == "master" and int(m["num-slaves"]) == replicas
                and int(m["num-other-sentinels"]) == peers
                and all(r["flags"] == "slave" and r["master-link-status"] == "ok" for r in self.replicas(group))
                and all(s["flags"] == "sentinel" for s in self.sentinels(group)))

    def ckquorum_ok(self, group="mymaster"):
        return not isinstance(self.call("SENTINEL", "CKQUORUM", group), RespError)

    def begin_failover(self, group="mymaster", timeout_s=20):
        """SENTINEL FAILOVER. Whose last INFO of the replicas is older than three of its periods knows no good one, and
        says so: that happens on a machine that stands still for half a second."""
        def answered():
            answer = self.call("SENTINEL", "FAILOVER", group)
            return None if str(answer).startswith("NOGOODSLAVE") else [answer]
        answer = wait_until(answered, timeout_s, "%s knows a good replica of %s" % (self.name, group), 0.1)[0]
        assert answer == "OK", answer


class StockSentinel(Supervisor):
    kind = "stock"

    def __init__(self, directory, name, port, groups=(), extra=()):
        os.makedirs(directory, exist_ok=True)
        self.conf_path = os.path.join(directory, "sentinel.conf")
        lines = ["port %d" % port, "bind 127.0.0.1", "dir %s" % directory, "daemonize no"]
        for g in groups:
            lines.append("sentinel monitor %s %s %d %d" % (g.name, g.host, g.port, g.quorum))
            lines.append("sentinel down-after-milliseconds %s %d" % (g.name, g.down_after_ms))
            lines.append("sentinel failover-timeout %s %d" % (g.name, g.failover_timeout_ms))
            lines.append("sentinel parallel-syncs %s %d" % (g.name, g.parallel_syncs))
            if g.password:
                lines.append("sentinel auth-pass %s %s" % (g.name, g.password))
            if g.notification_script:
                lines.append("sentinel notification-script %s %s" % (g.name, g.notification_script))
            if g.client_reconfig_script:
                lines.append("sentinel client-reconfig-script %s %s" % (g.name, g.client_reconfig_script))
        lines += extra
        with open(self.conf_path, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        super().__init__(directory, name, port, ["redis-sentinel", self.conf_path], os.path.join(directory, "log"))


def quoted(text):
    """A libconfig string."""
    return '"%s"' % str(text).replace("\\", "\\\\").replace('"', '\\"')


class Sentineld(Supervisor):
    kind = "ours"

    def __init__(self, directory, name, port, groups=(), extra=(), password="", clusters=()):
        os.makedirs(directory, exist_ok=True)
        self.conf_path = os.path.join(directory, "sentineld.conf")
        self.state_dir = os.path.join(directory, "state")
        os.makedirs(self.state_dir, exist_ok=True)
        super().__init__(directory, name, port, [sentineld_path(), "-c", self.conf_path],
                         os.path.join(directory, "log"))
        self.password = password
        self.extra = tuple(extra)
        self.configure(groups, clusters)

    def configure(self, groups=(), clusters=()):
        """Write the file anew; SENTINEL RELOAD reads it."""
        lines = ['listen = [ "127.0.0.1:%d" ];' % self.port, "state_dir = %s;" % quoted(self.state_dir)]
        lines += self.extra
        if self.password:
            lines.append('users = ( { name = "default"; password = %s; access = "all"; } );' % quoted(self.password))
        lines += self.group_lines(groups) + self.cluster_lines(clusters)
        self.write_config("\n".join(lines) + "\n")

    @staticmethod
    def group_lines(groups):
        rows = []
        for g in groups:
            row = "name = %s; master = %s; quorum = %d; down_after_ms = %d; failover_timeout_ms = %d; " \
                  "parallel_syncs = %d;" % (quoted(g.name), quoted("%s:%d" % (g.host, g.port)), g.quorum,
                                            g.down_after_ms, g.failover_timeout_ms, g.parallel_syncs)
            for key in ("password", "notification_script", "client_reconfig_script", "reborn_empty"):
                value = getattr(g, key)
                if value:
                    row += " %s = %s;" % (key, quoted(value))
            rows.append("  { %s }" % row)
        return ["groups = (\n%s\n);" % ",\n".join(rows)]

    @staticmethod
    def cluster_lines(clusters):
        rows = []
        for k in clusters:
            row = "name = %s; seeds = [ %s ]; quorum = %d; down_after_ms = %d; failover_timeout_ms = %d; " \
                  "parallel_syncs = %d;" % (quoted(k.name), ", ".join(quoted("127.0.0.1:%d" % p) for p in k.seeds),
                                            k.quorum, k.down_after_ms, k.failover_timeout_ms, k.parallel_syncs)
            for key in ("user", "password", "reborn_empty"):
                if getattr(k, key):
                    row += " %s = %s;" % (key, quoted(getattr(k, key)))
            rows.append("  { %s }" % row)
        return ["clusters = (\n%s\n);" % ",\n".join(rows)] if rows else []

    def write_config(self, text):
        with open(self.conf_path, "w", encoding="utf-8") as f:
            f.write(text)

    def config_hash(self):
        with open(self.conf_path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest() + " %d" % os.stat(self.conf_path).st_mtime_ns

    def forget_state(self):
        """Remove the state directory's contents, as after the loss of a disk."""
        shutil.rmtree(self.state_dir)
        os.makedirs(self.state_dir)


KINDS = {"stock": StockSentinel, "ours": Sentineld}
