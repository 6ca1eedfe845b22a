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


def wait_in_step(master, replica, timeout_s=30):
    def in_step():
        return is_up(replica) and field(replica, "master_repl_offset") == field(master, "master_repl_offset")
    wait_until(in_step, timeout_s, "%s has the stream of %s" % (replica.name, master.name))


def wait_equal(master, *replicas, timeout_s=30):
    """The replicas have all of the stream, and the datasets are equal. Nobody writes meanwhile; what runs out of time
    is deleted by the master when it is looked at."""
    def equal():
        with master.connect() as client:
            for db in range(16):
                client.ok("SELECT", db)
                for key in client.ok("KEYS", "*"):
                    client.call("TTL", key)
        for replica in replicas:
            wait_in_step(master, replica, timeout_s)
        digests = {server.name: server.ok("DEBUG", "DIGEST") for server in (master, *replicas)}
        assert len(set(digests.values())) == 1, digests
        return True
    wait_until(equal, timeout_s, "all have the dataset of %s" % master.name, every_s=0.2)


def counts(master):
    fields = master.info("stats")
    return {name: int(fields["sync_" + name]) for name in ("full", "partial_ok", "partial_err")}


def filled(lab, name="master", seed=1, **options):
    master = lab.redis(name, **options).wait_ready()
    with master.connect() as client:
        fill(client, random.Random(seed))
    return master


def follow(replica, port):
    """One that is loading the snapshot of another master takes no other one for that moment."""
    def taken():
        answer = str(replica.call("REPLICAOF", "127.0.0.1", port))
        assert answer.startswith(("OK", "LOADING")), answer
        return answer.startswith("OK")
    wait_until(taken, 20, "%s follows port %d" % (replica.name, port))
