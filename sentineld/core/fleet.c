/* A fleet's life: found from seeds or from the state, asked in turn, released. */
#include "sentineld/core/fleet.h"

#include "sentineld/core/swap_inner.h"

#include <stdio.h>

#define TURN MS(1000)          /* one node each, in quiet times */
#define TURN_TROUBLED MS(200)  /* a master is down, a failover runs, somebody comes or goes */
#define TURN_DISAGREED MS(100) /* a master has changed: so many of those who have not said that they know it */
#define DISAGREED_MAX 8
#define DISAGREED_LINES 2000 /* their texts together have about so many, or one text more */
#define DOUBT MS(3000)
#define TROUBLE_MAX MS(60000) /* a master that nobody can replace does not keep its fleet busy for ever */
#define RELEASE_MAX MS(3000)
#define SWEEP_PER_MEMBER 50 /* us: thousands of members are not all looked through at every event */
#define RELEASE_AGAIN MS(100)

struct sn_fleet *sn_fleet_find(const struct sn_core *c, struct slice name)
{
    for (size_t k = 0; k < c->nfleets; k++)
        if (slice_is(name, c->fleets[k]->name))
            return c->fleets[k];
    return NULL;
}

struct sn_fleet *sn_fleet_new(struct sn_core *c, const char *name, const struct sn_settings *set)
{
    struct sn_fleet *f = mem_zalloc(sizeof *f);
    f->core = c;
    f->name = mem_strdup(name);
    sn_settings_copy(&f->set, set);
    map_init(&f->by_id, rng_u64(&c->rng), rng_u64(&c->rng));
    heap_node_init(&f->timer.at);
    f->timer.of = SN_TIMER_FLEET;
    f->round_us = f->born_us = c->now_us;
    c->fleets = mem_grow(c->fleets, c->nfleets, &c->cap_fleets, sizeof(struct sn_fleet *));
    c->fleets[c->nfleets++] = f;
    sn_touch_fleet(f);
    return f;
}

static void drop_seed(struct sn_node *n)
{
    n->seed = false;
    sn_node_release(n);
}

void sn_fleet_free(struct sn_fleet *f)
{
    struct sn_core *c = f->core;
    while (f->nshards)
        sn_shard_free(f->shards[f->nshards - 1]);
    while (f->nmembers)
        sn_member_remove(f->members[f->nmembers - 1]);
    for (size_t k = 0; k < f->nseeds; k++)
        drop_seed(f->seed_nodes[k]);
    for (struct sn_fleet **t = &c->touched_fleets; *t; t = &(*t)->next_touched)
        if (*t == f) {
            *t = f->next_touched;
            break;
        }
    for (size_t k = 0; k < c->nfleets; k++)
        if (c->fleets[k] == f) {
            memmove(&c->fleets[k], &c->fleets[k + 1], (c->nfleets - k - 1) * sizeof(struct sn_fleet *));
            c->nfleets--;
            break;
        }
    heap_set(&c->timers, &f->timer.at, HEAP_NEVER);
    map_free(&f->by_id);
    sn_swap_free(f);
    sn_settings_free(&f->set);
    free(f->seeds);
    free(f->seed_nodes);
    free(f->members);
    free(f->shards);
    free(f->name);
    free(f);
}

/* The new ones first: a node that stays a seed keeps its links. */
void sn_fleet_seeds(struct sn_fleet *f, const struct addr *seeds, size_t n)
{
    struct sn_core *c = f->core;
    struct sn_node **before = f->seed_nodes;
    size_t nbefore = f->nseeds;
    for (size_t k = 0; k < nbefore; k++)
        before[k]->seed = false;
    f->seeds = mem_array(f->seeds, n + 1, sizeof *f->seeds);
    f->seed_nodes = mem_zalloc((n + 1) * sizeof(struct sn_node *));
    f->nseeds = 0;
    for (size_t k = 0; k < n; k++) {
        struct sn_node *node = sn_node_get(c, &seeds[k]);
        if (node->seed || (node->fleet && node->fleet != f)) {
            if (node->fleet != f)
                sn_publish_core(c, SN_LOG_WARNING, "-cluster-foreign-node", "%s %s:%d is a node of cluster %s", f->name,
                                seeds[k].host, seeds[k].port, node->fleet->name);
            continue;
        }
        node->fleet = f;
        node->seed = true;
        node->nodes_now = true;
        sn_touch_node(node);
        f->seeds[f->nseeds] = seeds[k];
        f->seed_nodes[f->nseeds++] = node;
    }
    for (size_t k = 0; k < nbefore; k++)
        sn_node_release(before[k]);
    free(before);
}

void sn_fleet_doubt(struct sn_fleet *f)
{
    f->doubt_us = f->core->now_us + DOUBT;
    sn_touch_fleet(f);
}

