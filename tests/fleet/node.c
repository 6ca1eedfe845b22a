/* A node's process: its core, and what its shell does with the effects. */
#include "noded/cluster/redirect.h"
#include "noded/cluster/state.h"
#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define UNIX_MS_AT_START INT64_C(1700000000000)
#define LOCAL_LINK(link) ((link) & ~CL_INCOMING)

void node_init(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    struct happening *all[] = {&n->tick, &n->written, &n->crash, &n->pull};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        heap_node_init(&all[k]->at);
        all[k]->who = i;
    }
    n->index = i;
    n->shard = i % w->plan.shards;
    process_init(w, &n->p, end_of_node(i));
    snprintf(n->ip, sizeof n->ip, "10.0.0.%d", i + 1);
    n->data.master = -1;
    n->set = (struct cl_settings){.node_timeout_ms = w->plan.node_timeout_ms,
                                  .validity_factor = 10,
                                  .migration_barrier = 1,
                                  .repl_ping_ms = 1000,
                                  .full_coverage = true,
                                  .port = NODE_PORT,
                                  .bus_port = BUS_PORT};
}

struct node *node_at(struct world *w, const char *ip)
{
    for (int i = 0; i < w->nnodes; i++)
        if (strcmp(w->nodes[i].ip, ip) == 0)
            return &w->nodes[i];
    return NULL;
}

struct node *node_of_id(struct world *w, const struct cl_id *id)
{
    for (int i = 0; i < w->nnodes; i++)
        if (cl_id_eq(&w->nodes[i].id, id))
            return &w->nodes[i];
    return NULL;
}

void node_start(struct world *w, struct node *n)
{
    if (n->core != NULL || n->gone)
        return;
    struct cl_options o = {.seed = rng_u64(&w->rng), .settings = n->set};
    struct buf why = {0};
    if (n->p.host_down) {
        n->p.host_down = false;
        net_back(&w->net, n->p.end);
    }
    n->p.runs = true;
    n->set.no_failover = false; /* as its configuration file says */
    runid_draw(&w->rng, n->run_id);
    o.settings = n->set;
    n->core = cl_core_new(&o, process_clock(w, &n->p), UNIX_MS_AT_START + w->time.now_us / 1000);
    if (n->disk.text.n > 0 && !cl_core_load(n->core, buf_slice(&n->disk.text), &why))
        violated(w, "load", "%s does not take back its own nodes.conf: %s", end_name(n->p.end), buf_str(&why));
    buf_free(&why);
    data_started(w, n);
    n->id = cl_my_id(n->core);
    check_started(w, n);
    RECORD(w, end_name(n->p.end), "starts%s", n->disk.text.n > 0 ? "" : " with an empty disk");
    moving_started(w, n);
    struct cl_event e = {.kind = CL_EV_TIME};
    node_step(w, n, &e);
}

void node_crash(struct world *w, struct node *n, bool host)
{
    if (n->core == NULL)
        return;
    RECORD(w, end_name(n->p.end), host ? "loses power" : "is killed");
    cl_core_free(n->core);
    n->core = NULL;
    n->p.runs = n->p.stopped = false;
    n->p.host_down = host;
    net_died(&w->net, n->p.end, host);
    jobs_died(w, n, host);
    n->p.life++;
    idmap_free(&n->outs);
    idmap_free(&n->ins);
    ask_forget(n);
    n->last_in = 0;
    node_disk_crash(w, n);
    data_crashed(w, n);
    happen_not(&w->time, &n->tick);
    /* What had reached the process dies with it; the kernel answers for it where it still can. */
    inbox_deliver(w, &n->p.inbox);
}

void node_wipe(struct world *w, struct node *n)
{
    RECORD(w, end_name(n->p.end), "its disk is lost");
    buf_clear(&n->disk.text);
    memset(&n->disk.says, 0, sizeof n->disk.says);
    handover_wiped(w, n);
    data_empty(w, n);
    memset(&n->data, 0, sizeof n->data);
    n->data.master = -1;
    memset(&n->followed, 0, sizeof n->followed);
    memset(&n->followed_disk, 0, sizeof n->followed_disk);
    n->wiped = true;
    memmove(&n->former[1], &n->former[0], (FORMER_MAX - 1) * sizeof n->former[0]);
    n->former[0] = n->id;
    n->was_supervised = false;
    n->claimed_epoch = 0;
}

