"""Replicas of a cluster that restart with a dataset of their own: they load it as replicas, and go on with their master
where the file stands in its history."""
from cases import case
from lab import wait_until
from lab.clusters import cluster_node, flags_of, keys_of, make_cluster, meet, my_id, wait_agreed, write_until_taken
from lab.resp import Closed

OURS = ("ours",)
SYNCS = ("sync_full", "sync_partial_ok")


def is_up(replica, master):
    fields = replica.info("replication")
    return fields.get("master_link_status") == "up" and fields["master_port"] == str(master.port)


def syncs(master):
    fields = master.info("stats")
    return [int(fields[name]) for name in SYNCS]


def write(master, keys, value):
    """In two databases; the replicas have it."""
    with master.connect() as client:
        for db in (0, 5):
            client.ok("SELECT", db)
            for key in keys:
                client.ok("SET", key, "%s %d" % (value, db))


def stop_and_save(replica):
    try:
        replica.call("SHUTDOWN", "SAVE")
    except (Closed, OSError):
        pass
    wait_until(lambda: not replica.alive(), 20, "it has ended")


def equal(replica, master):
    wait_until(lambda: replica.ok("DEBUG", "DIGEST") == master.ok("DEBUG", "DIGEST"), 20, "it has what its master has")


def with_one_replica(lab, kind="ours", **options):
    options = dict({"cluster_node_timeout": 5000}, **options)  # nobody takes over while one is away for a moment
    (master, *others), (replica,) = make_cluster(lab, [kind] + ["ours"] * 2, [(kind, 0)], **options)
    wait_until(lambda: replica.info("persistence")["aof_rewrite_in_progress"] == "0", 20, "its file is made")
    keys = keys_of(0, 5000, 20)
    if kind == "ours":
        write(master, keys, "first")
    assert master.ok("WAIT", 1, 5000) == 1
    return [master, replica] + others, keys


