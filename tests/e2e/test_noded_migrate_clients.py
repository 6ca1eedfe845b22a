"""Several migrations at once, and what clients do over a hand-over: transactions, blocked requests, shard channels.
Writers wait, and get no error."""
from cases import case
from lab import encode, wait_until
from lab.clusters import key_in, lines, my_id
from lab.migrating import SLOTS, Cluster, Writer, jobs, wait_job

OURS = ("ours",)
OTHERS = (5600, 5700)  # of the second shard


def finish(cluster, said, *writers):
    for writer in writers:
        writer.wait_more(5)
    for writer in writers:
        writer.halt()
        assert not writer.errors, writer.errors[:3]
    cluster.settle()
    cluster.assert_data(said, *writers)
    print("the longest write took %.0f ms" % (1000 * max(w.longest_s for w in writers)))


@case(kinds=OURS, limit_s=90)
def test_to_two_targets(lab):
    """Two jobs of one request."""
    cluster = Cluster(lab)
    one, two, three = [shard[0] for shard in cluster.shards]
    said = cluster.fill(one)
    writer = Writer(cluster)
    writer.wait_more(5)
    assert one.ok("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 100, 110, "NODE", my_id(two), "SLOTSRANGE", 111, 119, "NODE",
                  my_id(three)) == "OK"
    for job in jobs(one).values():
        if wait_job(one, job["name"], "success", "failed")["state"] == "failed":
            to = two if job["target_node"] == my_id(two) else three
            cluster.complete(one, (to,) + tuple(job["slot_ranges"].split("-")))
    finish(cluster, said, writer)
    assert cluster.owner_shard(100) == 1 and cluster.owner_shard(119) == 2


@case(kinds=OURS, limit_s=90)
def test_from_two_sources(lab):
    """To one target, which takes both."""
    cluster = Cluster(lab)
    one, two, three = [shard[0] for shard in cluster.shards]
    said = {**cluster.fill(one), **cluster.fill(two, OTHERS)}
    writers = [Writer(cluster), Writer(cluster, OTHERS)]
    for writer in writers:
        writer.wait_more(5)
    first = cluster.move(one, three)
    cluster.complete(two, (three, 5600, 5700))
    if wait_job(one, first, "success", "failed")["state"] == "failed":
        cluster.complete(one, (three,))
    finish(cluster, said, *writers)
    assert cluster.owner_shard(100) == cluster.owner_shard(5700) == 2


@case(kinds=OURS, limit_s=90)
def test_all_slots_of_a_master(lab):
    """To two others; its shard has nothing left, and each of its nodes follows whom it saw take the last of it."""
    cluster = Cluster(lab)
    one, two, three = [shard[0] for shard in cluster.shards]
    said = cluster.fill(one)
    writer = Writer(cluster)
    writer.wait_more(5)
    cluster.complete(one, (two, 0, 2000), (three, 2001, 5460))
    writer.wait_more(5)
    writer.halt()
    assert not writer.errors, writer.errors[:3]

    def followed():
        for node in cluster.shards[0]:
            role = node.ok("ROLE")
            assert role[0] == "slave" and role[3] == "connected", role
        return True
    wait_until(followed, 20, "the nodes of the empty shard follow another")
    follows = {node: lines(node)[my_id(node)][3] for node in cluster.shards[0]}
    cluster.shards = [shard + [node for node, master in follows.items() if master == my_id(shard[0])]
                      for shard in cluster.shards[1:]]
    assert sum(map(len, cluster.shards)) == len(cluster.nodes), follows
    cluster.settle()
    cluster.assert_data(said, writer)
    assert cluster.owner_shard(0) == 0 and cluster.owner_shard(5000) == 1


@case(kinds=OURS, limit_s=90)
def test_requests_over_a_hand_over(lab):
    """Those that come while writes wait are answered when it is known who has the slots; those that waited before are
    sent to the new owner."""
    cluster = Cluster(lab)
    for _ in range(5):
        if over_a_hand_over(cluster):
            break
        cluster.settle()
    else:
        raise AssertionError("the source never waits for the target to have the slots")
    cluster.settle()


def over_a_hand_over(cluster):
    """False: while this stood still the source has asked the target what became of the grant, and has the slots."""
    source, target = cluster.shards[0][0], cluster.shards[1][0]
    tag = key_in(SLOTS[0])
    moved = "MOVED %d 127.0.0.1:%d" % (SLOTS[0], cluster.proxies[target.name].port)
    source.ok("SET", tag + "n", 1)
    clients = {who: source.connect(timeout_s=20) for who in
               ("blocked", "channel", "unit", "reader", "late", "other")}
    clients["blocked"].send_raw(encode("BLPOP", tag + "list", 0))
    clients["channel"].send_raw(encode("SSUBSCRIBE", tag + "channel"))
    assert clients["channel"].read() == ["ssubscribe", tag + "channel", 1]
    assert clients["unit"].ok("MULTI") == "OK" and clients["unit"].ok("INCR", tag + "n") == "QUEUED"
    wait_until(lambda: source.info("clients")["blocked_clients"] == "1", 15, "it waits")
    proxy, name = cluster.move_to("grant")
    # The target has not heard of the grant. Writes to these slots wait; nothing else does.
    clients["unit"].send_raw(encode("EXEC"))
    clients["late"].send_raw(encode("INCR", tag + "n"))
    assert clients["reader"].ok("GET", tag + "n") == "1"
    assert clients["other"].ok("SET", key_in(200), "x") == "OK"
    proxy.release()
    if wait_job(source, name, "success", "failed")["state"] == "failed":
        for client in clients.values():
            client.close()
        return False
    answers = {who: clients[who].read() for who in ("unit", "late", "blocked")}
    gone = clients["channel"].read()
    assert gone == ["sunsubscribe", tag + "channel", 0], gone
    assert {str(answer) for answer in answers.values()} == {moved}, answers
    assert target.ok("GET", tag + "n") == "1" and target.ok("INCR", tag + "n") == 2
    for client in clients.values():
        client.close()
    return True


@case(kinds=OURS, limit_s=90)
def test_requests_over_a_rollback(lab):
    """Those that came while writes waited are done by the source, once, in the order of each client."""
    cluster = Cluster(lab)
    source = cluster.shards[0][0]
    tag = key_in(SLOTS[0])
    with source.connect(timeout_s=20) as blocked, source.connect(timeout_s=20) as client:
        blocked.send_raw(encode("BLPOP", tag + "list", 0))
        wait_until(lambda: source.info("clients")["blocked_clients"] == "1", 15, "it waits")
        proxy, name = cluster.move_to("drain")
        client.send_raw(encode("INCR", tag + "n") + encode("MULTI") + encode("INCR", tag + "n") + encode("EXEC") +
                        encode("RPUSH", tag + "list", "a", "b"))
        proxy.drop()
        assert [client.read() for _ in range(5)] == [1, "OK", "QUEUED", [2], 2]
        assert blocked.read() == [tag + "list", "a"]
    wait_job(source, name, "failed")
    cluster.settle()
    assert cluster.assert_job(name) == 0
