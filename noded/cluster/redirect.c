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
        return c->promoting ? CL_DOWN : CL_HERE;
    if (r->readonly && cl_has(me, CL_REPLICA) && owner == me->master && (!r->write || r->shard_channels))
        return CL_HERE;
    if (to != NULL)
        cl_member_at(c, owner->index, to);
    return CL_MOVED;
}

void cl_plain_slots(const struct cl_core *c, uint8_t out[CL_SLOT_BYTES])
{
    const struct cl_node *me = c->me;
    if (!c->ok || c->promoting || me->slots == NULL || !cl_has(me, CL_MASTER)) {
        memset(out, 0, CL_SLOT_BYTES);
        return;
    }
    for (size_t i = 0; i < CL_SLOT_BYTES; i++)
        out[i] = (uint8_t)(me->slots[i] & ~c->open_slots[i]);
}

void cl_verdict_text(const struct cl_core *c, enum cl_verdict v, int slot, const struct cl_member *to, struct buf *out)
{
    switch (v) {
    case CL_HERE: assert(false); break;
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
