/* The append-only file is written anew: a child process writes the dataset as the next base, while effects from then on
 * go into the next increment.
 *
 * Every step leaves a set of files that loads to the same dataset. First all that was written is flushed, and a
 * manifest names the new increment behind the old ones: the two lie on disk before the first byte is written to the new
 * one. When the child has made the base, a manifest names it and the new increment, and what was before as history;
 * then that is deleted. A rewrite that fails anywhere leaves the base as it was and one increment more. */
#include "noded/shell/aof_inner.h"

#include "common/base/mem.h"
#include "common/io/log.h"
#include "noded/repl/persist.h"
#include "noded/shell/node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct aof_rewrite {
    struct aof *a; /* NULL: given up; only the child's end is waited for */
    char *folder, *prefix;
    char *base, *increment; /* names; increment NULL: the file is off, and only its base is made anew */
    char *base_path;
    /* The manifest names the increment from the beginning; else only together with the base: when the file was off, or
     * when the old increment is not to be trusted. */
    bool named;
    bool exchange_over, exchanged;
    bool child_over, child_ok;
    size_t cow_bytes;
};

/* One for each of the two steps on disk. */
struct step {
    struct aof_job job;
    struct aof_rewrite *r;
    char *folder, *prefix, *increment;
    struct nd_aof_manifest next; /* to be saved, and then the one of struct aof */
    int old_fd, new_fd;
    bool save, ok, told_of_files;
    int64_t base_bytes;
    struct buf why;
};

static void free_rewrite(struct aof_rewrite *r)
{
    free(r->folder);
    free(r->prefix);
    free(r->base);
    free(r->increment);
    free(r->base_path);
    free(r);
}

static struct step *new_step(struct aof_rewrite *r, void (*work)(struct aof_job *), void (*done)(struct aof_job *))
{
    struct step *s = mem_zalloc(sizeof *s);
    s->job.work = work;
    s->job.done = done;
    s->r = r;
    s->folder = mem_strdup(r->folder);
    s->prefix = mem_strdup(r->prefix);
    s->old_fd = s->new_fd = -1;
    nd_aof_manifest_copy(&s->next, &r->a->manifest);
    return s;
}

static void free_step(struct step *s)
{
    free(s->folder);
    free(s->prefix);
    free(s->increment);
    nd_aof_manifest_free(&s->next);
    buf_free(&s->why);
    free(s);
}

static void adopt_manifest(struct aof *a, struct step *s)
{
    nd_aof_manifest_free(&a->manifest);
    a->manifest = s->next;
    s->next = (struct nd_aof_manifest){0};
}

/* ---- the end of it ---- */

static void fail(struct aof_rewrite *r, const char *why)
{
    struct aof *a = r->a;
    io_log(IO_WARNING, "The rewrite of the append-only file failed, the files from before stand: %s", why);
    nd_aof_rewrite_ended(a->state, false, 0, r->cow_bytes);
    if (a->state->mode == ND_AOF_WAITS && a->fd >= 0) { /* an increment of nothing */
        char *path = aof_path(r->folder, r->increment);
        close(a->fd);
        a->fd = -1;
        unlink(path);
        free(path);
    }
    unlink(r->base_path);
    if (a->state->mode == ND_AOF_OFF)
        aof_leave_folder(a);
    a->rewrite = NULL;
    r->a = NULL;
    if (r->child_over)
        free_rewrite(r);
    else
        nd_persist_stop(a->node->engine->persist);
}

void aof_rewrite_give_up(struct aof *a)
{
    if (a->thread != NULL)
        aof_thread_wait(a->thread); /* a step that is under way comes to its end */
    if (a->rewrite != NULL)
        fail(a->rewrite, "it was given up");
}

static void work_finish(struct aof_job *job)
{
    struct step *s = (struct step *)job;
    bool replaced;
    const struct nd_aof_file *base = nd_aof_manifest_base(&s->next);
    s->base_bytes = aof_file_bytes(s->folder, base->name);
    s->ok = aof_manifest_save(s->folder, s->prefix, &s->next, &replaced, &s->why);
    if (!s->ok) {
        s->told_of_files = replaced; /* the new files count, but nobody knows whether they do after a crash */
        return;
    }
    aof_history_delete(s->folder, &s->next, &s->why);
    nd_aof_manifest_forget_history(&s->next);
    aof_manifest_save(s->folder, s->prefix, &s->next, NULL, &s->why);
}

static void finish_done(struct aof_job *job)
{
    struct step *s = (struct step *)job;
    struct aof_rewrite *r = s->r;
    struct aof *a = r->a;
    node_time(a->node);
    if (s->ok || s->told_of_files) {
        if (s->why.n > 0)
            io_log(IO_WARNING, "After the rewrite of the append-only file: %s", buf_str(&s->why));
        adopt_manifest(a, s);
        a->rewrite = NULL;
        uint64_t size = (uint64_t)s->base_bytes + (r->increment != NULL ? a->file_bytes : 0);
        nd_aof_rewrite_ended(a->state, true, size, r->cow_bytes);
        io_log(IO_NOTICE,
               "The append-only file was rewritten: %s has %" PRId64 " bytes; copied meanwhile: %zu bytes of "
               "memory",
               r->base, s->base_bytes, r->cow_bytes);
        if (a->state->mode == ND_AOF_OFF)
            aof_leave_folder(a);
        if (!s->ok) /* nobody knows which set a crash would leave: there must be another one */
            nd_aof_sync_ended(a->state, "the folder cannot be flushed");
        free_rewrite(r);
    } else {
        fail(r, buf_str(&s->why));
    }
    free_step(s);
}

