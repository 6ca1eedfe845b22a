#include "noded/cmd/bits.h"

#include "common/base/text.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/string_edit.h"
#include "noded/store/string.h"

bool nd_arg_bit_offset(struct nd_call *c, size_t i, unsigned width, uint64_t *out)
{
    struct slice s = c->argv[i];
    bool counted = width > 0 && s.n > 0 && s.p[0] == '#';
    int64_t offset = 0;
    if (counted)
        s = (struct slice){s.p + 1, s.n - 1};
    bool good = text_i64(s, &offset) && offset >= 0;
    if (good && counted) {
        good = offset <= INT64_MAX / (int64_t)width;
        offset = good ? offset * (int64_t)width : 0;
    }
    if (!good || (offset >> 3 >= c->e->config.proto_max_bulk_len && c->s->kind != ND_MASTER)) {
        nd_error(c, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *out = (uint64_t)offset;
    return true;
}

static void setbit(struct nd_call *c)
{
    struct nd_entry *e;
    uint64_t offset;
    int64_t on;
    if (!nd_arg_bit_offset(c, 2, 0, &offset) ||
        !nd_arg_range(c, 3, 0, 1, &on, "ERR bit is not an integer or out of range") ||
        !nd_typed(c, c->argv[1], ND_STRING, ND_CHANGE, &e))
        return;
    size_t before = e != NULL ? nd_string_length(&e->v) : 0, at = (size_t)(offset >> 3);
    char *p = nd_string_edit(c, c->argv[1], &e, at + 1);
    unsigned mask = 0x80U >> (offset & 7), byte = (unsigned char)p[at];
    bool was = (byte & mask) != 0;
    p[at] = (char)(on ? byte | mask : byte & ~mask);
    if (at >= before || was != (on != 0)) {
        nd_changed(c, c->argv[1], 1);
        nd_notify(c, ND_EV_STRING, "setbit", c->argv[1]);
    }
    reply_int(c->r, was);
}

static void getbit(struct nd_call *c)
{
    struct nd_entry *e;
    uint64_t offset;
    char tmp[ND_INT_TEXT];
    if (!nd_arg_bit_offset(c, 2, 0, &offset) || !nd_typed(c, c->argv[1], ND_STRING, ND_READ, &e))
        return;
    struct slice s = e != NULL ? nd_string_slice(&e->v, tmp) : (struct slice){NULL, 0};
    size_t at = (size_t)(offset >> 3);
    reply_int(c->r, at < s.n ? (unsigned char)s.p[at] >> (7 - (offset & 7)) & 1 : 0);
}

/* ---- counting and finding ---- */

static uint64_t ones_of_byte(unsigned b)
{
    b -= b >> 1 & 0x55;
    b = (b & 0x33) + (b >> 2 & 0x33);
    return (b + (b >> 4)) & 0x0f;
}

/* Words of eight bytes; in what is added up each byte is a sum of its own, which holds 31 words. */
static uint64_t ones_of_words(const unsigned char *p, size_t words)
{
    const uint64_t m1 = 0x5555555555555555U, m2 = 0x3333333333333333U, m4 = 0x0f0f0f0f0f0f0f0fU;
    uint64_t total = 0;
    while (words > 0) {
        uint64_t sums = 0;
        size_t part = words < 31 ? words : 31;
        for (size_t i = 0; i < part; i++) {
            uint64_t x;
            memcpy(&x, p + 8 * i, 8);
            x -= x >> 1 & m1;
            x = (x & m2) + (x >> 2 & m2);
            sums += (x + (x >> 4)) & m4;
        }
        sums = (sums & 0x00ff00ff00ff00ffU) + (sums >> 8 & 0x00ff00ff00ff00ffU);
        total += sums * 0x0001000100010001U >> 48;
        p += 8 * part;
        words -= part;
    }
    return total;
}

/* The bits of byte `at` that are in the range, those outside of it 0. */
static unsigned byte_in_range(const unsigned char *p, struct nd_bit_range r, int64_t at)
{
    unsigned b = p[at];
    if (at == r.start >> 3)
        b &= 0xffU >> (r.start & 7);
    if (at == r.end >> 3)
        b &= 0xff00U >> ((r.end & 7) + 1);
    return b;
}

uint64_t nd_bits_count(const unsigned char *p, struct nd_bit_range r)
{
    if (r.start > r.end)
        return 0;
    int64_t first = r.start >> 3, last = r.end >> 3;
    uint64_t n = ones_of_byte(byte_in_range(p, r, first));
    if (first == last)
        return n;
    size_t words = (size_t)(last - first - 1) / 8;
    n += ones_of_words(p + first + 1, words);
    for (int64_t at = first + 1 + (int64_t)words * 8; at <= last; at++)
        n += ones_of_byte(byte_in_range(p, r, at));
    return n;
}

int64_t nd_bits_find(const unsigned char *p, struct nd_bit_range r, bool on)
{
    uint64_t nothing = on ? 0 : UINT64_MAX, word;
    for (int64_t at = r.start >> 3, last = r.end >> 3; r.start <= r.end && at <= last; at++) {
        while (at + 8 <= last && at > r.start >> 3 && (memcpy(&word, p + at, 8), word == nothing))
            at += 8;
        /* The bits that are looked for as ones, then those outside of the range taken away. */
        unsigned char wanted = (unsigned char)(on ? p[at] : ~p[at]);
        struct nd_bit_range here = {r.start - at * 8, r.end - at * 8};
        here.start = here.start < 0 ? 0 : here.start;
        here.end = here.end > 7 ? 7 : here.end;
        unsigned b = byte_in_range(&wanted, here, 0);
        if (b != 0)
            return at * 8 + __builtin_clz(b) - 24;
    }
    return -1;
}

/* Numbers from the end become numbers from the start; both ends come within a string of `total` units. */
static struct nd_bit_range clamped(int64_t start, int64_t end, int64_t total)
{
    start = start < 0 ? start + total : start;
    end = end < 0 ? end + total : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    return (struct nd_bit_range){start, end >= total ? total - 1 : end};
}

static struct nd_bit_range bytes_to_bits(struct nd_bit_range r)
{
    /* An empty range stays one; its ends may be any number. */
    if (r.start > r.end)
        return (struct nd_bit_range){1, 0};
    return (struct nd_bit_range){r.start * 8, r.end * 8 + 7};
}

/* Argument i is BIT or BYTE. false: answered. */
static bool read_unit(struct nd_call *c, size_t i, bool *bits)
{
    *bits = nd_arg_is(c, i, "bit");
    if (*bits || nd_arg_is(c, i, "byte"))
        return true;
    nd_syntax_error(c);
    return false;
}

static struct nd_bit_range range_of(int64_t start, int64_t end, bool bits, size_t bytes)
{
    struct nd_bit_range r = clamped(start, end, (int64_t)bytes * (bits ? 8 : 1));
    return bits ? r : bytes_to_bits(r);
}

static void bitcount(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t start = 0, end = -1;
    bool bits = false;
    char tmp[ND_INT_TEXT];
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_READ, &e))
        return;
    if (e == NULL) {
        reply_int(c->r, 0);
        return;
    }
    if (c->argc == 3 || c->argc > 5) {
        nd_syntax_error(c);
        return;
    }
    if (c->argc > 3 && (!nd_arg_i64(c, 2, &start) || !nd_arg_i64(c, 3, &end)))
        return;
    if (c->argc > 3 && start < 0 && end < 0 && start > end) {
        reply_int(c->r, 0);
        return;
    }
    if (c->argc > 4 && !read_unit(c, 4, &bits))
        return;
    struct slice s = nd_string_slice(&e->v, tmp);
    reply_int(c->r, (int64_t)nd_bits_count((const unsigned char *)s.p, range_of(start, end, bits, s.n)));
}

