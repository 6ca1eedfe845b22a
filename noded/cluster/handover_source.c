/* The source's side of a hand-over: it asks until the target's side has taken the slots or refused them for ever. */
#include "noded/cluster/handover.h"
#include "noded/cluster/state.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void cl_handover_resume(struct cl_core *c, struct cl_open_record *r)
{
    r->comes_back = !cl_epoch_suffices(c, r->r.epoch);
    if (r->comes_back) /* the target's word, or the operator's, holds until a ballot has given us one */
        return;
    uint8_t others[CL_SLOT_BYTES] = {0};
    for (int slot = cl_bit_next(r->r.slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->r.slots, slot + 1, true))
        if (cl_is_unclaimed(c, &r->r, slot))
            cl_slot_give(c, slot, c->me);
        else
            cl_bit_set(others, slot);
    if (cl_bit_next(others, 0, true) < CL_SLOTS)
        cl_effect_slots_add(c->fx, CL_FX_DROP_SLOTS, others);
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

/* The target was forgotten, as one that never comes back: whoever has its shard now speaks for it. NULL: nobody that is
 * known. */
static const struct cl_node *heir_of_forgotten(const struct cl_core *c, const struct cl_open_record *r)
{
    const struct cl_node *n, *best = NULL;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        bool of_shard = !cl_id_is_none(&r->r.shard) && cl_id_eq(&n->shard, &r->r.shard);
        bool speaks = cl_has(n, CL_MASTER) && !cl_has(n, CL_HANDSHAKE) && n != c->me &&
                      (of_shard || cl_id_eq(&n->came_after, &r->r.target));
        if (speaks && (best == NULL || cl_has_replaced(c, n, best)))
            best = n;
    }
    return best;
}

/* Who says whether the slots were taken: ourselves, where the target is with us and has left nobody behind who may have
 * taken them in its place. NULL: nobody that is known, or one of those is out of reach. */
static const struct cl_node *answers_for(const struct cl_core *c, const struct cl_open_record *r)
{
    const struct cl_node *n, *best = NULL;
    bool unheard = false;
    if (cl_node_find(c, &r->r.target) == NULL)
        return heir_of_forgotten(c, r);
    if (!is_with_us(c, r))
        return cl_speaker_of(c, &r->r.target);
    for (size_t it = 0; !cl_id_is_none(&r->r.shard) && (n = cl_each(c, &it)) != NULL;) {
        if (n == c->me || !cl_id_eq(&n->shard, &r->r.shard))
            continue;
        if (cl_has(n, CL_MASTER))
            best = best == NULL || cl_has_replaced(c, n, best) ? n : best;
        else
            unheard = unheard || cl_has(n, CL_PFAIL | CL_FAILED) || n->link_state != CL_LINK_UP;
    }
    return best != NULL ? best : unheard ? NULL : c->me;
}

/* Each slot is refused, or is somebody's in another way: an operator's. */
static bool is_settled(const struct cl_core *c, const struct cl_open_record *r, const struct cl_record *said)
{
    for (int slot = cl_bit_next(r->r.slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->r.slots, slot + 1, true))
        if (cl_is_unclaimed(c, &r->r, slot) && !cl_bit(said->slots, slot))
            return false;
    return !cl_all_unclaimed(c, &r->r, false);
}

void cl_handover_refused(struct cl_core *c, const struct cl_record *said, struct cl_node *sender)
{
    struct cl_open_record *r = cl_record_find(c, &said->job);
    if (r == NULL || r->r.taking || r->resuming || r->ask_us == HEAP_NEVER || said->epoch != r->r.epoch ||
        !cl_has(c->me, CL_MASTER) || !cl_is_sure(c)) /* it is asked again */
        return;
    if (answers_for(c, r) == sender && is_settled(c, r, said))
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
            (cl_may_speak_for(c, n, &r->r.target) || cl_may_speak_for(c, n, &c->me->id) || n == answers_for(c, r)))
            cl_handover_send(c, n, is_claimed_by_predecessor(c, &r->r, n) ? CL_SAY_HELD : CL_SAY_ASK, &r->r);
}

/* Under supervisors: a master before us claims the slot, which got it back from the target and was replaced before we
 * could hear of that. It gets no lease any more, and as it has slots it does not follow us: nobody would serve it. It
 * is ours with all else that this master had, and we have its keys. Elsewhere we follow the one that claims slots. */
