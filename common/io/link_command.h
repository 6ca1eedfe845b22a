/* Puts commands into hiredis' output buffer. Inside common/io only. */
#ifndef IO_LINK_COMMAND_H
#define IO_LINK_COMMAND_H

#include "common/base/bytes.h"

#include <hiredis/async.h>

/* Commands after which a reply is no longer an answer: hiredis treats them apart, and the guard knows nothing of them.
 */
bool link_command_changes_replies(struct slice name);
/* fn is called with the answer, its privdata NULL. false: no memory, or the connection is ending. argc is 1 or more. */
bool link_command_append(redisAsyncContext *ac, redisCallbackFn *fn, size_t argc, const struct slice *argv);

#endif
