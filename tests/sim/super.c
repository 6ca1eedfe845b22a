/* A supervisor: the shipped core, and around it what the daemon does: it carries out effects one after the other and
 * calls the core when its deadline comes. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More steps than this without time moving: the core asks to be called again at once, for ever. */
#define STEPS_AT_ONCE 20000

int64_t super_clock(const struct world *w, const struct super *s)
{
    int64_t passed = w->now_us - s->clock.world_us;
    return s->clock.local_us + passed + passed * s->clock.rate_ppm / 1000000;
}

/* When the local clock will show that time: never earlier. */
static int64_t world_time(const struct super *s, int64_t local_us)
{
    int64_t wait = local_us - s->clock.local_us;
    if (wait <= 0)
        return s->clock.world_us;
    int64_t at = wait * 1000000 / (1000000 + s->clock.rate_ppm);
    while (at + at * s->clock.rate_ppm / 1000000 < wait)
        at++;
    return s->clock.world_us + at;
}

static void tick(struct world *w, struct happening *h)
{
    struct super *s = (struct super *)h;
    struct sn_event e = {.kind = SN_EV_TICK};
    super_step(w, s, &e);
}

static void arm(struct world *w, struct super *s)
{
    if (s->core == NULL || s->stopped) {
        happen_not(w, &s->tick);
        return;
    }
    int64_t deadline = sn_deadline(s->core);
    if (deadline == HEAP_NEVER)
        happen_not(w, &s->tick);
    else
        happen(w, &s->tick, world_time(s, deadline) + w->plan.lateness_us, tick);
}

void super_init(struct world *w, int i)
{
    struct super *s = &w->supers[i];
    char host[32];
    s->index = i;
    s->disk.super = i;
    for (int k = 0; k < w->plan.groups; k++)
        s->disk.groups[k].is = options_of_plan(w, k);
    snprintf(host, sizeof host, "10.0.0.%d", i + 1);
    addr_set(&s->addr, slice_of(host), 26379);
    runid_draw(&w->rng, s->id);
    if (w->plan.ordered)
        memset(s->id, '1' + i, RUNID_LEN);
    s->as_stock = w->plan.as_stock[i];
    if (s->as_stock)
        w->counts[COUNT_STOCK]++;
    s->clock.local_us = SECONDS(rng_range(&w->rng, 1, 1000000));
}

/* What the file names. When the fleet has no epoch to tell (groups were given to it anew since the last failover), who
 * restores a lost supervisor must look the master up; otherwise the file may be as old as the fleet. */
static struct addr file_master(const struct world *w, const struct super *s, int i)
{
    const struct group *g = &w->groups[i];
    const struct sn_group *known = NULL;
    for (int k = 0; k < w->plan.supers; k++) {
        const struct super *other = &w->supers[k];
        const struct sn_group *its = other != s && other->core != NULL ? sn_group_find(other->core, slice_of(g->name))
                                                                       : NULL;
        if (its != NULL && (known == NULL || its->config_epoch > known->config_epoch))
            known = its;
    }
    return known != NULL && known->config_epoch == 0 ? known->master->node->addr : w->nodes[g->first].addr;
}

static void add_group(struct world *w, struct super *s, int i)
{
    const struct group *g = &w->groups[i];
    const struct disk_group *d = &s->disk.groups[i];
    struct sn_settings set;
    struct sn_core_group group = {.name = g->name, .master = file_master(w, s, i), .settings = &set};
    if (d->removed)
        return;
    sn_settings_copy(&set, &g->set);
    set.quorum = d->is.quorum;
    set.down_after_ms = d->is.down_after_ms;
    set.failover_timeout_ms = d->is.failover_timeout_ms;
    set.parallel_syncs = d->is.parallel_syncs;
    if (d->known) {
        group.master = d->master;
        group.config_epoch = d->config_epoch;
        group.vote_epoch = d->vote_epoch;
        memcpy(group.vote_leader, d->vote_leader, sizeof group.vote_leader);
    }
    group.replicas = d->replicas;
    group.nreplicas = d->nreplicas;
    group.peers = d->peers;
    group.npeers = d->npeers;
    if (!sn_core_add_group(s->core, &group, super_clock(w, s), &w->fx))
        violated(w, "shell", "s%d does not take its group %s back after a restart", s->index + 1, g->name);
    sn_settings_free(&set);
}

