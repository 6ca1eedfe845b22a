/* The durable state of a supervisor: SQLite in its state directory (state.db), and one thread that writes.
 *
 * The core's PERSIST effects are queued; the writer puts everything that waits into one transaction, so that any number
 * of votes cost one flush of the disk. WAL with synchronous=FULL: what was reported as persisted survives a crash of
 * the machine. Nothing that fails ends the writer: the failure is reported with its reason and the next PERSIST tries
 * again. */
#ifndef SHELL_STATE_H
#define SHELL_STATE_H

#include "common/io/loop.h"
#include "sentineld/shell/state_image.h"

struct state;

/* Everything up to seq is on disk (why NULL), or: nothing after the last success up to seq is, because of why. From the
 * loop. */
typedef void state_done_fn(void *owner, uint64_t seq, const char *why);

/* Takes the directory's lock, opens and checks the database (made when missing), and reads it into *image, which is the
 * caller's to free. NULL: what is wrong with which file and what can be done about it is appended to error. */
struct state *state_open(const char *dir, struct state_image *image, struct buf *error);

/* Replaces all that is stored by the image and starts the writer. seq numbers of state_persist() start above 0. When
 * the image cannot be written: false for a new directory (image->id was not in it before), with the reason in error;
 * for one that has this id already true, with the reason in error as well: the image is then written by the first
 * commit that succeeds. */
bool state_start(struct state *s, struct io_loop *loop, const struct state_image *image, state_done_fn *done,
                 void *owner, struct buf *error);

/* All records become durable in one transaction, together with what was queued before. Takes the records' contents and
 * the array. */
void state_persist(struct state *s, uint64_t seq, struct sn_record *records, size_t n);

/* Waits until the queue is empty or has failed, and calls done() for it. */
void state_flush(struct state *s);

/* Writes what is queued, closes the database and gives the lock back. done() is not called. NULL is allowed. A disk
 * that does not answer is waited for two seconds, by state_flush() too. false: it still holds the writer, which keeps
 * what it needs, so the process should end by _exit(); the log says so, and the lock ends with the process. */
bool state_close(struct state *s);

/* Microseconds that the last commit took, from the writer's wake-up to the flush; 0: none yet. */
int64_t state_last_commit_us(const struct state *s);

#endif
