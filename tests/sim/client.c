/* The client of a group: it asks some supervisor who the master is and writes there; refused, it asks again. */
#include "tests/sim/world.h"

bool holds_write(const struct node *n, size_t write)
{
    return (n->data[write / 64] >> (write % 64) & 1) != 0;
}

static void ask(struct world *w, struct group *g)
{
    struct super *s = super_running(w);
    if (s == NULL)
        return;
    const struct sn_group *known = sn_group_find(s->core, slice_of(g->name));
    if (known != NULL)
        g->believed = sn_current_master(known);
}

static bool takes_writes(const struct world *w, const struct node *n)
{
    return n != NULL && n->up && !n->stopped && n->master < 0 && !node_loading(w, n) && !node_paused(w, n) &&
           w->now_us >= n->busy_until_us;
}

static void write_one(struct world *w, struct happening *h)
{
    struct group *g = (struct group *)((char *)h - offsetof(struct group, client));
    int index = (int)(g - w->groups);
    struct node *n = addr_is_set(&g->believed) ? node_at(w, &g->believed) : NULL;
    happen(w, h, w->now_us + MS(w->plan.group[index].write_ms) + (int64_t)rng_below(&w->rng, 1000), write_one);
    if (!g->writing || g->nwrites == WRITES_MAX)
        return;
    if (!takes_writes(w, n)) {
        ask(w, g);
        return;
    }
    size_t id = g->nwrites++;
    g->writes[id] = (struct write){.at_us = w->now_us, .node = n->index};
    w->counts[COUNT_WRITES]++;
    repl_append(w, n, rng_range(&w->rng, 40, 200), (int)id, NULL);
}

void client_start(struct world *w, int group)
{
    struct group *g = &w->groups[group];
    const struct plan_group *p = &w->plan.group[group];
    for (int i = 0; i < p->keys; i++) {
        size_t id = g->nwrites++;
        g->writes[id] = (struct write){.at_us = 0, .node = g->first};
        for (int k = g->first; k < g->first + g->count; k++) {
            w->nodes[k].data[id / 64] |= (uint64_t)1 << (id % 64);
            w->nodes[k].keys++;
        }
    }
    g->writing = true;
    g->believed = w->nodes[g->first].addr;
    happen(w, &g->client, MS(500), write_one);
}

size_t client_lost(const struct world *w, int group, const struct node *n, int64_t from_us, int64_t to_us)
{
    const struct group *g = &w->groups[group];
    size_t lost = 0;
    for (size_t i = 0; i < g->nwrites; i++)
        if (g->writes[i].at_us >= from_us && g->writes[i].at_us <= to_us && !holds_write(n, i))
            lost++;
    return lost;
}
