"""A TCP proxy between a replica and its master that cuts, stops or spoils what comes from the master."""
import socket
import threading

from .ports import listener


class CuttingProxy:
    """Forwards connections to target_port. cut_after: from the master so many bytes pass on a connection, then it is
    closed; None: all. flip: the byte at this position is changed. hold_after: what comes behind so many bytes waits for
    go_on(). All count from the start of each connection."""

    def __init__(self, lab, target_port):
        self.target_port = target_port
        self.cut_after = None
        self.flip = None
        self.hold_after = None
        self.may_go_on = threading.Event()
        self.connections = 0
        self.refuse = False
        self.lock = threading.Lock()
        self.open = set()
        self.server = listener()
        self.port = self.server.getsockname()[1]
        self.closed = False
        lab.on_close(self.close)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closed:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuse:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self.lock:
                self.open.update((near, far))
            threading.Thread(target=self.forward, args=(near, far, None, None, None), daemon=True).start()
            threading.Thread(target=self.forward, args=(far, near, self.cut_after, self.flip, self.hold_after),
                             daemon=True).start()

    def forward(self, source, sink, cut_after, flip, hold_after):
        passed = 0
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if flip is not None and passed <= flip < passed + len(data):
                    data = bytearray(data)
                    data[flip - passed] ^= 0x10
                if cut_after is not None and passed + len(data) >= cut_after:
                    sink.sendall(data[:cut_after - passed])
                    break
                if hold_after is not None and passed + len(data) >= hold_after:
                    sink.sendall(data[:hold_after - passed])
                    self.may_go_on.wait(30)
                    data, passed, hold_after = data[hold_after - passed:], hold_after, None
                sink.sendall(data)
                passed += len(data)
        except OSError:
            pass
        self.drop(source, sink)

    def drop(self, *sockets):
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        with self.lock:
            self.open.difference_update(sockets)

    def cut(self):
        """All connections of this moment end."""
        with self.lock:
            now = list(self.open)
        self.drop(*now)

    def go_on(self):
        self.may_go_on.set()

    def close(self):
        self.closed = True
        self.go_on()
        self.drop(self.server)
        self.cut()
