#include "tests/unit/cluster/world.h"

#include "common/base/mem.h"
#include "noded/cluster/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000)

enum what { W_SYN, W_UP, W_BYTES, W_CLOSE, W_DISK, W_JOB };

struct packet {
    struct heap_node at; /* first */
    enum what what;
    int to;
    unsigned life; /* of `to` */
    struct world_link *link;
    int side; /* of the link, that it arrives at */
    struct cl_bytes *bytes;
    struct cl_event job;
};

struct world_link {
    int end[2]; /* node numbers: who connected, who accepted */
    cl_link name[2];
    bool open[2];
    int64_t last_us[2]; /* arrival of what was sent last towards that end */
    struct packet **held;
    size_t nheld, cap_held;
};

static int64_t draw_delay(struct world *w)
{
    return 1 + (int64_t)rng_below(&w->rng, (uint64_t)(2 * w->delay_us));
}

static void packet_send(struct world *w, enum what what, struct world_link *l, int side, struct cl_bytes *bytes)
{
    struct packet *p = mem_zalloc(sizeof *p);
    heap_node_init(&p->at);
    p->what = what;
    p->link = l;
    p->side = side;
    p->to = l->end[side];
    p->life = w->nodes[p->to].life;
    p->bytes = bytes;
    int64_t at = w->now_us + draw_delay(w);
    at = at > l->last_us[side] ? at : l->last_us[side];
    l->last_us[side] = at;
    heap_set(&w->heap, &p->at, at);
}

static void packet_free(struct packet *p)
{
    cl_bytes_release(p->bytes);
    free(p);
}

/* ---- the data side ---- */

static void facts_refresh(struct world *w, struct world_node *n)
{
    if (n->master || n->following < 0)
        return;
    struct world_node *m = &w->nodes[n->following];
    bool up = m->core != NULL && m->master && !w->cut[n->number][m->number] && !w->cut[m->number][n->number] &&
              w->now_us - n->followed_us >= 5 * MS;
    if (up) {
        n->offset = m->offset;
        n->has_keys = m->has_keys;
        n->mapping_epoch = m->mapping_epoch;
        n->old_since_us = w->now_us;
    }
    n->link_up = up;
}

static struct cl_facts facts(struct world *w, struct world_node *n)
{
    facts_refresh(w, n);
    return (struct cl_facts){.offset = n->offset,
                             .old_since_us = n->old_since_us,
                             .link_up = n->link_up && !n->master,
                             .mapping_epoch = n->mapping_epoch,
                             .databases = 16,
                             .boot_us = w->now_us,
                             .has_keys = n->has_keys,
                             .sends_keys = n->sends_keys};
}

/* Whoever has lost or found its master's stream is told so. */
static void facts_tell(struct world *w)
{
    for (int i = 0; i < w->nnodes; i++) {
        struct world_node *n = &w->nodes[i];
        bool before = n->link_up;
        if (n->core == NULL)
            continue;
        facts_refresh(w, n);
        if (before != n->link_up) {
            struct cl_event e = {.kind = CL_EV_TIME};
            world_step(w, n, &e);
        }
    }
}

static int number_at(const struct world *w, const char *ip)
{
    int i = -1;
    (void)w;
    return sscanf(ip, "10.0.0.%d", &i) == 1 ? i : -1;
}

/* ---- effects ---- */

static uint64_t key_of(cl_link name)
{
    return (name & ~CL_INCOMING) << 1 | ((name & CL_INCOMING) != 0 ? 1 : 0);
}

static struct world_link *link_named(const struct world_node *n, cl_link name, int *side)
{
    struct world_link *l = idmap_get(&n->links, key_of(name));
    *side = (name & CL_INCOMING) != 0 ? 1 : 0;
    return l;
}

static void side_open(struct world *w, struct world_link *l, int side)
{
    l->open[side] = true;
    idmap_put(&w->nodes[l->end[side]].links, key_of(l->name[side]), l);
}

static void side_close(struct world *w, struct world_link *l, int side)
{
    if (l->open[side])
        idmap_del(&w->nodes[l->end[side]].links, key_of(l->name[side]));
    l->open[side] = false;
}

