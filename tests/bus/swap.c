/* Swaps of databases: a coordinator that does what the supervisors' quorum will do (SAFETY, section 6), with a log that
 * lasts and a process that dies; and what must hold at the nodes (H4, W2 to W4). The coordinator asks all masters to
 * prepare, decides when all have said yes at config epochs that are still theirs, and tells whoever lags until nobody
 * does. */
#include "tests/bus/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define LOG_MAX 1024

enum phase { IDLE, PREPARING, DECIDED };

struct pair {
    int a, b;
};

struct promise { /* of a master that has said yes */
    uint64_t epoch;
    struct pair p;
};

struct of_node {
    cl_token token; /* of the command that it has not answered yet; 0: none */
    unsigned life;
    bool yes;
    uint64_t config_epoch; /* at which */
    struct cl_id id;
    bool asked; /* it is of the set that must say yes */
    struct promise promise;
    uint64_t bound; /* it, or whom it succeeded, said yes to the swap of that epoch, which was then decided */
};

struct swaps {
    struct happening turn; /* first */
    bool ended;
    /* what the coordinator's log keeps */
    struct pair log[LOG_MAX]; /* log[i] led to epoch i + 1 */
    uint64_t decided;
    enum phase phase;
    struct pair next;
    /* what it forgets */
    int64_t until_us;
    struct of_node node[MAX_NODES];
};

static uint64_t shown_epoch(const struct swaps *s)
{
    return s->decided + 1;
}

static bool is_master(const struct node *n)
{
    return n->core != NULL && cl_is_master(n->core) && n->data.master == -1;
}

static const struct asked *answer_of(const struct node *n, const struct of_node *o)
{
    for (int i = 0; i < ASKED_MAX; i++)
        if (n->asked[i].token == o->token && n->life == o->life)
            return &n->asked[i];
    return NULL;
}

static void ask(struct world *w, struct node *n, enum cl_verb verb, uint64_t epoch, struct pair p)
{
    struct of_node *o = &w->swaps->node[n->index];
    struct cl_command c = {.verb = verb, .number = (int64_t)epoch, .database_a = p.a, .database_b = p.b};
    const struct asked *a = node_ask(w, n, &c);
    o->token = a != NULL ? a->token : 0;
    o->life = n->life;
}

/* Its last command is answered, or never will be. */
static bool is_free(const struct node *n, struct of_node *o, const struct asked **a)
{
    *a = o->token != 0 ? answer_of(n, o) : NULL;
    if (*a != NULL && !(*a)->answered)
        return false;
    o->token = 0;
    return n->core != NULL && !n->stopped;
}

/* ---- the coordinator ---- */

static void begin(struct world *w)
{
    struct swaps *s = w->swaps;
    s->phase = PREPARING;
    s->next.a = (int)rng_below(&w->rng, DATABASES);
    s->next.b = (s->next.a + 1 + (int)rng_below(&w->rng, DATABASES - 1)) % DATABASES;
    s->until_us = w->time.now_us + MS(w->plan.timeout_ms) * 3 + SECONDS(1);
    for (int i = 0; i < w->plan.nodes; i++) {
        struct of_node *o = &s->node[i];
        o->asked = is_master(&w->nodes[i]);
        o->yes = false;
        o->token = 0;
        o->id = w->nodes[i].id;
    }
    RECORD(w, "swap", "%llu begins: %d and %d", (unsigned long long)shown_epoch(s), s->next.a, s->next.b);
}

static void give_up(struct world *w, const char *why)
{
    RECORD(w, "swap", "%llu is aborted: %s", (unsigned long long)shown_epoch(w->swaps), why);
    w->swaps->phase = DECIDED;
    w->counts[COUNT_ABORTED]++;
    /* Whoever has not said yes yet may be told so too. */
    for (int i = 0; i < w->plan.nodes; i++)
        w->swaps->node[i].token = 0;
}

static void decide(struct world *w)
{
    struct swaps *s = w->swaps;
    for (int i = 0; i < w->plan.nodes; i++) {
        const struct node *n = &w->nodes[i];
        struct of_node *o = &s->node[i];
        bool same = n->core != NULL && cl_is_master(n->core) && cl_id_eq(&n->id, &o->id) &&
                    n->core->claim.config_epoch == o->config_epoch;
        if (o->asked ? !same : is_master(n)) {
            give_up(w, "a master is another one now");
            return;
        }
    }
    s->log[s->decided++] = s->next;
    s->phase = DECIDED;
    RECORD(w, "swap", "%llu is decided", (unsigned long long)s->decided);
    for (int i = 0; i < w->plan.nodes; i++)
        if (s->node[i].asked)
            s->node[i].bound = s->decided;
}

