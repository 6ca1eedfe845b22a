#!/usr/bin/python3
"""redis-py's RedisCluster under the load of cluster_load.js, with the same lines of output.

    cluster_load.py redis-py '{"ports": [...], "databases": [[0, ["{tag}", ...]], ...], "name": "a"}'
"""
import collections
import json
import logging
import sys
import threading
import time

from redis.cluster import ClusterNode, NodesManager, RedisCluster
from redis.exceptions import AskError, ConnectionError as Lost, MovedError, RedisError, TimeoutError as Late, \
    TryAgainError

WHAT = json.loads(sys.argv[2])
GIVE_UP_S, RETRY_S, WORKERS, FIRST_OF_DATABASE = 30, 0.05, 2, 1000000
EXACT, QUEUE = WHAT.get("exact", False), WHAT.get("queue")

ending = threading.Event()
retried = collections.Counter()
BREATH_S = 0.010  # of a worker, so that the other clients and the nodes have some of the processors
rounds = [0] * WORKERS
heard = {}
out = threading.Lock()


def say(**line):
    with out:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def now_ms():
    return int(time.time() * 1000)


def with_its_role(plain):
    """Redis-py 4.3 leaves a node that it knows the role that it had, and is left without a master after some failovers;
    later versions set it."""
    def get(self, host, port, role, nodes):
        node = plain(self, host, port, role, nodes)
        node.server_type = role
        return node
    return get


NodesManager._get_or_create_cluster_node = with_its_role(NodesManager._get_or_create_cluster_node)


class Client(RedisCluster):
    """RedisCluster of 4.3 copies the arguments of its connections, itself among them, when it asks a second node for
    the slots, and fails, for there is a lock in it."""
    def __deepcopy__(self, _):
        return self


def connect(database=0):
    def select(connection):
        # RedisCluster has no argument for it, but a function for each connection that it makes.
        if database:
            connection.send_command("SELECT", database)
            connection.read_response()
    return Client(startup_nodes=[ClusterNode("127.0.0.1", port) for port in WHAT["ports"]],
                  cluster_error_retry_attempts=10, reinitialize_steps=1, decode_responses=True,
                  redis_connect_func=select, socket_timeout=5)


def trying(kind, work):
    """What the client raises is said; None then. Transactions go by the connection of a node (RedisCluster has none of
    its own), where redirections are the caller's; so is a pipeline that can't connect to a node."""
    deadline = time.monotonic() + GIVE_UP_S
    while True:
        try:
            return work()
        except (MovedError, AskError, TryAgainError, Lost, Late) as e:
            own = kind == "multi" or (kind == "pipeline" and not EXACT)
            if not own or (EXACT and isinstance(e, (Lost, Late))) or time.monotonic() > deadline:
                say(error="%s: %s" % (type(e).__name__, e), kind=kind)
                return None
            retried["%s: %s" % (kind, type(e).__name__)] += 1
            time.sleep(RETRY_S)
        except RedisError as e:
            text = "%s: %s" % (type(e).__name__, e)
            if EXACT or kind != "multi" or "CLUSTERDOWN" not in text or time.monotonic() > deadline:
                say(error=text, kind=kind)
                return None
            retried["multi: CLUSTERDOWN"] += 1
            time.sleep(RETRY_S)


class Writer:
    def __init__(self, client, tag, database):
        self.client, self.tag, self.database = client, tag, database
        self.acked, self.pushed, self.counted = {}, [], None
        self.round = database * FIRST_OF_DATABASE

    def key(self, name):
        return "%s:%s:%s" % (self.tag, WHAT["name"], name)

    def wrong(self, name, seen):
        say(wrong="%s of database %d: %s" % (self.key(name), self.database, seen), acked=self.acked.get(name))

    def older(self, name, acked_ms, lost):
        say(older="%s of database %d" % (self.key(name), self.database), tag=self.tag, acked_ms=acked_ms, lost=lost)

    def check(self, name, seen):
        if name not in self.acked:
            return
        value, at = self.acked[name]
        found = 0 if seen is None else int(seen)
        if found > value:
            self.wrong(name, seen)
        elif found < value:
            self.older(name, at, value - found)
            self.acked[name] = (found, at)

    def reread(self, name):
        answer = trying("get", lambda: [self.client.get(self.key(name))])
        if answer is not None:
            self.check(name, answer[0])

    def write(self, kind, names, work):
        for name in names:
            self.reread(name)
        if trying(kind, lambda: [work()]) is None:
            return False
        for name in names:
            self.acked[name] = (self.round, now_ms())
        return True

    def multi(self, keys):
        try:
            node = self.client.get_node_from_key(keys[0])
            chain = self.client.get_redis_connection(node).pipeline(transaction=True)
            for key in keys:
                chain.set(key, self.round)
            chain.execute()
        except RedisError:
            self.client.nodes_manager.initialize()
            raise

    def both(self, kind, names, work):
        keys = [self.key(n) for n in names]
        if not self.write(kind, names, lambda: work(keys)):
            return
        seen = trying("mget", lambda: self.client.mget(keys))
        if seen is not None:
            if seen[0] != seen[1]:
                self.wrong(names[0], seen)
            for name, value in zip(names, seen):
                self.check(name, value)

    def step(self):
        client = self.client
        self.round += 1
        value = self.round
        if self.write("set", ["s"], lambda: client.set(self.key("s"), value)):
            self.reread("s")
        if trying("hset", lambda: [client.hset(self.key("h"), "f", value)]) is not None:
            self.acked["h"] = (value, now_ms())
        fields = trying("hgetall", lambda: client.hgetall(self.key("h")))
        if fields is not None:
            self.check("h", fields.get("f"))
        self.both("multi", ["a", "b"], self.multi)
        self.both("mset", ["x", "y"], lambda keys: client.mset({key: value for key in keys}))
        length = trying("rpush", lambda: client.rpush(self.key("l"), value))
        if length is not None:
            self.pushed.append((value, now_ms()))
            if EXACT and length != len(self.pushed):
                self.wrong("l", "length %d" % length)
        self.come_and_go(value)

    def come_and_go(self, value):
        """A key that is deleted stays so."""
        key = self.key("d")
        if trying("set", lambda: self.client.set(key, value)) is None:
            return
        at, deleted = now_ms(), trying("del", lambda: self.client.delete(key))
        seen = trying("get", lambda: [self.client.get(key)])
        if deleted is not None and seen is not None and (deleted, seen) != (1, [None]):
            self.older("d", at, 1)

    def finish(self):
        for name in "sabxy":
            self.reread(name)
        found = trying("lrange", lambda: client_list(self.client, self.key("l")))
        if found is None:
            return 0
        if found != sorted(found):
            self.wrong("l", "not in order: %s" % found[:50])
        if EXACT and len(found) != len(self.pushed):
            self.wrong("l", "%d for %d" % (len(found), len(self.pushed)))
        there = set(found)
        for value, at in self.pushed:
            if value not in there:
                self.older("l", at, 1)
        return len(self.pushed)