static void carry_out(struct world *w, struct super *s);

void super_start(struct world *w, struct super *s)
{
    struct addr others[MAX_SUPERS];
    struct sn_core_options o = {.seed = rng_u64(&w->rng), .port = s->addr.port};
    o.asks_veto = s->consent.policy != CONSENT_NOT_ASKED;
    memcpy(o.id, s->id, sizeof o.id);
    o.current_epoch = s->disk.epoch;
    o.joined = s->disk.joined;
    o.id_drawn = w->plan.ids_drawn && !w->plan.declared;
    sn_params_default(&o.params);
    if (w->plan.info_period_ms > 0)
        o.params.info_period_ms = w->plan.info_period_ms;
    char nothing[] = "", level[] = "notice";
    o.globals = (struct sn_globals){
        .announce_ip = w->plan.announce ? s->addr.host : nothing, .user = nothing, .pass = nothing, .loglevel = level};
    for (int i = 0; i < w->plan.supers; i++)
        if (w->plan.declared && i != s->index)
            others[o.ndeclared++] = w->supers[i].addr;
    o.declared = others;
    s->host_down = s->stopped = false;
    s->core = sn_core_new(&o, super_clock(w, s));
    s->cap_links = 0;
    free(s->links);
    s->links = NULL;
    RECORD(w, end_name(w, s->index), "starts, epoch %llu from its disk", (unsigned long long)o.current_epoch);
    for (int i = 0; i < w->plan.groups; i++)
        add_group(w, s, i);
    check_started(w, s);
    carry_out(w, s);
    struct sn_event first = {.kind = SN_EV_TICK};
    super_step(w, s, &first);
}

static void die(struct world *w, struct super *s, bool host)
{
    if (s->core == NULL)
        return;
    disk_crash(w, s);
    sn_core_free(s->core);
    s->core = NULL;
    s->life++;
    replays_forget(s);
    s->stopped = false;
    s->host_down = host;
    super_forget_questions(s);
    happen_not(w, &s->tick);
    consent_forget(w, s);
    net_died(w, end_of_super(s->index), host);
    inbox_deliver(w, &s->inbox);
    if (s->wipe_next)
        super_wipe(w, s);
}

/* Its configuration file is there again: with its id, or without one. */
void super_wipe(struct world *w, struct super *s)
{
    s->wipe_next = false;
    w->forgets = true;
    w->counts[COUNT_WIPED]++;
    RECORD(w, end_name(w, s->index), "its state directory is lost");
    for (int i = 0; i < w->plan.groups; i++) {
        const struct disk_group *d = &s->disk.groups[i];
        s->forgotten[i].epoch = d->vote_epoch;
        memcpy(s->forgotten[i].leader, d->vote_leader, sizeof s->forgotten[i].leader);
        check_state_lost(w, s, i);
    }
    disk_wipe(w, s);
    if (!w->plan.ids_drawn)
        return;
    memcpy(s->former[s->nformer++], s->id, sizeof s->id);
    runid_draw(&w->rng, s->id);
    w->counts[COUNT_NEW_ID]++;
    check_new_id(w, s);
    RECORD(w, end_name(w, s->index), "will be %s", s->id);
}

void super_crash(struct world *w, struct super *s, bool host)
{
    RECORD(w, end_name(w, s->index), "%s", host ? "its machine loses power" : "is killed");
    die(w, s, host);
}

void super_stop(struct world *w, struct super *s)
{
    if (s->core == NULL || s->stopped)
        return;
    RECORD(w, end_name(w, s->index), "is stopped");
    s->stopped = true;
    arm(w, s);
}

