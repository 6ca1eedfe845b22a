/* Hash commands that walk over a hash or draw from it. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/scan.h"
#include "noded/store/hash.h"

struct showing {
    struct nd_call *c;
    bool fields, values, pairs; /* pairs: each in an array of its own */
};

static bool show(void *owner, struct slice field, struct slice value, double score)
{
    const struct showing *s = owner;
    (void)score;
    if (s->pairs)
        reply_array(s->c->r, 2);
    if (s->fields)
        reply_bulk(s->c->r, field.p, field.n);
    if (s->values)
        reply_bulk(s->c->r, value.p, value.n);
    return true;
}

static void show_drawn(void *owner, struct slice field, struct slice value)
{
    show(owner, field, value, 0);
}

static void all(struct nd_call *c, bool fields, bool values)
{
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_HASH, ND_READ, &e))
        return;
    size_t n = e != NULL ? nd_hash_length(&e->v) : 0;
    if (fields && values)
        reply_map(c->r, n);
    else
        reply_array(c->r, n);
    struct showing s = {.c = c, .fields = fields, .values = values};
    if (n > 0)
        nd_hash_visit(&e->v, show, &s);
}

static void hgetall(struct nd_call *c)
{
    all(c, true, true);
}

static void hkeys(struct nd_call *c)
{
    all(c, true, false);
}

static void hvals(struct nd_call *c)
{
    all(c, false, true);
}

/* ---- HRANDFIELD ---- */

static bool randfield_args(struct nd_call *c, int64_t *count, bool *values)
{
    if (!nd_arg_i64(c, 2, count))
        return false;
    if (*count == INT64_MIN) {
        nd_error(c, "ERR value is out of range, value must between %lld and %lld", (long long)-INT64_MAX,
                 (long long)INT64_MAX);
        return false;
    }
    *values = c->argc == 4;
    if (c->argc > 4 || (*values && !nd_arg_is(c, 3, "WITHVALUES"))) {
        nd_syntax_error(c);
        return false;
    }
    if (*values && (*count < -(INT64_MAX / 2) || *count > INT64_MAX / 2)) {
        nd_error(c, "ERR value is out of range");
        return false;
    }
    return true;
}

/* A negative count may ask for more than all memory. The client is closed for it, so nothing is gained by going on. */
static bool past_limit(const struct nd_call *c)
{
    int64_t most = c->e->config.output[ND_CLASS_NORMAL].hard_bytes;
    return most > 0 && c->r->out->n > (uint64_t)most;
}

static void hrandfield(struct nd_call *c)
{
    struct nd_entry *e;
    bool counted = c->argc > 2, values = false;
    int64_t count = 1;
    if ((counted && !randfield_args(c, &count, &values)) || !nd_typed(c, c->argv[1], ND_HASH, ND_READ, &e))
        return;
    struct showing s = {.c = c, .fields = true, .values = values, .pairs = values && c->r->proto > 2};
    if (!counted) {
        if (e != NULL)
            nd_hash_random(&e->v, &c->e->rng, show_drawn, &s);
        else
            reply_null(c->r);
        return;
    }
    size_t length = e != NULL ? nd_hash_length(&e->v) : 0;
    size_t n = length == 0 ? 0 : count < 0 ? (size_t)-count : (size_t)count < length ? (size_t)count : length;
    reply_array(c->r, values && !s.pairs ? 2 * n : n);
    if (n > 0 && count > 0)
        nd_hash_random_distinct(&e->v, &c->e->rng, n, show_drawn, &s);
    else
        for (; n > 0 && !past_limit(c); n--)
            nd_hash_random(&e->v, &c->e->rng, show_drawn, &s);
}

/* ---- HSCAN ---- */

struct scanning {
    const struct nd_scan *args;
    struct nd_scan_found found;
};

static void scan_field(void *owner, struct slice field, struct slice value)
{
    struct scanning *s = owner;
    if (!nd_scan_fits(s->args, field))
        return;
    nd_scan_put(&s->found, field);
    nd_scan_put(&s->found, value);
}

static void hscan(struct nd_call *c)
{
    struct nd_scan args;
    struct nd_entry *e;
    if (!nd_scan_open(c, ND_HASH, &args, &e))
        return;
    struct scanning s = {.args = &args};
    nd_scan_begin(c, &s.found);
    uint64_t cursor = args.cursor, buckets = 10 * (uint64_t)args.count;
    do
        cursor = nd_hash_scan(&e->v, cursor, scan_field, &s);
    while (cursor != 0 && --buckets > 0 && s.found.n < 2 * (uint64_t)args.count);
    nd_scan_end(c, &s.found, cursor);
}

#define ROW(word, args, arguments, text, version, cost, tip)                                               \
    {                                                                                                      \
        .name = #word, .arity = (args), .flags = ND_READONLY, .categories = ND_CAT_HASH, .run = word,      \
        .keys = {{.flags = "RO ACCESS", .first = 1, .step = 1}}, .syntax = (arguments), .summary = (text), \
        .since = (version), .group = "hash", .complexity = (cost), .tips = (tip)                           \
    }

const struct nd_command nd_hash_walk_commands[] = {
    ROW(hgetall, 2, "key", "Shows all fields of a hash with their values.", "2.0.0", "O(N) for N fields",
        "nondeterministic_output_order"),
    ROW(hkeys, 2, "key", "Shows all fields of a hash.", "2.0.0", "O(N) for N fields", "nondeterministic_output_order"),
    ROW(hrandfield, -2, "key [count [WITHVALUES]]{options}", "Shows one or more fields of a hash by chance.", "6.2.0",
        "O(N) for N fields shown", "nondeterministic_output"),
    ROW(hscan, -3, "key cursor [MATCH pattern] [COUNT count]", "Shows some fields of a hash, and where to go on.",
        "2.8.0", "O(1) for each call, O(N) for all N fields", "nondeterministic_output"),
    ROW(hvals, 2, "key", "Shows all values of a hash.", "2.0.0", "O(N) for N fields", "nondeterministic_output_order"),
    {0},
};
