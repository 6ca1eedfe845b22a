/* A hand-over from the moment at which its record is made: which slots wait for it, what the target may do and what it
 * answers. The source's side is in handover_source.c. */
#include "noded/cluster/handover.h"
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

/* ---- slots that are held ---- */

static void hold(struct cl_core *c, const uint8_t *slots)
{
    for (size_t i = 0; i < CL_SLOT_BYTES; i++)
        c->held[i] |= slots[i];
    c->nheld++;
}

/* Our disk does not say yet that it is ours. If we died now, its owner would be another, and what we had acknowledged
 * would be where nobody looks. */
static bool is_unsaved(const struct cl_core *c, int slot)
{
    return cl_owner(c, slot) == c->me && !cl_bit(c->claim.kept, slot);
}

static void hold_unsaved(struct cl_core *c)
{
    uint8_t unsaved[CL_SLOT_BYTES], any = 0;
    for (size_t i = 0; c->me->slots != NULL && i < CL_SLOT_BYTES; i++)
        any |= unsaved[i] = (uint8_t)(c->me->slots[i] & ~c->claim.kept[i]);
    if (any != 0)
        hold(c, unsaved);
}

void cl_held_given(struct cl_core *c, int slot)
{
    if (!is_unsaved(c, slot))
        return;
    cl_bit_set(c->held, slot);
    c->nheld++;
}

void cl_held_find(struct cl_core *c)
{
    memset(c->held, 0, sizeof c->held);
    c->nheld = 0;
    c->version++;
    if (!cl_has(c->me, CL_MASTER))
        return;
    for (size_t i = 0; i < c->njobs; i++) {
        const struct cl_job *j = c->jobs[i];
        if (j->state == CL_JOB_PAUSED || j->state == CL_JOB_RECORDING || (j->state == CL_JOB_GRANTED && j->importing))
            hold(c, j->slots);
    }
    for (size_t i = 0; i < c->shard.nrecords; i++)
        hold(c, c->shard.records[i].r.slots);
    hold_unsaved(c);
}

enum cl_hold cl_slot_hold(const struct cl_core *c, int slot)
{
    if (c->nheld == 0 || !cl_bit(c->held, slot))
        return CL_HOLD_NOT;
    const struct cl_open_record *r = cl_record_of_slot(c, slot);
    if (r != NULL)
        return r->silent ? CL_HOLD_REFUSE : CL_HOLD_WAIT;
    return c->persist_again_us != 0 && is_unsaved(c, slot) ? CL_HOLD_REFUSE : CL_HOLD_WAIT;
}

bool cl_some_slot_held(const struct cl_core *c)
{
    return c->nheld > 0;
}

/* ---- the target's side ---- */

void cl_handover_take(struct cl_core *c, struct cl_job *j, uint64_t epoch)
{
    struct cl_record r = {.job = j->name, .source = j->source, .target = j->target, .taking = true, .epoch = epoch};
    memcpy(r.slots, j->slots, sizeof r.slots);
    for (int slot = cl_bit_next(r.slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r.slots, slot + 1, true))
        cl_slot_give(c, slot, c->me);
    cl_job_enter(c, j, CL_JOB_GRANTED, HEAP_NEVER);
    cl_record_open(c, &r);
    CL_LOG(c, NOTICE, "Taking the slots of a migration in config epoch %" PRIu64, epoch);
}

/* Our replicas know: what was imported is shown, and the claim is told once this is on disk. */
static void taken(struct cl_core *c, struct cl_open_record *r)
{
    struct cl_job *j = cl_job_find(c, &r->r.job);
    cl_effect_slots_add(c->fx, CL_FX_SLOTS_SHOW, r->r.slots);
    /* Not earlier: after a crash it would speak for slots of ours that a replica, which knew nothing of it, has won.
     * Under supervisors the epoch is ours already. */
    if (c->me->config_epoch < r->r.epoch)
        c->me->config_epoch = r->r.epoch;
    cl_record_close(c, r);
    if (j != NULL)
        j->seq = cl_next_seq(c);
}

/* As if it had never been granted: nobody was told of our claim, and the source still has everything. */
static void untake(struct cl_core *c, struct cl_open_record *r)
{
    struct cl_node *source = cl_node_find(c, &r->r.source);
    for (int slot = 0; slot < CL_SLOTS; slot++)
        if (cl_bit(r->r.slots, slot) && cl_owner(c, slot) == c->me)
            cl_slot_give(c, slot, source != NULL && cl_has(source, CL_MASTER) ? source : NULL);
    if (c->refused_epoch < r->r.epoch)
        c->refused_epoch = r->r.epoch;
    if (c->untaken_epoch < r->r.epoch)
        c->untaken_epoch = r->r.epoch;
    cl_effect_slots_add(c->fx, CL_FX_DROP_SLOTS, r->r.slots);
    struct cl_job *j = cl_job_find(c, &r->r.job);
    cl_record_close(c, r);
    cl_state_changed(c, true);
    if (j != NULL)
        cl_job_end(c, j, CL_JOB_FAILED, "This node was replaced while it took the slots");
}

