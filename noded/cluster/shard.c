/* What the next master of a shard must know: open records of hand-overs and the swap under way. The master has it on
 * its disk and gives it to its replicas; those that lack it, or of which the master does not know, do not stand for
 * election. So whoever waits until all counted replicas have it knows that the next master has it. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <stdlib.h>

#define MS INT64_C(1000)
#define TELL_US (100 * MS) /* the state is told again to those that lack it, while somebody waits for them */

/* For so long after it was counted last a replica may stand. Its data is too old by then, or the settings take data of
 * any age. */
int64_t cl_counted_for_us(const struct cl_core *c)
{
    int64_t factor = c->set.validity_factor != 0 ? c->set.validity_factor : 10;
    return cl_timeout_us(c) * (factor + 1) + c->set.repl_ping_ms * MS;
}

/* ---- records ---- */

struct cl_open_record *cl_record_find(const struct cl_core *c, const struct cl_id *job)
{
    for (size_t i = 0; i < c->shard.nrecords; i++)
        if (cl_id_eq(&c->shard.records[i].r.job, job))
            return &c->shard.records[i];
    return NULL;
}

struct cl_open_record *cl_record_of_slot(const struct cl_core *c, int slot)
{
    for (size_t i = 0; i < c->shard.nrecords; i++)
        if (cl_bit(c->shard.records[i].r.slots, slot))
            return &c->shard.records[i];
    return NULL;
}

void cl_record_loaded(struct cl_core *c, const struct cl_record *r)
{
    struct cl_shard_state *s = &c->shard;
    s->records = mem_grow(s->records, s->nrecords, &s->cap_records, sizeof *s->records);
    if (c->current_epoch < r->epoch)
        c->current_epoch = r->epoch; /* whoever is elected is so above it */
    struct cl_election *el = &c->election;
    if ((el->stand == CL_STAND_PERSISTING || el->stand == CL_STAND_ASKING) && el->epoch <= r->epoch) {
        el->stand = CL_STAND_NOT;
        el->again_us = c->now_us + 1;
    }
    const struct cl_node *target = cl_node_find(c, &r->target);
    struct cl_open_record *open = &s->records[s->nrecords++];
    *open = (struct cl_open_record){.r = *r, .since_us = c->now_us, .ask_us = HEAP_NEVER};
    /* While nodes.conf is read we are not known yet. */
    if (cl_id_is_none(&r->shard) && target != NULL && (c->me == NULL || !cl_id_eq(&target->shard, &c->me->shard)))
        open->r.shard = target->shard;
}

void cl_record_open(struct cl_core *c, const struct cl_record *r)
{
    cl_record_loaded(c, r);
    cl_state_changed(c, true);
    cl_held_find(c);
}

void cl_record_close(struct cl_core *c, struct cl_open_record *r)
{
    *r = c->shard.records[--c->shard.nrecords];
    cl_state_changed(c, false);
    cl_held_find(c);
}

void cl_records_forget(struct cl_core *c)
{
    /* Those who have followed us may still know that we were taking the slots. */
    for (size_t i = 0; i < c->shard.nrecords; i++) {
        const struct cl_record *r = &c->shard.records[i].r;
        if (r->taking && c->untaken_epoch < r->epoch)
            c->untaken_epoch = r->epoch;
    }
    c->shard.nrecords = 0;
    cl_held_find(c);
}

/* ---- versions ---- */

void cl_state_changed(struct cl_core *c, bool required)
{
    uint64_t least = (c->me->config_epoch & (UINT64_MAX >> 24)) << 24;
    c->shard.version = c->shard.version >= least ? c->shard.version + 1 : least + 1;
    if (required)
        c->shard.required = c->shard.version;
    cl_durable(c);
}

static bool is_ours(const struct cl_core *c, const struct cl_node *n)
{
    return n->master == c->me && cl_has(n, CL_REPLICA);
}

/* It may be our successor: it is waited for. So may one that does not stand by itself (cluster-replica-no-failover):
 * by CLUSTER FAILOVER, by hand or by supervisors. */
