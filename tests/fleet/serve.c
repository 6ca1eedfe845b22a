/* Nodes, as supervisors with the shipped core ask them: what the shell of a node makes of its core. */
#include "noded/cluster/describe.h"
#include "noded/cluster/lease.h"
#include "noded/cluster/state.h"
#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "sentineld/core/cluster_nodes.h"
#include "sentineld/core/state.h"

static void put_replid(runid out, uint64_t id)
{
    if (id == 0)
        out[0] = '\0';
    else
        snprintf(out, sizeof(runid), "%040llx", (unsigned long long)id);
}

static void put_replicas(const struct world *w, const struct node *n, struct sn_info *info)
{
    info->replicas = mem_zalloc((size_t)w->nnodes * sizeof *info->replicas);
    for (int i = 0; i < w->nnodes; i++) {
        const struct node *r = &w->nodes[i];
        struct sn_info_replica *out = &info->replicas[info->nreplicas];
        if (r->core == NULL || r->data.master != n->index || r->data.repl != REPL_UP)
            continue;
        *out = (struct sn_info_replica){.offset = r->data.set.offset, .online = true};
        addr_set(&out->addr, slice_of(r->ip), NODE_PORT);
        info->nreplicas++;
    }
}

static struct sn_info *report(const struct world *w, const struct node *n)
{
    const struct data *d = &n->data;
    struct sn_info *info = mem_zalloc(sizeof *info);
    sn_info_init(info);
    memcpy(info->run_id, n->run_id, sizeof info->run_id);
    put_replid(info->replid, d->replid);
    put_replid(info->replid2, d->replid2);
    info->second_offset = d->second_offset;
    info->priority = 100;
    info->repl_offset = d->set.offset;
    info->replica_announced = true;
    info->loading = d->loading;
    info->keys_known = true;
    info->keys = d->set.offset > 0;
    info->failover_known = true;
    info->master_link_down_ms = -1;
    info->role = d->master == -1 ? SN_ROLE_MASTER : SN_ROLE_REPLICA;
    if (info->role == SN_ROLE_MASTER) {
        put_replicas(w, n, info);
        return info;
    }
    info->master_link_up = d->repl == REPL_UP;
    info->syncing = d->repl == REPL_SYNC;
    if (d->master >= 0)
        addr_set(&info->master, slice_of(w->nodes[d->master].ip), NODE_PORT);
    if (!info->master_link_up)
        info->master_link_down_ms = d->old_us >= 0 ? (process_clock(w, &n->p) - d->old_us) / 1000 : 0;
    return info;
}

static void push(struct world *w, struct node *n, struct slice text)
{
    for (size_t i = 0; i < w->net.nconns; i++) {
        struct conn *c = w->net.conns[i];
        if (c->kind != CONN_SUB || c->server != n->p.end || !c->server_open || c->theirs == 0)
            continue;
        struct reply *r = reply_new(SN_CMD_HELLO, true);
        r->pushed = true;
        r->text = mem_strndup(text.p, text.n);
        net_send(&w->net, c, BACK, &r->l);
    }
}

void serve_published(struct world *w, struct node *n, struct slice text)
{
    push(w, n, text);
}

static void publish(struct world *w, struct node *n, const char *text)
{
    struct cl_event e = {.kind = CL_EV_PUBLISH, .channel = slice_of("__sentinel__:hello"), .bytes = slice_of(text)};
    push(w, n, e.bytes);
    node_step(w, n, &e);
}

static void set_no_failover(struct world *w, struct node *n, bool on)
{
    struct cl_event e = {.kind = CL_EV_SETTINGS, .settings = &n->set};
    n->set.no_failover = on;
    node_step(w, n, &e);
}

/* What a leased promotion says, as the node's own parsers read it. */
struct promotion {
    struct cl_takeover takeover;
    struct cl_id from[64];
    struct cl_speaker speaker;
    struct cl_grant grants[SUPERS_MAX];
};

static bool read_promotion(const struct sn_effect *e, struct promotion *p)
{
    struct slice ids = slice_of(e->text);
    *p = (struct promotion){.takeover = {.epoch = e->epoch, .from = p->from, .grants = p->grants, .force = e->flag}};
    while (ids.n > 0 && p->takeover.nfrom < 64)
        if (!cl_id_parse(slice_cut(&ids, ','), &p->from[p->takeover.nfrom++]))
            return false;
    for (size_t i = 1; i <= SUPERS_MAX && e->argv[i] != NULL; i++)
        if (!cl_grant_parse(slice_of(e->argv[i]), &p->grants[p->takeover.ngrants++]))
            return false;
    if (p->takeover.ngrants > 0)
        p->takeover.speaker = &p->speaker;
    return p->takeover.ngrants == 0 || cl_speaker_parse(slice_of(e->argv[0]), &p->speaker);
}

static bool read_lease(const struct sn_effect *e, struct cl_lease_ask *l)
{
    *l = (struct cl_lease_ask){.ttl_ms = e->number / 1000, .epoch = e->epoch};
    l->stamp = (struct cl_stamp){.incarnation = e->stamp.incarnation, .clock_us = e->stamp.clock_us};
    l->give_back = e->command == SN_CMD_LEASE_RETURN;
    return cl_speaker_parse(slice_of(e->text), &l->speaker);
}

