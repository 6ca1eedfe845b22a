#!/usr/bin/python3
"""The README's table of noded's commands, made from the command table of the program.

commands_table.py NODED writes it into README.md between its two marks; with --check it only says whether it is there
as it should be. What redis-server has and noded has not is named below the table.
"""
import argparse
import os
import re
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "oracle"))

from oracle import Server  # noqa: E402
from resp import Connection  # noqa: E402

BEGIN, END = "<!-- commands: made by tests/tools/commands_table.py -->", "<!-- /commands -->"
TITLES = {"string": "Strings", "bitmap": "Bits", "list": "Lists", "hash": "Hashes", "set": "Sets",
          "sorted-set": "Sorted sets", "sorted_set": "Sorted sets", "generic": "Keys",
          "pubsub": "Publish and subscribe", "transactions": "Transactions", "connection": "Connection",
          "server": "Server", "cluster": "Cluster"}


def documented(port):
    """{name: group} of all commands, subcommands as "client list"."""
    connection = Connection(port)
    found = {}
    flat = connection.call("COMMAND", "DOCS")
    for name, fields in zip(flat[::2], flat[1::2]):
        fields = dict(zip(fields[::2], fields[1::2]))
        group = fields[b"group"].decode()
        subs = fields.get(b"subcommands", [])[::2]
        if not subs or fields.get(b"arguments") is not None:
            found[name.decode()] = group
        for sub in subs:
            found[sub.decode().replace("|", " ")] = group
    connection.close()
    return found


def table(ours, stock):
    groups = {}
    for name, group in ours.items():
        groups.setdefault(TITLES.get(group, group), []).append(name.upper())
    lines = ["| | Commands |", "|---|---|"]
    for title in sorted(groups):
        lines.append("| %s | %s |" % (title, " ".join("`%s`" % n for n in sorted(groups[title]))))
    missing = {}
    for name, group in stock.items():
        if name not in ours:
            missing.setdefault(group, []).append(name.upper())
    lines += ["", "Of redis-server 7.0's commands these are not there (they answer `ERR unknown command`): " +
              "; ".join(g + ": " + " ".join("`%s`" % n for n in sorted(missing[g])) for g in sorted(missing)) + "."]
    return "\n".join(lines)


def made(noded):
    folder = tempfile.mkdtemp(prefix="noded-commands-")
    servers = []
    try:
        servers.append(Server([noded], os.path.join(folder, "noded")))
        servers.append(Server(["redis-server"], os.path.join(folder, "redis")))
        return table(*(documented(s.port) for s in servers))
    finally:
        for s in servers:
            s.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("noded")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when README.md is out of date")
    args = parser.parse_args()
    path = os.path.join(ROOT, "README.md")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    wanted = "%s\n%s\n%s" % (BEGIN, made(args.noded), END)
    new, n = re.subn("%s.*?%s" % (re.escape(BEGIN), re.escape(END)), lambda m: wanted, text, flags=re.S)
    if n != 1:
        raise SystemExit("README.md: the marks of the table of commands are not there once")
    if args.check:
        if new != text:
            print("README.md: the table of commands is out of date: tests/tools/commands_table.py NODED writes it")
        return 1 if new != text else 0
    with open(path, "w", encoding="utf-8") as f:
        f.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
