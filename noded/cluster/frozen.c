/* Migrations that touch a shard which is getting another master. Supervisors say so to the master at the other end
 * (CLUSTER FREEZESLOTMIGRATIONS), for a time that ends by itself: until then nothing is paused and nothing granted. A
 * source whose target was replaced, or whose link to it broke, begins anew with whoever is the master there now. */
#include "noded/cluster/state.h"

#include <inttypes.h>

#define MS INT64_C(1000)
#define FREEZE_MAX_MS INT64_C(60000)
#define RESTARTS_MAX 8
#define RESTART_US (500 * MS) /* and each time so much more */
#define PATIENCE_US (60000 * MS)

bool cl_is_frozen(const struct cl_core *c, const struct cl_id *node)
{
    const struct cl_node *n = cl_node_find(c, node);
    return PLANTED(121, n != NULL && n->frozen_until_us > c->now_us, false);
}

void cl_freeze(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_node *n = cl_command_node(c, m);
    if (n == NULL)
        FAIL_WITH(c, token, "Unknown node %.*s", SHOWN(m->node));
    if (n == c->me)
        FAIL_WITH(c, token, "The node at the other end of migrations is to be named, and not this one");
    if (m->number < 0 || m->number > FREEZE_MAX_MS)
        FAIL_WITH(c, token, "Invalid time: 0 to %" PRId64 " milliseconds are expected", FREEZE_MAX_MS);
    bool was = n->frozen_until_us > c->now_us;
    n->frozen_until_us = c->now_us + m->number * MS;
    if (!was && m->number > 0)
        CL_LOG(c, NOTICE, "Migrations from and to %s:%u are frozen: its supervisors replace it", n->ip,
               (unsigned)n->port);
    if (was && m->number == 0)
        CL_LOG(c, NOTICE, "Migrations from and to %s:%u go on", n->ip, (unsigned)n->port);
    cl_effect_answer(c->fx, token, true, "OK");
}

/* Who speaks for the target's shard. One that died young may never have told which that is. */
static const struct cl_node *successor(const struct cl_core *c, const struct cl_id *target)
{
    const struct cl_node *n, *found = cl_speaker_of(c, target);
    for (size_t it = 0; (found == NULL || !cl_claims_some(c, found)) && (n = cl_each(c, &it)) != NULL;)
        if (cl_has(n, CL_MASTER) && cl_id_eq(&n->came_after, target) && cl_claims_some(c, n))
            found = n;
    return found;
}

/* The same, as far as it works. NULL: there is none just now. */
static const struct cl_node *receiver(const struct cl_core *c, const struct cl_job *j)
{
    const struct cl_node *n = successor(c, &j->target);
    bool works = n != NULL && n != c->me && n->link_state == CL_LINK_UP && !cl_has(n, CL_FAILED | CL_PFAIL) &&
                 n->ip[0] != '\0' && !cl_is_stock(n) && !cl_is_frozen(c, &n->id);
    return works ? n : NULL;
}

bool cl_job_leads_back(const struct cl_core *c, const struct cl_job *j)
{
    return !j->importing && !j->begun && j->restarts > 0 && successor(c, &j->target) == c->me;
}

/* The target's shard is getting another master, or a ballot has raised our own epoch above the one that the record has:
 * back to streaming, for nothing was granted. */
bool cl_job_must_wait(const struct cl_core *c, const struct cl_job *j)
{
    const struct cl_open_record *r = j->state == CL_JOB_RECORDING ? cl_record_find(c, &j->name) : NULL;
    if (j->state != CL_JOB_PAUSED && j->state != CL_JOB_RECORDING)
        return false;
    return cl_is_frozen(c, &j->target) || (r != NULL && cl_epochs_by_ballot(c) && r->r.epoch <= c->me->config_epoch);
}

bool cl_job_find_target(struct cl_core *c, struct cl_job *j)
{
    const struct cl_node *n = j->restarts > 0 ? receiver(c, j) : cl_node_find(c, &j->target);
    if (n == NULL || c->now_us < j->again_us)
        return false;
    j->target = n->id;
    return true;
}

/* Nothing was granted: the source has everything, and what the target got is forgotten there. */
bool cl_job_restart(struct cl_core *c, const struct cl_job *old, struct cl_id *name)
{
    bool had_begun = old->state != CL_JOB_CONNECTING || old->restarts > 0;
    if (!cl_fenced(c) || !cl_has(c->me, CL_MASTER) || old->importing || !had_begun || old->restarts >= RESTARTS_MAX)
        return false;
    cl_id_draw(&c->rng, name);
    struct cl_job *j = cl_job_new(c, name, false, &c->me->id, &old->target, old->slots);
    j->restarts = old->restarts + 1;
    j->seq = cl_next_seq(c);
    j->again_us = c->now_us + RESTART_US * j->restarts;
    cl_job_enter(c, j, CL_JOB_CONNECTING, c->now_us + PATIENCE_US);
    cl_durable(c);
    return true;
}

int64_t cl_frozen_deadline(const struct cl_core *c)
{
    int64_t at = HEAP_NEVER;
    for (size_t i = 0; c->live_jobs > 0 && i < c->njobs; i++) {
        const struct cl_job *j = c->jobs[i];
        const struct cl_node *other = cl_node_find(c, j->importing ? &j->source : &j->target);
        if (j->state >= CL_JOB_GRANTED && j->state != CL_JOB_RECEIVING)
            continue;
        if (other != NULL && other->frozen_until_us > c->now_us && other->frozen_until_us < at)
            at = other->frozen_until_us;
        if (!j->begun && j->again_us > c->now_us && j->again_us < at)
            at = j->again_us;
    }
    return at;
}

const char *cl_job_waits_for(const struct cl_core *c, const struct cl_job *j)
{
    const struct cl_node *other = cl_node_find(c, j->importing ? &j->source : &j->target);
    if (j->state >= CL_JOB_PAUSED && j->state != CL_JOB_RECEIVING)
        return "";
    if (other != NULL && cl_is_frozen(c, &other->id))
        return "Frozen: the shard at the other end is getting another master";
    if (!j->begun && j->restarts > 0)
        return "Begins anew when the target's shard has a master that works";
    if (j->importing && !cl_may_take(c, j))
        return "Waits for a lease with a newer config epoch, by a ballot of the supervisors";
    if (!j->importing && j->state == CL_JOB_STREAMING && !cl_target_is_above(c, j))
        return "Waits for the target, which needs a newer config epoch by a ballot of the supervisors";
    if (j->importing && !cl_replicas_agree(c))
        return "Waits for replicas of this shard: one is behind, or is gone and may still be elected";
    return "";
}
