#include "tests/bus/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

/* A world that does not come to its end is a fault too: some timer is set again and again. */
#define HAPPENINGS_MAX 30000000

bool world_run(struct world *w, int64_t until_us)
{
    struct happening *h;
    while (w->violation == NULL && (h = timeline_next(&w->time, until_us)) != NULL) {
        if (w->time.happenings > HAPPENINGS_MAX)
            violated(w, "end", "%u things happened and the world has not come to its end", HAPPENINGS_MAX);
        h->fire(w, h);
    }
    return w->violation == NULL;
}

void violated(struct world *w, const char *rule, const char *fmt, ...)
{
    if (w->violation != NULL)
        return;
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    w->violation = mem_strdup(buf_str(&text));
    buf_free(&text);
    snprintf(w->rule, sizeof w->rule, "%s", rule);
    RECORD(w, "RULE", "%s BROKEN: %s", rule, w->violation);
}

/* The first slots of all shards, the last ones, and some between. */
static void choose_watched(struct world *w)
{
    for (int i = 0; i < WATCHED; i++)
        w->migrations.ledger.watched[i] = i * (CL_SLOTS - 1) / (WATCHED - 1);
}

struct world *world_new(const struct plan *plan, enum recording recording)
{
    struct world *w = mem_zalloc(sizeof *w);
    w->plan = *plan;
    rng_seed(&w->rng, plan->seed ^ 0x5eed0f5eed0f5eedU);
    w->record = recording != RECORD_NOTHING ? record_new(recording == RECORD_AT_ONCE) : NULL;
    w->hash = 0xcbf29ce484222325U;
    w->nodes = mem_zalloc(MAX_NODES * sizeof *w->nodes);
    w->migrations = (struct migrations){
        .sync_us = MS(plan->sync_ms), .late_us = MS(plan->timeout_ms) * 5, .volatile_data = plan->volatile_data};
    w->migrations.ledger.writes = mem_zalloc(WRITES_MAX * sizeof *w->migrations.ledger.writes);
    w->migrations.ledger.nwatched = WATCHED;
    w->cut = mem_zalloc(MAX_NODES * sizeof *w->cut);
    w->sent = mem_zalloc(MAX_NODES * sizeof *w->sent);
    w->delivered = mem_zalloc(MAX_NODES * sizeof *w->delivered);
    choose_watched(w);
    for (int i = 0; i < MOVES_MAX; i++)
        heap_node_init(&w->moves[i].next.at);
    heap_node_init(&w->migrator.at);
    check_init(w);
    fault_init(w);
    handover_init(w);
    swap_init(w);
    lease_init(w);
    for (int i = 0; i < plan->nodes; i++)
        node_init(w, i);
    for (int i = 0; i < plan->nodes; i++)
        node_start(w, &w->nodes[i]);
    client_start(w);
    return w;
}

void world_free(struct world *w)
{
    net_end(w);
    for (int i = 0; i < w->plan.nodes; i++) {
        struct node *n = &w->nodes[i];
        if (n->core != NULL)
            cl_core_free(n->core);
        idmap_free(&n->outs);
        idmap_free(&n->ins);
        cl_bytes_release(n->disk.writing);
        buf_free(&n->disk.text);
    }
    check_free(w);
    fault_free(w);
    handover_free(w);
    swap_free(w);
    lease_free(w);
    jobs_end(w);
    record_free(w->record);
    cl_effects_free(&w->fx);
    timeline_free(&w->time);
    free(w->nodes);
    free(w->migrations.ledger.writes);
    free(w->cut);
    free(w->sent);
    free(w->delivered);
    free(w->violation);
    free(w);
}
