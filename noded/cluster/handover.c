/* A hand-over from the moment at which its record is made: what the target may do, what the source must wait for, and
 * who answers for either when it is gone. */
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
}

enum cl_hold cl_slot_hold(const struct cl_core *c, int slot)
{
    if (c->nheld == 0 || !cl_bit(c->held, slot))
        return CL_HOLD_NOT;
    const struct cl_open_record *r = cl_record_of_slot(c, slot);
    return r != NULL && r->silent ? CL_HOLD_REFUSE : CL_HOLD_WAIT;
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

/* It may speak for the target of a hand-over: it is that, its master, or a master of its shard. */
static bool may_speak_for(const struct cl_core *c, const struct cl_node *n, const struct cl_id *target)
{
    const struct cl_node *is = cl_node_find(c, target);
    if (!cl_has(n, CL_MASTER) || cl_has(n, CL_HANDSHAKE))
        return false;
    return is != NULL && (n == is || (cl_has(is, CL_REPLICA) && n == is->master) ||
                          (!cl_id_is_none(&is->shard) && cl_id_eq(&n->shard, &is->shard)));
}

/* Neither side of a hand-over claims its slots. */
static bool is_claimed(const struct cl_core *c, const struct cl_node *n, int slot)
{
    const struct cl_open_record *r = c->shard.nrecords > 0 ? cl_record_of_slot(c, slot) : NULL;
    if (r != NULL && !r->resuming && (n == c->me || n->claim_epoch < r->r.epoch))
        return false;
    return n == c->me || !cl_bit(c->unclaimed, slot);
}

bool cl_claims_some(const struct cl_core *c, const struct cl_node *n)
{
    if (n->nslots == 0)
        return false;
    for (int slot = cl_bit_next(n->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(n->slots, slot + 1, true))
        if (is_claimed(c, n, slot))
            return true;
    return false;
}

/* Of two masters in one shard that one has replaced the other which claims slots; where both do, or none, the epochs
 * tell. */
static bool has_replaced(const struct cl_core *c, const struct cl_node *n, const struct cl_node *other)
{
    bool claims = cl_claims_some(c, n);
    return claims != cl_claims_some(c, other) ? claims : n->config_epoch > other->config_epoch;
}

static bool speaks_rather(const struct cl_core *c, const struct cl_node *n, const struct cl_node *other,
                          const struct cl_id *target)
{
    bool alike = cl_claims_some(c, n) == cl_claims_some(c, other);
    if (alike && (cl_id_eq(&n->id, target) || cl_id_eq(&other->id, target)))
        return cl_id_eq(&n->id, target);
    return has_replaced(c, n, other);
}

/* Of two masters in one shard the one that claims slots speaks for it; where both do, or none, the target speaks for
 * itself, for whoever replaces it takes all that it claims; and of others the one with the higher epoch. */
struct cl_node *cl_speaker_of(const struct cl_core *c, const struct cl_id *target)
{
    struct cl_node *n, *best = NULL;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (may_speak_for(c, n, target) && (best == NULL || speaks_rather(c, n, best, target)))
            best = n;
    return best;
}

struct cl_node *cl_replaced_by(const struct cl_core *c)
{
    struct cl_node *n, *best = NULL;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n != c->me && cl_votes_here(n) && may_speak_for(c, n, &c->me->id) && cl_claims_some(c, n) &&
            !(n->config_epoch < c->me->config_epoch && cl_succeeds(c, &n->id)) &&
            has_replaced(c, n, best != NULL ? best : c->me))
            best = n;
    return best;
}

static bool owns_some(const struct cl_core *c, const uint8_t *slots)
{
    for (size_t i = 0; c->me->slots != NULL && i < CL_SLOT_BYTES; i++)
        if ((c->me->slots[i] & slots[i]) != 0)
            return true;
    return false;
}

/* Slots that are nobody's but those of the side that gave them. The source itself claims them again when it was told
 * that they were not taken; somebody may have replaced it by then who does not know that. */
static bool is_unclaimed(const struct cl_core *c, const struct cl_record *r, int slot)
{
    const struct cl_node *owner = cl_owner(c, slot);
    if (owner == NULL || owner == c->me)
        return true;
    if (cl_id_eq(&owner->id, &r->source))
        return owner->claim_epoch < r->epoch || cl_bit(c->unclaimed, slot);
    return owner->config_epoch < r->epoch;
}

static bool all_unclaimed(const struct cl_core *c, const struct cl_record *r, bool value)
{
    for (int slot = cl_bit_next(r->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->slots, slot + 1, true))
        if (is_unclaimed(c, r, slot) != value)
            return false;
    return true;
}

/* Who has slots of the record by a claim that is not older. They were taken, and have moved on since. NULL: nobody. */
static const struct cl_node *later_owner(const struct cl_core *c, const struct cl_record *r,
                                         const struct cl_node *sender)
{
    for (int slot = cl_bit_next(r->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->slots, slot + 1, true)) {
        const struct cl_node *owner = cl_owner(c, slot);
        if (owner == NULL || owner == sender || owner->config_epoch < r->epoch)
            continue;
        bool of_source = cl_id_eq(&owner->id, &r->source) || cl_id_eq(&owner->shard, &sender->shard);
        if (!of_source || !cl_bit(c->unclaimed, slot))
            return owner;
    }
    return NULL;
}

/* The record of this node is asked for by another master of its shard, which has inherited it. */
static bool has_an_heir(struct cl_core *c, const struct cl_record *r, struct cl_node *sender)
{
    const struct cl_open_record *own = cl_record_find(c, &r->job);
    if (own == NULL || own->r.taking || cl_id_is_none(&c->me->shard) || !cl_id_eq(&sender->shard, &c->me->shard) ||
        cl_claims_some(c, c->me) || !has_replaced(c, sender, c->me))
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
    if (!cl_succeeds(c, &sender->id) || !has_replaced(c, c->me, sender) || cl_claims_some(c, sender) ||
        cl_record_find(c, &r->job) != NULL || c->shard.nrecords >= CL_RECORDS_MAX || cl_replaced_by(c) != NULL ||
        !cl_is_sure(c) || owns_some(c, r->slots) || !all_unclaimed(c, r, true))
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

/* Whether it has taken the slots is asked of a target, or of whoever replaced it; and by one that speaks for the
 * source. */
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
    if (owns_some(c, r->slots)) {
        if (sender->link_state == CL_LINK_UP && (j == NULL || j->state != CL_JOB_GRANTED))
            cl_send_greeting(c, sender->link, sender, CL_PONG, NULL);
        return;
    }
    const struct cl_node *later = later_owner(c, r, sender);
    if (later != NULL) {
        if (sender->link_state == CL_LINK_UP)
            cl_send_update(c, sender->link, later);
        return;
    }
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
    c->refusals[c->nrefusals++] = (struct cl_refusal){.to = sender->id, .r = *r, .seq = cl_next_seq(c)};
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
        if (!agreed || c->persisted < f->seq)
            c->refusals[kept++] = *f;
        else
            cl_handover_send(c, to, CL_SAY_NOT, &f->r);
    }
    c->nrefusals = kept;
}