/* What was imported, by jobs that died with an earlier life or an earlier master. */
static void settle(struct cl_core *c)
{
    uint8_t mine[CL_SLOT_BYTES] = {0}, others[CL_SLOT_BYTES];
    if (c->me->slots != NULL)
        memcpy(mine, c->me->slots, sizeof mine);
    for (size_t i = 0; i < CL_SLOT_BYTES; i++)
        others[i] = (uint8_t)~mine[i];
    cl_effect_slots_add(c->fx, CL_FX_SLOTS_SHOW, mine);
    cl_effect_slots_add(c->fx, CL_FX_SLOTS_FORGET, others);
}

void cl_handover_restarted(struct cl_core *c)
{
    cl_jobs_restarted(c);
    if (!cl_has(c->me, CL_MASTER))
        return;
    cl_state_restarted(c);
    for (size_t i = c->shard.nrecords; i-- > 0;) {
        struct cl_open_record *r = &c->shard.records[i];
        if (r->r.taking)
            untake(c, r);
        else
            r->ask_us = c->now_us;
    }
    settle(c);
}

static bool owns_some(const struct cl_core *c, const uint8_t *slots)
{
    for (size_t i = 0; c->me->slots != NULL && i < CL_SLOT_BYTES; i++)
        if ((c->me->slots[i] & slots[i]) != 0)
            return true;
    return false;
}

/* We are the target, and have never claimed anything at the record's epoch. */
static bool has_never_taken(const struct cl_core *c, const struct cl_record *r)
{
    return cl_id_eq(&r->target, &c->me->id) && c->me->config_epoch < r->epoch;
}

/* Who has the slot by a claim that is not older. It was taken, and has moved on since. NULL: nobody. One that does not
 * claim it may be giving it away again; but what we have never taken did not come to it from us, and we only remember
 * it for the owner, from before it gave it to the source. */
static const struct cl_node *later_owner(const struct cl_core *c, const struct cl_record *r,
                                         const struct cl_node *sender, int slot)
{
    const struct cl_node *owner = cl_owner(c, slot);
    if (owner == NULL || owner == sender || cl_claimed_at(c, slot) < r->epoch)
        return NULL;
    bool of_source = cl_id_eq(&owner->id, &r->source) || cl_id_eq(&owner->shard, &sender->shard);
    return !cl_bit(c->unclaimed, slot) || !(of_source || has_never_taken(c, r)) ? owner : NULL;
}

/* The record of this node is asked for by another master of its shard, which has inherited it. */
static bool has_an_heir(struct cl_core *c, const struct cl_record *r, struct cl_node *sender)
{
    const struct cl_open_record *own = cl_record_find(c, &r->job);
    if (own == NULL || own->r.taking || cl_id_is_none(&c->me->shard) || !cl_id_eq(&sender->shard, &c->me->shard) ||
        cl_claims_some(c, c->me) || !cl_has_replaced(c, sender, c->me))
        return false;
    CL_LOG(c, NOTICE, "Another master asks for a hand-over of ours: following %s:%u", sender->ip,
           (unsigned)sender->port);
    cl_follow(c, sender);
    return true;
}

/* Whoever is a master now in the place of the source asks for the answer. */
static void wait_for_answer(struct cl_core *c, struct cl_open_record *r)
{
    r->silent = true;
    r->since_us = r->ask_us = c->now_us;
    if (cl_job_find(c, &r->r.job) != NULL)
        return;
    struct cl_job *j = cl_job_new(c, &r->r.job, false, &r->r.source, &r->r.target, r->r.slots);
    j->begun = true;
    cl_job_enter(c, j, CL_JOB_GRANTED, HEAP_NEVER);
}

/* We have taken the sender's place by force, without having heard of its record. It does not speak for our shard any
 * more, so nobody would answer it. */
