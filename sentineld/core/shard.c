/* A shard: the group of a cluster's master and its replicas. Who is in which one follows from what the nodes say of
 * themselves (member.c); who is its master from the group's configuration, and from the cluster's own epochs. */
#include "sentineld/core/fleet_inner.h"

#include <stdio.h>
#include <string.h>

#define NAME_DIGITS 8        /* of the shard id, or of its smallest member id, in its name */
#define EMPTY_WAIT MS(10000) /* a shard without slots and replicas is kept so long: slots may be on their way */

/* ---- names ---- */

static const char *smallest_id(const struct sn_fleet *f, const struct sn_member *master)
{
    const char *id = master->id;
    for (size_t k = 0; k < f->nmembers; k++) {
        const struct sn_member *m = f->members[k];
        if (!m->master && runid_cmp(m->follows, master->id) == 0 && runid_cmp(m->id, id) < 0)
            id = m->id;
    }
    return id;
}

/* As many digits as it takes to be the only one. */
static void choose_name(const struct sn_fleet *f, const char *id, struct buf *name)
{
    for (int digits = NAME_DIGITS; digits <= RUNID_LEN; digits++) {
        buf_clear(name);
        buf_printf(name, "%s/%.*s", f->name, digits, id);
        if (!sn_group_find(f->core, buf_slice(name)))
            return;
    }
    for (unsigned k = 2; sn_group_find(f->core, buf_slice(name)); k++) {
        buf_clear(name);
        buf_printf(name, "%s/%s-%u", f->name, id, k);
    }
}

void sn_shard_rename(struct sn_shard *s, const char *name)
{
    struct sn_group *g = s->group;
    struct sn_core *c = g->core;
    sn_publish_group(g, SN_LOG_WARNING, "+shard-renamed", "%s %s", g->name, name);
    sn_persist_extra(c, SN_REC_RENAME, g->name, NULL, name);
    sn_pauses_rename(c, g->name, name);
    map_dels(&c->by_name, g->name);
    free(g->name);
    g->name = mem_strdup(name);
    map_puts(&c->by_name, g->name, g);
    s->rival_us = 0;
    g->config_seq = sn_persist_next(c);
    sn_dirty(g);
    sn_dirty_members(g);
    sn_touch_group(g);
    for (size_t k = 0; k < g->nseats; k++)
        g->seats[k]->told = false;
}

/* ---- life ---- */

struct sn_shard *sn_shard_attach(struct sn_fleet *f, struct sn_group *g)
{
    struct sn_shard *s = mem_zalloc(sizeof *s);
    s->fleet = f;
    s->group = g;
    s->named_us = f->core->now_us;
    g->fleet = f;
    g->shard = s;
    f->shards = mem_grow(f->shards, f->nshards, &f->cap_shards, sizeof(struct sn_shard *));
    f->shards[f->nshards++] = s;
    return s;
}

static void enter(struct sn_inst *i, struct sn_member *m)
{
    i->member = m;
    m->inst = i;
    m->idle_us = 0;
    i->node->fleet = m->fleet;
}

struct sn_shard *sn_shard_new(struct sn_fleet *f, struct sn_member *m)
{
    struct sn_core *c = f->core;
    struct buf name = {0};
    choose_name(f, *m->shard_id ? m->shard_id : smallest_id(f, m), &name);
    struct sn_group *g = sn_group_new(c, buf_str(&name), &m->node->addr, &f->set);
    buf_free(&name);
    struct sn_shard *s = sn_shard_attach(f, g);
    memcpy(s->id, m->shard_id, sizeof s->id);
    enter(g->master, m);
    g->config_epoch = m->epoch;
    g->config_seq = sn_persist_next(c);
    sn_fleet_seats_of(g);
    sn_heard_enough(c, g);
    g->added = f->added;
    g->meet_us = f->meet_us;
    sn_shard_slots(s, true);
    sn_publish_inst(g->master, SN_LOG_WARNING, "+monitor", "quorum %lld", (long long)g->set.quorum);
    sn_dirty(g);
    sn_dirty_members(g);
    sn_fleet_doubt(f);
    return s;
}

