#include "noded/repl/aof_state.h"

#include "common/base/mem.h"
#include "noded/repl/aof_base.h"
#include "noded/repl/persist.h"
#include "noded/repl/repl.h"
#include "noded/repl/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)
#define WAIT_MAX_US (2 * SECOND_US) /* for a flush, before answers wait too */
#define FAILURES_FREE 3             /* rewrites in a row that may fail before the next one waits */
#define BACKOFF_MAX_S 3600
#define PUT_OFF_US (2 * SECOND_US)         /* a rewrite, behind slots that have come */
#define PENDING_KEPT ((size_t)1024 * 1024) /* memory that stays for the next turns */

struct nd_aof_state *nd_aof_new(struct nd_engine *e, const struct nd_aof_host *host)
{
    struct nd_aof_state *s = mem_zalloc(sizeof *s);
    s->e = e;
    s->host = *host;
    s->db = -1;
    s->last_rewrite_ok = true;
    s->last_rewrite_s = -1;
    return s;
}

void nd_aof_free(struct nd_aof_state *s)
{
    if (s == NULL)
        return;
    buf_free(&s->pending);
    free(s);
}

static void say(const struct nd_aof_state *s, int level, const char *text)
{
    s->e->host.log(s->e->host.owner, level, text);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool child_lives(const struct nd_aof_state *s)
{
    return s->e->persist != NULL && s->e->persist->child != ND_CHILD_NONE;
}

/* ---- on and off ---- */

static void forget_pending(struct nd_aof_state *s)
{
    buf_free(&s->pending);
    s->written = s->synced = s->put;
    s->waits_since_us = 0;
    s->delayed = false;
}

static void guard(struct nd_aof_state *s, const char *why)
{
    struct nd_engine *e = s->e;
    bool failed = s->mode == ND_AOF_ON && (s->write_failed || s->sync_failed);
    if (!failed) {
        e->guards &= ~(uint32_t)ND_GUARD_AOF_FAILED;
        return;
    }
    e->guards |= ND_GUARD_AOF_FAILED;
    if (why != NULL)
        snprintf(e->guard_reason, sizeof e->guard_reason, "%s", why);
}

static void switch_off(struct nd_aof_state *s)
{
    s->host.close(s->host.owner);
    s->mode = ND_AOF_OFF;
    s->recording = s->scheduled = false;
    s->write_failed = s->sync_failed = false;
    forget_pending(s);
    guard(s, NULL);
}

bool nd_aof_switch(struct nd_aof_state *s, bool on, struct buf *why)
{
    if (on == (s->mode != ND_AOF_OFF))
        return true;
    if (!on) {
        switch_off(s);
        return true;
    }
    s->mode = ND_AOF_WAITS;
    s->try_after_us = 0;
    if (child_lives(s) || s->rewriting || s->e->depth > 1) { /* a transaction is not to be cut in two by the fork */
        s->scheduled = true;
        return true;
    }
    if (s->host.rewrite(s->host.owner, why))
        return true;
    s->mode = ND_AOF_OFF;
    return false;
}

void nd_aof_start_over(struct nd_aof_state *s)
{
    if (s->mode != ND_AOF_OFF)
        switch_off(s);
    s->mode = ND_AOF_WAITS;
    s->try_after_us = 0; /* the next tick begins it */
}

void nd_aof_begin(struct nd_aof_state *s, uint64_t size, uint64_t base_size)
{
    s->mode = ND_AOF_ON;
    s->recording = true;
    s->db = -1;
    s->stamp_s = 0;
    s->size = size;
    s->base_size = base_size;
    s->sync_began_us = s->e->now_us;
    forget_pending(s);
}

/* ---- what goes in ---- */

static void put_stamp(struct nd_aof_state *s)
{
    int64_t now_s = s->e->now_ms / 1000;
    if (now_s <= s->stamp_s)
        return;
    s->stamp_s = now_s;
    buf_printf(&s->pending, "#TS:%" PRId64 "\r\n", now_s);
}

/* What the numbers of databases mean from here on: the setting may be another one than it was when the file began. */
static void put_databases(struct nd_aof_state *s)
{
    const struct nd_keyspace *k = &s->e->keys;
    if (s->db < 0 && k->shadows > 0)
        buf_printf(&s->pending, ND_AOF_NOTE_DATABASES "%d\r\n", k->db_count);
}

void nd_aof_feed(struct nd_aof_state *s, const struct nd_effect_row *rows, size_t n)
{
    if (!s->recording || s->e->loading)
        return;
    size_t before = s->pending.n;
    if (s->e->config.aof_timestamp_enabled)
        put_stamp(s);
    size_t unsaid = s->pending.n;
    put_databases(s);
    size_t said = s->pending.n;
    nd_stream_put(&s->pending, &s->db, rows, n, false);
    if (s->pending.n == said)
        s->pending.n = unsaid; /* nothing came behind it */
    s->put += s->pending.n - before;
}

/* ---- writing ---- */

static bool is_always(const struct nd_aof_state *s)
{
    return s->mode == ND_AOF_ON && s->e->config.appendfsync == ND_FSYNC_ALWAYS;
}

/* While a flush is under way the kernel may let whoever writes wait for it. */
bool nd_aof_may_write(const struct nd_aof_state *s)
{
    if (s->pending.n == 0 || s->exchanging || (s->write_failed && s->e->now_us < s->retry_us))
        return false;
    return !s->syncing || s->e->config.appendfsync == ND_FSYNC_NO;
}

void nd_aof_note_waiting(struct nd_aof_state *s)
{
    if (s->pending.n == 0 || s->write_failed) {
        s->waits_since_us = 0;
        s->delayed = false;
    } else if (s->waits_since_us == 0) {
        s->waits_since_us = s->e->now_us;
    } else if (!s->delayed && s->e->now_us - s->waits_since_us >= WAIT_MAX_US) {
        s->delayed = true;
        s->delayed_count++;
        say(s, ND_LOG_NOTICE,
            "The disk is slow: flushing the append-only file takes more than two seconds. Answers wait until what they "
            "tell of is written");
    }
}

void nd_aof_wrote(struct nd_aof_state *s, size_t n)
{
    assert(n <= s->pending.n);
    s->written += n;
    s->size += n;
    if (n < s->pending.n)
        buf_drop(&s->pending, n);
    else if (s->pending.cap > PENDING_KEPT)
        buf_free(&s->pending);
    else
        buf_clear(&s->pending);
    if (s->pending.n > 0)
        return;
    s->waits_since_us = 0;
    s->delayed = false;
    if (!s->write_failed)
        return;
    s->write_failed = false;
    guard(s, NULL);
    say(s, ND_LOG_WARNING, "The append-only file can be written again; all that waited is written");
}

void nd_aof_write_failed(struct nd_aof_state *s, const char *why)
{
    s->retry_us = s->e->now_us + SECOND_US;
    if (!s->write_failed) {
        s->failed_turn_us = s->e->turn_us;
        struct buf text = {0};
        buf_printf(&text,
                   "The append-only file cannot be written: %s. Writes are refused (MISCONF); %zu bytes wait in memory "
                   "and are tried again each second. What to do: make room on the disk, or find out what is wrong with "
                   "it",
                   why, s->pending.n);
        say(s, ND_LOG_WARNING, buf_str(&text));
        buf_free(&text);
    }
    s->write_failed = true;
    guard(s, why);
}

/* ---- flushing ---- */

bool nd_aof_may_sync(const struct nd_aof_state *s)
{
    const struct nd_config *config = &s->e->config;
    if (s->mode != ND_AOF_ON || s->syncing || s->exchanging || s->sync_failed || s->written == s->synced)
        return false;
    if (s->asked && s->synced < s->asked_to)
        return true;
    if (config->no_appendfsync_on_rewrite && child_lives(s))
        return false;
    if (config->appendfsync == ND_FSYNC_EVERYSEC)
        return s->e->now_us - s->sync_began_us >= SECOND_US;
    return config->appendfsync == ND_FSYNC_ALWAYS;
}

void nd_aof_sync_began(struct nd_aof_state *s)
{
    s->syncing = true;
    s->sync_to = s->written;
    s->sync_began_us = s->e->now_us;
}

/* After a failure the kernel may have dropped the pages and call the next flush a success: the file is not to be
 * trusted any more, whatever comes. */
void nd_aof_sync_ended(struct nd_aof_state *s, const char *why)
{
    s->syncing = false;
    if (why == NULL) {
        if (s->sync_to > s->synced)
            s->synced = s->sync_to;
        return;
    }
    if (s->mode != ND_AOF_ON)
        return;
    s->sync_failed = true;
    s->failed_turn_us = s->e->turn_us;
    s->try_after_us = 0;
    guard(s, why);
    struct buf text = {0};
    buf_printf(&text,
               "Flushing the append-only file failed: %s. What was written last may not be on disk. Writes are refused "
               "(MISCONF) until the dataset has been rewritten into new files, which is tried from now on. What to do: "
               "look at the disk",
               why);
    say(s, ND_LOG_WARNING, buf_str(&text));
    buf_free(&text);
}

void nd_aof_synced_to(struct nd_aof_state *s, uint64_t position)
{
    if (s->synced < position && !s->sync_failed)
        s->synced = position;
}

bool nd_aof_ask_flush(struct nd_aof_state *s)
{
    assert(!s->asked);
    if (s->mode != ND_AOF_ON)
        return false;
    s->asked = true;
    s->asked_to = s->put;
    return true;
}

enum nd_aof_flushed nd_aof_asked_flush(struct nd_aof_state *s, const char **error)
{
    if (!s->asked)
        return ND_AOF_NOT_YET;
    bool failed = s->mode == ND_AOF_ON && (s->write_failed || s->sync_failed);
    if (!failed && s->mode == ND_AOF_ON && s->synced < s->asked_to)
        return ND_AOF_NOT_YET;
    s->asked = false;
    *error = failed ? s->e->guard_reason : NULL;
    return failed ? ND_AOF_FLUSH_FAILED : ND_AOF_FLUSHED;
}

/* While the disk fails answers of reads and refusals leave, or nobody could learn what is wrong. In the turn in which
 * it begins to fail writes have been executed: of those that could not be written the answers say so; those that could
 * not be flushed wait for the rewrite. */
enum nd_aof_wait nd_aof_answers(const struct nd_aof_state *s, bool wrote)
{
    if (s->mode != ND_AOF_ON)
        return ND_AOF_FREE;
    bool in_question = wrote && s->failed_turn_us == s->e->turn_us;
    if (s->write_failed)
        return in_question ? ND_AOF_UNSAVED : ND_AOF_FREE;
    if (!is_always(s))
        return s->delayed ? ND_AOF_LATER : ND_AOF_FREE;
    if (s->synced == s->put)
        return ND_AOF_FREE;
    if (s->sync_failed)
        return in_question ? ND_AOF_LATER : ND_AOF_FREE;
    if (s->e->config.no_appendfsync_on_rewrite && !s->syncing && child_lives(s) && s->pending.n == 0)
        return ND_AOF_FREE;
    return s->syncing && s->sync_to == s->put ? ND_AOF_FLIGHT : ND_AOF_LATER;
}

/* ---- rewriting ---- */

static bool has_grown(const struct nd_aof_state *s)
{
    const struct nd_config *config = &s->e->config;
    if (s->mode != ND_AOF_ON || config->auto_aof_rewrite_percentage == 0 ||
        s->size <= (uint64_t)config->auto_aof_rewrite_min_size)
        return false;
    uint64_t base = s->base_size > 0 ? s->base_size : 1;
    return s->size > base &&
           (double)(s->size - base) * 100 / (double)base >= (double)config->auto_aof_rewrite_percentage;
}

/* Slots that come make the log longer, and a rewrite could not make it shorter; slots that go need the child. Both end
 * with writes that wait for the disk, which had better be at rest then: also that of a replica. */
static bool slots_move(const struct nd_engine *e)
{
    const struct nd_keyspace *k = &e->keys;
    for (int n = k->db_count; n < nd_keyspace_all(k); n++) {
        const struct nd_db *db = nd_keyspace_peek(k, n);
        if (db != NULL && nd_db_count(db) > 0)
            return true;
    }
    return e->repl != NULL && e->repl->exporting;
}

static bool wants_rewrite(const struct nd_aof_state *s)
{
    if (s->rewriting || s->e->loading || child_lives(s))
        return false;
    return s->scheduled || s->mode == ND_AOF_WAITS || s->sync_failed || (has_grown(s) && !slots_move(s->e));
}

static void try_later(struct nd_aof_state *s)
{
    s->failures++;
    int64_t wait_s = s->sync_failed || s->failures <= FAILURES_FREE ? 1 : 60;
    for (uint64_t i = FAILURES_FREE + 1; i < s->failures && wait_s < BACKOFF_MAX_S && !s->sync_failed; i++)
        wait_s *= 2;
    s->try_after_us = s->e->now_us + (wait_s < BACKOFF_MAX_S ? wait_s : BACKOFF_MAX_S) * SECOND_US;
}

void nd_aof_put_off(struct nd_aof_state *s)
{
    int64_t at_us = s->e->now_us + PUT_OFF_US;
    if (s->try_after_us < at_us)
        s->try_after_us = at_us;
}

static bool start(struct nd_aof_state *s)
{
    struct buf why = {0};
    s->scheduled = false;
    bool ok = s->host.rewrite(s->host.owner, &why);
    if (!ok) {
        struct buf text = {0};
        buf_printf(&text, "The append-only file cannot be rewritten: %s", buf_str(&why));
        say(s, ND_LOG_WARNING, buf_str(&text));
        buf_free(&text);
        s->last_rewrite_ok = false;
        try_later(s);
    }
    buf_free(&why);
    return ok;
}

enum nd_aof_asked nd_aof_ask_rewrite(struct nd_aof_state *s, bool in_transaction)
{
    if (s->rewriting)
        return ND_AOF_IN_PROGRESS;
    if (child_lives(s) || in_transaction) {
        s->scheduled = true;
        return ND_AOF_SCHEDULED;
    }
    return start(s) ? ND_AOF_STARTED : ND_AOF_REFUSED;
}

void nd_aof_rewrite_began(struct nd_aof_state *s)
{
    s->rewriting = true;
    s->rewrite_is_first = s->mode == ND_AOF_WAITS;
    s->rewrite_since_ms = s->e->now_ms;
    s->fork_at = s->put;
    s->db = -1; /* the next file begins with no database selected */
    s->stamp_s = 0;
    if (s->mode == ND_AOF_WAITS) {
        forget_pending(s);
        s->recording = true;
    }
}

void nd_aof_rewrite_ended(struct nd_aof_state *s, bool ok, uint64_t size, size_t cow_bytes)
{
    s->rewriting = false;
    s->last_rewrite_ok = ok;
    s->last_cow_bytes = cow_bytes;
    s->last_rewrite_s = (s->e->now_ms - s->rewrite_since_ms) / 1000;
    if (!ok) {
        try_later(s);
        if (s->mode == ND_AOF_WAITS) {
            s->recording = false;
            forget_pending(s);
        }
        return;
    }
    s->rewrites++;
    s->failures = 0;
    s->try_after_us = 0;
    if (s->rewrite_is_first)
        s->mode = ND_AOF_ON;
    if (s->mode == ND_AOF_ON) {
        s->size = s->base_size = size;
        if (s->synced < s->fork_at)
            s->synced = s->fork_at; /* the base has it */
    }
    if (s->sync_failed) {
        s->sync_failed = false;
        say(s, ND_LOG_WARNING, "The dataset is on disk again, in new files: writes are taken");
    }
    guard(s, NULL);
}

int64_t nd_aof_deadline(const struct nd_aof_state *s)
{
    int64_t at = HEAP_NEVER;
    if (wants_rewrite(s))
        at = earlier(at, s->try_after_us);
    if (s->mode == ND_AOF_OFF)
        return at;
    if (s->pending.n > 0 && s->write_failed && !s->exchanging && !s->syncing)
        at = earlier(at, s->retry_us);
    if (s->waits_since_us != 0 && !s->delayed)
        at = earlier(at, s->waits_since_us + WAIT_MAX_US);
    if (s->mode == ND_AOF_ON && s->e->config.appendfsync == ND_FSYNC_EVERYSEC && s->written != s->synced &&
        !s->syncing && !s->exchanging && !s->sync_failed && !(s->e->config.no_appendfsync_on_rewrite && child_lives(s)))
        at = earlier(at, s->sync_began_us + SECOND_US);
    return at;
}

void nd_aof_tick(struct nd_aof_state *s)
{
    if (wants_rewrite(s) && s->e->now_us >= s->try_after_us)
        start(s);
}

/* ---- INFO ---- */

size_t nd_aof_memory(const struct nd_engine *e)
{
    return e->persist != NULL && e->persist->aof != NULL ? e->persist->aof->pending.cap : 0;
}

void nd_aof_info(const struct nd_engine *e, struct buf *out)
{
    static const struct nd_aof_state none = {.last_rewrite_ok = true, .last_rewrite_s = -1};
    const struct nd_aof_state *s = e->persist != NULL && e->persist->aof != NULL ? e->persist->aof : &none;
    bool on = s->mode != ND_AOF_OFF;
    buf_printf(out,
               "aof_enabled:%d\r\naof_rewrite_in_progress:%d\r\naof_rewrite_scheduled:%d\r\n"
               "aof_last_rewrite_time_sec:%" PRId64 "\r\naof_current_rewrite_time_sec:%" PRId64
               "\r\naof_last_bgrewrite_status:%s\r\naof_rewrites:%" PRIu64
               "\r\naof_rewrites_consecutive_failures:%" PRIu64
               "\r\naof_last_write_status:%s\r\naof_last_cow_size:%zu\r\n"
               "module_fork_in_progress:0\r\nmodule_fork_last_cow_size:0\r\n",
               on, s->rewriting, s->scheduled, s->last_rewrite_s,
               s->rewriting ? (e->now_ms - s->rewrite_since_ms) / 1000 : -1, s->last_rewrite_ok ? "ok" : "err",
               s->rewrites, s->failures, s->write_failed || s->sync_failed ? "err" : "ok", s->last_cow_bytes);
    if (on)
        buf_printf(out,
                   "aof_current_size:%" PRIu64 "\r\naof_base_size:%" PRIu64
                   "\r\naof_pending_rewrite:%d\r\naof_buffer_length:%zu\r\naof_pending_bio_fsync:%d\r\n"
                   "aof_delayed_fsync:%" PRIu64 "\r\n",
                   s->size, s->base_size, s->mode == ND_AOF_WAITS && s->scheduled, s->pending.n, s->syncing,
                   s->delayed_count);
}
