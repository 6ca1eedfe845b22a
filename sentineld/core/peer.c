/* A peer: another supervisor, with one link whatever number of groups we share; and its seats in them. */
#include "sentineld/core/fleet_inner.h"
#include "sentineld/core/swap_inner.h"

#include <stdio.h>

#define PENDING_MAX 10000 /* commands that may wait for an answer: hellos of thousands of groups among them */

struct sn_peer *sn_peer_new(struct sn_core *c, const char *id, const struct addr *a)
{
    struct sn_peer *p = mem_zalloc(sizeof *p);
    p->core = c;
    snprintf(p->id, sizeof p->id, "%s", id);
    p->addr = *a;
    sn_conn_init(&p->cmd, p, SN_CONN_PEER);
    sn_probe_init(&p->probe, c->now_us);
    heap_node_init(&p->timer.at);
    p->timer.of = SN_TIMER_PEER;
    c->peers = mem_grow(c->peers, c->npeers, &c->cap_peers, sizeof(struct sn_peer *));
    c->peers[c->npeers++] = p;
    if (*p->id)
        map_puts(&c->by_id, p->id, p);
    sn_touch_peer(p);
    return p;
}

void sn_peer_remove(struct sn_peer *p)
{
    struct sn_core *c = p->core;
    while (p->seats)
        sn_seat_remove(p->seats);
    sn_joint_forget(p);
    sn_conn_close(c, &p->cmd);
    heap_set(&c->timers, &p->timer.at, HEAP_NEVER);
    if (*p->id)
        map_dels(&c->by_id, p->id);
    for (size_t k = 0; k < c->npeers; k++)
        if (c->peers[k] == p) {
            memmove(&c->peers[k], &c->peers[k + 1], (c->npeers - k - 1) * sizeof(struct sn_peer *));
            c->npeers--;
            break;
        }
    for (struct sn_peer **t = &c->touched_peers; *t; t = &(*t)->next_touched)
        if (*t == p) {
            *t = p->next_touched;
            break;
        }
    free(p);
}

void sn_peer_rename(struct sn_peer *p, const char *id)
{
    struct sn_core *c = p->core;
    if (*p->id)
        map_dels(&c->by_id, p->id);
    snprintf(p->id, sizeof p->id, "%s", id);
    map_puts(&c->by_id, p->id, p);
    for (struct sn_seat *s = p->seats; s; s = s->next_on_peer) {
        s->vote_leader[0] = '\0';
        s->vote_epoch = 0;
        sn_dirty_members(s->group);
    }
}

struct sn_seat *sn_seat_find(const struct sn_group *g, const struct sn_peer *p)
{
    for (size_t k = 0; k < g->nseats; k++)
        if (g->seats[k]->peer == p)
            return g->seats[k];
    return NULL;
}

struct sn_seat *sn_seat_get(struct sn_group *g, struct sn_peer *p)
{
    struct sn_seat *s = sn_seat_find(g, p);
    if (s)
        return s;
    s = mem_zalloc(sizeof *s);
    s->group = g;
    s->peer = p;
    s->next_on_peer = p->seats;
    p->seats = s;
    p->span_us = 0;
    s->listed = true;
    g->seats = mem_grow(g->seats, g->nseats, &g->cap_seats, sizeof(struct sn_seat *));
    g->seats[g->nseats++] = s;
    sn_touch_peer(p);
    sn_touch_group(g);
    return s;
}

void sn_seat_remove(struct sn_seat *s)
{
    struct sn_group *g = s->group;
    struct sn_peer *p = s->peer;
    for (size_t k = 0; k < g->nseats; k++)
        if (g->seats[k] == s) {
            memmove(&g->seats[k], &g->seats[k + 1], (g->nseats - k - 1) * sizeof(struct sn_seat *));
            g->nseats--;
            break;
        }
    for (struct sn_seat **t = &p->seats; *t; t = &(*t)->next_on_peer)
        if (*t == s) {
            *t = s->next_on_peer;
            break;
        }
    if (s->wanting) {
        struct sn_seat *last = NULL;
        for (struct sn_seat **t = &p->wants; *t;) {
            if (*t == s)
                *t = s->next_wanting;
            else
                last = *t, t = &(*t)->next_wanting;
        }
        p->wants_last = last;
    }
    if (s->s_down)
        p->ndown--;
    sn_touch_group(g);
    free(s);
}

/* The shortest down-after of the groups we share; the built-in default while we share none. They may be thousands, so
 * they are looked at once a second. */
static int64_t down_after(struct sn_peer *p)
{
    if (!p->seats)
        return MS(p->core->params.default_down_after_ms);
    if (p->span_us && p->core->now_us < p->span_at_us + MS(1000))
        return p->span_us;
    p->span_us = INT64_MAX;
    p->span_at_us = p->core->now_us;
    for (const struct sn_seat *s = p->seats; s; s = s->next_on_peer)
        EARLIER(p->span_us, MS(s->group->set.down_after_ms));
    return p->span_us;
}

