/* REPLICAOF, SLAVEOF. */
#include "noded/repl/extension.h"
#include "noded/repl/failover.h"
#include "noded/repl/follow.h"

#include "common/base/mem.h"
#include "common/base/runid.h"
#include "noded/cmd/call.h"
#include "noded/cmd/client_line.h"

#include <stdlib.h>
#include <string.h>

static void tell(struct nd_call *c, const char *what)
{
    struct buf text = {0};
    buf_printf(&text, "%s, as asked by client id=%llu addr=%s", what, (unsigned long long)c->s->id, c->s->addr);
    c->e->host.log(c->e->host.owner, ND_LOG_NOTICE, buf_str(&text));
    buf_free(&text);
}

static void no_one(struct nd_call *c)
{
    if (c->e->is_replica) {
        nd_follow_none(c->e->repl);
        tell(c, "This node is a master now");
    }
    nd_ok(c);
}

/* A host has this name too: what follows tells them apart. */
static bool accepts(struct nd_call *c)
{
    runid id;
    if (!nd_arg_is(c, 1, "accept") || !runid_parse(c->argv[2], id))
        return false;
    if (!c->e->is_replica) {
        nd_error(c, "ERR REPLICAOF ACCEPT is for a replica, and this node is a master");
        return true;
    }
    nd_follow_accept(c->e->repl, id);
    tell(c, "An empty dataset of the named history may replace what this replica has");
    nd_ok(c);
    return true;
}

static void replicaof(struct nd_call *c)
{
    struct nd_repl *r = c->e->repl;
    int64_t port;
    if (accepts(c))
        return;
    if (c->e->config.cluster_enabled) {
        nd_error(c, "ERR REPLICAOF not allowed in cluster mode.");
        return;
    }
    if (r->serving != NULL && r->serving->failover != ND_FAILOVER_NONE) {
        nd_error(c, "ERR REPLICAOF not allowed while failing over.");
        return;
    }
    if (nd_arg_is(c, 1, "no") && nd_arg_is(c, 2, "one")) {
        no_one(c);
        return;
    }
    if (c->s->kind == ND_REPLICA) {
        nd_error(c, "ERR Command is not valid when client is a replica.");
        return;
    }
    if (!nd_arg_range(c, 2, 0, 65535, &port, "ERR Invalid master port"))
        return;
    if (memchr(c->argv[1].p, '\0', c->argv[1].n) != NULL) {
        nd_error(c, "ERR Invalid master host");
        return;
    }
    char *host = slice_dup(c->argv[1]);
    if (nd_follow_set(r, host, (int)port, false)) {
        tell(c, "This node follows another master now");
        nd_ok(c);
    } else {
        reply_status(c->r, "OK Already connected to specified master");
    }
    free(host);
}

#define ROW(name_, since_)                                                                                             \
    {                                                                                                                  \
        .name = name_, .arity = 3, .flags = ND_ADMIN | ND_NOSCRIPT | ND_STALE | ND_NO_ASYNC_LOADING, .run = replicaof, \
        .syntax = "<<host port>{host-port} | <NO ONE>{no-one} | ACCEPT replid>{args}",                                 \
        .summary = "Follows a master, or is one. With replica-guard a replica that has keys does not let an empty "    \
                   "dataset of a history that it does not know replace them, until ACCEPT names that history.",        \
        .since = since_, .group = "server", .complexity = "O(1)",                                                      \
    }

const struct nd_command nd_follow_commands[] = {
    ROW("replicaof", "5.0.0"),
    ROW("slaveof", "1.0.0"),
    {.name = NULL},
};
