/* From the election to the new configuration. Every state is left by a fact (a vote, an answer, an INFO) or by its
 * deadline; none waits for a tick. */
#include "sentineld/core/fleet_inner.h"

#define PAUSE MS(100) /* between attempts under leases */

const char *sn_fo_state_name(enum sn_fo_state s)
{
    static const char *const names[] = {
        [SN_FO_NONE] = "none",
        [SN_FO_WAIT_START] = "wait_start",
        [SN_FO_SELECT_SLAVE] = "select_slave",
        [SN_FO_SEND_SLAVEOF_NOONE] = "send_slaveof_noone",
        [SN_FO_WAIT_PROMOTION] = "wait_promotion",
        [SN_FO_RECONF_SLAVES] = "reconf_slaves",
    };
    return names[s];
}

/* The one door of failover states, each with its event. */
void sn_failover_state(struct sn_group *g, enum sn_fo_state s)
{
    g->fo.state = s;
    g->fo.state_us = g->core->now_us;
    switch (s) {
    case SN_FO_SELECT_SLAVE: sn_publish_inst(g->master, SN_LOG_WARNING, "+failover-state-select-slave", NULL); break;
    case SN_FO_SEND_SLAVEOF_NOONE:
        sn_publish_inst(g->fo.candidate, SN_LOG_NOTICE, "+failover-state-send-slaveof-noone", NULL);
        break;
    case SN_FO_WAIT_PROMOTION:
        sn_publish_inst(g->fo.candidate, SN_LOG_NOTICE, "+failover-state-wait-promotion", NULL);
        break;
    case SN_FO_RECONF_SLAVES: sn_publish_inst(g->master, SN_LOG_WARNING, "+failover-state-reconf-slaves", NULL); break;
    default: break;
    }
    sn_touch_group(g);
}

static bool can_promote(const struct sn_inst *i)
{
    return i && i->node->cmd.state == SN_CONN_UP && !i->node->cmd.auth_failed && !i->s_down;
}

void sn_failover_elected(struct sn_group *g)
{
    struct sn_core *c = g->core;
    sn_publish_inst(g->master, SN_LOG_WARNING, "+elected-leader", NULL);
    g->fo.at.elected_us = c->now_us;
    sn_account_ballot(g, SN_NOTE_WON, "");
    if (c->crash & SN_CRASH_AFTER_ELECTION) {
        sn_emit(c, SN_FX_EXIT)->number = 99;
        return;
    }
    g->lost_rounds = 0;
    sn_failover_state(g, SN_FO_SELECT_SLAVE);
    /* The ballot named it. If it went away in these milliseconds another ballot names another. */
    if (!can_promote(g->fo.candidate)) {
        sn_election_lose(g, "-failover-abort-no-good-slave");
        return;
    }
    if (!g->fo.incumbent)
        sn_publish_inst(g->fo.candidate, SN_LOG_WARNING, "+selected-slave", NULL);
    sn_failover_state(g, SN_FO_SEND_SLAVEOF_NOONE);
    if (c->asks_veto && !g->fo.incumbent)
        sn_consent_ask(g);
    else
        sn_failover_go_on(g);
}

void sn_failover_go_on(struct sn_group *g)
{
    if (g->fo.coordinated)
        sn_coordinated_begin(g);
    else
        sn_promote(g);
}

static void send_replicaof(struct sn_node *n, const struct addr *to)
{
    struct sn_effect *e = sn_send(n->core, &n->cmd, SN_CMD_REPLICAOF);
    if (to)
        e->addr = *to;
    n->pending++;
    /* Its INFO follows on the same link, so it shows the new role. */
    n->info_sent_us = 0;
    n->info_now = true;
    sn_touch_node(n);
}

void sn_promote(struct sn_group *g)
{
    g->fo.repeats += g->fo.sent;
    g->fo.sent = true;
    g->fo.at.sent_us = g->core->now_us;
    g->fo.step = SN_SWITCH_NONE;
    if (g->fleet)
        sn_takeover(g);
    else
        send_replicaof(g->fo.candidate->node, NULL);
    sn_failover_state(g, SN_FO_WAIT_PROMOTION);
}

