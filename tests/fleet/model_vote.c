/* Ballots between modelled supervisors: who stands for whom, who votes, and the promotion that follows. */
#include "tests/fleet/plant.h"
#include "tests/fleet/watcher.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static struct cl_stamp stamp_of(const struct sn_stamp *s)
{
    return (struct cl_stamp){.incarnation = s->incarnation, .clock_us = s->clock_us};
}

static bool reaches(const struct world *w, const struct super *s, int node)
{
    const struct seen *n = &s->nodes[node];
    return n->up && n->heard && process_clock(w, &s->p) - n->told_us < MS(w->plan.down_after_ms);
}

/* A master of the shard was leased a moment ago, as far as it sees. */
static bool well(const struct world *w, const struct super *s, int shard)
{
    return process_clock(w, &s->p) - s->books[shard].well_us < MS(w->plan.down_after_ms);
}

/* ---- the voter ---- */

static void answer(struct world *w, struct super *s, const struct super_wait *x, const struct sn_grant *grant)
{
    struct voted *v = mem_zalloc(sizeof *v);
    letter_init(&v->l, false, letter_free_plain);
    v->shard = x->shard;
    v->voter = s->index;
    v->epoch = x->epoch;
    v->vote_epoch = s->live.vote_epoch;
    v->granted = grant != NULL;
    if (grant != NULL)
        v->grant = *grant;
    if (x->epoch > 0)
        w->counts[grant != NULL ? COUNT_VOTES : COUNT_VOTES_REFUSED]++;
    if (grant != NULL && grant->wait_us > 0)
        w->counts[COUNT_VOTES_WAIT]++;
    if (x->asker == s->index) {
        super_voted(w, s, v);
        letter_release(&v->l);
    } else if (x->copy || !x->conn->server_open) {
        letter_release(&v->l);
    } else {
        net_send(&w->net, x->conn, BACK, &v->l);
    }
}

void super_waited(struct world *w, struct super *s, const struct super_wait *x)
{
    struct sn_grant grant;
    const struct seen *n = &s->nodes[x->candidate];
    struct book *b = &s->books[x->shard];
    check_vote(w, s, x->epoch, x->id);
    bool given = runid_cmp(n->told.node, x->id) == 0 &&
                 sn_lease_grant(&b->lease, x->id, &n->stamp, super_ttl_us(w), process_clock(w, &s->p), &grant);
    if (given && PLANTED(103, false, true))
        grant.wait_us = 0;
    answer(w, s, x, given ? &grant : NULL);
}

static bool would_vote(const struct world *w, const struct super *s, const struct vote_ask *v)
{
    const struct seen *n = &s->nodes[v->candidate];
    bool incumbent = n->told.role == SN_ROLE_MASTER;
    /* One that was replaced does not come back by a ballot. */
    if (v->epoch > 0 && incumbent && n->told.config_epoch < s->live.shard[v->shard].config)
        return false;
    return v->version == s->version && s->live.joined && v->epoch > s->live.vote_epoch && reaches(w, s, v->candidate) &&
           runid_cmp(n->told.node, v->id) == 0 && (v->planned || incumbent || !well(w, s, v->shard));
}

static void give(struct world *w, struct super *s, const struct vote_ask *v, struct super_wait *x)
{
    struct book *b = &s->books[v->shard];
    struct book_row *r = &s->live.shard[v->shard];
    s->live.vote_epoch = v->epoch;
    sn_lease_name(&b->lease, v->id, super_ttl_us(w), process_clock(w, &s->p));
    b->epoch = v->epoch;
    memcpy(r->grantee, b->lease.grantee, sizeof r->grantee);
    r->max_ttl_us = b->lease.max_ttl_us;
    r->settled = b->lease.settled;
    r->epoch = b->epoch;
    x->seq = super_persist(w, s);
    RECORD(w, end_name(s->p.end), "votes for %s in epoch %llu, shard %d", end_name(end_of_node(v->candidate)),
           (unsigned long long)v->epoch, v->shard + 1);
    if (PLANTED(108, false, true))
        super_waited(w, s, x);
    else
        super_wait(w, s, x);
}

