/* The end of a drill: what of the acknowledged writes is there, and nothing of ours stays. */
#ifndef NODECTL_DRILL_SETTLE_H
#define NODECTL_DRILL_SETTLE_H

#include "nodectl/drill/run.h"

/* Until every canary has written once more, or five seconds have passed. */
bool wait_last_writes(struct canaries *c);
/* After canaries_stop(): reads every key at the master of its shard and deletes it. */
void drill_settle(struct drill_run *r);

#endif
