/* PSYNC, SYNC, REPLCONF, WAIT, ROLE, FAILOVER: the master's side. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/call.h"
#include "noded/repl/extension.h"
#include "noded/repl/failover.h"
#include "noded/repl/follow.h"
#include "noded/repl/serve.h"

#include <stdlib.h>

#define IP_MAX 256 /* bytes of an address that a replica gives */

/* ---- PSYNC, SYNC ---- */

/* The answers would be taken for the beginning of the snapshot. */
static bool has_read_all(struct nd_call *c)
{
    if (c->s->r.out->n == 0)
        return true;
    nd_error(c, "ERR SYNC and PSYNC are invalid with pending output");
    return false;
}

/* PSYNC ... FAILOVER: the master wants this replica to be the master from now on. */
static bool take_over(struct nd_call *c)
{
    struct nd_repl *r = c->e->repl;
    int64_t offset;
    /* Whoever is not served after it would be a master again: there would be two. */
    if (!nd_arg_i64(c, 2, &offset) || !has_read_all(c))
        return false;
    if (!c->e->is_replica) {
        nd_error(c, "ERR PSYNC FAILOVER can't be sent to a master.");
        return false;
    }
    if (!slice_ieq(c->argv[1], r->id)) {
        nd_error(c, "ERR PSYNC FAILOVER replid must match my replid.");
        return false;
    }
    c->e->host.log(c->e->host.owner, ND_LOG_NOTICE, "The master gives its part to this replica (FAILOVER)");
    nd_follow_none(r);
    return true;
}

static bool can_serve(struct nd_call *c)
{
    struct nd_repl *r = c->e->repl;
    if (r->serving->failover != ND_FAILOVER_NONE) {
        nd_error(c, "NOMASTERLINK Can't SYNC while failing over");
        return false;
    }
    if (nd_follow_is_down(r)) {
        nd_error(c, "NOMASTERLINK Can't SYNC while not connected with my master");
        return false;
    }
    const char *lacks = nd_serve_knows_too_little(c);
    if (lacks != NULL) {
        nd_error(c, "NOMASTERLINK %s", lacks); /* so stock asks again in a second, and not at once for ever */
        return false;
    }
    return has_read_all(c);
}

static bool serves_already(const struct nd_call *c)
{
    return c->s->kind != ND_CLIENT || (c->s->flags & ND_S_MONITOR) != 0;
}

static void psync(struct nd_call *c)
{
    int64_t offset;
    if (serves_already(c))
        return;
    if (c->argc > 3 && nd_arg_is(c, 3, "failover") && !take_over(c))
        return;
    if (!can_serve(c) || !nd_arg_i64(c, 2, &offset))
        return;
    char *id = slice_dup(c->argv[1]);
    nd_serve_begin(c, id, offset);
    free(id);
}

static void sync_old(struct nd_call *c)
{
    if (!serves_already(c) && can_serve(c))
        nd_serve_begin(c, NULL, 0);
}

/* ---- REPLCONF ---- */

static bool say_ip(struct nd_call *c, struct nd_replica *p, struct slice ip)
{
    if (ip.n >= IP_MAX) {
        nd_error(c, "ERR REPLCONF ip-address provided by replica instance is too long: %zu bytes", ip.n);
        return false;
    }
    for (size_t i = 0; i < ip.n; i++) {
        if (ip.p[i] <= ' ' || ip.p[i] > '~' || ip.p[i] == ',') { /* INFO is a text of lines and fields */
            nd_error(c, "ERR REPLCONF ip-address has bytes that no address has");
            return false;
        }
    }
    free(p->ip);
    p->ip = slice_dup(ip);
    return true;
}

static bool say_capa(struct nd_replica *p, struct slice word)
{
    if (slice_ieq(word, "eof"))
        p->capa |= ND_CAPA_EOF;
    else if (slice_ieq(word, "psync2"))
        p->capa |= ND_CAPA_PSYNC2;
    else if (slice_ieq(word, "databases"))
        p->capa |= ND_CAPA_DATABASES;
    return true;
}

static bool say_rdb_only(struct nd_call *c, struct nd_replica *p, size_t at)
{
    int64_t only;
    if (!nd_arg_range(c, at, 0, 1, &only, "ERR value is out of range, value must between 0 and 1"))
        return false;
    if (p->state == ND_REPLICA_NOT)
        p->rdb_only = only == 1;
    return true;
}

/* What a snapshot may be asked to have alone is functions, and this node has none. */
static bool say_filter(struct nd_call *c, struct slice words)
{
    while (words.n > 0) {
        struct slice word = slice_cut(&words, ' ');
        if (word.n == 0)
            continue;
        nd_error(c, "ERR Unsupported rdb-filter-only option: %.*s", (int)(word.n < 128 ? word.n : 128), word.p);
        return false;
    }
    return true;
}

