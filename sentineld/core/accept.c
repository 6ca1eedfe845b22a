/* replica-guard (SAFETY section 4): a noded replica that holds data lets no empty dataset of a history in that it does
 * not know, for its master may have lost everything. Who can tell is a supervisor: one that knows that this master was
 * emptied (keys expired or were deleted while the replica was away) says so, and names the very history that it means.
 * A master that may be reborn empty is none of that: its replica keeps what it has, to be promoted. */
#include "sentineld/core/fleet_inner.h"

#define AGAIN MS(1000)
#define REFUSED_AGAIN MS(60000) /* it does not know the word, or we may not say it */

/* A new process knows nothing of what the one before it held. */
void sn_note_life(struct sn_node *n, const runid before)
{
    if (n->info.role != SN_ROLE_MASTER || (*before && runid_cmp(before, n->info.run_id) != 0))
        n->lived = false;
    sn_note_keys(n);
}

/* What a replica holds may have gone with the dataset that it took from its master: only a master's counts. */
void sn_note_keys(struct sn_node *n)
{
    if (n->lived || n->info.role != SN_ROLE_MASTER || n->info.keys <= 0 || n->info.loading || n->unjudged)
        return;
    for (const struct sn_inst *i = n->insts; i && !n->lived; i = i->next_on_node)
        n->lived = sn_is_master(i) && !i->s_down && !sn_may_be_empty(i);
}

/* Where there are leases: most of us hold this one for the master, and no promotion of another is in doubt. */
static bool is_confirmed(const struct sn_group *g)
{
    const struct sn_node *m = g->master->node;
    if (!sn_master_looks_sane(g) || m->info.loading || m->info.async_loading || sn_may_be_empty(g->master))
        return false;
    if (g->fo.state != SN_FO_NONE && g->fo.state != SN_FO_RECONF_SLAVES)
        return false;
    return !sn_node_leases(m) || (m->told && m->told->lease_ms > 0 && !sn_lease_in_doubt(g));
}

/* Its dataset is empty and is the shard's all the same. "follow" wants that of a reborn one too. */
static bool may_be_followed_empty(const struct sn_group *g)
{
    const struct sn_node *m = g->master->node;
    return m->info.emptied || m->lived || g->set.reborn_empty == SN_REBORN_FOLLOW;
}

int64_t sn_inst_accept(struct sn_inst *i)
{
    struct sn_group *g = i->group;
    struct sn_node *n = i->node, *m = g->master->node;
    int64_t now = g->core->now_us;
    if (!*n->info.guarded || sn_is_master(i) || n->info.master_link_up || n->cmd.state != SN_CONN_UP || i->s_down ||
        !sn_follows(i, m) || !is_confirmed(g))
        return HEAP_NEVER;
    if (i->accepted_us && now < i->accepted_us + AGAIN)
        return i->accepted_us + AGAIN;
    i->accepted_us = now;
    /* It tells the name of its history and why it is empty in one text, which is no older than what the replica saw. */
    if (runid_cmp(m->info.replid, n->info.guarded) != 0 || !may_be_followed_empty(g)) {
        m->info_now = true;
        sn_touch_node(m);
        return now + AGAIN;
    }
    sn_send(g->core, &n->cmd, SN_CMD_ACCEPT)->text = mem_strdup(n->info.guarded);
    n->pending++;
    sn_publish_inst(i, SN_LOG_NOTICE, "+accept-empty", "history %s", n->info.guarded);
    return now + AGAIN;
}

void sn_accept_refused(struct sn_node *n, struct slice text)
{
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node) {
        if (!*n->info.guarded || sn_is_master(i))
            continue;
        i->accepted_us = n->core->now_us + REFUSED_AGAIN;
        sn_publish_inst(i, SN_LOG_WARNING, "-accept-empty-refused", "%.*s", (int)text.n, text.n ? text.p : "");
    }
}
