#include "noded/cluster/state.h"

#include "common/base/mem.h"
#include "common/base/view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct cl_node *cl_owner(const struct cl_core *c, int slot)
{
    return c->owner[slot] != 0 ? c->nodes[c->owner[slot] - 1] : NULL;
}

void cl_slot_give(struct cl_core *c, int slot, struct cl_node *n)
{
    struct cl_node *old = cl_owner(c, slot);
    if (old == n)
        return;
    if (old != NULL) {
        cl_bit_clear(old->slots, slot);
        old->slots_view ^= view_slot((unsigned)slot);
        c->assigned--;
        if (--old->nslots == 0) {
            free(old->slots);
            old->slots = NULL;
        }
    }
    c->owner[slot] = 0;
    cl_bit_clear(c->unclaimed, slot);
    if (n != NULL && c->given_up != NULL && cl_bit(c->given_up, slot)) {
        cl_bit_clear(c->given_up, slot);
        if (n != c->me)
            cl_keys_left(c, slot);
    }
    if (n != NULL) {
        if (n->slots == NULL)
            n->slots = mem_zalloc(CL_SLOT_BYTES);
        cl_bit_set(n->slots, slot);
        n->slots_view ^= view_slot((unsigned)slot);
        n->nslots++;
        c->owner[slot] = (uint16_t)(n->index + 1);
        c->assigned++;
    }
    c->version++;
    c->looks = true;
    cl_saved_later(c);
    if (old == c->me || n == c->me)
        cl_durable(c);
    if (n == NULL || n != c->me)
        return;
    /* However it has come here: whoever went on importing what is its own would believe nobody who claims it. */
    cl_open_clear(c, slot, true);
    cl_held_given(c, slot);
}

void cl_slot_give_up(struct cl_core *c, int slot)
{
    if (cl_owner(c, slot) == c->me) {
        if (c->given_up == NULL)
            c->given_up = mem_zalloc(CL_SLOT_BYTES);
        cl_bit_set(c->given_up, slot);
    }
    cl_slot_give(c, slot, NULL);
}

void cl_slots_drop(struct cl_core *c, struct cl_node *n)
{
    if (n->nslots == 0)
        return;
    for (int slot = 0; slot < CL_SLOTS && n->nslots > 0; slot++)
        if (c->owner[slot] == n->index + 1)
            cl_slot_give(c, slot, NULL);
}

static struct cl_floor *floor_add(struct cl_core *c, uint64_t epoch)
{
    c->floors = mem_grow(c->floors, c->nfloors, &c->cap_floors, sizeof *c->floors);
    struct cl_floor *f = &c->floors[c->nfloors++];
    *f = (struct cl_floor){.epoch = epoch, .until_us = c->now_us + 2 * cl_timeout_us(c)};
    return f;
}

void cl_slots_yield(struct cl_core *c, struct cl_node *n)
{
    if (n->nslots == 0)
        return;
    memcpy(floor_add(c, n->config_epoch)->slots, n->slots, CL_SLOT_BYTES);
    cl_slots_drop(c, n);
}

uint64_t cl_claimed_at(const struct cl_core *c, int slot)
{
    const struct cl_node *owner = cl_owner(c, slot);
    return owner == NULL ? 0 : cl_bit(c->unclaimed, slot) ? c->left_at[slot] : owner->config_epoch;
}

/* It stays its owner's, by the claim that we know of, until somebody else claims it. */
static void leave(struct cl_core *c, int slot, uint64_t epoch)
{
    if (c->left_at == NULL)
        c->left_at = mem_zalloc(CL_SLOTS * sizeof *c->left_at);
    c->left_at[slot] = epoch;
    cl_bit_set(c->unclaimed, slot);
    c->some_unclaimed = true;
}

/* A node that was away may have lost a slot and won another since we heard of it last. Its new epoch must not speak for
 * the old slot, or the claim of its true owner would be the older one for ever. */
void cl_slots_not_claimed(struct cl_core *c, struct cl_node *n, const uint8_t *slots)
{
    struct cl_floor *f = NULL;
    for (size_t i = 0; n->slots != NULL && i < CL_SLOT_BYTES; i++) {
        unsigned lost = n->slots[i] & ~slots[i] & ~c->unclaimed[i];
        c->unclaimed[i] = (uint8_t)(c->unclaimed[i] & ~(n->slots[i] & slots[i]));
        if (lost == 0)
            continue;
        f = f != NULL ? f : floor_add(c, n->claim_epoch);
        f->slots[i] = (uint8_t)lost;
        for (int bit = 0; bit < 8; bit++)
            if ((lost & 1U << bit) != 0)
                leave(c, (int)i * 8 + bit, n->slots_epoch);
    }
}

