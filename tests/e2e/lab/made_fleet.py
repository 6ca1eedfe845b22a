"""A fleet that nodectl makes: its processes are nobody's children, so they are found, and ended, by the folder that
their configurations lie in."""
import contextlib
import json
import os
import select
import signal
import subprocess

from .resp import Resp, RespError, info_fields
from .supervisors import nodectl_path
from .wait import wait_until


def processes_below(folder):
    """pid -> words of the command lines that name a file below this folder."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                words = f.read().decode("utf-8", "replace").split("\0")[:-1]
        except OSError:
            continue
        if int(pid) != os.getpid() and any(word.startswith(folder + "/") for word in words[1:3]):
            found[int(pid)] = words
    return found


def parent_of(pid):
    """None: it is gone."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


class MadeFleet:
    """Nothing is made before create(). home: where nodectl keeps its files."""

    def __init__(self, lab, name="orders"):
        self.lab, self.name = lab, name
        self.home = lab.path("home")
        os.makedirs(self.home, exist_ok=True)
        self.folder = os.path.join(os.path.realpath(self.home), ".local", "share", "nodectl", name)
        self.conf = os.path.join(self.home, ".config", "nodectl.conf")
        self.env = {}
        self.program = nodectl_path()
        lab.on_close(self.end)

    # ---- the tool ----

    def environment(self):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("NODECTL", "XDG_"))}
        return dict(clean, HOME=self.home, **self.env)

    def popen(self, *args):
        return subprocess.Popen([self.program, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.environment())

    def run(self, *args, status=0, said=(), stdin=None):
        """nodectl with these arguments; it ends with this status, and says that."""
        source = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run([self.program, *map(str, args)], capture_output=True, text=True, check=False, timeout=90,
                              env=self.environment(), **source)
        assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
        for words in (said,) if isinstance(said, str) else said:
            assert words in done.stdout + done.stderr, (args, words, done.stdout, done.stderr)
        return done

    def json(self, *args, status=0):
        return json.loads(self.run(*args, "-o", "json", status=status).stdout)

    def create(self, *args, shards=3, replicas=1, supervisors=3, down_after="3s"):
        """Returns its document. A lease is half of down_after: a write is not refused because a process stood still."""
        return self.json("fleet", "create", self.name, "--shards", shards, "--replicas", replicas, "--supervisors",
                         supervisors, "--down-after", down_after, "--port", self.lab.ports.block(), "--yes", *args)

    # ---- its processes ----

    def processes(self):
        """Without those that nodes fork for a while, to write a snapshot or a base of their log."""
        found = processes_below(self.folder)
        return {pid: words for pid, words in found.items() if parent_of(pid) not in (None, *found)}

    def pid_of(self, port):
        """Of the node or supervisor at that port."""
        pids = [pid for pid, words in self.processes().items() if any("-%d/" % port in word for word in words)]
        assert pids, "nothing runs at port %d" % port
        return min(pids)

    def kill9(self, port):
        """Returns when it has ended: what comes next finds it gone, and its port free."""
        pid = self.pid_of(port)
        fd = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            assert select.select([fd], [], [], 20)[0], "process %d does not end" % pid
        finally:
            os.close(fd)

    def end(self):
        """Returns when none is left: their ports are another test's then."""
        def gone():
            left = processes_below(os.path.realpath(self.lab.root))
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left
        wait_until(gone, 20, "the processes of the fleet are gone")


def ask(port, *args, host="127.0.0.1", db=0):
    with Resp(port, host=host) as client:
        if db:
            client.ok("SELECT", db)
        return client.call(*args)


def role(port, host="127.0.0.1"):
    answer = ask(port, "INFO", "replication", host=host)
    return None if isinstance(answer, RespError) else info_fields(answer)["role"]
