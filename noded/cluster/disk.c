/* What must be on disk before it is told. There is one file, one write at a time, and one claim that the headers are
 * made from: the one that is known to be in the file. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <string.h>

#define MS INT64_C(1000)
#define LATER_US (200 * MS)  /* gathers what is only worth to be kept */
#define AGAIN_US (1000 * MS) /* after a failure */

void cl_durable(struct cl_core *c)
{
    c->changed_now = true;
}

void cl_saved_later(struct cl_core *c)
{
    if (c->changed)
        return;
    c->changed = true;
    c->save_us = c->now_us + LATER_US;
}

uint64_t cl_next_seq(const struct cl_core *c)
{
    return c->issued + 1;
}

void cl_answer_durable(struct cl_core *c, cl_token token, const char *text)
{
    cl_durable(c);
    c->waiting = mem_grow(c->waiting, c->nwaiting, &c->cap_waiting, sizeof *c->waiting);
    struct cl_waiting *w = &c->waiting[c->nwaiting++];
    *w = (struct cl_waiting){.token = token, .seq = cl_next_seq(c)};
    memcpy(w->text, text, strlen(text) + 1);
}

static void claim_now(const struct cl_core *c, struct cl_claim *out)
{
    const struct cl_node *me = c->me;
    *out = (struct cl_claim){.current_epoch = c->current_epoch,
                             .config_epoch = me->config_epoch,
                             .flags = me->flags & (CL_MASTER | CL_REPLICA),
                             .id = me->id,
                             .shard = me->shard,
                             .state_version = c->shard.version,
                             .state_required = c->shard.required,
                             .generation = c->lease.generation};
    if (me->master != NULL)
        out->master = me->master->id;
    if (me->slots != NULL)
        memcpy(out->slots, me->slots, sizeof out->slots);
    memcpy(out->kept, out->slots, sizeof out->kept);
    /* Neither side of an open hand-over claims its slots, and after a crash its target does not take them. */
    for (size_t i = 0; i < c->shard.nrecords; i++) {
        const struct cl_open_record *r = &c->shard.records[i];
        for (size_t k = 0; k < CL_SLOT_BYTES; k++) {
            out->slots[k] &= r->resuming ? UINT8_MAX : (uint8_t)~r->r.slots[k];
            out->kept[k] &= r->r.taking ? (uint8_t)~r->r.slots[k] : UINT8_MAX;
        }
    }
}

void cl_claim_loaded(struct cl_core *c)
{
    claim_now(c, &c->claim);
    c->speaks = true;
    c->changed_now = c->changed = false;
    cl_held_find(c);
}

bool cl_core_unsaved(struct cl_core *c, struct buf *out)
{
    if (!c->begun || (!c->changed && !c->changed_now))
        return false;
    cl_config_write(c, out);
    return true;
}

void cl_persist_run(struct cl_core *c)
{
    if (PLANTED(9, 0, c->changed_now && c->speaks))
        claim_now(c, &c->claim);
    if (c->writing || c->now_us < c->persist_again_us)
        return;
    if (!c->changed_now && !(c->changed && c->now_us >= c->save_us))
        return;
    c->changed_now = c->changed = false;
    c->writing = true;
    claim_now(c, &c->pending);
    buf_clear(&c->scratch);
    cl_config_write(c, &c->scratch);
    struct cl_effect *e = cl_effect_add(c->fx, CL_FX_PERSIST);
    e->seq = ++c->issued;
    e->bytes = cl_bytes_new(buf_slice(&c->scratch));
}

static void answers_give(struct cl_core *c, uint64_t seq, const char *error, struct slice why)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->nwaiting; i++) {
        struct cl_waiting w = c->waiting[i];
        if (w.seq > seq)
            c->waiting[kept++] = w;
        else if (error == NULL)
            cl_effect_answer(c->fx, w.token, true, "%s", w.text);
        else
            cl_effect_answer(c->fx, w.token, false, "%s%.*s", error, (int)(why.n < 200 ? why.n : 200),
                             why.n > 0 ? why.p : "");
    }
    c->nwaiting = kept;
}

static bool others_must_know(const struct cl_claim *a, const struct cl_claim *b)
{
    return a->config_epoch != b->config_epoch || a->flags != b->flags || !cl_id_eq(&a->id, &b->id) ||
           !cl_id_eq(&a->master, &b->master) || memcmp(a->slots, b->slots, sizeof a->slots) != 0;
}

void cl_persisted(struct cl_core *c, const struct cl_event *e)
{
    if (!c->writing || e->seq < c->issued)
        return;
    c->writing = false;
    c->persisted = e->seq;
    uint64_t state_before = c->claim.state_version;
    bool first = !c->speaks, news = others_must_know(&c->claim, &c->pending);
    c->claim = c->pending;
    c->speaks = true;
    c->persist_again_us = 0;
    if (c->nheld > 0)
        cl_held_find(c);
    if (first) {
        struct cl_node *n;
        for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
            cl_tick_soon(c, n);
    }
    /* Promotion comes before the news of it, answers after. */
    if (c->promoting && (c->claim.flags & CL_MASTER) != 0) {
        cl_effect_add(c->fx, CL_FX_PROMOTE);
        cl_handover_promoted(c);
        c->promoting = false;
    }
    if (news && !first)
        cl_tell_all(c);
    cl_lease_persisted(c);
    cl_state_persisted(c, state_before);
    cl_votes_send(c);
    answers_give(c, e->seq, NULL, (struct slice){NULL, 0});
}

/* The vote is not given, the command has failed, and nothing that was to be told is told before a later file holds it.
 */
void cl_persist_failed(struct cl_core *c, const struct cl_event *e)
{
    if (!c->writing || e->seq < c->issued)
        return;
    c->writing = false;
    c->changed_now = true;
    c->persist_again_us = c->now_us + AGAIN_US;
    if (c->nheld > 0)
        cl_held_find(c);
    size_t kept = 0;
    for (size_t i = 0; i < c->nvotes; i++)
        if (c->votes[i].seq > e->seq)
            c->votes[kept++] = c->votes[i];
    c->nvotes = kept;
    cl_jobs_not_durable(c, e->seq);
    answers_give(c, e->seq, "ERR error saving the cluster node config: ", e->bytes);
    CL_LOG(c, WARNING, "The cluster's configuration could not be written: %.*s",
           (int)(e->bytes.n < 200 ? e->bytes.n : 200), e->bytes.n > 0 ? e->bytes.p : "");
}