@case(kinds=OURS, limit_s=60)
def test_a_rewritten_file_of_a_replica(lab):
    """CONFIG REWRITE writes no replicaof, takes one out that stands there, and a node ignores one: it starts, and
    follows whom nodes.conf names."""
    ports = {name: lab.ports.take() for name in ("master", "replica")}
    nodes = {}
    for name, port in ports.items():
        text = 'port = %d;\nbind = [ "127.0.0.1" ];\ndir = "%s";\nsave = "";\n' \
            'repl_diskless_sync_delay = 0;\n' % (port, lab.path(name))
        nodes[name] = cluster_node(lab, "ours", name, port=port, config=text)
    master, replica = nodes["master"], nodes["replica"]
    master.ok("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    meet(master, [replica])
    wait_until(lambda: replica.call("CLUSTER", "REPLICATE", my_id(master)) == "OK", 20, "it may follow")
    wait_until(lambda: is_up(replica, master), 20, "it follows")

    def text():
        with open(replica.conf_path, encoding="utf-8") as f:
            return f.read()

    def start_again():
        assert replica.terminate() == 0
        replica.start()
        replica.wait_ready()
        wait_until(lambda: is_up(replica, master), 20, "it follows the same")

    assert replica.ok("CONFIG", "SET", "maxmemory", "100mb") == "OK" and replica.ok("CONFIG", "REWRITE") == "OK"
    assert "maxmemory" in text() and "replicaof" not in text(), text()
    start_again()
    with open(replica.conf_path, "a", encoding="utf-8") as f:
        f.write('replicaof = "127.0.0.1 1";\n')
    start_again()
    assert "replicaof 127.0.0.1 1 is ignored" in replica.log(), replica.log()
    assert replica.ok("CONFIG", "REWRITE") == "OK" and "replicaof" not in text(), text()
    start_again()


@case(kinds=OURS, limit_s=60, matrix=[("saved",), ("killed",)])
def test_partial_from_its_file(lab, how):
    """SHUTDOWN SAVE, or kill -9 with an older file, and writes meanwhile: no full synchronization."""
    (master, replica, *_), keys = with_one_replica(lab)
    if how == "saved":
        stop_and_save(replica)
    else:
        replica.ok("SAVE")
        write(master, keys[5:], "then")
        assert master.ok("WAIT", 1, 5000) == 1
        replica.kill9()
    full, partial = syncs(master)
    write(master, keys[10:], "meanwhile")
    replica.start()
    replica.wait_ready()
    wait_until(lambda: is_up(replica, master), 20, "it follows")
    assert syncs(master) == [full, partial + 1]
    equal(replica, master)
    write(master, keys, "after")
    equal(replica, master)


@case(kinds=OURS, limit_s=60)
def test_full_beyond_the_backlog(lab):
    """What the master has forgotten cannot be gone on with."""
    (master, replica, *_), keys = with_one_replica(lab, repl_backlog_size=16384)
    stop_and_save(replica)
    full, partial = syncs(master)
    write(master, keys, "x" * 2000)
    replica.start()
    replica.wait_ready()
    wait_until(lambda: is_up(replica, master), 20, "it follows")
    assert syncs(master) == [full + 1, partial]
    equal(replica, master)


@case(kinds=OURS, limit_s=60, matrix=[("ours",), ("stock",)])
def test_append_only_file_says_no_place(lab, kind):
    """Redis 7.0 does not keep the place in an append-only file: a full synchronization, of both kinds."""
    (master, replica, *_), _ = with_one_replica(lab, kind, appendonly="yes")
    stop_and_save(replica)
    full, partial = syncs(master)
    replica.start()
    replica.wait_ready()
    wait_until(lambda: is_up(replica, master), 20, "it follows")
    assert syncs(master) == [full + 1, partial]


@case(kinds=OURS, limit_s=60)
def test_expired_keys_are_the_masters(lab):
    """A replica loads what has expired meanwhile; it goes when its master says so."""
    (master, replica, *_), keys = with_one_replica(lab)
    with master.connect() as client:
        for key in keys[:7]:
            client.ok("PEXPIRE", key, 3000)  # the replica is to have them in its file before
    assert master.ok("WAIT", 1, 5000) == 1
    stop_and_save(replica)
    wait_until(lambda: master.ok("DBSIZE") == 13, 20, "they have expired at the master")
    replica.start()
    replica.wait_ready()
    fields = replica.info("persistence")
    assert (fields["rdb_last_load_keys_loaded"], fields["rdb_last_load_keys_expired"]) == ("40", "0"), fields
    wait_until(lambda: is_up(replica, master), 20, "it follows")
    equal(replica, master)
    assert replica.ok("DBSIZE") == 13


@case(kinds=OURS, limit_s=60)
def test_master_replaced_meanwhile(lab):
    """The one that it knows is gone: it goes on with the one that was elected, whose history continues that one's."""
    (master, *others), (first, second) = make_cluster(lab, ["ours"] * 3, [("ours", 0), ("ours", 0)],
                                                      cluster_node_timeout=2500)
    keys = keys_of(0, 5000, 20)
    write(master, keys, "first")
    assert master.ok("WAIT", 2, 5000) == 2
    stop_and_save(second)
    write(master, keys[10:], "then")
    assert master.ok("WAIT", 1, 5000) == 1
    master.kill9()
    assert write_until_taken([first], keys[0], "elected") is first
    full, partial = syncs(first)
    second.start()
    second.wait_ready()
    wait_until(lambda: is_up(second, first), 20, "it follows the new master")
    assert syncs(first) == [full, partial + 1]
    equal(second, first)
    # The old master comes back as a replica that loads as a master: it had been one.
    master.start()
    master.wait_ready()
    wait_until(lambda: is_up(master, first), 20, "so does the old master")
    wait_agreed([master, first, second] + others)
    assert "slave" in flags_of(first, master) and my_id(master) != my_id(first)
    equal(master, first)