static struct cl_node *outlived(const struct cl_core *c, int slot)
{
    struct cl_node *n = cl_owner(c, slot);
    bool before_us = n != NULL && n != c->me && cl_has(n, CL_MASTER) && cl_succeeds(c, &n->id) &&
                     n->config_epoch < c->me->config_epoch;
    return before_us && cl_epochs_by_ballot(c) ? n : NULL;
}

/* Somebody claims each of the slots. What is to be ours waits until we may claim it. */
static bool may_close(const struct cl_core *c, const struct cl_open_record *r)
{
    for (int slot = cl_bit_next(r->r.slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->r.slots, slot + 1, true)) {
        const struct cl_node *n = outlived(c, slot);
        if (n != NULL && !cl_epoch_suffices(c, n->config_epoch))
            return false;
    }
    return true;
}

static void close_by_claims(struct cl_core *c, struct cl_open_record *r, struct cl_job *j)
{
    const struct cl_node *owner = cl_owner(c, cl_bit_next(r->r.slots, 0, true));
    bool source_has_them = owner != NULL && cl_id_eq(&owner->id, &r->r.source);
    uint8_t others[CL_SLOT_BYTES];
    memcpy(others, r->r.slots, sizeof others);
    for (int slot = cl_bit_next(r->r.slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->r.slots, slot + 1, true)) {
        if (outlived(c, slot) == NULL)
            continue;
        cl_slot_give(c, slot, c->me);
        cl_bit_clear(others, slot);
    }
    /* A replica that was elected meanwhile has the keys still. */
    cl_effect_slots_add(c->fx, CL_FX_DROP_SLOTS, others);
    cl_record_close(c, r);
    if (j != NULL && source_has_them)
        cl_job_end(c, j, CL_JOB_FAILED, "The source has the slots again");
    else if (j != NULL)
        cl_job_end(c, j, CL_JOB_SUCCESS, "%s", "");
}

/* The target may have told which its shard is only since. */
static void learn_shard(struct cl_core *c, struct cl_open_record *r)
{
    const struct cl_node *target = cl_id_is_none(&r->r.shard) ? cl_node_find(c, &r->r.target) : NULL;
    if (target == NULL || cl_id_is_none(&target->shard) || cl_id_eq(&target->shard, &c->me->shard))
        return;
    r->r.shard = target->shard;
    cl_state_changed(c, false);
}

/* Closes it when the answer is there. */
void cl_handover_source_run(struct cl_core *c, struct cl_open_record *r)
{
    struct cl_job *j = cl_job_find(c, &r->r.job);
    learn_shard(c, r);
    if (r->resuming) {
        if (c->claim.config_epoch != c->me->config_epoch)
            return;
        cl_record_close(c, r);
        if (j != NULL)
            cl_job_end(c, j, CL_JOB_FAILED, "The target did not take the slots");
        return;
    }
    if (r->comes_back && cl_is_sure(c) && !cl_all_unclaimed(c, &r->r, false)) {
        cl_handover_resume(c, r);
        if (r->resuming)
            return;
    }
    if (cl_all_unclaimed(c, &r->r, false) && may_close(c, r)) {
        close_by_claims(c, r, j);
        return;
    }
    bool long_ago = c->now_us - r->since_us >= cl_timeout_us(c);
    bool ours = long_ago && r->ask_us != HEAP_NEVER && answers_for(c, r) == c->me;
    assert(c->me != NULL);
    if (ours && cl_is_sure(c) && cl_all_unclaimed(c, &r->r, true)) {
        cl_handover_resume(c, r);
        if (r->resuming)
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

void cl_handover_held(struct cl_core *c, const struct cl_record *r, struct cl_node *sender)
{
    uint8_t slots[CL_SLOT_BYTES] = {0};
    if (!cl_has(c->me, CL_MASTER) || !cl_has(sender, CL_MASTER) || c->me->config_epoch >= r->epoch ||
        cl_record_find(c, &r->job) != NULL)
        return;
    for (size_t i = 0; c->me->slots != NULL && i < CL_SLOT_BYTES; i++)
        slots[i] = (uint8_t)(r->slots[i] & c->me->slots[i]);
    cl_slots_claimed(c, sender, sender->config_epoch, slots);
}
