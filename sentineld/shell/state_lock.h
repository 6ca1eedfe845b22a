/* One supervisor per state directory: a second one would give the votes of the first one twice. */
#ifndef SHELL_STATE_LOCK_H
#define SHELL_STATE_LOCK_H

#include "common/base/bytes.h"

/* Locks dir/lock and writes our process id into it. Returns the descriptor that holds the lock until it is closed, or
 * -1 with the reason appended to error. */
int state_lock(const char *dir, struct buf *error);

#endif
