/* Before anything moves: what it would be, and whether it can be done at all. */
#include "nodectl/slots/move.h"

#include "common/base/text.h"
#include "nodectl/slots/keys.h"
#include "nodectl/slots/moving.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_RANGES 4

int mover_options(const struct command_call *call, struct mover *how)
{
    const char *rate = command_value(call, "--rate");
    int64_t slots;
    uint64_t bytes;
    *how = (struct mover){.key_by_key = command_value(call, "--key-by-key") != NULL,
                          .owner_wins = command_value(call, "--owner-wins") != NULL};
    if (rate == NULL)
        return EXIT_OK;
    if (text_range(slice_of(rate), 1, SN_SLOTS * 1000, &slots))
        how->rate_slots = (unsigned)slots;
    else if (text_size(slice_of(rate), &bytes) && bytes > 0 && bytes < INT64_MAX)
        how->rate_bytes = (int64_t)bytes;
    else
        return command_fail(call, EXIT_USAGE, "--rate is '%s', but must be slots a second, as 100, or bytes, as 20mb",
                            rate);
    return EXIT_OK;
}

/* All that answer of the shard have atomic migrations of one kind. */
static bool migrates(const struct picture *p, const struct picture_node *master, bool noded)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        if ((n == master || runid_cmp(n->master_id, master->id) == 0) && n->answers &&
            (!picture_migrates(n) || n->noded != noded))
            return false;
    }
    return true;
}

bool moving_in_pieces(const struct picture *p, const struct picture_node *from, const struct picture_node *to,
                      const struct mover *how)
{
    return how->key_by_key || !migrates(p, from, from->noded) || !migrates(p, to, from->noded);
}

struct key_counts *moving_count(struct picture *p, const struct slot_moves *m, struct key_parts *parts, struct buf *why)
{
    struct key_counts *counts = keys_new(m->n);
    size_t n = 0;
    bool ok = true;
    /* One node may be asked for several moves; each has its own row. */
    for (size_t i = 0; i < m->n && ok; i++, n++) {
        memcpy(counts[i].id, m->v[i].from, sizeof(runid));
        counts[i].of = m->v[i].slots;
        counts[i].parts = parts != NULL ? &parts[i] : NULL;
        ok = keys_count(p, &counts[i], 1, why);
    }
    if (ok)
        return counts;
    free(counts);
    return NULL;
}

/* Keys in databases that the target does not have would be lost, or stay behind. */
static bool keeps_all(struct change *c, const struct picture_node *to, const struct slot_move *m,
                      const struct key_counts *counts)
{
    char text[ADDR_TEXT_MAX];
    for (unsigned s = slot_set_next(&m->slots, 0); s < SN_SLOTS; s = slot_set_next(&m->slots, s + 1)) {
        if (counts->highest[s] < (to->databases > 1 ? to->databases : 1))
            continue;
        change_failed(c,
                      "slot %u has keys in database %d, and %s knows %s: they would be lost. Move the slot to another "
                      "node, or empty that database first",
                      s, counts->highest[s], addr_text(&to->addr, text),
                      to->databases > 1 ? "fewer databases" : "database 0 only");
        return false;
    }
    return true;
}

static bool end_is_good(struct change *c, struct picture *p, const char *id, struct picture_node **n)
{
    char text[ADDR_TEXT_MAX];
    *n = picture_by_id(p, id);
    if (*n == NULL)
        change_failed(c, "node %s is not in the cluster", id);
    else if (!(*n)->answers)
        change_failed(c, "%s does not answer: %s", addr_text(&(*n)->addr, text),
                      (*n)->member != NULL && (*n)->member->error != NULL ? (*n)->member->error : "no address");
    else if (!(*n)->master)
        change_failed(c, "%s is a replica: slots move from master to master", addr_text(&(*n)->addr, text));
    else
        return true;
    return false;
}

static void add_step(struct change *c, const struct picture_node *from, const struct picture_node *to,
                     const struct slot_move *m, const struct key_counts *counts, bool pieces)
{
    struct buf ranges = {0};
    char text[2][ADDR_TEXT_MAX];
    int64_t keys = 0;
    for (unsigned s = slot_set_next(&m->slots, 0); s < SN_SLOTS; s = slot_set_next(&m->slots, s + 1))
        keys += counts->keys[s];
    slot_set_put(&ranges, &m->slots, SHOWN_RANGES);
    unsigned n = slot_set_count(&m->slots);
    change_step(c, "move %u slot%s (%s) with %lld key%s from %s to %s, %s", n, n == 1 ? "" : "s", buf_str(&ranges),
                (long long)keys, keys == 1 ? "" : "s", addr_text(&from->addr, text[0]), addr_text(&to->addr, text[1]),
                pieces ? "key by key" : "in one piece");
    buf_free(&ranges);
}

bool mover_plan(struct change *c, struct picture *p, const struct slot_moves *m, const struct mover *how,
                size_t *first_step)
{
    struct buf why = {0};
    struct picture_node *from, *to;
    bool ok = true;
    *first_step = json_array_size(c->steps);
    for (size_t i = 0; ok && i < m->n; i++)
        ok = end_is_good(c, p, m->v[i].from, &from) && end_is_good(c, p, m->v[i].to, &to);
    if (!ok)
        return false;
    struct key_counts *counts = moving_count(p, m, NULL, &why);
    if (counts == NULL) {
        change_failed(c, "%s", buf_str(&why));
        buf_free(&why);
        return false;
    }
    for (size_t i = 0; ok && i < m->n; i++) {
        from = picture_by_id(p, m->v[i].from);
        to = picture_by_id(p, m->v[i].to);
        ok = keeps_all(c, to, &m->v[i], &counts[i]);
        if (ok)
            add_step(c, from, to, &m->v[i], &counts[i], moving_in_pieces(p, from, to, how));
    }
    free(counts);
    return ok;
}
