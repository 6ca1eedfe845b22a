/* Promotions in a cluster. The ballot is that of any group; what it leads to is CLUSTER FAILOVER TAKEOVER, and it
 * counts when the node itself says that it has the shard's slots at an epoch above everybody else's (SAFETY E2). The
 * other nodes follow by their bus; only who does not is told. */
#include "sentineld/core/fleet_inner.h"

#define REPEAT_PAUSE MS(100)
#define REPEATS_MAX 50
#define LAST_REPEATS 2
#define RESEND_AFTER MS(1000)
#define AGREE_ALL 64        /* so many nodes are asked at once whether they agree, the rest in turn */
#define AGREE_PAUSE MS(50)  /* many shards that switch one behind the other are one question */
#define AGREE_MAX MS(60000) /* nodes that do not agree in this time are named, and no longer waited for */

struct sn_effect *sn_order_node(struct sn_node *n, enum sn_command command)
{
    struct sn_effect *e = sn_send(n->core, &n->cmd, command);
    n->pending++;
    /* What is asked now goes behind it on the same link, so it shows what came of it. */
    n->info_sent_us = n->nodes_sent_us = 0;
    n->info_now = true;
    n->nodes_now = n->nodes_now || !sn_node_tells_view(n);
    sn_touch_node(n);
    return e;
}

void sn_takeover(struct sn_group *g)
{
    if (sn_lease_promotes(g->fo.candidate))
        sn_lease_promote(g);
    else
        sn_order_node(g->fo.candidate->node, SN_CMD_TAKEOVER);
    g->fo.repeated_us = g->core->now_us;
}

void sn_cluster_failover(struct sn_group *g)
{
    sn_order_node(g->fo.candidate->node, SN_CMD_CLUSTER_FAILOVER);
}

void sn_replicate(struct sn_inst *i)
{
    sn_order_node(i->node, SN_CMD_REPLICATE)->text = mem_strdup(i->group->master->member->id);
}

/* What it said of itself counts from the promotion on: before it was a replica. */
static bool spoke_since(const struct sn_group *g)
{
    const struct sn_member *m = g->fo.candidate->member;
    return sn_member_speaks(m) && m->own_us >= g->fo.state_us && m->own_us > g->fo.start_us;
}

/* Slots that went to another shard meanwhile are not missed; those of the old master must be there. */
static bool has_the_slots(const struct sn_group *g)
{
    const struct sn_member *m = g->fo.candidate->member;
    struct sn_slots left = g->shard->slots;
    if (!m->slots)
        return false;
    for (size_t k = 0; k < g->fleet->nmembers; k++) {
        const struct sn_member *o = g->fleet->members[k];
        bool counts = o == m || (o->slots && (!o->inst || o->inst->group != g));
        for (size_t w = 0; counts && w < SN_SLOTS / 64; w++)
            left.bits[w] &= ~o->slots->bits[w];
    }
    for (size_t w = 0; w < SN_SLOTS / 64; w++)
        if (left.bits[w])
            return false;
    return true;
}

static bool is_above_all(const struct sn_group *g)
{
    const struct sn_member *m = g->fo.candidate->member;
    if (m->epoch <= g->config_epoch)
        return false;
    for (size_t k = 0; k < g->fleet->nmembers; k++) {
        const struct sn_member *o = g->fleet->members[k];
        if (o != m && o->slots && o->epoch >= m->epoch && sn_slots_meet(o->slots, m->slots))
            return false;
    }
    return true;
}

static struct sn_member *another(const struct sn_group *g)
{
    const struct sn_fleet *f = g->fleet;
    struct sn_member *found = NULL;
    for (size_t k = 0; k < f->nmembers; k++) {
        struct sn_member *m = f->members[k];
        if (m == g->fo.candidate->member || !sn_member_speaks(m))
            continue;
        found = m;
        if (m->master && m->nslots)
            break;
    }
    return found;
}

/* A tie at the top with a node that is gone, and nobody lives who could break it: it is the master of its slots, and
 * nobody says otherwise. Our own configuration then has the ballot's epoch. */
static bool is_last_at_the_top(const struct sn_group *g)
{
    const struct sn_member *m = g->fo.candidate->member;
    if (g->fo.repeats < LAST_REPEATS || m->epoch < g->config_epoch || another(g))
        return false;
    for (size_t k = 0; k < g->fleet->nmembers; k++) {
        const struct sn_member *o = g->fleet->members[k];
        if (o != m && o->slots && o->epoch > m->epoch && sn_slots_meet(o->slots, m->slots))
            return false;
    }
    return true;
}

uint64_t sn_takeover_epoch(const struct sn_group *g)
{
    uint64_t epoch = g->fo.candidate->member->epoch;
    return epoch > g->config_epoch ? epoch : g->fo.epoch;
}

bool sn_takeover_confirmed(const struct sn_group *g)
{
    const struct sn_inst *i = g->fo.candidate;
    if (sn_lease_promotes(i))
        return g->fo.took; /* at our epoch, which the node has compared with those of all claimants */
    return spoke_since(g) && i->member->master && i->node->info.role == SN_ROLE_MASTER && has_the_slots(g) &&
           (is_above_all(g) || is_last_at_the_top(g));
}

static int64_t repeat(struct sn_group *g, struct sn_node *n, enum sn_command command, int64_t pause_us)
{
    int64_t at = g->fo.repeated_us + pause_us;
    if (g->core->now_us < at)
        return at;
    if (g->fo.repeats >= REPEATS_MAX)
        return HEAP_NEVER;
    g->fo.repeats++;
    if (command == SN_CMD_TAKEOVER)
        sn_takeover(g);
    else
        sn_order_node(n, command);
    g->fo.repeated_us = g->core->now_us;
    return g->core->now_us + pause_us;
}

