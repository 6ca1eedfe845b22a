/* BITFIELD: numbers of 1 to 64 bits at any bit of a string. */
#include "noded/cmd/bits.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/string_edit.h"
#include "noded/store/string.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <assert.h>
#include <stdlib.h>

enum verb { VERB_GET, VERB_SET, VERB_INCRBY };
enum overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

/* One subcommand. Negative numbers are two's complement. */
struct field {
    enum verb verb;
    enum overflow overflow;
    bool is_signed;
    unsigned bits;
    uint64_t offset; /* first bit */
    int64_t number;  /* to be set or added */
};

/* ---- reading the arguments ---- */

static bool read_type(struct nd_call *c, size_t i, struct field *f)
{
    struct slice s = c->argv[i];
    int64_t bits;
    f->is_signed = s.n > 0 && s.p[0] == 'i';
    if (s.n == 0 || (s.p[0] != 'i' && s.p[0] != 'u') ||
        !text_range((struct slice){s.p + 1, s.n - 1}, 1, f->is_signed ? 64 : 63, &bits)) {
        nd_error(c, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
        return false;
    }
    f->bits = (unsigned)bits;
    return true;
}

static bool read_overflow(struct nd_call *c, size_t i, enum overflow *overflow)
{
    static const char *const words[] = {"wrap", "sat", "fail"};
    for (*overflow = OVERFLOW_WRAP; *overflow <= OVERFLOW_FAIL; ++*overflow)
        if (nd_arg_is(c, i, words[*overflow]))
            return true;
    nd_error(c, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* How many arguments follow the word, 0 when it is no verb with so many behind it. */
static size_t read_verb(const struct nd_call *c, size_t i, enum verb *verb)
{
    static const char *const words[] = {"get", "set", "incrby"};
    for (*verb = VERB_GET; *verb <= VERB_INCRBY; ++*verb) {
        size_t behind = *verb == VERB_GET ? 2 : 3;
        if (nd_arg_is(c, i, words[*verb]) && i + behind < c->argc)
            return behind;
    }
    return 0;
}

/* Reads all subcommands before any of them runs. false: answered. */
static bool read_fields(struct nd_call *c, struct field *fields, size_t *n)
{
    enum overflow overflow = OVERFLOW_WRAP;
    *n = 0;
    for (size_t i = 2; i < c->argc; i++) {
        struct field *f = &fields[*n];
        if (nd_arg_is(c, i, "overflow") && i + 1 < c->argc) {
            if (!read_overflow(c, ++i, &overflow))
                return false;
            continue;
        }
        size_t behind = read_verb(c, i, &f->verb);
        if (behind == 0) {
            nd_syntax_error(c);
            return false;
        }
        f->overflow = overflow;
        if (!read_type(c, i + 1, f) || !nd_arg_bit_offset(c, i + 2, f->bits, &f->offset) ||
            (f->verb != VERB_GET && !nd_arg_i64(c, i + 3, &f->number)))
            return false;
        i += behind;
        ++*n;
    }
    return true;
}

/* ---- fields in bytes ---- */

/* What is behind the end of the string is zero. */
static uint64_t load(const unsigned char *p, size_t n, uint64_t offset, unsigned bits)
{
    uint64_t v = 0;
    while (bits > 0) {
        size_t at = (size_t)(offset >> 3);
        unsigned room = 8 - (unsigned)(offset & 7), take = bits < room ? bits : room;
        unsigned byte = at < n ? p[at] : 0;
        v = v << take | (byte >> (room - take) & 0xffU >> (8 - take));
        bits -= take;
        offset += take;
    }
    return v;
}

static void save(unsigned char *p, uint64_t offset, unsigned bits, uint64_t v)
{
    while (bits > 0) {
        unsigned room = 8 - (unsigned)(offset & 7), take = bits < room ? bits : room;
        assert(take >= 1 && take <= 8);
        unsigned shift = room - take, mask = 0xffU >> (8 - take) << shift;
        unsigned char *byte = &p[offset >> 3];
        *byte = (unsigned char)((*byte & ~mask) | ((unsigned)(v >> (bits - take)) << shift & mask));
        bits -= take;
        offset += take;
    }
}

/* The low bits of v as the number they are. */
static int64_t number_of(const struct field *f, uint64_t v)
{
    assert(f->bits >= 1 && f->bits <= 64);
    if (f->bits == 64)
        return (int64_t)v;
    uint64_t sign = f->is_signed ? (uint64_t)1 << (f->bits - 1) : 0;
    v &= ((uint64_t)1 << f->bits) - 1;
    return (int64_t)((v ^ sign) - sign);
}

/* The new number of a field that holds `old`. false: it does not fit, and OVERFLOW FAIL was said. */
static bool new_number(const struct field *f, int64_t old, int64_t *out)
{
    int64_t max = (int64_t)(((uint64_t)1 << (f->bits - f->is_signed)) - 1);
    int64_t min = f->is_signed ? -max - 1 : 0, sum = f->number;
    bool too_big = false;
    if (f->verb == VERB_SET && f->bits < 64) {
        /* A negative number is a very large one in a field without a sign. With a sign one so far down that its
         * distance from the largest overflows is taken for too large by Redis, so by all who follow. */
        int64_t distance;
        too_big = f->is_signed ? __builtin_sub_overflow(max, sum, &distance) : sum < 0;
    }
    bool overflows = f->verb == VERB_INCRBY && __builtin_add_overflow(old, f->number, &sum);
    if (!too_big && !overflows && sum >= min && sum <= max) {
        *out = sum;
        return true;
    }
    /* What overflowed has wrapped and lies on the other side. */
    too_big = too_big || (overflows ? f->number > 0 : sum > max);
    *out = f->overflow == OVERFLOW_SAT ? too_big ? max : min : number_of(f, (uint64_t)sum);
    return f->overflow != OVERFLOW_FAIL;
}

/* ---- running ---- */

/* One SET or INCRBY, answered. true: it changed something, and in a string that grew every write does. */
static bool write_field(struct nd_call *c, const struct field *f, unsigned char *p, size_t n, bool grown)
{
    int64_t old = number_of(f, load(p, n, f->offset, f->bits)), now;
    if (!new_number(f, old, &now)) {
        reply_null(c->r);
        return false;
    }
    save(p, f->offset, f->bits, (uint64_t)now);
    reply_int(c->r, f->verb == VERB_SET ? old : now);
    return grown || now != old;
}

static void read_only(struct nd_call *c, const struct field *fields, size_t n)
{
    struct nd_entry *e;
    char tmp[ND_INT_TEXT];
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_READ, &e))
        return;
    struct slice s = e != NULL ? nd_string_slice(&e->v, tmp) : (struct slice){NULL, 0};
    reply_array(c->r, n);
    for (size_t i = 0; i < n; i++)
        reply_int(c->r, number_of(&fields[i], load((const unsigned char *)s.p, s.n, fields[i].offset, fields[i].bits)));
}

static void read_and_write(struct nd_call *c, const struct field *fields, size_t n, uint64_t last_bit)
{
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_CHANGE, &e))
        return;
    size_t before = e != NULL ? nd_string_length(&e->v) : 0, bytes = (size_t)(last_bit >> 3) + 1;
    unsigned char *p = (unsigned char *)nd_string_edit(c, c->argv[1], &e, bytes);
    bool grown = bytes > before;
    if (!grown)
        bytes = before;
    int64_t changes = 0;
    reply_array(c->r, n);
    for (size_t i = 0; i < n; i++) {
        const struct field *f = &fields[i];
        if (f->verb == VERB_GET)
            reply_int(c->r, number_of(f, load(p, bytes, f->offset, f->bits)));
        else
            changes += write_field(c, f, p, bytes, grown);
    }
    if (changes > 0)
        nd_notify(c, ND_EV_STRING, "setbit", c->argv[1]);
    /* A string that grew although nothing could be written is told of too: who follows must have it. */
    if (changes > 0 || grown)
        nd_changed(c, c->argv[1], changes > 0 ? changes : 1);
}

