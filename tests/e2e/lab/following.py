"""A noded that follows a master: what tests of it ask and wait for."""
import random

from .random_writes import fill
from .wait import wait_until


def field(server, name, section="replication"):
    return server.info(section).get(name)


def is_up(server):
    return field(server, "master_link_status") == "up"


def wait_up(server, timeout_s=20):
    wait_until(lambda: is_up(server), timeout_s, "%s is in step with its master" % server.name)


def wait_equal(master, replica, timeout_s=30):
    """The replica has all of the stream, and the datasets are equal. Nobody writes meanwhile; what runs out of time is
    deleted by the master when it is looked at."""
    def caught_up():
        return field(replica, "master_repl_offset") == field(master, "master_repl_offset") and is_up(replica)
    def equal():
        with master.connect() as client:
            for db in range(16):
                client.ok("SELECT", db)
                for key in client.ok("KEYS", "*"):
                    client.call("TTL", key)
        assert wait_until(caught_up, timeout_s, "%s has the stream of %s" % (replica.name, master.name))
        mine, theirs = replica.ok("DEBUG", "DIGEST"), master.ok("DEBUG", "DIGEST")
        assert mine == theirs, (mine, theirs)
        return True
    wait_until(equal, timeout_s, "%s has the dataset of %s" % (replica.name, master.name), every_s=0.2)


def counts(master):
    fields = master.info("stats")
    return {name: int(fields["sync_" + name]) for name in ("full", "partial_ok", "partial_err")}


def filled(lab, name="master", seed=1, **options):
    master = lab.redis(name, **options).wait_ready()
    with master.connect() as client:
        fill(client, random.Random(seed))
    return master


def follow(replica, port):
    assert replica.ok("REPLICAOF", "127.0.0.1", port).startswith("OK")