void sn_shard_free(struct sn_shard *s)
{
    struct sn_fleet *f = s->fleet;
    struct sn_group *g = s->group;
    for (size_t k = 0; k < f->nshards; k++)
        if (f->shards[k] == s) {
            memmove(&f->shards[k], &f->shards[k + 1], (f->nshards - k - 1) * sizeof(struct sn_shard *));
            f->nshards--;
            break;
        }
    for (size_t k = 0; k < g->ninsts; k++)
        if (g->insts[k]->member)
            g->insts[k]->member->inst = NULL;
    sn_group_free(g);
    free(s);
}

void sn_shard_drop(struct sn_shard *s)
{
    struct sn_core *c = s->fleet->core;
    sn_publish_inst(s->group->master, SN_LOG_WARNING, "-monitor", NULL);
    sn_persist_extra(c, SN_REC_SHARD, s->group->name, s->fleet->name, NULL);
    sn_persist_extra(c, SN_REC_GROUP, s->group->name, NULL, NULL);
    s->fleet->dirty = c->any_dirty = true;
    sn_shard_free(s);
}

void sn_shard_slots(struct sn_shard *s, bool own)
{
    const struct sn_group *g = s->group;
    const struct sn_member *m = g->master->member;
    bool moving = g->fo.state != SN_FO_NONE && g->fo.state != SN_FO_RECONF_SLAVES;
    if (moving || (!m->nslots && !own))
        return; /* that others have given its slots to somebody else is no word of its own */
    s->nslots = m->nslots;
    if (m->slots)
        s->slots = *m->slots;
    else
        memset(&s->slots, 0, sizeof s->slots);
    if (s->nslots)
        s->empty_us = 0;
}

/* ---- replicas that come and go ---- */

struct sn_inst *sn_shard_join(struct sn_shard *s, struct sn_member *m)
{
    struct sn_group *g = s->group;
    if (!m->node)
        return NULL;
    for (struct sn_inst *i = m->node->insts, *next; i; i = next) {
        next = i->next_on_node;
        if (i->group != g)
            continue;
        if (sn_is_master(i) || i == g->fo.candidate || !sn_member_speaks(m))
            return NULL; /* one of both is gone, and it will be seen which */
        if (i->member && m->node->known && runid_cmp(m->node->self, i->member->id) == 0)
            return NULL; /* the other one is there: this one is a memory of the cluster's */
        sn_shard_leave(i);
        if (!m->node)
            return NULL;
        break;
    }
    struct sn_inst *i = sn_inst_add(g, m->node);
    enter(i, m);
    s->empty_us = 0;
    sn_dirty_members(g);
    sn_publish_inst(i, SN_LOG_NOTICE, "+slave", NULL);
    return i;
}

void sn_shard_leave(struct sn_inst *i)
{
    struct sn_group *g = i->group;
    sn_publish_inst(i, SN_LOG_NOTICE, "-slave", NULL);
    if (i->member)
        i->member->inst = NULL;
    sn_inst_remove(i);
    sn_dirty_members(g);
    sn_touch_group(g);
}

static bool may_leave(const struct sn_inst *i)
{
    return !sn_is_master(i) && !(i->group->fo.state != SN_FO_NONE && i == i->group->fo.candidate);
}

static void take_away(struct sn_slots *from, const struct sn_slots *slots)
{
    for (size_t w = 0; w < SN_SLOTS / 64; w++)
        from->bits[w] &= ~slots->bits[w];
}

/* Whether some of its slots are nobody's at a higher epoch: neither by what nodes claim, nor by what a shard is known
 * to have, whose master nobody may list any more. A master that was replaced, and does not know it yet, has none; as a
 * shard of its own it would get a lease beside the one of its successor. */
