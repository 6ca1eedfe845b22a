#include "noded/repl/serve.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/pubsub.h"
#include "noded/repl/export.h"
#include "noded/repl/failover.h"
#include "noded/repl/serve_sync.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_US 1000000 /* how often everybody is looked at */

struct nd_serving *nd_serve_new(struct nd_repl *r, const struct nd_serve_host *host)
{
    struct nd_serving *v = mem_zalloc(sizeof *v);
    v->r = r;
    v->host = *host;
    v->next_us = v->next_ping_us = HEAP_NEVER;
    v->failover_until_us = HEAP_NEVER;
    v->alone_us = r->e->now_us;
    r->serving = v;
    nd_serve_settings(r);
    return v;
}

void nd_serve_free(struct nd_repl *r)
{
    struct nd_serving *v = r->serving;
    if (v == NULL)
        return;
    for (struct nd_session *s = r->e->sessions; s != NULL; s = s->next)
        nd_serve_gone(s);
    free(v->file_path);
    free(v->shared);
    free(v->fds);
    free(v->waits);
    free(v->failover_host);
    free(v);
    r->serving = NULL;
}

/* ---- who follows ---- */

struct nd_replica *nd_serve_replica(struct nd_repl *r, struct nd_session *s)
{
    if (s->replica == NULL) {
        s->replica = mem_zalloc(sizeof *s->replica);
        s->replica->s = s;
        s->replica->since_us = r->e->now_us;
    }
    return s->replica;
}

/* Fewer good replicas than min-replicas-to-write: writes are refused. */
static void look_at_guard(struct nd_serving *v)
{
    struct nd_engine *e = v->r->e;
    const struct nd_config *config = &e->config;
    bool few = config->min_replicas_to_write > 0 && config->min_replicas_max_lag_s > 0 &&
               nd_serve_count_good(v) < (size_t)config->min_replicas_to_write;
    if (few)
        e->guards |= ND_GUARD_FEW_REPLICAS;
    else
        e->guards &= ~(uint32_t)ND_GUARD_FEW_REPLICAS;
}

/* In a cluster a stock node knows database 0 only, and takes what is written to another one for that (SAFETY, section
 * 7). */
bool nd_serve_knows_one_database(const struct nd_engine *e, const struct nd_replica *p)
{
    return e->config.cluster_enabled && (p->capa & ND_CAPA_DATABASES) == 0 && !p->rdb_only; /* that one takes a file */
}

/* Other databases are closed while it follows, from its request on: the bus may say later, or not at all, that it
 * does. */
static void count_one_database(struct nd_serving *v, struct nd_replica *p)
{
    struct nd_cluster *cl = v->r->e->cluster;
    struct buf address = {0};
    if (cl == NULL || !nd_serve_knows_one_database(v->r->e, p))
        return;
    p->one_database = true;
    cl->stock_replicas++;
    nd_serve_address(p, &address);
    snprintf(cl->stock_address, sizeof cl->stock_address, "%s:%d", buf_str(&address), (int)p->port);
    buf_free(&address);
}

void nd_serve_join(struct nd_serving *v, struct nd_replica *p)
{
    struct nd_engine *e = v->r->e;
    count_one_database(v, p);
    p->since_us = e->now_us;
    p->prev = v->last;
    if (v->last != NULL)
        v->last->next = p;
    else
        v->first = p;
    v->last = p;
    if (v->count++ == 0) {
        v->next_us = e->now_us + LOOK_US;
        v->next_ping_us = e->now_us + e->config.repl_ping_replica_period_s * 1000000;
    }
    nd_unsubscribe_all(p->s); /* nothing may come between the bytes of the stream */
    nd_session_become(p->s, ND_REPLICA);
    if (e->config.repl_disable_tcp_nodelay)
        v->host.delay_packets(v->host.owner, p->s);
}

