/* What INFO tells: roles, offsets, new replicas, restarts. */
#include "sentineld/core/fleet_inner.h"

#define LINK_SECOND 1000 /* servers tell how long a link has been down in whole seconds */

/* The data set that the master had while it was well. A restart draws a new replication id; replicas of the old one are
 * to be compared by the old one until the group has a master that is well again. */
static void note_lineage(struct sn_inst *i)
{
    struct sn_node *n = i->node;
    if (sn_is_master(i) && n->info.role == SN_ROLE_MASTER && !i->s_down && !i->reborn_empty && *n->info.replid)
        memcpy(i->group->lineage, n->info.replid, sizeof i->group->lineage);
}

static void note_role_change(struct sn_inst *i, enum sn_role before)
{
    static const char *const names[] = {
        [SN_ROLE_UNKNOWN] = "unknown", [SN_ROLE_MASTER] = "master", [SN_ROLE_REPLICA] = "slave"};
    struct sn_node *n = i->node;
    enum sn_role wanted = sn_is_master(i) ? SN_ROLE_MASTER : SN_ROLE_REPLICA;
    if (before == n->info.role || (before == SN_ROLE_UNKNOWN && n->info.role == wanted))
        return;
    sn_publish_inst(i, SN_LOG_VERBOSE, n->info.role == wanted ? "+role-change" : "-role-change",
                    "new reported role is %s", names[n->info.role]);
}

/* A replica that has synchronised with its restarted master has that one's replication id and holds nothing else any
 * more. One that was made a master since has a data set of its own. */
static bool has_older_data(const struct sn_info *replica, const struct sn_info *master)
{
    if (replica->role != SN_ROLE_REPLICA)
        return false;
    if (*replica->replid && *master->replid)
        return runid_cmp(replica->replid, master->replid) != 0;
    return !replica->master_link_up;
}

static bool of_lineage(const struct sn_info *info, const struct sn_group *g)
{
    return !*g->lineage || runid_cmp(info->replid, g->lineage) == 0 || runid_cmp(info->replid2, g->lineage) == 0;
}

/* SAFETY section 4. Replicas count with the facts from before: they were linked when the master went silent. `still`:
 * one that was led to another server since, and has its data now, counts no more. */
static bool others_hold_keys(const struct sn_group *g, bool still)
{
    for (size_t k = 0; k < g->ninsts; k++) {
        const struct sn_inst *i = g->insts[k];
        const struct sn_info *info = &i->node->info;
        if (i != g->master && !i->s_down && info->keys > 0 && i->node->keys_before &&
            has_older_data(info, &g->master->node->info) && (!still || of_lineage(info, g)))
            return true;
    }
    return false;
}

static void note_restart(struct sn_inst *i, const runid before)
{
    struct sn_node *n = i->node;
    if (!*before || runid_cmp(before, n->info.run_id) == 0)
        return;
    sn_publish_inst(i, SN_LOG_NOTICE, "+reboot", NULL);
    i->restarted = true;
    if (!sn_is_master(i) || !i->group->set.master_reboot_down_after_ms)
        return;
    i->master_reboot = true;
    i->reboot_us = n->core->now_us;
}

/* Once a master is found reborn empty it stays so, whatever clients have written to it since, until it is replaced or
 * nobody holds the older data any more. */
static void judge_reborn(struct sn_inst *i)
{
    const struct sn_info *info = &i->node->info;
    if (!sn_is_master(i) || i->group->set.reborn_empty != SN_REBORN_FAILOVER) {
        i->restarted = i->reborn_empty = false;
    } else if (i->reborn_empty) {
        i->reborn_empty = others_hold_keys(i->group, true);
    } else if (i->restarted && !info->loading) {
        i->restarted = false;
        i->reborn_empty = info->role == SN_ROLE_MASTER && info->keys_known && info->keys == 0 &&
                          others_hold_keys(i->group, false);
    }
}

