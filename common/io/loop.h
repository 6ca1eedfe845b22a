/* One event loop with what every part of the shell needs from it: priorities, and work at the end of a turn.
 *
 * A turn is: wait for events, run their callbacks (higher priority first), then run what asked for the end of the turn.
 * Streams and links write there, so that all replies of one turn leave in one write each. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* libev's names are kept out of this header, so that only files that own a watcher need <ev.h>. */
struct ev_loop;
struct io_loop;

/* Priorities of libev watchers (-2 to 2). Within a turn links are read before clients (SAFETY L7): what the fleet says
 * comes before what anybody asks about it. */
enum {
    IO_PRIORITY_LINK = 2,
    IO_PRIORITY_PROCESS = 1,
    IO_PRIORITY_STREAM = 0,
    IO_PRIORITY_ACCEPT = -1,
};

/* The process's default loop (libev reaps children only there): at most one io_loop lives at a time. Ignores SIGPIPE.
 * NULL when the system gives no event mechanism. */
struct io_loop *io_loop_new(void);
void io_loop_free(struct io_loop *loop); /* everything that was opened on it must be closed before */
struct ev_loop *io_loop_ev(const struct io_loop *loop);

void io_loop_run(struct io_loop *loop);  /* until io_loop_stop(), or until no watcher is left */
void io_loop_once(struct io_loop *loop); /* one turn; waits for an event */
void io_loop_stop(struct io_loop *loop); /* from inside a callback: the run ends after this turn */

/* Work at the end of the turn, once however often it was asked for. Zeroed memory with `run` set is ready for use; the
 * owner keeps it. Work added while the end of the turn runs still runs in it. */
struct io_turn_end {
    struct io_turn_end *next, **link;
    void (*run)(struct io_turn_end *self);
};
void io_at_turn_end(struct io_loop *loop, struct io_turn_end *t);
void io_turn_end_cancel(struct io_loop *loop, struct io_turn_end *t); /* no effect when it was not asked for */

#endif
