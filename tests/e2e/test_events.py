"""What is published: the exact payloads, and the order during a failover."""
import re

from cases import case
from lab import wait_until

ID = "[0-9a-f]{40}"
ADDR = r"127\.0\.0\.1 \d+"
MASTER = r"master mymaster " + ADDR
OF = " @ mymaster " + ADDR
REPLICA = r"slave 127\.0\.0\.1:(\d+) 127\.0\.0\.1 \1" + OF
PEER = "sentinel %s %s%s" % (ID, ADDR, OF)
ANY = "(%s|%s|%s)" % (MASTER, REPLICA, PEER)

# Event -> the whole of its payload.
GRAMMAR = {
    "+monitor": MASTER + r" quorum \d+", "-monitor": MASTER, "+reset-master": MASTER, "+set": MASTER + r" \S+ \S+",
    "+sdown": ANY.replace(r"\1", r"\2"), "-sdown": ANY.replace(r"\1", r"\2"),
    "+odown": MASTER + r" #quorum \d+/\d+", "-odown": MASTER,
    "+new-epoch": r"\d+", "+try-failover": MASTER, "+vote-for-leader": ID + r" \d+", "+elected-leader": MASTER,
    "-failover-abort-not-elected": MASTER, "+failover-state-select-slave": MASTER,
    "-failover-abort-no-good-slave": MASTER, "+selected-slave": REPLICA, "-failover-abort-slave-timeout": MASTER,
    "+promoted-slave": REPLICA, "+failover-state-reconf-slaves": MASTER, "+failover-end-for-timeout": MASTER,
    "+failover-end": MASTER, "+switch-master": r"mymaster %s %s" % (ADDR, ADDR), "+config-update-from": PEER,
    "+slave": REPLICA, "+sentinel": PEER, "+reboot": "(%s|%s)" % (MASTER, REPLICA.replace(r"\1", r"\2")),
    "+convert-to-slave": REPLICA, "+fix-slave-config": REPLICA, "+failover-state-send-slaveof-noone": REPLICA,
    "+failover-state-wait-promotion": REPLICA, "+slave-reconf-sent": REPLICA, "+slave-reconf-inprog": REPLICA,
    "+slave-reconf-done": REPLICA, "+slave-reconf-sent-be": REPLICA, "-slave-reconf-sent-timeout": REPLICA,
    "+role-change": "(%s|%s) new reported role is (master|slave)" % (MASTER, REPLICA.replace(r"\1", r"\2")),
    "-role-change": "(%s|%s) new reported role is (master|slave)" % (MASTER, REPLICA.replace(r"\1", r"\2")),
    "+tilt": "#tilt mode entered", "-tilt": "#tilt mode exited",
    "+sentinel-address-switch": MASTER + r" ip \S+ port \d+ for " + ID, "+sentinel-invalid-addr": PEER,
}


def check_grammar(log):
    """Every event that was published is one that the reference names, and its payload has exactly that form."""
    for event in log.all():
        if event.name.startswith("__") or event.name == "+sentinel-address-update":
            continue
        assert event.name in GRAMMAR, "unknown event %s %r" % (event.name, event.payload)
        assert re.fullmatch(GRAMMAR[event.name], event.payload), "odd payload: %s %r" % (event.name, event.payload)


def assert_order(log, *steps):
    """The first occurrence of each step comes after that of the step before. A step is a name or (name, text)."""
    places = [(log.index(*((s,) if isinstance(s, str) else s)), s) for s in steps]
    assert places == sorted(places, key=lambda x: x[0]), "not in this order: %s\n%s" % (places, log.dump())


