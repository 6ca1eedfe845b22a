/* A node: one server process, its two links, and what is asked of it when. */
#include "sentineld/core/fleet_inner.h"

#include <stdio.h>

/* Commands that may wait for an answer on one link; a node that lets more pile up is asked nothing new. */
#define PENDING_MAX 100
#define SUB_PATIENCE MS(1000)
#define SOON_PERIOD MS(10)    /* while a grant waits for the disk, or for the node's first word */
#define CATCH_PERIOD MS(2)    /* while a planned switch under leases waits for equal offsets */
#define INFO_EAGER MS(20)     /* while a coordinated switch waits for equal offsets */
#define INFO_WATCHFUL MS(100) /* while this node's own change of role is awaited */

bool sn_node_is(const struct sn_node *n, const struct addr *a)
{
    if (n->addr.port != a->port)
        return false;
    return addr_eq(&n->addr, a) || (*n->ip && strcmp(n->ip, a->host) == 0);
}

struct sn_node *sn_node_find(const struct sn_core *c, const char *host, int port)
{
    struct addr a;
    char text[ADDR_TEXT_MAX];
    if (!addr_set(&a, slice_of(host), port))
        return NULL;
    return map_gets(&c->nodes, addr_text(&a, text));
}

/* A host name's address is an alias, so that what INFO and peers say by address finds the node. */
static void alias(struct sn_node *n, bool there)
{
    struct addr a;
    char text[ADDR_TEXT_MAX];
    if (!*n->ip || !addr_set(&a, slice_of(n->ip), n->addr.port) || addr_eq(&a, &n->addr))
        return;
    addr_text(&a, text);
    struct sn_node *now = map_gets(&n->core->nodes, text);
    if (there && !now)
        map_puts(&n->core->nodes, text, n);
    if (!there && now == n)
        map_dels(&n->core->nodes, text);
}

struct sn_node *sn_node_get(struct sn_core *c, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    addr_text(a, text);
    struct sn_node *n = map_gets(&c->nodes, text);
    if (n)
        return n;
    n = mem_zalloc(sizeof *n);
    n->core = c;
    n->addr = *a;
    if (addr_is_ip(a->host))
        snprintf(n->ip, sizeof n->ip, "%.*s", SN_IP_MAX - 1, a->host);
    sn_conn_init(&n->cmd, n, SN_CONN_NODE);
    sn_conn_init(&n->sub, n, SN_CONN_NODE_SUB);
    sn_probe_init(&n->probe, c->now_us);
    sn_info_init(&n->info);
    heap_node_init(&n->timer.at);
    n->timer.of = SN_TIMER_NODE;
    n->role_us = c->now_us;
    map_puts(&c->nodes, text, n);
    sn_touch_node(n);
    return n;
}

void sn_node_release(struct sn_node *n)
{
    struct sn_fleet *f = n->fleet;
    if (!n->held && !n->seed) { /* the cluster has nothing to do with it any more */
        for (size_t k = 0; f && k < 2; k++)
            if (f->ears[k] == n)
                f->ears[k] = NULL;
        n->fleet = NULL;
        n->member = NULL;
    }
    if (n->insts || n->fleet)
        return;
    struct sn_core *c = n->core;
    char text[ADDR_TEXT_MAX];
    sn_conn_close(c, &n->cmd);
    sn_conn_close(c, &n->sub);
    alias(n, false);
    map_dels(&c->nodes, addr_text(&n->addr, text));
    heap_set(&c->timers, &n->timer.at, HEAP_NEVER);
    for (struct sn_node **p = &c->touched_nodes; *p; p = &(*p)->next_touched)
        if (*p == n) {
            *p = n->next_touched;
            break;
        }
    sn_info_free(&n->info);
    free(n->told);
    free(n);
}

int64_t sn_node_down_after_us(const struct sn_node *n)
{
    int64_t least = n->fleet ? MS(n->fleet->set.down_after_ms) : INT64_MAX;
    for (const struct sn_inst *i = n->insts; i; i = i->next_on_node)
        EARLIER(least, MS(i->group->set.down_after_ms));
    return least;
}

/* At least four probes within down-after, and never slower than ping-period. */
static int64_t ping_period(const struct sn_node *n)
{
    int64_t period = sn_node_down_after_us(n) / 4;
    EARLIER(period, MS(n->core->params.ping_period_ms));
    if (sn_node_leases(n))
        EARLIER(period, sn_lease_period(n));
    if (sn_node_leases(n) && n->lease_soon && !n->lease_asked_us)
        EARLIER(period, SOON_PERIOD);
    for (const struct sn_inst *i = n->insts; i; i = i->next_on_node)
        if (i->group->fo.step == SN_SWITCH_CATCH && i == i->group->fo.candidate)
            EARLIER(period, CATCH_PERIOD);
    return period > MS(1) ? period : MS(1);
}