static bool is_promotable(const struct cl_core *c, const struct cl_node *n)
{
    if (!is_ours(c, n))
        return (n->left_us != 0 && c->now_us <= n->counted_until_us) || c->now_us < n->sibling_us;
    /* At whose address another node answers is told nothing any more, and no majority ever says that it failed. */
    return !cl_has(n, CL_FAILED | CL_NOADDR) || c->now_us <= n->counted_until_us;
}

bool cl_replicas_agree(const struct cl_core *c)
{
    const struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (is_promotable(c, n) && cl_has(n, CL_FAILED | CL_PFAIL))
            return false;
    return cl_state_agreed(c);
}

bool cl_state_agreed(const struct cl_core *c)
{
    const struct cl_node *n;
    if (c->claim.state_version != c->shard.version || c->now_us < c->uncounted_until_us || cl_replaced_by(c) != NULL)
        return false;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (is_promotable(c, n) && n->state_version != c->shard.version)
            return false;
    return true;
}

/* It is told that it counts. */
static void count(const struct cl_core *c, struct cl_node *n)
{
    int64_t until_us = c->now_us + cl_counted_for_us(c) + cl_timeout_us(c);
    n->counted_until_us = until_us > n->counted_until_us ? until_us : n->counted_until_us;
}

void cl_state_sibling(const struct cl_core *c, struct cl_node *n, int64_t wait_ms)
{
    n->sibling_us = c->now_us + wait_ms * MS + cl_counted_for_us(c) + cl_timeout_us(c);
}

/* Any of our replicas may have been counted at the last moment of our earlier life. */
void cl_state_restarted(struct cl_core *c)
{
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (is_ours(c, n))
            count(c, n);
        else if (cl_fenced(c) && n != c->me && cl_has(n, CL_REPLICA) && !cl_id_is_none(&n->shard) &&
                 cl_id_eq(&n->shard, &c->me->shard))
            cl_state_sibling(c, n, 0);
}

void cl_node_uncounted(struct cl_core *c, const struct cl_node *n)
{
    int64_t until_us = n->counted_until_us > n->sibling_us ? n->counted_until_us : n->sibling_us;
    if (until_us > c->uncounted_until_us)
        c->uncounted_until_us = until_us;
}

bool cl_state_is_open(const struct cl_core *c)
{
    int a, b;
    return c->shard.nrecords > 0 || cl_databases_held(c, &a, &b);
}

bool cl_state_known_by_lease(const struct cl_core *c)
{
    return c->counted_leased_us != 0 && c->now_us - c->counted_leased_us <= c->counted_for_us;
}

/* Another master of the shard claims slots above our own one's claim. */
static bool master_was_replaced(const struct cl_core *c)
{
    const struct cl_node *n, *master = c->me->master;
    for (size_t it = 0; master != NULL && (n = cl_each(c, &it)) != NULL;)
        if (n != c->me && n != master && cl_has(n, CL_MASTER) && n->nslots > 0 &&
            n->config_epoch > master->config_epoch && !cl_id_is_none(&n->shard) && cl_id_eq(&n->shard, &c->me->shard))
            return true;
    return false;
}

bool cl_state_known(const struct cl_core *c)
{
    const struct cl_node *master = c->me->master;
    if (master != NULL && cl_is_stock(master))
        return true; /* a stock node's shard has no such state */
    return c->counted_us != 0 && c->now_us - c->counted_us <= c->counted_for_us &&
           c->claim.state_version >= c->counted_required &&
           (!cl_fenced(c) || cl_state_known_by_lease(c) || !master_was_replaced(c));
}

void cl_state_follows(struct cl_core *c, const struct cl_node *master)
{
    if (!cl_id_eq(&c->me->shard, &master->shard)) {
        c->shard.version = c->shard.required = c->shard.swap_epoch = c->shard.swap_ballot = 0;
        cl_records_forget(c);
    }
    c->word_us = c->now_us;
    c->counted_us = c->counted_leased_us = 0;
    c->counted_required = UINT64_MAX;
    c->state_heard = false;
    c->master_version = 0;
}

