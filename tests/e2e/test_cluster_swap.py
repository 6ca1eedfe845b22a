"""Swaps of databases over a supervised cluster: decided by the supervisors, made by every master or by none, with every
participant killed, stopped and cut off at every step."""
import json
import random
import statistics
import subprocess
import threading
import time

from cases import case
from lab import RespError, wait_until
from lab.clusters import cluster_node, key_in, meet, my_id
from lab.resp import Closed, pairs
from lab.supervised import Supervised
from lab.supervisors import nodectl_path

OURS = ("ours",)
SHARDS = 3
DATABASES = (1, 2)


def swappable(lab, **options):
    """A fleet under leases; every shard has a key with other values in databases 1 and 2. Returns (fleet, keys)."""
    node_options = {"appendonly": "yes", "appendfsync": "always", "repl_diskless_sync_delay": 0}
    fleet = Supervised(lab, shards=(("ours", "ours"),) * SHARDS, declared=True, node_options=node_options, **options)
    keys = [key_in(16384 * (2 * i + 1) // (2 * SHARDS)) for i in range(SHARDS)]
    for node, key in zip(fleet.masters, keys):
        wait_until(lambda: lease_ms(node) > 0, 20, "%s is leased" % node.name)
        for db in DATABASES:  # a lease of a few hundred milliseconds may run out on a busy machine
            wait_until(lambda: with_db(node, db, "SET", key, "of %d" % db) == "OK", 20, "%s takes writes" % node.name)
        assert with_db(node, 1, "WAIT", 1, 5000) == 1
    return fleet, keys


def lease_ms(node):
    text = node.ok("CLUSTER", "INFO")
    return int(dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)["cluster_lease_ms"])


def with_db(node, db, *command):
    client = node.connect(timeout_s=30)
    try:
        assert client.call("SELECT", db) == "OK"
        return client.call(*command)
    finally:
        client.close()


def mapping(node):
    return pairs(node.ok("CLUSTER", "DBMAP"))


def view(supervisor, fleet):
    return pairs(supervisor.ok("SENTINEL", "CLUSTER", fleet.name))


def state(supervisor, fleet):
    shown = view(supervisor, fleet)
    return int(shown["mapping-epoch"]), shown["swapdb-state"]


def masters_now(fleet):
    return [fleet.node(port) for port in sorted(filter(None, fleet.shards(fleet.running()[0]).values()))]


def wait_mapping(fleet, keys, epoch, timeout_s=30):
    """By themselves all shards come to this mapping, nothing is prepared any more, and both databases answer so."""
    def there():
        masters = masters_now(fleet)
        assert len(masters) == SHARDS
        for node in masters:
            said = mapping(node)
            assert (said["epoch"], said["state"]) in ((epoch, "applied"), (epoch, "aborted"), (0, "none")), said
        return all(mapping(node)["epoch"] == epoch for node in masters)
    wait_until(there, timeout_s, "all masters have mapping %d" % epoch)
    assert_values(fleet, keys, epoch)


def assert_values(fleet, keys, epoch):
    for key in keys:
        owner = wait_until(lambda k=key: [n for n in masters_now(fleet) if not isinstance(n.call("GET", k), RespError)],
                           20, "somebody has the slot of %s" % key)[0]
        for db in DATABASES:
            there = db if epoch % 2 == 0 else 3 - db
            value = with_db(owner, db, "GET", key)
            assert value == "of %d" % there, (owner.name, key, db, epoch, value)


def refused(answer):
    """Where a disk stands still for a second a swap is given up, and all is as before; a master that stands still for
    longer than its lease does not even begin it."""
    return "nothing has changed" in str(answer) or str(answer).startswith("CLUSTERDOWN This master holds no lease")


def swap_made(process, *command, timeout_s=30):
    """Asks until it is made."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = long_call(process, *command)
        if answer == "OK":
            return
        assert refused(answer) and time.monotonic() < deadline, answer
        time.sleep(0.05)


class Blocked(threading.Thread):
    """Reads database 1 of a node all the time; knows how long its longest wait was."""

    def __init__(self, node, key):
        super().__init__(daemon=True)
        self.client = node.connect(timeout_s=30)
        self.client.call("SELECT", 1)
        self.key = key
        self.longest_ms = 0
        self.values = []
        self.ends = False
        self.start()

    def run(self):
        while not self.ends:
            before = time.monotonic()
            try:
                value = self.client.call("GET", self.key)
            except Closed:  # its node ended
                return
            self.longest_ms = max(self.longest_ms, (time.monotonic() - before) * 1000)
            if not self.values or self.values[-1] != value:
                self.values.append(value)

    def end(self):
        self.ends = True
        self.join(timeout=30)
        self.client.close()


@case(kinds=OURS, limit_s=120)
def test_swapdb_without_fault(lab):
    """Through every door; both databases wait for 50 ms at most, and once OK is told nobody reads the old mapping."""
    fleet, keys = swappable(lab, down_after_ms=2000)  # the lease outlasts what a busy machine stands still
    first, second, _ = fleet.supervisors
    assert state(first, fleet) == (0, "none")
    waits, epoch = [], 0
    # On a busy machine a reader is late for other reasons: a quarter of the swaps tells what they take by themselves.
    while epoch < 5 or (statistics.quantiles(waits)[0] > 50 and epoch < 40):
        epoch += 1
        readers = [Blocked(node, key) for node, key in zip(fleet.masters, keys)]
        wait_until(lambda: all(r.values for r in readers), 20, "all read the old mapping")
        asked = fleet.masters[0] if epoch % 2 == 0 else None
        swap_made(*((asked, "SWAPDB", 1, 2) if asked else (first, "SENTINEL", "SWAPDB", fleet.name, 2, 1)))
        assert_values(fleet, keys, epoch)
        wait_until(lambda: all(len(r.values) > 1 for r in readers), 20, "all read the new mapping")
        for reader in readers:
            reader.end()
            assert reader.values == (["of 1", "of 2"] if epoch % 2 else ["of 2", "of 1"]), reader.values
        waits.append(max(r.longest_ms for r in readers))
    wait_until(lambda: all(state(s, fleet) == (epoch, "done") for s in fleet.supervisors), 20, "all know it is done")
    print("longest waits, ms:", ["%.1f" % ms for ms in waits])
    assert statistics.quantiles(waits)[0] <= 50, waits
    assert "can't be exchanged" in str(first.call("SENTINEL", "SWAPDB", fleet.name, 1, 1))
    assert "out of range" in str(first.call("SENTINEL", "SWAPDB", fleet.name, 1, 99))
    assert "No such cluster" in str(second.call("SENTINEL", "SWAPDB", "nobody", 1, 2))
    assert "DB index is out of range" in str(fleet.masters[0].call("SWAPDB", 1, 99))
    assert fleet.masters[0].ok("SWAPDB", 1, 1) == "OK"
    assert_values(fleet, keys, epoch)
    operator_swaps(fleet, keys, epoch)
    in_transaction(fleet.masters[0])


def run_db_swap(*args):
    return subprocess.run([nodectl_path(), "db", "swap"] + [str(a) for a in args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=60,
                          check=False)


def db_swap(*args, code=0):
    done = run_db_swap(*args)
    assert done.returncode == code, (args, done)
    return done.stdout, done.stderr


def db_swapped(*args):
    """Asks until it is made, as swap_made() does; what is said then."""
    for _ in range(10):
        done = run_db_swap(*args)
        if done.returncode == 0 or "nothing has changed" not in done.stdout + done.stderr:
            break
    assert done.returncode == 0, (args, done)
    return done.stdout


def operator_swaps(fleet, keys, epoch):
    """nodectl db swap, behind so many others."""
    at = ("-s", "127.0.0.1:%d" % fleet.supervisors[1].port)
    plan, _ = db_swap(1, 2, "--dry-run", *at)
    assert "on all 3 masters, or on none" in plan and "mapping epoch %d, then %d" % (epoch, epoch + 1) in plan, plan
    assert all(":%d" % node.port in plan for node in fleet.masters), plan
    assert_values(fleet, keys, epoch)
    assert "--yes" in db_swap(1, 2, *at, code=2)[1]
    assert "exchanged with itself" in db_swap(1, 1, *at, code=2)[1]
    assert "no number of a database" in db_swap(1, "x", *at, code=2)[1]
    assert "watches a cluster 'nobody'" in db_swap(1, 2, "--yes", "--cluster", "nobody", *at, code=1)[1]
    assert "out of range" in db_swap(1, 99, "--yes", *at, code=1)[1]
    said = json.loads(db_swapped(1, 2, "--yes", "-o", "json", *at))
    assert said["done"] and said["mapping_epoch"] == epoch + 1 and said["reason"] is None, said
    assert_values(fleet, keys, epoch + 1)
    text = db_swapped(1, 2, "--yes", "--cluster", fleet.name, *at)
    assert "Done: every master has exchanged them" in text
    assert_values(fleet, keys, epoch + 2)


def in_transaction(node):
    with node.connect() as client:
        assert client.call("MULTI") == "OK" and client.call("SWAPDB", 1, 2) == "QUEUED"
        assert "not allowed inside a transaction" in str(client.call("EXEC"))


def in_background(call, *args):
    """Runs the request beside the test; what it came to is in the list when the thread has ended. A connection that
    broke is None."""
    result = []

    def run():
        try:
            result.append(call(*args))
        except (Closed, OSError):
            result.append(None)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, result


def long_call(process, *command):
    with process.connect(timeout_s=30) as client:
        return client.call(*command)


def wait_agreed(fleet, keys, timeout_s=30):
    """Whatever it came to, by themselves all masters have one mapping, nothing is prepared any more, and every
    supervisor knows it. Returns its epoch."""
    def agreed():
        said = {s.name: state(s, fleet) for s in fleet.running()}
        assert len(set(said.values())) == 1 and all(v[1] in ("done", "aborted", "none") for v in said.values()), said
        epoch = next(iter(said.values()))[0]
        maps = [mapping(n) for n in masters_now(fleet)]
        assert len(maps) == SHARDS and all(m["epoch"] == epoch and m["state"] != "prepared" for m in maps), maps
        return (epoch,)
    epoch = wait_until(agreed, timeout_s, "supervisors and masters agree on the mapping")[0]
    assert_values(fleet, keys, epoch)
    return epoch


def ask_until_it_ends(fleet, leader, by_client):
    """Asks for swaps until the leader crashes in one of them: another supervisor may be quicker to take up a client's
    wish, and on a busy machine one may be given up. Returns the request that was on its way then, and how many were
    made before."""
    made = 0
    for _ in range(20):
        if by_client:
            thread, result = in_background(long_call, fleet.masters[1], "SWAPDB", 1, 2)
        else:
            thread, result = in_background(long_call, leader, "SENTINEL", "SWAPDB", fleet.name, 1, 2)
        wait_until(lambda: not leader.alive() or result, 40, "it is over")
        if result == [None]:
            wait_until(lambda: not leader.alive(), 20, "the leader has ended")
        if not leader.alive():  # before anybody could answer in its place
            assert leader.proc.returncode == 99
            return thread, result, made
        assert result == ["OK"] or refused(result[0]), result
        made += result == ["OK"]
    raise AssertionError("%s never leads" % leader.name)


@case(kinds=OURS, limit_s=180)
def test_swapdb_leader_dies(lab):
    """At each step; what a majority had decided is done, all else is undone, without anybody's help. The client of a
    master is told so; whoever asked the leader itself hears nothing."""
    fleet, keys = swappable(lab)
    leader = min(fleet.supervisors, key=lambda s: s.ok("SENTINEL", "MYID"))  # the first in rank
    epoch = 0
    for step, decided in (("begin", 0), ("prepare", 0), ("commit", 1)):
        for by_client in (False, True):
            assert leader.ok("SENTINEL", "SIMULATE-FAILURE", "crash-after-swap-" + step) == "OK"
            thread, result, made = ask_until_it_ends(fleet, leader, by_client)
            thread.join(timeout=60)
            if not by_client:
                assert result == [None], (step, result)
            elif decided or step == "begin":  # no master had heard of it: another supervisor took the wish up anew
                assert result == ["OK"], (step, result)
            else:
                assert "nothing has changed" in str(result[0]), (step, result)
            epoch += made + (1 if decided or result == ["OK"] else 0)
            assert wait_agreed(fleet, keys) == epoch, (step, epoch)
            leader.start()
            leader.wait_ready()
            wait_until(lambda: len({state(s, fleet) for s in fleet.supervisors}) == 1, 20, "it learns what it missed")
    swap_made(fleet.supervisors[0], "SENTINEL", "SWAPDB", fleet.name, 1, 2)
    assert wait_agreed(fleet, keys) == epoch + 1


@case(kinds=OURS, limit_s=180)
def test_swapdb_leader_and_master_die(lab):
    """A master goes away together with the leader, when it has said yes, or when it was to make the swap: its replica
    is shut for the two databases when it takes its place, until it has done what the others do."""
    fleet, keys = swappable(lab)
    leader = fleet.supervisors[0]
    epoch = 0
    for step, made in (("prepare", 0), ("commit", 1)):
        victim = masters_now(fleet)[0]
        shard = fleet.name_of(victim)
        assert leader.ok("SENTINEL", "SIMULATE-FAILURE", "crash-after-swap-" + step) == "OK"
        thread, _, before = ask_until_it_ends(fleet, leader, by_client=False)
        if made:
            victim.kill9()
        else:
            victim.pause()
        thread.join(timeout=60)
        epoch += before + made
        fleet.wait_switched(shard, victim, timeout_s=30)
        assert wait_agreed(fleet, keys) == epoch, (step, epoch)
        leader.start()
        leader.wait_ready()
        if made:
            victim.start()
            victim.wait_ready()
        else:
            victim.resume()
        wait_until(lambda: victim.info("replication")["role"] == "slave", 30, "the old master follows")
        fleet.wait_well(timeout_s=30)
        assert wait_agreed(fleet, keys) == epoch


def hurt(fleet, victim, how, pause_s):
    """Kills or stops a supervisor or a master, and sees to it that it is there again."""
    if how == "kill":
        victim.kill9()
        time.sleep(pause_s)
        victim.start()
        victim.wait_ready()
    else:
        victim.pause()
        time.sleep(pause_s)
        victim.resume()


@case(kinds=OURS, limit_s=240)
def test_swapdb_under_faults(lab):
    """Supervisors and masters are killed and stopped at moments of all kinds while databases are swapped. Then all
    agree, without anybody's help, and who was told OK was told the truth."""
    fleet, keys = swappable(lab)
    draw = random.Random(lab.seed if hasattr(lab, "seed") else None)
    epoch = 0
    for turn in range(8):
        master = masters_now(fleet)[draw.randrange(SHARDS)]
        if turn % 2:
            asked = (long_call, masters_now(fleet)[draw.randrange(SHARDS)], "SWAPDB", 1, 2)
        else:
            asked = (long_call, fleet.supervisors[0], "SENTINEL", "SWAPDB", fleet.name, 1, 2)
        victim = fleet.supervisors[0] if turn % 4 < 2 else master
        how = "kill" if draw.random() < 0.5 else "stop"
        delay_s = draw.random() * 0.04
        thread, result = in_background(*asked)
        time.sleep(delay_s)
        hurt(fleet, victim, how, 1.0 if victim is master else 0.3)
        thread.join(timeout=90)
        fleet.wait_well(timeout_s=40)
        now = wait_agreed(fleet, keys)
        print(turn, victim.name, how, "%.0f ms" % (delay_s * 1000), result, epoch, "->", now)
        assert now in (epoch, epoch + 1), (epoch, now)
        if result == ["OK"]:
            assert now == epoch + 1
        if "nothing has changed" in str(result[0]):
            assert now == epoch
        epoch = now


@case(kinds=OURS, limit_s=120)
def test_swapdb_and_a_new_shard(lab):
    """A node that joins behind a swap comes to the mapping of the others by itself, and takes slots then."""
    fleet, keys = swappable(lab, down_after_ms=2000)  # the lease outlasts what a busy machine stands still
    swap_made(fleet.supervisors[1], "SENTINEL", "SWAPDB", fleet.name, 1, 2)
    swap_made(fleet.masters[2], "SWAPDB", 3, 4)
    joined = cluster_node(lab, "ours", "joined", cluster_node_timeout=15000)
    meet(fleet.masters[0], [joined])
    wait_until(lambda: mapping(joined)["epoch"] == 2, 30, "it has the mapping of the others")
    slot = fleet.masters[0].ok("CLUSTER", "KEYSLOT", keys[0])
    owner = next(n for n in fleet.masters if not isinstance(n.call("GET", keys[0]), RespError))
    assert owner.ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", my_id(joined)) == "OK"
    wait_until(lambda: with_db(joined, 1, "GET", keys[0]) == "of 2", 30, "it has the slot, and writes are taken there")
    wait_until(lambda: lease_ms(joined) > 0, 20, "it is supervised")
    swap_made(joined, "SWAPDB", 1, 2)
    assert with_db(joined, 1, "GET", keys[0]) == "of 1"


def give_list(fleet, supervisors):
    """Only these are on it from now on: the rest is ended, then one after the other is started with it."""
    gone = [s for s in fleet.supervisors if s not in supervisors]
    extra = ("supervisors = [ %s ];" % ", ".join('"127.0.0.1:%d"' % s.port for s in supervisors),)
    for s in gone:
        s.terminate()
    for s in supervisors:
        if s.alive():
            s.terminate()
        s.extra = extra
        s.configure([], [fleet.cluster])
        s.boot()
    fleet.supervisors = list(supervisors)


def swap_at(fleet, supervisor):
    """As soon as it may: nodes have to count its list, and it has to know what the one before has decided."""
    def swapped():
        answer = str(supervisor.call("SENTINEL", "SWAPDB", fleet.name, 1, 2))
        assert answer == "OK" or "was not begun, and nothing has changed" in answer, answer
        return answer == "OK"
    wait_until(swapped, 30, "%s swaps" % supervisor.name)


@case(kinds=OURS, limit_s=120)
def test_swapdb_under_new_lists(lab):
    """A supervisor is replaced by a new one, swaps go on, and it comes back with its old state directory in the place
    of another. With the new one it is a majority, and neither undoes what was decided without it."""
    fleet, keys = swappable(lab, down_after_ms=4000)
    first, second, third = fleet.supervisors
    fourth = lab.supervisor("sentinel3", [], kind="ours", port=lab.ports.take(), clusters=[fleet.cluster], boot=False)
    swap_at(fleet, third)
    give_list(fleet, (first, second, fourth))
    swap_at(fleet, fourth)
    give_list(fleet, (first, fourth, third))
    for s in fleet.supervisors:
        wait_until(lambda s=s: view(s, fleet)["mapping-known"] == "1", 20, "%s knows what was decided" % s.name)
        assert state(s, fleet)[0] == 2
    first.pause()
    swap_at(fleet, third)
    assert_values(fleet, keys, 3)
    assert state(fourth, fleet)[0] == 3
    first.resume()
    wait_until(lambda: all(state(s, fleet) == (3, "done") for s in fleet.supervisors), 20, "all know it is done")