/* On a grid of an eighth of the period, so that one turn of the loop sends many PINGs and reads many answers. Each
 * supervisor has a grid of its own: they do not all ask at the same moment. */
static int64_t next_ping(const struct sn_node *n, int64_t period)
{
    int64_t grid = period / 8, at = n->probe.sent_us + period;
    if (!n->probe.sent_us || !grid)
        return n->probe.sent_us ? at : 0;
    return at - (at + n->core->phase_us) % grid;
}

static int64_t inst_info_period(const struct sn_inst *i)
{
    const struct sn_group *g = i->group;
    const struct sn_params *p = &g->core->params;
    if (g->fo.step != SN_SWITCH_NONE && (i == g->fo.candidate || sn_is_master(i)))
        return INFO_EAGER;
    if (g->fo.state == SN_FO_WAIT_PROMOTION && i == g->fo.candidate)
        return INFO_WATCHFUL;
    if (i->reconf == SN_RECONF_SENT || i->reconf == SN_RECONF_INPROG)
        return INFO_WATCHFUL;
    if (g->fleet && g->fo.state == SN_FO_RECONF_SLAVES && i->reconf != SN_RECONF_DONE)
        return INFO_WATCHFUL; /* nobody tells it to follow, so nobody knows when it does */
    bool uneasy = g->master->s_down || g->fo.state != SN_FO_NONE;
    if (!sn_is_master(i) && (uneasy || (i->node->info_us && !i->node->info.master_link_up)))
        return MS(1000);
    return MS(p->info_period_ms);
}

static int64_t info_period(const struct sn_node *n)
{
    int64_t period = INT64_MAX;
    for (const struct sn_inst *i = n->insts; i; i = i->next_on_node)
        EARLIER(period, inst_info_period(i));
    EARLIER(period, MS(n->core->params.info_period_ms));
    return period;
}

/* A link that is coming up, or was lost just now and is tried again, is given a moment. */
static bool hears(const struct sn_node *master)
{
    if (master->sub.state == SN_CONN_UP)
        return true;
    if (master->cmd.state == SN_CONN_IDLE)
        return false;
    const struct sn_conn *last = master->cmd.state == SN_CONN_UP ? &master->sub : &master->cmd;
    return master->core->now_us < last->since_us + SUB_PATIENCE;
}

/* Everybody says hello on the master and on every replica, and a server passes what is published on it to its replicas:
 * one who listens to all of them hears each hello twice and more. So a replica is listened to only while its master is
 * not. Who reaches only the replica is not overheard for long: it hears us there, and says hello to us directly. */
bool sn_node_wants_sub(const struct sn_node *n)
{
    for (const struct sn_inst *i = n->insts; i; i = i->next_on_node)
        if (!i->group->fleet && (sn_is_master(i) || !hears(i->group->master->node)))
            return true;
    return n->fleet && sn_fleet_hears(n);
}

/* When hellos may be missed on its master from. */
static int64_t hears_until(const struct sn_node *n)
{
    int64_t at = HEAP_NEVER;
    for (const struct sn_inst *i = n->insts; i; i = i->next_on_node) {
        const struct sn_node *m = i->group->master->node;
        if (!i->group->fleet && m->sub.state != SN_CONN_UP)
            EARLIER(at, (m->cmd.state == SN_CONN_UP ? m->sub : m->cmd).since_us + SUB_PATIENCE);
    }
    return at;
}

/* The subscription of a replica ends when its master's has stood for a while. */
static int64_t keep_sub(struct sn_node *n)
{
    struct sn_core *c = n->core;
    bool wanted = sn_node_wants_sub(n);
    if (!wanted && n->sub.state == SN_CONN_IDLE)
        return hears_until(n);
    if (wanted)
        n->sub_spare_us = 0;
    else if (!n->sub_spare_us)
        n->sub_spare_us = c->now_us;
    int64_t next = HEAP_NEVER;
    if (n->sub.state == SN_CONN_IDLE) {
        if (c->now_us < n->sub.retry_us)
            return n->sub.retry_us;
        sn_conn_open(c, &n->sub);
    }
    if (!wanted) {
        int64_t end = n->sub_spare_us + 3 * MS(c->params.publish_period_ms);
        if (c->now_us >= end) {
            sn_conn_close(c, &n->sub);
            n->sub_spare_us = 0;
            return hears_until(n);
        }
        next = end;
        EARLIER(next, hears_until(n));
    }
    if (n->sub.state == SN_CONN_UP && !c->broken) { /* our own hello comes back on it, unless there is none to send */
        int64_t quiet = (n->sub_heard_us > n->sub.since_us ? n->sub_heard_us : n->sub.since_us) +
                        3 * MS(c->params.publish_period_ms);
        if (c->now_us >= quiet)
            sn_conn_close(c, &n->sub);
        EARLIER(next, n->sub.state == SN_CONN_UP ? quiet : n->sub.retry_us);
    }
    return next;
}

