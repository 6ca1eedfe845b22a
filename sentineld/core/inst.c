/* One node in its part in one group: is it S_DOWN there, and does it do what the configuration says? */
#include "sentineld/core/fleet_inner.h"

/* Behind a host name or a translated address one process may be known twice. It must never be told to follow itself. */
bool sn_same_process(const struct sn_inst *a, const struct sn_inst *b)
{
    const struct sn_info *ia = &a->node->info, *ib = &b->node->info;
    struct addr aa = sn_shown_addr(a->group->core, a->node), ab = sn_shown_addr(b->group->core, b->node);
    return addr_eq(&aa, &ab) || (*ia->run_id && runid_cmp(ia->run_id, ib->run_id) == 0);
}

bool sn_is_master(const struct sn_inst *i)
{
    return i->group->master == i;
}

struct sn_inst *sn_inst_find(const struct sn_group *g, const struct addr *a)
{
    for (size_t k = 0; k < g->ninsts; k++)
        if (sn_node_is(g->insts[k]->node, a))
            return g->insts[k];
    return NULL;
}

void sn_inst_confirm(struct sn_inst *i)
{
    i->listed = true;
    sn_publish_inst(i, SN_LOG_NOTICE, "+slave", NULL);
}

struct sn_inst *sn_inst_add(struct sn_group *g, struct sn_node *n)
{
    struct sn_inst *i = mem_zalloc(sizeof *i);
    i->group = g;
    i->node = n;
    i->next_on_node = n->insts;
    n->insts = i;
    i->listed = true;
    n->lease_soon = true;
    i->up_us = g->core->now_us;
    g->insts = mem_grow(g->insts, g->ninsts, &g->cap_insts, sizeof(struct sn_inst *));
    g->insts[g->ninsts++] = i;
    sn_touch_node(n);
    sn_touch_group(g);
    return i;
}

void sn_inst_remove(struct sn_inst *i)
{
    struct sn_group *g = i->group;
    for (size_t k = 0; k < g->ninsts; k++)
        if (g->insts[k] == i) {
            memmove(&g->insts[k], &g->insts[k + 1], (g->ninsts - k - 1) * sizeof(struct sn_inst *));
            g->ninsts--;
            break;
        }
    for (struct sn_inst **p = &i->node->insts; *p; p = &(*p)->next_on_node)
        if (*p == i) {
            *p = i->next_on_node;
            break;
        }
    sn_node_release(i->node);
    free(i);
}

static void set_s_down(struct sn_inst *i, bool down)
{
    int64_t now = i->group->core->now_us;
    if (i->s_down == down)
        return;
    i->s_down = down;
    if (down) {
        i->s_down_us = now;
        i->script_kill_sent = false;
    } else {
        i->up_us = now;
    }
    if (i->group->fleet)
        sn_touch_fleet(i->group->fleet);
    sn_publish_inst(i, SN_LOG_WARNING, down ? "+sdown" : "-sdown", NULL);
    if (down)
        sn_account_sdown(i);
    if (sn_is_master(i)) {
        if (down)
            sn_odown_began(i->group);
        else
            sn_odown_ended(i->group);
    }
    sn_touch_group(i->group);
}

