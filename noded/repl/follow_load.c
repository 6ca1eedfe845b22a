/* A snapshot of the master: taken into a file that is loaded then, loaded as it comes when there is nothing to lose, or
 * into a keyspace beside ours.
 *
 * Nothing of ours goes before it is known that what comes is whole (a file's checksum), that it can be loaded (a file
 * is read twice if there is something to lose), and that it is not an empty dataset of a history that we have never
 * heard of (replica-guard). */
#include "noded/repl/follow_state.h"

#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/expire.h"
#include "noded/cmd/lookup.h"
#include "noded/cmd/watch.h"
#include "noded/repl/aof_state.h"
#include "noded/repl/persist.h"
#include "noded/repl/serve.h"

#include <inttypes.h>
#include <string.h>

#define PIECE_BYTES ((size_t)64 * 1024)
#define STEP_US 2000
#define RETRY_US 1000000
#define LOOKED_AT_MAX 100000 /* keys, some milliseconds */

/* ---- the dataset ---- */

/* Freed elsewhere: a great dataset takes seconds. */
static void release(struct nd_engine *e, struct nd_db *db)
{
    struct nd_content *content = nd_db_detach(db);
    if (content != NULL)
        e->host.release_content(e->host.owner, content);
}

static void empty(struct nd_engine *e)
{
    for (int i = 0; i < nd_keyspace_all(&e->keys); i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db == NULL || nd_db_count(db) == 0)
            continue;
        nd_watch_db_changed(e, db, NULL);
        release(e, db);
    }
}

/* Keys that somebody watched, or that he found missing, are there now. */
static void tell_watchers(struct nd_engine *e)
{
    for (int i = 0; i < nd_keyspace_all(&e->keys); i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db != NULL && nd_db_count(db) > 0)
            nd_watch_db_changed(e, db, NULL);
    }
}

/* The append-only file of the old dataset ends here; that of the new one begins with all of it. A dataset that did not
 * come whole gets none: the old file stays what it was. */
void nd_follow_file(struct nd_following *f, bool on)
{
    struct nd_engine *e = f->r->e;
    struct nd_aof_state *aof = e->persist != NULL ? e->persist->aof : NULL;
    if (aof == NULL || !e->config.appendonly || on == (aof->mode != ND_AOF_OFF))
        return;
    if (on)
        nd_aof_start_over(aof);
    else
        nd_aof_switch(aof, false, NULL);
}

/* The dataset is another one from here on: whoever follows us has to begin anew, and a child that writes the old one
 * works in vain. */
static void leave_old(struct nd_following *f)
{
    struct nd_engine *e = f->r->e;
    if (e->persist != NULL && (e->persist->child == ND_CHILD_SAVE || e->persist->child == ND_CHILD_SYNC))
        nd_persist_stop(e->persist);
    nd_serve_drop_all(f->r, "the dataset is replaced by that of another history");
    nd_repl_close_backlog(f->r);
    nd_follow_file(f, false);
    nd_repl_new_history(f->r);
    f->r->offset = 0;
    f->in.began = true;
}

/* ---- what the reader finds ---- */

static void begin_anew(struct nd_following *f)
{
    if (f->in.began || f->in.take == ND_TAKE_ASIDE)
        return;
    leave_old(f);
    empty(f->r->e);
}

static bool on_aux(void *owner, struct slice key, struct slice value, struct buf *why)
{
    struct nd_following *f = owner;
    return nd_load_events.aux(&f->in.load, key, value, why);
}

static bool on_resize(void *owner, int db, uint64_t keys, uint64_t expiring, struct buf *why)
{
    struct nd_following *f = owner;
    /* Keys are to come, and the file is known to be whole. */
    if (keys > 0 && f->in.verified)
        begin_anew(f);
    if (!f->in.began && f->in.take != ND_TAKE_ASIDE)
        return true;
    return nd_load_events.resize(&f->in.load, db, keys, expiring, why);
}

static bool on_entry(void *owner, struct nd_rdb_entry *entry, struct buf *why)
{
    struct nd_following *f = owner;
    begin_anew(f);
    f->in.has_keys = true;
    return nd_load_events.entry(&f->in.load, entry, why);
}

