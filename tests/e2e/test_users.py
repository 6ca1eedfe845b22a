"""Users: ACL SETUSER and DELUSER as stock has them, rights on commands and channels, what survives, who is cut off."""
import os
import re
import signal

from cases import case
from lab import Group, Resp, RespError, wait_until

HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# Sent one after the other to a redis-sentinel and a sentineld; after each one ACL LIST is compared too.
SAME = """
ACL SETUSER bob
ACL GETUSER bob
ACL SETUSER bob on >pw
ACL SETUSER bob +ping
ACL SETUSER bob +@all
ACL SETUSER bob -ping
ACL GETUSER bob
ACL SETUSER bob +ping
ACL SETUSER bob -@all +@admin
ACL SETUSER bob -sentinel|set
ACL GETUSER bob
ACL SETUSER bob -@admin
ACL SETUSER bob +nosuch
ACL SETUSER bob +sentinel|nosuch
ACL SETUSER bob +ping|x|y
ACL SETUSER bob +command|count|x
ACL SETUSER bob +@nosuch
ACL SETUSER bob +all
ACL SETUSER bob +
ACL SETUSER bob +@
ACL SETUSER bob foo
ACL SETUSER bob ""
ACL SETUSER bob on off nopass bar
ACL SETUSER bob #abc
ACL SETUSER bob !abc
ACL SETUSER bob <nosuch
ACL SETUSER bob !{hash}
ACL SETUSER bob #{upper}
ACL SETUSER bob #{hash}
ACL SETUSER bob #{hash} >pw >other
ACL SETUSER bob <other
ACL SETUSER bob !{hash}
ACL SETUSER bob nopass
ACL SETUSER bob >again
ACL SETUSER bob resetpass
ACL SETUSER bob &foo*
ACL SETUSER bob allchannels &foo
ACL SETUSER bob allchannels
ACL SETUSER bob resetchannels &a &b &a
ACL SETUSER bob "&a b"
ACL SETUSER bob ~*
ACL SETUSER bob ~foo
ACL SETUSER bob resetkeys ~foo %R~bar %W~baz %RW~qux ~foo
ACL SETUSER bob "~a b"
ACL SETUSER bob %X~foo
ACL SETUSER bob %~foo
ACL GETUSER bob
3:ACL GETUSER bob
ACL SETUSER bob clearselectors
ACL SETUSER bob reset
ACL GETUSER bob
ACL SETUSER bob skip-sanitize-payload
ACL SETUSER bob sanitize-payload
ACL SETUSER bob ON ALLKEYS ALLCHANNELS ALLCOMMANDS
ACL SETUSER bob NOCOMMANDS +PING
ACL SETUSER "a b"
ACL SETUSER ""
ACL SETUSER Bob
ACL USERS
ACL DELUSER "" Bob nosuch Bob
ACL USERS
ACL DELUSER bob default
ACL SETUSER alice +@pubsub -subscribe
ACL SETUSER alice -@pubsub
ACL SETUSER alice +@all -@admin +sentinel|masters -@dangerous
ACL SETUSER alice +@all -client|kill
ACL SETUSER alice reset on >pw +@pubsub +ping &foo*
ACL DRYRUN alice ping
ACL DRYRUN alice subscribe x
ACL DRYRUN alice subscribe foo1
ACL DRYRUN alice psubscribe foo1
ACL DRYRUN alice psubscribe foo*
ACL DRYRUN alice publish foo1 x
ACL DRYRUN alice publish goo1 x
ACL DRYRUN alice sentinel masters
ACL DRYRUN alice command
AUTH alice wrong
AUTH alice pw ;; ACL WHOAMI ;; PING ;; INFO ;; SENTINEL MASTERS ;; SENTINEL ;; SUBSCRIBE bar
AUTH alice pw ;; SUBSCRIBE foo1 bar ;; PSUBSCRIBE foo ;; PUBLISH bar x ;; PUBLISH __sentinel__:hello x
AUTH alice pw ;; PUBLISH foo x ;; HELLO 3 AUTH alice no ;; HELLO 3 AUTH default "" ;; ACL WHOAMI
AUTH alice pw ;; PSUBSCRIBE foo* ;; PUNSUBSCRIBE
ACL SETUSER alice off
AUTH alice pw
ACL SETUSER alice on nopass
AUTH alice anything ;; ACL WHOAMI
ACL DELUSER alice
AUTH alice anything
CLIENT KILL USER nosuch
ACL SETUSER default >x
AUTH default y ;; PING
AUTH x ;; ACL WHOAMI ;; ACL SETUSER default nopass
AUTH x
"""


