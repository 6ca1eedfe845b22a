/* A client that writes to the watched slots, each time something of its own, and knows what was acknowledged. */
#include "tests/bus/world.h"

bool client_may_write(const struct world *w, const struct node *n, int watched)
{
    return n->core != NULL && !n->stopped && n->data.master == -1 && !n->data.loading && cl_ok(n->core) &&
           cl_is_master(n->core) && cl_owns_slot(n->core, w->watched[watched]) &&
           node_clock(w, n) >= n->data.paused_until_us;
}

static void write_to(struct world *w, struct node *n, int watched)
{
    size_t i = w->nwrites++;
    w->writes[i] = (struct write){.slot = watched, .node = n->index, .at_us = w->now_us};
    n->data.has[i / 64] |= UINT64_C(1) << i % 64;
    n->data.offset += 60;
    w->counts[COUNT_WRITES]++;
    for (int k = 0; k < w->plan.nodes; k++)
        if (k != n->index && client_may_write(w, &w->nodes[k], watched)) {
            w->counts[COUNT_TWO_MASTERS]++;
            break;
        }
    check_write(w, n);
}

/* Half of the time wherever the last write to the slot went, otherwise wherever it may: a stale client and a lucky one.
 */
static void client(struct world *w, struct happening *h)
{
    int watched = (int)rng_below(&w->rng, WATCHED), nodes = w->plan.nodes;
    int at = w->believed[watched];
    happen(w, h, w->now_us + MS(w->plan.write_ms) / 2 + (int64_t)rng_below(&w->rng, (uint64_t)MS(w->plan.write_ms)),
           client);
    if (!w->writing || w->nwrites == WRITES_MAX)
        return;
    if (!client_may_write(w, &w->nodes[at], watched)) {
        int begin = (int)rng_below(&w->rng, (uint64_t)nodes);
        for (int k = 0; k < nodes && !client_may_write(w, &w->nodes[at], watched); k++)
            at = (begin + k) % nodes;
    }
    w->believed[watched] = at;
    if (client_may_write(w, &w->nodes[at], watched))
        write_to(w, &w->nodes[at], watched);
}

void client_start(struct world *w)
{
    heap_node_init(&w->client.at);
    w->client.who = -1;
    happen(w, &w->client, w->now_us, client);
}

size_t client_lost(const struct world *w, int64_t from_us, int64_t until_us)
{
    size_t lost = 0;
    for (size_t i = 0; i < w->nwrites; i++) {
        bool there = w->writes[i].at_us < from_us || w->writes[i].at_us > until_us;
        for (int k = 0; k < w->plan.nodes && !there; k++) {
            const struct node *n = &w->nodes[k];
            there = n->core != NULL && cl_is_master(n->core) && cl_owns_slot(n->core, w->watched[w->writes[i].slot]) &&
                    (n->data.has[i / 64] >> i % 64 & 1);
        }
        lost += !there;
    }
    return lost;
}
