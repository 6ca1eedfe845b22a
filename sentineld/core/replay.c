#include "sentineld/core/replay.h"

#include <stdio.h>

#include "sentineld/core/inner.h"

#define STAND_US INT64_C(1000000000000000) /* the ballot is held at this time of the replay */
#define AGE_MAX (STAND_US / 2)
#define MEMBERS_MAX 4096 /* a record from outside must not take all memory */

struct run {
    const struct sn_note *stand, *outcome, *promoted;
    struct sn_core *core;
    struct sn_group *group;
    struct sn_effects fx;
    bool won, lost;             /* as noted by the core of the replay */
    char stood[SN_REPLAY_TEXT]; /* for whom; "" it did not */
    struct sn_replay *r;
};

static int64_t at(struct sn_note_part p, const char *name, int64_t never)
{
    int64_t age = sn_note_get(p, name, -1);
    return age < 0 || age > AGE_MAX ? never : STAND_US - age;
}

/* A setting: what is out of its range in a record from outside is taken for absent. */
static int64_t number(struct sn_note_part p, const char *name, int64_t min, int64_t absent)
{
    int64_t v = sn_note_get(p, name, absent);
    return v >= min && v <= INT32_MAX ? v : absent;
}

static bool addr_of(struct sn_note_part p, const char *name, struct addr *out)
{
    return addr_parse(slice_of(sn_note_get_text(p, name)), out);
}

static void runid_of(struct sn_note_part p, const char *name, runid out)
{
    out[0] = '\0';
    runid_parse(slice_of(sn_note_get_text(p, name)), out);
}

static void compare(struct run *t, const char *what, const char *recorded, const char *replayed)
{
    if (t->r->n == SN_REPLAY_CHECKS)
        return;
    struct sn_replay_check *c = &t->r->checks[t->r->n++];
    c->what = what;
    snprintf(c->recorded, sizeof c->recorded, "%s", recorded);
    snprintf(c->replayed, sizeof c->replayed, "%s", replayed);
    c->same = strcmp(c->recorded, c->replayed) == 0;
    t->r->same &= c->same;
}

/* ---- steps ---- */

static void absorb(struct run *t)
{
    for (size_t k = 0; k < t->fx.n; k++) {
        const struct sn_effect *e = &t->fx.v[k];
        if (e->kind != SN_FX_NOTE)
            continue;
        if (e->note->kind == SN_NOTE_STAND)
            snprintf(t->stood, sizeof t->stood, "%s", sn_note_get_text(sn_note_whole(e->note), "candidate"));
        t->won |= e->note->kind == SN_NOTE_WON;
        t->lost |= e->note->kind == SN_NOTE_LOST || e->note->kind == SN_NOTE_ABORTED;
    }
    sn_effects_clear(&t->fx);
}

/* Time leaps from one recorded moment to the next: deadlines in between are no business of the replay, and one that was
 * missed must not look like a stall. */
static void step(struct run *t, int64_t now_us, struct sn_event e)
{
    struct sn_core *c = t->core;
    heap_set(&c->timers, &c->housekeeping.at, HEAP_NEVER);
    heap_set(&c->timers, &t->group->timer.at, HEAP_NEVER);
    for (size_t k = 0; k < t->group->ninsts; k++)
        heap_set(&c->timers, &t->group->insts[k]->node->timer.at, HEAP_NEVER);
    for (size_t k = 0; k < c->npeers; k++)
        heap_set(&c->timers, &c->peers[k]->timer.at, HEAP_NEVER);
    sn_touch_group(t->group);
    e.now_us = now_us;
    sn_step(c, &e, &t->fx);
    absorb(t);
}

static void tick(struct run *t, int64_t now_us)
{
    step(t, now_us, (struct sn_event){.kind = SN_EV_TICK});
}

static void persisted(struct run *t, int64_t now_us)
{
    step(t, now_us, (struct sn_event){.kind = SN_EV_PERSISTED, .seq = t->core->issued});
}

/* ---- the stage ---- */

