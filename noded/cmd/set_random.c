/* Sets and chance: SPOP and SRANDMEMBER. */
#include "noded/store/set.h"

#include "common/base/mem.h"
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/sample.h"

#include <stdlib.h>

static const char not_positive[] = "ERR value is out of range, must be positive";

/* ---- SPOP ---- */

static void pop_one(struct nd_call *c)
{
    struct slice key = c->argv[1];
    struct nd_entry *e;
    if (!nd_typed(c, key, ND_SET, ND_CHANGE, &e))
        return;
    if (e == NULL) {
        reply_null(c->r);
        return;
    }
    char text[ND_MEMBER_TEXT];
    struct slice member = nd_set_random(&e->v, &c->e->rng, text);
    reply_bulk(c->r, member.p, member.n);
    nd_effect(c, 3, (struct slice[]){slice_of("SREM"), key, member});
    nd_set_remove(&e->v, member);
    nd_notify(c, ND_EV_SET, "spop", key);
    nd_drop_if_empty(c, e);
    nd_changed(c, key, 1);
}

/* Every member is answered and the key goes. */
static void pop_all(struct nd_call *c, struct slice key, struct nd_entry *e)
{
    struct nd_set_iter it;
    struct slice member;
    reply_set(c->r, nd_set_length(&e->v));
    nd_set_iterate(&e->v, &it);
    while (nd_set_next(&it, &member))
        reply_bulk(c->r, member.p, member.n);
    nd_delete(c, c->db, e, c->e->config.lazyfree_lazy_server_del);
    nd_notify(c, ND_EV_GENERIC, "del", key);
    nd_effect_key(c, "DEL", key);
}

/* What was popped, told to the copies by SREMs of some hundred members each. */
struct gone {
    struct nd_call *c;
    size_t n;
    struct slice words[2 + 512];
    char text[512][ND_MEMBER_TEXT]; /* numbers have no bytes of their own in the set */
};

static void tell_gone(struct gone *g)
{
    if (g->n > 2)
        nd_effect(g->c, g->n, g->words);
    g->n = 2;
}

/* The member is answered and noted; its bytes are still there when it is told. */
static void pop_member(struct gone *g, struct slice member)
{
    reply_bulk(g->c->r, member.p, member.n);
    g->words[g->n++] = member;
    if (g->n == sizeof g->words / sizeof g->words[0])
        tell_gone(g);
}

/* A few of many: one by one. */
static void pop_few(struct gone *g, struct nd_value *v, size_t count)
{
    for (; count > 0; count--) {
        struct slice member = nd_set_random(v, &g->c->e->rng, g->text[0]);
        pop_member(g, member);
        tell_gone(g);
        nd_set_remove(v, member);
    }
}

/* Most of them: those that stay move to a set of their own, which takes the place of the old one. */
static void pop_most(struct gone *g, struct nd_entry *e, size_t keep)
{
    const struct nd_limits *limits = &g->c->e->config.limits;
    struct nd_value *v = &e->v, kept = {0};
    char text[ND_MEMBER_TEXT];
    for (size_t i = 0; i < keep; i++) {
        struct slice member = nd_set_random(v, &g->c->e->rng, text);
        if (i == 0)
            kept = nd_set_new(member, limits);
        nd_set_add(&kept, member, limits);
        nd_set_remove(v, member);
    }
    struct nd_set_iter it;
    struct slice member;
    nd_set_iterate(v, &it);
    while (nd_set_next(&it, &member)) {
        if (member.p == it.text) { /* the next call writes there */
            char *own = g->text[g->n - 2];
            for (size_t i = 0; i < member.n; i++)
                own[i] = member.p[i];
            member.p = own;
        }
        pop_member(g, member);
    }
    tell_gone(g);
    nd_db_set_value(g->c->db, e, kept, nd_entry_expire(e));
}

#define KEEP_SHARE 5 /* fewer than a fifth of those that go stay: they are the ones to be moved */

static void pop_count(struct nd_call *c)
{
    struct slice key = c->argv[1];
    struct nd_entry *e;
    int64_t count;
    if (!nd_arg_range(c, 2, 0, INT64_MAX, &count, not_positive) || !nd_typed(c, key, ND_SET, ND_CHANGE, &e))
        return;
    if (e == NULL || count == 0) {
        reply_set(c->r, 0);
        return;
    }
    size_t length = nd_set_length(&e->v), n = (uint64_t)count < length ? (size_t)count : length;
    nd_notify(c, ND_EV_SET, "spop", key);
    if (n == length) {
        pop_all(c, key, e);
    } else {
        struct gone *g = mem_alloc(sizeof *g);
        g->c = c;
        g->n = 2;
        g->words[0] = slice_of("SREM");
        g->words[1] = key;
        reply_set(c->r, n);
        if ((length - n) * KEEP_SHARE > n)
            pop_few(g, &e->v, n);
        else
            pop_most(g, e, length - n);
        free(g);
    }
    nd_changed(c, key, (int64_t)n);
}

