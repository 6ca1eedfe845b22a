/* Rules H1 to H3 of SAFETY, section 5, looked at from outside. Of each slot that is watched the last hand-over that was
 * granted is remembered, with the two sides of it: the source and whoever was promoted in its place, the target and its
 * successors. Whoever would execute a write of the slot shows which side has it. */
#include "noded/cluster/handover.h"
#include "noded/cluster/state.h"
#include "tests/migration/host.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum side { NEITHER, SOURCE_SIDE, TARGET_SIDE };

enum outcome_of { OPEN, TAKEN, RESUMED };

struct handover {
    struct cl_id job, source, target;
    uint64_t epoch;
    bool answered; /* the target's side has taken them, or never will, and a disk knew it once */
    uint8_t slots[CL_SLOT_BYTES];
    uint8_t side[IDS_MAX];       /* enum side, by number of the id */
    uint64_t has[WRITES_WORDS];  /* of the source, in these slots, when it granted them */
    uint64_t lives[PARTIES_MAX]; /* of those that held all of it then: their life + 1; 0 for others */
};

struct of_slot {
    struct handover *h; /* NULL: none was granted, or the rule does not bind it any more */
    enum outcome_of outcome;
};

struct drained { /* who has what a job has brought */
    struct cl_id job;
    uint64_t lives[PARTIES_MAX];
};

struct handovers {
    struct handover **all;
    size_t n, cap;
    struct drained *drained;
    size_t ndrained, cap_drained;
    struct of_slot slot[WATCHED];
    int current;                   /* slots that have one */
    int64_t forgotten_us[IDS_MAX]; /* by an operator, last; 0 never */
};

void handover_init(struct world *w)
{
    world_migrations(w)->handovers = mem_zalloc(sizeof *world_migrations(w)->handovers);
}

void handover_free(struct world *w)
{
    for (size_t i = 0; i < world_migrations(w)->handovers->n; i++)
        free(world_migrations(w)->handovers->all[i]);
    free(world_migrations(w)->handovers->all);
    free(world_migrations(w)->handovers->drained);
    free(world_migrations(w)->handovers);
}

static enum side side_of(struct world *w, const struct handover *h, const struct node *n)
{
    int id = check_id(w, party_id(n));
    return id >= 0 ? (enum side)h->side[id] : NEITHER;
}

static void set_slot(struct world *w, int watched, struct handover *h)
{
    struct of_slot *s = &world_migrations(w)->handovers->slot[watched];
    world_migrations(w)->handovers->current += (h != NULL) - (s->h != NULL);
    *s = (struct of_slot){.h = h, .outcome = OPEN};
}

static void disturb(struct world *w, int watched, const char *how)
{
    if (world_migrations(w)->handovers->slot[watched].h == NULL)
        return;
    NOTE(w, "operator", "%s: nothing binds the sides of the hand-over of slot %d any more", how,
         ledger(w)->watched[watched]);
    world_counts(w, MIGRATION_DISTURBED);
    set_slot(w, watched, NULL);
}

void data_excuse(struct world *w, int watched)
{
    ledger(w)->excused[watched] = world_time(w)->now_us;
}

/* ---- what the disks say ---- */

static const struct durable_record *on_disk(const struct node *n, const struct cl_id *job)
{
    for (size_t i = 0; i < party_says(n)->nrecords; i++)
        if (cl_id_eq(&party_says(n)->records[i].job, job))
            return &party_says(n)->records[i];
    return NULL;
}

/* Somebody of the target's side has the slots, or has said that it never will, and its disk knows. */
void handover_persisted(struct world *w, const struct node *n)
{
    const struct durable *d = party_says(n);
    struct handover *last = NULL;
    for (int i = 0; i < ledger(w)->nwatched && world_migrations(w)->handovers->current > 0; i++) {
        struct handover *h = world_migrations(w)->handovers->slot[i].h;
        if (h == NULL || h == last || h->answered || side_of(w, h, n) != TARGET_SIDE)
            continue;
        int master = d->replica ? check_id(w, &d->master) : -1;
        /* Whose replica it is, without its slots, that one speaks for it. */
        if (master >= 0 && h->side[master] == NEITHER)
            h->side[master] = TARGET_SIDE;
        h->answered = master >= 0 && h->side[master] == SOURCE_SIDE;
        if (d->replica)
            continue;
        last = h;
        const struct durable_record *r = on_disk(n, &h->job);
        h->answered = d->refused_epoch >= h->epoch || (r == NULL && d->config_epoch >= h->epoch);
    }
}