static void note_replicas(struct sn_inst *i)
{
    struct sn_node *n = i->node;
    struct sn_group *g = i->group;
    if (!sn_is_master(i) || n->info.role != SN_ROLE_MASTER || g->fleet) /* the cluster tells who belongs to a shard */
        return;
    for (size_t k = 0; k < n->info.nreplicas; k++) {
        const struct addr *a = &n->info.replicas[k].addr;
        if (!addr_is_ip(a->host) && !n->core->globals.resolve_hostnames)
            continue;
        struct sn_inst *r = sn_inst_find(g, a);
        if (r && !r->listed)
            sn_inst_confirm(r);
        if (r)
            continue;
        r = sn_inst_add(g, sn_node_get(n->core, a));
        sn_dirty_members(g);
        sn_publish_inst(r, SN_LOG_NOTICE, "+slave", NULL);
    }
}

/* The nodes of a cluster may know each other by addresses that are not ours. */
static bool follows_by_id(const struct sn_inst *i, const struct sn_node *master)
{
    const struct addr *a = &i->node->info.master;
    return i->member && master->member && runid_cmp(i->member->follows, master->member->id) == 0 &&
           !sn_node_find(i->node->core, a->host, a->port);
}

bool sn_follows(const struct sn_inst *i, const struct sn_node *master)
{
    const struct sn_info *info = &i->node->info;
    return info->role == SN_ROLE_REPLICA && addr_is_set(&info->master) &&
           (sn_node_is(master, &info->master) || follows_by_id(i, master));
}

static void note_master(struct sn_inst *i)
{
    bool wrong = i->node->info.role == SN_ROLE_REPLICA && !sn_is_master(i) && !sn_follows(i, i->group->master->node);
    if (!wrong)
        i->wrong_us = 0;
    else if (!i->wrong_us)
        i->wrong_us = i->node->core->now_us;
}

/* Whether a replica holds data that its master's death must not cost: asked when the master comes back empty. A replica
 * that follows a living, empty master says nothing. */
static void note_keys(struct sn_inst *i)
{
    struct sn_node *n = i->node;
    const struct sn_group *g = i->group;
    if (sn_is_master(i) || n->info.role != SN_ROLE_REPLICA || !n->info.keys_known)
        return;
    if (n->info.master_link_up) {
        n->keys_before = n->info.keys > 0;
        return;
    }
    /* Its last word while linked may be as old as info-period; one from just after its master went silent is better. */
    const struct sn_probe *master = &g->master->node->probe;
    int64_t silent_ms = master->silent_us ? (n->core->now_us - master->silent_us) / 1000 : -1;
    bool of_that_master = *g->lineage && runid_cmp(n->info.replid, g->lineage) == 0;
    if (n->info.keys > 0 && of_that_master && silent_ms >= 0 && n->info.master_link_down_ms <= silent_ms + LINK_SECOND)
        n->keys_before = true;
}

void sn_node_info(struct sn_node *n, struct sn_info *info)
{
    struct sn_core *c = n->core;
    runid run_before;
    memcpy(run_before, n->info.run_id, sizeof run_before);
    enum sn_role role_before = n->info.role;
    struct addr master_before = n->info.master;
    if (n->pending)
        n->pending--;
    n->info_sent_us = 0;
    n->info_us = c->now_us;
    sn_info_free(&n->info);
    n->info = *info;
    sn_info_init(info);
    n->unjudged = n->unjudged && n->info.loading;
    if (n->info.role != role_before)
        n->role_us = c->now_us;
    if (n->fleet && !sn_node_tells_view(n) &&
        (n->info.role != role_before || !addr_eq(&n->info.master, &master_before)))
        n->nodes_now = true; /* what it is in the cluster, it says there */
    for (struct sn_inst *i = n->insts, *next; i; i = next) {
        next = i->next_on_node;
        note_role_change(i, role_before);
        note_keys(i);
        note_restart(i, run_before);
        judge_reborn(i);
        note_lineage(i);
        note_replicas(i);
        note_master(i);
        sn_touch_group(i->group);
    }
    sn_note_life(n, run_before);
    sn_touch_node(n);
}
