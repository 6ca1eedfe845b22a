#include "sentineld/core/select.h"

#include "common/base/text.h"
#include "sentineld/core/plant.h"
#include "sentineld/core/swap_inner.h"

#define FRESH MS(5000)

const char *sn_reject_name(enum sn_reject r)
{
    static const char *const names[] = {
        [SN_SUITABLE] = "suitable",
        [SN_REJECT_S_DOWN] = "down",
        [SN_REJECT_DISCONNECTED] = "disconnected",
        [SN_REJECT_SILENT] = "no valid ping for 5 s",
        [SN_REJECT_PRIORITY] = "priority 0",
        [SN_REJECT_INFO] = "INFO too old",
        [SN_REJECT_LINK_DOWN] = "too long without its master",
        [SN_REJECT_NOT_WANTED] = "another was named",
        [SN_REJECT_STRANGER] = "another node is at its address",
        [SN_REJECT_MAPPING] = "lacks swaps of databases that nobody can tell it",
        [SN_REJECT_STATE] = "may not know what its master has promised",
    };
    return names[r];
}

/* Since when replicas have had nobody to replicate from. A master that restarted as a replica is S_DOWN much later than
 * that. */
static int64_t unwell_since(const struct sn_group *g)
{
    const struct sn_inst *m = g->master;
    int64_t since = m->s_down ? m->s_down_us : g->core->now_us;
    if (m->node->probe.silent_us)
        EARLIER(since, m->node->probe.silent_us);
    if (m->node->info_us && m->node->info.role == SN_ROLE_REPLICA)
        EARLIER(since, m->node->role_us - MS(g->core->params.info_period_ms)); /* it was a replica before it said so */
    return since;
}

/* A master of before, back by itself, that has not heard of its replacement: what its successor acknowledged it has
 * never had. Its successor's epoch is above its own; a promotion that we do not know of would not be. */
static bool passed_over(const struct sn_inst *i)
{
    const struct sn_lease_told *t = i->node->told;
    return i->group->fleet && i->node->info.role == SN_ROLE_MASTER && t && t->config_epoch < i->group->config_epoch;
}

/* What is lost by it an operator has accepted. */
static bool is_ordered(const struct sn_group *g)
{
    return (g->order.since_us || g->fo.forced) && g->master->s_down;
}

/* The node itself would refuse a promotion: a replica that may not know what its master promised, a master that does
 * not know what its successor did. Where the master is gone for good that lasts, and who is to decide whether
 * what it promised last may be lost is the operator. */
static bool lacks_the_state(const struct sn_inst *i)
{
    const struct sn_group *g = i->group;
    const struct sn_lease_told *t = i->node->told;
    bool lacks = t && (t->role == SN_ROLE_REPLICA ? !t->state_known : passed_over(i));
    return lacks && !is_ordered(g) && (!g->fleet || sn_lease_promotes(i));
}

/* What it keeps from its empty master (replica-guard) may be all that is left, or was deleted while it was away or was
 * restarted. A master that is known to have lost its data is replaced by it without a question. */
static bool keeps_unknown(const struct sn_inst *i, bool cut_off)
{
    const struct sn_info *info = &i->node->info;
    bool never_linked = !info->master_link_up && info->master_link_down_ms < 0;
    return *info->guarded && !i->group->master->reborn_empty && (cut_off || never_linked);
}

static enum sn_reject examine(const struct sn_inst *i, const struct addr *wanted)
{
    const struct sn_group *g = i->group;
    const struct sn_node *n = i->node;
    int64_t now = g->core->now_us;
    if (wanted && addr_is_set(wanted) && !sn_node_is(n, wanted))
        return SN_REJECT_NOT_WANTED;
    if (i->s_down)
        return SN_REJECT_S_DOWN;
    if (i->stranger_us)
        return SN_REJECT_STRANGER;
    if (n->cmd.state != SN_CONN_UP || n->cmd.auth_failed)
        return SN_REJECT_DISCONNECTED;
    if (!n->probe.valid_us || now - n->probe.valid_us > FRESH)
        return SN_REJECT_SILENT;
    int64_t info_life = g->master->s_down ? FRESH : 3 * MS(g->core->params.info_period_ms);
    if (!n->info_us || now - n->info_us > info_life)
        return SN_REJECT_INFO;
    if (n->info.priority == 0)
        return SN_REJECT_PRIORITY;
    int64_t without = 10 * g->set.down_after_ms + (now - unwell_since(g)) / 1000;
    bool cut_off = n->info.role == SN_ROLE_REPLICA && !n->info.master_link_up && n->info.master_link_down_ms > without;
    bool keeps = keeps_unknown(i, cut_off);
    if (cut_off && !keeps)
        return SN_REJECT_LINK_DOWN;
    if (passed_over(i) && (now - g->switched_us) / 1000 > without)
        return SN_REJECT_LINK_DOWN;
    if (g->fleet && !sn_swap_lets_promote(n)) /* whoever orders it */
        return SN_REJECT_MAPPING;
    return lacks_the_state(i) || (keeps && !is_ordered(g)) ? SN_REJECT_STATE : SN_SUITABLE;
}