/* Down when any row says so; the deadline is when the next one may. */
int64_t sn_inst_judge(struct sn_inst *i)
{
    const struct sn_group *g = i->group;
    const struct sn_node *n = i->node;
    const struct sn_params *p = &g->core->params;
    int64_t now = g->core->now_us, next = HEAP_NEVER;
    bool master = sn_is_master(i);
    const struct {
        bool watched;
        int64_t since, at;
    } rows[] = {
        [SN_SDOWN_SILENT] = {n->probe.silent_us != 0, n->probe.silent_us,
                             n->probe.silent_us + MS(g->set.down_after_ms)},
        /* Not begun while a failover may be changing roles; but one that this caused must not end it. */
        [SN_SDOWN_ROLE] = {master && n->info_us && n->info.role == SN_ROLE_REPLICA &&
                               (g->fo.state == SN_FO_NONE || i->s_down),
                           n->role_us, n->role_us + MS(g->set.down_after_ms + 2 * p->info_period_ms)},
        [SN_SDOWN_REBOOT] = {i->master_reboot && g->set.master_reboot_down_after_ms, i->reboot_us,
                             i->reboot_us + MS(g->set.master_reboot_down_after_ms)},
        [SN_SDOWN_REBORN_EMPTY] = {master && i->reborn_empty, now, now},
        [SN_SDOWN_STRANGER] = {i->stranger_us != 0, i->stranger_us, i->stranger_us + MS(g->set.down_after_ms)},
    };
    bool down = false, as_before = false;
    size_t why = 0;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        if (!rows[k].watched)
            continue;
        if (now < rows[k].at) {
            EARLIER(next, rows[k].at);
            continue;
        }
        why = down ? why : k;
        down = true;
        as_before = as_before || (i->s_down && i->s_down_why == (enum sn_sdown)k);
    }
    if (down && !as_before) { /* begins, or goes on for another reason */
        i->s_down_why = (enum sn_sdown)why;
        i->s_down_base_us = rows[why].since;
        i->s_down_why_us = now;
        i->s_down_after_ms = g->set.down_after_ms;
    }
    /* Before a master's time runs out its replicas are asked for their offsets, so that they are at hand when it is
     * decided. */
    if (master && n->probe.silent_us && !down) {
        int64_t span = MS(g->set.down_after_ms) / 4 < MS(50) ? MS(g->set.down_after_ms) / 4 : MS(50);
        int64_t ahead = n->probe.silent_us + MS(g->set.down_after_ms) - span;
        if (now >= ahead && !g->suspect) {
            i->group->suspect = true;
            sn_group_info_now(i->group);
        } else if (now < ahead) {
            i->group->suspect = false;
            EARLIER(next, ahead);
        }
    }
    set_s_down(i, down);
    return next;
}

/* The configured master must be well before anybody is told to follow it. */
bool sn_master_looks_sane(const struct sn_group *g)
{
    const struct sn_inst *m = g->master;
    return !m->s_down && !g->o_down && m->node->info_us && m->node->info.role == SN_ROLE_MASTER &&
           g->core->now_us - m->node->info_us < 2 * MS(g->core->params.info_period_ms);
}

/* A server that does not do what the configuration says is given time first: a newer configuration may be on its way to
 * us. */
int64_t sn_inst_repair(struct sn_inst *i)
{
    const struct sn_group *g = i->group;
    struct sn_node *n = i->node;
    int64_t now = g->core->now_us;
    if (sn_is_master(i) || g->fo.state != SN_FO_NONE || !n->info_us || n->cmd.state != SN_CONN_UP || i->s_down)
        return HEAP_NEVER;
    bool poses = n->info.role == SN_ROLE_MASTER;
    /* In a cluster a master is turned by the others' slots, and one without slots may be on its way out. */
    if (poses && g->fleet)
        return HEAP_NEVER;
    if ((!poses && !i->wrong_us) || sn_same_process(i, g->master))
        return HEAP_NEVER;
    int64_t wait = poses ? 4 * MS(g->core->params.publish_period_ms) : MS(g->set.failover_timeout_ms);
    int64_t at = poses ? n->role_us : i->wrong_us;
    if (at < i->up_us)
        at = i->up_us;
    if (at < i->repaired_us)
        at = i->repaired_us;
    at += wait;
    if (now < at)
        return at;
    if (!sn_master_looks_sane(g))
        return now + MS(1000);
    i->repaired_us = now;
    sn_publish_inst(i, SN_LOG_NOTICE, poses ? "+convert-to-slave" : "+fix-slave-config", NULL);
    sn_follow(i);
    return now + wait;
}
