"""A raw client of the Redis protocol: keeps the exact bytes of every reply, knows RESP2 and RESP3.

The tests compare replies byte for byte, so this client hides nothing: an error reply is a value (RespError), a null
array and a null bulk string are told apart by Reply.raw, and any bytes may be sent.
"""
import socket
import time


class RespError(Exception):
    """An error reply of the server; it is returned as a value, not raised, unless Resp.ok() is used."""

    def __eq__(self, other):
        return isinstance(other, RespError) and str(self) == str(other)

    __hash__ = Exception.__hash__


class Closed(ConnectionError):
    """The other side closed the connection, or it broke, before a whole reply had arrived."""


class Incomplete(Exception):
    """More bytes are needed for a whole reply."""


class Push(list):
    """A RESP3 push message."""


class Attribute(dict):
    """A RESP3 attribute."""


def encode(*args):
    """The bytes of one request: an array of bulk strings."""
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = arg if isinstance(arg, bytes) else str(arg).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(out)


def parse(buf, pos):
    """Parse one reply of buf at pos; returns (value, position after it); raises Incomplete or ValueError."""
    end = buf.find(b"\r\n", pos)
    if end < 0:
        raise Incomplete
    kind, line, pos = buf[pos:pos + 1], bytes(buf[pos + 1:end]), end + 2
    if kind == b"+":
        return line.decode("utf-8", "replace"), pos
    if kind == b"-":
        return RespError(line.decode("utf-8", "replace")), pos
    if kind == b":":
        return int(line), pos
    if kind == b",":
        return float(line), pos
    if kind == b"_":
        return None, pos
    if kind == b"#":
        return line == b"t", pos
    if kind == b"(":
        return int(line), pos
    if kind in (b"$", b"=", b"!"):
        size = int(line)
        if size < 0:
            return None, pos
        if len(buf) < pos + size + 2:
            raise Incomplete
        if buf[pos + size:pos + size + 2] != b"\r\n":
            raise ValueError("bulk of %d bytes is not followed by CRLF" % size)
        text = bytes(buf[pos:pos + size]).decode("utf-8", "replace")
        return (RespError(text) if kind == b"!" else text[4:] if kind == b"=" else text), pos + size + 2
    if kind in (b"*", b"~", b">"):
        count = int(line)
        if count < 0:
            return None, pos
        items = Push() if kind == b">" else []
        for _ in range(count):
            item, pos = parse(buf, pos)
            items.append(item)
        return items, pos
    if kind in (b"%", b"|"):
        result = Attribute() if kind == b"|" else {}
        for _ in range(int(line)):
            key, pos = parse(buf, pos)
            result[key], pos = parse(buf, pos)
        return result, pos
    raise ValueError("unknown reply type %r" % bytes(kind))


class Resp:
    """One connection. timeout_s bounds the connect and every wait for a reply."""

    def __init__(self, port, host="127.0.0.1", timeout_s=8.0):
        self.addr = (host, port)
        self.timeout_s = timeout_s
        self.sock = socket.create_connection(self.addr, timeout=timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = bytearray()
        self.raw = b""  # the bytes of the last reply

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Closed("%s:%d: sending: %s" % (*self.addr, e)) from e

    def read(self, timeout_s=None):
        """The next reply; raises Closed, or TimeoutError when none came in time."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while True:
            try:
                value, pos = parse(self.buf, 0)
                self.raw = bytes(self.buf[:pos])
                del self.buf[:pos]
                return value
            except Incomplete:
                pass
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("%s:%d: no reply in time (have %r)" % (*self.addr, bytes(self.buf[:80])))
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(1 << 16)
            except socket.timeout:
                continue
            except OSError as e:
                raise Closed("%s:%d: reading: %s" % (*self.addr, e)) from e
            if not data:
                raise Closed("%s:%d closed the connection (had %r)" % (*self.addr, bytes(self.buf[:80])))
            self.buf += data

    def read_until_closed(self, timeout_s=None):
        """All bytes that come until the other side closes."""
        data = bytes(self.buf)
        self.buf.clear()
        self.sock.settimeout(self.timeout_s if timeout_s is None else timeout_s)
        while True:
            try:
                more = self.sock.recv(1 << 16)
            except ConnectionError:
                return data
            if not more:
                return data
            data += more

    def call(self, *args, timeout_s=None):
        """Send one request and return its reply (RespError as a value)."""
        self.send_raw(encode(*args))
        return self.read(timeout_s)

    def call_raw(self, *args):
        """Send one request and return the exact bytes of its reply."""
        self.call(*args)
        return self.raw

    def ok(self, *args, timeout_s=None):
        """Like call, but an error reply is raised."""
        reply = self.call(*args, timeout_s=timeout_s)
        if isinstance(reply, RespError):
            raise AssertionError("%s:%d answered %s with error: %s" % (*self.addr, " ".join(map(str, args)), reply))
        return reply


def pairs(flat):
    """A flat array of a map (RESP2), or a map itself (RESP3), as a dict in the order received."""
    if isinstance(flat, dict):
        return flat
    assert isinstance(flat, list) and len(flat) % 2 == 0, "not a flat map: %r" % (flat,)
    return dict(zip(flat[0::2], flat[1::2]))


def info_fields(text):
    """The fields of an INFO reply."""
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line and not line.startswith("#"))
