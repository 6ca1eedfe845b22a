#include "noded/shell/aof.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "common/io/log.h"
#include "noded/cmd/latency.h"
#include "noded/repl/import.h"
#include "noded/repl/persist.h"
#include "noded/shell/aof_inner.h"
#include "noded/shell/clients.h"
#include "noded/shell/node.h"
#include "noded/shell/rdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what clients ask ---- */

enum nd_aof_wait aof_answers(const struct aof *a, bool wrote)
{
    return a != NULL ? nd_aof_answers(a->state, wrote) : ND_AOF_FREE;
}

uint64_t aof_put(const struct aof *a)
{
    return a != NULL ? a->state->put : 0;
}

/* ---- writing ---- */

void aof_feed(struct aof *a, const struct nd_effect_row *rows, size_t n)
{
    if (a != NULL) /* at the end it is closed before what may still have effects */
        nd_aof_feed(a->state, rows, n);
}

/* What a failed write has left of a unit must not stay in front of what comes: where it cannot be cut off, the rest of
 * it is what comes. */
static void take_back(struct aof *a, size_t done, int why)
{
    if (done > 0 && ftruncate(a->fd, (off_t)a->file_bytes) != 0) {
        io_log(IO_WARNING, "The last %zu bytes of the append-only file cannot be cut off again: %s", done,
               strerror(errno));
        a->file_bytes += done;
        nd_aof_wrote(a->state, done);
    }
    bool begins = !a->state->write_failed;
    nd_aof_write_failed(a->state, strerror(why));
    if (begins)
        clients_unsaved(a->node->clients);
}

/* LATENCY: of all writes, and of those beside a flush, beside a child and alone. */
static void note_write(const struct aof *a, int64_t began_us)
{
    struct nd_engine *e = a->node->engine;
    if (began_us == 0)
        return;
    nd_latency_end(e, "aof-write", began_us);
    if (a->state->syncing)
        nd_latency_end(e, "aof-write-pending-fsync", began_us);
    else
        nd_latency_end(e, e->persist->child != ND_CHILD_NONE ? "aof-write-active-child" : "aof-write-alone", began_us);
}