void super_vote_asked(struct world *w, struct super *s, struct conn *c, const struct vote_ask *v, bool copy)
{
    struct super_wait x = {.shard = v->shard, .candidate = v->candidate, .asker = c->client, .conn = c, .copy = copy};
    memcpy(x.id, v->id, sizeof x.id);
    x.epoch = v->epoch;
    if (!s->p.runs)
        return;
    if (would_vote(w, s, v))
        give(w, s, v, &x);
    else
        answer(w, s, &x, NULL);
}

/* ---- the one that stands ---- */

void super_asks_peers(struct world *w, struct super *s, const struct vote_ask *v)
{
    for (int i = 0; i < SUPERS_MAX; i++) {
        if (!s->peers[i].up)
            continue;
        struct vote_ask *own = mem_zalloc(sizeof *own);
        *own = *v;
        letter_init(&own->l, true, letter_free_plain);
        net_send(&w->net, s->peers[i].conn, THERE, &own->l);
    }
}

static void promote(struct world *w, struct super *s, int shard)
{
    struct book *b = &s->books[shard];
    struct ballot *v = &b->ballot;
    struct ask *a = super_ask_new(w, s, ASK_TAKEOVER, v->epoch);
    for (size_t i = 0; i < b->nlineage && a->nfrom < LINEAGE_MAX; i++)
        if (cl_id_parse(slice_of(b->lineage[i]), &a->from[a->nfrom]))
            a->nfrom++;
    const struct membership *m = &w->versions[s->version];
    for (int i = 0; i < m->n; i++) {
        const struct sn_grant *g = &v->grants[m->members[i]];
        if ((v->votes >> m->members[i] & 1) == 0)
            continue;
        a->grants[a->ngrants++] = (struct cl_grant){.position = i,
                                                    .stamp = stamp_of(&g->stamp),
                                                    .ttl_ms = g->ttl_us / 1000,
                                                    .wait_ms = (g->wait_us + 999) / 1000};
    }
    v->on = false;
    b->well_us = process_clock(w, &s->p); /* it has its time to come up */
    RECORD(w, end_name(s->p.end), "promotes %s at %llu", end_name(end_of_node(v->candidate)),
           (unsigned long long)v->epoch);
    super_asks(w, s, v->candidate, a);
}

void super_returned(struct world *w, struct super *s, int node, const struct told *t)
{
    int shard = node % w->plan.shards;
    struct ballot *v = &s->books[shard].ballot;
    if (!v->on || !v->returning || v->epoch != t->epoch || v->former != node)
        return;
    v->returning = false;
    if (t->ok)
        w->counts[COUNT_RETURNED]++;
    promote(w, s, shard);
}

void super_voted(struct world *w, struct super *s, const struct voted *v)
{
    struct book *b = &s->books[v->shard];
    struct ballot *mine = &b->ballot;
    struct peer *p = &s->peers[v->voter];
    p->heard = true;
    p->since_us = process_clock(w, &s->p);
    if (v->vote_epoch > s->epoch)
        s->epoch = v->vote_epoch;
    if (!mine->on || mine->epoch != v->epoch || mine->returning)
        return;
    if (process_clock(w, &s->p) - mine->since_us > MS(w->plan.down_after_ms)) { /* E7 */
        mine->on = false;
        return;
    }
    if (!v->granted)
        return;
    mine->votes |= 1U << v->voter;
    mine->grants[v->voter] = v->grant;
    if (!super_majority(w, s, mine->votes))
        return;
    s->sealed = true;
    if (!mine->planned || mine->rash) {
        promote(w, s, v->shard);
        return;
    }
    mine->returning = true;
    super_asks(w, s, mine->former, super_ask_new(w, s, ASK_RETURN, mine->epoch));
}

static bool in_lineage(const struct book *b, const char *id)
{
    for (size_t i = 0; i < b->nlineage; i++)
        if (runid_cmp(b->lineage[i], id) == 0)
            return true;
    return false;
}

