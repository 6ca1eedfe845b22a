"""A service manager as a supervisor sees it: a datagram socket whose name is in NOTIFY_SOCKET."""
import os
import socket
import threading
import time

from .wait import wait_until


class NotifySocket:
    """Keeps every message as (time of arrival, dictionary of its fields). While it is open, children inherit
    NOTIFY_SOCKET; with watchdog_us WATCHDOG_USEC too."""

    def __init__(self, path, watchdog_us=0):
        self.messages = []
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.settimeout(0.1)
        self.closed = False
        os.environ["NOTIFY_SOCKET"] = path
        if watchdog_us:
            os.environ["WATCHDOG_USEC"] = str(watchdog_us)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.closed:
            try:
                data = self.sock.recv(65536)
            except socket.timeout:
                continue
            except OSError:
                return
            fields = dict(line.split("=", 1) for line in data.decode().splitlines())
            self.messages.append((time.monotonic(), fields))

    def having(self, key):
        return [(at, m) for at, m in list(self.messages) if key in m]

    def wait(self, key, count=1, timeout_s=15):
        """The count-th message that has the key."""
        wait_until(lambda: len(self.having(key)) >= count, timeout_s, "%d messages with %s" % (count, key))
        return self.having(key)[count - 1][1]

    def ask_quiet(self):
        """Returns when everything that had been sent before has been read: the last message is our own."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"QUIET=1", self.path)
        wait_until(lambda: self.having("QUIET"), 15, "our own message is read")

    def close(self):
        self.closed = True
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
            os.environ.pop(name, None)
        self.thread.join(2)
        self.sock.close()
