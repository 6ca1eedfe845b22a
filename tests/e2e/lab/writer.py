"""A client that writes unique values and remembers which of them were acknowledged."""
import threading
import time

from .resp import Closed, Resp, RespError


class UniqueWriter:
    """Writes SET w:<n> <n> to the master that the supervisors name, one after the other, in a thread.

    acked: list of (n, monotonic time of the reply, port). A write whose reply did not come, or was an error, is not
    acknowledged: it may or may not have been executed, and the next write uses a new number.
    """

    def __init__(self, supervisor_ports, group="mymaster", pause_s=0.0, prefix="w", timeout_s=0.5):
        self.supervisor_ports = list(supervisor_ports)
        self.group = group
        self.pause_s = pause_s
        self.prefix = prefix
        self.timeout_s = timeout_s
        self.acked = []
        self.tried = 0
        self.errors = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(10)
            assert not self.thread.is_alive(), "the writer did not stop"

    def _find_master(self):
        for port in self.supervisor_ports:
            try:
                with Resp(port, timeout_s=self.timeout_s) as client:
                    addr = client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.group)
                if isinstance(addr, list):
                    return int(addr[1])
            except OSError:
                continue
        return None

    def _run(self):
        client = port = None
        while not self.stopping.is_set():
            try:
                if client is None:
                    port = self._find_master()
                    if port is None:
                        self.stopping.wait(0.02)
                        continue
                    client = Resp(port, timeout_s=self.timeout_s)
                    role = client.call("ROLE")
                    if not isinstance(role, list) or role[0] != "master":
                        raise Closed("port %d is no master" % port)
                self.tried += 1
                n = self.tried
                reply = client.call("SET", "%s:%d" % (self.prefix, n), n)
                if reply == "OK":
                    self.acked.append((n, time.monotonic(), port))
                else:
                    raise Closed(str(reply))
                if self.pause_s:
                    self.stopping.wait(self.pause_s)
            except (OSError, RespError) as e:
                self.errors.append((time.monotonic(), str(e)))
                if client is not None:
                    client.close()
                client = None
                self.stopping.wait(0.01)
        if client is not None:
            client.close()

    def lost(self, server):
        """Numbers of the acknowledged writes that server does not hold."""
        numbers = [n for n, _, _ in self.acked]
        missing = []
        with server.connect() as client:
            for start in range(0, len(numbers), 1000):
                chunk = numbers[start:start + 1000]
                values = client.ok("MGET", *["%s:%d" % (self.prefix, n) for n in chunk])
                missing += [n for n, value in zip(chunk, values) if value != str(n)]
        return missing

    def longest_gap_s(self):
        """The longest time between two acknowledged writes in a row."""
        times = [at for _, at, _ in self.acked]
        return max((b - a for a, b in zip(times, times[1:])), default=0.0)
