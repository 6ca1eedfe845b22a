/* What must hold of supervisors with the shipped core: S1, S2 and S3 of shards, one grant for each fleet and epoch
 * (E1), and, once all is well, that all know the same fleet by the same names (S7, E12). */
#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "noded/cluster/state.h"
#include "sentineld/core/state.h"

struct grant { /* a vote: told by its voter, and perhaps heard by whom it is for */
    int voter, shard;
    uint64_t epoch;
    runid leader;
    bool heard;
};

struct leader { /* who promoted in a shard at an epoch */
    int shard, super;
    uint64_t epoch;
};

struct votes {
    struct grant *v;
    size_t n, cap;
    struct leader *leaders;
    size_t nleaders, cap_leaders;
};

static struct votes *votes(struct world *w)
{
    if (w->votes == NULL)
        w->votes = mem_zalloc(sizeof *w->votes);
    return w->votes;
}

void check_votes_free(struct world *w)
{
    if (w->votes == NULL)
        return;
    free(w->votes->v);
    free(w->votes->leaders);
    free(w->votes);
}

/* NULL: it never voted at that epoch. */
static struct grant *vote_of(struct world *w, int voter, uint64_t epoch)
{
    struct votes *x = votes(w);
    for (size_t i = x->n; i > 0; i--) /* what is asked for is mostly new */
        if (x->v[i - 1].voter == voter && x->v[i - 1].epoch == epoch)
            return &x->v[i - 1];
    return NULL;
}

static void note_vote(struct world *w, int voter, const struct sn_opinion *o)
{
    struct votes *x = votes(w);
    int shard = shard_of_addr(w, &o->master);
    struct grant *g = vote_of(w, voter, o->leader_epoch);
    if (g == NULL) {
        x->v = mem_grow(x->v, x->n, &x->cap, sizeof *x->v);
        g = &x->v[x->n++];
        *g = (struct grant){.voter = voter, .shard = shard, .epoch = o->leader_epoch};
        memcpy(g->leader, o->leader, sizeof g->leader);
        w->counts[COUNT_VOTES]++;
        return;
    }
    if (runid_cmp(g->leader, o->leader) != 0)
        violated(w, "S2", "%s votes for two supervisors in epoch %llu", end_name(voter),
                 (unsigned long long)o->leader_epoch);
    else if (g->shard != shard && shard >= 0)
        violated(w, "E1", "%s grants epoch %llu for shard %d and for shard %d", end_name(voter),
                 (unsigned long long)o->leader_epoch, g->shard + 1, shard + 1);
}

void check_told_votes(struct world *w, const struct super *s, const struct sn_effect *e)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->opinions[i].leader[0] != '\0' && e->opinions[i].leader_epoch > 0)
            note_vote(w, s->index, &e->opinions[i]);
}

void check_heard_votes(struct world *w, const struct super *s, int voter, const struct sn_opinion *o, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct grant *g = vote_of(w, voter, o[i].leader_epoch);
        if (g != NULL && runid_cmp(o[i].leader, s->id) == 0 && runid_cmp(g->leader, s->id) == 0)
            g->heard = true;
    }
}

static int votes_held(struct world *w, const struct super *s, int shard, uint64_t epoch)
{
    const struct votes *x = votes(w);
    int n = 1; /* its own, which is checked by its disk elsewhere */
    for (size_t i = 0; i < x->n; i++)
        n += x->v[i].heard && x->v[i].voter != s->index && x->v[i].epoch == epoch && x->v[i].shard == shard &&
             runid_cmp(x->v[i].leader, s->id) == 0;
    return n;
}

static void note_leader(struct world *w, const struct super *s, int shard, uint64_t epoch)
{
    struct votes *x = votes(w);
    for (size_t i = 0; i < x->nleaders; i++)
        if (x->leaders[i].epoch == epoch && x->leaders[i].shard == shard) {
            if (x->leaders[i].super != s->index)
                violated(w, "S1", "%s and %s both lead in epoch %llu of shard %d", end_name(x->leaders[i].super),
                         end_name(s->p.end), (unsigned long long)epoch, shard + 1);
            return;
        }
    x->leaders = mem_grow(x->leaders, x->nleaders, &x->cap_leaders, sizeof *x->leaders);
    x->leaders[x->nleaders++] = (struct leader){.shard = shard, .super = s->index, .epoch = epoch};
}