static void do_connect(struct world *w, struct world_node *n, const struct cl_effect *e)
{
    int to = number_at(w, e->ip);
    struct world_link *l = mem_zalloc(sizeof *l);
    bool nowhere = to < 0 || to >= w->nnodes;
    l->end[0] = n->number;
    l->end[1] = nowhere ? n->number : to;
    l->name[0] = e->link;
    l->name[1] = (uint64_t)(w->nlinks + 1) | CL_INCOMING;
    side_open(w, l, 0);
    w->links = mem_grow(w->links, w->nlinks, &w->cap_links, sizeof *w->links);
    w->links[w->nlinks++] = l;
    packet_send(w, nowhere ? W_CLOSE : W_SYN, l, nowhere ? 0 : 1, NULL);
}

static void do_disconnect(struct world *w, struct world_node *n, cl_link name)
{
    int side;
    struct world_link *l = link_named(n, name, &side);
    if (l == NULL)
        return;
    side_close(w, l, side);
    packet_send(w, W_CLOSE, l, 1 - side, NULL);
}

static void do_send(struct world *w, struct world_node *n, struct cl_effect *e)
{
    int side;
    struct world_link *l = link_named(n, e->link, &side);
    n->sends++;
    n->bytes += cl_effect_text(e).n;
    if (l == NULL)
        return;
    packet_send(w, W_BYTES, l, 1 - side, cl_bytes_new(cl_effect_text(e)));
}

static void do_persist(struct world *w, struct world_node *n, const struct cl_effect *e)
{
    struct packet *p = mem_zalloc(sizeof *p);
    struct slice text = cl_effect_text(e);
    heap_node_init(&p->at);
    p->what = W_DISK;
    p->to = n->number;
    p->life = n->life;
    n->write_seq = e->seq;
    buf_clear(&n->write);
    buf_put(&n->write, text.p, text.n);
    heap_set(&w->heap, &p->at, w->now_us + 1 + (int64_t)rng_below(&w->rng, (uint64_t)(2 * w->disk_us)));
}

static void do_follow(struct world *w, struct world_node *n, const struct cl_effect *e)
{
    int to = e->ip[0] != '\0' ? number_at(w, e->ip) : -1;
    bool same = !n->master && n->following == to;
    n->master = false;
    if (same)
        return;
    n->following = to;
    n->link_up = false;
    n->followed_us = w->now_us;
}

/* ---- data sides of migrations ---- */

static void job_tell(struct world *w, int to, const struct cl_event *e, struct slice slots, int64_t at_us)
{
    struct packet *p = mem_zalloc(sizeof *p);
    heap_node_init(&p->at);
    p->what = W_JOB;
    p->to = to;
    p->life = w->nodes[to].life;
    p->job = *e;
    p->job.kind = CL_EV_JOB;
    p->bytes = slots.n > 0 ? cl_bytes_new(slots) : NULL;
    heap_set(&w->heap, &p->at, at_us);
}

static int64_t in_their_order(struct world *w)
{
    return w->told_us = w->told_us > w->now_us ? w->told_us + 1 : w->now_us + 2 * w->delay_us;
}

static void job_news_at(struct world *w, int to, const struct cl_id *job, enum cl_job_news news, uint64_t seq,
                        int64_t at_us)
{
    job_tell(w, to, &(struct cl_event){.news = news, .job = *job, .seq = seq}, (struct slice){NULL, 0}, at_us);
}

static void job_news(struct world *w, int to, const struct cl_id *job, enum cl_job_news news, uint64_t seq)
{
    job_news_at(w, to, job, news, seq, in_their_order(w));
}

static void job_export(struct world *w, struct world_node *n, const struct cl_effect *e)
{
    int to = number_at(w, e->ip);
    struct cl_event asked = {
        .news = CL_JOB_IS_ASKED, .job = e->job, .node = world_id(w, n->number), .seq = n->mapping_epoch};
    w->jobs[w->njobs].name = e->job;
    w->jobs[w->njobs].source = n->number;
    w->jobs[w->njobs++].target = to;
    job_tell(w, to, &asked, cl_effect_text(e), in_their_order(w));
}