/* ---- between a master and its replicas ---- */

/* After a restart we must know all that we have counted. */
static bool counts(const struct cl_core *c, const struct cl_node *n)
{
    return is_ours(c, n) && !cl_has(n, CL_FAILED) && n->stamp != 0 && c->persisted >= n->ours_seq;
}

void cl_state_put(struct cl_core *c, struct buf *out, struct cl_node *to)
{
    /* What is on no disk yet nobody waits for, and the next master need not have it. */
    struct cl_state_told told = {.version = c->claim.state_version, .required = c->claim.state_required};
    if (!to->ours || (to->master != c->me && c->me->master != to))
        return;
    told.counted = counts(c, to);
    told.stamp = is_ours(c, to) ? to->stamp : (uint64_t)c->now_us;
    int64_t for_ms = cl_counted_for_us(c) / MS;
    told.for_ms = for_ms < UINT32_MAX ? (uint32_t)for_ms : UINT32_MAX;
    told.leased = told.counted && cl_fenced(c) && cl_leased(c);
    if (told.counted)
        count(c, to);
    cl_wire_put_state(out, &told);
}

static void state_send(struct cl_core *c, struct cl_node *to)
{
    const struct cl_shard_state *s = &c->shard;
    struct cl_record *records = mem_array(NULL, s->nrecords + 1, sizeof *records);
    struct cl_handover h = {
        .say = CL_SAY_STATE,
        .version = s->version,
        .required = s->required,
        .database_a = s->database_a,
        .database_b = s->database_b,
        .swap_epoch = s->swap_epoch,
        .swap_aborted = s->swap_aborted,
        .swap_ballot = s->swap_ballot,
        .records = s->nrecords,
    };
    for (size_t i = 0; i < s->nrecords; i++)
        records[i] = s->records[i].r;
    cl_send_handover(c, to, &h, records);
    free(records);
}

void cl_handover_send(struct cl_core *c, struct cl_node *to, enum cl_say say, const struct cl_record *r)
{
    struct cl_handover h = {.say = say, .records = 1};
    cl_send_handover(c, to, &h, r);
}

/* Only what is on our own disk is given away. */
static void give_to_those_that_lack_it(struct cl_core *c)
{
    struct cl_node *n;
    if (c->claim.state_version != c->shard.version || !cl_has(c->me, CL_MASTER))
        return;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (is_ours(c, n) && n->ours && n->state_version != c->shard.version)
            state_send(c, n);
    c->tell_state_us = c->now_us + TELL_US;
}

void cl_state_left(struct cl_core *c, struct cl_node *n)
{
    if (!is_ours(c, n))
        n->left_us = n->counted_until_us = 0;
}

void cl_state_welcome(struct cl_core *c, struct cl_node *n)
{
    if (n->welcome || !n->ours || n->link_state != CL_LINK_UP || !counts(c, n))
        return;
    n->welcome = !cl_fenced(c) || cl_leased(c);
    cl_send_greeting(c, n->link, n, CL_PONG, NULL);
}

static void welcome_all(struct cl_core *c)
{
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        cl_state_welcome(c, n);
}

void cl_state_leased(struct cl_core *c)
{
    if (cl_leased(c))
        welcome_all(c);
}

/* It counts from the moment on of which the master's word speaks, and not from when it came: it may have waited in a
 * socket while we stood still, or in the network. */
static void counted(struct cl_core *c, const struct cl_state_told *told)
{
    int64_t first = c->word_us > c->start_us ? c->word_us : c->start_us;
    if (told->stamp < (uint64_t)first || told->stamp > (uint64_t)c->now_us)
        return;
    c->word_us = (int64_t)told->stamp;
    c->counted_us = told->counted ? (int64_t)told->stamp : 0;
    if (told->leased || !told->counted)
        c->counted_leased_us = c->counted_us;
    c->counted_for_us = told->for_ms * MS;
    c->counted_required = told->required;
}

