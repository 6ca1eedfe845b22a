"""Error texts and other short replies, byte for byte as redis-sentinel 7.0.15 gives them.

The rows were taken down from the stock program; with --kind stock this test checks that they are still what it says.
"""
from cases import case
from lab import Closed, Group, RespError, encode

# (request, reply); every row on a connection of its own, to a supervisor that watches one master "mymaster".
ROWS = (
    ("SENTINEL", b"-ERR wrong number of arguments for 'sentinel' command\r\n"),
    ("SENTINEL NOSUCH", b"-ERR unknown subcommand 'NOSUCH'. Try SENTINEL HELP.\r\n"),
    ("SENTINEL MASTER", b"-ERR wrong number of arguments for 'sentinel|master' command\r\n"),
    ("SENTINEL MASTER nobody", b'-ERR No such master with that name\r\n'),
    ("SENTINEL MASTER a b", b"-ERR wrong number of arguments for 'sentinel|master' command\r\n"),
    ("SENTINEL MASTERS x", b"-ERR wrong number of arguments for 'sentinel|masters' command\r\n"),
    ("SENTINEL REPLICAS nobody", b'-ERR No such master with that name\r\n'),
    ("SENTINEL SLAVES nobody", b'-ERR No such master with that name\r\n'),
    ("SENTINEL REPLICAS", b"-ERR wrong number of arguments for 'sentinel|replicas' command\r\n"),
    ("SENTINEL SENTINELS nobody", b'-ERR No such master with that name\r\n'),
    ("SENTINEL SENTINELS", b"-ERR wrong number of arguments for 'sentinel|sentinels' command\r\n"),
    ("SENTINEL MYID x", b"-ERR wrong number of arguments for 'sentinel|myid' command\r\n"),
    ("SENTINEL GET-MASTER-ADDR-BY-NAME nobody", b'*-1\r\n'),
    ("SENTINEL GET-MASTER-ADDR-BY-NAME",
     b"-ERR wrong number of arguments for 'sentinel|get-master-addr-by-name' command\r\n"),
    ("SENTINEL get-master-addr-by-name mymaster x",
     b"-ERR wrong number of arguments for 'sentinel|get-master-addr-by-name' command\r\n"),
    ("SENTINEL CKQUORUM nobody", b'-ERR No such master with that name\r\n'),
    ("SENTINEL CKQUORUM", b"-ERR wrong number of arguments for 'sentinel|ckquorum' command\r\n"),
    ("SENTINEL CKQUORUM mymaster", b'+OK 1 usable Sentinels. Quorum and failover authorization can be reached\r\n'),
    ("SENTINEL FAILOVER", b"-ERR wrong number of arguments for 'sentinel|failover' command\r\n"),
    ("SENTINEL FAILOVER nobody", b'-ERR No such master with that name\r\n'),
    ("SENTINEL RESET", b"-ERR wrong number of arguments for 'sentinel|reset' command\r\n"),
    ("SENTINEL RESET nobody*", b':0\r\n'),
    ("SENTINEL RESET a b", b"-ERR wrong number of arguments for 'sentinel|reset' command\r\n"),
    ("SENTINEL MONITOR", b"-ERR wrong number of arguments for 'sentinel|monitor' command\r\n"),
    ("SENTINEL MONITOR a", b"-ERR wrong number of arguments for 'sentinel|monitor' command\r\n"),
    ("SENTINEL MONITOR mymaster 127.0.0.1 6379 2", b'-ERR Duplicate master name.\r\n'),
    ("SENTINEL MONITOR new 127.0.0.1 6379 0", b'-ERR Quorum must be 1 or greater.\r\n'),
    ("SENTINEL MONITOR new 127.0.0.1 6379 -1", b'-ERR Quorum must be 1 or greater.\r\n'),
    ("SENTINEL MONITOR new 127.0.0.1 6379 x", b'-ERR Invalid quorum\r\n'),
    ("SENTINEL MONITOR new 127.0.0.1 x 1", b'-ERR Invalid port\r\n'),
    ("SENTINEL MONITOR new 127.0.0.1 65536 1", b'-ERR Invalid port number.\r\n'),
    ("SENTINEL MONITOR new nosuchhost 6379 1", b'-ERR Invalid IP address or hostname specified\r\n'),
    ("SENTINEL MONITOR new 999.1.1.1 6379 1", b'-ERR Invalid IP address or hostname specified\r\n'),
    ("SENTINEL REMOVE nobody", b'-ERR No such master with that name\r\n'),
    ("SENTINEL REMOVE", b"-ERR wrong number of arguments for 'sentinel|remove' command\r\n"),
    ("SENTINEL SET", b"-ERR wrong number of arguments for 'sentinel|set' command\r\n"),
    ("SENTINEL SET mymaster", b"-ERR wrong number of arguments for 'sentinel|set' command\r\n"),
    ("SENTINEL SET nobody quorum 1", b'-ERR No such master with that name\r\n'),
    ("SENTINEL SET mymaster quorum", b"-ERR wrong number of arguments for 'sentinel|set' command\r\n"),
    ("SENTINEL SET mymaster quorum 0", b"-ERR Invalid argument '0' for SENTINEL SET 'quorum'\r\n"),
    ("SENTINEL SET mymaster quorum x", b"-ERR Invalid argument 'x' for SENTINEL SET 'quorum'\r\n"),
    ("SENTINEL SET mymaster down-after-milliseconds 0",
     b"-ERR Invalid argument '0' for SENTINEL SET 'down-after-milliseconds'\r\n"),
    ("SENTINEL SET mymaster down-after-milliseconds x",
     b"-ERR Invalid argument 'x' for SENTINEL SET 'down-after-milliseconds'\r\n"),
    ("SENTINEL SET mymaster failover-timeout -1",
     b"-ERR Invalid argument '-1' for SENTINEL SET 'failover-timeout'\r\n"),
    ("SENTINEL SET mymaster parallel-syncs 0", b"-ERR Invalid argument '0' for SENTINEL SET 'parallel-syncs'\r\n"),
    ("SENTINEL SET mymaster parallel-syncs x", b"-ERR Invalid argument 'x' for SENTINEL SET 'parallel-syncs'\r\n"),
    ("SENTINEL SET mymaster nosuch 1", b"-ERR Unknown option or number of arguments for SENTINEL SET 'nosuch'\r\n"),
    ("SENTINEL SET mymaster nosuch", b"-ERR wrong number of arguments for 'sentinel|set' command\r\n"),
    ("SENTINEL SET mymaster notification-script /no/such",
     b'-ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig '
     b'configuration directive in your Sentinel configuration\r\n'),
    ("SENTINEL SET mymaster client-reconfig-script /no/such",
     b'-ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig '
     b'configuration directive in your Sentinel configuration\r\n'),
    ("SENTINEL SET mymaster rename-command a",
     b"-ERR Unknown option or number of arguments for SENTINEL SET 'rename-command'\r\n"),
    ("SENTINEL SET mymaster rename-command", b"-ERR wrong number of arguments for 'sentinel|set' command\r\n"),
    ("SENTINEL SET mymaster quorum 1 nosuch 2",
     b"-ERR Unknown option or number of arguments for SENTINEL SET 'nosuch'\r\n"),
    ("SENTINEL SET mymaster auth-pass", b"-ERR wrong number of arguments for 'sentinel|set' command\r\n"),
    ("SENTINEL CONFIG", b"-ERR wrong number of arguments for 'sentinel|config' command\r\n"),
    ("SENTINEL CONFIG GET nosuch", b'*0\r\n'),
    ("SENTINEL CONFIG SET nosuch 1", b"-ERR Invalid argument 'nosuch' to SENTINEL CONFIG SET\r\n"),
    ("SENTINEL CONFIG SET announce-port x", b"-ERR Invalid value 'x' to SENTINEL CONFIG SET 'announce-port'\r\n"),
    ("SENTINEL CONFIG SET announce-port 99999",
     b"-ERR Invalid value '99999' to SENTINEL CONFIG SET 'announce-port'\r\n"),
    ("SENTINEL CONFIG SET resolve-hostnames maybe",
     b"-ERR Invalid value 'maybe' to SENTINEL CONFIG SET 'resolve-hostnames'\r\n"),
    ("SENTINEL CONFIG SET announce-hostnames maybe",
     b"-ERR Invalid value 'maybe' to SENTINEL CONFIG SET 'announce-hostnames'\r\n"),
    ("SENTINEL FLUSHCONFIG x", b"-ERR wrong number of arguments for 'sentinel|flushconfig' command\r\n"),
    ("SENTINEL FLUSHCONFIG", b'+OK\r\n'),
    ("SENTINEL INFO-CACHE", b"-ERR wrong number of arguments for 'sentinel|info-cache' command\r\n"),
    ("SENTINEL INFO-CACHE nobody", b'*0\r\n'),
    ("SENTINEL PENDING-SCRIPTS", b'*0\r\n'),
    ("SENTINEL PENDING-SCRIPTS x", b"-ERR wrong number of arguments for 'sentinel|pending-scripts' command\r\n"),
    ("SENTINEL SIMULATE-FAILURE", b"-ERR wrong number of arguments for 'sentinel|simulate-failure' command\r\n"),
    ("SENTINEL SIMULATE-FAILURE NOSUCH", b'-ERR Unknown failure simulation specified\r\n'),
    ("SENTINEL SIMULATE-FAILURE HELP", b'*2\r\n$20\r\ncrash-after-election\r\n$21\r\ncrash-after-promotion\r\n'),
    ("SENTINEL DEBUG nosuch 1", b"-ERR Unknown option or number of arguments for SENTINEL DEBUG 'nosuch'\r\n"),
    ("SENTINEL DEBUG info-period",
     b"-ERR Unknown option or number of arguments for SENTINEL DEBUG 'info-period'\r\n"),
    ("SENTINEL DEBUG info-period x", b"-ERR Invalid argument 'x' for SENTINEL DEBUG 'info-period'\r\n"),
    ("SENTINEL DEBUG info-period 0", b"-ERR Invalid argument '0' for SENTINEL DEBUG 'info-period'\r\n"),
    ("SENTINEL DEBUG info-period 10000 ping-period",
     b"-ERR Unknown option or number of arguments for SENTINEL DEBUG 'ping-period'\r\n"),
    ("SENTINEL IS-MASTER-DOWN-BY-ADDR",
     b"-ERR wrong number of arguments for 'sentinel|is-master-down-by-addr' command\r\n"),
    ("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 6379 0",
     b"-ERR wrong number of arguments for 'sentinel|is-master-down-by-addr' command\r\n"),
    ("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *", b'-ERR value is not an integer or out of range\r\n'),
    ("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 6379 x *", b'-ERR value is not an integer or out of range\r\n'),
    ("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *", b'*3\r\n:0\r\n$1\r\n*\r\n:0\r\n'),
    ("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 0123456789012345678901234567890123456789",
     b'*3\r\n:0\r\n$1\r\n*\r\n:0\r\n'),
    ("SENTINEL HELP x", b"-ERR wrong number of arguments for 'sentinel|help' command\r\n"),
    ("PING", b'+PONG\r\n'),
    ("PING x", b'$1\r\nx\r\n'),
    ("PING x y", b"-ERR wrong number of arguments for 'ping' command\r\n"),
    ("ROLE x", b"-ERR wrong number of arguments for 'role' command\r\n"),
    ("GET a", b"-ERR unknown command 'GET', with args beginning with: 'a' \r\n"),
    ("FOO", b"-ERR unknown command 'FOO', with args beginning with: \r\n"),
    ("FOO bar baz", b"-ERR unknown command 'FOO', with args beginning with: 'bar' 'baz' \r\n"),
    ("INFO nosuch", b'$0\r\n\r\n'),
    ("AUTH", b"-ERR wrong number of arguments for 'auth' command\r\n"),
    ("AUTH x",
     b'-ERR AUTH <password> called without any password configured for the default user. Are you sure your '
     b'configuration is correct?\r\n'),
    ("AUTH a b", b'-WRONGPASS invalid username-password pair or user is disabled.\r\n'),
    ("AUTH a b c", b'-ERR syntax error\r\n'),
    ("HELLO x", b'-ERR Protocol version is not an integer or out of range\r\n'),
    ("HELLO 1", b'-NOPROTO unsupported protocol version\r\n'),
    ("HELLO 4", b'-NOPROTO unsupported protocol version\r\n'),
    ("HELLO 2 FOO", b"-ERR Syntax error in HELLO option 'FOO'\r\n"),
    ("HELLO 2 AUTH a b", b'-WRONGPASS invalid username-password pair or user is disabled.\r\n'),
    ("HELLO 2 SETNAME", b"-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
    ("SUBSCRIBE", b"-ERR wrong number of arguments for 'subscribe' command\r\n"),
    ("UNSUBSCRIBE", b'*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n'),
    ("UNSUBSCRIBE x", b'*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:0\r\n'),
    ("PUNSUBSCRIBE", b'*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n'),
    ("PUBLISH", b"-ERR wrong number of arguments for 'publish' command\r\n"),
    ("PUBLISH a", b"-ERR wrong number of arguments for 'publish' command\r\n"),
    ("PUBLISH a b", b'-ERR Only HELLO messages are accepted by Sentinel instances.\r\n'),
    ("PUBLISH __sentinel__:hello x", b':1\r\n'),
    ("PUBLISH __sentinel__:hello 127.0.0.1,1,2,3", b':1\r\n'),
    ("CLIENT", b"-ERR wrong number of arguments for 'client' command\r\n"),
    ("CLIENT NOSUCH", b"-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"),
    ("CLIENT GETNAME", b'$-1\r\n'),
    ("CLIENT SETNAME", b"-ERR wrong number of arguments for 'client|setname' command\r\n"),
    ("CLIENT SETNAME a b", b"-ERR wrong number of arguments for 'client|setname' command\r\n"),
    ("CLIENT ID x", b"-ERR wrong number of arguments for 'client|id' command\r\n"),
    ("CLIENT KILL", b"-ERR wrong number of arguments for 'client|kill' command\r\n"),
    ("CLIENT KILL 1.2.3.4:5", b'-ERR No such client\r\n'),
    ("CLIENT KILL ID x", b'-ERR client-id should be greater than 0\r\n'),
    ("CLIENT KILL TYPE nosuch", b"-ERR Unknown client type 'nosuch'\r\n"),
    ("ACL", b"-ERR wrong number of arguments for 'acl' command\r\n"),
    ("COMMAND NOSUCH", b"-ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP.\r\n"),
    ("SHUTDOWN x", b'-ERR syntax error\r\n'),
    ("EVAL x 0", b"-ERR unknown command 'EVAL', with args beginning with: 'x' '0' \r\n"),
    ("CONFIG GET *", b"-ERR unknown command 'CONFIG', with args beginning with: 'GET' '*' \r\n"),
    ("SELECT 0", b"-ERR unknown command 'SELECT', with args beginning with: '0' \r\n"),
    ("DEBUG SLEEP 0", b"-ERR unknown command 'DEBUG', with args beginning with: 'SLEEP' '0' \r\n"),
    ("SLAVEOF NO ONE", b"-ERR unknown command 'SLAVEOF', with args beginning with: 'NO' 'ONE' \r\n"),
)


def watched(lab, **group):
    master = lab.redis("master").wait_ready()
    return lab.supervisor("sentinel0", [Group(port=master.port, quorum=1, **group)], timers={})


@case()
def test_short_replies_are_stock(lab):
    """All rows at once, so that a failure lists every difference."""
    s = watched(lab)
    wrong = []
    for request, wanted in ROWS:
        with s.connect() as client:
            client.send_raw(encode(*request.split()))
            try:
                client.read(15)
                got = client.raw
            except (Closed, TimeoutError, ValueError) as e:
                got = repr(e)
        if got != wanted:
            wrong.append("%s\n      gave   %r\n      wanted %r" % (request, got, wanted))
    assert not wrong, "%d of %d replies differ:\n    %s" % (len(wrong), len(ROWS), "\n    ".join(wrong))


@case(kinds=("ours",))
def test_replies_of_later_versions(lab):
    """What 7.0.15 does not have, or answers otherwise: refused clearly, or done as later versions do."""
    s = watched(lab)
    with s.connect() as client:
        for request, text in (
                ("SENTINEL CONFIG SET announce-ip 127.0.0.9 announce-port", "Missing argument 'announce-port' value"),
                ("SENTINEL CONFIG SET announce-port 1 announce-port 2", "Duplicate argument 'announce-port'")):
            reply = client.call(*request.split())
            assert isinstance(reply, RespError) and text in str(reply), "%s: %r" % (request, reply)
        for request in ("SENTINEL MONITOR bad,name 127.0.0.1 6379 1", "SENTINEL MONITOR new 127.0.0.1 0 1",
                        "SENTINEL CONFIG", "SENTINEL CONFIG GET", "SENTINEL CONFIG SET", "SENTINEL CONFIG FOO x"):
            assert isinstance(client.call(*request.split()), RespError), request
        assert [m["name"] for m in s.masters()] == ["mymaster"]


@case(kinds=("ours",))
def test_set_is_all_or_nothing(lab):
    """One bad option of several: nothing is changed."""
    s = watched(lab)
    before = s.master()
    with s.connect() as client:
        for bad in (("nosuch", "1"), ("quorum", "x"), ("parallel-syncs", "0")):
            reply = client.call("SENTINEL", "SET", "mymaster", "down-after-milliseconds", "7777", *bad)
            assert isinstance(reply, RespError), "%s: %r" % (bad, reply)
            assert s.master()["down-after-milliseconds"] == before["down-after-milliseconds"]
        assert client.call("SENTINEL", "SET", "mymaster", "down-after-milliseconds", "7777", "quorum", "2") == "OK"
    after = s.master()
    assert (after["down-after-milliseconds"], after["quorum"]) == ("7777", "2")
