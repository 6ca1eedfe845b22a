/* BITOP: strings combined bit by bit. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/store/string.h"

#include "common/base/mem.h"

#include <stdlib.h>

enum op { OP_AND, OP_OR, OP_XOR, OP_NOT, OPS };

static bool read_op(struct nd_call *c, enum op *op)
{
    static const char *const names[OPS] = {"and", "or", "xor", "not"};
    for (*op = OP_AND; *op < OPS; ++*op)
        if (nd_arg_is(c, 1, names[*op]))
            return true;
    nd_syntax_error(c);
    return false;
}

static void combine(enum op op, unsigned char *to, const unsigned char *from, size_t n)
{
    switch (op) {
    case OP_AND:
        for (size_t i = 0; i < n; i++)
            to[i] &= from[i];
        return;
    case OP_OR:
        for (size_t i = 0; i < n; i++)
            to[i] |= from[i];
        return;
    case OP_XOR:
        for (size_t i = 0; i < n; i++)
            to[i] ^= from[i];
        return;
    case OP_NOT:
        for (size_t i = 0; i < n; i++)
            to[i] = (unsigned char)~from[i];
        return;
    case OPS: return;
    }
}

/* A source: its entry, or NULL when it is not there. Looking up the next one may expire keys, but not one that was just
 * found. */
struct source {
    struct nd_entry *e;
    size_t n;
};

/* Reads the sources, from argument 3 on. false: answered. */
static bool read_sources(struct nd_call *c, struct source *sources, size_t *longest)
{
    *longest = 0;
    for (size_t i = 3; i < c->argc; i++) {
        struct source *s = &sources[i - 3];
        if (!nd_typed(c, c->argv[i], ND_STRING, ND_READ, &s->e))
            return false;
        s->n = s->e != NULL ? nd_string_length(&s->e->v) : 0;
        if (s->n > *longest)
            *longest = s->n;
    }
    return true;
}

/* The result, `longest` bytes: a source that is shorter goes on with zeros. */
static struct nd_value result_of(enum op op, const struct source *sources, size_t n, size_t longest)
{
    struct nd_value v = nd_string_make((struct slice){NULL, 0}, false);
    unsigned char *to = (unsigned char *)nd_string_writable(&v, longest, longest);
    for (size_t i = 0; i < n; i++) {
        char tmp[ND_INT_TEXT];
        struct slice s = sources[i].e != NULL ? nd_string_slice(&sources[i].e->v, tmp) : (struct slice){NULL, 0};
        if (i == 0 && op != OP_NOT)
            combine(OP_OR, to, (const unsigned char *)s.p, s.n);
        else
            combine(op, to, (const unsigned char *)s.p, s.n);
        if (op == OP_AND)
            memset(to + s.n, 0, longest - s.n);
    }
    return v;
}

static void store(struct nd_call *c, struct nd_value v, size_t n)
{
    struct slice key = c->argv[2];
    struct nd_entry *e = nd_lookup(c, key, ND_CHANGE);
    if (n == 0) {
        nd_value_free(&v);
        if (e == NULL)
            return;
        nd_delete(c, c->db, e, false);
        nd_notify(c, ND_EV_GENERIC, "del", key);
    } else {
        if (e != NULL)
            nd_db_set_value(c->db, e, v, ND_NO_EXPIRE);
        else
            nd_add_key(c, key, v);
        nd_notify(c, ND_EV_STRING, "set", key);
    }
    nd_changed(c, key, 1);
}

static void bitop(struct nd_call *c)
{
    enum op op;
    if (!read_op(c, &op))
        return;
    if (op == OP_NOT && c->argc != 4) {
        nd_error(c, "ERR BITOP NOT must be called with a single source key.");
        return;
    }
    size_t n = c->argc - 3, longest;
    struct source few[8], *sources = n <= 8 ? few : mem_array(NULL, n, sizeof *sources);
    if (read_sources(c, sources, &longest)) {
        store(c, result_of(op, sources, n, longest), longest);
        reply_int(c->r, (int64_t)longest);
    }
    if (sources != few)
        free(sources);
}

const struct nd_command nd_bitop_commands[] = {
    {.name = "bitop",
     .arity = -4,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_BITMAP,
     .run = bitop,
     .keys = {{.flags = "OW UPDATE", .first = 2, .step = 1}, {.flags = "RO ACCESS", .first = 3, .last = -1, .step = 1}},
     .syntax = "operation destkey key [key ...]",
     .summary = "Combines strings bit by bit with AND, OR, XOR or NOT and stores the result.",
     .since = "2.6.0",
     .group = "bitmap",
     .complexity = "O(N) for N bytes of all strings"},
    {0},
};
