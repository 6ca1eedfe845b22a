/* Whole databases: which one a number means to a session, and the swaps that a cluster makes. */
#ifndef CMD_DATABASE_H
#define CMD_DATABASE_H

#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"

/* The database that argument i names. In a session that works in a shadow database all numbers count from the shadows.
 * NULL: the error was answered. */
struct nd_db *nd_database_arg(struct nd_call *c, size_t i);

/* Databases a and b are exchanged, with their shadows, and `epoch` is that of the mapping from now on: SWAPDB a b EPOCH
 * n goes into the stream and the log. Only the epoch that follows the dataset's is taken; up to that one all was done
 * before, and nothing happens. false: the epoch is beyond the next, or there is no such database. In cluster mode, by a
 * master. Reference: SAFETY, section 6 (W4). */
bool nd_swapdb_epoch(struct nd_engine *e, int a, int b, uint64_t epoch);
/* The dataset is empty, and belongs to no cluster: its mapping has epoch 0 again, here, in the log and on our replicas
 * (as SWAPDB 0 0 EPOCH 0). The caller flushes the effects. */
void nd_swapdb_forget(struct nd_engine *e);

#endif
