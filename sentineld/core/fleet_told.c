/* What CLUSTER NODES of one node tells. First who the teller is and whether it belongs to the fleet, then each line to
 * its member, then what follows from all of them together: masters that were replaced, shards and replicas that are
 * new. */
#include "sentineld/core/fleet_inner.h"

#define ROUND_TELLERS 16      /* whose word it takes to forget a node, or all that can be asked */
#define ROUND_LEAST MS(2000)  /* a node that was met just now is not listed by all at once */
#define NODES_WATCHFUL MS(50) /* while the promotion of this node is awaited */
#define NODES_PATIENCE MS(2000)
#define NEWS_PAUSE MS(2)
#define NEWS_PER_MEMBER 50     /* us: a text of thousands costs milliseconds, and while much changes each is another */
#define READ_PATIENCE MS(1000) /* a text that may spare many others */

static bool awaited(const struct sn_node *n)
{
    if (sn_node_tells_view(n))
        return false;
    for (const struct sn_inst *i = n->insts; i; i = i->next_on_node)
        if (i->group->fleet && i->group->fo.state == SN_FO_WAIT_PROMOTION && i == i->group->fo.candidate)
            return true;
    return false;
}

int64_t sn_node_nodes_due(const struct sn_node *n)
{
    if (!n->fleet)
        return HEAP_NEVER;
    if (n->nodes_sent_us)
        return n->nodes_now ? n->nodes_sent_us + NODES_PATIENCE : HEAP_NEVER;
    if (n->nodes_now)
        return n->core->now_us;
    return awaited(n) ? n->nodes_us + NODES_WATCHFUL : HEAP_NEVER;
}

/* A peer has named this place for the master of a shard since we heard of the one that we know, and who answers there
 * is a master at that very epoch: all nodes have got other ids while we did not look. */
static bool is_where_a_peer_says(const struct sn_fleet *f, const struct sn_node *n, const struct sn_nodes_line *self)
{
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_group *g = f->shards[k]->group;
        if (g->master->node == n && self->flags & SN_NODES_MASTER && self->nslots && self->epoch == g->config_epoch &&
            g->master->member && g->master->member->epoch < g->config_epoch)
            return true;
    }
    return false;
}

/* A cluster that has nothing to do with this one: a seed whose address went to somebody else, a node that was reset. */
static bool is_foreign(const struct sn_fleet *f, const struct sn_node *n, const struct sn_nodes *nodes)
{
    for (size_t k = 0; k < nodes->nlines; k++)
        if (sn_member_find(f, nodes->lines[k].id))
            return false;
    return f->nshards > 0 && !is_where_a_peer_says(f, n, &nodes->lines[nodes->self]);
}

static char *place_left(struct sn_fleet *f, const char *id)
{
    for (size_t k = 0; k < SN_FLEET_LEFT; k++)
        if (runid_cmp(f->left[k], id) == 0 && *id)
            return f->left[k];
    return NULL;
}

/* The cluster has forgotten it, and it does not know. A seed stays linked, and its own word alone would make it a
 * member again and again. */
static bool has_left(struct sn_fleet *f, const struct sn_node *n)
{
    return !sn_member_find(f, n->self) && place_left(f, n->self);
}

static void tell_foreign(struct sn_fleet *f, const struct sn_node *n)
{
    if (!f->foreign_told)
        sn_publish_core(f->core, SN_LOG_WARNING, "-cluster-foreign-node",
                        "%s %s:%d knows no node of this cluster: it is left alone", f->name, n->addr.host,
                        n->addr.port);
    f->foreign_told = true;
}

/* ---- who is listed ---- */

/* A node that was reset is alone, and says nothing about the others. */
static bool is_witness(const struct sn_nodes *nodes)
{
    return nodes->nlines > 1 || nodes->lines[nodes->self].nslots > 0;
}

static size_t witnesses(const struct sn_fleet *f)
{
    size_t n = 0;
    for (size_t k = 0; k < f->nmembers; k++)
        n += sn_member_speaks(f->members[k]);
    return n < ROUND_TELLERS ? n : ROUND_TELLERS;
}

static void end_round(struct sn_fleet *f)
{
    bool doubt = false;
    for (size_t k = 0; k < f->nmembers; k++) {
        struct sn_member *m = f->members[k];
        unsigned others = f->round_tellers - m->round_told;
        bool listed = !others || 2 * m->round_listed >= others;
        m->unlisted = listed ? 0 : m->unlisted + 1;
        doubt = doubt || !listed;
        m->round_listed = 0;
        m->round_told = m->round_seen = false;
    }
    f->round_tellers = f->round_seen = 0;
    f->round_us = f->core->now_us;
    if (doubt)
        sn_fleet_doubt(f);
}

