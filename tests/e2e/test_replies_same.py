"""The same requests to the real redis-sentinel and to sentineld, side by side: the replies must be the same bytes.

Both watch the same servers and know each other. What cannot be the same (ids, ports, times) is masked; where we choose
to differ stands in DIFFERENT with the reason, and a difference that is gone must be taken out of there.
"""
import re
import shlex

from cases import case
from lab import Closed, Group, Resp, pairs, wait_until
from lab.resp import encode

# A line is a session on a connection of its own; " ;; " parts its requests, "3:" begins it with HELLO 3.
SAME = r"""
PING
PING message
PING a b
3:PING
ping "a\r\nb"
ECHO a
QUIT
RESET
SELECT 0
GET a
CONFIG GET *
TIME
MULTI
PUBSUB CHANNELS
SSUBSCRIBE a
NoSuch a b "c d"
NOSUCH "a\nb"
"" ""
nosuch LONG LONG LONG LONG
LONGLONGLONGLONG LONG
client|list
ROLE
3:ROLE
ROLE x
HELLO
HELLO 3
HELLO 2
HELLO 1
HELLO 4
HELLO x
HELLO 3 nosuch
HELLO 3 AUTH default
HELLO 3 AUTH default x
HELLO 3 AUTH foo x
HELLO 3 SETNAME "a b"
HELLO 3 SETNAME foo ;; CLIENT GETNAME
HELLO 3 SETNAME ;; PING
HELLO 3 ;; HELLO 2 ;; SENTINEL GET-MASTER-ADDR-BY-NAME nobody
AUTH
AUTH x
AUTH default x
AUTH foo x
AUTH a b c
SUBSCRIBE
PSUBSCRIBE
SUBSCRIBE a ;; PING ;; PING x ;; UNSUBSCRIBE ;; PING
SUBSCRIBE a a a ;; UNSUBSCRIBE a b a
SUBSCRIBE a ;; GET x ;; SENTINEL MASTERS ;; SENTINEL ;; SENTINEL NOSUCH ;; HELLO 3 ;; AUTH x
SUBSCRIBE a ;; CLIENT LIST ;; QUIT ;; RESET
SUBSCRIBE a ;; PING a b ;; SUBSCRIBE ;; PUBLISH a b
PSUBSCRIBE a* ;; SUBSCRIBE b ;; PUNSUBSCRIBE ;; UNSUBSCRIBE ;; PING
UNSUBSCRIBE
PUNSUBSCRIBE
UNSUBSCRIBE x
PUNSUBSCRIBE x
3:SUBSCRIBE a ;; PING ;; PING x ;; SENTINEL FLUSHCONFIG ;; UNSUBSCRIBE ;; UNSUBSCRIBE ;; PUNSUBSCRIBE
3:PSUBSCRIBE a* ;; CLIENT GETNAME ;; PUNSUBSCRIBE a*
PUBLISH
PUBLISH a
PUBLISH a b
PUBLISH __SENTINEL__:hello a
PUBLISH __sentinel__:hello a
PUBLISH __sentinel__:hello a,b,c,d,e,f,g,h
INFO nosuch
INFO memory
CLIENT
CLIENT nosuch
CLIENT ID x
CLIENT GETNAME
3:CLIENT GETNAME
CLIENT SETNAME foo ;; CLIENT GETNAME ;; CLIENT SETNAME "" ;; CLIENT GETNAME
CLIENT SETNAME "foo bar"
CLIENT SETNAME
CLIENT LIST x
CLIENT LIST TYPE nosuch
CLIENT LIST TYPE slave
CLIENT LIST TYPE master
CLIENT LIST TYPE
CLIENT LIST ID
CLIENT LIST ID x
CLIENT LIST ID 0
CLIENT LIST NOPE 1
CLIENT KILL
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID x
CLIENT KILL ID -1
CLIENT KILL ID 0
CLIENT KILL ID 999999
CLIENT KILL TYPE nope
CLIENT KILL TYPE replica
CLIENT KILL USER nosuch
CLIENT KILL SKIPME maybe
CLIENT KILL ADDR 1.2.3.4:5
CLIENT KILL LADDR 1.2.3.4:5 SKIPME no
CLIENT KILL NOPE x
CLIENT KILL ID 1 ADDR
CLIENT KILL ID 999999 ADDR x TYPE pubsub
CLIENT REPLY x
CLIENT REPLY
CLIENT REPLY ON
CLIENT REPLY SKIP ;; PING a ;; PING b
CLIENT REPLY OFF ;; PING ;; NOSUCH ;; CLIENT REPLY ON ;; PING
CLIENT REPLY OFF ;; CLIENT REPLY SKIP ;; PING ;; CLIENT REPLY ON
CLIENT NO-EVICT ON
CLIENT NO-EVICT OFF
CLIENT NO-EVICT x
CLIENT PAUSE x
CLIENT PAUSE -1
CLIENT PAUSE 10 x
CLIENT PAUSE 10 WRITE
CLIENT PAUSE 10 WRITE x
CLIENT UNPAUSE
CLIENT UNPAUSE x
CLIENT UNBLOCK
CLIENT UNBLOCK x
CLIENT UNBLOCK 1
CLIENT UNBLOCK 1 x
CLIENT UNBLOCK 1 ERROR
CLIENT UNBLOCK 1 TIMEOUT x
CLIENT TRACKINGINFO
3:CLIENT TRACKINGINFO
CLIENT GETREDIR
CLIENT CACHING yes
CLIENT CACHING x
CLIENT TRACKING on ;; CLIENT TRACKINGINFO ;; CLIENT GETREDIR ;; CLIENT CACHING yes
CLIENT TRACKING on ;; CLIENT TRACKING off ;; CLIENT GETREDIR
3:CLIENT TRACKING on BCAST PREFIX a PREFIX b ;; CLIENT TRACKINGINFO ;; CLIENT TRACKING on OPTIN
3:CLIENT TRACKING on OPTIN ;; CLIENT CACHING yes ;; CLIENT CACHING no ;; CLIENT CACHING x ;; CLIENT TRACKINGINFO
3:CLIENT TRACKING on OPTOUT NOLOOP ;; CLIENT CACHING no ;; CLIENT TRACKINGINFO ;; CLIENT TRACKING on OPTIN
CLIENT TRACKING on OPTIN OPTOUT
CLIENT TRACKING on BCAST OPTIN
CLIENT TRACKING on PREFIX a
CLIENT TRACKING on REDIRECT 999999
CLIENT TRACKING on REDIRECT x
CLIENT TRACKING on REDIRECT
CLIENT TRACKING maybe
CLIENT TRACKING on NOPE
ACL
ACL NOSUCH
ACL WHOAMI
ACL WHOAMI x
ACL CAT
ACL CAT nosuch
ACL CAT a b
ACL CAT hash
ACL CAT blocking
ACL GENPASS 0
ACL GENPASS -1
ACL GENPASS 5000
ACL GENPASS x
ACL GENPASS 1 2
ACL USERS
ACL LIST
ACL GETUSER default
3:ACL GETUSER default
ACL GETUSER nosuch
3:ACL GETUSER nosuch
ACL DELUSER default
ACL DELUSER nosuch
ACL LOG x
ACL LOG 0
ACL LOG RESET
ACL LOG 1 2
ACL DRYRUN default ping
ACL DRYRUN default nosuch
ACL DRYRUN default client nosuch
ACL DRYRUN default client list
ACL DRYRUN nosuch ping
ACL DRYRUN default role x
COMMAND COUNT
COMMAND COUNT x
COMMAND NOSUCH
COMMAND HELP x
COMMAND LIST x
COMMAND LIST FILTERBY
COMMAND LIST FILTERBY pattern
COMMAND LIST FILTERBY pattern *ublish
COMMAND LIST FILTERBY pattern SENTINEL|MASTERS
COMMAND LIST FILTERBY module m
COMMAND LIST FILTERBY aclcat nope
COMMAND LIST FILTERBY aclcat scripting
COMMAND LIST FILTERBY nope x
COMMAND INFO nosuch client|list config|get client|nosuch client|list|x get
3:COMMAND INFO nosuch ping role info
COMMAND DOCS nosuch
3:COMMAND DOCS nosuch
COMMAND GETKEYS
COMMAND GETKEYS ping
COMMAND GETKEYS ping a
COMMAND GETKEYS get x
COMMAND GETKEYS client list
COMMAND GETKEYS client nosuch
COMMAND GETKEYSANDFLAGS client list
SHUTDOWN x
SHUTDOWN SAVE NOSAVE
SHUTDOWN ABORT
SHUTDOWN NOSAVE ABORT
SENTINEL
SENTINEL NOSUCH
SENTINEL NOSUCH a b
SENTINEL HELP x
SENTINEL MYID
SENTINEL MYID x
SENTINEL MASTERS
3:SENTINEL MASTERS
SENTINEL MASTERS x
SENTINEL MASTER mymaster
3:SENTINEL MASTER mymaster
SENTINEL MASTER
SENTINEL MASTER nobody
SENTINEL MASTER mymaster x
SENTINEL REPLICAS mymaster
3:SENTINEL REPLICAS mymaster
SENTINEL SLAVES mymaster
SENTINEL REPLICAS nobody
SENTINEL SENTINELS mymaster
3:SENTINEL SENTINELS mymaster
SENTINEL SENTINELS nobody
SENTINEL CKQUORUM
SENTINEL CKQUORUM nobody
SENTINEL CKQUORUM mymaster
SENTINEL GET-MASTER-ADDR-BY-NAME mymaster
SENTINEL get-master-addr-by-name nobody
3:SENTINEL GET-MASTER-ADDR-BY-NAME nobody
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 MASTERPORT 0 *
3:SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 MASTERPORT 0 *
SENTINEL IS-MASTER-DOWN-BY-ADDR nosuchhost 1 0 *
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 x *
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 99999 0 *
SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0
SENTINEL FAILOVER
SENTINEL FAILOVER nobody
SENTINEL FAILOVER mymaster x
SENTINEL RESET
SENTINEL RESET nobody*
SENTINEL RESET a b
SENTINEL REMOVE
SENTINEL REMOVE nobody
SENTINEL FLUSHCONFIG
SENTINEL FLUSHCONFIG x
SENTINEL INFO-CACHE
SENTINEL INFO-CACHE nobody
3:SENTINEL INFO-CACHE nobody
SENTINEL PENDING-SCRIPTS
3:SENTINEL PENDING-SCRIPTS
SENTINEL SIMULATE-FAILURE
SENTINEL SIMULATE-FAILURE HELP
SENTINEL SIMULATE-FAILURE nosuch
SENTINEL MONITOR a b c
SENTINEL MONITOR a b c d
SENTINEL MONITOR a 127.0.0.1 6379 x
SENTINEL MONITOR a 127.0.0.1 6379 0
SENTINEL MONITOR a 127.0.0.1 6379 -5
SENTINEL MONITOR a nosuchhost 6379 1
SENTINEL MONITOR a 127.0.0.1 70000 1
SENTINEL MONITOR a 127.0.0.1 -1 1
SENTINEL MONITOR a 127.0.0.1 x 1
SENTINEL MONITOR mymaster 127.0.0.1 MASTERPORT 1
SENTINEL SET
SENTINEL SET mymaster
SENTINEL SET mymaster quorum
SENTINEL SET mymaster quorum 1 ;; SENTINEL SET mymaster QUORUM 2
SENTINEL SET mymaster quorum 0
SENTINEL SET mymaster quorum x
SENTINEL SET mymaster quorum 2 quorum
SENTINEL SET mymaster quorum 2 nosuch x
SENTINEL SET mymaster nosuch x
SENTINEL SET nobody quorum 2
SENTINEL SET nobody nosuch x
SENTINEL SET nobody notification-script /x
SENTINEL SET mymaster down-after-milliseconds 0
SENTINEL SET mymaster down-after-milliseconds 99999999999999999999
SENTINEL SET mymaster failover-timeout abc
SENTINEL SET mymaster parallel-syncs 0
SENTINEL SET mymaster parallel-syncs 1 rename-command
SENTINEL SET mymaster notification-script /nonexistent
SENTINEL SET mymaster client-reconfig-script /nonexistent
SENTINEL SET mymaster notification-script ""
SENTINEL SET mymaster rename-command A
SENTINEL SET mymaster rename-command "" B
SENTINEL SET mymaster rename-command A ""
SENTINEL SET mymaster rename-command A A
SENTINEL SET mymaster auth-pass ""
SENTINEL SET mymaster auth-user ""
SENTINEL SET mymaster master-reboot-down-after-period -1
SENTINEL SET mymaster master-reboot-down-after-period 0
SENTINEL CONFIG
SENTINEL CONFIG GET
SENTINEL CONFIG GET *host*
3:SENTINEL CONFIG GET *host*
SENTINEL CONFIG GET nosuch
SENTINEL CONFIG GET SENTINEL-USER
SENTINEL CONFIG GET announce-ip
SENTINEL CONFIG NOSUCH a
SENTINEL CONFIG SET
SENTINEL CONFIG SET a
SENTINEL CONFIG SET a b
SENTINEL CONFIG SET announce-port x
SENTINEL CONFIG SET announce-port 70000
SENTINEL CONFIG SET announce-port -1
SENTINEL CONFIG SET announce-port 0
SENTINEL CONFIG SET resolve-hostnames maybe
SENTINEL CONFIG SET resolve-hostnames no
SENTINEL CONFIG SET announce-hostnames
SENTINEL DEBUG info-period
SENTINEL DEBUG info-period x
SENTINEL DEBUG info-period 0
SENTINEL DEBUG nosuch 5
SENTINEL DEBUG INFO-PERIOD 10000
SENTINEL DEBUG info-period 10000 nosuch 5
"""

