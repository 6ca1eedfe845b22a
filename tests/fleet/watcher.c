#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "sentineld/core/state.h"

void watcher_init(struct world *w, struct super *s)
{
    if (w->plan.modelled)
        return;
    s->watcher = mem_zalloc(sizeof *s->watcher);
}

void watcher_free(struct super *s)
{
    if (s->watcher == NULL)
        return;
    if (s->watcher->core != NULL)
        sn_core_free(s->watcher->core);
    watcher_forgets(s);
    watcher_disk_free(s->watcher);
    idmap_free(&s->watcher->links);
    free(s->watcher);
}

static void carry_out(struct world *w, struct super *s);

void watcher_settings(const struct world *w, const struct super *s, struct sn_settings *set)
{
    sn_settings_init(set);
    int n = w->versions[s->version].n;
    set->quorum = w->plan.quorum <= n ? w->plan.quorum : n / 2 + 1;
    set->down_after_ms = w->plan.down_after_ms;
    set->failover_timeout_ms = w->plan.failover_timeout_ms;
}

void watcher_start(struct world *w, struct super *s)
{
    struct watcher *x = s->watcher;
    struct addr others[SUPERS_MAX];
    char nothing[] = "", level[] = "notice", host[32];
    struct sn_settings set;
    struct sn_core_options o = {.seed = rng_u64(&w->rng), .port = SENTINEL_PORT, .current_epoch = x->epoch};
    snprintf(host, sizeof host, "10.0.1.%d", s->index + 1);
    memcpy(o.id, s->id, sizeof o.id);
    o.joined = x->joined;
    sn_params_default(&o.params);
    o.params.info_period_ms = w->plan.info_period_ms;
    o.globals = (struct sn_globals){.announce_ip = host, .user = nothing, .pass = nothing, .loglevel = level};
    const struct membership *m = &w->versions[s->version];
    for (int i = 0; i < m->n && w->plan.declared; i++) {
        if (m->members[i] == s->index)
            continue;
        snprintf(others[o.ndeclared].host, sizeof others[0].host, "10.0.1.%d", m->members[i] + 1);
        others[o.ndeclared++].port = SENTINEL_PORT;
    }
    o.declared = others;
    if (w->plan.leased)
        watcher_list(w, s, &o.list);
    x->core = sn_core_new(&o, process_clock(w, &s->p));
    watcher_settings(w, s, &set);
    watcher_add_fleet(w, s, &set);
    sn_settings_free(&set);
    carry_out(w, s);
    watcher_tick(w, s);
}

void watcher_crash(struct world *w, struct super *s)
{
    watcher_disk_crash(w, s);
    sn_core_free(s->watcher->core);
    s->watcher->core = NULL;
    watcher_forgets(s);
    s->watcher->adoption.reload = 0;
    idmap_free(&s->watcher->links);
}

static void tick(struct world *w, struct happening *h)
{
    struct super *s = &w->supers[h->who];
    if (s->p.stopped) {
        inbox_put(&s->p.inbox, h);
        return;
    }
    watcher_tick(w, s);
}

void watcher_timer(struct world *w, struct super *s)
{
    int64_t at = s->watcher->core != NULL ? sn_deadline(s->watcher->core) : HEAP_NEVER;
    if (at == HEAP_NEVER)
        happen_not(&w->time, &s->tick);
    else
        happen(&w->time, &s->tick, clock_world(&s->p.clock, at) + lateness(w), tick);
}

void watcher_tick(struct world *w, struct super *s)
{
    struct sn_event e = {.kind = SN_EV_TICK};
    watcher_step(w, s, &e);
}

static void count_published(struct world *w, const struct super *s, const struct sn_effect *e)
{
    RECORD(w, end_name(s->p.end), "%s %s", e->name, e->text != NULL ? e->text : "");
    if (strcmp(e->name, "+switch-master") == 0)
        w->counts[COUNT_SWITCHED]++;
    else if (strcmp(e->name, "+elected-leader") == 0)
        w->counts[COUNT_ELECTED]++;
    else if (strcmp(e->name, "+migrations-frozen") == 0)
        w->counts[COUNT_FROZEN]++;
    else if (strcmp(e->name, "+shard-renamed") == 0)
        w->counts[COUNT_RENAMED]++;
}

