/* A modelled Redis server: what it answers to the few commands that supervisors send. Replication is in repl.c. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define PUBLISH_BYTES 180 /* what a hello adds to the replication stream */

void node_init(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    struct group *g = &w->groups[n->group];
    const struct plan_node *p = &w->plan.group[n->group].nodes[i - g->first];
    char host[32];
    n->index = i;
    snprintf(host, sizeof host, "10.1.%d.%d", n->group + 1, i - g->first + 1);
    addr_set(&n->addr, slice_of(host), 6379);
    n->persistent = p->persistent;
    n->keeps_id = p->keeps_id;
    n->rewrites = p->rewrites;
    n->has_failover = p->has_failover;
    n->no_stale = p->no_stale;
    n->priority = p->priority;
    n->up = true;
    n->life = 1;
    n->failover_to = -1;
    n->second_offset = -1;
    n->master = n->configured_master;
    runid_draw(&w->rng, n->run_id);
    if (p->runid_digit != 0)
        memset(n->run_id, p->runid_digit, RUNID_LEN);
    runid_draw(&w->rng, n->replid);
    const struct node *master = &w->nodes[g->first];
    if (n != master) {
        memcpy(n->replid, master->replid, sizeof n->replid);
        memcpy(n->data, master->data, sizeof n->data);
        n->keys = master->keys;
        n->offset = master->offset;
        n->repl = REPL_UP;
        n->repl_link = ++w->last_repl_link;
        n->repl_master_life = 1;
    } else {
        n->offset = 1;
    }
    happen(w, &n->cron, (int64_t)rng_below(&w->rng, (uint64_t)SECONDS(1)), repl_cron);
}

struct node *node_at(struct world *w, const struct addr *a)
{
    for (int i = 0; i < w->nnodes; i++)
        if (w->nodes[i].addr.port == a->port && strcmp(w->nodes[i].addr.host, a->host) == 0)
            return &w->nodes[i];
    return NULL;
}

bool node_loading(const struct world *w, const struct node *n)
{
    return w->now_us < n->loading_until_us;
}

bool node_paused(const struct world *w, const struct node *n)
{
    return w->now_us < n->pause_until_us || n->failover_to >= 0;
}

void node_start(struct world *w, struct node *n)
{
    if (n->up)
        return;
    const struct group *g = &w->groups[n->group];
    n->up = true;
    n->host_down = n->stopped = false;
    n->life++;
    runid_draw(&w->rng, n->run_id);
    bool data = n->persistent;
    if (!data) {
        memset(n->data, 0, sizeof n->data);
        n->keys = 0;
    }
    if (!data || !n->keeps_id) {
        runid_draw(&w->rng, n->replid);
        n->offset = 0;
        n->replid2[0] = '\0';
        n->second_offset = -1;
    }
    if (!n->rewrites)
        n->master = n->configured_master;
    n->repl = REPL_NONE;
    n->repl_down_us = w->now_us;
    n->pause_until_us = 0;
    n->busy_until_us = 0;
    int loading_ms = w->plan.group[n->group].nodes[n->index - g->first].loading_ms;
    n->loading_until_us = w->now_us + (data ? MS(loading_ms) : 0);
    RECORD(w, end_name(w, end_of_node(n->index)), "starts as %s, %s", n->master < 0 ? "master" : "replica",
           n->keys > 0 ? "with its data" : "empty");
    happen(w, &n->cron, n->loading_until_us + MS(1), repl_cron);
}

void node_kill(struct world *w, struct node *n, bool host)
{
    if (!n->up)
        return;
    RECORD(w, end_name(w, end_of_node(n->index)), "%s", host ? "its machine loses power" : "is killed");
    n->up = false;
    n->host_down = host;
    n->stopped = false;
    n->failover_to = -1;
    happen_not(w, &n->cron);
    happen_not(w, &n->sync);
    happen_not(w, &n->failover);
    n->repl = REPL_NONE;
    n->repl_down_us = w->now_us;
    net_died(w, end_of_node(n->index), host);
    node_end_pause(w, n);
    inbox_deliver(w, &n->inbox);
    if (!host)
        repl_drop_replicas(w, n);
}

