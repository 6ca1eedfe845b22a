"""noded as the master of redis-server replicas: equal datasets whatever happens to the links, and the answers that
replicas, clients and supervisors read."""
import os
import random
import re
import threading
import time

from cases import case
from lab import Resp, RespError, encode, wait_until
from lab.cutting_proxy import CuttingProxy
from lab.followers import SEEDS, ZEROS, by_hand, count, filled, master_of, read_line, read_snapshot
from lab.following import field, is_up, wait_equal, wait_in_step
from lab.random_writes import RandomWrites, fill

OURS = ("ours",)


def filled_with_password(lab):
    master = master_of(lab, requirepass="secret", repl_diskless_sync="no", rdb_del_sync_files="yes")
    with master.connect() as client:
        fill(client, random.Random(SEEDS.random()))
    return master


# ---- whole synchronizations ----

@case(kinds=OURS, matrix=[("yes",), ("no",)])
def test_full_sync_under_load(lab, diskless):
    """Two replicas that come at different times while all kinds of writes go on, with keys of every type before."""
    master = filled(lab, repl_diskless_sync=diskless)
    load = RandomWrites(lab, master, SEEDS.random())
    first = lab.redis("first", replica_of=master).wait_ready().wait_follows(master.port)
    wait_until(lambda: load.done > 500, 20, "writes go on")
    second = lab.redis("second", replica_of=master).wait_ready().wait_follows(master.port)
    done = load.done
    wait_until(lambda: load.done > done + 500, 20, "writes go on")
    load.stop()
    wait_equal(master, first, second)
    assert (count(master, "sync_full"), count(master, "sync_partial_ok")) == (2, 0)
    assert field(master, "connected_slaves") == "2"
    # Without a write of its own a replica keeps step by what the master says each second.
    offset = int(field(master, "master_repl_offset"))
    wait_until(lambda: int(field(master, "master_repl_offset")) >= offset + 14, 15, "the stream has a PING")
    assert master.alive() and field(master, "rdb_bgsave_in_progress", "persistence") == "0"


@case(kinds=OURS)
def test_ten_replicas_at_once(lab):
    """They come within the delay and get one and the same snapshot."""
    master = filled(lab, repl_diskless_sync_delay=100, repl_diskless_sync_max_replicas=10)
    replicas = [lab.redis("replica%d" % i, replica_of=master) for i in range(10)]
    load = RandomWrites(lab, master, SEEDS.random(), pause_s=0.002)
    for replica in replicas:
        replica.wait_ready().wait_follows(master.port, 40)
    load.stop()
    wait_equal(master, *replicas)
    assert count(master, "sync_full") == 10
    assert count(master, "total_forks") == 1