bool sn_fleet_in_trouble(const struct sn_fleet *f)
{
    int64_t now = f->core->now_us;
    if (now < f->doubt_us)
        return true;
    for (size_t k = 0; k < f->nshards; k++) {
        const struct sn_group *g = f->shards[k]->group;
        bool down = g->master->s_down && now < g->master->s_down_us + TROUBLE_MAX;
        if (down || g->fo.state != SN_FO_NONE || f->shards[k]->switched_us)
            return true;
    }
    return false;
}

/* ---- asking ---- */

static bool ask(struct sn_node *n)
{
    if (!n || n->cmd.state != SN_CONN_UP || n->nodes_sent_us || n->nodes_now)
        return false;
    n->nodes_now = true;
    sn_touch_node(n);
    return true;
}

/* Who is linked and has not said who it is, because it was loading, say. Those under leases say it with LEASE. */
static void ask_unknown(struct sn_fleet *f)
{
    for (size_t k = 0; k < f->nmembers; k++)
        if (f->members[k]->node && !f->members[k]->node->known && !sn_node_leases(f->members[k]->node))
            ask(f->members[k]->node);
    for (size_t k = 0; k < f->nseeds; k++)
        if (!f->seed_nodes[k]->known && !sn_node_leases(f->seed_nodes[k]))
            ask(f->seed_nodes[k]);
}

static size_t ask_in_turn(struct sn_fleet *f, size_t most, bool disagreed)
{
    size_t asked = 0;
    for (size_t k = 0; k < f->nmembers && asked < most; k++) {
        f->turn = (f->turn + 1) % f->nmembers;
        const struct sn_member *m = f->members[f->turn];
        bool open = m->agreed_us <= f->switched_us && !sn_member_was_read(m, f->switched_us);
        if (sn_member_speaks(m) && (!disagreed || open))
            asked += ask(m->node);
    }
    return asked;
}

static int64_t take_turn(struct sn_fleet *f)
{
    int64_t now = f->core->now_us;
    bool agrees = sn_fleet_agrees(f);
    int64_t period = !agrees ? TURN_DISAGREED : sn_fleet_in_trouble(f) ? TURN_TROUBLED : TURN;
    if (f->turn_us && now < f->turn_us + period)
        return f->turn_us + period;
    f->turn_us = now;
    ask_unknown(f);
    size_t most = 1 + DISAGREED_LINES / (f->nmembers + 1);
    if (agrees || !ask_in_turn(f, most < DISAGREED_MAX ? most : DISAGREED_MAX, true))
        ask_in_turn(f, 1, false);
    return now + period;
}

static int64_t tidy(struct sn_fleet *f)
{
    int64_t next = HEAP_NEVER;
    for (size_t k = f->nshards; k-- > 0;) {
        bool dropped;
        int64_t at = sn_shard_tidy(f->shards[k], &dropped);
        if (!dropped)
            EARLIER(next, at);
    }
    for (size_t k = f->nmembers; k-- > 0;)
        if (!f->members[k]->inst && sn_member_forgotten(f->members[k])) {
            memcpy(f->left[f->nleft++ % SN_FLEET_LEFT], f->members[k]->id, sizeof(runid));
            sn_member_remove(f->members[k]);
        }
    return next;
}

/* ---- giving it up ---- */

/* Whoever has it under supervision last sees to it that its nodes can help themselves again. From now on nothing is
 * granted; what was lasts longer than it takes to tell them. */
void sn_fleet_release(struct sn_fleet *f, sn_token token, bool joint)
{
    struct sn_core *c = f->core;
    while (f->nshards)
        sn_shard_drop(f->shards[f->nshards - 1]);
    sn_persist_extra(c, SN_REC_FLEET, NULL, f->name, NULL);
    f->dirty = false;
    f->state = SN_FLEET_RELEASING;
    f->release_us = c->now_us;
    f->release_token = token;
    f->release_joint = joint;
    f->release_seq = sn_persist_next(c);
    for (size_t k = 0; k < f->nmembers; k++) {
        struct sn_node *n = f->members[k]->node;
        if (n)
            n->asserted = n->freed = false;
        if (n)
            n->free_us = 0;
    }
    sn_touch_fleet(f);
}

/* A node is free when a majority of its supervisors has said so; who began it says so again until then. Alone it is
 * said once. */
static bool is_free(const struct sn_fleet *f, const struct sn_node *n)
{
    return !*f->core->ours.list || n->lease_refused || n->freed || (!f->release_joint && n->free_us && !n->freeing);
}

void sn_fleet_freed(struct sn_node *n, bool ok, struct slice text)
{
    static const char stale[] = "STALESUPERVISORS";
    n->freeing = false;
    n->freed = !ok && (text.n < sizeof stale - 1 || memcmp(text.p, stale, sizeof stale - 1) != 0);
}

