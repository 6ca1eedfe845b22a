/* A node's process: its core, its clock, and what its shell does with the effects. */
#include "tests/bus/world.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

#define STEPS_AT_ONCE_MAX 20000
#define UNIX_MS_AT_START INT64_C(1700000000000)

int64_t node_clock(const struct world *w, const struct node *n)
{
    int64_t passed = w->time.now_us - n->clock.world_us;
    return n->clock.local_us + passed + passed * n->clock.rate_ppm / 1000000;
}

/* When the local clock will show that time: never earlier. */
static int64_t world_time_of(const struct node *n, int64_t local_us)
{
    int64_t wait = local_us - n->clock.local_us;
    if (wait <= 0)
        return n->clock.world_us;
    int64_t at = wait * 1000000 / (1000000 + n->clock.rate_ppm);
    while (at + at * n->clock.rate_ppm / 1000000 < wait)
        at++;
    return n->clock.world_us + at;
}

static void set_address(struct node *n)
{
    snprintf(n->ip, sizeof n->ip, "10.%d.%d.%d", n->moves % 200, (n->index + 1) / 256, (n->index + 1) % 256);
}

void node_init(struct world *w, int i)
{
    struct node *n = &w->nodes[i];
    const struct plan *p = &w->plan;
    struct happening *all[] = {&n->tick, &n->crash, &n->written, &n->pull, &n->ping, &n->flush};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        heap_node_init(&all[k]->at);
        all[k]->who = i;
    }
    n->index = i;
    set_address(n);
    n->clock.local_us = SECONDS(rng_range(&w->rng, 1, 1000000));
    n->data.master = -1;
    n->set = (struct cl_settings){.node_timeout_ms = p->timeout_ms,
                                  .validity_factor = p->validity_factor,
                                  .migration_barrier = p->migration_barrier,
                                  .repl_ping_ms = p->repl_ping_ms,
                                  .full_coverage = p->full_coverage,
                                  .allow_migration = p->allow_migration,
                                  .port = 7000,
                                  .bus_port = 17000};
    if (p->swap_ms > 0)
        disk_supervise(w, n);
}

void node_excuse(struct world *w, struct node *n)
{
    int64_t until = w->time.now_us + MS(n->set.node_timeout_ms) * 5 / 4 + SECONDS(1);
    if (n->excused_us < until)
        n->excused_us = until;
}

static void carry_out(struct world *w, struct node *n, const struct cl_event *e);

void node_start(struct world *w, struct node *n)
{
    if (n->core != NULL || n->gone)
        return;
    struct cl_options o = {.seed = rng_u64(&w->rng), .settings = n->set};
    struct buf why = {0};
    uint8_t slots[CL_SLOT_BYTES];
    if (n->host_down)
        net_back(w, n);
    n->host_down = n->stopped = false;
    n->core = cl_core_new(&o, node_clock(w, n), UNIX_MS_AT_START + w->time.now_us / 1000);
    if (n->disk.text.n > 0 && !cl_core_load(n->core, buf_slice(&n->disk.text), &why)) {
        violated(w, "load", "%s does not take back its own nodes.conf: %s", node_name(n->index), buf_str(&why));
        buf_free(&why);
        return;
    }
    buf_free(&why);
    /* Somebody decides on swaps; nobody grants leases, so nodes elect by themselves. */
    n->core->supervised = w->plan.swap_ms > 0;
    data_started(w, n);
    if (n->disk.text.n > 0 && data_slots(w, n, slots))
        cl_core_claim(n->core, slots);
    n->id = cl_my_id(n->core);
    if (n->disk.text.n > 0 && !cl_id_eq(&n->id, &n->disk.says.id))
        violated(w, "load", "%s has another id than its nodes.conf says", node_name(n->index));
    RECORD(w, node_name(n->index), "starts%s", n->disk.text.n > 0 ? " with what its disk says" : " with an empty disk");
    check_started(w, n);
    node_excuse(w, n);
    struct cl_event e = {.kind = CL_EV_TIME};
    node_step(w, n, &e);
}

void node_crash(struct world *w, struct node *n, bool host)
{
    if (n->core == NULL)
        return;
    RECORD(w, node_name(n->index), host ? "loses power" : "is killed");
    cl_core_free(n->core);
    n->core = NULL;
    n->host_down = host;
    n->stopped = false;
    net_died(w, n, host);
    jobs_died(w, n, host);
    n->life++;
    idmap_free(&n->outs);
    idmap_free(&n->ins);
    disk_crash(w, n);
    data_crashed(w, n);
    happen_not(&w->time, &n->tick);
    memset(n->asked, 0, sizeof n->asked);
    /* What had reached the process dies with it; the kernel answers for it where it still can. */
    inbox_deliver(w, &n->inbox);
}

void node_stop(struct world *w, struct node *n)
{
    if (n->core == NULL || n->stopped)
        return;
    RECORD(w, node_name(n->index), "is stopped");
    n->stopped = true;
}

