"""Passwords: of the supervisor, of the nodes, between supervisors."""
import subprocess

import redis.sentinel

from cases import case
from lab import Group, Resp, RespError, wait_until

PASSWORD = "correct horse battery"


def guarded(lab, kind, password=PASSWORD):
    """Arguments that make a supervisor ask for a password and give it to its peers."""
    if kind == "stock":
        return {"extra": ['requirepass "%s"' % password, 'sentinel sentinel-pass "%s"' % password]}
    return {"password": password, "extra": ['peer_auth = { user = ""; password = "%s"; };' % password]}


@case()
def test_password_is_asked_for(lab):
    """NOAUTH before, WRONGPASS with a wrong one, everything with the right one, by AUTH and by HELLO."""
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)], boot=False, **guarded(lab, lab.kind))
    s.password = PASSWORD
    s.boot()
    wrongpass = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    with Resp(s.port) as client:
        for request in (("PING",), ("SENTINEL", "MASTERS"), ("SUBSCRIBE", "x"), ("INFO",), ("PUBLISH", "a", "b"),
                        ("NOSUCH",), ("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", "1", "0", "*")):
            got = client.call_raw(*request)
            wanted = (b"-ERR unknown command 'NOSUCH'",) if request == ("NOSUCH",) else ()
            assert got.startswith((b"-NOAUTH Authentication required.\r\n", *wanted)), (request, got)
        hello = client.call_raw("HELLO", "3")
        assert hello.startswith(b"-NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                                b"HELLO "), hello
        assert client.call_raw("AUTH", "wrong") == wrongpass
        assert client.call_raw("AUTH", "default", "wrong") == wrongpass
        assert client.call_raw("AUTH", "nobody", PASSWORD) == wrongpass
        assert client.call_raw("HELLO", "3", "AUTH", "default", "wrong") == wrongpass
        assert str(client.call("PING")).startswith("NOAUTH")
        assert client.call_raw("AUTH", PASSWORD) == b"+OK\r\n"
        assert client.call("PING") == "PONG" and len(client.call("SENTINEL", "MASTERS")) == 1
        assert client.call_raw("AUTH", "wrong") == wrongpass
        assert client.call("PING") == "PONG", "a failed AUTH must not take away what was granted"
    with Resp(s.port) as client:
        assert client.call("HELLO", "3", "AUTH", "default", PASSWORD, "SETNAME", "me")["proto"] == 3
        assert client.call("CLIENT", "GETNAME") == "me"
    assert PASSWORD not in s.log(), "the log shows the password"


@case()
def test_failover_with_passwords_everywhere(lab):
    """Nodes with requirepass and masterauth, supervisors with a password between each other; redis-py and redis-cli."""
    secret = {"requirepass": "nodepass", "masterauth": "nodepass"}
    arguments = guarded(lab, lab.kind)
    if lab.kind == "stock":  # the lab learns the password of a stock one only here
        arguments["boot"] = False
    fleet = lab.fleet(master_options=secret, replica_options=[secret, secret], group={"password": "nodepass"},
                      supervisor_args=arguments, wait=False)
    for s in fleet.supervisors:
        s.password = PASSWORD
        if not s.alive():
            s.boot()
    fleet.wait_well()
    client = redis.sentinel.Sentinel([s.addr for s in fleet.supervisors], socket_timeout=5,
                                     sentinel_kwargs={"password": PASSWORD})
    assert client.discover_master("mymaster") == fleet.master.addr
    fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port)
    fleet.wait_all_follow(new)
    assert client.discover_master("mymaster") == new.addr
    assert client.master_for("mymaster", password="nodepass").set("after", "1")
    command = ["redis-cli", "-p", str(fleet.supervisors[0].port), "--no-auth-warning", "-a", PASSWORD,
               "sentinel", "get-master-addr-by-name", "mymaster"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout.split() == ["127.0.0.1", str(new.port)] and done.stderr == "", done
    fleet.master.start()
    fleet.master.wait_ready().wait_follows(new.port)


@case(kinds=("ours",))
def test_wrong_password_of_a_node_is_shown(lab):
    """A link that is answered NOAUTH or WRONGPASS counts as disconnected; SET auth-pass heals it."""
    master = lab.redis("master", requirepass="nodepass").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1, password="wrong")])
    wait_until(lambda: "disconnected" in s.flags(), 10, "the refused link counts as disconnected")
    assert s.ok("SENTINEL", "SET", "mymaster", "auth-pass", "nodepass") == "OK"
    wait_until(lambda: s.flags() == ["master"], 15, "the link is well with the right password")
    assert "nodepass" not in s.log(), "the log shows the password"
    s.kill9()
    s.boot()
    wait_until(lambda: s.flags() == ["master"], 15, "the password was kept")


@case(kinds=("ours",))
def test_read_only_user(lab):
    """access = "read": asks, but changes nothing."""
    master = lab.redis("master").wait_ready()
    users = 'users = ( { name = "default"; password = "p1"; access = "all"; },' \
            ' { name = "viewer"; password = "p2"; access = "read"; } );'
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)], extra=[users], boot=False)
    s.password = "p1"
    s.boot()
    with Resp(s.port) as client:
        assert client.call("AUTH", "viewer", "p2") == "OK"
        assert client.call("PING") == "PONG" and len(client.call("SENTINEL", "MASTERS")) == 1
        assert client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster") == ["127.0.0.1", str(master.port)]
        for request in (("SET", "mymaster", "quorum", "2"), ("REMOVE", "mymaster"), ("FAILOVER", "mymaster"),
                        ("MONITOR", "x", "127.0.0.1", "1", "1"), ("RESET", "*"), ("DEBUG", "info-period", "1")):
            reply = client.call("SENTINEL", *request)
            assert isinstance(reply, RespError) and str(reply).startswith("NOPERM"), (request, reply)
        assert str(client.call("SHUTDOWN")).startswith("NOPERM")
    assert s.master()["quorum"] == "1"
