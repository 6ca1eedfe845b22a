/* Orders of operators. Those that are kept (settings, groups, pauses) are change.c's. */
#include "common/base/text.h"
#include "sentineld/core/swap_inner.h"

#include <stdio.h>

#define DEBUG_MAX_MS (INT64_C(1) << 40)

void sn_answer(struct sn_core *c, sn_token token, enum sn_answer a, int64_t number, const char *text)
{
    struct sn_effect *e = sn_emit(c, SN_FX_ANSWER);
    e->token = token;
    e->answer = a;
    e->number = number;
    e->text = text ? mem_strdup(text) : NULL;
}

void sn_refuse(struct sn_core *c, sn_token token, const char *text)
{
    sn_answer(c, token, SN_ANSWER_ERROR, 0, text);
}

static void debug(struct sn_core *c, const struct sn_event *e)
{
    struct sn_params next = c->params;
    for (size_t k = 0; k + 1 < e->count; k += 2) {
        int64_t *field = sn_params_find(&next, e->argv[k]), ms;
        char text[300];
        if (!field) {
            snprintf(text, sizeof text, "ERR Unknown option or number of arguments for SENTINEL DEBUG '%.*s'",
                     (int)e->argv[k].n, e->argv[k].p);
            sn_refuse(c, e->token, text);
            return;
        }
        if (!text_range(e->argv[k + 1], 1, DEBUG_MAX_MS, &ms)) {
            snprintf(text, sizeof text, "ERR Invalid argument '%.*s' for SENTINEL DEBUG '%.*s'", (int)e->argv[k + 1].n,
                     e->argv[k + 1].p, (int)e->argv[k].n, e->argv[k].p);
            sn_refuse(c, e->token, text);
            return;
        }
        *field = ms;
    }
    c->params = next;
    for (size_t k = 0; k < c->ngroups; k++) {
        struct sn_group *g = c->groups[k];
        sn_touch_group(g);
        for (size_t m = 0; m < g->ninsts; m++)
            sn_touch_node(g->insts[m]->node);
    }
    for (size_t k = 0; k < c->npeers; k++)
        sn_touch_peer(c->peers[k]);
    for (size_t k = 0; k < c->nfleets; k++)
        sn_touch_fleet(c->fleets[k]);
    sn_answer(c, e->token, SN_ANSWER_OK, 0, NULL);
}

static void reset(struct sn_core *c, const struct sn_event *e)
{
    int64_t n = 0;
    for (size_t k = 0; k < c->ngroups; k++) {
        if (!text_glob(e->text, slice_of(c->groups[k]->name), false))
            continue;
        sn_group_reset(c->groups[k]);
        n++;
    }
    sn_answer(c, e->token, SN_ANSWER_INT, n, NULL);
}

static void failover(struct sn_core *c, const struct sn_event *e)
{
    struct sn_group *g = sn_group_find(c, e->group);
    if (!g) {
        sn_refuse(c, e->token, SN_NO_SUCH_MASTER);
        return;
    }
    if (!g->heard) { /* SAFETY M2 */
        sn_refuse(c, e->token,
                  "ERR This supervisor has no state and has not heard enough others yet: try again in a few seconds");
        return;
    }
    if (sn_list_waits(g)) { /* SAFETY M1 */
        sn_refuse(c, e->token,
                  "ERR The nodes count another list of supervisors than this supervisor's: ask one that is on theirs");
        return;
    }
    if (g->fo.state != SN_FO_NONE || g->order.since_us) {
        sn_refuse(c, e->token, "INPROG Failover already in progress");
        return;
    }
    /* In a cluster a master that is well is never replaced behind its back. */
    bool well = !g->master->s_down && g->master->node->cmd.state == SN_CONN_UP;
    bool coordinated = e->coordinated || (g->fleet && well);
    if (e->coordinated && (g->master->s_down || g->master->node->cmd.state != SN_CONN_UP)) {
        sn_refuse(c, e->token, "ERR The master is not reachable: a coordinated failover needs it");
        return;
    }
    g->order.since_us = c->now_us;
    g->order.coordinated = coordinated;
    g->order.wanted = e->addr;
    const char *refused = NULL;
    if (!sn_select(g, &e->addr)) /* an order may have what nothing else would be given */
        refused = "NOGOODSLAVE No suitable replica to promote";
    else if (g->added && !sn_has_met_others(g))
        refused =
            "ERR This supervisor watches this master only now, and has not met all others yet: try again in a few "
            "seconds";
    if (refused) {
        memset(&g->order, 0, sizeof g->order);
        sn_refuse(c, e->token, refused);
        return;
    }
    sn_group_info_now(g);
    sn_touch_group(g);
    sn_answer(c, e->token, SN_ANSWER_OK, 0, NULL);
}

