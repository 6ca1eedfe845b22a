"""The history of a noded goes on: after a restart, after FAILOVER, along a chain, and under supervisors."""
import random
import threading
import time

from cases import case
from lab import Group, encode, wait_until
from lab.followers import SEEDS, count, filled, master_of
from lab.following import field, is_up, wait_equal, wait_in_step
from lab.random_writes import RandomWrites, fill

OURS = ("ours",)


class Appender:
    """Appends numbers to a list at whichever of the servers is the master, and remembers those that were answered."""

    def __init__(self, lab, servers, key="numbers"):
        self.servers, self.key, self.acked, self.next = servers, key, [], 0
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        lab.on_close(self.stop)
        self.thread.start()

    def run(self):
        at, client = 0, None
        while not self.stopping:
            try:
                if client is None:
                    client = self.servers[at % len(self.servers)].connect(timeout_s=10)
                self.next += 1
                answer = client.call("RPUSH", self.key, self.next)
                if isinstance(answer, int):
                    self.acked.append(str(self.next))
                else:
                    at, client = at + 1, client.close()
                    time.sleep(0.005)
            except OSError:
                at, client = at + 1, None

    def stop(self):
        self.stopping = True
        self.thread.join(20)


@case(kinds=OURS, limit_s=90)
def test_clean_restart(lab):
    """SHUTDOWN SAVE waits for the replica; after the start it goes on with what it lacks, which is nothing. No write
    was answered that the file has not."""
    master = filled(lab)
    replica = lab.redis("replica", replica_of=master).wait_ready().wait_follows(master.port)
    # What would move or delete the lists of the others is left out.
    load = RandomWrites(lab, master, SEEDS.random(), leave_out=("SWAPDB", "FLUSHDB"))
    writers = [Appender(lab, [master], "numbers%d" % i) for i in range(4)]
    wait_until(lambda: load.done > 500 and len(writers[0].acked) > 100, 20, "writes go on")
    replid = field(master, "master_replid")
    with master.connect(timeout_s=20) as client:
        client.send_raw(encode("SHUTDOWN", "SAVE"))
        wait_until(lambda: not master.alive(), 20, "it ends")
    load.halt()
    for writer in writers:
        writer.stop()
    master.start()
    master.wait_ready().ok("PING")
    wait_equal(master, replica)
    for writer in writers:
        kept = set(master.ok("LRANGE", writer.key, 0, -1))
        assert not [n for n in writer.acked if n not in kept]
    assert field(master, "master_replid2") == replid
    assert (count(master, "sync_full"), count(master, "sync_partial_ok")) == (0, 1)
    with master.connect() as client:
        client.ok("SELECT", 5)
        client.ok("SET", "after", "restart")
    wait_equal(master, replica)


@case(kinds=OURS, matrix=[("redis",), ("node",)], limit_s=120)
def test_failover(lab, kind):
    """FAILOVER under load to a replica and back: no acknowledged write is lost, nothing is copied anew, and a third
    server goes on with either."""
    master = filled(lab)
    if kind == "node":
        other = master_of(lab, "other", replicaof=["127.0.0.1", master.port])
    else:
        other = lab.redis("other", replica_of=master).wait_ready()
    third = lab.redis("third", replica_of=master).wait_ready()
    for replica in (other, third):
        wait_until(lambda r=replica: is_up(r), 20, "%s follows" % replica.name)
    writer = Appender(lab, [master, other])
    wait_until(lambda: len(writer.acked) > 100, 20, "writes go on")
    for old, new in ((master, other), (other, master)):
        replid = field(old, "master_replid")
        assert old.ok("FAILOVER", "TO", "127.0.0.1", new.port, "TIMEOUT", 10000) == "OK"
        wait_until(lambda n=new: n.ok("ROLE")[0] == "master", 20, "%s is the master" % new.name)
        wait_until(lambda o=old, n=new: o.ok("ROLE")[:4] == ["slave", "127.0.0.1", n.port, "connected"], 20,
                   "%s follows %s" % (old.name, new.name))
        assert field(old, "master_failover_state") == "no-failover"
        assert field(new, "master_replid2") == replid
        assert field(old, "master_replid") == field(new, "master_replid")
        third.ok("REPLICAOF", "127.0.0.1", new.port)
        wait_until(lambda: is_up(third), 20, "the third follows %s" % new.name)
        before = len(writer.acked)
        wait_until(lambda b=before: len(writer.acked) > b + 50, 20, "writes go on")
    writer.stop()
    wait_equal(master, other, third)
    kept = set(master.ok("LRANGE", "numbers", 0, -1))
    assert not [n for n in writer.acked if n not in kept]
    assert count(master, "sync_full") == 2 and count(other, "sync_full") == 0


