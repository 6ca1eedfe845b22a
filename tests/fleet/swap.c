/* Swaps of databases over the cluster (SAFETY, section 6): operators ask a supervisor, clients ask a node; and
 * what must hold at the nodes. What was decided is what the first node does: whoever may write is bound by it from
 * then on. */
#include "noded/cluster/handover.h"
#include "noded/cluster/state.h"
#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "sentineld/core/state.h"

#define MADE_MAX 512

struct pair {
    int a, b;
};

struct wanted { /* by somebody who waits for the answer */
    struct pair p;
    uint64_t since; /* the newest mapping then */
    int end;
    unsigned life;
    uint64_t token; /* 0: nobody waits */
};

struct swaps {
    struct happening turn; /* first */
    bool ended;
    bool once;                  /* one more is wanted until it is made */
    struct pair made[MADE_MAX]; /* made[i] led to mapping i + 1 */
    uint64_t newest;
    struct wanted by_operator, by_client;
};

void swap_init(struct world *w)
{
    w->swaps = mem_zalloc(sizeof *w->swaps);
    heap_node_init(&w->swaps->turn.at);
}

void swap_free(struct world *w)
{
    free(w->swaps);
}

/* ---- who wants one ---- */

static struct wanted draw(struct world *w, int end, uint64_t token)
{
    struct wanted x = {.since = w->swaps->newest, .end = end, .life = process_of(w, end)->life, .token = token};
    x.p.a = (int)rng_below(&w->rng, DATABASES);
    x.p.b = (x.p.a + 1 + (int)rng_below(&w->rng, DATABASES - 1)) % DATABASES;
    w->counts[COUNT_SWAPS_WANTED]++;
    return x;
}

static void ask_supervisor(struct world *w)
{
    struct super *s = &w->supers[rng_below(&w->rng, SUPERS_MAX)];
    if (!process_works(&s->p))
        return;
    struct wanted *x = &w->swaps->by_operator;
    *x = draw(w, s->p.end, ++s->watcher->last_token);
    struct sn_event e = {.kind = SN_EV_SWAPDB, .token = x->token, .group = slice_of(FLEET_NAME)};
    e.databases[0] = x->p.a;
    e.databases[1] = x->p.b;
    RECORD(w, "operator", "asks %s to swap databases %d and %d", end_name(s->p.end), x->p.a, x->p.b);
    watcher_step(w, s, &e);
}

static void ask_node(struct world *w)
{
    struct node *n = some_master(w, -1);
    if (n == NULL)
        return;
    struct wanted *x = &w->swaps->by_client;
    *x = draw(w, n->p.end, n->last_token + 1);
    struct cl_command c = {.verb = CL_SWAP_WISH, .database_a = x->p.a, .database_b = x->p.b};
    RECORD(w, "client", "asks %s to swap databases %d and %d", end_name(n->p.end), x->p.a, x->p.b);
    node_command(w, n, &c);
}

static void turn(struct world *w, struct happening *h)
{
    struct swaps *s = w->swaps;
    if (s->once && s->by_operator.token == 0)
        ask_supervisor(w);
    if (s->once)
        happen(&w->time, h, w->time.now_us + SECONDS(1), turn);
    if (s->ended)
        return;
    happen(&w->time, h, w->time.now_us + rng_skewed(&w->rng, MS(w->plan.swap_ms) / 4, MS(w->plan.swap_ms) * 2), turn);
    if (w->swaps->newest + 8 >= MADE_MAX)
        return;
    if (rng_below(&w->rng, 2) == 0)
        ask_supervisor(w);
    else
        ask_node(w);
}

void swap_begin(struct world *w)
{
    if (w->plan.swap_ms > 0)
        happen(&w->time, &w->swaps->turn, w->time.now_us + MS(w->plan.swap_ms), turn);
}

void swap_heal(struct world *w)
{
    w->swaps->ended = true;
}

void swap_once(struct world *w)
{
    w->swaps->once = w->plan.swap_ms > 0;
    w->swaps->by_operator.token = 0;
    turn(w, &w->swaps->turn);
}

