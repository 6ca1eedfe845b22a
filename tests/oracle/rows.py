#!/usr/bin/python3
"""The rows of noded's command table beside redis-server's: arity, flags, keys, categories, tips, key specs (COMMAND),
arguments and history (COMMAND DOCS), and the keys of requests with what is done to them (COMMAND GETKEYS,
GETKEYSANDFLAGS).

What redis-server says of a command that both have, noded says too; sentences are each server's own. EXPECTED names
what differs and why.
"""
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from oracle import ROOT, Server  # noqa: E402
from key_requests import requests  # noqa: E402
from resp import Connection  # noqa: E402

FIELDS = ("name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specs")
# (command, field): why.
EXPECTED = {
    ("client|setinfo", "there"): "of Redis 7.2",
    ("cluster|cancelslotmigrations", "there"): "of Valkey 9",
    ("cluster|dbmap", "there"): "noded's own",
    ("cluster|failover", "arguments"): "supervisors promote at an epoch",
    ("cluster|lease", "there"): "noded's own",
    ("cluster|release", "there"): "noded's own",
    ("cluster|getslotmigrations", "there"): "of Valkey 9",
    ("cluster|freezeslotmigrations", "there"): "noded's own",
    ("cluster|migrateslots", "there"): "of Valkey 9",
    ("cluster|myshardid", "there"): "of Redis 7.2",
    ("cluster|slot-keys", "there"): "noded's own",
    ("cluster|slot-stats", "there"): "of Valkey 8",
    ("cluster|syncslots", "there"): "of Valkey 9",
    ("command|getkeys", "arguments"): "redis-server does not say that it takes a command",
    ("command|getkeysandflags", "arguments"): "redis-server does not say that it takes a command",
    ("replicaof", "arguments"): "ACCEPT is noded's own",
    ("slaveof", "arguments"): "ACCEPT is noded's own",
    ("debug", "arguments"): "redis-server does not say that it takes subcommands",
}
# Words for people: they must be there, and are each server's own.
SENTENCES = ("summary", "complexity", "replaced_by")


def plain(x):
    """Flags and categories are sets; maps are compared by their names."""
    return x.decode("latin1") if isinstance(x, bytes) else x


def spec(s):
    fields = dict(zip([plain(k) for k in s[::2]], s[1::2]))
    fields.pop("notes", None)  # words for people
    fields["flags"] = sorted(fields["flags"])
    return sorted((k, repr(v)) for k, v in fields.items())


def comparable(row):
    return dict(zip(FIELDS, [plain(row[0]), row[1], sorted(row[2]), row[3], row[4], row[5], sorted(row[6]),
                             sorted(plain(t) for t in row[7]), [spec(s) for s in row[8]]]))


def named(flat):
    return dict(zip([plain(k) for k in flat[::2]], flat[1::2]))


def argument(flat):
    """As text, so that a difference can be read."""
    fields = named(flat)
    parts = [argument(a) for a in fields.pop("arguments", [])]
    fields["flags"] = ",".join(sorted(plain(f) for f in fields.get("flags", [])))
    about = "%s:%s" % (plain(fields.pop("name")), plain(fields.pop("type")))
    about += "".join(" %s=%r" % (k, plain(fields[k])) for k in sorted(fields) if fields[k] != "")
    return about + (" (%s)" % ", ".join(parts) if parts else "")


def put_docs(found, name, flat):
    fields = named(flat)
    subs = fields.pop("subcommands", [])
    row = found.setdefault(name, {})
    row["arguments"] = [argument(a) for a in fields.pop("arguments", [])]
    row["history"] = sorted(plain(change[0]) for change in fields.pop("history", []))
    row["doc flags"] = sorted(plain(f) for f in fields.pop("doc_flags", []))
    row["docs"] = {k: "" if k in SENTENCES else plain(v) for k, v in fields.items()}
    for sub, about in zip(subs[::2], subs[1::2]):
        put_docs(found, plain(sub), about)


def rows(port):
    connection = Connection(port)
    found = {}
    documented = connection.call("COMMAND", "DOCS")
    for row in connection.call("COMMAND"):
        found[plain(row[0])] = comparable(row)
        for sub in row[9]:
            found[plain(sub[0])] = comparable(sub)
    for name, about in zip(documented[::2], documented[1::2]):
        put_docs(found, plain(name), about)
    connection.close()
    return found


def flagged(reply):
    """Flags are sets."""
    return [[pair[0], sorted(pair[1])] for pair in reply] if isinstance(reply, list) else reply


def keys(port):
    connection = Connection(port)
    found = {}
    for request in requests():
        found[" ".join(request)] = {"keys": connection.call("COMMAND", "GETKEYS", *request),
                                    "keys and flags": flagged(connection.call("COMMAND", "GETKEYSANDFLAGS", *request))}
    connection.close()
    return found


def main():
    folder = tempfile.mkdtemp(prefix="noded-rows-")
    servers = []
    try:
        servers.append(Server(["redis-server"], os.path.join(folder, "redis")))
        noded = os.environ.get("NODED", os.path.join(ROOT, "build", "noded"))
        servers.append(Server([noded], os.path.join(folder, "noded")))
        stock, ours = (dict(rows(s.port), **keys(s.port)) for s in servers)
    finally:
        for s in servers:
            s.stop()
        shutil.rmtree(folder, ignore_errors=True)
    failed = 0
    for name in sorted(ours):
        differs = []
        if name not in stock:
            differs = [("there", "no", "yes")]
        else:
            differs = [(f, stock[name][f], ours[name][f]) for f in ours[name] if stock[name][f] != ours[name][f]]
        differs = [d for d in differs if (name, d[0]) not in EXPECTED]
        for field, a, b in differs:
            print("%s: %s: redis %s, noded %s" % (name, field, a, b))
        failed += bool(differs)
    print("%d passed, %d failed" % (len(ours) - failed, failed))
    return 1 if failed or not ours else 0


if __name__ == "__main__":
    sys.exit(main())