void node_continue(struct world *w, struct node *n)
{
    if (!n->stopped)
        return;
    RECORD(w, node_name(n->index), "goes on");
    n->stopped = false;
    node_excuse(w, n);
    inbox_deliver(w, &n->inbox);
}

static void set_clock(struct world *w, struct node *n)
{
    n->clock.local_us = node_clock(w, n);
    n->clock.world_us = w->time.now_us;
}

static void time_has_come(struct world *w, struct happening *h);

static void set_timer(struct world *w, struct node *n)
{
    int64_t at = n->core != NULL ? cl_deadline(n->core) : HEAP_NEVER;
    if (at == HEAP_NEVER) {
        happen_not(&w->time, &n->tick);
        return;
    }
    int64_t late = w->plan.lateness_us > 0 ? (int64_t)rng_below(&w->rng, (uint64_t)w->plan.lateness_us) : 0;
    happen(&w->time, &n->tick, world_time_of(n, at) + late, time_has_come);
}

void node_jump(struct world *w, struct node *n, int64_t by_us)
{
    RECORD(w, node_name(n->index), "its clock leaps by %lld ms", (long long)(by_us / 1000));
    set_clock(w, n);
    n->clock.local_us += by_us;
    node_excuse(w, n);
    if (n->core != NULL && !n->stopped)
        set_timer(w, n);
}

void node_drift(struct world *w, struct node *n, int64_t rate_ppm)
{
    RECORD(w, node_name(n->index), "its clock runs %+lld ppm off", (long long)rate_ppm);
    set_clock(w, n);
    n->clock.rate_ppm = rate_ppm;
    if (n->core != NULL && !n->stopped)
        set_timer(w, n);
}

void node_wipe(struct world *w, struct node *n)
{
    RECORD(w, node_name(n->index), "its disk is lost");
    disk_wipe(n);
    handover_wiped(w, n);
    swap_wiped(w, n);
    data_empty(w, n);
    memset(&n->data, 0, sizeof n->data);
    memset(&n->followed, 0, sizeof n->followed);
    memset(&n->followed_disk, 0, sizeof n->followed_disk);
    n->data.master = -1;
    if (rng_below(&w->rng, 2) == 0)
        node_move(w, n);
    if (w->plan.swap_ms > 0)
        disk_supervise(w, n);
}

void node_move(struct world *w, struct node *n)
{
    n->moves++;
    set_address(n);
    RECORD(w, node_name(n->index), "its address is %s now", n->ip);
}

static void time_has_come(struct world *w, struct happening *h)
{
    struct node *n = &w->nodes[h->who];
    if (n->stopped) {
        inbox_put(&n->inbox, h);
        return;
    }
    struct cl_event e = {.kind = CL_EV_TIME};
    node_step(w, n, &e);
}

