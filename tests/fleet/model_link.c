/* What a modelled supervisor says to nodes, and hears from them. */
#include "tests/fleet/plant.h"
#include "tests/fleet/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static bool is_peer(const struct world *w, const struct super *s, int other)
{
    const struct membership *m = &w->versions[s->version];
    for (int i = 0; i < m->n; i++)
        if (m->members[i] == other && other != s->index)
            return true;
    return false;
}

/* Nothing was heard there for long: another connection may do better. */
static void give_up(struct world *w, const struct super *s, struct conn **c, bool *up, int64_t since_us)
{
    if (*c == NULL || process_clock(w, &s->p) - since_us < 3 * MS(w->plan.down_after_ms) + SECONDS(1))
        return;
    if ((*c)->client_open)
        net_close(&w->net, *c, true);
    *c = NULL;
    *up = false;
}

void super_connects(struct world *w, struct super *s)
{
    int64_t now_us = process_clock(w, &s->p);
    for (int i = 0; i < w->nnodes; i++) {
        struct seen *n = &s->nodes[i];
        give_up(w, s, &n->conn, &n->up, n->since_us);
        if (n->conn != NULL || now_us < n->retry_us)
            continue;
        n->since_us = now_us;
        n->conn = net_connect(&w->net, s->p.end, end_of_node(i), CONN_NODE, ++s->last_link);
    }
    for (int i = 0; i < SUPERS_MAX; i++) {
        struct peer *p = &s->peers[i];
        give_up(w, s, &p->conn, &p->up, p->since_us);
        if (p->conn != NULL || now_us < p->retry_us || !is_peer(w, s, i))
            continue;
        p->since_us = now_us;
        p->conn = net_connect(&w->net, s->p.end, i, CONN_PEER, ++s->last_link);
    }
}

void super_up(struct world *w, struct super *s, struct conn *c)
{
    (void)w;
    if (c->kind == CONN_PEER)
        s->peers[c->server].up = s->peers[c->server].conn == c;
    else
        s->nodes[c->server - SUPERS_MAX].up = s->nodes[c->server - SUPERS_MAX].conn == c;
}

void super_down(struct world *w, struct super *s, struct conn *c)
{
    int64_t retry_us = process_clock(w, &s->p) + MS(10) + (int64_t)rng_below(&w->rng, (uint64_t)MS(100));
    if (c->kind == CONN_PEER && s->peers[c->server].conn == c) {
        s->peers[c->server].conn = NULL;
        s->peers[c->server].up = false;
        s->peers[c->server].retry_us = retry_us;
    } else if (c->kind == CONN_NODE && s->nodes[c->server - SUPERS_MAX].conn == c) {
        struct seen *n = &s->nodes[c->server - SUPERS_MAX];
        n->conn = NULL;
        n->up = false;
        n->retry_us = retry_us;
    }
}

struct ask *super_ask_new(const struct world *w, const struct super *s, enum ask_verb verb, uint64_t epoch)
{
    struct ask *a = mem_zalloc(sizeof *a);
    letter_init(&a->l, true, letter_free_plain);
    a->verb = verb;
    a->super = s->index;
    a->position = super_position(w, s);
    a->asked_us = process_clock(w, &s->p);
    a->version = s->version;
    a->epoch = epoch;
    super_list(&w->versions[s->version], a->list);
    return a;
}

void super_asks(struct world *w, struct super *s, int node, struct ask *a)
{
    struct seen *n = &s->nodes[node];
    if (n->up)
        net_send(&w->net, n->conn, THERE, &a->l);
    else
        letter_release(&a->l);
}

/* The grantee of the book is that of the disk, and so is the longest time. */
static bool durable(const struct world *w, const struct super *s, int shard)
{
    const struct book *b = &s->books[shard];
    const struct book_row *r = &s->disk.shard[shard];
    return runid_cmp(r->grantee, b->lease.grantee) == 0 && r->max_ttl_us >= super_ttl_us(w);
}

static struct cl_stamp stamp_of(const struct sn_stamp *s)
{
    return (struct cl_stamp){.incarnation = s->incarnation, .clock_us = s->clock_us};
}

/* What a node gets this time: a grant, or, when it is not the grantee, the word that it has none. While a grant of its
 * own would have to wait nothing is said: that would take back the one of a vote. */
static bool fill_lease(struct world *w, struct super *s, int node, struct ask *a)
{
    int shard = node % w->plan.shards;
    struct book *b = &s->books[shard];
    const struct seen *n = &s->nodes[node];
    struct sn_grant g;
    /* Without a stamp it neither grants nor takes back, as the shipped core does it; now and then one takes back. */
    a->ttl_ms = rng_below(&w->rng, 16) != 0 ? w->plan.lease_ms : 0;
    if (!n->heard || !s->live.joined || !durable(w, s, shard))
        return true; /* it asks, and grants nothing */
    struct sn_lease book = b->lease;
    if (PLANTED(101, false, n->told.role == SN_ROLE_MASTER && n->stamp.incarnation != 0)) {
        a->ttl_ms = w->plan.lease_ms;
        a->stamp = stamp_of(&n->stamp);
        return true;
    }
    if (!sn_lease_grant(&book, n->told.node, &n->stamp, super_ttl_us(w), process_clock(w, &s->p), &g))
        return true;
    if (g.wait_us > 0)
        return false;
    b->lease = book;
    a->ttl_ms = g.ttl_us / 1000;
    a->stamp = stamp_of(&g.stamp);
    w->counts[COUNT_GRANTS]++;
    return true;
}

