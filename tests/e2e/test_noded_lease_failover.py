"""Shards whose masters the supervisors choose: promotion at an epoch, and that a node which was passed over, stopped,
killed or restarted executes no write."""
import os
import random
import threading
import time

from cases import case
from lab import RespError, encode, pairs, stays_true, wait_until
from lab.clusters import SLOTS, flags_of, info, lines, make_cluster, meet, my_id, wait_agreed
from lab.cutting_proxy import CuttingProxy
from lab.leases import LeaseKeepers
from test_noded_lease import NO_LEASE, TOO_LATE, Writer, is_refused, shard, supervised, wait_taken

OURS = ("ours",)
WAITS_S = 0.5  # for the next master, after a lease was given back


def wait_in_step(master, copies):
    """The replicas follow and have all that the master has; they may be promoted."""
    def in_step():
        offset = int(master.info("replication")["master_repl_offset"])
        for node in copies:
            fields = node.info("replication")
            assert fields["role"] == "slave" and fields["master_port"] == str(master.port), fields
            assert fields["master_link_status"] == "up" and int(fields["slave_repl_offset"]) >= offset, fields
        return True
    wait_until(in_step, 20, "the replicas are in step")


def wait_promotable(keepers, *nodes):
    """A replica may be chosen when it knows what its master has promised."""
    for node in nodes:
        keepers.wait_answer(node, lambda said: said["state_known"] == 1 and said["link"] == "up",
                            "%s may be promoted" % node.name)


def wait_follows(node, master, timeout_s=20):
    def follows():
        fields = node.info("replication")
        return fields["role"] == "slave" and fields["master_port"] == str(master.port) and \
            fields["master_link_status"] == "up"
    wait_until(follows, timeout_s, "%s follows %s" % (node.name, master.name))


