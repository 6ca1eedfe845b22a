"""Disks that are full or do not answer: what the history loses is bounded, counted and told; votes and failovers do not
notice; the end of the process does not wait for them."""
import os
import re
import signal
import sqlite3
import subprocess
import time

from cases import case
from lab import RespError, encode, wait_until
from lab.held_thread import HeldThread
from lab.small_disk import SmallDisk
from lab.supervisors import nodectl_path
from test_history import assert_answered_at_once

LOST = re.compile(r"\+history-saved the history is written again: (\d+) entries of ")
FLOOD = 60000  # more than the 50,000 that wait at most


def on_small_disks(lab, fleet, size="4m"):
    for s in fleet.supervisors:
        s.terminate()
        SmallDisk(lab, s, size)
        s.boot()
    fleet.wait_well()


def hold_history(lab, s):
    """Its disk answers no more, in the middle of a write. Until then nothing of s is waited for: the thread may be
    stopped where the loop needs it."""
    with s.connect() as client:
        held = HeldThread(lab, s.pid, "history", "history.db")
        client.sock.sendall(encode("SENTINEL", "SET", "mymaster", "parallel-syncs", "1"))
        held.wait_held()
        assert client.read() == "OK"
    return held


def fail_over(fleet, at_most_s=3):
    """Kill the master; the switch must be over so soon after down-after: well below the five seconds that a disk is
    given to answer, with room for a machine that stands still for a moment, and for one more ballot then."""
    old = fleet.master
    killed = old.kill9()
    new = fleet.wait_switched(old.port)
    took = time.monotonic() - killed - fleet.down_after_ms / 1000
    assert took < at_most_s, "all agreed %.0f ms after down-after" % (took * 1000)
    return old, new


