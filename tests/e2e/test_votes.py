"""IS-MASTER-DOWN-BY-ADDR: one vote per epoch, a refusal repeats the vote, and a vote survives kill -9."""
import time

from cases import case
from lab import Closed, encode

A, B, C = "a" * 40, "b" * 40, "c" * 40


def held(lab, runid, epoch):
    """The answer of a voter that has given this vote and was restarted since. Stock keeps the epoch, not the name."""
    return [0, runid if lab.kind == "ours" else "*", epoch]


def ask(s, fleet, epoch, runid):
    return s.ok("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", fleet.master.port, epoch, runid)


@case()
def test_one_vote_per_epoch(lab):
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=60000)
    s = fleet.supervisors[0]
    log = lab.events(s)
    assert ask(s, fleet, 0, "*") == [0, "*", 0]
    assert ask(s, fleet, 5, "*") == [0, "*", 0], "without a run id no vote is asked for"
    assert ask(s, fleet, 5, A) == [0, A, 5], "a vote is given even when the voter sees the master up"
    assert ask(s, fleet, 5, B) == [0, A, 5], "a refusal repeats the vote"
    assert ask(s, fleet, 5, A) == [0, A, 5]
    assert ask(s, fleet, 4, B) == [0, A, 5], "an older epoch gets no vote"
    assert ask(s, fleet, 6, B) == [0, B, 6]
    assert ask(s, fleet, 5, A) == [0, B, 6]
    assert [e.payload for e in log.all("+vote-for-leader")] == [A + " 5", B + " 6"], log.dump()
    assert log.first("+new-epoch").payload == "5" and log.all("+new-epoch", "6")
    # Another address is another question: no vote for a master that is not watched.
    other = s.ok("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", 1, 7, C)
    assert other == [0, "*", 0], other
    assert ask(s, fleet, 6, C) == [0, B, 6]


@case()
def test_votes_are_per_master(lab):
    """A vote for one master leaves the vote for another one open, in the same epoch."""
    fleet = lab.fleet(replicas=0, supervisors=1, quorum=1, down_after_ms=60000)
    s = fleet.supervisors[0]
    other = lab.redis("other").wait_ready()
    s.ok("SENTINEL", "MONITOR", "other", "127.0.0.1", other.port, "1")
    assert ask(s, fleet, 3, A) == [0, A, 3]
    assert s.ok("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", other.port, 3, B) == [0, B, 3]
    assert ask(s, fleet, 3, B) == [0, A, 3]


@case()
def test_vote_survives_kill(lab):
    """kill -9 right after the reply: after the restart the same epoch is still taken, and the epoch did not go back."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=60000)
    s = fleet.supervisors[0]
    for epoch in range(10, 16):
        given = ask(s, fleet, epoch, A)
        assert given == [0, A, epoch], given
        s.kill9()
        s.start()
        s.wait_ready()
        after = ask(s, fleet, epoch, B)
        assert after == held(lab, A, epoch), "the vote of epoch %d was forgotten: %s" % (epoch, after)
        assert ask(s, fleet, epoch - 1, C) == after


@case(limit_s=90)
def test_vote_survives_kill_between_vote_and_reply(lab):
    """The process is killed at any moment between request and reply. If the reply was heard, the vote holds; if it was
    not, the vote was either given or not, and then it is given once."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=60000)
    s = fleet.supervisors[0]
    heard = 0
    for epoch in range(100, 112):
        with s.connect() as client:
            client.send_raw(encode("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", fleet.master.port, epoch, A))
            time.sleep((epoch - 100) * 0.0002)  # each round meets another moment
            s.kill9()
            try:
                answer = client.read(2)
            except (Closed, TimeoutError):
                answer = None
        s.start()
        s.wait_ready()
        after = ask(s, fleet, epoch, B)
        assert after in (held(lab, A, epoch), [0, B, epoch]), after
        if answer is not None and answer[1:] == [A, epoch]:
            heard += 1
            assert after == held(lab, A, epoch), "a vote that was told was forgotten: %s, then %s" % (answer, after)
        assert ask(s, fleet, epoch, C) == after, "two votes in epoch %d" % epoch
    print("%d of 12 replies were heard before the kill" % heard)


@case(kinds=("ours",))
def test_empty_state_does_not_vote_at_once(lab):
    """SAFETY M2: without state it may have voted in a life that it forgot. It votes when it has heard from a majority,
    and then only above what it heard."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=2, down_after_ms=60000,
                      timers={"publish-period": 60000})
    s = fleet.supervisors[0]
    for _ in range(3):
        assert ask(s, fleet, 5, A)[1] == "*", "it voted before it had heard from anybody"
    log = lab.events(s)
    hello = "127.0.0.1,%d,%s,%d,mymaster,127.0.0.1,%d,0" % (lab.ports.take(), C, 50, fleet.master.port)
    fleet.master.ok("PUBLISH", "__sentinel__:hello", hello)
    log.wait("+sentinel", C)
    refused = ask(s, fleet, 49, A)
    assert refused[1] == "*", refused
    assert ask(s, fleet, 51, A) == [0, A, 51]


@case()
def test_higher_epoch_of_a_hello_is_adopted(lab):
    """A hello with a higher current epoch raises ours: +new-epoch, and older requests get no vote."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=60000)
    s = fleet.supervisors[0]
    log = lab.events(s)
    hello = "127.0.0.1,%d,%s,%d,mymaster,127.0.0.1,%d,0" % (lab.ports.take(), C, 41, fleet.master.port)
    assert fleet.master.ok("PUBLISH", "__sentinel__:hello", hello) >= 1
    assert log.wait("+new-epoch").payload == "41"
    refused = ask(s, fleet, 40, A)
    assert refused[1] != A, refused
    assert ask(s, fleet, 42, A) == [0, A, 42]


@case()
def test_higher_config_epoch_of_a_hello_moves_the_master(lab):
    """A hello with a higher config epoch replaces the master's address; with the same or a lower one it does not."""
    fleet = lab.fleet(replicas=1, supervisors=1, quorum=1, down_after_ms=60000)
    s = fleet.supervisors[0]
    log = lab.events(s)
    elsewhere = lab.redis("elsewhere").wait_ready()
    peer = "127.0.0.1,%d,%s" % (lab.ports.take(), C)
    fleet.master.ok("PUBLISH", "__sentinel__:hello", "%s,7,mymaster,127.0.0.1,%d,0" % (peer, elsewhere.port))
    log.wait("+new-epoch")
    assert s.master_port() == fleet.master.port
    fleet.master.ok("PUBLISH", "__sentinel__:hello", "%s,7,mymaster,127.0.0.1,%d,7" % (peer, elsewhere.port))
    assert log.wait("+switch-master").payload == "mymaster 127.0.0.1 %d 127.0.0.1 %d" % (
        fleet.master.port, elsewhere.port)
    assert s.master_port() == elsewhere.port and s.config_epoch() == 7
    assert s.ok("SENTINEL", "FLUSHCONFIG") == "OK"  # who is told of a failover may tell it before it is on the own disk
    s.kill9()
    s.boot()
    assert s.master_port() == elsewhere.port and s.config_epoch() == 7, "the new address was not kept"
