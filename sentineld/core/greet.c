/* Hello: how supervisors find each other, learn epochs, and spread configurations (reference section 5). */
#include "sentineld/core/fleet_inner.h"
#include "sentineld/core/plant.h"

#include <stdio.h>

#define HELLO_LENGTH 192 /* bytes, of nearly all */
#define FULL_ROUND 4     /* less often than that, RESET would forget a supervisor that only peers can hear */

static const char *own_ip(const struct sn_core *c, const char *local_ip)
{
    return *c->globals.announce_ip ? c->globals.announce_ip : local_ip;
}

/* Only what is on disk is told: a configuration that is not yet durable waits for sn_greet_about(). */
static bool hello(const struct sn_group *g, const char *local_ip, struct buf *out)
{
    const struct sn_core *c = g->core;
    const char *ip = own_ip(c, local_ip);
    if (!*ip || g->config_seq > c->persisted)
        return false;
    struct sn_hello h = {.current_epoch = c->told_epoch, .group = slice_of(g->name), .config_epoch = g->config_epoch};
    int64_t port = c->globals.announce_port ? c->globals.announce_port : c->port;
    if (!addr_set(&h.from, slice_of(ip), port))
        return false;
    memcpy(h.id, c->id, sizeof h.id);
    h.master = sn_shown_addr(c, g->master->node);
    buf_reserve(out, HELLO_LENGTH);
    sn_hello_write(out, &h);
    return true;
}

static bool greet(struct sn_conn *conn, unsigned *pending, const struct sn_group *g, const char *local_ip)
{
    struct buf text = {0};
    if (!hello(g, local_ip, &text))
        return false;
    buf_str(&text);
    sn_send(g->core, conn, SN_CMD_HELLO)->text = text.p;
    (*pending)++;
    return true;
}

bool sn_greet_on(struct sn_node *n, const struct sn_group *g)
{
    return greet(&n->cmd, &n->pending, g, n->local_ip);
}

void sn_greet_node(struct sn_node *n)
{
    n->hello_us = n->core->now_us;
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node)
        if (!i->group->fleet && (!sn_is_master(i) || !sn_switch_is_planned(i->group)))
            greet(&n->cmd, &n->pending, i->group, n->local_ip);
}

/* The address by which this supervisor is told to peers is the one that its nodes see. */
static const char *seen_ip(const struct sn_group *g)
{
    for (size_t k = 0; k < g->ninsts; k++)
        if (*g->insts[k]->node->local_ip)
            return g->insts[k]->node->local_ip;
    return "";
}

void sn_greet_seat(struct sn_seat *s)
{
    struct sn_peer *p = s->peer;
    s->told = p->cmd.state == SN_CONN_UP && greet(&p->cmd, &p->pending, s->group, seen_ip(s->group));
    s->told_epoch = s->group->config_epoch;
}

static void greet_seats(struct sn_peer *p, bool all)
{
    for (struct sn_seat *s = p->seats; s; s = s->next_on_peer)
        if (all || !s->told || s->told_epoch != s->group->config_epoch)
            sn_greet_seat(s);
}

/* A group in which we know nobody: its nodes may be those of long ago, where nobody else listens. Whom we know from
 * another group may watch it too. */
static void greet_about_lonely(struct sn_peer *p)
{
    struct sn_core *c = p->core;
    const char *ip = "";
    for (const struct sn_seat *s = p->seats; s && !*ip; s = s->next_on_peer)
        ip = seen_ip(s->group);
    for (size_t k = 0; k < c->ngroups && p->cmd.state == SN_CONN_UP; k++)
        if (!c->groups[k]->nseats)
            greet(&p->cmd, &p->pending, c->groups[k], ip);
}

/* Supervisors hear each other on the nodes, and one of ours is told of a new configuration at once. So it gets what it
 * has not been told, and everything only now and then: when no node lives, that is what keeps us known. */
void sn_greet_peer(struct sn_peer *p)
{
    bool all = p->kind != SN_PEER_OURS || p->rounds % FULL_ROUND == 0;
    p->rounds++;
    p->hello_sent_us = p->core->now_us;
    greet_seats(p, all);
    if (all)
        greet_about_lonely(p);
}