static bool version_told(const struct cl_message *m, uint64_t *version)
{
    struct cl_state_told told;
    struct slice body;
    int type;
    *version = m->handover.version;
    if (m->head.type == CL_HANDOVER)
        return m->handover.say == CL_SAY_STATE;
    for (struct slice rest = m->extensions; cl_wire_extension(&rest, &type, &body);)
        if (type == CL_EXT_STATE && cl_wire_state(body, &told)) {
            *version = told.version;
            return true;
        }
    return false;
}

/* Under supervisors slots come and go while all epochs stay as they are, so they do not tell which of two claims is the
 * newer one. Each change is a version of the shard's state too. */
enum cl_order cl_state_order(struct cl_core *c, const struct cl_message *m, const struct cl_node *sender)
{
    uint64_t version;
    if (sender != c->me->master)
        return CL_ORDER_NEW;
    if (!cl_id_is_none(&m->head.master)) { /* it may go to another shard, and begin anew there */
        c->master_version = 0;
        return CL_ORDER_NEW;
    }
    if (!version_told(m, &version))
        return c->master_version == 0 ? CL_ORDER_NEW : CL_ORDER_UNSAID;
    if (version < c->master_version)
        return CL_ORDER_OLD;
    c->master_version = version;
    return CL_ORDER_NEW;
}

void cl_state_told(struct cl_core *c, struct slice body, struct cl_node *sender)
{
    struct cl_state_told told;
    if (!cl_wire_state(body, &told))
        return;
    if (sender == c->me->master && cl_has(c->me, CL_REPLICA)) {
        counted(c, &told);
    } else if (is_ours(c, sender)) {
        sender->state_version = told.version;
        sender->stamp = told.stamp;
        sender->absent = sender->absent && told.version != c->shard.version;
        if (told.version != c->shard.version && c->now_us >= c->tell_state_us)
            give_to_those_that_lack_it(c);
    }
}

/* What could not be read back from our own disk is not taken either. */
static bool is_possible(const struct cl_record *r)
{
    return !cl_id_is_none(&r->job) && !cl_id_is_none(&r->source) && !cl_id_is_none(&r->target) &&
           r->epoch < CL_EPOCH_MAX;
}

static bool all_possible(const struct cl_message *m)
{
    struct cl_record r;
    for (size_t i = 0; i < m->handover.records; i++) {
        cl_wire_record(m, i, &r);
        if (!is_possible(&r))
            return false;
    }
    return m->handover.swap_epoch < CL_EPOCH_MAX && m->handover.swap_ballot < CL_EPOCH_MAX;
}

void cl_state_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender)
{
    const struct cl_handover *h = &m->handover;
    struct cl_shard_state *s = &c->shard;
    if (!cl_has(c->me, CL_REPLICA) || sender != c->me->master)
        return;
    if (h->version == s->version) {
        if (c->claim.state_version == s->version && sender->link_state == CL_LINK_UP)
            cl_send_greeting(c, sender->link, sender, CL_PONG, NULL);
        return;
    }
    if ((c->state_heard && h->version < s->version) || !all_possible(m))
        return;
    c->state_heard = true;
    s->version = h->version;
    s->required = h->required;
    s->database_a = h->database_a;
    s->database_b = h->database_b;
    s->swap_epoch = h->swap_epoch;
    s->swap_aborted = h->swap_aborted;
    s->swap_ballot = h->swap_ballot;
    s->nrecords = 0;
    for (size_t i = 0; i < h->records; i++) {
        struct cl_record r;
        cl_wire_record(m, i, &r);
        cl_record_loaded(c, &r);
    }
    cl_held_find(c);
    cl_durable(c);
}

void cl_state_persisted(struct cl_core *c, uint64_t before)
{
    struct cl_node *master = c->me->master;
    bool changed = c->claim.state_version != before;
    if (cl_has(c->me, CL_MASTER)) {
        if (changed)
            give_to_those_that_lack_it(c);
        /* New replicas are known on disk by now, and count. */
        welcome_all(c);
    } else if ((changed || c->counted_us == 0) && master != NULL && master->link_state == CL_LINK_UP) {
        cl_send_greeting(c, master->link, master, CL_PONG, NULL);
    }
}