# (session, what ours says, as a regular expression over the masked bytes of all its replies, why)
DIFFERENT = (
    ("CLIENT SETINFO lib-name x", rb"\+OK\r\n", "of Redis 7.2; client libraries send it to whatever they connect to"),
    ("SENTINEL PRIMARY nobody", rb"-ERR No such master with that name\r\n", "the newer spelling is taken too"),
    ("SENTINEL PRIMARIES x", rb"-ERR wrong number of arguments for 'sentinel\|primaries' command\r\n", "likewise"),
    ("SENTINEL GET-PRIMARY-ADDR-BY-NAME nobody", rb"\*-1\r\n", "likewise"),
    ("SENTINEL BALLOT x 1", rb"-ERR Invalid supervisor id in SENTINEL BALLOT\r\n", "the question between sentinelds"),
    ("SENTINEL CONFIG GET a b", rb"\*0\r\n", "several names, as in Redis 7.2"),
    ("SENTINEL CONFIG GET announce* *-user", rb"\*8\r\n.*", "likewise"),
    ("SENTINEL CONFIG GET *", rb"\*14\r\n.*\$8\r\nloglevel\r\n\$6\r\nnotice\r\n", "loglevel is shown, as in Redis 7.2"),
    ("SENTINEL CONFIG SET a b c", rb"-ERR Invalid argument 'a' to SENTINEL CONFIG SET\r\n", "several names"),
    ("SENTINEL CONFIG SET announce-port 0 announce-port 0",
     rb"-ERR Duplicate argument 'announce-port' to SENTINEL CONFIG SET\r\n", "several names"),
    ("SENTINEL CONFIG SET announce-port 0 announce-ip", rb"-ERR Missing argument 'announce-ip' value\r\n",
     "several names"),
    ("SENTINEL CONFIG SET loglevel nope", rb"-ERR Invalid value 'nope' to SENTINEL CONFIG SET 'loglevel'\r\n",
     "loglevel can be set, as in Redis 7.2"),
    ("SENTINEL CONFIG SET announce-ip a,b", rb"-ERR Invalid value 'a,b' to SENTINEL CONFIG SET 'announce-ip'\r\n",
     "no host has a comma, and a comma breaks the hello message"),
    ("SENTINEL MONITOR a 127.0.0.1 0 1", rb"-ERR Invalid port number\.\r\n", "nobody can listen on port 0"),
    ("SENTINEL MONITOR \"\" 127.0.0.1 6379 1", rb"-ERR Invalid master name: .*\r\n", "a name cannot be empty"),
    ("SENTINEL MONITOR a,b 127.0.0.1 6379 1", rb"-ERR Invalid master name: .*\r\n", "a comma breaks the hello message"),
    ("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 abc", rb"-ERR Invalid run id .*\r\n",
     "a vote is only for a whole id"),
    ("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 -1 *", rb"-ERR value is not an integer or out of range\r\n",
     "an epoch below 0 would be read as the highest of all"),
    ("SENTINEL DEBUG", rb".*DEFAULT-FAILOVER-TIMEOUT\r\n\$5\r\n60000\r\n.*", "our default is 60 s"),
    ("ACL SETUSER bob (+ping)", rb"-ERR Error in ACL SETUSER modifier '\(\+ping\)': Selectors are not served .*\r\n",
     "there are no keys that a selector could be about"),
    ("ACL SETUSER bob +ping|x", rb"-ERR Error in ACL SETUSER modifier '\+ping\|x': Unknown command .*\r\n",
     "first arguments are no subcommands"),
    ("ACL LOAD", rb"-ERR There is no ACL file: .*\r\n", "users come from the configuration file"),
    ("ACL SAVE", rb"-ERR There is no ACL file: .*\r\n", "likewise"),
)