static void run(struct nd_call *c, bool may_write)
{
    size_t n;
    struct field few[8], *fields = c->argc <= 16 ? few : mem_array(NULL, c->argc / 2, sizeof *fields);
    if (read_fields(c, fields, &n)) {
        bool writes = false;
        uint64_t last_bit = 0;
        for (size_t i = 0; i < n; i++) {
            uint64_t last = fields[i].offset + fields[i].bits - 1;
            writes = writes || fields[i].verb != VERB_GET;
            last_bit = fields[i].verb != VERB_GET && last > last_bit ? last : last_bit;
        }
        if (!writes)
            read_only(c, fields, n);
        else if (may_write)
            read_and_write(c, fields, n, last_bit);
        else
            nd_error(c, "ERR BITFIELD_RO only supports the GET subcommand");
    }
    if (fields != few)
        free(fields);
}

static void bitfield(struct nd_call *c)
{
    run(c, true);
}

static void bitfield_ro(struct nd_call *c)
{
    run(c, false);
}

/* Who only reads needs no right to write. */
static const char *bitfield_key_flags(const struct slice *argv, size_t argc, int key)
{
    (void)key;
    size_t i = 2, values;
    for (; i < argc; i += 1 + values) {
        values = slice_ieq(argv[i], "get") ? 2 : slice_ieq(argv[i], "overflow") ? 1 : argc;
        if (values > argc - i - 1)
            return "RW ACCESS UPDATE";
    }
    return "RO ACCESS";
}

const struct nd_command nd_bitfield_commands[] = {
    {.name = "bitfield",
     .arity = -2,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_BITMAP,
     .run = bitfield,
     .keys = {{.flags = "RW ACCESS UPDATE VARIABLE_FLAGS", .first = 1, .step = 1}},
     .key_flags = bitfield_key_flags,
     .syntax = "key [GET encoding offset | <[OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value{:integer} | "
               "INCRBY encoding offset increment>{write_operation}>{write} ...]{operation}",
     .summary = "Reads, sets and adds to numbers of any width at any bit of a string.",
     .since = "3.2.0",
     .group = "bitmap",
     .complexity = "O(1) for each subcommand"},
    {.name = "bitfield_ro",
     .arity = -2,
     .flags = ND_READONLY | ND_FAST,
     .categories = ND_CAT_BITMAP,
     .run = bitfield_ro,
     .keys = {{.flags = "RO ACCESS", .first = 1, .step = 1}},
     .syntax = "key [GET encoding offset [GET encoding offset ...]]",
     .summary = "Reads numbers of any width at any bit of a string.",
     .since = "6.0.0",
     .group = "bitmap",
     .complexity = "O(1) for each subcommand"},
    {0},
};
