/* The world of a fleet, as links and rules of migrations see it. */
#include "tests/fleet/world.h"

#include <string.h>

_Static_assert(NODES_MAX <= PARTIES_MAX, "migrations have no room for all nodes");

struct migrations *world_migrations(const struct world *w)
{
    return &((struct world *)(uintptr_t)w)->migrations;
}

struct timeline *world_time(const struct world *w)
{
    return &((struct world *)(uintptr_t)w)->time;
}

struct rng *world_rng(const struct world *w)
{
    return &((struct world *)(uintptr_t)w)->rng;
}

int world_nodes(const struct world *w)
{
    return w->nnodes;
}

struct node *world_node(const struct world *w, int index)
{
    return &((struct world *)(uintptr_t)w)->nodes[index];
}

bool world_is_over(const struct world *w)
{
    return w->violation != NULL;
}

bool world_is_recorded(const struct world *w)
{
    return w->lines != NULL;
}

bool world_is_cut(const struct world *w, int from, int to)
{
    return w->net.cut[end_of_node(from)][end_of_node(to)] != 0;
}

int64_t world_delay(struct world *w)
{
    int64_t d = w->plan.delay_us + (int64_t)rng_below(&w->rng, (uint64_t)w->plan.delay_us + 1);
    if (w->net.weather.extra_us > 0 && rng_below(&w->rng, 4) == 0)
        d += (int64_t)rng_below(&w->rng, (uint64_t)w->net.weather.extra_us);
    return d;
}

void world_counts(struct world *w, enum migration_count what)
{
    static const enum count at[] = {
        [MIGRATION_JOBS] = COUNT_JOBS,           [MIGRATION_GRANTS] = COUNT_GRANTS_OF_SLOTS,
        [MIGRATION_LATE] = COUNT_LATE_GRANTS,    [MIGRATION_TRIED_AGAIN] = COUNT_TRIED_AGAIN,
        [MIGRATION_JOBS_DONE] = COUNT_JOBS_DONE, [MIGRATION_JOBS_ENDED] = COUNT_JOBS_ENDED,
        [MIGRATION_TAKEN] = COUNT_TAKEN,         [MIGRATION_RESUMED] = COUNT_RESUMED,
        [MIGRATION_INHERITED] = COUNT_INHERITED, [MIGRATION_DISTURBED] = COUNT_DISTURBED,
        [MIGRATION_STALE] = COUNT_STALE,
    };
    w->counts[at[what]]++;
}

int party_index(const struct node *n)
{
    return n->index;
}

struct cl_core *party_core(const struct node *n)
{
    return n->core;
}

const struct cl_id *party_id(const struct node *n)
{
    return &n->id;
}

unsigned party_life(const struct node *n)
{
    return n->p.life;
}

bool party_stopped(const struct node *n)
{
    return n->p.stopped;
}

bool party_off(const struct node *n)
{
    return n->p.host_down;
}

struct inbox *party_inbox(struct node *n)
{
    return &n->p.inbox;
}

int64_t party_clock(const struct world *w, const struct node *n)
{
    return process_clock(w, &n->p);
}

struct dataset *party_dataset(const struct node *n)
{
    return &((struct node *)(uintptr_t)n)->data.set;
}

int party_follows(const struct node *n)
{
    return n->data.master;
}

bool party_streams(const struct node *n)
{
    return n->data.repl == REPL_UP;
}

const struct durable *party_says(const struct node *n)
{
    return &n->disk.says;
}

bool party_disk_full(const struct node *n)
{
    return n->disk.full;
}

/* It has no lease then. */
bool party_is_stale(const struct world *w, const struct node *n)
{
    (void)w;
    (void)n;
    return false;
}

struct node *party_at(struct world *w, const char *ip, uint16_t port)
{
    for (int i = 0; i < w->nnodes; i++)
        if (port == NODE_PORT && strcmp(w->nodes[i].ip, ip) == 0)
            return &w->nodes[i];
    return NULL;
}

void party_flushes(struct node *n)
{
    (void)n; /* all that it has outlives a crash */
}

bool client_may_write(const struct world *w, const struct node *n, int watched)
{
    return node_may_write_slot(w, n, ledger(w)->watched[watched]);
}

const char *node_name(int index)
{
    return end_name(end_of_node(index));
}

const char *id_name(struct world *w, const struct cl_id *id)
{
    const struct node *n = node_of_id(w, id);
    return n != NULL ? end_name(n->p.end) : cl_id_is_none(id) ? "nobody" : "a former node";
}