static void leave(struct nd_serving *v, struct nd_replica *p)
{
    nd_backlog_close(&p->cursor);
    nd_serve_unshare(v, p);
    if (p->prev != NULL)
        p->prev->next = p->next;
    else
        v->first = p->next;
    if (p->next != NULL)
        p->next->prev = p->prev;
    else
        v->last = p->prev;
    p->state = ND_REPLICA_GONE;
    if (p->one_database && v->r->e->cluster != NULL)
        v->r->e->cluster->stock_replicas--;
    p->one_database = false;
    if (--v->count == 0) {
        v->alone_us = v->r->e->now_us;
        v->next_us = v->next_ping_us = HEAP_NEVER;
    }
    look_at_guard(v);
    v->acked = true; /* who waits for a failover's target has to know that it is gone */
}

void nd_serve_gone(struct nd_session *s)
{
    struct nd_repl *r = s->e->repl;
    struct nd_replica *p = s->replica;
    if (r == NULL || r->serving == NULL)
        return;
    nd_serve_waits_forget(r->serving, s);
    if (p == NULL)
        return;
    if (p->state != ND_REPLICA_NOT && p->state != ND_REPLICA_GONE)
        leave(r->serving, p);
    s->replica = NULL;
    free(p->ip);
    free(p);
}

void nd_serve_drop(struct nd_serving *v, struct nd_replica *p, const char *why)
{
    struct nd_engine *e = v->r->e;
    struct buf line = {0}, address = {0};
    nd_serve_address(p, &address);
    buf_printf(&line, "Replica %s:%d is disconnected: %s", buf_str(&address), (int)p->port, why);
    e->host.log(e->host.owner, ND_LOG_NOTICE, buf_str(&line));
    buf_free(&line);
    buf_free(&address);
    leave(v, p);
    e->host.kill(e->host.owner, p->s, NULL);
}

void nd_serve_drop_all(struct nd_repl *r, const char *why)
{
    struct nd_serving *v = r->serving;
    while (v != NULL && v->first != NULL)
        nd_serve_drop(v, v->first, why);
}

void nd_serve_history_changed(struct nd_repl *r)
{
    if (r->serving != NULL) /* repl-backlog-ttl counts from here: they have to find what the old name stands for */
        r->serving->alone_us = r->e->now_us;
    nd_serve_drop_all(r, "the history of this node has a new name, and it shall learn it");
}

void nd_serve_leave_database_0(struct nd_repl *r)
{
    struct nd_serving *v = r->serving;
    struct nd_replica *next;
    if (v == NULL || r->e->cluster == NULL || r->e->cluster->stock_replicas == 0)
        return;
    for (struct nd_replica *p = v->first; p != NULL; p = next) {
        next = p->next;
        if (p->one_database)
            nd_serve_drop(v, p, "it knows database 0 only, and another one is written");
    }
}

void nd_serve_online(struct nd_serving *v, struct nd_replica *p)
{
    p->state = ND_REPLICA_ONLINE;
    p->ack_us = v->r->e->now_us;
    look_at_guard(v);
    v->told = -1;
}

/* ---- how far they are ---- */

size_t nd_serve_count_acked(const struct nd_serving *v, int64_t offset)
{
    size_t n = 0;
    for (const struct nd_replica *p = v->first; p != NULL; p = p->next)
        n += p->state == ND_REPLICA_ONLINE && p->ack >= offset;
    return n;
}

int64_t nd_serve_lag_s(const struct nd_replica *p)
{
    return (p->s->e->now_us - p->ack_us) / 1000000;
}

size_t nd_serve_count_good(const struct nd_serving *v)
{
    size_t n = 0;
    int64_t most_s = v->r->e->config.min_replicas_max_lag_s;
    for (const struct nd_replica *p = v->first; p != NULL; p = p->next)
        n += p->state == ND_REPLICA_ONLINE && nd_serve_lag_s(p) <= most_s;
    return n;
}

