/* Config epochs that this node needs and does not take by itself: under supervisors each comes by a ballot that names
 * the node (SAFETY E2, E5). The need is a level, found anew whenever somebody asks: supervisors read it in each answer
 * to CLUSTER LEASE, and TAKEOVER EPOCH ends it. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <inttypes.h>
#include <stdio.h>

#define WAIT_US (INT64_C(5000) * 1000) /* a command waits so long for its epoch */

/* ---- what is needed ---- */

/* Nobody leases anything to a master without slots before it says that it is about to get some. */
bool cl_is_homeless(const struct cl_core *c)
{
    return cl_has(c->me, CL_MASTER) && c->me->nslots == 0 && cl_epochs_by_ballot(c) && !(cl_fenced(c) && cl_leased(c));
}

bool cl_epoch_suffices(const struct cl_core *c, uint64_t above)
{
    return !cl_epochs_by_ballot(c) || (cl_fenced(c) && cl_leased(c) && c->claim.config_epoch > above);
}

/* Above which an epoch must be for the slots of this job to be claimed at it: what the source has claimed them at last,
 * and what this node has said that it takes nothing at. */
static uint64_t to_beat(const struct cl_core *c, const struct cl_job *j)
{
    const struct cl_node *source = cl_node_find(c, &j->source);
    uint64_t above = source != NULL ? source->config_epoch : 0;
    return above > c->refused_epoch ? above : c->refused_epoch;
}

bool cl_may_take(const struct cl_core *c, const struct cl_job *j)
{
    return !cl_is_frozen(c, &j->source) && PLANTED(120, cl_epoch_suffices(c, to_beat(c, j)), true);
}

bool cl_ready_to_take(const struct cl_core *c, const struct cl_id *job)
{
    const struct cl_job *j = cl_job_find(c, job);
    return j == NULL || !j->importing || cl_may_take(c, j);
}

static void need(const struct cl_core *c, uint64_t *wanted, uint64_t above)
{
    if (c->me->config_epoch <= above && *wanted <= above)
        *wanted = above + 1;
}

/* Of two masters at one epoch the one with the smaller id takes another, if it has something to claim. */
static bool collides(const struct cl_core *c)
{
    const struct cl_node *n;
    for (size_t it = 0; c->me->nslots > 0 && (n = cl_each(c, &it)) != NULL;)
        if (n != c->me && cl_has(n, CL_MASTER) && n->config_epoch == c->me->config_epoch &&
            cl_id_cmp(&n->id, &c->me->id) > 0)
            return true;
    return false;
}

static void need_for_jobs(const struct cl_core *c, uint64_t *wanted)
{
    for (size_t i = 0; c->live_jobs > 0 && i < c->njobs; i++)
        if (c->jobs[i]->importing && c->jobs[i]->state == CL_JOB_RECEIVING)
            need(c, wanted, to_beat(c, c->jobs[i]));
    for (size_t i = 0; i < c->shard.nrecords; i++)
        if (c->shard.records[i].comes_back)
            need(c, wanted, c->shard.records[i].r.epoch);
}

static bool imports_some(const struct cl_core *c)
{
    for (size_t i = 0; i < c->nopen; i++)
        if (c->open[i].importing)
            return true;
    for (size_t i = 0; c->live_jobs > 0 && i < c->njobs; i++)
        if (c->jobs[i]->importing && c->jobs[i]->state == CL_JOB_RECEIVING)
            return true;
    return false;
}

uint64_t cl_wants_epoch(const struct cl_core *c)
{
    uint64_t wanted = 0;
    if (!cl_has(c->me, CL_MASTER) || c->promoting || !cl_epochs_by_ballot(c))
        return 0;
    need_for_jobs(c, &wanted);
    for (size_t i = 0; i < c->nepoch_waits; i++)
        need(c, &wanted, c->epoch_waits[i].above);
    if (c->lease.asked_epoch > 0)
        need(c, &wanted, c->lease.asked_epoch - 1);
    if (collides(c) || (cl_is_homeless(c) && imports_some(c)))
        need(c, &wanted, c->me->config_epoch);
    return wanted < CL_EPOCH_MAX ? wanted : 0;
}

