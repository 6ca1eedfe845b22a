/* The picture of the slots: a cell for some neighbours, in the order of their numbers. Pure. */
#ifndef NODECTL_SLOTS_MAP_H
#define NODECTL_SLOTS_MAP_H

#include "nodectl/slots/set.h"

#define MAP_NOBODY (-1)
#define MAP_ROWS 16
#define MAP_ROW_SLOTS (SN_SLOTS / MAP_ROWS)

struct map {
    int16_t owner[SN_SLOTS]; /* a number from 0 on, or MAP_NOBODY */
    struct slot_set open;
};

/* The letter of a master: A-Z, a-z, then 0-9, then '#'. */
char map_letter(int owner);
/* How many cells are in a row, for a terminal of so many columns: 64, 32 or 16. */
unsigned map_cells(int columns);
/* Row `row` of the picture: `cells` letters. */
void map_row(const struct map *m, unsigned cells, unsigned row, struct buf *out);
/* The same with a background colour for each owner, for a terminal. */
void map_row_painted(const struct map *m, unsigned cells, unsigned row, struct buf *out);

#endif
