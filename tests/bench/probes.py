"""The measuring client: cheap, and the same for both kinds of supervisor.

It polls with one small request per supervisor and millisecond while it is close to what it measures, and sleeps in
epoll the rest of the time.
"""
import select
import socket
import time

from lab import Closed, Resp, encode
from lab.resp import Incomplete, parse

POLL_S = 0.001
CONNECT_S = 0.25


def try_write(port, key, value):
    """One attempt of a fresh client to write; returns the monotonic time of the OK, else None."""
    try:
        with Resp(port, timeout_s=CONNECT_S) as client:
            return time.monotonic() if client.call("SET", key, value) == "OK" else None
    except OSError:
        return None


class Asker:
    """A nonblocking connection to one supervisor over which one question at a time is asked again and again."""

    def __init__(self, port):
        self.resp = Resp(port, timeout_s=5)
        self.resp.sock.setblocking(False)
        self.buf = bytearray()
        self.waiting = False

    def fileno(self):
        return self.resp.sock.fileno()

    def ask(self, *args):
        if not self.waiting:
            self.resp.sock.send(encode(*args))
            self.waiting = True

    def take(self):
        """The answer if it is complete, else None."""
        try:
            data = self.resp.sock.recv(1 << 14)
        except BlockingIOError:
            return None
        if not data:
            raise Closed("a supervisor closed the connection of the measuring client")
        self.buf += data
        try:
            value, pos = parse(self.buf, 0)
        except Incomplete:
            return None
        del self.buf[:pos]
        self.waiting = False
        return value

    def close(self):
        self.resp.close()


class SwitchWatch:
    """Watches one group fail over. Three moments are taken:

    - node: a node other than the old master accepted a write. Tried whenever a promotion closes the idle connection
      that is held to each replica (CLIENT KILL TYPE normal is part of a promotion), and until the write is accepted.
    - client: a write was accepted by the master that a supervisor named, which is what a Sentinel client sees. All
      supervisors are asked every millisecond.
    - agreed: every supervisor gave the new address.
    """

    def __init__(self, supervisor_ports, replica_ports, group, old_port, key):
        self.group, self.old_port, self.key = group, old_port, key
        self.node = self.client = self.agreed = self.new_port = None
        self.told = {}
        self.promoting = set()
        self.poll = select.epoll()
        self.askers = {}
        for port in supervisor_ports:
            asker = Asker(port)
            self.askers[asker.fileno()] = (port, asker)
            self.poll.register(asker, select.EPOLLIN)
        self.idle = {}
        for port in replica_ports:
            sock = socket.create_connection(("127.0.0.1", port), timeout=2)
            self.idle[sock.fileno()] = (port, sock)
            self.poll.register(sock, select.EPOLLIN | select.EPOLLRDHUP)

    def close(self):
        for _, asker in self.askers.values():
            asker.close()
        for _, sock in self.idle.values():
            sock.close()
        self.poll.close()

    def _handle(self, fd):
        if fd in self.idle:
            port, sock = self.idle.pop(fd)
            self.poll.unregister(fd)
            sock.close()
            self.promoting.add(port)
            return
        port, asker = self.askers[fd]
        answer = asker.take()
        if isinstance(answer, list):
            self.told[port] = int(answer[1])

    def _judge(self):
        named = {p for p in self.told.values() if p != self.old_port}
        for port in named if self.client is None else ():
            self.client = self.client or try_write(port, self.key, "1")
        if self.node is None:
            self.node = self.client
            for port in self.promoting:
                self.node = self.node or try_write(port, self.key, "1")
        if self.agreed is None and len(named) == 1 and len(self.told) == len(self.askers) and \
                self.old_port not in self.told.values():
            self.agreed = time.monotonic()
            self.new_port = named.pop()

    def run(self, start_at, timeout_s):
        """Returns (node, client, agreed, port of the new master); times are monotonic seconds."""
        time.sleep(max(0.0, start_at - time.monotonic()))
        give_up = time.monotonic() + timeout_s
        next_at = time.monotonic()
        while self.client is None or self.agreed is None:
            now = time.monotonic()
            if now > give_up:
                raise AssertionError("no switch within %.0f s: supervisors say %s, promoting %s" % (
                    timeout_s, self.told, self.promoting))
            if now >= next_at:
                next_at = now + POLL_S
                for port, asker in self.askers.values():
                    if self.told.get(port, self.old_port) == self.old_port:
                        asker.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.group)
            for fd, _ in self.poll.poll(max(0.0, next_at - time.monotonic())):
                self._handle(fd)
            self._judge()
        return self.node, self.client, self.agreed, self.new_port


