/* Replication between modelled servers: the stream, partial and full synchronisation, promotion, and the server's own
 * FAILOVER. */
#include "tests/sim/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define CRON_PERIOD SECONDS(1)
#define FAILOVER_LOOK MS(10)

struct piece {          /* of a stream, on its way to one replica */
    struct happening h; /* first */
    struct piece *next;
    int to;
    unsigned repl_link;
    int64_t from_offset, bytes;
    int write;
    char *text;
};

static void recycle(struct world *w, struct piece *p)
{
    free(p->text);
    p->text = NULL;
    p->next = w->pieces;
    w->pieces = p;
}

void repl_lost(struct world *w, struct node *n)
{
    if (n->repl == REPL_NONE)
        return;
    n->repl = REPL_NONE;
    n->repl_down_us = w->now_us;
    happen_not(w, &n->sync);
}

void repl_drop_replicas(struct world *w, struct node *n)
{
    const struct group *g = &w->groups[n->group];
    for (int i = g->first; i < g->first + g->count; i++) {
        struct node *r = &w->nodes[i];
        /* Who cannot hear that its connection was closed goes on waiting for the stream, until its own timeout. */
        if (r->up && r->master == n->index && net_open(w, end_of_node(i), end_of_node(n->index)))
            repl_lost(w, r);
    }
}

static void arrived(struct world *w, struct happening *h)
{
    struct piece *p = (struct piece *)h;
    struct node *n = &w->nodes[p->to];
    if (n->stopped && n->up) {
        inbox_put(&n->inbox, h);
        return;
    }
    if (n->up && n->repl == REPL_UP && n->repl_link == p->repl_link) {
        if (n->offset != p->from_offset)
            repl_lost(w, n);
        else
            repl_append(w, n, p->bytes, p->write, p->text);
        if (p->text != NULL)
            node_publish(w, n, p->text);
    }
    recycle(w, p);
}

/* Adds to n's history and passes it on to its replicas. */
void repl_append(struct world *w, struct node *n, int64_t bytes, int write, const char *text)
{
    const struct group *g = &w->groups[n->group];
    int64_t from_offset = n->offset;
    n->offset += bytes;
    n->offset_us = w->now_us;
    if (write >= 0 && !holds_write(n, (size_t)write)) {
        n->data[write / 64] |= (uint64_t)1 << (write % 64);
        n->keys++;
    }
    for (int i = g->first; i < g->first + g->count; i++) {
        struct node *r = &w->nodes[i];
        if (!r->up || r->master != n->index || r->repl != REPL_UP || r->repl_master_life != n->life)
            continue;
        if (w->cut[end_of_node(n->index)][end_of_node(i)] != 0) {
            r->repl_broken = true;
            continue;
        }
        struct piece *p = w->pieces;
        if (p != NULL)
            w->pieces = p->next;
        else
            p = mem_zalloc(sizeof *p);
        p->to = i;
        p->repl_link = r->repl_link;
        p->from_offset = from_offset;
        p->bytes = bytes;
        p->write = write;
        p->text = text != NULL ? mem_strdup(text) : NULL;
        int64_t at = w->now_us + net_delay(w);
        r->stream_us = at > r->stream_us ? at : r->stream_us;
        happen(w, &p->h, r->stream_us, arrived);
    }
}

static bool can_continue(const struct node *n, const struct node *m)
{
    if (runid_cmp(n->replid, m->replid) == 0)
        return n->offset <= m->offset;
    return m->replid2[0] != '\0' && runid_cmp(n->replid, m->replid2) == 0 && n->offset < m->second_offset;
}

static bool can_serve(const struct world *w, const struct node *n, const struct node *m)
{
    return m->up && !m->stopped && !node_loading(w, m) && m != n && (m->master < 0 || m->repl == REPL_UP) &&
           net_open(w, end_of_node(n->index), end_of_node(m->index));
}

static void synchronised(struct world *w, struct happening *h)
{
    struct node *n = (struct node *)((char *)h - offsetof(struct node, sync));
    struct node *m = &w->nodes[n->master];
    if (n->stopped) {
        inbox_put(&n->inbox, h);
        return;
    }
    if (n->repl != REPL_SYNC)
        return;
    if (!can_serve(w, n, m) || m->life != n->repl_master_life) {
        repl_lost(w, n);
        return;
    }
    bool partial = can_continue(n, m);
    w->counts[partial ? COUNT_PARTIAL_SYNC : COUNT_FULL_SYNC]++;
    RECORD(w, end_name(w, end_of_node(n->index)), "%s synchronisation from %s: %lld keys, then %lld",
           partial ? "partial" : "full", end_name(w, end_of_node(m->index)), (long long)n->keys, (long long)m->keys);
    memcpy(n->data, m->data, sizeof n->data);
    n->keys = m->keys;
    n->offset = m->offset;
    n->offset_us = w->now_us;
    memcpy(n->replid, m->replid, sizeof n->replid);
    memcpy(n->replid2, m->replid2, sizeof n->replid2);
    n->second_offset = m->second_offset;
    n->repl = REPL_UP;
    n->repl_link = ++w->last_repl_link;
    n->repl_broken = false;
    n->stream_us = 0;
    n->repl_cut_us = 0;
    repl_drop_replicas(w, n);
}

