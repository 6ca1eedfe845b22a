"""A server that takes the keys of a MIGRATE and answers as a test tells it to."""
import threading

from .ports import listener
from .resp import Incomplete, parse


class FakeTarget:
    """Every request is kept in `requests`. answer(words, number) gives the bytes to send back for it (number: how many
    RESTOREs came before); None closes the connection at once, b"" says nothing. AUTH and SELECT are answered with +OK
    unless `login` is given."""

    def __init__(self, answer, login=None):
        self.answer = answer
        self.login = login or (lambda words: b"+OK\r\n")
        self.requests = []
        self.restores = 0
        self.connections = 0
        self.listening = listener()
        self.port = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                conn, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        buf = bytearray()
        try:
            while True:
                try:
                    words, used = parse(buf, 0)
                except Incomplete:
                    data = conn.recv(1 << 16)
                    if not data:
                        return
                    buf += data
                    continue
                del buf[:used]
                if not self.reply(conn, words):
                    return
        except OSError:
            pass
        finally:
            conn.close()

    def reply(self, conn, words):
        self.requests.append(words)
        if words[0].upper() in ("AUTH", "SELECT"):
            data = self.login(words)
        else:
            data = self.answer(words, self.restores)
            self.restores += 1
        if data is not None:
            conn.sendall(data)
        return data is not None

    def close(self):
        self.listening.close()