uint64_t cl_slot_floor(struct cl_core *c, int slot)
{
    uint64_t epoch = 0;
    size_t kept = 0;
    for (size_t i = 0; i < c->nfloors; i++) {
        if (c->floors[i].until_us <= c->now_us)
            continue;
        if (cl_bit(c->floors[i].slots, slot) && c->floors[i].epoch > epoch)
            epoch = c->floors[i].epoch;
        if (kept != i)
            c->floors[kept] = c->floors[i];
        kept++;
    }
    c->nfloors = kept;
    return epoch;
}

struct cl_open *cl_open_find(const struct cl_core *c, int slot, bool importing)
{
    if (!cl_bit(c->open_slots, slot))
        return NULL;
    for (size_t i = 0; i < c->nopen; i++)
        if (c->open[i].slot == slot && c->open[i].importing == importing)
            return &c->open[i];
    return NULL;
}

void cl_open_set(struct cl_core *c, int slot, bool importing, struct cl_node *n)
{
    struct cl_open *o = cl_open_find(c, slot, importing);
    if (o == NULL) {
        c->open = mem_grow(c->open, c->nopen, &c->cap_open, sizeof *c->open);
        o = &c->open[c->nopen++];
        cl_bit_set(c->open_slots, slot);
    }
    *o = (struct cl_open){slot, importing, n};
    c->version++;
    cl_durable(c);
}

void cl_open_clear(struct cl_core *c, int slot, bool importing)
{
    struct cl_open *o = cl_open_find(c, slot, importing);
    if (o == NULL)
        return;
    *o = c->open[--c->nopen];
    if (cl_open_find(c, slot, !importing) == NULL)
        cl_bit_clear(c->open_slots, slot);
    c->version++;
    cl_durable(c);
}

void cl_open_clear_all(struct cl_core *c)
{
    while (c->nopen > 0)
        cl_open_clear(c, c->open[0].slot, c->open[0].importing);
}

/* Keys of a slot that was ours; dropped at the end of the step, unless we become a replica, which gets other data. */
static void slot_lost(struct cl_core *c, int slot)
{
    if (c->lost_slots == NULL)
        c->lost_slots = mem_zalloc(CL_SLOT_BYTES);
    cl_bit_set(c->lost_slots, slot);
}

/* The other end of a move may have been replaced meanwhile. Before a shard's name is known, only by whom tells. */
static bool is_of_shard(const struct cl_node *n, const struct cl_node *other)
{
    if (n == other || n->master == other || other->master == n)
        return true;
    if (!cl_id_is_none(&n->shard) && !cl_id_is_none(&other->shard))
        return cl_id_eq(&n->shard, &other->shard);
    return cl_id_eq(&n->came_after, &other->id) || cl_id_eq(&other->came_after, &n->id);
}

/* Of a slot that we are importing SETSLOT NODE alone decides whether it becomes ours. Whose it is until then follows
 * who has replaced the source: were it nobody's, its keys could neither come nor be asked for. */
static bool replaces_source(const struct cl_open *o, const struct cl_node *owner, const struct cl_node *by)
{
    return is_of_shard(o->node, by) && (owner == NULL || is_of_shard(owner, by));
}

/* A slot follows the highest config epoch. */
static bool claim_wins(struct cl_core *c, const struct cl_node *owner, const struct cl_node *by, uint64_t epoch,
                       int slot)
{
    const struct cl_open *o = cl_open_find(c, slot, true);
    if (o != NULL && (owner == c->me || !replaces_source(o, owner, by)))
        return false;
    const struct cl_open_record *r = c->shard.nrecords > 0 ? cl_record_of_slot(c, slot) : NULL;
    if (r != NULL && !r->r.taking && !r->resuming)
        return epoch >= r->r.epoch; /* nobody of our side may claim it, so whoever does has it from the target */
    if (r != NULL && r->r.taking && owner == c->me)
        return epoch > r->r.epoch;
    if (owner == NULL || (owner != c->me && cl_bit(c->unclaimed, slot)))
        return c->nfloors == 0 || cl_slot_floor(c, slot) <= epoch;
    return PLANTED(5, owner->config_epoch<epoch, owner->config_epoch> epoch);
}

/* Its slots that are being handed over: whoever replaces it does not claim them. */
static int in_records(const struct cl_core *c, const struct cl_node *n)
{
    int count = 0;
    for (int slot = 0; c->shard.nrecords > 0 && slot < CL_SLOTS; slot++) {
        const struct cl_open_record *r = cl_owner(c, slot) == n ? cl_record_of_slot(c, slot) : NULL;
        count += r != NULL && !r->r.taking ? 1 : 0;
    }
    return count;
}

