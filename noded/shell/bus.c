#include "noded/shell/bus.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "noded/cluster/describe.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/pubsub.h"
#include "noded/repl/follow.h"
#include "noded/shell/bus_inner.h"
#include "noded/shell/listen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- what the core wants ---- */

static void answer(struct bus *b, const struct cl_effect *fx)
{
    if (fx->token != 0)
        nd_cluster_answered(b->node->engine->cluster, fx->token, fx->ok, cl_effect_text(fx));
}

static void follow(struct bus *b, const struct cl_effect *fx)
{
    if (!b->follows) {
        bus_jobs_upset(b, "this node has become a replica");
        b->link_since_us = io_now_us();
    }
    /* The same node again, at another address or at the one it had: what was taken from it is still its data. */
    b->had_data = b->had_data && b->follows && cl_id_eq(&b->master, &fx->node);
    b->follows = true;
    b->master = fx->node;
    /* While the address is not known there is nobody to connect to; the core comes back with it. */
    if (fx->ip[0] == '\0')
        return;
    nd_follow_set(b->node->repl, fx->ip, fx->port, false);
}

static void promote(struct bus *b)
{
    b->follows = false;
    b->had_data = false;
    nd_follow_none(b->node->repl);
}

static void count_keys(struct bus *b, const struct cl_effect *fx)
{
    struct cl_event e = {.kind = CL_EV_SLOT_KEYS, .node = fx->node, .slot = fx->a, .token = fx->token};
    e.seq = nd_cluster_slot_keys(b->node->engine, fx->a);
    bus_step_later(b, &e);
}

static void do_one(struct bus *b, const struct cl_effect *fx)
{
    struct nd_engine *e = b->node->engine;
    struct bus_link *l;
    switch (fx->kind) {
    case CL_FX_CONNECT: bus_link_connect(b, fx->link, fx->ip, fx->port); break;
    case CL_FX_DISCONNECT:
        if ((l = bus_link_find(b, fx->link)) != NULL)
            bus_link_close(l);
        break;
    case CL_FX_SEND:
        if ((l = bus_link_find(b, fx->link)) != NULL)
            bus_link_send(l, cl_effect_text(fx));
        break;
    case CL_FX_PERSIST: bus_disk_write(b->disk, fx->seq, cl_effect_text(fx)); break;
    case CL_FX_FOLLOW: follow(b, fx); break;
    case CL_FX_PROMOTE: promote(b); break;
    case CL_FX_EMPTY:
        nd_cluster_empty(e);
        bus_forget_imports(b);
        break;
    case CL_FX_DROP_SLOTS: bus_drop_slots(b, cl_effect_slots(fx)); break;
    case CL_FX_ANSWER: answer(b, fx); break;
    case CL_FX_STATE: break; /* nd_cluster_changed() has seen it */
    case CL_FX_PAUSE: nd_hold_writes(e, ND_HOLD_CLUSTER, true); break;
    case CL_FX_UNPAUSE: nd_hold_writes(e, ND_HOLD_CLUSTER, false); break;
    case CL_FX_PUBLISH:
        nd_publish(e, fx->shard ? ND_SHARD_CHANNEL : ND_CHANNEL, cl_effect_channel(fx), cl_effect_payload(fx));
        break;
    case CL_FX_JOB_EXPORT:
    case CL_FX_JOB_DRAIN:
    case CL_FX_JOB_RESUME:
    case CL_FX_JOB_GRANT:
    case CL_FX_JOB_ACCEPT:
    case CL_FX_JOB_STOP:
    case CL_FX_SLOTS_SHOW:
    case CL_FX_SLOTS_FORGET:
    case CL_FX_SWAPDB: bus_job_effect(b, fx); break;
    case CL_FX_SLOT_KEYS: count_keys(b, fx); break;
    case CL_FX_LOG: {
        struct slice text = cl_effect_text(fx);
        io_log((enum io_log_level)fx->level, "%.*s", (int)text.n, text.p);
        break;
    }
    }
}

/* ---- steps ---- */

static void one_step(struct bus *b, struct cl_event *e)
{
    cl_link down = e->kind == CL_EV_LINK_DOWN ? e->link : 0;
    b->stepping = true;
    node_time(b->node);
    e->now_us = io_now_us();
    e->unix_ms = b->node->engine->now_ms;
    bus_facts(b, &e->facts, e->now_us);
    cl_step(b->core, e, &b->fx);
    if (down != 0) {
        struct bus_link *l = bus_link_find(b, down);
        if (l != NULL)
            bus_link_close(l);
    }
    if (!e->more || b->fx.n > 0)
        nd_cluster_changed(b->node->engine->cluster);
    for (size_t i = 0; i < b->fx.n; i++)
        do_one(b, &b->fx.v[i]);
    cl_effects_clear(&b->fx);
    b->stepping = false;
    io_at_turn_end(b->node->loop, &b->turn_end); /* the timer is set anew there */
}