void aof_write(struct aof *a)
{
    const struct buf *pending = &a->state->pending;
    size_t done = 0;
    int error = 0;
    int64_t began_us = nd_latency_begin(a->node->engine);
    while (done < pending->n && error == 0) {
        ssize_t n = write(a->fd, pending->p + done, pending->n - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            error = n < 0 ? errno : ENOSPC;
    }
    note_write(a, began_us);
    if (error != 0) {
        take_back(a, done, error);
        return;
    }
    a->file_bytes += done;
    nd_aof_wrote(a->state, done);
}

/* ---- flushing ---- */

struct aof_thread *aof_worker(struct aof *a)
{
    if (a->thread == NULL)
        a->thread = aof_thread_new(io_loop_ev(a->node->loop));
    return a->thread;
}

struct flush {
    struct aof_job job;
    struct aof *a;
    int fd, error;
    int64_t took_us;
};

static void work_flush(struct aof_job *job)
{
    struct flush *f = (struct flush *)job;
    int64_t began_us = io_now_us();
    f->error = fdatasync(f->fd) == 0 ? 0 : errno;
    f->took_us = io_now_us() - began_us;
}

static void flush_done(struct aof_job *job)
{
    struct flush *f = (struct flush *)job;
    struct aof *a = f->a;
    struct nd_engine *e = a->node->engine;
    node_time(a->node);
    if (e->config.appendfsync == ND_FSYNC_ALWAYS)
        nd_latency_note(e, "aof-fsync-always", f->took_us / 1000);
    nd_aof_sync_ended(a->state, f->error == 0 ? NULL : strerror(f->error));
    clients_flush_ended(a->node->clients, f->error == 0);
    free(f);
}

static void flush(struct aof *a)
{
    struct flush *f = mem_zalloc(sizeof *f);
    f->job.work = work_flush;
    f->job.done = flush_done;
    f->a = a;
    f->fd = a->fd;
    nd_aof_sync_began(a->state);
    clients_flush_begins(a->node->clients);
    aof_thread_give(aof_worker(a), &f->job);
}

bool aof_ask_flush(struct aof *a)
{
    return a != NULL && nd_aof_ask_flush(a->state);
}

static void tell_flushed(struct aof *a)
{
    const char *error;
    if (nd_aof_asked_flush(a->state, &error) != ND_AOF_NOT_YET)
        nd_import_flushed(a->node->repl, error);
}

void aof_turn(struct aof *a)
{
    struct nd_aof_state *s = a->state;
    tell_flushed(a);
    if (s->mode == ND_AOF_OFF)
        return;
    if (a->fd >= 0 && nd_aof_may_write(s))
        aof_write(a);
    nd_aof_note_waiting(s);
    if (a->fd >= 0 && nd_aof_may_sync(s))
        flush(a);
    if (!s->sync_failed && !s->write_failed && nd_aof_answers(s, true) == ND_AOF_FREE)
        clients_hold_nothing(a->node->clients);
}

int64_t aof_deadline(const struct aof *a)
{
    return a != NULL ? nd_aof_deadline(a->state) : HEAP_NEVER;
}

void aof_tick(struct aof *a)
{
    if (a != NULL)
        nd_aof_tick(a->state);
}

/* ---- the first files ---- */

void aof_find_folder(struct aof *a)
{
    const struct nd_config *config = &a->node->engine->config;
    free(a->folder);
    free(a->prefix);
    a->folder = aof_path(config->dir, config->appenddirname);
    a->prefix = mem_strdup(config->appendfilename);
}

/* Two writers of one file would destroy it. */
bool aof_take_folder(struct aof *a, struct buf *why)
{
    size_t before = why->n;
    if (a->lock < 0)
        a->lock = aof_folder_lock(a->folder, why);
    return why->n == before;
}

void aof_leave_folder(struct aof *a)
{
    if (a->lock >= 0)
        close(a->lock);
    a->lock = -1;
}

/* A base of what is there, which is nothing or little: nobody has been served yet. */
static bool make_base(struct aof *a, struct buf *why)
{
    struct nd_engine *e = a->node->engine;
    struct nd_rdb_facts facts;
    nd_rdb_facts_now(e, &facts);
    facts.aof_base = true;
    facts.repl_id = NULL;
    facts.as_requests = !e->config.aof_use_rdb_preamble;
    facts.stamp_s = e->config.aof_timestamp_enabled ? e->now_ms / 1000 : 0;
    char *name = nd_aof_next_base(&a->manifest, a->prefix, !facts.as_requests), *path = aof_path(a->folder, name);
    bool ok = rdb_file_write(&e->keys, &facts, path, NULL, NULL, NULL, why);
    if (ok)
        nd_aof_manifest_add_base(&a->manifest, name);
    free(name);
    free(path);
    return ok;
}

static bool open_increment(struct aof *a, struct buf *why)
{
    const struct nd_aof_file *last = nd_aof_manifest_last(&a->manifest);
    if (last == NULL) {
        char *name = nd_aof_next_incr(&a->manifest, a->prefix);
        a->fd = aof_increment_create(a->folder, name, why);
        nd_aof_manifest_add_incr(&a->manifest, name);
        a->file_bytes = 0;
        free(name);
        return a->fd >= 0 && aof_manifest_save(a->folder, a->prefix, &a->manifest, NULL, why);
    }
    char *path = aof_path(a->folder, last->name);
    a->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    /* What was loaded is shown from now on, so it lies on disk, also where a crash came before the flush. */
    off_t end = a->fd >= 0 && fdatasync(a->fd) == 0 ? lseek(a->fd, 0, SEEK_END) : -1;
    if (end < 0)
        buf_printf(why, "%s cannot be opened for writing and flushed: %s", path, strerror(errno));
    a->file_bytes = (uint64_t)end;
    free(path);
    return end >= 0;
}

static uint64_t bytes_of(const struct aof *a, bool base_only)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < a->manifest.n; i++) {
        const struct nd_aof_file *file = &a->manifest.files[i];
        int64_t n = file->kind == ND_AOF_HISTORY || (base_only && file->kind != ND_AOF_BASE)
                        ? 0
                        : aof_file_bytes(a->folder, file->name);
        sum += n > 0 ? (uint64_t)n : 0;
    }
    return sum;
}

bool aof_go_on(struct aof *a, struct buf *why)
{
    struct buf told = {0};
    bool empty = nd_aof_manifest_empty(&a->manifest);
    if ((empty && !aof_folder_make(a->folder, why)) || !aof_take_folder(a, why))
        return false;
    rdb_temp_tidy(a->folder);
    if (empty && !make_base(a, why))
        return false;
    if (!open_increment(a, why))
        return false;
    aof_history_delete(a->folder, &a->manifest, &told);
    if (nd_aof_manifest_has(&a->manifest, ND_AOF_HISTORY)) {
        nd_aof_manifest_forget_history(&a->manifest);
        aof_manifest_save(a->folder, a->prefix, &a->manifest, NULL, &told);
    }
    if (told.n > 0)
        io_log(IO_WARNING, "Files of the append-only file that are of no use any more stay: %s", buf_str(&told));
    buf_free(&told);
    nd_aof_begin(a->state, bytes_of(a, false), bytes_of(a, true));
    return true;
}

void aof_start(struct aof *a)
{
    aof_find_folder(a);
    aof_load_start(a);
}