void sn_greet_about(struct sn_group *g)
{
    for (size_t k = 0; k < g->nseats; k++)
        sn_greet_seat(g->seats[k]);
    /* In a cluster each of these would go to all of its nodes; who is not linked to us hears it in its turn. */
    for (size_t k = 0; k < g->ninsts && !g->fleet; k++) {
        struct sn_node *n = g->insts[k]->node;
        if (n->cmd.state == SN_CONN_UP && !(sn_is_master(g->insts[k]) && sn_switch_is_planned(g)))
            greet(&n->cmd, &n->pending, g, n->local_ip);
    }
}

void sn_heard_epoch(struct sn_core *c, struct sn_group *g, uint64_t epoch)
{
    if (epoch <= c->current_epoch || epoch > SN_EPOCH_MAX)
        return;
    c->current_epoch = epoch;
    c->dirty_meta = true;
    if (g)
        sn_publish_group(g, SN_LOG_WARNING, "+new-epoch", "%llu", (unsigned long long)epoch);
    else
        sn_publish_core(c, SN_LOG_WARNING, "+new-epoch", "%llu", (unsigned long long)epoch);
}

static int64_t patience_until(const struct sn_group *g)
{
    return g->born_us + 2 * MS(g->core->params.publish_period_ms);
}

/* SAFETY M2: with an empty state directory we may have voted in a life that is forgotten. We vote when we have heard
 * the epochs of so many others that every majority of that life has one among them, and only above them. An id that
 * this life drew has never voted: it waits for whoever says hello, twice publish-period, and no longer. With a quorum
 * of one nobody else may exist; an id of the configuration waits as long to find that out. */
static bool heard_enough(const struct sn_group *g)
{
    const struct sn_core *c = g->core;
    int heard = 0, voters = sn_voters(g);
    bool waited = c->now_us >= patience_until(g), alone = g->set.quorum == 1 && voters == 1;
    for (size_t k = 0; k < g->nseats; k++)
        heard += g->seats[k]->peer->heard;
    if (PLANTED(6, c->joined, true))
        return true;
    if (voters > 1 && voters >= g->set.quorum && heard >= voters - voters / 2)
        return true;
    return c->id_drawn ? alone || waited : alone && waited;
}

int64_t sn_heard_enough(struct sn_core *c, struct sn_group *g)
{
    int64_t patience = patience_until(g);
    if (g->heard)
        return HEAP_NEVER;
    if (!heard_enough(g))
        return c->now_us < patience ? patience : HEAP_NEVER;
    g->heard = true;
    if (g->vote_epoch < c->current_epoch) {
        g->vote_epoch = c->current_epoch;
        g->vote_leader[0] = '\0';
    }
    sn_dirty(g);
    sn_touch_group(g);
    for (size_t k = 0; k < c->ngroups && !c->joined; k++)
        if (!c->groups[k]->heard)
            return HEAP_NEVER;
    if (!c->joined)
        c->dirty_meta = true;
    c->joined = true;
    return HEAP_NEVER;
}

/* Where supervisors discover each other, a majority of those that are known is one only when all had the time to say
 * hello. `supervisors` in the configuration names them from the start. */
int64_t sn_meet_until(const struct sn_core *c, int64_t born_us, bool at_run_time)
{
    /* Who is linked to us already says hello about all its groups only now and then (see sn_greet_peer), and the nodes
     * that pass hellos on may be dead. */
    int64_t periods = at_run_time ? FULL_ROUND + 1 : 2;
    bool declared = c->ndeclared || *c->ours.list; /* a list of one names nobody else */
    return declared ? 0 : born_us + periods * MS(c->params.publish_period_ms);
}

void sn_meet_others(struct sn_group *g, bool at_run_time)
{
    g->added = at_run_time;
    g->meet_us = sn_meet_until(g->core, g->born_us, at_run_time);
}

/* A quorum that is the majority of all, as it should be, needs no knowledge of them; one of one may mean that there is
 * nobody else, or nothing. At the start only that one waits, so that a fleet which is started as a whole does not. */