static struct bus_waiting *next_waiting(struct bus *b)
{
    struct bus_waiting *w = b->first;
    if (w == NULL)
        return NULL;
    b->first = w->next;
    if (b->first == NULL)
        b->last = &b->first;
    return w;
}

/* Its commands are one change: nobody sees that a slot is nobody's because it is given up and taken again. */
static bool is_of_transaction(const struct cl_event *e)
{
    return e->kind == CL_EV_COMMAND && e->command->with_others;
}

static void run_waiting(struct bus *b)
{
    struct bus_waiting *w;
    while (b->started && (w = next_waiting(b)) != NULL) {
        w->event.more = is_of_transaction(&w->event) && b->first != NULL && is_of_transaction(&b->first->event);
        one_step(b, &w->event);
        free(w);
    }
}

void bus_step(struct bus *b, struct cl_event *e)
{
    if (b->stepping || !b->started) {
        bus_step_later(b, e);
        return;
    }
    run_waiting(b); /* what came first is first */
    one_step(b, e);
}

static struct slice keep(char **at, struct slice s)
{
    if (s.p == NULL)
        return s;
    struct slice copy = {*at, s.n};
    memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static const uint8_t *keep_slots(char **at, const uint8_t *slots)
{
    return (const uint8_t *)keep(at, (struct slice){(const char *)slots, CL_SLOT_BYTES}).p;
}

static size_t bytes_of_slots(const uint8_t *slots)
{
    return slots != NULL ? CL_SLOT_BYTES : 0;
}

static size_t bytes_of_takeover(const struct cl_takeover *t)
{
    return t->ngrants * sizeof *t->grants + t->nfrom * sizeof *t->from + (t->speaker != NULL ? t->speaker->list.n : 0);
}

static size_t bytes_of_command(const struct cl_command *m)
{
    size_t n = m->node.n + m->ip.n + bytes_of_slots(m->slots);
    n += m->lease != NULL ? m->lease->speaker.list.n : 0;
    n += m->promotion != NULL ? bytes_of_takeover(m->promotion) : 0;
    for (size_t i = 0; i < m->nmoves; i++)
        n += sizeof m->moves[i] + m->moves[i].node.n;
    return n;
}

static size_t bytes_of(const struct cl_event *e)
{
    return e->bytes.n + e->channel.n + bytes_of_slots(e->slots) +
           (e->command != NULL ? bytes_of_command(e->command) : 0);
}

static void keep_lease(struct bus_waiting *w, char **at, const struct cl_lease_ask *ask)
{
    w->lease = *ask;
    w->lease.speaker.list = keep(at, ask->speaker.list);
    w->command.lease = &w->lease;
}

/* Its grants come first of all: they are more than bytes, and have to be aligned. */
static void keep_takeover(struct bus_waiting *w, char **at, const struct cl_takeover *t)
{
    struct slice grants = {(const char *)t->grants, t->ngrants * sizeof *t->grants};
    struct slice from = {(const char *)t->from, t->nfrom * sizeof *t->from};
    w->promotion = *t;
    w->promotion.grants = (const struct cl_grant *)(const void *)keep(at, grants).p;
    w->promotion.from = (const struct cl_id *)(const void *)keep(at, from).p;
    if (t->speaker != NULL) {
        w->speaker = *t->speaker;
        w->speaker.list = keep(at, t->speaker->list);
        w->promotion.speaker = &w->speaker;
    }
    w->command.promotion = &w->promotion;
}

/* The moves come first, as the grants do; no command has both. */
static void keep_command(struct bus_waiting *w, char **at, const struct cl_command *m)
{
    struct cl_move *moves = (struct cl_move *)(void *)*at;
    w->command = *m;
    if (m->lease != NULL)
        keep_lease(w, at, m->lease);
    if (m->promotion != NULL)
        keep_takeover(w, at, m->promotion);
    *at += m->nmoves * sizeof *moves;
    for (size_t i = 0; i < m->nmoves; i++) {
        moves[i] = m->moves[i];
        moves[i].node = keep(at, m->moves[i].node);
    }
    w->command.moves = m->nmoves > 0 ? moves : NULL;
    w->command.node = keep(at, m->node);
    w->command.ip = keep(at, m->ip);
    w->command.slots = keep_slots(at, m->slots);
    w->event.command = &w->command;
}

void bus_step_later(struct bus *b, const struct cl_event *e)
{
    struct bus_waiting *w = mem_alloc(sizeof *w + bytes_of(e));
    char *at = (char *)(w + 1);
    w->next = NULL;
    w->event = *e;
    if (e->command != NULL)
        keep_command(w, &at, e->command);
    w->event.bytes = keep(&at, e->bytes);
    w->event.channel = keep(&at, e->channel);
    w->event.slots = keep_slots(&at, e->slots);
    if (e->settings != NULL) {
        w->settings = *e->settings;
        w->event.settings = &w->settings;
    }
    *b->last = w;
    b->last = &w->next;
    io_at_turn_end(b->node->loop, &b->turn_end);
}

/* ---- time ---- */

static void start_timer(struct bus *b, int64_t wait_us)
{
    struct ev_loop *ev = io_loop_ev(b->node->loop);
    ev_timer_stop(ev, &b->timer);
    ev_now_update(ev);
    ev_timer_set(&b->timer, wait_us > 0 ? (double)wait_us / 1e6 : 0., 0.);
    ev_timer_start(ev, &b->timer);
}

static void arm(struct bus *b)
{
    const struct nd_engine *e = b->node->engine;
    int64_t at_us = cl_deadline(b->core);
    if (cl_is_master(b->core) && e->cluster->lease_told && e->lease_until_us < at_us)
        at_us = e->lease_until_us; /* for the log alone: writes look at the clock */
    if (at_us == b->armed_us && (at_us == HEAP_NEVER || ev_is_active(&b->timer)))
        return;
    b->armed_us = at_us;
    if (at_us == HEAP_NEVER)
        ev_timer_stop(io_loop_ev(b->node->loop), &b->timer);
    else
        start_timer(b, at_us - io_now_us());
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct bus *b = w->data;
    int64_t early_us = b->armed_us - io_now_us();
    if (early_us > 0) { /* the two clocks differ a little */
        start_timer(b, early_us);
        return;
    }
    struct cl_event e = {.kind = CL_EV_TIME};
    bus_step(b, &e);
}

/* A fact that the core wants to hear of at once. */
static bool facts_changed(struct bus *b)
{
    struct cl_facts now;
    bus_facts(b, &now, io_now_us());
    bool changed = now.link_up != b->told.link_up || now.loading != b->told.loading ||
                   now.has_keys != b->told.has_keys || now.mapping_epoch != b->told.mapping_epoch;
    b->told = now;
    return changed;
}

static void on_turn_end(struct io_turn_end *t)
{
    struct bus *b = (struct bus *)((char *)t - offsetof(struct bus, turn_end));
    if (!b->started)
        return;
    run_waiting(b);
    arm(b);
}

void bus_decide(struct bus *b)
{
    if (b != NULL && !b->stepping)
        run_waiting(b);
}

void bus_turn(struct bus *b)
{
    if (b == NULL || !b->started || !facts_changed(b))
        return;
    struct cl_event e = {.kind = CL_EV_TIME};
    bus_step(b, &e);
}

/* ---- what the engine asks for ---- */

static void host_command(void *owner, cl_token token, const struct cl_command *command)
{
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = token, .command = command};
    bus_step_later(owner, &e);
}

