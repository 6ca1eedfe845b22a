#include "noded/repl/export.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "noded/repl/export_state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_US 10000 /* a link that could not be emptied for the child is tried again after that */

/* ---- jobs ---- */

struct nd_exports *nd_exports_new(struct nd_repl *r, const struct nd_export_host *host)
{
    struct nd_exports *xs = mem_zalloc(sizeof *xs);
    xs->r = r;
    xs->host = *host;
    xs->last = &xs->first;
    r->exports = xs;
    return xs;
}

/* Only then units of effects are told. */
static void look_who_listens(struct nd_exports *xs)
{
    bool any = false;
    for (const struct nd_export *x = xs->first; x != NULL; x = x->next)
        any |= x->step >= ND_EXPORT_SNAPSHOT && x->step < ND_EXPORT_GRANTED;
    xs->r->exporting = any;
}

static void take_out(struct nd_export *x)
{
    struct nd_exports *xs = x->all;
    *x->link = x->next;
    if (x->next != NULL)
        x->next->link = x->link;
    else
        xs->last = x->link;
    if (xs->writer == x)
        xs->writer = NULL;
    look_who_listens(xs);
    free(x);
}

void nd_exports_free(struct nd_repl *r)
{
    struct nd_exports *xs = r->exports;
    if (xs == NULL)
        return;
    while (xs->first != NULL)
        take_out(xs->first);
    buf_free(&xs->out);
    free(xs->rows);
    free(xs->row_slots);
    free(xs);
    r->exports = NULL;
}

static struct nd_export *find(const struct nd_repl *r, const struct cl_id *job)
{
    struct nd_export *x = r->exports != NULL ? r->exports->first : NULL;
    while (x != NULL && !cl_id_eq(&x->job, job))
        x = x->next;
    return x;
}

void nd_export_enter(struct nd_export *x, enum nd_export_step step)
{
    x->step = step;
    x->heard_us = x->all->r->e->now_us;
    look_who_listens(x->all);
}

