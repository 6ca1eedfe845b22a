"""A TCP proxy before a server that answers in text: lines of its answers are said in other words of the same length."""
import socket
import threading

from .ports import listener


class SayingProxy:
    """say: a line without its end -> what is said instead."""

    def __init__(self, lab, target_port, say):
        self.target_port, self.say = target_port, say
        self.server = listener()
        self.port = self.server.getsockname()[1]
        lab.on_close(self.server.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                near.close()
                continue
            threading.Thread(target=self.forward, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.forward, args=(far, near, True), daemon=True).start()

    def spoken(self, line):
        said = self.say(line)
        assert len(said) == len(line), (line, said)
        return said

    def forward(self, source, sink, changes):
        rest = b""
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if changes:
                    *whole, rest = (rest + data).split(b"\r\n")
                    data = b"".join(self.spoken(line) + b"\r\n" for line in whole)
                sink.sendall(data)
        except OSError:
            pass
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            side.close()
