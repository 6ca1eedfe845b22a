"""The node's half of a swap of two databases over a cluster: CLUSTER DBMAP, with every step killed, restarted and
failed over. The test decides in the place of supervisors."""
import os
import threading

from cases import case
from lab import RespError, wait_until
from lab.clusters import info, key_in, make_cluster, my_id, wait_agreed
from lab.leases import LeaseKeepers
from lab.ports import listener

OURS = ("ours",)
SHARDS = 3


def supervised(lab, **options):
    """A cluster under the leases of three supervisors. Returns (masters, replicas, the supervisors)."""
    options = dict({"appendonly": "yes", "appendfsync": "always", "repl_diskless_sync_delay": 0,
                    "cluster_node_timeout": 3000}, **options)  # whom a busy machine keeps for a moment is not missed
    masters, replicas = make_cluster(lab, ["ours"] * SHARDS, [("ours", i) for i in range(SHARDS)], **options)
    keepers = LeaseKeepers(lab, ttl_ms=2000)
    for i, node in enumerate(masters):
        keepers.keep("shard%d" % i, node, [replicas[i]])
    nodes = masters + replicas
    wait_until(lambda: all(keepers.answer(node).get("supervised") for node in nodes), 20, "all are supervised")
    wait_agreed(nodes)
    return masters, replicas, keepers


def mapping(node):
    words = node.ok("CLUSTER", "DBMAP")
    return dict(zip(words[::2], words[1::2]))


def dbmap(node, *words):
    return node.ok("CLUSTER", "DBMAP", *words)


def refused(node, *words):
    answer = node.call("CLUSTER", "DBMAP", *words)
    assert isinstance(answer, RespError), (words, answer)
    return str(answer)


