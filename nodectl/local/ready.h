/* Whether the nodes of this host have read their data and have their masters', by their own word: what supervisors say
 * of one that was started again just now is older than that. */
#ifndef NODECTL_LOCAL_READY_H
#define NODECTL_LOCAL_READY_H

#include "nodectl/asking.h"
#include "nodectl/local/layout.h"

/* Asks them until all have, limit_ms are over, or Ctrl-C is pressed. false: who has not, and why, is appended to why, a
 * line each. */
bool ready_wait(const struct layout *l, const struct asking *a, int limit_ms, struct buf *why);

#endif
