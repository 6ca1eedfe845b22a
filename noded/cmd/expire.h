/* The expiry cycle: keys whose time is over go, although nobody asks for them. */
#ifndef CMD_EXPIRE_H
#define CMD_EXPIRE_H

#include "noded/cmd/engine.h"

struct nd_expiry *nd_expiry_new(void);
void nd_expiry_free(struct nd_expiry *x);

/* Looks at some of the keys that have an expiry; at most about a millisecond. */
void nd_expiry_cycle(struct nd_engine *e);
/* Mono us; HEAP_NEVER: no key can expire before somebody changes something. */
int64_t nd_expiry_deadline(const struct nd_engine *e);
/* The dataset was changed behind the commands' back (loading, a new role). */
void nd_expiry_wake(struct nd_engine *e);

#endif
