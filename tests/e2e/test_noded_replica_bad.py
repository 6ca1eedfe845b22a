"""noded as a replica of a master that cannot be followed, is empty, silent or makes no sense: nothing of its own is
lost, and nothing diverges silently."""
import threading

from cases import case
from lab import RespError, wait_until
from lab.following import counts, field, filled, follow, is_up, wait_equal, wait_up
from lab.ports import listener

OURS = ("ours",)


# ---- what cannot be followed ----

@case(kinds=OURS, matrix=[("XADD", "s", "*", "a", "1"), ("PFADD", "p", "x"),
                           ("FUNCTION", "LOAD",
                            "#!lua name=l \n redis.register_function('f', function() return 1 end)")])
def test_unknown_command_in_the_stream(lab, *request):
    """Nothing diverges silently: the following ends, says where and why, and begins anew when it is told to."""
    master, ours = filled(lab), lab.node("ours")
    follow(ours, master.port)
    wait_up(ours)
    master.ok("SET", "before", 1)
    master.ok(*request)
    master.ok("SET", "behind", 1)
    wait_until(lambda: field(ours, "master_stream_stopped") is not None, 20, "the following has ended")
    said = field(ours, "master_stream_stopped")
    assert request[0] in said and "unknown command" in said, said
    assert request[0] in ours.log()
    assert ours.ok("GET", "before") == "1" and ours.ok("GET", "behind") is None and not is_up(ours)
    master.ok("FUNCTION", "FLUSH")
    master.ok("DEL", request[1])
    follow(ours, master.port)
    wait_up(ours)
    wait_equal(master, ours)
    assert counts(master)["full"] == 2


@case(kinds=OURS, matrix=[("disabled",), ("on-empty-db",), ("swapdb",)])
def test_unknown_type_in_the_snapshot(lab, load):
    """It is found before anything of the old dataset goes."""
    master, ours = filled(lab), lab.node("ours", repl_diskless_load=load)
    master.ok("XADD", "a stream", "*", "a", "1")
    ours.ok("SET", "mine", 1)
    follow(ours, master.port)
    wait_until(lambda: field(ours, "master_stream_stopped") is not None, 20, "the following has ended")
    assert "a stream" in field(ours, "master_stream_stopped"), field(ours, "master_stream_stopped")
    assert field(ours, "loading", "persistence") == "0"
    assert ours.ok("GET", "mine") == "1" and ours.ok("DBSIZE") == 1
    assert ours.ok("REPLICAOF", "NO", "ONE") == "OK" and ours.ok("SET", "mine", 2) == "OK"


# ---- replica-guard ----

def reborn(lab, load="disabled"):
    """A replica with data, whose master came back without any."""
    master = filled(lab)
    ours = lab.node("ours", repl_diskless_load=load)
    follow(ours, master.port)
    wait_up(ours)
    wait_equal(master, ours)
    master.kill9()
    empty = lab.redis("empty", port=master.port).wait_ready()
    wait_until(lambda: field(ours, "master_sync_guarded") is not None, 20, "the empty dataset is refused")
    assert field(ours, "master_sync_guarded") == field(empty, "master_replid")
    assert size(ours) > 10 and not is_up(ours)
    return empty, ours


def size(node):
    """How many keys it has. It tries again once a second, and loads what it is sent for a moment."""
    return wait_until(lambda: [n for n in [node.call("DBSIZE")] if not isinstance(n, RespError)], 20, "it answers")[0]


def accept(node, name):
    wait_until(lambda: node.call("REPLICAOF", "ACCEPT", name) == "OK", 20, "%s is let in" % name)


@case(kinds=OURS, matrix=[("disabled",), ("on-empty-db",), ("swapdb",)])
def test_guard_until_accepted(lab, load):
    """An empty dataset of an unknown history is let in by REPLICAOF ACCEPT with its name, and by no other name."""
    empty, ours = reborn(lab, load)
    assert isinstance(ours.call("REPLICAOF", "ACCEPT", "0" * 39), RespError)
    accept(ours, "0" * 40)
    before = field(ours, "master_link_status")
    assert before == "down" and size(ours) > 10
    accept(ours, field(empty, "master_replid"))
    wait_up(ours)
    assert ours.ok("DBSIZE") == 0 and field(ours, "master_sync_guarded") is None


