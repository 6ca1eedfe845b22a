/* After the promotion: the other replicas follow, parallel-syncs at a time. The configuration is published already;
 * nobody waits for this. An old master that is reachable is told at once: while it poses as a master, clients may write
 * to it. */
#include "sentineld/core/fleet_inner.h"

#define BUS_WAIT MS(1000) /* in a cluster the others follow by themselves */

static void set(struct sn_inst *i, enum sn_reconf r, const char *event)
{
    i->reconf = r;
    i->reconf_us = i->group->core->now_us;
    if (event)
        sn_publish_inst(i, SN_LOG_NOTICE, event, NULL);
    sn_touch_node(i->node);
}

static void note_progress(struct sn_inst *i)
{
    const struct sn_group *g = i->group;
    const struct sn_node *n = i->node;
    const struct sn_params *p = &g->core->params;
    bool told = i->reconf == SN_RECONF_SENT || i->reconf == SN_RECONF_INPROG;
    bool follows = sn_follows(i, g->master->node) && n->info_us > (told ? i->reconf_us : g->fo.state_us);
    if (i->reconf == SN_RECONF_SENT && follows)
        set(i, SN_RECONF_INPROG, "+slave-reconf-inprog");
    if (follows && n->info.master_link_up && i->reconf != SN_RECONF_DONE)
        set(i, SN_RECONF_DONE, i->reconf == SN_RECONF_INPROG ? "+slave-reconf-done" : NULL);
    if (i->reconf == SN_RECONF_SENT && g->core->now_us >= i->reconf_us + MS(p->slave_reconf_timeout_ms))
        set(i, SN_RECONF_DONE, "-slave-reconf-sent-timeout");
}

/* Writes that its clients were made to wait with are answered by a redirect now. */
static void end_pause(struct sn_inst *i)
{
    struct sn_group *g = i->group;
    struct sn_node *n = i->node;
    if (!g->fo.paused || !sn_node_is(n, &g->fo.from) || n->cmd.state != SN_CONN_UP || !sn_follows(i, g->master->node))
        return;
    g->fo.paused = false;
    sn_send(g->core, &n->cmd, SN_CMD_UNPAUSE);
    n->pending++;
}

static bool poses(const struct sn_inst *i)
{
    return i->node->info_us && i->node->info.role == SN_ROLE_MASTER;
}

static void end(struct sn_group *g, bool timeout)
{
    if (timeout)
        sn_publish_inst(g->master, SN_LOG_WARNING, "+failover-end-for-timeout", NULL);
    sn_publish_inst(g->master, SN_LOG_WARNING, "+failover-end", NULL);
    sn_account_converged(g, timeout);
    for (size_t k = 0; k < g->ninsts; k++) {
        struct sn_inst *i = g->insts[k];
        /* Best effort for those that had no turn. */
        if (timeout && !sn_same_process(i, g->master) && i->reconf == SN_RECONF_NONE &&
            i->node->cmd.state == SN_CONN_UP) {
            sn_follow(i);
            sn_publish_inst(i, SN_LOG_NOTICE, "+slave-reconf-sent-be", NULL);
        }
        i->reconf = SN_RECONF_NONE;
        sn_touch_node(i->node);
    }
    memset(&g->fo, 0, sizeof g->fo);
    sn_touch_group(g);
}

int64_t sn_reconf_advance(struct sn_group *g)
{
    const struct sn_core *c = g->core;
    if (g->fo.state != SN_FO_RECONF_SLAVES || (g->announce && !c->broken))
        return HEAP_NEVER; /* first the configuration is on disk and told */
    if (g->o_down) {       /* the new master died: that is more urgent */
        end(g, true);
        return c->now_us;
    }
    int64_t next = g->fo.state_us + MS(g->set.failover_timeout_ms), busy = 0;
    size_t left = 0;
    for (size_t k = 0; k < g->ninsts; k++) {
        struct sn_inst *i = g->insts[k];
        if (sn_same_process(i, g->master))
            continue;
        note_progress(i);
        if (g->fleet)
            end_pause(i);
        busy += i->reconf == SN_RECONF_SENT || i->reconf == SN_RECONF_INPROG;
    }
    for (size_t k = 0; k < g->ninsts; k++) {
        struct sn_inst *i = g->insts[k];
        if (sn_same_process(i, g->master) || i->s_down)
            continue;
        bool linked = i->node->cmd.state == SN_CONN_UP;
        bool waits = g->fleet && c->now_us < g->fo.state_us + BUS_WAIT;
        if (waits)
            EARLIER(next, g->fo.state_us + BUS_WAIT);
        else if (linked && i->reconf == SN_RECONF_NONE && poses(i)) {
            sn_follow(i);
            set(i, SN_RECONF_SENT, "+convert-to-slave");
        } else if (linked && i->reconf == SN_RECONF_NONE && busy < g->set.parallel_syncs) {
            sn_follow(i);
            set(i, SN_RECONF_SENT, "+slave-reconf-sent");
            busy++;
        }
        if (i->reconf == SN_RECONF_SENT)
            EARLIER(next, i->reconf_us + MS(c->params.slave_reconf_timeout_ms));
        left += i->reconf != SN_RECONF_DONE;
    }
    bool timeout = c->now_us >= g->fo.state_us + MS(g->set.failover_timeout_ms);
    if (left && !timeout)
        return next;
    end(g, left > 0);
    return HEAP_NEVER;
}
