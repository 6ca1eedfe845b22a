"""Redirects and CLUSTER's answers: byte for byte what redis-server says in the same place."""
from redis.crc import key_slot

from cases import case
from lab import wait_until
from lab.clusters import cluster_node, info, keys_of, lines, meet, my_id, plain

OURS = ("ours",)
HALF = 8192


class Pair:
    """The same two nodes twice: the first is ours or the server whose answers decide, the second is redis-server. The
    first has the lower half of the slots."""

    def __init__(self, lab, **options):
        options = dict({"cluster_node_timeout": 5000}, **options)  # nobody is missed who stands still for a moment
        self.clusters = []
        for kind in ("ours", "stock"):
            nodes = [cluster_node(lab, kind, "%s-first" % kind, **options),
                     cluster_node(lab, "stock", "%s-second" % kind, **options)]
            self.clusters.append(nodes)
        self.clients = [nodes[0].connect() for nodes in self.clusters]
        self.wrong = []

    def join(self):
        for first, second in self.clusters:
            first.ok("CLUSTER", "ADDSLOTSRANGE", 0, HALF - 1)
            second.ok("CLUSTER", "ADDSLOTSRANGE", HALF, 16382)  # the last one is nobody's
            first.ok("CLUSTER", "SET-CONFIG-EPOCH", 1)
            second.ok("CLUSTER", "SET-CONFIG-EPOCH", 2)
            meet(first, [second])
        for nodes in self.clusters:
            for node in nodes:
                wait_until(lambda n=node: info(n)["cluster_state"] == "ok" and info(n)["cluster_known_nodes"] == "2"
                           and "handshake" not in str(lines(n)), 30, "%s is in a cluster" % node.name)

    def same(self, *words):
        """words may be functions of the nodes of a cluster."""
        replies = []
        for client, nodes in zip(self.clients, self.clusters):
            args = [word(nodes) if callable(word) else word for word in words]
            reply = client.call(*args)
            # The order of shards is that of a hash table of random ids.
            raw = repr(sorted(reply, key=repr)).encode() if words == ("cluster", "shards") else client.raw
            replies.append(plain(raw, nodes))
        if replies[0] != replies[1]:
            self.wrong.append((words, replies[0], replies[1]))

    def table(self, rows):
        for row in rows:
            self.same(*(row.split() if isinstance(row, str) else row))
        self.report()

    def again(self):
        for client in self.clients:
            client.close()
        self.clients = [nodes[0].connect() for nodes in self.clusters]

    def both(self, which, *words):
        for nodes in self.clusters:
            args = [word(nodes) if callable(word) else word for word in words]
            nodes[which].ok(*args)

    def report(self):
        assert not self.wrong, "\n".join("%s:\n  ours  %r\n  stock %r" % w for w in self.wrong)


def second_id(nodes):
    return my_id(nodes[1])


def first_id(nodes):
    return my_id(nodes[0])


ALONE = """
cluster
cluster|no
cluster foo
cluster keyslot
cluster keyslot somekey
cluster keyslot {a}b
cluster addslots
cluster addslots 99999
cluster addslots -1
cluster addslots a
cluster addslots 1 1
cluster addslotsrange 1
cluster addslotsrange 5 1
cluster addslotsrange 1 5 4 6
cluster addslotsrange 1 5 6
cluster addslotsrange a b
cluster delslots 7
cluster delslots 5 5
cluster delslotsrange 5 2
cluster delslotsrange 3 4 4 5
cluster delslotsrange 1 2 3
get a
set a 1
mget a b
del
del a b c
cluster setslot 7 foo
cluster setslot 7 node
cluster setslot 7 node abc
cluster setslot 7 migrating abc
cluster setslot 7 importing abc
cluster setslot 7 stable x
cluster setslot 99999 stable
cluster setslot a stable
cluster setslot 5 STABLE
cluster setslot 5
cluster meet 1 2 3 4 5
cluster meet 1.1.1 6379
cluster meet 1.1.1.1 a
cluster meet 1.1.1.1 70000
cluster meet 1.1.1.1 6379 b
cluster meet 1.1.1.1 6379 99999
cluster meet 127.0.0.1 27102 0
cluster meet 127.0.0.1 27102 -1
cluster meet 127.0.0.1 0
cluster meet
cluster forget abc
cluster forget
cluster replicate abc
cluster replicas abc
cluster slaves abc
cluster failover
cluster failover force
cluster failover takeover
cluster failover foo
cluster failover force x
cluster reset foo
cluster reset hard soft
cluster set-config-epoch a
cluster set-config-epoch -1
cluster set-config-epoch 99999999999999999999
cluster count-failure-reports abc
cluster getkeysinslot 1 a
cluster getkeysinslot a 1
cluster getkeysinslot 1 -1
cluster getkeysinslot 99999 1
cluster getkeysinslot 1 10
cluster countkeysinslot a
cluster countkeysinslot -1
cluster countkeysinslot 99999
cluster countkeysinslot 5
cluster saveconfig
cluster saveconfig x
cluster flushslots
cluster slots
cluster links
swapdb 0 1
swapdb 0
replicaof a 1
slaveof no one
failover
select 0
select a
asking
asking a
readonly
readwrite
readonly a
info cluster
spublish a b
ssubscribe a
publish a b
multi
get a
exec
multi
cluster keyslot a
exec
exec
multi
ping
exec
watch a
object encoding a
memory usage a
restore-asking a 0 x
migrate 127.0.0.1 1 a 0 10
""".strip().splitlines()


