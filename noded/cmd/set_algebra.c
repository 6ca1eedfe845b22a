/* Several sets at once: intersection, union, difference, answered, counted or stored. */
#include "noded/store/set.h"

#include "common/base/mem.h"
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/stored.h"

#include <assert.h>
#include <stdlib.h>

#define FEW 16

struct sets {
    const struct nd_value **v; /* NULL where there is no key */
    size_t n, missing;
    const struct nd_value *few[FEW];
};

/* Every key is looked at, so that one of a wrong type is found whatever the others are. */
static bool open_sets(struct nd_call *c, size_t first, size_t n, struct sets *sets)
{
    assert(n > 0); /* by the arity of the commands */
    sets->v = n <= FEW ? sets->few : mem_array(NULL, n, sizeof(struct nd_value *));
    sets->n = n;
    sets->missing = 0;
    for (size_t i = 0; i < n; i++) {
        struct nd_entry *e;
        if (!nd_typed(c, c->argv[first + i], ND_SET, ND_READ, &e)) {
            if (sets->v != sets->few)
                free(sets->v);
            return false;
        }
        sets->v[i] = e != NULL ? &e->v : NULL;
        sets->missing += e == NULL;
    }
    return true;
}

static void close_sets(struct sets *sets)
{
    if (sets->v != sets->few)
        free(sets->v);
}

/* What comes of each member of a result: added to a set, counted, or answered. */
struct result {
    struct nd_call *c;
    struct nd_value *into; /* NULL: not stored */
    bool answered;
    size_t n, limit; /* limit 0: none */
};

/* false: that was enough. */
static bool take(struct result *r, struct slice member)
{
    if (r->into != NULL)
        nd_set_add(r->into, member, &r->c->e->config.limits);
    else if (r->answered)
        reply_bulk(r->c->r, member.p, member.n);
    r->n++;
    return r->n != r->limit;
}

/* ---- the three ---- */

static int by_size(const void *a, const void *b)
{
    size_t x = nd_set_length(*(const struct nd_value *const *)a);
    size_t y = nd_set_length(*(const struct nd_value *const *)b);
    return (x > y) - (x < y);
}

/* Members of the smallest set, asked for in the others, the smaller ones first. */
static void intersect(struct sets *sets, struct result *r)
{
    if (sets->missing > 0)
        return;
    qsort(sets->v, sets->n, sizeof sets->v[0], by_size);
    struct nd_set_iter it;
    struct slice member;
    nd_set_iterate(sets->v[0], &it);
    while (nd_set_next(&it, &member)) {
        size_t i = 1;
        while (i < sets->n && (sets->v[i] == sets->v[0] || nd_set_has(sets->v[i], member)))
            i++;
        if (i == sets->n && !take(r, member)) {
            nd_set_stop(&it);
            return;
        }
    }
}

static void add_all(struct nd_call *c, const struct nd_value *from, struct nd_value *into)
{
    struct nd_set_iter it;
    struct slice member;
    nd_set_iterate(from, &it);
    while (nd_set_next(&it, &member))
        nd_set_add(into, member, &c->e->config.limits);
}

static struct nd_value unite(struct nd_call *c, const struct sets *sets)
{
    struct nd_value v = nd_set_new_intset();
    for (size_t i = 0; i < sets->n; i++)
        if (sets->v[i] != NULL)
            add_all(c, sets->v[i], &v);
    return v;
}

/* Whether asking the others for each member of the first is less work than taking every member of the others away from
 * a copy of the first. Asking ends at the first set that has the member, so it counts half. */
static bool asking_is_less(const struct sets *sets)
{
    size_t asked = 0, taken = 0;
    for (size_t i = 0; i < sets->n; i++) {
        if (sets->v[i] == NULL)
            continue;
        asked += nd_set_length(sets->v[0]);
        taken += nd_set_length(sets->v[i]);
    }
    return asked / 2 <= taken;
}

static bool others_have(const struct sets *sets, struct slice member)
{
    for (size_t i = 1; i < sets->n; i++)
        if (sets->v[i] != NULL && nd_set_has(sets->v[i], member))
            return true;
    return false;
}

static struct nd_value subtract(struct nd_call *c, const struct sets *sets)
{
    struct nd_value v = nd_set_new_intset();
    struct nd_set_iter it;
    struct slice member;
    if (sets->v[0] == NULL)
        return v;
    if (asking_is_less(sets)) {
        nd_set_iterate(sets->v[0], &it);
        while (nd_set_next(&it, &member))
            if (!others_have(sets, member))
                nd_set_add(&v, member, &c->e->config.limits);
        return v;
    }
    add_all(c, sets->v[0], &v);
    for (size_t i = 1; i < sets->n && nd_set_length(&v) > 0; i++) {
        if (sets->v[i] == NULL)
            continue;
        nd_set_iterate(sets->v[i], &it);
        while (nd_set_next(&it, &member))
            nd_set_remove(&v, member);
    }
    return v;
}

/* ---- commands ---- */

static void sinter(struct nd_call *c)
{
    struct sets sets;
    if (!open_sets(c, 1, c->argc - 1, &sets))
        return;
    struct result r = {.c = c, .answered = true};
    size_t mark = reply_begin(c->r);
    intersect(&sets, &r);
    reply_end_set(c->r, mark, r.n);
    close_sets(&sets);
}

