#include "nodectl/slots/close.h"

#include "nodectl/slots/ask.h"
#include "nodectl/slots/keys.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_RANGES 6

bool close_all_good(struct change *c, const struct picture_node *n)
{
    struct buf why = {0};
    bool ok = n->member->error == NULL;
    for (size_t i = 0; ok && i < n->member->wanted; i++)
        ok = ask_good(n->member, i, &why) != NULL;
    if (!ok)
        change_failed(c, "%s", why.n > 0 ? buf_str(&why) : n->member->error);
    buf_free(&why);
    return ok;
}

bool close_slots(struct change *c, struct picture *p, const char *at, const struct slot_set *slots)
{
    const struct picture_node *n = picture_by_id(p, at);
    fleet_forget(&p->fleet);
    for (unsigned s = slot_set_next(slots, 0); s < SN_SLOTS; s = slot_set_next(slots, s + 1))
        ask_words(n->member, "CLUSTER SETSLOT %u STABLE", s);
    fleet_run(&p->fleet);
    return close_all_good(c, n);
}

/* Those of one master, whether there are keys in them or not. */
static struct slot_moves left_at(const struct picture *p, const struct picture_node *at, const char *to)
{
    struct slot_moves found = {0};
    for (size_t i = 0; at->answers && at->master && i < at->nopen; i++) {
        const struct picture_open *o = &at->open[i];
        const struct picture_node *owner = p->owner[o->slot] >= 0 ? &p->v[p->owner[o->slot]] : NULL;
        if (!o->importing && owner != NULL && owner != at && runid_cmp(owner->id, o->other) == 0 &&
            (to == NULL || runid_cmp(to, o->other) == 0))
            slot_moves_add(&found, at->id, o->other, o->slot);
    }
    return found;
}

/* Keys that are left are not lost by it, but for `slots fix` to bring to their master. */
static bool drop_with_keys(struct change *c, struct picture *p, struct slot_move *m)
{
    struct key_counts *counts = keys_new(1);
    struct buf why = {0};
    memcpy(counts->id, m->from, sizeof(runid));
    counts->of = m->slots;
    bool ok = keys_count(p, counts, 1, &why);
    for (unsigned s = slot_set_next(&m->slots, 0); ok && s < SN_SLOTS; s = slot_set_next(&m->slots, s + 1))
        if (counts->keys[s] > 0)
            slot_set_drop(&m->slots, s);
    if (!ok)
        change_failed(c, "%s", buf_str(&why));
    buf_free(&why);
    free(counts);
    return ok;
}

static void plan_step(struct change *c, const struct picture *p, const struct slot_move *m, struct slot_moves *left)
{
    char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
    struct buf slots = {0};
    slot_set_put(&slots, &m->slots, SHOWN_RANGES);
    change_step(c, "close slots %s at %s: they have gone to %s, and no key of them is left", buf_str(&slots),
                addr_text(&picture_by_id(p, m->from)->addr, from), addr_text(&picture_by_id(p, m->to)->addr, to));
    buf_free(&slots);
    for (unsigned s = slot_set_next(&m->slots, 0); s < SN_SLOTS; s = slot_set_next(&m->slots, s + 1))
        slot_moves_add(left, m->from, m->to, s);
}

bool close_left_plan(struct change *c, struct picture *p, const char *to, struct slot_moves *left)
{
    bool ok = true;
    for (size_t i = 0; ok && i < p->n; i++) {
        struct slot_moves found = left_at(p, &p->v[i], to);
        for (size_t k = 0; ok && k < found.n; k++) {
            ok = drop_with_keys(c, p, &found.v[k]);
            if (ok && slot_set_count(&found.v[k].slots) > 0)
                plan_step(c, p, &found.v[k], left);
        }
        slot_moves_free(&found);
    }
    return ok;
}

bool close_left_do(struct change *c, struct picture *p, const struct slot_moves *left, size_t first_step)
{
    for (size_t i = 0; i < left->n; i++) {
        if (!change_now(c, first_step + i) || !close_slots(c, p, left->v[i].from, &left->v[i].slots))
            return false;
        change_did(c, first_step + i);
    }
    return true;
}