static enum sn_role role_of(struct sn_note_part p)
{
    const char *role = sn_note_get_text(p, "role");
    return strcmp(role, "master") == 0    ? SN_ROLE_MASTER
           : strcmp(role, "replica") == 0 ? SN_ROLE_REPLICA
                                          : SN_ROLE_UNKNOWN;
}

static void place_link(struct sn_node *n, bool linked, bool login_refused)
{
    n->cmd.state = linked ? SN_CONN_UP : SN_CONN_IDLE;
    n->cmd.retry_us = n->sub.retry_us = HEAP_NEVER;
    n->cmd.auth_failed = login_refused;
    n->cmd.since_us = 1;
    n->probe.broken_us = STAND_US;
}

static void place_replica(const struct run *t, struct sn_note_part row)
{
    struct addr a;
    struct sn_inst *i = addr_of(row, "address", &a) ? sn_inst_find(t->group, &a) : NULL;
    if (!i || sn_is_master(i))
        return;
    struct sn_node *n = i->node;
    struct sn_info *info = &n->info;
    i->s_down = sn_note_get(row, "down", 0);
    n->probe.silent_us = i->s_down ? STAND_US - 2 * MS(t->group->set.down_after_ms) : 0;
    n->probe.valid_us = at(row, "valid_answer_us", 0);
    n->info_us = at(row, "info_us", 0);
    i->refused_us = at(row, "refused_us", 0);
    place_link(n, sn_note_get(row, "linked", 0), sn_note_get(row, "login_refused", 0));
    if (sn_note_get(row, "state_unknown", 0)) {
        n->told = n->told ? n->told : mem_zalloc(sizeof *n->told);
        n->told->role = role_of(row);
    }
    info->role = role_of(row);
    info->priority = sn_note_get(row, "priority", 100);
    info->repl_offset = sn_note_get(row, "own_offset", -1);
    info->second_offset = sn_note_get(row, "second_offset", -1);
    info->master_link_up = sn_note_get(row, "link_up", 0);
    info->master_link_down_ms = sn_note_get(row, "link_down_ms", -1);
    if (sn_note_get(row, "guarded", 0)) /* which history it is, says nothing here */
        snprintf(info->guarded, sizeof info->guarded, "some");
    info->loading = sn_note_get(row, "loading", 0);
    info->syncing = sn_note_get(row, "syncing", 0);
    info->keys = sn_note_get(row, "keys", -1);
    info->keys_known = info->keys >= 0;
    runid_of(row, "run_id", info->run_id);
    runid_of(row, "replid", info->replid);
    runid_of(row, "replid2", info->replid2);
}

static void place_master(const struct run *t)
{
    struct sn_note_part m = sn_note_part(t->stand, "master");
    struct sn_inst *i = t->group->master;
    struct sn_node *n = i->node;
    const char *reason = sn_note_get_text(m, "reason");
    int64_t since = at(m, "since_us", 0);
    n->info.role = role_of(m);
    n->info_us = at(m, "info_us", 0);
    n->role_us = at(m, "role_us", 0);
    n->probe.silent_us = at(m, "silent_us", 0);
    n->probe.valid_us = at(m, "valid_answer_us", 0);
    runid_of(m, "run_id", n->info.run_id);
    if (strcmp(reason, "silent") == 0)
        n->probe.silent_us = since;
    i->master_reboot = strcmp(reason, "reboot") == 0;
    if (i->master_reboot)
        i->reboot_us = since;
    i->reborn_empty = strcmp(reason, "reborn-empty") == 0;
    if (strcmp(reason, "stranger") == 0)
        i->stranger_us = since;
    if (strcmp(reason, "role") == 0) {
        n->info.role = SN_ROLE_REPLICA;
        n->role_us = since;
        n->info_us = n->info_us ? n->info_us : since;
    }
    place_link(n, strcmp(sn_note_get_text(m, "connection"), "connected") == 0, false);
}

static void place_all(const struct run *t)
{
    struct sn_note_part list = sn_note_part(t->stand, "ranking"), row;
    while (sn_note_next(&list, &row))
        place_replica(t, row);
    place_master(t);
    runid_of(sn_note_whole(t->stand), "lineage", t->group->lineage);
}

