/* The node's half of a swap of databases over the whole cluster (SAFETY, section 6). Who decides asks all masters to
 * prepare; a yes is on disk, here and at every replica that may be elected, and ends by APPLY or ABORT alone. The
 * mapping itself is the dataset's: facts.mapping_epoch. */
#include "noded/cluster/state.h"

#include "common/base/heap.h"
#include "common/base/mem.h"

#include <inttypes.h>
#include <stdio.h>

#define REPLICAS_US INT64_C(100000)   /* for so long at most replicas are waited for */
#define HELD_LONG_US INT64_C(1000000) /* a swap takes some ten milliseconds */

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
                                .aborted = s->swap_aborted,
                                .ballot = s->swap_ballot,
                                .held_us = is_pending(c) && c->held_us > 0 ? c->now_us - c->held_us : 0};
}

bool cl_databases_held(const struct cl_core *c, int *a, int *b)
{
    *a = c->shard.database_a;
    *b = c->shard.database_b;
    return is_pending(c);
}

bool cl_mapping_doubted(const struct cl_core *c)
{
    return c->mapping_doubted;
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

/* Requests to it wait from now on. */
static void take(struct cl_core *c, const struct cl_command *m)
{
    struct cl_shard_state *s = &c->shard;
    s->database_a = m->database_a;
    s->database_b = m->database_b;
    s->swap_epoch = (uint64_t)m->number;
    s->swap_ballot = m->ballot;
    s->swap_aborted = false;
}

/* Keys on their way are in no database but in a number, and would come out in the other dataset (SAFETY H4). What the
 * operator has to end is named: a move by hand takes long, and may have been left half done. */
static bool is_moving_keys(struct cl_core *c, cl_token token)
{
    const struct cl_open *o = NULL;
    for (size_t i = 0; i < c->nopen; i++)
        if (o == NULL || c->open[i].slot < o->slot)
            o = &c->open[i];
    if (c->live_jobs > 0 || c->shard.nrecords > 0) {
        cl_effect_answer(c->fx, token, false,
                         "ERR Slots are being migrated: wait for them, or CLUSTER CANCELSLOTMIGRATIONS");
    } else if (o != NULL) {
        char other[CL_ID_DIGITS + 1];
        cl_effect_answer(c->fx, token, false,
                         "ERR Slot %d is open (%s %.8s): finish moving its keys, or end that with `nodectl slots fix`",
                         o->slot, o->importing ? "importing from" : "migrating to", cl_id_text(&o->node->id, other));
    } else if (c->facts.sends_keys) {
        cl_effect_answer(c->fx, token, false, "ERR A MIGRATE is on its way from here: try again when it is over");
    } else {
        return false;
    }
    return true;
}

/* An attempt with a higher number was begun when the one before had been given up, whether this node has heard of that
 * or not. What is said of an earlier one may have waited in a socket, and means nothing. */
static void prepare(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_shard_state *s = &c->shard;
    if (m->ballot < s->swap_ballot || (m->ballot > 0 && m->ballot == s->swap_ballot && !is_pending(c)))
        FAIL_WITH(c, token, "The attempt of ballot %" PRIu64 " is over here", m->ballot);
    if (is_pending(c) && !is_the_same(c, m) && m->ballot == s->swap_ballot)
        FAIL_WITH(c, token, "Databases %d and %d are prepared to be swapped at epoch %" PRIu64, s->database_a,
                  s->database_b, s->swap_epoch);
    if ((uint64_t)m->number != c->facts.mapping_epoch + 1)
        FAIL_WITH(c, token, "The mapping of databases has epoch %" PRIu64 " here", c->facts.mapping_epoch);
    /* Who came before this master may have a lease still, and would write to the databases as they were. */
    if (!cl_leased(c))
        FAIL_WITH(c, token, "This node holds no lease now");
    if (is_moving_keys(c, token))
        return;
    if (cl_shard_has_stock(c, NULL))
        FAIL_WITH(c, token, "A node in this shard knows database 0 only");
    if (m->request != 0 && !cl_wish_prepared(c, m->request, m->ballot))
        FAIL_WITH(c, token, "The client that asked for it waits no longer");
    if (!is_pending(c) || !is_the_same(c, m) || m->ballot > s->swap_ballot) {
        take(c, m);
        cl_state_changed(c, true);
        c->version++;
        CL_LOG(c, NOTICE,
               "Databases %d and %d are about to be swapped (mapping %" PRId64 ", attempt %" PRIu64
               "): requests to them wait",
               m->database_a, m->database_b, m->number, m->ballot);
    }
    c->agreements = mem_grow(c->agreements, c->nagreements, &c->cap_agreements, sizeof *c->agreements);
    c->agreements[c->nagreements++] = (struct cl_agreement){token, s->version, c->now_us};
}

/* What was done is told by its name where the attempt has one: the answer to an earlier request may come late too. */
static void answer(struct cl_core *c, cl_token token, const struct cl_command *m, const char *what, uint64_t number)
{
    char text[64];
    snprintf(text, sizeof text, "%s %" PRIu64, what, number);
    cl_answer_durable(c, token, m->ballot > 0 ? text : "OK");
}

static void swap(struct cl_core *c, int a, int b, uint64_t epoch)
{
    struct cl_effect *e = cl_effect_add(c->fx, CL_FX_SWAPDB);
    e->a = a;
    e->b = b;
    e->seq = epoch;
    c->facts.mapping_epoch = epoch;
    CL_LOG(c, NOTICE, "Databases %d and %d are swapped: mapping %" PRIu64, a, b, epoch);
}

static void apply(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    uint64_t epoch = (uint64_t)m->number;
    /* What is prepared may be later than what is next: a dataset that was lost begins anew. */
    if (is_pending(c) && c->shard.swap_epoch == epoch && !is_the_same(c, m) && m->ballot == c->shard.swap_ballot)
        FAIL_WITH(c, token, "Another swap is prepared here");
    /* Where there are no keys every mapping holds: a shard that is new comes to that of the others. */
    bool any = m->ballot > 0 && !c->facts.has_keys;
    if (epoch > c->facts.mapping_epoch + 1 && !any && PLANTED(13, true, false))
        FAIL_WITH(c, token, "The mapping of databases has epoch %" PRIu64 " here: %" PRIu64 " is not next",
                  c->facts.mapping_epoch, epoch);
    /* Of a swap that was not prepared here (the node was away, or its dataset is another one). */
    if (epoch > c->facts.mapping_epoch && !cl_jobs_give_way(c, "The databases are swapped"))
        FAIL_WITH(c, token, "Slots are being handed over: wait for the end of that");
    if (epoch > c->facts.mapping_epoch) {
        while (any && c->facts.mapping_epoch + 1 < epoch)
            swap(c, m->database_a, m->database_b, c->facts.mapping_epoch + 1);
        swap(c, m->database_a, m->database_b, epoch);
        if (c->shard.swap_epoch < epoch || (c->shard.swap_epoch == epoch && c->shard.swap_ballot < m->ballot))
            take(c, m);
        cl_wish_applied(c, m->ballot, epoch);
        cl_state_changed(c, false);
        c->version++;
    }
    answer(c, token, m, "APPLIED", epoch);
}

static void abort_swap(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_shard_state *s = &c->shard;
    if ((uint64_t)m->number <= c->facts.mapping_epoch && m->ballot == 0)
        FAIL_WITH(c, token, "The swap to epoch %" PRId64 " is done already", m->number);
    cl_wish_aborted(c, m->ballot, m->text);
    if (m->ballot >= s->swap_ballot && (is_pending(c) || m->ballot > s->swap_ballot)) {
        bool pending = is_pending(c) && s->swap_epoch == (uint64_t)m->number;
        if (pending)
            CL_LOG(c, NOTICE, "Databases %d and %d are not swapped (mapping %" PRId64 ", attempt %" PRIu64 "): %.*s",
                   s->database_a, s->database_b, m->number, s->swap_ballot, SHOWN(m->text));
        s->swap_aborted = s->swap_aborted || pending;
        s->swap_ballot = m->ballot; /* what may still come of it is refused */
        cl_state_changed(c, false);
        c->version++;
    }
    answer(c, token, m, "ABORTED", m->ballot);
}

/* It is to join a cluster whose supervisors know it only when it has slots, and it gets none before. */
static bool is_newcomer(const struct cl_core *c, const struct cl_command *m)
{
    return m->verb == CL_DBMAP_APPLY && m->ballot > 0 && !c->facts.has_keys && c->me->nslots == 0;
}

void cl_dbmap_command(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (!c->supervised && !is_newcomer(c, m))
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

/* ---- replicas ---- */

/* One that works, as far as is known, and still lacks it. */
static bool lacks(const struct cl_core *c, const struct cl_node *n)
{
    return n->master == c->me && cl_has(n, CL_REPLICA) && !n->absent && !cl_has(n, CL_FAILED | CL_PFAIL | CL_NOADDR) &&
           n->state_version != c->shard.version;
}

static bool is_ours_alone(const struct cl_core *c)
{
    return c->claim.state_version == c->shard.version && cl_replaced_by(c) == NULL;
}

/* Under leases a replica that is away is not waited for: whoever comes after this master is leased only when its
 * mapping is that of the cluster (SAFETY W1), and a replica that missed the swap is told it then. Those that work are
 * waited for, so that they are shut as their master is. */
static bool replicas_agree(const struct cl_core *c)
{
    const struct cl_node *n;
    if (!cl_fenced(c))
        return cl_state_agreed(c);
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (lacks(c, n))
            return false;
    return is_ours_alone(c);
}

/* Both databases are shut meanwhile, and what the asking supervisor grants waits behind the answer: a lease goes on. */
static int64_t patience_end(const struct cl_core *c)
{
    int64_t quarter_us = 1000 * c->lease.longest_ms / 4;
    return c->agreements[c->nagreements - 1].since_us + (quarter_us < REPLICAS_US ? quarter_us : REPLICAS_US);
}

/* It stands still, or its link is gone: it was asked long enough. The next swap does not wait for it before it is back.
 */
static void leave_the_silent(struct cl_core *c)
{
    struct cl_node *n;
    if (!cl_fenced(c) || !is_ours_alone(c) || c->now_us < patience_end(c))
        return;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (lacks(c, n)) {
            n->absent = true;
            CL_LOG(c, NOTICE, "Databases are swapped without replica %s:%u: it does not answer, and learns it later",
                   n->ip, (unsigned)n->port);
        }
}

/* ---- who waits for long ---- */

/* Nobody ends it by time (SAFETY W2), but whoever looks why requests hang finds it told. */
static void watch(struct cl_core *c)
{
    const struct cl_shard_state *s = &c->shard;
    if (!is_pending(c)) {
        c->held_us = 0;
    } else if (c->held_us == 0) {
        c->held_us = c->now_us;
        c->held_told = false;
    } else if (!c->held_told && c->now_us - c->held_us >= HELD_LONG_US) {
        c->held_told = true;
        CL_LOG(c, WARNING,
               "Databases %d and %d wait to be swapped for a second already (mapping %" PRIu64 ", attempt %" PRIu64
               "), and all requests to them too: the supervisors end that; if they do not, see `nodectl doctor`",
               s->database_a, s->database_b, s->swap_epoch, s->swap_ballot);
    }
}

int64_t cl_dbmap_deadline(const struct cl_core *c)
{
    int64_t told = c->held_us > 0 && !c->held_told ? c->held_us + HELD_LONG_US : HEAP_NEVER;
    if (c->nagreements == 0 || !cl_fenced(c) || !is_ours_alone(c))
        return told;
    int64_t at = patience_end(c);
    at = at > c->now_us ? at : c->now_us;
    return at < told ? at : told;
}

/* Whoever waits for a yes gets it when the state of then, or a later one, is everywhere. */
void cl_dbmap_run(struct cl_core *c)
{
    watch(c);
    if (c->nagreements == 0)
        return;
    bool stays = cl_has(c->me, CL_MASTER) && is_pending(c);
    if (stays)
        leave_the_silent(c);
    bool agreed = PLANTED(19, replicas_agree(c), true);
    if (stays && !agreed)
        return;
    for (size_t i = 0; i < c->nagreements; i++) {
        cl_token token = c->agreements[i].token;
        if (stays && c->shard.swap_ballot > 0)
            cl_effect_answer(c->fx, token, true, "YES %" PRIu64 " %" PRIu64, c->me->config_epoch, c->shard.swap_ballot);
        else if (stays)
            cl_effect_answer(c->fx, token, true, "YES %" PRIu64, c->me->config_epoch);
        else
            cl_effect_answer(c->fx, token, false, "ERR The swap was ended before all replicas had heard of it");
    }
    c->nagreements = 0;
}
