/* Reads an RDB file as its bytes arrive, from a disk or from a master: no byte is needed before it is there, and
 * nothing waits. Versions up to 12, and Valkey's version 80, for the types that this node has; what it has not is
 * refused by name. */
#ifndef REPL_RDB_READ_H
#define REPL_RDB_READ_H

#include "noded/store/keyspace.h"

struct nd_rdb_entry {
    int db;
    struct slice key; /* good until the callback returns */
    bool is_text;     /* it is a string: its bytes are `text`, good until the callback returns, and no value is made */
    struct slice text;
    struct nd_value value; /* else; the callee's from now on */
    int64_t expire_ms;     /* ND_NO_EXPIRE */
    int64_t idle_s;        /* since its last use; -1 unknown */
    int freq;              /* LFU counter; -1 unknown */
};

/* Each may be NULL but entry. false: the reading ends, as after damage; the reason is appended to why. */
struct nd_rdb_events {
    bool (*aux)(void *owner, struct slice key, struct slice value, struct buf *why);
    bool (*resize)(void *owner, int db, uint64_t keys, uint64_t expiring, struct buf *why);
    bool (*entry)(void *owner, struct nd_rdb_entry *entry, struct buf *why);
};

/* Whether a file that begins so may be an RDB file; for certain with ND_RDB_BEGIN_BYTES of it. */
#define ND_RDB_BEGIN_BYTES 6
bool nd_rdb_begins(struct slice head);

struct nd_rdb_reader;

/* limits, events and `into` must outlive the reader. A database of the file that `into` has not is an error; events get
 * the numbers that databases have in `into`. The keys themselves are the callee's business. */
struct nd_rdb_reader *nd_rdb_reader_new(const struct nd_limits *limits, const struct nd_keyspace *into, bool checksum,
                                        const struct nd_rdb_events *events, void *owner);
void nd_rdb_reader_free(struct nd_rdb_reader *r); /* NULL is allowed */

enum nd_rdb_status { ND_RDB_MORE, ND_RDB_DONE, ND_RDB_BAD };
/* Takes bytes from the front of *in, which becomes what was not taken: empty with MORE; with DONE what follows the
 * file. At most about `budget` bytes are worked on (0: all), so that a loop stays alive: MORE with bytes left means
 * call again. */
enum nd_rdb_status nd_rdb_feed(struct nd_rdb_reader *r, struct slice *in, size_t budget);
const char *nd_rdb_error(const struct nd_rdb_reader *r); /* after BAD: what is wrong, with the offset */
uint64_t nd_rdb_offset(const struct nd_rdb_reader *r);   /* bytes of the file so far */
uint64_t nd_rdb_keys(const struct nd_rdb_reader *r);     /* entries so far */

#endif