static void bitpos(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t on, start = 0, end = -1;
    bool bits = false;
    char tmp[ND_INT_TEXT];
    if (!nd_arg_i64(c, 2, &on))
        return;
    if (on != 0 && on != 1) {
        nd_error(c, "ERR The bit argument must be 1 or 0.");
        return;
    }
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_READ, &e))
        return;
    if (e == NULL) {
        reply_int(c->r, on ? -1 : 0);
        return;
    }
    if (c->argc > 6) {
        nd_syntax_error(c);
        return;
    }
    if ((c->argc > 3 && !nd_arg_i64(c, 3, &start)) || (c->argc > 5 && !read_unit(c, 5, &bits)) ||
        (c->argc > 4 && !nd_arg_i64(c, 4, &end)))
        return;
    struct slice s = nd_string_slice(&e->v, tmp);
    struct nd_bit_range r = range_of(start, end, bits, s.n);
    int64_t at = nd_bits_find((const unsigned char *)s.p, r, on);
    /* Without an end the string is taken to go on with zeros. */
    if (at < 0 && !on && c->argc < 5 && r.start <= r.end)
        at = (int64_t)s.n * 8;
    reply_int(c->r, at);
}

/* ---- rows ---- */

#define ROW(word, args, bits, access, arguments, text, version, cost)                                   \
    {                                                                                                   \
        .name = #word, .arity = (args), .flags = (bits), .categories = ND_CAT_BITMAP, .run = word,      \
        .keys = {{.flags = (access), .first = 1, .step = 1}}, .syntax = (arguments), .summary = (text), \
        .since = (version), .group = "bitmap", .complexity = (cost)                                     \
    }

const struct nd_command nd_bits_commands[] = {
    ROW(bitcount, -2, ND_READONLY, "RO ACCESS", "key [start end [BYTE | BIT]{index_unit @7.0.0}]{index}",
        "Counts the ones among the bits of a string or of a part of it.", "2.6.0", "O(N)"),
    ROW(bitpos, -3, ND_READONLY, "RO ACCESS", "key bit [start [end [BYTE | BIT]{index_unit @7.0.0}]{end_index}]{index}",
        "Shows where the first bit of a string is that is set, or not set.", "2.8.7", "O(N)"),
    ROW(getbit, 3, ND_READONLY | ND_FAST, "RO ACCESS", "key offset", "Shows one bit of a string.", "2.2.0", "O(1)"),
    ROW(setbit, 4, ND_WRITE | ND_DENYOOM, "RW ACCESS UPDATE", "key offset value{:integer}",
        "Sets one bit of a string, which grows by zeros as far as needed, and shows what the bit was.", "2.2.0",
        "O(1), and O(N) for the bytes that are added"),
    {0},
};
