"""Processes of the lab that somebody else has started again: a drill does that. They are found by their port, and end
with the test like all others."""
import contextlib
import os
import select
import signal

from .wait import wait_until


class Adopted:
    """As much of subprocess.Popen as a Child needs, for a process that is no child of ours."""

    def __init__(self, pid):
        self.pid = pid
        self.fd = os.pidfd_open(pid)
        self.returncode = None

    def poll(self):
        if self.returncode is None and select.select([self.fd], [], [], 0)[0]:
            self.returncode = 0
        return self.returncode

    def wait(self, timeout_s=20):
        select.select([self.fd], [], [], timeout_s)
        return self.poll()

    def discard(self):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                signal.pidfd_send_signal(self.fd, signal.SIGKILL)
            self.wait()


def process_of(child):
    """The process that answers at its port, if it runs in its folder or below (redis-server calls itself another name
    than it was started by). None: nobody answers."""
    try:
        with child.connect() as client:
            text = client.ok("INFO", "server")
    except OSError:
        return None
    pid = int(next(line for line in text.splitlines() if line.startswith("process_id:")).split(":")[1])
    try:
        folder = os.readlink("/proc/%d/cwd" % pid)
    except OSError:  # it has ended since
        return None
    own = os.path.realpath(child.cwd)
    assert (folder + "/").startswith(own + "/"), "%s: process %d runs in %s" % (child.name, pid, folder)
    return pid


def adopt(child, timeout_s=30):
    """The process that has taken the place of this child, which has ended."""
    assert not child.alive(), "%s runs" % child.name
    child.proc = Adopted(wait_until(lambda: process_of(child), timeout_s, "%s was started again" % child.name))
    return child


def adopt_all(children):
    """At the end of a test: whatever runs in the place of a child that has ended goes with it."""
    for child in children:
        try:
            pid = None if child.alive() else process_of(child)
        except AssertionError:
            continue  # the port is another test's by now
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                Adopted(pid).discard()