/* ---- what must hold ---- */

static bool same(const struct pair *x, int a, int b)
{
    return (x->a == a && x->b == b) || (x->a == b && x->b == a);
}

/* W5: whoever hears OK finds it made on every master that takes writes. */
static void answered(struct world *w, struct wanted *x, bool ok)
{
    const struct swaps *s = w->swaps;
    uint64_t v = x->since + 1;
    x->token = 0;
    w->counts[ok ? COUNT_SWAPS_OK : COUNT_SWAPS_REFUSED]++;
    while (ok && v <= s->newest && !same(&s->made[v - 1], x->p.a, x->p.b))
        v++;
    if (ok && v > s->newest)
        violated(w, "W5", "databases %d and %d are told to be swapped, and no node has done that", x->p.a, x->p.b);
    for (int i = 0; i < w->nnodes && ok; i++) {
        const struct node *n = &w->nodes[i];
        if (node_may_write(w, n, n->shard) && n->data.set.mapping < v)
            violated(w, "W5", "swap %llu is told to be made, and %s takes writes at mapping %llu",
                     (unsigned long long)v, end_name(n->p.end), (unsigned long long)n->data.set.mapping);
    }
}

static bool is_for(struct world *w, const struct wanted *x, int end, uint64_t token)
{
    return x->token != 0 && x->token == token && x->end == end && x->life == process_of(w, end)->life;
}

void swap_super_answers(struct world *w, const struct super *s, const struct sn_effect *e)
{
    struct wanted *x = &w->swaps->by_operator;
    if (!is_for(w, x, s->p.end, e->token))
        return;
    RECORD(w, end_name(s->p.end), "answers the operator: %s", e->answer == SN_ANSWER_OK ? "OK" : e->text);
    answered(w, x, e->answer == SN_ANSWER_OK);
    if (e->answer == SN_ANSWER_OK)
        w->swaps->once = false;
}

void swap_node_answers(struct world *w, const struct node *n, const struct cl_effect *e)
{
    struct wanted *x = &w->swaps->by_client;
    if (is_for(w, x, n->p.end, e->token))
        answered(w, x, e->ok);
}

/* W2 to W4: behind a decision nobody executes a request of either database as it was before. */
void swap_check(struct world *w, const struct node *n)
{
    const struct swaps *s = w->swaps;
    int a, b;
    if (n->core == NULL || n->data.set.mapping >= s->newest || !node_may_write(w, n, n->shard))
        return;
    if (n->data.set.mapping + 1 < s->newest) {
        violated(w, "W1", "%s takes writes at mapping %llu, and swap %llu is made elsewhere", end_name(n->p.end),
                 (unsigned long long)n->data.set.mapping, (unsigned long long)s->newest);
        return;
    }
    if (!cl_databases_held(n->core, &a, &b) || !same(&s->made[s->newest - 1], a, b))
        violated(w, "W3", "%s takes writes as before swap %llu, which is made elsewhere", end_name(n->p.end),
                 (unsigned long long)s->newest);
}

/* Supervisors know the last two swaps. */
bool swap_untold(const struct world *w, const struct node *n)
{
    return w->swaps != NULL && n->data.set.mapping + 2 < w->swaps->newest;
}

void swap_effect(struct world *w, struct node *n, const struct cl_effect *e)
{
    struct swaps *s = w->swaps;
    struct data *d = &n->data;
    bool empty = d->set.offset == 0; /* it comes to any mapping by whatever steps */
    if (d->master != -1)
        violated(w, "shell", "%s, a replica, swaps databases", end_name(n->p.end));
    if (e->seq != d->set.mapping + 1 || e->seq > s->newest + 1)
        violated(w, "W4", "%s makes swap %llu, its mapping is %llu and the newest one %llu", end_name(n->p.end),
                 (unsigned long long)e->seq, (unsigned long long)d->set.mapping, (unsigned long long)s->newest);
    else if (e->seq <= s->newest && !empty && !same(&s->made[e->seq - 1], e->a, e->b))
        violated(w, "W4", "%s swaps databases %d and %d as swap %llu, which was another one elsewhere",
                 end_name(n->p.end), e->a, e->b, (unsigned long long)e->seq);
    d->set.mapping = e->seq;
    d->set.offset += empty ? 0 : 20;
    RECORD(w, end_name(n->p.end), "makes swap %llu: %d and %d", (unsigned long long)e->seq, e->a, e->b);
    if (e->seq <= s->newest || e->seq > MADE_MAX)
        return;
    s->made[s->newest++] = (struct pair){e->a, e->b};
    w->counts[COUNT_SWAPPED]++;
    for (int i = 0; i < w->nnodes; i++)
        swap_check(w, &w->nodes[i]);
}

