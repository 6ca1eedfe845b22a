"""Clients that write to one shard of a cluster, and remember what was acknowledged and when."""
import threading
import time

from .clusters import keys_of
from .resp import Resp, RespError
from .supervised import slot_range
from .wait import wait_until


def switch_under_load(fleet, place):
    """SENTINEL FAILOVER of a shard while clients write to it: no acknowledged write is lost, writes flow again, and the
    old master follows the promoted replica. Returns the load, which has ended."""
    old, new = fleet.masters[place], fleet.replicas[place]
    shard = fleet.name_of(old)
    load = ShardLoad(fleet, place)
    try:
        wait_until(lambda: len(load.acked) > 200, 20, "writes flow")
        fleet.supervisors[1].begin_failover(shard)
        fleet.wait_switched(shard, old)
        count = len(load.acked)
        wait_until(lambda: len(load.acked) > count + 200, 20, "writes flow again")
    finally:
        load.stop()
    assert load.lost(new) == 0, "acknowledged writes are gone"
    fleet.wait_follows(old, new)
    return load


class ShardLoad:
    """Each thread appends numbers to a list of its own, and follows redirects; what got no answer is sent again."""

    def __init__(self, fleet, place, threads=4, pause_s=0.0):
        self.fleet, self.place, self.pause_s = fleet, place, pause_s
        self.acked = []  # times
        self.last = {}  # key -> how many numbers were acknowledged
        self.stopping = threading.Event()
        keys = keys_of(*slot_range(place, len(fleet.masters)), threads)
        self.threads = [threading.Thread(target=self.run, args=(key,), daemon=True) for key in keys]
        for thread in self.threads:
            thread.start()

    def run(self, key):
        ports = [self.fleet.masters[self.place].port, self.fleet.replicas[self.place].port]
        port, client, n = ports[0], None, 0
        while not self.stopping.is_set():
            try:
                client = client or Resp(port, timeout_s=2)
                reply = client.call("RPUSH", key, n)
            except OSError:
                client = None
                port = ports[1] if port == ports[0] else ports[0]  # it may have been sent to a third one
                self.stopping.wait(0.001)
                continue
            if isinstance(reply, RespError):
                if str(reply).startswith("MOVED"):
                    client.close()
                    client = None
                    port = int(str(reply).rsplit(":", 1)[1])
                continue
            self.acked.append(time.monotonic())
            n += 1
            self.last[key] = n
            if self.pause_s:
                self.stopping.wait(self.pause_s)
        if client is not None:
            client.close()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(10)

    def gap_ms(self):
        """The longest time between two acknowledged writes, of any clients."""
        times = sorted(self.acked)
        return max(b - a for a, b in zip(times, times[1:])) * 1000

    def lost(self, master):
        """How many acknowledged numbers this node does not have. One that was not acknowledged may be there, or
        twice."""
        # A master whose lease has run out for a moment is not read either.
        return wait_until(lambda: (self.missing(master),), 20, "%s is read" % master.name)[0]

    def missing(self, master):
        missing = 0
        with master.connect() as client:
            for key, count in self.last.items():
                stored = set(client.ok("LRANGE", key, 0, -1))
                missing += sum(str(n) not in stored for n in range(count))
        return missing