bool sn_has_met_others(const struct sn_group *g)
{
    return g->core->now_us >= g->meet_us || (!g->added && g->set.quorum > 1);
}

static bool sits_at(const struct sn_peer *p, const struct addr *a)
{
    return p->addr.port == a->port && (addr_eq(&p->addr, a) || (*p->ip && strcmp(p->ip, a->host) == 0));
}

static struct sn_peer *declared_at(const struct sn_core *c, const struct addr *a)
{
    for (size_t k = 0; k < c->npeers; k++)
        if (c->peers[k]->declared && sits_at(c->peers[k], a))
            return c->peers[k];
    return NULL;
}

static void evict(struct sn_core *c, struct sn_group *g, const struct sn_hello *h)
{
    for (size_t k = 0; k < c->npeers; k++) {
        struct sn_peer *p = c->peers[k];
        if (p->declared || !addr_eq(&p->addr, &h->from) || runid_cmp(p->id, h->id) == 0)
            continue;
        struct sn_seat *s = sn_seat_find(g, p);
        if (s)
            sn_publish_seat(s, SN_LOG_NOTICE, "+sentinel-invalid-addr", NULL);
        sn_conn_close(c, &p->cmd);
        sn_ask_forget(p);
        sn_probe_lost(&p->probe, c->now_us);
        memset(&p->addr, 0, sizeof p->addr); /* it keeps its seat among the voters until RESET */
        sn_touch_peer(p);
    }
}

static void move(struct sn_peer *p, const struct sn_group *g, const struct sn_hello *h)
{
    struct sn_core *c = p->core;
    p->addr = h->from;
    sn_conn_close(c, &p->cmd);
    sn_ask_forget(p);
    sn_probe_lost(&p->probe, c->now_us);
    p->cmd.retry_us = c->now_us;
    sn_touch_peer(p);
    for (struct sn_seat *s = p->seats; s; s = s->next_on_peer) {
        sn_dirty_members(s->group);
        sn_publish_inst(s->group->master, SN_LOG_NOTICE,
                        s->group == g ? "+sentinel-address-switch" : "+sentinel-address-update", "ip %s port %d for %s",
                        h->from.host, h->from.port, h->id);
    }
}

/* A supervisor may be seen by several addresses, by the route that its hello took: one that answers under its id stays
 * as long as it is announced. */
static bool answers_there(const struct sn_peer *p)
{
    const struct sn_core *c = p->core;
    bool announced = c->now_us < p->addr_us + 3 * MS(c->params.publish_period_ms);
    return announced && p->kind == SN_PEER_OURS && p->cmd.state == SN_CONN_UP &&
           !sn_probe_silent_for(&p->probe, MS(1000), c->now_us);
}

/* After the state directory was lost we have a new id, and a hello of our former self may still be on its way. Who
 * would take it for another supervisor asks himself, and counts his own opinion twice. */
static bool is_ours(const struct sn_group *g, const struct addr *from)
{
    const struct sn_core *c = g->core;
    if (from->port != (c->globals.announce_port ? c->globals.announce_port : c->port))
        return false;
    for (size_t k = 0; k < g->ninsts; k++)
        if (strcmp(own_ip(c, g->insts[k]->node->local_ip), from->host) == 0)
            return true;
    return false;
}

static struct sn_peer *sender(struct sn_core *c, struct sn_group *g, const struct sn_hello *h)
{
    struct sn_peer *p = map_gets(&c->by_id, h->id), *declared = declared_at(c, &h->from);
    if (declared) {
        if (p == declared)
            return p;
        if (p) /* the same supervisor, declared under one address and met under another before */
            sn_peer_remove(p);
        sn_peer_rename(declared, h->id);
        return declared;
    }
    if (c->ndeclared)
        return NULL;
    if (p && addr_eq(&p->addr, &h->from))
        p->addr_us = c->now_us;
    if (p && (p->addr_us == c->now_us || answers_there(p)))
        return p;
    evict(c, g, h);
    if (p)
        move(p, g, h);
    else
        p = sn_peer_new(c, h->id, &h->from);
    p->addr_us = c->now_us;
    return p;
}

