"""Man pages, completion, samples and what `make install` puts where: each is checked against the programs."""
import glob
import json
import os
import re
import shutil
import subprocess

from cases import case
from lab.nodes import noded_path
from lab.supervisors import ROOT, nodectl_path, sentineld_path


def run(*argv, env=None, cwd=ROOT):
    return subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, env=env, cwd=cwd, timeout=60, check=False)


def said(*argv, **kwargs):
    done = run(*argv, **kwargs)
    assert done.returncode == 0, "%s: exit status %d\n%s%s" % (argv, done.returncode, done.stdout, done.stderr)
    return done.stdout


def man_pages(lab):
    """Paths of all man pages: those that are written by hand, and nodectl's own."""
    folder = lab.path("man")
    if not os.path.isdir(folder):
        os.makedirs(folder)
        said(nodectl_path(), "__man", folder)
    return sorted(glob.glob(os.path.join(ROOT, "etc", "man", "*.[1-8]")) + glob.glob(os.path.join(folder, "*")))


def page(lab, name):
    """The text of a man page in one line, so that no break splits a phrase."""
    path = next(p for p in man_pages(lab) if os.path.basename(p) == name)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    text = re.sub(r"^\.[A-Z]+ ?", "", text, flags=re.M)
    text = re.sub(r"\\f.|\"", "", text)
    return " ".join(text.replace("\\-", "-").split())


def section(help_text, title):
    """The lines of one part of a help text."""
    found = re.search(r"^%s:\n((?:  .*\n)+)" % title, help_text, re.M)
    return found.group(1).splitlines() if found else []


def subcommands(help_text):
    """Without the short forms, which are other names for commands of a family."""
    return [line.split()[0] for line in section(help_text, "Commands")]


def options(help_text):
    return [re.match(r"  (?:-\w, )?(--[a-z-]+)", line).group(1) for line in section(help_text, "Options")]


def tree(path=()):
    """Every command of nodectl with its help: [(path, help)]."""
    text = said(nodectl_path(), "help", *path)
    found = [(path, text)]
    for name in subcommands(text):
        found += tree(path + (name,))
    return found


def help_of(*words):
    return said(nodectl_path(), "help", *words)


def leaves():
    return [(path, text) for path, text in tree() if not subcommands(text)]


@case(kinds=("ours",), limit_s=60)
def test_man_pages_are_well_formed(lab):
    """groff finds nothing to warn of, the names in the titles are those of the files, and each command of nodectl has
    its page."""
    pages = man_pages(lab)
    own = ["nodectl-%s.1" % name for name in subcommands(said(nodectl_path(), "help"))]
    assert sorted(os.path.basename(p) for p in pages) == sorted(
        own + ["nodectl.1", "noded.1", "sentineld.8", "sentineld.conf.5"])
    for path in pages:
        done = run("groff", "-man", "-ww", "-Tutf8", "-z", path)
        assert done.returncode == 0 and done.stderr == "", "%s: %s" % (path, done.stderr)
        name, number = os.path.basename(path).rsplit(".", 1)
        with open(path, encoding="utf-8") as f:
            assert f.readline().startswith(".TH %s %s " % (name.upper(), number)), path


@case(kinds=("ours",), limit_s=60)
def test_man_pages_are_whole(lab):
    """nodectl's pages have every command, what its help says and its options, sentineld.8 every option,
    sentineld.conf.5 every key."""
    overview = page(lab, "nodectl.1")
    for path, help_text in leaves():
        text = page(lab, "nodectl-%s.1" % path[0])
        summary = help_text.split("\n")[2]
        assert "nodectl " + " ".join(path) in text and summary in text, "no man page describes %s" % (path,)
        assert " ".join(path) + ": " in overview or len(path) == 1, "nodectl.1 does not list %s" % (path,)
        for option in options(help_text):
            assert option in text or option == "--help", "no man page describes %s of %s" % (option, path)
        codes = re.search(r"^Exit status: .*?\n\n", help_text + "\n", re.M | re.S)
        assert codes is not None, "%s does not tell its exit status" % (path,)
        assert " ".join(codes.group(0).split()) in text, "%s: %s" % (path, codes.group(0))
        assert re.search(r"^Examples?:\n  ", help_text, re.M), "%s has no example" % (path,)
    for title in ("EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SHORT FORMS"):
        assert title in overview, title
    text = page(lab, "sentineld.8")
    for option in re.findall(r"--[a-z]+", said(sentineld_path(), "--help")):
        assert option in text, "sentineld.8 does not describe %s" % option
    text = page(lab, "noded.1")
    for option in re.findall(r"^  (?:-\w, )?(--[a-z]+)  ", said(noded_path(), "--help"), re.M):
        assert option in text, "noded.1 does not describe %s" % option
    text = page(lab, "sentineld.conf.5")
    keys = set()
    for path in glob.glob(os.path.join(ROOT, "sentineld", "shell", "config*.c")):
        with open(path, encoding="utf-8") as f:
            keys |= set(re.findall(r"CONF_ROW_[A-Z]+\(\s*\"([a-z_]+)\"", f.read()))
    assert len(keys) > 30, keys
    missing = sorted(k for k in keys - {"from", "to", "address"} if not re.search(r" %s \(" % k, text))
    assert not missing, "sentineld.conf.5 does not describe %s" % missing


