/* A replica whose program does nothing by itself, and the master as a script: for the tests of noded/repl/follow.h. */
#ifndef UNIT_FOLLOW_WORLD_H
#define UNIT_FOLLOW_WORLD_H

#include "noded/repl/follow.h"
#include "tests/unit/cmd/engine_fixture.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define MARK "0123456789012345678901234567890123456789"

struct follower {
    struct fixture *f;
    struct nd_repl *r;
    int connects, closes;
    bool linked; /* between connect and close */
    struct buf sent;
    /* The file. */
    struct buf file;
    size_t file_read;
    bool file_is_open, flushing;
    int kept;
    bool disk_full;
};

struct follower *follower_new(void);
void follower_free(struct follower *w);
/* What is due is done, until nothing is. */
void follower_settle(struct follower *w);
void follower_forward(struct follower *w, int64_t ms);
/* Bytes of the master arrive. What the machine does not take at once is shown again in later turns. */
void follower_gets(struct follower *w, const char *p, size_t n);
/* In pieces, as the program does it: what was not taken stays in front of what comes. cuts: n places, ascending. */
void follower_gets_pieces(struct follower *w, struct slice all, const size_t *cuts, size_t n);
void follower_connects(struct follower *w); /* up to the greeting */

/* Commands that make a dataset, ended by NULL. */
extern const char *const some_commands[], *const no_commands[];
/* A snapshot of what the commands make; it says database 2 of the stream. */
void put_snapshot(struct buf *out, const char *const *commands, bool checksum);
void put_greeting(struct buf *out);
/* All that a master says: greeting, snapshot (its history is ID_A, its offset 1000), stream. */
void put_transcript(struct buf *out, const char *const *commands, bool marked, const char *stream);
extern const char some_stream[];
/* It has taken some_commands and some_stream. */
void assert_followed(struct follower *w);
extern const int load_modes[3];                      /* repl-diskless-load */
struct follower *follower_in_step(const char *more); /* with some_commands, and this of the stream */

#endif
