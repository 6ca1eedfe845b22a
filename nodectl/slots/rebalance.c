#include "nodectl/slots/rebalance.h"

#include "common/base/mem.h"
#include "nodectl/interrupt.h"
#include "nodectl/slots/ask.h"
#include "nodectl/slots/jobs.h"
#include "nodectl/slots/keys.h"
#include "nodectl/slots/load.h"
#include "nodectl/slots/plan.h"

#include <stdlib.h>
#include <string.h>

struct balance_of {
    struct picture *p;
    const struct rebalance *r;
    size_t *masters; /* indices in the picture, by id, so that the same cluster gives the same plan */
    double *weight;
    size_t n;
    struct plan_question *q;
    int16_t coming[SN_SLOTS]; /* the number of the master that a slot is on its way to already; -1: it is not */
};

static double weight_of(const struct rebalance *r, const struct picture_node *n)
{
    for (size_t i = 0; i < r->nweights; i++)
        if (runid_cmp(r->weights[i].id, n->id) == 0)
            return r->weights[i].weight;
    return r->skip_empty_masters && n->nslots == 0 ? 0 : 1;
}

static void find_masters(struct balance_of *b)
{
    b->masters = mem_array(NULL, b->p->n + 1, sizeof *b->masters);
    b->weight = mem_array(NULL, b->p->n + 1, sizeof *b->weight);
    for (size_t i = 0; i < b->p->n; i++) {
        const struct picture_node *n = &b->p->v[i];
        size_t at = b->n;
        if (!n->master || !n->answers)
            continue;
        for (; at > 0 && runid_cmp(b->p->v[b->masters[at - 1]].id, n->id) > 0; at--)
            b->masters[at] = b->masters[at - 1];
        b->masters[at] = i;
        b->n++;
    }
    for (size_t i = 0; i < b->n; i++)
        b->weight[i] = weight_of(b->r, &b->p->v[b->masters[i]]);
}

static int16_t number_of(const struct balance_of *b, const char *id)
{
    for (size_t i = 0; i < b->n; i++)
        if (runid_cmp(b->p->v[b->masters[i]].id, id) == 0)
            return (int16_t)i;
    return PLAN_NOBODY;
}

/* What a crash or an interrupt has left half done is finished first: the slots count as those of whom they go to. */
static void find_coming(struct balance_of *b)
{
    fleet_forget(&b->p->fleet);
    for (size_t i = 0; i < b->n; i++)
        if (picture_migrates(&b->p->v[b->masters[i]]))
            ask_words(b->p->v[b->masters[i]].member, "CLUSTER GETSLOTMIGRATIONS");
    fleet_run(&b->p->fleet);
    for (size_t i = 0; i < b->n; i++) {
        const struct picture_node *n = &b->p->v[b->masters[i]];
        struct slot_jobs jobs = {0};
        for (size_t o = 0; o < n->nopen; o++) {
            uint16_t slot = n->open[o].slot;
            bool leaves = !n->open[o].importing && b->q->owner[slot] == (int16_t)i;
            bool comes = n->open[o].importing && b->q->owner[slot] == number_of(b, n->open[o].other);
            if (leaves || comes)
                b->coming[slot] = leaves ? number_of(b, n->open[o].other) : (int16_t)i;
        }
        if (picture_migrates(n))
            slot_jobs_read(&jobs, ask_answer(n->member, 0));
        for (size_t j = 0; j < jobs.n; j++)
            for (unsigned s = 0; s < SN_SLOTS; s++)
                if (jobs.v[j].exports && !slot_job_is_over(&jobs.v[j]) && slot_set_has(&jobs.v[j].slots, s))
                    b->coming[s] = number_of(b, jobs.v[j].target);
        slot_jobs_free(&jobs);
    }
    fleet_forget(&b->p->fleet);
}

static void own(struct balance_of *b)
{
    for (unsigned s = 0; s < SN_SLOTS; s++) {
        b->q->owner[s] = PLAN_NOBODY;
        b->q->load[s] = 1;
        b->coming[s] = PLAN_NOBODY;
        for (size_t i = 0; i < b->n; i++)
            if (b->p->owner[s] == (int16_t)b->masters[i])
                b->q->owner[s] = (int16_t)i;
    }
}

/* ---- what slots weigh ---- */

