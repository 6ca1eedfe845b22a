"""Every command of the Sentinel API and the shape of its reply, in RESP2 and RESP3."""
import re

from cases import case
from lab import Closed, EventLog, Group, RespError, encode, info_fields, pairs, wait_until

COMMON = ["name", "ip", "port", "runid", "flags", "link-pending-commands", "link-refcount", "last-ping-sent",
          "last-ok-ping-reply", "last-ping-reply"]
ROLE_FIELDS = ["info-refresh", "role-reported", "role-reported-time"]
MASTER_TAIL = ["config-epoch", "num-slaves", "num-other-sentinels", "quorum", "failover-timeout", "parallel-syncs"]
REPLICA_TAIL = ["master-link-down-time", "master-link-status", "master-host", "master-port", "slave-priority",
                "slave-repl-offset", "replica-announced"]
SENTINEL_TAIL = ["last-hello-message", "voted-leader", "voted-leader-epoch"]
DOWN_AFTER = ["down-after-milliseconds"]


def stock_fields(fields, wanted):
    """The stock fields come first and in the stock order; ours may add fields of its own after them."""
    return list(fields)[:len(wanted)]


def assert_fields(lab, got, wanted):
    assert stock_fields(got, wanted) == wanted, "fields %s, wanted %s" % (list(got), wanted)
    if lab.kind == "stock":
        assert list(got) == wanted, "fields after the known ones: %s" % list(got)[len(wanted):]


@case()
def test_instance_maps(lab):
    """Fields, their order and their values for a healthy master, its replica and another supervisor."""
    fleet = lab.fleet(replicas=1, supervisors=2, quorum=2, down_after_ms=5000)
    s, peer = fleet.supervisors
    fleet.master.ok("SET", "a", "1")
    wait_until(lambda: int(s.replicas()[0]["slave-repl-offset"]) > 0, 10, "the replica's offset is seen")
    m, r, p = s.master(), s.replicas()[0], s.sentinels()[0]
    assert_fields(lab, m, COMMON + DOWN_AFTER + ROLE_FIELDS + MASTER_TAIL)
    assert_fields(lab, r, COMMON + DOWN_AFTER + ROLE_FIELDS + REPLICA_TAIL)
    assert_fields(lab, p, COMMON + DOWN_AFTER + SENTINEL_TAIL)
    replica = fleet.replicas[0]
    for fields, wanted in (
            (m, {"name": "mymaster", "ip": "127.0.0.1", "port": str(fleet.master.port), "flags": "master",
                 "runid": fleet.master.run_id(), "down-after-milliseconds": "5000", "role-reported": "master",
                 "config-epoch": "0", "num-slaves": "1", "num-other-sentinels": "1", "quorum": "2",
                 "failover-timeout": "5000", "parallel-syncs": "1"}),
            (r, {"name": "127.0.0.1:%d" % replica.port, "ip": "127.0.0.1", "port": str(replica.port),
                 "runid": replica.run_id(), "flags": "slave", "role-reported": "slave", "master-link-status": "ok",
                 "master-link-down-time": "0", "master-host": "127.0.0.1", "master-port": str(fleet.master.port),
                 "slave-priority": "100", "replica-announced": "1"}),
            (p, {"name": peer.my_id(), "ip": "127.0.0.1", "port": str(peer.port), "runid": peer.my_id(),
                 "flags": "sentinel", "voted-leader": "?", "voted-leader-epoch": "0"})):
        for key, value in wanted.items():
            assert fields[key] == value, "%s is %r, wanted %r in %s" % (key, fields[key], value, fields)
        for key in ("last-ping-sent", "last-ok-ping-reply", "last-ping-reply", "link-pending-commands",
                    "link-refcount"):
            assert fields[key].isdigit(), "%s is %r" % (key, fields[key])
    assert int(m["info-refresh"]) < 60000 and int(r["info-refresh"]) < 60000
    # MASTERS is a list of the same maps; REPLICAS and SLAVES are the same.
    assert [pairs(x)["name"] for x in s.ok("SENTINEL", "MASTERS")] == ["mymaster"]
    assert pairs(s.ok("SENTINEL", "SLAVES", "mymaster")[0])["name"] == r["name"]


