#include "noded/repl/persist.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/latency.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define RETRY_MS 5000 /* after a snapshot that failed */

/* ---- settings ---- */

static void read_points(struct nd_persist *p)
{
    struct slice rest = slice_of(p->e->config.save);
    size_t cap = p->point_count = 0;
    free(p->points);
    p->points = NULL;
    while (rest.n > 0) {
        struct nd_save_point point;
        struct slice seconds = slice_cut(&rest, ' '), changes = slice_cut(&rest, ' ');
        if (!text_i64(seconds, &point.seconds) || !text_i64(changes, &point.changes))
            break; /* the setting lets nothing through that is not pairs of numbers */
        p->points = mem_grow(p->points, p->point_count, &cap, sizeof *p->points);
        p->points[p->point_count++] = point;
    }
}

/* Writes are refused while snapshots are wanted and fail. */
static void set_guard(struct nd_persist *p)
{
    struct nd_engine *e = p->e;
    if (!p->last_ok && p->point_count > 0 && e->config.stop_writes_on_bgsave_error)
        e->guards |= ND_GUARD_SNAPSHOT_FAILED;
    else
        e->guards &= ~(uint32_t)ND_GUARD_SNAPSHOT_FAILED;
}

void nd_persist_settings(struct nd_persist *p)
{
    read_points(p);
    set_guard(p);
}

struct nd_persist *nd_persist_new(struct nd_engine *e, const struct nd_persist_host *host)
{
    struct nd_persist *p = mem_zalloc(sizeof *p);
    p->e = e;
    p->host = *host;
    p->last_ok = true;
    p->last_duration_s = -1;
    p->last_save_s = e->now_ms / 1000; /* what was there at the start is saved */
    p->last_try_ms = 0;
    e->persist = p;
    nd_persist_settings(p);
    return p;
}

void nd_persist_free(struct nd_persist *p)
{
    if (p == NULL)
        return;
    p->e->persist = NULL;
    free(p->points);
    free(p);
}

/* ---- the child ---- */

static int64_t keys_in_all(const struct nd_engine *e)
{
    size_t n = 0;
    for (int i = 0; i < nd_keyspace_all(&e->keys); i++) {
        const struct nd_db *db = nd_keyspace_peek(&e->keys, i);
        n += db != NULL ? nd_db_count(db) : 0;
    }
    return (int64_t)n;
}

bool nd_persist_start(struct nd_persist *p, const struct nd_child_spec *spec, nd_child_ended_fn *ended, void *owner,
                      struct buf *why)
{
    struct nd_engine *e = p->e;
    int64_t fork_us = 0;
    if (p->child != ND_CHILD_NONE) {
        buf_puts(why, "another child process is active");
        return false;
    }
    if (!p->host.start(p->host.owner, spec, &fork_us, why))
        return false;
    p->child = spec->kind;
    p->child_is_stopped = false;
    p->ended = ended;
    p->ended_owner = owner;
    p->child_since_ms = e->now_ms;
    p->child_keys = keys_in_all(e);
    p->child_keys_done = 0;
    p->child_cow_bytes = p->child_cow_peak = p->child_cow_ms = 0;
    p->fork_us = fork_us;
    p->forks++;
    nd_latency_note(e, "fork", fork_us / 1000);
    nd_keyspace_keep_still(&e->keys, true);
    return true;
}

void nd_persist_stop(struct nd_persist *p)
{
    if (p->child == ND_CHILD_NONE || p->child_is_stopped)
        return;
    p->child_is_stopped = true;
    p->host.stop(p->host.owner);
}

void nd_persist_child_progress(struct nd_persist *p, int64_t keys, size_t cow_bytes)
{
    p->child_keys_done = keys;
    p->child_cow_bytes = (int64_t)cow_bytes;
    p->child_cow_ms = p->e->now_ms;
    if (p->child_cow_bytes > p->child_cow_peak)
        p->child_cow_peak = p->child_cow_bytes;
}

void nd_persist_child_ended(struct nd_persist *p, const struct nd_child_end *end)
{
    nd_child_ended_fn *ended = p->ended;
    void *owner = p->ended_owner;
    assert(p->child != ND_CHILD_NONE);
    p->child = ND_CHILD_NONE;
    p->ended = NULL;
    nd_keyspace_keep_still(&p->e->keys, false);
    ended(owner, end); /* may begin the next */
}

/* ---- snapshots ---- */