/* ---- the grant ---- */

static bool is_open_anywhere(const struct world *w, int slot)
{
    for (int i = 0; i < world_nodes(w); i++)
        if (party_core(world_node(w, i)) != NULL && cl_bit(party_core(world_node(w, i))->open_slots, slot))
            return true;
    return false;
}

/* It has the slot by a later claim, and the other has not heard of that. */
static bool has_replaced(const struct world *w, const struct node *n, const struct node *other, int watched)
{
    const struct durable *d = party_says(n);
    return !d->replica && cl_bit(d->slots, ledger(w)->watched[watched]) &&
           d->config_epoch > party_says(other)->config_epoch;
}

/* Before the grant already: of that the bus without leases knows no better. */
static bool has_two_masters(struct world *w, const struct node *n, int watched)
{
    for (int i = 0; i < world_nodes(w); i++) {
        const struct node *other = world_node(w, i);
        if (other != n && (has_replaced(w, other, n, watched) || client_may_write(w, other, watched))) {
            world_counts(w, MIGRATION_STALE);
            return true;
        }
    }
    return false;
}

bool may_succeed(const struct world *w, const struct node *r, const struct node *master)
{
    bool follows = party_core(r) != NULL && party_core(r)->me->master != NULL &&
                   cl_id_eq(&party_core(r)->me->master->id, party_id(master)) && party_says(r)->replica;
    if (!follows || !cl_state_known(party_core(r)))
        return false;
    /* One that stands still has an old time; whatever it does next it does by its clock. */
    const struct cl_core *c = party_core(r);
    return cl_is_stock(c->me->master) || party_clock(w, r) - c->counted_us <= c->counted_for_us;
}

/* Nodes tell each other of it as long as it holds, so who has met it again meanwhile forgets it once more, and with it
 * whose a slot is. */
static bool is_forgotten(struct world *w, const struct cl_id *node)
{
    int id = check_id(w, node);
    int64_t at_us = id >= 0 ? world_migrations(w)->handovers->forgotten_us[id] : 0;
    return at_us != 0 && world_time(w)->now_us - at_us < SECONDS(CL_BAN_S + 5);
}

static bool has_come_after(const struct node *n, const struct cl_id *master)
{
    const struct cl_node *m = party_core(n) != NULL && cl_is_master(party_core(n)) ? cl_node_find(party_core(n), master)
                                                                                   : NULL;
    return m != NULL && cl_succeeds(party_core(n), master) && cl_id_eq(&m->shard, &party_core(n)->me->shard);
}