@case()
def test_events_of_a_failover(lab):
    """Leader and observers, from S_DOWN to the end, with exact payloads."""
    fleet = lab.fleet(replicas=2)
    logs = {s.name: lab.events(s) for s in fleet.supervisors}
    old = fleet.master
    old.kill9()
    new = fleet.wait_switched(old.port)
    third = next(r for r in fleet.replicas if r is not new)
    fleet.wait_all_follow(new)
    fleet.wait_failover_over()
    leaders = [s for s in fleet.supervisors if logs[s.name].all("+elected-leader")]
    assert len(leaders) == 1, "leaders: %s" % [s.name for s in leaders]
    leader = logs[leaders[0].name]
    wait_until(lambda: all(log.all("+switch-master") for log in logs.values()), 20, "all publish +switch-master")
    leader.wait("+slave-reconf-done")
    for log in logs.values():
        check_grammar(log)

    m = "master mymaster 127.0.0.1 %d" % old.port
    promoted = "slave 127.0.0.1:%d 127.0.0.1 %d @ mymaster 127.0.0.1 %d" % (new.port, new.port, old.port)
    epoch = leaders[0].config_epoch()
    switched = "mymaster 127.0.0.1 %d 127.0.0.1 %d" % (old.port, new.port)
    assert_order(leader, ("+sdown", m), ("+odown", m + " #quorum "), ("+try-failover", m),
                 ("+vote-for-leader", "%s %d" % (leaders[0].my_id(), epoch)), ("+elected-leader", m),
                 ("+selected-slave", promoted), ("+failover-state-send-slaveof-noone", promoted),
                 ("+failover-state-wait-promotion", promoted), ("+promoted-slave", promoted),
                 ("+failover-state-reconf-slaves", m))
    assert_order(leader, ("+new-epoch", str(epoch)), ("+elected-leader", m), ("+failover-state-select-slave", m),
                 ("+selected-slave", promoted))
    assert_order(leader, "+failover-state-reconf-slaves", ("+slave-reconf-sent", str(third.port)),
                 ("+slave-reconf-inprog", str(third.port)), ("+slave-reconf-done", str(third.port)))
    votes, quorum = map(int, leader.all("+odown")[0].payload.rsplit("#quorum ", 1)[1].split("/"))
    assert quorum == 2 and 2 <= votes <= 3, leader.all("+odown")[0]
    if lab.kind == "stock":  # the leader tells its clients only when the other replicas are done
        assert_order(leader, "+slave-reconf-done", "+failover-end", "+switch-master")
    else:  # the leader tells them when the promoted node has confirmed
        assert_order(leader, "+promoted-slave", "+switch-master", "+slave-reconf-done")
    for log in logs.values():
        assert [e.payload for e in log.all("+switch-master")] == [switched], log.dump()
        known_again = [e.payload for e in log.all("+slave")]
        for port in (third.port, old.port):
            assert "slave 127.0.0.1:%d 127.0.0.1 %d @ mymaster 127.0.0.1 %d" % (port, port, new.port) in known_again
    # Who stood still for a moment may hear it from another that has heard it from the leader.
    tellers = ["sentinel %s 127.0.0.1 %d @ mymaster" % (s.my_id(), s.port) for s in leaders + [
        s for s in fleet.supervisors if s is not leaders[0]]]
    assert any(log.all("+config-update-from", tellers[0]) for log in logs.values())
    for s in fleet.supervisors:
        if s is not leaders[0]:
            log = logs[s.name]
            assert_order(log, next(("+config-update-from", who) for who in tellers
                                   if who == tellers[-1] or log.all("+config-update-from", who)), "+switch-master")
            vote = log.all("+vote-for-leader")
            assert len({v.payload.split()[1] for v in vote}) == len(vote), "two votes in one epoch: %s" % vote
    # Afterwards the old master is S_DOWN as a replica of the new one.
    down = "slave 127.0.0.1:%d 127.0.0.1 %d @ mymaster 127.0.0.1 %d" % (old.port, old.port, new.port)
    for log in logs.values():
        assert log.wait("+sdown", down).payload == down
    old.start()
    old.wait_ready().wait_follows(new.port)
    for log in logs.values():
        log.wait("-sdown", down)
    wait_until(lambda: any(log.all("+convert-to-slave", down) for log in logs.values()), 20, "who made it one tells it")
    for log in logs.values():
        check_grammar(log)


@case()
def test_reconfiguration_goes_parallel_syncs_at_a_time(lab):
    """With parallel-syncs 1 no second replica is told to follow before the first is done."""
    fleet = lab.fleet(replicas=4, parallel_syncs=1, supervisors=1, quorum=1, failover_timeout_ms=20000)
    log = lab.events(fleet.supervisors[0])
    fleet.master.kill9()
    new = fleet.wait_switched(fleet.master.port)
    fleet.wait_all_follow(new)
    wait_until(lambda: len(log.all("+slave-reconf-done")) == 3, 20, "three replicas are done")
    running = set()
    for event in log.all():
        port = event.payload.split()[3] if event.payload.startswith("slave ") else None
        if event.name == "+slave-reconf-sent":
            running.add(port)
            assert len(running) == 1, "%s at one time: %s" % (running, log.dump())
        elif event.name == "+slave-reconf-done":
            running.remove(port)
    check_grammar(log)


@case()
def test_events_of_discovery(lab):
    """+slave and +sentinel once each, when they are found."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1)
    log = lab.events(fleet.supervisors[0])
    peer = lab.supervisor("late", [fleet.group])
    found = log.wait("+sentinel")
    assert found.payload == "sentinel %s 127.0.0.1 %d @ mymaster 127.0.0.1 %d" % (
        peer.my_id(), peer.port, fleet.master.port)
    late = lab.redis("late-replica", replica_of=fleet.master).wait_ready().wait_follows(fleet.master.port)
    assert log.wait("+slave").payload == "slave 127.0.0.1:%d 127.0.0.1 %d @ mymaster 127.0.0.1 %d" % (
        late.port, late.port, fleet.master.port)
    fleet.wait_well(supervisors=[fleet.supervisors[0], peer], replicas=2)
    assert log.names("+slave", "+sentinel") == ["+sentinel", "+slave"], log.dump()
    late.kill9()
    log.wait("+sdown", "slave 127.0.0.1:%d" % late.port)
    peer.pause()
    down = log.wait("+sdown", "sentinel " + found.payload.split()[1])
    assert down.payload == found.payload
    peer.resume()
    log.wait("-sdown", "sentinel ")
    check_grammar(log)


@case()
def test_restart_of_a_replica_is_a_reboot(lab):
    """A replica that restarts within down-after is announced by +reboot."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=5000)
    log = lab.events(fleet.supervisors[0])
    replica = fleet.replicas[0]
    replica.kill9()
    replica.start()
    replica.wait_ready()
    assert log.wait("+reboot").payload == "slave 127.0.0.1:%d 127.0.0.1 %d @ mymaster 127.0.0.1 %d" % (
        replica.port, replica.port, fleet.master.port)
    fleet.wait_well()