@case(kinds=OURS, limit_s=90)
def test_alone(lab):
    """A node that has no slots: every CLUSTER subcommand with its errors, and requests that nobody serves."""
    pair = Pair(lab)
    pair.table(ALONE + [
        ("cluster", "forget", first_id),
        ("cluster", "replicate", first_id),
        ("cluster", "replicas", first_id),
        ("cluster", "count-failure-reports", first_id),
        ("cluster", "shards"),
        ("cluster", "set-config-epoch", "5"),
        ("cluster", "set-config-epoch", "6"),
        ("cluster", "bumpepoch"),
        ("cluster", "addslotsrange", "5", "9"),
        ("cluster", "addslots", "10", "5"),
        ("cluster", "delslots", "5", "10"),
        ("cluster", "delslots", "5", "6", "6"),
        ("cluster", "delslots", "5", "7"),
        ("cluster", "delslotsrange", "6", "6"),
        ("cluster", "slots"),
        ("cluster", "flushslots"),
        ("cluster", "reset", "soft"),
    ])


@case(kinds=OURS, limit_s=90)
def test_slots_of_two(lab):
    """Keys of ours and of the other node, alone and together, in and out of transactions."""
    pair = Pair(lab, cluster_require_full_coverage="no")
    pair.join()
    mine = keys_of(0, HALF, 3)
    theirs = keys_of(HALF, 16383, 3)
    a, b = mine[0], mine[1]
    x, y = theirs[0], theirs[1]
    nobody = "{%s}" % next("n%d" % i for i in range(10**6) if key_slot(b"n%d" % i) == 16383)
    rows = []
    for k in (a, x, nobody):
        for text in ("get K", "set K 1", "del K", "incr K", "append K x", "expire K 100", "ttl K", "type K", "exists K",
                     "object encoding K", "dump K", "restore K2 0 x", "sort K", "lpush {K}l 1",
                     "rpoplpush {K}l {K}m", "blpop {K}l 0.01", "lmpop 1 {K}l left", "blmpop 0.01 1 {K}l left",
                     "zadd {K}z 1 a", "zunionstore {K}y 1 {K}z", "zunion 1 {K}z", "bitop not {K}d {K}s", "touch K",
                     "watch K", "unwatch", "spublish K m", "setex K 10 1", "getex K", "copy K {K}c", "rename K {K}r",
                     "debug object", "sintercard 1 {K}s", "georadius", "migrate 127.0.0.1 1 K 0 10",
                     "eval", "scan 0 count 1000 match nothing", "randomkey x", "publish K m",
                     "get", "mget K", "unlink K", "get {K}c {K}d"):
            rows.append(text.replace("K", k))
    for first, second in ((a, b), (a, x), (x, a), (x, y), (a, nobody), (nobody, a), (a, a), (x, x)):
        for text in ("mget K L", "mset K 1 L 2", "del K L", "exists K L", "rename K L", "smove K L m", "copy K L",
                     "sinterstore {K} {L}", "zinter 2 K L", "blpop K L 0.01", "lmove K L left left",
                     "bitop and K K L", "msetnx K 1 L 2", "lcs K L", "watch K L", "touch K L", "pfcount",
                     "sunion K L", "sort K store L", "lmpop 2 K L left", "zmpop 2 K L min", "ssubscribe {K} {L}"):
            rows.append(text.replace("K", first).replace("L", second))
            if text.startswith("ssub"):
                rows.append("sunsubscribe")
    rows = [row for row in rows if not row.startswith(("ssubscribe", "sunsubscribe", "pfcount", "georadius", "eval",
                                                       "debug", "randomkey"))]
    pair.table(rows)
    transactions = [
        ["multi", "get " + a, "get " + a, "exec"],
        ["multi", "get " + a, "get " + x, "exec"],
        ["multi", "get " + x, "exec"],
        ["multi", "set %s 1" % a, "set %s 2" % b, "exec"],
        ["multi", "ping", "exec"],
        ["multi", "exec"],
        ["multi", "mget %s %s" % (a, x), "discard"],
        ["multi", "watch " + x, "discard"],
        ["multi", "spublish %s m" % a, "exec"],
        ["multi", "get " + nobody, "exec"],
        ["multi", "asking", "get " + a, "exec"],
        ["exec", "discard"],
        ["watch " + a, "multi", "get " + a, "set %s 9" % b, "exec", "get " + a],
        ["asking", "get " + x, "asking", "asking", "get " + x, "asking", "ping", "get " + x, "readonly", "get " + x,
         "readwrite", "get " + x],
        ["hello 3", "get " + x, "mget %s %s" % (a, x), "cluster slots", "cluster shards", "hello 2"],
        ["reset", "get " + x],
    ]
    for rows in transactions:
        pair.table(rows)
        pair.again()
    pair.table(["ssubscribe " + a, "get " + a, "ssubscribe " + x, "sunsubscribe " + a, "get " + x])
    pair.again()
    pair.table(["info cluster", "cluster slots", "cluster shards", "cluster myid", "swapdb 0 1", "select 0",
                ("cluster", "replicas", second_id), ("cluster", "replicas", first_id),
                ("cluster", "count-failure-reports", second_id), "client no-evict on", "cluster countkeysinslot 0",
                ("cluster", "setslot", "1", "migrating", first_id), ("cluster", "setslot", "1", "importing", second_id),
                ("cluster", "setslot", str(HALF), "importing", first_id),
                ("cluster", "setslot", str(HALF), "migrating", second_id), "cluster flushslots",
                ("cluster", "replicate", second_id), "cluster reset", "cluster addslots %d" % HALF])