void handover_granted(struct world *w, struct node *n, const struct cl_effect *e, const uint8_t *slots,
                      const struct cl_id *target)
{
    struct handovers *all = world_migrations(w)->handovers;
    const struct durable_record *r = on_disk(n, &e->job);
    if (r == NULL || r->epoch != e->seq)
        violated(w, "H2", "%s grants, and its disk knows no record of it", node_name(party_index(n)));
    for (int i = 0; i < world_nodes(w); i++)
        if (may_succeed(w, world_node(w, i), n) && on_disk(world_node(w, i), &e->job) == NULL)
            violated(w, "H2", "%s grants, and the disk of %s, which may succeed it, knows no record of it",
                     node_name(party_index(n)), node_name(i));
    struct handover *h = mem_zalloc(sizeof *h);
    all->all = mem_grow(all->all, all->n, &all->cap, sizeof *all->all);
    all->all[all->n++] = h;
    h->job = e->job;
    h->source = *party_id(n);
    h->target = *target;
    h->epoch = e->seq;
    memcpy(h->slots, slots, sizeof h->slots);
    h->side[check_id(w, party_id(n))] = SOURCE_SIDE;
    if (check_id(w, target) >= 0)
        h->side[check_id(w, target)] = TARGET_SIDE;
    /* Who has replaced the target answers for it, even if it did so before. */
    for (int i = 0; i < world_nodes(w); i++)
        if (has_come_after(world_node(w, i), target))
            h->side[check_id(w, party_id(world_node(w, i)))] = TARGET_SIDE;
    /* And who has replaced the source, and knows of the hand-over: the source may not have heard of that yet. */
    for (int i = 0; i < world_nodes(w); i++)
        if (has_come_after(world_node(w, i), party_id(n)) &&
            cl_record_find(party_core(world_node(w, i)), &e->job) != NULL)
            h->side[check_id(w, party_id(world_node(w, i)))] = SOURCE_SIDE;
    for (size_t i = 0; i < ledger(w)->n; i++)
        if (cl_bit(slots, ledger(w)->watched[ledger(w)->writes[i].slot]))
            h->has[i / 64] |= party_dataset(n)->has[i / 64] & UINT64_C(1) << i % 64;
    for (size_t i = 0; i < all->ndrained; i++)
        if (cl_id_eq(&all->drained[i].job, &e->job))
            memcpy(h->lives, all->drained[i].lives, sizeof h->lives);
    for (int i = 0; i < ledger(w)->nwatched; i++) {
        if (!cl_bit(slots, ledger(w)->watched[i]))
            continue;
        /* Whoever gives a slot away says that it has it. */
        struct of_slot *s = &all->slot[i];
        if (s->h != NULL && (side_of(w, s->h, n) == TARGET_SIDE) != (s->outcome == TAKEN) && s->outcome != OPEN)
            violated(w, "H1", "%s grants slot %d, which the other side of its last hand-over has",
                     node_name(party_index(n)), ledger(w)->watched[i]);
        bool forgotten = is_forgotten(w, party_id(n)) || is_forgotten(w, target);
        set_slot(w, i, forgotten || is_open_anywhere(w, ledger(w)->watched[i]) || has_two_masters(w, n, i) ? NULL : h);
        NOTE(w, node_name(party_index(n)), "gives slot %d to %s%s", ledger(w)->watched[i], id_name(w, target),
             all->slot[i].h == NULL ? ", and nothing binds its sides" : "");
    }
}

void handover_drained(struct world *w, const struct cl_id *job, const struct node *target)
{
    struct handovers *all = world_migrations(w)->handovers;
    all->drained = mem_grow(all->drained, all->ndrained, &all->cap_drained, sizeof *all->drained);
    struct drained *d = &all->drained[all->ndrained++];
    *d = (struct drained){.job = *job};
    for (int i = 0; i < world_nodes(w); i++) {
        const struct node *n = world_node(w, i);
        bool replica = party_core(n) != NULL && party_follows(n) == party_index(target) && party_streams(n);
        if (n == target || replica)
            d->lives[i] = party_life(n) + UINT64_C(1);
    }
}

/* ---- who has a slot ---- */

static void has_it(struct world *w, const struct node *n, int watched)
{
    struct of_slot *s = &world_migrations(w)->handovers->slot[watched];
    struct handover *h = s->h;
    int slot = ledger(w)->watched[watched];
    enum side side = side_of(w, h, n);
    if (side == NEITHER) {
        if (party_is_stale(w, n))
            world_counts(w, MIGRATION_STALE);
        else
            violated(w, "H1", "%s takes writes to slot %d, and stands on neither side of its hand-over",
                     node_name(party_index(n)), slot);
        return;
    }
    if (s->outcome == (side == TARGET_SIDE ? TAKEN : RESUMED))
        return;
    if (s->outcome != OPEN) {
        violated(w, "H1", "%s, of the %s's side, takes writes to slot %d, and so did the other",
                 node_name(party_index(n)), side == TARGET_SIDE ? "target" : "source", slot);
        return;
    }
    if (side == SOURCE_SIDE && !h->answered) {
        violated(w, "H1", "%s takes writes to slot %d again, which it granted, and no answer of %s is on a disk",
                 node_name(party_index(n)), slot, id_name(w, &h->target));
        return;
    }
    s->outcome = side == TARGET_SIDE ? TAKEN : RESUMED;
    world_counts(w, side == TARGET_SIDE ? MIGRATION_TAKEN : MIGRATION_RESUMED);
    NOTE(w, node_name(party_index(n)), "has slot %d: it is %s", slot, side == TARGET_SIDE ? "taken" : "back");
}

