#include "sentineld/shell/state_schema.h"

#include "common/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPLICATION_ID 0x534e546c /* "SNTl": tells our databases from others */

/* What schema 2 has beside schema 1. */
#define CLUSTER_TABLES                                                                                            \
    "CREATE TABLE fleets (name TEXT PRIMARY KEY, monitored INTEGER NOT NULL, config_epoch INTEGER NOT NULL, "     \
    "vote_epoch INTEGER NOT NULL) WITHOUT ROWID;"                                                                 \
    "CREATE TABLE shards (group_name TEXT PRIMARY KEY, fleet TEXT NOT NULL) WITHOUT ROWID;"                       \
    "CREATE TABLE shard_nodes (group_name TEXT NOT NULL, place INTEGER NOT NULL, id TEXT NOT NULL, "              \
    "host TEXT NOT NULL, port INTEGER NOT NULL, PRIMARY KEY (group_name, place)) WITHOUT ROWID;"                  \
    "CREATE TABLE leases (group_name TEXT PRIMARY KEY, grantee TEXT NOT NULL, max_us INTEGER NOT NULL, "          \
    "settled INTEGER NOT NULL) WITHOUT ROWID;"                                                                    \
    "CREATE TABLE lists (one INTEGER PRIMARY KEY CHECK (one = 1), list TEXT NOT NULL, version INTEGER NOT NULL, " \
    "counted INTEGER NOT NULL);"

/* What schema 3 has beside schema 2, but for the lists, which are schema 4's. */
#define SWAP_TABLES                                                                                              \
    "CREATE TABLE swaps (fleet TEXT PRIMARY KEY, blank INTEGER NOT NULL, promised INTEGER NOT NULL, "            \
    "accepted INTEGER NOT NULL, value INTEGER NOT NULL, decided INTEGER NOT NULL, version INTEGER NOT NULL, "    \
    "begun INTEGER NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL, before_version INTEGER NOT NULL, "          \
    "before_begun INTEGER NOT NULL, before_a INTEGER NOT NULL, before_b INTEGER NOT NULL, asker TEXT NOT NULL, " \
    "request INTEGER NOT NULL, lists TEXT NOT NULL) WITHOUT ROWID;"

/* The scratch row makes the log 1 MiB long once. Later commits overwrite it in place, and a disk flushes an overwritten
 * block about twice as fast as one that makes the file longer. */
static const char schema[] =
    "BEGIN;"
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, epoch INTEGER NOT NULL, joined "
    "INTEGER NOT "
    "NULL);"
    "CREATE TABLE groups (place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, monitored INTEGER NOT NULL, host TEXT "
    "NOT NULL, "
    "port INTEGER NOT NULL, config_epoch INTEGER NOT NULL, vote_epoch INTEGER NOT NULL, vote_leader TEXT NOT NULL);"
    "CREATE TABLE replicas (group_name TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, "
    "PRIMARY KEY (group_name, host, port)) WITHOUT ROWID;"
    "CREATE TABLE peers (group_name TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, id TEXT NOT NULL, "
    "PRIMARY KEY (group_name, host, port, id)) WITHOUT ROWID;"
    "CREATE TABLE options (group_name TEXT NOT NULL, option TEXT NOT NULL COLLATE NOCASE, value TEXT NOT NULL, "
    "PRIMARY KEY (group_name, option)) WITHOUT ROWID;"
    "CREATE TABLE file_values (group_name TEXT NOT NULL, option TEXT NOT NULL COLLATE NOCASE, value TEXT NOT NULL, "
    "PRIMARY KEY (group_name, option)) WITHOUT ROWID;" CLUSTER_TABLES SWAP_TABLES
    "CREATE TABLE scratch (bytes BLOB); INSERT INTO scratch VALUES (zeroblob(1048576)); DROP TABLE scratch;"
    "PRAGMA application_id = 0x534e546c; PRAGMA user_version = 4;"
    "COMMIT";
/* From the version of its place to this one. */
static const char *const upgrades[] = {
    [1] = "BEGIN;" CLUSTER_TABLES SWAP_TABLES "PRAGMA user_version = 4; COMMIT",
    [2] = "BEGIN;" SWAP_TABLES "PRAGMA user_version = 4; COMMIT",
    [3] = "BEGIN; ALTER TABLE swaps ADD COLUMN lists TEXT NOT NULL DEFAULT ''; PRAGMA user_version = 4; COMMIT",
};
_Static_assert(APPLICATION_ID == 0x534e546c && STATE_DB_SCHEMA == 4, "the text of the schema says these two as well");

