"""A cluster in which slots are moved while everything else goes wrong, and what must be true of it in the end."""
import re
import subprocess
import threading
import time

from redis.crc import key_slot

from .clusters import info, key_in, lines, meet, my_id, wait_agreed, wait_known
from .resp import Resp, RespError, encode
from .slot_proxy import BusNet, SlotProxy
from .wait import wait_until

SHARDS = 3
RANGE = (100, 119)
SLOTS = (100, 105, 119)  # those of the range that have keys
DATABASES = (0, 3, 15)
OVER = ("success", "failed", "cancelled")


def jobs(node):
    """CLUSTER GETSLOTMIGRATIONS: name -> its fields."""
    rows = [dict(zip(row[::2], row[1::2])) for row in node.ok("CLUSTER", "GETSLOTMIGRATIONS")]
    return {row["name"]: row for row in rows}


def wait_job(node, name, *states, timeout_s=20):
    def there():
        job = jobs(node)[name]
        assert job["state"] in states, job
        return job
    return wait_until(there, timeout_s, "the job is %s at %s" % (" or ".join(states), node.name), every_s=0.01)


class Writer:
    """Unique values into some slots and databases, wherever the cluster has them, from a thread. What was acknowledged
    and (but with replicas=0) reached a replica must be there in the end. Every second write appends to a list, where
    what is done twice is seen."""

    def __init__(self, cluster, slots=SLOTS, databases=DATABASES, replicas=1, pause_s=0.002, timeout_s=10.0):
        self.cluster, self.replicas, self.pause_s, self.timeout_s = cluster, replicas, pause_s, timeout_s
        self.places = [(db, key_in(slot)) for db in databases for slot in slots]
        self.tried, self.acked, self.errors = [], [], []
        self.longest_s, self.stopping = 0.0, False
        self.links = {}
        self.at = cluster.nodes[0]
        self.thread = threading.Thread(target=self.run, daemon=True)
        cluster.lab.on_close(self.halt)
        self.thread.start()

    def link(self, node):
        if node not in self.links:
            self.links[node] = [Resp(node.port, timeout_s=self.timeout_s), 0]
        return self.links[node]

    def write(self, db, words):
        """True when it was acknowledged. Sent again only when it certainly was not done."""
        for _ in range(8):
            link = self.link(self.at)
            data = b"" if link[1] == db else encode("SELECT", db)
            link[0].send_raw(data + encode(*words) + encode("WAIT", self.replicas, 300))
            if data:
                assert link[0].read() == "OK"
                link[1] = db
            reply, copies = link[0].read(), link[0].read()
            if isinstance(reply, RespError) and str(reply).startswith("MOVED "):
                self.at = self.cluster.at_port(int(str(reply).rsplit(":", 1)[1]))
                continue
            if isinstance(reply, RespError):
                self.errors.append(str(reply))
                return False
            return isinstance(copies, int) and copies >= self.replicas
        self.errors.append("sent back and forth")
        return False

    def run(self):
        n = 0
        while not self.stopping:
            db, tag = self.places[n % len(self.places)]
            n += 1
            words = ("SET", tag + "w%d" % n, n) if n // len(self.places) % 2 else ("RPUSH", tag + "log", n)
            self.tried.append((db, words[1], n))
            begin = time.monotonic()
            try:
                if self.write(db, words):
                    self.acked.append((db, words[1], n))
            except (OSError, AssertionError) as e:
                self.errors.append(repr(e))
                self.links.pop(self.at)[0].close() if self.at in self.links else None
                self.at = self.cluster.nodes[(self.cluster.nodes.index(self.at) + 1) % len(self.cluster.nodes)]
                time.sleep(0.02)
            self.longest_s = max(self.longest_s, time.monotonic() - begin)
            time.sleep(self.pause_s)
        for link, _ in self.links.values():
            link.close()

    def halt(self):
        self.stopping = True
        self.thread.join(20)

    def wait_more(self, count=20, timeout_s=20):
        """So many more writes are acknowledged."""
        least = len(self.acked) + count
        wait_until(lambda: len(self.acked) >= least, timeout_s, "writes are taken (errors: %s)" % self.errors[-3:])