static void do_job(struct world *w, struct world_node *n, const struct cl_effect *e)
{
    int i = 0;
    while (i < w->njobs && !cl_id_eq(&w->jobs[i].name, &e->job))
        i++;
    if (i == w->njobs)
        return;
    int source = w->jobs[i].source, target = w->jobs[i].target;
    switch (e->kind) {
    case CL_FX_JOB_ACCEPT:
        job_news(w, source, &e->job, e->ok ? CL_JOB_IS_SNAPSHOTTING : CL_JOB_IS_LOST, 0);
        if (e->ok)
            job_news(w, source, &e->job, CL_JOB_IS_STREAMING, 0);
        if (e->ok && w->data < WORLD_IS_NEVER_NEAR)
            job_news(w, source, &e->job, CL_JOB_IS_NEAR, 0);
        break;
    case CL_FX_JOB_DRAIN:
        if (w->data < WORLD_DRAINS_NOT && w->nodes[target].core != NULL)
            job_news(w, source, &e->job, CL_JOB_IS_DRAINED, cl_greatest_epoch(w->nodes[target].core));
        break;
    case CL_FX_JOB_RESUME:
        for (int s = 0; s < 20; s++) /* every second, whether it is wanted or not */
            job_news_at(w, source, &e->job, CL_JOB_IS_NEAR, 0, w->now_us + s * 1000 * MS);
        break;
    case CL_FX_JOB_GRANT:
        w->grants++;
        if (w->data < WORLD_LOSES_GRANTS)
            job_news(w, target, &e->job, CL_JOB_IS_GRANTED, e->seq);
        break;
    default: job_news(w, n->number == source ? target : source, &e->job, CL_JOB_IS_LOST, 0); break;
    }
}

static void arrive_job(struct world *w, struct packet *p)
{
    struct world_node *n = &w->nodes[p->to];
    if (n->core == NULL || n->life != p->life)
        return;
    p->job.slots = (const uint8_t *)cl_bytes_slice(p->bytes).p;
    world_step(w, n, &p->job);
}

static void slots_add(uint8_t *to, struct slice slots)
{
    for (size_t i = 0; i < slots.n; i++)
        to[i] = (uint8_t)(to[i] | (uint8_t)slots.p[i]);
}

static void do_count(struct world *w, struct world_node *n, const struct cl_effect *e)
{
    struct cl_event counted = {
        .kind = CL_EV_SLOT_KEYS, .node = e->node, .slot = e->a, .token = e->token, .seq = n->keys};
    if (!n->counts_not)
        world_step(w, n, &counted);
}

static void do_effect(struct world *w, struct world_node *n, struct cl_effect *e)
{
    struct slice text = cl_effect_text(e);
    switch (e->kind) {
    case CL_FX_CONNECT: do_connect(w, n, e); break;
    case CL_FX_DISCONNECT: do_disconnect(w, n, e->link); break;
    case CL_FX_SEND: do_send(w, n, e); break;
    case CL_FX_PERSIST: do_persist(w, n, e); break;
    case CL_FX_FOLLOW: do_follow(w, n, e); break;
    case CL_FX_PROMOTE:
        n->master = true;
        n->following = -1;
        n->promotions++;
        n->promoted_us = w->now_us;
        break;
    case CL_FX_EMPTY:
        n->has_keys = false;
        n->mapping_epoch = 0;
        break;
    case CL_FX_DROP_SLOTS: slots_add(n->dropped, text); break;
    case CL_FX_JOB_EXPORT: job_export(w, n, e); break;
    case CL_FX_JOB_DRAIN:
    case CL_FX_JOB_RESUME:
    case CL_FX_JOB_GRANT:
    case CL_FX_JOB_ACCEPT:
    case CL_FX_JOB_STOP: do_job(w, n, e); break;
    case CL_FX_SLOTS_SHOW: slots_add(n->shown, text); break;
    case CL_FX_SLOTS_FORGET: slots_add(n->forgotten, text); break;
    case CL_FX_SWAPDB:
        n->mapping_epoch = e->seq;
        n->swaps++;
        break;
    case CL_FX_ANSWER:
        n->answered = true;
        n->answer_ok = e->ok;
        snprintf(n->answer, sizeof n->answer, "%.*s", (int)text.n, text.n > 0 ? text.p : "");
        break;
    case CL_FX_STATE: break;
    case CL_FX_SLOT_KEYS: do_count(w, n, e); break;
    case CL_FX_PAUSE: n->paused = true; break;
    case CL_FX_UNPAUSE: n->paused = false; break;
    case CL_FX_PUBLISH: {
        struct slice channel = cl_effect_channel(e), payload = cl_effect_payload(e);
        buf_printf(&n->heard, "%.*s %.*s\n", (int)channel.n, channel.p, (int)payload.n, payload.p);
        break;
    }
    case CL_FX_LOG:
        if (getenv("WORLD_LOG") != NULL)
            fprintf(stderr, "%8.3f node %d: %.*s\n", (double)w->now_us / 1e6, n->number, (int)text.n, text.p);
        break;
    }
}