void sn_follow(struct sn_inst *i)
{
    if (i->group->fleet) {
        sn_replicate(i);
        return;
    }
    struct addr to = sn_shown_addr(i->group->core, i->group->master->node);
    send_replicaof(i->node, &to);
}

void sn_failover_drop(struct sn_group *g)
{
    if (g->fo.state == SN_FO_NONE)
        return;
    sn_coordinated_undo(g);
    if (g->fo.state < SN_FO_RECONF_SLAVES && !g->fo.sent)
        for (size_t k = 0; k < g->nseats; k++) { /* nothing was sent: the grants are free again */
            g->seats[k]->want_cancel = g->fo.epoch;
            sn_want(g->seats[k]);
        }
    g->vote_free = true;
    if (!g->fo.sent && g->vote_epoch == g->fo.epoch && !g->vote_void) {
        g->vote_void = true;
        sn_lease_cancelled(g);
    }
    memset(&g->fo, 0, sizeof g->fo);
    sn_touch_group(g);
}

/* Where a promotion may have been sent, the next attempt comes late, as in stock, unless a configuration says that all
 * is well. Under leases whoever got it writes by grants only, for whose end the next one waits anyway; and what its
 * replicas know of a dead master is good for some times of the node timeout only. */
void sn_failover_abort(struct sn_group *g, const char *event)
{
    sn_publish_inst(g->master, SN_LOG_WARNING, event, NULL);
    sn_account_aborted(g, event + strlen("-failover-abort-"));
    bool late = g->fo.sent || !g->fo.forced;
    if (late && !sn_lease_ttl(g))
        g->next_attempt_us = g->fo.start_us + 2 * MS(g->set.failover_timeout_ms);
    else if (late || g->fo.inherited)
        g->next_attempt_us = g->core->now_us + PAUSE;
    sn_failover_drop(g);
}

void sn_publish_slaves(struct sn_group *g)
{
    for (size_t k = 0; k < g->ninsts; k++)
        if (!sn_is_master(g->insts[k]) && g->insts[k]->listed)
            sn_publish_inst(g->insts[k], SN_LOG_NOTICE, "+slave", NULL);
}

static void promoted(struct sn_group *g)
{
    struct sn_core *c = g->core;
    struct sn_inst *new_master = g->fo.candidate;
    struct addr from = g->fo.from, to = sn_shown_addr(c, new_master->node);
    uint64_t epoch = g->fleet && !g->fo.took ? sn_takeover_epoch(g) : g->fo.epoch;
    if (epoch <= g->config_epoch) { /* somebody's configuration is newer than our ballot */
        sn_failover_abort(g, "-failover-abort-not-elected");
        return;
    }
    sn_publish_inst(new_master, SN_LOG_WARNING, g->fo.incumbent ? "+master-confirmed" : "+promoted-slave", NULL);
    g->fo.at.promoted_us = c->now_us;
    sn_account_promoted(g);
    if (c->crash & SN_CRASH_AFTER_PROMOTION) {
        sn_emit(c, SN_FX_EXIT)->number = 99;
        return;
    }
    sn_failover_state(g, SN_FO_RECONF_SLAVES);
    if (!g->fo.incumbent)
        sn_reconfig_script(g, "leader", &from, &to);
    g->fo.step = SN_SWITCH_NONE;
    g->fo.config_epoch = epoch;
    sn_group_switch(g, new_master, epoch);
    g->announce = !g->fo.incumbent;
    g->announce_from = from;
    struct sn_pending *w = sn_wait(c, g->config_seq);
    w->is_config = true;
    w->group = g;
}

void sn_config_durable(struct sn_group *g)
{
    struct addr to = sn_current_master(g);
    if (g->announce)
        sn_publish_group(g, SN_LOG_WARNING, "+switch-master", "%s %s %d %s %d", g->name, g->announce_from.host,
                         g->announce_from.port, to.host, to.port);
    if (g->announce)
        sn_account_switched(g);
    if (g->announce)
        sn_publish_slaves(g);
    g->announce = false;
    sn_greet_about(g);
    sn_touch_group(g); /* now the others may follow */
}

static bool confirmed(const struct sn_group *g)
{
    const struct sn_node *n = g->fo.candidate->node;
    if (g->fleet)
        return sn_takeover_confirmed(g);
    return n->info.role == SN_ROLE_MASTER && n->info_us >= g->fo.state_us && n->info_us > g->fo.start_us;
}

