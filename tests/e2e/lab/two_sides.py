"""Clients that keep to one node each, whatever it answers: what two masters of one shard would take, they find."""
import collections
import threading
import time

from .clusters import keys_of
from .resp import Resp, RespError
from .supervised import slot_range

Taken = collections.namedtuple("Taken", "sent acked node key value")


class TwoSides:
    """For each node some clients that append values to lists, each value once, and never follow a redirect. A value
    whose answer does not come is not written again. The node executed it between `sent` and `acked`."""

    def __init__(self, lab, nodes, place=0, shards=1, clients=2, pause_s=0.001, patience_s=20, connect=Resp):
        self.nodes, self.pause_s, self.patience_s, self.connect = nodes, pause_s, patience_s, connect
        self.taken = []
        self.refused = collections.Counter()  # node -> how many
        self.stopping = threading.Event()
        keys = keys_of(*slot_range(place, shards), clients)
        lab.on_close(self.stopping.set)
        self.threads = [threading.Thread(target=self.run, args=(node, key), daemon=True)
                        for node in nodes for key in keys]
        for thread in self.threads:
            thread.start()

    def run(self, node, key):
        client, n = None, 0
        while not self.stopping.is_set():
            n += 1
            value = "%s:%s:%d" % (node.name, key, n)
            sent = time.monotonic()
            try:
                client = client or self.connect(node)
                reply = client.call("RPUSH", key, value)
            except OSError:
                client = None
                self.stopping.wait(0.01)
                continue
            if isinstance(reply, RespError):
                self.refused[node] += 1
                self.stopping.wait(0.005)
                continue
            self.taken.append(Taken(sent, time.monotonic(), node, key, value))
            self.stopping.wait(self.pause_s)
        if client is not None:
            client.close()

    def stop(self):
        """Ends the clients; those that wait for an answer still are left alone."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(3)

    def of(self, node, since=0.0):
        """What this node took that was sent after that time."""
        return [t for t in list(self.taken) if t.node is node and t.sent > since]

    def changes(self):
        """How often another node than before took writes, at least: the longest chain of writes of which each was
        acknowledged before the next was sent, by nodes that alternate. One switch can explain one change only, so more
        of them are two masters at one time."""
        done = sorted(self.taken, key=lambda t: t.acked)
        longest = []
        for start in self.nodes:
            chain = []
            for t in done:
                if (not chain and t.node is start) or (chain and t.node is not chain[-1].node and
                                                       t.sent > chain[-1].acked):
                    chain.append(t)
            longest = max(longest, chain, key=len)
        return longest[1:]

    def lost(self, master):
        """What was acknowledged and this node does not have. A client that stop() has left alone may hear an answer
        while this asks: what was acknowledged before counts."""
        stored, taken = {}, list(self.taken)
        with self.connect(master) as client:
            for key in {t.key for t in taken}:
                stored[key] = set(client.ok("LRANGE", key, 0, -1))
        return [t for t in taken if t.value not in stored[t.key]]

    def check(self, master, switches=1, lost_since=None):
        """After all is well again, with this master: never two at one time. What is gone was taken by a node that was
        replaced, and was acknowledged after `lost_since`, when it could no more tell its replica (None: nothing may be
        gone). Returns how many are gone."""
        changes = self.changes()
        assert len(changes) <= switches, "two masters at one time: %s" % (changes,)
        lost = self.lost(master)
        for t in lost:
            assert t.node is not master or switches > 1, "acknowledged by the master, and gone: %s" % (t,)
            assert lost_since is not None and t.acked > lost_since, \
                "%d of %d are gone, %s is the first" % (len(lost), len(self.taken), lost[0])
        print("%d writes acknowledged, %d of them gone, %d changes of the master" % (
            len(self.taken), len(lost), len(changes)))
        return len(lost)