void node_stop(struct world *w, struct node *n)
{
    if (!n->up || n->stopped)
        return;
    RECORD(w, end_name(w, end_of_node(n->index)), "is stopped");
    n->stopped = true;
}

void node_continue(struct world *w, struct node *n)
{
    if (!n->stopped)
        return;
    RECORD(w, end_name(w, end_of_node(n->index)), "goes on");
    n->stopped = false;
    inbox_deliver(w, &n->inbox);
}

static void report_replicas(const struct world *w, const struct node *n, struct sn_info *info)
{
    const struct group *g = &w->groups[n->group];
    info->replicas = mem_zalloc(MAX_NODES_PER_GROUP * sizeof *info->replicas);
    for (int i = g->first; i < g->first + g->count; i++) {
        const struct node *r = &w->nodes[i];
        if (r->up && r->master == n->index && r->repl == REPL_UP && r->repl_master_life == n->life)
            info->replicas[info->nreplicas++] = (struct sn_info_replica){
                .addr = r->addr, .offset = r->offset, .lag_s = 0, .online = true};
    }
}

static struct sn_info *report(const struct world *w, const struct node *n)
{
    struct sn_info *info = mem_zalloc(sizeof *info);
    sn_info_init(info);
    memcpy(info->run_id, n->run_id, sizeof info->run_id);
    memcpy(info->replid, n->replid, sizeof info->replid);
    memcpy(info->replid2, n->replid2, sizeof info->replid2);
    info->second_offset = n->second_offset;
    info->priority = n->priority;
    info->repl_offset = n->offset;
    info->replica_announced = true;
    info->loading = node_loading(w, n);
    info->keys_known = true;
    info->keys = info->loading ? 0 : n->keys;
    info->failover_known = n->has_failover;
    info->failover_running = n->failover_to >= 0;
    info->master_link_down_ms = -1;
    if (n->master >= 0) {
        info->role = SN_ROLE_REPLICA;
        info->master = w->nodes[n->master].addr;
        info->master_link_up = n->repl == REPL_UP;
        info->syncing = n->repl == REPL_SYNC;
        if (!info->master_link_up)
            info->master_link_down_ms = (w->now_us - n->repl_down_us) / 1000000 * 1000;
    } else {
        info->role = SN_ROLE_MASTER;
        report_replicas(w, n, info);
    }
    return info;
}

static enum sn_pong pong(const struct world *w, const struct node *n)
{
    if (node_loading(w, n))
        return SN_PONG_LOADING;
    if (w->now_us < n->busy_until_us)
        return SN_PONG_BUSY;
    if (n->master >= 0 && n->repl != REPL_UP && n->no_stale)
        return SN_PONG_MASTERDOWN;
    return SN_PONG_OK;
}

void node_publish(struct world *w, struct node *n, const char *text)
{
    for (size_t i = 0; i < n->nsubs; i++) {
        struct packet *p = net_packet(w, n->subs[i], BACK, PACKET_PUSH);
        p->fx.text = mem_strdup(text);
        net_send(w, p);
    }
}

static void pause_over(struct world *w, struct happening *h)
{
    struct node *n = (struct node *)((char *)h - offsetof(struct node, unpause));
    node_end_pause(w, n);
}

void node_end_pause(struct world *w, struct node *n)
{
    n->pause_until_us = 0;
    n->pause_all = false;
    happen_not(w, &n->unpause);
    net_unstick(w, n->index);
}

static bool pause(struct world *w, struct node *n, const struct sn_effect *fx)
{
    int64_t until = w->now_us + MS(fx->number);
    if (until > n->pause_until_us)
        n->pause_until_us = until;
    n->pause_all = n->pause_all || !fx->flag;
    happen(w, &n->unpause, n->pause_until_us, pause_over);
    return true;
}

