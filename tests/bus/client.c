/* A client that writes to the watched slots, each time something of its own, and knows what was acknowledged. */
#include "noded/cluster/redirect.h"
#include "tests/bus/world.h"

bool client_may_write(const struct world *w, const struct node *n, int watched)
{
    const struct cl_request r = {.slot = w->migrations.ledger.watched[watched], .keys = 1, .write = true};
    return n->core != NULL && !n->stopped && n->data.master == -1 && !n->data.loading &&
           cl_redirect(n->core, &r, NULL) == CL_HERE &&
           cl_slot_hold(n->core, w->migrations.ledger.watched[watched]) == CL_HOLD_NOT &&
           node_clock(w, n) >= n->data.paused_until_us && lease_allows(w, n);
}

static size_t one(void *owner)
{
    (void)owner;
    return 1;
}

/* Each write is of a key that is new. One that a node does not have while its slot is on its way out belongs to the
 * other end. */
static bool takes_new(const struct world *w, const struct node *n, int watched)
{
    const struct cl_request r = {
        .slot = w->migrations.ledger.watched[watched], .keys = 1, .write = true, .missing = one};
    return client_may_write(w, n, watched) && cl_redirect(n->core, &r, NULL) == CL_HERE;
}

static void write_to(struct world *w, struct node *n, int watched, int database)
{
    size_t i = w->migrations.ledger.n++;
    w->migrations.ledger.writes[i] = (struct write){
        .slot = watched, .database = database, .node = n->index, .at_us = w->time.now_us};
    n->data.set.has[i / 64] |= UINT64_C(1) << i % 64;
    n->data.set.offset += 60;
    w->counts[COUNT_WRITES]++;
    for (int k = 0; k < w->plan.nodes; k++)
        if (k != n->index && client_may_write(w, &w->nodes[k], watched)) {
            w->counts[COUNT_TWO_MASTERS]++;
            break;
        }
    check_write(w, n);
    jobs_written(w, n, i);
    handover_look(w, n);
    swap_written(w, n, database);
}

static bool is_held(const struct node *n, int database)
{
    int a, b;
    return cl_databases_held(n->core, &a, &b) && (database == a || database == b);
}

/* Half of the time wherever the last write to the slot went, otherwise wherever it may: a stale client and a lucky one.
 */
static void client(struct world *w, struct happening *h)
{
    int watched = (int)rng_below(&w->rng, WATCHED), nodes = w->plan.nodes;
    int database = (int)rng_below(&w->rng, DATABASES);
    int at = w->believed[watched];
    happen(&w->time, h,
           w->time.now_us + MS(w->plan.write_ms) / 2 + (int64_t)rng_below(&w->rng, (uint64_t)MS(w->plan.write_ms)),
           client);
    if (!w->writing || w->migrations.ledger.n == WRITES_MAX)
        return;
    if (!takes_new(w, &w->nodes[at], watched)) {
        int begin = (int)rng_below(&w->rng, (uint64_t)nodes);
        for (int k = 0; k < nodes && !takes_new(w, &w->nodes[at], watched); k++)
            at = (begin + k) % nodes;
    }
    w->believed[watched] = at;
    if (takes_new(w, &w->nodes[at], watched) && !is_held(&w->nodes[at], database))
        write_to(w, &w->nodes[at], watched, database);
}

void client_start(struct world *w)
{
    heap_node_init(&w->client.at);
    w->client.who = -1;
    happen(&w->time, &w->client, w->time.now_us, client);
}

bool client_has(const struct world *w, size_t write)
{
    int slot = w->migrations.ledger.watched[w->migrations.ledger.writes[write].slot];
    for (int k = 0; k < w->plan.nodes; k++) {
        const struct node *n = &w->nodes[k];
        if (n->core != NULL && cl_is_master(n->core) && cl_owns_slot(n->core, slot) &&
            (n->data.set.has[write / 64] >> write % 64 & 1) != 0)
            return true;
    }
    return false;
}

size_t client_lost(const struct world *w, int64_t from_us, int64_t until_us)
{
    size_t lost = 0;
    for (size_t i = 0; i < w->migrations.ledger.n; i++)
        lost += w->migrations.ledger.writes[i].at_us >= from_us && w->migrations.ledger.writes[i].at_us <= until_us &&
                !client_has(w, i);
    return lost;
}