static bool adopted(struct cl_core *c, const struct cl_record *r, const struct cl_node *sender)
{
    if (!cl_succeeds(c, &sender->id) || !cl_has_replaced(c, c->me, sender) || cl_claims_some(c, sender) ||
        cl_record_find(c, &r->job) != NULL || c->shard.nrecords >= CL_RECORDS_MAX || cl_replaced_by(c) != NULL ||
        !cl_is_sure(c) || owns_some(c, r->slots) || !cl_all_unclaimed(c, r, true))
        return false;
    cl_record_open(c, r);
    wait_for_answer(c, cl_record_find(c, &r->job));
    cl_held_find(c);
    return true;
}

/* Slots of an earlier record of ours are in one of the sender's side: they were taken, and have been given away again.
 * Our disk was told so and has lost it; and as neither side of either record claims them, nothing else says it. */
static void moved_on(struct cl_core *c, const struct cl_record *r, struct cl_node *sender)
{
    for (int slot = cl_bit_next(r->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->slots, slot + 1, true)) {
        const struct cl_open_record *own = c->shard.nrecords > 0 ? cl_record_of_slot(c, slot) : NULL;
        if (own != NULL && !own->r.taking && !own->resuming && own->r.epoch < r->epoch &&
            own->r.epoch <= sender->config_epoch && cl_owner(c, slot) == c->me)
            cl_slot_give(c, slot, sender);
    }
}

/* Leaves those slots of the record that were not taken, as far as we know. Of the others: who has one now and is not we
 * ourselves; NULL: nobody is known. */
static const struct cl_node *without_taken(struct cl_core *c, struct cl_record *r, const struct cl_node *sender)
{
    const struct cl_node *later = NULL;
    for (int slot = cl_bit_next(r->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->slots, slot + 1, true)) {
        const struct cl_node *owner = cl_owner(c, slot), *has = later_owner(c, r, sender, slot);
        later = later != NULL ? later : has;
        /* Nobody's just now: its owner was replaced, and who replaced it will say so. */
        bool between = owner == NULL && !has_never_taken(c, r) && cl_slot_floor(c, slot) >= r->epoch;
        bool ours = owner != NULL && owner == c->me;
        if (ours || has != NULL || between)
            cl_bit_clear(r->slots, slot);
    }
    return later;
}

static void refuse(struct cl_core *c, const struct cl_record *r, const struct cl_node *sender)
{
    struct cl_job *j = cl_job_find(c, &r->job);
    if (c->nrefusals >= CL_RECORDS_MAX) /* it will ask again */
        return;
    if (j != NULL && PLANTED(16, true, false))
        cl_job_end(c, j, CL_JOB_FAILED, "The source asked for the slots back");
    if (c->refused_epoch < r->epoch)
        c->refused_epoch = r->epoch;
    cl_durable(c);
    for (size_t i = 0; i < c->nrefusals; i++)
        if (cl_id_eq(&c->refusals[i].to, &sender->id) && cl_id_eq(&c->refusals[i].r.job, &r->job))
            return;
    c->refusals = mem_grow(c->refusals, c->nrefusals, &c->cap_refusals, sizeof *c->refusals);
    c->refusals[c->nrefusals++] = (struct cl_refusal){
        .to = sender->id,
        .r = *r,
        .seq = cl_next_seq(c),
        .replicas_know = !has_never_taken(c, r) || r->epoch <= c->untaken_epoch,
    };
}

/* Whether it has taken the slots is asked of a target, or of whoever replaced it; and by one that speaks for the
 * source. What it has not taken it refuses, also where it has a part of them in another way. */
static void asked(struct cl_core *c, const struct cl_record *r, struct cl_node *sender)
{
    struct cl_node *me = c->me;
    struct cl_job *j = cl_job_find(c, &r->job);
    const struct cl_id *target = cl_node_find(c, &r->target) != NULL ? &r->target : &me->id;
    if (!cl_has(me, CL_MASTER) || !cl_has(sender, CL_MASTER) || has_an_heir(c, r, sender) || adopted(c, r, sender) ||
        cl_speaker_of(c, &sender->id) != sender || cl_record_find(c, &r->job) != NULL)
        return;
    moved_on(c, r, sender);
    const struct cl_node *speaker = cl_speaker_of(c, target);
    if (speaker != me && speaker != sender) /* with the sender: it asks those whom the target has left */
        return;
    if (owns_some(c, r->slots) && me->config_epoch < r->epoch) {
        /* By an operator's hand, not by the grant: what we claim must be above what the source waits for. */
        if (cl_epochs_by_ballot(c)) {
            if (c->lease.asked_epoch < r->epoch)
                c->lease.asked_epoch = r->epoch;
            return;
        }
        if (c->current_epoch < r->epoch)
            c->current_epoch = r->epoch;
        if (cl_is_sure(c))
            cl_bump_epoch(c, true);
        return;
    }
    if (owns_some(c, r->slots) && sender->link_state == CL_LINK_UP && (j == NULL || j->state != CL_JOB_GRANTED))
        cl_send_greeting(c, sender->link, sender, CL_PONG, NULL);
    struct cl_record rest = *r;
    const struct cl_node *later = without_taken(c, &rest, sender);
    if (later != NULL && sender->link_state == CL_LINK_UP)
        cl_send_update(c, sender->link, later);
    if (cl_bit_next(rest.slots, 0, true) < CL_SLOTS)
        refuse(c, &rest, sender);
}