static const struct nd_rdb_events load_events = {.aux = on_aux, .resize = on_resize, .entry = on_entry};

static bool on_check(void *owner, struct nd_rdb_entry *entry, struct buf *why)
{
    struct nd_following *f = owner;
    (void)why;
    f->in.has_keys = true;
    if (!entry->is_text)
        nd_value_free(&entry->value);
    return true;
}

static const struct nd_rdb_events check_events = {.entry = on_check};

static void new_reader(struct nd_following *f)
{
    struct nd_engine *e = f->r->e;
    struct nd_payload_in *in = &f->in;
    nd_load_init(&in->load, e, in->take == ND_TAKE_ASIDE ? &in->aside : NULL);
    in->load.bytes = (uint64_t)(in->length > 0 ? in->length : in->got);
    bool checked = in->take == ND_TAKE_FILE; /* while it came */
    in->reader = nd_rdb_reader_new(&e->config.limits, &e->keys, !checked && e->config.rdbchecksum, &load_events, f);
}

static void show_loading(struct nd_following *f, bool aside)
{
    struct nd_engine *e = f->r->e;
    f->in.shown = true;
    e->loading = !aside;
    e->async_loading = aside;
    if (e->persist != NULL)
        e->persist->loading = (struct nd_loading){
            .since_ms = e->now_ms,
            .total_bytes = (uint64_t)(f->in.length > 0 ? f->in.length : f->in.got),
            .async = aside,
        };
}

void nd_payload_progress(struct nd_following *f)
{
    struct nd_persist *p = f->r->e->persist;
    if (p != NULL && f->in.shown)
        p->loading.loaded_bytes = nd_rdb_offset(f->in.reader);
}

/* ---- its beginning and end ---- */

static bool related(const struct nd_following *f)
{
    const struct nd_repl *r = f->r;
    return strcmp(f->sync_id, r->id) == 0 || (r->id2_offset >= 0 && strcmp(f->sync_id, r->id2) == 0);
}

/* A replica keeps what has expired until its master says DEL: a master that has dropped it has lost nothing. Nearly
 * always the first key that is looked at lasts; where very many do not, the others are taken for lasting ones. */
static bool any_lasts(const struct nd_engine *e, struct nd_db *db, int slot, size_t *looked)
{
    struct nd_db_iter it;
    bool found = false;
    const struct nd_entry *entry;
    nd_db_iterate_slot(db, slot, &it);
    while (!found && (entry = nd_db_next(&it)) != NULL)
        found = ++*looked > LOOKED_AT_MAX || !nd_time_is_over(e->now_ms, entry);
    nd_db_iterate_stop(&it);
    return found;
}

/* Keys of slots that another shard has are no loss: they were left over when the slots went, or are still on their way
 * here. */
static bool is_ours(struct nd_cluster *cl, int slot)
{
    return cl == NULL || !cl_slot_assigned(cl->core, slot) || nd_cluster_shard_has(cl, slot);
}

static bool has_own_keys(const struct nd_engine *e)
{
    size_t looked = 0;
    for (int i = 0; i < nd_keyspace_all(&e->keys); i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db == NULL || nd_db_count(db) == 0)
            continue;
        for (int slot = 0; slot < (e->keys.slots ? CL_SLOTS : 1); slot++)
            if (nd_db_slot_count(db, slot) > 0 && is_ours(e->cluster, slot) && any_lasts(e, db, slot, &looked))
                return true;
    }
    return false;
}

static bool is_guarded(const struct nd_following *f)
{
    const struct nd_engine *e = f->r->e;
    return e->config.replica_guard && !f->in.began && strcmp(f->accepted, f->sync_id) != 0 && !related(f) &&
           has_own_keys(e);
}

static enum nd_take choose(const struct nd_following *f)
{
    int wanted = f->r->e->config.repl_diskless_load;
    if (f->by_file)
        return ND_TAKE_FILE;
    if (wanted == ND_DISKLESS_SWAPDB)
        return ND_TAKE_ASIDE;
    return wanted == ND_DISKLESS_EMPTY && nd_keyspace_count(&f->r->e->keys) == 0 ? ND_TAKE_HERE : ND_TAKE_FILE;
}

