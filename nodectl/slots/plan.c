#include "nodectl/slots/plan.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Loads are sums of many numbers: what is smaller than this part of all is nothing. */
#define NOTHING 1e-9
/* A slot that weighs so many times what its owner's slots do on average goes before all others. */
#define HEAVY 8
/* So many neighbours without a load go along with what goes on both sides of them, so that there are few runs. */
#define GAP 64

struct balance {
    const struct plan_question *q;
    int16_t *to;
    double total, weights;
    double *have, *want;
    bool whole;   /* all loads are 1: nobody gets a part of a slot */
    double least; /* who is off by less is where he should be */
};

static bool has_owner(const struct plan_question *q, unsigned slot)
{
    return q->owner[slot] >= 0 && (size_t)q->owner[slot] < q->n;
}

/* Shares in whole slots: what is left after rounding down goes first to those who have most beyond theirs, so that less
 * moves, then to those who lose most by it. */
static void share_whole(struct balance *b)
{
    size_t n = b->q->n;
    double given = 0;
    for (size_t i = 0; i < n; i++)
        given += b->want[i] = floor(b->total * b->q->weight[i] / b->weights + NOTHING);
    bool *more = mem_zalloc(n * sizeof *more);
    while (given + 0.5 < b->total) {
        size_t best = n;
        double most = -1;
        for (size_t i = 0; i < n; i++) {
            double part = b->total * b->q->weight[i] / b->weights - b->want[i];
            double worth = (b->have[i] > b->want[i] ? 2 : 0) + part;
            if (b->q->weight[i] > 0 && !more[i] && worth > most) {
                most = worth;
                best = i;
            }
        }
        if (best == n)
            break;
        more[best] = true;
        b->want[best]++;
        given++;
    }
    free(more);
}

static void share(struct balance *b)
{
    const struct plan_question *q = b->q;
    b->whole = true;
    for (unsigned s = 0; s < SN_SLOTS; s++) {
        if (!has_owner(q, s))
            continue;
        b->have[q->owner[s]] += q->load[s];
        b->total += q->load[s];
        b->whole = b->whole && q->load[s] > 1 - NOTHING && q->load[s] < 1 + NOTHING;
    }
    for (size_t i = 0; i < q->n; i++)
        b->weights += q->weight[i];
    b->least = b->whole ? 0.5 : b->total / (double)(q->n + 1) / 200;
    if (b->weights <= 0) {
        memcpy(b->want, b->have, q->n * sizeof *b->want);
    } else if (b->whole) {
        share_whole(b);
    } else {
        for (size_t i = 0; i < q->n; i++)
            b->want[i] = b->total * q->weight[i] / b->weights;
    }
}

static void begin(struct balance *b, const struct plan_question *q, int16_t *to)
{
    *b = (struct balance){.q = q, .to = to};
    b->have = mem_zalloc((q->n + 1) * sizeof *b->have);
    b->want = mem_zalloc((q->n + 1) * sizeof *b->want);
    share(b);
}

static void end(struct balance *b)
{
    free(b->have);
    free(b->want);
}

static void give(struct balance *b, unsigned slot, size_t from, size_t to)
{
    b->to[slot] = (int16_t)to;
    b->have[from] -= b->q->load[slot];
    b->have[to] += b->q->load[slot];
}

static size_t furthest(const struct balance *b, bool above)
{
    size_t best = b->q->n;
    double most = b->least;
    for (size_t i = 0; i < b->q->n; i++) {
        double off = above ? b->have[i] - b->want[i] : b->want[i] - b->have[i];
        if (off > most && (above || b->q->weight[i] > 0)) {
            most = off;
            best = i;
        }
    }
    return best;
}

struct gift {
    struct balance *b;
    size_t from, to;
    double left; /* of what is to be given */
    unsigned moved;
};

/* Gives what fits into the rest, or brings it nearer to it than not. Who got a slot here keeps it: each moves once at
 * most. */
static void give_one(struct gift *g, unsigned slot)
{
    const struct plan_question *q = g->b->q;
    double load = q->load[slot];
    if (g->left <= g->b->total * NOTHING || load <= g->b->total * NOTHING || g->b->to[slot] != (int16_t)g->from ||
        q->owner[slot] != (int16_t)g->from || load / 2 > g->left)
        return;
    give(g->b, slot, g->from, g->to);
    g->left -= load;
    g->moved++;
}

static double mean_load(const struct balance *b, size_t of)
{
    double sum = 0;
    unsigned n = 0;
    for (unsigned slot = 0; slot < SN_SLOTS; slot++) {
        if (b->to[slot] != (int16_t)of || b->q->load[slot] <= b->total * NOTHING)
            continue;
        sum += b->q->load[slot];
        n++;
    }
    return n > 0 ? sum / n : 0;
}

static bool is_idle(const struct balance *b, unsigned slot, size_t of)
{
    return b->to[slot] == (int16_t)of && b->q->owner[slot] == (int16_t)of && b->q->load[slot] <= b->total * NOTHING;
}

/* Slots beside those of the receiver, upwards or downwards, and the next ones beside these. */
static void give_beside(struct gift *g, bool up)
{
    unsigned far = GAP + 1; /* how many slots without a load lie between this one and the receiver's */
    for (unsigned i = 0; i < SN_SLOTS; i++) {
        unsigned slot = up ? i : SN_SLOTS - 1 - i;
        if (is_idle(g->b, slot, g->from)) {
            far++;
            continue;
        }
        if (far <= GAP)
            give_one(g, slot);
        far = g->b->to[slot] == (int16_t)g->to ? 0 : GAP + 1;
    }
}

