/* A rolling restart that has begun and is not finished, recorded in the folder of a fleet that nodectl made: the same
 * command, given again, goes on with the rest, also where the first one was killed. */
#ifndef NODECTL_ROLLING_UNFINISHED_H
#define NODECTL_ROLLING_UNFINISHED_H

#include "common/base/bytes.h"

#define UNFINISHED_FILE "restart.json" /* in the fleet's folder */

/* When it began, in seconds of the clock; 0: there is none. */
int64_t unfinished_since(const char *dir);
/* false: the reason is appended to why. */
bool unfinished_begin(const char *dir, int64_t since_s, struct buf *why);
void unfinished_end(const char *dir);

#endif
