"""MIGRATE between noded and redis-server: what moves, what is answered, and that nothing is lost when the other side
refuses, hangs, dies or is full, or the client goes away."""
import threading
import time

from cases import case
from lab import Resp, RespError, encode, wait_until
from lab.fake_target import FakeTarget
from lab.ports import listener

OURS = ("ours",)
WAYS = [("node", "redis"), ("redis", "node"), ("node", "node")]
REFUSED = "ERR Target instance replied with error: "
NO_ANSWER = RespError("IOERR error or timeout reading to target instance")


def start(lab, kind, name, **options):
    if kind == "node":
        return lab.node(name, **options).wait_ready()
    return lab.redis(name, **{k.replace("_", "-"): v for k, v in options.items()}).wait_ready()


def fill(client):
    """Keys of every type and encoding."""
    client.ok("MSET", "int", "12345", "text", "short", "empty", "", "long", "x" * 5000, "bin", b"\x00\xff\r\n" * 9)
    client.ok("SET", "ttl", "v", "EX", 1000)
    client.ok("RPUSH", "list", *range(20))
    client.ok("RPUSH", "longlist", *("item-%d" % i * 9 for i in range(700)))
    client.ok("SADD", "ints", 1, 2, 3, 70000, -5)
    client.ok("SADD", "words", "a", "b", "c")
    client.ok("SADD", "manywords", *("w%d" % i for i in range(900)))
    client.ok("HSET", "hash", "f", "v", "n", 1)
    client.ok("HSET", "bighash", *(x for i in range(700) for x in ("f%d" % i, "v" * (i % 90))))
    client.ok("ZADD", "zset", 1, "a", "2.5", "b", "-inf", "c", "+inf", "d")
    client.ok("ZADD", "bigzset", *(x for i in range(700) for x in (i / 3, "m%d" % i)))
    client.ok("EXPIRE", "bigzset", 5000)


class Pending:
    """A request whose answer is not waited for."""

    def __init__(self, server, *args):
        self.client = server.connect(timeout_s=20)
        self.client.send_raw(encode(*args))

    def answer(self, timeout_s=10):
        reply = self.client.read(timeout_s)
        self.client.close()
        return reply

    def none_yet(self, for_s=0.15):
        self.client.sock.settimeout(for_s)
        try:
            data = self.client.sock.recv(1)
        except TimeoutError:
            return
        raise AssertionError("answered too early: %r..." % data)


@case(kinds=OURS, matrix=WAYS)
def test_every_type_moves(lab, source_kind, target_kind):
    """All values arrive as they were, times to live too, and are gone from where they were; one command for all."""
    source, target = start(lab, source_kind, "source"), start(lab, target_kind, "target")
    with source.connect() as client, target.connect() as there:
        fill(client)
        digest, keys = client.ok("DEBUG", "DIGEST"), client.ok("KEYS", "*")
        assert client.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys) == "OK"
        assert client.ok("DBSIZE") == 0
        assert there.ok("DEBUG", "DIGEST") == digest
        assert 990000 < there.ok("PTTL", "ttl") <= 1000000
        # And one by one into another database, as a copy.
        for key in keys:
            assert there.call("MIGRATE", "127.0.0.1", source.port, key, 7, 5000, "COPY") == "OK", key
        assert there.ok("DEBUG", "DIGEST") == digest
        client.ok("SELECT", 7)
        assert client.ok("DBSIZE") == len(keys)
        for key in keys:
            assert client.ok("DEBUG", "DIGEST-VALUE", key) == there.ok("DEBUG", "DIGEST-VALUE", key), key
            assert client.ok("OBJECT", "ENCODING", key) == there.ok("OBJECT", "ENCODING", key), key