@case()
def test_instance_map_of_a_master_that_is_down(lab):
    """s-down-time and o-down-time and their flags come and go; quorum 2 of 3 with priority 0, so it stays down."""
    fleet = lab.fleet(replicas=1, replica_options=[{"replica_priority": "0"}], failover_timeout_ms=60000)
    s = fleet.supervisors[0]
    fleet.master.pause()
    # What its peers hold of it counts for half a second only, so it may be O_DOWN no more at the next look.
    m = wait_until(lambda: next((m for m in [s.master()] if "o_down" in m["flags"]), None), 20, "the master is O_DOWN")
    assert m["flags"].split(",")[:3] == ["s_down", "o_down", "master"], m["flags"]
    keys = [k for k in m if k not in ("failover-state",)]
    wanted = COMMON + ["s-down-time", "o-down-time"] + DOWN_AFTER + ROLE_FIELDS + MASTER_TAIL
    assert stock_fields(keys, wanted) == wanted, keys
    if "failover-state" in m:
        assert list(m).index("failover-state") == list(m).index("last-ping-sent") - 1, list(m)
    assert int(m["s-down-time"]) >= int(m["o-down-time"]) >= 0
    assert int(m["last-ok-ping-reply"]) >= fleet.down_after_ms
    down = s.call("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", fleet.master.port, 0, "*")
    assert down[0] == 1 and down[1] == "*" and down[2] == 0, down
    fleet.master.resume()
    m = wait_until(lambda: next((m for m in [s.master()] if "down" not in m["flags"]), None), 20, "it is up again")
    assert "s-down-time" not in m and "o-down-time" not in m


