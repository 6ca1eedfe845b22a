/* The node's half of a swap of databases over the whole cluster (SAFETY, section 6). Who decides asks all masters to
 * prepare; a yes is on disk, here and at every replica that may be elected, and ends by APPLY or ABORT alone. The
 * mapping itself is the dataset's: facts.mapping_epoch. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <inttypes.h>

/* The dataset has not done the last swap that it was to do. */
static bool is_pending(const struct cl_core *c)
{
    return c->shard.swap_epoch > c->facts.mapping_epoch && !c->shard.swap_aborted;
}

void cl_swap(const struct cl_core *c, struct cl_swap_row *out)
{
    const struct cl_shard_state *s = &c->shard;
    *out = (struct cl_swap_row){.prepared = is_pending(c),
                                .a = s->database_a,
                                .b = s->database_b,
                                .epoch = s->swap_epoch,
                                .aborted = s->swap_aborted};
}

bool cl_databases_held(const struct cl_core *c, int *a, int *b)
{
    *a = c->shard.database_a;
    *b = c->shard.database_b;
    return is_pending(c);
}

bool cl_supervised(const struct cl_core *c)
{
    return c->supervised;
}

static bool is_the_same(const struct cl_core *c, const struct cl_command *m)
{
    const struct cl_shard_state *s = &c->shard;
    return s->swap_epoch == (uint64_t)m->number && s->database_a == m->database_a && s->database_b == m->database_b;
}

static void prepare(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_shard_state *s = &c->shard;
    if (is_pending(c) && !is_the_same(c, m))
        FAIL_WITH(c, token, "Databases %d and %d are prepared to be swapped at epoch %" PRIu64, s->database_a,
                  s->database_b, s->swap_epoch);
    if ((uint64_t)m->number != c->facts.mapping_epoch + 1)
        FAIL_WITH(c, token, "The mapping of databases has epoch %" PRIu64 " here", c->facts.mapping_epoch);
    if (c->live_jobs > 0 || s->nrecords > 0)
        FAIL_WITH(c, token, "Slots are being migrated: wait for them, or CLUSTER CANCELSLOTMIGRATIONS");
    if (cl_shard_has_stock(c, NULL))
        FAIL_WITH(c, token, "A node in this shard knows database 0 only");
    if (!is_pending(c)) {
        s->database_a = m->database_a;
        s->database_b = m->database_b;
        s->swap_epoch = (uint64_t)m->number;
        s->swap_aborted = false;
        cl_state_changed(c, true);
        c->version++;
    }
    c->agreements = mem_grow(c->agreements, c->nagreements, &c->cap_agreements, sizeof *c->agreements);
    c->agreements[c->nagreements++] = (struct cl_agreement){token, s->version};
}

static void apply(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    uint64_t epoch = (uint64_t)m->number;
    /* What is prepared may be later than what is next: a dataset that was lost begins anew. */
    if (is_pending(c) && c->shard.swap_epoch == epoch && !is_the_same(c, m))
        FAIL_WITH(c, token, "Another swap is prepared here");
    if (epoch > c->facts.mapping_epoch + 1 && PLANTED(13, true, false))
        FAIL_WITH(c, token, "The mapping of databases has epoch %" PRIu64 " here: %" PRIu64 " is not next",
                  c->facts.mapping_epoch, epoch);
    /* Of a swap that was not prepared here (the node was away, or its dataset is another one). */
    if (epoch > c->facts.mapping_epoch && !cl_jobs_give_way(c, "The databases are swapped"))
        FAIL_WITH(c, token, "Slots are being handed over: wait for the end of that");
    if (epoch > c->facts.mapping_epoch) {
        struct cl_effect *e = cl_effect_add(c->fx, CL_FX_SWAPDB);
        e->a = m->database_a;
        e->b = m->database_b;
        e->seq = epoch;
        c->facts.mapping_epoch = epoch;
        if (c->shard.swap_epoch < epoch) {
            c->shard.database_a = m->database_a;
            c->shard.database_b = m->database_b;
            c->shard.swap_epoch = epoch;
            c->shard.swap_aborted = false;
        }
        cl_state_changed(c, false);
        c->version++;
    }
    cl_answer_durable(c, token, "OK");
}

static void abort_swap(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_shard_state *s = &c->shard;
    if ((uint64_t)m->number <= c->facts.mapping_epoch)
        FAIL_WITH(c, token, "The swap to epoch %" PRId64 " is done already", m->number);
    if (is_pending(c) && s->swap_epoch == (uint64_t)m->number) {
        s->swap_aborted = true;
        cl_state_changed(c, false);
        c->version++;
    }
    cl_answer_durable(c, token, "OK");
}

void cl_dbmap_command(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (!c->supervised)
        FAIL_WITH(c, token, "SWAPDB over a cluster is decided by its supervisors, and this node has none");
    if (!cl_has(c->me, CL_MASTER))
        FAIL_WITH(c, token, "This node is a replica: databases are swapped by masters");
    if (m->number < 1 || (uint64_t)m->number >= CL_EPOCH_MAX)
        FAIL_WITH(c, token, "Invalid mapping epoch %" PRId64, m->number);
    if (m->verb == CL_DBMAP_PREPARE)
        prepare(c, token, m);
    else if (m->verb == CL_DBMAP_APPLY)
        apply(c, token, m);
    else
        abort_swap(c, token, m);
}

/* Whoever waits for a yes gets it when the state of then, or a later one, is everywhere. */
void cl_dbmap_run(struct cl_core *c)
{
    if (c->nagreements == 0)
        return;
    bool agreed = cl_state_agreed(c), stays = cl_has(c->me, CL_MASTER) && is_pending(c);
    if (stays && !agreed)
        return;
    for (size_t i = 0; i < c->nagreements; i++) {
        cl_token token = c->agreements[i].token;
        if (stays)
            cl_effect_answer(c->fx, token, true, "YES %" PRIu64, c->me->config_epoch);
        else
            cl_effect_answer(c->fx, token, false, "ERR The swap was ended before all replicas had heard of it");
    }
    c->nagreements = 0;
}