# Fields of instance maps, and one of HELLO, whose values are of the moment.
VOLATILE = ("last-ping-sent", "last-ok-ping-reply", "last-ping-reply", "info-refresh", "role-reported-time",
            "last-hello-message", "slave-repl-offset", "link-pending-commands")


def mask(raw, port):
    """raw without what cannot be the same in two supervisors."""
    for field in VOLATILE:
        raw = re.sub(rb"(\$%d\r\n%s\r\n)\$\d+\r\n\d+\r\n" % (len(field), field.encode()), rb"\1<moment>", raw)
    raw = re.sub(rb"(\$2\r\nid\r\n):\d+\r\n", rb"\1:<id>\r\n", raw)
    raw = raw.replace(b"%d" % port, b"<port>")
    return raw


def talk(supervisor, line, password=None):
    """The masked bytes of all replies of one session."""
    out = []
    with Resp(supervisor.port) as client:
        if password:
            client.ok("AUTH", password)
        if line.startswith("3:"):
            client.ok("HELLO", "3")
            line = line[2:]
        # All requests at once, and a marker behind them: what silence there is shows without waiting for it.
        requests = b"".join(encode(*shlex.split(part)) for part in line.split(" ;; "))
        marker = "end-of-session"
        client.send_raw(requests + encode("PING", marker))
        try:
            while True:
                value = client.read()
                if value == marker or value == ["pong", marker]:
                    break
                out.append(client.raw)
        except Closed:
            out.append(b"(closed)")
    return mask(b"".join(out), supervisor.port)