static void say(const struct nd_persist *p, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(const struct nd_persist *p, int level, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    p->e->host.log(p->e->host.owner, level, buf_str(&text));
    buf_free(&text);
}

static void on_saved(void *owner, const struct nd_child_end *end)
{
    struct nd_persist *p = owner;
    struct nd_engine *e = p->e;
    p->last_duration_s = (e->now_ms - p->child_since_ms) / 1000;
    p->last_cow_bytes = end->cow_bytes;
    if (end->ok) {
        p->last_ok = true;
        p->last_save_s = e->now_ms / 1000;
        if (e->saved < p->changes_at_start) /* they were not all saved by others since */
            e->saved = p->changes_at_start;
        say(p, ND_LOG_NOTICE, "The background save has ended: %s is whole, %zu bytes of memory were copied",
            e->config.dbfilename, end->cow_bytes);
    } else if (p->child_is_stopped) {
        say(p, ND_LOG_NOTICE, "The background save was stopped");
    } else {
        p->last_ok = false;
        say(p, ND_LOG_WARNING, "The background save failed: %s", end->why);
    }
    set_guard(p);
}

bool nd_persist_bgsave(struct nd_persist *p, struct buf *why)
{
    struct nd_engine *e = p->e;
    struct nd_child_spec spec = {.kind = ND_CHILD_SAVE, .path = e->config.dbfilename};
    struct buf reason = {0};
    if (p->child != ND_CHILD_NONE) {
        buf_puts(why, "another child process is active");
        return false;
    }
    p->saves++;
    p->save_scheduled = false;
    p->changes_at_start = e->changes;
    p->last_try_ms = e->now_ms;
    bool ok = nd_persist_start(p, &spec, on_saved, p, &reason);
    if (ok) {
        say(p, ND_LOG_NOTICE, "A background save has begun; the fork took %" PRId64 " us", p->fork_us);
    } else {
        p->last_ok = false;
        set_guard(p);
        say(p, ND_LOG_WARNING, "No background save: %s", buf_str(&reason));
        buf_put(why, reason.p, reason.n);
    }
    buf_free(&reason);
    return ok;
}

static void all_is_saved(struct nd_persist *p)
{
    p->e->saved = p->e->changes;
    p->last_save_s = p->e->now_ms / 1000;
}

bool nd_persist_save(struct nd_persist *p, struct buf *why)
{
    struct nd_engine *e = p->e;
    struct buf reason = {0};
    if (p->child == ND_CHILD_SAVE ||
        p->child == ND_CHILD_SYNC) /* it has an older dataset, which must not take this one's place */
        nd_persist_stop(p);
    bool ok = p->host.save(p->host.owner, e->config.dbfilename, &reason);
    if (ok) {
        all_is_saved(p);
        p->last_ok = true;
        set_guard(p);
        say(p, ND_LOG_NOTICE, "The dataset was saved: %s", e->config.dbfilename);
    } else {
        say(p, ND_LOG_WARNING, "The dataset could not be saved: %s", buf_str(&reason));
        buf_put(why, reason.p, reason.n);
    }
    buf_free(&reason);
    return ok;
}

bool nd_persist_flushed(struct nd_engine *e)
{
    struct nd_persist *p = e->persist;
    bool saved = false;
    if (p == NULL || e->loading)
        return false;
    if (p->child == ND_CHILD_SAVE)
        nd_persist_stop(p);
    if (p->point_count > 0) {
        struct buf why = {0};
        saved = nd_persist_save(p, &why); /* a failure is logged there; the command has done its work all the same */
        buf_free(&why);
    }
    return saved;
}

void nd_persist_loaded(struct nd_persist *p, int64_t loaded, int64_t expired)
{
    p->loaded_keys = loaded;
    p->loaded_expired = expired;
    all_is_saved(p);
}

/* ---- time ---- */

static bool may_try(const struct nd_persist *p)
{
    return p->last_ok || p->e->now_ms - p->last_try_ms > RETRY_MS;
}

/* When the first point is reached that has its changes: Unix ms; -1 none. A second counts when it is over. */
static int64_t due_ms(const struct nd_persist *p)
{
    int64_t at = -1;
    for (size_t i = 0; i < p->point_count; i++) {
        int64_t then = (p->last_save_s + p->points[i].seconds + 1) * 1000;
        if (nd_unsaved(p->e) >= p->points[i].changes && (at < 0 || then < at))
            at = then;
    }
    return at;
}

int64_t nd_persist_deadline(const struct nd_persist *p)
{
    const struct nd_engine *e = p->e;
    if (p->child != ND_CHILD_NONE || e->loading)
        return HEAP_NEVER;
    int64_t at = p->save_scheduled ? e->now_ms : due_ms(p);
    if (at < 0)
        return HEAP_NEVER;
    if (!p->last_ok && at <= p->last_try_ms + RETRY_MS)
        at = p->last_try_ms + RETRY_MS + 1;
    int64_t left_ms = at > e->now_ms ? at - e->now_ms : 0;
    return left_ms < (HEAP_NEVER - e->now_us) / 1000 ? e->now_us + left_ms * 1000 : HEAP_NEVER;
}

static void say_why(const struct nd_persist *p)
{
    const struct nd_engine *e = p->e;
    for (size_t i = 0; i < p->point_count; i++) {
        const struct nd_save_point *point = &p->points[i];
        if (nd_unsaved(e) >= point->changes && e->now_ms / 1000 - p->last_save_s > point->seconds) {
            say(p, ND_LOG_NOTICE, "%" PRId64 " changes in %" PRId64 " seconds: saving", point->changes, point->seconds);
            return;
        }
    }
}

void nd_persist_tick(struct nd_persist *p)
{
    const struct nd_engine *e = p->e;
    if (p->child != ND_CHILD_NONE || e->loading || !may_try(p))
        return;
    int64_t due = due_ms(p);
    if (!p->save_scheduled && (due < 0 || e->now_ms < due))
        return;
    struct buf why = {0};
    if (!p->save_scheduled)
        say_why(p);
    nd_persist_bgsave(p, &why); /* a failure is logged there, and tried again later */
    buf_free(&why);
}
