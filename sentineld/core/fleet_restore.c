/* A cluster from the configuration and the state: what it was when this supervisor was last up is watched at once, with
 * all its nodes down too. */
#include "sentineld/core/swap_inner.h"

/* The part in a group of each node that the state names; its master has one already. */
static void restore_nodes(struct sn_shard *s, const struct sn_core_shard *from)
{
    struct sn_group *g = s->group;
    for (size_t k = 0; k < from->nnodes; k++) {
        const struct sn_record_node *r = &from->nodes[k];
        struct sn_member *m = sn_member_get(s->fleet, r->id);
        if (m->inst || !addr_is_set(&r->addr))
            continue;
        sn_member_at(m, &r->addr, true);
        if (!m->node)
            continue;
        if (!g->master->member && sn_node_is(g->master->node, &r->addr)) {
            g->master->member = m;
            m->inst = g->master;
            m->master = true;
        } else if (!sn_inst_find(g, &r->addr)) {
            sn_shard_join(s, m);
        }
    }
}

static void restore_shard(struct sn_fleet *f, const struct sn_core_shard *from)
{
    struct sn_core *c = f->core;
    struct sn_core_group group = from->group;
    bool named = false;
    for (size_t k = 0; k < from->nnodes; k++)
        named = named || addr_eq(&from->nodes[k].addr, &group.master);
    if (!named && from->nnodes)
        group.master = from->nodes[0].addr;
    group.nreplicas = 0;
    if (!from->nnodes || !sn_group_restore(c, &group))
        return;
    struct sn_shard *s = sn_shard_attach(f, sn_group_find(c, slice_of(group.name)));
    s->settled = true;
    restore_nodes(s, from);
    if (!s->group->master->member) {
        sn_shard_free(s);
        return;
    }
    s->group->master->member->epoch = s->group->config_epoch;
    if (s->group->vote_epoch > f->vote_epoch)
        f->vote_epoch = s->group->vote_epoch;
    sn_heard_epoch(c, NULL, s->group->config_epoch);
}

bool sn_core_add_fleet(struct sn_core *c, const struct sn_core_fleet *from, int64_t now_us, struct sn_effects *out)
{
    if (sn_fleet_find(c, slice_of(from->name)) || (!from->nseeds && !from->nshards))
        return false;
    c->out = out;
    if (now_us > c->now_us)
        c->now_us = now_us;
    struct sn_fleet *f = sn_fleet_new(c, from->name, from->settings);
    f->lease_us = MS(from->lease_ms);
    f->epoch = from->config_epoch;
    f->vote_epoch = from->vote_epoch;
    sn_swap_restore(f, &from->swap, from->swap_lists);
    f->meet_us = sn_meet_until(c, c->now_us, false);
    f->dirty = c->any_dirty = true;
    sn_fleet_seeds(f, from->seeds, from->nseeds);
    for (size_t k = 0; k < from->nshards; k++)
        restore_shard(f, &from->shards[k]);
    sn_heard_epoch(c, NULL, f->epoch);
    sn_heard_epoch(c, NULL, f->vote_epoch);
    c->out = NULL;
    return true;
}
