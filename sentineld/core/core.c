/* One step: note the event, look again at everything that it touched until nothing changes, ask the peers what came up,
 * write what must be durable. */
#include "sentineld/core/core.h"

#include <stdio.h>

#include "sentineld/core/plant.h"
#include "sentineld/core/swap_inner.h"

#define STALL MS(20) /* a deadline missed by more than this means that we did not run */

void sn_touch_node(struct sn_node *n)
{
    if (n->touched)
        return;
    n->touched = true;
    n->next_touched = n->core->touched_nodes;
    n->core->touched_nodes = n;
}

void sn_touch_peer(struct sn_peer *p)
{
    if (p->touched)
        return;
    p->touched = true;
    p->next_touched = p->core->touched_peers;
    p->core->touched_peers = p;
}

void sn_touch_group(struct sn_group *g)
{
    if (g->touched)
        return;
    g->touched = true;
    g->next_touched = g->core->touched_groups;
    g->core->touched_groups = g;
}

void sn_touch_fleet(struct sn_fleet *f)
{
    if (f->touched)
        return;
    f->touched = true;
    f->next_touched = f->core->touched_fleets;
    f->core->touched_fleets = f;
}

/* First all nodes, then the peers, the fleets, the groups: a group decides when every fact of this step is in. */
static void evaluate(struct sn_core *c)
{
    for (;;) {
        if (c->touched_nodes) {
            struct sn_node *n = c->touched_nodes;
            c->touched_nodes = n->next_touched;
            n->touched = false;
            sn_node_evaluate(n);
        } else if (c->touched_peers) {
            struct sn_peer *p = c->touched_peers;
            c->touched_peers = p->next_touched;
            p->touched = false;
            sn_peer_evaluate(p);
        } else if (c->touched_fleets) {
            struct sn_fleet *f = c->touched_fleets;
            c->touched_fleets = f->next_touched;
            f->touched = false;
            sn_fleet_evaluate(f);
        } else if (c->touched_groups) {
            struct sn_group *g = c->touched_groups;
            c->touched_groups = g->next_touched;
            g->touched = false;
            sn_group_evaluate(g);
        } else {
            return;
        }
    }
}

/* The deadline stays until the object has been looked at: that sets the next one. */
static void fire(struct heap_node *due)
{
    struct sn_timer *t = (struct sn_timer *)due;
    switch (t->of) {
    case SN_TIMER_NODE: sn_touch_node((struct sn_node *)((char *)t - offsetof(struct sn_node, timer))); break;
    case SN_TIMER_PEER: sn_touch_peer((struct sn_peer *)((char *)t - offsetof(struct sn_peer, timer))); break;
    case SN_TIMER_GROUP: sn_touch_group((struct sn_group *)((char *)t - offsetof(struct sn_group, timer))); break;
    case SN_TIMER_FLEET: sn_touch_fleet((struct sn_fleet *)((char *)t - offsetof(struct sn_fleet, timer))); break;
    case SN_TIMER_CORE: break;
    }
}

static void keep_house(struct sn_core *c)
{
    int64_t next = sn_persist_retry(c);
    EARLIER(next, sn_pauses_run(c));
    if (c->tilt) {
        /* By then every node has been asked again. */
        int64_t end = c->tilt_us + 2 * MS(c->params.ping_period_ms);
        if (c->now_us >= end) {
            c->tilt = false;
            sn_publish_core(c, SN_LOG_WARNING, "-tilt", "#tilt mode exited");
            for (size_t k = 0; k < c->ngroups; k++)
                sn_touch_group(c->groups[k]);
            evaluate(c);
        } else {
            EARLIER(next, end);
        }
    }
    EARLIER(next, sn_joint_run(c));
    heap_set(&c->timers, &c->housekeeping.at, next);
}