static void host_publish(void *owner, struct slice channel, struct slice message, bool shard)
{
    struct cl_event e = {.kind = CL_EV_PUBLISH, .channel = channel, .bytes = message, .shard = shard};
    bus_step_later(owner, &e);
}

static bool host_link_buffers(void *owner, cl_link link, size_t *used, size_t *allocated)
{
    const struct bus_link *l = bus_link_find(owner, link);
    if (l != NULL)
        bus_link_buffers(l, used, allocated);
    return l != NULL;
}

static uint64_t host_links_over_limit(void *owner)
{
    return ((struct bus *)owner)->over_limit;
}

/* ---- opening and closing ---- */

static void on_accept(void *owner, int fd, const char *peer, bool on_unix)
{
    struct bus *b = owner;
    (void)on_unix;
    if (b->started)
        bus_link_accept(b, fd, peer);
    else
        close(fd);
}

static bool listen_on_bus(struct bus *b, struct buf *error)
{
    struct nd_config config = b->node->engine->config; /* its texts stay the engine's */
    char none[] = "";
    config.port = bus_port(&config);
    config.unixsocket = none;
    if (config.port == 0) {
        buf_puts(error, "the bus needs a port: port + 10000 is beyond 65535, so cluster-port must say which one");
        return false;
    }
    b->listen = listen_open(b->node->loop, &config, on_accept, b, error);
    return b->listen != NULL;
}