static void connect_to_master(struct world *w, struct node *n)
{
    struct node *m = &w->nodes[n->master];
    if (!can_serve(w, n, m))
        return;
    n->repl = REPL_SYNC;
    n->repl_master_life = m->life;
    int64_t takes = 4 * net_delay(w);
    if (!can_continue(n, m))
        takes += MS(w->plan.sync_delay_ms) +
                 rng_skewed(&w->rng, MS(10), MS(w->plan.sync_ms > 10 ? w->plan.sync_ms : 11));
    happen(w, &n->sync, w->now_us + takes, synchronised);
}

static void watch_link(struct world *w, struct node *n)
{
    const struct node *m = &w->nodes[n->master];
    bool open = net_open(w, end_of_node(n->index), end_of_node(m->index));
    if (open && !m->host_down && (m->life != n->repl_master_life || !m->up || n->repl_broken)) {
        repl_lost(w, n);
        return;
    }
    if (open && m->up && !m->stopped && !m->host_down) {
        n->repl_cut_us = 0;
        return;
    }
    if (n->repl_cut_us == 0)
        n->repl_cut_us = w->now_us;
    if (w->now_us - n->repl_cut_us >= MS(w->plan.repl_timeout_ms))
        repl_lost(w, n);
}

void repl_cron(struct world *w, struct happening *h)
{
    struct node *n = (struct node *)h;
    happen(w, &n->cron, w->now_us + CRON_PERIOD, repl_cron);
    if (!n->up || n->stopped || node_loading(w, n) || n->master < 0)
        return;
    if (n->repl == REPL_UP)
        watch_link(w, n);
    if (n->repl == REPL_NONE)
        connect_to_master(w, n);
}

void repl_clear(struct node *n)
{
    n->replid2[0] = '\0';
    n->second_offset = -1;
}

void repl_follow(struct world *w, struct node *n, int master)
{
    if (n->master == master)
        return;
    RECORD(w, end_name(w, end_of_node(n->index)), "follows %s", end_name(w, end_of_node(master)));
    repl_lost(w, n);
    if (n->master < 0)
        repl_clear(n); /* its own history is what it offers to its master */
    n->master = master;
    n->repl = REPL_NONE;
    n->repl_down_us = w->now_us;
    n->repl_cut_us = 0;
    repl_drop_replicas(w, n);
    happen(w, &n->cron, w->now_us + MS(1), repl_cron);
}

void repl_promote(struct world *w, struct node *n)
{
    if (n->master < 0)
        return;
    RECORD(w, end_name(w, end_of_node(n->index)), "is a master now, with %lld keys, at offset %lld", (long long)n->keys,
           (long long)n->offset);
    repl_lost(w, n);
    memcpy(n->replid2, n->replid, sizeof n->replid2);
    n->second_offset = n->offset + 1;
    runid_draw(&w->rng, n->replid);
    n->master = -1;
    repl_drop_replicas(w, n);
}

/* --- FAILOVER TO --- */

void repl_failover_abort(struct world *w, struct node *n)
{
    n->failover_to = -1;
    happen_not(w, &n->failover);
    node_end_pause(w, n);
}

static void look(struct world *w, struct happening *h)
{
    struct node *n = (struct node *)((char *)h - offsetof(struct node, failover));
    struct node *to = &w->nodes[n->failover_to];
    bool linked = to->up && !to->stopped && to->master == n->index && to->repl == REPL_UP && to->repl_link != 0 &&
                  net_open(w, end_of_node(n->index), end_of_node(to->index));
    if (n->stopped) {
        happen(w, h, w->now_us + FAILOVER_LOOK, look);
        return;
    }
    if (!linked || w->now_us >= n->failover_end_us) {
        repl_failover_abort(w, n);
        return;
    }
    if (to->offset != n->offset) {
        happen(w, h, w->now_us + FAILOVER_LOOK, look);
        return;
    }
    int target = n->failover_to;
    check_coordinated(w, n->group, to, true);
    repl_promote(w, to);
    n->failover_to = -1;
    repl_follow(w, n, target);
    node_end_pause(w, n);
}

void repl_failover(struct world *w, struct node *n, int to, int64_t timeout_us)
{
    n->failover_to = to;
    n->failover_end_us = w->now_us + timeout_us;
    happen(w, &n->failover, w->now_us + 2 * net_delay(w), look);
}

void repl_end(struct world *w)
{
    while (heap_top(&w->heap) != NULL) {
        struct happening *h = (struct happening *)heap_top(&w->heap);
        heap_set(&w->heap, &h->at, HEAP_NEVER);
        if (h->fire == arrived)
            recycle(w, (struct piece *)h);
    }
    for (int i = 0; i < w->nnodes; i++)
        for (struct happening *h = w->nodes[i].inbox.first, *next; h != NULL; h = next) {
            next = h->next;
            if (h->fire == arrived)
                recycle(w, (struct piece *)h);
        }
    while (w->pieces != NULL) {
        struct piece *p = w->pieces;
        w->pieces = p->next;
        free(p);
    }
}
