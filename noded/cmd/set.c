/* Sets: members in and out, and what asks about them. Chance is in set_random.c, several sets at once in
 * set_algebra.c. */
#include "noded/store/set.h"

#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/scan.h"

static const struct nd_limits *limits(const struct nd_call *c)
{
    return &c->e->config.limits;
}

/* ---- changing ---- */

static void sadd(struct nd_call *c)
{
    struct slice key = c->argv[1];
    struct nd_entry *e;
    if (!nd_typed(c, key, ND_SET, ND_CHANGE, &e))
        return;
    if (e == NULL)
        e = nd_add_key(c, key, nd_set_new(c->argv[2], limits(c)));
    int64_t added = 0;
    for (size_t i = 2; i < c->argc; i++)
        added += nd_set_add(&e->v, c->argv[i], limits(c));
    if (added > 0) {
        nd_changed(c, key, added);
        nd_notify(c, ND_EV_SET, "sadd", key);
    }
    reply_int(c->r, added);
}

static void srem(struct nd_call *c)
{
    struct slice key = c->argv[1];
    struct nd_entry *e;
    if (!nd_typed(c, key, ND_SET, ND_CHANGE, &e))
        return;
    int64_t removed = 0;
    for (size_t i = 2; e != NULL && i < c->argc; i++)
        removed += nd_set_remove(&e->v, c->argv[i]);
    if (removed > 0) {
        nd_changed(c, key, removed);
        nd_notify(c, ND_EV_SET, "srem", key);
        nd_drop_if_empty(c, e);
    }
    reply_int(c->r, removed);
}

static void smove(struct nd_call *c)
{
    struct slice from = c->argv[1], to = c->argv[2], member = c->argv[3];
    struct nd_entry *source, *target;
    if (!nd_typed(c, from, ND_SET, ND_CHANGE, &source))
        return;
    if (source == NULL) {
        reply_int(c->r, 0);
        return;
    }
    if (!nd_typed(c, to, ND_SET, ND_CHANGE, &target))
        return;
    if (source == target) {
        reply_int(c->r, nd_set_has(&source->v, member));
        return;
    }
    if (!nd_set_remove(&source->v, member)) {
        reply_int(c->r, 0);
        return;
    }
    nd_notify(c, ND_EV_SET, "srem", from);
    nd_drop_if_empty(c, source);
    nd_changed(c, from, 1);
    if (target == NULL)
        target = nd_add_key(c, to, nd_set_new(member, limits(c)));
    if (nd_set_add(&target->v, member, limits(c))) {
        nd_changed(c, to, 1);
        nd_notify(c, ND_EV_SET, "sadd", to);
    }
    reply_int(c->r, 1);
}

/* ---- asking ---- */

static void sismember(struct nd_call *c)
{
    struct nd_entry *e;
    if (nd_typed(c, c->argv[1], ND_SET, ND_READ, &e))
        reply_int(c->r, e != NULL && nd_set_has(&e->v, c->argv[2]));
}

static void smismember(struct nd_call *c)
{
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_SET, ND_READ, &e))
        return;
    reply_array(c->r, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++)
        reply_int(c->r, e != NULL && nd_set_has(&e->v, c->argv[i]));
}

static void scard(struct nd_call *c)
{
    struct nd_entry *e;
    if (nd_typed(c, c->argv[1], ND_SET, ND_READ, &e))
        reply_int(c->r, e != NULL ? (int64_t)nd_set_length(&e->v) : 0);
}

static void smembers(struct nd_call *c)
{
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_SET, ND_READ, &e))
        return;
    reply_set(c->r, e != NULL ? nd_set_length(&e->v) : 0);
    if (e == NULL)
        return;
    struct nd_set_iter it;
    struct slice member;
    nd_set_iterate(&e->v, &it);
    while (nd_set_next(&it, &member))
        reply_bulk(c->r, member.p, member.n);
}

struct scanning {
    const struct nd_scan *scan;
    struct nd_scan_found found;
    int64_t seen;
};