static struct slot_set slots_of(const struct balance_of *b, size_t master)
{
    struct slot_set set = {{0}};
    for (unsigned s = 0; s < SN_SLOTS; s++)
        if (b->q->owner[s] == (int16_t)master)
            slot_set_add(&set, s);
    return set;
}

static struct key_counts *count_keys(struct balance_of *b, bool by_slot, struct buf *why)
{
    struct key_counts *counts = keys_new(b->n);
    for (size_t i = 0; i < b->n; i++) {
        memcpy(counts[i].id, b->p->v[b->masters[i]].id, sizeof(runid));
        if (by_slot)
            counts[i].of = slots_of(b, i);
    }
    if (keys_count(b->p, counts, b->n, why))
        return counts;
    free(counts);
    return NULL;
}

static struct slot_loads *ask_loads(struct balance_of *b, struct buf *why)
{
    struct slot_loads *loads = loads_new(b->n);
    for (size_t i = 0; i < b->n; i++) {
        memcpy(loads[i].id, b->p->v[b->masters[i]].id, sizeof(runid));
        loads[i].of = slots_of(b, i);
    }
    if (loads_ask(b->p, loads, b->n, why))
        return loads;
    free(loads);
    return NULL;
}

/* A master with slots that does not tell this figure by slot, or NULL. */
static const struct picture_node *who_tells_not(const struct balance_of *b, const struct slot_loads *loads,
                                                enum load_figure figure)
{
    for (size_t i = 0; i < b->n; i++)
        if (!loads[i].told[figure] && b->p->v[b->masters[i]].nslots > 0)
            return &b->p->v[b->masters[i]];
    return NULL;
}

static void note(const struct balance_of *b, const struct picture_node * not, const char *well, const char *else_by)
{
    char text[ADDR_TEXT_MAX];
    if (b->r->note == NULL)
        return;
    if (not == NULL)
        buf_puts(b->r->note, well);
    else
        buf_printf(b->r->note, "%s: %s does not tell it by slot", else_by, addr_text(&not ->addr, text));
}

static bool weigh_by_keys(struct balance_of *b, struct buf *why)
{
    struct key_counts *counts = count_keys(b, true, why);
    for (unsigned s = 0; counts != NULL && s < SN_SLOTS; s++)
        b->q->load[s] = b->q->owner[s] >= 0 ? (double)counts[b->q->owner[s]].keys[s] : 0;
    free(counts);
    return counts != NULL;
}

/* What a node says of its data as a whole is dealt to its slots: by what they take as it estimates, else by their
 * keys. */
static void deal_memory(struct balance_of *b, size_t i, const struct key_counts *c, const struct slot_loads *l)
{
    double all = l->told[LOAD_MEMORY] ? (double)loads_sum(l, LOAD_MEMORY) : (double)c->all;
    for (unsigned s = 0; s < SN_SLOTS; s++) {
        double part = l->told[LOAD_MEMORY] ? (double)l->figures[LOAD_MEMORY][s] : (double)c->keys[s];
        if (b->q->owner[s] == (int16_t)i)
            b->q->load[s] = all > 0 ? (double)c->bytes * part / all : 0;
    }
}

static bool weigh_by_memory(struct balance_of *b, struct buf *why)
{
    struct slot_loads *loads = ask_loads(b, why);
    const struct picture_node *not = loads != NULL ? who_tells_not(b, loads, LOAD_MEMORY) : NULL;
    struct key_counts *counts = loads != NULL ? count_keys(b, not != NULL, why) : NULL;
    for (size_t i = 0; counts != NULL && i < b->n; i++)
        deal_memory(b, i, &counts[i], &loads[i]);
    if (counts != NULL)
        note(b, not, "by memory: each master's data, dealt to its slots by a sample of their keys",
             "by memory: a master's data, dealt to its slots by the number of their keys");
    free(counts);
    free(loads);
    return counts != NULL;
}

/* Processor time of what the slots' commands did while they were watched; where one master does not tell that, of all
 * the commands a second, which no slot is named for. */