@case(kinds=OURS, limit_s=90)
def test_where_clients_are_sent(lab):
    """Addresses, host names and nothing, as the setting wants it; announced ports."""
    pair = Pair(lab, cluster_require_full_coverage="no")
    pair.join()
    x = keys_of(HALF, 16383, 1)[0]
    rows = ["get " + x, "cluster slots", "cluster shards", "mget %s %s" % (x, x)]
    kinds = ("ip", "hostname", "unknown-endpoint")
    for kind in kinds:
        pair.both(0, "config", "set", "cluster-preferred-endpoint-type", kind)
        pair.table(rows)
    for which in (0, 1):
        pair.both(which, "config", "set", "cluster-announce-hostname", "host%d.example" % which)
    for nodes in pair.clusters:
        wait_until(lambda n=nodes: "host1.example" in str(lines(n[0])), 20, "the name of the other is known")
    for kind in kinds + kinds[:1]:
        pair.both(0, "config", "set", "cluster-preferred-endpoint-type", kind)
        pair.table(rows)
        pair.table(["hello 3"] + rows + ["hello 2"])
    pair.table(["config set cluster-announce-hostname not_a_name", "config set cluster-announce-hostname -x",
                "config set cluster-node-timeout -1", "config set cluster-preferred-endpoint-type x"])
    pair.both(1, "config", "set", "cluster-announce-port", "7777")
    for nodes in pair.clusters:
        wait_until(lambda n=nodes: ":7777@" in str(lines(n[0])), 20, "the other's port is known")
    pair.table(rows)