def both(lab, **kwargs):
    """A stock sentinel and ours that watch the same master and know each other."""
    master = lab.redis("master").wait_ready()
    replica = lab.redis("replica", replica_of=master).wait_ready()
    replica.wait_follows(master.port)
    group = Group(port=master.port, quorum=2, down_after_ms=30000, failover_timeout_ms=180000)
    made = [lab.supervisor(kind, [group], kind=kind, timers={"publish-period": 100, "info-period": 100}, **kwargs)
            for kind in ("stock", "ours")]
    for s in made:
        wait_until(lambda s=s: s.knows("mymaster", 1, 1), 20, "%s knows the replica and the other" % s.name)
    return master, made[0], made[1]


def fill(line, master):
    return line.replace("MASTERPORT", str(master.port)).replace("LONG", "x" * 50)


def only_ids_differ(stock_raw, our_raw, stock, ours):
    """Each knows the other: where one names the other's id and port stands the own one's in the other reply."""
    def neutral(raw):
        raw = re.sub(rb"[0-9a-f]{40}", b"<id>", raw)
        for s in (stock, ours):
            raw = raw.replace(b"%d" % s.port, b"<port>")
        return raw
    return neutral(stock_raw) == neutral(our_raw)


@case(kinds=("ours",), limit_s=120)
def test_same_requests_same_bytes(lab):
    """Good, wrong, odd and unknown requests, RESP2 and RESP3."""
    master, stock, ours = both(lab)
    wrong = []
    for line in SAME.strip().splitlines():
        line = fill(line, master)
        a, b = talk(stock, line), talk(ours, line)
        if a != b and not only_ids_differ(a, b, stock, ours):
            wrong.append("%s\n  stock: %r\n  ours:  %r" % (line, a, b))
    assert not wrong, "%d of the replies differ:\n%s" % (len(wrong), "\n".join(wrong))