/* ---- the source's side ---- */

void cl_handover_resume(struct cl_core *c, struct cl_open_record *r)
{
    r->comes_back = !cl_epoch_suffices(c, r->r.epoch);
    if (r->comes_back) /* the target's word, or the operator's, holds until a ballot has given us one */
        return;
    for (int slot = 0; slot < CL_SLOTS; slot++)
        if (cl_bit(r->r.slots, slot) && is_unclaimed(c, &r->r, slot))
            cl_slot_give(c, slot, c->me);
    if (!cl_epochs_by_ballot(c)) {
        if (c->current_epoch < r->r.epoch)
            c->current_epoch = r->r.epoch;
        cl_bump_epoch(c, true);
    }
    r->resuming = true;
    cl_durable(c);
    CL_LOG(c, WARNING, "The slots of a hand-over come back: claimed in config epoch %" PRIu64, c->me->config_epoch);
}

/* The target has come into our own shard, without slots: it is no master any more, and we speak for it. */
static bool is_with_us(const struct cl_core *c, const struct cl_open_record *r)
{
    const struct cl_node *target = cl_node_find(c, &r->r.target);
    return target != NULL && (target == c->me || (cl_has(target, CL_REPLICA) && target->master == c->me));
}

/* Who says whether the slots were taken: ourselves, where the target is with us and has left nobody behind who may have
 * taken them in its place. NULL: nobody that is known, or one of those is out of reach. */
static const struct cl_node *answers_for(const struct cl_core *c, const struct cl_open_record *r)
{
    const struct cl_node *n, *best = NULL;
    bool unheard = false;
    if (!is_with_us(c, r))
        return cl_speaker_of(c, &r->r.target);
    for (size_t it = 0; !cl_id_is_none(&r->shard) && (n = cl_each(c, &it)) != NULL;) {
        if (n == c->me || !cl_id_eq(&n->shard, &r->shard))
            continue;
        if (cl_has(n, CL_MASTER))
            best = best == NULL || has_replaced(c, n, best) ? n : best;
        else
            unheard = unheard || cl_has(n, CL_PFAIL | CL_FAILED) || n->link_state != CL_LINK_UP;
    }
    return best != NULL ? best : unheard ? NULL : c->me;
}

static void refused(struct cl_core *c, const struct cl_record *said, struct cl_node *sender)
{
    struct cl_open_record *r = cl_record_find(c, &said->job);
    if (r == NULL || r->r.taking || r->resuming || r->ask_us == HEAP_NEVER || said->epoch != r->r.epoch ||
        !cl_has(c->me, CL_MASTER) || !cl_is_sure(c)) /* it is asked again */
        return;
    if (answers_for(c, r) != sender || !all_unclaimed(c, &r->r, true))
        return;
    cl_handover_resume(c, r);
}

