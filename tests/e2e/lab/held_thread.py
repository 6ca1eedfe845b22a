"""One thread of a process held in the middle of its work on a file, as a disk that does not answer holds it. The other
threads run on. This process traces it (ptrace), so it must have started it."""
import ctypes
import os
import signal

from .wait import wait_until

SEIZE, INTERRUPT, SYSCALL, DETACH = 0x4206, 0x4207, 24, 17
TRACE_SYSCALLS = 1  # PTRACE_O_TRACESYSGOOD
ALL_THREADS = 0x40000000  # __WALL
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def thread_of(pid, name, newest=False):
    """The id of the thread of that name: the first that was started, or the last."""
    found = []
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/comm" % (pid, task), encoding="ascii") as f:
                if f.read().strip() == name:
                    found.append(int(task))
        except OSError:
            pass  # it has ended meanwhile
    assert found, "process %d has no thread named %s" % (pid, name)
    return max(found) if newest else min(found)


class HeldThread:
    """Holds the thread of that name at its next system call about a file whose path has `part` in it. Call it from the
    thread that will release it."""

    def __init__(self, lab, pid, name, part, newest=False):
        self.pid, self.tid, self.part = pid, thread_of(pid, name, newest), part
        self.held = True
        self._ptrace(SEIZE, TRACE_SYSCALLS)
        lab.on_close(self.release)
        self._ptrace(INTERRUPT)
        self.at_file = False

    def _ptrace(self, what, data=0):
        if _libc.ptrace(what, self.tid, None, data) != 0:
            code = ctypes.get_errno()
            raise OSError(code, "ptrace %#x of thread %d: %s" % (what, self.tid, os.strerror(code)))

    def _is_at_file(self):
        with open("/proc/%d/task/%d/syscall" % (self.pid, self.tid), encoding="ascii") as f:
            words = f.read().split()
        try:
            return self.part in os.readlink("/proc/%d/fd/%d" % (self.pid, int(words[1], 16)))
        except (OSError, ValueError, IndexError):
            return False

    def _step(self):
        pid, status = os.waitpid(self.tid, ALL_THREADS | os.WNOHANG)
        if pid == 0:
            return False
        assert os.WIFSTOPPED(status), "thread %d ended" % self.tid
        if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80 and self._is_at_file():
            self.at_file = True
            return True
        self._ptrace(SYSCALL)
        return False

    def wait_held(self, timeout_s=20):
        """Something must make the thread work meanwhile."""
        wait_until(self._step, timeout_s, "thread %d works on %s" % (self.tid, self.part), 0.0002)
        return self

    def release(self):
        """It goes on; or, when its process has ended, it is buried, without which its process would not be."""
        if not self.held:
            return
        self.held = False
        if not self.at_file:
            self._wait()  # it stops because of the interrupt, or at its next system call
        if _libc.ptrace(DETACH, self.tid, None, None) != 0:
            self._wait()

    def _wait(self):
        try:
            os.waitpid(self.tid, ALL_THREADS)
        except ChildProcessError:
            pass
