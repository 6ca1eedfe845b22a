"""noded processes, started as a user starts them: a file, options of the command line, or both."""
import os
import subprocess

from .processes import Child
from .resp import Resp, info_fields
from .supervisors import ROOT
from .wait import wait_until


def noded_path():
    """The program under test; NODED names another build of it."""
    return os.environ.get("NODED") or os.path.join(ROOT, "build", "noded")


def run_noded(*args, stdin=None):
    """Runs noded to its end, for what ends at once."""
    source = {"input": stdin} if stdin else {"stdin": subprocess.DEVNULL}
    return subprocess.run([noded_path(), *[str(a) for a in args]], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=40, check=False, **source)


def both_servers(lab, **options):
    """The same server twice: ours, and the one whose answers decide."""
    return lab.node("ours", **options), lab.redis("stock", **options).wait_ready()


def same_reply(ours, stock, *args):
    """One request to a connection of each; the replies are equal byte for byte."""
    mine, theirs = ours.call_raw(*args), stock.call_raw(*args)
    assert mine == theirs, (args, mine, theirs)
    return mine


class Node(Child):
    """One noded. options: redis.conf's names with _ for -; a value that is a list becomes several arguments. config:
    the text of a noded.conf; with it nothing is said on the command line but the options. extra: more arguments."""

    def __init__(self, directory, name, port, config=None, extra=(), **options):
        os.makedirs(directory, exist_ok=True)
        self.port = port
        self.directory = directory
        self.conf_path = None
        merged = dict({"port": port, "bind": "127.0.0.1", "dir": directory, "save": "",
                       "enable-debug-command": "yes", "repl-diskless-sync-delay": 0} if config is None else {},
                      **{key.replace("_", "-"): value for key, value in options.items()})
        self.password = merged.get("requirepass")
        argv = [noded_path()]
        if config is not None:
            self.conf_path = os.path.join(directory, "noded.conf")
            with open(self.conf_path, "w", encoding="utf-8") as f:
                f.write(config)
            argv.append(self.conf_path)
        for key, value in merged.items():
            argv.append("--" + key)
            argv += [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]
        argv += extra
        super().__init__(name, argv, directory, os.path.join(directory, "log"))

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

    def wait_ready(self, timeout_s=30):
        def ready():
            assert self.alive(), "%s ended with status %s: %s" % (self.name, self.proc.returncode, self.log()[-400:])
            return not str(self.call("PING")).startswith("LOADING")
        wait_until(ready, timeout_s, "%s (port %d) answers" % (self.name, self.port))
        return self