static void refusals_send(struct cl_core *c)
{
    size_t kept = 0;
    bool agreed = c->nrefusals > 0 && cl_state_agreed(c);
    for (size_t i = 0; i < c->nrefusals; i++) {
        struct cl_refusal *f = &c->refusals[i];
        struct cl_node *to = cl_node_find(c, &f->to);
        if (to == NULL || !cl_has(c->me, CL_MASTER) || owns_some(c, f->r.slots))
            continue;
        if ((!agreed && f->replicas_know) || c->persisted < f->seq)
            c->refusals[kept++] = *f;
        else
            cl_handover_send(c, to, CL_SAY_NOT, &f->r);
    }
    c->nrefusals = kept;
}

/* ---- both ---- */

void cl_handover_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender)
{
    struct cl_record r;
    if (m->handover.say == CL_SAY_STATE) {
        cl_state_received(c, m, sender);
        return;
    }
    cl_wire_record(m, 0, &r);
    if (cl_id_is_none(&r.job) || r.epoch >= CL_EPOCH_MAX)
        return;
    if (m->handover.say == CL_SAY_ASK)
        asked(c, &r, sender);
    else if (m->handover.say == CL_SAY_HELD)
        cl_handover_held(c, &r, sender);
    else
        cl_handover_refused(c, &r, sender);
}

static bool is_of_our_shard(const struct cl_core *c, int slot)
{
    const struct cl_node *owner = cl_owner(c, slot);
    return owner != NULL && !cl_id_is_none(&owner->shard) && cl_id_eq(&owner->shard, &c->me->shard);
}

void cl_handover_inherit(struct cl_core *c)
{
    for (size_t i = c->shard.nrecords; i-- > 0;) {
        struct cl_open_record *r = &c->shard.records[i];
        if (r->r.taking) {
            /* Slots may have moved on from our master since, before we heard that it had taken them. */
            for (int slot = 0; slot < CL_SLOTS; slot++)
                if (cl_bit(r->r.slots, slot) && (cl_is_unclaimed(c, &r->r, slot) || is_of_our_shard(c, slot)))
                    cl_slot_give(c, slot, c->me);
            cl_record_close(c, r);
            continue;
        }
        if (PLANTED(15, false, true)) {
            cl_record_close(c, r);
            continue;
        }
        wait_for_answer(c, r);
    }
    cl_held_find(c);
}

void cl_handover_promoted(struct cl_core *c)
{
    settle(c);
}

void cl_handover_run(struct cl_core *c)
{
    refusals_send(c);
    if (!cl_has(c->me, CL_MASTER))
        return;
    /* An unleased node claims nothing (SAFETY E2): whoever gets its lease instead knows the record too. */
    bool agreed = c->shard.nrecords > 0 && cl_state_agreed(c) && cl_leased(c);
    struct cl_node *instead = c->shard.nrecords > 0 ? cl_replaced_by(c) : NULL;
    for (size_t i = c->shard.nrecords; i-- > 0;) {
        struct cl_open_record *r = &c->shard.records[i];
        if (!r->r.taking)
            cl_handover_source_run(c, r);
        else if (agreed)
            taken(c, r);
        else if (instead != NULL) /* whoever replaced us answers for the target, and does not have them */
            untake(c, r);
    }
    if (instead != NULL && c->me->nslots == 0)
        cl_follow(c, instead);
}

int64_t cl_handover_deadline(const struct cl_core *c)
{
    int64_t at = HEAP_NEVER;
    for (size_t i = 0; cl_has(c->me, CL_MASTER) && i < c->shard.nrecords; i++) {
        const struct cl_open_record *r = &c->shard.records[i];
        if (r->r.taking || r->resuming)
            continue;
        at = r->ask_us < at ? r->ask_us : at;
        if (r->ask_us != HEAP_NEVER && !r->silent && r->since_us + cl_timeout_us(c) < at)
            at = r->since_us + cl_timeout_us(c);
    }
    return at;
}
