#include "sentineld/shell/history_db.h"

#include "common/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX ((size_t)4 << 20)
#define TRIM_ROWS 5000      /* entries forgotten in one transaction */
#define LOG_BYTES (1 << 20) /* of SQLite's write-ahead log, beside the database */
#define DAY_MS INT64_C(86400000)

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL, trimmed INTEGER "
    "NOT NULL);"
    "INSERT OR IGNORE INTO meta (one, last, trimmed) VALUES (1, 0, 0);"
    "CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, name TEXT NOT NULL, text "
    "TEXT NOT NULL, group_name TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS events_of ON events (group_name, number);"
    "CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, name TEXT NOT NULL, text "
    "TEXT NOT NULL, group_name TEXT NOT NULL, epoch INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS notes_of ON notes (group_name, number);"
    "CREATE TABLE IF NOT EXISTS drills (number INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL, name TEXT NOT NULL "
    "UNIQUE, "
    "text TEXT NOT NULL, group_name TEXT NOT NULL);";

static const char *const tables[] = {
    [HISTORY_EVENTS] = "events",
    [HISTORY_NOTES] = "notes",
    [HISTORY_DRILLS] = "drills",
};

void history_query_free(struct history_query *q)
{
    free(q->group);
    free(q->kind);
    q->group = q->kind = NULL;
}

void history_rows_free(struct history_rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].name);
        free(r->v[i].text);
        free(r->v[i].group);
    }
    free(r->v);
    free(r->error);
    *r = (struct history_rows){NULL, 0, 0, NULL};
}

static bool say(const struct history_db *d, const char *what, struct buf *error)
{
    buf_printf(error, "%s %s: %s (SQLite error %d)", d->path, what,
               d->db != NULL ? sqlite3_errmsg(d->db) : "out of memory",
               d->db != NULL ? sqlite3_extended_errcode(d->db) : SQLITE_NOMEM);
    return false;
}

void history_db_close(struct history_db *d)
{
    sqlite3_finalize(d->add_event);
    sqlite3_finalize(d->add_note);
    sqlite3_finalize(d->add_drill);
    sqlite3_finalize(d->set_meta);
    sqlite3_close(d->db);
    d->add_event = d->add_note = d->add_drill = d->set_meta = NULL;
    d->db = NULL;
}

static bool execute(struct history_db *d, const char *sql, struct buf *error)
{
    return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK || say(d, "cannot be used", error);
}

static bool prepare(struct history_db *d, sqlite3_stmt **s, const char *sql, struct buf *error)
{
    return sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, s, NULL) == SQLITE_OK ||
           say(d, "does not have the tables of this program", error);
}

/* The first number of a query's first row; 0: there is none. */
static int64_t number_of(struct history_db *d, const char *sql)
{
    sqlite3_stmt *s;
    int64_t v = 0;
    if (sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) != SQLITE_OK)
        return 0;
    if (sqlite3_step(s) == SQLITE_ROW)
        v = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return v;
}

static bool open_once(struct history_db *d, struct buf *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    char pragmas[256];
    if (sqlite3_open_v2(d->path, &d->db, flags, NULL) != SQLITE_OK)
        return say(d, "cannot be opened", error);
    sqlite3_extended_result_codes(d->db, 1);
    /* The state directory is ours alone (state_lock.h). auto_vacuum counts only when the file is made. */
    snprintf(pragmas, sizeof pragmas,
             "PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; "
             "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = %d; PRAGMA wal_autocheckpoint = 128; "
             "PRAGMA cache_size = -512",
             LOG_BYTES);
    if (!execute(d, pragmas, error) || !execute(d, schema, error) ||
        !prepare(d, &d->add_event,
                 "INSERT INTO events (number, wall_ms, name, text, group_name) VALUES (?, ?, ?, ?, ?)", error) ||
        !prepare(d, &d->add_note,
                 "INSERT INTO notes (number, wall_ms, name, text, group_name, epoch) VALUES (?, ?, ?, ?, ?, ?)",
                 error) ||
        !prepare(d, &d->add_drill,
                 "INSERT OR REPLACE INTO drills (number, wall_ms, name, text, group_name) VALUES (?, ?, ?, ?, ?)",
                 error) ||
        !prepare(d, &d->set_meta, "UPDATE meta SET last = ?, trimmed = ?", error))
        return false;
    d->last = number_of(d, "SELECT last FROM meta");
    d->trimmed = number_of(d, "SELECT trimmed FROM meta");
    struct stat st;
    if (stat(d->path, &st) == 0) {
        d->device = st.st_dev;
        d->inode = st.st_ino;
    }
    return true;
}

static void put_aside(const struct history_db *d)
{
    static const char *const parts[] = {"-wal", "-shm", ""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct buf from = {0}, to = {0};
        buf_printf(&from, "%s%s", d->path, parts[i]);
        buf_printf(&to, "%s.damaged%s", d->path, parts[i]);
        (void)rename(buf_str(&from), buf_str(&to)); /* what is not there need not go */
        buf_free(&from);
        buf_free(&to);
    }
}