static void on_link(struct sn_core *c, const struct sn_event *e)
{
    struct sn_conn *conn = sn_conn_of(c, e->link);
    if (!conn)
        return;
    bool peer = conn->of == SN_CONN_PEER;
    switch (e->kind) {
    case SN_EV_LINK_UP:
        if (peer)
            sn_peer_up(conn->owner, e->ip);
        else
            sn_node_up(conn->owner, conn, e->ip, e->local_ip);
        break;
    case SN_EV_LINK_DOWN:
        if (peer)
            sn_peer_down(conn->owner, e->why);
        else
            sn_node_down(conn->owner, conn, e->why);
        break;
    case SN_EV_AUTH_FAILED: conn->auth_failed = true; break;
    case SN_EV_PONG:
        if (peer)
            sn_peer_pong(conn->owner, e->pong);
        else if (conn->of == SN_CONN_NODE)
            sn_node_pong(conn->owner, e->pong);
        break;
    case SN_EV_INFO:
        if (conn->of == SN_CONN_NODE)
            sn_node_info(conn->owner, e->info);
        break;
    case SN_EV_NODES:
        if (conn->of == SN_CONN_NODE)
            sn_node_told(conn->owner, e->text);
        break;
    case SN_EV_LEASE:
        if (conn->of == SN_CONN_NODE)
            sn_lease_told(conn->owner, e->command, e->told);
        break;
    case SN_EV_ACK:
        if (peer) {
            struct sn_peer *p = conn->owner;
            if (p->pending)
                p->pending--;
            sn_joint_ack(p, e->command, e->ok, e->text);
        } else if (conn->of == SN_CONN_NODE && e->command == SN_CMD_LEASE) {
            sn_lease_refused(conn->owner, e->text);
        } else if (conn->of == SN_CONN_NODE && e->command >= SN_CMD_DBMAP_PREPARE && e->command <= SN_CMD_DBMAP_DONE) {
            sn_swap_ack(conn->owner, e->command, e->ok, e->text);
        } else if (conn->of == SN_CONN_NODE) {
            sn_failover_ack(conn->owner, e->command, e->ok, e->text);
        }
        break;
    case SN_EV_OPINIONS:
        if (peer)
            sn_opinions(conn->owner, e->opinions, e->count);
        break;
    case SN_EV_SWAP_ANSWER:
        if (peer)
            sn_swap_answered(conn->owner, e);
        break;
    default: break;
    }
}

/* A declared peer that was never heard of says here who it is. */
static void on_probed(struct sn_core *c, const struct sn_event *e)
{
    struct sn_conn *conn = sn_conn_of(c, e->link);
    if (!conn || conn->of != SN_CONN_PEER)
        return;
    struct sn_peer *p = conn->owner;
    runid id = "";
    p->kind = e->ok ? SN_PEER_OURS : SN_PEER_STOCK;
    if (!e->ok)
        return;
    runid_parse(e->text, id);
    if (*id && runid_cmp(id, c->id) == 0 && !p->declared)
        sn_peer_remove(p); /* it is our former self that we met: its address is ours */
    if (!*id || runid_cmp(id, c->id) == 0)
        return;
    if (runid_cmp(id, p->id) != 0) {
        if (!p->declared || map_gets(&c->by_id, id)) {
            p->kind = SN_PEER_UNKNOWN; /* somebody else sits there: its hello will tell */
            return;
        }
        sn_peer_rename(p, id);
        for (struct sn_seat *s = p->seats; s; s = s->next_on_peer) {
            s->hello_us = c->now_us;
            sn_publish_seat(s, SN_LOG_NOTICE, "+sentinel", NULL);
        }
    }
    p->heard = true;
    sn_swap_met(p);
    if (e->epoch > p->epoch)
        p->epoch = e->epoch;
    sn_heard_epoch(c, NULL, e->epoch);
    for (struct sn_seat *s = p->seats; s; s = s->next_on_peer)
        sn_heard_enough(c, s->group);
}

static void on_hello(struct sn_core *c, const struct sn_event *e)
{
    struct sn_conn *conn = e->link ? sn_conn_of(c, e->link) : NULL;
    if (conn && conn->of == SN_CONN_NODE_SUB)
        ((struct sn_node *)conn->owner)->sub_heard_us = c->now_us;
    sn_greeted(c, e->text, e->link == 0);
}

