/* LINSERT, LPOS and LREM: list commands that look for an element. */
#include "noded/cmd/engine.h"
#include "noded/cmd/list.h"
#include "noded/cmd/notify.h"
#include "noded/store/list.h"

static void linsert(struct nd_call *c)
{
    struct slice key = c->argv[1];
    bool after = nd_arg_is(c, 2, "AFTER");
    if (!after && !nd_arg_is(c, 2, "BEFORE")) {
        nd_syntax_error(c);
        return;
    }
    struct nd_entry *e;
    if (!nd_typed(c, key, ND_LIST, ND_CHANGE, &e))
        return;
    if (e == NULL) {
        reply_int(c->r, 0);
        return;
    }
    struct nd_list_at at;
    bool more = nd_list_seek(&e->v, 0, &at);
    while (more && !nd_list_is(&at, c->argv[3]))
        more = nd_list_step(&at, false);
    if (!more) {
        reply_int(c->r, -1);
        return;
    }
    nd_list_insert(&e->v, &at, after, c->argv[4]);
    reply_int(c->r, (int64_t)nd_list_length(&e->v));
    nd_notify(c, ND_EV_LIST, "linsert", key);
    nd_changed(c, key, 1);
}

static void lrem(struct nd_call *c)
{
    struct slice key = c->argv[1];
    struct nd_entry *e;
    int64_t count, removed = 0;
    if (!nd_arg_i64(c, 2, &count) || !nd_typed(c, key, ND_LIST, ND_CHANGE, &e))
        return;
    if (e == NULL) {
        reply_int(c->r, 0);
        return;
    }
    bool backwards = count < 0;
    /* 0 is all of them, and so is the one number that has no positive counterpart. */
    uint64_t wanted = count == 0 ? UINT64_MAX : backwards ? 0 - (uint64_t)count : (uint64_t)count;
    struct nd_list_at at;
    bool more = nd_list_seek(&e->v, backwards ? -1 : 0, &at);
    while (more && (uint64_t)removed < wanted) {
        if (nd_list_is(&at, c->argv[3])) {
            more = nd_list_remove(&e->v, &at, backwards);
            removed++;
        } else {
            more = nd_list_step(&at, backwards);
        }
    }
    reply_int(c->r, removed);
    if (removed == 0)
        return;
    nd_notify(c, ND_EV_LIST, "lrem", key);
    nd_drop_if_empty(c, e);
    nd_changed(c, key, removed);
}

/* ---- LPOS ---- */

struct lpos {
    int64_t rank, maxlen;
    int64_t count; /* < 0: the first match, not in an array; 0: all */
};

static bool lpos_args(struct nd_call *c, struct lpos *o)
{
    *o = (struct lpos){.rank = 1, .count = -1};
    for (size_t i = 3; i < c->argc; i += 2) {
        bool has_value = i + 1 < c->argc;
        if (has_value && nd_arg_is(c, i, "RANK")) {
            if (!nd_arg_i64(c, i + 1, &o->rank))
                return false;
            if (o->rank == 0) {
                nd_error(c, "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
                            "negative to start from the end of the list");
                return false;
            }
        } else if (has_value && nd_arg_is(c, i, "COUNT")) {
            if (!nd_arg_range(c, i + 1, 0, INT64_MAX, &o->count, "ERR COUNT can't be negative"))
                return false;
        } else if (has_value && nd_arg_is(c, i, "MAXLEN")) {
            if (!nd_arg_range(c, i + 1, 0, INT64_MAX, &o->maxlen, "ERR MAXLEN can't be negative"))
                return false;
        } else {
            nd_syntax_error(c);
            return false;
        }
    }
    return true;
}

static void lpos(struct nd_call *c)
{
    struct lpos o;
    struct nd_entry *e;
    if (!lpos_args(c, &o) || !nd_typed(c, c->argv[1], ND_LIST, ND_READ, &e))
        return;
    bool backwards = o.rank < 0;
    /* The rank that has no positive counterpart means the first match. */
    int64_t rank = o.rank == INT64_MIN ? 1 : backwards ? -o.rank : o.rank;
    int64_t length = e != NULL ? (int64_t)nd_list_length(&e->v) : 0;
    int64_t steps = o.maxlen > 0 && o.maxlen < length ? o.maxlen : length;
    int64_t shown = 0, wanted = o.count < 0 ? 1 : o.count == 0 ? INT64_MAX : o.count;
    size_t mark = reply_begin(c->r);
    struct nd_list_at at;
    bool more = e != NULL && nd_list_seek(&e->v, backwards ? -1 : 0, &at);
    for (int64_t i = 0; more && i < steps && shown < wanted; i++) {
        if (nd_list_is(&at, c->argv[2]) && --rank <= 0) {
            reply_int(c->r, backwards ? length - 1 - i : i);
            shown++;
        }
        more = nd_list_step(&at, backwards);
    }
    if (o.count >= 0)
        reply_end_array(c->r, mark, (size_t)shown);
    else if (shown == 0)
        reply_null(c->r);
}

const struct nd_command nd_list_search_commands[] = {
    {.name = "linsert",
     .arity = 5,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_LIST,
     .run = linsert,
     .keys = ND_ONE_KEY("RW INSERT"),
     .syntax = "key <BEFORE | AFTER>{where} pivot element",
     .summary = "Adds an element before or after the first one that equals another.",
     .since = "2.2.0",
     .group = "list",
     .complexity = "O(N) for N elements up to the other"},
    {.name = "lpos",
     .arity = -3,
     .flags = ND_READONLY,
     .categories = ND_CAT_LIST,
     .run = lpos,
     .keys = ND_ONE_KEY("RO ACCESS"),
     .syntax = "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
     .summary = "Shows at which places of a list an element stands.",
     .since = "6.0.6",
     .group = "list",
     .complexity = "O(N) for N elements looked at"},
    {.name = "lrem",
     .arity = 4,
     .flags = ND_WRITE,
     .categories = ND_CAT_LIST,
     .run = lrem,
     .keys = ND_ONE_KEY("RW DELETE"),
     .syntax = "key count element",
     .summary = "Takes elements that equal another out of a list, counted from the head or (below 0) the tail.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N+M) for N elements of the list and M taken out"},
    {0},
};
