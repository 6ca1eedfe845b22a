/* The database file itself: schema, statements, reading and writing. Used by one thread at a time. */
#ifndef SHELL_STATE_DB_H
#define SHELL_STATE_DB_H

#include <sqlite3.h>
#include <sys/types.h>

#include "common/base/bytes.h"
#include "sentineld/shell/state_image.h"

#define STATE_DB_SCHEMA 4

enum state_db_statement {
    STATE_DB_BEGIN,
    STATE_DB_COMMIT,
    STATE_DB_ROLLBACK,
    STATE_DB_SET_META,
    STATE_DB_SET_GROUP,
    STATE_DB_CLEAR_REPLICAS,
    STATE_DB_ADD_REPLICA,
    STATE_DB_CLEAR_PEERS,
    STATE_DB_ADD_PEER,
    STATE_DB_SET_OPTION,
    STATE_DB_CLEAR_OPTION,
    STATE_DB_CLEAR_OPTIONS, /* of a group */
    STATE_DB_CLEAR_FILE_VALUE,
    STATE_DB_ADD_FILE_VALUE,
    STATE_DB_SET_FLEET,
    STATE_DB_SET_SHARD,
    STATE_DB_CLEAR_SHARD,
    STATE_DB_CLEAR_NODES, /* of a shard */
    STATE_DB_ADD_NODE,
    STATE_DB_CLEAR_GROUP,
    STATE_DB_RENAME_GROUP,
    STATE_DB_RENAME_REPLICAS,
    STATE_DB_RENAME_PEERS,
    STATE_DB_RENAME_OPTIONS,
    STATE_DB_RENAME_SHARD,
    STATE_DB_RENAME_NODES,
    STATE_DB_SET_LEASE,
    STATE_DB_CLEAR_LEASE,
    STATE_DB_RENAME_LEASE,
    STATE_DB_SET_LIST,
    STATE_DB_SET_SWAP,
    STATE_DB_STATEMENTS
};

struct state_db {
    char *path;
    sqlite3 *db; /* NULL: closed */
    sqlite3_stmt *statements[STATE_DB_STATEMENTS];
    dev_t device; /* of the file that is open, to notice that somebody took it away */
    ino_t inode;
    int wal_pages; /* in the log since it was last started over */
};

/* Opens dir/state.db, checks it whole, and reads it. A missing one is made. */
bool state_db_open(struct state_db *d, const char *dir, struct state_image *image, struct buf *error);
/* Opens it again after a fault: it must be the database of this id. */
bool state_db_reopen(struct state_db *d, const char *id, struct buf *error);
void state_db_close(struct state_db *d); /* may be opened again */
void state_db_free(struct state_db *d);

/* One transaction. false: nothing of it is stored, the transaction is over, and error has the reason; when
 * state_db_usable() is false then, reopen it first. */
bool state_db_begin(struct state_db *d, struct buf *error);
bool state_db_apply(struct state_db *d, const struct sn_record *r, struct buf *error);
bool state_db_replace(struct state_db *d, const struct state_image *image, struct buf *error); /* all that is stored */
bool state_db_commit(struct state_db *d, struct buf *error);
bool state_db_usable(const struct state_db *d);

/* Moves the log into the database file and starts the log over, so that the next commits overwrite it in place, which
 * flushes faster than growing it, and needs no room on a disk that is full. false: not all of it could be moved. */
bool state_db_checkpoint(struct state_db *d);

/* Prepares a statement's run: state_db_run() binds from a format: 't' const char *, 'n' int64_t, 'd' int; false with
 * the reason. */
bool state_db_run(struct state_db *d, enum state_db_statement which, struct buf *error, const char *format, ...);
/* "state.db cannot be written: the disk is full (database or disk is full, SQLite error 13)" */
void state_db_say(const struct state_db *d, const char *what, struct buf *error);

#endif
