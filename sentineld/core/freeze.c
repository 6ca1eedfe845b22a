/* Slot migrations that touch a shard which is getting another master: the masters at their other ends are told not to
 * go on to the pause and the grant (CLUSTER FREEZESLOTMIGRATIONS), for a time that ends by itself. What began before
 * that, the nodes settle between themselves; what did not, begins anew with the new master. */
#include "sentineld/core/fleet_inner.h"

#define FREEZE_MS 2000
#define AGAIN MS(FREEZE_MS / 2)

/* A ballot that gives the master a newer epoch (SAFETY E5) replaces nobody: migrations are what it may be held for. */
static bool is_replaced(const struct sn_group *g)
{
    bool attempt = g->fo.state != SN_FO_NONE && g->fo.state != SN_FO_RECONF_SLAVES && !g->fo.incumbent;
    return g->o_down || attempt;
}

static size_t tell_others(struct sn_group *g)
{
    const struct sn_fleet *f = g->fleet;
    size_t told = 0;
    for (size_t k = 0; k < f->nshards; k++) {
        struct sn_node *n = f->shards[k]->group->master->node;
        if (f->shards[k]->group == g || n->cmd.state != SN_CONN_UP || !sn_node_leases(n) || !n->told ||
            n->told->migrating == 0)
            continue;
        struct sn_effect *e = sn_send(g->core, &n->cmd, SN_CMD_FREEZE);
        e->text = mem_strdup(g->master->member->id);
        e->number = FREEZE_MS;
        n->pending++;
        told++;
    }
    return told;
}

int64_t sn_freeze_advance(struct sn_group *g)
{
    struct sn_shard *s = g->shard;
    int64_t now = g->core->now_us;
    if (!g->fleet->lease_us || !g->master->member || !is_replaced(g)) {
        s->froze_us = 0;
        return HEAP_NEVER;
    }
    if (s->froze_us && now < s->froze_us + AGAIN)
        return s->froze_us + AGAIN;
    bool first = s->froze_us == 0;
    size_t told = tell_others(g);
    if (first && told > 0)
        sn_publish_inst(g->master, SN_LOG_NOTICE, "+migrations-frozen", "%zu", told);
    s->froze_us = now;
    return now + AGAIN;
}