def wait_stopped(node):
    """SIGSTOP has arrived."""
    def stopped():
        with open("/proc/%d/stat" % node.pid, encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"
    wait_until(stopped, 20, "%s is stopped" % node.name, every_s=0.001)


def shard_behind_proxies(lab):
    """A master and its replica whose bus goes through proxies, and the proxies."""
    proxies, nodes = [], []
    for name in ("master", "replica"):
        port = lab.ports.take()
        proxies.append(CuttingProxy(lab, port))
        nodes.append(lab.node(name, cluster_enabled="yes", cluster_node_timeout=15000, cluster_port=port,
                              cluster_announce_bus_port=proxies[-1].port, repl_diskless_sync_delay=0))
    master, replica = nodes
    master.ok("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
    master.ok("CLUSTER", "SET-CONFIG-EPOCH", 1)
    meet(master, [replica])
    wait_until(lambda: all(info(n)["cluster_known_nodes"] == "2" for n in nodes), 20, "they know each other")
    wait_until(lambda: replica.call("CLUSTER", "REPLICATE", my_id(master)) == "OK", 20, "it follows")
    wait_agreed(nodes)
    return master, replica, proxies


def supervise(keepers, master, copies):
    keepers.keep("a", master, copies)
    wait_until(lambda: all(keepers.answer(node).get("supervised") for node in (master, *copies)), 20,
               "the nodes are supervised")
    wait_in_step(master, copies)
    wait_promotable(keepers, *copies)
    wait_taken(master)


@case(kinds=OURS, matrix=[("heard",), ("cut",)], limit_s=60)
def test_stopped_and_continued(lab, bus):
    """A master is stopped with writes and leases unread in its sockets, another one is promoted meanwhile: continued,
    the old one executes none of the writes, whether or not it hears of its successor, and becomes a replica."""
    master, copy, proxies = shard_behind_proxies(lab)
    keepers = LeaseKeepers(lab)
    supervise(keepers, master, [copy])
    with master.connect(timeout_s=30) as sleeper, master.connect(timeout_s=30) as early, \
            master.connect(timeout_s=30) as late, master.connect(timeout_s=30) as many:
        for client in (early, late, many):
            client.ok("PING")
        sleeper.send_raw(encode("DEBUG", "SLEEP", 3))  # longer than this test may stand still before it stops the node
        wait_until(lambda: is_busy(master), 20, "it sleeps", every_s=0.001)
        early.send_raw(encode("SET", "early", 1))  # it is in the socket when the process is stopped
        many.send_raw(encode("MULTI") + encode("SET", "{m}1", 1) + encode("SET", "{m}2", 1) + encode("EXEC"))
        master.pause()
        wait_stopped(master)
        late.send_raw(encode("SET", "late", 1))
        sent = keepers.answers(master)
        for proxy in proxies if bus == "cut" else ():
            proxy.refuse = True
            proxy.cut()
        reply = keepers.promote(copy, 10, [master])
        assert reply == "OK", reply
        wait_taken(copy)
        assert time.monotonic() > keepers.granted_until(master), "two nodes of a shard hold leases"
        assert copy.ok("SET", "new", 1) == "OK"
        master.resume()
        assert sleeper.read() == "OK"
        replies = [early.read(), late.read()] + [many.read() for _ in range(4)]
        for reply in (replies[0], replies[1], replies[5]):
            assert isinstance(reply, RespError), replies
            assert is_refused(reply) or bus == "heard" and str(reply).startswith(("MOVED ", "EXECABORT ")), replies
        if bus == "cut":
            stays_true(lambda: is_refused(master.call("SET", "k", 1)), 1.0, "it is never leased", every_s=0.005)
            assert info(master)["cluster_my_epoch"] == "1"
            for proxy in proxies:
                proxy.refuse = False
    wait_follows(master, copy)
    wait_until(lambda: keepers.answers(master) > sent, 20, "it has answered what was unread")
    for key in ("early", "late", "{m}1", "{m}2"):
        assert copy.ok("EXISTS", key) == 0, key
    assert copy.ok("GET", "new") == "1"
    assert info(copy)["cluster_my_epoch"] == "10"


@case(kinds=OURS, limit_s=60)
def test_cut_off(lab):
    """A master that neither supervisors nor the bus reach, while clients do: it stops to write before the other begins,
    and follows when it hears of it."""
    master, copy, proxies = shard_behind_proxies(lab)
    keepers = LeaseKeepers(lab)
    supervise(keepers, master, [copy])
    writers = [Writer(lab, node, name, pause_s=0.001) for node, name in ((master, "old"), (copy, "new"))]
    wait_until(lambda: len(writers[0].taken) > 50, 20, "it is written to")
    for proxy in proxies:
        proxy.refuse = True
        proxy.cut()
    mine = keepers.id_of(master)
    keepers.unwatch(master)
    assert keepers.promote(copy, 10, [mine]) == "OK"
    wait_until(lambda: len(writers[1].taken) > 50, 20, "the new master is written to")
    before = len(writers[0].refused)
    wait_until(lambda: len(writers[0].refused) > before + 50, 20, "the old one refuses")
    assert is_refused(master.call("SET", "k", 1))
    assert master.ok("GET", "old:1") == "1"  # reads go on
    for proxy in proxies:
        proxy.refuse = False
    wait_follows(master, copy)
    for writer in writers:
        writer.stop()
    # An answer may be read late: what counts is when it was sent.
    assert max(sent for _, sent, _ in writers[0].taken) <= min(answered for _, _, answered in writers[1].taken)
    with copy.connect() as client:
        assert all(client.ok("GET", writers[1].key(x[0])) == str(x[0]) for x in writers[1].taken)


def is_busy(node):
    """It does not answer within some milliseconds: its one thread sleeps."""
    with open("/proc/%d/task/%d/wchan" % (node.pid, node.pid), encoding="ascii") as f:
        return "nanosleep" in f.read()


@case(kinds=OURS, limit_s=60)
def test_stopped_without_a_successor(lab):
    """Nobody was promoted: it takes writes when it has heard new leases, and never before."""
    master, _, keepers = supervised(lab, replicas=0)
    with master.connect(timeout_s=30) as client:
        client.ok("PING")
        master.pause()
        wait_stopped(master)
        client.send_raw(encode("SET", "k", 1))
        keepers.hold(0, 1, 2)  # they go on with what they know: stamps of the time before
        until = time.monotonic() + keepers.ttl_ms / 1000
        wait_until(lambda: time.monotonic() > until, 10, "what these stamps give is over")
        master.resume()
        assert is_refused(client.read())
        stays_true(lambda: is_refused(client.call("SET", "k", 1)), 1.0, "no write is executed", every_s=0.005)
        keepers.release(0, 1, 2)
        wait_taken(master)


@case(kinds=OURS, limit_s=60)
def test_killed_and_restarted(lab):
    """With its nodes.conf of before it takes no write, whoever was promoted meanwhile, and follows that one."""
    master, copies, keepers = supervised(lab)
    master.ok("SET", "k", "before")
    wait_in_step(master, copies)
    wait_promotable(keepers, *copies)
    mine = keepers.id_of(master)
    keepers.unwatch(master)
    master.kill9()
    with open(os.path.join(master.directory, "nodes.conf"), "rb") as f:
        before = f.read()
    assert keepers.promote(copies[0], 7, [mine]) == "OK"
    wait_taken(copies[0])
    assert copies[0].ok("GET", "k") == "before"
    with open(os.path.join(master.directory, "nodes.conf"), "wb") as f:
        f.write(before)
    master.start()
    seen = []

    def follows():
        reply = master.call("SET", "k", "after")
        seen.append(str(reply))
        assert reply != "OK"
        return str(reply).startswith("MOVED ")
    wait_until(follows, 20, "it has heard of its successor", every_s=0.001)
    assert all(reply.startswith(("MOVED ", "CLUSTERDOWN ", "LOADING ")) for reply in seen), seen
    wait_follows(master, copies[0])
    assert copies[0].ok("GET", "k") == "before"
    # Alone with itself it takes none either.
    copies[0].pause()
    master.kill9()
    with open(os.path.join(master.directory, "nodes.conf"), "wb") as f:
        f.write(before)
    master.start()
    master.wait_ready()
    stays_true(lambda: is_refused(master.call("SET", "k", "alone")), 3.0, "it is never leased")
    copies[0].resume()
    wait_follows(master, copies[0])


@case(kinds=OURS)
def test_a_restarted_replica_may_be_promoted_at_once(lab):
    """Its master tells it that it counts when the link is up again, and not when a PING is due, after half of the node
    timeout: nobody could take the place of a master that dies before. It ends at SIGTERM, whatever its file is at."""
    master, copies, keepers = supervised(lab, appendonly="yes", cluster_node_timeout=30000)
    for _ in range(4):
        wait_in_step(master, copies)
        keepers.wait_answer(copies[0], lambda said: said["state_known"] == 1, "it counts", 10)
        assert copies[0].terminate() == 0
        copies[0].start()
        copies[0].wait_ready()


@case(kinds=OURS, limit_s=90)
def test_no_election_of_its_own(lab):
    """Supervisors reach the masters only: replicas know by their master that they are supervised, and none stands or
    votes. Released it does, with no further word."""
    masters, copies = make_cluster(lab, ["ours"] * 3, [("ours", 0)], repl_diskless_sync_delay=0)
    keepers = LeaseKeepers(lab)
    for i, node in enumerate(masters):
        keepers.keep("shard%d" % i, node)
    wait_until(lambda: info(copies[0])["cluster_supervised"] == "1", 20, "the replica has inherited")
    for words, error in ((("FORCE",), "SENTINEL FAILOVER"), ((), "SENTINEL FAILOVER"),
                         (("TAKEOVER",), "CLUSTER RELEASE")):
        reply = copies[0].call("CLUSTER", "FAILOVER", *words)
        assert isinstance(reply, RespError) and error in str(reply), (words, reply)
    keepers.unwatch(masters[0])
    masters[0].kill9()
    wait_until(lambda: "fail" in flags_by_port(copies[0], masters[0].port), 20, "it is known to be down")
    stays_true(lambda: copies[0].info("replication")["role"] == "slave", 4.0, "it does not elect itself")
    wait_until(lambda: any(node.call("SET", "a", 1) == "OK" for node in masters[1:]), 20, "other shards go on")
    for node in masters[1:]:
        keepers.unwatch(node)
        assert node.ok("CLUSTER", "RELEASE") == "OK"
    assert copies[0].ok("CLUSTER", "RELEASE") == "OK"
    wait_until(lambda: copies[0].info("replication")["role"] == "master", 20, "it is elected")
    wait_until(lambda: info(copies[0])["cluster_state"] == "ok", 20, "all is well")


def flags_by_port(node, port):
    """What it says of another one, which need not run."""
    for line in node.ok("CLUSTER", "NODES").splitlines():
        words = line.split()
        if ":%d@" % port in words[1]:
            return words[2].split(",")
    return []


@case(kinds=OURS, limit_s=90)
def test_refused_takeovers(lab):
    """Compared before it is set: the epoch, the lineage, the data; and the words themselves."""
    masters, copies = make_cluster(lab, ["ours"] * 2, [("ours", 0), ("ours", 1)], repl_diskless_sync_delay=0)
    keepers = LeaseKeepers(lab)
    for i, node in enumerate(masters):
        keepers.keep("shard%d" % i, node, [copies[i]])
    wait_promotable(keepers, *copies)
    ids = [keepers.id_of(node) for node in masters]
    mine = info(masters[0])["cluster_my_epoch"]
    with copies[0].connect() as client:
        for words, error in (
                (("EPOCH", 9, "FROM"), "ERR syntax error"),
                (("EPOCH", 9, "OF", ids[0]), "ERR syntax error"),
                (("EPOCH", 9, "FROM", ids[0], "GRANTS"), "ERR syntax error"),
                (("EPOCH", 9, "FROM", ids[0], "GRANTS", keepers.speaker(0)), "ERR syntax error"),
                (("EPOCH", "x", "FROM", ids[0]), "ERR Invalid epoch"),
                (("EPOCH", 0, "FROM", ids[0]), "ERR Invalid epoch"),
                (("EPOCH", 2**64 - 1, "FROM", ids[0]), "ERR Invalid epoch"),
                (("EPOCH", 9, "FROM", ids[0] + ","), "ERR Invalid lineage"),
                (("EPOCH", 9, "FROM", ids[0][1:]), "ERR Invalid lineage"),
                (("EPOCH", 9, "FROM", ids[0], "GRANTS", "x", "0/a/1/1/1"), "ERR Invalid speaker"),
                (("EPOCH", 9, "FROM", ids[0], "GRANTS", keepers.speaker(0), "0/a/1/1"), "ERR Invalid grant"),
                (("EPOCH", 9, "FROM", ids[0], "GRANTS", "1:0:other:1", "0/a/1/1/1"), "STALESUPERVISORS "),
                (("EPOCH", mine, "FROM", ids[0]),
                 "ERR Epoch %s is not above %s, which %s claims" % (mine, mine, ids[0])),
                (("EPOCH", 9, "FROM", ids[1]), "ERR This node belongs to another shard: its master is %s" % ids[0])):
            reply = client.call("CLUSTER", "FAILOVER", "TAKEOVER", *words)
            assert isinstance(reply, RespError) and str(reply).startswith(error), (words, reply)
    assert copies[0].info("replication")["role"] == "slave"
    # One that never had the data of its master.
    masters[1].pause()
    new = lab.node("new", cluster_enabled="yes", cluster_port=lab.ports.take(), cluster_node_timeout=60000)
    bus = [w for w in masters[0].ok("CLUSTER", "NODES").split("\n") if "myself" in w][0].split()[1].split("@")[1]
    new.ok("CLUSTER", "MEET", "127.0.0.1", masters[0].port, bus.split(",")[0])
    wait_until(lambda: new.call("CLUSTER", "REPLICATE", ids[1]) == "OK", 20, "it follows the stopped master")
    assert "never had the data" in str(keepers.takeover(new, 9, [ids[1]]))
    masters[1].resume()
    # What was done already is well, with other grants too; the next one must be above.
    grants = keepers.ballot(copies[0], 12)
    assert keepers.takeover(copies[0], 12, [ids[0]], grants) == "OK"
    assert keepers.takeover(copies[0], 12, [ids[0]], grants) == "OK"
    wait_until(lambda: lines(masters[0])[my_id(copies[0])][6] == "12", 20, "the old master has heard of it")
    assert "is not above 12" in str(keepers.takeover(copies[0], 11, [ids[0]], grants))
    assert "is not above 12" in str(keepers.takeover(masters[0], 12, [ids[0]]))
    wait_follows(masters[0], copies[0])
    assert str(keepers.takeover(masters[0], 13, [ids[0]])).startswith("ERR This node belongs to another shard"), \
        "its master is not named"
    wait_until(lambda: info(copies[0])["cluster_my_epoch"] == "12", 20, "the epoch is that of the ballot")


@case(kinds=OURS, limit_s=60)
def test_an_unsupervised_shard_is_taken_over(lab):
    """The grants of a majority adopt it with the promotion."""
    master, copies = shard(lab)
    wait_in_step(master, copies)
    mine = my_id(master)
    keepers = LeaseKeepers(lab)
    # One that asks is no majority: nothing is adopted by it.
    probe = ("CLUSTER", "LEASE", "0" * 40, keepers.speaker(0), keepers.ttl_ms, 0)
    wait_until(lambda: pairs(copies[0].ok(*probe))["state_known"] == 1, 20, "the replica may be promoted")
    assert pairs(copies[0].ok(*probe))["supervised"] == 0
    master.kill9()
    keepers.keep("a", copies[0])
    wait_until(lambda: keepers.all_know(copies[0]), 20, "they have its stamps")
    assert keepers.answer(copies[0])["role"] == "replica"
    reply = keepers.promote(copies[0], 5, [mine])
    assert reply == "OK", reply
    wait_taken(copies[0])
    fields = info(copies[0])
    assert (fields["cluster_supervised"], fields["cluster_my_epoch"]) == ("1", "5"), fields


@case(kinds=OURS, limit_s=60)
def test_an_incumbent_at_a_higher_epoch(lab):
    """A ballot that names the master that there is: its epoch goes up by the word, and by no grants alone."""
    master, copies, keepers = supervised(lab, ttl_ms=3000)
    assert keepers.promote(master, 8, [master]) == "OK"
    assert info(master)["cluster_my_epoch"] == "8"
    wait_taken(master)
    assert "lease has ended" not in master.log()
    keepers.follow("a", master, 11)
    wait_until(lambda: is_refused(master.call("SET", "k", 1)), 20,
               "what is granted at an epoch that it lacks is nothing")
    assert info(master)["cluster_my_epoch"] == "8"
    assert keepers.promote(master, 11, [master]) == "OK"
    wait_taken(master)
    assert info(master)["cluster_my_epoch"] == "11"
    wait_agreed([master, *copies])


@case(kinds=OURS, limit_s=120)
def test_a_chain_of_failovers(lab):
    """Each master is killed, and the next one promoted; what was acknowledged and had reached the replicas is there in
    the end, and so are all nodes."""
    master, copies, keepers = supervised(lab, replicas=2)
    nodes, lineage, epoch = [master, *copies], [keepers.id_of(master)], 10
    wait_agreed(nodes)
    for round_number in range(4):
        assert master.ok("SET", "round:%d" % round_number, round_number) == "OK"
        others = [node for node in nodes if node is not master]
        wait_in_step(master, others)
        wait_promotable(keepers, *others)
        master.kill9()
        new = others[round_number % 2]
        epoch += 3
        assert keepers.promote(new, epoch, lineage) == "OK"
        lineage.insert(0, keepers.id_of(new))
        wait_taken(new)
        master.start()
        master.wait_ready()
        for node in nodes:
            if node is not new:
                wait_follows(node, new)
        master = new
    wait_agreed(nodes)
    assert info(master)["cluster_my_epoch"] == str(epoch)
    assert [master.ok("GET", "round:%d" % i) for i in range(4)] == ["0", "1", "2", "3"]


@case(kinds=OURS, limit_s=60)
def test_a_lease_given_back(lab):
    """A planned switch: the old master's last word has the offset behind all that it executed; the new one begins at
    once, and nothing that was acknowledged is lost."""
    master, copies, keepers = supervised(lab, ttl_ms=6000)
    wait_in_step(master, copies)
    wait_promotable(keepers, *copies)
    writer = Writer(lab, master)
    wait_until(lambda: len(writer.taken) > 100, 20, "it is written to")
    began = time.monotonic()
    reply = keepers.give_back(master, 20)
    offset = dict(zip(reply[::2], reply[1::2]))
    assert (offset["lease_ms"], offset["grants"]) == (0, 0)
    wait_until(lambda: int(copies[0].info("replication")["slave_repl_offset"]) >= offset["offset"], 20,
               "the replica has all", every_s=0.001)
    assert keepers.promote(copies[0], 20, [master]) == "OK"
    wait_taken(copies[0])
    took = time.monotonic() - began
    assert took < keepers.ttl_ms / 1000, "it waited for a lease that was given back: %g s" % took
    wait_until(lambda: any(str(x[3]).startswith("MOVED ") for x in writer.refused), 20, "the writer is sent elsewhere")
    writer.stop()
    sent_on = [answered for _, _, answered, reply in writer.refused if str(reply).startswith("MOVED ")]
    # Writes wait only so long for the next master, and a busy machine may take longer until it is known.
    in_time = sent_on[0] - began < WAITS_S
    errors = [str(x[3]) for x in writer.refused if not str(x[3]).startswith("MOVED ")]
    if errors and errors[0].startswith(TOO_LATE):  # the one that the node read in the same moment as that word
        del errors[0]
    assert not errors or not in_time and all(x.startswith(NO_LEASE) for x in errors), errors[:3]
    wait_follows(master, copies[0])
    with copies[0].connect() as client:
        lost = [n for n, _, _ in writer.taken if client.ok("GET", writer.key(n)) != str(n)]
    assert not lost, (len(writer.taken), lost[:5])
    # No grant of an epoch below 20 counts at the old one, whenever it comes.
    assert "is not above 20" in str(keepers.takeover(master, 19, [copies[0], master]))


@case(kinds=OURS, limit_s=60)
def test_given_back_and_refused(lab):
    """Nobody was promoted: with a ballot's word at the epoch that it was given back for grants count again."""
    master, _, keepers = supervised(lab, replicas=0)
    began = time.monotonic()
    assert isinstance(keepers.give_back(master, 5), list)
    assert is_refused(master.call("SET", "k", 1))
    assert time.monotonic() - began >= 0.4, "it did not wait for the next master"
    with keepers.lock:
        for one in keepers.all:
            one.epoch["a"], one.grantee["a"] = 4, master
    stays_true(lambda: is_refused(master.call("SET", "k", 1)), 1.5, "grants of an older epoch count for nothing")
    assert keepers.promote(master, 5, [master]) == "OK"
    wait_taken(master)
    assert info(master)["cluster_my_epoch"] == "5"
    master.kill9()  # the floor is on the disk
    master.start()
    master.wait_ready()
    wait_taken(master)


@case(kinds=OURS, limit_s=60)
def test_released_by_a_majority(lab):
    """Two of three supervisors say so, within a minute: until then nothing changes, and then at once."""
    master, copies, keepers = supervised(lab, ttl_ms=3000)
    words = [("CLUSTER", "RELEASE", one.id, keepers.speaker(i)) for i, one in enumerate(keepers.all)]
    for _ in range(2):
        assert master.ok(*words[0]) == "OK"
    assert info(master)["cluster_supervised"] == "1" and master.ok("SET", "k", 1) == "OK"
    for node in (master, *copies):
        keepers.unwatch(node)
    assert master.ok(*words[2]) == "OK"
    for node in (master, *copies):
        wait_until(lambda n=node: info(n)["cluster_supervised"] == "0", 20, "%s is released" % node.name)
    assert master.ok("SET", "k", 2) == "OK"


@case(kinds=OURS, limit_s=60)
def test_its_master_is_elsewhere(lab):
    """The master comes back at another address, where its replica cannot log in. What the replica has of it is still
    its data: it may be promoted."""
    master, copies, keepers = supervised(lab)
    wait_in_step(master, copies)
    wait_promotable(keepers, *copies)
    mine = keepers.id_of(master)
    keepers.unwatch(master)
    master.kill9()
    master.port, master.password = lab.ports.take(), "secret"
    master.argv[master.argv.index("--port") + 1] = str(master.port)
    master.argv += ["--requirepass", "secret"]
    master.start()
    master.wait_ready()
    wait_until(lambda: copies[0].info("replication")["master_port"] == str(master.port), 20, "it follows it there")
    wait_until(lambda: "refuses" in copies[0].log() or "NOAUTH" in copies[0].log(), 20, "it cannot log in")
    keepers.wait_answer(copies[0], lambda said: said["state_known"] == 1, "its master has spoken on the bus")
    assert copies[0].info("replication")["master_link_status"] == "down"
    reply = keepers.promote(copies[0], 50, [mine])
    assert reply == "OK", reply
    wait_taken(copies[0])
    assert copies[0].ok("GET", "first") == "1"


class Promotions:
    """Who was promoted when. A write's term is that of the last promotion that its node could have been under, which is
    one from before its answer; for certain it was under one from before it was sent. An answer may be read late."""

    def __init__(self, first):
        self.begun = [(time.monotonic(), first)]

    def term(self, node, answered):
        return max((i for i, (at, of) in enumerate(self.begun) if of is node and at <= answered), default=-1)


def check_one_writer(writers, promotions):
    """No write of an earlier term was begun behind the answer to one of a later term."""
    writes = [(sent, answered, promotions.term(w.node, answered), promotions.term(w.node, sent))
              for w in writers for _, sent, answered in w.taken]
    writes.sort(key=lambda x: x[1])
    done = []  # (answered, the highest term until then)
    highest = -1
    for _, answered, _, begun in writes:
        highest = max(highest, begun)
        done.append((answered, highest))
    at, reached = 0, -1
    for sent, answered, term, _ in sorted(writes):
        while at < len(done) and done[at][0] < sent:
            reached = done[at][1]
            at += 1
        assert term >= reached, "a write of term %d at %f..%f behind one of term %d" % (term, sent, answered, reached)


@case(kinds=OURS, limit_s=120)
def test_two_masters_never_write(lab):
    """Masters are stopped, continued, killed and cut off from supervisors while others are promoted, and all nodes are
    written to all the time: no two execute writes at one time, and in the end one history is everybody's."""
    rng = random.Random(os.getpid())
    master, copies, keepers = supervised(lab, replicas=2, ttl_ms=1000)
    nodes, lineage, epoch = [master, *copies], [keepers.id_of(master)], 10
    promotions = Promotions(master)
    writers = [Writer(lab, node, "w%d" % i, pause_s=0.001) for i, node in enumerate(nodes)]
    for round_number in range(5):
        others = [node for node in nodes if node is not master]
        for node in others:
            wait_follows(node, master)
        wait_in_step_enough(master, others)
        wait_promotable(keepers, *others)
        fault = ["stop", "stop", "deaf", "kill", "nothing"][(round_number + os.getpid()) % 5]
        if fault == "stop":
            master.pause()
        elif fault == "kill":
            master.kill9()
        elif fault == "deaf":
            keepers.pause(rng.randrange(3))
        new, epoch = rng.choice(others), epoch + rng.randint(1, 3)
        # A stopped master may be continued at any time: before, while and after the other begins.
        wake_at = time.monotonic() + rng.uniform(0, 2 * keepers.ttl_ms / 1000)
        waker = threading.Timer(max(0, wake_at - time.monotonic()), master.resume if fault == "stop" else lambda: None)
        waker.start()
        promotions.begun.append((time.monotonic(), new))
        reply = keepers.promote(new, epoch, lineage)
        assert reply == "OK", (fault, reply)
        lineage.insert(0, keepers.id_of(new))
        index = nodes.index(new)
        before = len(writers[index].taken)
        wait_until(lambda i=index, n=before: len(writers[i].taken) > n + 20, 20, "the new master is written to")
        waker.join()
        keepers.resume(0, 1, 2)
        keepers.follow("a", new, epoch)
        if fault == "kill":
            master.start()
            master.wait_ready()
        master = new
    for node in nodes:
        if node is not master:
            wait_follows(node, master)
    for writer in writers:
        writer.stop()
    check_one_writer(writers, promotions)
    for writer in writers:
        assert all(isinstance(x[3], (RespError, OSError)) for x in writer.refused)
    assert flags_of(master, master)[-1] == "master"
    # Some that were acknowledged by a master which was passed over are gone, as replication is; not those of the last.
    with master.connect() as client:
        last = max(at for at, _ in promotions.begun)
        kept = writers[nodes.index(master)]
        lost = [n for n, sent, _ in kept.taken if sent > last and client.ok("GET", kept.key(n)) != str(n)]
    assert not lost, lost[:5]


def wait_in_step_enough(master, others):
    """While it is written to offsets run; the links are up and little is missing."""
    def near():
        offset = int(master.info("replication")["master_repl_offset"])
        return all(offset - int(node.info("replication")["slave_repl_offset"]) < 100000 for node in others)
    wait_until(near, 20, "the replicas are near")
