#include "sentineld/shell/cmd_sentinel.h"

#include "sentineld/core/fleet.h"
#include "sentineld/core/select.h"
#include "sentineld/shell/map_out.h"

#include <string.h>

/* Milliseconds since `then_us`; 0 when that is 0 (never). */
static int64_t ms_since(int64_t now_us, int64_t then_us)
{
    return then_us == 0 || then_us > now_us ? 0 : (now_us - then_us) / 1000;
}

/* ---- flags ---- */

struct words {
    char text[256];
};

static void add_word(struct words *w, bool wanted, const char *word)
{
    if (!wanted)
        return;
    if (w->text[0] != '\0')
        strncat(w->text, ",", sizeof w->text - strlen(w->text) - 1);
    strncat(w->text, word, sizeof w->text - strlen(w->text) - 1);
}

/* Reachable, and where hellos are to be heard also heard. */
static bool conn_is_up(const struct sn_conn *c)
{
    return c->state == SN_CONN_UP && !c->auth_failed;
}

static bool node_is_linked(const struct sn_node *n)
{
    return conn_is_up(&n->cmd) && (conn_is_up(&n->sub) || !sn_node_wants_sub(n));
}

static void inst_flags(struct words *w, const struct sn_inst *i)
{
    const struct sn_group *g = i->group;
    bool is_master = i == g->master;
    const struct sn_failover *fo = &g->fo;
    w->text[0] = '\0';
    add_word(w, i->s_down, "s_down");
    add_word(w, is_master && g->o_down, "o_down");
    add_word(w, true, is_master ? "master" : "slave");
    add_word(w, !node_is_linked(i->node), "disconnected");
    add_word(w, is_master && fo->state != SN_FO_NONE, "failover_in_progress");
    add_word(w, !is_master && fo->state >= SN_FO_SEND_SLAVEOF_NOONE && fo->candidate == i, "promoted");
    add_word(w, i->reconf == SN_RECONF_SENT, "reconf_sent");
    add_word(w, i->reconf == SN_RECONF_INPROG, "reconf_inprog");
    add_word(w, i->reconf == SN_RECONF_DONE, "reconf_done");
    add_word(w, is_master && fo->state != SN_FO_NONE && fo->forced, "force_failover");
    add_word(w, i->script_kill_sent, "script_kill_sent");
    add_word(w, i->master_reboot, "master_reboot");
}

/* ---- why something is not well: our own field ---- */

static const char *conn_reason(const struct sn_conn *c)
{
    if (c->auth_failed)
        return "auth";
    if (c->state != SN_CONN_UP)
        return sn_down_why_name(c->why);
    return NULL;
}

/* NULL: nothing is wrong with it. */
static const char *probe_reason(const struct sn_conn *cmd, const struct sn_probe *p, bool down)
{
    const char *why = conn_reason(cmd);
    if (why != NULL)
        return why;
    if (!down)
        return NULL;
    switch (p->last) {
    case SN_PONG_LOADING: return "loading";
    case SN_PONG_BUSY: return "busy";
    case SN_PONG_AUTH: return "auth";
    case SN_PONG_ERROR: return p->answer_us != 0 ? "error" : "silent";
    case SN_PONG_OK:
    case SN_PONG_MASTERDOWN: break;
    }
    return "silent";
}

static const char *inst_reason(const struct sn_inst *i)
{
    const struct sn_node *n = i->node;
    if (i->reborn_empty)
        return "reborn-empty";
    const char *why = probe_reason(&n->cmd, &n->probe, i->s_down);
    bool answers = n->probe.silent_us == 0;
    if (i->s_down && answers && i == i->group->master && n->info.role == SN_ROLE_REPLICA)
        return "role";
    if (i->s_down && answers && i->master_reboot)
        return "reboot";
    if (i->stranger_us != 0)
        return "stranger";
    return why != NULL || !sn_node_wants_sub(n) ? why : conn_reason(&n->sub);
}

/* ---- the parts of a map ---- */

static void put_link(struct map_out *m, unsigned pending, size_t sharers)
{
    map_number(m, "link-pending-commands", pending);
    map_number(m, "link-refcount", (int64_t)sharers);
}

/* Before the first answer the times count from when it was first waited for. */
static void put_probe(struct map_out *m, const struct sn_probe *p, int64_t now_us)
{
    map_number(m, "last-ping-sent", ms_since(now_us, p->silent_us));
    map_number(m, "last-ok-ping-reply", ms_since(now_us, p->valid_us != 0 ? p->valid_us : p->silent_us));
    map_number(m, "last-ping-reply", ms_since(now_us, p->answer_us != 0 ? p->answer_us : p->silent_us));
}

