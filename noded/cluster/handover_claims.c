/* Who claims the slots of a hand-over, and who speaks for either side of it when it is gone. */
#include "noded/cluster/state.h"

/* It may speak for the target of a hand-over: it is that, its master, or a master of its shard. */
bool cl_may_speak_for(const struct cl_core *c, const struct cl_node *n, const struct cl_id *target)
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
bool cl_has_replaced(const struct cl_core *c, const struct cl_node *n, const struct cl_node *other)
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
    return cl_has_replaced(c, n, other);
}

/* Of two masters in one shard the one that claims slots speaks for it; where both do, or none, the target speaks for
 * itself, for whoever replaces it takes all that it claims; and of others the one with the higher epoch. */
struct cl_node *cl_speaker_of(const struct cl_core *c, const struct cl_id *target)
{
    struct cl_node *n, *best = NULL;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (cl_may_speak_for(c, n, target) && (best == NULL || speaks_rather(c, n, best, target)))
            best = n;
    return best;
}

struct cl_node *cl_replaced_by(const struct cl_core *c)
{
    struct cl_node *n, *best = NULL;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n != c->me && cl_votes_here(n) && cl_may_speak_for(c, n, &c->me->id) && cl_claims_some(c, n) &&
            !(n->config_epoch < c->me->config_epoch && cl_succeeds(c, &n->id)) &&
            cl_has_replaced(c, n, best != NULL ? best : c->me))
            best = n;
    return best;
}

/* Slots that are nobody's but those of the side that gave them. The source itself claims them again when it was told
 * that they were not taken; somebody may have replaced it by then who does not know that. Whoever took them has claimed
 * them by an epoch that is not older; an owner from before may have got such a one since, for all else that it has. */
bool cl_is_unclaimed(const struct cl_core *c, const struct cl_record *r, int slot)
{
    const struct cl_node *owner = cl_owner(c, slot);
    if (owner == NULL || owner == c->me)
        return true;
    if (cl_id_eq(&owner->id, &r->source))
        return owner->claim_epoch < r->epoch || cl_bit(c->unclaimed, slot);
    return cl_claimed_at(c, slot) < r->epoch;
}

bool cl_all_unclaimed(const struct cl_core *c, const struct cl_record *r, bool value)
{
    for (int slot = cl_bit_next(r->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(r->slots, slot + 1, true))
        if (cl_is_unclaimed(c, r, slot) != value)
            return false;
    return true;
}
