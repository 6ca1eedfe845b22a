/* CLUSTER FAILOVER TAKEOVER EPOCH: a quorum outside has decided that this node is the master of its shard at that epoch
 * (SAFETY E6). It is compared and set: whoever was passed over meanwhile, or belongs to another shard, says so. */
#include "noded/cluster/state.h"

#include <inttypes.h>

static bool is_in(const struct cl_takeover *t, const struct cl_id *id)
{
    for (size_t i = 0; i < t->nfrom; i++)
        if (cl_id_eq(&t->from[i], id))
            return true;
    return false;
}

/* Who claims slots of this shard with an epoch that is not below. NULL: nobody. */
static const struct cl_node *claimant(const struct cl_core *c, const struct cl_takeover *t)
{
    const struct cl_node *n, *best = NULL;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) {
        bool theirs = n == c->me || is_in(t, &n->id) ||
                      (!cl_id_is_none(&c->me->shard) && cl_id_eq(&n->shard, &c->me->shard));
        if (theirs && cl_has(n, CL_MASTER) && (n == c->me || cl_votes_here(n)) && n->config_epoch >= t->epoch &&
            (best == NULL || n->config_epoch > best->config_epoch))
            best = n;
    }
    return best;
}

static bool is_above_all(struct cl_core *c, cl_token token, const struct cl_takeover *t)
{
    char id[CL_ID_DIGITS + 1];
    const struct cl_node *n = claimant(c, t);
    if (PLANTED(109, n != NULL, false))
        REFUSE(c, token, "Epoch %" PRIu64 " is not above %" PRIu64 ", which %s claims slots of this shard with",
               t->epoch, n->config_epoch, cl_id_text(&n->id, id));
    /* Others remember what it had as a master, and would believe it nothing at a lower epoch (SAFETY E10). */
    if (PLANTED(109, c->me->config_epoch >= t->epoch, false))
        REFUSE(c, token, "Epoch %" PRIu64 " is not above %" PRIu64 ", which this node has had as a master", t->epoch,
               c->me->config_epoch);
    for (size_t i = 0; i < c->shard.nrecords; i++)
        if (c->shard.records[i].r.epoch >= t->epoch)
            REFUSE(c, token, "Epoch %" PRIu64 " is not above %" PRIu64 ", at which slots of this shard are handed over",
                   t->epoch, c->shard.records[i].r.epoch);
    return true;
}

static bool is_of_the_lineage(struct cl_core *c, cl_token token, const struct cl_takeover *t)
{
    char id[CL_ID_DIGITS + 1];
    const struct cl_node *of = cl_has(c->me, CL_MASTER) ? c->me : c->me->master;
    if (of == NULL)
        REFUSE(c, token, "I'm a replica but my master is unknown to me");
    if (!is_in(t, &of->id))
        REFUSE(c, token, "This node belongs to another shard: its master is %s", cl_id_text(&of->id, id));
    return true;
}

/* It says by the bus that it follows that master: it was not promoted, or has heard of it since. What our disk knows of
 * it is no word of its own. */
static bool follows(const struct cl_node *n, const struct cl_node *master)
{
    return n != NULL && n->heard && n->master == master && cl_has(n, CL_REPLICA) && n->link_state == CL_LINK_UP &&
           !cl_has(n, CL_PFAIL | CL_FAILED);
}

/* A master that others came after does not know what they have given away. */
static bool was_passed_over(struct cl_core *c, cl_token token, const struct cl_takeover *t)
{
    char id[CL_ID_DIGITS + 1];
    for (size_t i = 0; i < t->nfrom && !cl_id_eq(&t->from[i], &c->me->id); i++)
        if (!follows(cl_node_find(c, &t->from[i]), c->me)) {
            cl_effect_answer(c->fx, token, false, "ERR This master was passed over: %s came after it",
                             cl_id_text(&t->from[i], id));
            return true;
        }
    return false;
}

/* A master that others came after goes on counting its replicas, and does not know what they have promised. They have
 * waited until no replica that it counted under its lease may stand any more. */