static void prepare(struct world *w)
{
    struct swaps *s = w->swaps;
    bool all = true;
    if (w->time.now_us >= s->until_us) {
        give_up(w, "it takes too long");
        return;
    }
    for (int i = 0; i < w->plan.nodes && s->phase == PREPARING; i++) {
        struct node *n = &w->nodes[i];
        struct of_node *o = &s->node[i];
        const struct asked *a = NULL;
        if (!o->asked || o->yes)
            continue;
        all = false;
        bool was_asked = o->token != 0;
        if (!is_free(n, o, &a))
            continue;
        if (a != NULL && a->ok) {
            o->yes = true;
            o->config_epoch = n->core->claim.config_epoch;
        } else if (was_asked && a != NULL) {
            give_up(w, "a master refuses");
        } else {
            ask(w, n, CL_DBMAP_PREPARE, shown_epoch(s), s->next);
        }
    }
    if (all)
        decide(w);
}

/* Whoever does not know how a swap ended is told. */
static bool tell_those_that_lag(struct world *w)
{
    struct swaps *s = w->swaps;
    bool any = false;
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        struct of_node *o = &s->node[i];
        const struct asked *a;
        struct cl_swap_row row;
        if (!is_master(n))
            continue;
        cl_swap(n->core, &row);
        bool lags = n->data.set.mapping < s->decided;
        bool waits = row.prepared && row.epoch > s->decided && s->phase != PREPARING;
        any = any || lags || waits;
        if (!(lags || waits) || !is_free(n, o, &a))
            continue;
        /* Now and then the last one is told to somebody who lacks one before it, and must be refused. */
        uint64_t next = rng_below(&w->rng, 8) == 0 ? s->decided : n->data.set.mapping + 1;
        bool of_another_try = row.prepared && row.epoch == n->data.set.mapping + 1 && lags &&
                              (s->log[row.epoch - 1].a != row.a || s->log[row.epoch - 1].b != row.b);
        if (lags && !of_another_try)
            ask(w, n, CL_DBMAP_APPLY, next, s->log[next - 1]);
        else
            ask(w, n, CL_DBMAP_ABORT, row.epoch, (struct pair){row.a, row.b});
    }
    return any;
}

/* Things that were said before are said again. */
static void repeat(struct world *w)
{
    struct swaps *s = w->swaps;
    struct node *n = some_node(w, true);
    const struct asked *a;
    if (n == NULL || s->decided == 0 || !is_free(n, &s->node[n->index], &a))
        return;
    uint64_t epoch = 1 + rng_below(&w->rng, s->decided);
    static const enum cl_verb verbs[] = {CL_DBMAP_PREPARE, CL_DBMAP_APPLY, CL_DBMAP_ABORT};
    ask(w, n, verbs[rng_below(&w->rng, 3)], epoch, s->log[epoch - 1]);
}

static void turn(struct world *w, struct happening *h)
{
    struct swaps *s = (struct swaps *)h;
    int64_t after = rng_skewed(&w->rng, MS(1), MS(50));
    /* A coordinator dies, and its successor knows what was written down: what was not decided is aborted. */
    if (!s->ended && s->phase != IDLE && rng_below(&w->rng, 100) == 0) {
        w->counts[COUNT_LEFT]++;
        after = rng_skewed(&w->rng, MS(50), SECONDS(5));
        if (s->phase == PREPARING)
            give_up(w, "its coordinator died");
        for (int i = 0; i < w->plan.nodes; i++)
            s->node[i].token = 0;
    } else if (s->phase == PREPARING) {
        prepare(w);
    } else if (!tell_those_that_lag(w)) {
        if (s->phase == DECIDED) {
            s->phase = IDLE;
            after = rng_skewed(&w->rng, MS(w->plan.swap_ms) / 4 + 1, MS(w->plan.swap_ms) * 2);
        } else if (!s->ended && s->decided < LOG_MAX) {
            begin(w);
        }
    } else if (!s->ended && rng_below(&w->rng, 10) == 0) {
        repeat(w);
    }
    happen(&w->time, h, w->time.now_us + after, turn);
}

void swap_init(struct world *w)
{
    w->swaps = mem_zalloc(sizeof *w->swaps);
    heap_node_init(&w->swaps->turn.at);
    w->swaps->turn.who = -1;
}

void swap_begin(struct world *w)
{
    if (w->plan.swap_ms > 0)
        happen(&w->time, &w->swaps->turn, w->time.now_us + MS(w->plan.swap_ms) / 2, turn);
}

void swap_free(struct world *w)
{
    free(w->swaps);
}

void swap_heal(struct world *w)
{
    w->swaps->ended = true;
    if (w->swaps->phase == PREPARING)
        give_up(w, "all is healed");
}

const char *swap_unfinished(struct world *w)
{
    static char text[128];
    for (int i = 0; i < w->plan.nodes; i++) {
        const struct node *n = &w->nodes[i];
        struct cl_swap_row row;
        if (n->core == NULL)
            continue;
        cl_swap(n->core, &row);
        if (row.prepared && row.epoch > n->data.set.mapping)
            return snprintf(text, sizeof text, "%s has swap %llu prepared", node_name(i),
                            (unsigned long long)row.epoch),
                   text;
        if (n->data.set.mapping != w->swaps->decided)
            return snprintf(text, sizeof text, "%s has mapping %llu, and %llu were decided", node_name(i),
                            (unsigned long long)n->data.set.mapping, (unsigned long long)w->swaps->decided),
                   text;
    }
    return NULL;
}

/* ---- what must hold ---- */

