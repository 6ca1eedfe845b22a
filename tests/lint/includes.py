#!/usr/bin/python3
"""The include rule: who may include whom, how, and in which order.

- A quoted include is written from the root of the tree and names a file that is there.
- A .c file that has a header of its own includes it first.
- A folder includes only the folders that ROOMS allows it.
- A pure folder includes only libc headers without side effects.
"""
import os
import re
import sys

PURE = ("common/base", "common/resp", "sentineld/core", "noded/store", "noded/cmd", "noded/repl", "noded/cluster")

# Folder: what it may include beside itself. The longest folder that matches a file counts.
ROOMS = {
    "common/base": (),
    "common/resp": ("common/base",),
    "common/io": ("common/base", "common/resp"),
    "sentineld/core": ("common/base", "common/resp"),
    "sentineld/shell": ("common", "sentineld/core"),
    "sentineld": ("common", "sentineld"),
    "noded/store": ("common/base", "common/resp"),
    "noded/cmd": ("common/base", "common/resp", "noded/store", "noded/cluster"),
    "noded/repl": ("common/base", "common/resp", "noded/store", "noded/cluster", "noded/cmd"),
    "noded/cluster": ("common/base", "common/resp"),
    "noded": ("common", "noded"),
    # The tool reads and writes the configuration files, so it shares the tables of their keys; and it
    # reads INFO and CLUSTER NODES of nodes, decides again what a supervisor has recorded, and reads RDB files.
    "nodectl": ("common", "nodectl", "sentineld/shell/config", "sentineld/core/settings", "sentineld/core/params",
                "sentineld/core/info", "sentineld/core/note", "sentineld/core/replay", "sentineld/core/cluster_nodes",
                "sentineld/core/pause",
                "sentineld/shell/hooks_event", "sentineld/shell/hooks_run", "noded/cmd/settings",
                "noded/store/keyspace", "noded/store/dump", "noded/store/string", "noded/store/digest",
                "noded/repl/rdb_read", "noded/shell/config"),
    "tests/sim": ("common/base", "common/resp", "sentineld/core", "tests/runner"),
    "tests": ("common", "sentineld", "noded", "nodectl", "tests"),
}

PURE_LIBC = {
    "assert.h", "ctype.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdalign.h", "stdarg.h", "stdbool.h",
    "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h",
}

# Libraries whose functions depend on their arguments alone.
PURE_LIBRARIES = {"noded/store": {"liblzf/lzf.h", "malloc.h"}, "noded/cmd": {"malloc.h"}}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path):
    fitting = [room for room in ROOMS if path.startswith(room + "/")]
    return max(fitting, key=len) if fitting else None


def allowed(path, target):
    room = room_of(path)
    prefixes = (room,) + ROOMS[room]
    return any(target.startswith((p + "/", p + ".", p + "_")) or target == p for p in prefixes)


def check(path):
    """Complaints about one file, as (line number, text)."""
    pure = path.startswith(tuple(p + "/" for p in PURE))
    own = path[:-2] + ".h" if path.endswith(".c") and os.path.exists(path[:-2] + ".h") else None
    first = True
    if room_of(path) is None:
        yield 1, "no rule for this folder in tests/lint/includes.py"
        return
    with open(path, encoding="utf-8") as f:
        lines = f.readlines()
    for number, line in enumerate(lines, 1):
        m = INCLUDE.match(line)
        if not m:
            continue
        quoted, target = m.group(1) == '"', m.group(2)
        if first and own and target != own:
            yield number, 'the first include must be its own header, "%s"' % own
        first = False
        if quoted and not os.path.exists(target):
            yield number, '"%s" is no file; quoted includes are written from the root of the tree' % target
        elif quoted and not allowed(path, target):
            yield number, '%s may not include "%s"' % (room_of(path), target)
        elif not quoted and os.path.exists(target):
            yield number, 'write "%s": it is a file of ours' % target
        elif not quoted and pure and target not in PURE_LIBC | PURE_LIBRARIES.get(room_of(path), set()):
            yield number, "a pure folder may not include <%s>" % target


def main():
    bad = 0
    for path in sys.argv[1:]:
        for number, text in check(path):
            print("%s:%d: %s" % (path, number, text))
            bad += 1
    print("includes: %d files, %d complaints" % (len(sys.argv) - 1, bad))
    return 1 if bad or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
