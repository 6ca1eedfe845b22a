"""The clients of the field: redis-cli and redis-py's Sentinel client."""
import subprocess
import threading
import time

import redis
import redis.sentinel

from cases import case
from lab import wait_until


def cli(s, *args):
    done = subprocess.run(["redis-cli", "-p", str(s.port), "--no-auth-warning", *args], capture_output=True, text=True,
                          timeout=20, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


@case()
def test_redis_cli(lab):
    fleet = lab.fleet(replicas=1, supervisors=2)
    s = fleet.supervisors[0]
    port = str(fleet.master.port)
    assert cli(s, "ping") == "PONG\n"
    lines = cli(s, "sentinel", "masters").splitlines()
    assert lines[:6] == ["name", "mymaster", "ip", "127.0.0.1", "port", port], lines
    assert cli(s, "sentinel", "get-master-addr-by-name", "mymaster").split() == ["127.0.0.1", port]
    assert cli(s, "sentinel", "get-master-addr-by-name", "nobody") == "\n"
    assert cli(s, "--csv", "sentinel", "get-master-addr-by-name", "mymaster") == '"127.0.0.1","%s"\n' % port
    assert cli(s, "-3", "--csv", "sentinel", "get-master-addr-by-name", "nobody") == "NULL\n"
    as_json = cli(s, "--json", "sentinel", "master", "mymaster")
    assert as_json.startswith('{"name":"mymaster","ip":"127.0.0.1","port":"%s",' % port), as_json
    assert "OK 2 usable Sentinels" in cli(s, "sentinel", "ckquorum", "mymaster")
    assert "sentinel_masters:1" in cli(s, "info", "sentinel")
    assert "No such master with that name" in cli(s, "sentinel", "master", "nobody")
    assert "GET-MASTER-ADDR-BY-NAME" in cli(s, "sentinel", "help").upper()
    assert cli(s, "role").split() == ["sentinel", "mymaster"]


@case()
def test_redis_cli_in_a_pipe(lab):
    """Commands on standard input, as scripts use it."""
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1)
    s = fleet.supervisors[0]
    typed = "ping\nsentinel myid\nsentinel master nobody\nping x\n"
    done = subprocess.run(["redis-cli", "-p", str(s.port)], input=typed, capture_output=True, text=True, timeout=20,
                          check=False)
    assert done.stdout.split("\n")[:2] == ["PONG", s.my_id()], done
    assert "ERR No such master with that name" in done.stdout and done.stdout.endswith("x\n"), done


@case()
def test_redis_py_commands(lab):
    """The parsed replies of redis-py, which know the fields and flags of the instance maps."""
    fleet = lab.fleet(replicas=1, supervisors=2)
    s = fleet.supervisors[0]
    client = redis.Redis(port=s.port, decode_responses=True)
    state = client.sentinel_masters()["mymaster"]
    assert state["is_master"] and not state["is_sdown"] and not state["is_odown"], state
    assert (state["port"], state["quorum"], state["num-slaves"], state["num-other-sentinels"]) == (
        fleet.master.port, 2, 1, 1)
    replica = client.sentinel_slaves("mymaster")[0]
    assert replica["is_slave"] and replica["port"] == fleet.replicas[0].port and replica["slave-priority"] == 100
    peer = client.sentinel_sentinels("mymaster")[0]
    assert peer["is_sentinel"] and peer["port"] == fleet.supervisors[1].port
    assert client.sentinel_get_master_addr_by_name("mymaster") == ("127.0.0.1", fleet.master.port)
    assert client.sentinel_get_master_addr_by_name("nobody") is None
    # redis-py 4.3.4 cannot parse the reply of its own sentinel_ckquorum(), so the command is sent as it is.
    assert client.execute_command("SENTINEL", "CKQUORUM", "mymaster").startswith("OK 2 usable Sentinels.")
    assert client.sentinel_flushconfig() is True
    assert client.sentinel_set("mymaster", "parallel-syncs", 2) is True
    assert client.sentinel_master("mymaster")["parallel-syncs"] == 2
    assert client.sentinel_monitor("other", "127.0.0.1", lab.ports.take(), 1) is True
    assert set(client.sentinel_masters()) == {"mymaster", "other"}
    assert client.sentinel_remove("other") is True
    assert client.info("sentinel")["master0"] == {"name": "mymaster", "status": "ok", "address": "127.0.0.1:%d" %
                                                  fleet.master.port, "slaves": 1, "sentinels": 2}
    assert client.ping() and client.client_id() > 0
    with client.pubsub() as sub:
        sub.subscribe("+set")
        assert sub.get_message(timeout=20)["type"] == "subscribe"
        client.sentinel_set("mymaster", "parallel-syncs", 1)
        message = wait_until(lambda: sub.get_message(timeout=1), 10, "the event arrives")
        assert message["data"] == "master mymaster 127.0.0.1 %d parallel-syncs 1" % fleet.master.port


@case()
def test_redis_py_writes_through_a_failover(lab):
    """master_for goes on writing after the switch; slave_for reads from the replicas."""
    fleet = lab.fleet()
    sentinel = redis.sentinel.Sentinel([s.addr for s in fleet.supervisors], socket_timeout=0.5)
    master, replica = sentinel.master_for("mymaster"), sentinel.slave_for("mymaster")
    written, stop = [], threading.Event()

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            try:
                master.set("n:%d" % n, n)
                written.append((time.monotonic(), n))
            except redis.RedisError:
                stop.wait(0.01)
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    lab.on_close(stop.set)
    wait_until(lambda: len(written) > 100, 10, "the client writes")
    killed = fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port)
    wait_until(lambda: written[-1][0] > killed + fleet.down_after_ms / 1000, 20, "writes go on after the switch")
    count = len(written)
    wait_until(lambda: len(written) > count + 100, 20, "and on")
    stop.set()
    thread.join(10)
    fleet.wait_all_follow(new)
    last = written[-1][1]
    assert new.ok("GET", "n:%d" % last) == str(last)

    def read_of_a_replica():
        try:
            return replica.get("n:%d" % last) == b"%d" % last
        except redis.RedisError:  # one that still synchronizes, or is slow for a moment, answers so
            return False
    wait_until(read_of_a_replica, 20, "a replica has it")