void super_continue(struct world *w, struct super *s)
{
    if (!s->stopped)
        return;
    RECORD(w, end_name(w, s->index), "goes on");
    s->stopped = false;
    /* An event loop may look at its timers before its sockets, or after. */
    bool timer_first = rng_below(&w->rng, 2) == 0;
    arm(w, s);
    if (timer_first && s->tick.at.place != 0 && s->tick.at.at <= w->now_us) {
        happen_not(w, &s->tick);
        tick(w, &s->tick);
    }
    inbox_deliver(w, &s->inbox);
}

static void set_clock(struct world *w, struct super *s)
{
    s->clock.local_us = super_clock(w, s);
    s->clock.world_us = w->now_us;
}

void super_jump(struct world *w, struct super *s, int64_t by_us)
{
    RECORD(w, end_name(w, s->index), "its clock leaps by %lld ms", (long long)(by_us / 1000));
    set_clock(w, s);
    s->clock.local_us += by_us;
    arm(w, s);
}

void super_drift(struct world *w, struct super *s, int64_t rate_ppm)
{
    RECORD(w, end_name(w, s->index), "its clock runs %+lld ppm off", (long long)rate_ppm);
    set_clock(w, s);
    s->clock.rate_ppm = rate_ppm;
    arm(w, s);
}

struct super *super_running(struct world *w)
{
    int start = (int)rng_below(&w->rng, (uint64_t)w->plan.supers);
    for (int i = 0; i < w->plan.supers; i++) {
        struct super *s = &w->supers[(start + i) % w->plan.supers];
        if (s->core != NULL && !s->stopped)
            return s;
    }
    return NULL;
}

static void mix(struct world *w, uint64_t v)
{
    w->hash = (w->hash ^ v) * 0x9e3779b97f4a7c15U;
    w->hash ^= w->hash >> 29;
}

static void mix_text(struct world *w, const char *text)
{
    uint64_t v = 0;
    size_t n = text != NULL ? strlen(text) : 0;
    for (size_t i = 0; i < n; i += sizeof v) {
        v = 0;
        memcpy(&v, text + i, n - i < sizeof v ? n - i : sizeof v);
        mix(w, v);
    }
    mix(w, n);
}

static void mix_effect(struct world *w, const struct super *s, const struct sn_effect *e)
{
    mix(w, (uint64_t)e->kind | (uint64_t)e->command << 8 | (uint64_t)s->index << 16 | (uint64_t)e->count << 24);
    mix(w, (uint64_t)w->now_us);
    mix(w, e->link ^ e->seq << 20 ^ e->epoch << 40);
    mix(w, (uint64_t)e->addr.port ^ (uint64_t)e->number << 16);
    mix_text(w, e->text);
}