/* false: the answer is given, or there is none. */
static bool say(struct nd_call *c, struct nd_replica *p, size_t i)
{
    struct slice value = c->argv[i + 1];
    if (nd_arg_is(c, i, "listening-port"))
        return nd_arg_int(c, i + 1, &p->port);
    if (nd_arg_is(c, i, "ip-address"))
        return say_ip(c, p, value);
    if (nd_arg_is(c, i, "capa"))
        return say_capa(p, value);
    if (nd_arg_is(c, i, "rdb-only"))
        return say_rdb_only(c, p, i + 1);
    if (nd_arg_is(c, i, "rdb-filter-only"))
        return say_filter(c, value);
    if (nd_arg_is(c, i, "cluster-databases") && c->e->keys.shadows > 0) {
        buf_printf(c->s->r.out, "+%d\r\n", c->e->keys.db_count);
        return false;
    }
    int64_t offset;
    if (nd_arg_is(c, i, "ack")) {
        if (c->s->kind == ND_REPLICA && text_i64(value, &offset))
            nd_serve_ack(p, offset);
        return false;
    }
    if (nd_arg_is(c, i, "getack"))
        return false; /* a master asks that, and whoever reads its stream answers */
    nd_error(c, "ERR Unrecognized REPLCONF option: %.*s", (int)(c->argv[i].n < 128 ? c->argv[i].n : 128), c->argv[i].p);
    return false;
}

static void replconf(struct nd_call *c)
{
    if (c->argc % 2 == 0) {
        nd_syntax_error(c);
        return;
    }
    if (c->s->kind != ND_CLIENT && c->s->kind != ND_REPLICA)
        return;
    struct nd_replica *p = nd_serve_replica(c->e->repl, c->s);
    for (size_t i = 1; i < c->argc; i += 2)
        if (!say(c, p, i))
            return;
    nd_ok(c);
}

/* ---- ROLE ---- */

static void role(struct nd_call *c)
{
    struct nd_repl *r = c->e->repl;
    if (c->e->is_replica) {
        nd_follow_role(r, c->r);
        return;
    }
    reply_array(c->r, 3);
    reply_bulks(c->r, "master");
    reply_int(c->r, r->offset);
    size_t mark = reply_begin(c->r), n = 0;
    struct buf address = {0};
    for (const struct nd_replica *p = r->serving->first; p != NULL; p = p->next) {
        if (p->state != ND_REPLICA_ONLINE)
            continue;
        buf_clear(&address);
        nd_serve_address(p, &address);
        reply_array(c->r, 3);
        reply_bulk(c->r, address.p, address.n);
        reply_bulk_int(c->r, p->port);
        reply_bulk_int(c->r, p->ack);
        n++;
    }
    buf_free(&address);
    reply_end_array(c->r, mark, n);
}

const struct nd_command nd_serve_commands[] = {
    {.name = "psync",
     .arity = -3,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_NO_ASYNC_LOADING | ND_NO_MULTI,
     .run = psync,
     .syntax = "replicationid offset",
     .summary = "A replica begins to follow, where it is in the stream if it can.",
     .since = "2.8.0",
     .group = "server",
     .complexity = ""},
    {.name = "sync",
     .arity = 1,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_NO_ASYNC_LOADING | ND_NO_MULTI,
     .run = sync_old,
     .syntax = "",
     .summary = "A replica begins to follow, with a snapshot.",
     .since = "1.0.0",
     .group = "server",
     .complexity = ""},
    {.name = "replconf",
     .arity = -1,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_ALLOW_BUSY,
     .run = replconf,
     .syntax = "",
     .summary = "A replica tells of itself, and how far it is.",
     .since = "3.0.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "wait",
     .arity = 3,
     .flags = ND_NOSCRIPT,
     .categories = ND_CAT_CONNECTION,
     .run = nd_serve_wait_command,
     .syntax = "numreplicas timeout{:integer}",
     .summary = "Waits until so many replicas have what this client wrote before.",
     .since = "3.0.0",
     .group = "generic",
     .complexity = "O(1)",
     .tips = "request_policy:all_shards response_policy:agg_min"},
    {.name = "role",
     .arity = 1,
     .flags = ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_FAST,
     .categories = ND_CAT_ADMIN | ND_CAT_DANGEROUS,
     .run = role,
     .syntax = "",
     .summary = "Shows the part that the server has in replication.",
     .since = "2.8.12",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "failover",
     .arity = -1,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_STALE,
     .run = nd_failover_command,
     .syntax = "[TO <host port [FORCE]>{target}] [ABORT] [TIMEOUT milliseconds]",
     .summary = "Gives the master's part to one of its replicas.",
     .since = "6.2.0",
     .group = "server",
     .complexity = "O(1)"},
    {0},
};