/* MULTI, REPLICAOF, CONFIG REWRITE, CLIENT KILL of all others, EXEC. */
static bool replicaof(struct world *w, struct node *n, struct packet *p)
{
    if (n->failover_to >= 0)
        return false;
    if (p->fx.addr.host[0] == '\0') {
        check_coordinated(w, n->group, n, false);
        repl_promote(w, n);
    } else {
        const struct node *master = node_at(w, &p->fx.addr);
        if (master == NULL || master == n)
            return false;
        repl_follow(w, n, master->index);
    }
    net_kill_clients(w, n->index, p->link);
    return true;
}

static bool failover(struct world *w, struct node *n, const struct sn_effect *fx)
{
    const struct node *to = node_at(w, &fx->addr);
    if (!n->has_failover || n->master >= 0 || n->failover_to >= 0 || to == NULL || to->master != n->index ||
        to->repl != REPL_UP)
        return false;
    repl_failover(w, n, to->index, MS(fx->number));
    return true;
}

static bool obey(struct world *w, struct node *n, struct packet *p)
{
    switch (p->fx.command) {
    case SN_CMD_HELLO:
        if (n->master < 0 && w->plan.relays_hello)
            repl_append(w, n, PUBLISH_BYTES, -1, p->fx.text);
        node_publish(w, n, p->fx.text);
        return true;
    case SN_CMD_REPLICAOF: return replicaof(w, n, p);
    case SN_CMD_FAILOVER: return failover(w, n, &p->fx);
    case SN_CMD_FAILOVER_ABORT:
        if (n->failover_to < 0)
            return false;
        repl_failover_abort(w, n);
        return true;
    case SN_CMD_PAUSE: return pause(w, n, &p->fx);
    case SN_CMD_UNPAUSE: node_end_pause(w, n); return true;
    case SN_CMD_SCRIPT_KILL: {
        bool ran = w->now_us < n->busy_until_us;
        n->busy_until_us = 0;
        return ran;
    }
    default: violated(w, "shell", "a server is sent %s", command_name(p->fx.command)); return false;
    }
}

/* A paused server lets clients wait who send something that writes or spreads to replicas (PUBLISH does), and reads
 * nothing more from them until the pause is over. */
static bool stuck(struct world *w, const struct node *n, struct packet *p)
{
    struct link *l = p->link;
    bool waits = l->stuck != NULL || (node_paused(w, n) && (n->pause_all || p->fx.command == SN_CMD_HELLO));
    if (!waits || p->copy)
        return false;
    if (l->stuck == NULL)
        l->stuck_last = &l->stuck;
    p->next = NULL;
    *l->stuck_last = p;
    l->stuck_last = &p->next;
    return true;
}

static bool allowed_when_busy(enum sn_command c)
{
    return c == SN_CMD_SCRIPT_KILL;
}

void node_received(struct world *w, struct packet *p)
{
    struct node *n = &w->nodes[p->link->server - MAX_SUPERS];
    if (!n->up || !p->link->server_open) {
        net_free(w, p);
        return;
    }
    if (stuck(w, n, p))
        return;
    struct packet *answer = net_answer(w, p);
    bool ok = true, busy = w->now_us < n->busy_until_us && !allowed_when_busy(p->fx.command);
    enum sn_pong state = pong(w, n);
    struct sn_info *info = NULL;
    if (p->fx.command == SN_CMD_INFO && !busy && answer != NULL)
        info = report(w, n);
    else if (p->fx.command != SN_CMD_PING && p->fx.command != SN_CMD_INFO)
        ok = !busy && !(node_loading(w, n) && p->fx.command == SN_CMD_FAILOVER) && obey(w, n, p);
    if (p->fx.command != SN_CMD_PING && p->fx.command != SN_CMD_INFO && p->fx.command != SN_CMD_HELLO)
        RECORD(w, end_name(w, end_of_node(n->index)), "%s%s from %s%s", command_name(p->fx.command),
               ok && !busy ? "" : " refused", end_name(w, p->link->client),
               p->copy                ? " (doubled)"
               : p->link->client_open ? ""
                                      : " (late)");
    /* The connection may have been closed meanwhile, by the command itself. */
    if (answer != NULL) {
        answer->ok = ok;
        answer->pong = state;
        answer->info = info;
        net_send(w, answer);
    }
    net_free(w, p);
}