def rss_kb(s):
    with open("/proc/%d/status" % s.pid, encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def memory_kb(s, wanted):
    """What that much may be: the address sanitizer keeps what was freed, and puts room around each piece."""
    with open("/proc/%d/maps" % s.pid, encoding="ascii", errors="replace") as f:
        return 10 * wanted if "libasan" in f.read() else wanted


def flood(s):
    """FLOOD events as fast as they go, and how long the PINGs beside them took, in seconds."""
    waits = []
    with s.connect(30) as client, s.connect(30) as other:
        for n in range(0, FLOOD, 500):
            client.sock.sendall(b"".join(encode("SENTINEL", "SET", "mymaster", "quorum", i % 9 + 1)
                                         for i in range(500)))
            asked = time.monotonic()
            assert other.ok("PING") == "PONG"
            waits.append(time.monotonic() - asked)
            for _ in range(500):
                assert client.read() == "OK"
    return waits


def all_events(s, since):
    found = []
    while True:
        part = s.ok("SENTINEL", "EVENTS", "SINCE", since, "COUNT", 10000, timeout_s=20)
        if not part:
            return found
        found += part
        since = part[-1][0]


def expect_loss(s, since):
    """The recovery tells how many entries were lost; the history has rows for them; the rest is complete."""
    wait_until(lambda: "+history-saved" in s.log(), 30, "the history is written again", 0.2)
    log = s.log()
    assert log.count("-history-not-saved") == log.count("+history-saved") == 1, log[-2000:]
    lost = int(LOST.search(log).group(1))
    kept = [(e[2], e[3]) for e in all_events(s, since)]
    assert sum(int(text.split()[0]) for name, text in kept if name == "-history-lost") == lost > 0, lost
    missing = log.count(" +set master ") - sum(name == "+set" for name, _ in kept)
    # The first events of the start, and the one that told of the failure, may be among the lost.
    assert 0 <= lost - missing <= 6, (missing, lost)
    return lost


@case(kinds=("ours",), limit_s=90, quiet=True)
def test_full_disks_of_all(lab):
    """All three state directories are full: the failover takes as long as ever, is told once to be unrecorded, and is
    recorded and explained when there is room again."""
    fleet = lab.fleet()
    on_small_disks(lab, fleet)
    for s in fleet.supervisors:
        s.disk.fill()
    old, new = fail_over(fleet)
    fleet.wait_failover_over()
    for s in fleet.supervisors:
        wait_until(lambda s=s: "-history-not-saved" in s.log(), 20, "%s tells it" % s.name)
        assert s.log().count("-history-not-saved") == 1 and "full" in s.log(), s.log()[-1000:]
        assert s.ok("SENTINEL", "EVENTS", "LAST") >= 0, "what is stored can be read"
        s.disk.free()
    for s in fleet.supervisors:
        wait_until(lambda s=s: "+history-saved" in s.log(), 20, "%s writes again" % s.name)
        assert "the history is written again: nothing of it was lost" in s.log()
        names = [e[2] for e in all_events(s, 0)]
        assert names.count("+switch-master") == 1 and "-history-lost" not in names, names
        noted = {n[2] for n in s.ok("SENTINEL", "HISTORY", "GROUP", "mymaster")}
        # One that stood still may hear of the new master before it has seen that the old one was down.
        assert "sdown" in noted and ("odown" in noted) == ("+odown" in s.log()), noted
    assert any("+odown" in s.log() for s in fleet.supervisors)
    assert fleet.agreed_port() == new.port != old.port


@case(kinds=("ours",), limit_s=120, quiet=True)
def test_full_disk_and_a_flood(lab):
    """More than may wait comes while the disk is full: memory is bounded, the oldest are lost, counted and told."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1, down_after_ms=5000)  # nothing else is told
    on_small_disks(lab, fleet, "24m")
    s = fleet.supervisors[0]
    s.disk.fill()
    since = s.ok("SENTINEL", "EVENTS", "LAST")
    before = rss_kb(s)
    waits = flood(s)
    grown = rss_kb(s) - before
    assert grown < memory_kb(s, 60 << 10), "%d KiB more memory" % grown
    assert_answered_at_once(waits)
    s.disk.free()
    assert expect_loss(s, since) >= FLOOD - 50000


@case(kinds=("ours",), limit_s=90)
def test_votes_on_a_full_disk(lab):
    """What state.db has in reserve is used: each vote that is given is kept. Without any reserve none is given, that is
    told, and votes are given again by itself when there is room."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1, down_after_ms=2000)  # or a slow moment is a failover
    on_small_disks(lab, fleet)
    s = fleet.supervisors[0]

    def vote(epoch, runid):
        return s.ok("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", fleet.master.port, epoch, runid, timeout_s=10)

    s.disk.fill()
    for epoch in range(5, 500):
        assert vote(epoch, "a" * 40) == [0, "a" * 40, epoch]
    s.kill9()
    s.boot()
    assert vote(499, "b" * 40) == [0, "a" * 40, 499], "a vote that was given was forgotten"
    s.disk.free()
    s.terminate()
    os.unlink(os.path.join(s.disk.path, "state.db-wal"))  # all of it is in state.db after a good end
    s.disk.fill()
    s.boot()
    wait_until(lambda: "no vote is given until that is mended" in s.log(), 20, "it is told at the start")
    refused = vote(600, "c" * 40)
    assert refused[1:] != ["c" * 40, 600], "a vote was given that could not be kept: %s" % refused
    assert isinstance(s.call("SENTINEL", "SET", "mymaster", "quorum", "2", timeout_s=10), RespError)
    fleet.master.pause()
    wait_until(lambda: "s_down" in s.flags(), 20, "it still notices a silent master")
    fleet.master.resume()
    wait_until(lambda: "s_down" not in s.flags(), 20, "and that it is back")
    s.disk.free()
    epochs = iter(range(700, 10000))

    def granted():
        epoch = next(epochs)
        return vote(epoch, "d" * 40)[1:] == ["d" * 40, epoch] and epoch
    last = wait_until(granted, 15, "votes are given again", 0.2)
    s.kill9()
    s.boot()
    assert vote(last, "e" * 40)[1:] == ["d" * 40, last], "the vote after the recovery was kept"


@case(kinds=("ours",), limit_s=90, quiet=True)
def test_hanging_disks_of_all(lab):
    """No history disk answers at all: failover as ever, it is told after five seconds, who asks gets an error, and all
    is recorded when it answers again."""
    fleet = lab.fleet()
    held = [hold_history(lab, s) for s in fleet.supervisors]
    _, new = fail_over(fleet)
    fleet.wait_failover_over()
    for s in fleet.supervisors:
        wait_until(lambda s=s: "-history-not-saved history.db: the disk does not answer" in s.log(), 15,
                   "%s tells it" % s.name)
        refused = s.call("SENTINEL", "EVENTS", "LAST")
        assert isinstance(refused, RespError) and "the disk does not answer" in str(refused), refused
    for s, h in zip(fleet.supervisors, held):
        h.release()
        wait_until(lambda s=s: "+history-saved the history is written again: nothing of it was lost" in s.log(), 20,
                   "%s writes again" % s.name)
        assert [e[2] for e in all_events(s, 0)].count("+switch-master") == 1
        assert s.log().count("-history-not-saved") == 1
    assert fleet.agreed_port() == new.port


@case(kinds=("ours",), limit_s=120, quiet=True)
def test_hanging_disk_and_a_flood(lab):
    """More than may wait comes while the disk does not answer: bounded, counted, and no PING waits."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1, down_after_ms=5000)  # nothing else is told
    s = fleet.supervisors[0]
    held = hold_history(lab, s)
    before = rss_kb(s)
    waits = flood(s)
    grown = rss_kb(s) - before
    assert grown < memory_kb(s, 60 << 10), "%d KiB more memory" % grown
    assert_answered_at_once(waits)
    wait_until(lambda: "-history-not-saved" in s.log(), 15, "it is told", 0.2)
    held.release()
    assert expect_loss(s, 0) >= FLOOD - 50000


@case(kinds=("ours",), matrix=[("history", "history.db"), ("state", "state.db")], limit_s=60)
def test_the_end_with_a_hanging_disk(lab, thread, part):
    """SIGTERM while a disk does not answer: it is over within seconds, and says what is lost."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1)
    s = fleet.supervisors[0]
    with s.connect() as client:
        held = HeldThread(lab, s.pid, thread, part)
        client.sock.sendall(encode("SENTINEL", "SET", "mymaster", "parallel-syncs", "3"))
        held.wait_held()
        began = time.monotonic()
        s.signal(signal.SIGTERM)
        wait_until(lambda: "sentineld has ended" in s.log(), 15, "it has ended")
        took = time.monotonic() - began
    held.release()
    assert s.proc.wait(20) == 0 and took < 8, "it took %.1f s" % took
    said = {"history": "entries of the history could not be written and are lost: the disk does not answer",
            "state": "state.db: the disk does not answer"}[thread]
    assert said in s.log(), s.log()[-800:]
    s.boot()
    assert s.ok("PING") == "PONG" and s.master_port() == fleet.master.port


@case(kinds=("ours",), limit_s=60, quiet=True)
def test_history_that_another_process_locks(lab):
    """Somebody's sqlite3 holds history.db when it starts: supervision begins, it is told, and mends itself."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1)
    s = fleet.supervisors[0]
    s.terminate()
    other = sqlite3.connect(os.path.join(s.state_dir, "history.db"), isolation_level=None)
    lab.on_close(other.close)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    s.boot()
    wait_until(lambda: "-history-not-saved" in s.log(), 20, "it is told")
    assert "locked" in s.log() and s.ok("SENTINEL", "SET", "mymaster", "parallel-syncs", "2") == "OK"
    fail_over(fleet)
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: "+history-saved" in s.log(), 20, "it is written again")
    assert [e[2] for e in all_events(s, 0)].count("+switch-master") == 1


@case(kinds=("ours",), limit_s=120)  # it writes much and waits for the disk
def test_limits_change_by_a_reload(lab):
    """SIGHUP with a smaller history: the oldest go at once, without a restart; who asks for them is told."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1, down_after_ms=5000,
                      supervisor_args={"extra": ["history = { max_mb = 64; };"]})
    s = fleet.supervisors[0]
    path = os.path.join(s.state_dir, "history.db")
    for size in (2 << 20, 5 << 20):  # a flood may lose what is over the 50,000 that wait; two are large enough
        flood(s)
        wait_until(lambda: os.path.getsize(path) > size, 45, "the history is large")
    last = s.ok("SENTINEL", "EVENTS", "LAST", timeout_s=20)
    assert last > FLOOD and s.ok("SENTINEL", "EVENTS", "SINCE", 0, "COUNT", 1)[0][0] == 1, last
    with open(s.conf_path, encoding="utf-8") as f:
        text = f.read()
    s.write_config(text.replace("max_mb = 64", "max_mb = 4"))
    s.signal(signal.SIGHUP)
    wait_until(lambda: os.path.getsize(path) <= 4 << 20, 45, "history.db is within the new size")
    def told():  # more may go between two questions, as what still waits is written
        first = s.ok("SENTINEL", "EVENTS", "SINCE", 0, "COUNT", 2)
        assert first[0][2] == "-events-gone" and first[1][0] == first[0][0] + 1, first
        shown = subprocess.run([nodectl_path(), "events", "--since", "0", "-s", "127.0.0.1:%d" % s.port],
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
        assert shown.returncode == 0, shown.stderr
        return "-events-gone numbers 1 to %d are no longer kept" % first[0][0] in shown.stdout.splitlines()[0]
    wait_until(told, 20, "who asks is told from where on it goes", 0.5)
    assert "restart it for that" not in s.log()


@case(kinds=("ours",), limit_s=90, alone=True)
def test_questions_of_a_large_history(lab):
    """Somebody asks for ten thousand rows again and again; a PING beside it does not notice (on the loop each question
    would take ten milliseconds)."""
    fleet = lab.fleet(supervisors=1, quorum=1, replicas=1)
    s = fleet.supervisors[0]
    flood(s)
    assert s.ok("SENTINEL", "EVENTS", "LAST", timeout_s=20) > FLOOD
    asker = subprocess.Popen(["redis-benchmark", "-p", str(s.port), "-c", "2", "-n", "200", "SENTINEL", "EVENTS",
                              "SINCE", "0", "COUNT", "10000"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lab.on_close(lambda: (asker.poll() is None and asker.kill(), asker.communicate()))
    took = []
    with s.connect() as client:
        while asker.poll() is None:
            asked = time.monotonic()
            assert client.ok("PING") == "PONG"
            took.append(time.monotonic() - asked)
            time.sleep(0.001)
    said = asker.stdout.read().decode()
    assert asker.returncode == 0 and "200 requests completed" in said, said
    took.sort()
    median, most = took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000
    print("%d PINGs beside 200 questions: median %.3f ms, 99 of 100 within %.3f ms" % (len(took), median, most))
    assert len(took) > 100 and median < 1 and most < 100, (len(took), median, most)
