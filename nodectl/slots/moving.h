/* What the mover's plan and its run share. Only move*.c include it. */
#ifndef NODECTL_SLOTS_MOVING_H
#define NODECTL_SLOTS_MOVING_H

#include "nodectl/slots/keys.h"
#include "nodectl/slots/move.h"

/* Whether slots of this pair go key by key. */
bool moving_in_pieces(const struct picture *p, const struct picture_node *from, const struct picture_node *to,
                      const struct mover *how);
/* The keys of each move at its source, in the order of the moves; the caller frees. parts: NULL, or one for each move.
 * NULL: why is appended to. */
struct key_counts *moving_count(struct picture *p, const struct slot_moves *m, struct key_parts *parts,
                                struct buf *why);
/* How far each database is, for the line of the progress: "120 of 500 slots; db0 45%, db5 30%"; one database alone is
 * left out. left: of each move, the slots that are at its source yet. Pure. */
void moving_note(const struct slot_moves *m, const struct key_parts *parts, const struct slot_set *left,
                 struct buf *out);

#endif
