#include "tests/fleet/world.h"

#include "tests/fleet/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* A world that does not come to its end is a fault too: some timer is set again and again. */
#define HAPPENINGS_MAX 20000000

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
    if (w->lines != NULL)
        picture(w);
    RECORD(w, "RULE", "%s BROKEN: %s", rule, w->violation);
}

void record_line(struct world *w, const char *who, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    lines_put(w->lines, w->time.now_us, who, fmt, ap);
    va_end(ap);
}

const char *end_name(int end)
{
    static char names[8][16];
    static unsigned next;
    char *name = names[next++ % 8];
    if (end_is_super(end))
        snprintf(name, sizeof names[0], "s%d", end + 1);
    else
        snprintf(name, sizeof names[0], "n%d", end - SUPERS_MAX + 1);
    return name;
}

void mix(struct world *w, uint64_t v)
{
    w->hash = (w->hash ^ v) * 0x100000001b3U;
}

int64_t lateness(struct world *w)
{
    return (int64_t)rng_below(&w->rng, (uint64_t)w->plan.lateness_us);
}

static void init_net(struct world *w)
{
    w->net.calls = &net_calls;
    w->net.world = w;
    w->net.time = &w->time;
    w->net.rng = &w->rng;
    w->net.ends = SUPERS_MAX + w->nnodes;
    w->net.delay_us = w->plan.delay_us;
}

struct world *world_new(const struct plan *plan, enum recording recording)
{
    struct world *w = mem_zalloc(sizeof *w);
    w->plan = *plan;
    rng_seed(&w->rng, plan->seed ^ 0xf1ee7f1ee7f1ee7U);
    w->lines = recording != RECORD_NOTHING ? lines_new(recording == RECORD_AT_ONCE) : NULL;
    w->hash = 0xcbf29ce484222325U;
    w->nnodes = plan->shards * (1 + plan->replicas);
    init_net(w);
    heap_node_init(&w->operator.at);
    heap_node_init(&w->joint.turn.at);
    check_init(w);
    fault_init(w);
    swap_init(w);
    moving_init(w);
    w->version = 1;
    for (int i = 0; i < plan->supers; i++)
        w->versions[1].members[w->versions[1].n++] = i;
    for (int i = 0; i < plan->shards; i++)
        w->shards[i].slot = i * CL_SLOTS / plan->shards + 7;
    for (int i = 0; i < w->nnodes; i++)
        node_init(w, i);
    for (int i = 0; i < SUPERS_MAX; i++)
        super_init(w, i);
    for (int i = 0; i < w->nnodes; i++)
        node_start(w, &w->nodes[i]);
    return w;
}

static void free_super(struct super *s)
{
    watcher_free(s);
    for (struct super_wait *x = s->waits, *next; x != NULL; x = next) {
        next = x->next;
        free(x);
    }
}

void world_free(struct world *w)
{
    for (int i = 0; i < w->nnodes; i++) {
        struct node *n = &w->nodes[i];
        ask_forget(n);
        if (n->core != NULL)
            cl_core_free(n->core);
        idmap_free(&n->outs);
        idmap_free(&n->ins);
        idmap_free(&n->asked);
        cl_bytes_release(n->disk.writing);
        buf_free(&n->disk.text);
    }
    for (int i = 0; i < SUPERS_MAX; i++)
        free_super(&w->supers[i]);
    net_free(&w->net);
    check_free(w);
    fault_free(w);
    swap_free(w);
    moving_free(w);
    lines_free(w->lines);
    cl_effects_free(&w->fx);
    sn_effects_free(&w->sn_fx);
    check_votes_free(w);
    timeline_free(&w->time);
    free(w->violation);
    free(w);
}