static void count_published(struct world *w, const struct sn_effect *e)
{
    static const struct {
        const char *event;
        int count;
    } table[] = {
        {"+switch-master", COUNT_FAILOVERS},
        {"+elected-leader", COUNT_ELECTED},
        {"-failover-abort-not-elected", COUNT_NOT_ELECTED},
        {"-failover-abort-no-good-slave", COUNT_NO_GOOD},
        {"-failover-abort-refused", COUNT_COORD_STOPPED},
        {"-failover-abort-master-not-reachable", COUNT_COORD_STOPPED},
        {"+convert-to-slave", COUNT_CONVERTED},
        {"+fix-slave-config", COUNT_FIXED},
        {"+tilt", COUNT_TILT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(e->name, table[i].event) == 0)
            w->counts[table[i].count]++;
}

static void answered(struct world *w, struct super *s, const struct sn_effect *e)
{
    for (size_t i = 0; i < OPERATIONS_MAX; i++) {
        struct operation *o = &w->operations[i];
        if (o->super != s->index || o->token != e->token || o->life != s->life)
            continue;
        if (o->answered)
            violated(w, "shell", "s%d answers an operator twice", s->index + 1);
        o->answered = true;
        o->answer = e->answer;
        snprintf(o->text, sizeof o->text, "%s", e->text != NULL ? e->text : "");
        if (e->answer == SN_ANSWER_ERROR ? o->refused >= 0 : o->done >= 0)
            w->counts[e->answer == SN_ANSWER_ERROR ? o->refused : o->done]++;
        if (o->failover && e->answer == SN_ANSWER_OK)
            w->counts[o->coordinated ? COUNT_COORD_ASKED : COUNT_MANUAL]++;
        return;
    }
}

/* Returns false when the process ends here: what follows is not done. */
static bool carry_out_one(struct world *w, struct super *s, struct sn_effect *e)
{
    mix_effect(w, s, e);
    if (w->record != NULL)
        record_effect(w, s, e);
    check_effect(w, s, e);
    switch (e->kind) {
    case SN_FX_CONNECT: net_connect(w, s, e); break;
    case SN_FX_DISCONNECT: net_disconnect(w, s, e->link); break;
    case SN_FX_SEND: net_request(w, s, e); break;
    case SN_FX_PERSIST: disk_persist(w, s, e); break;
    case SN_FX_PUBLISH:
        count_published(w, e);
        if (w->published != NULL)
            w->published(w, s, e);
        break;
    case SN_FX_SCRIPT: break;
    case SN_FX_VETO: consent_asked(w, s, e); break;
    case SN_FX_ANSWER: answered(w, s, e); break;
    case SN_FX_ANSWER_BALLOTS: super_answers(w, s, e); break;
    case SN_FX_NOTE: replays_noted(w, s, e); break;
    case SN_FX_EXIT: return false;
    default: break;
    }
    return true;
}

static void carry_out(struct world *w, struct super *s)
{
    bool goes_on = true;
    for (size_t i = 0; i < w->fx.n && goes_on; i++)
        goes_on = carry_out_one(w, s, &w->fx.v[i]);
    sn_effects_clear(&w->fx);
    if (!goes_on) {
        RECORD(w, end_name(w, s->index), "ends itself, as SIMULATE-FAILURE asked");
        w->counts[COUNT_SIMULATED]++;
        die(w, s, false);
        return;
    }
    check_step(w, s);
}

void super_step(struct world *w, struct super *s, struct sn_event *e)
{
    if (s->core == NULL || w->violation != NULL)
        return;
    if (s->last_step_us == w->now_us) {
        if (++s->steps_at_once > STEPS_AT_ONCE)
            violated(w, "spin", "s%d took %d steps in one moment: its deadline does not move", s->index + 1,
                     STEPS_AT_ONCE);
    } else {
        s->last_step_us = w->now_us;
        s->steps_at_once = 0;
    }
    e->now_us = super_clock(w, s);
    if (w->record != NULL)
        record_event(w, s, e);
    w->counts[COUNT_STEPS]++;
    sn_step(s->core, e, &w->fx);
    carry_out(w, s);
    arm(w, s);
}

struct operation *super_operate(struct world *w, struct super *s, struct sn_event *e, int group)
{
    return super_operate_counted(w, s, e, group, -1, -1);
}

struct operation *super_operate_counted(struct world *w, struct super *s, struct sn_event *e, int group, int done,
                                        int refused)
{
    if (s->core == NULL || s->stopped)
        return NULL;
    struct operation *o = &w->operations[w->noperations++ % OPERATIONS_MAX];
    *o = (struct operation){.token = ++s->last_token, .super = s->index, .life = s->life, .group = group};
    o->done = done;
    o->refused = refused;
    o->failover = e->kind == SN_EV_FAILOVER;
    o->coordinated = e->coordinated;
    e->token = o->token;
    if (group >= 0)
        e->group = slice_of(w->groups[group].name);
    super_step(w, s, e);
    return o;
}

struct operation *super_failover(struct world *w, struct super *s, int group, bool coordinated)
{
    struct sn_event e = {.kind = SN_EV_FAILOVER, .coordinated = coordinated};
    return super_operate(w, s, &e, group);
}