static void count_list(struct sn_fleet *f, struct sn_member *teller, const struct sn_nodes *nodes)
{
    if (teller->round_seen)
        return;
    teller->round_seen = true;
    f->round_seen++;
    if (!is_witness(nodes))
        return;
    teller->round_told = true;
    f->round_tellers++;
    for (size_t k = 0; k < f->nmembers; k++)
        if (f->members[k] != teller && sn_member_line(f->members[k], nodes))
            f->members[k]->round_listed++;
}

/* Whoever tells the same digest would give the same text, so a round is not one of texts where nodes tell digests. */
static void count_teller(struct sn_fleet *f, struct sn_member *teller, const struct sn_nodes *nodes)
{
    uint64_t view = sn_nodes_view(nodes);
    if (f->round_seen >= witnesses(f) && f->core->now_us >= f->round_us + ROUND_LEAST)
        end_round(f);
    count_list(f, teller, nodes);
    for (size_t k = 0; k < f->nmembers; k++) {
        struct sn_member *m = f->members[k];
        if (sn_member_speaks(m) && m->node->told && m->node->told->view == view)
            count_list(f, m, nodes);
    }
}

/* ---- what the lines say ---- */

static bool is_nobody(const struct sn_nodes_line *l)
{
    return l->flags & SN_NODES_HANDSHAKE || l->epoch > SN_EPOCH_MAX;
}

/* Somebody who is gone, as far as one teller knows, is not made a member by it. */
static struct sn_member *member_of(struct sn_fleet *f, const struct sn_nodes_line *l, bool own)
{
    struct sn_member *m = sn_member_find(f, l->id);
    if (m || (!own && (l->flags & SN_NODES_NOADDR)))
        return m;
    char *left = place_left(f, l->id);
    if (left)
        *left = '\0'; /* another node lists it again */
    sn_fleet_doubt(f);
    return sn_member_get(f, l->id);
}

static bool read_members(struct sn_fleet *f, struct sn_node *n, const struct sn_nodes *nodes)
{
    bool news = false;
    f->texts++;
    for (size_t k = 0; k < nodes->nlines; k++) {
        const struct sn_nodes_line *l = &nodes->lines[k];
        bool own = k == nodes->self;
        struct sn_member *m = is_nobody(l) ? NULL : member_of(f, l, own);
        if (!m)
            continue;
        m->line = k;
        m->text = f->texts;
        news = sn_member_note(m, nodes, l, own) || news;
        sn_member_at(m, &l->addr, own);
        if (own && !m->node)
            sn_member_at(m, &n->addr, true);
        if (l->epoch > f->epoch) {
            f->epoch = l->epoch;
            f->dirty = f->core->any_dirty = true;
        }
    }
    sn_heard_epoch(f->core, NULL, f->epoch);
    return news;
}

static void read_masters(struct sn_fleet *f, const struct sn_nodes *nodes)
{
    for (size_t k = 0; k < f->nmembers; k++) {
        struct sn_member *m = f->members[k];
        const struct sn_nodes_line *l = sn_member_line(m, nodes);
        if (!l || !m->inst || !(l->flags & SN_NODES_MASTER))
            continue;
        if (sn_shard_replaced(m, nodes, l) && !sn_member_says(m, l))
            sn_member_ask(m, 0);
        if (!sn_is_master(m->inst))
            continue;
        if (l->nslots)
            sn_shard_newer(m->inst->group->shard, l->epoch);
        sn_shard_slots(m->inst->group->shard, l == &nodes->lines[nodes->self]);
    }
}

/* Whether a teller has every shard whose master changed lately as we have it. */
static bool agrees(const struct sn_fleet *f, const struct sn_nodes *nodes)
{
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_shard *s = f->shards[k];
        if (!s->switched_us)
            continue;
        const struct sn_nodes_line *l = sn_member_line(s->group->master->member, nodes);
        if (!l || !(l->flags & SN_NODES_MASTER) || l->epoch < s->group->config_epoch || (s->nslots && !l->nslots))
            return false;
    }
    return true;
}

/* Who tells digests need not be read for the others to be known: all that have the same tell the same. */
static void note_view(struct sn_member *teller, const struct sn_nodes *nodes)
{
    struct sn_fleet *f = teller->fleet;
    const struct sn_lease_told *t = teller->node ? teller->node->told : NULL;
    bool all = agrees(f, nodes);
    if (all)
        teller->agreed_us = f->core->now_us;
    f->read_view = 0;
    if (!t || !t->view)
        return;
    f->read_view = teller->view = sn_nodes_view(nodes);
    if (all)
        f->agreed_view = teller->view;
    else if (f->agreed_view == teller->view)
        f->agreed_view = 0;
}

/* What others told of it, in a text of the same digest as its own would have, is what it would say. */
static bool is_read(const struct sn_node *n, const struct sn_member *m)
{
    const struct sn_lease_told *t = n->told;
    if (!t->view || t->view != n->fleet->read_view || !m || m->node != n || !m->told_us)
        return false;
    return m->master == (t->role == SN_ROLE_MASTER) && m->epoch == t->config_epoch && m->nslots == (unsigned)t->slots;
}