static bool knows_on_disk(const struct node *n, uint64_t epoch)
{
    return n->disk.says.swap_epoch == epoch && !n->disk.says.swap_aborted;
}

void swap_promised(struct world *w, struct node *n, const struct asked *a)
{
    uint64_t epoch = (uint64_t)a->number;
    w->counts[COUNT_PREPARED]++;
    if (!knows_on_disk(n, epoch))
        violated(w, "W", "%s says yes to swap %llu, and its disk does not know it", node_name(n->index),
                 (unsigned long long)epoch);
    for (int i = 0; i < w->plan.nodes; i++)
        if (may_succeed(w, &w->nodes[i], n) && !knows_on_disk(&w->nodes[i], epoch))
            violated(w, "W", "%s says yes to swap %llu, and the disk of %s, which may succeed it, does not know it",
                     node_name(n->index), (unsigned long long)epoch, node_name(i));
    w->swaps->node[n->index].promise = (struct promise){epoch, {a->database_a, a->database_b}};
}

static void break_promise(struct world *w, const struct node *n)
{
    w->swaps->node[n->index].promise.epoch = 0;
}

void swap_look(struct world *w, struct node *n)
{
    const struct promise *p = &w->swaps->node[n->index].promise;
    struct cl_swap_row row;
    if (w->plan.swap_ms == 0 || n->core == NULL || w->violation != NULL)
        return;
    if (!cl_is_master(n->core) || n->data.set.mapping >= p->epoch) {
        break_promise(w, n);
        return;
    }
    cl_swap(n->core, &row);
    if (row.prepared && n->core->live_jobs > 0)
        violated(w, "H4", "%s has a migration while a swap is prepared", node_name(n->index));
    if (!row.prepared || row.epoch != p->epoch || row.a != p->p.a || row.b != p->p.b)
        violated(w, "W", "%s has said yes to swap %llu, and takes it back", node_name(n->index),
                 (unsigned long long)p->epoch);
}

void swap_effect(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct dataset *d = &n->data.set;
    const struct swaps *s = w->swaps;
    if (n->data.master != -1)
        violated(w, "shell", "%s, a replica, swaps databases", node_name(n->index));
    if (e->seq != d->mapping + 1)
        violated(w, "W", "%s applies swap %llu, and its mapping has epoch %llu", node_name(n->index),
                 (unsigned long long)e->seq, (unsigned long long)d->mapping);
    else if (e->seq > s->decided || s->log[e->seq - 1].a != e->a || s->log[e->seq - 1].b != e->b)
        violated(w, "W", "%s applies swap %llu, which was not decided so", node_name(n->index),
                 (unsigned long long)e->seq);
    if (n->core->live_jobs > 0)
        violated(w, "H4", "%s swaps databases in the midst of a migration", node_name(n->index));
    w->counts[COUNT_SWAPPED]++;
    d->mapping = e->seq;
    d->offset += 20;
}

void swap_written(struct world *w, struct node *n, int database)
{
    const struct swaps *s = w->swaps;
    const struct of_node *o = &s->node[n->index];
    const struct pair *last = s->decided > 0 ? &s->log[s->decided - 1] : NULL;
    if (last == NULL || o->bound != s->decided || n->data.set.mapping >= s->decided)
        return;
    if (database == last->a || database == last->b)
        violated(w, "W", "%s executes a write to database %d as it was before swap %llu, which is decided",
                 node_name(n->index), database, (unsigned long long)s->decided);
}

void swap_commanded(struct world *w, struct node *n, const struct cl_command *c)
{
    struct of_node *o = &w->swaps->node[n->index];
    if (c->verb == CL_DBMAP_ABORT && (uint64_t)c->number == o->promise.epoch)
        break_promise(w, n);
    if (c->verb == CL_RESET)
        swap_wiped(w, n);
}

void swap_succeeds(struct world *w, struct node *n, const struct cl_id *master, bool elected)
{
    const struct node *old = node_of_id(w, master);
    struct of_node *o = &w->swaps->node[n->index];
    struct cl_swap_row row;
    o->promise.epoch = o->bound = 0;
    if (old == NULL || !elected)
        return;
    const struct of_node *its = &w->swaps->node[old->index];
    cl_swap(n->core, &row);
    if (its->promise.epoch != 0 && n->data.set.mapping < its->promise.epoch) {
        o->promise = its->promise;
        if (!row.prepared || row.epoch != its->promise.epoch)
            violated(w, "W", "%s is elected, and knows nothing of swap %llu, to which its master has said yes",
                     node_name(n->index), (unsigned long long)its->promise.epoch);
    }
    /* Its data lacks more than the last swap that its state knows: see swap_rolled_back(). */
    o->bound = row.epoch > n->data.set.mapping + 1 ? 0 : its->bound;
}

/* It has lost more than the last swap, perhaps: the supervisors see to it before they lease it anything (SAFETY W1). */
void swap_rolled_back(struct world *w, struct node *n)
{
    w->swaps->node[n->index].bound = 0;
}

void swap_wiped(struct world *w, struct node *n)
{
    struct of_node *o = &w->swaps->node[n->index];
    o->promise.epoch = o->bound = 0;
}