@case(kinds=OURS)
def test_answers_are_those_of_redis(lab):
    """The same requests to both servers, with the same third one behind them, are answered with the same bytes."""
    target = lab.redis("target", requirepass="secret", databases=4).wait_ready()
    closed = lab.redis("closed", port=None).wait_ready()
    closed_port = closed.port
    closed.kill9()
    here = ("127.0.0.1", target.port)
    login = ("AUTH", "secret")
    requests = [
        ("MIGRATE",), ("MIGRATE", *here, "k", 0), ("MIGRATE", *here, "none", 0, 100), ("MIGRATE", *here, "k", "x", 100),
        ("MIGRATE", *here, "k", 0, "x"), ("MIGRATE", *here, "k", 0, 100, "FOO"),
        ("MIGRATE", *here, "k", 0, 100, "AUTH"), ("MIGRATE", *here, "k", 0, 100, "AUTH2", "u"),
        ("MIGRATE", *here, "k", 0, 100, "KEYS", "a"),
        ("MIGRATE", *here, "", 0, 100, "KEYS"), ("MIGRATE", *here, "", 0, 100, "KEYS", "none"),
        ("MIGRATE", *here, "", 0, 100), ("MIGRATE", *here, "k", 0, 5000), ("MIGRATE", *here, "k", 0, 5000, "AUTH", "x"),
        ("MIGRATE", *here, "k", 0, 5000, "AUTH2", "nobody", "x"),
        ("MIGRATE", *here, "k", 0, 5000, *login, "COPY"),
        ("MIGRATE", *here, "k", 0, 5000, *login), ("MIGRATE", *here, "", 0, 5000, *login, "KEYS", "a", "k", "b"),
        ("MIGRATE", *here, "", 0, 5000, *login, "KEYS", "a", "k", "b"), ("EXISTS", "a", "k", "b"),
        ("MIGRATE", *here, "k", 0, 5000, "COPY", "REPLACE", *login), ("EXISTS", "k"),
        ("MIGRATE", *here, "k", 3, 5000, "REPLACE", "AUTH2", "default", "secret"), ("EXISTS", "k"), ("SET", "k", "w"),
        ("MIGRATE", *here, "", 0, 5000, "REPLACE", *login, "KEYS", "k", "k"), ("SET", "k", "w"),
        ("MIGRATE", "127.0.0.1", closed_port, "k", 0, 5000), ("MIGRATE", "127.0.0.1", "x", "k", 0, 5000),
        ("MIGRATE", "no.host.invalid", 7000, "k", 0, 5000), ("GET", "k"),
        ("MIGRATE", *here, "k", 9, 5000, *login), ("GET", "k"),
        ("COMMAND", "INFO", "MIGRATE"), ("COMMAND", "GETKEYS", "MIGRATE", "h", 1, "k", 0, 10),
        ("COMMAND", "GETKEYS", "MIGRATE", "h", 1, "", 0, 10, "AUTH", "keys", "KEYS", "a", "b"),
        ("COMMAND", "GETKEYS", "MIGRATE", "h", 1, "x", 0, 10, "KEYS", "a"),
    ]
    answers = {}
    for kind in ("redis", "node"):
        target.ok("FLUSHALL")
        with start(lab, kind, "source-" + kind).connect() as client:
            client.ok("MSET", "k", "v", "a", 1, "b", 2)
            answers[kind] = [client.call_raw(*r) for r in requests]
    for request, ours, theirs in zip(requests, answers["node"], answers["redis"]):
        assert ours == theirs, "%r: %r, and Redis: %r" % (request, ours, theirs)


@case(kinds=OURS)
def test_wrong_database_or_login_sends_nothing(lab):
    """Redis sends the key at once behind SELECT and AUTH, so that it also lands where nobody asked for it, or (database
    -1) sends no SELECT at all. Here nothing is sent before both are well."""
    node, target = start(lab, "node", "source"), start(lab, "redis", "target", databases=4)
    node.ok("SET", "k", "v")
    out_of_range = RespError(REFUSED + "ERR DB index is out of range")
    for db in (4, 99, -1, -2):
        assert node.call("MIGRATE", "127.0.0.1", target.port, "k", db, 7000) == out_of_range, db
    assert "WRONGPASS" in str(node.call("MIGRATE", "127.0.0.1", target.port, "k", 0, 7000, "AUTH2", "nobody", "x"))
    assert "called without any" in str(node.call("MIGRATE", "127.0.0.1", target.port, "k", 0, 7000, "AUTH", "x"))
    assert target.ok("INFO", "keyspace") == "# Keyspace\r\n"
    assert node.ok("GET", "k") == "v"


