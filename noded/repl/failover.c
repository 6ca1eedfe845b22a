#include "noded/repl/failover.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "noded/cmd/pause.h"
#include "noded/repl/follow.h"

#include <stdlib.h>

const char *nd_failover_state_name(const struct nd_repl *r)
{
    switch (r->serving->failover) {
    case ND_FAILOVER_SYNCING: return "waiting-for-sync";
    case ND_FAILOVER_RUNNING: return "failover-in-progress";
    default: return "no-failover";
    }
}

static void note(struct nd_serving *v, const char *what, const char *why)
{
    struct nd_engine *e = v->r->e;
    struct buf line = {0};
    buf_puts(&line, "FAILOVER");
    if (v->failover_host != NULL)
        buf_printf(&line, " to %s:%d", v->failover_host, v->failover_port);
    buf_printf(&line, ": %s%s%s", what, why != NULL ? ": " : "", why != NULL ? why : "");
    e->host.log(e->host.owner, ND_LOG_NOTICE, buf_str(&line));
    buf_free(&line);
}

static void clear(struct nd_serving *v)
{
    v->failover = ND_FAILOVER_NONE;
    v->failover_until_us = HEAP_NEVER;
    v->failover_force = false;
    free(v->failover_host);
    v->failover_host = NULL;
    nd_hold_writes(v->r->e, ND_HOLD_FAILOVER, false);
}

void nd_failover_ended(struct nd_repl *r, bool ok, const char *why)
{
    struct nd_serving *v = r->serving;
    if (v == NULL || v->failover != ND_FAILOVER_RUNNING)
        return;
    note(v, ok ? "done" : "given up", why);
    clear(v);
}

static void give_up(struct nd_serving *v, const char *why)
{
    note(v, "given up", why);
    bool running = v->failover == ND_FAILOVER_RUNNING;
    v->failover = ND_FAILOVER_NONE;
    if (running)
        nd_follow_none(v->r);
    clear(v);
}

/* ---- FAILOVER ---- */

struct wish {
    struct slice host;
    int64_t port, timeout_ms;
    bool abort, force;
};

/* false: answered. */
static bool read_wish(struct nd_call *c, struct wish *w)
{
    for (size_t i = 1; i < c->argc; i++) {
        if (nd_arg_is(c, i, "timeout") && i + 1 < c->argc && w->timeout_ms == 0) {
            if (!nd_arg_i64(c, ++i, &w->timeout_ms))
                return false;
            if (w->timeout_ms <= 0) {
                nd_error(c, "ERR FAILOVER timeout must be greater than 0");
                return false;
            }
        } else if (nd_arg_is(c, i, "to") && i + 2 < c->argc && w->host.p == NULL) {
            if (!nd_arg_int(c, i + 2, &w->port))
                return false;
            w->host = c->argv[i + 1];
            i += 2;
        } else if (nd_arg_is(c, i, "force") && !w->force) {
            w->force = true;
        } else {
            nd_syntax_error(c);
            return false;
        }
    }
    return true;
}

static void abort_failover(struct nd_call *c)
{
    struct nd_serving *v = c->e->repl->serving;
    if (v->failover == ND_FAILOVER_NONE) {
        nd_error(c, "ERR No failover in progress.");
        return;
    }
    give_up(v, "a client said so");
    nd_ok(c);
}

static bool target_fits(struct nd_call *c, const char *host, int port)
{
    const struct nd_replica *p = nd_serve_find(c->e->repl->serving, host, port);
    if (p == NULL)
        nd_error(c, "ERR FAILOVER target HOST and PORT is not a replica.");
    else if (p->state != ND_REPLICA_ONLINE)
        nd_error(c, "ERR FAILOVER target replica is not online.");
    return p != NULL && p->state == ND_REPLICA_ONLINE;
}

