"""Swaps of databases over a supervised cluster: decided by the supervisors, made by every master or by none, with every
participant killed, stopped and cut off at every step."""
import threading
import time

from cases import case
from lab import RespError, wait_until
from lab.clusters import key_in
from lab.resp import Closed, pairs
from lab.supervised import Supervised

OURS = ("ours",)
SHARDS = 3
DATABASES = (1, 2)


def swappable(lab, **options):
    """A fleet under leases; every shard has a key with other values in databases 1 and 2. Returns (fleet, keys)."""
    fleet = Supervised(lab, shards=(("ours", "ours"),) * SHARDS, declared=True,
                       node_options={"appendonly": "yes", "repl_diskless_sync_delay": 0}, **options)
    keys = [key_in(16384 * (2 * i + 1) // (2 * SHARDS)) for i in range(SHARDS)]
    for node, key in zip(fleet.masters, keys):
        wait_until(lambda: lease_ms(node) > 0, 20, "%s is leased" % node.name)
        for db in DATABASES:
            with_db(node, db, "SET", key, "of %d" % db)
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


def state(supervisor, fleet):
    view = pairs(supervisor.ok("SENTINEL", "CLUSTER", fleet.name))
    return int(view["mapping-epoch"]), view["swapdb-state"]


def masters_now(fleet):
    return [fleet.node(port) for port in sorted(fleet.shards(fleet.running()[0]).values())]


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
        owner = next(n for n in masters_now(fleet) if not isinstance(n.call("GET", key), RespError))
        for db in DATABASES:
            there = db if epoch % 2 == 0 else 3 - db
            assert with_db(owner, db, "GET", key) == "of %d" % there, (owner.name, db, epoch)


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
    fleet, keys = swappable(lab)
    first, second, _ = fleet.supervisors
    assert state(first, fleet) == (0, "none")
    waits = []
    for epoch in range(1, 6):
        readers = [Blocked(node, key) for node, key in zip(fleet.masters, keys)]
        asked = fleet.masters[0] if epoch % 2 == 0 else None
        answer = asked.ok("SWAPDB", 1, 2) if asked else first.ok("SENTINEL", "SWAPDB", fleet.name, 2, 1)
        assert answer == "OK"
        assert_values(fleet, keys, epoch)
        for reader in readers:
            reader.end()
            assert reader.values == (["of 1", "of 2"] if epoch % 2 else ["of 2", "of 1"]), reader.values
        waits.append(max(r.longest_ms for r in readers))
    wait_until(lambda: all(state(s, fleet) == (5, "done") for s in fleet.supervisors), 10, "all know that it is done")
    print("longest waits, ms:", ["%.1f" % ms for ms in waits])
    assert min(waits) <= 50, waits
    assert "can't be exchanged" in str(first.call("SENTINEL", "SWAPDB", fleet.name, 1, 1))
    assert "out of range" in str(first.call("SENTINEL", "SWAPDB", fleet.name, 1, 99))
    assert "No such cluster" in str(second.call("SENTINEL", "SWAPDB", "nobody", 1, 2))
    assert "DB index is out of range" in str(fleet.masters[0].call("SWAPDB", 1, 99))
    assert_values(fleet, keys, 5)