@case(kinds=("ours",), limit_s=60)
def test_chosen_differences(lab):
    """Where ours answers otherwise it answers as the table says, and stock still otherwise."""
    _, stock, ours = both(lab)
    for line, expected, why in DIFFERENT:
        a, b = talk(stock, line), talk(ours, line)
        assert re.fullmatch(expected, b, re.DOTALL), "%s (%s): ours says %r" % (line, why, b)
        assert not re.fullmatch(expected, a, re.DOTALL), "%s: stock says the same now: %r" % (line, a)


@case(kinds=("ours",), limit_s=60)
def test_same_with_a_password(lab):
    """What is said before the login, to wrong logins, and after a right one."""
    master = lab.redis("master").wait_ready()
    group = Group(port=master.port, quorum=1, down_after_ms=30000, failover_timeout_ms=180000)
    stock = lab.supervisor("stock", [group], kind="stock", extra=["requirepass sekret"], boot=False)
    ours = lab.supervisor("ours", [group], kind="ours", password="sekret", boot=False)
    stock.password = "sekret"
    for s in (stock, ours):
        s.start()
        s.wait_ready()
    for line in ("PING", "NOSUCH", "SENTINEL", "SENTINEL NOSUCH", "SENTINEL MASTER", "SENTINEL MASTERS",
                 "CLIENT NOSUCH", "AUTH x", "AUTH default x", "AUTH nobody sekret", "AUTH", "AUTH a b c", "HELLO",
                 "HELLO 3", "HELLO 9", "HELLO 3 SETNAME x", "HELLO 3 AUTH default x",
                 "HELLO 3 AUTH default sekret ;; PING",
                 "SUBSCRIBE a", "PUBLISH __sentinel__:hello x", "COMMAND COUNT", "INFO", "QUIT",
                 "AUTH sekret ;; PING ;; AUTH x ;; ACL WHOAMI ;; ACL LIST ;; ACL GETUSER default",
                 "AUTH default sekret ;; HELLO ;; SENTINEL MYID x"):
        # Without a login the marker is answered by an error too, so the sessions end with one.
        line += " ;; AUTH default sekret"
        a, b = talk(stock, line), talk(ours, line)
        assert a == b, "%s\n  stock: %r\n  ours:  %r" % (line, a, b)


