#!/usr/bin/python3
"""redis-py's RedisCluster under the load of cluster_load.js, with the same lines of output.

    cluster_load.py redis-py '{"ports": [...], "tags": [...], "other_tags": [...], "name": "a"}'
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
GIVE_UP_S, RETRY_S, WORKERS = 30, 0.05, 2
OTHER_DATABASE = 3

ending = threading.Event()
retried = collections.Counter()
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
            if kind not in ("multi", "pipeline") or time.monotonic() > deadline:
                say(error="%s: %s" % (type(e).__name__, e), kind=kind)
                return None
            retried["%s: %s" % (kind, type(e).__name__)] += 1
            time.sleep(RETRY_S)
        except RedisError as e:
            text = "%s: %s" % (type(e).__name__, e)
            if kind != "multi" or "CLUSTERDOWN" not in text or time.monotonic() > deadline:
                say(error=text, kind=kind)
                return None
            retried["multi: CLUSTERDOWN"] += 1
            time.sleep(RETRY_S)


class Writer:
    def __init__(self, client, tag, database):
        self.client, self.tag, self.database = client, tag, database
        self.acked, self.pushed, self.round = {}, [], 0

    def key(self, name):
        return "%s:%s:%d:%s" % (self.tag, WHAT["name"], self.database, name)

    def check(self, name, seen):
        if name not in self.acked:
            return
        value, at = self.acked[name]
        found = 0 if seen is None else int(seen)
        if found > value:
            say(wrong="%s: %s" % (self.key(name), seen), acked=value)
        elif found < value:
            say(older=self.key(name), tag=self.tag, acked_ms=at, lost=value - found)
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
                say(wrong="%s: %s" % (keys, seen))
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
        if trying("rpush", lambda: client.rpush(self.key("l"), value)) is not None:
            self.pushed.append((value, now_ms()))

    def finish(self):
        for name in "sabxy":
            self.reread(name)
        found = trying("lrange", lambda: client_list(self.client, self.key("l")))
        if found is None:
            return 0
        if found != sorted(found):
            say(wrong="%s: not in order: %s" % (self.key("l"), found[:50]))
        there = set(found)
        for value, at in self.pushed:
            if value not in there:
                say(older=self.key("l"), tag=self.tag, acked_ms=at, lost=1)
        return len(self.pushed)


def client_list(client, key):
    return [int(v) for v in client.lrange(key, 0, -1)]


def pipeline(client, writers, counters):
    """INCR of a key in each slot: each answer is greater than the one before it, or a write was lost."""
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
        before, at = counters.get(w, (0, 0))
        if answer <= before:
            say(older=w.key("n"), tag=w.tag, acked_ms=at, lost=before - answer + 1)
        counters[w] = (answer, now_ms())


def worker(number, writers, others):
    counters = {}
    client, other = connect(), connect(OTHER_DATABASE) if others else None
    mine = [Writer(client, tag, 0) for tag in writers]
    theirs = [Writer(other, tag, OTHER_DATABASE) for tag in others]
    while not ending.is_set():
        for writer in mine + theirs:
            writer.step()
        pipeline(client, mine, counters)
        if theirs:
            pipeline(other, theirs, counters)
        rounds[number] += 1
    return sum(writer.finish() for writer in mine + theirs)


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

    threads = [threading.Thread(target=guarded, args=(worker, i, WHAT["tags"][i::WORKERS],
                                                      WHAT["other_tags"][i::WORKERS])) for i in range(WORKERS)]
    threads += [threading.Thread(target=guarded, args=(f,)) for f in (publisher, listener)]
    for thread in threads:
        thread.daemon = True
        thread.start()

    def progress():
        while True:
            say(rounds=list(rounds), heard=dict(heard))
            time.sleep(0.05)

    threading.Thread(target=progress, daemon=True).start()
    sys.stdin.read()
    ending.set()
    for thread in threads:
        thread.join()
    say(end=True, pushed=sum(pushed), retried=dict(retried), other=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
