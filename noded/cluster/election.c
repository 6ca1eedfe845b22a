/* The candidate's side: a replica whose master failed asks the masters with slots for their votes.
 *
 * Stock replicas wait for half a second and more before they stand, so that the news of the failure is everywhere and
 * they don't get in each other's way. Here the news goes first over the same links as the request, the replicas of one
 * master know each other's offsets and so their order, and those of different masters take different epochs. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <string.h>

#define MS INT64_C(1000)
#define RANK_US (250 * MS)  /* what the better replica gets before the next one stands */
#define UNSURE_US (40 * MS) /* for the offsets of the other replicas to arrive */

static bool data_is_young(const struct cl_core *c)
{
    if (c->facts.link_up || c->set.validity_factor == 0)
        return c->facts.link_up || c->facts.old_since_us >= 0;
    if (PLANTED(10, c->facts.old_since_us < 0, false))
        return false;
    int64_t limit = cl_timeout_us(c) * (c->set.validity_factor + 1) + c->set.repl_ping_ms * MS;
    return PLANTED(10, c->now_us - c->facts.old_since_us <= limit, true);
}

static bool wants(const struct cl_core *c)
{
    const struct cl_node *me = c->me, *master = me->master;
    if (!cl_has(me, CL_REPLICA) || master == NULL || master->nslots == 0 || c->facts.loading || cl_has_supervisors(c))
        return false;
    if (c->manual.end_us != 0 && c->manual.can_start)
        return !c->manual.asked || cl_state_known(c);
    return cl_has(master, CL_FAILED) && !c->set.no_failover && data_is_young(c) && cl_state_known(c);
}

/* How many of the other replicas are better: more data, and of equals the smaller id. *sure: all of them have told
 * their offset since the master was last heard. */
static int rank_find(const struct cl_core *c, bool *sure)
{
    int rank = 0;
    uint64_t own = (uint64_t)c->facts.offset;
    struct cl_node *n;
    *sure = true;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (n == c->me || n->master != c->me->master || !cl_has(n, CL_REPLICA) ||
            cl_has(n, CL_NOFAILOVER | CL_FAILED | CL_PFAIL))
            continue;
        if (n->offset_us < c->me->master->heard_us)
            *sure = false;
        if (n->offset > own || (n->offset == own && cl_id_cmp(&n->id, &c->me->id) < 0))
            rank++;
    }
    return rank;
}

/* The epoch to stand in. Masters that fail together have candidates that must not meet in one epoch, whatever each has
 * heard of the others' so far: each shard has its own remainder modulo their number, by the order of the masters' ids.
 * A master that fails alone gets the next epoch. */
static uint64_t epoch_choose(const struct cl_core *c)
{
    uint64_t place = 0, shards = 0, failing = 0, next = c->current_epoch + 1;
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        if (!cl_votes_here(n))
            continue;
        shards++;
        failing += cl_has(n, CL_FAILED | CL_PFAIL) ? 1 : 0;
        place += cl_id_cmp(&n->id, &c->me->master->id) < 0 ? 1 : 0;
    }
    return failing < 2 ? next : next + (place + shards - next % shards) % shards;
}

void cl_election_stop(struct cl_core *c)
{
    c->election.stand = CL_STAND_NOT;
    c->election.failures = 0;
    c->election.again_us = 0;
    c->election.siblings_told = false;
    c->election.nvotes = 0;
}

static void schedule(struct cl_core *c)
{
    struct cl_election *el = &c->election;
    bool sure = true;
    el->force = c->manual.end_us != 0 && c->manual.can_start;
    el->rank = el->force ? 0 : rank_find(c, &sure);
    if (!el->siblings_told)
        cl_tell_siblings(c);
    el->siblings_told = true;
    el->stand = CL_STAND_DELAYED;
    el->begin_us = c->now_us;
    if (!el->force)
        el->begin_us += el->rank * RANK_US + (sure ? 0 : UNSURE_US);
}

static void stand(struct cl_core *c)
{
    struct cl_election *el = &c->election;
    bool sure;
    /* The others may have told their offsets meanwhile. */
    int rank = el->force ? 0 : rank_find(c, &sure);
    if (rank > el->rank) {
        el->begin_us += (rank - el->rank) * RANK_US;
        el->rank = rank;
        return;
    }
    el->epoch = el->force ? c->current_epoch + 1 : epoch_choose(c);
    c->current_epoch = el->epoch;
    el->nvotes = 0;
    el->stand = CL_STAND_PERSISTING;
    cl_durable(c);
    CL_LOG(c, NOTICE, "Standing for election in epoch %llu, rank %d", (unsigned long long)el->epoch, el->rank);
}

static void ask_one(struct cl_core *c, struct cl_node *n)
{
    const struct cl_election *el = &c->election;
    struct cl_header h;
    if (n == c->me || !cl_votes_here(n))
        return;
    if (!el->force)
        cl_tell_failed_to(c, c->me->master, n);
    cl_head(c, CL_AUTH_REQUEST, &h);
    h.current_epoch = el->epoch;
    h.message_flags |= el->force ? CL_MSG_FORCE_ACK : 0;
    buf_clear(&c->scratch);
    cl_wire_begin(&c->scratch, &h);
    cl_wire_end(&c->scratch);
    if (cl_send_to(c, n, &c->scratch))
        c->sent[CL_AUTH_REQUEST]++;
}