/* A master whose place we have taken claims the slots: its disk has lost the record, or the record was over before we
 * could hear of that. As long as it claims them it speaks for our side, and nobody answers us. */
static bool is_claimed_by_predecessor(const struct cl_core *c, const struct cl_record *r, const struct cl_node *n)
{
    if (!cl_succeeds(c, &n->id) || !cl_has(n, CL_MASTER) || n->config_epoch >= c->claim.config_epoch)
        return false;
    for (int slot = cl_bit_next(r->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->slots, slot + 1, true))
        if (cl_owner(c, slot) == n && !cl_bit(c->unclaimed, slot))
            return true;
    return false;
}

/* Asks the target's side; a master of our own side that comes back learns by it that it was replaced. */
static void ask(struct cl_core *c, struct cl_open_record *r)
{
    struct cl_node *n;
    r->ask_us = c->now_us + CL_ASK_US;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n != c->me && n->ours &&
            (may_speak_for(c, n, &r->r.target) || may_speak_for(c, n, &c->me->id) || n == answers_for(c, r)))
            cl_handover_send(c, n, is_claimed_by_predecessor(c, &r->r, n) ? CL_SAY_HELD : CL_SAY_ASK, &r->r);
}

/* Closes it when the answer is there. */
static void source_run(struct cl_core *c, struct cl_open_record *r)
{
    struct cl_job *j = cl_job_find(c, &r->r.job);
    if (r->resuming) {
        if (c->claim.config_epoch != c->me->config_epoch)
            return;
        cl_record_close(c, r);
        if (j != NULL)
            cl_job_end(c, j, CL_JOB_FAILED, "The target did not take the slots");
        return;
    }
    if (r->comes_back && cl_is_sure(c) && all_unclaimed(c, &r->r, true)) {
        cl_handover_resume(c, r);
        if (r->resuming)
            return;
    }
    if (all_unclaimed(c, &r->r, false)) {
        const struct cl_node *owner = cl_owner(c, cl_bit_next(r->r.slots, 0, true));
        bool source_has_them = owner != NULL && cl_id_eq(&owner->id, &r->r.source);
        /* A replica that was elected meanwhile has the keys still. */
        cl_effect_slots_add(c->fx, CL_FX_DROP_SLOTS, r->r.slots);
        cl_record_close(c, r);
        if (j != NULL && source_has_them)
            cl_job_end(c, j, CL_JOB_FAILED, "The source has the slots again");
        else if (j != NULL)
            cl_job_end(c, j, CL_JOB_SUCCESS, "%s", "");
        return;
    }
    bool long_ago = c->now_us - r->since_us >= cl_timeout_us(c);
    bool ours = long_ago && r->ask_us != HEAP_NEVER && answers_for(c, r) == c->me;
    assert(c->me != NULL);
    if (ours && cl_is_sure(c) && all_unclaimed(c, &r->r, true)) {
        cl_handover_resume(c, r);
        return;
    }
    if (r->ask_us != HEAP_NEVER && !r->silent && long_ago) {
        r->silent = true;
        cl_held_find(c);
        CL_LOG(c, WARNING, "The target of a hand-over does not answer: writes to its slots are refused until it does");
    }
    if (PLANTED(11, false, r->silent))
        cl_handover_resume(c, r);
    if (c->now_us >= r->ask_us)
        ask(c, r);
}

/* Slots that are being handed over are claimed by nobody, so somebody with an old claim would have them for all. */
bool cl_handover_correct(struct cl_core *c, struct cl_node *n, int slot, uint64_t epoch)
{
    const struct cl_open_record *r = c->shard.nrecords > 0 ? cl_record_of_slot(c, slot) : NULL;
    if (r == NULL || r->r.taking || !n->ours || !cl_has(n, CL_MASTER) || epoch >= c->claim.config_epoch)
        return false;
    cl_handover_send(c, n, CL_SAY_HELD, &r->r);
    return true;
}

static void held(struct cl_core *c, const struct cl_record *r, struct cl_node *sender)
{
    uint8_t slots[CL_SLOT_BYTES] = {0};
    if (!cl_has(c->me, CL_MASTER) || !cl_has(sender, CL_MASTER) || c->me->config_epoch >= r->epoch ||
        cl_record_find(c, &r->job) != NULL)
        return;
    for (size_t i = 0; c->me->slots != NULL && i < CL_SLOT_BYTES; i++)
        slots[i] = (uint8_t)(r->slots[i] & c->me->slots[i]);
    cl_slots_claimed(c, sender, sender->config_epoch, slots);
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
        held(c, &r, sender);
    else
        refused(c, &r, sender);
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
                if (cl_bit(r->r.slots, slot) && (is_unclaimed(c, &r->r, slot) || is_of_our_shard(c, slot)))
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
            source_run(c, r);
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