static size_t sharers_of_node(const struct sn_node *n)
{
    size_t count = 0;
    for (const struct sn_inst *i = n->insts; i != NULL; i = i->next_on_node)
        count++;
    return count;
}

static void put_inst_head(struct map_out *m, const struct sn_inst *i, const char *name, int64_t now_us)
{
    const struct sn_group *g = i->group;
    const struct sn_node *n = i->node;
    bool is_master = i == g->master;
    struct addr shown = sn_shown_addr(g->core, n);
    struct words flags;
    inst_flags(&flags, i);
    map_text(m, "name", name);
    map_text(m, "ip", shown.host);
    map_number(m, "port", shown.port);
    map_text(m, "runid", n->info.run_id);
    map_text(m, "flags", flags.text);
    put_link(m, n->pending, sharers_of_node(n));
    if (is_master && g->fo.state != SN_FO_NONE)
        map_text(m, "failover-state", sn_fo_state_name(g->fo.state));
    put_probe(m, &n->probe, now_us);
    if (i->s_down)
        map_number(m, "s-down-time", ms_since(now_us, i->s_down_us));
    if (is_master && g->o_down)
        map_number(m, "o-down-time", ms_since(now_us, g->o_down_us));
    map_number(m, "down-after-milliseconds", g->set.down_after_ms);
    map_number(m, "info-refresh", ms_since(now_us, n->info_us));
    bool replica = n->info.role == SN_ROLE_UNKNOWN ? !is_master : n->info.role == SN_ROLE_REPLICA;
    map_text(m, "role-reported", replica ? "slave" : "master");
    map_number(m, "role-reported-time", ms_since(now_us, n->role_us != 0 ? n->role_us : g->born_us));
}

static void put_reason(struct map_out *m, const char *why)
{
    if (why != NULL)
        map_text(m, "down-reason", why);
}

/* Of a cluster's node: our own fields. */
static void put_shard(struct map_out *m, const struct sn_inst *i)
{
    if (i->group->fleet == NULL)
        return;
    map_text(m, "cluster", i->group->fleet->name);
    map_text(m, "node-id", i->member != NULL ? i->member->id : "");
}

void cmd_put_lease(struct map_out *m, const struct sn_group *g)
{
    const struct sn_lease_told *told = g->master->node->told;
    int64_t left_us = g->lease.end_us - g->core->now_us;
    if (told == NULL || g->fleet == NULL || g->fleet->lease_us == 0 || *g->core->ours.list == '\0')
        return;
    map_text(m, "lease-grantee", g->lease.grantee);
    map_number(m, "lease-granted-ms", left_us > 0 ? left_us / 1000 : 0);
    map_number(m, "lease-held-ms", told->lease_ms > 0 ? told->lease_ms : 0);
    map_number(m, "lease-grants", told->grants);
}

void cmd_put_pause(struct map_out *m, const struct sn_pause *p)
{
    if (p == NULL)
        return;
    map_text(m, "failover-paused", p->target);
    map_number(m, "failover-paused-until", p->until_ms);
    map_text(m, "failover-paused-by", p->owner);
    map_text(m, "failover-paused-reason", p->reason);
}

void cmd_put_master(struct reply *r, const struct sn_group *g, int64_t now_us)
{
    struct map_out m = map_begin(r);
    put_inst_head(&m, g->master, g->name, now_us);
    map_number(&m, "config-epoch", (int64_t)g->config_epoch);
    map_number(&m, "num-slaves", (int64_t)cmd_count_replicas(g));
    map_number(&m, "num-other-sentinels", (int64_t)cmd_count_sentinels(g));
    map_number(&m, "quorum", g->set.quorum);
    map_number(&m, "failover-timeout", g->set.failover_timeout_ms);
    map_number(&m, "parallel-syncs", g->set.parallel_syncs);
    if (g->set.notification_script[0] != '\0')
        map_text(&m, "notification-script", g->set.notification_script);
    if (g->set.client_reconfig_script[0] != '\0')
        map_text(&m, "client-reconfig-script", g->set.client_reconfig_script);
    put_reason(&m, inst_reason(g->master));
    put_shard(&m, g->master);
    cmd_put_pause(&m, sn_pauses_find(&g->core->pauses, g->name, g->fleet != NULL ? g->fleet->name : NULL, now_us));
    if (g->shard != NULL) {
        map_number(&m, "slots", g->shard->nslots);
        cmd_put_lease(&m, g);
        map_number(&m, "needs-operator", sn_needs_operator(g));
    }
    map_end(&m);
}

static void put_number_or_zero(struct map_out *m, const char *field, int64_t value)
{
    map_number(m, field, value < 0 ? 0 : value);
}