def client_list(client, key):
    return [int(v) for v in client.lrange(key, 0, -1)]


def pipeline(client, writers):
    """INCR of a key in each slot: each answer is greater than the one before it, or a write was lost; and greater by
    more than one only if somebody tried it again."""
    def work():
        chain = client.pipeline()
        try:
            for w in writers:
                chain.incr(w.key("n"))
            return chain.execute()
        except Lost:
            client.nodes_manager.initialize()
            raise
    answers = trying("pipeline", work)
    for w, answer in zip(writers, answers or []):
        before, at = w.counted or (0, 0)
        if answer <= before:
            w.older("n", at, before - answer + 1)
        elif EXACT and answer != before + 1:
            w.wrong("n", "%d after %d" % (answer, before))
        w.counted = (answer, now_ms())


def worker(number, databases):
    clients, mine = [], []
    for database, tags in databases:
        client = connect(database)
        clients.append(client)
        mine += [Writer(client, tag, database) for tag in tags[number::WORKERS]]
    while not ending.is_set():
        for writer in mine:
            writer.step()
            time.sleep(BREATH_S)
        for client in clients:
            pipeline(client, [w for w in mine if w.client is client])
        rounds[number] += 1
    return sum(writer.finish() for writer in mine)


class Queue:
    """What one connection puts in at one end comes out for another at the other, once and in this order."""

    def __init__(self, database):
        self.database, self.put, self.taken, self.over = database, 0, 0, False
        self.key = "%s:%s:q" % (QUEUE, WHAT["name"])

    def produce(self):
        client = connect(self.database)
        while not ending.is_set():
            self.put += 1
            trying("rpush", lambda: client.rpush(self.key, self.put))
            time.sleep(BREATH_S)
        self.over = True

    def consume(self):
        client, silent = connect(self.database), 0
        while not (self.over and self.taken == self.put) and silent < 10:
            found = trying("blpop", lambda: client.blpop(self.key, 1))
            silent = silent + 1 if found is None else 0
            if found is not None:
                if int(found[1]) != self.taken + 1:
                    say(wrong="queue of database %d: %s after %d" % (self.database, found[1], self.taken))
                self.taken = int(found[1])
        if self.taken != self.put:
            say(wrong="queue of database %d: %d of %d came out" % (self.database, self.taken, self.put))


def publisher():
    client = connect()
    number = 0
    while not ending.is_set():
        number += 1
        trying("publish", lambda: client.publish("news:" + WHAT["name"], number))
        time.sleep(0.005)


def listener():
    """A subscription is to one node: when that has gone its caller takes another."""
    client = connect()
    while not ending.is_set():
        try:
            with client.pubsub() as sub:
                sub.subscribe("news:" + WHAT["name"])
                while not ending.is_set():
                    message = sub.get_message(ignore_subscribe_messages=True, timeout=0.2)
                    if message is not None:
                        number = int(message["data"])
                        heard["plain"] = max(number, heard.get("plain", 0))
        except (Lost, Late) as e:
            retried["subscription: " + type(e).__name__] += 1
            time.sleep(RETRY_S)
            try:
                client.nodes_manager.initialize()
            except RedisError as e2:
                say(error=str(e2), kind="subscription")


def main():
    logging.disable(logging.CRITICAL)
    pushed = [0] * WORKERS
    failed = []

    def guarded(function, *args):
        try:
            value = function(*args)
            if args:
                pushed[args[0]] = value
        except BaseException as e:
            failed.append(e)
            say(error="%s: %s" % (type(e).__name__, e), kind=function.__name__)

    queues = [Queue(database) for database, _ in WHAT["databases"]] if QUEUE else []
    threads = [threading.Thread(target=guarded, args=(worker, i, WHAT["databases"])) for i in range(WORKERS)]
    threads += [threading.Thread(target=guarded, args=(f,)) for f in (publisher, listener)]
    threads += [threading.Thread(target=guarded, args=(f,)) for q in queues for f in (q.produce, q.consume)]
    for thread in threads:
        thread.daemon = True
        thread.start()

    def progress():
        while True:
            say(rounds=list(rounds), heard=dict(heard), retried=dict(retried))
            time.sleep(0.05)

    threading.Thread(target=progress, daemon=True).start()
    sys.stdin.read()
    ending.set()
    for thread in threads:
        thread.join()
    say(end=True, pushed=sum(pushed), queued=sum(q.taken for q in queues), retried=dict(retried))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