static void tell_free(struct sn_fleet *f, struct sn_node *n, int64_t *next)
{
    int64_t now = f->core->now_us;
    if (!n->asserted)
        sn_fleet_assert(n);
    if (is_free(f, n) || n->freeing)
        return;
    if (n->free_us && now < n->free_us + RELEASE_AGAIN) {
        EARLIER(*next, n->free_us + RELEASE_AGAIN);
        return;
    }
    sn_send(f->core, &n->cmd, SN_CMD_RELEASE)->text = mem_strdup(f->core->ours.speaker);
    n->pending++;
    n->free_us = now;
    n->freeing = true;
}

static bool is_released(const struct sn_fleet *f, const struct sn_node *n)
{
    return n->asserted && !n->unanswered && is_free(f, n);
}

/* Returns whether all are; *left: who is not. */
static bool all_released(struct sn_fleet *f, struct buf *left, int64_t *next)
{
    for (size_t k = 0; k < f->nmembers; k++) {
        struct sn_node *n = f->members[k]->node;
        if (n && sn_member_speaks(f->members[k]))
            tell_free(f, n, next);
        if (n && !is_released(f, n))
            buf_printf(left, "%s%s:%d", left->n > 0 ? " " : "", n->addr.host, n->addr.port);
    }
    return left->n == 0;
}

static int64_t advance_release(struct sn_fleet *f, bool *over)
{
    struct sn_core *c = f->core;
    struct buf left = {0};
    int64_t next = f->release_us + RELEASE_MAX;
    bool all = c->persisted >= f->release_seq && all_released(f, &left, &next);
    *over = all || c->now_us >= f->release_us + RELEASE_MAX;
    if (*over && f->release_joint)
        sn_joint_own(c, f->name, &left);
    if (*over && f->release_token) {
        struct sn_pending *w = sn_wait(c, sn_persist_next(c));
        w->fx.kind = SN_FX_ANSWER;
        w->fx.token = f->release_token;
        w->fx.answer = SN_ANSWER_OK;
    }
    if (*over) {
        sn_publish_core(c, SN_LOG_WARNING, "+cluster-released", "%s", f->name);
        sn_fleet_free(f);
    }
    buf_free(&left);
    return *over ? HEAP_NEVER : next;
}

void sn_fleet_evaluate(struct sn_fleet *f)
{
    bool over = false;
    int64_t next;
    if (f->state == SN_FLEET_RELEASING) {
        next = advance_release(f, &over);
    } else if (f->core->now_us < f->swept_us + (int64_t)f->nmembers * SWEEP_PER_MEMBER) {
        next = f->swept_us + (int64_t)f->nmembers * SWEEP_PER_MEMBER;
    } else {
        f->swept_us = f->core->now_us;
        next = take_turn(f);
        EARLIER(next, tidy(f));
        if (!f->core->ndeclared)
            sn_fleet_choose_ears(f);
        EARLIER(next, sn_fleet_greet(f));
        EARLIER(next, sn_fleet_converge(f));
        EARLIER(next, sn_swap_evaluate(f));
    }
    if (!over)
        heap_set(&f->core->timers, &f->timer.at, next);
}

/* ---- by a configuration that was read again ---- */

static void log_in_again(struct sn_fleet *f)
{
    struct sn_core *c = f->core;
    for (size_t k = 0; k < f->nmembers + f->nseeds; k++) {
        struct sn_node *n = k < f->nmembers ? f->members[k]->node : f->seed_nodes[k - f->nmembers];
        if (!n || n->cmd.state == SN_CONN_IDLE)
            continue;
        sn_conn_close(c, &n->cmd);
        sn_conn_close(c, &n->sub);
        sn_probe_lost(&n->probe, c->now_us);
        n->cmd.retry_us = n->sub.retry_us = c->now_us;
        sn_touch_node(n);
    }
}

void sn_fleet_change(struct sn_core *c, const struct sn_reload_fleet *r)
{
    struct sn_fleet *f = sn_fleet_find(c, slice_of(r->name));
    if (f && f->state == SN_FLEET_RELEASING) {
        f->release_us = c->now_us - RELEASE_MAX; /* whoever waits for that is answered */
        bool over;
        advance_release(f, &over);
        f = NULL;
    }
    if (!f) {
        f = sn_fleet_new(c, r->name, &r->settings);
        f->added = true;
        f->meet_us = sn_meet_until(c, c->now_us, true);
    } else {
        bool login = strcmp(f->set.auth_user, r->settings.auth_user) != 0 ||
                     strcmp(f->set.auth_pass, r->settings.auth_pass) != 0;
        sn_settings_free(&f->set);
        sn_settings_copy(&f->set, &r->settings);
        if (login)
            log_in_again(f);
    }
    f->lease_us = MS(r->lease_ms);
    if (!f->swap.lists)
        sn_swap_restore(f, &f->swap.has, NULL);
    sn_fleet_seeds(f, r->seeds, r->nseeds);
    f->dirty = c->any_dirty = true;
    sn_touch_fleet(f);
}