void super_probes(struct world *w, struct super *s)
{
    for (int i = 0; i < w->nnodes; i++) {
        if (!s->nodes[i].up)
            continue;
        struct ask *a = super_ask_new(w, s, ASK_LEASE, s->books[i % w->plan.shards].epoch);
        if (fill_lease(w, s, i, a))
            super_asks(w, s, i, a);
        else
            letter_release(&a->l);
    }
}

/* ---- what they say ---- */

static void newest_first(struct book *b, const char *id)
{
    size_t at = 0;
    while (at < b->nlineage && runid_cmp(b->lineage[at], id) != 0)
        at++;
    if (at == b->nlineage && b->nlineage < LINEAGE_MAX)
        b->nlineage++;
    if (at == b->nlineage)
        at--;
    memmove(&b->lineage[1], &b->lineage[0], at * sizeof b->lineage[0]);
    memcpy(b->lineage[0], id, sizeof b->lineage[0]);
}

/* A master that only its replica still tells of. */
static void oldest_last(struct book *b, const char *id)
{
    for (size_t i = 0; i < b->nlineage; i++)
        if (runid_cmp(b->lineage[i], id) == 0)
            return;
    if (b->nlineage < LINEAGE_MAX)
        memcpy(b->lineage[b->nlineage++], id, sizeof b->lineage[0]);
}

static void name(struct world *w, struct super *s, int shard, const char *id, uint64_t epoch)
{
    struct book *b = &s->books[shard];
    struct book_row *r = &s->live.shard[shard];
    if (!sn_lease_name(&b->lease, id, super_ttl_us(w), process_clock(w, &s->p)) && b->epoch == epoch)
        return;
    RECORD(w, end_name(s->p.end), "holds %.8s for the master of shard %d at epoch %llu", id, shard + 1,
           (unsigned long long)epoch);
    b->epoch = epoch;
    memcpy(r->grantee, b->lease.grantee, sizeof r->grantee);
    r->max_ttl_us = b->lease.max_ttl_us;
    r->settled = b->lease.settled;
    r->epoch = epoch;
    super_persist(w, s);
}

static void master_seen(struct world *w, struct super *s, int shard, const struct sn_lease_told *t)
{
    struct book *b = &s->books[shard];
    int64_t now_us = process_clock(w, &s->p);
    bool leased = t->lease_ms != 0;
    newest_first(b, t->node);
    if (t->config_epoch > s->live.shard[shard].config)
        s->live.shard[shard].config = t->config_epoch; /* on the disk with the next vote */
    if (!s->live.joined)
        return;
    /* A shard that is adopted, or a promotion by others: its master has a newer configuration. */
    if (b->lease.grantee[0] == '\0' || t->config_epoch > b->epoch)
        name(w, s, shard, t->node, t->config_epoch);
    bool is_grantee = runid_cmp(b->lease.grantee, t->node) == 0;
    if (leased) {
        b->well_us = now_us;
        if (is_grantee)
            b->failures = 0;
    }
    if (leased && !is_grantee)
        b->odd_us = b->odd_us != 0 ? b->odd_us : now_us;
    else if (is_grantee)
        b->odd_us = 0;
}

void super_told(struct world *w, struct super *s, const struct conn *c, const struct told *t)
{
    int node = c->server - SUPERS_MAX, shard = node % w->plan.shards;
    struct seen *n = &s->nodes[node];
    if (n->conn != c)
        return;
    const struct sn_lease_told *told = &t->told;
    if (!n->heard || t->asked_us >= n->stamp.asked_us || told->incarnation != n->stamp.incarnation) {
        n->told = *told;
        n->stamp = (struct sn_stamp){
            .incarnation = told->incarnation, .clock_us = told->clock_us, .asked_us = t->asked_us};
    }
    n->heard = true;
    n->since_us = process_clock(w, &s->p);
    n->told_us = process_clock(w, &s->p);
    if (told->current_epoch > s->epoch)
        s->epoch = told->current_epoch;
    if (told->config_epoch > s->epoch)
        s->epoch = told->config_epoch;
    if (told->role == SN_ROLE_MASTER && told->slots > 0 && !told->loading)
        master_seen(w, s, shard, told);
    else if (told->role == SN_ROLE_REPLICA && told->master[0] != '\0')
        oldest_last(&s->books[shard], told->master);
    if (t->verb == ASK_TAKEOVER) {
        w->counts[t->ok ? COUNT_TAKEOVERS : COUNT_TAKEOVERS_REFUSED]++;
        RECORD(w, end_name(s->p.end), "%s answers TAKEOVER at %llu: %s", end_name(c->server),
               (unsigned long long)t->epoch, t->ok ? "OK" : t->error);
    }
    if (t->verb == ASK_RETURN)
        super_returned(w, s, node, t);
}
