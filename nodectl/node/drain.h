/* Masters that leave give all of their slots to those that stay. */
#ifndef NODECTL_NODE_DRAIN_H
#define NODECTL_NODE_DRAIN_H

#include "nodectl/node/work.h"
#include "nodectl/slots/move.h"

/* Deals the slots of these masters to the others that have some, so that these are as even as that makes them; theirs
 * stay where they are. Fills moves and adds their steps, for mover_run(). false: it can't be done; the reason is
 * appended to w->why, or the change has failed for it. */
bool drain_plan(struct node_work *w, const struct mover *how, const runid *leaving, size_t n, struct slot_moves *moves,
                size_t *first_step);

#endif
