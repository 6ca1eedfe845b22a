#include "nodectl/slots/map.h"

#include <string.h>

char map_letter(int owner)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    if (owner < 0)
        return '.';
    return (size_t)owner < sizeof letters - 1 ? letters[owner] : '#';
}

unsigned map_cells(int columns)
{
    return columns >= 64 + 16 ? 64 : columns >= 32 + 16 ? 32 : 16;
}

/* Who has most of the cell's slots; of equals who comes first. */
static int owner_of_cell(const struct map *m, unsigned first, unsigned n)
{
    int best = MAP_NOBODY;
    unsigned most = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned same = 0;
        for (unsigned k = i; k < n; k++)
            same += m->owner[first + k] == m->owner[first + i];
        if (same > most) {
            most = same;
            best = m->owner[first + i];
        }
    }
    return best;
}

static bool is_open(const struct map *m, unsigned first, unsigned n)
{
    return slot_set_next(&m->open, first) < first + n;
}

static void put_row(const struct map *m, unsigned cells, unsigned row, bool painted, struct buf *out)
{
    /* Colours that are told apart on dark and bright terminals, with black letters on them. */
    static const int colours[] = {74, 114, 179, 176, 110, 216, 150, 139, 80, 186, 174, 146};
    unsigned n = MAP_ROW_SLOTS / cells;
    for (unsigned i = 0; i < cells; i++) {
        unsigned first = row * MAP_ROW_SLOTS + i * n;
        int owner = owner_of_cell(m, first, n);
        char letter = is_open(m, first, n) ? '*' : map_letter(owner);
        if (painted && owner >= 0)
            buf_printf(out, "\033[30;48;5;%dm%c\033[0m", colours[(size_t)owner % (sizeof colours / sizeof *colours)],
                       letter);
        else
            buf_putc(out, letter);
    }
}

void map_row(const struct map *m, unsigned cells, unsigned row, struct buf *out)
{
    put_row(m, cells, row, false, out);
}

void map_row_painted(const struct map *m, unsigned cells, unsigned row, struct buf *out)
{
    put_row(m, cells, row, true, out);
}
