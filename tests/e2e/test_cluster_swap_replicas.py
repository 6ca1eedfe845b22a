"""Swaps of databases while replicas are dead or stand still: they are made without them, and who missed one learns it
before anything is read from it as a master."""
import threading
import time

from cases import case
from lab import RespError, wait_until
from lab.resp import Closed
from test_cluster_swap import (assert_values, in_background, long_call, mapping, masters_now, swappable, wait_agreed)

OURS = ("ours",)


def hurt(node, how):
    if how == "kill":
        node.kill9()
    else:
        node.pause()


def heal(node, how):
    if how == "kill":
        node.start()
        node.wait_ready()
    else:
        node.resume()


def replica_of(fleet, master):
    """Its replica, when it follows and has all."""
    def follows():
        return next(n for n in fleet.nodes if n.alive() and n is not master and
                    n.info("replication").get("master_port") == str(master.port) and
                    n.info("replication")["master_link_status"] == "up")
    return wait_until(follows, 20, "a replica of %s" % master.name)


class Reader(threading.Thread):
    """Reads a key of database 1 from one node as any client would; knows the values that it was answered as by a
    master."""

    def __init__(self, node, key):
        super().__init__(daemon=True)
        self.node, self.key = node, key
        self.values, self.ends = [], False
        self.start()

    def run(self):
        while not self.ends:
            try:
                with self.node.connect(timeout_s=30) as client:
                    client.call("SELECT", 1)
                    while not self.ends:
                        value = client.call("GET", self.key)
                        if not isinstance(value, RespError):
                            self.values.append(value)
            except (Closed, OSError):
                time.sleep(0.01)

    def end(self):
        self.ends = True
        self.join(timeout=60)
        assert not self.is_alive()


@case(kinds=OURS, limit_s=150)
def test_swapdb_without_a_replica(lab):
    """One of them is dead or stopped, and nobody has noticed yet: the swap is made at once, and so is the next."""
    fleet, keys = swappable(lab)
    epoch = 0
    for how in ("kill", "stop"):
        victim = replica_of(fleet, fleet.masters[0])
        hurt(victim, how)
        for asked in ((fleet.supervisors[1], "SENTINEL", "SWAPDB", fleet.name, 1, 2),
                      (fleet.masters[0], "SWAPDB", 2, 1), (fleet.masters[1], "SWAPDB", 2, 1)):
            before = time.monotonic()
            assert long_call(*asked) == "OK", (how, asked)
            took_s = time.monotonic() - before
            print(how, "%.0f ms" % (took_s * 1000))
            assert took_s < 3, (how, took_s)  # the masters wait for a quarter of a second; the machine may be busy
            epoch += 1
            assert_values(fleet, keys, epoch)
        heal(victim, how)
        wait_until(lambda: mapping(victim)["epoch"] == epoch, 30, "%s has learned it" % victim.name)
        fleet.wait_well(timeout_s=30)
    assert wait_agreed(fleet, keys) == epoch


@case(kinds=OURS, limit_s=150)
def test_who_missed_a_swap_takes_over(lab):
    """A replica that stood still while databases were swapped is promoted: before it answers as a master it has the
    swap, and never are both databases read as they were."""
    fleet, keys = swappable(lab)
    epoch = 0
    for missed in (1, 2):
        master = next(n for n in masters_now(fleet) if not isinstance(n.call("GET", keys[0]), RespError))
        victim, shard = replica_of(fleet, master), fleet.name_of(master)
        victim.pause()
        for _ in range(missed):
            assert fleet.supervisors[0].ok("SENTINEL", "SWAPDB", fleet.name, 1, 2) == "OK"
            epoch += 1
        master.kill9()
        reader = Reader(victim, keys[0])
        victim.resume()
        assert fleet.wait_switched(shard, master, timeout_s=30) is victim
        expected = "of %d" % (1 if epoch % 2 == 0 else 2)
        wait_until(lambda: expected in reader.values, 20, "it answers")
        reader.end()
        assert set(reader.values) == {expected}, (expected, set(reader.values))
        master.start()
        master.wait_ready()
        fleet.wait_well(timeout_s=30)
        assert wait_agreed(fleet, keys) == epoch


@case(kinds=OURS, limit_s=240)
def test_a_replica_is_hurt_at_each_step(lab):
    """It dies, or stands still, when the leader of the swap dies at that step: what the others come to holds for it
    when it is back."""
    fleet, keys = swappable(lab)
    leader = min(fleet.supervisors, key=lambda s: s.ok("SENTINEL", "MYID"))
    epoch = 0
    for step, made in (("begin", 0), ("prepare", 0), ("commit", 1)):
        for how in ("kill", "stop"):
            victim = replica_of(fleet, fleet.masters[1])
            assert leader.ok("SENTINEL", "SIMULATE-FAILURE", "crash-after-swap-" + step) == "OK"
            thread, result = in_background(long_call, leader, "SENTINEL", "SWAPDB", fleet.name, 1, 2)
            wait_until(lambda: not leader.alive(), 20, "the leader ends")
            hurt(victim, how)
            thread.join(timeout=20)
            assert result == [None], (step, how, result)
            epoch += made
            assert wait_agreed(fleet, keys) == epoch, (step, how)
            leader.start()
            leader.wait_ready()
            assert long_call(fleet.supervisors[1], "SENTINEL", "SWAPDB", fleet.name, 1, 2) == "OK", (step, how)
            epoch += 1
            heal(victim, how)
            wait_until(lambda: mapping(victim)["epoch"] == epoch, 30, "%s has learned it" % victim.name)
            fleet.wait_well(timeout_s=30)
            assert wait_agreed(fleet, keys) == epoch