@case(kinds=OURS)
def test_failover_that_fails(lab):
    """The time is over before the replica has everything; and with FORCE a target that does not answer."""
    master = filled(lab)
    replica = lab.redis("replica", replica_of=master).wait_ready().wait_follows(master.port)
    wait_in_step(master, replica)
    replica.pause()
    master.ok("SET", "not", "there")
    assert master.ok("FAILOVER", "TIMEOUT", 2500) == "OK"
    assert field(master, "master_failover_state") == "waiting-for-sync"
    with master.connect(timeout_s=20) as client:
        assert client.ok("SET", "waited", 1) == "OK"
    assert field(master, "master_failover_state") == "no-failover"
    assert master.ok("FAILOVER", "TO", "127.0.0.1", replica.port, "FORCE", "TIMEOUT", 200) == "OK"
    wait_until(lambda: field(master, "master_failover_state") == "failover-in-progress", 15, "it goes ahead")
    assert master.ok("ROLE")[0] == "slave"
    assert master.ok("FAILOVER", "ABORT") == "OK"
    assert master.ok("ROLE")[0] == "master"
    assert master.ok("SET", "master", "again") == "OK"
    replica.resume()
    wait_equal(master, replica)


@case(kinds=OURS, matrix=[("redis", "node", "redis"), ("node", "redis", "node"), ("node", "node", "redis")])
def test_chain(lab, *kinds):
    """Three in a row: one stream, one offset, and the last goes on after the middle was promoted."""
    servers = []
    for i, kind in enumerate(kinds):
        options = {} if not servers else {"replicaof": ["127.0.0.1", servers[-1].port]}
        if kind == "node":
            servers.append(master_of(lab, "s%d" % i, **options))
        else:
            servers.append(lab.redis("s%d" % i, replica_of=servers[-1] if servers else None).wait_ready())
        if i == 0:
            with servers[0].connect() as client:
                fill(client, random.Random(SEEDS.random()))
        else:
            wait_until(lambda s=servers[i]: is_up(s), 20, "it follows")
    first, middle, last = servers
    load = RandomWrites(lab, first, SEEDS.random(), pause_s=0.001)
    wait_until(lambda: load.done > 1000, 20, "writes go on")
    load.stop()
    wait_equal(first, middle, last)
    assert len({field(s, "master_replid") for s in servers}) == 1
    full = count(middle, "sync_full")
    middle.ok("REPLICAOF", "NO", "ONE")
    middle.ok("SET", "own", 1)
    wait_equal(middle, last)
    assert count(middle, "sync_full") == full, "the last went on with what it lacked"
    first.ok("REPLICAOF", "127.0.0.1", middle.port)
    wait_equal(middle, first, last)


@case(kinds=("stock", "ours"), limit_s=120)
def test_supervised(lab):
    """Supervisors of either kind watch a noded with a replica of each kind, replace it when it dies, and take it back
    as a replica."""
    master = filled(lab)
    node = master_of(lab, "node", replicaof=["127.0.0.1", master.port], replica_priority=10)
    redis = lab.redis("redis", replica_of=master, replica_priority=0).wait_ready()  # it is to be the other noded
    for replica in (node, redis):
        wait_until(lambda r=replica: is_up(r), 20, "%s follows" % replica.name)
    group = Group(port=master.port, quorum=2, down_after_ms=600, failover_timeout_ms=5000)
    watchers = [lab.supervisor("watcher%d" % i, [group]) for i in range(3)]
    for watcher in watchers:
        wait_until(lambda w=watcher: w.knows("mymaster", 2, 2), 20, "%s knows all" % watcher.name)
    wait_equal(master, node, redis)
    master.kill9()
    wait_until(lambda: {w.master_port("mymaster") for w in watchers} == {node.port}, 40,
               "all agree on the other noded")
    wait_until(lambda: node.ok("ROLE")[0] == "master" and redis.ok("ROLE")[2:4] == [node.port, "connected"], 25,
               "the rest follows it")
    assert count(node, "sync_full") == 0, "redis-server went on with the second history"
    node.ok("SET", "after", "failover")
    master.start()
    wait_until(lambda: master.ok("ROLE")[1:4] == ["127.0.0.1", node.port, "connected"], 30, "the old one is a replica")
    wait_equal(node, master, redis)


@case(kinds=OURS, matrix=[("node",), ("redis",)])
def test_flushed_and_killed(lab, kind):
    """FLUSHALL has emptied the file, and the master dies before the replica has heard of it: the replica does not go on
    with an empty master as if both had the same."""
    master = filled(lab, save="3600 1", repl_ping_replica_period=3600)
    if kind == "node":
        replica = lab.node("replica", replicaof=["127.0.0.1", master.port])
    else:
        replica = lab.redis("replica", replica_of=master).wait_ready()
    wait_until(lambda: is_up(replica), 20, "it follows")
    wait_equal(master, replica)
    replica.ok("REPLICAOF", "127.0.0.1", 1)
    wait_until(lambda: field(master, "connected_slaves") == "0", 20, "it has left")
    assert master.ok("FLUSHALL") == "OK"
    master.kill9()
    master.start()
    master.wait_ready()
    replica.ok("REPLICAOF", "127.0.0.1", master.port)
    if kind == "node":  # its guard: what it has goes only when somebody says so
        name = wait_until(lambda: field(replica, "master_sync_guarded"), 20,
                          "the empty dataset is not let in by itself")
        replica.ok("REPLICAOF", "ACCEPT", name)
    wait_equal(master, replica)
    assert replica.ok("DBSIZE") == 0
