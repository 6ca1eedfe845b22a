"""RDB files of other versions, made byte by byte: the encodings that older servers wrote and newer ones write."""
import struct

STRING, LIST, SET, ZSET, HASH, ZSET_2 = 0, 1, 2, 3, 4, 5
HASH_ZIPMAP, LIST_ZIPLIST, SET_INTSET, ZSET_ZIPLIST, HASH_ZIPLIST, LIST_QUICKLIST = 9, 10, 11, 12, 13, 14
HASH_LISTPACK, ZSET_LISTPACK, LIST_QUICKLIST_2, SET_LISTPACK = 16, 17, 18, 20
STREAM, STREAM_3, HASH_METADATA = 15, 21, 24
AUX, RESIZE, EXPIRE_MS, EXPIRE_S, SELECT, END = 250, 251, 252, 253, 254, 255


def crc64(data):
    """CRC-64 with the polynomial of Jones, bits reflected."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x95ac9329ac4bc9b5 if crc & 1 else 0)
    return crc


def length(n):
    if n < 64:
        return bytes([n])
    if n < 1 << 14:
        return bytes([0x40 | n >> 8, n & 255])
    return b"\x80" + struct.pack(">I", n)


def text(value):
    data = value if isinstance(value, bytes) else str(value).encode()
    return length(len(data)) + data


def lzf_text(run, count):
    """A byte many times, compressed: one literal, then references to it."""
    assert 9 <= count - 1 <= 264
    packed = b"\x00" + run + bytes([7 << 5, count - 1 - 9, 0])
    return b"\xc3" + length(len(packed)) + length(count) + packed


def whole_number(data):
    """The number that a string is written as in a ziplist or intset, or None."""
    try:
        n = int(data)
    except ValueError:
        return None
    return n if str(n).encode() == data and -1 << 63 <= n < 1 << 63 else None


def ziplist(items):
    """As Redis before 7.0 keeps small lists, hashes and sorted sets."""
    entries, before, last = b"", 0, 10
    for item in items:
        data = item if isinstance(item, bytes) else str(item).encode()
        head = bytes([before]) if before < 254 else b"\xfe" + struct.pack("<I", before)
        n = whole_number(data)
        if n is not None and 0 <= n <= 12:
            body = bytes([0xf1 + n])
        elif n is not None and -128 <= n <= 127:
            body = b"\xfe" + struct.pack("<b", n)
        elif n is not None and -1 << 15 <= n < 1 << 15:
            body = b"\xc0" + struct.pack("<h", n)
        elif n is not None and -1 << 23 <= n < 1 << 23:
            body = b"\xf0" + struct.pack("<i", n)[:3]
        elif n is not None and -1 << 31 <= n < 1 << 31:
            body = b"\xd0" + struct.pack("<i", n)
        elif n is not None:
            body = b"\xe0" + struct.pack("<q", n)
        elif len(data) < 64:
            body = bytes([len(data)]) + data
        else:
            body = bytes([0x40 | len(data) >> 8, len(data) & 255]) + data
        last = 10 + len(entries)
        entries += head + body
        before = len(head) + len(body)
    whole = 10 + len(entries) + 1
    return struct.pack("<IIH", whole, last, len(items)) + entries + b"\xff"


def zipmap(pairs):
    out = bytes([len(pairs)])
    for field, value in pairs:
        out += bytes([len(field)]) + field + bytes([len(value), 0]) + value
    return out + b"\xff"


def intset(numbers):
    size, code = (2, "<h") if all(-1 << 15 <= n < 1 << 15 for n in numbers) else (8, "<q")
    return struct.pack("<II", size, len(numbers)) + b"".join(struct.pack(code, n) for n in sorted(numbers))


def listpack(items):
    """Short strings and small numbers."""
    body = b""
    for item in items:
        data = item if isinstance(item, bytes) else str(item).encode()
        n = whole_number(data)
        entry = bytes([n]) if n is not None and 0 <= n <= 127 else bytes([0x80 | len(data)]) + data
        assert len(data) < 64
        body += entry + bytes([len(entry)])
    return struct.pack("<IH", 6 + len(body) + 1, len(items)) + body + b"\xff"


class RdbFile:
    """Made in order: with db(), aux(), value(); bytes() is the whole file."""

    def __init__(self, version):
        self.version = version
        self.data = b"REDIS%04d" % version

    def aux(self, key, value):
        self.data += bytes([AUX]) + text(key) + text(value)
        return self

    def db(self, number):
        self.data += bytes([SELECT]) + length(number)
        return self

    def resize(self, keys, expiring):
        self.data += bytes([RESIZE]) + length(keys) + length(expiring)
        return self

    def value(self, kind, key, body, expire_ms=None, expire_s=None):
        if expire_ms is not None:
            self.data += bytes([EXPIRE_MS]) + struct.pack("<q", expire_ms)
        if expire_s is not None:
            self.data += bytes([EXPIRE_S]) + struct.pack("<i", expire_s)
        self.data += bytes([kind]) + text(key) + body
        return self

    def raw(self, data):
        self.data += data
        return self

    def bytes(self):
        data = self.data + bytes([END])
        return data + struct.pack("<Q", crc64(data)) if self.version >= 5 else data

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.bytes())


def old_values(rdb):
    """Every encoding that Redis 6 and before wrote; the same dataset as old_commands() makes."""
    rdb.value(STRING, "text", text("value"))
    rdb.value(STRING, "number", b"\xc1" + struct.pack("<h", -300))
    rdb.value(STRING, "packed", lzf_text(b"a", 200))
    rdb.value(LIST, "list", length(3) + text("a") + text("17") + text("c" * 100))
    rdb.value(SET, "set", length(2) + text("a") + text("b"))
    rdb.value(ZSET, "zset", length(3) + text("a") + b"\x031.5" + text("b") + b"\xfe" + text("c") + b"\xff")
    rdb.value(HASH, "hash", length(2) + text("f") + text("v") + text("g") + b"\xc0\x07")
    rdb.value(HASH_ZIPMAP, "zipmap", text(zipmap([(b"f", b"v"), (b"n", b"12")])))
    rdb.value(LIST_ZIPLIST, "ziplist", text(ziplist(["one", 2, -3, 70000, 1 << 40, "x" * 300, "y"])))
    rdb.value(SET_INTSET, "intset", text(intset([5, -7, 1000])))
    rdb.value(SET_INTSET, "wideset", text(intset([5, -7, 1 << 50])))
    rdb.value(ZSET_ZIPLIST, "zzset", text(ziplist(["m", 1, "n", "2.25"])))
    rdb.value(HASH_ZIPLIST, "zhash", text(ziplist(["f", "v", "n", 12345])))
    rdb.value(LIST_QUICKLIST, "quicklist", length(2) + text(ziplist(["a", 1])) + text(ziplist(["b", 2])))
    rdb.value(ZSET_2, "zset2", length(2) + text("m") + struct.pack("<d", 0.1) + text("n") + struct.pack("<d", -5))
    return rdb


def old_commands(client):
    client.ok("MSET", "text", "value", "number", "-300", "packed", "a" * 200)
    client.ok("RPUSH", "list", "a", "17", "c" * 100)
    client.ok("SADD", "set", "a", "b")
    client.ok("ZADD", "zset", "1.5", "a", "+inf", "b", "-inf", "c")
    client.ok("HSET", "hash", "f", "v", "g", "7")
    client.ok("HSET", "zipmap", "f", "v", "n", "12")
    client.ok("RPUSH", "ziplist", "one", 2, -3, 70000, 1 << 40, "x" * 300, "y")
    client.ok("SADD", "intset", 5, -7, 1000)
    client.ok("SADD", "wideset", 5, -7, 1 << 50)
    client.ok("ZADD", "zzset", 1, "m", 2.25, "n")
    client.ok("HSET", "zhash", "f", "v", "n", 12345)
    client.ok("RPUSH", "quicklist", "a", 1, "b", 2)
    client.ok("ZADD", "zset2", 0.1, "m", -5, "n")
