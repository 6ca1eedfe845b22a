#include "noded/repl/import.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "noded/cmd/block.h"
#include "noded/repl/import_state.h"

#include <stdlib.h>
#include <string.h>

struct nd_imports *nd_imports_new(struct nd_repl *r, const struct nd_import_host *host)
{
    struct nd_imports *all = mem_zalloc(sizeof *all);
    all->r = r;
    all->host = *host;
    r->imports = all;
    return all;
}

void nd_imports_free(struct nd_repl *r)
{
    struct nd_imports *all = r->imports;
    if (all == NULL)
        return;
    r->imports = NULL; /* whoever hears of a session that goes finds nobody to tell */
    while (all->first != NULL) {
        struct nd_import *m = all->first;
        if (m->step == ND_IMPORT_ASKED)
            nd_wait_drop(m->s); /* drops the job */
        else
            nd_import_drop(m);
    }
    free(all);
}

/* ---- jobs ---- */

struct nd_import *nd_import_find(const struct nd_imports *all, const struct cl_id *job)
{
    struct nd_import *m = all != NULL ? all->first : NULL;
    while (m != NULL && !cl_id_eq(&m->job, job))
        m = m->next;
    return m;
}

struct nd_import *nd_import_new(struct nd_imports *all, struct nd_session *s, const struct cl_id *job)
{
    struct nd_import *m = mem_zalloc(sizeof *m);
    m->all = all;
    m->s = s;
    m->job = *job;
    m->ack_us = HEAP_NEVER;
    m->next = all->first;
    m->place = &all->first;
    if (m->next != NULL)
        m->next->place = &m->next;
    all->first = m;
    s->import = m;
    return m;
}

void nd_import_drop(struct nd_import *m)
{
    *m->place = m->next;
    if (m->next != NULL)
        m->next->place = m->place;
    m->s->import = NULL;
    buf_free(&m->why);
    free(m);
}

void nd_import_news(const struct nd_import *m, enum cl_job_news news, uint64_t seq, struct slice why)
{
    const struct nd_import_host *host = &m->all->host;
    if (m->all->r->imports != NULL)
        host->news(host->owner, &m->job, news, &m->source, m->slots, seq, why);
}

uint64_t nd_import_offset(const struct nd_import *m)
{
    return m->s->input - m->began;
}

/* ---- the end ---- */

/* error NULL: nothing is to be said. The mark of the session stays, so that nothing of what follows on it is run. */
static void close_link(struct nd_import *m, const char *error)
{
    struct nd_session *s = m->s;
    struct nd_host *host = &s->e->host;
    if (error != NULL)
        nd_import_say(m, "-ERR %s", error);
    nd_import_drop(m);
    s->flags |= ND_S_CLOSING;
    host->resume(host->owner, s);
}

static void log_end(const struct nd_import *m, const char *why)
{
    struct nd_engine *e = m->s->e;
    char job[CL_ID_DIGITS + 1], source[CL_ID_DIGITS + 1];
    struct buf line = {0};
    buf_printf(&line, "The migration %s of slots from %s ends here: %s", cl_id_text(&m->job, job),
               cl_id_text(&m->source, source), why);
    e->host.log(e->host.owner, ND_LOG_NOTICE, buf_str(&line));
    buf_free(&line);
}

/* Before the core has answered nothing was brought, and its answer finds the session: it says why then. */
static void spoil(struct nd_import *m, struct slice why)
{
    m->refused = true;
    buf_clear(&m->why);
    buf_put(&m->why, why.p, why.n);
}

void nd_import_fail(struct nd_import *m, const char *why)
{
    log_end(m, why);
    nd_import_news(m, CL_JOB_IS_LOST, 0, slice_of(why));
    if (m->step == ND_IMPORT_ASKED)
        spoil(m, slice_of(why));
    else
        close_link(m, why);
}

void nd_imports_upset(struct nd_repl *r, const char *why)
{
    struct nd_import *next;
    for (struct nd_import *m = r->imports != NULL ? r->imports->first : NULL; m != NULL; m = next) {
        next = m->next;
        if (!m->refused)
            nd_import_fail(m, why);
    }
}

void nd_import_gone(struct nd_session *s)
{
    struct nd_import *m = s->import;
    if (m == NULL || m->step == ND_IMPORT_ASKED) /* the end of its waiting is told too (import_command.c) */
        return;
    log_end(m, "the link to the source is closed");
    nd_import_news(m, CL_JOB_IS_LOST, 0, slice_of("the link to the source is closed"));
    nd_import_drop(m);
}

void nd_import_stop(struct nd_repl *r, const struct cl_id *job, bool ok, struct slice why)
{
    struct nd_import *m = nd_import_find(r->imports, job);
    if (m == NULL)
        return;
    if (m->step == ND_IMPORT_ASKED) {
        spoil(m, why);
        return;
    }
    char *text = slice_dup(why);
    close_link(m, ok ? NULL : text);
    free(text);
}

void nd_import_accept(struct nd_repl *r, const struct cl_id *job, bool ok, struct slice why)
{
    struct nd_import *m = nd_import_find(r->imports, job);
    if (m == NULL || m->step != ND_IMPORT_ASKED)
        return;
    m->step = ND_IMPORT_ANSWERED;
    if (!ok && !m->refused)
        spoil(m, why);
    nd_wait_over(m->s);
}

/* ---- told and asked ---- */

bool nd_import_ack_ms(const struct nd_repl *r, const struct cl_id *job, int64_t *out)
{
    const struct nd_import *m = nd_import_find(r->imports, job);
    if (m == NULL)
        return false;
    *out = m->acked_ms;
    return true;
}