static bool owns_some(const struct sn_member *m)
{
    const struct sn_fleet *f = m->fleet;
    struct sn_slots left = *m->slots;
    for (size_t k = 0; k < f->nmembers; k++) {
        const struct sn_member *o = f->members[k];
        if (o != m && o->slots && o->epoch >= m->epoch)
            take_away(&left, o->slots);
    }
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_shard *s = f->shards[k];
        if (s->group->config_epoch <= m->epoch || (m->inst && m->inst->group == s->group))
            continue;
        if (!s->nslots && !sn_member_speaks(s->group->master->member))
            return false; /* its slots are not known yet */
        take_away(&left, &s->slots);
    }
    for (size_t w = 0; w < SN_SLOTS / 64; w++)
        if (left.bits[w])
            return true;
    return false;
}

/* A replica that became a master of its own, beside the one that it had: the slots of both are their own. */
static bool stands_alone(const struct sn_member *m)
{
    const struct sn_group *g = m->inst->group;
    const struct sn_member *master = g->master->member;
    bool both = sn_member_speaks(m) && sn_member_speaks(master) && m->own_us && master->own_us;
    return both && may_leave(m->inst) && g->fo.state == SN_FO_NONE && !g->master->s_down && master->master &&
           master->nslots && !sn_slots_meet(m->slots, master->slots);
}

/* ---- masters that change ---- */

static void switch_to(struct sn_inst *i, uint64_t epoch, const char *by)
{
    struct sn_group *g = i->group;
    struct addr from = sn_current_master(g), to = sn_shown_addr(g->core, i->node);
    sn_publish_group(g, SN_LOG_WARNING, "+switch-master", "%s %s %d %s %d", g->name, from.host, from.port, to.host,
                     to.port);
    sn_account_config(g, i, by, epoch, &from, &to);
    sn_group_switch(g, i, epoch);
    sn_publish_slaves(g);
    sn_reconfig_script(g, "observer", &from, &to);
}

static bool has_place(const struct sn_group *g, const struct sn_node *n)
{
    for (const struct sn_inst *i = n->insts; i; i = i->next_on_node)
        if (i->group == g)
            return true;
    return false;
}

/* It has all slots of the shard at an epoch that is not older (a master that gave its slots away says that it has
 * none), or a peer said that the shard has its master there, at that very epoch. Of a shard that the state tells of the
 * slots are not known before its master is heard: there the place of one of its nodes speaks for it. */
static bool is_heir(const struct sn_member *m, const struct sn_shard *s)
{
    const struct sn_group *g = s->group;
    bool another = *s->id && *m->shard_id && runid_cmp(s->id, m->shard_id) != 0;
    if (another || m->epoch < g->config_epoch || (m->epoch == g->config_epoch && !sn_member_speaks(m)))
        return false;
    if (g->master->node == m->node && m->epoch == g->config_epoch)
        return true;
    for (size_t w = 0; w < SN_SLOTS / 64; w++)
        if (s->slots.bits[w] & ~m->slots->bits[w])
            return false;
    return s->nslots || has_place(g, m->node);
}

/* A node that we did not know came into a shard and was promoted there while we did not look. All supervisors must take
 * it for the master of the same one. */
static struct sn_shard *inherited(const struct sn_member *m)
{
    const struct sn_fleet *f = m->fleet;
    struct sn_shard *best = NULL;
    for (size_t k = 0; k < f->nshards; k++)
        if (is_heir(m, f->shards[k]) && (!best || strcmp(f->shards[k]->group->name, best->group->name) < 0))
            best = f->shards[k];
    return best;
}

static void inherit(struct sn_member *m, struct sn_shard *s)
{
    struct sn_group *g = s->group;
    struct sn_inst *i = sn_shard_join(s, m);
    if (i) {
        switch_to(i, m->epoch, m->id);
    } else if (g->master->node == m->node) { /* where its master was, so for clients nothing changes */
        i = g->master;
        if (i->member)
            i->member->inst = NULL;
        enter(i, m);
        i->stranger_us = 0;
        i->restarted = i->reborn_empty = false;
        sn_group_switch(g, i, m->epoch);
        sn_dirty_members(g);
    }
}