class Shell:
    """nodectl on the path of a bash that has its completion, and nothing else."""

    def __init__(self, lab):
        self.bin = lab.path("bin")
        os.makedirs(self.bin)
        os.symlink(os.path.abspath(nodectl_path()), os.path.join(self.bin, "nodectl"))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("NODECTL_")}
        self.env.update(PATH=self.bin + ":" + os.environ["PATH"], HOME=lab.path("home"))

    def complete(self, line):
        """What bash proposes at the end of this line, as it splits it."""
        words = [w for part in line.split(" ") for w in (re.findall(r"[:=]|[^:=]+", part) or [""])]
        script = "source <(nodectl completion bash); COMP_LINE='%s'; COMP_WORDS=(%s); COMP_CWORD=%d; _nodectl; " \
            "printf '%%s\\n' \"${COMPREPLY[@]}\"" % (line, " ".join("'%s'" % w for w in words), len(words) - 1)
        out = run("bash", "--norc", "-c", script, env=self.env)
        assert out.stderr == "", out.stderr
        return [found for found in out.stdout.splitlines() if found]


@case(kinds=("ours",), limit_s=60)
def test_completion_knows_the_tree(lab):
    """At every command: its subcommands, or its options. The same words come to bash, zsh and fish."""
    def proposed(*words):
        return [line.split("\t")[0] for line in said(nodectl_path(), "__complete", "--", *words).splitlines()]
    for path, text in tree():
        names = subcommands(text)
        if names:
            short = [line.split()[0] for line in section(text, "Short forms")]
            wanted = names + short + ([] if path else ["help"])
            assert sorted(proposed(*path, "")) == sorted(wanted), path
            begun = proposed(*path, names[0][:2])
            assert sorted(begun) == sorted(n for n in wanted if n.startswith(names[0][:2])), path
        offered = proposed(*path, "--")
        assert sorted(offered) == sorted(o for o in options(text) if o != "--version"), (path, offered)


@case(kinds=("ours",), limit_s=60)
def test_completion_in_bash(lab):
    """Values of options, files where files are wanted, fleets of the configuration file; what cannot be proposed."""
    shell = Shell(lab)
    with open(lab.path("conf"), "w", encoding="utf-8") as f:
        f.write('fleets = ( { name = "orders"; seeds = [ "h:1" ]; }, { name = "other"; seeds = [ "h:2" ]; } );\n')
    assert shell.complete("nodectl help fai") == ["failover"]
    assert shell.complete("nodectl status -o ") == ["table", "wide", "json", "yaml"]
    assert shell.complete("nodectl status --output j") == ["json"]
    assert shell.complete("nodectl status --output=j") == ["json"]
    assert shell.complete("nodectl status --supervisor ") == []
    assert shell.complete("nodectl failover --yes ") == []
    assert shell.complete("nodectl import from --cut-over ") == ["now", "ask", "never"]
    assert shell.complete("nodectl slots rebalance --by m") == ["memory"]
    assert shell.complete("nodectl db scan 0 --type z") == ["zset"]
    assert shell.complete("nodectl import file etc/nodectl.c") == ["etc/nodectl.conf"]
    assert shell.complete("nodectl backup restore tests/e2e/l") == ["tests/e2e/lab"]
    assert shell.complete("nodectl config convert --to ") == ["sentineld", "noded"]
    assert shell.complete("nodectl config convert etc/nodectl.c") == ["etc/nodectl.conf"]
    assert shell.complete("nodectl status -c etc/nodectl.c") == ["etc/nodectl.conf"]
    assert shell.complete("nodectl status --config=etc/nodectl.c") == ["etc/nodectl.conf"]
    assert shell.complete("nodectl nosuch ") == []
    assert shell.complete("nodectl completion ") == ["bash", "zsh", "fish"]
    assert shell.complete("nodectl status --config %s --fleet " % lab.path("conf")) == ["orders", "other"]
    assert shell.complete("nodectl status -c %s --fleet=ot" % lab.path("conf")) == ["other"]
    done = run(nodectl_path(), "completion", "tcsh")
    assert done.returncode == 2 and "bash, zsh and fish" in done.stderr, done.stderr