static void say_damaged(const struct state_db *d, const char *what, struct buf *error)
{
    buf_printf(error,
               "%s is damaged (%s). Put a good copy back; or move it and its -wal file away: then this supervisor "
               "starts without "
               "its memory and gives no vote until it has heard the epochs of a majority",
               d->path, what);
}

static bool corrupt(const struct state_db *d)
{
    int code = sqlite3_errcode(d->db);
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

/* Reports the failure of a statement that reads. */
static bool read_failed(struct state_db *d, struct buf *error)
{
    if (corrupt(d))
        say_damaged(d, sqlite3_errmsg(d->db), error);
    else
        state_db_say(d, "cannot be read", error);
    return false;
}

static bool read_number(struct state_db *d, const char *sql, int64_t *out, struct buf *error)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
    if (ok)
        *out = sqlite3_column_int64(s, 0);
    else
        read_failed(d, error);
    sqlite3_finalize(s);
    return ok;
}

bool state_schema_check(struct state_db *d, struct buf *error)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(d->db, "PRAGMA quick_check(1)", -1, &s, NULL) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_ROW;
    if (!ok) {
        read_failed(d, error);
    } else if (strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0) {
        say_damaged(d, (const char *)sqlite3_column_text(s, 0), error);
        ok = false;
    }
    sqlite3_finalize(s);
    return ok;
}

bool state_schema_recognise(struct state_db *d, bool may_be_empty, bool *empty, struct buf *error)
{
    int64_t tables, application, version;
    if (!read_number(d, "SELECT count(*) FROM sqlite_schema", &tables, error) ||
        !read_number(d, "PRAGMA application_id", &application, error) ||
        !read_number(d, "PRAGMA user_version", &version, error))
        return false;
    *empty = tables == 0 && application == 0 && may_be_empty;
    if (*empty)
        return true;
    if (application != APPLICATION_ID) {
        buf_printf(error, "%s is not a database of sentineld. Give sentineld a state_dir of its own", d->path);
        return false;
    }
    if (version < 1 || version > STATE_DB_SCHEMA) {
        buf_printf(
            error,
            "%s was written by another version of sentineld (schema %lld, this program knows %d). Use that version",
            d->path, (long long)version, STATE_DB_SCHEMA);
        return false;
    }
    return true;
}