static bool can_fail_over(struct nd_call *c, const struct wish *w)
{
    const struct nd_serving *v = c->e->repl->serving;
    const char *error = NULL;
    if (v->failover != ND_FAILOVER_NONE)
        error = "ERR FAILOVER already in progress.";
    else if (c->e->is_replica)
        error = "ERR FAILOVER is not valid when server is a replica.";
    else if (v->count == 0)
        error = "ERR FAILOVER requires connected replicas.";
    else if (w->force && (w->timeout_ms == 0 || w->host.p == NULL))
        error = "ERR FAILOVER with force option requires both a timeout and target HOST and IP.";
    if (error != NULL)
        nd_error(c, "%s", error);
    return error == NULL;
}

void nd_failover_command(struct nd_call *c)
{
    struct nd_serving *v = c->e->repl->serving;
    struct wish w = {.host = {NULL, 0}};
    if (c->e->config.cluster_enabled) {
        nd_error(c, "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead.");
        return;
    }
    if (c->argc == 2 && nd_arg_is(c, 1, "abort")) {
        abort_failover(c);
        return;
    }
    if (!read_wish(c, &w) || !can_fail_over(c, &w))
        return;
    char *host = w.host.p != NULL ? slice_dup(w.host) : NULL;
    if (host != NULL && !target_fits(c, host, (int)w.port)) {
        free(host);
        return;
    }
    v->failover = ND_FAILOVER_SYNCING;
    v->failover_host = host;
    v->failover_port = (int)w.port;
    v->failover_force = w.force;
    v->failover_until_us = HEAP_NEVER;
    if (w.timeout_ms > 0 && w.timeout_ms < (HEAP_NEVER - c->e->now_us) / 1000)
        v->failover_until_us = c->e->now_us + w.timeout_ms * 1000;
    note(v, "writes wait until the replica has everything", NULL);
    nd_hold_writes(c->e, ND_HOLD_FAILOVER, true);
    nd_ok(c);
}

/* ---- what comes of it ---- */

static void begin(struct nd_serving *v)
{
    note(v, "the replica takes over", NULL);
    v->failover_until_us = HEAP_NEVER;
    v->failover = ND_FAILOVER_RUNNING;
    nd_follow_set(v->r, v->failover_host, v->failover_port, true);
}

/* The first replica that has everything, when none was named. */
static struct nd_replica *target(struct nd_serving *v)
{
    if (v->failover_host != NULL)
        return nd_serve_find(v, v->failover_host, v->failover_port);
    for (struct nd_replica *p = v->first; p != NULL; p = p->next)
        if (p->state == ND_REPLICA_ONLINE && p->ack == v->r->offset)
            return p;
    return NULL;
}

/* It cannot come back while this waits (PSYNC is refused), and without a timeout writes would wait for ever. */
static bool target_is_gone(const struct nd_serving *v)
{
    if (v->failover_force)
        return false;
    return v->failover_host != NULL ? nd_serve_find(v, v->failover_host, v->failover_port) == NULL : v->count == 0;
}

void nd_failover_look(struct nd_serving *v)
{
    if (v->failover != ND_FAILOVER_SYNCING)
        return;
    if (v->failover_until_us <= v->r->e->now_us) {
        if (v->failover_force)
            begin(v);
        else
            give_up(v, "no replica had everything within the time");
        return;
    }
    if (target_is_gone(v)) {
        give_up(v, "the replica has gone");
        return;
    }
    /* The end of a MIGRATE deletes keys, which the replica has to be told. */
    const struct nd_replica *p = v->r->e->migrations == NULL ? target(v) : NULL;
    if (p == NULL || p->state != ND_REPLICA_ONLINE || p->ack != v->r->offset)
        return;
    if (v->failover_host == NULL) {
        struct buf address = {0};
        nd_serve_address(p, &address);
        v->failover_host = slice_dup(buf_slice(&address));
        v->failover_port = (int)p->port;
        buf_free(&address);
    }
    begin(v);
}