@case(kinds=("ours",), limit_s=60)
def test_same_answers_to_broken_bytes(lab):
    """Protocol errors: the same text, and the connection ends in the same way."""
    master = lab.redis("master").wait_ready()
    group = Group(port=master.port, quorum=1, down_after_ms=30000, failover_timeout_ms=180000)
    pair = [lab.supervisor(kind, [group], kind=kind, timers={}) for kind in ("stock", "ours")]
    for data in (b"*x\r\n", b"*1\r\n!4\r\nPING\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$x\r\n", b"*1\r\n$999999999999\r\n",
                 b"PING \"a\r\n", b"PING 'a\"\r\n", b"PING \"a\"b\r\n", b"x" * 70000, b"*" + b"1" * 70000,
                 b"*99999999999999999999\r\n", b"POST / HTTP/1.1\r\n\r\n", b"Host: a\r\n\r\nPING\r\n",
                 b"PING\r\nPING x y z\r\n*x\r\n", b"*1\r\n\r\n"):
        said = []
        for s in pair:
            with Resp(s.port) as client:
                client.send_raw(data)
                said.append(client.read_until_closed())
        assert said[0] == said[1], "%r\n  stock: %r\n  ours:  %r" % (data[:60], *said)
    for data in (b"*-1\r\n*0\r\n\r\n  \r\nPING\r\n", b"ping\nPING\n", b"*1\r\n$4\r\npi", b"PING \"\\x41\\n\\\"\" \r\n"):
        said = []
        for s in pair:
            with Resp(s.port) as client:
                client.send_raw(data)
                if data.endswith(b"pi"):
                    client.send_raw(b"ng\r\n")
                client.read()
                said.append(client.raw)
        assert said[0] == said[1], "%r: stock %r, ours %r" % (data, *said)


