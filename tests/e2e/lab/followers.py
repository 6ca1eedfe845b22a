"""Masters and replicas, noded and redis-server: what tests of replication do with them."""
import random

from .following import field
from .random_writes import fill
from .resp import Closed, encode

SEEDS = random.Random(510)
ZEROS = "0" * 40


def count(server, name):
    return int(field(server, name, "stats"))


def master_of(lab, name="master", **options):
    return lab.node(name, **dict({"repl_diskless_sync_delay": 0, "repl_ping_replica_period": 1}, **options))


def filled(lab, keys=300, **options):
    master = master_of(lab, **options)
    with master.connect() as client:
        fill(client, random.Random(SEEDS.random()), keys=keys)
    return master


def by_hand(master, *words, capa=("eof", "psync2")):
    """A connection that has said what a replica says, and the answer to PSYNC if there are words for it."""
    client = master.connect(timeout_s=20)
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
