"""Child processes that cannot outlive the test: own pids only, killed on every way out."""
import ctypes
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid, sig=signal.SIGKILL):
    """To be called in a fresh child: the kernel sends it sig when the thread that forked it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(127)


class Child:
    """One child process and its log file. It must be started from the main thread (see die_with_parent)."""

    def __init__(self, name, argv, cwd, log_path, rlimits=()):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.cwd = cwd
        self.log_path = log_path
        self.rlimits = rlimits
        self.proc = None
        self.paused = False

    def start(self):
        assert not self.alive(), "%s runs already" % self.name
        parent = os.getpid()

        def prepare():
            die_with_parent(parent)
            for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(sig, signal.SIG_DFL)

        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(self.argv, cwd=self.cwd, stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=subprocess.STDOUT, preexec_fn=prepare)
        self.paused = False
        return self

    @property
    def pid(self):
        return self.proc.pid

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def signal(self, sig):
        assert self.alive(), "%s does not run" % self.name
        os.kill(self.proc.pid, sig)

    def pause(self):
        self.signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.signal(signal.SIGCONT)
        self.paused = False

    def kill9(self):
        """SIGKILL; returns the monotonic time just before the signal was sent. Waits for the end of the process."""
        assert self.alive(), "%s does not run, so it cannot be killed (see %s)" % (self.name, self.log_path)
        at = time.monotonic()
        os.kill(self.proc.pid, signal.SIGKILL)
        self.proc.wait()
        return at

    def terminate(self, timeout_s=20):
        """SIGTERM; returns the exit status, kills when it takes too long (and says so)."""
        self.signal(signal.SIGTERM)
        try:
            return self.proc.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError("%s did not end within %s s of SIGTERM" % (self.name, timeout_s)) from None

    def discard(self):
        if self.alive():
            try:
                os.kill(self.proc.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def reap(self):
        if self.proc is not None:
            self.proc.wait()

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def cpu_s(self):
        """Processor time used so far, user and system, in seconds."""
        with open("/proc/%d/stat" % self.proc.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
