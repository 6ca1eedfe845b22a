/* The append-only file: a folder with a manifest, a base and increments, as Redis 7 has it. What is to be done and when
 * is the state's (noded/repl/aof_state.h); here are the files.
 *
 * Nothing of it lets the loop wait for the disk: what is written goes to the page cache at the end of a turn, before
 * answers leave; a thread flushes it; and while it does, bytes and, where the settings promise it, answers wait. */
#ifndef SHELL_AOF_H
#define SHELL_AOF_H

#include "noded/repl/aof_state.h"

struct aof;
struct node;

/* After the engine has its persistence; nothing on disk is touched. */
struct aof *aof_open(struct node *n);
/* Its first base is being written: what is in no file yet. NULL is allowed. */
bool aof_is_beginning(const struct aof *a);
/* May the program end? Writes and flushes what waits, and blocks for it. false, with the reason appended to why: it is
 * not on disk, or there is no base yet. NULL is allowed. */
bool aof_may_end(struct aof *a, struct buf *why);
/* All is written and flushed, if it can be, and nothing follows; answers that waited for it may leave. NULL is allowed,
 * here and below. */
void aof_finish(struct aof *a);
void aof_close(struct aof *a); /* the clients may be gone, after aof_finish() */

/* appendonly yes at the start: what is there is loaded in steps, while clients get -LOADING; then the file goes on.
 * node_loaded() is told at the end, from inside when there is nothing to load. */
void aof_start(struct aof *a);

/* host->effects() arrives here. */
void aof_feed(struct aof *a, const struct nd_effect_row *rows, size_t n);
/* The end of a turn, before answers leave. */
void aof_turn(struct aof *a);
/* All that was logged so far shall be on disk: nd_import_flushed() is told at the end of a later turn. false: there is
 * no log, and nothing is told. Not again before that. */
bool aof_ask_flush(struct aof *a);
/* The next time (mono us) at which aof_tick() has something to do. */
int64_t aof_deadline(const struct aof *a);
void aof_tick(struct aof *a);

/* What the answers of this turn wait for (nd_aof_answers). a may be NULL, here and in what follows. */
enum nd_aof_wait aof_answers(const struct aof *a, bool wrote);
uint64_t aof_put(const struct aof *a); /* position in the stream of effects */

#endif