/* Both must be over: the child, and the exchange of the increments. */
static void go_on(struct aof_rewrite *r)
{
    if (!r->child_over || !r->exchange_over)
        return;
    struct step *s = new_step(r, work_finish, finish_done);
    nd_aof_manifest_add_base(&s->next, r->base);
    if (r->increment != NULL && !r->named)
        nd_aof_manifest_add_incr(&s->next, r->increment);
    nd_aof_manifest_retire(&s->next, r->increment != NULL ? 1 : 0);
    aof_thread_give(aof_worker(r->a), &s->job);
}

/* ---- from one increment to the next ---- */

static void work_exchange(struct aof_job *job)
{
    struct step *s = (struct step *)job;
    bool saved = true;
    if (s->save && s->old_fd >= 0 && fdatasync(s->old_fd) != 0) {
        buf_printf(&s->why, "flushing the old increment: %s", strerror(errno));
        return;
    }
    s->new_fd = aof_increment_create(s->folder, s->increment, &s->why);
    if (s->new_fd < 0)
        return;
    if (s->save)
        aof_manifest_save(s->folder, s->prefix, &s->next, &saved, &s->why);
    else
        saved = aof_folder_flush(s->folder, &s->why);
    s->ok = saved;
    if (s->ok && s->old_fd >= 0) {
        close(s->old_fd);
    } else if (!s->ok) {
        char *path = aof_path(s->folder, s->increment);
        close(s->new_fd);
        unlink(path);
        free(path);
    }
}

static void exchange_done(struct aof_job *job)
{
    struct step *s = (struct step *)job;
    struct aof_rewrite *r = s->r;
    struct aof *a = r->a;
    node_time(a->node);
    a->state->exchanging = false;
    r->exchange_over = true;
    if (s->ok) {
        a->fd = s->new_fd;
        a->file_bytes = 0;
        if (s->save)
            adopt_manifest(a, s);
        if (s->save)
            nd_aof_synced_to(a->state, a->state->fork_at);
        if (s->why.n > 0) /* what is written to the new increment is on disk, its name may not be */
            nd_aof_sync_ended(a->state, buf_str(&s->why));
        if (r->child_over && !r->child_ok)
            fail(r, "the child process failed");
        else
            go_on(r);
    } else {
        fail(r, buf_str(&s->why));
    }
    free_step(s);
}

static void exchange(struct aof_rewrite *r)
{
    struct aof *a = r->a;
    struct step *s = new_step(r, work_exchange, exchange_done);
    s->increment = mem_strdup(r->increment);
    s->old_fd = a->fd;
    s->save = r->named;
    if (s->save)
        nd_aof_manifest_add_incr(&s->next, r->increment);
    a->state->exchanging = true;
    aof_thread_give(aof_worker(a), &s->job);
}

/* ---- the child ---- */

static void child_ended(void *owner, const struct nd_child_end *end)
{
    struct aof_rewrite *r = owner;
    r->child_over = true;
    r->child_ok = end->ok;
    r->cow_bytes = end->cow_bytes;
    if (r->a == NULL) { /* given up: what it may have made is of no use */
        unlink(r->base_path);
        free_rewrite(r);
    } else if (end->ok) {
        go_on(r);
    } else if (r->exchange_over) {
        fail(r, end->why);
    } else {
        io_log(IO_WARNING, "The child process that was to rewrite the append-only file failed: %s", end->why);
    }
}

/* ---- the beginning ---- */

/* What is on disk is known while the file is on; else it has to be looked for. */
static bool know_files(struct aof *a, struct buf *why)
{
    bool found;
    if (a->state->mode == ND_AOF_ON)
        return true;
    aof_leave_folder(a);
    aof_find_folder(a);
    nd_aof_manifest_free(&a->manifest);
    return aof_folder_make(a->folder, why) && aof_take_folder(a, why) &&
           aof_manifest_read(a->folder, a->prefix, &a->manifest, &found, why);
}

/* Effects from before must stand in the increment that ends now. */
static bool write_before(struct aof *a, struct buf *why)
{
    struct nd_aof_state *s = a->state;
    if (s->mode != ND_AOF_ON)
        return true;
    if (s->pending.n > 0)
        aof_write(a);
    if (s->pending.n == 0)
        return true;
    buf_puts(why, "what waits to be written cannot be written");
    return false;
}

bool aof_rewrite_start(struct aof *a, struct buf *why)
{
    struct nd_engine *e = a->node->engine;
    if (a->rewrite != NULL) {
        buf_puts(why, "the rewrite before is not over");
        return false;
    }
    if (!know_files(a, why) || !write_before(a, why))
        return false;
    struct aof_rewrite *r = mem_zalloc(sizeof *r);
    bool rdb = e->config.aof_use_rdb_preamble;
    r->a = a;
    r->folder = mem_strdup(a->folder);
    r->prefix = mem_strdup(a->prefix);
    r->base = nd_aof_next_base(&a->manifest, a->prefix, rdb);
    r->base_path = aof_path(a->folder, r->base);
    if (a->state->mode != ND_AOF_OFF)
        r->increment = nd_aof_next_incr(&a->manifest, a->prefix);
    r->named = a->state->mode == ND_AOF_ON && !a->state->sync_failed;
    struct nd_child_spec spec = {.kind = ND_CHILD_REWRITE, .path = r->base_path, .as_requests = !rdb};
    if (!nd_persist_start(e->persist, &spec, child_ended, r, why)) {
        free_rewrite(r);
        return false;
    }
    a->rewrite = r;
    nd_aof_rewrite_began(a->state);
    io_log(IO_NOTICE, "The append-only file is being rewritten: %s", r->base);
    if (r->increment != NULL)
        exchange(r);
    else
        r->exchange_over = true;
    return true;
}
