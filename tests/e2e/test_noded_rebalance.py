"""Slots that are moved key by key while clients write, by hand and by redis-cli, between nodes of both kinds: each
write is answered once and right, and none is lost or done twice."""
import subprocess
import threading
import time

from cases import case
from lab import RespError, encode, wait_until
from lab.clusters import SLOTS, cluster_node, key_in, lines, make_cluster, my_id, wait_agreed

OURS = ("ours",)
SOME, FEW = 8, 3  # slots of a test, keys of a request
TIMEOUT = {"cluster_node_timeout": 6000}  # a busy machine is not what this is about


def slots_of(node, of=None):
    """As this node sees it: slots of another, or its own."""
    found = set()
    for word in lines(node)[my_id(of or node)][8:]:
        if not word.startswith("["):
            low, _, high = word.partition("-")
            found.update(range(int(low), int(high or low) + 1))
    return found


def redis_cli(verb, node, *args):
    """(exit status, what it printed) of redis-cli --cluster."""
    done = subprocess.run(["redis-cli", "--cluster", verb, "127.0.0.1:%d" % node.port, *[str(a) for a in args]],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=60, check=False)
    return done.returncode, done.stdout


class Asker:
    """A client of the cluster that follows MOVED and ASK, and tries again what it is told to try again: of one
    database."""

    def __init__(self, nodes, database):
        self.database, self.seen = database, {"MOVED": 0, "ASK": 0, "TRYAGAIN": 0}
        self.links = {node.port: node.connect(timeout_s=10) for node in nodes}
        for link in self.links.values():
            if database:
                link.ok("SELECT", database)
        self.owner, self.first = {}, nodes[0].port

    def ask(self, slot, *words):
        port, asking, deadline = self.owner.get(slot, self.first), False, time.monotonic() + 20
        while True:
            link = self.links[port]
            if asking:
                link.ok("ASKING")
            reply = link.call(*words)
            kind = str(reply).split(" ")[0] if isinstance(reply, RespError) else None
            if kind not in self.seen or time.monotonic() > deadline:
                return reply
            self.seen[kind] += 1
            if kind == "TRYAGAIN":
                time.sleep(0.001)
                continue
            asking, port = kind == "ASK", int(str(reply).rsplit(":", 1)[1])
            if not asking:
                self.owner[slot] = port

    def close(self):
        for link in self.links.values():
            link.close()


class Load:
    """Writes keys of several types in these slots and databases, by itself alone, so that it knows every answer."""

    def __init__(self, nodes, slots, databases=(0,), name="w"):
        self.slots, self.name, self.nodes, self.databases = slots, name, nodes, databases
        self.askers = [Asker(nodes, db) for db in databases]
        self.round, self.problem, self.stopping = 0, None, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def keys(self, slot):
        return ["%s%s:%s" % (key_in(slot), self.name, what) for what in "nlsabd"]

    def step(self, asker, slot):
        count, at_list, text, a, b, gone = self.keys(slot)
        value = "%d:%d" % (asker.database, self.round)
        expected = [
            (("INCR", count), self.round), (("RPUSH", at_list, value), self.round), (("SET", text, value), "OK"),
            (("GET", text), value), (("MSET", a, value, b, value), "OK"), (("MGET", b, a), [value, value]),
            (("SET", gone, value, "PX", 100000), "OK"), (("GETDEL", gone), value), (("EXISTS", gone), 0),
            (("LINDEX", at_list, -1), value),
        ]
        for words, wanted in expected:
            reply = asker.ask(slot, *words)
            assert reply == wanted, "%r of database %d in slot %d: %r, not %r" % (words, asker.database, slot, reply,
                                                                                  wanted)

    def run(self):
        try:
            while not self.stopping:
                self.round += 1
                for asker in self.askers:
                    for slot in self.slots:
                        self.step(asker, slot)
        except (AssertionError, OSError, RespError) as e:
            self.problem = "%s: %s" % (type(e).__name__, e)

    def goes_on(self, what, rounds=2):
        before = self.round

        def further():
            assert self.problem is None, self.problem
            return self.round >= before + rounds
        try:
            wait_until(further, 20, "the load goes on: " + what)
        finally:
            assert self.problem is None, "%s: %s" % (what, self.problem)

    def stop(self):
        """Reads everything again."""
        self.stopping = True
        self.thread.join(30)
        assert not self.thread.is_alive() and self.problem is None, self.problem
        for asker in self.askers:
            for slot in self.slots:
                count, at_list = self.keys(slot)[:2]
                assert asker.ask(slot, "GET", count) == str(self.round), (slot, asker.database)
                pushed = ["%d:%d" % (asker.database, i + 1) for i in range(self.round)]
                assert asker.ask(slot, "LRANGE", at_list, 0, -1) == pushed, (slot, asker.database)
        for asker in self.askers:
            asker.close()

    def seen(self):
        return {kind: sum(a.seen[kind] for a in self.askers) for kind in ("MOVED", "ASK", "TRYAGAIN")}