bool swap_waits(const struct node *n, int database)
{
    int a, b;
    return cl_databases_held(n->core, &a, &b) && (database == a || database == b);
}

static char why[160];

/* What a supervisor holds of a cluster that it was given anew, where nothing was swapped since, is that it knows of
 * none; or of what was decided before the release, where a word of that had waited in a socket. It binds nobody. */
static bool knows_newest(const struct world *w, const struct sn_swap *has)
{
    uint64_t version = sn_swap_mapping(&has->entry).version;
    return version == w->swaps->newest || (w->released && version < w->swaps->newest);
}

const char *swap_unfinished(struct world *w)
{
    if (w->swaps->once)
        return "one more swap is wanted, and not made";
    for (int i = 0; i < w->nnodes; i++) {
        const struct node *n = &w->nodes[i];
        struct cl_swap_row row;
        if (n->core == NULL)
            continue;
        cl_swap(n->core, &row);
        if (row.prepared || n->data.set.mapping != w->swaps->newest) {
            snprintf(why, sizeof why, "%s has mapping %llu of %llu%s", end_name(n->p.end),
                     (unsigned long long)n->data.set.mapping, (unsigned long long)w->swaps->newest,
                     row.prepared ? ", and one is prepared" : "");
            return why;
        }
    }
    for (int i = 0; i < SUPERS_MAX; i++) {
        const struct super *s = &w->supers[i];
        if (!s->p.runs || s->watcher == NULL || s->watcher->core->nfleets == 0)
            continue;
        const struct sn_swap *has = &s->watcher->core->fleets[0]->swap.has;
        if (sn_swap_is_open(has) || !knows_newest(w, has)) {
            snprintf(why, sizeof why, "%s holds mapping %llu for the newest%s", end_name(i),
                     (unsigned long long)sn_swap_mapping(&has->entry).version,
                     sn_swap_is_open(has) ? ", and an attempt is open" : "");
            return why;
        }
    }
    return NULL;
}

/* ---- CLUSTER DBMAP, as the node's parser reads it ---- */

static bool read_steps(char *const *argv, struct cl_command *to)
{
    int64_t a, b;
    bool prepares = to->verb == CL_DBMAP_PREPARE;
    if (!text_i64(slice_of(argv[1]), &a) || !text_i64(slice_of(argv[2]), &b) ||
        !text_i64(slice_of(argv[4]), &to->number) || !text_u64(slice_of(argv[6]), &to->ballot))
        return false;
    to->database_a = (int)a;
    to->database_b = (int)b;
    return argv[7] == NULL || (prepares && text_u64(slice_of(argv[8]), &to->request));
}

bool swap_read(enum sn_command command, char *const *argv, struct cl_command *to)
{
    switch (command) {
    case SN_CMD_DBMAP_PREPARE:
    case SN_CMD_DBMAP_APPLY:
        to->verb = command == SN_CMD_DBMAP_PREPARE ? CL_DBMAP_PREPARE : CL_DBMAP_APPLY;
        return read_steps(argv, to);
    case SN_CMD_DBMAP_ABORT:
        to->verb = CL_DBMAP_ABORT;
        to->text = slice_of(argv[6]);
        return text_i64(slice_of(argv[2]), &to->number) && text_u64(slice_of(argv[4]), &to->ballot);
    default: to->verb = CL_DBMAP_DONE; return text_i64(slice_of(argv[2]), &to->number);
    }
}
