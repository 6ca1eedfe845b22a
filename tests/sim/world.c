#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* A world that does not come to its end is a fault too: some timer is set again and again. */
#define HAPPENINGS_MAX 5000000

void happen(struct world *w, struct happening *h, int64_t at_us, void (*fire)(struct world *, struct happening *))
{
    h->fire = fire;
    heap_set(&w->heap, &h->at, at_us < w->now_us ? w->now_us : at_us);
}

void happen_not(struct world *w, struct happening *h)
{
    heap_set(&w->heap, &h->at, HEAP_NEVER);
}

bool world_run(struct world *w, int64_t until_us)
{
    while (w->violation == NULL) {
        struct heap_node *top = heap_top(&w->heap);
        if (top == NULL || top->at > until_us)
            break;
        struct happening *h = (struct happening *)top;
        w->now_us = top->at;
        heap_set(&w->heap, top, HEAP_NEVER);
        if (++w->happenings > HAPPENINGS_MAX)
            violated(w, "end", "%u things happened and the world has not come to its end", HAPPENINGS_MAX);
        h->fire(w, h);
    }
    if (w->violation != NULL)
        return false;
    w->now_us = until_us;
    return true;
}

void inbox_put(struct inbox *b, struct happening *h)
{
    if (b->first == NULL)
        b->last = &b->first;
    h->next = NULL;
    *b->last = h;
    b->last = &h->next;
}

void inbox_deliver(struct world *w, struct inbox *b)
{
    struct happening *h = b->first;
    *b = (struct inbox){NULL, NULL};
    while (h != NULL) {
        struct happening *next = h->next;
        h->fire(w, h);
        h = next;
    }
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

static void settings_of(struct group *g, const struct plan_group *p)
{
    sn_settings_init(&g->set);
    g->set.quorum = p->quorum;
    g->set.down_after_ms = p->down_after_ms;
    g->set.failover_timeout_ms = p->failover_timeout_ms;
    g->set.parallel_syncs = p->parallel_syncs;
    g->set.reborn_empty = p->reborn_follow ? SN_REBORN_FOLLOW : SN_REBORN_FAILOVER;
}

static void set_up_group(struct world *w, int i)
{
    struct group *g = &w->groups[i];
    const struct plan_group *p = &w->plan.group[i];
    snprintf(g->name, sizeof g->name, "g%d", i + 1);
    settings_of(g, p);
    g->first = w->nnodes;
    g->count = p->replicas + 1;
    g->last_kill_us = -SECONDS(1000);
    for (int k = 0; k < g->count; k++) {
        struct node *n = &w->nodes[w->nnodes];
        n->group = i;
        n->configured_master = k == 0 ? -1 : g->first;
        node_init(w, w->nnodes++);
    }
    client_start(w, i);
}

struct world *world_new(const struct plan *plan, enum recording recording)
{
    struct world *w = mem_zalloc(sizeof *w);
    w->plan = *plan;
    rng_seed(&w->rng, plan->seed ^ 0x5eed0f5eed0f5eedU);
    w->record = recording != RECORD_NOTHING ? record_new(recording == RECORD_AT_ONCE) : NULL;
    w->calm = true;
    w->hash = 0xcbf29ce484222325U;
    check_init(w);
    fault_init(w);
    for (int i = 0; i < plan->groups; i++)
        set_up_group(w, i);
    for (int i = 0; i < plan->supers; i++)
        super_init(w, i);
    for (int i = 0; i < plan->supers; i++)
        super_start(w, &w->supers[i]);
    return w;
}

static void free_links(struct world *w)
{
    for (size_t i = 0; i < w->nlinks; i++)
        free(w->links[i]);
    free(w->links);
}

void world_free(struct world *w)
{
    repl_end(w); /* empties the heap */
    net_end(w);
    for (int i = 0; i < w->plan.supers; i++) {
        struct super *s = &w->supers[i];
        super_forget_questions(s);
        if (s->core != NULL)
            sn_core_free(s->core);
        disk_free(&s->disk);
        replays_forget(s);
        free(s->links);
    }
    free_links(w);
    for (int i = 0; i < w->nnodes; i++)
        free(w->nodes[i].subs);
    for (int i = 0; i < w->plan.groups; i++)
        sn_settings_free(&w->groups[i].set);
    check_free(w);
    fault_free(w);
    record_free(w->record);
    sn_effects_free(&w->fx);
    heap_free(&w->heap);
    free(w->violation);
    free(w);
}
