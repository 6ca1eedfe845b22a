#!/usr/bin/python3
"""Sizes and names: no file past 600 lines, no line past 120 columns, no tabs or trailing blanks, no folder or file
whose name says nothing, Python files compile and their scripts start Debian's Python, header guards are there."""
import os
import re
import sys

MAX_LINES = 600
MAX_COLUMNS = 120
SPEECHLESS = {"util", "utils", "misc", "helper", "helpers", "common_utils", "stuff"}
ROOTS = ("common", "sentineld", "noded", "nodectl", "tests", "etc", "mk", ".ci")
CODE = (".c", ".h", ".py", ".sh", ".mk")


def files():
    yield "Makefile"
    for root in ROOTS:
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(d for d in folders if d not in ("__pycache__", "corpus"))
            for name in sorted(names):
                yield os.path.join(folder, name)


def check(path):
    for part in path.split("/"):
        if os.path.splitext(part)[0].lower() in SPEECHLESS:
            yield 1, "the name %s says nothing" % part
    if not path.endswith(CODE) and os.path.basename(path) != "Makefile":
        return
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    if lines[-1] != "":
        yield len(lines), "no end of line at the end of the file"
    lines.pop()
    if len(lines) > MAX_LINES:
        yield len(lines), "%d lines; past %d a file wants to be two" % (len(lines), MAX_LINES)
    make = path.endswith((".mk", "Makefile"))
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS:
            yield number, "%d columns, at most %d" % (len(line), MAX_COLUMNS)
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
        if "\t" in line and not make:
            yield number, "a tab"
    if path.endswith(".py") and lines and lines[0].startswith("#!") and lines[0] != "#!/usr/bin/python3":
        yield 1, "must start with #!/usr/bin/python3"
    if path.endswith(".py"):
        try:
            compile("\n".join(lines) + "\n", path, "exec", dont_inherit=True)
        except SyntaxError as e:
            yield e.lineno or 1, e.msg
    if path.endswith(".h"):
        guards = [re.match(r"#(ifndef|define) (\w+)$", x) for x in lines if x.startswith(("#ifndef", "#define"))][:2]
        if len(guards) < 2 or not all(guards) or guards[0].group(2) != guards[1].group(2):
            yield 1, "no include guard"


def main():
    bad = count = 0
    for path in files():
        count += 1
        for number, text in check(path):
            print("%s:%d: %s" % (path, number, text))
            bad += 1
    print("layout: %d files, %d complaints" % (count, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
