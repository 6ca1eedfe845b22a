/* How far a move is, slot by slot and database by database. */
#include "nodectl/slots/moving.h"

#define SHOWN_DATABASES 4

void moving_note(const struct slot_moves *m, const struct key_parts *parts, const struct slot_set *left,
                 struct buf *out)
{
    int64_t all[KEYS_DATABASES] = {0}, gone[KEYS_DATABASES] = {0};
    unsigned slots = 0, slots_left = 0, databases = 0, shown = 0;
    for (size_t i = 0; i < m->n; i++) {
        slots += slot_set_count(&m->v[i].slots);
        slots_left += slot_set_count(&left[i]);
        for (size_t k = 0; k < parts[i].n; k++) {
            const struct key_part *part = &parts[i].v[k];
            all[part->database] += part->keys;
            gone[part->database] += slot_set_has(&left[i], part->slot) ? 0 : part->keys;
        }
    }
    for (int db = 0; db < KEYS_DATABASES; db++)
        databases += all[db] > 0;
    buf_printf(out, "%u of %u slots", slots - slots_left, slots);
    for (int db = 0; databases > 1 && shown < SHOWN_DATABASES && db < KEYS_DATABASES; db++) {
        if (all[db] == 0)
            continue;
        buf_printf(out, "%s db%d %d%%", shown == 0 ? ";" : ",", db, (int)(100 * gone[db] / all[db]));
        shown++;
    }
    if (databases > 1 && databases > shown)
        buf_printf(out, ", %u more", databases - shown);
}