static void look(struct sn_core *c, const struct sn_event *e)
{
    struct sn_group *g = sn_group_find(c, e->group);
    if (g)
        sn_group_info_now(g); /* one that was asked already is not asked again before it has answered */
}

static void note(struct sn_core *c, const struct sn_event *e)
{
    switch (e->kind) {
    case SN_EV_TICK: break;
    case SN_EV_HELLO: on_hello(c, e); break;
    case SN_EV_PROBED: on_probed(c, e); break;
    case SN_EV_BALLOTS: sn_ballots(c, e); break;
    case SN_EV_SWAP: sn_swap_asked(c, e); break;
    case SN_EV_PERSISTED: sn_persisted(c, e->seq); break;
    case SN_EV_VERDICT: sn_consent_verdict(c, e); break;
    case SN_EV_HOOKS: c->asks_veto = e->ok; break;
    case SN_EV_LOOK: look(c, e); break;
    case SN_EV_PERSIST_FAILED: sn_persist_failed(c, e->seq, e->text); break;
    default:
        if (e->kind >= SN_EV_MONITOR)
            sn_admin(c, e);
        else
            on_link(c, e);
    }
}

void sn_step(struct sn_core *c, const struct sn_event *e, struct sn_effects *out)
{
    c->out = out;
    int64_t due = sn_deadline(c);
    if (e->now_us > c->now_us)
        c->now_us = e->now_us;
    if (due != HEAP_NEVER && c->now_us - due > STALL)
        sn_stall(c, c->now_us - due);
    note(c, e);
    heap_each_due(&c->timers, c->now_us, fire);
    sn_pauses_run(c); /* what is over by now holds nobody back in this step */
    evaluate(c);
    sn_ask_flush(c);
    keep_house(c);
    sn_persist_flush(c);
    c->stand_epoch = 0;
    c->out = NULL;
}

int64_t sn_deadline(const struct sn_core *c)
{
    const struct heap_node *top = heap_top(&c->timers);
    return top ? top->at : HEAP_NEVER;
}

struct sn_core *sn_core_new(const struct sn_core_options *o, int64_t now_us)
{
    struct sn_core *c = mem_zalloc(sizeof *c);
    memcpy(c->id, o->id, sizeof c->id);
    c->port = o->port;
    for (const char *p = c->id; *p; p++)
        c->phase_us = (c->phase_us * 31 + *p) % MS(1000);
    c->globals = o->globals;
    c->globals.announce_ip = mem_strdup(o->globals.announce_ip);
    c->globals.user = mem_strdup(o->globals.user);
    c->globals.pass = mem_strdup(o->globals.pass);
    c->globals.loglevel = mem_strdup(o->globals.loglevel);
    c->params = o->params;
    rng_seed(&c->rng, o->seed);
    uint64_t k0 = rng_u64(&c->rng), k1 = rng_u64(&c->rng);
    map_init(&c->by_name, k0, k1);
    map_init(&c->nodes, k0, k1);
    map_init(&c->by_id, k0, k1);
    c->current_epoch = c->told_epoch = o->current_epoch;
    c->joined = o->joined;
    c->id_drawn = o->id_drawn;
    c->asks_veto = o->asks_veto;
    c->now_us = now_us;
    sn_list_init(c, &o->list);
    sn_pauses_read(&c->pauses, slice_of(o->pauses), now_us, o->wall_ms);
    heap_node_init(&c->housekeeping.at);
    c->housekeeping.of = SN_TIMER_CORE;
    for (size_t k = 0; k < o->ndeclared; k++) {
        c->declared = mem_array(c->declared, k + 1, sizeof *c->declared);
        c->declared[k] = o->declared[k];
        c->ndeclared = k + 1;
        sn_peer_new(c, "", &o->declared[k])->declared = true;
    }
    return c;
}