static bool holds(const struct sn_info *info, const char *line)
{
    return *line && (runid_cmp(info->replid, line) == 0 || runid_cmp(info->replid2, line) == 0);
}

/* How far a replica holds the line: one that was promoted aside went on with data of its own from second_offset on. */
static int64_t offset_in(const struct sn_info *info, const char *line)
{
    if (!*line || runid_cmp(info->replid, line) == 0 || info->second_offset < 0)
        return info->repl_offset;
    return info->second_offset - 1 < info->repl_offset ? info->second_offset - 1 : info->repl_offset;
}

/* Offsets are places in one line of data. The line is the one that the master had; when no candidate has it (the
 * master was never seen well), the one that most of them share. Servers too old to tell one are all of one line. */
static const char *line_of(const struct sn_group *g, const struct sn_candidate *v, size_t n)
{
    const char *line = "";
    size_t best = 0;
    for (size_t a = 0; a < n; a++)
        if (!v[a].reject && holds(&v[a].inst->node->info, g->lineage))
            return g->lineage;
    for (size_t a = 0; a < n; a++) {
        const char *mine = v[a].inst->node->info.replid;
        size_t share = 0;
        for (size_t b = 0; b < n && !v[a].reject; b++)
            share += !v[b].reject && holds(&v[b].inst->node->info, mine);
        if (share > best || (share == best && best && runid_cmp(mine, line) < 0)) {
            best = share;
            line = mine;
        }
    }
    return line;
}

static bool is_impaired(const struct sn_inst *i, bool others_have_keys)
{
    const struct sn_group *g = i->group;
    const struct sn_info *info = &i->node->info;
    bool cut_off = !g->master->s_down && info->role == SN_ROLE_REPLICA && !info->master_link_up;
    bool empty = others_have_keys && info->keys_known && info->keys == 0;
    bool refused = i->refused_us && g->core->now_us < i->refused_us + MS(g->set.failover_timeout_ms);
    return passed_over(i) || info->loading || info->async_loading || info->syncing || cut_off || empty || refused;
}

static void relate(const struct sn_group *g, struct sn_candidate *v, size_t n)
{
    const char *line = line_of(g, v, n);
    bool keys = false;
    for (size_t a = 0; a < n; a++)
        keys |= !v[a].reject && v[a].inst->node->info.keys > 0;
    for (size_t a = 0; a < n; a++) {
        v[a].related = !*line || holds(&v[a].inst->node->info, line);
        v[a].offset = offset_in(&v[a].inst->node->info, line);
        v[a].impaired = is_impaired(v[a].inst, keys);
    }
}

static int order(const void *pa, const void *pb)
{
    const struct sn_candidate *a = pa, *b = pb;
    const struct sn_info *ia = &a->inst->node->info, *ib = &b->inst->node->info;
    if (!a->reject != !b->reject)
        return a->reject ? 1 : -1;
    if ((a->reject == SN_REJECT_STATE) != (b->reject == SN_REJECT_STATE))
        return a->reject == SN_REJECT_STATE ? -1 : 1;
    if (a->impaired != b->impaired)
        return a->impaired ? 1 : -1;
    if (ia->priority != ib->priority)
        return ia->priority < ib->priority ? -1 : 1;
    if (a->related != b->related)
        return a->related ? -1 : 1;
    bool more = PLANTED(5, a->offset > b->offset, a->offset < b->offset);
    if (a->related && a->offset != b->offset)
        return more ? -1 : 1;
    return runid_cmp(ia->run_id, ib->run_id);
}

struct sn_candidate *sn_rank(const struct sn_group *g, const struct addr *wanted, size_t *count)
{
    struct sn_candidate *v = mem_zalloc((g->ninsts ? g->ninsts : 1) * sizeof *v);
    size_t n = 0;
    for (size_t k = 0; k < g->ninsts; k++) {
        if (sn_is_master(g->insts[k]))
            continue;
        v[n].inst = g->insts[k];
        v[n++].reject = examine(g->insts[k], wanted);
    }
    relate(g, v, n);
    qsort(v, n, sizeof *v, order);
    *count = n;
    return v;
}

struct sn_inst *sn_select(struct sn_group *g, const struct addr *wanted)
{
    size_t n;
    struct sn_candidate *v = sn_rank(g, wanted, &n);
    struct sn_inst *best = n && !v[0].reject ? v[0].inst : NULL;
    free(v);
    return best;
}

bool sn_needs_operator(const struct sn_group *g)
{
    if (!g->o_down || g->fo.state != SN_FO_NONE || !g->fleet)
        return false;
    size_t n;
    struct sn_candidate *v = sn_rank(g, NULL, &n);
    bool needs = n && v[0].reject == SN_REJECT_STATE;
    free(v);
    return needs;
}

bool sn_select_fresh(struct sn_group *g, int64_t since_us)
{
    size_t n;
    bool fresh = true;
    struct sn_candidate *v = sn_rank(g, NULL, &n);
    for (size_t k = 0; k < n; k++)
        if (!v[k].reject && v[k].inst->node->info_us < since_us)
            fresh = false;
    free(v);
    return fresh;
}