static void fill_gaps(struct gift *g)
{
    unsigned gap = GAP + 1;
    for (unsigned slot = 0; slot < SN_SLOTS; slot++) {
        if (is_idle(g->b, slot, g->from)) {
            gap++;
            continue;
        }
        bool receivers = g->b->to[slot] == (int16_t)g->to;
        for (unsigned k = 1; receivers && gap <= GAP && k <= gap; k++)
            give(g->b, slot - k, g->from, g->to);
        gap = receivers ? 0 : GAP + 1;
    }
}

/* First the heavy ones, so that few move; then what lies beside slots of the receiver, then from the end of the
 * giver's. */
static unsigned give_runs(struct balance *b, size_t from, size_t to, double amount)
{
    struct gift g = {.b = b, .from = from, .to = to, .left = amount};
    double heavy = HEAVY * mean_load(b, from);
    for (unsigned slot = 0; slot < SN_SLOTS; slot++)
        if (b->q->load[slot] > heavy)
            give_one(&g, slot);
    give_beside(&g, true);
    give_beside(&g, false);
    for (unsigned slot = SN_SLOTS; slot-- > 0;)
        give_one(&g, slot);
    if (g.moved > 0)
        fill_gaps(&g);
    return g.moved;
}

/* A master without a share keeps nothing, slots of no load neither. */
static void empty_rest(struct balance *b, size_t from)
{
    for (unsigned slot = 0; slot < SN_SLOTS; slot++) {
        if (b->to[slot] != (int16_t)from)
            continue;
        size_t to = furthest(b, false);
        for (size_t i = 0; to == b->q->n && i < b->q->n; i++)
            if (b->q->weight[i] > 0)
                to = i;
        if (to == b->q->n)
            return;
        give(b, slot, from, to);
    }
}

void plan_balance(const struct plan_question *q, int16_t to[SN_SLOTS])
{
    struct balance b;
    memcpy(to, q->owner, SN_SLOTS * sizeof *to);
    begin(&b, q, to);
    /* Each round fills the receiver, empties the giver, or finds that no slot is small enough, which ends it. */
    for (size_t round = 0; round < 2 * q->n + 2; round++) {
        size_t from = furthest(&b, true), into = furthest(&b, false);
        if (from == q->n || into == q->n)
            break;
        double above = b.have[from] - b.want[from], below = b.want[into] - b.have[into];
        if (give_runs(&b, from, into, above < below ? above : below) == 0)
            break;
    }
    for (size_t i = 0; i < q->n && b.weights > 0; i++)
        if (q->weight[i] <= 0)
            empty_rest(&b, i);
    end(&b);
}

double plan_worst(const struct plan_question *q)
{
    struct balance b;
    double worst = 0;
    bool *owns = mem_zalloc(q->n + 1);
    for (unsigned s = 0; s < SN_SLOTS; s++)
        if (has_owner(q, s))
            owns[q->owner[s]] = true;
    begin(&b, q, NULL);
    for (size_t i = 0; i < q->n && b.weights > 0; i++) {
        double off = 0;
        if (b.want[i] > 0)
            off = 100 * fabs(b.have[i] - b.want[i]) / b.want[i];
        else if (q->weight[i] <= 0 && owns[i])
            off = 100;
        worst = off > worst ? off : worst;
    }
    end(&b);
    free(owns);
    return worst;
}

bool plan_pick(const struct slot_set *of, unsigned count, struct slot_set *out)
{
    struct slot_set rest = *of;
    *out = (struct slot_set){0};
    if (slot_set_count(of) < count)
        return false;
    while (count > 0) {
        unsigned best = 0, best_size = 0;
        bool fits = false;
        for (unsigned first = 0, last; slot_set_range(&rest, &first, &last); first = last + 1) {
            unsigned size = last - first + 1;
            bool this_fits = size <= count;
            bool better = best_size == 0 || (this_fits != fits ? this_fits : size < best_size);
            if (better) {
                best = first;
                best_size = size;
                fits = this_fits;
            }
        }
        unsigned take = fits ? best_size : count;
        for (unsigned slot = best + best_size - take; slot < best + best_size; slot++) {
            slot_set_add(out, slot);
            slot_set_drop(&rest, slot);
        }
        count -= take;
    }
    return true;
}

bool plan_shares(const unsigned *has, size_t n, unsigned count, unsigned *gives)
{
    uint64_t all = 0;
    unsigned left = count;
    for (size_t i = 0; i < n; i++)
        all += has[i];
    if (all < count)
        return false;
    for (size_t i = 0; i < n; i++) {
        gives[i] = all > 0 ? (unsigned)((uint64_t)count * has[i] / all) : 0;
        left -= gives[i];
    }
    while (left > 0) { /* the rest goes to those that are furthest below their share */
        size_t best = 0;
        uint64_t most = 0;
        for (size_t i = 0; i < n; i++) {
            uint64_t share = (uint64_t)count * has[i], got = (uint64_t)gives[i] * all;
            if (gives[i] < has[i] && share > got && share - got > most) {
                most = share - got;
                best = i;
            }
        }
        gives[best]++;
        left--;
    }
    return true;
}
