"""Masters and replicas, noded and redis-server: what tests of replication do with them."""
import random

from .random_writes import fill
from .resp import Closed, encode
from .wait import wait_until

SEEDS = random.Random(510)
ZEROS = "0" * 40


def field(server, name, section="replication"):
    return server.info(section).get(name)


def count(server, name):
    return int(field(server, name, "stats"))


def master_of(lab, name="master", **options):
    return lab.node(name, **dict({"repl_diskless_sync_delay": 0, "repl_ping_replica_period": 1}, **options))


def filled(lab, keys=300, **options):
    master = master_of(lab, **options)
    with master.connect() as client:
        fill(client, random.Random(SEEDS.random()), keys=keys)
    return master


def is_up(replica):
    return field(replica, "master_link_status") == "up"


def wait_in_step(master, replica, timeout_s=30):
    def in_step():
        return is_up(replica) and field(replica, "master_repl_offset") == field(master, "master_repl_offset")
    wait_until(in_step, timeout_s, "%s has the stream of %s" % (replica.name, master.name))


def wait_equal(master, replicas, timeout_s=30):
    """Nobody writes meanwhile; what runs out of time goes when the master looks at it."""
    def equal():
        with master.connect() as client:
            for db in range(16):
                client.ok("SELECT", db)
                for key in client.ok("KEYS", "*"):
                    client.call("TTL", key)
        for replica in replicas:
            wait_in_step(master, replica, timeout_s)
        digests = {server.name: server.ok("DEBUG", "DIGEST") for server in (master, *replicas)}
        assert len(set(digests.values())) == 1, digests
        return True
    wait_until(equal, timeout_s, "all have the dataset of %s" % master.name, every_s=0.2)


def by_hand(master, *words, capa=("eof", "psync2")):
    """A connection that has said what a replica says, and the answer to PSYNC if there are words for it."""
    client = master.connect(timeout_s=10)
    for word in capa:
        client.ok("REPLCONF", "capa", word)
    if words:
        client.send_raw(encode("PSYNC", *words))
    return client


def read_line(client):
    """A line of a master, without the empty lines that are signs of life."""
    line = b""
    while not line.endswith(b"\r\n"):
        byte = client.sock.recv(1)
        if not byte:
            raise Closed("the master closed the connection after %r" % line)
        line = (line + byte).lstrip(b"\n")
    return line[:-2].decode()


def read_snapshot(client):
    """A snapshot over the socket, from its first line to its mark; the bytes between."""
    line = read_line(client)
    assert line.startswith("$EOF:"), line
    mark, data = line[5:].encode(), b""
    while not data.endswith(mark):
        more = client.sock.recv(1 << 20)
        if not more:
            raise Closed("the master closed the connection in the snapshot, after %d bytes" % len(data))
        data += more
    return data[:-len(mark)]