static void log_line(const struct nd_exports *xs, const struct cl_id *job, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void log_line(const struct nd_exports *xs, const struct cl_id *job, const char *fmt, ...)
{
    const struct nd_engine *e = xs->r->e;
    struct buf line = {0};
    char id[CL_ID_DIGITS + 1];
    va_list ap;
    buf_printf(&line, "Migration %s: ", cl_id_text(job, id));
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    e->host.log(e->host.owner, ND_LOG_NOTICE, buf_str(&line));
    buf_free(&line);
}

void nd_export_news(const struct nd_export *x, enum cl_job_news news, uint64_t seq, struct slice why)
{
    const struct nd_export_host *host = &x->all->host;
    host->news(host->news_owner, &x->job, news, seq, why);
}

/* ---- the end ---- */

/* Nobody takes what the child writes. */
static void stop_child(struct nd_export *x)
{
    struct nd_exports *xs = x->all;
    if (xs->writer != x)
        return;
    xs->writer = NULL;
    nd_persist_stop(xs->r->e->persist);
}

static void end(struct nd_export *x, bool gently)
{
    struct nd_export_host *host = &x->all->host;
    if (x->wire != NULL)
        host->close(host->owner, x->wire, gently);
    stop_child(x);
    take_out(x);
}

/* The target is told why, where its place in the stream lets it hear that. */
static void give_up(struct nd_export *x, struct slice why)
{
    bool can_tell = x->step >= ND_EXPORT_WAITING && x->step != ND_EXPORT_SNAPSHOT;
    if (can_tell)
        nd_export_sync(x, "ABORT", why);
    end(x, can_tell);
}

static void over(struct nd_export *x, const char *why, bool broken)
{
    struct nd_exports *xs = x->all;
    struct cl_id job = x->job;
    end(x, false);
    xs->host.news(xs->host.news_owner, &job, CL_JOB_IS_LOST, broken, slice_of(why));
}

void nd_export_fail(struct nd_export *x, const char *why)
{
    over(x, why, false);
}

void nd_export_lost(struct nd_export *x, const char *why)
{
    struct buf text = {0};
    buf_printf(&text, "the link to the target is lost: %s", why);
    over(x, buf_str(&text), true);
    buf_free(&text);
}

void nd_export_stop(struct nd_repl *r, const struct cl_id *job, bool ok, struct slice why)
{
    struct nd_export *x = find(r, job);
    if (x == NULL)
        return;
    if (ok)
        end(x, true);
    else
        give_up(x, why);
}

void nd_exports_upset(struct nd_repl *r, const char *why)
{
    struct nd_exports *xs = r->exports;
    for (struct nd_export *x = xs != NULL ? xs->first : NULL, *next; x != NULL; x = next) {
        next = x->next;
        if (x->step == ND_EXPORT_GRANTED)
            continue;
        struct cl_id job = x->job;
        give_up(x, slice_of(why));
        xs->host.news(xs->host.news_owner, &job, CL_JOB_IS_LOST, 0, slice_of(why));
    }
}

/* ---- what the core wants ---- */

void nd_export_begin(struct nd_repl *r, const struct cl_id *job, const char *ip, int port, const uint8_t *slots,
                     const struct cl_id *source, const struct cl_id *target)
{
    struct nd_exports *xs = r->exports;
    struct buf why = {0};
    assert(find(r, job) == NULL);
    struct nd_export *x = mem_zalloc(sizeof *x);
    x->all = xs;
    x->job = *job;
    x->source = *source;
    x->target = *target;
    memcpy(x->slots, slots, sizeof x->slots);
    x->link = xs->last;
    *xs->last = x;
    xs->last = &x->next;
    nd_export_enter(x, ND_EXPORT_CONNECTING);
    x->wire = xs->host.connect(xs->host.owner, x, ip, port, &why);
    if (x->wire == NULL)
        nd_export_fail(x, buf_str(&why));
    buf_free(&why);
}

void nd_export_connected(struct nd_export *x)
{
    nd_export_greet(x);
}

void nd_export_drain(struct nd_repl *r, const struct cl_id *job)
{
    struct nd_export *x = find(r, job);
    if (x == NULL || x->step != ND_EXPORT_STREAMING)
        return;
    x->drain_from = x->sent;
    x->asked_us = r->e->now_us;
    nd_export_enter(x, ND_EXPORT_DRAINING);
    nd_export_sync(x, "DRAIN", (struct slice){NULL, 0});
    x->all->host.flush(x->all->host.owner, x->wire);
}

void nd_export_resume(struct nd_repl *r, const struct cl_id *job)
{
    struct nd_export *x = find(r, job);
    if (x == NULL || x->step != ND_EXPORT_DRAINING)
        return;
    x->drained = false;
    x->resuming = true;
    x->near_us = 0; /* a better moment is looked for anew */
    x->asked_us = r->e->now_us;
    nd_export_enter(x, ND_EXPORT_STREAMING);
    nd_export_sync(x, "RESUME", (struct slice){NULL, 0});
}

void nd_export_grant(struct nd_repl *r, const struct cl_id *job, uint64_t epoch)
{
    struct nd_export *x = find(r, job);
    if (x == NULL || x->step != ND_EXPORT_DRAINING)
        return;
    struct buf number = {0};
    buf_printf(&number, "%" PRIu64, epoch);
    nd_export_enter(x, ND_EXPORT_GRANTED);
    nd_export_sync(x, "GRANT", buf_slice(&number));
    x->all->host.flush(x->all->host.owner, x->wire);
    buf_free(&number);
}

/* ---- the snapshot ---- */

static void snapshot_ended(void *owner, const struct nd_child_end *end)
{
    struct nd_exports *xs = owner;
    struct nd_export *x = xs->writer;
    xs->writer = NULL;
    if (x == NULL)
        return;
    if (!end->ok || end->got == NULL || !end->got[0]) {
        struct buf why = {0};
        buf_printf(&why, "the snapshot was not written: %s", end->ok ? "the target does not take it" : end->why);
        over(x, buf_str(&why), end->ok);
        buf_free(&why);
        return;
    }
    x->sent += end->bytes;
    x->snapshot_keys = end->keys;
    log_line(xs, &x->job, "the snapshot is written, %" PRIu64 " keys in %" PRIu64 " bytes; %zu bytes wait behind it",
             end->keys, end->bytes, xs->host.unsent(xs->host.owner, x->wire));
    nd_export_enter(x, ND_EXPORT_STREAMING);
    nd_export_begin_stream(x);
    xs->host.lend(xs->host.owner, x->wire, false);
    nd_export_news(x, CL_JOB_IS_STREAMING, x->snapshot_keys, (struct slice){NULL, 0});
}

/* From the fork on writes go to the link, where they wait until the child has ended, behind the word that ends the
 * snapshot. */
static void begin_snapshot(struct nd_export *x)
{
    struct nd_exports *xs = x->all;
    struct buf why = {0};
    int fd = xs->host.lend(xs->host.owner, x->wire, true);
    struct nd_child_spec spec = {.kind = ND_CHILD_SLOTS, .fds = &fd, .fd_count = 1, .slots = x->slots};
    if (!nd_persist_start(xs->r->e->persist, &spec, snapshot_ended, xs, &why)) {
        struct buf text = {0};
        buf_printf(&text, "no snapshot can be made: %s", buf_str(&why));
        nd_export_fail(x, buf_str(&text));
        buf_free(&text);
    } else {
        xs->writer = x;
        x->stream_db = -1;
        nd_export_enter(x, ND_EXPORT_SNAPSHOT);
        nd_export_sync(x, "SNAPSHOT-END", (struct slice){NULL, 0});
        log_line(xs, &x->job, "a snapshot of its slots is being written to the target");
        nd_export_news(x, CL_JOB_IS_SNAPSHOTTING, 0, (struct slice){NULL, 0});
    }
    buf_free(&why);
}

static bool child_is_free(const struct nd_exports *xs)
{
    const struct nd_engine *e = xs->r->e;
    return xs->writer == NULL && e->persist != NULL && e->persist->child == ND_CHILD_NONE && !e->loading;
}

/* What stands before the child's bytes leaves first. */
static void try_snapshot(struct nd_export *x)
{
    struct nd_exports *xs = x->all;
    if (xs->host.flush(xs->host.owner, x->wire))
        begin_snapshot(x);
    else
        x->next_us = xs->r->e->now_us + AGAIN_US;
}

/* ---- time ---- */

uint64_t nd_export_left(const struct nd_export *x)
{
    return x->sent > x->acked ? x->sent - x->acked : 0;
}

bool nd_export_is_due(const struct nd_export *x)
{
    switch (x->step) {
    case ND_EXPORT_CONNECTING:
    case ND_EXPORT_GREETING:
    case ND_EXPORT_ASKING: return true;
    case ND_EXPORT_WAITING:
    case ND_EXPORT_STREAMING: return x->acked < x->sent;
    case ND_EXPORT_DRAINING: return !x->drained;
    case ND_EXPORT_SNAPSHOT: /* the child waits for the link, and not for longer than that */
    case ND_EXPORT_GRANTED: break;
    }
    return false;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Who acknowledges bytes and does not answer what it was asked is given up too. */
static int64_t timeout_us(const struct nd_export *x)
{
    bool asked = (x->step == ND_EXPORT_STREAMING && (x->flushing || x->resuming)) ||
                 (x->step == ND_EXPORT_DRAINING && !x->drained);
    int64_t since_us = nd_export_is_due(x) ? x->heard_us : HEAP_NEVER;
    since_us = earlier(since_us, asked ? x->asked_us : HEAP_NEVER);
    return since_us != HEAP_NEVER ? since_us + x->all->r->e->config.repl_timeout_s * 1000000 : HEAP_NEVER;
}

/* When the link of a job that waits for its turn has to show that both ends live. */
static int64_t alive_us(const struct nd_export *x)
{
    int64_t period_us = x->all->r->e->config.repl_ping_replica_period_s * 1000000;
    return x->acked < x->sent ? HEAP_NEVER : x->heard_us + period_us;
}

static void show_life(struct nd_export *x)
{
    static const struct slice ping = {"PING", 4};
    nd_export_request(x, 1, &ping);
}

static int64_t deadline(const struct nd_export *x)
{
    int64_t at = timeout_us(x);
    if (x->step == ND_EXPORT_WAITING)
        at = earlier(at, child_is_free(x->all) ? earlier(x->next_us, alive_us(x)) : alive_us(x));
    else if (x->step == ND_EXPORT_STREAMING)
        at = earlier(at, nd_export_look_us(x));
    return at;
}

int64_t nd_exports_deadline(const struct nd_repl *r)
{
    int64_t at = HEAP_NEVER;
    for (const struct nd_export *x = r->exports != NULL ? r->exports->first : NULL; x != NULL; x = x->next)
        at = earlier(at, deadline(x));
    return at;
}

static void tick(struct nd_export *x)
{
    int64_t now_us = x->all->r->e->now_us;
    if (now_us >= timeout_us(x)) {
        over(x, "the target did not answer for longer than repl-timeout", true);
    } else if (x->step == ND_EXPORT_STREAMING) {
        nd_export_look(x);
    } else if (x->step == ND_EXPORT_WAITING) {
        if (child_is_free(x->all) && now_us >= x->next_us)
            try_snapshot(x);
        else if (now_us >= alive_us(x))
            show_life(x);
    }
}

void nd_exports_tick(struct nd_repl *r)
{
    for (struct nd_export *x = r->exports != NULL ? r->exports->first : NULL, *next; x != NULL; x = next) {
        next = x->next;
        tick(x);
    }
}

/* ---- what is shown ---- */

size_t nd_exports_memory(const struct nd_repl *r)
{
    const struct nd_exports *xs = r->exports;
    size_t n = 0;
    for (const struct nd_export *x = xs != NULL ? xs->first : NULL; x != NULL; x = x->next)
        if (x->wire != NULL)
            n += xs->host.unsent(xs->host.owner, x->wire);
    return n;
}

bool nd_export_progress(const struct nd_repl *r, const struct cl_id *job, struct nd_export_progress *out)
{
    const struct nd_export *x = find(r, job);
    if (x == NULL)
        return false;
    *out = (struct nd_export_progress){
        .ack_ms = x->ack_ms,
        .snapshot_keys = x->snapshot_keys,
        .sent_bytes = x->sent,
        .left_bytes = nd_export_left(x),
    };
    if (x->all->writer == x)
        out->snapshot_keys = (uint64_t)r->e->persist->child_keys_done;
    return true;
}