/* The link is new. Thousands come up at once when a supervisor starts, and mostly their texts are one and the same: the
 * first is read, the others wait for it. */
static void introduce(struct sn_node *n)
{
    struct sn_fleet *f = n->fleet;
    int64_t now = f->core->now_us;
    struct sn_member *m = sn_member_find(f, n->told->node);
    if (!is_read(n, m)) {
        bool asked = n->nodes_us > n->cmd.since_us && now < n->nodes_us + READ_PATIENCE;
        bool in_place = m && m->node == n && n->told->view;
        if (asked || (in_place && f->read_us && now < f->read_us + READ_PATIENCE))
            return;
        f->read_us = now;
        n->nodes_now = true;
        return;
    }
    memcpy(n->self, m->id, sizeof n->self);
    n->known = true;
    m->view = n->told->view;
    m->own_us = m->told_us = now;
    sn_member_identify(n);
    sn_fleet_assert(n);
    sn_touch_node(n);
    if (m->inst)
        sn_touch_group(m->inst->group);
}

/* It knows something that no text has told yet. */
static void read_news(struct sn_fleet *f, struct sn_member *m, uint64_t view)
{
    int64_t pause = NEWS_PAUSE + (int64_t)f->nmembers * NEWS_PER_MEMBER;
    if (view == m->view || view == f->read_view || f->core->now_us < f->news_us + pause)
        return;
    f->news_us = f->core->now_us;
    sn_member_ask(m, 0);
}

void sn_fleet_viewed(struct sn_node *n)
{
    struct sn_fleet *f = n->fleet;
    if (!n->known && !n->nodes_sent_us && f->state == SN_FLEET_WATCHED)
        introduce(n);
    struct sn_member *m = n->member;
    if (m && sn_member_speaks(m) && n->told->view)
        read_news(f, m, n->told->view);
    if (m && f->agreed_view && n->told->view == f->agreed_view && runid_cmp(m->id, n->told->node) == 0)
        m->agreed_us = n->core->now_us;
}

bool sn_member_was_read(const struct sn_member *m, int64_t since_us)
{
    const struct sn_lease_told *t = m->node ? m->node->told : NULL;
    return t && m->view && m->view == t->view && m->own_us > since_us;
}

static void touch_shards(struct sn_fleet *f)
{
    for (size_t k = 0; k < f->nshards; k++)
        sn_touch_group(f->shards[k]->group);
}

static void told(struct sn_fleet *f, struct sn_node *n, const struct sn_nodes *nodes)
{
    int64_t now = f->core->now_us;
    memcpy(n->self, nodes->lines[nodes->self].id, sizeof n->self);
    sn_member_identify(n);
    if (has_left(f, n)) {
        n->known = false;
        return;
    }
    if (is_foreign(f, n, nodes)) {
        n->known = false;
        tell_foreign(f, n);
        return;
    }
    n->known = true;
    f->told_us = now;
    bool news = read_members(f, n, nodes);
    sn_member_identify(n);
    read_masters(f, nodes);
    for (size_t k = 0; k < f->nmembers; k++) /* masters come first: their replicas need them */
        if (f->members[k]->master)
            sn_shard_place(f->members[k]);
    for (size_t k = 0; k < f->nmembers; k++)
        if (!f->members[k]->master)
            sn_shard_place(f->members[k]);
    struct sn_member *teller = sn_member_find(f, n->self);
    if (teller) {
        count_teller(f, teller, nodes);
        note_view(teller, nodes);
        if (teller->inst)
            sn_touch_group(teller->inst->group);
    }
    if (news)
        touch_shards(f);
    sn_fleet_assert(n);
    sn_touch_fleet(f);
}

/* One that came back while the fleet is given up. */
static void told_released(struct sn_fleet *f, struct sn_node *n, const struct sn_nodes *nodes)
{
    memcpy(n->self, nodes->lines[nodes->self].id, sizeof n->self);
    n->known = sn_member_find(f, n->self) != NULL;
    if (n->known)
        sn_fleet_assert(n);
    sn_touch_fleet(f);
}

void sn_node_told(struct sn_node *n, struct slice text)
{
    struct sn_nodes nodes;
    if (n->pending)
        n->pending--;
    n->nodes_sent_us = 0;
    n->nodes_us = n->core->now_us;
    sn_touch_node(n);
    if (!n->fleet)
        return;
    n->fleet->read_us = 0;
    n->held++; /* the member that it tells of may turn out to have another address */
    if (!sn_nodes_parse(&nodes, text))
        n->known = false;
    else if (n->fleet->state == SN_FLEET_WATCHED)
        told(n->fleet, n, &nodes);
    else
        told_released(n->fleet, n, &nodes);
    sn_nodes_free(&nodes);
    n->held--;
    sn_node_release(n);
}
