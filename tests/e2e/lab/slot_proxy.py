"""A TCP proxy before a node's port for clients, which the node announces: it knows the links of slot migrations and
stops one at a chosen word. Everything else (replication, clients) passes. And proxies of the bus, by which a node is
cut off."""
import socket
import threading

from .ports import listener
from .resp import Incomplete, parse

# What a link may be stopped at, in the order of a migration: before the word is delivered; "snapshot": in the midst of
# the keys; "granted": right behind the grant, which has been delivered.
STAGES = ("establish", "snapshot", "snapshot-end", "flush", "drain", "grant", "granted")
INTO_THE_SNAPSHOT = 5  # requests


class SlotProxy:
    def __init__(self, lab, target_port):
        self.target_port = target_port
        self.stage = None
        self.reached = threading.Event()
        self.released = threading.Event()
        self.dropped = False
        self.seen = []  # the words of all links, in their order
        self.lock = threading.Lock()
        self.links = set()  # sockets of migrations
        self.others = set()
        self.passing = threading.Event()
        self.passing.set()
        self.closed = False
        self.server = listener()
        self.port = self.server.getsockname()[1]
        lab.on_close(self.close)
        threading.Thread(target=self.accept, daemon=True).start()

    # ---- what a test does ----

    def stop_at(self, stage):
        """The next migration is held when it comes there (None: it never is)."""
        assert stage is None or stage in STAGES
        self.dropped = False
        self.reached = threading.Event()
        self.released = threading.Event()
        self.stage = stage  # at last: a link that comes there at once finds the rest
        return self

    def wait_reached(self, timeout_s=20):
        assert self.reached.wait(timeout_s), "the migration does not come to %s: %s" % (self.stage, self.seen[-8:])

    def release(self):
        """What was held is delivered, even if whoever said it is gone meanwhile."""
        self.released.set()

    def drop(self):
        """What was held is lost, and so is the link."""
        self.dropped = True
        self.released.set()
        with self.lock:
            now = list(self.links)
        self.end(*now)

    def cut(self):
        """From now on nothing passes, in no direction and on no connection, until mend(): it comes late then."""
        self.passing.clear()

    def mend(self):
        self.passing.set()

    def close(self):
        self.closed = True
        self.stage = None
        self.released.set()
        self.passing.set()
        self.end(self.server)
        with self.lock:
            now = list(self.links | self.others)
        self.end(*now)

    # ---- threads ----

    def accept(self):
        while not self.closed:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        try:
            self.passing.wait()
            far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.others.update((near, far))
        threading.Thread(target=self.pump, args=(far, near), daemon=True).start()
        try:
            self.carry(near, far)
        except (OSError, ValueError):
            pass
        self.end(near, far)

    def pump(self, source, sink):
        """From the node back."""
        try:
            while True:
                data = source.recv(1 << 16)
                self.passing.wait()
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        self.end(source, sink)

    def carry(self, near, far):
        """To the node: request by request if it is a migration."""
        buf, of_migration, count = bytearray(), None, 0
        while True:
            data = near.recv(1 << 16)
            self.passing.wait()
            if not data:
                return
            buf += data
            at = 0
            while of_migration is not False:
                try:
                    words, end = parse(buf, at)
                except Incomplete:
                    break
                word = words[2].lower() if words[:2] == ["CLUSTER", "SYNCSLOTS"] and len(words) > 2 else None
                if of_migration is None:
                    of_migration = word == "establish"
                    if not of_migration:
                        break
                    with self.lock:
                        self.links.update((near, far))
                if word:
                    self.seen.append(word)
                else:
                    count += 1
                stage = word or ("snapshot" if count == INTO_THE_SNAPSHOT else None)
                if stage is not None and stage == self.stage:
                    far.sendall(buf[:at])
                    del buf[:at]
                    at, end = 0, end - at
                    if not self.hold():
                        return
                at = end
                if stage == "grant" and self.stage == "granted":
                    far.sendall(buf[:at])
                    del buf[:at]
                    at = 0
                    self.stage = None
                    self.reached.set()
            if of_migration is False:
                at = len(buf)
            far.sendall(buf[:at])
            del buf[:at]

    def hold(self):
        self.stage = None
        released = self.released
        self.reached.set()
        released.wait(60)
        return not self.dropped

    def end(self, *sockets):
        for sock in sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        with self.lock:
            self.links.difference_update(sockets)
            self.others.difference_update(sockets)


class BusNet:
    """Proxies before the ports of the bus: what a node that is cut off says, and what is said to it, waits until it
    is not any more."""

    SENDER = slice(40, 80)  # in the header of every message: the id of whoever opened the connection

    def __init__(self, lab):
        self.away = set()  # ids
        self.owners = {}  # port of the bus -> id of the node, once it is known
        self.changed = threading.Condition()
        self.sockets = []
        self.closed = False
        lab.on_close(self.close)

    def door(self, bus_port):
        """A port to be announced for this one."""
        server = listener()
        self.sockets.append(server)
        threading.Thread(target=self.accept, args=(server, bus_port), daemon=True).start()
        return server.getsockname()[1]

    def cut(self, *ids):
        with self.changed:
            self.away.update(ids)

    def mend(self):
        with self.changed:
            self.away.clear()
            self.changed.notify_all()

    def accept(self, server, bus_port):
        while not self.closed:
            try:
                near, _ = server.accept()
                far = socket.create_connection(("127.0.0.1", bus_port), timeout=5)
            except OSError:
                if self.closed:
                    return
                continue
            far.settimeout(None)
            self.sockets += [near, far]
            ends = {}  # socket -> id of the node there
            if bus_port in self.owners:
                ends[far] = self.owners[bus_port]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(*pair, ends), daemon=True).start()

    def pump(self, source, sink, ends):
        try:
            head = b""
            while True:
                data = source.recv(1 << 16)
                if not data:
                    break
                if source not in ends:
                    head += data
                    if len(head) >= self.SENDER.stop:
                        ends[source] = head[self.SENDER].decode("ascii", "replace")
                with self.changed:
                    self.changed.wait_for(lambda: self.closed or not self.away.intersection(ends.values()))
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
