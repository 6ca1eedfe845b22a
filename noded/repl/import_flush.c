/* What the source asks: whether all that it has sent is safe here. It is when our log has it on the disk and our
 * replicas have acknowledged it. And how far we are, told now and then. */
#include "noded/repl/import_state.h"

#include "common/base/heap.h"
#include "noded/cluster/describe.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/evict.h"
#include "noded/repl/serve.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define DRAIN_S 10 /* writes wait at the source meanwhile: it takes its question back earlier (cluster/jobs.c) */

void nd_import_say(struct nd_import *m, const char *fmt, ...)
{
    struct nd_session *s = m->s;
    struct buf *out = s->r.out;
    size_t from = out->n;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(out, fmt, ap);
    va_end(ap);
    reply_end_line(out, from);
    s->e->host.wake(s->e->host.owner, s);
}

/* It was told this offset now. */
static void note_ack(struct nd_import *m, uint64_t offset)
{
    m->acked = offset;
    m->acked_ms = m->s->e->now_ms;
}

/* ---- questions ---- */

static int64_t patience_us(const struct nd_import *m, bool drain)
{
    int64_t timeout_s = m->s->e->config.repl_timeout_s;
    return (drain && timeout_s > DRAIN_S ? DRAIN_S : timeout_s) * 1000000;
}

/* The log is flushed for one round of questions after the other. */
static void begin_round(struct nd_imports *all)
{
    all->round++;
    all->flushing = all->host.flush(all->host.owner);
}

static void ask_disk(struct nd_imports *all, struct nd_import_question *q)
{
    if (all->flushing) { /* that one may have begun before what is asked about was logged */
        q->round = all->round + 1;
        return;
    }
    begin_round(all);
    q->round = all->round;
    q->on_disk = !all->flushing;
}

bool nd_import_ask(struct nd_import *m, bool drain)
{
    struct nd_repl *r = m->all->r;
    if (m->nquestions == ND_IMPORT_QUESTIONS)
        return false;
    struct nd_import_question *q = &m->questions[m->nquestions++];
    *q = (struct nd_import_question){
        .drain = drain,
        .offset = nd_import_offset(m),
        .repl_offset = r->offset,
        .until_us = r->e->now_us + patience_us(m, drain),
    };
    ask_disk(m->all, q);
    if (r->serving != NULL && r->serving->count > 0)
        r->serving->ask = true;
    nd_import_look(m);
    return true;
}

/* The replicas of this node in the view of the cluster, without those that have failed. */
static size_t replicas_expected(const struct cl_core *core)
{
    struct cl_id me = cl_my_id(core);
    struct cl_member m;
    size_t n = 0;
    for (size_t it = 0; cl_next_member(core, &it, &m);)
        n += !m.is_master && !m.failing && cl_id_eq(&m.master, &me);
    return n;
}

/* Some replica that could be the next master lacks what came before this offset: it has not acknowledged it, or does
 * not follow just now, and its cluster takes it for a replica all the same. One that came with SYNC never acknowledges
 * anything, and is none. */
static bool some_lack(const struct nd_repl *r, int64_t offset)
{
    const struct nd_replica *p = r->serving != NULL ? r->serving->first : NULL;
    size_t have = 0;
    for (; p != NULL; p = p->next) {
        if (p->state != ND_REPLICA_ONLINE || p->old)
            continue;
        if (p->ack < offset)
            return true;
        have++;
    }
    return have < replicas_expected(r->e->cluster->core);
}

/* NULL: what came before it is safe, and what follows needs not wait either: for a replica that is gone and may still
 * be elected the hand-over would wait, and writes with it. */
static const char *not_safe(const struct nd_import *m, const struct nd_import_question *q)
{
    const struct nd_repl *r = m->all->r;
    if (!cl_ready_to_take(r->e->cluster->core, &m->job))
        return "no ballot of the supervisors has given the target an epoch at which it could take the slots";
    if (!q->on_disk)
        return "the disk of the target is slow";
    if (some_lack(r, q->repl_offset))
        return "a replica of the target is behind";
    return cl_replicas_agree(r->e->cluster->core) ? NULL : "a replica of the target is gone, and may still be elected";
}

static void answer(struct nd_import *m, const struct nd_import_question *q)
{
    const struct nd_import_host *host = &m->all->host;
    note_ack(m, q->offset);
    if (!q->drain) {
        nd_import_say(m, "+FLUSHED %" PRIu64, q->offset);
        return;
    }
    m->step = ND_IMPORT_DRAINED;
    nd_import_say(m, "+DRAINED %" PRIu64 " %" PRIu64, q->offset, host->greatest_epoch(host->owner));
}

