/* history.db: schema, numbers, bounds, questions. Used by one thread. */
#ifndef SHELL_HISTORY_DB_H
#define SHELL_HISTORY_DB_H

#include <sqlite3.h>
#include <sys/types.h>

#include "common/base/bytes.h"

#define HISTORY_COUNT_MAX 10000 /* rows of one answer; also cut when their text passes 4 MiB */

enum history_what {
    HISTORY_EVENTS,
    HISTORY_NOTES,
    HISTORY_DRILLS,
    HISTORY_LAST, /* one row: the highest number given so far */
};

struct history_query {
    enum history_what what;
    bool forward;  /* entries after `from`, oldest first; otherwise those before it, newest first */
    int64_t from;  /* a number; backward: 0 is the end */
    int64_t count; /* rows at most, 1 to HISTORY_COUNT_MAX */
    char *group;   /* NULL: all; owned */
    char *kind;    /* of notes, or the id of a drill, likewise */
};
void history_query_free(struct history_query *q); /* what it owns */

struct history_row {
    int64_t number, wall_ms, epoch;
    char *name; /* of the event, kind of the note, or id of the drill; owned, as below */
    char *text; /* payload, or JSON */
    char *group;
};

struct history_rows {
    struct history_row *v;
    size_t n, cap;
    char *error; /* NULL: answered */
};
void history_rows_free(struct history_rows *r);

struct history_db {
    char *path;
    int64_t max_age_days, max_bytes;
    sqlite3 *db; /* NULL: closed */
    sqlite3_stmt *add_event, *add_note, *add_drill, *set_meta;
    int64_t last;    /* the number given last */
    int64_t trimmed; /* entries up to this one are no longer kept */
    dev_t device;
    ino_t inode;
};

/* All functions that return bool: false with the reason appended to error. */

/* Opens the database, makes it when it is missing. One that is damaged is put aside as history.db.damaged, and a new
 * one begun: then *aside is set. */
bool history_db_open(struct history_db *d, bool *aside, struct buf *error);
void history_db_close(struct history_db *d);
bool history_db_is_there(const struct history_db *d); /* false: the file was taken away */

/* One batch. After a failure nothing of it is stored. */
bool history_db_begin(struct history_db *d, struct buf *error);
bool history_db_add_event(struct history_db *d, int64_t wall_ms, const char *name, const char *text, const char *group,
                          struct buf *error);
bool history_db_add_note(struct history_db *d, int64_t wall_ms, const char *kind, const char *json, const char *group,
                         uint64_t epoch, struct buf *error);
/* The report of a drill. One of the same id takes the place of the earlier one. */
bool history_db_add_drill(struct history_db *d, int64_t wall_ms, const char *id, const char *json, const char *group,
                          struct buf *error);
bool history_db_commit(struct history_db *d, struct buf *error);
void history_db_rollback(struct history_db *d);

/* Forgets what is too old at this wall time, and the oldest while there is too much. Bounded work: true in *more says
 * that there is more to forget. */
bool history_db_trim(struct history_db *d, int64_t now_wall_ms, bool *more, struct buf *error);

/* Rows, or rows->error. Where entries that were asked for are gone, a first row says so: "-events-gone". */
void history_db_ask(struct history_db *d, const struct history_query *q, struct history_rows *rows);

#endif
