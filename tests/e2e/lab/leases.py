"""Supervisors of a cluster as its nodes hear them: they keep leases on masters, watch replicas, and promote. One thread
speaks for all of them; each has books of its own and never has grants out to two nodes of one shard."""
import collections
import math
import select
import socket
import threading
import time

from .resp import Closed, Incomplete, RespError, encode, pairs, parse
from .wait import wait_until

BOOK = 1.01  # in a supervisor's books a grant lasts so much longer than it was said to
SPEAK_S = 0.1  # from one word to the next at most, however long the leases are
Stamp = collections.namedtuple("Stamp", "incarnation clock asked_at")


class _Link:
    """One supervisor's connection to one node. Requests are sent whether or not the last was answered."""

    def __init__(self, node):
        self.node = node
        self.stamp = None
        self.answer = None
        self.error = None
        self.answers = 0
        self.sock = None
        self.close()

    def close(self):
        if self.sock is not None:
            self.sock.close()
        self.sock, self.out, self.buf, self.asked, self.kept = None, b"", bytearray(), collections.deque(), []

    def send(self, data):
        """What the other side does not read waits here, as it would in a buffer of the system."""
        if self.sock is None:
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.settimeout(1)
            self.sock.connect(("127.0.0.1", self.node.port))
            self.sock.setblocking(False)
        self.out += data
        self.asked.append(time.monotonic())
        try:
            self.out = self.out[self.sock.send(self.out):]
        except BlockingIOError:
            pass

    def read(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise Closed("the node closed the link")
        self.buf += data
        while True:
            try:
                value, at = parse(self.buf, 0)
            except Incomplete:
                return
            del self.buf[:at]
            self.kept.append((value, self.asked.popleft()))

    def take(self):
        for value, asked_at in self.kept:
            self.answers += 1
            if isinstance(value, RespError):
                self.error = value
                continue
            self.error = None
            self.answer = pairs(value)
            self.stamp = Stamp(self.answer["incarnation"], self.answer["clock"], asked_at)
        self.kept = []


class _One:
    """One supervisor."""

    def __init__(self, position):
        self.id = "%040x" % (0xabc000 + position)
        self.links = {}  # node -> link
        self.grantee = {}  # shard -> node
        self.epoch = {}  # shard -> epoch
        self.not_before = {}  # shard -> when the grantee may be granted anything
        self.books = {}  # node -> when its grant ends, at the latest
        self.paused = self.held = False


class LeaseKeepers:
    """n supervisors with leases of ttl_ms. A shard is named by whatever the test likes. It ends with the lab. Leases
    end when this process stands still, too: they are long enough that those of a busy machine do not."""

    def __init__(self, lab, n=3, ttl_ms=2000, version=1):
        self.n, self.ttl_ms, self.version = n, ttl_ms, version
        self.list = ",".join("127.0.0.1:%d" % (26379 + i) for i in range(n))
        self.all = [_One(i) for i in range(n)]
        self.shard_of = {}  # node -> shard
        self.lock = threading.RLock()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.failure = None
        lab.on_close(self.stop)
        self.thread.start()

    def stop(self):
        self.ending.set()
        self.thread.join(10)
        for one in self.all:
            for link in one.links.values():
                link.close()

    # ---- what the test says ----

    def keep(self, shard, master, replicas=(), epoch=0):
        """They keep the lease of this shard's master, and watch its replicas."""
        with self.lock:
            for node in (master, *replicas):
                self.shard_of[node] = shard
            for one in self.all:
                one.grantee[shard] = master
                one.epoch[shard] = epoch
                for node in (master, *replicas):
                    one.links[node] = _Link(node)

    def unwatch(self, node):
        """Nobody speaks to it any more; what it was granted ends by itself."""
        with self.lock:
            for one in self.all:
                one.links.pop(node).close()

    def watch(self, shard, node):
        with self.lock:
            self.shard_of[node] = shard
            for one in self.all:
                one.links.setdefault(node, _Link(node))

    def pause(self, *positions):
        """These say nothing and hear nothing."""
        with self.lock:
            for i in positions:
                self.all[i].paused = True

    def resume(self, *positions):
        with self.lock:
            for i in positions:
                self.all[i].paused = False

    def hold(self, *positions):
        """These go on speaking with the stamps that they have: answers are kept back until release()."""
        with self.lock:
            for i in positions:
                self.all[i].held = True

    def release(self, *positions):
        with self.lock:
            for i in positions:
                self.all[i].held = False

    def follow(self, shard, node, epoch):
        """All that are not paused take this node for the grantee, when what they granted to another has ended."""
        with self.lock:
            for one in self.all:
                if not one.paused:
                    self._elect(one, shard, node, epoch)

    # ---- what they know ----

    def speaker(self, position):
        return "%d:%d:%s" % (self.version, position, self.list)

    def answer(self, node, position=0):
        """What it answered last; {}: nothing yet."""
        with self.lock:
            return dict(self.all[position].links[node].answer or {})

    def id_of(self, node):
        """Also of a node that does not run any more; it has said it to one of them, or will."""
        def said():
            with self.lock:
                links = [one.links[node] for one in self.all if node in one.links]
                return [link.answer["node"] for link in links if link.answer]
        return wait_until(said, 20, "%s has told who it is" % node.name)[0]

    def wait_answer(self, node, good, what, timeout_s=20):
        """Its first answer to what it was asked after this call that is good(); one of before may be out of date."""
        began = time.monotonic()

        def said():
            with self.lock:
                link = self.all[0].links[node]
                fresh = link.stamp is not None and link.stamp.asked_at >= began
                answer = dict(link.answer or {})
            assert fresh and good(answer), answer
            return answer
        return wait_until(said, timeout_s, what)

    def answers(self, node, position=0):
        with self.lock:
            return self.all[position].links[node].answers

    def error(self, node, position=0):
        with self.lock:
            return self.all[position].links[node].error

    def all_know(self, node, positions=None):
        """All that are not paused have its stamp, or all of these."""
        with self.lock:
            asked = [one for one in self.all if not one.paused] if positions is None else \
                [self.all[i] for i in positions]
            return all(one.links[node].stamp is not None for one in asked)

    def granted_until(self, node):
        """The end of the last grant to it in their books."""
        with self.lock:
            return max((one.books.get(node, 0.0) for one in self.all), default=0.0)

    # ---- promotion ----

    def _elect(self, one, shard, node, epoch):
        if one.grantee.get(shard) is not node:
            others = [end for other, end in one.books.items() if other is not node and self.shard_of[other] == shard]
            one.not_before[shard] = max(others, default=0.0)
            one.grantee[shard] = node
        one.epoch[shard] = max(epoch, one.epoch.get(shard, 0))

    def _grant(self, position, shard, node):
        """A vote as a grant, by the newest stamp: it begins when what was granted to others has ended."""
        one = self.all[position]
        stamp = one.links[node].stamp
        wait_ms = max(0, math.ceil((one.not_before.get(shard, 0.0) - stamp.asked_at) * 1000))
        ttl_ms = wait_ms + self.ttl_ms + math.ceil((time.monotonic() - stamp.asked_at) * 1000)
        one.books[node] = time.monotonic() + ttl_ms * BOOK / 1000
        return "%d/%s/%d/%d/%d" % (position, stamp.incarnation, stamp.clock, ttl_ms, wait_ms)

    def ballot(self, node, epoch, voters=None):
        """The grants of those who vote for the node: all that are not paused, or these. From now on it is the one that
        they grant to."""
        shard = self.shard_of[node]
        wait_until(lambda: self.all_know(node, voters), 20, "those who vote have the stamp of %s" % node.name)
        with self.lock:
            chosen = [i for i in range(self.n) if not self.all[i].paused] if voters is None else list(voters)
            for i in chosen:
                self._elect(self.all[i], shard, node, epoch)
            return [self._grant(i, shard, node) for i in chosen]

    def takeover(self, node, epoch, lineage, grants=(), timeout_s=10, force=False):
        """CLUSTER FAILOVER TAKEOVER EPOCH; its reply. lineage: nodes or ids."""
        ids = ",".join(of if isinstance(of, str) else self.id_of(of) for of in lineage)
        words = ["CLUSTER", "FAILOVER", "TAKEOVER", "EPOCH", epoch, "FROM", ids]
        if force:
            words.append("FORCE")
        if grants:
            words += ["GRANTS", self.speaker(0), *grants]
        with node.connect(timeout_s=timeout_s) as client:
            return client.call(*words)

    def promote(self, node, epoch, lineage, voters=None):
        return self.takeover(node, epoch, lineage, self.ballot(node, epoch, voters))

    def give_back(self, node, epoch, position=0):
        """CLUSTER LEASE RETURN: nobody grants to it any more, and the reply is the node's last word."""
        shard = self.shard_of[node]
        with self.lock:
            for one in self.all:
                one.grantee[shard] = None
                one.epoch[shard] = max(epoch, one.epoch.get(shard, 0))
        with node.connect(timeout_s=10) as client:
            reply = client.call("CLUSTER", "LEASE", "RETURN", self.all[position].id, self.speaker(position), epoch)
        if not isinstance(reply, RespError):
            with self.lock:  # it takes nothing of what is on its way
                for one in self.all:
                    one.books.pop(node, None)
        return reply

    # ---- the thread ----

    def _lease(self, position, link):
        """A lease for the grantee; a probe (without a stamp) for the others, and while it has to wait."""
        one, shard = self.all[position], self.shard_of[link.node]
        words = ["CLUSTER", "LEASE", one.id, self.speaker(position), self.ttl_ms, one.epoch.get(shard, 0)]
        now = time.monotonic()
        if one.grantee.get(shard) is link.node and link.stamp is not None and now >= one.not_before.get(shard, 0.0):
            words += [link.stamp.incarnation, link.stamp.clock]
            one.books[link.node] = max(one.books.get(link.node, 0.0), now + self.ttl_ms * BOOK / 1000)
        link.send(encode(*words))

    def _speak(self):
        with self.lock:
            for position, one in enumerate(self.all):
                for link in [] if one.paused else one.links.values():
                    try:
                        self._lease(position, link)
                    except OSError:
                        link.close()

    def _hear(self, until):
        while True:
            with self.lock:
                links = {link.sock: (one, link) for one in self.all if not one.paused
                         for link in one.links.values() if link.sock is not None}
            left = until - time.monotonic()
            if left <= 0 or self.ending.is_set():
                return
            try:
                ready, _, _ = select.select(list(links), [], [], min(left, 0.02))
            except (OSError, ValueError):
                continue  # the test has closed one of them meanwhile
            with self.lock:
                for sock in ready:
                    one, link = links[sock]
                    if link.sock is not sock or one.paused:
                        continue
                    try:
                        link.read()
                    except (OSError, IndexError):
                        link.close()
                for one in self.all:
                    for link in [] if one.held or one.paused else one.links.values():
                        link.take()

    def _run(self):
        try:
            while not self.ending.is_set():
                began = time.monotonic()
                self._speak()
                self._hear(began + min(self.ttl_ms / 4000, SPEAK_S))
        except Exception as error:  # the test asks for it, and sees nothing of what it waits for
            self.failure = error
            raise
