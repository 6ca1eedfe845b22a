#include "sentineld/shell/state_db.h"

#include "sentineld/shell/state_schema.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const texts[STATE_DB_STATEMENTS] = {
    [STATE_DB_BEGIN] = "BEGIN IMMEDIATE",
    [STATE_DB_COMMIT] = "COMMIT",
    [STATE_DB_ROLLBACK] = "ROLLBACK",
    [STATE_DB_SET_META] =
        "INSERT INTO meta (one, id, epoch, joined) VALUES (1, ?1, ?2, ?3) ON CONFLICT (one) DO UPDATE SET "
        "id = coalesce(nullif(?1, ''), id), epoch = ?2, joined = ?3",
    /* A vote is never taken back by a record that knows of none: a group that is removed and monitored again must not
       vote twice. */
    [STATE_DB_SET_GROUP] =
        "INSERT INTO groups (name, monitored, host, port, config_epoch, vote_epoch, vote_leader) VALUES (?1, ?2, ?3, "
        "?4, ?5, ?6, "
        "?7) ON CONFLICT (name) DO UPDATE SET monitored = ?2, host = ?3, port = ?4, config_epoch = ?5, "
        "vote_leader = CASE WHEN ?6 >= vote_epoch THEN ?7 ELSE vote_leader END, vote_epoch = max(vote_epoch, ?6)",
    [STATE_DB_CLEAR_REPLICAS] = "DELETE FROM replicas WHERE group_name = ?1",
    [STATE_DB_ADD_REPLICA] = "INSERT OR REPLACE INTO replicas (group_name, host, port) VALUES (?1, ?2, ?3)",
    [STATE_DB_CLEAR_PEERS] = "DELETE FROM peers WHERE group_name = ?1",
    [STATE_DB_ADD_PEER] = "INSERT OR REPLACE INTO peers (group_name, host, port, id) VALUES (?1, ?2, ?3, ?4)",
    [STATE_DB_SET_OPTION] = "INSERT OR REPLACE INTO options (group_name, option, value) VALUES (?1, ?2, ?3)",
    [STATE_DB_CLEAR_OPTION] = "DELETE FROM options WHERE group_name = ?1 AND option = ?2",
    [STATE_DB_CLEAR_OPTIONS] = "DELETE FROM options WHERE group_name = ?1",
    [STATE_DB_CLEAR_FILE_VALUE] = "DELETE FROM file_values WHERE group_name = ?1 AND option = ?2",
    [STATE_DB_ADD_FILE_VALUE] = "INSERT OR REPLACE INTO file_values (group_name, option, value) VALUES (?1, ?2, ?3)",
    /* As for groups: no record takes a vote back. */
    [STATE_DB_SET_FLEET] =
        "INSERT INTO fleets (name, monitored, config_epoch, vote_epoch) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) "
        "DO UPDATE SET monitored = ?2, config_epoch = ?3, vote_epoch = max(vote_epoch, ?4)",
    [STATE_DB_SET_SHARD] = "INSERT OR REPLACE INTO shards (group_name, fleet) VALUES (?1, ?2)",
    [STATE_DB_CLEAR_SHARD] = "DELETE FROM shards WHERE group_name = ?1",
    [STATE_DB_CLEAR_NODES] = "DELETE FROM shard_nodes WHERE group_name = ?1",
    [STATE_DB_ADD_NODE] =
        "INSERT OR REPLACE INTO shard_nodes (group_name, place, id, host, port) VALUES (?1, ?2, ?3, ?4, ?5)",
    [STATE_DB_SET_LEASE] =
        "INSERT OR REPLACE INTO leases (group_name, grantee, max_us, settled) VALUES (?1, ?2, ?3, ?4)",
    [STATE_DB_CLEAR_LEASE] = "DELETE FROM leases WHERE group_name = ?1",
    [STATE_DB_RENAME_LEASE] = "UPDATE leases SET group_name = ?2 WHERE group_name = ?1",
    [STATE_DB_SET_LIST] = "INSERT OR REPLACE INTO lists (one, list, version, counted) VALUES (1, ?1, ?2, ?3)",
    [STATE_DB_SET_SWAP] =
        "INSERT OR REPLACE INTO swaps (fleet, blank, promised, accepted, value, decided, version, begun, a, b, "
        "before_version, before_begun, before_a, before_b, asker, request, lists) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
        "?8, "
        "?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    [STATE_DB_CLEAR_GROUP] = "DELETE FROM groups WHERE name = ?1",
    [STATE_DB_RENAME_GROUP] = "UPDATE groups SET name = ?2 WHERE name = ?1",
    [STATE_DB_RENAME_REPLICAS] = "UPDATE replicas SET group_name = ?2 WHERE group_name = ?1",
    [STATE_DB_RENAME_PEERS] = "UPDATE peers SET group_name = ?2 WHERE group_name = ?1",
    [STATE_DB_RENAME_OPTIONS] = "UPDATE options SET group_name = ?2 WHERE group_name = ?1",
    [STATE_DB_RENAME_SHARD] = "UPDATE shards SET group_name = ?2 WHERE group_name = ?1",
    [STATE_DB_RENAME_NODES] = "UPDATE shard_nodes SET group_name = ?2 WHERE group_name = ?1",
};

