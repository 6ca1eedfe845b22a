/* A coordinated failover moves a healthy master without losing a write that it acknowledged: writes are paused on the
 * old one, the replica catches up, then they change places. The server's own FAILOVER does all of that where it is
 * there; elsewhere CLIENT PAUSE WRITE and a comparison of offsets do. What cannot be done in time is undone, and the
 * old master goes on. */
#include "common/base/text.h"
#include "sentineld/core/fleet_inner.h"

#define PAUSE_MAX MS(10000)
/* The masters of a cluster vote for a shard once in twice the node timeout, which nobody tells us. Who asks sooner
 * waits in vain, with the writes. */
#define CLUSTER_PAUSE MS(60000)
#define CLUSTER_MAX MS(5000) /* a cluster's node gives its own planned switch up after this */
#define REGRANT_MAX MS(100)  /* then the promoted one waits for the ends of what the others had granted */
#define GRACE MS(1000)       /* for the server to say how its own FAILOVER ended */

static struct sn_node *old_master(const struct sn_group *g)
{
    return g->master->node;
}

/* No promotion so near to the pause's end (SAFETY E9). */
static int64_t margin_us(const struct sn_group *g)
{
    int64_t margin = sn_ballot_life_us(g->core, g) / 2;
    EARLIER(margin, MS(500));
    EARLIER(margin, MS(g->set.down_after_ms) / 8);
    return margin;
}

/* As long as the voters hold their grants for us, less the margin: by then it has happened, or it never does (SAFETY
 * E7). A paused server lets a client that publishes (PUBLISH spreads to replicas) wait, and reads nothing more from it:
 * the hello of a supervisor makes it look silent there. Ours hold theirs back while they have a vote out for a planned
 * switch; one of stock does not, so then the pause ends before down-after does. */
static int64_t pause_us(const struct sn_group *g)
{
    const struct sn_core *c = g->core;
    int64_t span = g->fo.start_us + sn_vote_life_us(c, g) - c->now_us;
    EARLIER(span, PAUSE_MAX);
    for (size_t k = 0; k < g->nseats; k++)
        if (g->seats[k]->peer->kind != SN_PEER_OURS)
            EARLIER(span, MS(g->set.down_after_ms) / 2);
    return span > MS(1) ? span : MS(1);
}

bool sn_switch_is_planned(const struct sn_group *g)
{
    bool own = g->fo.coordinated && g->fo.state < SN_FO_RECONF_SLAVES;
    return own || (g->vote_planned && sn_vote_locked(g) && !g->master->s_down);
}

static struct sn_effect *tell(struct sn_group *g, enum sn_command command)
{
    struct sn_node *n = old_master(g);
    n->pending++;
    n->info_now = true;
    sn_touch_node(n);
    return sn_send(g->core, &n->cmd, command);
}

static void begin_pause(struct sn_group *g)
{
    struct sn_effect *e = tell(g, SN_CMD_PAUSE);
    e->number = pause_us(g) / 1000;
    e->flag = true;
    g->fo.paused = true;
    g->fo.step = SN_SWITCH_PAUSE;
    g->fo.pause_end_us = g->core->now_us + pause_us(g);
    sn_touch_group(g);
}

static void begin_server(struct sn_group *g, int64_t span_us)
{
    g->fo.step = SN_SWITCH_SERVER;
    g->fo.pause_end_us = g->core->now_us + span_us;
    g->fo.sent = true;
    g->fo.at.sent_us = g->core->now_us;
    sn_failover_state(g, SN_FO_WAIT_PROMOTION);
}

static bool cluster_would_vote(const struct sn_group *g)
{
    int64_t changed = g->shard->changed_us;
    return sn_cluster_is_well(g->fleet) && (!changed || g->core->now_us >= changed + CLUSTER_PAUSE);
}

/* The replica and its master do it between them, with the votes of the cluster's masters; without a majority of those
 * the pause and a promotion as of a dead master's replica come to the same. */
static void begin_in_cluster(struct sn_group *g)
{
    int64_t span = pause_us(g);
    EARLIER(span, CLUSTER_MAX);
    sn_cluster_failover(g);
    old_master(g)->info_now = true;
    begin_server(g, span);
}

/* Under leases (SAFETY E9): the master gives its lease back, so that it takes no write any more whatever becomes of us,
 * and the voters grant anew, without waiting for the end of what they had granted to it. */
static void begin_return(struct sn_group *g)
{
    sn_lease_return(g);
    g->fo.step = SN_SWITCH_RETURN;
    g->fo.pause_end_us = g->core->now_us + pause_us(g);
    sn_touch_group(g);
}

void sn_coordinated_returned(struct sn_inst *i)
{
    struct sn_group *g = i->group;
    if (!sn_is_master(i) || g->fo.step != SN_SWITCH_RETURN)
        return;
    sn_lease_returned_by(i);
    i->node->info.repl_offset = i->node->told->offset;
    i->node->info_us = g->core->now_us;
    g->fo.step = SN_SWITCH_CATCH;
    g->fo.state_us = g->core->now_us - 1;
    for (size_t k = 0; k < g->nseats; k++) {
        g->seats[k]->regranted = false;
        g->seats[k]->want_returned = true;
        sn_want(g->seats[k]);
    }
    sn_touch_node(g->fo.candidate->node);
    sn_touch_group(g);
}

static bool regranted(const struct sn_group *g)
{
    int n = 1;
    for (size_t k = 0; k < g->nseats; k++)
        n += g->seats[k]->regranted;
    return n >= sn_votes_needed(g);
}

