/* What SINTERSTORE, ZUNIONSTORE, ZRANGESTORE and the like do with their result. */
#ifndef CMD_STORED_H
#define CMD_STORED_H

#include "noded/cmd/call.h"

/* The value, which is taken over, becomes what the key holds, whatever it held, without an expiry; an empty one deletes
 * the key. Answers how many elements it has. `event` of class `class` says that it was stored. */
void nd_store_result(struct nd_call *c, struct slice key, struct nd_value v, int class, const char *event);

#endif