/* It is to get slots, and needs a lease and a config epoch for that: so it is a shard before it has any. */
static bool wishes(const struct sn_member *m)
{
    const struct sn_lease_told *t = m->node ? m->node->told : NULL;
    return t && m->master && t->role == SN_ROLE_MASTER && t->wants_epoch && runid_cmp(t->node, m->id) == 0;
}

static void place_master(struct sn_member *m)
{
    if (!m->node || (m->inst && (sn_is_master(m->inst) || !m->nslots || !stands_alone(m))))
        return;
    if (!m->inst && m->node->insts && !sn_member_speaks(m))
        return; /* by an old word: another one is known to be there */
    if (m->nslots ? !owns_some(m) : !wishes(m))
        return;
    struct sn_shard *s = m->inst || !m->nslots ? NULL : inherited(m);
    if (s) {
        inherit(m, s);
        return;
    }
    if (m->inst)
        sn_shard_leave(m->inst);
    sn_shard_new(m->fleet, m);
}

static void place_replica(struct sn_member *m)
{
    const struct sn_member *master = sn_member_find(m->fleet, m->follows);
    struct sn_shard *to = master && master->inst ? master->inst->group->shard : NULL;
    if (!to || (m->inst && m->inst->group->shard == to))
        return;
    if (!m->inst) {
        sn_shard_join(to, m);
        return;
    }
    if (!sn_is_master(master->inst) || !may_leave(m->inst) || (!sn_member_speaks(m) && to->group->master->s_down))
        return;
    struct sn_node *n = m->node; /* stays, by its member */
    sn_shard_leave(m->inst);
    if (m->node == n)
        sn_shard_join(to, m);
}

void sn_shard_place(struct sn_member *m)
{
    if (m->master)
        place_master(m);
    else if (*m->follows)
        place_replica(m);
}

void sn_shard_wished(struct sn_member *m)
{
    if (!m->inst && wishes(m))
        place_master(m);
}

void sn_shard_newer(struct sn_shard *s, uint64_t epoch)
{
    struct sn_group *g = s->group;
    if (epoch <= g->config_epoch)
        return;
    g->config_epoch = epoch;
    g->config_seq = sn_persist_next(g->core);
    sn_dirty(g);
}

/* The epoch at which it is the master now; 0: it is none. After a tie that nobody could break (fleet_switch.c) ours may
 * be what the cluster gives to another: then the word of the one that was master for us counts, that it follows this
 * one. */
static uint64_t newer_epoch(const struct sn_member *m, const struct sn_nodes *nodes, const struct sn_nodes_line *l)
{
    const struct sn_group *g = m->inst->group;
    const struct sn_nodes_line *self = &nodes->lines[nodes->self];
    if (l->epoch > g->config_epoch)
        return l->epoch;
    bool yields = l->epoch == g->config_epoch && g->fo.state == SN_FO_NONE && self->flags & SN_NODES_REPLICA &&
                  runid_cmp(self->id, g->master->member->id) == 0 && runid_cmp(self->master, m->id) == 0;
    return yields ? l->epoch + 1 : 0;
}

/* Somebody who reaches it says that it is well: what we held against it, as a replica that was away, is over. */
static void look_anew(struct sn_node *n)
{
    int64_t now = n->core->now_us;
    if (n->probe.silent_us)
        n->probe.silent_us = now;
    n->cmd.retry_us = now;
    sn_touch_node(n);
}