static void carry_out_one(struct world *w, struct super *s, struct sn_effect *e)
{
    mix(w, (uint64_t)w->time.now_us ^ (uint64_t)e->kind << 48 ^ (uint64_t)e->command << 56);
    mix(w, e->link ^ e->seq << 20 ^ e->epoch << 40 ^ (uint64_t)s->index << 60);
    switch (e->kind) {
    case SN_FX_CONNECT: watcher_connect(w, s, e); break;
    case SN_FX_DISCONNECT: watcher_disconnect(w, s, e->link); break;
    case SN_FX_SEND:
        check_promotion(w, s, e);
        watcher_send(w, s, e);
        break;
    case SN_FX_PERSIST: watcher_persist(w, s, e); break;
    case SN_FX_PUBLISH: count_published(w, s, e); break;
    case SN_FX_ANSWER_BALLOTS:
        check_told_votes(w, s, e);
        watcher_answers(w, s, e);
        break;
    case SN_FX_ANSWER_SWAP: watcher_answers(w, s, e); break;
    case SN_FX_ANSWER:
        swap_super_answers(w, s, e);
        joint_answers(w, s, e);
        break;
    default: break; /* there are no hooks */
    }
}

static void carry_out(struct world *w, struct super *s)
{
    struct sn_effects fx = w->sn_fx;
    w->sn_fx = (struct sn_effects){NULL, 0, 0};
    for (size_t i = 0; i < fx.n && w->violation == NULL; i++)
        carry_out_one(w, s, &fx.v[i]);
    sn_effects_clear(&fx);
    if (w->sn_fx.v == NULL)
        w->sn_fx = fx;
    else
        sn_effects_free(&fx);
}

void watcher_step(struct world *w, struct super *s, struct sn_event *e)
{
    if (s->watcher->core == NULL || process_spins(w, &s->p))
        return;
    e->now_us = process_clock(w, &s->p);
    w->counts[COUNT_SUPER_STEPS]++;
    sn_step(s->watcher->core, e, &w->sn_fx);
    carry_out(w, s);
    watcher_timer(w, s);
}

int shard_of_addr(const struct world *w, const struct addr *a)
{
    for (int i = 0; i < w->nnodes; i++)
        if (a->port == NODE_PORT && strcmp(w->nodes[i].ip, a->host) == 0)
            return w->nodes[i].shard;
    return -1;
}

struct sn_group *watcher_group(const struct world *w, const struct super *s, int shard)
{
    const struct sn_core *c = s->watcher->core;
    for (size_t i = 0; c != NULL && i < c->ngroups; i++)
        if (shard_of_addr(w, &c->groups[i]->master->node->addr) == shard)
            return c->groups[i];
    return NULL;
}

/* M2 is over for it, nodes count its list, and it knows whom it grants to. */
bool watcher_takes_part(const struct world *w, const struct super *s)
{
    const struct sn_core *c = s->watcher->core;
    for (size_t i = 0; i < c->ngroups && w->plan.leased; i++)
        if (c->groups[i]->lease.grantee[0] == '\0')
            return false;
    return c->joined && c->ngroups == (size_t)w->plan.shards && (c->ours.counted || !w->plan.leased);
}

bool watcher_switch(struct world *w, struct super *s, int shard)
{
    const struct sn_group *g = watcher_group(w, s, shard);
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = ++s->watcher->last_token};
    if (g == NULL || !process_works(&s->p))
        return false;
    e.group = slice_of(g->name);
    e.coordinated = rng_below(&w->rng, 2) == 0;
    w->counts[COUNT_ASKED_SWITCH]++;
    RECORD(w, "operator", "asks %s to switch %s", end_name(s->p.end), g->name);
    watcher_step(w, s, &e);
    return true;
}
