"""A full or failing disk: no vote is given, the reason is told, watching goes on, and it recovers by itself.

The fault is made with the file size limit of the running process: every write to a file fails with EFBIG while it is 0.
The log of the supervisor is a pipe here, so that it can still speak.
"""
import os
import resource
import signal
import subprocess
import threading

from cases import case
from lab import RespError, stays_true, wait_until
from lab.processes import die_with_parent

A, B, C = "a" * 40, "b" * 40, "c" * 40
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def start_with_piped_log(lab, s):
    """Start s so that its log goes through a pipe, and a write over the limit is an error instead of a signal."""
    parent = os.getpid()

    def prepare():
        die_with_parent(parent)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    s.proc = subprocess.Popen(s.argv, cwd=s.cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, preexec_fn=prepare, restore_signals=False)

    def copy(source, path):
        with open(path, "ab", buffering=0) as out:
            for line in source:
                out.write(line)
    thread = threading.Thread(target=copy, args=(s.proc.stdout, s.log_path), daemon=True)
    thread.start()
    lab.on_close(lambda: (s.discard(), s.reap(), thread.join(5)))
    s.wait_ready()
    s.set_timers(**s.timers)
    return s


def fill_disk(s):
    resource.prlimit(s.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def free_disk(s):
    resource.prlimit(s.pid, resource.RLIMIT_FSIZE, UNLIMITED)


def restart_piped(lab, fleet, which):
    s = fleet.supervisors[which]
    s.terminate()
    start_with_piped_log(lab, s)
    fleet.wait_well()
    return s


def ask(s, fleet, epoch, runid):
    return s.ok("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", fleet.master.port, epoch, runid, timeout_s=10)


@case(kinds=("ours",), limit_s=90)
def test_full_disk_gives_no_vote(lab):
    """The vote is refused while it cannot be kept, and given when it can; what was voted before stays."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=2000)  # or a slow moment is a failover
    s = restart_piped(lab, fleet, 0)
    log = lab.events(s)
    assert ask(s, fleet, 5, A) == [0, A, 5]
    fill_disk(s)
    refused = ask(s, fleet, 6, B)
    assert refused[1:] != [B, 6], "a vote was given that could not be kept: %s" % refused
    wait_until(lambda: "state" in s.log().lower() and any(w in s.log().lower() for w in (
        "too large", "full", "i/o error", "write", "disk")), 10, "the log tells the reason")
    before = len(s.log())
    wait_until(lambda: [e for e in log.all() if e.name not in ("+new-epoch", "+vote-for-leader")], 10,
               "something is published about the failing disk")
    # A run-time change that cannot be kept is refused and undone.
    reply = s.call("SENTINEL", "SET", "mymaster", "down-after-milliseconds", "7777", timeout_s=10)
    assert isinstance(reply, RespError) and str(reply).startswith("ERR Failed to save config file: "), reply
    assert s.master()["down-after-milliseconds"] == str(fleet.down_after_ms)
    assert isinstance(s.call("SENTINEL", "FLUSHCONFIG", timeout_s=10), RespError)
    # Watching goes on.
    fleet.master.pause()
    wait_until(lambda: "s_down" in s.flags(), 20, "it still notices a silent master")
    fleet.master.resume()
    wait_until(lambda: "s_down" not in s.flags(), 10, "and that it is back")
    free_disk(s)
    epochs = iter(range(7, 1000))

    def granted():
        epoch = next(epochs)
        return ask(s, fleet, epoch, C)[1:] == [C, epoch]
    wait_until(granted, 15, "votes are given again by itself", 0.2)
    assert s.ok("SENTINEL", "SET", "mymaster", "down-after-milliseconds", "8888") == "OK"
    wait_until(lambda: len(s.log()) > before, 20, "the recovery is logged")
    vote = ask(s, fleet, 6, B)
    s.kill9()
    s.boot()
    assert s.master()["down-after-milliseconds"] == "8888"
    assert ask(s, fleet, vote[2], B) == vote, "the vote given after the recovery was kept"


@case(kinds=("ours",), limit_s=90)
def test_failover_while_one_disk_is_full(lab):
    """The other two are a majority; the third follows them, full disk or not."""
    fleet = lab.fleet()
    s = restart_piped(lab, fleet, 2)
    fill_disk(s)
    fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port, 40)
    free_disk(s)
    fleet.wait_all_follow(new)
    wait_until(lambda: s.master_port() == new.port and s.config_epoch() == fleet.supervisors[0].config_epoch(), 20,
               "the one whose disk was full has the new master")


@case(kinds=("ours",), limit_s=90)
def test_no_failover_while_two_disks_are_full(lab):
    """Two of three cannot keep a vote: no leader, no promotion; when the disks are free again it happens."""
    fleet = lab.fleet(replicas=1)
    full = [restart_piped(lab, fleet, n) for n in (1, 2)]
    for s in full:
        fill_disk(s)
    fleet.master.kill9()
    wait_until(lambda: all("s_down" in s.flags() for s in fleet.supervisors), 20, "all see it down")
    stays_true(lambda: fleet.replicas[0].role() == "slave", 3.0, "nobody is promoted", 0.1)
    for s in full:
        free_disk(s)
    fleet.wait_switched(fleet.master.port, 40)