@case(kinds=("ours",), limit_s=60)
def test_completion_in_zsh_and_fish(lab):
    """Where these shells are installed they take their scripts, and fish shows what it proposes."""
    shell = Shell(lab)
    for name, check in (("zsh", "-n"), ("fish", "--no-execute")):
        script = said(nodectl_path(), "completion", name)
        assert "__complete" in script, script
        path = lab.path("completion." + name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(script)
        if shutil.which(name) is not None:
            said(name, check, path, env=shell.env)
    if shutil.which("fish") is not None:
        found = said("fish", "--no-config", "-c", "source %s; complete -C 'nodectl config c'" % path, env=shell.env)
        assert [line.split("\t")[0] for line in found.splitlines()] == ["check", "convert"], found


@case(kinds=("ours",), limit_s=60)
def test_samples_are_accepted(lab):
    """The sample configurations are valid as they stand."""
    with open(os.path.join(ROOT, "etc", "sentineld.conf"), encoding="utf-8") as f:
        text = f.read()
    path = lab.path("sentineld.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    said(sentineld_path(), "-c", path, "--check")
    said(noded_path(), os.path.join(ROOT, "etc", "noded.conf"), "--check")
    drills = said(nodectl_path(), "drill", "plan", "--file", os.path.join(ROOT, "etc", "drills.conf"))
    assert "\nweekly " in drills and "\ncut " in drills, drills
    done = run(nodectl_path(), "status", "-c", os.path.join(ROOT, "etc", "nodectl.conf"), "--timeout", "300ms",
               env={k: v for k, v in os.environ.items() if not k.startswith("NODECTL_")})
    assert done.returncode != 2, done.stderr


@case(kinds=("ours",))
def test_drills_have_their_names_everywhere(lab):
    """Every kind of drill that can be run is in the help, the manual page, the completion and the README."""
    path = lab.path("drills.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write("drills = ();\n")
    listed = json.loads(said(nodectl_path(), "drill", "plan", "--file", path, "-o", "json"))
    kinds = [d["kind"] for d in listed]
    assert len(kinds) == len(set(kinds)) == 11 and kinds == [d["drill"] for d in listed], listed
    os.makedirs(lab.path("man"))
    said(nodectl_path(), "__man", lab.path("man"))
    with open(lab.path("man", "nodectl-drill.1"), encoding="utf-8") as f:
        man = f.read().replace("\\-", "-")
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        readme = f.read()
    offered = {line.split("\t")[0] for line in said(nodectl_path(), "__complete", "--", "drill", "run", "").splitlines()}
    helped = said(nodectl_path(), "help", "drill", "run")
    for kind in kinds:
        assert kind in offered and "  %s\n" % kind in helped and kind in man, kind
        assert "`%s`" % kind in readme or kind == "random", kind


@case(kinds=("ours",), limit_s=60)
def test_install(lab):
    """`make install` puts programs, man pages, completion and samples below DESTDIR, and nothing elsewhere."""
    build = lab.path("build")
    os.makedirs(build)
    for program in (sentineld_path(), nodectl_path(), noded_path()):
        shutil.copy(program, build)
    # The programs are those under test: nothing is to be built.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SAN", "BUILD")}
    said("make", "-s", "-o", "programs", "install", "BUILD=" + build, "DESTDIR=" + lab.path("dest"),
         "PREFIX=/opt/s", env=env)
    top = lab.path("dest", "opt", "s")
    assert os.listdir(lab.path("dest")) == ["opt"]
    for name in ("bin/sentineld", "bin/nodectl", "bin/noded", "share/man/man1/nodectl.1", "share/man/man1/noded.1",
                 "share/doc/sentineld/examples/noded.conf", "lib/systemd/system/noded.service",
                 "share/man/man8/sentineld.8",
                 "share/man/man5/sentineld.conf.5", "share/bash-completion/completions/nodectl",
                 "share/zsh/site-functions/_nodectl", "share/fish/vendor_completions.d/nodectl.fish",
                 "share/man/man1/nodectl-drill.1",
                 "share/doc/sentineld/README.md", "share/doc/sentineld/examples/sentineld.conf",
                 "share/doc/sentineld/examples/nodectl.conf", "share/doc/sentineld/examples/drills.conf",
                 "share/doc/sentineld/examples/drill.nft",
                 "lib/systemd/system/sentineld.service", "lib/systemd/system/nodectl-drill@.service",
                 "lib/systemd/system/nodectl-drill@.timer"):
        assert os.path.isfile(os.path.join(top, name)), name
    assert said(os.path.join(top, "bin", "nodectl"), "--version").startswith("nodectl ")
    assert os.access(os.path.join(top, "bin", "sentineld"), os.X_OK)


@case(kinds=("ours",))
def test_the_readme_has_the_commands_that_are_there(_lab):
    """The table of noded's commands is what its command table makes of it."""
    done = run(os.path.join(ROOT, "tests", "tools", "commands_table.py"), noded_path(), "--check")
    assert done.returncode == 0, done.stdout + done.stderr