static void flush(struct sn_core *c, const struct sn_event *e)
{
    for (size_t k = 0; k < c->ngroups; k++) {
        sn_dirty(c->groups[k]);
        sn_dirty_members(c->groups[k]);
    }
    for (size_t k = 0; k < c->nfleets; k++)
        c->fleets[k]->dirty = true;
    struct sn_pending *w = sn_wait(c, sn_persist_next(c));
    w->fx.kind = SN_FX_ANSWER;
    w->fx.token = e->token;
    w->fx.answer = SN_ANSWER_OK;
}

/* Its nodes count the word of a majority of the supervisors, and not that of one. */
static bool has_leases(const struct sn_fleet *f)
{
    return f->lease_us && f->core->ndeclared && *f->core->ours.list;
}

static void release(struct sn_core *c, const struct sn_event *e)
{
    struct sn_fleet *f = sn_fleet_find(c, e->group);
    if (!f)
        sn_refuse(c, e->token, "ERR No such cluster with that name");
    else if (f->state == SN_FLEET_RELEASING)
        sn_refuse(c, e->token, "INPROG This cluster is being released already");
    else if (sn_swap_under_way(f)) /* its masters would stay shut: nobody else may end it */
        sn_refuse(c, e->token, "INPROG A swap of databases is under way in this cluster: try again when it is over");
    else if (e->alone || !has_leases(f))
        sn_fleet_release(f, e->token, false);
    else
        sn_joint_begin(c, e->token, SN_CMD_GIVE_UP, f->name);
}

static void adopted(struct sn_core *c, const struct sn_event *e)
{
    const struct sn_fleet *f = sn_fleet_find(c, e->group);
    if (!f || f->state == SN_FLEET_RELEASING)
        sn_refuse(c, e->token, "ERR The configuration file names no such cluster");
    else if (e->alone || !has_leases(f))
        sn_answer(c, e->token, SN_ANSWER_OK, 0, NULL);
    else
        sn_joint_begin(c, e->token, SN_CMD_TAKE_ON, f->name);
}

void sn_admin(struct sn_core *c, const struct sn_event *e)
{
    switch (e->kind) {
    case SN_EV_MONITOR:
    case SN_EV_REMOVE:
    case SN_EV_SET:
    case SN_EV_CONFIG_SET:
    case SN_EV_RELOAD:
    case SN_EV_PAUSE:
    case SN_EV_RESUME: sn_change_order(c, e); break;
    case SN_EV_DEBUG: debug(c, e); break;
    case SN_EV_RESET: reset(c, e); break;
    case SN_EV_FAILOVER: failover(c, e); break;
    case SN_EV_FLUSH: flush(c, e); break;
    case SN_EV_RELEASE: release(c, e); break;
    case SN_EV_ADOPTED: adopted(c, e); break;
    case SN_EV_SWAPDB: sn_swap_order(c, e); break;
    case SN_EV_SIMULATE:
        c->crash = (unsigned)e->number;
        sn_answer(c, e->token, SN_ANSWER_OK, 0, NULL);
        break;
    default: break;
    }
}