/* Who took the last slot may be the target of a hand-over, and not the one who replaced our master. */
static struct cl_node *successor(const struct cl_core *c, const struct cl_node *mine, struct cl_node *by)
{
    struct cl_node *n, *best = by;
    if (cl_id_is_none(&c->me->shard) || cl_id_eq(&by->shard, &c->me->shard))
        return by;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n != mine && n != c->me && cl_votes_here(n) && cl_claims_some(c, n) && cl_id_eq(&n->shard, &c->me->shard) &&
            (best == by || n->config_epoch > best->config_epoch))
            best = n;
    return best;
}

/* Whoever has replaced us has what we had, also what it gives away just now and does not claim. Of two masters that
 * stand in one shard one may have taken slots in other ways: it has replaced us if we were away, or if we knew it as
 * our replica until this message. */
static bool has_replaced_us(const struct cl_core *c, const struct cl_node *by)
{
    return by == cl_replaced_by(c) && (!cl_is_sure(c) || by->left_us == c->now_us);
}

/* What it does not claim it may have given away since, and its epoch says nothing of that: told on as a claim of its
 * own, it would take the slots from whoever has them. */
static int all_given(struct cl_core *c, struct cl_node *by, const uint8_t *claimed)
{
    struct cl_floor *f = NULL;
    int given = 0;
    for (int slot = 0; slot < CL_SLOTS; slot++) {
        if (cl_owner(c, slot) != c->me || cl_record_of_slot(c, slot) != NULL)
            continue;
        slot_lost(c, slot);
        cl_open_clear(c, slot, false);
        cl_slot_give(c, slot, by);
        given++;
        if (cl_bit(claimed, slot))
            continue;
        f = f != NULL ? f : floor_add(c, c->me->config_epoch);
        cl_bit_set(f->slots, slot);
        leave(c, slot, c->me->config_epoch);
    }
    return given;
}

void cl_slots_claimed(struct cl_core *c, struct cl_node *by, uint64_t epoch, const uint8_t *slots)
{
    struct cl_node *mine = cl_has(c->me, CL_MASTER) ? c->me : c->me->master;
    int claimed = 0, taken = 0;
    assert(by != NULL);
    if (by == c->me || epoch >= CL_EPOCH_MAX)
        return;
    if (by->slots_epoch < epoch)
        by->slots_epoch = epoch;
    for (int slot = cl_bit_next(slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(slots, slot + 1, true)) {
        struct cl_node *owner = cl_owner(c, slot);
        claimed++;
        if (owner == by || !claim_wins(c, owner, by, epoch, slot))
            continue;
        if (owner != NULL && owner == mine)
            taken++;
        const struct cl_open *leaves = owner == c->me ? cl_open_find(c, slot, false) : NULL;
        if (leaves != NULL && is_of_shard(leaves->node, by))
            cl_keys_kept(c, slot);
        else if (owner == c->me)
            slot_lost(c, slot);
        cl_open_clear(c, slot, false);
        cl_slot_give(c, slot, by);
        if (cl_open_find(c, slot, true) != NULL)
            cl_open_set(c, slot, true, by);
    }
    if (taken > 0 && mine == c->me && has_replaced_us(c, by))
        taken += all_given(c, by, slots);
    /* A master whose last slot went to another has been replaced, and with it its replicas have another master. */
    int held = taken > 0 ? in_records(c, mine) : 0;
    if (taken > 0 && mine->nslots == held && (c->set.allow_migration || claimed == taken)) {
        struct cl_node *next = successor(c, mine, by);
        /* Of slots that are still being handed over nobody knows who will have them, unless their side has a new
         * master: it is needed where it is. */
        if (held > 0 && (cl_id_is_none(&next->shard) || !cl_id_eq(&next->shard, &c->me->shard)))
            return;
        /* Whoever stands there by force may not know of the hand-over: it is told when we ask (handover.c). */
        if (held > 0 && mine == c->me)
            return;
        CL_LOG(c, NOTICE, "Another master has all the slots of ours: following %s:%u", next->ip, (unsigned)next->port);
        cl_follow(c, next);
    }
}

void cl_follow(struct cl_core *c, struct cl_node *master)
{
    assert(master != c->me);
    if (cl_has(c->me, CL_MASTER)) {
        cl_open_clear_all(c);
        free(c->lost_slots);
        c->lost_slots = NULL;
    }
    if (c->me->master != master) {
        cl_state_follows(c, master);
        cl_manual_end(c);
        cl_election_stop(c);
        c->me->shard = master->shard;
    }
    c->promoting = false;
    cl_role_set(c, c->me, master);
    cl_held_find(c);
    struct cl_effect *e = cl_effect_add(c->fx, CL_FX_FOLLOW);
    e->node = master->id;
    memcpy(e->ip, master->ip, sizeof e->ip);
    e->port = master->port;
    c->facts.link_up = false;
    cl_durable(c);
}
