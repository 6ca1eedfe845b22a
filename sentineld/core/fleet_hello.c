/* How the supervisors of a fleet find each other, and that they call its shards by the same names.
 *
 * What is published on one node of a cluster goes to all of them over its bus. So a fleet says one hello in a period,
 * on one node, about one shard, in turn; and two subscriptions hear those of all. Whoever watches one shard watches all
 * of them: it has a seat in each. With the list of `supervisors` nothing is published at all. */
#include "sentineld/core/fleet_inner.h"

#define SETTLED_PERIODS 3 /* of hello: nobody has said another name by then */
#define RIVAL_PERIODS 6   /* a name that was not said for so long is nobody's any more */
#define YIELD_PERIODS 10  /* two that both think theirs is fixed: the smaller name, after so long */

struct sn_fleet *sn_fleet_of_name(const struct sn_core *c, struct slice group)
{
    size_t n = group.n;
    while (n > 0 && group.p[n - 1] != '/')
        n--;
    return n > 1 ? sn_fleet_find(c, (struct slice){group.p, n - 1}) : NULL;
}

/* ---- seats ---- */

void sn_fleet_seat(struct sn_fleet *f, struct sn_peer *p)
{
    for (size_t k = 0; k < f->nshards; k++) {
        struct sn_group *g = f->shards[k]->group;
        struct sn_seat *s = sn_seat_find(g, p);
        bool met = s && s->hello_us && s->listed;
        s = sn_seat_get(g, p);
        s->listed = true;
        s->hello_us = f->core->now_us;
        if (met)
            continue;
        sn_publish_seat(s, SN_LOG_NOTICE, "+sentinel", NULL);
        sn_dirty_members(g);
        sn_greet_seat(s); /* so that it learns of us at once as well */
        sn_touch_peer(p);
    }
}

void sn_fleet_seats_of(struct sn_group *g)
{
    const struct sn_fleet *f = g->fleet;
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_group *o = f->shards[k]->group;
        for (size_t j = 0; o != g && j < o->nseats; j++) {
            if (sn_seat_find(g, o->seats[j]->peer))
                continue;
            struct sn_seat *s = sn_seat_get(g, o->seats[j]->peer);
            s->hello_us = o->seats[j]->hello_us;
            s->s_down = o->seats[j]->s_down;
            s->peer->ndown += s->s_down;
        }
    }
}

/* ---- saying it, and hearing it ---- */

static bool is_well(const struct sn_node *n)
{
    return n->known && n->cmd.state == SN_CONN_UP && !n->cmd.auth_failed &&
           !sn_probe_silent_for(&n->probe, sn_node_down_after_us(n) / 2, n->core->now_us);
}

/* A master whose writes are paused lets whoever publishes there wait. */
static bool may_publish(const struct sn_node *n)
{
    for (const struct sn_inst *i = n->insts; i; i = i->next_on_node)
        if (sn_is_master(i) && sn_switch_is_planned(i->group))
            return false;
    return is_well(n);
}

static struct sn_node *mouth(const struct sn_fleet *f)
{
    for (size_t k = 0; k < 2; k++)
        if (f->ears[k] && may_publish(f->ears[k]))
            return f->ears[k];
    for (size_t k = 0; k < f->nmembers; k++)
        if (sn_member_speaks(f->members[k]) && may_publish(f->members[k]->node))
            return f->members[k]->node;
    return NULL;
}

int64_t sn_fleet_greet(struct sn_fleet *f)
{
    struct sn_core *c = f->core;
    if (c->ndeclared || !f->nshards || f->state != SN_FLEET_WATCHED)
        return HEAP_NEVER;
    int64_t due = f->hello_us ? f->hello_us + MS(c->params.publish_period_ms) : c->now_us;
    if (c->now_us < due)
        return due;
    struct sn_node *n = mouth(f);
    if (!n)
        return c->now_us + MS(100);
    for (size_t tried = 0; tried < f->nshards; tried++) {
        f->hello_turn = (f->hello_turn + 1) % f->nshards;
        if (sn_greet_on(n, f->shards[f->hello_turn]->group)) {
            f->hello_us = c->now_us;
            return f->hello_us + MS(c->params.publish_period_ms);
        }
    }
    return c->now_us + MS(100); /* none is on disk yet */
}

bool sn_fleet_hears(const struct sn_node *n)
{
    const struct sn_fleet *f = n->fleet;
    return f->state == SN_FLEET_WATCHED && !n->core->ndeclared && (n == f->ears[0] || n == f->ears[1]);
}

static bool is_ear(const struct sn_fleet *f, const struct sn_node *n)
{
    return n == f->ears[0] || n == f->ears[1];
}

void sn_fleet_choose_ears(struct sn_fleet *f)
{
    for (size_t e = 0; e < 2; e++) {
        if (f->ears[e] && is_well(f->ears[e]))
            continue;
        struct sn_node *to = NULL;
        for (size_t k = 0; k < f->nmembers && !to; k++)
            if (sn_member_speaks(f->members[k]) && is_well(f->members[k]->node) && !is_ear(f, f->members[k]->node))
                to = f->members[k]->node;
        if (!to)
            continue; /* the one that was comes back, or another does */
        if (f->ears[e])
            sn_touch_node(f->ears[e]);
        f->ears[e] = to;
        sn_touch_node(to);
    }
}

/* ---- names ---- */

static bool is_settled(const struct sn_shard *s)
{
    const struct sn_core *c = s->fleet->core;
    int64_t until = s->named_us + SETTLED_PERIODS * MS(c->params.publish_period_ms);
    return s->settled || (!s->rival_us && c->now_us >= until);
}

/* Of two that were given at the same time the smaller one stays. Who gave his long ago does not take another, and says
 * his again: then it is we who are new. */
void sn_fleet_other_name(struct sn_fleet *f, struct sn_peer *p, const struct sn_hello *h)
{
    struct sn_core *c = f->core;
    struct sn_group *g = sn_group_of_master(c, &h->master);
    if (!g || g->fleet != f || sn_group_find(c, h->group)) {
        if (!g)
            sn_fleet_doubt(f); /* it has a shard, or a master, that we have not met */
        return;
    }
    struct sn_shard *s = g->shard;
    struct sn_seat *seat = sn_seat_find(g, p);
    char *name = slice_dup(h->group);
    bool smaller = strcmp(name, g->name) < 0, settled = is_settled(s);
    int64_t period = MS(c->params.publish_period_ms);
    s->settled = settled;
    if (!s->rival_us || c->now_us > s->rival_heard_us + RIVAL_PERIODS * period)
        s->rival_us = c->now_us;
    s->rival_heard_us = c->now_us;
    int64_t patience = settled ? YIELD_PERIODS * period : smaller ? 0 : period / 2;
    if ((smaller || !settled) && c->now_us >= s->rival_us + patience) {
        sn_shard_rename(s, name);
        s->settled = true;
    } else if (seat && c->now_us >= s->answered_us + period / 2) { /* two who both keep theirs must not go on and on */
        s->answered_us = c->now_us;
        sn_greet_seat(seat);
    }
    free(name);
}

void sn_fleet_same_name(struct sn_group *g)
{
    g->shard->settled = true;
}