@case()
def test_resp3_maps_and_nulls(lab):
    """After HELLO 3 maps are maps and nulls are nulls; the values are those of RESP2."""
    fleet = lab.fleet(replicas=1, supervisors=2, down_after_ms=5000)
    s = fleet.supervisors[0]
    with s.connect() as client:
        assert client.call_raw("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "nobody") == b"*-1\r\n"
        hello = client.call("HELLO", "3")
        assert client.raw.startswith(b"%"), client.raw
        assert list(hello) == ["server", "version", "proto", "id", "mode", "modules"], list(hello)
        assert (hello["server"], hello["proto"], hello["mode"], hello["modules"]) == ("redis", 3, "sentinel", [])
        assert isinstance(hello["id"], int)
        assert client.call_raw("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "nobody") == b"_\r\n"
        m = client.call("SENTINEL", "MASTER", "mymaster")
        assert client.raw.startswith(b"%") and isinstance(m, dict)
        assert list(m) == list(s.master()), "the fields differ between RESP2 and RESP3"
        for what, count in (("REPLICAS", 1), ("SLAVES", 1), ("SENTINELS", 1)):
            found = client.call("SENTINEL", what, "mymaster")
            assert client.raw.startswith(b"*%d\r\n%%" % count), client.raw[:20]
            assert len(found) == count and isinstance(found[0], dict)
        client.call("SENTINEL", "MASTERS")
        assert client.raw.startswith(b"*1\r\n%"), client.raw[:20]
        for args in (("CONFIG", "GET", "*"), ("DEBUG",)):
            reply = client.call("SENTINEL", *args)
            assert isinstance(reply, dict) and client.raw.startswith(b"%"), "%s: %r" % (args, client.raw[:30])
        assert client.call_raw("CLIENT", "GETNAME") == b"_\r\n"
        info = client.call("INFO", "sentinel")
        assert client.raw.startswith(b"$") and info.startswith("# Sentinel"), client.raw[:40]
        # Back to RESP2.
        back = client.call("HELLO", "2")
        assert isinstance(back, list) and pairs(back)["proto"] == 2
        assert isinstance(client.call("SENTINEL", "MASTER", "mymaster"), list)


@case()
def test_resp3_push_messages(lab):
    """With RESP3 a subscriber gets push messages and may send any command besides."""
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    with s.connect() as client:
        client.call("HELLO", "3")
        client.send_raw(encode("SUBSCRIBE", "+set", "-monitor"))
        assert client.read() == ["subscribe", "+set", 1] and client.raw.startswith(b">3\r\n"), client.raw
        assert client.read() == ["subscribe", "-monitor", 2]
        assert client.call("PING") == "PONG"
        assert s.ok("SENTINEL", "SET", "mymaster", "quorum", "2") == "OK"
        message = client.read()
        assert client.raw.startswith(b">3\r\n")
        assert message == ["message", "+set", "master mymaster 127.0.0.1 %d quorum 2" % fleet.master.port], message


@case()
def test_subscriptions_in_resp2(lab):
    """Counts of SUBSCRIBE and PSUBSCRIBE, what is allowed while subscribed, and leaving it."""
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1, down_after_ms=5000)  # no +sdown comes in between
    s = fleet.supervisors[0]
    with s.connect() as client:
        client.send_raw(encode("SUBSCRIBE", "+set", "+sdown") + encode("PSUBSCRIBE", "-*"))
        assert [client.read() for _ in range(3)] == [
            ["subscribe", "+set", 1], ["subscribe", "+sdown", 2], ["psubscribe", "-*", 3]]
        assert client.call("PING") == ["pong", ""] and client.call("PING", "x") == ["pong", "x"]
        refused = client.call("SENTINEL", "MASTERS")
        assert str(refused) == ("ERR Can't execute 'sentinel|masters': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / "
                                "QUIT / RESET are allowed in this context"), refused
        s.ok("SENTINEL", "SET", "mymaster", "parallel-syncs", "3")
        assert client.read() == ["message", "+set", "master mymaster 127.0.0.1 %d parallel-syncs 3" % fleet.master.port]
        s.ok("SENTINEL", "REMOVE", "mymaster")
        assert client.read() == ["pmessage", "-*", "-monitor", "master mymaster 127.0.0.1 %d" % fleet.master.port]
        assert client.call("UNSUBSCRIBE", "+set") == ["unsubscribe", "+set", 2]
        assert client.call("UNSUBSCRIBE") == ["unsubscribe", "+sdown", 1]
        assert client.call("PUNSUBSCRIBE") == ["punsubscribe", "-*", 0]
        assert client.call("PING") == "PONG"


@case()
def test_ckquorum(lab):
    """OK, then without quorum, then also without majority."""
    fleet = lab.fleet(replicas=1, supervisors=3, quorum=3, down_after_ms=500)
    s = fleet.supervisors[0]
    wait_until(lambda: s.call("SENTINEL", "CKQUORUM", "mymaster") ==
               "OK 3 usable Sentinels. Quorum and failover authorization can be reached", 20, "all three are usable")
    no_quorum = " Not enough available Sentinels to reach the specified quorum for this master"
    no_majority = " Not enough available Sentinels to reach the majority and authorize a failover"
    for gone, wanted in ((2, "NOQUORUM 2 usable Sentinels." + no_quorum),
                         (1, "NOQUORUM 1 usable Sentinels." + no_quorum + "." + no_majority)):
        fleet.supervisors[gone].kill9()
        wait_until(lambda w=wanted: str(s.call("SENTINEL", "CKQUORUM", "mymaster")) == w, 10, "CKQUORUM: " + wanted)
    s.ok("SENTINEL", "SET", "mymaster", "quorum", "1")
    assert str(s.call("SENTINEL", "CKQUORUM", "mymaster")) == "NOQUORUM 1 usable Sentinels." + no_majority


@case()
def test_myid_survives_a_restart(lab):
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    before = s.my_id()
    assert re.fullmatch("[0-9a-f]{40}", before), before
    s.kill9()
    s.boot()
    assert s.my_id() == before


@case()
def test_replica_announced_no_is_hidden(lab):
    """REPLICAS leaves it out, the number of replicas counts it."""
    fleet = lab.fleet(replicas=2, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    fleet.replicas[0].ok("CONFIG", "SET", "replica-announced", "no")
    wait_until(lambda: len(s.replicas()) == 1, 10, "the replica is hidden")
    assert int(s.replicas()[0]["port"]) == fleet.replicas[1].port
    assert s.master()["num-slaves"] == "2"
    fleet.replicas[0].ok("CONFIG", "SET", "replica-announced", "yes")
    wait_until(lambda: len(s.replicas()) == 2, 10, "the replica is shown again")


@case()
def test_info_cache(lab):
    """[name, [[age, info] of the master, then of each replica]] for each name that is known."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    reply = s.ok("SENTINEL", "INFO-CACHE", "mymaster", "nobody")
    assert len(reply) == 2 and reply[0] == "mymaster", reply
    (master_age, master_info), (replica_age, replica_info) = reply[1]
    assert info_fields(master_info)["run_id"] == fleet.master.run_id()
    assert info_fields(replica_info)["role"] == "slave"
    assert 0 <= master_age < 60000 and 0 <= replica_age < 60000
    s.ok("SENTINEL", "MONITOR", "absent", "127.0.0.1", lab.ports.take(), "1")
    assert s.ok("SENTINEL", "INFO-CACHE", "absent") == ["absent", [[0, None]]]


@case()
def test_debug_shows_and_sets_timers(lab):
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1, timers={})
    s = fleet.supervisors[0]
    defaults = {"INFO-PERIOD": "10000", "PING-PERIOD": "1000", "ASK-PERIOD": "1000", "PUBLISH-PERIOD": "2000",
                "DEFAULT-DOWN-AFTER": "30000", "DEFAULT-FAILOVER-TIMEOUT": "180000", "TILT-TRIGGER": "2000",
                "TILT-PERIOD": "30000", "SLAVE-RECONF-TIMEOUT": "10000", "MIN-LINK-RECONNECT-PERIOD": "15000",
                "ELECTION-TIMEOUT": "10000", "SCRIPT-MAX-RUNTIME": "60000", "SCRIPT-RETRY-DELAY": "30000"}
    shown = pairs(s.ok("SENTINEL", "DEBUG"))
    assert list(shown) == list(defaults), list(shown)
    if lab.kind == "stock":
        assert shown == defaults
    for number, key in enumerate(defaults):
        assert s.ok("SENTINEL", "DEBUG", key.lower(), str(4000 + number)) == "OK"
    shown = pairs(s.ok("SENTINEL", "DEBUG"))
    assert [shown[key] for key in defaults] == [str(4000 + n) for n in range(len(defaults))], shown
    # A new master gets the new defaults.
    s.ok("SENTINEL", "MONITOR", "later", "127.0.0.1", lab.ports.take(), "1")
    later = s.master("later")
    assert later["down-after-milliseconds"] == "4004" and later["failover-timeout"] == "4005", later


@case()
def test_config_get_and_set(lab):
    fleet = lab.fleet(replicas=1, supervisors=2)
    s, peer = fleet.supervisors
    order = ["resolve-hostnames", "announce-hostnames", "announce-ip", "announce-port", "sentinel-user",
             "sentinel-pass"]
    if lab.kind == "ours":
        order.append("loglevel")
    got = pairs(s.ok("SENTINEL", "CONFIG", "GET", "*"))
    assert list(got) == order, list(got)
    assert (got["resolve-hostnames"], got["announce-ip"], got["announce-port"]) == ("no", "", "0")
    for key, value in (("resolve-hostnames", "yes"), ("announce-hostnames", "yes"), ("sentinel-user", "u"),
                       ("sentinel-pass", "p")):
        assert s.ok("SENTINEL", "CONFIG", "SET", key, value) == "OK"
        assert pairs(s.ok("SENTINEL", "CONFIG", "GET", key)) == {key: value}
        assert s.ok("SENTINEL", "CONFIG", "SET", key, "no" if value == "yes" else "") == "OK"
    assert list(pairs(s.ok("SENTINEL", "CONFIG", "GET", "ANNOUNCE-?*"))) == [
        "announce-hostnames", "announce-ip", "announce-port"]
    # What is announced is what everybody is told by the next hello.
    hellos = EventLog(fleet.master.port, pattern="__sentinel__:hello")
    lab.on_close(hellos.close)
    who = "%d,%s,0,mymaster," % (s.port, s.my_id())
    hellos.wait("__sentinel__:hello", "127.0.0.1," + who)
    assert s.ok("SENTINEL", "CONFIG", "SET", "announce-ip", "127.0.0.2") == "OK"
    hellos.wait("__sentinel__:hello", "127.0.0.2," + who)
    if lab.kind == "stock":
        # Ours keeps the address at which a peer answers. And stock announces an empty address as such.
        wait_until(lambda: [x["ip"] for x in peer.sentinels()] == ["127.0.0.2"], 20,
                   "the peer takes the announced address")
        return
    assert s.ok("SENTINEL", "CONFIG", "SET", "announce-ip", "") == "OK"
    count = len(hellos.all(payload_has="127.0.0.1," + who))
    wait_until(lambda: len(hellos.all(payload_has="127.0.0.1," + who)) > count, 10, "the true address is announced")
    assert s.ok("SENTINEL", "CONFIG", "SET", "announce-port", "1") == "OK"
    hellos.wait("__sentinel__:hello", "127.0.0.1,1," + s.my_id())


@case(kinds=("ours",))
def test_config_with_several_keys(lab):
    """Later Valkey: several patterns in GET, several pairs in SET, all or nothing."""
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    assert list(pairs(s.ok("SENTINEL", "CONFIG", "GET", "announce-ip", "log*"))) == ["announce-ip", "loglevel"]
    assert s.ok("SENTINEL", "CONFIG", "SET", "announce-port", "1234", "loglevel", "verbose") == "OK"
    bad = s.call("SENTINEL", "CONFIG", "SET", "announce-port", "4321", "loglevel", "shouting")
    assert str(bad) == "ERR Invalid value 'shouting' to SENTINEL CONFIG SET 'loglevel'", bad
    assert pairs(s.ok("SENTINEL", "CONFIG", "GET", "announce-port", "loglevel")) == {
        "announce-port": "1234", "loglevel": "verbose"}


@case(kinds=("ours",))
def test_primary_spellings(lab):
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    assert [pairs(m)["name"] for m in s.ok("SENTINEL", "PRIMARIES")] == ["mymaster"]
    assert pairs(s.ok("SENTINEL", "PRIMARY", "mymaster"))["port"] == str(fleet.master.port)
    assert s.ok("SENTINEL", "GET-PRIMARY-ADDR-BY-NAME", "mymaster") == ["127.0.0.1", str(fleet.master.port)]
    assert s.ok("SENTINEL", "IS-PRIMARY-DOWN-BY-ADDR", "127.0.0.1", fleet.master.port, 0, "*") == [0, "*", 0]


@case()
def test_info(lab):
    """Sections, and the fields that clients read."""
    fleet = lab.fleet(replicas=1, supervisors=2, quorum=1, down_after_ms=5000)
    s = fleet.supervisors[0]
    s.ok("SENTINEL", "MONITOR", "absent", "127.0.0.1", lab.ports.take(), "2")
    s.ok("SENTINEL", "SET", "absent", "down-after-milliseconds", "100")
    wait_until(lambda: "s_down" in s.flags("absent"), 10, "the absent master is S_DOWN")
    text = s.ok("INFO")
    sections = re.findall("^# (.*)\r$", text, re.M)
    assert [x for x in sections if x in ("Server", "Clients", "Stats", "CPU", "Sentinel")] == [
        "Server", "Clients", "Stats", "CPU", "Sentinel"], sections
    fields = info_fields(text)
    assert fields["redis_version"] == "7.0.15" and fields["redis_mode"] == "sentinel"
    assert fields["tcp_port"] == str(s.port) and fields["process_id"] == str(s.pid)
    assert re.fullmatch("[0-9a-f]{40}", fields["run_id"])
    for key, value in (("sentinel_masters", "2"), ("sentinel_tilt", "0"), ("sentinel_tilt_since_seconds", "-1"),
                       ("sentinel_running_scripts", "0"), ("sentinel_scripts_queue_length", "0"),
                       ("sentinel_simulate_failure_flags", "0")):
        assert fields[key] == value, "%s: %s" % (key, fields[key])
    if lab.kind == "ours":
        assert fields["sentinel_total_tilt"] == "0"
    rows = [v for k, v in fields.items() if re.fullmatch(r"master\d+", k)]
    assert sorted(rows) == sorted([
        "name=mymaster,status=ok,address=127.0.0.1:%d,slaves=1,sentinels=2" % fleet.master.port,
        "name=absent,status=sdown,address=127.0.0.1:%s,slaves=0,sentinels=1" % s.master("absent")["port"]]), rows
    only = s.ok("INFO", "sentinel")
    assert only.startswith("# Sentinel\r\n") and "# Server" not in only
    assert s.ok("INFO", "nosuch") == ""


@case()
def test_role_and_client(lab):
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    assert s.ok("ROLE") == ["sentinel", ["mymaster"]]
    with s.connect() as one, s.connect() as two:
        assert one.call("CLIENT", "SETNAME", "one") == "OK" and one.call("CLIENT", "GETNAME") == "one"
        first, second = one.call("CLIENT", "ID"), two.call("CLIENT", "ID")
        assert isinstance(first, int) and second > first
        listed = [line for line in two.call("CLIENT", "LIST").splitlines() if "id=%d " % first in line]
        assert len(listed) == 1 and "name=one" in listed[0] and "addr=127.0.0.1:" in listed[0], listed
        assert two.call("CLIENT", "KILL", "ID", first) == 1
        try:
            one.call("PING")
            raise AssertionError("the killed client was answered")
        except Closed:
            pass
        assert two.call("PING") == "PONG"


@case()
def test_command_list(lab):
    """COMMAND knows the commands that are offered, and only those."""
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    with s.connect() as client:
        names = set(client.call("COMMAND", "LIST"))
        base = {"ping", "sentinel", "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "publish", "info", "role",
                "client", "shutdown", "auth", "hello", "acl", "command"}
        assert base <= {n.split("|")[0] for n in names}, base - names
        for sub in ("masters", "master", "replicas", "slaves", "sentinels", "myid", "get-master-addr-by-name",
                    "is-master-down-by-addr", "ckquorum", "failover", "reset", "monitor", "remove", "set", "config",
                    "flushconfig", "info-cache", "pending-scripts", "simulate-failure", "debug", "help"):
            assert "sentinel|" + sub in names, "sentinel|%s is not in COMMAND LIST" % sub
        assert not {"get", "set", "config", "multi", "select"} & names
        assert client.call("COMMAND", "COUNT") == len({n for n in names if "|" not in n})
        rows = client.call("COMMAND")
        assert {row[0] for row in rows} == {n for n in names if "|" not in n}
        docs = pairs(client.call("COMMAND", "DOCS", "ping"))
        assert list(docs) == ["ping"] and "summary" in pairs(docs["ping"])
        assert client.call("COMMAND", "INFO", "get") == [None]
        for name in sorted(names):  # whatever is listed exists
            if name in ("shutdown", "client", "acl", "sentinel", "command") or name.endswith("subscribe"):
                continue
            reply = client.call(*name.split("|"), "a", "b", "c", "d", "e", "f", "g")
            assert not re.match("ERR unknown (command|subcommand '[^']*'\\.)", str(reply)), "%s: %s" % (name, reply)
        assert "FAILOVER" in "\n".join(client.call("SENTINEL", "HELP"))


@case()
def test_reset_and_learning_again(lab):
    """RESET gives the number of masters; replicas and peers are found again."""
    fleet = lab.fleet(replicas=1, supervisors=2)
    s = fleet.supervisors[0]
    log = lab.events(s)
    s.ok("SENTINEL", "MONITOR", "other", "127.0.0.1", lab.ports.take(), "1")
    assert s.call("SENTINEL", "RESET", "none*") == 0
    assert s.call("SENTINEL", "RESET", "*") == 2
    assert log.wait("+reset-master", "mymaster").payload == "master mymaster 127.0.0.1 %d" % fleet.master.port
    assert log.wait("+reset-master", "other")
    s.ok("SENTINEL", "REMOVE", "other")
    fleet.wait_well()
    log.wait("+slave", "slave 127.0.0.1:%d 127.0.0.1 %d @ mymaster" % (fleet.replicas[0].port, fleet.replicas[0].port))
    log.wait("+sentinel", fleet.supervisors[1].my_id())


@case(kinds=("ours",))
def test_failover_right_after_reset(lab):
    """The known replicas stay candidates after RESET: a master that dies in that moment is replaced."""
    fleet = lab.fleet(replicas=2)
    for s in fleet.supervisors:
        assert s.call("SENTINEL", "RESET", "*") == 1
    fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port)
    fleet.wait_all_follow(new)


@case()
def test_monitor_set_and_remove(lab):
    """A master at run time: watched, changed, forgotten; with the events that tell of it."""
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    log = lab.events(s)
    extra = lab.redis("extra").wait_ready()
    assert s.call("SENTINEL", "MONITOR", "extra", "127.0.0.1", extra.port, "2") == "OK"
    assert log.wait("+monitor").payload == "master extra 127.0.0.1 %d quorum 2" % extra.port
    wait_until(lambda: s.flags("extra") == ["master"], 10, "the new master is watched")
    shown = {"down-after-milliseconds": "1234", "failover-timeout": "5678", "parallel-syncs": "4", "quorum": "3"}
    for option, value in shown.items():
        assert s.call("SENTINEL", "SET", "extra", option, value) == "OK"
        assert s.master("extra")[option] == value
        assert log.wait("+set", option).payload == "master extra 127.0.0.1 %d %s %s" % (extra.port, option, value)
    assert s.call("SENTINEL", "SET", "extra", "auth-pass", "sekret") == "OK"
    masked = log.wait("+set", "auth-pass").payload
    assert "sekret" not in masked, masked
    assert "sekret" not in s.log(), "the log shows a secret"
    assert s.call("SENTINEL", "REMOVE", "extra") == "OK"
    assert log.wait("-monitor").payload == "master extra 127.0.0.1 %d" % extra.port
    assert isinstance(s.call("SENTINEL", "MASTER", "extra"), RespError)
    assert [m["name"] for m in s.masters()] == ["mymaster"]


@case()
def test_forged_hello_through_publish(lab):
    """PUBLISH of a hello makes a new peer known; a hello of an unknown master or with missing fields does not."""
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    peer_port = lab.ports.take()
    hello = "127.0.0.1,%d,%s,0,mymaster,127.0.0.1,%d,0" % (peer_port, "ab" * 20, fleet.master.port)
    for bad in (hello.replace("mymaster", "nobody"), hello.rsplit(",", 1)[0], hello + ",x", "", ",,,,,,,", "x" * 5000):
        assert s.call("PUBLISH", "__sentinel__:hello", bad) == 1
    assert s.sentinels() == []
    assert s.call("PUBLISH", "__sentinel__:hello", hello) == 1
    found = wait_until(s.sentinels, 15, "the announced peer is known")
    assert (found[0]["runid"], found[0]["port"]) == ("ab" * 20, str(peer_port))


@case(matrix=(("CRASH-AFTER-ELECTION",), ("CRASH-AFTER-PROMOTION",)), limit_s=90)
def test_simulated_crash_of_the_leader(lab, flag):
    """The leader ends with status 99 at the named moment; another one finishes the failover."""
    fleet = lab.fleet(failover_timeout_ms=1500)
    first = fleet.supervisors[0]
    assert first.call("SENTINEL", "SIMULATE-FAILURE", flag) == "OK"
    bit = {"CRASH-AFTER-ELECTION": "1", "CRASH-AFTER-PROMOTION": "2"}[flag]
    assert info_fields(first.ok("INFO", "sentinel"))["sentinel_simulate_failure_flags"] == bit
    first.begin_failover()

    def ended():  # an attempt that a busy machine has lost is made again
        if first.alive():
            first.call("SENTINEL", "FAILOVER", "mymaster")
        return not first.alive()
    wait_until(ended, 40, "the leader ends", 0.5)
    assert first.proc.returncode == 99, first.proc.returncode
    fleet.master.discard()
    fleet.wait_switched(fleet.master.port, 60)
    first.boot()
    wait_until(lambda: fleet.agreed_port() not in (None, fleet.master.port), 20, "the restarted one agrees")


@case()
def test_shutdown(lab):
    """SHUTDOWN ends the process; status 0, no error reply."""
    master = lab.redis("master").wait_ready()
    s = lab.supervisor("sentinel0", [Group(port=master.port, quorum=1)])
    with s.connect() as client:
        client.send_raw(encode("SHUTDOWN"))
        assert client.read_until_closed() == b""
    assert s.proc.wait(20) == 0
    s.boot()
    assert s.terminate() == 0