/* While two nodes of a shard have slots as masters each is a shard of its own to the supervisors. */
static const struct sn_group *group_that_promotes(const struct world *w, const struct super *s, int shard)
{
    const struct sn_core *c = s->watcher->core;
    for (size_t i = 0; i < c->ngroups; i++)
        if (c->groups[i]->fo.state != SN_FO_NONE && shard_of_addr(w, &c->groups[i]->master->node->addr) == shard)
            return c->groups[i];
    return NULL;
}

void check_promotion(struct world *w, const struct super *s, const struct sn_effect *e)
{
    const struct conn *c = idmap_get(&s->watcher->links, e->link);
    if ((e->command != SN_CMD_TAKEOVER && e->command != SN_CMD_CLUSTER_FAILOVER) || c == NULL ||
        end_is_super(c->server))
        return;
    int shard = w->nodes[c->server - SUPERS_MAX].shard, members = w->versions[s->version].n;
    const struct sn_group *g = group_that_promotes(w, s, shard);
    RECORD(w, end_name(s->p.end), "promotes %s", end_name(c->server));
    if (g == NULL) {
        violated(w, "S3", "%s promotes %s outside of any failover", end_name(s->p.end), end_name(c->server));
        return;
    }
    if (g->fo.unopposed)
        return;
    int majority = members / 2 + 1;
    int needed = w->plan.quorum > majority && w->plan.quorum <= members ? w->plan.quorum : majority;
    int held = votes_held(w, s, shard, g->fo.epoch);
    if (held < needed)
        violated(w, "S3", "%s promotes %s in epoch %llu with %d votes, %d are needed", end_name(s->p.end),
                 end_name(c->server), (unsigned long long)g->fo.epoch, held, needed);
    note_leader(w, s, shard, g->fo.epoch);
}

/* ---- when all is well ---- */

static char why[200];

#define MISSING(...)                            \
    do {                                        \
        snprintf(why, sizeof why, __VA_ARGS__); \
        return why;                             \
    } while (0)

static const char *shard_differs(struct world *w, const struct super *s, int k, const char **name)
{
    const struct sn_group *g = watcher_group(w, s, k);
    const struct node *m = some_master(w, k);
    if (g == NULL)
        MISSING("%s knows nothing of shard %d", end_name(s->p.end), k + 1);
    if (m == NULL || strcmp(g->master->node->addr.host, m->ip) != 0)
        MISSING("%s holds %.40s for the master of shard %d", end_name(s->p.end), g->master->node->addr.host, k + 1);
    if (g->fo.state != SN_FO_NONE)
        MISSING("%s is failing shard %d over", end_name(s->p.end), k + 1);
    if (g->o_down)
        MISSING("%s holds the master of shard %d for down", end_name(s->p.end), k + 1);
    if (g->config_epoch != m->core->me->config_epoch)
        MISSING("%s has epoch %llu for shard %d, whose master has %llu", end_name(s->p.end),
                (unsigned long long)g->config_epoch, k + 1, (unsigned long long)m->core->me->config_epoch);
    if (w->plan.leased && !watcher_takes_part(w, s))
        MISSING("%s takes no part", end_name(s->p.end));
    if (*name == NULL)
        *name = g->name;
    if (strcmp(*name, g->name) != 0)
        MISSING("%s calls shard %d %s, another %s", end_name(s->p.end), k + 1, g->name, *name);
    return NULL;
}

const char *watchers_differ(struct world *w)
{
    for (int k = 0; k < w->plan.shards; k++) {
        const char *name = NULL;
        for (int i = 0; i < SUPERS_MAX; i++) {
            const struct super *s = &w->supers[i];
            const char *missing = s->p.runs ? shard_differs(w, s, k, &name) : NULL;
            if (missing != NULL)
                return missing;
        }
    }
    for (int i = 0; i < SUPERS_MAX; i++)
        if (w->supers[i].p.runs && w->supers[i].watcher->core->ngroups != (size_t)w->plan.shards)
            MISSING("%s watches %zu shards", end_name(i), w->supers[i].watcher->core->ngroups);
    return NULL;
}
