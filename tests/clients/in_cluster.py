"""Clients of the field on a cluster whose masters die, change places and give slots away: cluster_load.js and
cluster_load.py write and read all the time, and no answer of theirs may be wrong.

A value that was acknowledged may be gone only when its master was killed right after it: asynchronous replication.
"""
import json
import os
import signal
import subprocess
import threading
import time

from lab import RespError, wait_until
from lab.clusters import SLOTS, key_in, lines, make_cluster, my_id, wait_agreed
from redis.crc import key_slot

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = {
    "ioredis Cluster": ["node", "cluster_load.js", "ioredis"],
    "node-redis createCluster": ["node", "cluster_load.js", "node-redis"],
    "redis-py RedisCluster": ["/usr/bin/python3", "cluster_load.py", "redis-py"],
}
SHARDS, LOSS_MS, ENDS_S = 3, 500, 45
LATE_MS = 600  # a client may read an answer so long after the kill; a promoted node takes writes later than that
# These wait for a node that is gone until it is back, or until somebody else is redirected: also with redis-server.
WAIT_FOR_THE_NODE = {"node-redis createCluster"}


class Load:
    """One client's process and what it said."""

    def __init__(self, name, folder, what):
        self.name, self.state, self.faults, self.older, self.end = name, {}, [], [], None
        words = CLIENTS[name]
        env = dict(os.environ, NODE_PATH=os.path.join(folder, "node_modules"), PYTHONDONTWRITEBYTECODE="1")
        self.proc = subprocess.Popen([words[0], os.path.join(HERE, words[1]), words[2], json.dumps(what)], env=env,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     universal_newlines=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for text in self.proc.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                line = {"error": text.strip()}
            if not isinstance(line, dict):
                line = {"error": text.strip()}
            if "rounds" in line:
                self.state = line
            elif "older" in line:
                self.older.append(line)
            elif "end" in line:
                self.end = line
            else:
                self.faults.append(dict(line, at=time.time()))

    def numbers(self):
        """How far each of its workers and subscriptions is."""
        return list(self.state.get("rounds", [])) + [v for _, v in sorted(self.state.get("heard", {}).items())]

    def tell(self, word):
        try:
            self.proc.stdin.write(word + "\n")
            self.proc.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which is seen when it is to go on

    def stop(self):
        try:
            self.proc.stdin.close()
            self.proc.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            self.faults.append({"error": "it did not end"})
        finally:
            self.kill()
            self.reader.join(5)

    def kill(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
            self.proc.wait()


class Ordeal:
    """Masters die and change places."""
    DATABASES, TITLE, NODE_TIMEOUT_MS, GOES_ON_S = (0, 3), "with failovers", 1000, 20

    def __init__(self, lab, kind, folder, names):
        self.kills, self.started = [], time.monotonic()
        self.masters, self.replicas = make_cluster(lab, [kind] * SHARDS, [(kind, i) for i in range(SHARDS)],
                                                   **{"repl-diskless-sync-delay": 0,
                                                      "cluster_node_timeout": self.NODE_TIMEOUT_MS})
        self.nodes = self.masters + self.replicas
        self.databases = self.DATABASES if kind == "ours" else (0,)
        # In each shard: a slot that redis-cli will move (it takes the lowest), one that is moved by hand, one that
        # stays; a second database in the latter two only, for redis-cli moves but the first.
        first = [SLOTS * i // SHARDS for i in range(SHARDS)]
        self.low = [key_in(f + 5) for f in first]
        self.moved = [key_in(f + 1000) for f in first]
        stay = [key_in(f + 3000) for f in first]
        self.tags = {db: (self.low if db == 0 else []) + self.moved + stay for db in self.databases}
        what = dict(self.more(), ports=[n.port for n in self.nodes], databases=list(self.tags.items()))
        self.loads = [Load(n, folder, dict(what, name="c%d" % i)) for i, n in enumerate(names)]

    def more(self):
        """What else the loads are told."""
        return {}

    def say(self, text):
        print("     %5.1f s: %s" % (time.monotonic() - self.started, text), flush=True)

    def went_on(self, what, but=()):
        """Every worker of every client gets some rounds further, and messages come."""
        loads = [load for load in self.loads if load.name not in but]
        before = {load: load.numbers() for load in loads}
        began = time.monotonic()

        def further():
            for load in loads:
                assert load.proc.poll() is None, "%s has ended" % load.name
                now = load.numbers()
                assert now and len(now) == len(before[load] or now), (load.name, now)
                for a, b in zip(before[load] or [0] * len(now), now):
                    assert b >= a + 2, "%s is at %s, was at %s, waits for %s" % (load.name, now, before[load],
                                                                              load.state.get("waiting"))
            return True
        wait_until(further, self.GOES_ON_S, "all clients go on after: %s" % what)
        self.say("%s; all went on within %d ms" % (what, (time.monotonic() - began) * 1000))

    def owner(self, slot):
        for node in self.nodes:
            if node.alive() and node.ok("ROLE")[0] == "master":
                for words in lines(node).values():
                    if "myself" in words[2] and slot in slots_of(words):
                        return node
        raise AssertionError("nobody has slot %d" % slot)

    def take_down(self, index, kill):
        """The master of a shard dies or is told to end; when its replica has its place it comes back."""
        old, new = self.pair(index)
        theirs = slots_of(lines(old)[my_id(old)])
        for load in self.loads:
            load.tell("down")
        if kill:
            at = time.time()
            old.kill9()
            self.kills.append((at * 1000, theirs))
        else:
            old.terminate()
        wait_until(lambda: new.ok("ROLE")[0] == "master", 20, "%s is promoted" % new.name)
        self.went_on("%s %s" % (old.name, "was killed" if kill else "was ended"), WAIT_FOR_THE_NODE)
        old.start()
        old.wait_ready()
        wait_until(lambda: old.info("replication").get("master_link_status") == "up", 20, "%s follows" % old.name)
        wait_agreed(self.nodes)
        for load in self.loads:
            load.tell("up")
        self.went_on("%s is back" % old.name)

    def pair(self, index):
        """(the master, the replica) of a shard now."""
        two = [self.masters[index], self.replicas[index]]
        return two if two[0].ok("ROLE")[0] == "master" else two[::-1]

    def switch(self, index):
        old, new = self.pair(index)
        assert new.ok("CLUSTER", "FAILOVER") == "OK"
        wait_until(lambda: new.ok("ROLE")[0] == "master" and old.ok("ROLE")[0] == "slave", 20, "they changed places")
        self.went_on("%s and %s changed places" % (old.name, new.name))
        wait_agreed(self.nodes)  # who moves slots to it has to know that it is a master

    def open_slot(self, slot, here, there):
        there.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", my_id(here))
        here.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", my_id(there))

    def move_keys(self, slot, here, there, at_most=10**9):
        """Of all databases, until none is left; how many were moved."""
        moved = 0
        with here.connect() as client:
            def empty():
                nonlocal moved
                for database in self.databases:
                    client.ok("SELECT", database)
                    for key in client.ok("CLUSTER", "GETKEYSINSLOT", slot, 3):
                        moved += client.ok("MIGRATE", "127.0.0.1", there.port, key, database, 5000) == "OK"
                        if moved >= at_most:
                            return True
                for database in self.databases:
                    client.ok("SELECT", database)
                    if client.ok("CLUSTER", "COUNTKEYSINSLOT", slot):
                        return False
                return True
            wait_until(empty, 20, "slot %d is empty" % slot, every_s=0)
        return moved

    def move(self, tag, to):
        """A slot by SETSLOT and MIGRATE, database by database, while it is written."""
        slot = key_slot(tag.encode())
        here, there = self.owner(slot), self.pair(to)[0]
        self.open_slot(slot, here, there)
        moved = self.move_keys(slot, here, there)
        others = [n for n in self.nodes if n not in (here, there) and n.ok("ROLE")[0] == "master"]
        for node in [there, here] + others:
            node.ok("CLUSTER", "SETSLOT", slot, "NODE", my_id(there))
        self.went_on("slot %d with %d keys went from %s to %s" % (slot, moved, here.name, there.name))

    def redis_cli(self, verb, node, *args):
        """redis-cli --cluster: what it prints."""
        done = subprocess.run(["redis-cli", "--cluster", verb, "127.0.0.1:%d" % node.port, *[str(a) for a in args]],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, timeout=60, check=False)
        assert done.returncode == 0 and "ERR" not in done.stdout, done.stdout[-600:]
        return done.stdout

    def reshard(self, index, to, count=20):
        wait_agreed(self.nodes)
        here, there = self.pair(index)[0], self.pair(to)[0]
        self.redis_cli("reshard", here, "--cluster-from", my_id(here), "--cluster-to", my_id(there),
                       "--cluster-slots", count, "--cluster-yes")
        self.went_on("redis-cli moved %d slots from %s to %s" % (count, here.name, there.name))
        wait_agreed(self.nodes)

    def run(self):
        self.went_on("the start")
        self.take_down(0, kill=True)
        self.switch(1)
        self.move(self.moved[0], 1)
        self.move(self.moved[2], 0)
        self.reshard(2, 1)
        self.switch(1)
        self.take_down(2, kill=False)
        self.take_down(1, kill=True)

    def stop(self):
        for load in self.loads:
            load.proc.stdin.close()
        for load in self.loads:
            load.stop()

    def looked_at(self):
        """What is wrong with the nodes when all loads have ended; None: nothing."""
        return None

    def judge(self, load):
        """The faults of a client: what is left when losses by a kill are taken out. Prints what was lost."""
        faults, lost, latest = list(load.faults), 0, 0
        for line in load.older:
            slot = key_slot(line["tag"].encode())
            near = [at - line["acked_ms"] for at, slots in self.kills if slot in slots
                    and -LATE_MS <= at - line["acked_ms"] <= LOSS_MS]
            if near:
                lost, latest = lost + 1, max(latest, min(near))
            else:
                faults.append(dict(line, kills=[at for at, slots in self.kills if slot in slots]))
        if load.end is None:
            faults.append({"error": "it did not say its end"})
        else:
            lost_text = "; %d values lost by kills, acknowledged at most %d ms before" % (lost, latest)
            print("     %s: %s rounds, %d writes to lists, %d through queues%s; its caller retried %s" % (
                load.name, load.state.get("rounds"), load.end["pushed"], load.end["queued"],
                lost_text if self.kills else "", load.end["retried"] or "nothing"))
        return faults


def slots_of(words):
    found = set()
    for word in words[8:]:
        if not word.startswith("["):
            low, _, high = word.partition("-")
            found.update(range(int(low), int(high or low) + 1))
    return found


def run_in_cluster(ordeal_of, lab, kind, folder, names):
    """(passed, failed): a test for each client. ordeal_of: a class of them."""
    ordeal = ordeal_of(lab, kind, folder, names)
    problem = None
    try:
        ordeal.run()
    except (AssertionError, OSError, RespError, subprocess.TimeoutExpired) as e:
        problem = "%s: %s" % (type(e).__name__, e)
    finally:
        if problem is None:
            ordeal.stop()
            problem = ordeal.looked_at()
        for load in ordeal.loads:
            load.kill()
    if problem is not None:
        print("FAIL in a cluster: %s\n%s" % (problem, lab.describe()[-3000:]))
    passed = failed = 0
    for load in ordeal.loads:
        faults = ordeal.judge(load)
        if faults or problem is not None:
            failed += 1
            print("FAIL %s on a cluster %s: %d faults" % (load.name, ordeal.TITLE, len(faults)))
            for fault in faults[:8]:
                print("     %s" % (str(fault)[:400]))
        else:
            passed += 1
            print("ok   %s on a cluster %s" % (load.name, ordeal.TITLE))
    return passed, failed
