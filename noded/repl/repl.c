#include "noded/repl/repl.h"

#include "common/base/mem.h"
#include "common/base/runid.h"
#include "noded/cmd/effects.h"
#include "noded/repl/export.h"
#include "noded/repl/follow.h"
#include "noded/repl/import.h"
#include "noded/repl/rdb_write.h"
#include "noded/repl/serve.h"
#include "noded/repl/stream.h"

#include <stdlib.h>
#include <string.h>

#define UNIT_KEPT ((size_t)1024 * 1024) /* bytes of memory that a great unit leaves behind */

static void forget_second(struct nd_repl *r)
{
    memset(r->id2, '0', ND_REPL_ID);
    r->id2[ND_REPL_ID] = '\0';
    r->id2_offset = -1;
}

struct nd_repl *nd_repl_new(struct nd_engine *e)
{
    struct nd_repl *r = mem_zalloc(sizeof *r);
    r->e = e;
    r->stream_db = -1;
    runid_draw(&e->rng, r->id);
    forget_second(r);
    e->repl = r;
    e->stream_offset = &r->offset;
    return r;
}

void nd_repl_free(struct nd_repl *r)
{
    if (r == NULL)
        return;
    nd_backlog_free(r->backlog);
    buf_free(&r->unit);
    r->e->repl = NULL;
    r->e->stream_offset = NULL;
    free(r);
}

void nd_repl_feed_bytes(struct nd_repl *r, const char *p, size_t n)
{
    r->offset += (int64_t)n;
    if (r->backlog != NULL)
        nd_backlog_append(r->backlog, p, n);
}

void nd_repl_open_backlog(struct nd_repl *r, bool fresh)
{
    if (r->backlog != NULL)
        return;
    if (fresh)
        nd_repl_new_history(r);
    r->backlog = nd_backlog_new((size_t)r->e->config.repl_backlog_size, r->offset);
    r->stream_db = -1;
}

void nd_repl_close_backlog(struct nd_repl *r)
{
    nd_backlog_free(r->backlog);
    r->backlog = NULL;
}

void nd_repl_feed(struct nd_repl *r, const struct nd_effect_row *rows, size_t n)
{
    if (r->exporting)
        nd_exports_feed(r, rows, n);
    if (r->backlog == NULL || r->e->is_replica)
        return;
    bool other = false;
    for (size_t i = 0; i < n; i++)
        other |= rows[i].db > 0;
    if (other)
        nd_serve_leave_database_0(r);
    buf_clear(&r->unit);
    nd_stream_put(&r->unit, &r->stream_db, rows, n, true);
    nd_repl_feed_bytes(r, r->unit.p, r->unit.n);
    if (r->unit.cap > UNIT_KEPT)
        buf_free(&r->unit);
    if (other)
        r->other_db_offset = r->offset;
}

void nd_repl_new_history(struct nd_repl *r)
{
    r->stream_db = -1;
    runid_draw(&r->e->rng, r->id);
    forget_second(r);
}

void nd_repl_fork_history(struct nd_repl *r)
{
    memcpy(r->id2, r->id, sizeof r->id2);
    r->id2_offset = r->offset + 1;
    runid_draw(&r->e->rng, r->id);
    r->stream_db = -1;
}

void nd_repl_adopt_history(struct nd_repl *r, const char *id, int64_t offset)
{
    memcpy(r->id, id, ND_REPL_ID);
    r->id[ND_REPL_ID] = '\0';
    forget_second(r);
    r->offset = offset;
}

void nd_repl_resume(struct nd_repl *r, const char *id, int64_t offset, int stream_db)
{
    nd_repl_adopt_history(r, id, offset);
    if (r->e->is_replica) {
        r->stream_db = stream_db;
        return;
    }
    nd_repl_close_backlog(r);
    nd_repl_fork_history(r);
    nd_repl_open_backlog(r, false);
}

/* A file that is written now is empty, and its place would be one where the dataset still was: whoever stands there
 * would go on with the keys that are gone. A snapshot for replicas that goes by way of the same file is given up: none
 * must take the place of the other. */
bool nd_repl_flushed(struct nd_engine *e)
{
    struct nd_repl *r = e->repl;
    if (r == NULL)
        return nd_persist_flushed(e);
    if (r->serving != NULL && r->serving->writing && !r->serving->to_sockets)
        nd_persist_stop(e->persist);
    bool before = r->ahead;
    r->ahead = true;
    bool saved = nd_persist_flushed(e);
    r->ahead = before;
    return saved;
}

void nd_repl_facts(const struct nd_repl *r, struct nd_rdb_facts *out)
{
    bool known = (r->backlog != NULL || r->e->is_replica) && !r->ahead && nd_effects_none(r->e->effects) &&
                 !nd_follow_has_strayed(r);
    out->repl_id = known ? r->id : NULL;
    out->repl_offset = r->offset;
    out->repl_stream_db = r->stream_db;
}

int64_t nd_repl_deadline(const struct nd_repl *r)
{
    int64_t serve = nd_serve_deadline(r), follow = nd_follow_deadline(r), export = nd_exports_deadline(r);
    int64_t at = serve < follow ? serve : follow;
    int64_t import = nd_imports_deadline(r);
    at = at < export ? at : export;
    return at < import ? at : import;
}

void nd_repl_tick(struct nd_repl *r)
{
    nd_follow_tick(r);
    nd_serve_tick(r);
    nd_exports_tick(r);
    nd_imports_tick(r);
}