static void look(struct world *w, struct node *n)
{
    for (int i = 0; i < ledger(w)->nwatched && !world_is_over(w); i++)
        if (world_migrations(w)->handovers->slot[i].h != NULL && client_may_write(w, n, i))
            has_it(w, n, i);
}

void handover_look(struct world *w, struct node *n)
{
    if (world_migrations(w)->handovers->current > 0 && party_core(n) != NULL && !world_is_over(w))
        look(w, n);
}

/* H3: all that the source had acknowledged is there when it is shown. Whoever was not among those that had it when it
 * was drained, or has died since and keeps nothing, may lack it. */
void handover_shown(struct world *w, struct node *n, const uint8_t *slots)
{
    for (int k = 0; k < ledger(w)->nwatched; k++) {
        const struct handover *h = world_migrations(w)->handovers->slot[k].h;
        if (h == NULL || world_migrations(w)->handovers->slot[k].outcome != OPEN ||
            !cl_bit(slots, ledger(w)->watched[k]) || side_of(w, h, n) != TARGET_SIDE)
            continue;
        /* Not by this hand-over: it comes back and holds the slot for its own by an older claim, as its disk does
         * not know yet that it has lost it. The others know, and tell it before it serves anything. */
        if (party_core(n)->me->config_epoch < h->epoch)
            continue;
        bool had = h->lives[party_index(n)] == party_life(n) + UINT64_C(1) ||
                   (h->lives[party_index(n)] > 0 && !world_migrations(w)->volatile_data);
        for (size_t i = 0; i < ledger(w)->n; i++) {
            bool there = party_dataset(n)->has[i / 64] >> i % 64 & 1;
            if (ledger(w)->writes[i].slot != k || (h->has[i / 64] >> i % 64 & 1) == 0 || there)
                continue;
            if (had && ledger(w)->excused[k] == 0)
                violated(w, "H3", "%s shows slot %d without a write that was acknowledged at %.6f",
                         node_name(party_index(n)), ledger(w)->watched[k], (double)ledger(w)->writes[i].at_us / 1e6);
            data_excuse(w, k);
        }
    }
}

/* What a node gives away because it has lost slots: of a hand-over the other side has it, of other ways nobody knows.
 */
void handover_given(struct world *w, const struct node *n, const uint8_t *slots)
{
    for (int k = 0; k < ledger(w)->nwatched; k++) {
        const struct of_slot *s = &world_migrations(w)->handovers->slot[k];
        if (slots != NULL && !cl_bit(slots, ledger(w)->watched[k]))
            continue;
        /* The side that has it may have another master now, as in any election. */
        enum side side = s->h != NULL ? side_of(w, s->h, n) : NEITHER;
        bool holder = (s->outcome == TAKEN && side == TARGET_SIDE) || (s->outcome == RESUMED && side == SOURCE_SIDE);
        if ((side == NEITHER || holder) && data_has_slot(w, n, k))
            data_excuse(w, k);
    }
}

/* ---- who stands for whom ---- */

/* Of the master that it followed, or of one that had come after that: supervisors name all of them. */
static uint8_t side_inherited(struct world *w, const struct handover *h, const struct node *n, int its)
{
    uint8_t side = h->side[its];
    for (int i = 0; i < CL_LINEAGE && side == NEITHER; i++) {
        const struct cl_node *before = cl_node_find(party_core(n), &party_core(n)->before[i]);
        int id = before != NULL && cl_id_eq(&before->shard, &party_core(n)->me->shard) ? check_id(w, &before->id) : -1;
        side = id >= 0 ? h->side[id] : NEITHER;
    }
    return side;
}

