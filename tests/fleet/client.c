/* Clients that write, each time something of their own, and know what was acknowledged. They keep to a master as
 * long as it answers: the worst that a client can do. */
#include "noded/cluster/redirect.h"
#include "noded/cluster/state.h"
#include "tests/fleet/world.h"

static void write_to(struct world *w, struct node *n)
{
    struct shard *k = &w->shards[n->shard];
    size_t i = k->nwrites++;
    if (k->writer != n->index) /* a promotion loses what its replica did not have */
        k->lost_us = w->time.now_us;
    k->writer = n->index;
    k->writes[i] = (struct write){.at_us = w->time.now_us, .node = n->index};
    n->data.has[i / 64] |= UINT64_C(1) << i % 64;
    n->data.set.offset += 60;
    w->counts[COUNT_WRITES]++;
    check_writers(w, n);
    swap_check(w, n);
}

/* Where the node sends the client: by MOVED. -1: nowhere. */
static int sent_to(struct world *w, const struct node *n, int shard)
{
    const struct cl_request r = {.slot = w->shards[shard].slot, .keys = 1, .write = true, .changes = true};
    struct cl_member to;
    if (!process_works(&n->p) || cl_redirect(n->core, &r, &to) != CL_MOVED)
        return -1;
    const struct node *other = node_of_id(w, &to.id);
    return other != NULL ? other->index : -1;
}

static bool try_write(struct world *w, struct client *c)
{
    struct shard *k = &w->shards[c->shard];
    struct node *n = &w->nodes[c->believes];
    if (k->nwrites == SHARD_WRITES_MAX || !node_may_write(w, n, c->shard) || n->shard != c->shard ||
        swap_waits(n, (int)(k->nwrites % DATABASES)))
        return false;
    c->refused_us = 0;
    write_to(w, n);
    return true;
}

static void ask_next(struct world *w, struct client *c)
{
    const struct node *n = &w->nodes[c->believes];
    int to = sent_to(w, n, c->shard);
    if (process_works(&n->p) && cl_is_master(n->core) && cl_lease_until(n->core) <= process_clock(w, &n->p))
        w->counts[COUNT_WRITES_FENCED]++;
    if (c->refused_us == 0)
        c->refused_us = w->time.now_us;
    if (to >= 0 && to != c->believes)
        c->believes = to;
    else if (w->time.now_us - c->refused_us > MS(100))
        c->believes = c->shard + w->plan.shards * (int)rng_below(&w->rng, (uint64_t)w->plan.replicas + 1);
}

static void client(struct world *w, struct happening *h)
{
    struct client *c = (struct client *)h;
    happen(&w->time, h,
           w->time.now_us + MS(w->plan.write_ms) / 2 + (int64_t)rng_below(&w->rng, (uint64_t)MS(w->plan.write_ms)),
           client);
    if (w->writing && !try_write(w, c))
        ask_next(w, c);
}

void client_start(struct world *w)
{
    for (int k = 0; k < w->plan.shards; k++)
        for (int i = 0; i < CLIENTS_PER_SHARD; i++) {
            struct client *c = &w->shards[k].clients[i];
            heap_node_init(&c->next.at);
            c->shard = c->believes = k;
            happen(&w->time, &c->next, w->time.now_us + (int64_t)rng_below(&w->rng, (uint64_t)MS(50)), client);
        }
    w->writing = true;
}

void client_woken(struct world *w, struct node *n)
{
    if (!process_works(&n->p) || w->violation != NULL)
        return;
    check_writers(w, n);
    for (int i = 0; i < CLIENTS_PER_SHARD; i++)
        if (w->writing && w->shards[n->shard].clients[i].believes == n->index) {
            w->counts[COUNT_BUFFERED]++;
            try_write(w, &w->shards[n->shard].clients[i]);
        }
}

bool client_has(const struct world *w, int shard, size_t write)
{
    for (int i = shard; i < w->nnodes; i += w->plan.shards) {
        const struct node *n = &w->nodes[i];
        if (n->core != NULL && cl_is_master(n->core) && cl_owns_slot(n->core, w->shards[shard].slot) &&
            (n->data.has[write / 64] >> write % 64 & 1) != 0)
            return true;
    }
    return false;
}

size_t client_lost(const struct world *w, int shard)
{
    size_t lost = 0;
    for (size_t i = 0; i < w->shards[shard].nwrites; i++)
        lost += !client_has(w, shard, i);
    return lost;
}