class FleetWatch:
    """Watches many groups fail over at once, driven by events instead of polling.

    A promotion closes the connections of ordinary clients (CLIENT KILL TYPE normal is part of it), so an idle
    connection to each replica tells the moment at which it is worth trying to write. A supervisor's +switch-master and
    +failover-state-reconf-slaves tell when it is worth asking it for the address. What counts is the OK of the write
    and the answer that gives the new address; every SWEEP_S all that is still open is tried too.
    """
    SWEEP_S = 0.02
    EVENTS = ("+switch-master", "+failover-state-reconf-slaves")

    def __init__(self, supervisors, groups):
        """groups: {name: port of the replica that will be promoted}"""
        self.groups = groups
        self.poll = select.epoll()
        self.written = {}
        self.told = {}  # (supervisor port, group) -> time
        self.idle = {}
        self.subscriptions = {}
        self.askers = {s.port: Resp(s.port, timeout_s=2) for s in supervisors}
        for name, port in groups.items():
            sock = socket.create_connection(("127.0.0.1", port), timeout=2)
            self.idle[sock.fileno()] = (name, sock)
            self.poll.register(sock, select.EPOLLIN | select.EPOLLRDHUP)
        for s in supervisors:
            client = Resp(s.port, timeout_s=5)
            client.send_raw(encode("SUBSCRIBE", *self.EVENTS))
            for _ in self.EVENTS:
                client.read()
            client.sock.setblocking(False)
            self.subscriptions[client.sock.fileno()] = (s.port, client)
            self.poll.register(client.sock, select.EPOLLIN)

    def close(self):
        for client in self.askers.values():
            client.close()
        for _, sock in self.idle.values():
            sock.close()
        for _, client in self.subscriptions.values():
            client.close()
        self.poll.close()

    def _write(self, name):
        if name not in self.written:
            at = try_write(self.groups[name], "bench", "1")
            if at is not None:
                self.written[name] = at

    def _ask(self, supervisor_port, names):
        names = [n for n in names if n in self.groups and (supervisor_port, n) not in self.told]
        if not names:
            return
        client = self.askers[supervisor_port]
        client.send_raw(b"".join(encode("SENTINEL", "GET-MASTER-ADDR-BY-NAME", n) for n in names))
        for name in names:
            answer = client.read()
            if isinstance(answer, list) and int(answer[1]) == self.groups[name]:
                self.told[(supervisor_port, name)] = time.monotonic()

    def _names_of(self, fd):
        port, client = self.subscriptions[fd]
        try:
            client.buf += client.sock.recv(1 << 16)
        except BlockingIOError:
            return port, []
        names = []
        while True:
            try:
                message, pos = parse(client.buf, 0)
            except Incomplete:
                return port, names
            del client.buf[:pos]
            words = message[2].split()
            names.append(words[0] if message[1] == "+switch-master" else words[1])

    def run(self, start_at, timeout_s):
        """Returns ({group: time of its first write}, {(supervisor port, group): time})."""
        time.sleep(max(0.0, start_at - time.monotonic()))
        give_up = time.monotonic() + timeout_s
        wanted = len(self.groups) * len(self.askers)
        sweep_at = time.monotonic() + self.SWEEP_S
        while len(self.written) < len(self.groups) or len(self.told) < wanted:
            for fd, _ in self.poll.poll(max(0.0, sweep_at - time.monotonic())):
                if fd in self.idle:
                    name, sock = self.idle.pop(fd)
                    self.poll.unregister(fd)
                    sock.close()
                    self._write(name)
                else:
                    port, names = self._names_of(fd)
                    for name in names:
                        self._write(name)
                    self._ask(port, names)
            now = time.monotonic()
            if now > give_up:
                raise AssertionError("not all switched in %.0f s: %d of %d masters take writes, %d of %d answers" % (
                    timeout_s, len(self.written), len(self.groups), len(self.told), wanted))
            if now >= sweep_at:
                hung_up = {name for name, _ in self.idle.values()}
                for name in self.groups:
                    if name not in self.written and name not in hung_up:
                        self._write(name)  # its connection was closed, but the write was refused
                for port in self.askers:
                    self._ask(port, self.groups)
                sweep_at = time.monotonic() + self.SWEEP_S
        return self.written, self.told