/* ---- the source's side of a hand-over ---- */

bool cl_target_is_above(const struct cl_core *c, const struct cl_job *j)
{
    const struct cl_node *target = cl_node_find(c, &j->target);
    return PLANTED(120, !cl_epochs_by_ballot(c), true) ||
           (target != NULL && target->config_epoch > c->me->config_epoch);
}

/* At which the target is to claim the slots. Under supervisors that is the epoch that the target has by a ballot, and
 * claims its slots at already. A claim at it is certain to win once the record is open: we have claimed the slots below
 * it, and claim them no more, at whatever epoch a ballot gives to us or to who replaces us; so wherever our last claim
 * of them stands, the target's is newer (SAFETY H1). said: the greatest that the target knows. */
uint64_t cl_epoch_of_grant(const struct cl_core *c, const struct cl_job *j, uint64_t said)
{
    uint64_t greatest = cl_greatest_epoch(c);
    if (PLANTED(120, cl_epochs_by_ballot(c), false))
        return cl_node_find(c, &j->target)->config_epoch;
    return (said > greatest && said < CL_EPOCH_MAX ? said : greatest) + 1;
}

/* ---- commands that wait for it ---- */

void cl_epoch_wait(struct cl_core *c, cl_token token, enum cl_wait_for what, int slot, bool slot_has_keys,
                   uint64_t above)
{
    c->epoch_waits = mem_grow(c->epoch_waits, c->nepoch_waits, &c->cap_epoch_waits, sizeof *c->epoch_waits);
    c->epoch_waits[c->nepoch_waits++] = (struct cl_epoch_wait){.token = token,
                                                               .what = what,
                                                               .slot = slot,
                                                               .slot_has_keys = slot_has_keys,
                                                               .above = above,
                                                               .until_us = c->now_us + WAIT_US};
}

static void go_on(struct cl_core *c, const struct cl_epoch_wait *w)
{
    char text[64];
    struct cl_command m = {.verb = CL_SETSLOT_NODE, .slot = w->slot, .slot_has_keys = w->slot_has_keys};
    switch (w->what) {
    case CL_WAIT_SLOT:
        m.node = slice_of(cl_id_text(&c->me->id, text));
        cl_setslot(c, w->token, &m);
        break;
    case CL_WAIT_BUMP:
        snprintf(text, sizeof text, "BUMPED %" PRIu64, c->me->config_epoch);
        cl_answer_durable(c, w->token, text);
        break;
    case CL_WAIT_LEASE: cl_answer_durable(c, w->token, "OK"); break;
    }
}

void cl_epoch_wish_run(struct cl_core *c)
{
    size_t n = c->nepoch_waits, kept = 0;
    struct cl_supervision *s = &c->lease;
    if (s->asked_epoch != 0 && (c->me->config_epoch >= s->asked_epoch || !cl_epochs_by_ballot(c)))
        s->asked_epoch = 0;
    for (size_t i = 0; i < n; i++) { /* those that go on may wait again, behind the others */
        struct cl_epoch_wait w = c->epoch_waits[i];
        bool over = !cl_has(c->me, CL_MASTER) || c->now_us >= w.until_us;
        if (cl_epoch_suffices(c, w.above) && !c->promoting)
            go_on(c, &w);
        else if (over)
            cl_effect_answer(c->fx, w.token, false,
                             "ERR The supervisors of this node have given it no lease with a config epoch above "
                             "%" PRIu64 " yet: try again",
                             w.above);
        else
            c->epoch_waits[kept++] = w;
    }
    for (size_t i = n; i < c->nepoch_waits; i++)
        c->epoch_waits[kept++] = c->epoch_waits[i];
    c->nepoch_waits = kept;
}

int64_t cl_epoch_wish_deadline(const struct cl_core *c)
{
    int64_t at = HEAP_NEVER;
    for (size_t i = 0; i < c->nepoch_waits; i++)
        if (c->epoch_waits[i].until_us < at)
            at = c->epoch_waits[i].until_us;
    return at;
}
