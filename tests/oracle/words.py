"""Commands of chance, made from templates.

    SET <s> <val> ?(EX <sec>|PX <ms>|KEEPTTL) ?(NX|XX) ?GET

<name> draws from POOLS, ?(a|b) is one of them or nothing, (a|b) one of them, and ...(x y) one to four times. Words are
separated by single spaces. A few commands are spoiled on purpose, for the sake of the error answers.
"""
import re

WORDS = [b"a", b"b", b"c", b"d", b"foo", b"bar", b"hello", b"", b"x" * 40, b"y" * 70, b"z" * 300, b"0", b"1", b"-1",
         b"10", b"007", b"3.0", b"1e3", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
         b"\x00\xff\r\n", b"inf", b"nan", b" 1", b"1 ", b"0x10", b"-0", b"+5"]
INTEGERS = [0, 1, 2, 3, 5, 10, 100, -1, -2, -3, -100, 4294967296, 9223372036854775807, -9223372036854775808,
            b"9223372036854775808", b"x", b"1.5", b"", b" 1"]
SMALL = [0, 1, 2, 3, 4, 5, 7, 10, -1, -2, -3, -5, -10, 100, -100]
FLOATS = [b"0", b"1", b"-1", b"1.5", b"-2.25", b"3.0", b"1e2", b"0.1", b"0.2", b"1e17", b"-1e-5", b"inf", b"-inf",
          b"+inf", b"nan", b"x", b"", b"123456789.123456789", b"5e-324", b"1.7976931348623157e308", b"17179869184",
          b"0x1p3"]
JUNK = [b"", b"junk", b"-1", b"0", b"NX", b"COUNT", b"999999999999", b"\x80\x00", b"LIMIT", b"WITHSCORES", b"*", b"[",
        b"("]


def number_word(rng):
    return b"%d" % rng.randint(-20, 600)


class Pools:
    """What the names in templates stand for. Keys are few, so that commands meet each other's values."""

    def __init__(self, rng):
        self.rng = rng

    def key(self, letter):
        if letter != "x" and self.rng.random() < 0.06:  # a range of members has no meaning where scores differ
            letter = self.rng.choice("slehz")
        return b"%s:%d" % (letter.encode(), self.rng.randrange(5))

    def draw(self, name):
        rng = self.rng
        if name in ("s", "l", "e", "h", "z", "x"):  # string, list, set, hash, sorted set, one whose scores are all 0
            return self.key(name)
        if name == "any":
            return self.key(rng.choice("slehzx"))
        if name == "val":
            return rng.choice(WORDS) if rng.random() < 0.6 else number_word(rng)
        if name == "mem":
            return rng.choice(WORDS[:13]) if rng.random() < 0.5 else number_word(rng)
        if name == "letters":
            return bytes(rng.choice(b"abcdefgh") for _ in range(rng.randint(1, 3)))
        if name == "int":
            return rng.choice(INTEGERS) if rng.random() < 0.4 else rng.randint(-1000, 1000)
        if name == "idx":
            return rng.choice(SMALL) if rng.random() < 0.9 else rng.choice(INTEGERS)
        if name == "pos":
            return rng.randint(0, 12) if rng.random() < 0.9 else rng.choice(INTEGERS)
        if name == "float":
            return rng.choice(FLOATS) if rng.random() < 0.5 else b"%.3f" % (rng.randint(-9999, 9999) / 8)
        if name == "score":
            return b"%d" % rng.randint(-5, 5) if rng.random() < 0.6 else self.draw("float")
        if name == "smin":
            return rng.choice([b"-inf", b"(1", b"1", b"-3", b"(-3", b"0", b"(x", b"+inf", b"2.5"])
        if name == "smax":
            return rng.choice([b"+inf", b"(4", b"4", b"2", b"inf", b"(0", b"-inf", b"x"])
        if name == "lmin":
            return rng.choice([b"-", b"[a", b"(a", b"[b", b"(foo", b"+", b"a", b"["])
        if name == "lmax":
            return rng.choice([b"+", b"[z", b"(c", b"[hello", b"(zz", b"-", b"x", b"("])
        if name == "sec":
            return rng.choice([1000, 5000, 100000, 0, -5, b"x", 9223372036854775807]) if rng.random() < 0.3 else 5000
        if name == "ms":
            return rng.choice([0, -1, b"x", 9223372036854775807]) if rng.random() < 0.2 else 5000000
        if name == "at":
            return rng.choice([4000000000, 5000000000, 1, 0, -7])
        if name == "atms":
            return rng.choice([4000000000000, 5000000000000, 1, 0, -7])
        if name == "bit":
            return rng.choice([0, 1, 0, 1, 0, 1, 2, b"x"])
        if name == "off":
            return rng.choice([0, 1, 7, 8, 9, 63, 64, 100, 1000, -1, b"x", 4294967296])
        if name == "pat":
            return rng.choice([b"*", b"a*", b"?", b"[a-c]", b"*o", b"s:*", b"\\a", b"[^a]*", b"x*", b""])
        if name == "db":
            return rng.choice([0, 1, 1, 2, 3, 15, 16, -1, b"x"])
        if name == "field":
            return rng.choice([b"f1", b"f2", b"f3", b"f4", b"f5", b"n", b"10", b"w" * 70])
        if name == "bftype":
            return rng.choice([b"u8", b"i8", b"u1", b"i16", b"u63", b"i64", b"u64", b"i5", b"x", b"u0"])
        if name == "bfoff":
            return rng.choice([0, 1, b"#0", b"#1", b"#3", 17, 100, b"x", -1])
        raise KeyError(name)


TOKEN = re.compile(r"\?|\.\.\.|\(|\)|\||<\w+>|[^ ?()|<]+| ")


class Template:
    """A parsed template: a tree of words, draws, choices and repetitions."""

    def __init__(self, text):
        self.text = text
        self.tokens = [t for t in TOKEN.findall(text) if t != " "]
        self.at = 0
        self.tree = self.sequence()

    def sequence(self):
        items = []
        while self.at < len(self.tokens) and self.tokens[self.at] not in ")|":
            token = self.tokens[self.at]
            self.at += 1
            if token in ("?", "..."):
                items.append((token, self.group()))
            elif token == "(":
                self.at -= 1
                items.append(("(", self.group()))
            else:
                items.append(("w", token))
        return items

    def group(self):
        """The choices of a group, or of a single word."""
        if self.tokens[self.at] != "(":
            self.at += 1
            return [[("w", self.tokens[self.at - 1])]]
        choices = []
        while self.tokens[self.at] != ")":
            self.at += 1
            choices.append(self.sequence())
        self.at += 1
        return choices

    def make(self, pools, items=None):
        out = []
        rng = pools.rng
        for kind, what in self.tree if items is None else items:
            if kind == "w":
                out.append(pools.draw(what[1:-1]) if what.startswith("<") else what.encode())
            elif kind == "(":
                out += self.make(pools, rng.choice(what))
            elif kind == "?":
                if rng.random() < 0.35:
                    out += self.make(pools, rng.choice(what))
            else:
                for _ in range(rng.randint(1, 4)):
                    out += self.make(pools, rng.choice(what))
        return out


def spoil(argv, rng):
    """A command as a careless client would send it."""
    argv = list(argv)
    how = rng.randrange(4)
    at = rng.randrange(1, len(argv)) if len(argv) > 1 else 0
    if how == 0 and at:
        del argv[at]
    elif how == 1 and at:
        argv.insert(at, argv[at])
    elif how == 2 and at:
        argv[at] = rng.choice(JUNK)
    else:
        argv.append(rng.choice(JUNK))
    return argv
