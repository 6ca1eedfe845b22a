/* What happens to whole databases, for others than their commands. */
#ifndef CMD_DATABASE_H
#define CMD_DATABASE_H

#include "noded/cmd/engine.h"

/* The swap that the whole cluster makes: databases a and b exchange what they hold, the mapping gets this epoch, and
 * stream and log are told. Nothing happens when it has that epoch, or a later one, already. false: the epoch is not the
 * next one. */
bool nd_swapdb_epoch(struct nd_engine *e, int a, int b, uint64_t epoch);

#endif