/* As long as it is not yet held for down, a node that is back in time must be seen to be back. */
static int64_t retry_at(const struct sn_node *n)
{
    int64_t span = sn_node_down_after_us(n), at = n->cmd.retry_us;
    if (n->probe.silent_us && !sn_probe_silent_for(&n->probe, span, n->core->now_us))
        EARLIER(at, n->cmd.since_us + span / 10);
    return at;
}

static int64_t keep_links(struct sn_node *n)
{
    struct sn_core *c = n->core;
    int64_t next = HEAP_NEVER;
    if (n->cmd.state == SN_CONN_IDLE) {
        if (c->now_us < retry_at(n))
            return retry_at(n);
        sn_conn_open(c, &n->cmd);
    }
    if (n->cmd.state != SN_CONN_UP)
        return next;
    next = keep_sub(n);
    /* A link may be dead without a word (the peer's host is gone, a middlebox forgot it): when half of down-after
     * passed in silence a fresh connection is tried, so that the other half can show that the node is well. */
    int64_t half = sn_node_down_after_us(n) / 2, pause = MS(c->params.min_link_reconnect_period_ms);
    int64_t mend = n->probe.silent_us + half;
    if (n->probe.silent_us && mend < n->cmd.since_us + half)
        mend = n->cmd.since_us + half;
    if (n->probe.silent_us && n->probe.broken_us && mend < n->probe.broken_us + pause)
        mend = n->probe.broken_us + pause;
    if (n->probe.silent_us && c->now_us >= mend) {
        n->probe.broken_us = c->now_us;
        n->cmd.backoff_us = 0;
        sn_conn_close(c, &n->cmd);
        n->pending = 0;
        n->info_sent_us = n->nodes_sent_us = 0;
        n->known = n->asserted = n->unanswered = false;
        sn_publish_core(c, SN_LOG_DEBUG, "-cmd-link-reconnection", "%s:%d #silent", n->addr.host, n->addr.port);
        sn_conn_open(c, &n->cmd);
    } else if (n->probe.silent_us) {
        EARLIER(next, mend);
    }
    return next;
}

/* A LEASE waits for the answer to the one before: its stamp is to be as old as the request that it came with. */
static void ask_if_alive(struct sn_node *n)
{
    if (sn_node_leases(n) && !n->lease_asked_us) {
        sn_lease_ask(n);
        return;
    }
    if (sn_node_leases(n) && n->told) {
        sn_probe_sent(&n->probe, n->core->now_us);
        return;
    }
    sn_send(n->core, &n->cmd, SN_CMD_PING);
    n->pending++;
    sn_probe_sent(&n->probe, n->core->now_us);
}

static int64_t send_periodic(struct sn_node *n)
{
    struct sn_core *c = n->core;
    if (n->cmd.state != SN_CONN_UP)
        return HEAP_NEVER;
    int64_t period = ping_period(n);
    if (n->pending >= PENDING_MAX)
        return c->now_us + period;
    int64_t ping = next_ping(n, period);
    int64_t info = n->info_now && !n->info_sent_us ? c->now_us : n->info_asked_us + info_period(n);
    if (n->info_sent_us)
        info += MS(1000);
    int64_t nodes = sn_node_nodes_due(n);
    int64_t hello = n->hello_us + MS(c->params.publish_period_ms);
    int64_t first = ping;
    EARLIER(first, info);
    EARLIER(first, hello);
    EARLIER(first, nodes);
    if (c->now_us < first)
        return first;
    /* What would be due before long goes along: it costs one write for all, and one reading at the other end. */
    int64_t soon = c->now_us + period / 2;
    if (soon >= ping) {
        ask_if_alive(n);
        ping = next_ping(n, period);
    }
    if ((n->info_sent_us ? c->now_us : soon) >= info) {
        sn_send(c, &n->cmd, SN_CMD_INFO);
        n->pending++;
        n->info_now = false;
        n->info_sent_us = n->info_asked_us = c->now_us;
        info = HEAP_NEVER;
    }
    if (c->now_us >= nodes) {
        sn_send(c, &n->cmd, SN_CMD_NODES);
        n->pending++;
        n->nodes_now = false;
        n->nodes_sent_us = c->now_us;
        nodes = HEAP_NEVER;
    }
    if (soon >= hello) {
        sn_greet_node(n);
        hello = c->now_us + MS(c->params.publish_period_ms);
    }
    EARLIER(ping, info);
    EARLIER(ping, hello);
    EARLIER(ping, nodes);
    return ping;
}

