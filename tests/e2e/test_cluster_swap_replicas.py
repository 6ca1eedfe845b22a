"""Swaps of databases while replicas are dead or stand still: they are made without them, and who missed one learns it
before anything is read from it as a master."""
import threading
import time

from cases import case
from lab import RespError, wait_until
from lab.clusters import cluster_node, meet, my_id
from lab.resp import Closed
from lab.supervised import Supervised
from test_cluster_swap import (DATABASES, ask_until_it_ends, assert_values, db_swap, long_call, mapping, masters_now,
                               swap_made, swappable, wait_agreed, with_db)

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
        return next((n for n in fleet.nodes if n.alive() and n is not master and
                     n.info("replication").get("master_port") == str(master.port) and
                     n.info("replication").get("master_link_status") == "up"), None)
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
            swap_made(*asked, timeout_s=15)
            took_s = time.monotonic() - before
            print(how, "%.0f ms" % (took_s * 1000))
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
            swap_made(fleet.supervisors[0], "SENTINEL", "SWAPDB", fleet.name, 1, 2)
            epoch += 1
        master.kill9()
        reader = Reader(victim, keys[0])
        victim.resume()
        assert fleet.wait_switched(shard, master, timeout_s=40) is victim
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
            thread, result, before = ask_until_it_ends(fleet, leader, by_client=False)
            hurt(victim, how)
            thread.join(timeout=60)
            assert result == [None], (step, how, result)
            epoch += before + made
            assert wait_agreed(fleet, keys) == epoch, (step, how)
            leader.start()
            leader.wait_ready()
            swap_made(fleet.supervisors[1], "SENTINEL", "SWAPDB", fleet.name, 1, 2)
            epoch += 1
            heal(victim, how)
            wait_until(lambda: mapping(victim)["epoch"] == epoch, 30, "%s has learned it" % victim.name)
            fleet.wait_well(timeout_s=30)
            assert wait_agreed(fleet, keys) == epoch


@case(kinds=OURS, limit_s=90)
def test_nobody_took_it_up(lab):
    """The supervisors are gone while a client waits: the master's lease ends too, and the client is told that nothing
    was done, which is so."""
    fleet, keys = swappable(lab)
    for supervisor in fleet.supervisors[1:]:
        supervisor.pause()
    answer = str(long_call(fleet.masters[1], "SWAPDB", 1, 2))
    # On a slow machine the lease is over before the request comes.
    assert "nothing has changed" in answer or answer.startswith("CLUSTERDOWN"), answer
    for supervisor in fleet.supervisors[1:]:
        supervisor.resume()
    fleet.wait_well(timeout_s=40)
    assert wait_agreed(fleet, keys) == 0


@case(kinds=OURS, limit_s=90)
def test_a_stock_node_does_not_follow_behind_a_swap(lab):
    """What it would be given has a mapping that it cannot keep, and whoever followed it would have none."""
    fleet, keys = swappable(lab, down_after_ms=2000)  # the lease outlasts what a busy machine stands still
    master = fleet.masters[0]
    shard = fleet.name_of(master)
    swap_made(fleet.supervisors[0], "SENTINEL", "SWAPDB", fleet.name, 1, 2)
    for db in DATABASES:
        assert with_db(master, db, "DEL", keys[0]) == 1
    with master.connect() as client:  # as a stock replica asks
        assert client.ok("REPLCONF", "capa", "eof", "capa", "psync2") == "OK"
        assert "were swapped" in str(client.call("PSYNC", "?", -1))
    joined = cluster_node(lab, "stock", "stock0", cluster_node_timeout=15000)
    meet(master, [joined])
    wait_until(lambda: joined.call("CLUSTER", "REPLICATE", my_id(master)) == "OK", 20, "it is to follow")
    wait_until(lambda: all(joined.port in ports for s in fleet.supervisors
                           for port, ports in fleet.seen(s).values() if port == master.port), 30, "all know it")
    # The client is told at once, once the master has heard over the bus who follows it.
    wait_until(lambda: "knows database 0 only" in str(long_call(master, "SWAPDB", 1, 2)), 20, "it is refused")
    master.kill9()
    fleet.wait_switched(shard, master, timeout_s=30)
    assert joined.info("replication")["role"] == "slave"


@case(kinds=OURS, limit_s=60)
def test_a_stock_cluster_is_not_swapped(lab):
    """Whoever asks hears why, and a plan that cannot be carried out is none."""
    fleet = Supervised(lab, shards=(("stock",),) * 3, declared=True)
    why = "is a stock node, which knows database 0 only"
    first = fleet.supervisors[0]
    # Who is slow for a moment is in the way too, and may be told of first.
    wait_until(lambda: why in str(long_call(first, "SENTINEL", "SWAPDB", fleet.name, 1, 2)), 20, "it is refused")

    def no_plan():
        out, err = db_swap(1, 2, "--dry-run", "-s", "127.0.0.1:%d" % first.port, code=1)
        assert "no databases can be swapped now" in err and why in err, (out, err)
        return True
    wait_until(no_plan, 20, "nor is there a plan")