/* The master at hand when it answers, or else the replica with the most data. -1: nobody. */
static int select_one(const struct world *w, const struct super *s, int shard, bool replicas_only)
{
    const struct book *b = &s->books[shard];
    int best = -1;
    for (int i = shard; i < w->nnodes; i += w->plan.shards) {
        const struct sn_lease_told *t = &s->nodes[i].told;
        const struct sn_lease_told *than = best >= 0 ? &s->nodes[best].told : NULL;
        if (!reaches(w, s, i) || t->loading)
            continue;
        bool master = t->role == SN_ROLE_MASTER && t->slots > 0 && in_lineage(b, t->node) &&
                      t->config_epoch >= s->live.shard[shard].config;
        bool replica = t->role == SN_ROLE_REPLICA && t->state_known && in_lineage(b, t->master);
        if ((!master || replicas_only) && !replica)
            continue;
        bool better = than == NULL || (master && than->role != SN_ROLE_MASTER) ||
                      (master == (than->role == SN_ROLE_MASTER) &&
                       (t->config_epoch > than->config_epoch ||
                        (t->config_epoch == than->config_epoch && t->offset > than->offset)));
        if (better)
            best = i;
    }
    return best;
}

static void stand(struct world *w, struct super *s, int shard, int candidate, bool planned, int former)
{
    struct book *b = &s->books[shard];
    int64_t now_us = process_clock(w, &s->p);
    if (s->epoch < s->live.vote_epoch)
        s->epoch = s->live.vote_epoch;
    struct vote_ask v = {.shard = shard, .candidate = candidate, .epoch = ++s->epoch, .version = s->version};
    memcpy(v.id, s->nodes[candidate].told.node, sizeof v.id);
    v.planned = planned;
    b->ballot = (struct ballot){.on = true, .planned = planned, .epoch = v.epoch, .candidate = candidate};
    b->ballot.former = former;
    b->ballot.rash = planned && rng_below(&w->rng, 2) == 0;
    b->ballot.since_us = now_us;
    memcpy(b->ballot.id, v.id, sizeof b->ballot.id);
    w->counts[COUNT_STOOD]++;
    if (s->nodes[candidate].told.role == SN_ROLE_MASTER)
        w->counts[COUNT_STOOD_INCUMBENT]++;
    RECORD(w, end_name(s->p.end), "stands for %s of shard %d in epoch %llu%s", end_name(end_of_node(candidate)),
           shard + 1, (unsigned long long)v.epoch, planned ? ", as an operator asked" : "");
    /* Who failed a round moves to the end. */
    b->failures++;
    int64_t wait_us = MS(w->plan.down_after_ms) * (1 + b->failures % 4) +
                      (int64_t)s->index * MS(w->plan.down_after_ms) / 3;
    b->again_us = now_us + wait_us;
    struct super_wait own = {.shard = shard, .candidate = candidate, .asker = s->index, .epoch = v.epoch};
    memcpy(own.id, v.id, sizeof own.id);
    if (would_vote(w, s, &v))
        give(w, s, &v, &own);
    if (PLANTED(106, false, true))
        promote(w, s, shard);
    else
        super_asks_peers(w, s, &v);
}

/* By rank: the first one asks at once, the next ones give it time. */
static int64_t rank_us(const struct world *w, const struct super *s)
{
    return super_position(w, s) * (20 * w->plan.delay_us + MS(20));
}

void super_stands(struct world *w, struct super *s)
{
    int64_t now_us = process_clock(w, &s->p), down_us = MS(w->plan.down_after_ms);
    for (int k = 0; k < w->plan.shards && s->live.joined; k++) {
        struct book *b = &s->books[k];
        bool nobody = now_us - b->well_us > down_us + rank_us(w, s);
        bool odd = b->odd_us != 0 && now_us - b->odd_us > 4 * down_us;
        if ((!nobody && !odd) || now_us < b->again_us)
            continue;
        int candidate = select_one(w, s, k, false);
        if (candidate < 0)
            continue;
        b->odd_us = 0;
        stand(w, s, k, candidate, false, -1);
    }
}

bool super_switch(struct world *w, struct super *s, int shard)
{
    if (s->watcher != NULL)
        return watcher_switch(w, s, shard);
    struct book *b = &s->books[shard];
    int to = select_one(w, s, shard, true), from = -1;
    for (int i = shard; i < w->nnodes; i += w->plan.shards)
        if (reaches(w, s, i) && runid_cmp(s->nodes[i].told.node, b->lease.grantee) == 0)
            from = i;
    if (!process_works(&s->p) || !s->live.joined || to < 0 || from < 0 || from == to || !well(w, s, shard))
        return false;
    stand(w, s, shard, to, true, from);
    return true;
}