static const char *plain_reason(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL: return "the disk is full";
    case SQLITE_IOERR: return "the disk reports an error";
    case SQLITE_READONLY: return "it is read-only";
    case SQLITE_CORRUPT: return "it is damaged";
    case SQLITE_NOTADB: return "it is not a database";
    case SQLITE_CANTOPEN: return "it cannot be opened";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "another process holds it";
    case SQLITE_PERM:
    case SQLITE_AUTH: return "permission denied";
    default: return "the database refuses";
    }
}

void state_db_say(const struct state_db *d, const char *what, struct buf *error)
{
    int code = d->db == NULL ? SQLITE_NOMEM : sqlite3_extended_errcode(d->db);
    int system = d->db == NULL ? 0 : sqlite3_system_errno(d->db);
    buf_printf(error, "%s %s: %s (%s, SQLite error %d", d->path, what, plain_reason(code),
               d->db == NULL ? "out of memory" : sqlite3_errmsg(d->db), code);
    if (system != 0 && ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN))
        buf_printf(error, ", %s", strerror(system));
    buf_putc(error, ')');
}

static int count_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct state_db *d = arg;
    d->wal_pages = pages;
    return SQLITE_OK;
}

/* state_schema.h */
bool state_db_connect(struct state_db *d, bool create, struct buf *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | (create ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(d->path, &d->db, flags, NULL) != SQLITE_OK) {
        state_db_say(d, "cannot be opened", error);
        return false;
    }
    sqlite3_extended_result_codes(d->db, 1);
    if (sqlite3_db_readonly(d->db, "main") == 1) {
        buf_printf(error,
                   "%s is read-only. The state directory must belong to the user that runs sentineld and be writable",
                   d->path);
        return false;
    }
    int keep = 1; /* the log's file stays when we close, so that a restart goes on overwriting it */
    sqlite3_file_control(d->db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
    /* The directory is ours for as long as we run (state_lock.h), so the log's index needs no shared memory file. */
    sqlite3_exec(d->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY", NULL, NULL, NULL);
    struct stat st;
    if (stat(d->path, &st) == 0) {
        d->device = st.st_dev;
        d->inode = st.st_ino;
    }
    return true;
}

bool state_db_mode(struct state_db *d, struct buf *error)
{
    if (sqlite3_exec(d->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK) {
        state_db_say(d, "cannot be used", error);
        return false;
    }
    sqlite3_wal_hook(d->db, count_pages, d); /* instead of the checkpoints that SQLite would make inside of a commit */
    d->wal_pages = 0;
    return true;
}

bool state_db_prepare(struct state_db *d, struct buf *error)
{
    for (size_t i = 0; i < STATE_DB_STATEMENTS; i++) {
        if (sqlite3_prepare_v3(d->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &d->statements[i], NULL) != SQLITE_OK) {
            state_db_say(d, "does not have the tables of this program", error);
            return false;
        }
    }
    return true;
}

void state_db_close(struct state_db *d)
{
    for (size_t i = 0; i < STATE_DB_STATEMENTS; i++) {
        sqlite3_finalize(d->statements[i]);
        d->statements[i] = NULL;
    }
    sqlite3_close(d->db);
    d->db = NULL;
}

void state_db_free(struct state_db *d)
{
    state_db_close(d);
    free(d->path);
    d->path = NULL;
}

bool state_db_usable(const struct state_db *d)
{
    return d->db != NULL;
}

/* Formats: 't' text, 'n' int64_t, 'd' int. */
static void bind(sqlite3_stmt *s, const char *format, va_list ap)
{
    for (int i = 0; format[i] != '\0'; i++) {
        switch (format[i]) {
        case 't': sqlite3_bind_text(s, i + 1, va_arg(ap, const char *), -1, SQLITE_STATIC); break;
        case 'n': sqlite3_bind_int64(s, i + 1, va_arg(ap, int64_t)); break;
        default: sqlite3_bind_int(s, i + 1, va_arg(ap, int)); break;
        }
    }
}

bool state_db_run(struct state_db *d, enum state_db_statement which, struct buf *error, const char *format, ...)
{
    sqlite3_stmt *s = d->statements[which];
    va_list ap;
    va_start(ap, format);
    bind(s, format, ap);
    va_end(ap);
    bool ok = sqlite3_step(s) == SQLITE_DONE;
    if (!ok)
        state_db_say(d, "cannot be written", error);
    sqlite3_reset(s);
    return ok;
}

/* Ends a transaction that failed. A full disk leaves the connection good; after any other fault it is not trusted
 * again. */
static bool fail(struct state_db *d)
{
    bool full = (sqlite3_extended_errcode(d->db) & 0xff) == SQLITE_FULL;
    if (!sqlite3_get_autocommit(d->db)) {
        sqlite3_step(d->statements[STATE_DB_ROLLBACK]);
        sqlite3_reset(d->statements[STATE_DB_ROLLBACK]);
    }
    if (!full || !sqlite3_get_autocommit(d->db))
        state_db_close(d);
    return false;
}

/* A database that was moved or deleted under us would take the votes with it. */
static bool still_there(struct state_db *d, struct buf *error)
{
    struct stat st;
    if (stat(d->path, &st) == 0 && st.st_dev == d->device && st.st_ino == d->inode)
        return true;
    buf_printf(
        error,
        "%s was taken away or replaced while sentineld uses it. Put it back, or end sentineld and start it again",
        d->path);
    return false;
}

bool state_db_begin(struct state_db *d, struct buf *error)
{
    if (!still_there(d, error)) {
        state_db_close(d);
        return false;
    }
    return state_db_run(d, STATE_DB_BEGIN, error, "") || fail(d);
}

bool state_db_commit(struct state_db *d, struct buf *error)
{
    return state_db_run(d, STATE_DB_COMMIT, error, "") || fail(d);
}

static bool set_members(struct state_db *d, const char *group, const struct addr *replicas, size_t nreplicas,
                        const struct sn_record_peer *peers, size_t npeers, struct buf *error)
{
    bool ok = state_db_run(d, STATE_DB_CLEAR_REPLICAS, error, "t", group) &&
              state_db_run(d, STATE_DB_CLEAR_PEERS, error, "t", group);
    for (size_t i = 0; ok && i < nreplicas; i++)
        ok = state_db_run(d, STATE_DB_ADD_REPLICA, error, "ttd", group, replicas[i].host, replicas[i].port);
    for (size_t i = 0; ok && i < npeers; i++)
        ok = state_db_run(d, STATE_DB_ADD_PEER, error, "ttdt", group, peers[i].addr.host, peers[i].addr.port,
                          peers[i].id);
    return ok;
}

static bool set_group(struct state_db *d, const char *name, bool monitored, const struct addr *master,
                      uint64_t config_epoch, uint64_t vote_epoch, const char *vote_leader, struct buf *error)
{
    return state_db_run(d, STATE_DB_SET_GROUP, error, "tdtdnnt", name, (int)monitored, master->host, master->port,
                        (int64_t)config_epoch, (int64_t)vote_epoch, vote_leader);
}

static bool set_shard(struct state_db *d, const char *group, const char *fleet, const struct sn_record_node *nodes,
                      size_t nnodes, struct buf *error)
{
    bool ok = state_db_run(d, STATE_DB_SET_SHARD, error, "tt", group, fleet) &&
              state_db_run(d, STATE_DB_CLEAR_NODES, error, "t", group);
    for (size_t i = 0; ok && i < nnodes; i++)
        ok = state_db_run(d, STATE_DB_ADD_NODE, error, "tdttd", group, (int)i, nodes[i].id, nodes[i].addr.host,
                          nodes[i].addr.port);
    return ok;
}

static bool clear_shard(struct state_db *d, const char *group, struct buf *error)
{
    return state_db_run(d, STATE_DB_CLEAR_SHARD, error, "t", group) &&
           state_db_run(d, STATE_DB_CLEAR_NODES, error, "t", group) &&
           state_db_run(d, STATE_DB_CLEAR_LEASE, error, "t", group);
}

static bool set_fleet(struct state_db *d, const char *name, bool monitored, uint64_t config_epoch, uint64_t vote_epoch,
                      struct buf *error)
{
    return state_db_run(d, STATE_DB_SET_FLEET, error, "tdnn", name, (int)monitored, (int64_t)config_epoch,
                        (int64_t)vote_epoch);
}

static bool set_lease(struct state_db *d, const char *group, const char *grantee, int64_t max_us, bool settled,
                      struct buf *error)
{
    return state_db_run(d, STATE_DB_SET_LEASE, error, "ttnd", group, grantee, max_us, (int)settled);
}

static bool set_list(struct state_db *d, const char *list, uint64_t version, bool counted, struct buf *error)
{
    return state_db_run(d, STATE_DB_SET_LIST, error, "tnd", list, (int64_t)version, (int)counted);
}

static bool set_swap(struct state_db *d, const char *fleet, const struct sn_swap *s, const char *lists,
                     struct buf *error)
{
    const struct sn_swap_entry *e = &s->entry;
    return state_db_run(d, STATE_DB_SET_SWAP, error, "tdnnddnnddnnddtnt", fleet, (int)s->blank, (int64_t)s->promised,
                        (int64_t)s->accepted, (int)e->value, (int)e->decided, (int64_t)e->step.version,
                        (int64_t)e->step.begun, e->step.a, e->step.b, (int64_t)e->before.version,
                        (int64_t)e->before.begun, e->before.a, e->before.b, e->asker, (int64_t)e->request, lists);
}

static bool rename_group(struct state_db *d, const char *from, const char *to, struct buf *error)
{
    static const enum state_db_statement clear[] = {STATE_DB_CLEAR_GROUP, STATE_DB_CLEAR_REPLICAS, STATE_DB_CLEAR_PEERS,
                                                    STATE_DB_CLEAR_OPTIONS, STATE_DB_CLEAR_LEASE},
                                         rename[] = {STATE_DB_RENAME_GROUP, STATE_DB_RENAME_REPLICAS,
                                                     STATE_DB_RENAME_PEERS, STATE_DB_RENAME_OPTIONS,
                                                     STATE_DB_RENAME_SHARD, STATE_DB_RENAME_NODES,
                                                     STATE_DB_RENAME_LEASE};
    bool ok = clear_shard(d, to, error);
    for (size_t i = 0; ok && i < sizeof clear / sizeof clear[0]; i++)
        ok = state_db_run(d, clear[i], error, "t", to);
    for (size_t i = 0; ok && i < sizeof rename / sizeof rename[0]; i++)
        ok = state_db_run(d, rename[i], error, "tt", from, to);
    return ok;
}

static bool apply(struct state_db *d, const struct sn_record *r, struct buf *error)
{
    const char *group = r->group == NULL ? "" : r->group;
    switch (r->kind) {
    case SN_REC_META: return state_db_run(d, STATE_DB_SET_META, error, "tnd", "", (int64_t)r->epoch, (int)r->joined);
    case SN_REC_GROUP:
        if (!set_group(d, group, r->monitored, &r->master, r->config_epoch, r->vote_epoch, r->vote_leader, error))
            return false;
        /* Of a group that was removed only the vote is kept: it must not be given twice when the group comes back. */
        return r->monitored || (set_members(d, group, NULL, 0, NULL, 0, error) &&
                                state_db_run(d, STATE_DB_CLEAR_OPTIONS, error, "t", group));
    case SN_REC_MEMBERS: return set_members(d, group, r->replicas, r->nreplicas, r->peers, r->npeers, error);
    case SN_REC_FLEET: return set_fleet(d, r->fleet, r->monitored, r->config_epoch, r->vote_epoch, error);
    case SN_REC_SHARD:
        return r->monitored ? set_shard(d, group, r->fleet, r->nodes, r->nnodes, error) : clear_shard(d, group, error);
    case SN_REC_RENAME: return rename_group(d, group, r->value, error);
    case SN_REC_LEASE: return set_lease(d, group, r->grantee, r->lease_max_us, r->lease_settled, error);
    case SN_REC_LIST: return set_list(d, r->value, r->epoch, r->joined, error);
    case SN_REC_SWAP: return set_swap(d, r->fleet, &r->swap, r->value, error);
    case SN_REC_FILE:
        if (r->value == NULL)
            return state_db_run(d, STATE_DB_CLEAR_FILE_VALUE, error, "tt", group, r->option);
        return state_db_run(d, STATE_DB_ADD_FILE_VALUE, error, "ttt", group, r->option, r->value);
    case SN_REC_OPTION:
        if (r->value == NULL)
            return state_db_run(d, STATE_DB_CLEAR_OPTION, error, "tt", group, r->option);
        return state_db_run(d, STATE_DB_SET_OPTION, error, "ttt", group, r->option, r->value);
    }
    return true;
}

bool state_db_apply(struct state_db *d, const struct sn_record *r, struct buf *error)
{
    return apply(d, r, error) || fail(d);
}

static bool replace(struct state_db *d, const struct state_image *m, struct buf *error)
{
    if (sqlite3_exec(
            d->db,
            "DELETE FROM groups; DELETE FROM replicas; DELETE FROM peers; DELETE FROM options; DELETE FROM "
            "file_values; "
            "DELETE FROM fleets; DELETE FROM shards; DELETE FROM shard_nodes; DELETE FROM leases; DELETE FROM lists; "
            "DELETE FROM swaps",
            NULL, NULL, NULL) != SQLITE_OK) {
        state_db_say(d, "cannot be written", error);
        return false;
    }
    bool ok = state_db_run(d, STATE_DB_SET_META, error, "tnd", m->id, (int64_t)m->epoch, (int)m->joined);
    for (size_t i = 0; ok && i < m->ngroups; i++) {
        const struct state_group *g = &m->groups[i];
        ok = set_group(d, g->name, g->monitored, &g->master, g->config_epoch, g->vote_epoch, g->vote_leader, error) &&
             set_members(d, g->name, g->replicas, g->nreplicas, g->peers, g->npeers, error) &&
             (g->fleet == NULL || set_shard(d, g->name, g->fleet, g->nodes, g->nnodes, error)) &&
             (g->lease_grantee[0] == '\0' ||
              set_lease(d, g->name, g->lease_grantee, g->lease_max_us, g->lease_settled, error));
    }
    if (ok && m->list != NULL)
        ok = set_list(d, m->list, m->list_version, m->list_counted, error);
    for (size_t i = 0; ok && i < m->nfleets; i++) {
        const struct state_fleet *f = &m->fleets[i];
        ok = set_fleet(d, f->name, f->monitored, f->config_epoch, f->vote_epoch, error) &&
             (f->swap_lists == NULL || set_swap(d, f->name, &f->swap, f->swap_lists, error));
    }
    for (size_t i = 0; ok && i < m->options.n; i++) {
        const struct state_option *o = &m->options.v[i];
        ok = state_db_run(d, STATE_DB_SET_OPTION, error, "ttt", o->group, o->option, o->value);
    }
    for (size_t i = 0; ok && i < m->file_values.n; i++) {
        const struct state_option *o = &m->file_values.v[i];
        ok = state_db_run(d, STATE_DB_ADD_FILE_VALUE, error, "ttt", o->group, o->option, o->value);
    }
    return ok;
}

bool state_db_replace(struct state_db *d, const struct state_image *image, struct buf *error)
{
    return replace(d, image, error) || fail(d);
}

bool state_db_checkpoint(struct state_db *d)
{
    int left = 0, moved = 0;
    if (d->db == NULL ||
        sqlite3_wal_checkpoint_v2(d->db, "main", SQLITE_CHECKPOINT_PASSIVE, &left, &moved) != SQLITE_OK ||
        left != moved)
        return false; /* nothing is lost: the log only goes on growing, and the commit that cannot be made will say why
                       */
    d->wal_pages = 0;
    /* The first commit into a log that starts over flushes twice. It is made here, where nobody waits for it. */
    sqlite3_exec(d->db, "UPDATE meta SET one = one", NULL, NULL, NULL);
    return true;
}