/* ---- opening and closing ---- */

static bool host_rewrite(void *owner, struct buf *why)
{
    return aof_rewrite_start(owner, why);
}

/* Blocks: all that was executed is on disk. */
static bool settle(struct aof *a, struct buf *why)
{
    struct nd_aof_state *s = a->state;
    if (a->thread != NULL)
        aof_thread_wait(a->thread);
    if (s->pending.n > 0)
        aof_write(a);
    if (s->pending.n > 0) {
        buf_printf(why, "the last %zu bytes cannot be written: %s", s->pending.n, a->node->engine->guard_reason);
        return false;
    }
    if (!s->sync_failed && fdatasync(a->fd) != 0)
        nd_aof_sync_ended(s, strerror(errno));
    if (s->sync_failed) {
        buf_printf(why, "what was written last may not be on disk: %s", a->node->engine->guard_reason);
        return false;
    }
    nd_aof_synced_to(s, s->put);
    clients_hold_nothing(a->node->clients);
    return true;
}

bool aof_is_beginning(const struct aof *a)
{
    return a != NULL && a->state->mode == ND_AOF_WAITS && a->state->rewriting;
}

bool aof_may_end(struct aof *a, struct buf *why)
{
    if (a == NULL || a->state->mode == ND_AOF_OFF)
        return true;
    if (aof_is_beginning(a)) {
        buf_puts(why, "its first base is being written");
        return false;
    }
    return a->fd < 0 || settle(a, why);
}

/* It is the end of the file, and of the promises that hang on it: whoever waits still is told what became of them. */
void aof_finish(struct aof *a)
{
    struct buf why = {0};
    if (a == NULL)
        return;
    aof_rewrite_give_up(a);
    if (a->thread != NULL)
        aof_thread_wait(a->thread);
    if (a->fd >= 0 && !settle(a, &why)) {
        io_log(IO_WARNING, "The append-only file ends without all that was executed: %s", buf_str(&why));
        clients_unsaved(a->node->clients);
    }
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    aof_leave_folder(a);
    buf_free(&why);
}

static void host_close(void *owner)
{
    aof_finish(owner);
}

static bool reload(struct aof *a, bool *emptied, struct buf *why)
{
    if (a->thread != NULL)
        aof_thread_wait(a->thread);
    if (a->fd >= 0)
        aof_write(a);
    if (a->state->pending.n > 0) {
        buf_puts(why, "what waits for the append-only file cannot be written");
        return false;
    }
    if (a->state->mode == ND_AOF_OFF)
        aof_find_folder(a);
    *emptied = true;
    struct nd_keyspace *keys = &a->node->engine->keys;
    for (int i = 0; i < nd_keyspace_all(keys); i++) {
        struct nd_db *db = nd_keyspace_peek(keys, i);
        if (db != NULL)
            nd_db_clear(db);
    }
    return aof_load_whole(a, why);
}

static void on_reload(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct aof *a = w->data;
    struct buf why = {0};
    node_time(a->node);
    bool emptied = false, ok = reload(a, &emptied, &why);
    if (!ok)
        io_log(IO_WARNING, "DEBUG LOADAOF: %s", buf_str(&why));
    buf_free(&why);
    if (!ok && emptied) { /* nobody may see what is half a dataset, nor may the files become it */
        io_log(IO_WARNING, "The dataset is not whole any more: the program ends");
        a->node->failed = true;
        node_stop(a->node);
        return;
    }
    nd_aof_reloaded(a->state, ok);
    node_touch(a->node);
}

static void host_load(void *owner)
{
    struct aof *a = owner;
    ev_timer_set(&a->reload, 0., 0.);
    ev_timer_start(io_loop_ev(a->node->loop), &a->reload);
}

struct aof *aof_open(struct node *n)
{
    struct aof *a = mem_zalloc(sizeof *a);
    struct nd_aof_host host = {.owner = a, .rewrite = host_rewrite, .close = host_close, .load = host_load};
    a->node = n;
    a->fd = a->lock = -1;
    ev_timer_init(&a->reload, on_reload, 0., 0.);
    a->reload.data = a;
    a->state = nd_aof_new(n->engine, &host);
    n->engine->persist->aof = a->state;
    return a;
}

void aof_close(struct aof *a)
{
    if (a == NULL)
        return;
    ev_timer_stop(io_loop_ev(a->node->loop), &a->reload);
    aof_finish(a);
    a->node->engine->persist->aof = NULL;
    a->node->aof = NULL;
    aof_load_free(a->load);
    aof_thread_free(a->thread);
    nd_aof_manifest_free(&a->manifest);
    nd_aof_free(a->state);
    free(a->folder);
    free(a->prefix);
    free(a);
}