static int64_t judge_seats(struct sn_peer *p)
{
    int64_t now = p->core->now_us, next = HEAP_NEVER;
    for (struct sn_seat *s = p->seats; s; s = s->next_on_peer) {
        int64_t at = p->probe.silent_us ? p->probe.silent_us + MS(s->group->set.down_after_ms) : HEAP_NEVER;
        bool down = now >= at;
        if (!down)
            EARLIER(next, at);
        if (down == s->s_down || !*p->id)
            continue;
        s->s_down = down;
        if (down)
            s->s_down_us = now;
        p->ndown += down ? 1 : -1;
        sn_publish_seat(s, SN_LOG_WARNING, down ? "+sdown" : "-sdown", NULL);
        sn_touch_group(s->group);
    }
    return next;
}

/* What it led may be ours to finish. */
static void touch_its_ballots(struct sn_peer *p)
{
    for (struct sn_seat *s = p->seats; s; s = s->next_on_peer)
        if (sn_vote_locked(s->group))
            sn_touch_group(s->group);
}

static int64_t keep_link(struct sn_peer *p, int64_t span)
{
    struct sn_core *c = p->core;
    if (!addr_is_set(&p->addr))
        return HEAP_NEVER; /* another supervisor lives there now */
    if (p->cmd.state == SN_CONN_IDLE) {
        if (c->now_us < p->cmd.retry_us)
            return p->cmd.retry_us;
        sn_conn_open(c, &p->cmd);
    }
    if (p->cmd.state != SN_CONN_UP || !p->probe.silent_us)
        return HEAP_NEVER;
    /* As with nodes: a link that is dead without a word is opened anew when half of down-after has passed. */
    int64_t at = p->probe.silent_us > p->cmd.since_us ? p->probe.silent_us : p->cmd.since_us;
    at += span / 2;
    if (p->probe.broken_us && at < p->probe.broken_us + MS(c->params.min_link_reconnect_period_ms))
        at = p->probe.broken_us + MS(c->params.min_link_reconnect_period_ms);
    if (c->now_us < at)
        return at;
    p->probe.broken_us = c->now_us;
    sn_conn_close(c, &p->cmd);
    sn_ask_forget(p);
    sn_conn_open(c, &p->cmd);
    touch_its_ballots(p);
    return HEAP_NEVER;
}

void sn_peer_evaluate(struct sn_peer *p)
{
    struct sn_core *c = p->core;
    int64_t span = down_after(p);
    int64_t next = keep_link(p, span);
    if (p->cmd.state == SN_CONN_UP && p->pending < PENDING_MAX) {
        int64_t period = span / 4 > MS(1) ? span / 4 : MS(1);
        EARLIER(period, MS(c->params.ping_period_ms));
        int64_t ping = p->probe.sent_us + period, hello = p->hello_sent_us + MS(c->params.publish_period_ms);
        if (c->now_us >= ping) {
            sn_send(c, &p->cmd, SN_CMD_PING);
            p->pending++;
            sn_probe_sent(&p->probe, c->now_us);
            ping = c->now_us + period;
        }
        if (c->now_us >= hello) {
            sn_greet_peer(p);
            hello = c->now_us + MS(c->params.publish_period_ms);
        }
        EARLIER(next, ping);
        EARLIER(next, hello);
    }
    /* The seats are looked at only when there may be something to see: a thousand of them per answered PING would be
     * dear. */
    if (p->ndown || sn_probe_silent_for(&p->probe, span, c->now_us))
        EARLIER(next, judge_seats(p));
    else if (p->probe.silent_us)
        EARLIER(next, p->probe.silent_us + span);
    heap_set(&c->timers, &p->timer.at, next);
}

void sn_peer_up(struct sn_peer *p, const char *ip)
{
    struct sn_core *c = p->core;
    sn_conn_came(c, &p->cmd);
    if (ip)
        snprintf(p->ip, sizeof p->ip, "%s", ip);
    p->pending = 0;
    p->batches = 0;
    p->probe.sent_us = 0;
    p->hello_sent_us = 0;
    p->rounds = 0;
    struct sn_effect *e = sn_send(c, &p->cmd, SN_CMD_PROBE);
    e->text = mem_strdup(c->id);
    e->epoch = c->told_epoch;
    /* What it was asked on the old link may never have arrived. */
    for (struct sn_seat *s = p->seats; s; s = s->next_on_peer) {
        s->asked_us = 0;
        if (s->group->fo.state == SN_FO_WAIT_START && s->group->fo.own_vote) {
            s->want_vote = true;
            sn_want(s);
        }
        if (s->group->master->s_down)
            sn_touch_group(s->group);
    }
    sn_touch_peer(p);
}

void sn_peer_down(struct sn_peer *p, enum sn_down_why why)
{
    sn_conn_lost(p->core, &p->cmd, why);
    sn_swap_lost(p);
    sn_ask_forget(p);
    sn_probe_lost(&p->probe, p->core->now_us);
    sn_touch_peer(p);
    touch_its_ballots(p);
}

void sn_peer_pong(struct sn_peer *p, enum sn_pong pong)
{
    if (p->pending)
        p->pending--;
    sn_probe_answered(&p->probe, pong, p->core->now_us);
    p->cmd.auth_failed = pong == SN_PONG_AUTH;
    sn_touch_peer(p);
}
