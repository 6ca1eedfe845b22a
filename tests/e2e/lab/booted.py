"""A host with a systemd of its own: the machine's systemd, as process 1 of a pid namespace, over a root that the test
makes. The machine's /usr is there, read-only; /etc, /run, /var and /srv are the test's, and can be read from outside.
Nothing of it is left when the test is over."""
import os
import shutil
import subprocess

from cases import Skip

from .processes import die_with_parent
from .supervisors import sentineld_path
from .wait import wait_until

FROM_THE_MACHINE = """basic.target multi-user.target network.target network-online.target paths.target shutdown.target
    slices.target sockets.target sysinit.target timers.target time-set.target time-sync.target umount.target
    systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket""".split()
USERS = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"
DEVICES = "null zero full random urandom tty".split()

# The arguments: the root, and the folder of programs that is /usr/local/bin inside. Settings of the kernel that are not
# a namespace's own cannot be changed from inside.
BOOT = """
set -e
mount --bind "$1" "$1"
mount --rbind -o ro /usr "$1/usr"
mount --bind -o ro "$2" "$1/usr/local/bin"
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts
for name in %s; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
for pair in ptmx:pts/ptmx fd:/proc/self/fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s ${pair#*:} dev/${pair%%:*}; done
mount -t tmpfs -o mode=755 tmpfs run
mkdir old
pivot_root . old
umount -l old
rmdir old
exec env -i container=test PATH=/usr/local/bin:/usr/bin:/usr/sbin SYSTEMD_UNIT_PATH=/etc/systemd/system \
    /lib/systemd/systemd --system --log-target=journal --show-status=no
""" % " ".join(DEVICES)


def cgroup_mount():
    """Where the machine has its unified hierarchy; None: it has none."""
    with open("/proc/mounts", encoding="utf-8") as f:
        return next((line.split()[1] for line in f if line.split()[2] == "cgroup2"), None)


def need():
    """Skips the test where no systemd can be started."""
    if os.geteuid() != 0:
        raise Skip("it takes root to start a systemd")
    if not os.path.exists("/lib/systemd/systemd"):
        raise Skip("the package systemd is missing")
    if cgroup_mount() is None or not os.access(cgroup_mount(), os.W_OK):
        raise Skip("there is no hierarchy of control groups of version 2 that could be written")
    tried = subprocess.run(["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "mount", "-t",
                            "cgroup2", "cgroup2", "/mnt"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           check=False)
    if tried.returncode != 0:
        raise Skip("no namespaces can be made: %s" % tried.stdout.decode("utf-8", "replace").strip())


class Booted:
    """Runs when it is made. enter: words that a command begins with to be in that host's network. Our programs are in
    /usr/local/bin."""

    def __init__(self, lab, name, enter=()):
        need()
        self.root = lab.path(name)
        self.cgroup = os.path.join(cgroup_mount(), "sentineld-test-%d-%s" % (os.getpid(), name))
        self.units = self.path("/etc/systemd/system")
        self.make_root(name)
        os.mkdir(self.cgroup)
        lab.on_close(self.close)
        parent = os.getpid()

        def prepare():
            die_with_parent(parent)
            with open(os.path.join(self.cgroup, "cgroup.procs"), "w", encoding="ascii") as f:
                f.write("0")

        argv = [*enter, "unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child", "sh",
                "-c", BOOT, "sh", self.root, os.path.dirname(sentineld_path())]
        self.log_path = lab.path(name + ".log")
        with open(self.log_path, "wb") as log:
            self.holder = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=prepare)
        wait_until(lambda: self.systemctl("is-system-running", status=None) in ("running", "degraded"), 60,
                   "systemd is up")

    def path(self, inside):
        return self.root + inside

    def make_root(self, name):
        for folder in "usr proc sys dev run tmp var srv root etc/systemd/system".split():
            os.makedirs(os.path.join(self.root, folder))
        os.chmod(self.path("/tmp"), 0o1777)
        os.symlink("/run", self.path("/var/run"))
        for link in "bin sbin lib lib64".split():
            os.symlink("usr/" + link, os.path.join(self.root, link))
        for path, text in (("passwd", USERS), ("group", GROUPS), ("hostname", name + "\n"), ("machine-id", ""),
                           ("hosts", "127.0.0.1 localhost\n")):
            self.write("/etc/" + path, text)
        for path in ("/etc/ld.so.cache", "/etc/nsswitch.conf"):
            shutil.copy(path, self.path(path))
        for unit in FROM_THE_MACHINE:
            shutil.copy(os.path.join("/lib/systemd/system", unit), self.units)
        self.write("/etc/systemd/system/sysinit.target.d/journal.conf",
                   "[Unit]\nWants=systemd-journald.service\nAfter=systemd-journald.service\n")
        os.symlink("multi-user.target", os.path.join(self.units, "default.target"))

    def write(self, inside, text, mode=0o644):
        path = self.path(inside)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)

    # ---- what is asked of it ----

    def init_pid(self):
        pid = self.holder.pid
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            pids = f.read().split()
        assert pids, "no systemd runs: " + self.log()
        return pids[0]

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def run(self, *argv, status=0, timeout_s=60, env=None):
        """A command inside, as root; returns what it said on both streams. status: how it has to end; None: anyhow."""
        enter = ["nsenter", "--target", self.init_pid(), "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--net",
                 "--wd=/", "--"]
        inside = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin", "SYSTEMD_UNIT_PATH": "/etc/systemd/system",
                  "HOME": "/root", "SYSTEMD_PAGER": "", **(env or {})}
        done = subprocess.run(enter + [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=inside, timeout=timeout_s, check=False)
        said = done.stdout.decode("utf-8", "replace").strip()
        assert status is None or done.returncode == status, (argv, done.returncode, said)
        return said

    def systemctl(self, *words, **options):
        return self.run("systemctl", *words, **options)

    def show(self, unit, *properties):
        """Properties of a unit; one by its value, more as a dict."""
        said = self.systemctl("show", unit, "--property=" + ",".join(properties))
        found = dict(line.split("=", 1) for line in said.splitlines())
        return found[properties[0]] if len(properties) == 1 else found

    def main_pid(self, unit):
        """The main process of a unit, by the number that the test knows it by."""
        told = self.show(unit, "MainPID", "ControlGroup")
        with open(self.cgroup + told["ControlGroup"] + "/cgroup.procs", encoding="ascii") as f:
            pids = f.read().split()
        for pid in pids:
            try:
                with open("/proc/%s/status" % pid, encoding="ascii", errors="replace") as f:
                    if next(line.split()[-1] for line in f if line.startswith("NSpid:")) == told["MainPID"]:
                        return int(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # another one of the unit, which has ended meanwhile
        raise AssertionError("%s has no main process" % unit)

    def journal(self, unit, *options):
        return self.run("journalctl", "--no-pager", "--quiet", "--output=cat", "--unit=" + unit, *options)

    def close(self):
        self.holder.kill()
        self.holder.wait()
        # The namespace dies with its process 1; its control groups can go when the last of them is gone.
        def gone():
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                os.rmdir(folder)
            return True
        wait_until(gone, 20, "all of the processes of %s are gone" % self.root)