/* Who was away while its master was replaced may follow one that is a replica itself by now: nobody counts on it there,
 * and it hears late. Of a chain each follows the next one's master, so it ends at the shard's. */
static void chain_leave(struct cl_core *c)
{
    const struct cl_node *replica = c->me->master;
    struct cl_node *master = replica != NULL && cl_has(replica, CL_REPLICA) ? replica->master : NULL;
    if (master == NULL || !cl_has(master, CL_MASTER) || !cl_id_eq(&master->shard, &c->me->shard))
        return;
    CL_LOG(c, NOTICE, "The node that we follow is a replica: following its master %s:%u", master->ip,
           (unsigned)master->port);
    cl_follow(c, master);
}

/* Under supervisors a master may be replaced when it has given all its slots away, and so has who replaced it: nothing
 * that the other claims tells it so, and it never gets a lease again. What is migrated to it would wait for ever. */
static struct cl_node *replaced_without_slots(const struct cl_core *c)
{
    struct cl_node *n, *best = NULL;
    for (size_t it = 0; cl_is_homeless(c) && !cl_id_is_none(&c->me->shard) && (n = cl_each(c, &it)) != NULL;)
        if (n != c->me && cl_has(n, CL_MASTER) && n->supervised && n->link_state == CL_LINK_UP &&
            cl_id_eq(&n->shard, &c->me->shard) && cl_has_replaced(c, n, best != NULL ? best : c->me))
            best = n;
    return best;
}

/* Elections and operators' force now and then leave two masters in one shard. The older one follows the other when it
 * has no slots, for which it needs no lease; two that both have slots are two shards. */
void cl_shard_run(struct cl_core *c)
{
    bool before = c->shares_shard;
    if (cl_has(c->me, CL_REPLICA))
        chain_leave(c);
    if (!cl_has(c->me, CL_MASTER) || c->now_us < c->shard_look_us)
        return;
    c->shard_look_us = c->now_us + cl_timeout_us(c);
    struct cl_node *other = c->shard.nrecords == 0 ? cl_replaced_by(c) : NULL;
    if (other == NULL && c->shard.nrecords == 0)
        other = replaced_without_slots(c);
    bool knows = c->me->nslots == 0 ? cl_is_informed(c) : cl_is_sure(c);
    c->shares_shard = other != NULL && knows && other->claim_epoch == other->config_epoch;
    if (!c->shares_shard || !before)
        return;
    if (c->me->nslots == 0) {
        CL_LOG(c, NOTICE, "Another master has our place in this shard: following %s:%u", other->ip,
               (unsigned)other->port);
        cl_follow(c, other);
        return;
    }
    CL_LOG(c, NOTICE, "%s:%u is a master with slots in this shard too: it has another name from now on", other->ip,
           (unsigned)other->port);
    cl_id_draw(&c->rng, &c->me->shard);
    c->version++;
    cl_durable(c);
}

/* Somebody waits for the replicas. */
static bool is_awaited(const struct cl_core *c)
{
    return c->shard.nrecords > 0 || c->nagreements > 0 || c->nrefusals > 0;
}

void cl_state_run(struct cl_core *c)
{
    if (is_awaited(c) && cl_has(c->me, CL_MASTER) && c->now_us >= c->tell_state_us && !cl_state_agreed(c))
        give_to_those_that_lack_it(c);
}

int64_t cl_state_deadline(const struct cl_core *c)
{
    if (!is_awaited(c) || !cl_has(c->me, CL_MASTER) || c->claim.state_version != c->shard.version || cl_state_agreed(c))
        return HEAP_NEVER;
    int64_t at = c->tell_state_us > c->now_us ? c->tell_state_us : c->now_us + TELL_US;
    const struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n->sibling_us > c->now_us && n->sibling_us < at)
            at = n->sibling_us;
    return c->uncounted_until_us > c->now_us && c->uncounted_until_us < at ? c->uncounted_until_us : at;
}