@case(kinds=OURS)
def test_events_and_order_of_effects(lab):
    """Each key that goes has its event, watchers are told, and COPY changes nothing."""
    node, target = start(lab, "node", "source", notify_keyspace_events="KEA"), start(lab, "redis", "target")
    with node.connect() as client, node.connect() as listener, node.connect() as watcher:
        client.ok("MSET", "a", 1, "b", 2)
        listener.ok("SUBSCRIBE", "__keyevent@0__:del")
        watcher.ok("WATCH", "b")
        assert client.call("MIGRATE", "127.0.0.1", target.port, "a", 0, 7000, "COPY") == "OK"
        assert client.call("MIGRATE", "127.0.0.1", target.port, "", 0, 7000, "REPLACE", "KEYS", "a", "b") == "OK"
        assert [listener.read()[2] for _ in range(2)] == ["a", "b"]
        watcher.ok("MULTI")
        watcher.ok("PING")
        assert watcher.call("EXEC") is None


@case(kinds=OURS)
def test_not_in_a_transaction(lab):
    node, target = start(lab, "node", "source"), start(lab, "redis", "target")
    with node.connect() as client:
        client.ok("SET", "k", "v")
        client.ok("MULTI")
        client.ok("MIGRATE", "127.0.0.1", target.port, "none", 0, 1000)
        client.ok("MIGRATE", "127.0.0.1", target.port, "k", 0, 1000)
        client.ok("GET", "k")
        answers = client.ok("EXEC")
        assert answers[0] == "NOKEY" and answers[2] == "v", answers
        assert isinstance(answers[1], RespError) and "inside a transaction" in str(answers[1]), answers
    assert target.ok("DBSIZE") == 0


@case(kinds=OURS)
def test_target_that_hangs(lab):
    """Until the time is over the keys wait and everything else goes on; then the key is here as it was."""
    node = start(lab, "node", "source")
    target = FakeTarget(lambda words, n: b"")
    lab.on_close(target.close)
    node.ok("MSET", "k", "v", "other", 1)
    began = time.monotonic()
    moving = Pending(node, "MIGRATE", "127.0.0.1", target.port, "k", 0, 4000)
    wait_until(lambda: target.restores == 1, 15, "the key was sent")
    reader, writer = Pending(node, "GET", "k"), Pending(node, "APPEND", "k", "+")
    elsewhere = Pending(node, "FLUSHALL")
    slowest = 0
    with node.connect() as client:
        while time.monotonic() < began + 1.5:
            at = time.monotonic()
            assert client.ok("INCR", "other") > 1
            slowest = max(slowest, time.monotonic() - at)
    assert slowest < 1.2, "the node stood still for %.3f s" % slowest  # a busy machine may keep it for a moment
    for waiting in (reader, writer, elsewhere):
        waiting.none_yet(0.02)
    assert moving.answer() == NO_ANSWER
    assert 3.9 < time.monotonic() - began < 9
    assert reader.answer() == "v"
    assert writer.answer() == 2
    assert elsewhere.answer() == "OK"


@case(kinds=OURS)
def test_silent_ports_cost_no_time(lab):
    """Where nobody listens, and where nobody accepts, it ends with an error and the key stays."""
    node = start(lab, "node", "source")
    node.ok("SET", "k", "v" * 100)
    target = FakeTarget(lambda words, n: b"", login=lambda words: b"")
    lab.on_close(target.close)
    assert node.call("MIGRATE", "127.0.0.1", target.port, "k", 0, 200) == NO_ANSWER
    assert target.restores == 0, "no key leaves before the database is selected"
    assert node.ok("GET", "k") == "v" * 100