static bool make_core(struct bus *b, struct slice text, struct buf *error)
{
    struct cl_options o;
    if (getrandom(&o.seed, sizeof o.seed, 0) != (ssize_t)sizeof o.seed) {
        buf_puts(error, "the system gives no random bytes");
        return false;
    }
    bus_settings(b, &o.settings);
    b->core = cl_core_new(&o, io_now_us(), io_wall_ms());
    struct buf why = {0};
    bool ok = text.n == 0 || cl_core_load(b->core, text, &why);
    if (!ok)
        buf_printf(error, "the cluster's file %s cannot be used: %s", bus_disk_path(b->disk), buf_str(&why));
    buf_free(&why);
    return ok;
}

static void claim_slots(struct bus *b)
{
    uint8_t slots[CL_SLOT_BYTES];
    if (!nd_cluster_has_keys(b->node->engine))
        return;
    nd_cluster_key_slots(b->node->engine, slots);
    size_t n = cl_core_claim(b->core, slots);
    if (n > 0)
        io_log(IO_WARNING, "The dataset has keys of %zu slots that were not this node's: taken or opened", n);
}

/* It would be one word against nodes.conf, which knows better; a node that did not start for it would help nobody. */
static void ignore_replicaof(struct nd_config *config)
{
    if (config->replicaof[0] == '\0')
        return;
    io_log(IO_WARNING,
           "replicaof %s is ignored: in cluster mode nodes.conf says whom this node follows, and CLUSTER REPLICATE "
           "changes that; CONFIG REWRITE takes the line out of the file",
           config->replicaof);
    config->replicaof[0] = '\0';
}

struct bus *bus_open(struct node *n, struct buf *error)
{
    struct bus *b = mem_zalloc(sizeof *b);
    struct buf text = {0};
    b->node = n;
    b->last = &b->first;
    b->armed_us = HEAP_NEVER;
    b->turn_end.run = on_turn_end;
    ev_timer_init(&b->timer, on_timer, 0., 0.);
    ev_set_priority(&b->timer, IO_PRIORITY_PROCESS); /* behind what has arrived on links, before clients */
    b->timer.data = b;
    ignore_replicaof(&n->engine->config);
    b->disk = bus_disk_open(b, n->engine->config.cluster_config_file, &text, error);
    bool ok = b->disk != NULL && make_core(b, buf_slice(&text), error) && listen_on_bus(b, error);
    buf_free(&text);
    if (!ok) {
        bus_close(b);
        return NULL;
    }
    b->shared = mem_alloc(BUS_READ_BYTES);
    struct nd_cluster_host host = {
        .owner = b,
        .command = host_command,
        .publish = host_publish,
        .link_buffers = host_link_buffers,
        .links_over_limit = host_links_over_limit,
        .job_progress = bus_job_progress,
        .data = bus_data,
        .flushed = bus_flushed,
    };
    nd_cluster_new(n->engine, b->core, &host);
    return b;
}

/* The first step says it again, with the same address. */
void bus_take_role(struct bus *b)
{
    struct cl_member m, master;
    char id[CL_ID_DIGITS + 1];
    if (cl_is_master(b->core))
        return;
    for (size_t it = 0; cl_next_member(b->core, &it, &m);)
        if (m.me && cl_find_member(b->core, slice_of(cl_id_text(&m.master, id)), &master) && master.ip[0] != '\0')
            nd_follow_set(b->node->repl, master.ip, master.port, false);
}

void bus_start(struct bus *b)
{
    if (b == NULL)
        return;
    claim_slots(b);
    b->started = b->node->engine->cluster->started = true;
    struct cl_event e = {.kind = CL_EV_TIME};
    one_step(b, &e);
}

void bus_close(struct bus *b)
{
    if (b == NULL)
        return;
    struct buf last = {0};
    if (b->started)
        cl_core_unsaved(b->core, &last);
    bus_disk_close(b->disk, buf_slice(&last));
    buf_free(&last);
    listen_close(b->listen);
    bus_links_close(b);
    ev_timer_stop(io_loop_ev(b->node->loop), &b->timer);
    io_turn_end_cancel(b->node->loop, &b->turn_end);
    for (struct bus_waiting *w; (w = next_waiting(b)) != NULL;)
        free(w);
    nd_cluster_free(b->node->engine->cluster);
    if (b->core != NULL)
        cl_core_free(b->core);
    cl_effects_free(&b->fx);
    free(b->shared);
    free(b);
}