bool state_schema_create(struct state_db *d, struct buf *error)
{
    if (sqlite3_exec(d->db, schema, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    state_db_say(d, "cannot be made", error);
    return false;
}

bool state_schema_upgrade(struct state_db *d, struct buf *error)
{
    int64_t version;
    if (!read_number(d, "PRAGMA user_version", &version, error))
        return false;
    if (version == STATE_DB_SCHEMA || sqlite3_exec(d->db, upgrades[version], NULL, NULL, NULL) == SQLITE_OK)
        return true;
    state_db_say(d, "cannot be brought to this version's form", error);
    sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

/* A column's text; "" for a null, which the schema forbids. */
static const char *text_at(sqlite3_stmt *s, int column)
{
    const unsigned char *text = sqlite3_column_text(s, column);
    return text == NULL ? "" : (const char *)text;
}

static bool addr_at(sqlite3_stmt *s, int column, struct addr *out)
{
    return addr_set(out, slice_of(text_at(s, column)), sqlite3_column_int64(s, column + 1));
}

static bool id_at(sqlite3_stmt *s, int column, runid out)
{
    out[0] = '\0';
    return text_at(s, column)[0] == '\0' || runid_parse(slice_of(text_at(s, column)), out);
}

static bool epoch_at(sqlite3_stmt *s, int column, uint64_t *out)
{
    int64_t v = sqlite3_column_int64(s, column);
    *out = (uint64_t)v;
    return v >= 0;
}

/* Each of these takes one row into the image; false when the row cannot have been written by us. */

static bool take_meta(sqlite3_stmt *s, struct state_image *m)
{
    m->joined = sqlite3_column_int(s, 2) != 0;
    return runid_parse(slice_of(text_at(s, 0)), m->id) && epoch_at(s, 1, &m->epoch);
}

static bool take_group(sqlite3_stmt *s, struct state_image *m)
{
    struct state_group *g = state_image_add(m, text_at(s, 0));
    g->monitored = sqlite3_column_int(s, 1) != 0;
    return g->name[0] != '\0' && (addr_at(s, 2, &g->master) || !g->monitored) && epoch_at(s, 4, &g->config_epoch) &&
           epoch_at(s, 5, &g->vote_epoch) && id_at(s, 6, g->vote_leader);
}

static bool take_replica(sqlite3_stmt *s, struct state_image *m)
{
    struct addr a;
    struct state_group *g = state_image_group(m, text_at(s, 0));
    if (!addr_at(s, 1, &a))
        return false;
    if (g != NULL)
        state_group_add_replica(g, &a);
    return true;
}

static bool take_peer(sqlite3_stmt *s, struct state_image *m)
{
    struct addr a;
    runid id;
    struct state_group *g = state_image_group(m, text_at(s, 0));
    if (!addr_at(s, 1, &a) || !id_at(s, 3, id))
        return false;
    if (g != NULL)
        state_group_add_peer(g, &a, id);
    return true;
}

static bool take_fleet(sqlite3_stmt *s, struct state_image *m)
{
    struct state_fleet *f = state_image_add_fleet(m, text_at(s, 0));
    f->monitored = sqlite3_column_int(s, 1) != 0;
    return f->name[0] != '\0' && epoch_at(s, 2, &f->config_epoch) && epoch_at(s, 3, &f->vote_epoch);
}

static bool step_at(sqlite3_stmt *s, int column, struct sn_swap_step *out)
{
    out->a = sqlite3_column_int(s, column + 2);
    out->b = sqlite3_column_int(s, column + 3);
    return epoch_at(s, column, &out->version) && epoch_at(s, column + 1, &out->begun);
}

static bool take_swap(sqlite3_stmt *s, struct state_image *m)
{
    struct state_fleet *f = state_image_fleet(m, text_at(s, 0));
    struct sn_swap w = {.blank = sqlite3_column_int(s, 1) != 0};
    int value = sqlite3_column_int(s, 4);
    if (value < 0 || value > SN_SWAP_ABORT || !epoch_at(s, 2, &w.promised) || !epoch_at(s, 3, &w.accepted) ||
        !step_at(s, 6, &w.entry.step) || !step_at(s, 10, &w.entry.before) || !id_at(s, 14, w.entry.asker) ||
        !epoch_at(s, 15, &w.entry.request))
        return false;
    w.entry.value = (enum sn_swap_value)value;
    w.entry.decided = sqlite3_column_int(s, 5) != 0;
    if (f != NULL)
        state_fleet_set_swap(f, &w, text_at(s, 16));
    return sn_swap_is_sane(&w);
}

static bool take_shard(sqlite3_stmt *s, struct state_image *m)
{
    struct state_group *g = state_image_group(m, text_at(s, 0));
    if (g != NULL)
        state_group_set_fleet(g, text_at(s, 1));
    return text_at(s, 1)[0] != '\0';
}

/* A node whose address nobody knew has the host "". */
static bool take_node(sqlite3_stmt *s, struct state_image *m)
{
    struct addr a = {.port = 0};
    runid id;
    struct state_group *g = state_image_group(m, text_at(s, 0));
    if (!id_at(s, 1, id) || id[0] == '\0' || (text_at(s, 2)[0] != '\0' && !addr_at(s, 2, &a)))
        return false;
    if (g != NULL && g->fleet != NULL)
        state_group_add_node(g, id, &a);
    return true;
}

static bool take_lease(sqlite3_stmt *s, struct state_image *m)
{
    runid id;
    struct state_group *g = state_image_group(m, text_at(s, 0));
    int64_t max_us = sqlite3_column_int64(s, 2);
    if (!id_at(s, 1, id) || id[0] == '\0' || max_us < 0)
        return false;
    if (g == NULL)
        return true;
    memcpy(g->lease_grantee, id, sizeof g->lease_grantee);
    g->lease_max_us = max_us;
    g->lease_settled = sqlite3_column_int(s, 3) != 0;
    return true;
}

static bool take_list(sqlite3_stmt *s, struct state_image *m)
{
    free(m->list);
    m->list = mem_strdup(text_at(s, 0));
    m->list_counted = sqlite3_column_int(s, 2) != 0;
    return epoch_at(s, 1, &m->list_version);
}

static bool take_option(sqlite3_stmt *s, struct state_image *m)
{
    state_options_add(&m->options, text_at(s, 0), text_at(s, 1), text_at(s, 2));
    return true;
}

static bool take_file_value(sqlite3_stmt *s, struct state_image *m)
{
    state_options_add(&m->file_values, text_at(s, 0), text_at(s, 1), text_at(s, 2));
    return true;
}

static const struct {
    const char *table, *sql;
    bool (*take)(sqlite3_stmt *s, struct state_image *m);
} tables_read[] = {
    {"meta", "SELECT id, epoch, joined FROM meta", take_meta},
    {"groups", "SELECT name, monitored, host, port, config_epoch, vote_epoch, vote_leader FROM groups ORDER BY place",
     take_group},
    {"replicas", "SELECT group_name, host, port FROM replicas", take_replica},
    {"peers", "SELECT group_name, host, port, id FROM peers", take_peer},
    {"fleets", "SELECT name, monitored, config_epoch, vote_epoch FROM fleets", take_fleet},
    {"swaps",
     "SELECT fleet, blank, promised, accepted, value, decided, version, begun, a, b, before_version, before_begun, "
     "before_a, before_b, asker, request, lists FROM swaps",
     take_swap},
    {"shards", "SELECT group_name, fleet FROM shards", take_shard},
    {"shard_nodes", "SELECT group_name, id, host, port FROM shard_nodes ORDER BY group_name, place", take_node},
    {"leases", "SELECT group_name, grantee, max_us, settled FROM leases", take_lease},
    {"lists", "SELECT list, version, counted FROM lists", take_list},
    {"options", "SELECT group_name, option, value FROM options", take_option},
    {"file_values", "SELECT group_name, option, value FROM file_values", take_file_value},
};

static bool read_table(struct state_db *d, size_t which, struct state_image *m, struct buf *error)
{
    sqlite3_stmt *s = NULL;
    bool sane = true;
    int rc = sqlite3_prepare_v2(d->db, tables_read[which].sql, -1, &s, NULL);
    while (rc == SQLITE_OK && sane) {
        rc = sqlite3_step(s);
        if (rc != SQLITE_ROW)
            break;
        sane = tables_read[which].take(s, m);
        rc = SQLITE_OK;
    }
    if (!sane) {
        char what[64];
        snprintf(what, sizeof what, "a row of table %s makes no sense", tables_read[which].table);
        say_damaged(d, what, error);
    } else if (rc != SQLITE_DONE) {
        sane = read_failed(d, error);
    }
    sqlite3_finalize(s);
    return sane;
}

bool state_schema_read(struct state_db *d, struct state_image *m, struct buf *error)
{
    *m = (struct state_image){.ngroups = 0};
    for (size_t i = 0; i < sizeof tables_read / sizeof tables_read[0]; i++) {
        if (!read_table(d, i, m, error)) {
            state_image_free(m);
            return false;
        }
    }
    return true;
}

static bool open_whole(struct state_db *d, bool may_create, struct state_image *image, struct buf *error)
{
    bool empty;
    *image = (struct state_image){.ngroups = 0};
    if (!state_db_connect(d, may_create, error) || !state_schema_recognise(d, may_create, &empty, error) ||
        !state_db_mode(d, error) || !(empty ? state_schema_create(d, error) : state_schema_check(d, error)) ||
        !state_schema_upgrade(d, error) || !state_schema_read(d, image, error))
        return false;
    if (state_db_prepare(d, error))
        return true;
    state_image_free(image);
    return false;
}

bool state_db_open(struct state_db *d, const char *dir, struct state_image *image, struct buf *error)
{
    struct buf path = {.n = 0};
    buf_printf(&path, "%s/state.db", dir);
    *d = (struct state_db){.path = mem_strdup(buf_str(&path))};
    buf_free(&path);
    if (open_whole(d, true, image, error))
        return true;
    state_db_free(d);
    return false;
}

/* After a flush that failed, the system may take the log's pages for written although they are not: a commit that is
 * appended to them could be lost with them. So all that the log holds goes into the database file first, and the log
 * starts over. */
static bool start_log_over(struct state_db *d, struct buf *error)
{
    int left = 0, moved = 0;
    if (sqlite3_wal_checkpoint_v2(d->db, "main", SQLITE_CHECKPOINT_RESTART, &left, &moved) == SQLITE_OK &&
        left == moved)
        return true;
    state_db_say(d, "cannot be written", error);
    return false;
}

bool state_db_reopen(struct state_db *d, const char *id, struct buf *error)
{
    struct state_image image;
    state_db_close(d);
    if (open_whole(d, false, &image, error)) {
        bool ours = strcmp(image.id, id) == 0;
        state_image_free(&image);
        if (ours && start_log_over(d, error))
            return true;
        if (!ours)
            buf_printf(error, "%s belongs to another supervisor now. End sentineld and put its own database back",
                       d->path);
    }
    state_db_close(d);
    return false;
}