static bool weigh_by_ops(struct balance_of *b, struct buf *why)
{
    struct slot_loads *before = ask_loads(b, why), *after = NULL;
    struct key_counts *counts = NULL;
    const struct picture_node *not = before != NULL ? who_tells_not(b, before, LOAD_CPU_US) : NULL;
    if (before != NULL && not == NULL && !interrupt_sleep(b->r->ops_ms))
        buf_puts(why, "interrupted");
    else if (before != NULL && not == NULL)
        after = ask_loads(b, why);
    else if (before != NULL)
        counts = count_keys(b, false, why);
    if (after != NULL)
        loads_since(after, before, b->n);
    for (unsigned s = 0; s < SN_SLOTS; s++) {
        int16_t i = b->q->owner[s];
        unsigned nslots = i >= 0 ? b->p->v[b->masters[i]].nslots : 0;
        b->q->load[s] = i >= 0 && after != NULL                  ? (double)after[i].figures[LOAD_CPU_US][s]
                        : i >= 0 && counts != NULL && nslots > 0 ? (double)counts[i].ops / nslots
                                                                 : 0;
    }
    bool ok = after != NULL || counts != NULL;
    if (ok)
        note(b, not, "by operations: the processor time that each slot's commands took while they were watched",
             "by operations: a master's commands a second, dealt evenly to its slots");
    free(before);
    free(after);
    free(counts);
    return ok;
}

static bool weigh(struct balance_of *b, struct buf *why)
{
    bool ops = b->r->by == REBALANCE_OPS;
    double sum = 0;
    if (ops ? !weigh_by_ops(b, why) : b->r->by == REBALANCE_KEYS ? !weigh_by_keys(b, why) : !weigh_by_memory(b, why))
        return false;
    for (unsigned s = 0; s < SN_SLOTS; s++)
        sum += b->q->load[s];
    if (sum <= 0)
        buf_puts(why, ops ? "no node had commands to do: there is nothing to go by (--over TIME watches for longer)"
                          : "no node has keys: there is nothing to go by (give --by slots)");
    return sum > 0;
}

/* ---- the plan ---- */

static bool can_be_planned(const struct balance_of *b, struct buf *why)
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < b->p->n; i++) {
        const struct picture_node *n = &b->p->v[i];
        if (n->master && !n->answers && n->nslots > 0) {
            buf_printf(why, "%s has %u slots and does not answer: see `nodectl slots check`", addr_text(&n->addr, text),
                       n->nslots);
            return false;
        }
    }
    double sum = 0;
    for (size_t i = 0; i < b->n; i++)
        sum += b->weight[i];
    if (sum <= 0)
        buf_puts(why, "no master has a weight above 0: the slots have nowhere to go");
    return sum > 0;
}

static void put_move(const struct balance_of *b, unsigned slot, int16_t to, struct slot_moves *out)
{
    if (b->p->owner[slot] >= 0 && b->p->owner[slot] != (int16_t)b->masters[to])
        slot_moves_add(out, b->p->v[b->p->owner[slot]].id, b->p->v[b->masters[to]].id, slot);
}

/* What is on its way already stays on it, and is planned with as if it had come. */
static void put_coming(struct balance_of *b, struct slot_moves *out)
{
    for (unsigned s = 0; s < SN_SLOTS; s++) {
        if (b->coming[s] < 0)
            continue;
        put_move(b, s, b->coming[s], out);
        b->q->owner[s] = b->coming[s];
    }
}

static void put_planned(const struct balance_of *b, const int16_t to[SN_SLOTS], struct slot_moves *out)
{
    for (unsigned s = 0; s < SN_SLOTS; s++)
        if (to[s] != b->q->owner[s] && b->coming[s] < 0)
            put_move(b, s, to[s], out);
}

bool rebalance_moves(struct picture *p, const struct rebalance *r, struct slot_moves *out, struct buf *why)
{
    struct plan_question *q = mem_zalloc(sizeof *q);
    struct balance_of b = {.p = p, .r = r, .q = q};
    int16_t *to = mem_array(NULL, SN_SLOTS, sizeof *to);
    *out = (struct slot_moves){0};
    find_masters(&b);
    q->n = b.n;
    q->weight = b.weight;
    own(&b);
    find_coming(&b);
    bool ok = can_be_planned(&b, why) && (r->by == REBALANCE_SLOTS || weigh(&b, why));
    if (ok)
        put_coming(&b, out);
    if (ok && plan_worst(q) > r->threshold) {
        plan_balance(q, to);
        put_planned(&b, to, out);
    }
    free(to);
    free(q);
    free(b.masters);
    free(b.weight);
    return ok;
}
