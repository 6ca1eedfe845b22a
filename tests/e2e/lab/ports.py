"""Free ports of 127.0.0.1 that stay ours.

A port is reserved by a socket that is bound with SO_REUSEADDR and never listens. The server that is started on it also
binds with SO_REUSEADDR, which Linux allows beside a socket that does not listen; while the server is down, nobody else
gets the port: neither a bind to port 0 nor an outgoing connection. The reservation ends with the process.

Who needs a port and the one 10000 above it, as redis-cli and nodectl expect of a node and its bus, gets them out of a
block: both are below what the system gives to connections, and no other lab has the same block.
"""
import random
import socket

BUS = 10000
BLOCK = 100
BLOCKS = range(10100, 10100 + BUS, BLOCK)  # the buses of all lie above them, and below 32768


class Ports:
    def __init__(self):
        self.held = []
        self.unused = []

    def hold(self, port, share=True):
        """The socket bound to it (0: to any), or None if somebody has it."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, share)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            sock.close()
            return None
        self.held.append(sock)
        return sock

    def take(self):
        sock = self.hold(0)
        assert sock is not None, "no port is free"
        return sock.getsockname()[1]

    def block(self):
        """The first of 99 ports that no other lab uses; the hundredth is held as the sign of it. Other programs of this
        machine may listen there."""
        for first in random.SystemRandom().sample(BLOCKS, len(BLOCKS)):
            if self.hold(first + BLOCK - 1, share=False) is not None:
                return first
        raise AssertionError("no block of ports is free")

    def take_with_bus(self):
        """A port; the one 10000 above it is free too, and both stay ours."""
        while True:
            if not self.unused:
                first = self.block()
                self.unused = list(range(first, first + BLOCK - 1))
            port = self.unused.pop(0)
            if self.hold(port) is not None and self.hold(port + BUS) is not None:
                return port

    def close(self):
        for sock in self.held:
            sock.close()
        self.held.clear()


_kept = Ports()


def listener(backlog=64):
    """A socket that listens at a port of its own. Once it is closed nobody else gets the port before this test's
    process ends: whoever was told of it may go on trying."""
    return socket.create_server(("127.0.0.1", _kept.take()), backlog=backlog)
