"""Datasets of a cluster with everything in them that a key can be: all types, bytes of every value, expiries, many
databases; and what a cluster holds in the end, to be compared."""
import random
import time

import redis
from redis.crc import key_slot

from .clusters import SLOTS

FAR_MS = 10**7  # a time to live that no test sees end


def client(node, db=0):
    return redis.Redis(port=node.port, db=db, password=getattr(node, "password", None), socket_timeout=30)


def owner_of(masters, key):
    """As make_cluster deals the slots out."""
    return masters[next(i for i in range(len(masters)) if key_slot(key) < SLOTS * (i + 1) // len(masters))]


def put_key(pipe, rng, number, key):
    """One of the types by turns; big ones too, so that both encodings of each are there."""
    size = 3 if number % 7 else 200
    words = [bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40))) for _ in range(size)]
    kind = number % 6
    if kind == 0:
        pipe.set(key, rng.choice([b"%d" % rng.randrange(10**12), b"x" * 5000, words[0]]))
    elif kind == 1:
        pipe.rpush(key, *words)
    elif kind == 2:
        pipe.sadd(key, *words)
    elif kind == 3:
        pipe.sadd(key, *[rng.randrange(10**6) for _ in range(size)])
    elif kind == 4:
        pipe.zadd(key, {word: rng.uniform(-1e6, 1e6) for word in words})
    else:
        pipe.hset(key, mapping={word: words[0] for word in words})
    if number % 3 == 0:
        pipe.pexpireat(key, int(time.time() * 1000) + FAR_MS + number)


def fill(masters, databases, per_database, seed=1):
    """Keys with any bytes in them, of all types; a third of them expires far away."""
    rng = random.Random(seed)
    for db in databases:
        pipes = {node.port: client(node, db).pipeline(transaction=False) for node in masters}
        for number in range(per_database):
            key = bytes(rng.randrange(256) for _ in range(rng.randrange(0, 12))) + b"-%d" % number
            put_key(pipes[owner_of(masters, key).port], rng, number, key)
        for pipe in pipes.values():
            pipe.execute()


def content(masters, databases):
    """(database, key) -> (digest of the value, when it expires): all that the masters hold."""
    found = {}
    for node in masters:
        for db in databases:
            with client(node, db) as c:
                keys = list(c.scan_iter(count=1000))
                pipe = c.pipeline(transaction=False)
                for key in keys:
                    pipe.execute_command("DEBUG", "DIGEST-VALUE", key)
                    pipe.execute_command("PEXPIRETIME", key)
                answers = pipe.execute()
            for i, key in enumerate(keys):
                assert (db, key) not in found, (db, key)
                found[db, key] = (answers[2 * i][0], answers[2 * i + 1])
    return found


def assert_same(one, other):
    missing, added = one.keys() - other.keys(), other.keys() - one.keys()
    changed = [key for key in one.keys() & other.keys() if one[key] != other[key]]
    assert not missing and not added and not changed, (len(one), len(other), sorted(missing)[:5], sorted(added)[:5],
                                                       [(key, one[key], other[key]) for key in changed[:5]])