/* A command of the cluster's: answered by its core. */
static bool command(struct world *w, struct node *n, struct conn *c, const struct said *q, bool copy)
{
    struct cl_command to = {.verb = CL_FAILOVER};
    struct promotion promotion;
    struct cl_lease_ask lease = {.ttl_ms = 0};
    bool read = true;
    switch (q->fx.command) {
    case SN_CMD_TAKEOVER:
        to.takeover = true;
        if (q->fx.epoch != 0) {
            read = read_promotion(&q->fx, &promotion);
            to.verb = CL_TAKEOVER;
            to.promotion = &promotion.takeover;
        }
        break;
    case SN_CMD_LEASE:
    case SN_CMD_LEASE_RETURN:
        read = read_lease(&q->fx, &lease);
        to.verb = CL_LEASE;
        to.lease = &lease;
        w->counts[COUNT_PROBES]++;
        w->counts[COUNT_GRANTS] += q->fx.stamp.incarnation != 0;
        break;
    case SN_CMD_RELEASE:
        read = cl_speaker_parse(slice_of(q->fx.text), &lease.speaker);
        to.verb = CL_RELEASE;
        to.lease = &lease;
        break;
    case SN_CMD_CLUSTER_FAILOVER: break;
    case SN_CMD_REPLICATE:
        to.verb = CL_REPLICATE;
        to.node = slice_of(q->fx.text);
        break;
    case SN_CMD_BUMP_EPOCH: to.verb = CL_BUMPEPOCH; break;
    case SN_CMD_FREEZE:
        to.verb = CL_FREEZE;
        to.node = slice_of(q->fx.text);
        to.number = q->fx.number;
        break;
    case SN_CMD_DBMAP_PREPARE:
    case SN_CMD_DBMAP_APPLY:
    case SN_CMD_DBMAP_ABORT:
    case SN_CMD_DBMAP_DONE: read = swap_read(q->fx.command, q->fx.argv, &to); break;
    default: return false;
    }
    if (!read) {
        violated(w, "wire", "a node cannot read command %d of %s", (int)q->fx.command, end_name(c->client));
        return true;
    }
    struct asked *a = mem_zalloc(sizeof *a);
    *a = (struct asked){.token = ++n->last_token, .conn = c, .copy = copy, .of_core = true};
    a->command = (int)q->fx.command;
    idmap_put(&n->asked, a->token, a);
    if (to.verb != CL_LEASE || lease.give_back)
        RECORD(w, end_name(n->p.end), "hears command %d from %s%s", a->command, end_name(c->client),
               copy ? ", again" : "");
    if (to.verb == CL_TAKEOVER)
        check_given(w, n, q->fx.epoch);
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = a->token, .command = &to};
    node_step(w, n, &e);
    if (to.verb == CL_FREEZE)
        moving_frozen(w, n, &to);
    return true;
}

void serve_answered(struct world *w, const struct node *n, const struct asked *a, bool ok, struct slice text)
{
    struct reply *r = reply_new((enum sn_command)a->command, ok);
    r->text = mem_strndup(text.p, text.n);
    if (ok && (a->command == SN_CMD_LEASE || a->command == SN_CMD_LEASE_RETURN)) {
        r->told = mem_zalloc(sizeof *r->told);
        ask_told(w, n, r->told);
        w->counts[COUNT_RETURNED] += a->command == SN_CMD_LEASE_RETURN;
    } else if (!ok) {
        RECORD(w, end_name(n->p.end), "  answers %.*s", (int)text.n, text.p);
    }
    if (a->command == SN_CMD_TAKEOVER)
        w->counts[ok ? COUNT_TAKEOVERS : COUNT_TAKEOVERS_REFUSED]++;
    net_send(&w->net, a->conn, BACK, &r->l);
}

/* Both sides make the same digest of one text: the node of what it knows, the supervisor of what it reads. */
static void check_view(struct world *w, const struct node *n, const char *text)
{
    struct sn_nodes nodes;
    if (sn_nodes_parse(&nodes, slice_of(text)) && sn_nodes_view(&nodes) != cl_view(n->core))
        violated(w, "view", "%s tells another digest than that of its text", end_name(n->p.end));
    sn_nodes_free(&nodes);
}

void serve(struct world *w, struct node *n, struct conn *c, const struct said *q, bool copy)
{
    struct buf text = {0};
    struct reply *r;
    if (n->core == NULL || command(w, n, c, q, copy))
        return;
    r = reply_new(q->fx.command, true);
    w->counts[COUNT_PROBES]++;
    switch (q->fx.command) {
    case SN_CMD_PING: r->pong = n->data.loading ? SN_PONG_LOADING : SN_PONG_OK; break;
    case SN_CMD_INFO: r->info = report(w, n); break;
    case SN_CMD_NODES:
        cl_nodes_text(n->core, &text);
        r->text = mem_strndup(text.p != NULL ? text.p : "", text.n);
        check_view(w, n, r->text);
        break;
    case SN_CMD_HELLO: publish(w, n, q->fx.text); break;
    case SN_CMD_NO_FAILOVER: set_no_failover(w, n, q->fx.flag); break;
    case SN_CMD_PAUSE: n->data.paused_until_us = process_clock(w, &n->p) + MS(q->fx.number); break;
    case SN_CMD_UNPAUSE: n->data.paused_until_us = 0; break;
    default: r->ok = false; break; /* REPLICAOF and FAILOVER are refused in a cluster */
    }
    buf_free(&text);
    if (!copy && c->server_open && w->violation == NULL)
        net_send(&w->net, c, BACK, &r->l);
    else
        letter_release(&r->l);
}
