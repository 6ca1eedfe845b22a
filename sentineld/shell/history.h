/* What happened and why: every published event, every note of the core (core/note.h) and the reports of drills,
 * numbered, in state_dir/history.db.
 *
 * A database and a thread of its own: a vote never waits behind it. Whatever goes wrong with it, a disk that is full,
 * fails or does not answer at all, disturbs nothing else: entries wait in a bounded queue, the oldest are dropped when
 * it is full, the loss is counted, stored as an entry when the disk takes writes again, and told. The thread opens the
 * database, writes in batches, numbers the entries, keeps the file within age and size, and answers questions;
 * questions and entries keep their order, so an answer holds everything that was published before it was asked for. */
#ifndef SHELL_HISTORY_H
#define SHELL_HISTORY_H

#include "common/io/loop.h"
#include "sentineld/core/effect.h"
#include "sentineld/shell/history_db.h"

struct history;

/* Something about the history itself that operators should know, once when it begins and once when it ends: an event
 * for everybody. From the loop. */
typedef void history_told_fn(void *owner, const char *event, const char *text);
/* Makes the reply of the rows, in the thread: thousands of rows cost the loop nothing then. */
typedef void history_render_fn(const struct history_query *q, const struct history_rows *rows, struct buf *reply);
/* The answer to a question: what render() made, or the rows where there is no render(). rows->error is NULL when it
 * could be answered. From the loop. */
typedef void history_done_fn(void *owner, uint64_t token, const struct history_rows *rows, struct buf *reply);

struct history_options {
    struct io_loop *loop;
    int64_t max_age_days, max_mb;
    size_t queue_max; /* entries that wait for the disk; 0: 50,000 */
    int64_t hangs_ms; /* a disk that does not answer for so long is told of, and questions are refused; 0: 5,000 */
    history_told_fn *told;
    history_render_fn *render; /* NULL: the rows themselves are wanted */
    history_done_fn *done;
    void *owner;
};

/* dir must stay valid. Never fails: a database that cannot be opened is told of, and tried again every second. */
struct history *history_open(const char *dir, const struct history_options *o);
/* Writes what waits, once, and ends the thread; waits three seconds for that and no longer. What could not be written
 * is lost, and the log says how much. done() and told() are not called any more. NULL is allowed. false: the disk holds
 * the thread, which keeps what it needs: the process should end by _exit(). */
bool history_close(struct history *h);

/* Both return at once. name and text may be anything; group may be NULL. */
void history_event(struct history *h, int64_t wall_ms, const char *name, const char *text, const char *group);
void history_note(struct history *h, int64_t wall_ms, const char *group, struct sn_note *note); /* takes the note */
/* The report of a drill (nodectl drill), as JSON. group may be NULL. */
void history_drill(struct history *h, int64_t wall_ms, const char *id, const char *json, const char *group);

bool history_has_room(struct history *h); /* false: too many questions wait already */
void history_ask(struct history *h, uint64_t token, struct history_query *q); /* takes what the query owns */

/* New limits, at once: as max_age_days and max_mb of the options. */
void history_limit(struct history *h, int64_t max_age_days, int64_t max_mb);

#endif
