"""The loads of in_cluster.py while slots move: by CLUSTER MIGRATESLOTS, by SETSLOT and MIGRATE for every database, by
redis-cli. No master dies, so each acknowledged write is there, once, and a caller sees no error but the redirections of
a transaction, which its client leaves to it."""
import time

from in_cluster import SHARDS, Ordeal, slots_of
from lab import wait_until
from lab.clusters import SLOTS, key_in, lines, my_id, wait_agreed
from redis.crc import key_slot

RANGE = 2000  # slots of a shard that MIGRATESLOTS moves: those of two tags, and those that are full
FULL, VALUES, VALUE_BYTES = (500, 1200, 1999), 300, 4000
RESHARDED = 30  # slots that redis-cli moves from one node to another, so that it has something to even out
KEYS_OF_A_LOAD = 8  # in each slot and database
# What a caller may have to do again while slots are handed over at once: to send a transaction to their new node.
MOVED = {"multi: MOVED", "multi: EXECABORT", "multi: MovedError", "pipeline: MOVED", "ssubscribe: silent"}


class MovingSlots(Ordeal):
    # Writes wait at most half of the timeout before a migration is given up: beside three clients that may be more.
    DATABASES, TITLE, NODE_TIMEOUT_MS, GOES_ON_S = (0, 3, 11), "whose slots move", 6000, 30

    def __init__(self, lab, kind, folder, names):
        self.atomic = kind == "ours"
        super().__init__(lab, kind, folder, names)

    def more(self):
        self.fill()
        return {"exact": True, "queue": self.moved[0]}

    def fill(self):
        """Data that take a while to send, in slots beside those of the loads."""
        for node in self.masters:
            first = min(slots_of(lines(node)[my_id(node)]))
            with node.connect() as client:
                for database in self.databases:
                    client.ok("SELECT", database)
                    for tag in [key_in(first + i) for i in FULL]:
                        client.ok("MSET", *[w for i in range(VALUES) for w in self.full(database, tag, i)])

    @staticmethod
    def full(database, tag, i):
        return "%s:full:%d" % (tag, i), ("%d/%d/" % (database, i)).ljust(VALUE_BYTES, "x")

    def retried(self):
        return {load.name: load.state.get("retried", {}) for load in self.loads}

    def began(self, source, moves):
        """CLUSTER MIGRATESLOTS: the names of its jobs."""
        before = set(jobs_of(source))
        words = [w for first, last, target in moves for w in ("SLOTSRANGE", first, last, "NODE", my_id(target))]
        assert source.ok("CLUSTER", "MIGRATESLOTS", *words) == "OK"
        names = wait_until(lambda: set(jobs_of(source)) - before, 20, "the jobs are there")
        assert len(names) == len(moves), (names, moves)
        return names

    def at_once(self, *sources, cancel=False):
        """sources: (source, moves) each. All of them at the same time."""
        wait_agreed(self.nodes)
        before, at = self.retried(), time.monotonic()
        begun = [(source, self.began(source, moves)) for source, moves in sources]
        if cancel:
            # Whatever it was, one of the ends: then all agree on it.
            assert sources[0][0].ok("CLUSTER", "CANCELSLOTMIGRATIONS") == "OK"
        ends = ("success", "cancelled") if cancel else ("success",)

        def over():
            for source, names in begun:
                for name in names:
                    job = jobs_of(source)[name]
                    assert job["state"] in ends, job
            return True
        wait_until(over, 30, "the migrations end", every_s=0.01)
        took_ms = (time.monotonic() - at) * 1000
        states = [jobs_of(source)[name]["state"] for source, names in begun for name in sorted(names)]
        wait_agreed(self.nodes)
        if not cancel:
            for source, moves in sources:
                for first, last, target in moves:
                    assert set(range(first, last + 1)) <= slots_of(lines(source)[my_id(target)]), (first, target.name)
        self.went_on("%s: %s in %d ms" % ("; ".join("%s to %s" % (s.name, ", ".join(m[2].name for m in moves))
                                                    for s, moves in sources), ", ".join(states), took_ms))
        for name, counts in self.retried().items():
            new = {kind for kind, n in counts.items() if n > before[name].get(kind, 0)}
            assert new <= MOVED, "%s was told %s" % (name, sorted(new - MOVED))

    def migrations(self):
        """There and back, also two ways at a time, also to two nodes by one request, also given up on the way."""
        a, b, c = self.masters
        low = [SLOTS * i // SHARDS for i in range(SHARDS)]
        last = [first + RANGE - 1 for first in low]
        half = low[0] + RANGE // 2
        self.at_once((a, [(low[0], last[0], b)]))
        self.at_once((b, [(low[0], last[0], a)]))
        self.at_once((a, [(low[0], last[0], b)]), (b, [(low[1], last[1], c)]))
        self.at_once((b, [(low[0], last[0], a)]), (c, [(low[1], last[1], b)]))
        self.at_once((a, [(low[0], half - 1, b), (half, last[0], c)]))
        self.at_once((b, [(low[0], half - 1, a)]), (c, [(half, last[0], a)]))
        for _ in range(3):
            self.at_once((a, [(low[0], last[0], b)]), cancel=True)
            if low[0] not in slots_of(lines(a)[my_id(a)]):
                self.at_once((b, [(low[0], last[0], a)]))

    def classic(self):
        """Slot by slot with all databases, and two slots at a time, a few keys of the one and a few of the other."""
        for to in (1, 0):
            self.move(self.moved[0], to)
        self.move(self.moved[2], 1)
        # In the end they are where they were: redis-cli takes the lowest, and moves database 0 only.
        self.move(self.moved[2], 2)
        two = [(key_slot(tag.encode()), self.owner(key_slot(tag.encode())), self.masters[i])
               for tag, i in ((self.moved[0], 2), (self.moved[1], 0))]
        for slot, here, there in two:
            self.open_slot(slot, here, there)
        while sum(self.move_keys(*one, at_most=4) for one in two):
            pass
        for slot, here, there in two:
            for node in (there, here):
                node.ok("CLUSTER", "SETSLOT", slot, "NODE", my_id(there))
        self.went_on("two slots were moved at a time")
        for i in (0, 1):
            self.move(self.moved[i], i)

    def tools(self):
        """redis-cli, which knows database 0 only, on slots where the others are empty."""
        a, b = self.masters[:2]
        self.reshard(0, 1, RESHARDED)
        text = self.redis_cli("rebalance", a, "--cluster-threshold", 0.5)
        assert "Rebalancing across" in text, text[-300:]
        self.went_on("redis-cli evened them out")
        wait_agreed(self.nodes)
        owned = [len(slots_of(lines(a)[my_id(n)])) for n in self.masters]
        assert max(owned) - min(owned) <= 2, owned
        assert "[OK] All nodes agree about slots configuration" in self.redis_cli("check", b)

    def run(self):
        self.went_on("the start")
        if self.atomic:
            self.migrations()
        self.classic()
        self.tools()

    def looked_at(self):
        try:
            self.look()
        except AssertionError as e:
            return str(e)
        return None

    def look(self):
        """Every key is at its slot's owner only, as often as it should be; replicas have what their masters have."""
        wait_agreed(self.nodes)
        for database, tags in self.tags.items():
            for tag in tags:
                slot = key_slot(tag.encode())
                for node in self.masters:
                    mine = slot in slots_of(lines(node)[my_id(node)])
                    with node.connect() as client:
                        client.ok("SELECT", database)
                        count = client.ok("CLUSTER", "COUNTKEYSINSLOT", slot)
                    assert count == (KEYS_OF_A_LOAD * len(self.loads) if mine else 0), (node.name, database, tag, count)
        for slot in [SLOTS * i // SHARDS + n for i in range(SHARDS) for n in FULL]:
            tag, node = key_in(slot), self.owner(slot)
            with node.connect() as client:
                for database in self.databases:
                    client.ok("SELECT", database)
                    keys, values = zip(*[self.full(database, tag, i) for i in range(VALUES)])
                    assert client.ok("MGET", *keys) == list(values), (database, tag)
                    assert client.ok("CLUSTER", "COUNTKEYSINSLOT", slot) == VALUES, (database, tag)
        for i in range(SHARDS):
            wait_until(lambda n=i: self.masters[n].ok("DEBUG", "DIGEST") == self.replicas[n].ok("DEBUG", "DIGEST"), 20,
                       "%s and its replica have the same" % self.masters[i].name)


def jobs_of(node):
    """CLUSTER GETSLOTMIGRATIONS: name -> its fields."""
    rows = [dict(zip(row[::2], row[1::2])) for row in node.ok("CLUSTER", "GETSLOTMIGRATIONS")]
    return {row["name"]: row for row in rows}
