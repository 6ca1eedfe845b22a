/* A member: one node id of a cluster. Its own word about itself counts; while it cannot be had, what others say. */
#include "sentineld/core/fleet_inner.h"

#define FORGOTTEN_ROUNDS 3
#define MOVE_PAUSE MS(1000) /* tellers that do not agree on an address do not make it change faster */

struct sn_member *sn_member_find(const struct sn_fleet *f, const char *id)
{
    return map_gets(&f->by_id, id);
}

struct sn_member *sn_member_get(struct sn_fleet *f, const char *id)
{
    struct sn_member *m = sn_member_find(f, id);
    if (m)
        return m;
    m = mem_zalloc(sizeof *m);
    m->fleet = f;
    memcpy(m->id, id, sizeof m->id);
    f->members = mem_grow(f->members, f->nmembers, &f->cap_members, sizeof(struct sn_member *));
    f->members[f->nmembers++] = m;
    map_puts(&f->by_id, m->id, m);
    return m;
}

static void leave_node(struct sn_member *m)
{
    struct sn_node *n = m->node;
    m->node = NULL;
    if (!n)
        return;
    if (n->member == m)
        n->member = NULL;
    n->held--;
    sn_node_release(n);
}

void sn_member_remove(struct sn_member *m)
{
    struct sn_fleet *f = m->fleet;
    for (size_t k = 0; k < f->nmembers; k++)
        if (f->members[k] == m) {
            memmove(&f->members[k], &f->members[k + 1], (f->nmembers - k - 1) * sizeof(struct sn_member *));
            f->nmembers--;
            break;
        }
    map_dels(&f->by_id, m->id);
    leave_node(m);
    free(m->slots);
    free(m);
}

bool sn_member_speaks(const struct sn_member *m)
{
    const struct sn_node *n = m->node;
    return n && n->cmd.state == SN_CONN_UP && n->known && runid_cmp(n->self, m->id) == 0;
}

bool sn_member_forgotten(const struct sn_member *m)
{
    return m->unlisted >= FORGOTTEN_ROUNDS;
}

const struct sn_nodes_line *sn_member_line(const struct sn_member *m, const struct sn_nodes *nodes)
{
    return m->text == m->fleet->texts && m->line < nodes->nlines ? &nodes->lines[m->line] : NULL;
}

void sn_member_ask(struct sn_member *m, int64_t pause_us)
{
    int64_t now = m->fleet->core->now_us;
    if (!sn_member_speaks(m) || (m->asked_us && now < m->asked_us + pause_us))
        return;
    m->asked_us = now;
    m->node->nodes_now = true;
    sn_touch_node(m->node);
}

/* ---- where it is ---- */

/* A server that has another address is the same server: what is held against it goes along. */
static void move_inst(struct sn_inst *i, struct sn_node *to)
{
    struct sn_node *from = i->node;
    struct sn_group *g = i->group;
    struct addr before = sn_shown_addr(g->core, from);
    for (struct sn_inst **p = &from->insts; *p; p = &(*p)->next_on_node)
        if (*p == i) {
            *p = i->next_on_node;
            break;
        }
    i->node = to;
    i->next_on_node = to->insts;
    to->insts = i;
    i->stranger_us = 0;
    if (from->probe.silent_us && to->probe.silent_us > from->probe.silent_us)
        to->probe.silent_us = from->probe.silent_us;
    if (!to->info_us && !i->s_down)
        to->role_us = g->core->now_us;
    sn_dirty_members(g);
    sn_dirty(g);
    sn_touch_group(g);
    sn_touch_node(to);
    if (!sn_is_master(i))
        return;
    g->config_seq = sn_persist_next(g->core); /* it is told when it is on disk */
    struct addr now = sn_shown_addr(g->core, to);
    sn_publish_group(g, SN_LOG_WARNING, "+switch-master", "%s %s %d %s %d", g->name, before.host, before.port, now.host,
                     now.port);
    sn_reconfig_script(g, "observer", &before, &now);
}

/* Two servers of one shard at one address: one of them is gone, and that is not the one whose word was heard there. */
static bool clear_place(struct sn_member *m, struct sn_node *n)
{
    for (struct sn_inst *i = n->insts, *next; i; i = next) {
        next = i->next_on_node;
        if (i->group != m->inst->group || i == m->inst)
            continue;
        if (sn_is_master(i) || i == i->group->fo.candidate)
            return false;
        sn_shard_leave(i);
    }
    return true;
}

static void move(struct sn_member *m, struct sn_node *to)
{
    struct sn_core *c = m->fleet->core;
    struct sn_node *from = m->node;
    if (from == to || (to->fleet && to->fleet != m->fleet) || (m->inst && !clear_place(m, to)))
        return;
    to->fleet = m->fleet;
    to->held++;
    m->moved_us = c->now_us;
    m->node = to;
    if (m->inst)
        move_inst(m->inst, to);
    if (!to->member || runid_cmp(to->self, m->id) == 0)
        to->member = m;
    if (from) {
        from->held--;
        if (from->member == m)
            from->member = NULL;
        sn_node_release(from);
    }
    sn_touch_node(to);
    sn_touch_fleet(m->fleet);
}