/* Behind the answer to DRAIN the slots are as good as ours: where there is no room for them they stay where clients can
 * write to them. */
static bool has_no_room(const struct nd_import *m, const struct nd_import_question *q)
{
    return q->drain && nd_memory_is_short(m->s->e);
}

void nd_import_look(struct nd_import *m)
{
    size_t n = 0;
    while (n < m->nquestions && not_safe(m, &m->questions[n]) == NULL) {
        if (has_no_room(m, &m->questions[n])) {
            nd_import_fail(m, "the target is out of memory");
            return;
        }
        answer(m, &m->questions[n++]);
    }
    if (n == 0)
        return;
    m->nquestions -= n;
    memmove(m->questions, m->questions + n, m->nquestions * sizeof m->questions[0]);
}

void nd_import_resume(struct nd_import *m)
{
    uint64_t offset = nd_import_offset(m);
    size_t kept = 0;
    for (size_t i = 0; i < m->nquestions; i++)
        if (!m->questions[i].drain)
            m->questions[kept++] = m->questions[i];
    m->nquestions = kept;
    m->step = ND_IMPORT_STREAMING;
    note_ack(m, offset);
    nd_import_say(m, "+RESUMED %" PRIu64, offset);
}

static void look_at_all(struct nd_imports *all)
{
    struct nd_import *next;
    for (struct nd_import *m = all->first; m != NULL; m = next) {
        next = m->next;
        nd_import_look(m); /* may end it */
    }
}

void nd_imports_turn_end(struct nd_repl *r)
{
    if (r->imports != NULL)
        look_at_all(r->imports);
}

/* ---- the disk ---- */

/* The rounds up to this one have brought what they were for to the disk. true: some wait for a later one. */
static bool mark_flushed(struct nd_imports *all, uint64_t round)
{
    bool more = false;
    for (struct nd_import *m = all->first; m != NULL; m = m->next) {
        for (size_t i = 0; i < m->nquestions; i++) {
            m->questions[i].on_disk |= m->questions[i].round <= round;
            more |= !m->questions[i].on_disk;
        }
    }
    return more;
}

void nd_import_flushed(struct nd_repl *r, const char *error)
{
    struct nd_imports *all = r->imports;
    if (all == NULL || !all->flushing)
        return;
    all->flushing = false;
    if (error != NULL) {
        struct buf why = {0};
        buf_printf(&why, "the append-only file of the target can't be written: %s", error);
        nd_imports_upset(r, buf_str(&why));
        buf_free(&why);
        return;
    }
    if (mark_flushed(all, all->round)) {
        begin_round(all);
        if (!all->flushing) /* it was switched off */
            mark_flushed(all, all->round);
    }
    look_at_all(all);
}

/* ---- time ---- */

static int64_t next_us(const struct nd_import *m)
{
    int64_t at = m->ack_us;
    for (size_t i = 0; i < m->nquestions; i++)
        at = m->questions[i].until_us < at ? m->questions[i].until_us : at;
    return at;
}

int64_t nd_imports_deadline(const struct nd_repl *r)
{
    int64_t at = HEAP_NEVER;
    for (const struct nd_import *m = r->imports != NULL ? r->imports->first : NULL; m != NULL; m = m->next)
        at = next_us(m) < at ? next_us(m) : at;
    return at;
}

static const struct nd_import_question *overdue(const struct nd_import *m, int64_t now_us)
{
    for (size_t i = 0; i < m->nquestions; i++)
        if (m->questions[i].until_us <= now_us)
            return &m->questions[i];
    return NULL;
}

static void tick(struct nd_import *m, int64_t now_us)
{
    const struct nd_import_question *q = overdue(m, now_us);
    if (q != NULL) {
        const char *why = not_safe(m, q);
        nd_import_fail(m, why != NULL ? why : "a question was not answered in time");
        return;
    }
    if (m->ack_us > now_us)
        return;
    m->ack_us = HEAP_NEVER;
    uint64_t offset = nd_import_offset(m);
    if (offset == m->acked)
        return;
    note_ack(m, offset);
    nd_import_say(m, "+ACK %" PRIu64, offset);
}

void nd_imports_tick(struct nd_repl *r)
{
    struct nd_import *next;
    for (struct nd_import *m = r->imports != NULL ? r->imports->first : NULL; m != NULL; m = next) {
        next = m->next;
        tick(m, r->e->now_us);
    }
}