static void ask(struct cl_core *c)
{
    struct cl_election *el = &c->election;
    struct cl_node *n;
    int64_t patience = cl_timeout_us(c) / 5;
    patience = patience < 150 * MS ? 150 * MS : patience > 1000 * MS ? 1000 * MS : patience;
    el->stand = CL_STAND_ASKING;
    el->asked_us = c->now_us;
    for (int i = 0; i < el->failures && patience < cl_timeout_us(c); i++)
        patience *= 2;
    el->until_us = c->now_us + patience;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        ask_one(c, n);
}

void cl_election_link_up(struct cl_core *c, struct cl_node *n)
{
    if (c->election.stand == CL_STAND_ASKING && wants(c)) /* the facts may have changed since the last step */
        ask_one(c, n);
}

static int votes_needed(const struct cl_core *c)
{
    int size = 0;
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        size += cl_votes_here(n) ? 1 : 0;
    return PLANTED(7, size / 2 + 1, 1);
}

void cl_vote_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender)
{
    struct cl_election *el = &c->election;
    if (el->stand != CL_STAND_ASKING || !cl_votes_here(sender) || m->head.current_epoch != el->epoch)
        return;
    for (size_t i = 0; i < el->nvotes; i++)
        if (cl_id_eq(&el->votes[i], &sender->id))
            return;
    el->votes = mem_grow(el->votes, el->nvotes, &el->cap_votes, sizeof *el->votes);
    el->votes[el->nvotes++] = sender->id;
}

bool cl_succeeds(const struct cl_core *c, const struct cl_id *master)
{
    for (int i = 0; i < CL_LINEAGE; i++)
        if (!cl_id_is_none(master) && cl_id_eq(&c->before[i], master))
            return true;
    return false;
}

void cl_succeeded(struct cl_core *c, const struct cl_id *master)
{
    if (cl_succeeds(c, master))
        return;
    memmove(&c->before[1], &c->before[0], (CL_LINEAGE - 1) * sizeof c->before[0]);
    c->before[0] = *master;
}

/* What it did not claim at last was not its own: another one has it, of whom we have not heard yet. */
void cl_take_slots(struct cl_core *c, struct cl_node *old)
{
    for (int slot = 0; slot < CL_SLOTS && old->nslots > 0; slot++)
        if (cl_owner(c, slot) == old && !cl_bit(c->unclaimed, slot) &&
            PLANTED(15, cl_record_of_slot(c, slot) == NULL, true))
            cl_slot_give(c, slot, c->me);
}

void cl_take_over(struct cl_core *c)
{
    struct cl_node *old = c->me->master;
    cl_election_stop(c);
    if (old != NULL)
        cl_succeeded(c, &old->id);
    cl_role_set(c, c->me, NULL);
    cl_shard_name(c);
    if (old != NULL)
        cl_take_slots(c, old);
    cl_handover_inherit(c);
    c->promoting = true;
    cl_manual_end(c);
    c->looks = true;
    cl_durable(c);
}

static void win(struct cl_core *c)
{
    uint64_t epoch = c->election.epoch;
    CL_LOG(c, NOTICE, "Elected in epoch %llu with %zu votes", (unsigned long long)epoch, c->election.nvotes);
    if (c->me->config_epoch < epoch)
        c->me->config_epoch = epoch;
    cl_take_over(c);
}

void cl_election_run(struct cl_core *c)
{
    struct cl_election *el = &c->election;
    if (!wants(c)) {
        if (el->stand != CL_STAND_NOT || el->again_us != 0 || el->siblings_told)
            cl_election_stop(c);
        return;
    }
    if (el->stand == CL_STAND_NOT && c->now_us >= el->again_us)
        schedule(c);
    if (el->stand == CL_STAND_DELAYED && c->now_us >= el->begin_us)
        stand(c);
    if (el->stand == CL_STAND_PERSISTING && c->claim.current_epoch >= el->epoch)
        ask(c);
    if (el->stand != CL_STAND_ASKING)
        return;
    if (el->epoch <= c->me->master->config_epoch) {
        /* It has raised its own meanwhile, without asking anybody: ours would not win its slots. */
        CL_LOG(c, NOTICE, "The master has config epoch %llu: the election in epoch %llu is void",
               (unsigned long long)c->me->master->config_epoch, (unsigned long long)el->epoch);
        el->stand = CL_STAND_NOT;
        el->again_us = c->now_us + 1;
    } else if ((int)el->nvotes >= votes_needed(c)) {
        win(c);
    } else if (c->now_us >= el->until_us) {
        CL_LOG(c, NOTICE, "No majority in epoch %llu: %zu votes", (unsigned long long)el->epoch, el->nvotes);
        el->stand = CL_STAND_NOT;
        el->failures++;
        el->again_us = c->now_us + 1 + (int64_t)rng_below(&c->rng, (uint64_t)(50 * MS)) + el->rank * RANK_US;
    }
}

int64_t cl_election_deadline(const struct cl_core *c)
{
    const struct cl_election *el = &c->election;
    switch (el->stand) {
    case CL_STAND_NOT: return el->again_us != 0 ? el->again_us : HEAP_NEVER;
    case CL_STAND_DELAYED: return el->begin_us;
    case CL_STAND_PERSISTING: return HEAP_NEVER;
    case CL_STAND_ASKING: return el->until_us;
    }
    return HEAP_NEVER;
}