int64_t sn_failover_advance(struct sn_group *g)
{
    struct sn_core *c = g->core;
    if (g->fo.state != SN_FO_SEND_SLAVEOF_NOONE && g->fo.state != SN_FO_WAIT_PROMOTION)
        return HEAP_NEVER;
    const struct sn_inst *i = g->fo.candidate;
    if (confirmed(g)) {
        promoted(g);
        return c->now_us;
    }
    if (g->fo.asking)
        return sn_consent_advance(g);
    if (g->fo.step != SN_SWITCH_NONE)
        return sn_coordinated_advance(g);
    /* The link broke after the promotion had left, and the node still is a replica: it never arrived. */
    if (i->node->cmd.since_us > g->fo.state_us && i->node->cmd.state == SN_CONN_UP &&
        i->node->info_us > i->node->cmd.since_us && i->node->info.role != SN_ROLE_MASTER) {
        /* The master may be well again, and we may have voted for somebody who stands above our ballot. */
        bool wanted = (g->fo.forced || g->o_down) && g->vote_epoch == g->fo.epoch;
        if (wanted && c->now_us < g->fo.start_us + sn_ballot_life_us(c, g))
            sn_promote(g);
        else
            sn_failover_abort(g, "-failover-abort-slave-timeout");
        return c->now_us;
    }
    int64_t end = g->fo.state_us + MS(g->set.failover_timeout_ms);
    if (c->now_us >= end || i->s_down) {
        sn_failover_abort(g, "-failover-abort-slave-timeout");
        return HEAP_NEVER;
    }
    if (g->fleet)
        EARLIER(end, sn_takeover_advance(g));
    return end;
}

/* "You should send CLUSTER FAILOVER to a replica": it is a master already, by a promotion that was repeated. What it
 * says of itself tells the rest. */
static bool is_refusal(enum sn_command command, bool ok, struct slice text)
{
    static const char already[] = "ERR You should send";
    if (ok || (command != SN_CMD_REPLICAOF && command != SN_CMD_TAKEOVER))
        return false;
    size_t n = sizeof already - 1;
    return command == SN_CMD_REPLICAOF || text.n < n || memcmp(text.p, already, n) != 0;
}

void sn_failover_ack(struct sn_node *n, enum sn_command command, bool ok, struct slice text)
{
    if (n->pending)
        n->pending--;
    if (n->fleet)
        sn_fleet_ack(n, command, ok, text);
    if (command == SN_CMD_NODES || command == SN_CMD_NO_FAILOVER || command == SN_CMD_BUMP_EPOCH)
        return;
    if (command == SN_CMD_HELLO || command == SN_CMD_FREEZE)
        return; /* said, or not: it is said again anyway */
    if (command == SN_CMD_ACCEPT) {
        if (!ok)
            sn_accept_refused(n, text);
        return;
    }
    if (command == SN_CMD_INFO) { /* refused (a script runs, say): asked again when it is due */
        n->info_sent_us = 0;
        sn_touch_node(n);
        return;
    }
    for (struct sn_inst *i = n->insts; i; i = i->next_on_node) {
        struct sn_group *g = i->group;
        if (command == SN_CMD_TAKEOVER && ok)
            sn_lease_taken(i);
        if (is_refusal(command, ok, text) && i == g->fo.candidate && g->fo.state == SN_FO_WAIT_PROMOTION) {
            i->refused_us = n->core->now_us; /* nothing was promoted: another one may be */
            sn_publish_inst(i, SN_LOG_WARNING, "-promotion-refused", "%.*s", (int)text.n, text.n ? text.p : "");
            g->fo.sent = g->fo.repeats > 0; /* one of before may wait in a link that broke, unread */
            sn_election_lose(g, "-failover-abort-slave-timeout");
        }
        if (g->fo.step != SN_SWITCH_NONE && (sn_is_master(i) || (g->fleet && i == g->fo.candidate)))
            sn_coordinated_ack(i->group, command, ok, text);
        sn_touch_group(i->group);
    }
    if (command == SN_CMD_REPLICAOF || command == SN_CMD_TAKEOVER || command == SN_CMD_REPLICATE) {
        n->info_now = true;
        sn_touch_node(n);
    }
}