def words(line):
    return [a if a is not None else b for a, b in (
        (m.group(1), m.group(2)) for m in re.finditer(r'"([^"]*)"|(\S+)', line))]


def session(supervisor, line, login=()):
    """The bytes of all replies of one connection."""
    out = []
    with Resp(supervisor.port) as client:
        if login:
            client.ok("AUTH", *login)
        if line.startswith("3:"):
            client.call("HELLO", "3")
            line = line[2:]
        for request in line.split(" ;; "):
            raw = client.call_raw(*words(request))
            out.append(re.sub(rb"(\$2\r\nid\r\n):\d+\r\n", rb"\1:<id>\r\n", raw))
    return out


def lone(lab, kind="ours", name=None, **kwargs):
    master = lab.redis("master-" + (name or kind)).wait_ready()
    group = Group(port=master.port, quorum=1, down_after_ms=30000)
    return lab.supervisor(name or kind, [group], kind=kind, timers={}, **kwargs)


@case(kinds=("ours",), limit_s=90)
def test_same_as_stock(lab):
    """Every answer and every rule text of the table, byte for byte."""
    pair = [lone(lab, "stock"), lone(lab, "ours")]
    login = ()
    for line in SAME.format(hash=HASH, upper=HASH.upper()).strip().splitlines():
        a, b = (session(s, line) for s in pair)
        assert a == b, "%s\n  stock: %r\n  ours:  %r" % (line, a, b)
        if line == "ACL SETUSER default >x":
            login = ("x",)
        if line.endswith("default nopass"):
            login = ()
        a, b = (session(s, "ACL LIST", login) for s in pair)
        assert a == b, "ACL LIST after %s\n  stock: %r\n  ours:  %r" % (line, a, b)


@case(limit_s=60)
def test_rights_are_those_of_the_moment(lab):
    """A change holds for connections that are there already: commands at once, subscriptions by closing them; a user
    that is removed is disconnected; one whose password changes is not."""
    s = lone(lab, lab.kind)
    s.ok("ACL", "SETUSER", "bob", "on", ">pw", "allchannels", "+@all", "-@dangerous")
    with Resp(s.port) as bob, Resp(s.port) as listener:
        for client in (bob, listener):
            client.ok("AUTH", "bob", "pw")
        assert bob.call("PING") == "PONG" and str(bob.call("INFO")).startswith("NOPERM")
        s.ok("ACL", "SETUSER", "bob", "+info", "-ping")
        assert not isinstance(bob.call("INFO"), RespError) and str(bob.call("PING")).startswith("NOPERM")
        s.ok("ACL", "SETUSER", "bob", "+ping", ">new", "<pw")
        assert bob.call("PING") == "PONG"
        with Resp(s.port) as late:
            assert str(late.call("AUTH", "bob", "pw")).startswith("WRONGPASS")
            late.ok("AUTH", "bob", "new")
        listener.call("SUBSCRIBE", "+sdown")
        s.ok("ACL", "SETUSER", "bob", "resetchannels", "&+s*")
        assert isinstance(listener.call("PING"), list), "a subscription that is still allowed was closed"
        s.ok("ACL", "SETUSER", "bob", "resetchannels", "&+o*")
        assert listener.read_until_closed() == b""
        assert bob.call("PING") == "PONG"
        assert s.ok("ACL", "DELUSER", "bob") == 1
        assert bob.read_until_closed() == b""


@case(limit_s=60)
def test_default_user_with_and_without_a_password(lab):
    """A connection that was asked for a password goes on without one when the default user needs none any more, and one
    that was in stays in when he gets one."""
    s = lone(lab, lab.kind)
    with Resp(s.port) as early:
        assert early.call("PING") == "PONG"
        early.ok("ACL", "SETUSER", "default", ">x")
        with Resp(s.port) as late:
            assert str(late.call("PING")).startswith("NOAUTH")
            assert early.call("PING") == "PONG"
            early.ok("ACL", "SETUSER", "default", "nopass")
            assert late.call("PING") == "PONG" and late.call("ACL", "WHOAMI") == "default"


