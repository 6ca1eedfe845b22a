/* The world of the bus, as links and rules of migrations see it. */
#include "tests/bus/world.h"

#include <string.h>

_Static_assert(MAX_NODES <= PARTIES_MAX, "migrations have no room for all nodes");

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
    return w->plan.nodes;
}

struct node *world_node(const struct world *w, int index)
{
    return &w->nodes[index];
}

bool world_is_over(const struct world *w)
{
    return w->violation != NULL;
}

bool world_is_recorded(const struct world *w)
{
    return w->record != NULL;
}

bool world_is_cut(const struct world *w, int from, int to)
{
    return w->cut[from][to] != 0;
}

int64_t world_delay(struct world *w)
{
    int64_t d = w->plan.delay_us + (int64_t)rng_below(&w->rng, (uint64_t)w->plan.delay_us + 1);
    if (w->weather.extra_us > 0 && rng_below(&w->rng, 4) == 0)
        d += (int64_t)rng_below(&w->rng, (uint64_t)w->weather.extra_us);
    return d;
}

void world_counts(struct world *w, enum migration_count what)
{
    static const int at[] = {
#define X(name) COUNT_##name,
        MIGRATION_COUNTS(X)
#undef X
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
    return n->life;
}

bool party_stopped(const struct node *n)
{
    return n->stopped;
}

bool party_off(const struct node *n)
{
    return n->host_down;
}

struct inbox *party_inbox(struct node *n)
{
    return &n->inbox;
}

int64_t party_clock(const struct world *w, const struct node *n)
{
    return node_clock(w, n);
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

/* A master that was replaced while it stood still, before it has heard anything: the bus has no lease. Or one that
 * forgot everybody by RESET and died before its keys were gone. */
bool party_is_stale(const struct world *w, const struct node *n)
{
    return w->time.now_us < n->excused_us || n->was_reset;
}

struct node *party_at(struct world *w, const char *ip, uint16_t port)
{
    for (int i = 0; i < w->plan.nodes; i++)
        if (port == 7000 && strcmp(w->nodes[i].ip, ip) == 0)
            return &w->nodes[i];
    return NULL;
}

void party_flushes(struct node *n)
{
    n->data.flushed = n->data.set;
}