/* The seat of the k-th row of `supervisors`; one that has no id yet, or no address any more, still is a voter. */
static void member_of(struct sn_note_part row, size_t k, struct sn_record_peer *p)
{
    char host[32];
    runid_of(row, "id", p->id);
    if (!*p->id)
        snprintf(p->id, sizeof p->id, "%0*zx", RUNID_LEN, k);
    if (addr_of(row, "address", &p->addr))
        return;
    snprintf(host, sizeof host, "192.0.2.%zu", k % 250 + 1);
    addr_set(&p->addr, slice_of(host), (int64_t)(k / 250 + 1));
}

static bool is_listed(const struct sn_note *in, const char *id)
{
    struct sn_note_part list = sn_note_part(in, "supervisors"), row;
    runid its;
    while (sn_note_next(&list, &row)) {
        runid_of(row, "id", its);
        if (strcmp(its, id) == 0)
            return true;
    }
    return false;
}

/* Between the stand and its outcome a declared supervisor may have told its id for the first time, or come back under a
 * new one: then the seat at its address is its own. Where they discover each other the former one is listed still. */
static struct sn_peer *peer_of(const struct sn_core *c, const struct sn_note *from, const struct sn_record_peer *p)
{
    struct sn_peer *peer = map_gets(&c->by_id, p->id);
    for (size_t k = 0; k < c->npeers && !peer; k++)
        if (addr_eq(&c->peers[k]->addr, &p->addr) && !is_listed(from, c->peers[k]->id))
            peer = c->peers[k];
    return peer;
}

static void place_opinions(const struct run *t, const struct sn_note *from)
{
    struct sn_note_part list = sn_note_part(from, "supervisors"), row;
    for (size_t k = 0; sn_note_next(&list, &row); k++) {
        struct sn_record_peer p;
        member_of(row, k, &p);
        if (sn_note_get(row, "self", 0) || runid_cmp(p.id, t->core->id) == 0 || k >= MEMBERS_MAX)
            continue;
        /* One may have been met between the stand and its outcome. */
        struct sn_peer *peer = peer_of(t->core, from, &p);
        if (!peer)
            peer = sn_peer_new(t->core, p.id, &p.addr);
        struct sn_seat *s = sn_seat_get(t->group, peer);
        s->s_down = sn_note_get(row, "silent", 0);
        peer->cmd.state = sn_note_get(row, "linked", 0) ? SN_CONN_UP : SN_CONN_IDLE;
        peer->cmd.retry_us = HEAP_NEVER;
        peer->probe.silent_us = 0;
        s->down = sn_note_get(row, "down", 0);
        s->down_us = t->core->now_us;
        runid_of(row, "vote", s->vote_leader);
        s->vote_epoch = (uint64_t)sn_note_get(row, "vote_epoch", 0);
        s->refused_epoch = (uint64_t)sn_note_get(row, "refused_epoch", 0);
    }
}

static bool add_group(struct run *t)
{
    struct sn_note_part whole = sn_note_whole(t->stand), row, list = sn_note_part(t->stand, "ranking");
    struct sn_core_group g = {.name = "replayed"};
    struct sn_settings set;
    struct addr *replicas = NULL;
    struct sn_record_peer *peers = NULL;
    size_t cap = 0, cap_peers = 0;
    if (!addr_of(sn_note_part(t->stand, "master"), "address", &g.master))
        return false;
    while (sn_note_next(&list, &row) && g.nreplicas < MEMBERS_MAX) {
        replicas = mem_grow(replicas, g.nreplicas, &cap, sizeof *replicas);
        if (addr_of(row, "address", &replicas[g.nreplicas]))
            g.nreplicas++;
    }
    list = sn_note_part(t->stand, "supervisors");
    for (size_t k = 0; sn_note_next(&list, &row) && k < MEMBERS_MAX; k++) {
        if (sn_note_get(row, "self", 0))
            continue;
        peers = mem_grow(peers, g.npeers, &cap_peers, sizeof *peers);
        member_of(row, k, &peers[g.npeers++]);
    }
    sn_settings_init(&set);
    set.quorum = number(whole, "quorum", 1, 1);
    set.down_after_ms = number(whole, "down_after_ms", 1, 1);
    set.failover_timeout_ms = number(whole, "failover_timeout_ms", 1, 1);
    set.master_reboot_down_after_ms = number(whole, "reboot_down_after_ms", 0, 0);
    set.reborn_empty = SN_REBORN_FAILOVER;
    g.settings = &set;
    g.replicas = replicas;
    g.peers = peers;
    bool ok = sn_core_add_group(t->core, &g, 1, &t->fx);
    sn_settings_free(&set);
    free(replicas);
    free(peers);
    t->group = ok ? t->core->groups[0] : NULL;
    return ok;
}

