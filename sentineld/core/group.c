/* A group: one master and its replicas, and the seats of the supervisors that watch it. */
#include "sentineld/core/fleet_inner.h"
#include "sentineld/core/plant.h"

#include <stdio.h>

#define UNCONFIRMED MS(10000) /* how long after RESET something that nobody confirms is kept */

struct sn_group *sn_group_find(const struct sn_core *c, struct slice name)
{
    return map_get(&c->by_name, name);
}

struct sn_group *sn_group_of_master(const struct sn_core *c, const struct addr *master)
{
    struct sn_node *n = sn_node_find(c, master->host, master->port);
    for (struct sn_inst *i = n ? n->insts : NULL; i; i = i->next_on_node)
        if (sn_is_master(i))
            return i->group;
    return NULL;
}

struct addr sn_shown_addr(const struct sn_core *c, const struct sn_node *n)
{
    struct addr a = n->addr;
    if (!c->globals.announce_hostnames && *n->ip)
        memcpy(a.host, n->ip, sizeof n->ip); /* terminated, and shorter than a host may be */
    return a;
}

struct addr sn_current_master(const struct sn_group *g)
{
    return sn_shown_addr(g->core, g->master->node);
}

struct sn_group *sn_group_new(struct sn_core *c, const char *name, const struct addr *master,
                              const struct sn_settings *set)
{
    struct sn_group *g = mem_zalloc(sizeof *g);
    g->core = c;
    g->name = mem_strdup(name);
    sn_settings_copy(&g->set, set);
    g->born_us = c->now_us;
    heap_node_init(&g->timer.at);
    g->timer.of = SN_TIMER_GROUP;
    c->groups = mem_grow(c->groups, c->ngroups, &c->cap_groups, sizeof(struct sn_group *));
    c->groups[c->ngroups++] = g;
    map_puts(&c->by_name, g->name, g);
    struct sn_node *n = sn_node_get(c, master);
    g->master = sn_inst_add(g, n);
    for (size_t k = 0; k < c->npeers; k++)
        if (c->peers[k]->declared)
            sn_seat_get(g, c->peers[k]);
    return g;
}

void sn_group_free(struct sn_group *g)
{
    struct sn_core *c = g->core;
    sn_forget_waiting(c, g);
    while (g->nseats) {
        struct sn_peer *p = g->seats[g->nseats - 1]->peer;
        sn_seat_remove(g->seats[g->nseats - 1]);
        if (!p->seats && !p->declared)
            sn_peer_remove(p);
    }
    while (g->ninsts)
        sn_inst_remove(g->insts[g->ninsts - 1]);
    for (struct sn_group **t = &c->touched_groups; *t; t = &(*t)->next_touched)
        if (*t == g) {
            *t = g->next_touched;
            break;
        }
    for (size_t k = 0; k < c->ngroups; k++)
        if (c->groups[k] == g) {
            memmove(&c->groups[k], &c->groups[k + 1], (c->ngroups - k - 1) * sizeof(struct sn_group *));
            c->ngroups--;
            break;
        }
    map_dels(&c->by_name, g->name);
    heap_set(&c->timers, &g->timer.at, HEAP_NEVER);
    sn_settings_free(&g->set);
    free(g->insts);
    free(g->seats);
    free(g->name);
    free(g);
}

int sn_voters(const struct sn_group *g)
{
    return (int)g->nseats + 1;
}

int sn_votes_needed(const struct sn_group *g)
{
    int majority = (sn_voters(g) - PLANTED(4, 0, 1)) / 2 + 1;
    return g->set.quorum > majority ? (int)g->set.quorum : majority;
}

int sn_usable_voters(const struct sn_group *g)
{
    int usable = 1;
    for (size_t k = 0; k < g->nseats; k++) {
        const struct sn_peer *p = g->seats[k]->peer;
        usable += p->cmd.state == SN_CONN_UP && !p->cmd.auth_failed && !g->seats[k]->s_down;
    }
    return usable;
}

void sn_group_info_now(struct sn_group *g)
{
    for (size_t k = 0; k < g->ninsts; k++) {
        g->insts[k]->node->info_now = true;
        sn_touch_node(g->insts[k]->node);
    }
}

void sn_group_evaluate(struct sn_group *g)
{
    int64_t next = sn_heard_enough(g->core, g);
    EARLIER(next, sn_odown_judge(g));
    EARLIER(next, sn_election_consider(g));
    EARLIER(next, sn_election_advance(g));
    EARLIER(next, sn_failover_advance(g));
    EARLIER(next, sn_reconf_advance(g));
    EARLIER(next, sn_group_tidy(g));
    if (g->fleet)
        EARLIER(next, sn_freeze_advance(g));
    heap_set(&g->core->timers, &g->timer.at, next);
}

/* Outside of a cluster, and under leases, the configuration has the epoch of its ballot. In a cluster of redis-server
 * it has the node's, and who voted for it knows the ballot. */
uint64_t sn_group_ballot(const struct sn_group *g, const struct sn_inst *to, uint64_t epoch)
{
    if (!g->fleet || sn_lease_promotes(to))
        return epoch;
    bool voted = !g->vote_free && addr_is_set(&g->vote_candidate) && sn_node_is(to->node, &g->vote_candidate);
    return voted ? g->vote_epoch : 0;
}

