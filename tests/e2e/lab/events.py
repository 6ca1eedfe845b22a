"""Recording what a supervisor publishes, with the time at which each message arrived."""
import collections
import threading
import time

from .resp import Closed, Resp, encode
from .wait import wait_until

Event = collections.namedtuple("Event", "at name payload")


CATCH_UP_S = 5.0  # one that runs has answered by then, also when the machine has let it wait
STOPPED_S = 0.5  # of one that is stopped, which does not answer: what it has said is here by then


class EventLog:
    """Subscribes to every channel of one supervisor (PSUBSCRIBE *) and keeps all events in order of arrival. What it
    has published before one asks is among them: a PING on the same connection is answered behind it."""

    def __init__(self, port, password="", pattern="*", stopped=lambda: False):
        """stopped(): the supervisor cannot answer, since the test has stopped it."""
        self.stopped = stopped
        self.events = []
        self.closed = False
        self.asked = self.answered = 0  # PINGs
        self.client = Resp(port, timeout_s=15)
        if password:
            self.client.ok("AUTH", password)
        reply = self.client.call("PSUBSCRIBE", pattern)
        assert reply == ["psubscribe", pattern, 1], "odd reply to PSUBSCRIBE: %r" % (reply,)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.closed:
            try:
                message = self.client.read(timeout_s=3600)
            except (Closed, OSError, ValueError):
                return
            if isinstance(message, list) and message and message[0] == "pmessage":
                self.events.append(Event(time.monotonic(), message[2], message[3]))
            else:
                self.answered += 1

    def _catch_up(self):
        try:
            self.client.send_raw(encode("PING"))
        except (Closed, OSError):
            return
        self.asked += 1
        wanted, deadline = self.asked, time.monotonic() + (STOPPED_S if self.stopped() else CATCH_UP_S)
        while self.answered < wanted and self.thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.0005)

    def close(self):
        self.closed = True
        try:
            self.client.sock.shutdown(2)
        except OSError:
            pass
        self.thread.join(2)
        self.client.close()

    def all(self, name=None, payload_has=""):
        self._catch_up()
        return [e for e in list(self.events) if (name is None or e.name == name) and payload_has in e.payload]

    def names(self, *only):
        self._catch_up()
        return [e.name for e in list(self.events) if not only or e.name in only]

    def first(self, name, payload_has=""):
        found = self.all(name, payload_has)
        return found[0] if found else None

    def wait(self, name, payload_has="", timeout_s=20):
        return wait_until(lambda: self.first(name, payload_has), timeout_s,
                          "the event %s with %r is published" % (name, payload_has))

    def index(self, name, payload_has=""):
        self._catch_up()
        for i, e in enumerate(list(self.events)):
            if e.name == name and payload_has in e.payload:
                return i
        raise AssertionError("no event %s with %r among %s" % (name, payload_has, self.names()))

    def dump(self):
        return "\n".join("%.3f %s %s" % e for e in list(self.events))
