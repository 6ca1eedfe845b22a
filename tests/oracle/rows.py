#!/usr/bin/python3
"""The rows of noded's command table beside redis-server's: arity, flags, keys, categories, tips, key specs.

What redis-server says of a command that both have, noded says too. EXPECTED names what differs and why.
"""
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from oracle import ROOT, Server  # noqa: E402
from resp import Connection  # noqa: E402

FIELDS = ("name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specs")
# (command, field): why.
EXPECTED = {
    ("client|setinfo", "there"): "of Redis 7.2",
}


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


def rows(port):
    connection = Connection(port)
    found = {}
    for row in connection.call("COMMAND"):
        found[plain(row[0])] = comparable(row)
        for sub in row[9]:
            found[plain(sub[0])] = comparable(sub)
    connection.close()
    return found


def main():
    folder = tempfile.mkdtemp(prefix="noded-rows-")
    servers = []
    try:
        servers.append(Server(["redis-server"], os.path.join(folder, "redis")))
        noded = os.environ.get("NODED", os.path.join(ROOT, "build", "noded"))
        servers.append(Server([noded], os.path.join(folder, "noded")))
        stock, ours = (rows(s.port) for s in servers)
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
            differs = [(f, stock[name][f], ours[name][f]) for f in FIELDS if stock[name][f] != ours[name][f]]
        differs = [d for d in differs if (name, d[0]) not in EXPECTED]
        for field, a, b in differs:
            print("%s: %s: redis %s, noded %s" % (name, field, a, b))
        failed += bool(differs)
    print("%d passed, %d failed" % (len(ours) - failed, failed))
    return 1 if failed or not ours else 0


if __name__ == "__main__":
    sys.exit(main())
