/* One run of one hook: the program with the event on its standard input and in its environment, until it ends or its
 * time is over. What it leaves running in its process group ends with it. */
#ifndef SHELL_HOOKS_RUN_H
#define SHELL_HOOKS_RUN_H

#include "common/io/process.h"
#include "sentineld/shell/config.h"
#include "sentineld/shell/hooks_event.h"

#define HOOK_OUTPUT_MAX 4096 /* bytes of its output that are kept */

/* NULL: it could not be started; the reason is appended to error. */
struct io_process *hook_run(struct io_loop *loop, const struct config_hook *hook, const struct hook_event *event,
                            unsigned attempt, int64_t deadline_ms, io_process_fn *ended, void *owner,
                            struct buf *error);

/* How it went, in words: "exit status 1", "killed by signal 9", "no end within 500 ms". */
void hook_outcome(struct buf *out, const struct io_process_exit *end, int64_t deadline_ms);
/* The first line of its output, without control bytes and cut to a length that fits into an event; may be empty. */
void hook_first_line(struct buf *out, struct slice output);

#endif