bool node_may_write(const struct world *w, const struct node *n, int shard)
{
    return node_may_write_slot(w, n, w->shards[shard].slot);
}

bool node_may_write_slot(const struct world *w, const struct node *n, int slot)
{
    const struct cl_request r = {.slot = slot, .keys = 1, .write = true, .changes = true};
    if (n->core == NULL || n->p.stopped || n->data.master != -1 || n->data.loading)
        return false;
    int64_t now_us = process_clock(w, &n->p);
    return now_us < cl_lease_until(n->core) && now_us >= n->data.paused_until_us &&
           cl_redirect(n->core, &r, NULL) == CL_HERE;
}

static void time_has_come(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    if (n->p.stopped) {
        inbox_put(&n->p.inbox, h);
        return;
    }
    struct cl_event e = {.kind = CL_EV_TIME};
    node_step(w, n, &e);
}

void node_timer(struct world *w, struct node *n)
{
    int64_t at = n->core != NULL ? cl_deadline(n->core) : HEAP_NEVER;
    if (at == HEAP_NEVER)
        happen_not(&w->time, &n->tick);
    else
        happen(&w->time, &n->tick, clock_world(&n->p.clock, at) + lateness(w), time_has_come);
}

/* ---- the bus ---- */

static void bus_letter_free(struct letter *l)
{
    cl_bytes_release(((struct bus_letter *)l)->bytes);
    free(l);
}

static struct conn *conn_of(const struct node *n, cl_link link)
{
    return (link & CL_INCOMING) != 0 ? idmap_get(&n->ins, LOCAL_LINK(link)) : idmap_get(&n->outs, link);
}

static void forget_conn(struct node *n, const struct conn *c, bool client)
{
    if (client)
        idmap_del(&n->outs, c->ours);
    else
        idmap_del(&n->ins, LOCAL_LINK(c->theirs));
}

static void connect_to(struct world *w, struct node *n, const struct cl_effect *e)
{
    const struct node *to = e->port == BUS_PORT ? node_at(w, e->ip) : NULL;
    idmap_put(&n->outs, e->link, net_connect(&w->net, n->p.end, to != NULL ? to->p.end : -1, CONN_BUS, e->link));
}

static void disconnect(struct world *w, struct node *n, cl_link link)
{
    struct conn *c = conn_of(n, link);
    bool client = (link & CL_INCOMING) == 0;
    if (c == NULL)
        return;
    forget_conn(n, c, client);
    net_close(&w->net, c, client);
}

static void send_message(struct world *w, struct node *n, struct cl_effect *e)
{
    struct conn *c = conn_of(n, e->link);
    if (c == NULL)
        return;
    struct bus_letter *l = mem_zalloc(sizeof *l);
    letter_init(&l->l, false, bus_letter_free);
    l->bytes = e->bytes;
    e->bytes = NULL;
    net_send(&w->net, c, (e->link & CL_INCOMING) != 0 ? BACK : THERE, &l->l);
}

void node_accepted(struct world *w, struct conn *c)
{
    struct node *n = &w->nodes[c->server - SUPERS_MAX];
    c->theirs = ++n->last_in | CL_INCOMING;
    if (c->kind != CONN_BUS)
        return;
    idmap_put(&n->ins, LOCAL_LINK(c->theirs), c);
    node_link(w, n, c, false, CL_EV_ACCEPTED);
}

void node_link(struct world *w, struct node *n, struct conn *c, bool client, enum cl_event_kind kind)
{
    int other = client ? c->server : c->client;
    struct cl_event e = {.kind = kind, .link = client ? c->ours : c->theirs, .local_ip = n->ip};
    e.ip = end_is_super(other) ? "10.0.1.1" : w->nodes[other - SUPERS_MAX].ip;
    if (kind == CL_EV_LINK_DOWN)
        forget_conn(n, c, client);
    node_step(w, n, &e);
}

void node_bus(struct world *w, struct node *n, struct conn *c, bool client, const struct bus_letter *l)
{
    struct cl_event e = {
        .kind = CL_EV_MESSAGE, .link = client ? c->ours : c->theirs, .bytes = cl_bytes_slice(l->bytes)};
    node_step(w, n, &e);
}

/* ---- steps ---- */