void handover_succeeds(struct world *w, struct node *n, const struct cl_id *master, bool elected)
{
    int mine = check_id(w, party_id(n)), its = check_id(w, master);
    const struct handover *last = NULL;
    if (mine < 0 || its < 0)
        return;
    for (int i = 0; i < ledger(w)->nwatched; i++) {
        struct of_slot *s = &world_migrations(w)->handovers->slot[i];
        /* By force it may have more than its master had: what it believed to be its master's. */
        bool forced = !elected && cl_owns_slot(party_core(n), ledger(w)->watched[i]);
        uint8_t side = s->h != NULL ? side_inherited(w, s->h, n, its) : NEITHER;
        if (s->h == NULL || (side == NEITHER && !forced))
            continue;
        if (!elected) {
            disturb(w, i, "a take-over");
            continue;
        }
        if (s->h != last && s->outcome == OPEN && side == SOURCE_SIDE && !s->h->answered) {
            if (cl_record_find(party_core(n), &s->h->job) == NULL)
                violated(w, "H2", "%s is elected, and knows nothing of the hand-over that its master had granted",
                         node_name(party_index(n)));
            world_counts(w, MIGRATION_INHERITED);
        }
        last = s->h;
    }
    for (size_t i = 0; i < world_migrations(w)->handovers->n; i++)
        world_migrations(w)->handovers->all[i]->side[mine] = side_inherited(w, world_migrations(w)->handovers->all[i],
                                                                            n, its);
    handover_persisted(w, n); /* its disk knew what it has inherited before it was promoted */
}

/* ---- what people do ---- */

static void disturb_of(struct world *w, const struct node *n, const char *how)
{
    for (int i = 0; i < ledger(w)->nwatched; i++)
        if (world_migrations(w)->handovers->slot[i].h != NULL &&
            side_of(w, world_migrations(w)->handovers->slot[i].h, n) != NEITHER)
            disturb(w, i, how);
}

/* It has what it believed to be those slots of the masters it stands for, and what others have had since of them is
 * lost. */
void handover_forced(struct world *w, struct node *n)
{
    disturb_of(w, n, "TAKEOVER");
    for (int i = 0; i < ledger(w)->nwatched; i++) {
        if (!cl_owns_slot(party_core(n), ledger(w)->watched[i]))
            continue;
        disturb(w, i, "TAKEOVER");
        data_excuse(w, i);
    }
}

void handover_commanded(struct world *w, struct node *n, const struct cl_command *c)
{
    for (int i = 0; i < ledger(w)->nwatched; i++) {
        bool one = (c->verb == CL_SETSLOT_NODE || c->verb == CL_SETSLOT_IMPORTING) && c->slot == ledger(w)->watched[i];
        bool of_all = (c->verb == CL_ADDSLOTS || c->verb == CL_DELSLOTS) && cl_bit(c->slots, ledger(w)->watched[i]);
        if (!one && !of_all)
            continue;
        /* An open record is ended as a whole. */
        const struct handover *h = world_migrations(w)->handovers->slot[i].h;
        for (int k = 0; k < ledger(w)->nwatched; k++) {
            if (k != i && (h == NULL || world_migrations(w)->handovers->slot[k].h != h || !one))
                continue;
            data_excuse(w, k);
            disturb(w, k, "slots by hand");
        }
    }
    /* The slots of one who is forgotten are nobody's, and a node that has keys of them claims them. */
    struct cl_id id;
    int forgotten = c->verb == CL_FORGET && cl_id_parse(c->node, &id) ? check_id(w, &id) : -1;
    if (forgotten >= 0)
        world_migrations(w)->handovers->forgotten_us[forgotten] = world_time(w)->now_us;
    for (int i = 0; forgotten >= 0 && i < ledger(w)->nwatched; i++)
        if (world_migrations(w)->handovers->slot[i].h != NULL &&
            world_migrations(w)->handovers->slot[i].h->side[forgotten] != NEITHER)
            disturb(w, i, "FORGET");
    if (c->verb == CL_RESET || c->verb == CL_FLUSHSLOTS)
        disturb_of(w, n, "RESET");
    if (c->verb == CL_FAILOVER && c->takeover)
        disturb_of(w, n, "TAKEOVER");
    if (c->verb == CL_TAKEOVER && c->promotion->force)
        handover_forced(w, n);
}

void handover_wiped(struct world *w, const struct node *n)
{
    disturb_of(w, n, "a lost disk");
}
