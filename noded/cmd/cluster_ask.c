/* Commands that the core of the bus decides: it answers in a later step, some only when the disk has it, and until then
 * the client waits. */
#include "common/base/mem.h"
#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"

#include <stdlib.h>

struct nd_cluster_ask {
    struct nd_cluster_ask *next, **place;
    cl_token token;
    struct nd_session *s; /* NULL: the client went away */
    bool ok;
    struct buf text;
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

void nd_cluster_asks_free(struct nd_cluster *cl)
{
    while (cl->asks != NULL) {
        if (cl->asks->s != NULL)
            nd_wait_drop(cl->asks->s);
        drop(cl->asks);
    }
}

void nd_cluster_ask(struct nd_call *c, const struct cl_command *command)
{
    struct nd_cluster *cl = c->e->cluster;
    if (!nd_may_block(c)) {
        nd_error(c, "ERR CLUSTER %s has to wait for the cluster, which isn't possible inside a transaction",
                 c->cmd->name);
        return;
    }
    struct nd_cluster_ask *a = mem_zalloc(sizeof *a);
    a->token = ++cl->last_token;
    a->s = c->s;
    a->next = cl->asks;
    a->place = &cl->asks;
    if (a->next != NULL)
        a->next->place = &a->next;
    cl->asks = a;
    nd_block_outside(c, client_gone, a);
    cl->host.command(cl->host.owner, a->token, command);
}

void nd_cluster_answered(struct nd_cluster *cl, cl_token token, bool ok, struct slice text)
{
    struct nd_cluster_ask *a = cl->asks;
    while (a != NULL && a->token != token)
        a = a->next;
    if (a == NULL)
        return;
    if (a->s == NULL) {
        drop(a);
        return;
    }
    a->ok = ok;
    buf_put(&a->text, text.p, text.n);
    nd_wait_over(a->s);
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
