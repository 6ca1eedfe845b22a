"""What people watch a node with, beside redis-server: passwords in MONITOR and SLOWLOG, LATENCY, counters that begin
anew, help."""
from cases import case
from lab import both_servers, pairs, wait_until

LONG = 70  # words before a password: more than the bits that a request has for them
LOGINS = (
    ("AUTH", "secret"), ("AUTH", "secret", "secret"), ("auth", "default", "secret"),
    ("HELLO", "2", "AUTH", "secret", "secret"), ("HELLO", "2", "AUTH", "words"),
    ("HELLO", "2", "SETNAME", "n", "AUTH", "secret", "secret"), ("HELLO", "5", "AUTH", "words", "words"),
    ("HELLO", "2", "AUTH", "default", "secret", "AUTH", "secret", "secret"), ("HELLO", "2", "WORDS", "AUTH", "a", "b"),
    ("CONFIG", "SET", "masterauth", "secret"), ("CONFIG", "SET", "masterauth", "secret", "maxmemory", "0"),
    ("CONFIG", "SET", "maxmemory", "0", "MASTERAUTH", "secret", "masteruser", "secret"),
    ("CONFIG", "SET", "nosuch", "x", "requirepass", "secret"),
    ("CONFIG", "SET", "masterauth", "secret", "maxmemory", "z"),
    ("CONFIG", "SET", "masterauth", "secret", "masterauth", "secret"), ("CONFIG", "SET", "masterauth"),
    ("CONFIG", "SET", "masterauth", "", "masteruser", ""), ("CONFIG", "GET", "masterauth"),
    ("MIGRATE", "127.0.0.1", "1", "none", "0", "100", "AUTH", "secret"),
    ("MIGRATE", "127.0.0.1", "1", "none", "0", "100", "AUTH2", "secret", "secret"),
    ("MIGRATE", "127.0.0.1", "1", "none", "0", "100", "COPY", "AUTH", "secret", "REPLACE"),
    ("MIGRATE", "127.0.0.1", "1", "none", "0", "100", "AUTH", "secret", "WORDS"),
    ("MIGRATE", "127.0.0.1", "1", "none", "0", "100", "AUTH", "secret", "AUTH2", "secret", "secret"),
    ("MIGRATE", "127.0.0.1", "1", "none", "0", "100", "AUTH"),
    ("MIGRATE", "127.0.0.1", "1", "", "0", "100", "AUTH2", "secret", "secret", "KEYS", "none"),
    ("MULTI",), ("AUTH", "secret"), ("CONFIG", "SET", "masterauth", "secret"), ("EXEC",),
)


def shown(server):
    """What MONITOR and SLOWLOG show of the logins."""
    with server.connect() as client, server.connect() as monitor:
        client.ok("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "1000")
        monitor.ok("MONITOR")
        client.ok("SLOWLOG", "RESET")
        answers = [client.call_raw(*words) for words in LOGINS]
        log = [entry[3] for entry in client.ok("SLOWLOG", "GET", "-1")]
        client.ok("PING", "the end")
        lines = []
        while not lines or '"the end"' not in lines[-1]:
            lines.append(monitor.read().split("] ", 1)[1])
        return answers, list(reversed(log)), lines


@case(kinds=("ours",))
def test_passwords_are_not_shown(lab):
    ours, stock = both_servers(lab)
    for mine, theirs in zip(shown(ours), shown(stock)):
        assert len(mine) == len(theirs), (mine, theirs)
        for a, b in zip(mine, theirs):
            assert a == b, (a, b)
            assert "secret" not in str(a), a


@case(kinds=("ours",))
def test_no_more_of_a_wrong_login_is_shown_than_its_last_words(lab):
    """redis-server shows all words of the first; what looks like a user and a password noded does not show. Behind many
    words a password is not shown either."""
    node = lab.node("n")
    with node.connect() as client, node.connect() as monitor:
        monitor.ok("MONITOR")
        client.call("AUTH", "secret", "secret", "words")
        assert monitor.read().endswith('"AUTH" "(redacted)" "(redacted)" "words"')
        client.call("HELLO", "2", *["SETNAME", "n"] * (LONG // 2), "AUTH", "secret", "secret")
        assert "secret" not in monitor.read()
        client.call("MIGRATE", "127.0.0.1", "1", "none", "0", "100", *["COPY"] * LONG, "AUTH", "secret")
        assert "secret" not in monitor.read()


@case(kinds=("ours",))
def test_latency_is_told_as_redis_tells_it(lab):
    """The same commands take long on both; how long exactly is each one's own affair."""
    told = []
    for server in both_servers(lab):
        with server.connect() as client:
            client.ok("CONFIG", "SET", "latency-monitor-threshold", "20")
            client.ok("CONFIG", "RESETSTAT")
            for _ in range(3):
                client.ok("SET", "key", "value")
            client.ok("DEBUG", "SLEEP", "0.03")
            latest = client.ok("LATENCY", "LATEST")
            assert len(latest) == 1 and 30 <= latest[0][2] < 2000, latest
            history = client.ok("LATENCY", "HISTORY", "command")
            assert [history[-1][0], history[-1][1]] == latest[0][1:3], (history, latest)
            fields = pairs(client.ok("LATENCY", "HISTOGRAM", "set", "nosuch", "debug"))
            slow = pairs(pairs(fields["debug"])["histogram_usec"])
            assert sorted(fields) == ["debug", "set"] and pairs(fields["set"])["calls"] == 3, fields
            assert list(slow.values()) == [1] and min(slow) > 30000, slow
            info = client.ok("INFO", "latencystats")
            assert "latency_percentiles_usec_set:p50=" in info, info
            p50 = float(info.split("usec_debug:p50=")[1].split(",")[0])
            assert 30000 <= p50 < max(slow) + 1, (p50, slow)  # the one has digits behind the point
            graph = client.ok("LATENCY", "GRAPH", "command").splitlines()
            assert graph[0].startswith("command - high ") and len(graph) == 9, graph
            told.append([latest[0][0], client.call_raw("LATENCY", "GRAPH", "none"), client.call_raw("LATENCY", "FOO"),
                         client.call_raw("LATENCY", "RESET", "none", "command"), client.call_raw("LATENCY", "LATEST"),
                         client.call_raw("LATENCY", "HISTORY", "command"), graph[1], graph[2:7], graph[8]])
    assert told[0] == told[1], told


@case(kinds=("ours",))
def test_counters_begin_anew(lab):
    for server in both_servers(lab):
        with server.connect() as client:
            client.ok("RPUSH", "list", *["element %d" % i * 20 for i in range(20000)])
            client.ok("UNLINK", "list")
            wait_until(lambda: server.call("INFO", "memory").count("lazyfreed_objects:1\r\n"), 20, "the list is freed")
            client.ok("CONFIG", "RESETSTAT")
            assert "lazyfreed_objects:0\r\n" in client.ok("INFO", "memory")


@case(kinds=("ours",))
def test_help_is_for_people(lab):
    """The notes that programs read in a syntax line are not shown."""
    node = lab.node("n")
    with node.connect() as client:
        text = "\n".join("\n".join(client.ok(name, "HELP")) for name in ("CLIENT", "COMMAND", "CONFIG", "LATENCY"))
    assert "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]" in text
    assert "LIST [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]" in text
    assert "{" not in text and "}" not in text, text