@case(kinds=("ours",), limit_s=60)
def test_commands_describe_themselves_the_same(lab):
    """Every command of stock is offered, with its arity, flags, categories and tips; the additions are known."""
    _, stock, ours = both(lab)
    names = set(stock.ok("COMMAND", "LIST"))
    assert set(ours.ok("COMMAND", "LIST")) - names == {
        "client|setinfo", "sentinel|ballot", "sentinel|cluster", "sentinel|clusters", "sentinel|drill",
        "sentinel|events", "sentinel|history", "sentinel|hook", "sentinel|mapping", "sentinel|swapdb",
        "sentinel|pause", "sentinel|pauses", "sentinel|resume",
        "sentinel|overrides", "sentinel|primary", "sentinel|primaries", "sentinel|ranking", "sentinel|reload",
        "sentinel|get-primary-addr-by-name", "sentinel|is-primary-down-by-addr"}
    assert names - set(ours.ok("COMMAND", "LIST")) == set()
    for name in sorted(names):
        a, b = stock.ok("COMMAND", "INFO", name)[0], ours.ok("COMMAND", "INFO", name)[0]
        subs = [{row[0] for row in reply[9]} for reply in (a, b)]
        assert subs[0] <= subs[1], name
        if name == "sentinel|failover":
            assert (a[1], b[1]) == (3, -3)  # COORDINATED and TO may follow the name
            a[1] = b[1]
        assert a[:9] == b[:9], "%s\n  stock: %s\n  ours:  %s" % (name, a[:9], b[:9])
        docs = [pairs(pairs(s.ok("COMMAND", "DOCS", name))[name]) for s in (stock, ours)]
        assert (docs[0]["since"], docs[0]["group"]) == (docs[1]["since"], docs[1]["group"]), (name, docs)
        assert docs[1]["summary"] and list(docs[1])[:4] == ["summary", "since", "group", "complexity"], docs
    for category in stock.ok("ACL", "CAT"):
        theirs, own = set(stock.ok("ACL", "CAT", category)), set(ours.ok("ACL", "CAT", category))
        assert theirs == own & names, "%s: %s" % (category, theirs ^ (own & names))
    for parent in ("SENTINEL", "CLIENT", "ACL", "COMMAND"):
        a, b = stock.ok(parent, "HELP"), ours.ok(parent, "HELP")
        assert a[0] == b[0] and all(line.strip() for line in b), b
        wanted = {line.split()[0].split("(")[0] for line in a[1:] if not line.startswith(" ")} - {"(no", ""}
        assert wanted <= {line.split()[0] for line in b[1:] if not line.startswith(" ")}, wanted


@case(kinds=("ours",), limit_s=60)
def test_same_fields(lab):
    """INFO and CLIENT LIST: stock's fields that say something here are there, in stock's order, ours follow."""
    _, stock, ours = both(lab)
    with stock.connect() as a, ours.connect() as b:
        a.ok("CLIENT", "SETNAME", "me")
        b.ok("CLIENT", "SETNAME", "me")
        keys = [[word.split("=")[0] for word in client.ok("CLIENT", "INFO").split()] for client in (a, b)]
        assert keys[1][:len(keys[0])] == keys[0] and keys[1][len(keys[0]):] == ["lib-name", "lib-ver"], keys
        for client in (a, b):
            words = dict(word.split("=", 1) for word in client.ok("CLIENT", "INFO").split())
            assert (words["name"], words["flags"], words["cmd"], words["user"], words["resp"], words["redir"]) == (
                "me", "N", "client|info", "default", "2", "-1"), words
    sections = []
    for s in (stock, ours):
        text = s.ok("INFO")
        sections.append([line for line in text.split("\r\n") if line.startswith("#")])
        lines = [line for line in s.ok("INFO", "sentinel").split("\r\n") if line]
        assert lines[0] == "# Sentinel" and lines[-1] == (
            "master0:name=mymaster,status=ok,address=127.0.0.1:%d,slaves=1,sentinels=2" % s.master_port()), lines
    assert sections[0] == sections[1] == ["# Server", "# Clients", "# Stats", "# CPU", "# Sentinel"], sections
    for section, ours_only in (("sentinel", {"sentinel_total_tilt"}), ("cpu", set())):
        a, b = ([line.split(":")[0] for line in s.ok("INFO", section).split("\r\n")] for s in (stock, ours))
        assert [key for key in b if key not in ours_only] == a, (a, b)
    server = ours.ok("INFO", "server")
    for field in ("redis_version:7.0.15", "redis_mode:sentinel", "tcp_port:%d" % ours.port, "process_id:%d" % ours.pid,
                  "run_id:%s" % ours.my_id(), "config_file:%s" % ours.conf_path):
        assert field + "\r\n" in server, field
    assert re.search(r"\r\nsentineld_version:\d+\.\d+\.\d+\r\n", server)
    for spelled in (("all",), ("everything",), ("DEFAULT",), ("server", "clients", "stats", "cpu", "sentinel")):
        assert [x for x in ours.ok("INFO", *spelled).split("\r\n") if x.startswith("#")] == sections[0], spelled