bool sn_shard_replaced(struct sn_member *m, const struct sn_nodes *nodes, const struct sn_nodes_line *l)
{
    struct sn_inst *i = m->inst;
    struct sn_group *g = i->group;
    uint64_t epoch = newer_epoch(m, nodes, l);
    if (sn_is_master(i) || !(l->flags & SN_NODES_MASTER) || !l->nslots || !epoch)
        return false;
    const struct sn_nodes_line *old = sn_member_line(g->master->member, nodes);
    struct sn_slots claimed;
    sn_slots_read(&claimed, nodes, l);
    if ((old && old->nslots) || (g->shard->nslots && !sn_slots_meet(&claimed, &g->shard->slots)))
        return false;
    if (i == g->fo.candidate && (g->fo.state == SN_FO_WAIT_PROMOTION || g->fo.state == SN_FO_SEND_SLAVEOF_NOONE)) {
        if (!sn_lease_promotes(i)) /* it is our own promotion: confirmed by its own word */
            sn_member_ask(m, MS(20));
        return false;
    }
    if (l->connected && !(l->flags & (SN_NODES_FAIL | SN_NODES_PFAIL)))
        look_anew(i->node);
    switch_to(i, epoch, nodes->lines[nodes->self].id);
    return true;
}

/* ---- what is left ---- */

static bool forgotten(const struct sn_group *g)
{
    for (size_t k = 0; k < g->ninsts; k++)
        if (!sn_member_forgotten(g->insts[k]->member))
            return false;
    return true;
}

/* Replicas that the cluster has forgotten, and nodes that left by becoming masters of nothing, are none of it. */
static int64_t tidy_replicas(struct sn_group *g)
{
    int64_t now = g->core->now_us, next = HEAP_NEVER;
    for (size_t k = g->ninsts; k-- > 0;) {
        struct sn_inst *i = g->insts[k];
        struct sn_member *m = i->member;
        bool idle = m->master && !m->nslots && sn_member_speaks(m) && m->own_us;
        m->idle_us = !idle ? 0 : m->idle_us ? m->idle_us : now;
        if (!may_leave(i) || g->fo.state != SN_FO_NONE)
            continue;
        int64_t at = m->idle_us ? m->idle_us + EMPTY_WAIT : HEAP_NEVER;
        if (sn_member_forgotten(m) || now >= at)
            sn_shard_leave(i);
        else
            EARLIER(next, at);
    }
    return next;
}

/* The master follows a master of another shard: the cluster has joined the two, and its slots are there. */
static bool joined_another(const struct sn_group *g)
{
    const struct sn_member *m = g->master->member;
    const struct sn_member *to = m->master || !sn_member_speaks(m) ? NULL : sn_member_find(m->fleet, m->follows);
    return to && to->inst && to->inst->group != g && sn_is_master(to->inst) && g->ninsts == 1;
}

/* Whether its slots are with other shards. Nobody knows them of a shard that the state tells of, before one of its
 * nodes is heard. */
static bool is_empty(const struct sn_shard *s)
{
    const struct sn_member *m = s->group->master->member;
    const struct sn_fleet *f = s->fleet;
    struct sn_slots left = s->slots;
    if (s->group->ninsts > 1 || !m->told_us || !m->master || wishes(m))
        return false;
    if (sn_member_speaks(m) || !s->nslots)
        return !s->nslots && m->own_us;
    for (size_t k = 0; k < f->nmembers; k++) {
        const struct sn_member *o = f->members[k];
        for (size_t w = 0; o != m && o->slots && o->epoch > m->epoch && w < SN_SLOTS / 64; w++)
            left.bits[w] &= ~o->slots->bits[w];
    }
    for (size_t w = 0; w < SN_SLOTS / 64; w++)
        if (left.bits[w])
            return false;
    return true;
}

int64_t sn_shard_tidy(struct sn_shard *s, bool *dropped)
{
    struct sn_group *g = s->group;
    int64_t now = g->core->now_us;
    *dropped = false;
    if (g->fo.state != SN_FO_NONE)
        return HEAP_NEVER;
    int64_t next = HEAP_NEVER;
    *dropped = forgotten(g) || joined_another(g);
    if (!*dropped) {
        next = tidy_replicas(g);
        bool empty = is_empty(s);
        s->empty_us = !empty ? 0 : s->empty_us ? s->empty_us : now;
        *dropped = empty && now >= s->empty_us + EMPTY_WAIT;
        if (empty)
            EARLIER(next, s->empty_us + EMPTY_WAIT);
    }
    if (*dropped)
        sn_shard_drop(s);
    return next;
}
