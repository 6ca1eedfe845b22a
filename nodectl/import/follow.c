/* The snapshots and the streams: one loop over all masters of the source. */
#include "nodectl/import/source.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 50
#define TELL_EVERY_MS 1000
#define LOST_MAX_MS 60000 /* a stream that is lost for longer ends the import */
#define RESTARTS_MAX 10

static bool fail(struct source *s, const char *what, const char *why)
{
    char text[ADDR_TEXT_MAX];
    struct import *im = s->import;
    if (im->error.n == 0)
        buf_printf(&im->error, "%s: %s%s", addr_text(&s->addr, text), what, why);
    return false;
}

static bool fail_target(struct import *im)
{
    if (im->error.n == 0)
        buf_printf(&im->error, "target: %s", buf_str(&im->route.error));
    return false;
}

/* ---- the snapshot ---- */

static bool on_entry(void *owner, struct nd_rdb_entry *entry, struct buf *why)
{
    struct source *s = owner;
    struct import *im = s->import;
    if (entry->db >= im->databases) {
        buf_printf(why, "it has keys in database %d, and the target has databases 0 to %lld only", entry->db,
                   (long long)im->databases - 1);
        if (!entry->is_text)
            nd_value_free(&entry->value);
        return false;
    }
    if (im->put++ == 0) /* the time before was the source's, and tells nothing of what is left */
        progress_begin(&im->progress, "copying", "keys", im->snapshot_keys);
    progress_at(&im->progress, im->put);
    if (interrupted())
        buf_puts(why, "interrupted");
    else if (!import_put(&im->route, entry))
        buf_put(why, im->route.error.p, im->route.error.n);
    return why->n == 0;
}

static void begin_snapshot(struct source *s)
{
    fetch_free(&s->fetch);
    dirty_free(&s->dirty);
    fetch_begin(&s->fetch, &s->import->source_asking, &s->addr, -1, NULL);
    s->fetch.follows = true;
    s->fetch.content.each = on_entry;
    s->fetch.content.owner = s;
    s->attached = false;
    s->lost_ms = 0;
    s->db = 0;
}

/* ---- the stream ---- */

static void on_key(void *owner, int64_t db, struct slice key)
{
    struct source *s = owner;
    dirty_add(&s->dirty, db, key);
}

/* One database, or all with -1. A cluster's master that is flushed has lost its own slots only. */
static bool flushed(struct source *s, int64_t db)
{
    struct import *im = s->import;
    char number[24];
    if (im->n > 1) {
        im->anew = true;
        return true;
    }
    if (!route_flush(&im->route))
        return fail_target(im);
    if (db < 0)
        dirty_free(&s->dirty);
    else
        dirty_drop(&s->dirty, db);
    snprintf(number, sizeof number, "%lld", (long long)db);
    return db < 0 ? import_flush_target(im) : import_flush_database(im, number);
}

static bool worked_on(struct source *s, const struct resp_request *rq)
{
    char name[64];
    if (rq->argc == 0)
        return true;
    if (slice_ieq(rq->argv[0], "replconf")) { /* GETACK */
        s->told_ms = 0;
        return true;
    }
    switch (written_keys(&s->written, rq->argv, rq->argc, &s->db, on_key, s)) {
    case WRITTEN_KEYS:
    case WRITTEN_SELECT: return true;
    case WRITTEN_FLUSH_ALL: return flushed(s, -1);
    case WRITTEN_FLUSH_DB: return flushed(s, s->db);
    case WRITTEN_SWAP: s->import->anew = true; return true;
    default:
        snprintf(name, sizeof name, "%.*s", (int)rq->argv[0].n, rq->argv[0].p);
        return fail(s, "its stream has a command that cannot be followed: ", name);
    }
}

static bool work_on_stream(struct source *s)
{
    struct buf *in = &s->fetch.stream;
    size_t at = 0;
    bool ok = true;
    while (ok && at < in->n && !s->import->anew) {
        struct resp_request rq;
        enum resp_status st = resp_parse(s->parser, in->p + at, in->n - at, &rq);
        if (st == RESP_MORE)
            break;
        if (st == RESP_ERROR)
            return fail(s, "its stream cannot be read: ", rq.error);
        ok = worked_on(s, &rq);
        at += rq.consumed;
        s->offset += (int64_t)rq.consumed;
    }
    buf_drop(in, at);
    return ok;
}

static void attached(struct source *s)
{
    s->attached = true;
    s->lost_ms = 0;
    memcpy(s->replid, s->fetch.replid, sizeof s->replid);
    if (!s->fetch.resumes)
        s->offset = s->fetch.offset;
    if (s->parser != NULL)
        resp_parser_free(s->parser);
    s->parser = resp_parser_new(&resp_limits_default);
}