static void adopt(struct sn_group *g, struct sn_seat *s, const struct sn_hello *h)
{
    if (PLANTED(3, h->config_epoch <= g->config_epoch, h->config_epoch == g->config_epoch))
        return;
    if (sn_node_is(g->master->node, &h->master)) {
        /* It was replaced and came back without our seeing it: an attempt of ours against it is void. */
        if (g->fo.state != SN_FO_RECONF_SLAVES)
            sn_failover_drop(g);
        g->config_epoch = h->config_epoch;
        g->config_ballot = sn_group_ballot(g, g->master, h->config_epoch);
        g->config_seq = sn_persist_next(g->core);
        sn_dirty(g);
        return;
    }
    struct sn_inst *to = sn_inst_find(g, &h->master);
    if (!to && g->fleet) {
        sn_fleet_doubt(g->fleet); /* which node of the cluster it is, the cluster tells */
        return;
    }
    struct addr from = sn_shown_addr(g->core, g->master->node);
    sn_heard_epoch(g->core, g, h->config_epoch);
    sn_publish_seat(s, SN_LOG_WARNING, "+config-update-from", NULL);
    sn_publish_group(g, SN_LOG_WARNING, "+switch-master", "%s %s %d %s %d", g->name, from.host, from.port,
                     h->master.host, h->master.port);
    if (!to)
        to = sn_inst_add(g, sn_node_get(g->core, &h->master));
    sn_account_config(g, to, h->id, h->config_epoch, &from, &h->master);
    sn_group_switch(g, to, h->config_epoch);
    sn_publish_slaves(g);
    sn_reconfig_script(g, "observer", &from, &h->master);
}

static void meet(struct sn_group *g, struct sn_peer *p)
{
    struct sn_seat *s = sn_seat_find(g, p);
    if (!s || !s->hello_us || !s->listed) {
        s = sn_seat_get(g, p);
        sn_publish_seat(s, SN_LOG_NOTICE, "+sentinel", NULL);
        sn_dirty_members(g);
        sn_greet_seat(s); /* so that it learns of us at once as well */
        sn_touch_peer(p);
    }
    s->listed = true;
    s->hello_us = g->core->now_us;
}

/* Who watches one shard of a cluster watches all of them, whatever it calls this one. */
static struct sn_group *any_shard(const struct sn_fleet *f)
{
    return f && f->nshards ? f->shards[0]->group : NULL;
}

void sn_greeted(struct sn_core *c, struct slice text, bool direct)
{
    struct sn_hello h;
    if (sn_hello_is_from(text, c->id)) /* every third one that is heard */
        return;
    if (!sn_hello_parse(text, &h) || runid_cmp(h.id, c->id) == 0)
        return;
    struct sn_group *named = sn_group_find(c, h.group);
    struct sn_fleet *f = named ? named->fleet : sn_fleet_of_name(c, h.group);
    struct sn_group *g = named ? named : any_shard(f);
    if (!g || h.current_epoch > SN_EPOCH_MAX || h.config_epoch > SN_EPOCH_MAX)
        return;
    if (!c->globals.resolve_hostnames && (!addr_is_ip(h.from.host) || !addr_is_ip(h.master.host)))
        return;
    if (is_ours(g, &h.from))
        return;
    struct sn_peer *p = sender(c, g, &h);
    if (!p)
        return; /* not on the list of `supervisors` */
    if (f)
        sn_fleet_seat(f, p);
    else
        meet(g, p);
    p->hello_us = c->now_us;
    /* What a node passes on may have waited there since before we began: it does not tell how far its sender is now,
     * and we may have voted with it. An id that was drawn has not. */
    p->heard = p->heard || direct || c->id_drawn;
    if (h.current_epoch > p->epoch)
        p->epoch = h.current_epoch;
    sn_heard_epoch(c, g, h.current_epoch);
    for (struct sn_seat *s = p->seats; s; s = s->next_on_peer)
        if (s->group == g || (f && s->group->fleet == f))
            sn_heard_enough(c, s->group);
    if (!named) {
        sn_fleet_other_name(f, p, &h);
        return;
    }
    if (f)
        sn_fleet_same_name(named);
    adopt(named, sn_seat_find(named, p), &h);
}