@case(kinds=OURS, limit_s=90)
def test_open_slots(lab):
    """A slot on its way out and one on its way in: present keys, missing keys, some of both."""
    pair = Pair(lab, cluster_require_full_coverage="no")
    pair.join()
    out, coming = keys_of(0, HALF, 1)[0], keys_of(HALF, 16383, 1)[0]
    rows = ["set {%s}1 1" % out, "set {%s}2 2" % out]
    pair.table(rows)
    pair.both(0, "cluster", "setslot", key_slot(out.encode()), "migrating", second_id)
    pair.both(0, "cluster", "setslot", key_slot(coming.encode()), "importing", second_id)
    rows = []
    for k in (out, coming):
        for prefix in ("", "asking"):
            for text in ("get {K}1", "get {K}9", "set {K}9 1", "mget {K}1 {K}2", "mget {K}1 {K}9", "mget {K}8 {K}9",
                         "del {K}9", "del {K}1 {K}9", "mset {K}7 1", "mset {K}5 1 {K}6 2", "exists {K}1 {K}1",
                         "exists {K}4 {K}4", "copy {K}1 {K}3", "spublish {K} m", "restore-asking {K}4 0 x",
                         "migrate 127.0.0.1 1 {K}9 0 10", "watch {K}9", "unwatch", "object encoding {K}9",
                         "append {K}9 x"):
                if prefix:
                    rows.append(prefix)
                rows.append(text.replace("K", k))
    pair.table(rows)
    for rows in (["multi", "get {%s}1" % out, "get {%s}9" % out, "exec"],
                 ["multi", "get {%s}1" % out, "get {%s}2" % out, "exec"],
                 ["asking", "multi", "set {%s}1 x" % coming, "exec"],
                 ["multi", "asking", "set {%s}1 x" % coming, "exec"],
                 ["asking", "multi", "set {%s}1 x" % coming, "get {%s}2" % coming, "exec", "get {%s}1" % coming]):
        pair.table(rows)
        pair.again()
    pair.table([("cluster", "setslot", str(key_slot(out.encode())), "node", second_id),
                "cluster countkeysinslot %d" % key_slot(out.encode()),
                "cluster setslot %d stable" % key_slot(out.encode()),
                "get {%s}9" % out])


@case(kinds=OURS, limit_s=90)
def test_cluster_that_is_down(lab):
    """The other node is gone: what is refused follows the settings."""
    pair = Pair(lab, cluster_allow_reads_when_down="no")
    pair.both(0, "cluster", "addslotsrange", 0, 16000)  # not all of them: the state is not well
    k = keys_of(0, 16000, 1)[0]
    nobody = keys_of(16001, 16384, 1)[0]
    rows = ["get " + k, "set %s 1" % k, "spublish %s m" % k, "get " + nobody, "mget %s %s" % (k, nobody), "publish a b",
            "ping", "dbsize", "keys *", "blpop %s 0.01" % k]
    pair.table(rows)
    for setting in ("cluster-allow-reads-when-down yes", "cluster-allow-pubsubshard-when-down no",
                    "cluster-require-full-coverage no"):
        pair.both(0, "config", "set", *setting.split())
        if "coverage" in setting:
            for nodes in pair.clusters:
                wait_until(lambda n=nodes[0]: info(n)["cluster_state"] == "ok", 20, "the state is well")
        pair.table(rows)


@case(kinds=OURS, limit_s=90)
def test_replica(lab):
    """What a replica serves, with READONLY and without; the commands that are for masters."""
    pair = Pair(lab, cluster_require_full_coverage="no")
    for first, second in pair.clusters:
        second.ok("CLUSTER", "ADDSLOTSRANGE", 0, 16382)
        meet(first, [second])
        wait_until(lambda f=first: info(f)["cluster_known_nodes"] == "2" and info(f)["cluster_state"] == "ok" and
                   "handshake" not in str(lines(f)), 20, "they know each other")
        wait_until(lambda f=first, s=second: f.call("CLUSTER", "REPLICATE", my_id(s)) == "OK", 20, "it may follow")
        wait_until(lambda f=first: f.info("replication").get("master_link_status") == "up", 20, "the replica is up")
        wait_until(lambda s=second: "slave" in str(lines(s)), 20, "the master knows its replica")
    k, other = keys_of(0, 16000, 2)
    nobody = next("n%d" % i for i in range(10**6) if key_slot(b"n%d" % i) == 16383)
    reads = ["get " + k, "mget %s %s" % (k, k), "mget %s %s" % (k, other), "get " + nobody, "exists " + k, "watch " + k,
             "unwatch", "spublish %s m" % k, "publish c m"]
    writes = ["set %s 1" % k, "del " + k, "lpush %s 1" % k, "blpop %s 0.01" % k, "getex " + k]
    pair.table(reads + writes + ["readonly"] + reads + writes + ["multi", "get " + k, "exec", "multi", "set %s 1" % k,
                                                                 "exec", "readwrite"] + reads + writes)
    pair.table(["cluster setslot 5 stable", "cluster setslot x stable",
                ("cluster", "replicas", first_id), ("cluster", "replicate", first_id),
                ("cluster", "forget", second_id), "cluster set-config-epoch 9",
                "cluster failover x", "cluster delslots 1", "cluster myid", "replicaof no one", "failover"])
    pair.again()
    pair.table(["ssubscribe " + k, "sunsubscribe " + k])