static void scanned(void *owner, struct slice member)
{
    struct scanning *s = owner;
    s->seen++;
    if (nd_scan_fits(s->scan, member))
        nd_scan_put(&s->found, member);
}

#define SCAN_ROUNDS 10 /* steps for each element asked for, so that a sparse table does not make a call long */

static void sscan(struct nd_call *c)
{
    struct nd_scan scan;
    struct nd_entry *e;
    if (!nd_scan_open(c, ND_SET, &scan, &e))
        return;
    struct scanning s = {.scan = &scan};
    nd_scan_begin(c, &s.found);
    uint64_t cursor = scan.cursor;
    int64_t rounds = scan.count < INT64_MAX / SCAN_ROUNDS ? scan.count * SCAN_ROUNDS : INT64_MAX;
    do
        cursor = nd_set_scan(&e->v, cursor, scanned, &s);
    while (cursor != 0 && s.seen < scan.count && --rounds > 0);
    nd_scan_end(c, &s.found, cursor);
}

/* clang-format off */
#define KEY(f) {{.flags = f, .first = 1, .step = 1}}
/* clang-format on */

const struct nd_command nd_set_commands[] = {
    {.name = "sadd",
     .arity = -3,
     .flags = ND_WRITE | ND_DENYOOM | ND_FAST,
     .categories = ND_CAT_SET,
     .run = sadd,
     .keys = KEY("RW INSERT"),
     .syntax = "key member [member ...]",
     .summary = "Adds members to a set, which is made when it is not there.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(1) for each member."},
    {.name = "srem",
     .arity = -3,
     .flags = ND_WRITE | ND_FAST,
     .categories = ND_CAT_SET,
     .run = srem,
     .keys = KEY("RW DELETE"),
     .syntax = "key member [member ...]",
     .summary = "Takes members out of a set; an empty set is deleted.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(1) for each member."},
    {.name = "smove",
     .arity = 4,
     .flags = ND_WRITE | ND_FAST,
     .categories = ND_CAT_SET,
     .run = smove,
     .keys = {{.flags = "RW ACCESS DELETE", .first = 1, .step = 1}, {.flags = "RW INSERT", .first = 2, .step = 1}},
     .syntax = "source destination member",
     .summary = "Moves a member from one set to another.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(1)"},
    {.name = "sismember",
     .arity = 3,
     .flags = ND_READONLY | ND_FAST,
     .categories = ND_CAT_SET,
     .run = sismember,
     .keys = KEY("RO"),
     .syntax = "key member",
     .summary = "Says whether a set has a member.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(1)"},
    {.name = "smismember",
     .arity = -3,
     .flags = ND_READONLY | ND_FAST,
     .categories = ND_CAT_SET,
     .run = smismember,
     .keys = KEY("RO ACCESS"),
     .syntax = "key member [member ...]",
     .summary = "Says of each of several members whether a set has it.",
     .since = "6.2.0",
     .group = "set",
     .complexity = "O(1) for each member."},
    {.name = "scard",
     .arity = 2,
     .flags = ND_READONLY | ND_FAST,
     .categories = ND_CAT_SET,
     .run = scard,
     .keys = KEY("RO"),
     .syntax = "key",
     .summary = "Counts the members of a set.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(1)"},
    {.name = "smembers",
     .arity = 2,
     .flags = ND_READONLY,
     .categories = ND_CAT_SET,
     .run = smembers,
     .keys = KEY("RO ACCESS"),
     .syntax = "key",
     .summary = "Shows every member of a set.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(N) for N members.",
     .tips = "nondeterministic_output_order"},
    {.name = "sscan",
     .arity = -3,
     .flags = ND_READONLY,
     .categories = ND_CAT_SET,
     .run = sscan,
     .keys = KEY("RO ACCESS"),
     .syntax = "key cursor [MATCH pattern] [COUNT count]",
     .summary = "Walks over the members of a set with a cursor.",
     .since = "2.8.0",
     .group = "set",
     .complexity = "O(1) for each call, O(N) for the whole walk over N members.",
     .tips = "nondeterministic_output"},
    {0},
};