void nd_payload_begin(struct nd_following *f)
{
    f->in = (struct nd_payload_in){.length = -1, .take = choose(f)};
    f->say_us = f->r->e->now_us + 1000000;
    nd_follow_enter(f, ND_FOLLOW_RECEIVING);
}

/* The first line has been read: what follows is the file. */
bool nd_payload_open(struct nd_following *f)
{
    struct nd_payload_in *in = &f->in;
    struct nd_engine *e = f->r->e;
    in->head_seen = true;
    if (in->take == ND_TAKE_FILE) {
        struct buf why = {0};
        bool ok = f->host.file_open(f->host.owner, &why);
        if (!ok)
            nd_payload_failed(f, buf_str(&why));
        buf_free(&why);
        return ok;
    }
    if (in->take == ND_TAKE_ASIDE) {
        nd_keyspace_init(&in->aside, e->keys.db_count, e->keys.slots, e->keys.seed);
        in->aside_made = true;
    }
    new_reader(f);
    show_loading(f, in->take == ND_TAKE_ASIDE && strcmp(f->sync_id, f->r->id) == 0);
    return true;
}

void nd_payload_drop(struct nd_following *f)
{
    struct nd_payload_in *in = &f->in;
    struct nd_engine *e = f->r->e;
    nd_rdb_reader_free(in->reader);
    if (in->aside_made) {
        for (int i = 0; i < nd_keyspace_all(&in->aside); i++)
            if (nd_keyspace_peek(&in->aside, i) != NULL)
                release(e, nd_keyspace_peek(&in->aside, i));
        nd_keyspace_free(&in->aside);
    }
    if (in->began) { /* and it did not come to its end: what we had is lost here, not emptied */
        empty(e);
        nd_keyspace_loaded(&e->keys);
    }
    if (in->shown) {
        e->loading = e->async_loading = false;
        if (e->persist != NULL)
            e->persist->loading = (struct nd_loading){.since_ms = 0};
    }
    if (in->take == ND_TAKE_FILE && in->head_seen)
        f->host.file_drop(f->host.owner);
    buf_free(&in->held);
    buf_free(&in->chunk);
    *in = (struct nd_payload_in){.length = -1};
}

void nd_payload_failed(struct nd_following *f, const char *why)
{
    nd_follow_log(f, ND_LOG_WARNING, "The dataset of the master %s:%d could not be taken: %s", f->host_name, f->port,
                  why);
    nd_follow_retry(f, RETRY_US);
}

void nd_payload_unreadable(struct nd_following *f)
{
    struct buf why = {0};
    buf_printf(&why, "its dataset cannot be loaded: %s", nd_rdb_error(f->in.reader));
    if (f->in.take == ND_TAKE_FILE && f->in.verified)
        nd_follow_stop(f, buf_str(&why));
    else
        nd_payload_failed(f, buf_str(&why));
    f->by_file = true;
    buf_free(&why);
}

static void guarded(struct nd_following *f)
{
    bool first = strcmp(f->guarded, f->sync_id) != 0;
    memcpy(f->guarded, f->sync_id, sizeof f->guarded);
    nd_follow_log(
        f, first ? ND_LOG_WARNING : ND_LOG_VERBOSE,
        "replica-guard: the master %s:%d is empty, and its history %s is none of ours: what this replica has is "
        "kept. Supervisors let the empty dataset in when they know that the master was emptied and did not lose its "
        "data; REPLICAOF ACCEPT %s, said to this node, lets it in anyway",
        f->host_name, f->port, f->sync_id, f->sync_id);
    nd_follow_retry(f, RETRY_US);
}

/* The other keyspace takes the place of ours. */
static void put_in_place(struct nd_following *f)
{
    struct nd_engine *e = f->r->e;
    struct nd_keyspace *aside = &f->in.aside;
    for (int i = 0; i < nd_keyspace_all(&e->keys); i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db != NULL)
            nd_watch_db_changed(e, db, nd_keyspace_peek(aside, i));
    }
    nd_keyspace_exchange(&e->keys, aside);
}

static void wake_waiting(struct nd_engine *e)
{
    for (int i = 0; i < nd_keyspace_all(&e->keys); i++) {
        struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        if (db != NULL)
            nd_wait_db_ready(e, db);
    }
    nd_serve_ready(e);
}

