/* LMOVE, RPOPLPUSH, and their forms that wait. */
#include "noded/cmd/engine.h"
#include "noded/cmd/list.h"
#include "noded/cmd/notify.h"
#include "noded/store/list.h"

struct moving {
    struct slice from, to;
    bool from_front, to_front;
};

/* Within one list the element is copied: the push may move what it would be read from. */
static void move_around(struct nd_call *c, struct nd_entry *e, const struct moving *m)
{
    char tmp[ND_PACK_INT_TEXT];
    struct buf copy = {0};
    struct slice s = nd_list_end(&e->v, m->from_front, tmp);
    reply_bulk(c->r, s.p, s.n);
    buf_put(&copy, s.p, s.n);
    nd_list_drop(&e->v, m->from_front);
    nd_list_push(&e->v, m->to_front, buf_slice(&copy));
    buf_free(&copy);
}

static void move_over(struct nd_call *c, struct nd_entry *from, struct nd_entry *to, const struct moving *m)
{
    char tmp[ND_PACK_INT_TEXT];
    struct slice s = nd_list_end(&from->v, m->from_front, tmp);
    reply_bulk(c->r, s.p, s.n);
    if (to != NULL)
        nd_list_push(&to->v, m->to_front, s);
    else
        nd_list_begin(c, m->to, m->to_front, s);
    nd_list_drop(&from->v, m->from_front);
}

/* `from` is a list. false: the other key holds no list, which was answered. */
static bool move(struct nd_call *c, struct nd_entry *from, const struct moving *m)
{
    struct nd_entry *to;
    if (!nd_typed(c, m->to, ND_LIST, ND_CHANGE, &to))
        return false;
    if (to == from)
        move_around(c, from, m);
    else
        move_over(c, from, to, m);
    nd_notify(c, ND_EV_LIST, m->to_front ? "lpush" : "rpush", m->to);
    nd_changed(c, m->to, 0);
    nd_list_popped(c, m->from, from, m->from_front, c->ready_key.p != NULL ? 0 : 1);
    return true;
}

/* Arguments 3 and 4. */
static bool sides(struct nd_call *c, struct moving *m)
{
    m->from = c->argv[1];
    m->to = c->argv[2];
    return nd_list_side(c, 3, &m->from_front) && nd_list_side(c, 4, &m->to_front);
}

static struct moving tail_to_head(struct nd_call *c)
{
    return (struct moving){.from = c->argv[1], .to = c->argv[2], .from_front = false, .to_front = true};
}

static void move_now(struct nd_call *c, const struct moving *m)
{
    struct nd_entry *from;
    if (!nd_typed(c, m->from, ND_LIST, ND_CHANGE, &from))
        return;
    if (from != NULL)
        move(c, from, m);
    else
        reply_null(c->r);
}

static void lmove(struct nd_call *c)
{
    struct moving m;
    if (sides(c, &m))
        move_now(c, &m);
}

static void rpoplpush(struct nd_call *c)
{
    struct moving m = tail_to_head(c);
    move_now(c, &m);
}

/* ---- waiting ---- */

/* true: moved, or answered with an error. */
static bool move_or_error(struct nd_call *c, const struct moving *m, size_t words, const struct slice *effect)
{
    struct nd_entry *from;
    if (c->ready_key.p != NULL) {
        from = nd_lookup(c, m->from, ND_CHANGE);
        if (from != NULL && from->v.type != ND_LIST)
            from = NULL;
    } else if (!nd_typed(c, m->from, ND_LIST, ND_CHANGE, &from)) {
        return true;
    }
    if (from == NULL)
        return false;
    if (move(c, from, m))
        nd_effect(c, words, effect);
    return true;
}

static void move_or_wait(struct nd_call *c, const struct moving *m, size_t timeout_arg, size_t words,
                         const struct slice *effect)
{
    int64_t timeout_ms;
    if (!nd_arg_timeout(c, timeout_arg, &timeout_ms) || move_or_error(c, m, words, effect))
        return;
    if (nd_may_block(c))
        nd_block(c, ND_LIST, &m->from, 1, timeout_ms, nd_list_timeout);
    else
        reply_null(c->r);
}

static void blmove(struct nd_call *c)
{
    struct moving m;
    if (!sides(c, &m))
        return;
    struct slice effect[] = {slice_of("LMOVE"), m.from, m.to, c->argv[3], c->argv[4]};
    if (c->ready_key.p != NULL) { /* then Redis uses words of its own */
        effect[3] = slice_of(m.from_front ? "left" : "right");
        effect[4] = slice_of(m.to_front ? "left" : "right");
    }
    move_or_wait(c, &m, 5, 5, effect);
}

static void brpoplpush(struct nd_call *c)
{
    struct moving m = tail_to_head(c);
    struct slice effect[] = {slice_of("RPOPLPUSH"), m.from, m.to};
    move_or_wait(c, &m, 3, 3, effect);
}

/* ---- rows ---- */

#define KEYS                                                  \
    {                                                         \
        {.flags = "RW ACCESS DELETE", .first = 1, .step = 1}, \
        {                                                     \
            .flags = "RW INSERT", .first = 2, .step = 1       \
        }                                                     \
    }
#define MOVE "Takes an element from an end of a list, adds it at an end of another and shows it"
#define TAIL_TO_HEAD "Takes the last element of a list, adds it in front of another and shows it"

const struct nd_command nd_list_move_commands[] = {
    {.name = "blmove",
     .arity = 6,
     .flags = ND_WRITE | ND_DENYOOM | ND_NOSCRIPT | ND_BLOCKING,
     .categories = ND_CAT_LIST,
     .run = blmove,
     .keys = KEYS,
     .syntax = "source destination <LEFT | RIGHT>{wherefrom} <LEFT | RIGHT>{whereto} timeout",
     .summary = MOVE "; waits while there is none.",
     .since = "6.2.0",
     .group = "list",
     .complexity = "O(1)"},
    {.name = "brpoplpush",
     .arity = 4,
     .flags = ND_WRITE | ND_DENYOOM | ND_NOSCRIPT | ND_BLOCKING,
     .categories = ND_CAT_LIST,
     .run = brpoplpush,
     .keys = KEYS,
     .syntax = "source destination timeout",
     .summary = TAIL_TO_HEAD "; waits while there is none.",
     .since = "2.2.0",
     .group = "list",
     .complexity = "O(1)"},
    {.name = "lmove",
     .arity = 5,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_LIST,
     .run = lmove,
     .keys = KEYS,
     .syntax = "source destination <LEFT | RIGHT>{wherefrom} <LEFT | RIGHT>{whereto}",
     .summary = MOVE ".",
     .since = "6.2.0",
     .group = "list",
     .complexity = "O(1)"},
    {.name = "rpoplpush",
     .arity = 3,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_LIST,
     .run = rpoplpush,
     .keys = KEYS,
     .syntax = "source destination",
     .summary = TAIL_TO_HEAD ".",
     .since = "1.2.0",
     .group = "list",
     .complexity = "O(1)"},
    {0},
};