@case(limit_s=60)
def test_kill_by_user(lab):
    """CLIENT KILL USER, with and without SKIPME; ACL LOG names command, channel and login."""
    s = lone(lab, lab.kind)
    s.ok("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "-role", "&a")
    with Resp(s.port) as one, Resp(s.port) as two, Resp(s.port) as other:
        for client in (one, two):
            client.ok("AUTH", "bob", "pw")
        one.call("ROLE")
        one.call("SUBSCRIBE", "b")
        other.call("AUTH", "bob", "no")
        log = [dict(zip(e[::2], e[1::2])) for e in other.ok("ACL", "LOG")]
        assert [(e["reason"], e["object"], e["username"]) for e in log] == \
            [("auth", "AUTH", "bob"), ("channel", "b", "bob"), ("command", "role", "bob")], log
        assert one.call("CLIENT", "KILL", "USER", "bob") == 1
        assert two.read_until_closed() == b""
        assert one.call("PING") == "PONG"
        assert one.call("CLIENT", "KILL", "USER", "bob", "SKIPME", "no") == 1
        assert one.read_until_closed() == b""
        assert other.call("PING") == "PONG"


@case(kinds=("ours",), limit_s=60)
def test_requests_of_one_connection_see_the_change(lab):
    """Sent in one piece: what stands behind ACL SETUSER finds it made; and many changes in one piece all hold."""
    s = lone(lab)
    with Resp(s.port) as client:
        client.send_raw(b"ACL SETUSER bob on >pw +@all\r\nAUTH bob pw\r\nACL WHOAMI\r\nACL DELUSER bob\r\n")
        assert client.read_until_closed() == b"+OK\r\n+OK\r\n$3\r\nbob\r\n:1\r\n"
    with Resp(s.port) as client:
        client.send_raw(b"".join(b"ACL SETUSER u%d on\r\n" % i for i in range(300)) + b"PING\r\n")
        for _ in range(300):
            assert client.read() == "OK"
        assert client.read() == "PONG"
    assert len(s.ok("ACL", "USERS")) == 301


@case(kinds=("ours",), limit_s=90)
def test_run_time_users_survive(lab):
    """kill -9 right after the +OK: users that were made, changed and removed are as they were; no password is in the
    state, only its hash."""
    users = 'users = ( { name = "default"; password = ""; access = "all"; },' \
            ' { name = "viewer"; password = "p2"; access = "read"; },' \
            ' { name = "Guest"; password = "p3"; access = "all"; } );'
    s = lone(lab, extra=[users])
    s.ok("ACL", "SETUSER", "Ann_\u00e9", "on", ">very-secret", "+@all", "-shutdown", "&+*", "~*")
    s.ok("ACL", "SETUSER", "viewer", "+sentinel|failover")
    assert s.ok("ACL", "DELUSER", "Guest") == 1
    before = s.ok("ACL", "LIST")
    assert len(before) == 3, before
    s.kill9()
    s.boot()
    assert s.ok("ACL", "LIST") == before
    with Resp(s.port) as client:
        client.ok("AUTH", "Ann_\u00e9", "very-secret")
        client.ok("AUTH", "viewer", "p2")
        assert str(client.call("AUTH", "Guest", "p3")).startswith("WRONGPASS")
    # The file speaks again of whom it changes: viewer's password, and Guest's; Ann is not its business.
    s.kill9()
    for name in os.listdir(s.state_dir):  # while nobody makes and removes files there
        with open(os.path.join(s.state_dir, name), "rb") as f:
            data = f.read()
        assert b"very-secret" not in data and b"p2\x00" not in data, name
    with open(s.conf_path, encoding="utf-8") as f:
        text = f.read()
    s.write_config(text.replace('"p2"', '"p4"').replace('"p3"', '"p5"'))
    s.boot()
    assert len(s.ok("ACL", "USERS")) == 4, s.ok("ACL", "USERS")
    with Resp(s.port) as client:
        client.ok("AUTH", "Ann_\u00e9", "very-secret")
        client.ok("AUTH", "Guest", "p5")
        client.ok("AUTH", "viewer", "p4")
        assert str(client.call("SENTINEL", "FAILOVER", "mymaster")).startswith("NOPERM")
    assert "viewer was changed in the configuration file" in s.log(), s.log()


@case(kinds=("ours",), limit_s=60)
def test_read_users_change_nothing(lab):
    """Every command of the table that changes something, votes, or shows secrets is refused to access "read"."""
    users = 'users = ( { name = "default"; password = ""; access = "read"; },' \
            ' { name = "admin"; password = "a"; access = "all"; } );'
    s = lone(lab, extra=[users], boot=False)
    s.start()
    s.wait_ready()
    for line in ("SENTINEL MONITOR x 127.0.0.1 1 1", "SENTINEL REMOVE mymaster", "SENTINEL SET mymaster quorum 2",
                 "SENTINEL FAILOVER mymaster", "SENTINEL RESET *", "SENTINEL CONFIG SET loglevel debug",
                 "SENTINEL CONFIG GET *", "SENTINEL DEBUG info-period 1", "SENTINEL FLUSHCONFIG",
                 "SENTINEL SIMULATE-FAILURE HELP", "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 1 *",
                 "SENTINEL BALLOT %s 1" % ("0" * 40), "PUBLISH __sentinel__:hello x", "SHUTDOWN", "CLIENT KILL ID 1",
                 "CLIENT PAUSE 1", "ACL SETUSER me on", "ACL DELUSER admin", "ACL LIST", "ACL GETUSER admin",
                 "ACL LOG"):
        assert session(s, line)[0].startswith(b"-NOPERM "), line
    for line in ("PING", "INFO", "ROLE", "SENTINEL MASTERS", "SENTINEL MASTER mymaster", "SENTINEL REPLICAS mymaster",
                 "SENTINEL SENTINELS mymaster", "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", "SENTINEL MYID",
                 "SENTINEL CKQUORUM mymaster", "SENTINEL INFO-CACHE mymaster", "SUBSCRIBE +sdown", "PSUBSCRIBE *",
                 "COMMAND COUNT", "HELLO 3", "CLIENT SETNAME x", "ACL WHOAMI"):
        assert not session(s, line)[0].startswith(b"-NOPERM"), line
    assert session(s, "SENTINEL CONFIG GET *", ("admin", "a"))[0].startswith(b"*")


@case(kinds=("ours",), limit_s=60)
def test_a_full_disk_refuses_users(lab):
    """What cannot be stored is not made: the operator gets the reason, and the users are as before."""
    s = lone(lab)
    before = s.ok("ACL", "LIST")
    db = os.path.join(s.state_dir, "state.db")
    os.rename(db, db + ".away")
    for line in (("ACL", "SETUSER", "bob", "on", "nopass", "+@all"), ("ACL", "SETUSER", "default", "off")):
        reply = s.call(*line)
        assert str(reply).startswith("ERR Failed to save config file: "), reply
    assert s.ok("ACL", "LIST") == before
    os.rename(db + ".away", db)
    wait_until(lambda: s.call("ACL", "SETUSER", "bob", "on", "nopass", "+@all") == "OK", 15, "it is stored again", 0.2)
    assert s.ok("ACL", "USERS") == ["bob", "default"]


@case(kinds=("ours",), limit_s=60)
def test_reload_of_users(lab):
    """SIGHUP: who is gone from the file or has another password there is cut off, others stay; run-time users too."""
    row = '{ name = "%s"; password = "%s"; access = "%s"; }'
    users = [row % ("default", "", "all"), row % ("gone", "1", "all"), row % ("moved", "2", "all"),
             row % ("less", "3", "all")]
    s = lone(lab, extra=["users = (%s);" % ", ".join(users)])
    s.ok("ACL", "SETUSER", "made", "on", ">4", "+@all")
    with Resp(s.port) as gone, Resp(s.port) as moved, Resp(s.port) as less, Resp(s.port) as made:
        for client, name, password in ((gone, "gone", "1"), (moved, "moved", "2"), (less, "less", "3"),
                                       (made, "made", "4")):
            client.ok("AUTH", name, password)
        with open(s.conf_path, encoding="utf-8") as f:
            text = f.read()
        for old, new in ((", " + users[1], ""), (users[2], row % ("moved", "9", "all")),
                         (users[3], row % ("less", "3", "read"))):
            assert old in text
            text = text.replace(old, new)
        s.write_config(text)
        s.signal(signal.SIGHUP)
        assert gone.read_until_closed() == b"" and moved.read_until_closed() == b""
        assert less.call("PING") == "PONG" and str(less.call("SENTINEL", "FLUSHCONFIG")).startswith("NOPERM")
        assert made.call("ACL", "USERS") == ["default", "less", "made", "moved"]
        made.ok("AUTH", "moved", "9")