bool nd_serve_caught_up(const struct nd_repl *r)
{
    const struct nd_serving *v = r->serving;
    for (const struct nd_replica *p = v != NULL ? v->first : NULL; p != NULL; p = p->next)
        if (p->state == ND_REPLICA_ONLINE && p->ack != r->offset)
            return false;
    return true;
}

void nd_serve_address(const struct nd_replica *p, struct buf *out)
{
    if (p->ip != NULL && p->ip[0] != '\0') {
        buf_puts(out, p->ip);
        return;
    }
    struct slice host = slice_of(p->s->addr);
    while (host.n > 0 && host.p[host.n - 1] != ':')
        host.n--;
    host.n -= host.n > 0;
    if (host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = (struct slice){host.p + 1, host.n - 2};
    buf_put(out, host.p, host.n);
}

const char *nd_serve_state_name(const struct nd_replica *p)
{
    switch (p->state) {
    case ND_REPLICA_WAITS:
    case ND_REPLICA_WRITTEN: return "wait_bgsave";
    case ND_REPLICA_SENT: return "send_bulk";
    default: return "online";
    }
}

struct nd_replica *nd_serve_find(const struct nd_serving *v, const char *host, int port)
{
    struct buf address = {0};
    struct nd_replica *p = v->first;
    for (; p != NULL; p = p->next) {
        buf_clear(&address);
        nd_serve_address(p, &address);
        if (p->port == port && slice_ieq(buf_slice(&address), host))
            break;
    }
    buf_free(&address);
    return p;
}

/* ---- acknowledgements ---- */

void nd_serve_ack(struct nd_replica *p, int64_t offset)
{
    struct nd_engine *e = p->s->e;
    struct nd_serving *v = e->repl->serving;
    if (p->state == ND_REPLICA_NOT || p->state == ND_REPLICA_GONE)
        return;
    if (offset > p->ack && offset <= e->repl->offset) /* nobody can have more than there is */
        p->ack = offset;
    p->ack_us = e->now_us;
    p->acknowledged = true;
    v->acked = true;
    if (p->held && p->state == ND_REPLICA_ONLINE) {
        p->held = false;
        v->told = -1;
    }
    if ((e->guards & ND_GUARD_FEW_REPLICAS) != 0)
        look_at_guard(v);
}

/* ---- what the shell sends ---- */

struct nd_backlog_cursor *nd_serve_cursor(const struct nd_session *s)
{
    struct nd_replica *p = s->replica;
    return p != NULL && p->state == ND_REPLICA_ONLINE && !p->held ? &p->cursor : NULL;
}

size_t nd_serve_unread(const struct nd_session *s)
{
    const struct nd_replica *p = s->replica;
    return p != NULL ? nd_backlog_unread(&p->cursor) : 0;
}

static size_t stream_extra(const struct nd_repl *r)
{
    size_t memory = r->backlog != NULL ? nd_backlog_memory(r->backlog) : 0;
    size_t wanted = (size_t)r->e->config.repl_backlog_size;
    return memory > wanted ? memory - wanted : 0;
}

void nd_serve_facts(const struct nd_repl *r, struct nd_facts *out)
{
    const struct nd_persist *persist = r->e->persist;
    out->backlog_memory = r->backlog != NULL ? nd_backlog_memory(r->backlog) : 0;
    out->replication_stream_extra = stream_extra(r);
    if (persist != NULL) {
        out->forks = persist->forks;
        out->fork_us = persist->fork_us;
    }
}

/* ---- time ---- */

void nd_serve_settings(struct nd_repl *r)
{
    struct nd_serving *v = r->serving;
    const struct nd_config *config = &r->e->config;
    if (r->backlog != NULL)
        nd_backlog_resize(r->backlog, (size_t)config->repl_backlog_size);
    if (v == NULL)
        return;
    look_at_guard(v);
    int64_t period_us = config->repl_ping_replica_period_s * 1000000;
    if (v->count > 0 && v->next_ping_us > r->e->now_us + period_us)
        v->next_ping_us = r->e->now_us + period_us;
}

static void put_in_stream(struct nd_repl *r, const char *text)
{
    nd_repl_feed_bytes(r, text, strlen(text));
}

void nd_serve_turn_end(struct nd_repl *r)
{
    struct nd_serving *v = r->serving;
    struct nd_engine *e = r->e;
    if (v->failover != ND_FAILOVER_NONE)
        nd_failover_look(v);
    if (v->acked) {
        v->acked = false;
        nd_serve_waits_look(v);
    }
    /* While writes wait the offset stands still. */
    if (v->ask && !nd_paused(e)) {
        v->ask = false;
        if (!e->is_replica && v->count > 0)
            put_in_stream(r, "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n");
    }
    nd_serve_look_for_snapshot(v);
    e->not_evicted = stream_extra(r) + nd_exports_memory(r);
    if (v->told == r->offset)
        return;
    v->told = r->offset;
    for (struct nd_replica *p = v->first; p != NULL; p = p->next)
        if (p->cursor.block != NULL)
            e->host.wake(e->host.owner, p->s);
}

static int64_t backlog_ends_us(const struct nd_repl *r)
{
    const struct nd_serving *v = r->serving;
    int64_t ttl_s = r->e->config.repl_backlog_ttl_s;
    if (r->backlog == NULL || v->count > 0 || r->e->is_replica || r->e->loading || ttl_s <= 0 ||
        ttl_s > (HEAP_NEVER - v->alone_us) / 1000000)
        return HEAP_NEVER;
    return v->alone_us + ttl_s * 1000000;
}

int64_t nd_serve_deadline(const struct nd_repl *r)
{
    const struct nd_serving *v = r->serving;
    if (v == NULL)
        return HEAP_NEVER;
    int64_t at = backlog_ends_us(r);
    at = v->next_us < at ? v->next_us : at;
    at = v->failover_until_us < at ? v->failover_until_us : at;
    int64_t snapshot = nd_serve_snapshot_due_us(v);
    return snapshot < at ? snapshot : at;
}

/* A replica that waits for its snapshot takes an empty line as a sign of life. */
static void look_at(struct nd_serving *v, struct nd_replica *p)
{
    struct nd_engine *e = v->r->e;
    int64_t timeout_us = e->config.repl_timeout_s * 1000000;
    if (p->state == ND_REPLICA_ONLINE && !p->old && e->now_us - p->ack_us > timeout_us) {
        nd_serve_drop(v, p, "it was silent for longer than repl-timeout");
    } else if (p->state == ND_REPLICA_WAITS || (p->state == ND_REPLICA_WRITTEN && !p->lent)) {
        if (p->s->r.out->n == 0)
            buf_putc(p->s->r.out, '\n');
        e->host.wake(e->host.owner, p->s);
    }
}

static void forget_backlog(struct nd_repl *r)
{
    r->e->host.log(r->e->host.owner, ND_LOG_NOTICE,
                   "Nobody has followed for repl-backlog-ttl: the replication backlog is given up");
    nd_repl_close_backlog(r);
    nd_repl_new_history(r);
}

void nd_serve_tick(struct nd_repl *r)
{
    struct nd_serving *v = r->serving;
    if (v == NULL)
        return;
    struct nd_engine *e = r->e;
    int64_t now_us = e->now_us;
    if (backlog_ends_us(r) <= now_us)
        forget_backlog(r);
    if (v->next_us > now_us)
        return;
    v->next_us = now_us + LOOK_US;
    for (struct nd_replica *p = v->first, *next; p != NULL; p = next) {
        next = p->next;
        look_at(v, p);
    }
    look_at_guard(v);
    if (v->next_ping_us > now_us)
        return;
    v->next_ping_us = now_us + e->config.repl_ping_replica_period_s * 1000000;
    if (!e->is_replica && v->count > 0 && e->writes_held == 0)
        put_in_stream(r, "*1\r\n$4\r\nPING\r\n");
}