static bool begin(struct run *t)
{
    struct sn_note_part whole = sn_note_whole(t->stand);
    char nothing[] = "";
    struct sn_core_options o = {
        .seed = 1,
        .port = 1,
        .joined = true,
        .current_epoch = t->stand->epoch - 1,
        .globals = {.announce_ip = nothing, .user = nothing, .pass = nothing, .loglevel = nothing},
    };
    sn_params_default(&o.params);
    o.params.info_period_ms = number(whole, "info_period_ms", 1, o.params.info_period_ms);
    o.params.ask_period_ms = number(whole, "ask_period_ms", 1, o.params.ask_period_ms);
    o.params.election_timeout_ms = number(whole, "election_timeout_ms", 1, o.params.election_timeout_ms);
    runid_of(whole, "by", o.id);
    t->core = sn_core_new(&o, 1);
    if (!add_group(t))
        return false;
    t->group->heard = true;
    t->group->vote_free = true;
    return true;
}

/* ---- the acts ---- */

static const char *yes(bool v, const char *text, const char *otherwise)
{
    return v ? text : otherwise;
}

static void act_sdown(struct run *t)
{
    struct sn_note_part m = sn_note_part(t->stand, "master");
    struct sn_inst *i = t->group->master;
    int64_t began_us = at(m, "down_us", STAND_US), since_us = at(m, "since_us", STAND_US);
    int64_t down_us = at(m, "reason_us", began_us); /* the reason for which it began may be over */
    bool silent = strcmp(sn_note_get_text(m, "reason"), "silent") == 0;
    int64_t floor_us = since_us + MS(t->group->set.down_after_ms);
    t->group->next_attempt_us = INT64_MAX; /* nobody stands before the recorded moment */
    place_all(t);
    if (silent && floor_us <= down_us) {
        /* Only the silence is looked at: its role did not count if a failover ran then, which no note says. */
        i->node->role_us = floor_us;
        sn_touch_node(i->node);
        tick(t, floor_us - 1);
        compare(t, "before down-after ended", "up", yes(i->s_down, "S_DOWN", "up"));
        place_all(t);
    }
    sn_touch_node(i->node);
    tick(t, down_us);
    compare(t, "S_DOWN", "S_DOWN", yes(i->s_down, "S_DOWN", "up"));
    i->s_down_us = began_us;
}

static void act_odown(struct run *t)
{
    int64_t odown_us = at(sn_note_whole(t->stand), "odown_us", STAND_US);
    if (odown_us > t->core->now_us)
        t->core->now_us = odown_us; /* opinions are as old as this moment */
    place_all(t);
    place_opinions(t, t->stand);
    tick(t, odown_us);
    compare(t, "O_DOWN", "O_DOWN", yes(t->group->o_down, "O_DOWN", "no quorum"));
}

static void act_stand(struct run *t)
{
    struct sn_note_part whole = sn_note_whole(t->stand);
    struct sn_group *g = t->group;
    place_all(t);
    t->core->now_us = STAND_US;
    place_opinions(t, t->stand);
    g->next_attempt_us = 0;
    g->stand_us = STAND_US; /* the rank's wait is over */
    if (sn_note_get(whole, "forced", 0)) {
        g->order.since_us = STAND_US - MS(1000);
        g->order.coordinated = sn_note_get(whole, "coordinated", 0);
        if (!addr_of(whole, "wanted", &g->order.wanted))
            memset(&g->order.wanted, 0, sizeof g->order.wanted);
    }
    tick(t, STAND_US);
    /* A ballot that cannot be won with so few voters ends in the step in which it began. */
    compare(t, "candidate", sn_note_get_text(whole, "candidate"), *t->stood ? t->stood : "nobody stands");
}