def open_slot(slot, source, target):
    assert target.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", my_id(source)) == "OK"
    assert source.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", my_id(target)) == "OK"


def move_keys(slot, source, target, databases=(0,), at_most=10**9):
    """A few at a time, database by database, until none is left; how many."""
    moved = 0
    with source.connect(timeout_s=10) as link:
        while True:
            left = 0
            for database in databases:
                if databases != (0,):
                    link.ok("SELECT", database)
                keys = link.ok("CLUSTER", "GETKEYSINSLOT", slot, FEW)
                left += len(keys)
                if keys:
                    reply = link.ok("MIGRATE", "127.0.0.1", target.port, "", database, 5000, "KEYS", *keys)
                    assert reply in ("OK", "NOKEY"), reply
                moved += len(keys)
                if moved >= at_most:
                    return moved
            if left == 0:
                return moved


def move_slot(slot, source, target, others=(), databases=(0,)):
    open_slot(slot, source, target)
    moved = move_keys(slot, source, target, databases)
    for node in (target, source) + tuple(others):
        assert node.ok("CLUSTER", "SETSLOT", slot, "NODE", my_id(target)) == "OK", node.name
    return moved


def fill(node, slots, databases=(0,), each=60):
    """Keys of all types beside those of loads: (database, slot) -> {key: its digest}."""
    said = {}
    with node.connect() as link:
        for database in databases:
            if databases != (0,):
                link.ok("SELECT", database)
            for slot in slots:
                tag = key_in(slot)
                link.ok("MSET", *[w for i in range(each) for w in (tag + ":%d" % i, "%d/%d" % (database, i))])
                link.ok("SET", tag + ":big", "x" * 100000, "EX", 10000)
                link.ok("SADD", tag + ":set", *range(database, 700))
                link.ok("HSET", tag + ":hash", *range(database, database + 600))
                link.ok("ZADD", tag + ":zset", *range(database, database + 600))
                link.ok("RPUSH", tag + ":list", *range(database, 900))
                keys = [tag + ":" + w for w in ["big", "set", "hash", "zset", "list"] + [str(i) for i in range(each)]]
                said[database, slot] = dict(zip(keys, link.ok("DEBUG", "DIGEST-VALUE", *keys)))
    return said


def assert_has(said, owner_of, databases=(0,)):
    """owner_of(slot): the node that must have it."""
    for (database, slot), digests in said.items():
        with owner_of(slot).connect() as link:
            if databases != (0,):
                link.ok("SELECT", database)
            assert link.ok("DEBUG", "DIGEST-VALUE", *digests) == list(digests.values()), (database, slot)
            assert link.ok("PTTL", key_in(slot) + ":big") > 0


@case(kinds=OURS, matrix=[("ours", "stock"), ("stock", "ours"), ("ours", "ours")], sample=2, limit_s=240)
def test_between_kinds(lab, one_kind, two_kind):
    """The classic flow between nodes of both kinds, there and back, while clients write to these slots: all keys arrive
    as they were."""
    (one, two, third), replicas = make_cluster(lab, [one_kind, two_kind, "stock"], [(two_kind, 0), (one_kind, 1)],
                                                   **TIMEOUT)
    low = SLOTS // 3
    here, there = list(range(100, 100 + SOME)), list(range(low + 100, low + 100 + SOME))
    said = {**fill(one, here), **fill(two, there)}
    nodes = [one, two, third]
    load = Load(nodes, here + there)
    load.goes_on("the start")
    for turn in range(3):
        for slot in here:
            move_slot(slot, *((one, two) if turn % 2 == 0 else (two, one)), others=[third])
        for slot in there:
            move_slot(slot, *((two, one) if turn % 2 == 0 else (one, two)), others=[third])
        wait_agreed(nodes + replicas)
        load.goes_on("turn %d" % turn)
    seen = load.seen()
    assert seen["MOVED"] > 0 and seen["ASK"] > 0, seen
    load.stop()
    assert set(here) <= slots_of(two) and set(there) <= slots_of(one)
    assert_has(said, lambda slot: two if slot in here else one)
    for node, replica in ((one, replicas[0]), (two, replicas[1])):
        wait_until(lambda n=node, r=replica: n.ok("DEBUG", "DIGEST") == r.ok("DEBUG", "DIGEST"), 20,
                   "the replica of %s has the same" % node.name)