void sn_group_switch(struct sn_group *g, struct sn_inst *to, uint64_t epoch)
{
    struct sn_core *c = g->core;
    struct sn_inst *old = g->master;
    /* Somebody with a newer configuration was faster; an order that was meant for the old master is void. */
    uint64_t ours = g->fo.config_epoch ? g->fo.config_epoch : g->fo.epoch;
    if (g->fo.state != SN_FO_RECONF_SLAVES || ours != epoch)
        sn_failover_drop(g);
    memset(&g->order, 0, sizeof g->order);
    g->announce = false;
    g->unleased_us = 0;
    if (old != to) {
        g->master = to;
        g->switched_us = c->now_us;
        to->node->lease_soon = true;
        to->listed = true;
        to->restarted = to->reborn_empty = old->restarted = old->reborn_empty = false;
        /* What was S_DOWN as a master is looked at anew as a replica, and told so. */
        old->s_down = to->s_down = false;
        to->wrong_us = 0;
        g->o_down = false;
        g->suspect = false;
        g->lineage[0] = '\0';
        g->lost_rounds = 0;
        g->next_attempt_us = 0;
        g->no_good_us = 0;
        for (size_t k = 0; k < g->nseats; k++) {
            g->seats[k]->down = g->seats[k]->failed = false;
            g->seats[k]->asked_us = 0;
        }
        for (size_t k = 0; k < g->ninsts; k++) {
            struct sn_inst *i = g->insts[k];
            i->reconf = SN_RECONF_NONE;
            i->wrong_us = 0;
            /* A role that is wrong from now on was right until now. */
            if (i == to || i == old)
                i->node->role_us = c->now_us;
            if (i != to && i->node->info.role == SN_ROLE_REPLICA && !sn_follows(i, to->node))
                i->wrong_us = c->now_us;
        }
        sn_dirty_members(g);
        sn_group_info_now(g);
    }
    g->config_epoch = epoch;
    g->config_ballot = g->fo.state == SN_FO_RECONF_SLAVES ? g->fo.epoch : sn_group_ballot(g, to, epoch);
    g->config_seq = sn_persist_next(c);
    g->stand_us = 0;
    g->vote_free = true;
    sn_dirty(g);
    if (g->fleet && old != to)
        sn_fleet_switched(g);
    sn_touch_group(g);
}

/* Everything known is kept, as candidates and voters, but shown only when confirmed. */
void sn_group_reset(struct sn_group *g)
{
    int64_t now = g->core->now_us;
    sn_publish_inst(g->master, SN_LOG_WARNING, "+reset-master", NULL);
    sn_failover_drop(g);
    memset(&g->order, 0, sizeof g->order);
    g->stand_us = g->next_attempt_us = 0;
    g->lost_rounds = 0;
    for (size_t k = 0; k < g->ninsts; k++) {
        struct sn_inst *i = g->insts[k];
        i->reconf = SN_RECONF_NONE;
        if (sn_is_master(i))
            continue;
        i->listed = false;
        i->unlisted_us = now;
    }
    for (size_t k = 0; k < g->nseats; k++) {
        g->seats[k]->listed = false;
        g->seats[k]->failed = false;
        g->seats[k]->unlisted_us = now;
    }
    sn_group_info_now(g);
    sn_touch_group(g);
}

static bool master_tells(const struct sn_group *g, int64_t since)
{
    const struct sn_node *n = g->master->node;
    return !g->master->s_down && n->info.role == SN_ROLE_MASTER && n->info_us > since;
}

int64_t sn_group_tidy(struct sn_group *g)
{
    int64_t now = g->core->now_us, next = HEAP_NEVER;
    if (g->fo.state != SN_FO_NONE)
        return next;
    for (size_t k = g->ninsts; k-- > 0;) {
        struct sn_inst *i = g->insts[k];
        if (i->listed || sn_is_master(i))
            continue;
        /* Its own word is as good as its master's, which may be older. */
        if (i->node->info_us > i->unlisted_us && sn_follows(i, g->master->node) && i->node->info.master_link_up) {
            sn_inst_confirm(i);
            continue;
        }
        if (now < i->unlisted_us + UNCONFIRMED) {
            EARLIER(next, i->unlisted_us + UNCONFIRMED);
        } else if (g->fleet) {
            i->listed = true; /* the cluster lists it, or it would be gone */
        } else if (master_tells(g, i->unlisted_us)) {
            sn_inst_remove(i);
            sn_dirty_members(g);
        } else {
            EARLIER(next, now + MS(1000)); /* it may be the only candidate left */
        }
    }
    for (size_t k = g->nseats; k-- > 0;) {
        struct sn_seat *s = g->seats[k];
        struct sn_peer *p = s->peer;
        if (s->listed || p->declared)
            continue;
        if (now < s->unlisted_us + UNCONFIRMED) {
            EARLIER(next, s->unlisted_us + UNCONFIRMED);
            continue;
        }
        sn_seat_remove(s);
        if (!p->seats)
            sn_peer_remove(p);
        sn_dirty_members(g);
    }
    return next;
}
