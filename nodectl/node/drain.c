#include "nodectl/node/drain.h"

#include "common/base/mem.h"
#include "nodectl/slots/rebalance.h"

#include <stdlib.h>
#include <string.h>

static bool is_one(const runid *leaving, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (runid_cmp(leaving[i], id) == 0)
            return true;
    return false;
}

static void take_moves(const struct slot_moves *all, const runid *leaving, size_t n, struct slot_moves *moves)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct slot_move *m = &all->v[i];
        bool wanted = is_one(leaving, n, m->from);
        for (unsigned s = slot_set_next(&m->slots, 0); wanted && s < SN_SLOTS; s = slot_set_next(&m->slots, s + 1))
            slot_moves_add(moves, m->from, m->to, s);
    }
}

bool drain_plan(struct node_work *w, const struct mover *how, const runid *leaving, size_t n, struct slot_moves *moves,
                size_t *first_step)
{
    struct slot_moves all = {.n = 0};
    struct rebalance_weight *none = mem_zalloc(n * sizeof *none);
    struct rebalance wanted = {.by = REBALANCE_SLOTS, .weights = none, .nweights = n, .skip_empty_masters = true};
    for (size_t i = 0; i < n; i++)
        memcpy(none[i].id, leaving[i], sizeof none[i].id);
    bool ok = node_all_agree(&w->picture, &w->why) && rebalance_moves(&w->picture, &wanted, &all, &w->why);
    if (ok)
        take_moves(&all, leaving, n, moves);
    slot_moves_free(&all);
    free(none);
    return ok && mover_plan(&w->change, &w->picture, moves, how, first_step);
}