@case(kinds=OURS, matrix=[("ours", "stock", "ours"), ("ours", "ours", "ours")], sample=1, limit_s=240)
def test_tools_under_load(lab, *kinds):
    """redis-cli moves slots from node to node, evens them out, and ends what was begun by hand: clients notice
    nothing."""
    nodes, _ = make_cluster(lab, kinds, **TIMEOUT)
    one, two, three = nodes
    slots = [0, 1, 2, 30, SLOTS // 3, SLOTS // 3 + 5]
    said = {**fill(one, slots[:4]), **fill(two, slots[4:])}
    load = Load(nodes, slots)
    load.goes_on("the start")
    for source, target in ((one, two), (two, three), (three, one)):
        status, text = redis_cli("reshard", one, "--cluster-from", my_id(source), "--cluster-to", my_id(target),
                                 "--cluster-slots", 25, "--cluster-yes", "--cluster-pipeline", 4)
        assert status == 0, text[-600:]
        load.goes_on("reshard from %s to %s" % (source.name, target.name))
        wait_agreed(nodes)
    status, text = redis_cli("reshard", one, "--cluster-from", my_id(two), "--cluster-to", my_id(three),
                             "--cluster-slots", 40, "--cluster-yes")
    assert status == 0, text[-600:]
    wait_agreed(nodes)
    status, text = redis_cli("rebalance", two, "--cluster-threshold", 0.5)
    assert status == 0 and "Rebalancing across" in text, text[-600:]
    wait_agreed(nodes)
    owned = [len(slots_of(node)) for node in nodes]
    assert max(owned) - min(owned) <= 2, owned
    load.goes_on("rebalance")
    # fix takes slots from their owners for a moment (DELSLOTS), and where both sides have keys it overwrites those of
    # the one: it is for clusters that nobody writes to.
    load.stop()
    for sides, half in (("both", 5), ("both", 0), ("source", 0), ("target", 0)):
        slot = slots[0]
        source = next(node for node in nodes if slot in slots_of(node))
        target = nodes[(nodes.index(source) + 1) % 3]
        if sides != "source":
            target.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", my_id(source))
        if sides != "target":
            source.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", my_id(target))
        if half:
            move_keys(slot, source, target, at_most=half)
        status, text = redis_cli("fix", one)
        assert status == 0, (sides, half, text[-800:])
        wait_agreed(nodes)
    status, text = redis_cli("check", three)
    assert status == 0 and "[OK] All nodes agree about slots configuration" in text, text[-600:]
    assert_has(said, lambda slot: next(node for node in nodes if slot in slots_of(node)))


@case(kinds=OURS, limit_s=60)
def test_slots_in_a_transaction(lab):
    """As redis-cli mends a slot: it is given up and taken again by one EXEC, which answers as redis-server does, and
    whoever asks for keys meanwhile notices nothing."""
    requests = [
        [("DELSLOTS", 5), ("ADDSLOTS", 5), ("SETSLOT", 5, "STABLE"), ("BUMPEPOCH",)],
        [("ADDSLOTS", 5), ("DELSLOTS", 5, 6), ("ADDSLOTS", 6), ("DELSLOTS", 5), ("ADDSLOTSRANGE", 5, 5)],
        [("COUNTKEYSINSLOT", 5), ("DELSLOTSRANGE", 5, 6), ("ADDSLOTSRANGE", 6, 6, 5, 5), ("MYID", "x"),
         ("SAVECONFIG",)],
    ]
    answers, key = {}, key_in(5)
    for kind in ("ours", "stock"):
        node = cluster_node(lab, kind, kind)
        node.ok("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        link = node.connect()
        wait_until(lambda c=link: c.call("SET", key, 1) == "OK", 20, "the slots are served")
        states = node.log().count("Cluster state changed")
        load = Load([node], [5, 6])
        answers[kind] = []
        for commands in requests:
            link.ok("MULTI")
            for words in commands:
                assert link.call("CLUSTER", *words) == "QUEUED" or words[0] == "MYID"
            answers[kind].append(link.call_raw("EXEC"))
        # Much at once, and a client that is gone before its answer.
        for _ in range(20):
            with node.connect() as other:
                other.send_raw(b"".join(encode(*words) for words in (
                    ("MULTI",), ("CLUSTER", "DELSLOTS", 5), ("GET", key), ("CLUSTER", "ADDSLOTS", 5), ("EXEC",))))
        load.goes_on("slots are given up and taken again")
        answers[kind].append([link.call_raw(*words) for words in (("MULTI",), ("GET", key), ("EXEC",))])
        load.stop()
        assert slots_of(node) == set(range(SLOTS))
        assert node.log().count("Cluster state changed") == states, "it is seen that a slot is nobody's"
        link.close()
    assert answers["ours"] == answers["stock"], answers


@case(kinds=OURS, limit_s=240)
def test_all_databases_under_load(lab):
    """The classic flow for every database. redis-cli, which knows the first one only, is stopped half way, and an
    operator goes on from there; to those who write all of it looks the same."""
    (one, two, third), _ = make_cluster(lab, ["ours"] * 3, **TIMEOUT)
    databases, slots = (0, 5, 15), list(range(SOME))
    said = fill(one, slots, databases, each=20)
    nodes = [one, two, third]
    load = Load(nodes, slots, databases)
    load.goes_on("the start")
    for source, target in ((one, two), (two, one)):
        for slot in slots:
            move_slot(slot, source, target, [third], databases)
        wait_agreed(nodes)
        load.goes_on("moved from %s to %s" % (source.name, target.name))
    status, text = redis_cli("reshard", one, "--cluster-from", my_id(one), "--cluster-to", my_id(two),
                             "--cluster-slots", 3, "--cluster-yes")
    assert status != 0 and "still holds" in text, text[-600:]
    assert slots_of(one) >= set(slots)
    load.goes_on("redis-cli was stopped")
    move_keys(slots[0], one, two, databases)
    for node in (two, one, third):
        assert node.ok("CLUSTER", "SETSLOT", slots[0], "NODE", my_id(two)) == "OK"
    wait_agreed(nodes)
    load.goes_on("an operator went on")
    assert load.seen()["ASK"] > 0, load.seen()
    load.stop()
    assert_has(said, lambda slot: two if slot == slots[0] else one, databases)


@case(kinds=OURS, limit_s=240)
def test_both_flows_by_turns(lab):
    """What MIGRATESLOTS brought goes on key by key, and the other way round; a slot that is open for the one is not
    taken by the other."""
    (one, two), replicas = make_cluster(lab, ["ours"] * 2, [("ours", 0), ("ours", 1)], **TIMEOUT)
    databases, slots = (0, 3, 9), list(range(40, 40 + SOME))
    said = fill(one, slots, databases, each=20)
    load = Load([one, two], slots, databases)
    load.goes_on("the start")
    for turn in range(4):
        source, target = ((one, two), (two, one))[turn % 2]
        if turn in (0, 3):
            known = {row[1] for row in source.ok("CLUSTER", "GETSLOTMIGRATIONS")}
            words = ("SLOTSRANGE", slots[0], slots[-1], "NODE", my_id(target))
            assert source.ok("CLUSTER", "MIGRATESLOTS", *words) == "OK"

            def moved(node=source, before=known):
                jobs = [dict(zip(r[::2], r[1::2])) for r in node.ok("CLUSTER", "GETSLOTMIGRATIONS")]
                states = [job["state"] for job in jobs if job["name"] not in before]
                assert states == ["success"], states
                return True
            wait_until(moved, 20, "the slots have moved")
        else:
            for slot in slots:
                move_slot(slot, source, target, databases=databases)
        wait_agreed([one, two] + replicas)
        load.goes_on("turn %d" % turn)
    open_slot(slots[0], one, two)
    refused = one.call("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slots[0], slots[-1], "NODE", my_id(two))
    assert isinstance(refused, RespError), refused
    move_keys(slots[0], one, two, databases)
    for node in (two, one):
        assert node.ok("CLUSTER", "SETSLOT", slots[0], "NODE", my_id(two)) == "OK"
    wait_agreed([one, two] + replicas)
    load.goes_on("the open slot went")
    load.stop()
    assert_has(said, lambda slot: two if slot == slots[0] else one, databases)
    for node, replica in zip((one, two), replicas):
        wait_until(lambda n=node, r=replica: n.ok("DEBUG", "DIGEST") == r.ok("DEBUG", "DIGEST"), 20,
                   "the replica of %s has the same" % node.name)
