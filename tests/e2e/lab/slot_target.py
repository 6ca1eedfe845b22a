"""The target of an atomic slot migration as a test wants it: what noded/repl/import.h says, and what it does not."""
import socket
import threading

from .ports import listener
from .resp import Incomplete, parse


class SlotTarget:
    """Takes one link. Requests are kept in `requests`; `data` is what they make: (database, key) -> value of SET.
    answers: verb of CLUSTER SYNCSLOTS (or "AUTH") -> bytes to be said instead; None closes the link. With reads False
    nothing is read behind ESTABLISH until read_on()."""

    def __init__(self, reads=True, answers=None, epoch=1):
        self.answers = answers or {}
        self.epoch = epoch
        self.requests = []
        self.data = {}
        self.database = 0
        self.offset = None  # bytes behind ESTABLISH
        self.closed = False
        self.may_read = threading.Event()
        if reads:
            self.may_read.set()
        self.listening = listener()
        self.port = self.listening.getsockname()[1]
        self.conn = None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            self.conn, _ = self.listening.accept()
            self.serve()
        except OSError:
            pass
        self.closed = True
        if self.conn is not None:
            self.conn.close()

    def serve(self):
        buf, at = bytearray(), 0
        while True:
            if self.offset is not None:
                self.may_read.wait()
            data = self.conn.recv(1 << 18)
            if not data:
                return
            buf += data
            while True:
                try:
                    words, end = parse(buf, at)
                except Incomplete:
                    break
                if not self.take(words, end - at):
                    return
                at = end
            del buf[:at]
            at = 0
            if self.offset:
                self.conn.sendall(b"+ACK %d\r\n" % self.offset)

    def take(self, words, size):
        self.requests.append(words)
        if self.offset is not None:
            self.offset += size
        verb = words[2] if words[:2] == ["CLUSTER", "SYNCSLOTS"] else words[0]
        said = self.answers.get(verb, b"") if verb in self.answers else self.usual(verb, words)
        if verb == "ESTABLISH":
            self.offset = 0
        if said:
            self.conn.sendall(said)
        return said is not None

    def usual(self, verb, words):
        if verb == "SELECT":
            self.database = int(words[1])
        elif verb == "SET":
            self.data[self.database, words[1]] = words[2]
        elif verb == "DEL":
            for key in words[1:]:
                self.data.pop((self.database, key), None)
        return {"AUTH": b"+OK\r\n", "ESTABLISH": b"+OK\r\n", "FLUSH": b"+FLUSHED %d\r\n" % (self.offset or 0),
                "DRAIN": b"+DRAINED %d %d\r\n" % (self.offset or 0, self.epoch)}.get(verb, b"")

    def said(self, verb):
        """The arguments with which this verb came, each time."""
        return [words[3:] for words in list(self.requests) if words[:3] == ["CLUSTER", "SYNCSLOTS", verb]]

    def read_on(self):
        self.may_read.set()

    def say(self, data):
        self.conn.sendall(data)

    def close(self):
        self.listening.close()
        if self.conn is not None:
            try:
                self.conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.may_read.set()