static void sinterstore(struct nd_call *c)
{
    struct sets sets;
    if (!open_sets(c, 2, c->argc - 2, &sets))
        return;
    struct nd_value v = nd_set_new_intset();
    struct result r = {.c = c, .into = &v};
    intersect(&sets, &r);
    close_sets(&sets);
    nd_store_result(c, c->argv[1], v, ND_EV_SET, "sinterstore");
}

static void sintercard(struct nd_call *c)
{
    int64_t keys, limit = 0;
    if (!nd_arg_range(c, 1, 1, INT64_MAX, &keys, "ERR numkeys should be greater than 0"))
        return;
    if ((uint64_t)keys > c->argc - 2) {
        nd_error(c, "ERR Number of keys can't be greater than number of args");
        return;
    }
    for (size_t i = 2 + (size_t)keys; i < c->argc; i += 2) {
        if (!nd_arg_is(c, i, "LIMIT") || i + 1 == c->argc) {
            nd_syntax_error(c);
            return;
        }
        if (!nd_arg_range(c, i + 1, 0, INT64_MAX, &limit, "ERR LIMIT can't be negative"))
            return;
    }
    struct sets sets;
    if (!open_sets(c, 2, (size_t)keys, &sets))
        return;
    struct result r = {.c = c, .limit = (size_t)limit};
    intersect(&sets, &r);
    close_sets(&sets);
    reply_int(c->r, (int64_t)r.n);
}

typedef struct nd_value combine_fn(struct nd_call *c, const struct sets *sets);

static void combine(struct nd_call *c, combine_fn *fn)
{
    struct sets sets;
    if (!open_sets(c, 1, c->argc - 1, &sets))
        return;
    struct nd_value v = fn(c, &sets);
    close_sets(&sets);
    struct nd_set_iter it;
    struct slice member;
    reply_set(c->r, nd_set_length(&v));
    nd_set_iterate(&v, &it);
    while (nd_set_next(&it, &member))
        reply_bulk(c->r, member.p, member.n);
    nd_set_free(&v);
}

static void combine_and_store(struct nd_call *c, combine_fn *fn, const char *event)
{
    struct sets sets;
    if (!open_sets(c, 2, c->argc - 2, &sets))
        return;
    struct nd_value v = fn(c, &sets);
    close_sets(&sets);
    nd_store_result(c, c->argv[1], v, ND_EV_SET, event);
}

static void sunion(struct nd_call *c)
{
    combine(c, unite);
}

static void sunionstore(struct nd_call *c)
{
    combine_and_store(c, unite, "sunionstore");
}

static void sdiff(struct nd_call *c)
{
    combine(c, subtract);
}

static void sdiffstore(struct nd_call *c)
{
    combine_and_store(c, subtract, "sdiffstore");
}

/* clang-format off */
#define SOURCES(from) {.flags = "RO ACCESS", .first = from, .last = -1, .step = 1}
#define TARGET(f) {.flags = f, .first = 1, .step = 1}
/* clang-format on */

const struct nd_command nd_set_algebra_commands[] = {
    {.name = "sinter",
     .arity = -2,
     .flags = ND_READONLY,
     .categories = ND_CAT_SET,
     .run = sinter,
     .keys = {SOURCES(1)},
     .syntax = "key [key ...]",
     .summary = "Shows the members that all of the sets have.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(N*M) for a smallest set of N members and M sets.",
     .tips = "nondeterministic_output_order"},
    {.name = "sinterstore",
     .arity = -3,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_SET,
     .run = sinterstore,
     .keys = {TARGET("RW UPDATE"), SOURCES(2)},
     .syntax = "destination key [key ...]",
     .summary = "Stores the members that all of the sets have.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(N*M) for a smallest set of N members and M sets."},
    {.name = "sintercard",
     .arity = -3,
     .flags = ND_READONLY | ND_MOVABLE_KEYS,
     .categories = ND_CAT_SET,
     .run = sintercard,
     .keys = {{.flags = "RO ACCESS", .first = 1, .keynum = 1, .step = 1}},
     .syntax = "numkeys key [key ...] [LIMIT limit]",
     .summary = "Counts the members that all of the sets have.",
     .since = "7.0.0",
     .group = "set",
     .complexity = "O(N*M) for a smallest set of N members and M sets."},
    {.name = "sunion",
     .arity = -2,
     .flags = ND_READONLY,
     .categories = ND_CAT_SET,
     .run = sunion,
     .keys = {SOURCES(1)},
     .syntax = "key [key ...]",
     .summary = "Shows the members that any of the sets has.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(N) for N members of all sets together.",
     .tips = "nondeterministic_output_order"},
    {.name = "sunionstore",
     .arity = -3,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_SET,
     .run = sunionstore,
     .keys = {TARGET("OW UPDATE"), SOURCES(2)},
     .syntax = "destination key [key ...]",
     .summary = "Stores the members that any of the sets has.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(N) for N members of all sets together."},
    {.name = "sdiff",
     .arity = -2,
     .flags = ND_READONLY,
     .categories = ND_CAT_SET,
     .run = sdiff,
     .keys = {SOURCES(1)},
     .syntax = "key [key ...]",
     .summary = "Shows the members of the first set that none of the others has.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(N) for N members of all sets together.",
     .tips = "nondeterministic_output_order"},
    {.name = "sdiffstore",
     .arity = -3,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_SET,
     .run = sdiffstore,
     .keys = {TARGET("OW UPDATE"), SOURCES(2)},
     .syntax = "destination key [key ...]",
     .summary = "Stores the members of the first set that none of the others has.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(N) for N members of all sets together."},
    {0},
};
