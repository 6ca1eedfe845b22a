"""A disk of a few mebibytes for one supervisor's state directory: a tmpfs in a mount namespace of its own, so that it
can really be full, and nobody else sees it. A holder process keeps it over restarts of the supervisor."""
import errno
import os
import shutil
import subprocess

from .processes import die_with_parent

HOLD = 'mount -t tmpfs -o size="$1",mode=700 small "$2" && echo mounted && exec sleep 100000'


class SmallDisk:
    """The state directory of supervisor, with what is in it, on a disk of that size ("4m"). The supervisor must not
    run; from now on it starts with that disk."""

    def __init__(self, lab, supervisor, size="4m"):
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        parent = os.getpid()
        argv = ["unshare", "--mount", *user, "sh", "-c", HOLD, "sh", size, supervisor.state_dir]
        self.holder = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       universal_newlines=True, preexec_fn=lambda: die_with_parent(parent))
        lab.on_close(self.close)
        said = self.holder.stdout.readline()
        assert said == "mounted\n", "no tmpfs in a mount namespace (it needs root or user namespaces): %s%s" % (
            said, self.holder.stdout.read())
        self.path = "/proc/%d/root%s" % (self.holder.pid, supervisor.state_dir)
        self.ballast = os.path.join(self.path, "ballast")
        for name in os.listdir(supervisor.state_dir):
            source = os.path.join(supervisor.state_dir, name)
            if os.path.isdir(source):
                shutil.copytree(source, os.path.join(self.path, name))
            else:
                shutil.copy(source, self.path)
        enter = ["--user", "--preserve-credentials"] if user else []
        supervisor.argv = ["nsenter", "--target", str(self.holder.pid), "--mount", *enter, "--"] + supervisor.argv
        supervisor.disk = self

    def fill(self):
        """Not one more byte fits."""
        fd = os.open(self.ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        os.write(fd, b"x" * size)
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise
        finally:
            os.close(fd)

    def free(self):
        os.unlink(self.ballast)

    def close(self):
        if self.holder.poll() is None:
            self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
