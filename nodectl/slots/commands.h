/* The commands of nodectl slots, for the rows in cmd_slots.c, and what they share. */
#ifndef NODECTL_SLOTS_COMMANDS_H
#define NODECTL_SLOTS_COMMANDS_H

#include "nodectl/change.h"
#include "nodectl/slots/move.h"

int slots_run_show(const struct command_call *call);
int slots_run_move(const struct command_call *call);
int slots_run_rebalance(const struct command_call *call);
int slots_run_check(const struct command_call *call);
int slots_run_fix(const struct command_call *call);

/* Plans, asks, closes slots that an earlier move has left open towards `to` (NULL: anybody), moves, and ends the
 * change. Returns the exit code. */
int slots_carry_out(struct change *c, struct picture *p, const struct slot_moves *m, const struct mover *how,
                    const char *to, const char *title);
/* { "moves": [{ from, to, slots, count }] } */
json_t *slots_moves_document(const struct slot_moves *m);

#endif