/* A lost stream is taken up where it was left, for a minute; a source that has not kept it is copied anew. */
static bool lost(struct source *s)
{
    int64_t now_ms = fleet_now_ms();
    const char *why = buf_str(&s->fetch.error);
    if (!s->attached && !s->fetch.resumes)
        return fail(s, "", why);
    if (s->fetch.resumes && strstr(why, "FULLRESYNC") != NULL) {
        s->import->anew = true;
        return true;
    }
    if (s->lost_ms == 0)
        s->lost_ms = now_ms;
    if (now_ms - s->lost_ms > LOST_MAX_MS)
        return fail(s, "its stream is lost for a minute: ", why);
    (void)interrupt_sleep(TICK_MS);
    runid replid;
    memcpy(replid, s->replid, sizeof replid);
    fetch_free(&s->fetch);
    fetch_resume(&s->fetch, &s->import->source_asking, &s->addr, replid, s->offset);
    return true;
}

static bool serve(struct source *s, short events)
{
    fetch_serve(&s->fetch, events);
    if (s->fetch.state == FETCH_FAILED)
        return lost(s);
    if (s->fetch.state != FETCH_DONE)
        return true;
    if (!s->attached || s->lost_ms != 0)
        attached(s);
    int64_t now_ms = fleet_now_ms();
    bool ok = work_on_stream(s);
    if (now_ms - s->told_ms >= TELL_EVERY_MS) {
        fetch_acknowledge(&s->fetch, s->offset);
        s->told_ms = now_ms;
    }
    return ok;
}

/* ---- the loop ---- */

static bool turn(struct import *im, int wait_ms)
{
    struct pollfd *p = mem_zalloc(im->n * sizeof *p);
    bool ok = true;
    for (size_t i = 0; i < im->n; i++)
        p[i] = (struct pollfd){.fd = im->v[i].fetch.fd, .events = fetch_events(&im->v[i].fetch)};
    (void)poll(p, im->n, wait_ms);
    for (size_t i = 0; i < im->n && ok && !im->anew; i++)
        ok = serve(&im->v[i], p[i].revents);
    free(p);
    return ok && import_hold_writers(im);
}

static bool all_attached(const struct import *im)
{
    bool all = true;
    for (size_t i = 0; i < im->n; i++)
        all &= im->v[i].attached;
    return all;
}

bool import_copy(struct import *im)
{
    bool ok = true;
    im->anew = false;
    im->put = 0;
    progress_begin(&im->progress, "copying", "keys", im->snapshot_keys);
    for (size_t i = 0; i < im->n; i++)
        begin_snapshot(&im->v[i]);
    while (ok && !all_attached(im) && !im->anew)
        ok = turn(im, TICK_MS) && !interrupted();
    progress_end(&im->progress);
    return ok && (route_flush(&im->route) || fail_target(im));
}

/* All from the beginning: of what the target has nothing is known to be right. */
static bool restart(struct import *im)
{
    if (++im->restarts > RESTARTS_MAX)
        return fail(&im->v[0], "",
                    "what it does cannot be followed (it exchanges or flushes databases again and again)");
    return (route_flush(&im->route) || fail_target(im)) && import_flush_target(im) && import_copy(im);
}

bool import_follow(struct import *im, int for_ms)
{
    int64_t end_ms = fleet_now_ms() + for_ms;
    do {
        int64_t left = end_ms - fleet_now_ms();
        if (!turn(im, left < TICK_MS ? (int)(left > 0 ? left : 0) : TICK_MS))
            return false;
        for (size_t i = 0; i < im->n && !im->anew; i++)
            if (im->v[i].dirty.count > 0 && !import_again(&im->v[i]))
                return false;
        if (im->anew && !restart(im))
            return false;
    } while (!interrupted() && fleet_now_ms() < end_ms);
    return !interrupted();
}

size_t import_behind_keys(const struct import *im)
{
    size_t n = 0;
    for (size_t i = 0; i < im->n; i++)
        n += im->v[i].dirty.count;
    return n;
}

int64_t import_behind_bytes(struct import *im)
{
    int64_t behind = 0;
    for (size_t i = 0; i < im->n; i++) {
        int64_t offset = source_offset(&im->v[i]);
        if (offset < 0 || !im->v[i].attached || im->v[i].lost_ms != 0)
            return -1;
        behind += offset > im->v[i].offset ? offset - im->v[i].offset : 0;
    }
    return behind;
}