static void count_keys(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct cl_event counted = {.kind = CL_EV_SLOT_KEYS, .node = e->node, .slot = e->a, .token = e->token};
    for (int i = 0; i < ledger(w)->nwatched; i++)
        if (ledger(w)->watched[i] == e->a && data_has_slot(w, n, i))
            counted.seq = 1;
    node_step(w, n, &counted);
}

static void carry_out_one(struct world *w, struct node *n, struct cl_effect *e)
{
    switch (e->kind) {
    case CL_FX_CONNECT: connect_to(w, n, e); break;
    case CL_FX_DISCONNECT: disconnect(w, n, e->link); break;
    case CL_FX_SEND: send_message(w, n, e); break;
    case CL_FX_PERSIST: node_disk_persist(w, n, e); break;
    case CL_FX_FOLLOW:
        w->counts[COUNT_FOLLOWS]++;
        data_follow(w, n, e->ip, &e->node);
        break;
    case CL_FX_PROMOTE:
        data_promote(w, n);
        moving_promoted(w, n);
        break;
    case CL_FX_EMPTY: data_empty(w, n); break;
    case CL_FX_DROP_SLOTS: data_drop(w, n, cl_effect_slots(e)); break;
    case CL_FX_ANSWER: ask_answered(w, n, e); break;
    case CL_FX_PAUSE: n->data.paused_until_us = e->until_us; break;
    case CL_FX_UNPAUSE: n->data.paused_until_us = 0; break;
    case CL_FX_SLOT_KEYS: count_keys(w, n, e); break;
    case CL_FX_PUBLISH: serve_published(w, n, cl_effect_payload(e)); break;
    case CL_FX_LOG: RECORD(w, end_name(n->p.end), "  %.*s", (int)cl_effect_text(e).n, cl_effect_text(e).p); break;
    case CL_FX_SWAPDB: swap_effect(w, n, e); break;
    case CL_FX_JOB_EXPORT: jobs_export(w, n, e); break;
    case CL_FX_JOB_DRAIN:
        moving_hands_over(w, n, &e->job);
        jobs_drain(w, n, e);
        break;
    case CL_FX_JOB_RESUME: jobs_resume(w, n, e); break;
    case CL_FX_JOB_GRANT:
        moving_hands_over(w, n, &e->job);
        jobs_grant(w, n, e);
        break;
    case CL_FX_JOB_ACCEPT: jobs_accept(w, n, e); break;
    case CL_FX_JOB_STOP: jobs_stop(w, n, e); break;
    case CL_FX_SLOTS_SHOW: jobs_show(w, n, cl_effect_slots(e), true); break;
    case CL_FX_SLOTS_FORGET: jobs_show(w, n, cl_effect_slots(e), false); break;
    case CL_FX_STATE: break;
    }
}

static void carry_out(struct world *w, struct node *n)
{
    /* The list is moved out: what is done in between may step this node again. */
    struct cl_effects fx = w->fx;
    w->fx = (struct cl_effects){NULL, 0, 0};
    for (size_t i = 0; i < fx.n && w->violation == NULL; i++) {
        const struct cl_effect *e = &fx.v[i];
        mix(w, (uint64_t)w->time.now_us ^ (uint64_t)n->index << 48 ^ (uint64_t)e->kind << 56);
        mix(w, e->link ^ e->seq << 20 ^ cl_effect_text(e).n << 40);
        carry_out_one(w, n, &fx.v[i]);
    }
    cl_effects_clear(&fx);
    if (w->fx.v == NULL)
        w->fx = fx;
    else
        cl_effects_free(&fx);
}

void node_step(struct world *w, struct node *n, struct cl_event *e)
{
    if (n->core == NULL || process_spins(w, &n->p))
        return;
    e->now_us = process_clock(w, &n->p);
    e->unix_ms = UNIX_MS_AT_START + w->time.now_us / 1000;
    e->facts = data_facts(w, n);
    w->counts[COUNT_STEPS]++;
    moving_before(n);
    cl_step(n->core, e, &w->fx);
    carry_out(w, n);
    moving_forced(w, n, e);
    check_step(w, n);
    handover_look(w, n);
    moving_record(w, n);
    node_timer(w, n);
}

void node_command(struct world *w, struct node *n, struct cl_command *c)
{
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = ++n->last_token, .command = c};
    if (!process_works(&n->p))
        return;
    struct asked *a = mem_zalloc(sizeof *a);
    a->token = e.token;
    idmap_put(&n->asked, a->token, a);
    node_step(w, n, &e);
}