void world_step(struct world *w, struct world_node *n, struct cl_event *e)
{
    struct cl_effects fx = {NULL, 0, 0};
    if (n->core == NULL)
        return;
    e->now_us = w->now_us;
    e->unix_ms = 1700000000000 + w->now_us / 1000;
    e->facts = facts(w, n);
    cl_step(n->core, e, &fx);
    n->steps++;
    if (w->watch != NULL)
        w->watch(w, n, &fx);
    for (size_t i = 0; i < fx.n; i++)
        do_effect(w, n, &fx.v[i]);
    cl_effects_free(&fx);
    int64_t at = cl_deadline(n->core);
    heap_set(&w->timers, &n->timer, at == HEAP_NEVER || at > w->now_us ? at : w->now_us + 1);
}

/* ---- arrivals ---- */

static void refused(struct world *w, struct world_link *l)
{
    packet_send(w, W_CLOSE, l, 0, NULL);
}

static void arrive_link(struct world *w, struct packet *p, struct world_node *n)
{
    char peer[32], own[32];
    struct world_link *l = p->link;
    struct cl_event e = {.kind = CL_EV_LINK_DOWN, .link = l->name[p->side]};
    bool alive = n->core != NULL && n->life == p->life;
    if (p->what == W_SYN) {
        if (n->core == NULL) {
            refused(w, l);
            return;
        }
        side_open(w, l, 1);
        e = (struct cl_event){.kind = CL_EV_ACCEPTED,
                              .link = l->name[1],
                              .ip = world_ip(l->end[0], peer),
                              .local_ip = world_ip(l->end[1], own)};
        packet_send(w, W_UP, l, 0, NULL);
        world_step(w, n, &e);
        return;
    }
    if (!alive || !l->open[p->side])
        return;
    if (p->what == W_CLOSE) {
        side_close(w, l, p->side);
    } else if (p->what == W_UP) {
        e.kind = CL_EV_LINK_UP;
        e.local_ip = world_ip(n->number, own);
    } else {
        struct slice bytes = cl_bytes_slice(p->bytes);
        const char *why;
        assert(cl_wire_length(bytes.p, bytes.n, &why) == (int64_t)bytes.n);
        e.kind = CL_EV_MESSAGE;
        e.bytes = bytes;
    }
    world_step(w, n, &e);
}

static void arrive_disk(struct world *w, struct packet *p, struct world_node *n)
{
    struct cl_event e = {.kind = CL_EV_PERSISTED, .seq = n->write_seq, .bytes = slice_of("no space left")};
    if (n->core == NULL || n->life != p->life)
        return;
    if (n->disk_fails) {
        e.kind = CL_EV_PERSIST_FAILED;
    } else {
        buf_clear(&n->disk);
        buf_put(&n->disk, n->write.p, n->write.n);
        n->has_disk = true;
        const char *vars = strstr(buf_str(&n->disk), "vars currentEpoch ");
        assert(vars != NULL);
        int read = sscanf(vars, "vars currentEpoch %" SCNu64 " lastVoteEpoch %" SCNu64, &n->disk_epoch, &n->disk_vote);
        assert(read == 2);
        (void)read;
    }
    world_step(w, n, &e);
}

static void arrive(struct world *w, struct packet *p)
{
    struct world_node *n = &w->nodes[p->to];
    if (p->what == W_DISK) {
        arrive_disk(w, p, n);
    } else if (p->what == W_JOB) {
        arrive_job(w, p);
    } else if (w->cut[p->link->end[1 - p->side]][p->to]) {
        p->link->held = mem_grow(p->link->held, p->link->nheld, &p->link->cap_held, sizeof *p->link->held);
        p->link->held[p->link->nheld++] = p;
        return;
    } else {
        arrive_link(w, p, n);
    }
    packet_free(p);
}

/* ---- what tests do ---- */

struct world *world_new(uint64_t seed, int nodes, int64_t node_timeout_ms)
{
    struct world *w = mem_zalloc(sizeof *w);
    assert(nodes <= WORLD_NODES);
    rng_seed(&w->rng, seed);
    w->now_us = 1000 * MS;
    w->disk_us = 2 * MS;
    w->delay_us = MS / 2;
    w->nnodes = nodes;
    w->settings = (struct cl_settings){.node_timeout_ms = node_timeout_ms,
                                       .validity_factor = 10,
                                       .migration_barrier = 1,
                                       .repl_ping_ms = 10000,
                                       .full_coverage = true,
                                       .allow_migration = true,
                                       .pubsub_when_down = true,
                                       .port = 7000,
                                       .bus_port = 17000};
    for (int i = 0; i < nodes; i++) {
        struct world_node *n = &w->nodes[i];
        heap_node_init(&n->timer);
        n->world = w;
        n->number = i;
        world_start(w, i);
    }
    return w;
}

