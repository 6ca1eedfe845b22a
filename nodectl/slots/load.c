#include "nodectl/slots/load.h"

#include "common/base/mem.h"
#include "nodectl/reply_json.h"
#include "nodectl/slots/ask.h"

#define PIECE 128 /* slots in one question: of so few a node looks at each, in sixteen databases */

static const char *const names[LOAD_FIGURES] = {[LOAD_MEMORY] = "memory-bytes",
                                                [LOAD_CPU_US] = "cpu-usec",
                                                [LOAD_IN] = "network-bytes-in",
                                                [LOAD_OUT] = "network-bytes-out"};

struct slot_loads *loads_new(size_t n)
{
    struct slot_loads *loads = mem_zalloc((n + 1) * sizeof *loads);
    return loads;
}

/* [slot, [name, figure, ...]] */
static void read_slot(struct slot_loads *l, const redisReply *row)
{
    if (row->type != REDIS_REPLY_ARRAY || row->elements != 2 || row->element[0]->type != REDIS_REPLY_INTEGER ||
        row->element[1]->type != REDIS_REPLY_ARRAY)
        return;
    long long slot = row->element[0]->integer;
    const redisReply *map = row->element[1];
    if (slot < 0 || slot >= SN_SLOTS || !slot_set_has(&l->of, (unsigned)slot))
        return;
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        const redisReply *figure = map->element[i + 1];
        for (size_t k = 0; k < LOAD_FIGURES; k++) {
            if (!slice_is(reply_text(map->element[i]), names[k]) || figure->type != REDIS_REPLY_INTEGER)
                continue;
            l->told[k] = true;
            l->figures[k][slot] = figure->integer > 0 ? figure->integer : 0;
        }
    }
}

/* The slots of it in this piece, from the first to the last; false: there is none. */
static bool piece_of(const struct slot_loads *l, unsigned piece, unsigned *first, unsigned *last)
{
    unsigned end = piece + PIECE;
    *first = slot_set_next(&l->of, piece);
    for (unsigned s = *first; s < end; s = slot_set_next(&l->of, s + 1))
        *last = s;
    return *first < end;
}

static bool ask_piece(struct picture *p, struct slot_loads *loads, size_t n, unsigned piece, struct buf *why)
{
    unsigned first, last;
    bool ok = true;
    fleet_forget(&p->fleet);
    for (size_t i = 0; i < n; i++)
        if (piece_of(&loads[i], piece, &first, &last))
            ask_words(picture_member(p, loads[i].id), "CLUSTER SLOT-STATS SLOTSRANGE %u %u", first, last);
    fleet_run(&p->fleet);
    for (size_t i = 0; ok && i < n; i++) {
        const struct fleet_member *m = picture_member(p, loads[i].id);
        if (!piece_of(&loads[i], piece, &first, &last))
            continue;
        const redisReply *r = ask_answer(m, 0);
        if (r == NULL) {
            ok = ask_good(m, 0, why) != NULL;
        } else if (r->type != REDIS_REPLY_ARRAY) {
            loads[i].of = (struct slot_set){{0}}; /* it does not know the command: no need to ask it again */
        } else {
            for (size_t k = 0; k < r->elements; k++)
                read_slot(&loads[i], r->element[k]);
        }
    }
    return ok;
}

bool loads_ask(struct picture *p, struct slot_loads *loads, size_t n, struct buf *why)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        ok = picture_member(p, loads[i].id) != NULL;
        if (!ok)
            buf_printf(why, "node %s is gone", loads[i].id);
    }
    for (unsigned piece = 0; ok && piece < SN_SLOTS; piece += PIECE)
        ok = ask_piece(p, loads, n, piece, why);
    fleet_forget(&p->fleet);
    return ok;
}

int64_t loads_sum(const struct slot_loads *l, enum load_figure figure)
{
    int64_t sum = 0;
    for (unsigned s = 0; s < SN_SLOTS; s++)
        sum += l->figures[figure][s];
    return sum;
}

void loads_since(struct slot_loads *later, const struct slot_loads *earlier, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = LOAD_CPU_US; k < LOAD_FIGURES; k++)
            for (unsigned s = 0; s < SN_SLOTS; s++) { /* less than before: the count has begun anew */
                int64_t before = earlier[i].figures[k][s], *now = &later[i].figures[k][s];
                *now -= *now >= before ? before : 0;
            }
}