static void act_votes(struct run *t)
{
    struct sn_note_part whole = sn_note_whole(t->outcome);
    struct sn_group *g = t->group;
    bool won = t->outcome->kind == SN_NOTE_WON;
    int64_t took_us = sn_note_get(whole, "took_us", 0);
    int64_t now_us = STAND_US + (took_us >= 0 && took_us < AGE_MAX ? took_us : 0);
    place_opinions(t, t->outcome);
    g->set.quorum = number(whole, "quorum", 1, g->set.quorum);
    if (sn_note_get(whole, "own_vote", 0))
        persisted(t, STAND_US);
    t->core->now_us = now_us;
    place_opinions(t, t->outcome);
    if (g->o_down && !sn_note_get(whole, "odown", 0)) {
        g->set.quorum = INT32_MAX; /* too few hold it for down by then */
    }
    if (g->fo.state == SN_FO_WAIT_START)
        tick(t, now_us);
    compare(t, "votes", yes(won, "elected", "not elected"), yes(t->won, "elected", "not elected"));
}

static void act_promotion(struct run *t)
{
    struct sn_group *g = t->group;
    char recorded[SN_REPLAY_TEXT], replayed[SN_REPLAY_TEXT], text[ADDR_TEXT_MAX];
    struct sn_inst *i = g->fo.candidate;
    if (!i)
        return;
    int64_t now_us = t->core->now_us + 1;
    i->node->info.role = SN_ROLE_MASTER;
    i->node->info_us = now_us;
    g->fo.state_us = now_us - 1;
    tick(t, now_us);
    struct addr a = sn_current_master(g);
    snprintf(recorded, sizeof recorded, "%s, configuration of epoch %llu",
             sn_note_get_text(sn_note_whole(t->promoted), "candidate"), (unsigned long long)t->promoted->epoch);
    snprintf(replayed, sizeof replayed, "%s, configuration of epoch %llu", addr_text(&a, text),
             (unsigned long long)g->config_epoch);
    compare(t, "new master", recorded, replayed);
}

static void act(struct run *t)
{
    struct sn_note_part whole = sn_note_whole(t->stand);
    struct sn_note_part master = sn_note_part(t->stand, "master");
    bool down = sn_note_get(master, "down", 0);
    int64_t down_after_ms = t->group->set.down_after_ms;
    t->r->same = true;
    t->group->set.down_after_ms = number(master, "down_after_then_ms", 1, down_after_ms);
    if (down)
        act_sdown(t);
    if (down && sn_note_get(whole, "odown", 0))
        act_odown(t);
    t->group->set.down_after_ms = down_after_ms; /* an operator may have changed it meanwhile */
    act_stand(t);
    if (t->group->fo.state == SN_FO_NONE)
        return;
    if (t->outcome)
        act_votes(t);
    if (t->promoted && t->won && t->group->fo.state > SN_FO_WAIT_START)
        act_promotion(t);
}

bool sn_replay(const struct sn_note *stand, const struct sn_note *outcome, const struct sn_note *promoted,
               struct sn_replay *r, const char **why)
{
    struct run t = {.stand = stand, .outcome = outcome, .promoted = promoted, .r = r};
    memset(r, 0, sizeof *r);
    *why = NULL;
    if (stand->kind != SN_NOTE_STAND || stand->epoch == 0)
        *why = "it is no record of a ballot";
    else if (sn_note_get(sn_note_whole(stand), "alone", 0))
        *why = "the operator's word went alone, without votes: there is no decision to repeat";
    else if ((outcome && outcome->epoch != stand->epoch) || (promoted && promoted->epoch != stand->epoch))
        *why = "the records are of different epochs";
    else if (!begin(&t))
        *why = "the record names no master";
    else
        act(&t);
    if (t.core)
        sn_core_free(t.core);
    sn_effects_free(&t.fx);
    return *why == NULL;
}