void cmd_put_replica(struct reply *r, const struct sn_inst *i, int64_t now_us)
{
    const struct sn_info *info = &i->node->info;
    struct addr shown = sn_shown_addr(i->group->core, i->node);
    char name[ADDR_TEXT_MAX];
    addr_text(&shown, name);
    struct map_out m = map_begin(r);
    put_inst_head(&m, i, name, now_us);
    put_number_or_zero(&m, "master-link-down-time", info->master_link_down_ms);
    map_text(&m, "master-link-status", info->master_link_up ? "ok" : "err");
    map_text(&m, "master-host", addr_is_set(&info->master) ? info->master.host : "?");
    map_number(&m, "master-port", info->master.port);
    map_number(&m, "slave-priority", i->node->info_us != 0 ? info->priority : 100);
    put_number_or_zero(&m, "slave-repl-offset", info->repl_offset);
    map_number(&m, "replica-announced", i->node->info_us == 0 || info->replica_announced);
    if (*info->guarded && !info->master_link_up) /* ours: it does not let this empty history of its master in */
        map_text(&m, "master-sync-guarded", info->guarded);
    if (i->node->told && i->node->told->role == SN_ROLE_REPLICA && !i->node->told->state_known) /* ours: nor promoted */
        map_number(&m, "state-unknown", 1);
    put_reason(&m, inst_reason(i));
    put_shard(&m, i);
    map_end(&m);
}

void cmd_put_candidate(struct reply *r, const struct sn_candidate *c, int64_t now_us)
{
    const struct sn_node *n = c->inst->node;
    struct addr shown = sn_shown_addr(c->inst->group->core, n);
    char name[ADDR_TEXT_MAX];
    addr_text(&shown, name);
    struct map_out m = map_begin(r);
    map_text(&m, "name", name);
    map_text(&m, "ip", shown.host);
    map_number(&m, "port", shown.port);
    map_text(&m, "runid", n->info.run_id);
    map_text(&m, "verdict", sn_reject_name(c->reject));
    map_number(&m, "impaired", c->impaired);
    map_number(&m, "slave-priority", n->info_us != 0 ? n->info.priority : 100);
    map_number(&m, "same-data", c->related);
    map_number(&m, "slave-repl-offset", c->offset);
    map_number(&m, "info-refresh", n->info_us != 0 ? ms_since(now_us, n->info_us) : -1);
    map_end(&m);
}

static size_t sharers_of_peer(const struct sn_peer *p)
{
    size_t count = 0;
    for (const struct sn_seat *s = p->seats; s != NULL; s = s->next_on_peer)
        count++;
    return count;
}

void cmd_put_sentinel(struct reply *r, const struct sn_seat *s, int64_t now_us)
{
    const struct sn_peer *p = s->peer;
    char address[ADDR_TEXT_MAX];
    struct words flags = {""};
    add_word(&flags, s->s_down, "s_down");
    add_word(&flags, true, "sentinel");
    add_word(&flags, !conn_is_up(&p->cmd), "disconnected");
    add_word(&flags, s->down, "master_down");
    struct map_out m = map_begin(r);
    /* A declared supervisor that has not been heard of yet has no id: its address stands for it. */
    map_text(&m, "name", p->id[0] != '\0' ? p->id : addr_text(&p->addr, address));
    map_text(&m, "ip", p->addr.host);
    map_number(&m, "port", p->addr.port);
    map_text(&m, "runid", p->id);
    map_text(&m, "flags", flags.text);
    put_link(&m, p->pending, sharers_of_peer(p));
    put_probe(&m, &p->probe, now_us);
    if (s->s_down)
        map_number(&m, "s-down-time", ms_since(now_us, s->s_down_us));
    map_number(&m, "down-after-milliseconds", s->group->set.down_after_ms);
    map_number(&m, "last-hello-message", ms_since(now_us, s->hello_us));
    map_text(&m, "voted-leader", s->vote_leader[0] != '\0' ? s->vote_leader : "?");
    map_number(&m, "voted-leader-epoch", (int64_t)s->vote_epoch);
    put_reason(&m, probe_reason(&p->cmd, &p->probe, s->s_down));
    map_end(&m);
}

/* ---- who is shown ---- */

bool cmd_replica_is_shown(const struct sn_inst *i)
{
    bool announced = i->node->info_us == 0 || i->node->info.replica_announced;
    return i != i->group->master && i->listed && announced;
}

size_t cmd_count_replicas(const struct sn_group *g)
{
    size_t n = 0;
    for (size_t k = 0; k < g->ninsts; k++)
        n += g->insts[k] != g->master && g->insts[k]->listed;
    return n;
}

size_t cmd_count_sentinels(const struct sn_group *g)
{
    size_t n = 0;
    for (size_t k = 0; k < g->nseats; k++)
        n += g->seats[k]->listed;
    return n;
}