static void spop(struct nd_call *c)
{
    if (c->argc == 2)
        pop_one(c);
    else if (c->argc == 3)
        pop_count(c);
    else
        nd_syntax_error(c);
}

/* ---- SRANDMEMBER ---- */

/* With repetitions: as many as were asked for, whatever the size of the set. */
static void draw(struct nd_call *c, const struct nd_value *v, uint64_t count)
{
    struct nd_sample_reply reply;
    char text[ND_MEMBER_TEXT];
    nd_sample_begin(c, count, &reply);
    reply_array(c->r, count);
    while (nd_sample_more(c, &reply)) {
        struct slice member = nd_set_random(v, &c->e->rng, text);
        reply_bulk(c->r, member.p, member.n);
    }
}

/* `count` different ones, by drawing until there are enough: a small part of a large set. */
static void draw_different(struct nd_call *c, const struct nd_value *v, size_t count)
{
    struct nd_value drawn = nd_set_new_intset();
    char text[ND_MEMBER_TEXT];
    for (size_t n = 0; n < count;) {
        struct slice member = nd_set_random(v, &c->e->rng, text);
        if (!nd_set_add(&drawn, member, &c->e->config.limits))
            continue;
        reply_bulk(c->r, member.p, member.n);
        n++;
    }
    nd_set_free(&drawn);
}

/* `count` different ones, by going through all. */
static void choose(struct nd_call *c, const struct nd_value *v, size_t count)
{
    struct nd_set_iter it;
    struct slice member;
    size_t left = nd_set_length(v);
    nd_set_iterate(v, &it);
    while (nd_set_next(&it, &member))
        if (nd_sample_takes(&c->e->rng, &count, &left))
            reply_bulk(c->r, member.p, member.n);
}

static void random_members(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t count;
    if (!nd_sample_count(c, 2, -INT64_MAX, &count) || !nd_typed(c, c->argv[1], ND_SET, ND_READ, &e))
        return;
    if (e == NULL || count == 0) {
        reply_array(c->r, 0);
        return;
    }
    if (count < 0) {
        draw(c, &e->v, (uint64_t)-count);
        return;
    }
    size_t length = nd_set_length(&e->v), n = (uint64_t)count < length ? (size_t)count : length;
    reply_array(c->r, n);
    if (n < length / ND_SAMPLE_SPARSE)
        draw_different(c, &e->v, n);
    else
        choose(c, &e->v, n);
}

static void srandmember(struct nd_call *c)
{
    if (c->argc > 3) {
        nd_syntax_error(c);
        return;
    }
    if (c->argc == 3) {
        random_members(c);
        return;
    }
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_SET, ND_READ, &e))
        return;
    if (e == NULL) {
        reply_null(c->r);
        return;
    }
    char text[ND_MEMBER_TEXT];
    struct slice member = nd_set_random(&e->v, &c->e->rng, text);
    reply_bulk(c->r, member.p, member.n);
}

const struct nd_command nd_set_random_commands[] = {
    {.name = "spop",
     .arity = -2,
     .flags = ND_WRITE | ND_FAST,
     .categories = ND_CAT_SET,
     .run = spop,
     .keys = {{.flags = "RW ACCESS DELETE", .first = 1, .step = 1}},
     .syntax = "key [count]{@3.2.0}",
     .summary = "Takes random members out of a set and answers them.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(1) without count, else O(N) for a count of N.",
     .tips = "nondeterministic_output"},
    {.name = "srandmember",
     .arity = -2,
     .flags = ND_READONLY,
     .categories = ND_CAT_SET,
     .run = srandmember,
     .keys = {{.flags = "RO ACCESS", .first = 1, .step = 1}},
     .syntax = "key [count]{@2.6.0}",
     .summary = "Shows random members of a set; a negative count allows one to come more than once.",
     .since = "1.0.0",
     .group = "set",
     .complexity = "O(1) without count, else O(N) for a count of N or -N.",
     .tips = "nondeterministic_output"},
    {0},
};