@case(kinds=OURS)
def test_target_that_takes_no_more(lab):
    """A value that is greater than all buffers on the way, to somebody who does not read."""
    node = start(lab, "node", "source")
    stopped = lab.redis("target").wait_ready()
    value = bytes(range(256)) * 200000
    node.ok("SET", "k", value, "EX", 1000)
    node.ok("CONFIG", "SET", "rdbcompression", "no")
    assert node.call("MIGRATE", "127.0.0.1", stopped.port, "small", 0, 7000) == "NOKEY"
    node.ok("SET", "small", 1)
    assert node.call("MIGRATE", "127.0.0.1", stopped.port, "small", 0, 7000) == "OK"  # the connection is kept
    stopped.pause()
    answer = node.call("MIGRATE", "127.0.0.1", stopped.port, "k", 0, 300)
    assert answer == RespError("IOERR error or timeout writing to target instance"), answer
    assert node.ok("STRLEN", "k") == len(value)
    stopped.resume()
    with node.connect(timeout_s=30) as client:
        assert client.call("MIGRATE", "127.0.0.1", stopped.port, "k", 1, 10000) == "OK"
    with stopped.connect(timeout_s=30) as there:
        there.ok("SELECT", 1)
        assert there.ok("STRLEN", "k") == len(value)


@case(kinds=OURS)
def test_target_that_dies_in_the_middle(lab):
    """What it has confirmed is its own; the rest stays here."""
    node = start(lab, "node", "source")
    target = FakeTarget(lambda words, n: b"+OK\r\n" if n < 2 else None)
    lab.on_close(target.close)
    node.ok("MSET", *(x for i in range(5) for x in ("k%d" % i, i)))
    with node.connect() as client:
        assert client.call("MIGRATE", "127.0.0.1", target.port, "", 0, 7000, "KEYS", *("k%d" % i for i in range(5))) \
            == NO_ANSWER
        assert client.ok("MGET", *("k%d" % i for i in range(5))) == [None, None, "2", "3", "4"]
    assert target.requests[0] == ["SELECT", "0"] and target.requests[1][:2] == ["RESTORE", "k0"]


NO_CONFIRMATION = {"number": b":1\r\n", "banner": b"220 mail.example ready\r\n", "empty": b"\r\n",
                   "endless": b"+" * 200000}


@case(kinds=OURS, matrix=[(name,) for name in NO_CONFIRMATION])
def test_target_of_another_protocol(lab, answer):
    """What is no confirmation does not delete a key."""
    node = start(lab, "node", "source")
    target = FakeTarget(lambda words, n: NO_CONFIRMATION[answer])
    lab.on_close(target.close)
    node.ok("MSET", "a", 1, "b", 2)
    reply = node.call("MIGRATE", "127.0.0.1", target.port, "", 0, 500, "KEYS", "a", "b")
    assert reply == NO_ANSWER, reply
    assert node.ok("EXISTS", "a", "b") == 2


@case(kinds=OURS)
def test_target_that_says_too_much(lab):
    """A connection with more answers than questions is not used again."""
    node = start(lab, "node", "source")
    target = FakeTarget(lambda words, n: b"+OK\r\n+OK\r\n")
    lab.on_close(target.close)
    for i in range(3):
        node.ok("SET", "k", i)
        assert node.call("MIGRATE", "127.0.0.1", target.port, "k", 0, 7000) == "OK"
        wait_until(lambda: node.info("stats")["migrate_cached_sockets"] == "0", 15, "it is closed")
    assert target.connections == 3 and node.ok("DBSIZE") == 0


