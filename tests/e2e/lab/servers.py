"""Real redis-server processes: masters and replicas."""
import os

from .processes import Child
from .resp import Resp, info_fields
from .wait import wait_until

# Small and quick: no snapshots, full syncs start at once, no background rewrite of anything.
DEFAULT_OPTIONS = {
    "save": '""',
    "appendonly": "no",
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "enable-debug-command": "yes",
    "loglevel": "notice",
}


class RedisServer(Child):
    """One redis-server with a configuration file of its own (a promotion rewrites it, so it must have one)."""

    def __init__(self, directory, name, port, replica_of=None, options=None):
        os.makedirs(directory, exist_ok=True)
        self.port = port
        self.directory = directory
        self.conf_path = os.path.join(directory, "redis.conf")
        merged = dict(DEFAULT_OPTIONS, **(options or {}))
        self.password = merged.get("requirepass")
        lines = ["port %d" % port, "bind 127.0.0.1", "dir %s" % directory, "daemonize no"]
        lines += ["%s %s" % item for item in merged.items()]
        if replica_of is not None:
            lines.append("replicaof 127.0.0.1 %d" % replica_of)
        with open(self.conf_path, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        super().__init__(name, ["redis-server", self.conf_path], directory, os.path.join(directory, "log"))

    @property
    def addr(self):
        return ("127.0.0.1", self.port)

    def connect(self, timeout_s=8.0):
        client = Resp(self.port, timeout_s=timeout_s)
        if self.password:
            client.ok("AUTH", self.password)
        return client

    def call(self, *args):
        with self.connect() as client:
            return client.call(*args)

    def ok(self, *args):
        with self.connect() as client:
            return client.ok(*args)

    def info(self, section="everything"):
        return info_fields(self.ok("INFO", section))

    def role(self):
        return self.ok("ROLE")[0]

    def run_id(self):
        return self.info("server")["run_id"]

    def offset(self):
        fields = self.info("replication")
        return int(fields["master_repl_offset"])

    def wait_ready(self, timeout_s=30):
        def ready():
            assert self.alive(), "%s ended with status %s: %s" % (self.name, self.proc.returncode, self.log()[-400:])
            return self.ok("PING") == "PONG"
        wait_until(ready, timeout_s, "%s (port %d) answers PING" % (self.name, self.port))
        return self

    def follows(self, port):
        """True when this server is a replica of that port and its link is up."""
        role = self.ok("ROLE")
        return role[0] == "slave" and role[2] == port and role[3] == "connected"

    def wait_follows(self, port, timeout_s=20):
        wait_until(lambda: self.follows(port), timeout_s, "%s is a connected replica of port %d" % (self.name, port))
        return self


def wait_streams(master, replicas, timeout_s=20):
    """Wait until every replica has delivered what its master has sent so far. Hellos pass through the replication
    stream too, and a replica that has just synchronized gets it a second late: a supervisor that starts meanwhile would
    hear of one that is gone already."""
    offset = master.offset()
    for replica in replicas:
        wait_until(lambda r=replica: r.offset() >= offset, timeout_s,
                   "%s has the stream of %s up to %d" % (replica.name, master.name, offset))