@case(kinds=OURS, limit_s=90)
def test_replica_that_dies_in_the_snapshot(lab):
    """One goes away in the middle of its snapshot: the other gets all of it. When both go the child is stopped."""
    master = master_of(lab, repl_diskless_sync_delay=100, repl_diskless_sync_max_replicas=2,
                       repl_ping_replica_period=1000)
    with master.connect(timeout_s=30) as client:
        for i in range(60):
            client.ok("SET", "k%d" % i, random.randbytes(1 << 20), timeout_s=30)
    offset = int(field(master, "master_repl_offset"))
    a, b = by_hand(master, "?", -1), by_hand(master, "?", -1)
    assert read_line(a) == read_line(b) == "+FULLRESYNC %s %d" % (field(master, "master_replid"), offset)
    assert a.sock.recv(100000)
    a.close()
    data = read_snapshot(b)
    assert data.startswith(b"REDIS0010") and len(data) > 60 << 20
    b.send_raw(encode("REPLCONF", "ACK", offset))
    master.ok("SET", "after", 1)
    assert b.sock.recv(1 << 16).startswith(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n")
    wait_until(lambda: field(master, "connected_slaves") == "1", 15, "the one that went is forgotten")
    # Both go: nothing is written for nobody.
    c, d = by_hand(master, "?", -1), by_hand(master, "?", -1)
    read_line(c), read_line(d)
    assert field(master, "rdb_bgsave_in_progress", "persistence") == "1"
    c.close()
    d.close()
    wait_until(lambda: field(master, "rdb_bgsave_in_progress", "persistence") == "0", 20, "the child is gone")
    assert field(master, "connected_slaves") == "1"
    # And the next one is served.
    replica = lab.redis("replica", replica_of=master)
    assert master.ok("CONFIG", "SET", "repl-diskless-sync-delay", 0) == "OK"
    replica.wait_ready().wait_follows(master.port)
    wait_in_step(master, replica)
    b.close()


@case(kinds=OURS)
def test_only_a_snapshot(lab):
    """redis-cli --rdb: rdb-only, and SYNC."""
    master = filled(lab)
    client = by_hand(master, capa=("eof",))
    client.ok("REPLCONF", "rdb-only", 1)
    client.send_raw(encode("SYNC"))
    data = read_snapshot(client)
    assert data.startswith(b"REDIS0010")
    assert client.sock.recv(1) == b"", "the connection ends with the snapshot"
    wait_until(lambda: field(master, "connected_slaves") == "0", 15, "it does not follow")


@case(kinds=OURS)
def test_password_and_files_for_replicas_only(lab):
    """A replica must know the password; the file that was made for it does not stay where nothing else is kept."""
    master = filled_with_password(lab)
    stranger = lab.redis("stranger", replica_of=master).wait_ready()
    known = lab.redis("known", replica_of=master, masterauth="secret").wait_ready().wait_follows(master.port)
    wait_equal(master, known)
    assert not os.path.exists(os.path.join(master.directory, "dump.rdb"))
    assert not is_up(stranger) and field(master, "connected_slaves") == "1"
    with Resp(master.port) as client:
        assert str(client.call("PSYNC", "?", -1)) == "NOAUTH Authentication required."


# ---- links that break ----

@case(kinds=OURS, limit_s=120, matrix=[("yes",), ("no",)])
def test_link_cut_at_any_byte(lab, diskless):
    """In the middle of the greeting, the snapshot and the stream; under load."""
    master = filled(lab, repl_diskless_sync=diskless, repl_backlog_size="64mb")
    proxy = CuttingProxy(lab, master.port)
    rng = random.Random(SEEDS.random())
    load = RandomWrites(lab, master, SEEDS.random(), pause_s=0.001)
    proxy.cut_after = 2
    replica = lab.redis("replica", replica_of=proxy).wait_ready()
    for limit in [5, 30, 90, 120, 200, 1500, 9000, 30000]:
        proxy.cut_after = limit
        before = proxy.connections
        wait_until(lambda b=before: proxy.connections > b, 15, "the replica tries again")
    proxy.cut_after = None
    wait_until(lambda: is_up(replica), 20, "the replica is in step")
    full = count(master, "sync_full")
    for _ in range(12):
        proxy.cut_after = rng.randrange(60, 6000)
        before = proxy.connections
        proxy.cut()
        wait_until(lambda b=before: proxy.connections > b + 1, 20, "the stream was cut once more")
    proxy.cut_after = None
    proxy.cut()
    load.stop()
    wait_equal(master, replica)
    assert count(master, "sync_full") == full, "the backlog had all that was missed"
    assert count(master, "sync_partial_ok") >= 6


@case(kinds=OURS)
def test_backlog_that_is_too_short(lab):
    """What was missed is longer than the backlog: everything again. Shorter: only what was missed."""
    master = filled(lab, repl_backlog_size="64kb")
    proxy = CuttingProxy(lab, master.port)
    replica = lab.redis("replica", replica_of=proxy).wait_ready()
    wait_equal(master, replica)
    for missed, full, partial in ((20000, 1, 1), (300000, 2, 1), (100, 2, 2)):
        proxy.refuse = True
        proxy.cut()
        wait_until(lambda: field(master, "connected_slaves") == "0", 20, "the replica is cut off")
        with master.connect() as client:
            for _ in range(missed // 100):
                client.ok("APPEND", "grows", "x" * 60)
        proxy.refuse = False
        wait_equal(master, replica)
        assert (count(master, "sync_full"), count(master, "sync_partial_ok")) == (full, partial), missed
    size = int(field(master, "repl_backlog_histlen"))
    assert 65536 <= size <= 65536 + 3 * 16384, size
    first = int(field(master, "repl_backlog_first_byte_offset"))
    assert first + size == int(field(master, "master_repl_offset")) + 1
    assert count(master, "sync_partial_err") == 1


@case(kinds=OURS)
def test_replica_that_does_not_read(lab):
    """Past its output limit it is closed, and what was kept for it is freed; it comes back and has everything."""
    master = filled(lab, client_output_buffer_limit=["replica", "4mb", "0", "0"], repl_backlog_size="64kb")
    replica = lab.redis("replica", replica_of=master).wait_ready().wait_follows(master.port)
    wait_in_step(master, replica)
    replica.pause()
    with master.connect(timeout_s=20) as client:
        for i in range(3000):
            client.ok("SET", "big%d" % (i % 7), "y" * 8000)
            if i % 100 == 0 and field(master, "connected_slaves") == "0":
                break
        else:
            raise AssertionError("the replica was not closed")
    assert count(master, "client_output_buffer_limit_disconnections") == 1
    assert int(field(master, "repl_backlog_histlen")) < 200000
    replica.resume()
    wait_equal(master, replica)
    assert count(master, "sync_full") == 2


@case(kinds=OURS)
def test_eviction_beside_a_slow_replica(lab):
    """What is kept for a replica that does not read is not made good by evicting keys, which would make it more."""
    master = master_of(lab, maxmemory="24mb", maxmemory_policy="allkeys-random", repl_backlog_size="64kb",
                       client_output_buffer_limit=["replica", "0", "0", "0"])
    replica = lab.redis("replica", replica_of=master, maxmemory="24mb").wait_ready().wait_follows(master.port)
    replica.pause()

    def write(first, n):
        with master.connect(timeout_s=30) as client:
            client.send_raw(b"".join(encode("SET", "k%d" % i, "z" * 1000) for i in range(first, first + n)))
            for _ in range(n):
                assert client.read(30) == "OK"

    write(0, 25000)
    wait_until(lambda: count(master, "evicted_keys") > 1000, 20, "keys are evicted")
    keys = master.ok("DBSIZE")
    write(25000, 15000)
    extra = int(field(master, "mem_not_counted_for_evict", "memory"))
    assert extra > 20 << 20, extra
    assert master.ok("DBSIZE") > keys * 0.8, (master.ok("DBSIZE"), keys)
    replica.resume()
    wait_equal(master, replica)
    wait_until(lambda: int(field(master, "mem_not_counted_for_evict", "memory")) < 1 << 20, 20, "it is kept no longer")


@case(kinds=OURS)
def test_silent_replica_is_closed(lab):
    master = filled(lab, repl_timeout=5)
    replica = lab.redis("replica", replica_of=master).wait_ready().wait_follows(master.port)
    wait_until(lambda: (field(master, "slave0") or "").endswith("lag=0"), 15, "it acknowledges")
    replica.pause()
    wait_until(lambda: int((field(master, "slave0") or "lag=0").rsplit("lag=", 1)[1]) >= 2, 15, "the lag grows")
    wait_until(lambda: field(master, "connected_slaves") == "0", 20, "it is closed")
    replica.resume()
    wait_equal(master, replica)


# ---- what is said ----

@case(kinds=OURS)
def test_info_and_role(lab):
    """INFO replication has the fields of redis-server in their order, for a master alone and with a replica; ROLE and
    CLIENT LIST show the replica."""
    ours, stock = master_of(lab, "ours"), lab.redis("stock").wait_ready()

    def names(server):
        return [line.split(":")[0] for line in server.ok("INFO", "replication").splitlines()]

    assert names(ours) == names(stock)
    assert field(ours, "master_replid2") == ZEROS and field(ours, "second_repl_offset") == "-1"
    replicas = [lab.redis("replica%d" % i, replica_of=m, replica_announce_ip="127.0.0.2" if i < 2 else "127.0.0.1")
                for i, m in enumerate((ours, stock))]
    for replica, master in zip(replicas, (ours, stock)):
        replica.wait_ready().wait_follows(master.port)
        master.ok("CONFIG", "SET", "min-replicas-to-write", 1)
        wait_until(lambda m=master: (field(m, "slave0") or "").count("state=online,"), 15, "the replica is online")
    assert names(ours) == names(stock)
    line = r"ip=127\.0\.0\.2,port=%d,state=online,offset=\d+,lag=[01]" % replicas[0].port
    wait_until(lambda: re.fullmatch(line, field(ours, "slave0")), 20, "it is shown, and it is not late")
    assert field(ours, "min_slaves_good_slaves") == "1"
    role = ours.ok("ROLE")
    assert role[0] == "master" and role[2][0][:2] == ["127.0.0.2", str(replicas[0].port)], role
    line = [x for x in ours.ok("CLIENT", "LIST", "TYPE", "replica").splitlines() if x]
    assert len(line) == 1 and " flags=S " in line[0] and " cmd=replconf " in line[0], line
    assert ours.ok("CLIENT", "KILL", "TYPE", "replica") == 1
    wait_until(lambda: count(ours, "sync_partial_ok") == 1, 20, "it is back")


@case(kinds=OURS)
def test_words_of_replicas(lab):
    """REPLCONF, PSYNC and SYNC with arguments of all kinds: byte for byte what redis-server answers."""
    ours, stock = master_of(lab, "ours"), lab.redis("stock").wait_ready()
    requests = [("REPLCONF",), ("REPLCONF", "x"), ("REPLCONF", "x", "y"), ("REPLCONF", "listening-port", "x"),
                ("REPLCONF", "listening-port", 99999), ("REPLCONF", "ip-address", "a" * 300), ("REPLCONF", "capa", "?"),
                ("REPLCONF", "rdb-only", 2), ("REPLCONF", "rdb-filter-only", "x"), ("PSYNC",), ("PSYNC", "a"),
                ("PSYNC", "a", "b"), ("PSYNC", "?", -1, "FAILOVER"), ("SYNC", "x"), ("WAIT", "x", 0), ("WAIT", 1, "x"),
                ("WAIT", 1, -1), ("WAIT", 0, 0), ("WAIT", 1, 20), ("FAILOVER", "ABORT"), ("FAILOVER",),
                ("FAILOVER", "TO", "a"), ("FAILOVER", "TO", "a", "b"), ("FAILOVER", "TIMEOUT", 0),
                ("FAILOVER", "ABORT", "x"), ("FAILOVER", "TO", "127.0.0.1", 1, "FORCE")]
    for request in requests:
        with ours.connect() as mine, stock.connect() as theirs:
            assert mine.call_raw(*request) == theirs.call_raw(*request), request
    for server in (ours, stock):
        with server.connect() as client:
            client.send_raw(b"PING\r\nPSYNC ? -1\r\n")
            assert client.read() == "PONG"
            assert str(client.read()) == "ERR SYNC and PSYNC are invalid with pending output"
            client.ok("MULTI")
            assert isinstance(client.call("PSYNC", "?", -1), RespError)
    # A replica that asks for something that is answered is not answered but closed.
    replica = by_hand(ours, "?", -1)
    read_line(replica)
    read_snapshot(replica)
    replica.send_raw(encode("REPLCONF", "ACK", 0) + encode("GET", "x"))
    wait_until(lambda: field(ours, "connected_slaves") == "0", 15, "it is closed")
    replica.close()


@case(kinds=OURS)
def test_partial_by_hand(lab):
    """PSYNC with an id and an offset: what is missing, from the right byte on."""
    master = master_of(lab)
    first = by_hand(master, "?", -1)
    _, replid, start = read_line(first).split()
    read_snapshot(first)
    first.send_raw(encode("REPLCONF", "ACK", start))
    for i in range(3):
        master.ok("SET", "k%d" % i, i)
    want = encode("SELECT", 0) + encode("SET", "k0", 0) + encode("SET", "k1", 1) + encode("SET", "k2", 2)
    got = b""
    while len(got) < len(want):
        got += first.sock.recv(len(want) - len(got))
    assert got == want
    for skip in (0, 5, len(want) - 1, len(want)):
        again = by_hand(master, replid, int(start) + 1 + skip)
        assert read_line(again) == "+CONTINUE " + replid
        rest = b""
        while len(rest) < len(want) - skip:
            rest += again.sock.recv(1000)
        assert rest.startswith(want[skip:]), (skip, rest)
        again.close()
    plain = by_hand(master, replid.upper(), int(start) + 1, capa=())
    assert read_line(plain) == "+CONTINUE"
    plain.close()
    for wrong in ((replid, int(start) + 10000), (replid, int(start)), (replid, -1), ("0" * 40, int(start) + 1),
                  ("", 5), (replid + "0", int(start) + 1), (replid, 2**63 - 1), (replid, -2**63)):
        again = by_hand(master, *wrong)
        assert read_line(again).startswith("+FULLRESYNC " + replid), wrong
        again.close()
    first.close()


# ---- writes that replicas have ----

@case(kinds=OURS)
def test_wait(lab):
    master = filled(lab)
    replicas = [lab.redis("replica%d" % i, replica_of=master).wait_ready() for i in range(2)]
    for replica in replicas:
        replica.wait_follows(master.port)
        wait_in_step(master, replica)
    with master.connect(timeout_s=20) as client:
        began = time.monotonic()
        for i in range(20):
            client.ok("SET", "w%d" % i, i)
            assert client.ok("WAIT", 2, 10000) == 2
        assert time.monotonic() - began < 8, "replicas are asked, their next word is not waited for"
        replicas[1].pause()
        client.ok("SET", "w", 1)
        assert client.ok("WAIT", 1, 10000) == 1
        assert client.ok("WAIT", 2, 100) == 1
        client.ok("MULTI")
        client.ok("SET", "w", 2)
        client.ok("WAIT", 2, 0)
        assert client.ok("EXEC")[0] == "OK"
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(client.ok("WAIT", 2, 0, timeout_s=20)))
        waiting.start()
        wait_until(lambda: field(master, "blocked_clients", "clients") == "1", 15, "it waits")
        replicas[1].resume()
        waiting.join(20)
        assert answers == [2]
    assert "slave" in str(replicas[0].call("ROLE"))
    assert "WAIT cannot be used with replica" in str(replicas[0].call("WAIT", 1, 0))


@case(kinds=OURS)
def test_min_replicas(lab):
    master = master_of(lab, min_replicas_to_write=1, min_replicas_max_lag=2)
    refused = RespError("NOREPLICAS Not enough good replicas to write.")
    assert master.call("SET", "a", 1) == refused
    replica = lab.redis("replica", replica_of=master).wait_ready().wait_follows(master.port)
    wait_until(lambda: master.call("SET", "a", 1) == "OK", 15, "writes are taken")
    replica.pause()
    wait_until(lambda: master.call("SET", "a", 2) == refused, 20, "writes are refused")
    assert master.call("GET", "a") is not None
    replica.resume()
    wait_until(lambda: master.call("SET", "a", 3) == "OK", 15, "writes are taken again")
    wait_equal(master, replica)
    assert master.ok("CONFIG", "SET", "min-replicas-to-write", 2) == "OK"
    assert master.call("SET", "a", 4) == refused


@case(kinds=OURS)
def test_backlog_ends(lab):
    """Nobody follows for repl-backlog-ttl: the backlog goes, and the history gets a new name."""
    master = filled(lab, repl_backlog_ttl=1)
    replica = lab.redis("replica", replica_of=master).wait_ready().wait_follows(master.port)
    replid = field(master, "master_replid")
    assert field(master, "repl_backlog_active") == "1"
    replica.terminate()
    wait_until(lambda: field(master, "repl_backlog_active") == "0", 20, "the backlog is given up")
    assert field(master, "master_replid") != replid
    master.ok("SET", "meanwhile", 1)
    replica.start()
    replica.wait_ready().wait_follows(master.port)
    wait_equal(master, replica)
    assert count(master, "sync_full") == 2