/* Who has the greatest epoch that it knows of keeps it, even where another has the same (SAFETY E2). So another node
 * goes above it first, and then it above that one. */
static int64_t raise_epoch(struct sn_group *g)
{
    const struct sn_member *m = g->fo.candidate->member;
    struct sn_member *other = m->epoch >= g->fleet->epoch && g->fo.repeats % 2 == 0 ? another(g) : NULL;
    return repeat(g, other ? other->node : m->node, SN_CMD_BUMP_EPOCH, REPEAT_PAUSE);
}

int64_t sn_takeover_advance(struct sn_group *g)
{
    const struct sn_core *c = g->core;
    const struct sn_inst *i = g->fo.candidate;
    if (g->fo.state != SN_FO_WAIT_PROMOTION || !spoke_since(g) || i->node->cmd.state != SN_CONN_UP)
        return HEAP_NEVER;
    /* It took the slots without knowing of an epoch that somebody else has them at. It hears of that by its bus, and
     * then goes above it. */
    if (i->member->master && i->member->nslots && !sn_lease_promotes(i) && !is_above_all(g))
        return raise_epoch(g);
    bool alive = c->now_us < g->fo.start_us + sn_ballot_life_us(c, g) && g->vote_epoch == g->fo.epoch;
    if (!i->member->master && alive && g->fo.step == SN_SWITCH_NONE)
        return repeat(g, i->node, SN_CMD_TAKEOVER, RESEND_AFTER);
    return HEAP_NEVER;
}

bool sn_cluster_is_well(const struct sn_fleet *f)
{
    size_t masters = 0, reached = 0;
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_group *g = f->shards[k]->group;
        masters += f->shards[k]->nslots > 0;
        reached += f->shards[k]->nslots > 0 && !g->master->s_down && sn_member_speaks(g->master->member);
    }
    return 2 * reached > masters;
}

/* ---- do all agree? ---- */

void sn_fleet_switched(struct sn_group *g)
{
    struct sn_fleet *f = g->fleet;
    g->shard->switched_us = g->shard->changed_us = f->switched_us = f->core->now_us;
    sn_shard_slots(g->shard, sn_member_speaks(g->master->member));
    f->agreed_view = 0;
    /* Who tells digests is asked in turn: one text that agrees speaks for all that have the same. */
    for (size_t k = 0; k < f->nmembers && k < AGREE_ALL; k++)
        if (!f->members[k]->view)
            sn_member_ask(f->members[k], AGREE_PAUSE);
    if (!sn_member_speaks(g->master->member)) { /* a stranger may have answered there before */
        g->master->node->nodes_now = true;
        sn_touch_node(g->master->node);
    }
    sn_fleet_doubt(f);
}

/* Since when all live nodes agree. 0: there is none. */
static int64_t agreed_since(const struct sn_fleet *f)
{
    int64_t since = HEAP_NEVER;
    for (size_t k = 0; k < f->nmembers; k++)
        if (sn_member_speaks(f->members[k]))
            EARLIER(since, f->members[k]->agreed_us);
    return since == HEAP_NEVER ? 0 : since;
}

bool sn_fleet_agrees(const struct sn_fleet *f)
{
    for (size_t k = 0; k < f->nshards; k++)
        if (f->shards[k]->switched_us)
            return false;
    return true;
}

int64_t sn_fleet_converge(struct sn_fleet *f)
{
    int64_t now = f->core->now_us, next = HEAP_NEVER;
    if (sn_fleet_agrees(f))
        return next;
    int64_t since_us = agreed_since(f);
    for (size_t k = 0; k < f->nshards; k++) {
        struct sn_shard *s = f->shards[k];
        if (!s->switched_us)
            continue;
        bool agree = since_us > s->switched_us, late = now >= s->switched_us + AGREE_MAX;
        if (!agree && !late) {
            EARLIER(next, s->switched_us + AGREE_MAX);
            continue;
        }
        sn_account_agreed(s, !agree);
        sn_publish_group(s->group, SN_LOG_NOTICE, agree ? "+cluster-agreed" : "-cluster-agreed", "%s %llu",
                         s->group->name, (unsigned long long)s->group->config_epoch);
        s->switched_us = 0;
    }
    return next;
}

/* ---- their own election ---- */

void sn_fleet_assert(struct sn_node *n)
{
    if (n->asserted || n->cmd.state != SN_CONN_UP)
        return;
    /* A node under leases does not elect by itself anyway, and one that is set so is not counted on by its master. */
    sn_send(n->core, &n->cmd, SN_CMD_NO_FAILOVER)->flag = n->fleet->state == SN_FLEET_WATCHED && !sn_node_leases(n);
    n->pending++;
    n->asserted = n->unanswered = true;
}

void sn_fleet_ack(struct sn_node *n, enum sn_command command, bool ok, struct slice text)
{
    if (command == SN_CMD_NODES)
        n->nodes_sent_us = 0;
    if (command == SN_CMD_RELEASE)
        sn_fleet_freed(n, ok, text);
    if (command == SN_CMD_NO_FAILOVER) {
        n->unanswered = false;
        if (!ok)
            sn_publish_core(n->core, SN_LOG_WARNING, "-cluster-no-failover-refused", "%s %s:%d %.*s", n->fleet->name,
                            n->addr.host, n->addr.port, (int)text.n, text.n ? text.p : "");
    }
    sn_touch_node(n);
    sn_touch_fleet(n->fleet);
}