void sn_coordinated_begin(struct sn_group *g)
{
    struct sn_node *n = old_master(g);
    if (n->cmd.state != SN_CONN_UP || g->master->s_down) {
        sn_failover_abort(g, "-failover-abort-master-not-reachable");
        return;
    }
    if (sn_lease_promotes(g->fo.candidate) && n->told) {
        begin_return(g);
        return;
    }
    /* One under leases takes no CLUSTER FAILOVER; its master, a stock node, has no lease to give back. */
    if (g->fleet ? !cluster_would_vote(g) || sn_lease_promotes(g->fo.candidate) : !n->info.failover_known) {
        begin_pause(g);
        return;
    }
    if (g->fleet) {
        begin_in_cluster(g);
        return;
    }
    struct sn_effect *e = tell(g, SN_CMD_FAILOVER);
    e->addr = sn_shown_addr(g->core, g->fo.candidate->node);
    e->number = pause_us(g) / 1000;
    begin_server(g, pause_us(g));
}

void sn_coordinated_ack(struct sn_group *g, enum sn_command command, bool ok, struct slice text)
{
    if (command == SN_CMD_LEASE_RETURN && g->fo.step == SN_SWITCH_RETURN && !ok) {
        g->fo.step = SN_SWITCH_NONE;
        g->fo.coordinated = false;
        sn_failover_abort(g, "-failover-abort-refused");
    } else if (command == SN_CMD_CLUSTER_FAILOVER && g->fo.step == SN_SWITCH_SERVER && !ok) {
        g->fo.sent = false;
        sn_failover_abort(g, "-failover-abort-refused");
    } else if (command == SN_CMD_FAILOVER && g->fo.step == SN_SWITCH_SERVER && !ok) {
        struct slice word = text;
        bool lacks_it = slice_ieq(slice_cut(&word, ' '), "ERR") && slice_ieq(slice_cut(&word, ' '), "unknown");
        g->fo.sent = false;
        if (lacks_it) {
            g->fo.state = SN_FO_SEND_SLAVEOF_NOONE;
            begin_pause(g); /* the command was renamed away */
        } else {
            sn_failover_abort(g, "-failover-abort-refused");
        }
    } else if (command == SN_CMD_PAUSE && g->fo.step == SN_SWITCH_PAUSE) {
        if (!ok) {
            g->fo.step = SN_SWITCH_NONE; /* nothing was paused */
            g->fo.coordinated = false;
            sn_failover_abort(g, "-failover-abort-refused");
            return;
        }
        g->fo.step = SN_SWITCH_DRAIN;
        g->fo.state_us = g->core->now_us; /* only INFO from now on counts: no write came after it */
        sn_group_info_now(g);
        sn_touch_group(g);
    }
}

/* The master's offset is read first, then the replica's: equal then means that nothing is missing. */
static bool drained(const struct sn_group *g)
{
    const struct sn_node *m = old_master(g), *r = g->fo.candidate->node;
    bool same_data = *m->info.replid && runid_cmp(m->info.replid, r->info.replid) == 0;
    return same_data && sn_follows(g->fo.candidate, m) && m->info_us > g->fo.state_us && r->info_us > g->fo.state_us &&
           m->info.repl_offset >= 0 && r->info.repl_offset >= m->info.repl_offset && r->info.role == SN_ROLE_REPLICA &&
           r->info.master_link_up;
}

static int64_t watch_server(struct sn_group *g)
{
    const struct sn_core *c = g->core;
    const struct sn_node *m = old_master(g);
    bool gave_up = !g->fleet && m->info_us > g->fo.state_us + MS(100) && m->info.role == SN_ROLE_MASTER &&
                   !m->info.failover_running;
    if (gave_up || g->master->s_down || c->now_us >= g->fo.pause_end_us + GRACE) {
        sn_failover_abort(g, "-failover-abort-slave-timeout");
        return HEAP_NEVER;
    }
    return g->fo.pause_end_us + GRACE;
}

int64_t sn_coordinated_advance(struct sn_group *g)
{
    const struct sn_core *c = g->core;
    if (g->fo.step == SN_SWITCH_SERVER)
        return watch_server(g);
    bool late = c->now_us >= g->fo.pause_end_us - margin_us(g);
    if (g->fo.step == SN_SWITCH_DRAIN && !late && drained(g)) {
        sn_promote(g);
        return c->now_us;
    }
    if (g->fo.step == SN_SWITCH_CATCH && !late && drained(g)) {
        if (regranted(g) || c->now_us >= g->fo.state_us + REGRANT_MAX) {
            sn_promote(g);
            return c->now_us;
        }
        return g->fo.state_us + REGRANT_MAX;
    }
    bool promoted = g->fo.inherited && g->fo.candidate->node->info.role == SN_ROLE_MASTER; /* by who led before us */
    if (late || promoted || g->master->s_down || g->fo.candidate->s_down) {
        sn_failover_abort(g, "-failover-abort-slave-timeout");
        return HEAP_NEVER;
    }
    return g->fo.pause_end_us - margin_us(g);
}

void sn_coordinated_undo(struct sn_group *g)
{
    if (old_master(g)->cmd.state != SN_CONN_UP)
        return;
    if (g->fo.step == SN_SWITCH_SERVER && old_master(g)->info.failover_running)
        tell(g, SN_CMD_FAILOVER_ABORT);
    if (g->fo.step == SN_SWITCH_PAUSE || g->fo.step == SN_SWITCH_DRAIN)
        tell(g, SN_CMD_UNPAUSE);
    if (g->fo.step == SN_SWITCH_CATCH)
        g->unleased_us = 1; /* long ago: it has given its lease back, and gets another by a ballot at once */
    g->fo.step = SN_SWITCH_NONE;
}