class Talker:
    """A target that says OK to SELECT and then says its own, whatever it is sent: each of the texts after a pause."""

    def __init__(self, lab, texts, pause_s):
        self.texts, self.pause_s = texts, pause_s
        self.listening = listener()
        self.port = self.listening.getsockname()[1]
        self.stop = threading.Event()
        lab.on_close(self.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        conn, _ = self.listening.accept()
        with conn:
            conn.recv(1 << 10)
            conn.sendall(b"+OK\r\n")
            conn.recv(1)
            try:
                for text in self.texts:
                    conn.sendall(text)
                    self.stop.wait(self.pause_s)
            except OSError:
                pass  # the node has had enough
            self.stop.wait(20)

    def close(self):
        self.stop.set()
        self.listening.close()


@case(kinds=OURS, matrix=[("ok",), ("error",)])
def test_target_that_answers_what_it_was_not_sent(lab, kind):
    """Nothing it says of a value that is still on its way can be true; and the connection, in the middle of a request,
    is not kept for the next keys."""
    node = start(lab, "node", "source", rdbcompression="no")
    value = bytes(range(256)) * 100000
    node.ok("SET", "k", value)
    target = Talker(lab, [b"+OK\r\n" if kind == "ok" else b"-ERR no\r\n"], 0)
    answer = node.call("MIGRATE", "127.0.0.1", target.port, "k", 0, 5000)
    assert answer == (NO_ANSWER if kind == "ok" else RespError(REFUSED + "ERR no")), answer
    assert node.info("stats")["migrate_cached_sockets"] == "0"
    assert node.ok("STRLEN", "k") == len(value)


@case(kinds=OURS)
def test_target_that_is_never_done_with_its_answer(lab):
    """A byte now and then does not hold the key for ever."""
    node = start(lab, "node", "source")
    node.ok("SET", "k", "v")
    target = Talker(lab, [b"+"] + [b"O"] * 200, 0.1)
    began = time.monotonic()
    assert node.call("MIGRATE", "127.0.0.1", target.port, "k", 0, 500) == NO_ANSWER
    assert 0.4 < time.monotonic() - began < 5
    assert node.ok("GET", "k") == "v"


@case(kinds=OURS)
def test_target_that_is_full_or_turns_away(lab):
    node = start(lab, "node", "source")
    full = lab.redis("full", maxmemory=1, **{"maxmemory-policy": "noeviction"}).wait_ready()
    crowded = lab.redis("crowded", maxclients=1).wait_ready()
    readonly = lab.redis("readonly", replica_of=full.port).wait_ready()
    node.ok("SET", "k", "v")
    assert node.call("MIGRATE", "127.0.0.1", full.port, "k", 0, 7000) == \
        RespError(REFUSED + "OOM command not allowed when used memory > 'maxmemory'.")
    assert node.call("MIGRATE", "127.0.0.1", readonly.port, "k", 0, 7000) == \
        RespError(REFUSED + "READONLY You can't write against a read only replica.")
    client = wait_until(lambda: only_client(crowded), 20, "the one place is taken")
    assert node.call("MIGRATE", "127.0.0.1", crowded.port, "k", 0, 7000) == \
        RespError(REFUSED + "ERR max number of clients reached")
    client.close()
    assert node.ok("GET", "k") == "v"


def only_client(server):
    """A connection to a server that has one place; None while the one before is not gone."""
    client = server.connect()
    if client.call("PING") == "PONG":
        return client
    client.close()
    return None


class Held(FakeTarget):
    """Answers no RESTORE before release()."""

    def __init__(self, lab):
        self.go = threading.Event()
        super().__init__(self.wait)
        lab.on_close(self.close)

    def wait(self, _words, _number):
        self.go.wait(20)
        return b"+OK\r\n"

    def release(self):
        self.go.set()


@case(kinds=OURS)
def test_client_that_goes_away(lab):
    """The migration ends as with it: the key is deleted here, and who waited goes on."""
    node, target = start(lab, "node", "source"), Held(lab)
    node.ok("SET", "k", "10")
    for closing in ("close", "kill"):
        target.go.clear()
        before = target.restores
        node.ok("SET", "k", "10")
        moving = Pending(node, "MIGRATE", "127.0.0.1", target.port, "k", 0, 10000)
        wait_until(lambda: len([r for r in target.requests if r[0] == "RESTORE"]) == before + 1, 15, "the key was sent")
        with node.connect() as client:
            line = [x for x in client.ok("CLIENT", "LIST").splitlines() if "cmd=migrate" in x][0]
            number = line.split()[0][3:]
            assert client.ok("CLIENT", "UNBLOCK", number) == 0, "it does not wait for a time"
            if closing == "close":
                moving.client.close()
            else:
                assert client.ok("CLIENT", "KILL", "ID", number) == 1
            wait_until(lambda: "cmd=migrate" not in client.ok("CLIENT", "LIST"), 15, "the client is gone")
            waiting = Pending(node, "INCR", "k")
            waiting.none_yet()
            target.release()
            assert waiting.answer() == 1, "the key had gone, and began anew"
            assert client.ok("DEL", "k") == 1


@case(kinds=OURS)
def test_writes_meanwhile_come_after(lab):
    """Writes to the key, whatever they are and wherever they come from, see it as it is afterwards."""
    node, target = start(lab, "node", "source"), Held(lab)
    with node.connect() as client:
        client.ok("RPUSH", "moving", "old")
        client.ok("SELECT", 3)
        client.ok("SET", "moving", "in another database")
    mover = Pending(node, "BLMOVE", "from", "moving", "LEFT", "RIGHT", 0)
    wait_until(lambda: node.info("clients")["blocked_clients"] == "1", 15, "BLMOVE waits")
    moving = Pending(node, "MIGRATE", "127.0.0.1", target.port, "moving", 0, 10000)
    wait_until(lambda: target.requests and target.requests[-1][0] == "RESTORE", 15, "the key was sent")
    push = Pending(node, "RPUSH", "moving", "new")
    transaction = node.connect()
    transaction.ok("MULTI")
    transaction.ok("RPUSH", "moving", "newer")
    transaction.send_raw(encode("EXEC"))
    second = Pending(node, "MIGRATE", "127.0.0.1", target.port, "moving", 0, 10000)
    assert node.ok("RPUSH", "from", "through BLMOVE") == 1
    copy = node.connect()
    copy.send_raw(encode("COPY", "from", "moving", "REPLACE"))
    assert node.ok("LLEN", "from") == 1, "BLMOVE may not touch the key that goes"
    mover.none_yet(0.05)
    push.none_yet(0.05)
    target.release()
    assert moving.answer() == "OK"
    # In which order those who waited come is open; that all of them come after the migration is not.
    assert push.answer() >= 1
    assert isinstance(transaction.read(), list)
    assert second.answer() in ("OK", "NOKEY")
    assert copy.read() in (0, 1)
    assert mover.answer() == "through BLMOVE"
    assert "old" not in node.ok("LRANGE", "moving", 0, -1)
    assert node.ok("LLEN", "from") == 0
    for client in (transaction, copy):
        client.close()


@case(kinds=OURS, matrix=[("node",), ("redis",)], limit_s=90)
def test_nothing_is_lost_or_doubled(lab, target_kind):
    """Clients push numbers all the time while the lists move away again and again, each time to another database."""
    node, target = start(lab, "node", "source"), start(lab, target_kind, "target", databases=64)
    keys = ["list%d" % i for i in range(4)]
    over = threading.Event()
    pushed = [[] for _ in range(3)]

    def push(number):
        with node.connect(timeout_s=20) as client:
            i = 0
            while not over.is_set():
                key = keys[i % len(keys)]
                client.send_raw(b"".join(encode("RPUSH", key, "%d.%d.%d" % (number, i, j)) for j in range(5)))
                for j in range(5):
                    if isinstance(client.read(), int):
                        pushed[number].append((key, "%d.%d.%d" % (number, i, j)))
                i += 1

    threads = [threading.Thread(target=push, args=(n,), daemon=True) for n in range(len(pushed))]
    for thread in threads:
        thread.start()
    rounds = 40
    with node.connect(timeout_s=20) as client:
        for db in range(rounds):
            words = ("",) if db % 2 else (keys[db // 2 % len(keys)],)
            more = ("KEYS", *keys) if db % 2 else ()
            assert client.call("MIGRATE", "127.0.0.1", target.port, *words, db, 5000, *more) in ("OK", "NOKEY")
            before = sum(len(p) for p in pushed)
            wait_until(lambda n=before: sum(len(p) for p in pushed) > n + 60, 20, "the clients go on", every_s=0.001)
    over.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    found = {key: [] for key in keys}
    with target.connect(timeout_s=20) as there, node.connect(timeout_s=20) as here:
        for db in range(rounds):
            there.ok("SELECT", db)
            for key in keys:
                found[key] += there.ok("LRANGE", key, 0, -1)
        for key in keys:
            found[key] += here.ok("LRANGE", key, 0, -1)
    total = sum(len(p) for p in pushed)
    assert total > 2000
    assert sum(len(f) for f in found.values()) == total
    for number, items in enumerate(pushed):
        for key in keys:
            mine = [v for v in found[key] if v.startswith("%d." % number)]
            assert mine == [v for k, v in items if k == key], "the order of client %d in %s" % (number, key)


@case(kinds=OURS)
def test_connections_are_kept_and_renewed(lab):
    """The next migration uses the connection of the last one, also after the other side closed it meanwhile; one that
    is logged in is not used by whoever does not know the password."""
    node, target = start(lab, "node", "source"), start(lab, "redis", "target", databases=9)

    def move(db, *options):
        node.ok("SET", "k", "v")
        return node.call("MIGRATE", "127.0.0.1", target.port, "k", db, 7000, "REPLACE", *options)

    with target.connect() as there:
        assert move(0) == "OK"
        count = int(target.info("stats")["total_connections_received"])
        for i in range(10):
            assert move(i % 3) == "OK"
        assert int(target.info("stats")["total_connections_received"]) == count + 1, "only that of INFO"
        assert node.info("stats")["migrate_cached_sockets"] == "1"
        there.ok("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert move(1) == "OK"
        there.ok("CONFIG", "SET", "requirepass", "secret")
        there.ok("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert move(1) == RespError(REFUSED + "NOAUTH Authentication required.")
        assert move(1, "AUTH", "secret") == "OK"
        assert move(1) == RespError(REFUSED + "NOAUTH Authentication required.")
        assert move(2, "AUTH2", "default", "secret") == "OK"
        assert move(2, "AUTH", "wrong").args[0].startswith(REFUSED + "WRONGPASS")
    target.kill9()
    target.start().wait_ready()
    target.ok("CONFIG", "SET", "requirepass", "")
    assert move(5) == "OK"
    wait_until(lambda: node.info("stats")["migrate_cached_sockets"] == "0", 15, "idle connections are closed")


@case(kinds=OURS)
def test_into_itself(lab):
    """The key is locked in every database, so that it ends with the time; nothing is lost."""
    node = start(lab, "node", "source")
    node.ok("SET", "k", "v")
    assert node.call("MIGRATE", "127.0.0.1", node.port, "k", 0, 200) == NO_ANSWER
    assert node.ok("GET", "k") == "v"
    assert node.call("MIGRATE", "127.0.0.1", node.port, "k", 1, 7000, "COPY") == "OK"
    with Resp(node.port) as client:
        client.ok("SELECT", 1)
        assert client.ok("GET", "k") == "v"


@case(kinds=OURS)
def test_the_end_of_the_node_meanwhile(lab):
    node, target = start(lab, "node", "source"), Held(lab)
    node.ok("SET", "k", "v")
    moving = Pending(node, "MIGRATE", "127.0.0.1", target.port, "k", 0, 10000)
    wait_until(lambda: target.requests and target.requests[-1][0] == "RESTORE", 15, "the key was sent")
    assert node.terminate() == 0
    target.release()
    moving.client.close()