class Cluster:
    """Three shards of a master and a replica each. Clients of some masters come through proxies, whose ports they
    announce; with cut_off all do, and the bus has proxies too."""

    def __init__(self, lab, cut_off=False, shards=SHARDS, replicas=True, proxied=(1,), **options):
        self.lab, self.ports, self.proxies = lab, {}, {}
        self.guests = []  # nodes of the cluster that are in no shard of ours
        options = dict({"cluster_node_timeout": 3000, "repl_diskless_sync_delay": 0}, **options)
        self.net = BusNet(lab) if cut_off else None
        self.shards = []
        for i in range(shards):
            self.shards.append([self.make("%s%d" % (role, i), cut_off or (role == "master" and i in proxied), options)
                                for role in (("master", "replica") if replicas else ("master",))])
        self.nodes = [node for shard in self.shards for node in shard]
        self.connect()

    def make(self, name, proxied, options):
        port = self.lab.ports.take()
        more = {"cluster_enabled": "yes", "cluster_port": self.lab.ports.take()}
        if proxied:
            proxy = self.proxies[name] = SlotProxy(self.lab, port)
            more["cluster_announce_port"] = proxy.port
        if self.net is not None:
            more["cluster_announce_bus_port"] = self.net.door(more["cluster_port"])
        node = self.lab.node(name, port=port, **options, **more)
        self.ports[node.port] = node
        if self.net is not None:
            self.net.owners[more["cluster_port"]] = my_id(node)
        if proxied:
            self.ports[proxy.port] = node
        return node

    def connect(self):
        masters = [shard[0] for shard in self.shards]
        bounds = [16384 * i // len(masters) for i in range(len(masters) + 1)]
        for i, node in enumerate(masters):
            node.ok("CLUSTER", "ADDSLOTSRANGE", bounds[i], bounds[i + 1] - 1)
            node.ok("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        meet(self.nodes[0], self.nodes[1:])
        wait_until(lambda: all(info(n)["cluster_known_nodes"] == str(len(self.nodes)) for n in self.nodes), 30,
                   "everybody knows everybody", every_s=0.05)
        for shard in self.shards:
            for copy in shard[1:]:
                wait_until(lambda m=shard[0], c=copy: c.call("CLUSTER", "REPLICATE", my_id(m)) == "OK", 10,
                           "%s may follow" % copy.name)
        wait_agreed(self.nodes, 30)
        wait_known(self.nodes)
        for shard in self.shards:
            self.wait_in_step(shard)

    def at_port(self, port):
        return self.ports[port]

    # ---- who is who ----

    def master(self, shard):
        """The one that speaks for the shard, by its own word."""
        found = [n for n in self.shards[shard] if n.alive() and not n.paused and n.ok("ROLE")[0] == "master"]
        assert len(found) == 1, [n.name for n in found]
        return found[0]

    def replica(self, shard):
        master = self.master(shard)
        return next(n for n in self.shards[shard] if n is not master)

    def owner_shard(self, slot=RANGE[0]):
        """By the word of one node: only once all agree."""
        owners = []
        for words in lines(self.nodes[0]).values():
            for word in words[8:]:
                first, _, last = word.partition("-")
                assert not word.startswith("["), words
                if int(first) <= slot <= int(last or first):
                    owners.append(words[0])
        assert len(owners) == 1, owners
        return next(i for i, shard in enumerate(self.shards) if owners[0] in [my_id(n) for n in shard])

    # ---- doing ----

    def fill(self, node, slots=SLOTS, databases=DATABASES):
        """Keys of all types. Returns what each is in the end: (database, key) -> its digest."""
        with node.connect() as c:
            for db in databases:
                c.ok("SELECT", db)
                for tag in map(key_in, slots):
                    for i in range(4):
                        c.ok("SET", "%ss%d" % (tag, i), "%d/%s/%d" % (db, tag, i))
                    c.ok("SET", tag + "big", "x" * 20000)
                    c.ok("SET", tag + "int", 12345, "PX", 10000000)
                    c.ok("SET", tag + "soon", "gone", "PX", 700)
                    c.ok("RPUSH", tag + "list", *range(200))
                    c.ok("SADD", tag + "set", *("m%d" % i for i in range(200)))
                    c.ok("SADD", tag + "ints", *range(50))
                    c.ok("HSET", tag + "hash", *(w for i in range(200) for w in ("f%d" % i, i)))
                    c.ok("ZADD", tag + "zset", *(w for i in range(200) for w in (i / 3, "m%d" % i)))
                    c.ok("PEXPIRE", tag + "hash", 10000000)
        return self.digests(node, slots, databases, "soon")

    def digests(self, node, slots, databases, but):
        said = {}
        with node.connect() as c:
            for db in databases:
                c.ok("SELECT", db)
                for slot in slots:
                    keys = sorted(k for k in c.ok("CLUSTER", "GETKEYSINSLOT", slot, 100000) if not k.endswith(but))
                    if keys:
                        said.update(zip(((db, k) for k in keys), c.ok("DEBUG", "DIGEST-VALUE", *keys)))
        return said

    def move(self, source, target, *ranges):
        """Begins; returns the name of the job."""
        before = set(jobs(source))
        assert source.ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *(ranges or RANGE), "NODE", my_id(target)) == "OK"
        return next(iter(set(jobs(source)) - before))

    def complete(self, source, *moves, timeout_s=40):
        """Each of moves, (target, first, last ...), until it has succeeded: on a machine that is busy with other things
        nodes may miss each other for a moment, which ends a migration. Returns the jobs' names."""
        names = [self.move(source, *move) for move in moves]

        def over():
            for i, move in enumerate(moves):
                job = jobs(source)[names[i]]
                if job["state"] == "failed":
                    print("once more, as it failed: %s" % job["message"])
                    wait_agreed(self.nodes + self.guests)
                    names[i] = self.move(source, *move)
            assert all(jobs(source)[name]["state"] == "success" for name in names), [jobs(source)[n] for n in names]
            return True
        wait_until(over, timeout_s, "the migrations succeed")
        return names

    def move_to(self, stage, source=None, target=None):
        """A migration of the first shard to the second that stands at a stage, which it may need several times for (see
        complete()). Returns (proxy, job)."""
        source, target = source or self.master(0), target or self.master(1)
        proxy = self.proxies[target.name].stop_at(stage)
        names = [self.move(source, target)]

        def there():
            if proxy.reached.is_set():
                return True
            job = jobs(source)[names[-1]]
            assert job["state"] != "success", job
            if job["state"] == "failed":
                print("once more, as it failed: %s" % job["message"])
                proxy.stop_at(None)
                wait_agreed(self.nodes + self.guests)
                proxy.stop_at(stage)
                names.append(self.move(source, target))
            return False
        wait_until(there, 30, "the migration comes to %s" % stage, every_s=0.002)
        return proxy, names[-1]

    def restart(self, node):
        node.start()
        node.wait_ready(30)

    def wait_promoted(self, node, timeout_s=20):
        wait_until(lambda: node.ok("ROLE")[0] == "master", timeout_s, "%s is a master" % node.name, every_s=0.05)

    # ---- what must be true in the end ----

    def wait_in_step(self, shard, timeout_s=30):
        def in_step():
            masters = [n for n in shard if n.ok("ROLE")[0] == "master"]
            assert len(masters) == 1, [n.name for n in masters]
            offset = masters[0].info("replication")["master_repl_offset"]
            for node in shard:
                if node is masters[0]:
                    continue
                fields = node.info("replication")
                assert fields["master_link_status"] == "up" and fields["master_repl_offset"] == offset, fields
                assert node.ok("DEBUG", "DIGEST") == masters[0].ok("DEBUG", "DIGEST"), "digests differ"
            return True
        wait_until(in_step, timeout_s, "%s are equal" % [n.name for n in shard], every_s=0.05)

    def settle(self, timeout_s=40, written=False):
        """All nodes agree that all is well, and no job is under way anywhere; unless somebody still writes, the copies
        are equal."""
        wait_agreed(self.nodes, timeout_s)

        def over():
            for node in self.nodes:
                for job in jobs(node).values():
                    assert job["state"] in OVER, (node.name, job)
            return True
        wait_until(over, timeout_s, "all migrations are over", every_s=0.05)
        wait_agreed(self.nodes, timeout_s)
        for shard in self.shards if not written else ():
            self.wait_in_step(shard)

    def assert_job(self, name):
        """What both ends say of it fits with who has the slots. Returns the shard that has them."""
        owner = self.owner_shard()
        for node in self.nodes:
            job = jobs(node).get(name)
            if job is None or node.ok("ROLE")[0] != "master":  # one that is replaced does not know the outcome
                continue
            good = owner == self.shard_of(job["target_node"])
            assert (job["state"] == "success") == good, (node.name, job, owner)
        return owner

    def shard_of(self, node_id):
        return next(i for i, shard in enumerate(self.shards) if node_id in [my_id(n) for n in shard])

    def assert_data(self, said, *writers, slots=None):
        """Each key is at the owner of its slot only, in its database; what was acknowledged is there, once; what nobody
        wrote is not; no database has a shadow left."""
        found = wait_until(self.keys_found, 20, "the keys whose time is over are gone", every_s=0.1)
        for i, shard in enumerate(self.shards):
            self.assert_files(shard, sum(1 for shards in found.values() if i in shards))
        owners = {slot: self.owner_shard(slot) for slot in {key_slot(key.encode()) for _, key in found}}
        for (db, key), shards in found.items():
            assert shards == [owners[key_slot(key.encode())]], (db, key, shards)
        now = {}
        for i in range(len(self.shards)):
            here = [slot for slot, owner in owners.items() if owner == i and (slots is None or slot in slots)]
            now.update(self.digests(self.master(i), here, range(16), "soon"))
        lost = [place for place, digest in said.items() if now.get(place) != digest]
        assert not lost, (len(lost), lost[:5])
        alien = set(found) - set(said) - {(db, key) for w in writers for db, key, _ in w.tried}
        assert not alien, sorted(alien)[:5]
        for writer in writers:
            self.assert_writes(writer)

    def keys_found(self):
        """(database, key) -> the indices of the shards that have it; None while some are to expire soon."""
        found = {}
        for i in range(len(self.shards)):
            with self.master(i).connect() as c:
                for db in range(16):
                    c.ok("SELECT", db)
                    for key in c.ok("KEYS", "*"):
                        found.setdefault((db, key), []).append(i)
        return None if any(key.endswith("soon") for _, key in found) else found

    def assert_files(self, shard, count):
        """DBSIZE has this sum; an RDB file of each has as many keys, those of shadows counted."""
        for node in shard:
            def size(n=node):
                with n.connect() as c:
                    total = sum(c.ok("DBSIZE") for db in range(16) if c.ok("SELECT", db))
                assert total == count, (total, count)
                c = n.ok("SAVE")
                text = subprocess.run(["redis-check-rdb", "dump.rdb"], cwd=n.directory, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, universal_newlines=True, timeout=30,
                                      check=False).stdout
                assert int(re.search(r"(\d+) keys read", text).group(1)) == count, (count, text[-300:])
                return True
            wait_until(size, 20, "%s has nothing hidden" % node.name, every_s=0.1)

    def assert_writes(self, writer):
        lists, keys, links = {}, {}, {}
        try:
            for db, key, n in writer.tried:
                owner = self.owner_of(key, links)
                if links[owner][1] != db:
                    links[owner][0].ok("SELECT", db)
                    links[owner][1] = db
                client = links[owner][0]
                if key.endswith("log"):
                    if (db, key) not in lists:
                        lists[db, key] = client.ok("LRANGE", key, 0, -1)
                else:
                    keys[db, key] = client.ok("GET", key)
        finally:
            for client, _ in links.values():
                client.close()
        for place, items in lists.items():
            assert len(set(items)) == len(items), ("twice", place, [x for x in items if items.count(x) > 1][:5])
        sets = {place: set(items) for place, items in lists.items()}
        lost = [(db, key, n) for db, key, n in writer.acked
                if (str(n) not in sets[db, key] if key.endswith("log") else keys[db, key] != str(n))]
        assert not lost, ("acknowledged and lost: %d of %d" % (len(lost), len(writer.acked)), lost[:5])

    def owner_of(self, key, links):
        slot = key_slot(key.encode())
        if slot not in links:
            shard = self.owner_shard(slot)
            links.setdefault(("shard", shard), [self.master(shard).connect(), 0])
            links[slot] = links["shard", shard]
        return slot
