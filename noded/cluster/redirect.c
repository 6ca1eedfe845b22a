#include "noded/cluster/redirect.h"
#include "noded/cluster/state.h"

#include <assert.h>
#include <string.h>

static enum cl_verdict while_down(const struct cl_core *c, const struct cl_request *r)
{
    if (r->shard_channels)
        return c->set.pubsub_when_down ? CL_HERE : CL_DOWN;
    if (!c->set.reads_when_down)
        return CL_DOWN;
    return r->write ? CL_DOWN_READS_ONLY : CL_HERE;
}

/* A slot on its way out (this is its owner) or in. */
static enum cl_verdict open_slot(const struct cl_core *c, const struct cl_request *r, const struct cl_open *leaving,
                                 bool entering, struct cl_member *to)
{
    if (r->migrate)
        return CL_HERE;
    if (r->between_databases && (leaving != NULL || r->asking))
        return CL_TRYAGAIN;
    size_t missing = r->shard_channels || r->missing == NULL ? 0 : r->missing(r->owner);
    if (leaving != NULL && missing > 0) {
        if (missing < r->keys)
            return CL_TRYAGAIN;
        if (to != NULL)
            cl_member_at(c, leaving->node->index, to);
        return CL_ASK;
    }
    if (entering && r->asking)
        return r->keys > 1 && missing > 0 ? CL_TRYAGAIN : CL_HERE;
    return leaving != NULL ? CL_HERE : CL_MOVED;
}

/* A slot of ours. One that this node is taking over has no keys to be seen yet, so reads wait for it too. */
static enum cl_verdict own_slot(const struct cl_core *c, const struct cl_request *r)
{
    if (!cl_bit(c->held, r->slot) || r->shard_channels)
        return CL_HERE;
    const struct cl_open_record *open = cl_record_of_slot(c, r->slot);
    if (open != NULL && open->r.taking)
        return CL_WAIT;
    enum cl_hold hold = r->changes ? cl_slot_hold(c, r->slot) : CL_HOLD_NOT;
    if (hold == CL_HOLD_NOT)
        return CL_HERE;
    return hold == CL_HOLD_WAIT ? CL_WAIT : CL_HELD;
}

enum cl_verdict cl_redirect(const struct cl_core *c, const struct cl_request *r, struct cl_member *to)
{
    const struct cl_node *owner, *me = c->me;
    if (r->slot == CL_NO_KEYS)
        return CL_HERE;
    if (r->slot == CL_MANY_SLOTS)
        return CL_CROSSSLOT;
    assert(r->slot >= 0 && r->slot < CL_SLOTS);
    owner = cl_owner(c, r->slot);
    if (owner == NULL)
        return CL_UNBOUND;
    if (!c->ok) {
        enum cl_verdict v = while_down(c, r);
        if (v != CL_HERE)
            return v;
    }
    if (cl_bit(c->open_slots, r->slot)) {
        const struct cl_open *leaving = owner == me ? cl_open_find(c, r->slot, false) : NULL;
        bool entering = owner != me && cl_open_find(c, r->slot, true) != NULL;
        if (leaving != NULL || entering) {
            enum cl_verdict v = open_slot(c, r, leaving, entering, to);
            if (v != CL_MOVED)
                return v;
        }
    }
    /* Promoted, but it is not yet on disk, and the data side does not know it. */
    if (owner == me)
        return c->promoting ? CL_DOWN : own_slot(c, r);
    if (r->readonly && cl_has(me, CL_REPLICA) && owner == me->master && (!r->write || r->shard_channels))
        return CL_HERE;
    if (to != NULL)
        cl_member_at(c, owner->index, to);
    return CL_MOVED;
}

void cl_held_slots(const struct cl_core *c, struct cl_held_slots *out)
{
    memset(out, 0, sizeof *out);
    if (!cl_some_slot_held(c))
        return;
    for (int slot = cl_bit_next(c->held, 0, true); slot < CL_SLOTS; slot = cl_bit_next(c->held, slot + 1, true)) {
        enum cl_hold hold = cl_slot_hold(c, slot);
        if (hold != CL_HOLD_NOT)
            cl_bit_set(hold == CL_HOLD_WAIT ? out->waiting : out->refused, slot);
    }
}

void cl_plain_slots(const struct cl_core *c, uint8_t out[CL_SLOT_BYTES])
{
    const struct cl_node *me = c->me;
    if (!c->ok || c->promoting || me->slots == NULL || !cl_has(me, CL_MASTER)) {
        memset(out, 0, CL_SLOT_BYTES);
        return;
    }
    for (size_t i = 0; i < CL_SLOT_BYTES; i++)
        out[i] = (uint8_t)(me->slots[i] & ~c->open_slots[i] & ~c->held[i]);
}

static void put_held(const struct cl_core *c, int slot, struct buf *out)
{
    const struct cl_open_record *open = cl_record_of_slot(c, slot);
    if (open == NULL) {
        buf_printf(out,
                   "CLUSTERDOWN Hash slot %d has come to this node, which cannot save that in its cluster node config: "
                   "see its log, and whether its disk is full",
                   slot);
        return;
    }
    buf_printf(out, "CLUSTERDOWN Hash slot %d is being handed over to ", slot);
    cl_id_put(out, &open->r.target);
    buf_puts(out, ", which does not answer");
}

void cl_verdict_text(const struct cl_core *c, enum cl_verdict v, int slot, const struct cl_member *to, struct buf *out)
{
    switch (v) {
    case CL_HERE:
    case CL_WAIT: assert(false); break;
    case CL_MOVED:
    case CL_ASK:
        buf_printf(out, "%s %d ", v == CL_MOVED ? "MOVED" : "ASK", slot);
        cl_put_endpoint(c, out, to);
        buf_printf(out, ":%u", (unsigned)to->port);
        break;
    case CL_TRYAGAIN: buf_puts(out, "TRYAGAIN Multiple keys request during rehashing of slot"); break;
    case CL_CROSSSLOT: buf_puts(out, "CROSSSLOT Keys in request don't hash to the same slot"); break;
    case CL_UNBOUND: buf_puts(out, "CLUSTERDOWN Hash slot not served"); break;
    case CL_DOWN: buf_puts(out, "CLUSTERDOWN The cluster is down"); break;
    case CL_DOWN_READS_ONLY: buf_puts(out, "CLUSTERDOWN The cluster is down and only accepts read commands"); break;
    case CL_HELD: put_held(c, slot, out); break;
    }
}

bool cl_still_here(const struct cl_core *c, const struct cl_request *r)
{
    const struct cl_node *owner = r->slot >= 0 ? cl_owner(c, r->slot) : c->me;
    if (r->slot >= 0 && !c->ok)
        return false;
    if (owner == c->me || (r->slot >= 0 && cl_open_find(c, r->slot, true) != NULL))
        return true;
    return r->readonly && !r->write && cl_has(c->me, CL_REPLICA) && owner == c->me->master;
}
