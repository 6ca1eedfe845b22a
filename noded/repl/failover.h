/* FAILOVER: a master gives its part to one of its replicas without losing a write. Writes wait; when the replica has
 * the whole stream this node becomes its replica, and tells it by PSYNC ... FAILOVER to be the master. */
#ifndef REPL_FAILOVER_H
#define REPL_FAILOVER_H

#include "noded/repl/serve.h"

/* The replica's side tells what came of nd_follow_set(..., failover true): the target has taken over, or it refused or
 * could not be had, and then this node is a master again when the call returns. Nothing happens when no failover is
 * under way. */
void nd_failover_ended(struct nd_repl *r, bool ok, const char *why);
/* As INFO has it: "no-failover", "waiting-for-sync", "failover-in-progress". */
const char *nd_failover_state_name(const struct nd_repl *r);

/* ---- inside noded/repl ---- */
void nd_failover_command(struct nd_call *c);
void nd_failover_look(struct nd_serving *v); /* has it caught up, is the time over */

#endif
