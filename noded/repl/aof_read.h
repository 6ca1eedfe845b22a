/* Reads the files of an append-only file, piece by piece, and runs what they say: an RDB file at the front if there is
 * one, then requests, which a session of its own obeys. Nothing is written anywhere; the dataset changes as it goes. */
#ifndef REPL_AOF_READ_H
#define REPL_AOF_READ_H

#include "noded/cmd/engine.h"

struct nd_aof_reader;

/* Sees the engine through all files of one loading. e->loading is set by the caller, before. */
struct nd_aof_reader *nd_aof_reader_new(struct nd_engine *e);
void nd_aof_reader_free(struct nd_aof_reader *r); /* NULL is allowed */

/* The next file begins; bytes: how long it is, 0 unknown. */
void nd_aof_reader_begin(struct nd_aof_reader *r, uint64_t bytes);

enum nd_aof_read {
    ND_AOF_MORE, /* what is left of *in is the front of something that needs more bytes behind it */
    ND_AOF_BUSY, /* the budget is used up: call again */
    ND_AOF_BAD
};
/* Takes bytes from the front of *in, which becomes what was not taken; it may have moved when it is given again. About
 * `budget` bytes are worked on at most (0: all). */
enum nd_aof_read nd_aof_read_some(struct nd_aof_reader *r, struct slice *in, size_t budget);
size_t nd_aof_wanted(const struct nd_aof_reader *r); /* bytes of *in that are needed at least, after MORE */

/* The file has ended, and `rest` is what was left of it. TORN: it ends in the middle of a unit, as after a crash; what
 * stands before nd_aof_whole() was run, what is behind was not. BAD: the end is damaged otherwise. */
enum nd_aof_end { ND_AOF_END_WHOLE, ND_AOF_END_TORN, ND_AOF_END_BAD };
enum nd_aof_end nd_aof_reader_end(struct nd_aof_reader *r, struct slice rest);

const char *nd_aof_error(const struct nd_aof_reader *r); /* after BAD: what is wrong, with the offset in the file */
uint64_t nd_aof_whole(const struct nd_aof_reader *r);    /* bytes of this file that are whole units */
uint64_t nd_aof_units(const struct nd_aof_reader *r);    /* requests and keys so far, of all files */

/* A request that breaks off: `rest` is the front of one whose last argument is longer than what follows. true: another
 * length of as many digits would make sense of all that is there, so that its length is damaged and not its end. */
bool nd_aof_length_is_damaged(struct slice rest);

#endif