void sn_node_evaluate(struct sn_node *n)
{
    int64_t next = keep_links(n);
    n->calm = true;
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node) {
        EARLIER(next, sn_inst_judge(i));
        EARLIER(next, sn_inst_repair(i));
        EARLIER(next, sn_inst_accept(i));
        n->calm = n->calm && !i->s_down && !i->master_reboot;
    }
    EARLIER(next, send_periodic(n));
    heap_set(&n->core->timers, &n->timer.at, next);
}

static void touch_groups(struct sn_node *n)
{
    if (n->fleet)
        sn_touch_fleet(n->fleet);
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node)
        sn_touch_group(i->group);
}

/* Whether they are listened to depends on their master. */
static void look_at_replicas(struct sn_node *n)
{
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node)
        for (size_t k = 0; sn_is_master(i) && k < i->group->ninsts; k++)
            sn_touch_node(i->group->insts[k]->node);
}

void sn_node_up(struct sn_node *n, struct sn_conn *conn, const char *ip, const char *local_ip)
{
    sn_conn_came(n->core, conn);
    sn_touch_node(n);
    if (conn == &n->sub) {
        n->sub_heard_us = n->core->now_us;
        look_at_replicas(n);
        return;
    }
    if (ip && strcmp(ip, n->ip) != 0) {
        alias(n, false);
        snprintf(n->ip, sizeof n->ip, "%s", ip);
        alias(n, true);
    }
    if (local_ip)
        snprintf(n->local_ip, sizeof n->local_ip, "%s", local_ip);
    n->pending = 0;
    n->nodes_sent_us = 0;
    n->known = n->asserted = n->unanswered = false;
    n->info_sent_us = 0;
    n->info_now = true; /* a restarted master may be empty */
    sn_lease_link(n);
    if (n->fleet && !sn_node_leases(n))
        n->nodes_now = true; /* who is there now? LEASE tells it too */
    n->probe.sent_us = 0;
    n->hello_us = 0;
    touch_groups(n);
}

void sn_node_down(struct sn_node *n, struct sn_conn *conn, enum sn_down_why why)
{
    sn_conn_lost(n->core, conn, why);
    sn_touch_node(n);
    if (conn == &n->sub) {
        look_at_replicas(n);
        return;
    }
    n->pending = 0;
    n->info_sent_us = n->nodes_sent_us = 0;
    n->known = n->asserted = n->unanswered = false;
    if (n->fleet)
        sn_touch_fleet(n->fleet);
    sn_probe_lost(&n->probe, n->core->now_us);
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node) {
        sn_touch_group(i->group);
        /* What its replicas hold, and up to where, is final now: it decides about a master that is reborn empty. */
        if (sn_is_master(i))
            sn_group_info_now(i->group);
    }
}

/* Nothing hangs on this answer but that the node lives: no deadline comes nearer by it, so the node need not be looked
 * at again. That is so nearly always, hundreds of times a second. */
static bool changes_nothing(const struct sn_node *n, enum sn_pong pong)
{
    return n->calm && pong == SN_PONG_OK && n->probe.last == SN_PONG_OK && !n->cmd.auth_failed &&
           n->pending < PENDING_MAX;
}

void sn_node_pong(struct sn_node *n, enum sn_pong pong)
{
    bool quiet = changes_nothing(n, pong);
    if (n->pending)
        n->pending--;
    sn_probe_answered(&n->probe, pong, n->core->now_us);
    if (quiet)
        return;
    n->cmd.auth_failed = pong == SN_PONG_AUTH;
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node) {
        if (pong == SN_PONG_OK)
            i->master_reboot = false;
        /* A script that runs without end holds the node: stock asks once to have it killed. */
        if (pong == SN_PONG_BUSY && i->s_down && !i->script_kill_sent && n->cmd.state == SN_CONN_UP) {
            sn_send(n->core, &n->cmd, SN_CMD_SCRIPT_KILL);
            n->pending++;
            i->script_kill_sent = true;
        }
        if (pong == SN_PONG_OK)
            i->script_kill_sent = false;
    }
    sn_touch_node(n);
}