void sn_member_at(struct sn_member *m, const struct addr *a, bool own)
{
    struct sn_core *c = m->fleet->core;
    if (!addr_is_set(a) || (!addr_is_ip(a->host) && !c->globals.resolve_hostnames))
        return;
    if (m->node && sn_node_is(m->node, a))
        return;
    if (m->node && !own && (sn_member_speaks(m) || c->now_us < m->moved_us + MOVE_PAUSE))
        return;
    /* Others may not know yet that somebody else sits there now. */
    struct sn_node *n = sn_node_find(c, a->host, a->port);
    if (n && !own && n->known && n->cmd.state == SN_CONN_UP && runid_cmp(n->self, m->id) != 0)
        return;
    move(m, sn_node_get(c, a));
}

void sn_member_identify(struct sn_node *n)
{
    struct sn_member *m = sn_member_find(n->fleet, n->self);
    if (m && m->node == n)
        n->member = m;
    else if (n->member && runid_cmp(n->member->id, n->self) != 0)
        n->member = NULL;
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node) {
        bool stranger = i->member && runid_cmp(i->member->id, n->self) != 0;
        if (stranger == (i->stranger_us != 0))
            continue;
        i->stranger_us = stranger ? n->core->now_us : 0;
        sn_touch_node(n);
        sn_touch_group(i->group);
    }
}

/* ---- what it is ---- */

bool sn_slots_has(const struct sn_slots *s, unsigned slot)
{
    return s->bits[slot / 64] >> (slot % 64) & 1;
}

unsigned sn_slots_read(struct sn_slots *s, const struct sn_nodes *nodes, const struct sn_nodes_line *l)
{
    unsigned count = 0;
    memset(s, 0, sizeof *s);
    for (size_t k = 0; k < l->nranges; k++) {
        const struct sn_slot_range *r = &nodes->ranges[l->range + k];
        for (unsigned slot = r->first; slot <= r->last; slot++) {
            count += !sn_slots_has(s, slot);
            s->bits[slot / 64] |= UINT64_C(1) << (slot % 64);
        }
    }
    return count;
}

bool sn_slots_meet(const struct sn_slots *a, const struct sn_slots *b)
{
    for (size_t k = 0; k < SN_SLOTS / 64; k++)
        if (a->bits[k] & b->bits[k])
            return true;
    return false;
}

static bool same_slots(const struct sn_member *m, const struct sn_nodes *nodes, const struct sn_nodes_line *l)
{
    struct sn_slots s;
    if (!l->nslots || !m->nslots)
        return l->nslots == m->nslots;
    return sn_slots_read(&s, nodes, l) == m->nslots && memcmp(&s, m->slots, sizeof s) == 0;
}

static void take_slots(struct sn_member *m, const struct sn_nodes *nodes, const struct sn_nodes_line *l)
{
    m->nslots = 0;
    if (l->nslots && !m->slots)
        m->slots = mem_zalloc(sizeof *m->slots);
    if (l->nslots)
        m->nslots = sn_slots_read(m->slots, nodes, l);
    if (m->nslots)
        return;
    free(m->slots);
    m->slots = NULL;
}

/* What it says of itself with each LEASE is less than its text, but enough to tell that another's text is right. */
bool sn_member_says(const struct sn_member *m, const struct sn_nodes_line *l)
{
    const struct sn_lease_told *t = m->node ? m->node->told : NULL;
    bool master = l->flags & SN_NODES_MASTER;
    if (!t || !t->view || runid_cmp(t->node, m->id) != 0 || (t->role == SN_ROLE_MASTER) != master)
        return false;
    return t->config_epoch == l->epoch && (master ? t->slots == l->nslots : runid_cmp(t->master, l->master) == 0);
}

/* Who says something else of a member than it said itself may know something newer, or older: it is asked. */
bool sn_member_note(struct sn_member *m, const struct sn_nodes *nodes, const struct sn_nodes_line *l, bool own)
{
    int64_t now = m->fleet->core->now_us;
    bool master = l->flags & SN_NODES_MASTER;
    bool role = m->told_us && (master != m->master || runid_cmp(l->master, m->follows) != 0);
    bool slots = !same_slots(m, nodes, l);
    bool first = !m->told_us;
    m->told_us = now;
    m->failing = l->flags & SN_NODES_FAIL;
    m->nofailover = l->flags & SN_NODES_NOFAILOVER;
    if (*l->shard)
        memcpy(m->shard_id, l->shard, sizeof m->shard_id);
    if (own)
        m->own_us = now;
    if (!first && !role && !slots && l->epoch == m->epoch)
        return false;
    if (!own && !first && l->epoch < m->epoch)
        return false;
    if (!own && m->own_us && sn_member_speaks(m) && !sn_member_says(m, l)) {
        if (!sn_member_was_read(m, 0))
            sn_member_ask(m, role || l->epoch != m->epoch ? MS(100) : MS(1000));
        return false;
    }
    m->master = master;
    memcpy(m->follows, l->master, sizeof m->follows);
    m->epoch = l->epoch;
    if (slots)
        take_slots(m, nodes, l);
    return true;
}
