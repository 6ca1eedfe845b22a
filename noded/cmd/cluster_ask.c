/* Commands that the core of the bus decides: it answers in a later step, some only when the disk has it, and until then
 * the client waits. Of a transaction EXEC waits, and keeps its answer back until it is whole. */
#include "common/base/mem.h"
#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"

#include <stdlib.h>

struct nd_cluster_ask {
    struct nd_cluster_ask *next, **place;
    cl_token token;
    struct nd_session *s; /* NULL: the client went away, or EXEC waits: */
    struct nd_cluster_exec *exec;
    size_t at; /* in its answer */
    bool ok;
    struct buf text;
};

/* An EXEC of whose commands the core decides some. */
struct nd_cluster_exec {
    struct nd_session *s; /* NULL: the client went away, or EXEC is not done yet */
    struct buf text;      /* its answer without theirs */
    struct nd_cluster_ask **asks;
    size_t n, cap, left;
};

static void drop(struct nd_cluster_ask *a)
{
    *a->place = a->next;
    if (a->next != NULL)
        a->next->place = a->place;
    buf_free(&a->text);
    free(a);
}

static void client_gone(void *what)
{
    ((struct nd_cluster_ask *)what)->s = NULL;
}

static void exec_gone(void *what)
{
    ((struct nd_cluster_exec *)what)->s = NULL;
}

static void exec_free(struct nd_cluster_exec *x)
{
    for (size_t i = 0; i < x->n; i++)
        drop(x->asks[i]);
    free(x->asks);
    buf_free(&x->text);
    free(x);
}

void nd_cluster_asks_free(struct nd_cluster *cl)
{
    while (cl->asks != NULL) {
        struct nd_cluster_ask *a = cl->asks;
        struct nd_session *s = a->exec != NULL ? a->exec->s : a->s;
        if (s != NULL)
            nd_wait_drop(s);
        if (a->exec != NULL)
            exec_free(a->exec);
        else
            drop(a);
    }
}

static void exec_add(struct nd_call *c, struct nd_cluster_ask *a)
{
    struct nd_cluster *cl = c->e->cluster;
    if (cl->exec == NULL)
        cl->exec = mem_zalloc(sizeof *cl->exec);
    struct nd_cluster_exec *x = cl->exec;
    x->asks = mem_grow(x->asks, x->n, &x->cap, sizeof *x->asks);
    x->asks[x->n++] = a;
    x->left++;
    a->exec = x;
    a->at = c->r->out->n; /* of the buffer yet */
}

/* What redis-cli puts into a transaction when it mends slots, and its like: answered when the disk has it. */
static bool may_be_of_exec(const struct nd_call *c, enum cl_verb verb)
{
    switch (verb) {
    case CL_ADDSLOTS:
    case CL_DELSLOTS:
    case CL_FLUSHSLOTS:
    case CL_SETSLOT_MIGRATING:
    case CL_SETSLOT_IMPORTING:
    case CL_SETSLOT_STABLE:
    case CL_SETSLOT_NODE:
    case CL_BUMPEPOCH:
    case CL_SET_CONFIG_EPOCH:
    case CL_SAVECONFIG: break;
    default: return false;
    }
    /* With CLIENT REPLY in it the answers of a transaction do not all go the same way. */
    return c->s->kind == ND_CLIENT && (c->s->flags & ND_S_IMPORT) == 0 && c->r->out == c->e->cluster->exec_out;
}

void nd_cluster_ask(struct nd_call *c, const struct cl_command *command)
{
    struct nd_cluster *cl = c->e->cluster;
    bool in_exec = (c->s->flags & ND_S_IN_EXEC) != 0;
    if (in_exec ? !may_be_of_exec(c, command->verb) : !nd_may_block(c)) {
        nd_error(c, "ERR CLUSTER %s has to wait for the cluster, which isn't possible inside a transaction",
                 c->cmd->name);
        return;
    }
    struct nd_cluster_ask *a = mem_zalloc(sizeof *a);
    a->token = ++cl->last_token;
    a->next = cl->asks;
    a->place = &cl->asks;
    if (a->next != NULL)
        a->next->place = &a->next;
    cl->asks = a;
    struct cl_command asked = *command;
    asked.with_others = in_exec;
    if (in_exec) {
        exec_add(c, a);
    } else {
        a->s = c->s;
        nd_block_outside(c, client_gone, a);
    }
    cl->host.command(cl->host.owner, a->token, &asked);
}

void nd_cluster_exec_begins(struct nd_call *c)
{
    struct nd_cluster *cl = c->e->cluster;
    if (cl == NULL)
        return;
    cl->exec_out = c->r->out;
    cl->exec_from = c->r->out->n;
}

void nd_cluster_exec_ends(struct nd_call *c)
{
    struct nd_cluster *cl = c->e->cluster;
    if (cl == NULL || cl->exec == NULL)
        return;
    struct nd_cluster_exec *x = cl->exec;
    struct buf *out = cl->exec_out;
    size_t from = cl->exec_from;
    cl->exec = NULL;
    for (size_t i = 0; i < x->n; i++)
        x->asks[i]->at -= from;
    buf_put(&x->text, out->p + from, out->n - from);
    out->n = from;
    x->s = c->s;
    nd_block_outside(c, exec_gone, x);
}

bool nd_cluster_exec_reply(struct nd_call *c)
{
    struct nd_cluster_exec *x = c->ended;
    if (x == NULL)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < x->n; i++) {
        struct nd_cluster_ask *a = x->asks[i];
        buf_put(c->r->out, x->text.p + at, a->at - at);
        at = a->at;
        if (a->ok)
            reply_status(c->r, buf_str(&a->text));
        else
            nd_error(c, "%s", buf_str(&a->text));
    }
    c->failed = false; /* EXEC itself did not */
    buf_put(c->r->out, x->text.p + at, x->text.n - at);
    exec_free(x);
    return true;
}

void nd_cluster_answered(struct nd_cluster *cl, cl_token token, bool ok, struct slice text)
{
    struct nd_cluster_ask *a = cl->asks;
    while (a != NULL && a->token != token)
        a = a->next;
    if (a == NULL)
        return;
    a->ok = ok;
    buf_put(&a->text, text.p, text.n);
    if (a->exec != NULL) {
        a->token = 0; /* it keeps its place until all have theirs */
        if (--a->exec->left > 0)
            return;
        if (a->exec->s != NULL)
            nd_wait_over(a->exec->s);
        else
            exec_free(a->exec);
    } else if (a->s != NULL) {
        nd_wait_over(a->s);
    } else {
        drop(a);
    }
}

bool nd_cluster_reply(struct nd_call *c)
{
    struct nd_cluster_ask *a = c->ended;
    if (a == NULL)
        return false;
    if (a->ok)
        reply_status(c->r, buf_str(&a->text));
    else
        nd_error(c, "%s", buf_str(&a->text));
    drop(a);
    return true;
}

enum nd_cluster_answer nd_cluster_take_answer(struct nd_call *c)
{
    struct nd_cluster_ask *a = c->ended;
    if (a == NULL)
        return ND_CLUSTER_NOT_YET;
    bool ok = a->ok;
    if (!ok)
        nd_error(c, "%s", buf_str(&a->text));
    drop(a);
    return ok ? ND_CLUSTER_YES : ND_CLUSTER_NO;
}
