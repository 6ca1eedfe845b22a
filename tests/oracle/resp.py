"""A connection that speaks RESP2 and RESP3 with nothing between the test and the bytes."""
import socket


class Error(str):
    """An error reply."""


class Status(str):
    """A simple string."""


class Double(str):
    """A RESP3 double, as its text."""


class Set(list):
    """A RESP3 set."""


class Map(list):
    """A RESP3 map: its keys and values one after the other."""


class Push(list):
    """A RESP3 push."""


class Verbatim(bytes):
    """A RESP3 verbatim string."""


NIL = type("Nil", (), {"__repr__": lambda self: "NIL"})()
NIL_ARRAY = type("NilArray", (), {"__repr__": lambda self: "NIL_ARRAY"})()


def encode(argv):
    parts = [b"*%d\r\n" % len(argv)]
    for a in argv:
        if not isinstance(a, bytes):
            a = str(a).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(a), a))
    return b"".join(parts)


class Connection:
    def __init__(self, port, timeout_s=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", buffering=1 << 16)

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, *commands):
        self.socket.sendall(b"".join(encode(c) for c in commands))

    def call(self, *argv):
        self.send(argv)
        return self.read()

    def many(self, commands):
        self.send(*commands)
        return [self.read() for _ in commands]

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection after %r" % line)
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return Status(rest.decode("latin1"))
        if kind == b"-":
            return Error(rest.decode("latin1"))
        if kind == b":":
            return int(rest)
        if kind in b"$=":
            if rest == b"-1":
                return NIL
            data = self.file.read(int(rest) + 2)[:-2]
            return Verbatim(data) if kind == b"=" else data
        if kind == b"_":
            return NIL
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return Double(rest.decode())
        if kind == b"(":
            return Double("big " + rest.decode())
        if kind in b"*~>%":
            if rest == b"-1":
                return NIL_ARRAY
            n = int(rest) * (2 if kind == b"%" else 1)
            items = [self.read() for _ in range(n)]
            return {b"*": list, b"~": Set, b">": Push, b"%": Map}[kind](items)
        raise ValueError("not a reply: %r" % line)