bool history_db_open(struct history_db *d, bool *aside, struct buf *error)
{
    *aside = false;
    size_t mark = error->n;
    if (open_once(d, error))
        return true;
    int code = d->db != NULL ? sqlite3_errcode(d->db) : SQLITE_NOMEM;
    history_db_close(d);
    if (code != SQLITE_NOTADB && code != SQLITE_CORRUPT)
        return false;
    put_aside(d);
    *aside = true;
    error->n = mark;
    if (open_once(d, error))
        return true;
    history_db_close(d);
    return false;
}

bool history_db_is_there(const struct history_db *d)
{
    struct stat st;
    return stat(d->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == d->device && st.st_ino == d->inode;
}

/* ---- writing ---- */

bool history_db_begin(struct history_db *d, struct buf *error)
{
    return sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK || say(d, "cannot be written", error);
}

static bool run(struct history_db *d, sqlite3_stmt *s, struct buf *error)
{
    bool ok = sqlite3_step(s) == SQLITE_DONE || say(d, "cannot be written", error);
    sqlite3_reset(s);
    return ok;
}

static void bind_entry(sqlite3_stmt *s, int64_t number, int64_t wall_ms, const char *name, const char *text,
                       const char *group)
{
    sqlite3_bind_int64(s, 1, number);
    sqlite3_bind_int64(s, 2, wall_ms);
    sqlite3_bind_text(s, 3, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, text, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 5, group != NULL ? group : "", -1, SQLITE_STATIC);
}

bool history_db_add_event(struct history_db *d, int64_t wall_ms, const char *name, const char *text, const char *group,
                          struct buf *error)
{
    bind_entry(d->add_event, ++d->last, wall_ms, name, text, group);
    return run(d, d->add_event, error);
}

bool history_db_add_note(struct history_db *d, int64_t wall_ms, const char *kind, const char *json, const char *group,
                         uint64_t epoch, struct buf *error)
{
    bind_entry(d->add_note, ++d->last, wall_ms, kind, json, group);
    sqlite3_bind_int64(d->add_note, 6, (int64_t)epoch);
    return run(d, d->add_note, error);
}

bool history_db_add_drill(struct history_db *d, int64_t wall_ms, const char *id, const char *json, const char *group,
                          struct buf *error)
{
    bind_entry(d->add_drill, ++d->last, wall_ms, id, json, group);
    return run(d, d->add_drill, error);
}

bool history_db_commit(struct history_db *d, struct buf *error)
{
    sqlite3_bind_int64(d->set_meta, 1, d->last);
    sqlite3_bind_int64(d->set_meta, 2, d->trimmed);
    if (!run(d, d->set_meta, error))
        return false;
    return sqlite3_exec(d->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK || say(d, "cannot be written", error);
}

void history_db_rollback(struct history_db *d)
{
    if (!sqlite3_get_autocommit(d->db))
        sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    d->last = number_of(d, "SELECT last FROM meta");
    d->trimmed = number_of(d, "SELECT trimmed FROM meta");
}

/* ---- bounds ---- */

static int64_t bytes_used(struct history_db *d)
{
    int64_t pages = number_of(d, "PRAGMA page_count"), unused = number_of(d, "PRAGMA freelist_count");
    return (pages - unused) * number_of(d, "PRAGMA page_size");
}

static int64_t oldest(struct history_db *d, const char *column)
{
    char sql[384];
    snprintf(sql, sizeof sql,
             "SELECT min(v) FROM (SELECT * FROM (SELECT %s AS v FROM events ORDER BY number LIMIT 1) UNION ALL "
             "SELECT * FROM (SELECT %s FROM notes ORDER BY number LIMIT 1) UNION ALL "
             "SELECT * FROM (SELECT %s FROM drills ORDER BY number LIMIT 1))",
             column, column, column);
    return number_of(d, sql);
}

/* Wall time may have gone back and forth, so age is judged by the oldest entry that is left, not by all. */
static int64_t forget_up_to(struct history_db *d, int64_t now_wall_ms, bool *more)
{
    int64_t first = oldest(d, "number"), limit = first + TRIM_ROWS - 1;
    int64_t before_ms = now_wall_ms - d->max_age_days * DAY_MS;
    char sql[384];
    *more = false;
    if (first == 0)
        return 0;
    if (limit > d->last)
        limit = d->last;
    if (bytes_used(d) > d->max_bytes - 2 * (int64_t)LOG_BYTES) {
        int64_t part = first + (d->last - first) / 16;
        *more = true;
        return part < limit ? part : limit;
    }
    if (oldest(d, "wall_ms") >= before_ms)
        return 0;
    snprintf(sql, sizeof sql,
             "SELECT max(number) FROM (SELECT number, wall_ms FROM events WHERE number <= %" PRId64
             " UNION ALL SELECT number, wall_ms FROM notes WHERE number <= %" PRId64
             " UNION ALL SELECT number, wall_ms FROM drills WHERE number <= %" PRId64 ") WHERE wall_ms < %" PRId64,
             limit, limit, limit, before_ms);
    int64_t up_to = number_of(d, sql);
    *more = up_to == limit;
    return up_to;
}

bool history_db_trim(struct history_db *d, int64_t now_wall_ms, bool *more, struct buf *error)
{
    int64_t up_to = forget_up_to(d, now_wall_ms, more);
    char sql[256];
    if (up_to == 0)
        return true;
    snprintf(sql, sizeof sql,
             "DELETE FROM events WHERE number <= %" PRId64 "; DELETE FROM notes WHERE number <= %" PRId64
             "; DELETE FROM drills WHERE number <= %" PRId64,
             up_to, up_to, up_to);
    if (!history_db_begin(d, error))
        return false;
    if (!execute(d, sql, error))
        return false;
    d->trimmed = up_to;
    if (!history_db_commit(d, error))
        return false;
    sqlite3_exec(d->db, "PRAGMA incremental_vacuum(4000)", NULL, NULL, NULL); /* what it cannot do now it does later */
    return true;
}

/* ---- questions ---- */

static struct history_row *add_row(struct history_rows *rows)
{
    rows->v = mem_grow(rows->v, rows->n, &rows->cap, sizeof *rows->v);
    struct history_row *r = &rows->v[rows->n++];
    memset(r, 0, sizeof *r);
    return r;
}

/* A row of our own making about the answer. */
static void add_remark(struct history_rows *rows, int64_t number, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void add_remark(struct history_rows *rows, int64_t number, const char *name, const char *fmt, ...)
{
    struct history_row *r = add_row(rows);
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    r->number = number;
    r->name = mem_strdup(name);
    r->text = mem_strdup(buf_str(&text));
    r->group = mem_strdup("");
    buf_free(&text);
}

static char *text_at(sqlite3_stmt *s, int column)
{
    const char *t = (const char *)sqlite3_column_text(s, column);
    return mem_strdup(t != NULL ? t : "");
}

static void collect(struct history_db *d, sqlite3_stmt *s, bool notes, struct history_rows *rows)
{
    size_t bytes = 0;
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW && bytes < TEXT_MAX) {
        struct history_row *r = add_row(rows);
        r->number = sqlite3_column_int64(s, 0);
        r->wall_ms = sqlite3_column_int64(s, 1);
        r->name = text_at(s, 2);
        r->text = text_at(s, 3);
        r->group = text_at(s, 4);
        r->epoch = notes ? sqlite3_column_int64(s, 5) : 0;
        bytes += strlen(r->text) + strlen(r->name) + strlen(r->group) + 32;
    }
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        return;
    struct buf why = {0};
    say(d, "cannot be read", &why);
    rows->error = mem_strdup(buf_str(&why));
    buf_free(&why);
}

void history_db_ask(struct history_db *d, const struct history_query *q, struct history_rows *rows)
{
    bool notes = q->what == HISTORY_NOTES, events = q->what == HISTORY_EVENTS;
    if (q->what == HISTORY_LAST) {
        add_row(rows)->number = d->last;
        return;
    }
    if (events && q->forward && q->from < d->trimmed)
        add_remark(rows, d->trimmed, "-events-gone", "numbers %" PRId64 " to %" PRId64 " are no longer kept",
                   q->from + 1, d->trimmed);
    else if (events && q->forward && q->from > d->last)
        add_remark(rows, d->last, "-events-renumbered",
                   "this history began anew: its last number is %" PRId64 ", and %" PRId64 " was asked for", d->last,
                   q->from);
    struct buf sql = {0};
    buf_printf(&sql,
               "SELECT number, wall_ms, name, text, group_name%s FROM %s WHERE number %s ?1%s%s ORDER BY number %s "
               "LIMIT ?2",
               notes ? ", epoch" : "", tables[q->what], q->forward ? ">" : "<",
               q->group != NULL ? " AND group_name = ?3" : "", q->kind != NULL ? " AND name = ?4" : "",
               q->forward ? "ASC" : "DESC");
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(d->db, buf_str(&sql), -1, &s, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(s, 1, !q->forward && q->from == 0 ? INT64_MAX : q->from);
        sqlite3_bind_int64(s, 2, q->count);
        if (q->group != NULL)
            sqlite3_bind_text(s, 3, q->group, -1, SQLITE_STATIC);
        if (q->kind != NULL)
            sqlite3_bind_text(s, 4, q->kind, -1, SQLITE_STATIC);
        collect(d, s, notes, rows);
    } else {
        struct buf why = {0};
        say(d, "cannot be read", &why);
        rows->error = mem_strdup(buf_str(&why));
        buf_free(&why);
    }
    sqlite3_finalize(s);
    buf_free(&sql);
}