void nd_payload_loaded(struct nd_following *f)
{
    struct nd_repl *r = f->r;
    struct nd_payload_in *in = &f->in;
    struct nd_persist *persist = r->e->persist;
    int64_t keys = in->load.loaded;
    if (!in->has_keys && is_guarded(f)) {
        guarded(f);
        return;
    }
    nd_load_take_epoch(&in->load);
    if (!in->began) {
        leave_old(f);
        if (in->take == ND_TAKE_ASIDE)
            put_in_place(f);
        else
            empty(r->e);
    }
    nd_keyspace_loaded(&r->e->keys);
    r->e->keys.lived |= in->load.emptied;
    tell_watchers(r->e);
    nd_repl_adopt_history(r, f->sync_id, f->sync_offset);
    in->began = false;
    int db = in->load.repl_stream_db;
    if (in->take == ND_TAKE_FILE) {
        f->host.file_keep(f->host.owner);
        in->head_seen = false; /* nothing to be dropped */
    }
    nd_payload_drop(f);
    nd_follow_log(f, ND_LOG_NOTICE, "In step with the master %s:%d: %" PRId64 " keys loaded", f->host_name, f->port,
                  keys);
    if (persist != NULL)
        nd_persist_loaded(persist, keys, 0);
    f->by_file = false;
    f->syncs_full++;
    nd_stream_begin(f, db);
    nd_follow_file(f, true);
    nd_expiry_wake(r->e);
    wake_waiting(r->e);
}

/* ---- loading the file ---- */

static void begin_loading(struct nd_following *f)
{
    new_reader(f);
    show_loading(f, false);
}

/* It can be loaded: so it is. */
static void checked(struct nd_following *f)
{
    struct nd_payload_in *in = &f->in;
    if (!in->has_keys && is_guarded(f)) {
        guarded(f);
        return;
    }
    nd_rdb_reader_free(in->reader);
    in->checking = in->has_keys = false;
    buf_clear(&in->chunk);
    in->chunk_used = 0;
    f->host.file_rewind(f->host.owner);
    begin_loading(f);
}

void nd_follow_flushed(struct nd_repl *r, const char *error)
{
    struct nd_following *f = r->following;
    if (f->state != ND_FOLLOW_FLUSHING)
        return;
    if (error != NULL) {
        nd_payload_failed(f, error);
        return;
    }
    f->in.has_keys = false;
    f->in.checking = nd_keyspace_count(&r->e->keys) > 0;
    if (f->in.checking)
        f->in.reader = nd_rdb_reader_new(&r->e->config.limits, &r->e->keys, false, &check_events, f);
    else
        begin_loading(f);
    nd_follow_enter(f, ND_FOLLOW_LOADING);
}

/* false: there is no more, or it has ended badly. */
static bool read_on(struct nd_following *f)
{
    struct buf *chunk = &f->in.chunk;
    if (f->in.chunk_used < chunk->n)
        return true;
    buf_clear(chunk);
    buf_reserve(chunk, PIECE_BYTES);
    f->in.chunk_used = 0;
    ptrdiff_t n = f->host.file_read(f->host.owner, chunk->p, PIECE_BYTES);
    if (n <= 0) {
        nd_payload_failed(f, n < 0 ? "the file cannot be read" : "the file ends too early");
        return false;
    }
    chunk->n = (size_t)n;
    return true;
}

void nd_payload_step(struct nd_following *f)
{
    const struct nd_host *host = &f->r->e->host;
    int64_t until_us = host->clock_us(host->owner) + STEP_US;
    do {
        if (!read_on(f))
            return;
        struct slice piece = {f->in.chunk.p + f->in.chunk_used, f->in.chunk.n - f->in.chunk_used};
        enum nd_rdb_status st = nd_rdb_feed(f->in.reader, &piece, PIECE_BYTES);
        f->in.chunk_used = f->in.chunk.n - piece.n;
        nd_payload_progress(f);
        if (st == ND_RDB_BAD) {
            nd_payload_unreadable(f);
            return;
        }
        if (st == ND_RDB_DONE) {
            if (f->in.checking)
                checked(f);
            else
                nd_payload_loaded(f);
            return;
        }
    } while (host->clock_us(host->owner) < until_us);
}