@case(kinds=OURS)
def test_guard_switched_off(lab):
    _, ours = reborn(lab)
    ours.ok("CONFIG", "SET", "replica-guard", "no")
    wait_up(ours)
    assert ours.ok("DBSIZE") == 0


@case(kinds=OURS)
def test_guard_is_about_empty_datasets(lab):
    """A master that has keys after all is followed; so is one that was emptied by a command, and a promotion of the
    replica keeps its data."""
    empty, ours = reborn(lab)
    empty.ok("SET", "some", "key")
    wait_up(ours)
    wait_equal(empty, ours)
    empty.ok("FLUSHALL")
    wait_equal(empty, ours)
    ours.ok("REPLICAOF", "NO", "ONE")
    ours.ok("SET", "own", 1)
    follow(ours, empty.port)  # known: the history that ours went on from
    wait_up(ours)
    assert ours.ok("DBSIZE") == 0


# ---- masters that make no sense ----

class FakeMaster:
    """Answers each connection with the same bytes, after what the replica has said first; then waits or closes."""

    def __init__(self, lab, answers, closes=False):
        self.answers, self.closes = answers, closes
        self.server = listener()
        self.port = self.server.getsockname()[1]
        self.connections = 0
        lab.on_close(self.server.close)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        kept = []
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            kept.append(client)
            client.settimeout(2)
            try:
                for answer in self.answers:
                    client.recv(4096)
                    client.sendall(answer)
                if self.closes:
                    client.close()
            except OSError:
                pass


HELLO = [b"+PONG\r\n", b"+OK\r\n+OK\r\n"]
FULL = b"+FULLRESYNC " + b"a" * 40 + b" 1\r\n"
NONSENSE = {
    "http": [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "endless line": [b"+" + b"x" * 100000],
    "no psync": HELLO + [b"-ERR unknown command\r\n"],
    "continue of nothing": HELLO + [b"+CONTINUE " + b"b" * 40 + b"\r\n"],
    "bad offset": HELLO + [b"+FULLRESYNC " + b"a" * 40 + b" -5\r\n"],
    "bad id": HELLO + [b"+FULLRESYNC abc 5\r\n"],
    "no payload": HELLO + [FULL + b"hello\r\n"],
    "negative length": HELLO + [FULL + b"$-1\r\n"],
    "great length": HELLO + [FULL + b"$99999999999999999999\r\nREDIS0010"],
    "garbage for a file": HELLO + [FULL + b"$20\r\n" + b"\xff" * 20],
    "newer version": HELLO + [FULL + b"$18\r\nREDIS0099\xff" + b"\0" * 8],
    "short": HELLO + [FULL + b"$9\r\nREDIS0010"],
    "mark at once": HELLO + [FULL + b"$EOF:" + b"m" * 40 + b"\r\n" + b"m" * 40],
}


@case(kinds=OURS, matrix=[(name, load) for name in sorted(NONSENSE) for load in ("disabled", "swapdb")], limit_s=90)
def test_nonsense(lab, name, load):
    """Whatever a master says, the replica lives, keeps what it has, tries again, and follows a real one later."""
    fake = FakeMaster(lab, NONSENSE[name], closes=name == "short")
    ours = lab.node("ours", repl_diskless_load=load, replica_guard="no", repl_timeout=5)
    ours.ok("SET", "mine", 1)
    follow(ours, fake.port)
    wait_until(lambda: fake.connections >= 2 or field(ours, "master_stream_stopped") is not None or
               (name == "great length" and fake.connections == 1), 30, "it has been tried")
    # While it looks whether a snapshot makes sense, for a moment, the answer is -LOADING.
    wait_until(lambda: ours.call("GET", "mine") == "1", 20, "it has what it had")
    assert not is_up(ours)
    master = filled(lab)
    follow(ours, master.port)
    wait_up(ours)
    wait_equal(master, ours)


@case(kinds=OURS)
def test_silent_master(lab):
    """Silence for longer than repl-timeout ends a link, in the greeting and in the stream."""
    master = filled(lab)
    ours = lab.node("ours", repl_timeout=2)
    fake = FakeMaster(lab, [])
    follow(ours, fake.port)
    wait_until(lambda: fake.connections >= 2, 15, "a silent master is tried again")
    follow(ours, master.port)
    wait_up(ours)
    master.pause()
    wait_until(lambda: not is_up(ours), 15, "the stream stands still, and is left")
    master.resume()
    wait_up(ours)
    wait_equal(master, ours)