static bool master_was_passed_over(const struct cl_core *c, const struct cl_takeover *t)
{
    const struct cl_node *master = c->me->master;
    if (!cl_fenced(c) || cl_is_stock(master) || cl_state_known_by_lease(c))
        return false;
    for (size_t i = 0; i < t->nfrom && !cl_id_eq(&t->from[i], &master->id); i++)
        if (!cl_id_eq(&t->from[i], &c->me->id) && !follows(cl_node_find(c, &t->from[i]), master))
            return true;
    return false;
}

/* What its master knew, and has given to it: without that its slots may be another's by now. */
static bool has_what_is_needed(struct cl_core *c, cl_token token, const struct cl_takeover *t)
{
    if (c->facts.loading)
        REFUSE(c, token, "This node is loading its dataset");
    if (t->force)
        return true;
    if (cl_has(c->me, CL_MASTER))
        return !was_passed_over(c, token, t);
    if (!c->facts.link_up && c->facts.old_since_us < 0)
        REFUSE(c, token, "This replica has never had the data of its master");
    if (!cl_state_known(c) || master_was_passed_over(c, t))
        REFUSE(c, token,
               "This replica may not know what its master has promised (slots on their way, swapped "
               "databases)");
    return true;
}

static void grants_take(struct cl_core *c, struct cl_membership *m, const struct cl_takeover *t)
{
    for (size_t i = 0; m != NULL && i < t->ngrants; i++)
        cl_grant_take(c, m, &t->grants[i], t->epoch);
    if (m != NULL)
        cl_lease_adopt(c, m);
    cl_lease_find(c);
}

/* The other replicas of the old master may be named next, before they have heard of this one: until they follow it it
 * gives nothing away that they would not know of. The old master's lease, under which it counts them, ends with our
 * grants' waits at the latest. */
static void siblings_count(struct cl_core *c, const struct cl_takeover *t)
{
    struct cl_node *n;
    int64_t wait_ms = 0;
    for (size_t i = 0; i < t->ngrants; i++)
        wait_ms = t->grants[i].wait_ms > wait_ms ? t->grants[i].wait_ms : wait_ms;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n != c->me && cl_has(n, CL_REPLICA) && n->master == c->me->master)
            cl_state_sibling(c, n, wait_ms);
}

static void become(struct cl_core *c, const struct cl_takeover *t)
{
    bool replica = cl_has(c->me, CL_REPLICA);
    if (t->force)
        CL_LOG(c, WARNING, "By force: what this node does not have or know is lost");
    CL_LOG(c, WARNING,
           replica ? "Promoted by the supervisors in epoch %" PRIu64
                   : "Master by the supervisors' word in epoch %" PRIu64,
           t->epoch);
    c->me->config_epoch = t->epoch;
    if (c->current_epoch < t->epoch)
        c->current_epoch = t->epoch;
    c->version++;
    c->mapping_doubted = replica && cl_fenced(c);
    if (replica)
        siblings_count(c, t);
    if (replica)
        cl_take_over(c);
    for (size_t i = t->nfrom; i-- > 0;) {
        struct cl_node *n = cl_node_find(c, &t->from[i]);
        if (n != c->me)
            cl_succeeded(c, &t->from[i]);
        /* One that has gone to another shard since has other slots. */
        bool ours = n != NULL && (cl_id_is_none(&n->shard) || cl_id_eq(&n->shard, &c->me->shard));
        if (ours && n != c->me)
            cl_take_slots(c, n);
    }
    cl_durable(c);
}

void cl_takeover(struct cl_core *c, cl_token token, const struct cl_takeover *t)
{
    struct cl_membership *m = NULL;
    if (t->epoch == 0 || t->epoch >= CL_EPOCH_MAX)
        FAIL_WITH(c, token, "Invalid epoch %" PRIu64, t->epoch);
    if (t->speaker != NULL && (m = cl_speaker_heard(c, token, t->speaker)) == NULL)
        return;
    bool already = cl_has(c->me, CL_MASTER) && c->me->config_epoch == t->epoch;
    if (!already) {
        if (!is_above_all(c, token, t) || !is_of_the_lineage(c, token, t) || !has_what_is_needed(c, token, t))
            return;
        become(c, t);
    }
    grants_take(c, m, t);
    if (already && c->claim.config_epoch == t->epoch && !c->promoting && !c->lease.moving)
        cl_effect_answer(c->fx, token, true, "OK");
    else
        cl_answer_durable(c, token, "OK");
}
