#include "noded/cmd/transaction.h"

#include "noded/cmd/cluster.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/multi.h"
#include "noded/cmd/run.h"
#include "noded/cmd/watch.h"

static void multi_command(struct nd_call *c)
{
    if ((c->s->flags & ND_S_MULTI) != 0) {
        nd_error(c, "ERR MULTI calls can not be nested");
        return;
    }
    c->s->flags |= ND_S_MULTI;
    nd_ok(c);
}

static void discard_command(struct nd_call *c)
{
    if ((c->s->flags & ND_S_MULTI) == 0) {
        nd_error(c, "ERR DISCARD without MULTI");
        return;
    }
    nd_multi_discard(c->s);
    nd_ok(c);
}

static void watch_command(struct nd_call *c)
{
    if ((c->s->flags & ND_S_MULTI) != 0) {
        nd_error(c, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    /* Once a watched key has changed, nothing can mend this transaction. */
    if ((c->s->flags & ND_S_DIRTY_CAS) == 0)
        for (size_t i = 1; i < c->argc; i++)
            nd_watch(c->s, c->argv[i]);
    nd_ok(c);
}

static void unwatch_command(struct nd_call *c)
{
    nd_unwatch_all(c->s);
    c->s->flags &= ~(uint32_t)ND_S_DIRTY_CAS;
    nd_ok(c);
}

static void run_queued(struct nd_call *c, const struct nd_queued *q)
{
    struct nd_call inner = {
        .e = c->e,
        .s = c->s,
        .cmd = q->row->cmd,
        .row = q->row,
        .db = c->s->db,
        .argc = q->argc,
        .argv = q->argv,
        .r = nd_session_reply(c->s), /* CLIENT REPLY may be among the queued */
        .now_ms = c->now_ms,
        .in_slot = c->in_slot && q->row->keyed != ND_KEYED_NOT,
        .slot = c->slot,
    };
    c->s->last = q->row->cmd;
    nd_run(&inner);
}

void nd_exec_command(struct nd_call *c)
{
    struct nd_session *s = c->s;
    if (nd_cluster_exec_reply(c))
        return;
    if ((s->flags & ND_S_MULTI) == 0) {
        nd_error(c, "ERR EXEC without MULTI");
        return;
    }
    bool changed = (s->flags & ND_S_DIRTY_CAS) != 0 || nd_watch_expired(s);
    bool spoiled = (s->flags & ND_S_DIRTY_EXEC) != 0;
    if (changed || spoiled) {
        if (spoiled)
            nd_error(c, "EXECABORT Transaction discarded because of previous errors.");
        else
            reply_null_array(c->r);
        nd_multi_discard(s);
        return;
    }
    struct nd_multi *m = s->multi;
    s->multi = NULL;
    nd_unwatch_all(s);
    s->flags = (s->flags & ~(uint32_t)ND_S_MULTI) | ND_S_IN_EXEC;
    size_t n = m != NULL ? m->n : 0;
    nd_cluster_exec_begins(c);
    reply_array(c->r, n);
    for (size_t i = 0; i < n; i++)
        run_queued(c, &m->v[i]);
    s->flags &= ~(uint32_t)ND_S_IN_EXEC;
    c->in_slot = false; /* what it has run was counted */
    s->last = c->cmd;
    nd_effects_flush(c->e); /* they point into the queue that is freed now */
    nd_multi_free(m);
    nd_cluster_exec_ends(c);
}

const struct nd_command nd_transaction_commands[] = {
    {
        .name = "multi",
        .arity = 1,
        .flags = ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_FAST | ND_ALLOW_BUSY | ND_RUNS_IN_MULTI,
        .categories = ND_CAT_TRANSACTION,
        .run = multi_command,
        .syntax = "",
        .summary = "Begins a transaction: the commands that follow are queued.",
        .since = "1.2.0",
        .group = "transactions",
        .complexity = "O(1)",
    },
    {
        .name = "exec",
        .arity = 1,
        .flags = ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_SKIP_SLOWLOG | ND_RUNS_IN_MULTI,
        .categories = ND_CAT_TRANSACTION,
        .run = nd_exec_command,
        .syntax = "",
        .summary = "Runs all queued commands, unless a watched key has changed.",
        .since = "1.2.0",
        .group = "transactions",
        .complexity = "That of the queued commands",
    },
    {
        .name = "discard",
        .arity = 1,
        .flags = ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_FAST | ND_ALLOW_BUSY | ND_RUNS_IN_MULTI,
        .categories = ND_CAT_TRANSACTION,
        .run = discard_command,
        .syntax = "",
        .summary = "Forgets the queued commands and ends the transaction.",
        .since = "2.0.0",
        .group = "transactions",
        .complexity = "O(N), N being the queued commands",
    },
    {
        .name = "watch",
        .arity = -2,
        .flags = ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_FAST | ND_ALLOW_BUSY | ND_RUNS_IN_MULTI,
        .categories = ND_CAT_TRANSACTION,
        .run = watch_command,
        .keys = {{.flags = "RO", .first = 1, .last = -1, .step = 1}},
        .syntax = "key [key ...]",
        .summary = "Lets the next EXEC run only if none of these keys changes until then.",
        .since = "2.2.0",
        .group = "transactions",
        .complexity = "O(1) for each key",
    },
    {
        .name = "unwatch",
        .arity = 1,
        .flags = ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_FAST | ND_ALLOW_BUSY,
        .categories = ND_CAT_TRANSACTION,
        .run = unwatch_command,
        .syntax = "",
        .summary = "Forgets all watched keys.",
        .since = "2.2.0",
        .group = "transactions",
        .complexity = "O(1)",
    },
    {.name = NULL},
};