/* A vote of a former life may still lead to a promotion: nothing is known of it but that it was given. */
static void restore_vote(struct sn_group *g, const struct sn_core_group *from)
{
    struct sn_core *c = g->core;
    g->config_epoch = from->config_epoch;
    g->vote_epoch = PLANTED(1, from->vote_epoch, 0);
    if (g->config_epoch > c->current_epoch)
        c->current_epoch = g->config_epoch;
    if (g->vote_epoch > c->current_epoch)
        c->current_epoch = g->vote_epoch;
    memcpy(g->vote_leader, from->vote_leader, sizeof g->vote_leader);
    if (*from->lease_grantee)
        sn_lease_restore(&g->lease, from->lease_grantee, from->lease_max_us, from->lease_settled, c->now_us);
    g->heard = c->joined;
    if (g->vote_epoch > g->config_epoch && *g->vote_leader) {
        g->vote_lock_us = c->now_us + sn_vote_life_us(c, g);
    } else {
        g->vote_free = true;
    }
}

static void restore_members(struct sn_group *g, const struct sn_core_group *from)
{
    struct sn_core *c = g->core;
    for (size_t k = 0; k < from->nreplicas; k++) {
        if (sn_inst_find(g, &from->replicas[k]))
            continue;
        struct sn_inst *i = sn_inst_add(g, sn_node_get(c, &from->replicas[k]));
        sn_publish_inst(i, SN_LOG_NOTICE, "+slave", NULL);
    }
    for (size_t k = 0; k < from->npeers; k++) {
        const struct sn_record_peer *r = &from->peers[k];
        if (runid_cmp(r->id, c->id) == 0 || c->ndeclared)
            continue;
        struct sn_peer *p = map_gets(&c->by_id, r->id);
        if (!p)
            p = sn_peer_new(c, r->id, &r->addr);
        if (sn_seat_find(g, p))
            continue;
        struct sn_seat *s = sn_seat_get(g, p);
        s->hello_us = c->now_us;
        sn_publish_seat(s, SN_LOG_NOTICE, "+sentinel", NULL);
    }
}

bool sn_group_restore(struct sn_core *c, const struct sn_core_group *from)
{
    if (sn_group_find(c, slice_of(from->name)) || !addr_is_set(&from->master))
        return false;
    struct sn_group *g = sn_group_new(c, from->name, &from->master, from->settings);
    restore_vote(g, from);
    if (!c->joined)
        sn_meet_others(g, false);
    sn_publish_inst(g->master, SN_LOG_WARNING, "+monitor", "quorum %lld", (long long)g->set.quorum);
    restore_members(g, from);
    sn_dirty(g);
    sn_dirty_members(g);
    return true;
}

bool sn_core_add_group(struct sn_core *c, const struct sn_core_group *from, int64_t now_us, struct sn_effects *out)
{
    c->out = out;
    if (now_us > c->now_us)
        c->now_us = now_us;
    bool added = sn_group_restore(c, from);
    c->out = NULL;
    return added;
}

void sn_core_free(struct sn_core *c)
{
    struct sn_effects sink = {0};
    c->out = &sink;
    while (c->nfleets)
        sn_fleet_free(c->fleets[c->nfleets - 1]);
    while (c->ngroups)
        sn_group_free(c->groups[c->ngroups - 1]);
    while (c->npeers)
        sn_peer_remove(c->peers[c->npeers - 1]);
    for (size_t k = 0; k < c->nwaiting; k++)
        sn_pending_free(&c->waiting[k]);
    free(c->waiting);
    sn_joint_free(c);
    sn_effects_free(&sink);
    for (size_t k = 0; k < c->nextra; k++)
        sn_record_free(&c->extra[k].record);
    free(c->extra);
    free(c->fleets);
    free(c->groups);
    free(c->peers);
    free(c->declared);
    map_free(&c->by_name);
    map_free(&c->nodes);
    map_free(&c->by_id);
    idmap_free(&c->links);
    heap_free(&c->timers);
    free(c->globals.announce_ip);
    free(c->globals.user);
    free(c->globals.pass);
    free(c->globals.loglevel);
    sn_list_free(c);
    sn_pauses_free(&c->pauses);
    free(c);
}