static bool begins(struct slice s, const char *with)
{
    return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

static void answered(struct world *w, struct node *n, const struct cl_effect *e)
{
    if (e->token == 0)
        return;
    for (int i = 0; i < ASKED_MAX; i++) {
        struct asked *a = &n->asked[i];
        if (a->token != e->token)
            continue;
        if (a->answered)
            violated(w, "answers", "%s answers a command twice", node_name(n->index));
        a->answered = true;
        a->ok = e->ok;
        a->passed_over = begins(cl_effect_text(e), "ERR This master was passed over");
        if (!e->ok)
            w->counts[COUNT_REFUSED]++;
        else if (a->verb == CL_DBMAP_PREPARE)
            swap_promised(w, n, a);
        return;
    }
    violated(w, "answers", "%s answers what nobody has asked", node_name(n->index));
}

static void note_hash(struct world *w, const struct node *n, const struct cl_effect *e)
{
    uint64_t what[] = {(uint64_t)w->time.now_us, (uint64_t)n->index << 32 | (uint64_t)e->kind, e->link, e->seq,
                       cl_effect_text(e).n};
    for (size_t i = 0; i < sizeof what / sizeof *what; i++)
        w->hash = (w->hash ^ what[i]) * 0x100000001b3U;
}

static void count_keys(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct cl_event counted = {.kind = CL_EV_SLOT_KEYS, .node = e->node, .slot = e->a, .token = e->token};
    for (int i = 0; i < WATCHED; i++)
        if (w->migrations.ledger.watched[i] == e->a && data_has_slot(w, n, i))
            counted.seq = 1;
    node_step(w, n, &counted);
}

static void carry_out_one(struct world *w, struct node *n, struct cl_effect *e)
{
    switch (e->kind) {
    case CL_FX_CONNECT: net_connect(w, n, e); break;
    case CL_FX_DISCONNECT: net_disconnect(w, n, e->link); break;
    case CL_FX_SEND: net_message(w, n, e); break;
    case CL_FX_PERSIST: disk_persist(w, n, e); break;
    case CL_FX_FOLLOW:
        w->counts[COUNT_FOLLOWS]++;
        data_follow(w, n, &e->node, e->ip, e->port);
        break;
    case CL_FX_PROMOTE:
        w->counts[COUNT_PROMOTED]++;
        data_promote(w, n);
        if (w->promoted != NULL)
            w->promoted(w, n);
        break;
    case CL_FX_EMPTY: data_empty(w, n); break;
    case CL_FX_DROP_SLOTS:
        w->counts[COUNT_DROPPED]++;
        data_drop(w, n, cl_effect_slots(e));
        break;
    case CL_FX_ANSWER: answered(w, n, e); break;
    case CL_FX_PAUSE: n->data.paused_until_us = e->until_us; break;
    case CL_FX_UNPAUSE: n->data.paused_until_us = 0; break;
    case CL_FX_JOB_EXPORT: jobs_export(w, n, e); break;
    case CL_FX_JOB_DRAIN: jobs_drain(w, n, e); break;
    case CL_FX_JOB_RESUME: jobs_resume(w, n, e); break;
    case CL_FX_JOB_GRANT: jobs_grant(w, n, e); break;
    case CL_FX_JOB_ACCEPT: jobs_accept(w, n, e); break;
    case CL_FX_JOB_STOP: jobs_stop(w, n, e); break;
    case CL_FX_SLOTS_SHOW: jobs_show(w, n, cl_effect_slots(e), true); break;
    case CL_FX_SLOTS_FORGET: jobs_show(w, n, cl_effect_slots(e), false); break;
    case CL_FX_SWAPDB: swap_effect(w, n, e); break;
    case CL_FX_SLOT_KEYS: count_keys(w, n, e); break;
    case CL_FX_STATE:
    case CL_FX_PUBLISH:
    case CL_FX_LOG: break;
    }
}

static void carry_out(struct world *w, struct node *n, const struct cl_event *e)
{
    /* The list is moved out: a message to oneself, or a reset, must not find it half done. */
    struct cl_effects fx = w->fx;
    w->fx = (struct cl_effects){NULL, 0, 0};
    for (size_t i = 0; i < fx.n && w->violation == NULL; i++) {
        if (w->record != NULL)
            record_effect(w, n, &fx.v[i]);
        check_effect(w, n, e, &fx.v[i]);
        note_hash(w, n, &fx.v[i]);
        carry_out_one(w, n, &fx.v[i]);
    }
    cl_effects_clear(&fx);
    if (w->fx.v == NULL)
        w->fx = fx;
    else
        cl_effects_free(&fx);
}

static bool was_refused(const struct node *n, cl_token token)
{
    for (int i = 0; i < ASKED_MAX; i++)
        if (n->asked[i].token == token)
            return n->asked[i].answered && !n->asked[i].ok;
    return false;
}

void node_step(struct world *w, struct node *n, struct cl_event *e)
{
    if (n->core == NULL || w->violation != NULL)
        return;
    e->now_us = node_clock(w, n);
    e->unix_ms = UNIX_MS_AT_START + w->time.now_us / 1000;
    e->facts = data_facts(w, n);
    n->steps_at_once = e->now_us == n->last_step_us ? n->steps_at_once + 1 : 0;
    n->last_step_us = e->now_us;
    if (n->steps_at_once > STEPS_AT_ONCE_MAX)
        violated(w, "end", "%s does one step after the other and time stands still", node_name(n->index));
    w->counts[COUNT_STEPS]++;
    if (w->record != NULL)
        record_event(w, n, e);
    check_before(w, n);
    cl_step(n->core, e, &w->fx);
    check_beliefs(w, n, e);
    carry_out(w, n, e);
    if (e->kind == CL_EV_COMMAND && !was_refused(n, e->token)) { /* n->id is the one that it had before a RESET */
        handover_commanded(w, n, e->command);
        n->was_reset = n->was_reset || e->command->verb == CL_RESET;
        swap_commanded(w, n, e->command);
    }
    check_step(w, n);
    handover_look(w, n);
    swap_look(w, n);
    lease_look(w, n);
    set_timer(w, n);
}

void node_settings(struct world *w, struct node *n)
{
    struct cl_event e = {.kind = CL_EV_SETTINGS, .settings = &n->set};
    node_excuse(w, n);
    if (!n->stopped)
        node_step(w, n, &e);
}

static struct asked *room_for_asked(struct node *n)
{
    for (int i = 0; i < ASKED_MAX; i++)
        if (n->asked[i].token == 0 || n->asked[i].answered)
            return &n->asked[i];
    return NULL;
}

struct asked *node_ask(struct world *w, struct node *n, struct cl_command *c)
{
    struct asked *a = room_for_asked(n);
    if (n->core == NULL || n->stopped || a == NULL)
        return NULL;
    *a = (struct asked){.token = ++n->last_token, .verb = c->verb, .at_us = w->time.now_us};
    a->number = c->number;
    a->database_a = c->database_a;
    a->database_b = c->database_b;
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = a->token, .command = c};
    node_step(w, n, &e);
    return a;
}