def fill(masters):
    """A key in database 1 and another in database 2 of each shard; returns their names."""
    keys = [key_in(16384 // SHARDS * i + 5) for i in range(SHARDS)]
    for node, key in zip(masters, keys):
        with node.connect() as client:
            for db in (1, 2):
                client.ok("SELECT", db)
                client.ok("SET", key, "of %d" % db)
    return keys


def value_in(node, db, key, readonly=False):
    with node.connect() as client:
        if readonly:
            client.ok("READONLY")
        client.ok("SELECT", db)
        return client.ok("GET", key)


def is_swapped(node, key, swapped, readonly=False):
    other = {1: 2, 2: 1}
    return all(value_in(node, db, key, readonly) == "of %d" % (other[db] if swapped else db) for db in (1, 2))


class Waiter(threading.Thread):
    """A request in a database that is held: it must get its answer, and no error, when the hold ends."""

    def __init__(self, node, db, *words):
        super().__init__(daemon=True)
        self.client = node.connect(timeout_s=60)
        self.client.ok("SELECT", db)
        self.words = words
        self.answer = None
        self.start()

    def run(self):
        try:
            self.answer = self.client.call(*self.words)
        except (OSError, EOFError) as error:
            self.answer = error

    def is_waiting(self):
        self.join(0.2)
        return self.is_alive()

    def answered(self):
        self.join(30)
        assert not self.is_alive(), self.words
        self.client.close()
        return self.answer


@case(kinds=OURS, limit_s=90)
def test_nobody_swaps_without_supervisors(lab):
    masters, _ = make_cluster(lab, ["ours"] * SHARDS)
    for node in masters:
        assert "SWAPDB is not allowed in cluster mode" in str(node.call("SWAPDB", 1, 2))
        assert "supervisors" in refused(node, "PREPARE", 1, 2, "EPOCH", 1)
        assert "supervisors" in refused(node, "APPLY", 1, 2, "EPOCH", 1)
        assert mapping(node)["state"] == "none"


@case(kinds=OURS, limit_s=120)
def test_a_swap(lab):
    """Prepared everywhere, applied everywhere: requests to the two databases wait, and get no error."""
    masters, replicas, _ = supervised(lab)
    keys = fill(masters)
    assert "is a replica" in refused(replicas[0], "PREPARE", 1, 2, "EPOCH", 1)
    assert "has epoch 0" in refused(masters[0], "PREPARE", 1, 2, "EPOCH", 2)
    assert "out of range" in refused(masters[0], "PREPARE", 1, 99, "EPOCH", 1)
    for node in masters:
        assert dbmap(node, "PREPARE", 1, 2, "EPOCH", 1) == "YES %s" % info(node)["cluster_my_epoch"]
        assert dbmap(node, "PREPARE", 1, 2, "EPOCH", 1).startswith("YES ")
        assert mapping(node)["state"] == "prepared"
    slot = masters[0].ok("CLUSTER", "KEYSLOT", keys[0])
    seen = [Waiter(masters[0], 1, "CLUSTER", "COUNTKEYSINSLOT", slot),
            Waiter(masters[0], 2, "CLUSTER", "GETKEYSINSLOT", slot, 10), Waiter(masters[0], 1, "DBSIZE")]
    waiters = [Waiter(masters[0], 1, "SET", keys[0], "new"), Waiter(masters[0], 2, "GET", keys[0]),
               Waiter(masters[1], 0, "MOVE", keys[1], 1), Waiter(masters[1], 0, "FLUSHALL")]
    assert all(w.is_waiting() for w in waiters + seen)
    assert masters[0].ok("SET", keys[0], "of 0") == "OK"  # another database
    for node in masters:
        assert dbmap(node, "APPLY", 1, 2, "EPOCH", 1) == "OK"
        assert dbmap(node, "APPLY", 1, 2, "EPOCH", 1) == "OK"
        assert mapping(node)["epoch"] == 1 and mapping(node)["state"] == "applied"
    assert [w.answered() for w in waiters] == ["OK", "of 1", 0, "OK"]
    assert [w.answered() for w in seen] == [1, [keys[0]], 1]
    assert value_in(masters[0], 1, keys[0]) == "new" and value_in(masters[0], 2, keys[0]) == "of 1"
    assert "done already" in refused(masters[0], "ABORT", "EPOCH", 1)
    assert "has epoch 1" in refused(masters[0], "APPLY", 1, 2, "EPOCH", 3)
    wait_until(lambda: value_in(replicas[0], 1, keys[0], True) == "new" and
               value_in(replicas[0], 2, keys[0], True) == "of 1", 20, "the replica has the new mapping")


@case(kinds=OURS, limit_s=120)
def test_an_abort(lab):
    masters, _, _ = supervised(lab)
    keys = fill(masters)
    dbmap(masters[0], "PREPARE", 1, 2, "EPOCH", 1)
    assert "3 and 4" not in refused(masters[0], "PREPARE", 3, 4, "EPOCH", 1)
    waiter = Waiter(masters[0], 1, "GET", keys[0])
    assert waiter.is_waiting()
    assert dbmap(masters[0], "ABORT", "EPOCH", 1) == "OK"
    assert waiter.answered() == "of 1"
    assert mapping(masters[0])["state"] == "aborted" and is_swapped(masters[0], keys[0], False)
    dbmap(masters[0], "PREPARE", 3, 4, "EPOCH", 1)
    assert dbmap(masters[0], "APPLY", 3, 4, "EPOCH", 1) == "OK"


@case(kinds=OURS, limit_s=150)
def test_a_yes_survives(lab):
    """The master is killed and restarted, and then killed for good: it stays prepared, and so does its successor."""
    masters, replicas, keepers = supervised(lab)
    keys = fill(masters)
    for node in masters:
        dbmap(node, "PREPARE", 1, 2, "EPOCH", 1)
    masters[0].kill9()
    masters[0].start()
    masters[0].wait_ready()
    assert mapping(masters[0])["state"] == "prepared"
    wait_agreed(masters + replicas)
    assert Waiter(masters[0], 1, "GET", keys[0]).is_waiting()
    wait_until(lambda: replicas[0].info("replication").get("master_link_status") == "up", 20, "the replica is back")
    keepers.wait_answer(replicas[0], lambda said: said["state_known"] == 1, "the replica may be promoted")
    masters[0].kill9()
    assert keepers.promote(replicas[0], 100, [masters[0]]) == "OK"
    wait_until(lambda: info(replicas[0])["cluster_state"] == "ok", 20, "its cluster is well, and it has a lease")
    assert mapping(replicas[0])["state"] == "prepared"
    waiter = Waiter(replicas[0], 2, "GET", keys[0])
    assert waiter.is_waiting()
    assert dbmap(replicas[0], "APPLY", 1, 2, "EPOCH", 1) == "OK"
    assert waiter.answered() == "of 1"
    # The old one comes back as a replica: it gets the mapping with the data.
    masters[0].start()
    masters[0].wait_ready()
    wait_until(lambda: mapping(masters[0])["epoch"] == 1 and is_swapped(masters[0], keys[0], True, readonly=True), 20,
               "the old master has the new mapping")


@case(kinds=OURS, limit_s=150)
def test_an_applied_swap_survives(lab):
    """Killed right behind the OK: the log and the file of the cluster know it; a new replica gets it in full."""
    masters, replicas, _ = supervised(lab)
    keys = fill(masters)
    for epoch in (1, 2, 3):
        dbmap(masters[0], "PREPARE", 1, 2, "EPOCH", epoch)
        dbmap(masters[0], "APPLY", 1, 2, "EPOCH", epoch)
        masters[0].kill9()
        masters[0].start()
        masters[0].wait_ready()
        assert mapping(masters[0])["epoch"] == epoch and mapping(masters[0])["state"] == "applied"
        wait_agreed(masters + replicas)
        assert is_swapped(masters[0], keys[0], epoch % 2 == 1)
    masters[0].ok("BGREWRITEAOF")
    wait_until(lambda: masters[0].info("persistence")["aof_rewrite_in_progress"] == "0", 20, "the log is rewritten")
    masters[0].kill9()
    masters[0].start()
    masters[0].wait_ready()
    wait_agreed(masters + replicas)
    assert mapping(masters[0])["epoch"] == 3 and is_swapped(masters[0], keys[0], True)
    wait_until(lambda: mapping(replicas[0])["epoch"] == 3 and is_swapped(replicas[0], keys[0], True, readonly=True), 20,
               "the replica has it")


@case(kinds=OURS, limit_s=120)
def test_a_dataset_that_missed_it_stays_held(lab):
    """nodes.conf says that the swap was to be done, and the dataset that was loaded does not have it: requests wait
    until it is applied again."""
    masters, replicas, _ = supervised(lab, appendonly="no", cluster_replica_validity_factor=1,
                                   repl_ping_replica_period=1)
    keys = fill(masters)
    for node in replicas:
        node.terminate()
    wait_until(lambda: masters[0].info("replication")["connected_slaves"] == "0", 20, "the replica is gone")
    for other in masters:
        for node in replicas:
            other.call("CLUSTER", "FORGET", my_id_of(node))
    masters[0].ok("SAVE")
    prepared = masters[0].connect(timeout_s=60)
    wait_until(lambda: str(prepared.call("CLUSTER", "DBMAP", "PREPARE", 1, 2, "EPOCH", 1)).startswith("YES"), 60,
               "prepared")
    dbmap(masters[0], "APPLY", 1, 2, "EPOCH", 1)
    masters[0].kill9()
    masters[0].start()
    masters[0].wait_ready()
    assert mapping(masters[0])["epoch"] == 0 and mapping(masters[0])["state"] == "prepared"
    wait_until(lambda: info(masters[0])["cluster_state"] == "ok", 20, "its cluster is well")
    waiter = Waiter(masters[0], 1, "GET", keys[0])
    assert waiter.is_waiting()
    assert dbmap(masters[0], "APPLY", 1, 2, "EPOCH", 1) == "OK"
    assert waiter.answered() == "of 2"


def my_id_of(node):
    """Of a node that does not run: its own file knows."""
    with open(os.path.join(node.directory, "nodes.conf"), encoding="ascii") as f:
        return next(line.split()[0] for line in f if "myself" in line)


@case(kinds=OURS, limit_s=120)
def test_swaps_and_migrations_exclude_each_other(lab):
    masters, _, keepers = supervised(lab)
    keys = fill(masters)
    # A target's epoch is above its source's; where two nodes had the same one after they met it may not be.
    assert keepers.promote(masters[1], 50, [masters[1]]) == "OK"
    dbmap(masters[0], "PREPARE", 1, 2, "EPOCH", 1)
    move = ("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 10, "NODE", my_id(masters[1]))
    assert "being swapped" in str(masters[0].call(*move))
    dbmap(masters[0], "APPLY", 1, 2, "EPOCH", 1)
    # The other shard has not applied it: it takes nothing from here.
    assert masters[0].ok(*move) == "OK"

    def last_state():
        rows = masters[0].ok("CLUSTER", "GETSLOTMIGRATIONS")
        row = dict(zip(rows[0][::2], rows[0][1::2]))
        return row["state"], row["message"]
    wait_until(lambda: last_state()[0] == "failed", 20, "the job has failed")
    assert "mapp" in last_state()[1], last_state()
    wait_until(lambda: dbmap(masters[1], "PREPARE", 1, 2, "EPOCH", 1).startswith("YES "), 20, "its job is over too")
    dbmap(masters[1], "APPLY", 1, 2, "EPOCH", 1)
    assert masters[0].ok(*move) == "OK"
    wait_until(lambda: last_state()[0] == "success", 20, "the slots have moved")
    assert is_swapped(masters[1], keys[0], True)


def open_slot(source, target, slot):
    """It waits where databases are held, and at a target until it has the epoch for it."""
    wait_until(lambda: target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", my_id(source)) == "OK", 20, "it imports")
    source.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", my_id(target))


def close_slot(slot, *nodes):
    for node in nodes:
        node.ok("CLUSTER", "SETSLOT", slot, "STABLE")


@case(kinds=OURS, limit_s=120)
def test_no_swap_while_a_slot_is_open(lab):
    """Keys that move by hand go by the numbers of their databases: neither end prepares, and says which slot it is;
    and where databases are prepared no slot is opened before that is over."""
    masters, _, keepers = supervised(lab)
    keys = fill(masters)
    source, target, other = masters
    assert keepers.promote(target, 50, [target]) == "OK"
    open_slot(source, target, 5)
    assert "Slot 5 is open (importing from %s)" % my_id(source)[:8] in refused(target, "PREPARE", 1, 2, "EPOCH", 1)
    assert "Slot 5 is open (migrating to %s)" % my_id(target)[:8] in refused(source, "PREPARE", 1, 2, "EPOCH", 1)
    assert dbmap(other, "PREPARE", 1, 2, "EPOCH", 1).startswith("YES ")
    assert dbmap(other, "ABORT", "EPOCH", 1) == "OK"
    with source.connect() as client:
        for db in (1, 2):
            client.ok("SELECT", db)
            assert client.ok("MIGRATE", "127.0.0.1", target.port, keys[0], db, 5000) == "OK"
    target.ok("CLUSTER", "SETSLOT", 5, "NODE", my_id(target))
    source.ok("CLUSTER", "SETSLOT", 5, "NODE", my_id(target))
    for node in masters:
        assert dbmap(node, "PREPARE", 1, 2, "EPOCH", 1).startswith("YES ")
    opens = [Waiter(target, 0, "CLUSTER", "SETSLOT", 6, "IMPORTING", my_id(source)),
             Waiter(source, 0, "CLUSTER", "SETSLOT", 6, "MIGRATING", my_id(target))]
    assert all(w.is_waiting() for w in opens)
    assert "open" not in source.ok("CLUSTER", "INFO") and mapping(source)["state"] == "prepared"
    close_slot(6, source)  # what closes one does not wait
    for node in masters:
        assert dbmap(node, "APPLY", 1, 2, "EPOCH", 1) == "OK"
    assert [w.answered() for w in opens] == ["OK", "OK"]
    assert is_swapped(target, keys[0], True)
    assert "Slot 6 is open" in refused(source, "PREPARE", 1, 2, "EPOCH", 2)
    close_slot(6, source, target)
    assert dbmap(source, "PREPARE", 1, 2, "EPOCH", 2).startswith("YES ")


@case(kinds=OURS, limit_s=120)
def test_a_swap_waits_for_a_migrate(lab):
    """What is on its way when it is to be prepared is not cut off: the swap is refused, and the client is answered."""
    masters, _, _ = supervised(lab)
    keys = fill(masters)
    silent = listener()
    waiter = Waiter(masters[0], 1, "MIGRATE", "127.0.0.1", silent.getsockname()[1], keys[0], 1, 50000)
    silent.settimeout(20)
    other_end, _ = silent.accept()
    assert "MIGRATE is on its way" in refused(masters[0], "PREPARE", 1, 2, "EPOCH", 1)
    assert waiter.is_waiting()
    other_end.close()
    silent.close()
    assert "IOERR" in str(waiter.answered())
    assert is_swapped(masters[0], keys[0], False)
    wait_until(lambda: str(masters[0].call("CLUSTER", "DBMAP", "PREPARE", 1, 2, "EPOCH", 1)).startswith("YES "), 20,
               "the swap is prepared")


@case(kinds=OURS, limit_s=120)
def test_keys_come_in_the_mapping_they_left_in(lab):
    """A key that is sent by a node whose databases have other numbers is not taken, however late it arrives."""
    masters, _, keepers = supervised(lab)
    keys = fill(masters)
    source, target, _ = masters
    assert keepers.promote(target, 50, [target]) == "OK"
    dbmap(target, "PREPARE", 1, 2, "EPOCH", 1)
    with target.connect() as late:
        payload = "no payload"
        restore = ("RESTORE-ASKING", keys[1], 0, payload)
        late.ok("SELECT", 1)
        assert late.ok("CLUSTER", "DBMAP", "FROM", my_id(source), 0) == "OK"
        assert "TRYAGAIN The database is being swapped" in str(late.call(*restore))
        dbmap(target, "APPLY", 1, 2, "EPOCH", 1)
        assert "TRYAGAIN The mapping of databases has epoch 1 here" in str(late.call(*restore))
        assert late.ok("CLUSTER", "DBMAP", "FROM", my_id(source), 1) == "OK"
        assert "TRYAGAIN" not in str(late.call(*restore))
        assert late.ok("CLUSTER", "DBMAP", "FROM", "0" * 40, 7) == "OK"  # of another cluster: it means what is here
        assert "TRYAGAIN" not in str(late.call(*restore))
    # Between nodes: the source has not made the swap yet.
    open_slot(source, target, 5)
    with source.connect() as client:
        client.ok("SELECT", 1)
        for _ in range(2):
            answer = str(client.call("MIGRATE", "127.0.0.1", target.port, keys[0], 1, 5000))
            assert "TRYAGAIN The mapping of databases has epoch 1 here, and epoch 0 where" in answer, answer
        assert source.ok("CLUSTER", "SLOT-KEYS", 5) and not target.ok("CLUSTER", "SLOT-KEYS", 5)
        dbmap(source, "APPLY", 1, 2, "EPOCH", 1)
        assert client.ok("MIGRATE", "127.0.0.1", target.port, keys[0], 1, 5000) == "OK"
    assert target.ok("CLUSTER", "SLOT-KEYS", 5) == [1, 1]  # of database 1, which was 2