void world_start(struct world *w, int node)
{
    struct world_node *n = &w->nodes[node];
    struct cl_options o = {.seed = rng_u64(&w->rng), .settings = w->settings};
    struct buf why = {NULL, 0, 0};
    struct cl_event e = {.kind = CL_EV_TIME};
    assert(n->core == NULL);
    n->life++;
    n->core = cl_core_new(&o, w->now_us, 1700000000000 + w->now_us / 1000);
    n->master = true;
    n->following = -1;
    n->old_since_us = -1;
    n->paused = false;
    n->link_up = false;
    if (n->has_disk && !cl_core_load(n->core, buf_slice(&n->disk), &why)) {
        fprintf(stderr, "%.*s\n", (int)why.n, why.p);
        assert(false);
    }
    buf_free(&why);
    world_step(w, n, &e);
}

void world_kill(struct world *w, int node)
{
    struct world_node *n = &w->nodes[node];
    cl_core_free(n->core);
    n->core = NULL;
    heap_set(&w->timers, &n->timer, HEAP_NEVER);
    struct world_link *l;
    for (size_t it = 0; (l = idmap_next(&n->links, &it)) != NULL;) {
        int side = l->end[0] == node ? 0 : 1;
        l->open[side] = false;
        packet_send(w, W_CLOSE, l, 1 - side, NULL);
    }
    idmap_free(&n->links);
    n->links = (struct idmap){0};
}

void world_cut(struct world *w, int a, int b, bool cut)
{
    w->cut[a][b] = w->cut[b][a] = cut;
    for (size_t i = 0; i < w->nlinks && !cut; i++) {
        struct world_link *l = w->links[i];
        bool between = (l->end[0] == a && l->end[1] == b) || (l->end[0] == b && l->end[1] == a);
        for (size_t k = 0; between && k < l->nheld; k++)
            heap_set(&w->heap, &l->held[k]->at, w->now_us + 1);
        l->nheld = between ? 0 : l->nheld;
    }
}

static bool happen(struct world *w, int64_t until)
{
    struct heap_node *first = heap_top(&w->heap), *timer = heap_top(&w->timers);
    int64_t at = first != NULL ? first->at : HEAP_NEVER, tick = timer != NULL ? timer->at : HEAP_NEVER;
    if (at > until && tick > until)
        return false;
    if (tick < at) {
        struct world_node *n = (struct world_node *)(void *)timer;
        struct cl_event e = {.kind = CL_EV_TIME};
        w->now_us = tick > w->now_us ? tick : w->now_us;
        world_step(w, n, &e);
    } else {
        assert(first != NULL);
        w->now_us = at > w->now_us ? at : w->now_us;
        heap_set(&w->heap, first, HEAP_NEVER);
        arrive(w, (struct packet *)(void *)first);
    }
    facts_tell(w);
    return true;
}

void world_run(struct world *w, int64_t us)
{
    int64_t until = w->now_us + us;
    facts_tell(w);
    while (happen(w, until)) {}
    w->now_us = until;
    facts_tell(w);
}

bool world_until(struct world *w, bool (*holds)(struct world *w, void *arg), void *arg, int64_t us)
{
    int64_t until = w->now_us + us;
    for (facts_tell(w); !holds(w, arg);)
        if (!happen(w, until))
            return false;
    return true;
}

void world_free(struct world *w)
{
    for (struct heap_node *p; (p = heap_top(&w->heap)) != NULL;) {
        heap_set(&w->heap, p, HEAP_NEVER);
        packet_free((struct packet *)(void *)p);
    }
    for (size_t i = 0; i < w->nlinks; i++) {
        for (size_t k = 0; k < w->links[i]->nheld; k++)
            packet_free(w->links[i]->held[k]);
        free(w->links[i]->held);
        free(w->links[i]);
    }
    free(w->links);
    for (int i = 0; i < w->nnodes; i++) {
        cl_core_free(w->nodes[i].core);
        idmap_free(&w->nodes[i].links);
        buf_free(&w->nodes[i].disk);
        buf_free(&w->nodes[i].write);
        buf_free(&w->nodes[i].heard);
    }
    free(w->broken);
    heap_free(&w->heap);
    heap_free(&w->timers);
    free(w);
}
