/* Migrations as jobs: what may begin, how far each is, and what ends it. What follows from a grant: handover.c. */
#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000)
#define CONNECT_US (10000 * MS) /* until the target has accepted */
#define PAUSE_MIN_US (500 * MS)
#define PAUSE_MAX_US (5000 * MS)
#define TRIES_MAX 5
#define AGAIN_US (1000 * MS) /* from one pause to the next, and each time twice as long */

void cl_jobs_free(struct cl_core *c)
{
    for (size_t i = 0; i < c->njobs; i++)
        free(c->jobs[i]);
    free(c->jobs);
    free(c->shard.records);
    free(c->agreements);
    free(c->wishes);
    free(c->refusals);
}

/* ---- rows ---- */

static bool is_live(const struct cl_job *j)
{
    return j->state < CL_JOB_SUCCESS;
}

bool cl_next_job(const struct cl_core *c, size_t *it, struct cl_job_row *out)
{
    if (*it >= c->njobs)
        return false;
    const struct cl_job *j = c->jobs[c->njobs - ++*it];
    *out = (struct cl_job_row){
        .name = j->name,
        .source = j->source,
        .target = j->target,
        .importing = j->importing,
        .state = j->state,
        .slots = j->slots,
        .created_ms = j->created_ms,
        .updated_ms = j->updated_ms,
        .tries = j->tries,
        .snapshot_keys = j->snapshot_keys,
        .message = j->message[0] == '\0' && is_live(j) ? cl_job_waits_for(c, j) : j->message,
    };
    return true;
}

const char *cl_job_state_name(enum cl_job_state s)
{
    static const char *const names[] = {
        [CL_JOB_CONNECTING] = "connecting", [CL_JOB_SNAPSHOTTING] = "snapshotting", [CL_JOB_STREAMING] = "streaming",
        [CL_JOB_PAUSED] = "paused",         [CL_JOB_RECORDING] = "recording",       [CL_JOB_GRANTED] = "granted",
        [CL_JOB_RECEIVING] = "receiving",   [CL_JOB_SUCCESS] = "success",           [CL_JOB_FAILED] = "failed",
        [CL_JOB_CANCELLED] = "cancelled",
    };
    return names[s];
}

struct cl_job *cl_job_find(const struct cl_core *c, const struct cl_id *name)
{
    for (size_t i = c->njobs; i-- > 0;)
        if (is_live(c->jobs[i]) && cl_id_eq(&c->jobs[i]->name, name))
            return c->jobs[i];
    return NULL;
}

const struct cl_job *cl_job_of_slot(const struct cl_core *c, int slot)
{
    for (size_t i = 0; c->live_jobs > 0 && i < c->njobs; i++)
        if (is_live(c->jobs[i]) && cl_bit(c->jobs[i]->slots, slot))
            return c->jobs[i];
    return NULL;
}

static void forget_old(struct cl_core *c)
{
    size_t over = c->njobs - c->live_jobs, kept = 0;
    for (size_t i = 0; i < c->njobs; i++) {
        if (!is_live(c->jobs[i]) && over > CL_JOBS_KEPT) {
            free(c->jobs[i]);
            over--;
        } else {
            c->jobs[kept++] = c->jobs[i];
        }
    }
    c->njobs = kept;
}

struct cl_job *cl_job_new(struct cl_core *c, const struct cl_id *name, bool importing, const struct cl_id *source,
                          const struct cl_id *target, const uint8_t *slots)
{
    struct cl_job *j = mem_zalloc(sizeof *j);
    *j = (struct cl_job){.name = *name, .source = *source, .target = *target, .importing = importing};
    memcpy(j->slots, slots, sizeof j->slots);
    j->created_ms = j->updated_ms = c->unix_ms;
    j->until_us = HEAP_NEVER;
    c->jobs = mem_grow(c->jobs, c->njobs, &c->cap_jobs, sizeof *c->jobs);
    c->jobs[c->njobs++] = j;
    c->live_jobs++;
    return j;
}

void cl_job_enter(struct cl_core *c, struct cl_job *j, enum cl_job_state state, int64_t until_us)
{
    j->state = state;
    j->until_us = until_us;
    j->updated_ms = c->unix_ms;
    cl_held_find(c);
    cl_saved_later(c);
}

void cl_job_end(struct cl_core *c, struct cl_job *j, enum cl_job_state state, const char *fmt, ...)
{
    char name[CL_ID_DIGITS + 1];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(j->message, sizeof j->message, fmt, ap);
    va_end(ap);
    bool ok = state == CL_JOB_SUCCESS, begun = j->begun;
    c->live_jobs--;
    cl_job_enter(c, j, state, HEAP_NEVER);
    if (begun) {
        struct cl_effect *e = cl_effect_add(c->fx, CL_FX_JOB_STOP);
        e->job = j->name;
        e->ok = ok;
        e->bytes = cl_bytes_new(slice_of(j->message));
    }
    if (j->importing && !ok && cl_has(c->me, CL_MASTER))
        cl_effect_slots_add(c->fx, CL_FX_SLOTS_FORGET, j->slots);
    if (ok)
        CL_LOG(c, NOTICE, "Migration %s: %s", cl_id_text(&j->name, name),
               j->importing ? "the slots are ours" : "the slots are the target's");
    else
        CL_LOG(c, WARNING, "Migration %s %s: %s", cl_id_text(&j->name, name), cl_job_state_name(state), j->message);
    forget_old(c);
}

/* ---- what a source may begin ---- */

static bool slots_are_free(struct cl_core *c, cl_token token, const uint8_t *slots)
{
    for (int slot = cl_bit_next(slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(slots, slot + 1, true)) {
        if (cl_owner(c, slot) != c->me)
            REFUSE(c, token, "Slot %d is not this node's", slot);
        if (cl_bit(c->open_slots, slot))
            REFUSE(c, token, "Slot %d is open (SETSLOT MIGRATING or IMPORTING)", slot);
        if (cl_job_of_slot(c, slot) != NULL || cl_record_of_slot(c, slot) != NULL)
            REFUSE(c, token, "Slot %d is being migrated already", slot);
    }
    return true;
}

static bool target_is_good(struct cl_core *c, cl_token token, const struct cl_move *m)
{
    const struct cl_node *n = cl_node_find_text(c, m->node);
    if (n == NULL || cl_has(n, CL_HANDSHAKE))
        REFUSE(c, token, "Unknown node %.*s", SHOWN(m->node));
    if (n == c->me)
        REFUSE(c, token, "Target node is this node");
    if (!cl_has(n, CL_MASTER))
        REFUSE(c, token, "Target node is not a master");
    if (cl_is_stock(n))
        REFUSE(c, token, "Target node %.*s cannot take slots in this way: use SETSLOT and MIGRATE", SHOWN(m->node));
    if (cl_has(n, CL_FAILED | CL_PFAIL) || n->ip[0] == '\0')
        REFUSE(c, token, "Target node %.*s does not answer", SHOWN(m->node));
    return true;
}

static bool may_begin(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    struct cl_id stock;
    char text[CL_ID_DIGITS + 1];
    int a, b;
    if (!cl_has(c->me, CL_MASTER))
        REFUSE(c, token, "Only a master migrates slots");
    if (cl_lacks_lease(c, token))
        return false;
    if (c->manual.end_us != 0)
        REFUSE(c, token, "A failover is under way in this shard");
    if (cl_databases_held(c, &a, &b))
        REFUSE(c, token, "Databases %d and %d are being swapped", a, b);
    if (cl_shard_has_stock(c, &stock))
        REFUSE(c, token, "Node %s in this shard knows database 0 only: use SETSLOT and MIGRATE",
               cl_id_text(&stock, text));
    if (c->live_jobs + m->nmoves > CL_JOBS_LIVE)
        REFUSE(c, token, "Too many migrations at once: at most %d", CL_JOBS_LIVE);
    for (size_t i = 0; i < m->nmoves; i++)
        if (!target_is_good(c, token, &m->moves[i]) || !slots_are_free(c, token, m->moves[i].slots))
            return false;
    return true;
}

static void migrate(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (!may_begin(c, token, m))
        return;
    for (size_t i = 0; i < m->nmoves; i++) {
        struct cl_id name;
        cl_id_draw(&c->rng, &name);
        struct cl_job *j = cl_job_new(c, &name, false, &c->me->id, &cl_node_find_text(c, m->moves[i].node)->id,
                                      m->moves[i].slots);
        j->seq = cl_next_seq(c);
        cl_job_enter(c, j, CL_JOB_CONNECTING, HEAP_NEVER);
    }
    cl_answer_durable(c, token, "OK");
}

void cl_jobs_command(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    if (m->verb == CL_MIGRATE_SLOTS)
        migrate(c, token, m);
    else
        cl_jobs_cancel(c, token);
}

/* ---- what a target accepts ---- */

static const char *why_not_accept(const struct cl_core *c, const struct cl_event *e)
{
    const struct cl_node *source = cl_node_find(c, &e->node);
    int a, b;
    if (!cl_has(c->me, CL_MASTER))
        return "this node is not a master";
    if (cl_replaced_by(c) != NULL)
        return "this node was replaced, and another one has its slots";
    if (!cl_is_sure(c) && !cl_is_homeless(c)) /* that one gets its lease before the slots */
        return "this node has just come back, is in a minority, or holds no lease";
    if (source == NULL || source == c->me || !cl_has(source, CL_MASTER) || !source->ours)
        return "the source is not a master that this node knows";
    if (cl_shard_has_stock(c, NULL))
        return "a node in this shard knows database 0 only";
    if (c->manual.end_us != 0)
        return "a failover is under way in this shard";
    if (cl_databases_held(c, &a, &b) || e->seq != c->facts.mapping_epoch)
        return "the databases are mapped otherwise here, or are being swapped";
    if (c->live_jobs >= CL_JOBS_LIVE)
        return "too many migrations at once";
    for (int slot = cl_bit_next(e->slots, 0, true); slot < CL_SLOTS; slot = cl_bit_next(e->slots, slot + 1, true)) {
        if (cl_owner(c, slot) != source)
            return "the source is not known to own these slots";
        if (cl_bit(c->open_slots, slot) || cl_job_of_slot(c, slot) != NULL || cl_record_of_slot(c, slot) != NULL)
            return "a slot is on its way here already";
    }
    return NULL;
}

static void accept(struct cl_core *c, const struct cl_event *e)
{
    const char *why = why_not_accept(c, e);
    struct cl_effect *fx = cl_effect_add(c->fx, CL_FX_JOB_ACCEPT);
    fx->job = e->job;
    fx->ok = why == NULL;
    fx->bytes = cl_bytes_new(slice_of(why != NULL ? why : ""));
    if (why != NULL)
        return;
    struct cl_job *j = cl_job_new(c, &e->job, true, &e->node, &c->me->id, e->slots);
    j->begun = true;
    cl_job_enter(c, j, CL_JOB_RECEIVING, HEAP_NEVER);
}

static void granted(struct cl_core *c, struct cl_job *j, uint64_t epoch)
{
    bool late = PLANTED(16, epoch <= c->refused_epoch, false);
    /* By ballot it is one that we have, or had: what claims the slots then is the newest. */
    bool fits = PLANTED(120, cl_epochs_by_ballot(c), false) ? epoch <= c->me->config_epoch
                                                            : epoch > c->me->config_epoch;
    if (!j->importing || j->state != CL_JOB_RECEIVING)
        return;
    if (late || !fits || epoch >= CL_EPOCH_MAX || !cl_is_sure(c) || cl_replaced_by(c) != NULL)
        cl_job_end(c, j, CL_JOB_FAILED, "The grant came too late");
    else
        cl_handover_take(c, j, epoch);
}

/* ---- news of the data side ---- */

/* Short at first: what takes longer may be a disk that is busy just now. */
static int64_t pause_us(const struct cl_core *c, int tries)
{
    int64_t most = cl_timeout_us(c) / 2, us = PAUSE_MIN_US << (tries < TRIES_MAX ? tries : TRIES_MAX);
    most = most < PAUSE_MIN_US ? PAUSE_MIN_US : most > PAUSE_MAX_US ? PAUSE_MAX_US : most;
    return us < most ? us : most;
}

/* Little is left: writes wait for the rest. */
static void near(struct cl_core *c, struct cl_job *j)
{
    if (j->state != CL_JOB_STREAMING || c->now_us < j->again_us || cl_is_frozen(c, &j->target) ||
        !cl_target_is_above(c, j))
        return;
    cl_job_enter(c, j, CL_JOB_PAUSED, c->now_us + pause_us(c, j->tries));
    j->tries++;
    cl_effect_add(c->fx, CL_FX_JOB_DRAIN)->job = j->name;
}

/* Nothing was granted: writes go on, and it is tried again. */
static void resume(struct cl_core *c, struct cl_job *j)
{
    char name[CL_ID_DIGITS + 1];
    struct cl_open_record *r = cl_record_find(c, &j->name);
    if (r != NULL)
        cl_record_close(c, r);
    j->again_us = c->now_us + (AGAIN_US << (j->tries < TRIES_MAX ? j->tries - 1 : TRIES_MAX - 1));
    cl_job_enter(c, j, CL_JOB_STREAMING, HEAP_NEVER);
    cl_effect_add(c->fx, CL_FX_JOB_RESUME)->job = j->name;
    CL_LOG(c, NOTICE, "Migration %s: nothing was granted in time at try %d, and writes go on",
           cl_id_text(&j->name, name), j->tries);
}

static void fail(struct cl_core *c, struct cl_job *j, const char *why, int n)
{
    struct cl_open_record *r = cl_record_find(c, &j->name);
    if (r != NULL && cl_has(c->me, CL_MASTER)) /* a replica's records are its master's */
        cl_record_close(c, r);
    cl_job_end(c, j, CL_JOB_FAILED, "%.*s", n, why);
}

/* From outside. A node under supervisors tries again by itself, with the master that the target's shard gets. */
static void interrupted(struct cl_core *c, struct cl_job *j, struct slice why)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_id next;
    struct buf message = {0};
    buf_put(&message, why.p, why.n);
    if (cl_job_restart(c, j, &next))
        buf_printf(&message, "; it begins anew as %s", cl_id_text(&next, text));
    fail(c, j, buf_str(&message), (int)message.n);
    buf_free(&message);
}

static void lost(struct cl_core *c, struct cl_job *j, struct slice why, bool broken)
{
    struct cl_open_record *r = cl_record_find(c, &j->name);
    why = why.n > 0 ? why : slice_of("The link was lost");
    if (j->state != CL_JOB_GRANTED && broken)
        interrupted(c, j, why);
    else if (j->state != CL_JOB_GRANTED)
        fail(c, j, why.p, (int)why.n);
    else if (!j->importing && r != NULL && !r->resuming)
        r->ask_us = c->now_us; /* the target will not answer there any more */
}

/* All is over there: from now on the next masters know that the slots may be. */
static void drained(struct cl_core *c, struct cl_job *j, uint64_t epoch)
{
    if (!cl_target_is_above(c, j)) { /* ours has risen meanwhile: the target needs another one */
        resume(c, j);
        return;
    }
    struct cl_record r = {.job = j->name, .source = j->source, .target = j->target};
    r.epoch = cl_epoch_of_grant(c, j, epoch);
    if (r.epoch >= CL_EPOCH_MAX) {
        cl_job_end(c, j, CL_JOB_FAILED, "There is no config epoch left above all others");
        return;
    }
    memcpy(r.slots, j->slots, sizeof r.slots);
    if (c->current_epoch < r.epoch)
        c->current_epoch = r.epoch;
    cl_job_enter(c, j, CL_JOB_RECORDING, j->until_us);
    cl_record_open(c, &r);
}

void cl_jobs_news(struct cl_core *c, const struct cl_event *e)
{
    if (e->news == CL_JOB_IS_ASKED) {
        accept(c, e);
        return;
    }
    struct cl_job *j = cl_job_find(c, &e->job);
    if (j == NULL)
        return;
    switch (e->news) {
    case CL_JOB_IS_SNAPSHOTTING:
        if (j->state == CL_JOB_CONNECTING)
            cl_job_enter(c, j, CL_JOB_SNAPSHOTTING, HEAP_NEVER);
        break;
    case CL_JOB_IS_STREAMING:
        j->snapshot_keys = e->seq;
        if (j->state == CL_JOB_SNAPSHOTTING)
            cl_job_enter(c, j, CL_JOB_STREAMING, HEAP_NEVER);
        break;
    case CL_JOB_IS_NEAR: near(c, j); break;
    case CL_JOB_IS_DRAINED:
        if (j->state == CL_JOB_PAUSED)
            drained(c, j, e->seq);
        break;
    case CL_JOB_IS_GRANTED: granted(c, j, e->seq); break;
    case CL_JOB_IS_LOST: lost(c, j, e->bytes, e->seq == 1); break;
    case CL_JOB_IS_ASKED: break;
    }
}

/* ---- what is seen by looking ---- */

static bool owns_all(const struct cl_node *n, const uint8_t *slots)
{
    for (size_t i = 0; i < CL_SLOT_BYTES; i++)
        if ((slots[i] & ~(n->slots != NULL ? n->slots[i] : 0)) != 0)
            return false;
    return true;
}

/* NULL: nothing is wrong there, or it does not matter yet. */
static const char *why_broken(const struct cl_core *c, const struct cl_job *j)
{
    const struct cl_node *other = cl_node_find(c, j->importing ? &j->source : &j->target);
    if (!j->begun && j->restarts > 0)
        return NULL;
    if (other == NULL || !cl_has(other, CL_MASTER))
        return "The node at the other end is no master any more";
    if (cl_has(other, CL_FAILED))
        return "The node at the other end has failed";
    return j->importing && !owns_all(other, j->slots) ? "The slots have changed their owner" : NULL;
}

/* NULL: it may go on. Not asked of jobs that are granted. */
static const char *why_stop(const struct cl_core *c, const struct cl_job *j)
{
    if (!cl_has(c->me, CL_MASTER))
        return "This node is a replica now";
    if (!j->importing && !owns_all(c->me, j->slots))
        return "The slots have changed their owner";
    if (c->manual.end_us != 0)
        return "A failover has begun in this shard";
    if (cl_shard_has_stock(c, NULL))
        return "A node that knows database 0 only has come into this shard";
    if (cl_job_leads_back(c, j))
        return "The target has come into this shard";
    if (c->now_us >= j->until_us && j->state == CL_JOB_CONNECTING)
        return "The target did not accept in time";
    if (c->now_us >= j->until_us && j->tries >= TRIES_MAX)
        return "Writes had to wait for too long, however often it was tried";
    return NULL;
}

static void begin(struct cl_core *c, struct cl_job *j)
{
    const struct cl_node *target = cl_node_find(c, &j->target);
    struct cl_effect *e = cl_effect_slots_add(c->fx, CL_FX_JOB_EXPORT, j->slots);
    j->begun = true;
    cl_job_enter(c, j, CL_JOB_CONNECTING, c->now_us + CONNECT_US);
    e->job = j->name;
    e->node = j->target;
    memcpy(e->ip, target->ip, sizeof e->ip);
    e->port = target->port;
}

static void grant(struct cl_core *c, struct cl_job *j)
{
    struct cl_open_record *r = cl_record_find(c, &j->name);
    struct cl_effect *e = cl_effect_add(c->fx, CL_FX_JOB_GRANT);
    e->job = j->name;
    e->seq = r->r.epoch;
    r->since_us = c->now_us;
    r->ask_us = c->now_us + CL_ASK_US;
    cl_job_enter(c, j, CL_JOB_GRANTED, HEAP_NEVER);
}

/* Granted, and we are no master any more: perhaps just because all our slots are the target's now. */
static void end_as_replica(struct cl_core *c, struct cl_job *j)
{
    const struct cl_node *owner = j->importing ? c->me->master : cl_node_find(c, &j->target);
    if (owner != NULL && owns_all(owner, j->slots))
        cl_job_end(c, j, CL_JOB_SUCCESS, "%s", "");
    else
        cl_job_end(c, j, CL_JOB_FAILED, "This node is a replica now: its master knows the outcome");
}

static void one_run(struct cl_core *c, struct cl_job *j)
{
    if (j->state == CL_JOB_GRANTED) {
        if (!cl_has(c->me, CL_MASTER))
            end_as_replica(c, j);
        else if (j->importing && cl_record_find(c, &j->name) == NULL && c->persisted >= j->seq)
            cl_job_end(c, j, CL_JOB_SUCCESS, "%s", "");
        return;
    }
    const char *why = why_stop(c, j), *broken = why == NULL ? why_broken(c, j) : NULL;
    if (why != NULL)
        fail(c, j, why, (int)strlen(why));
    else if (broken != NULL)
        interrupted(c, j, slice_of(broken));
    else if (!j->begun && c->persisted >= j->seq && cl_job_find_target(c, j))
        begin(c, j);
    else if (c->now_us >= j->until_us || cl_job_must_wait(c, j))
        resume(c, j);
    else if (j->state == CL_JOB_RECORDING &&
             PLANTED(14, cl_state_agreed(c), c->claim.state_version == c->shard.version))
        grant(c, j);
}

void cl_jobs_run(struct cl_core *c)
{
    if (c->live_jobs == 0)
        return;
    for (size_t i = c->njobs; i-- > 0;) {
        if (i >= c->njobs)
            continue; /* old ones were forgotten */
        if (is_live(c->jobs[i]))
            one_run(c, c->jobs[i]);
    }
}

int64_t cl_jobs_deadline(const struct cl_core *c)
{
    int64_t at = HEAP_NEVER;
    for (size_t i = 0; c->live_jobs > 0 && i < c->njobs; i++)
        if (is_live(c->jobs[i]) && c->jobs[i]->until_us < at)
            at = c->jobs[i]->until_us;
    return at;
}

void cl_jobs_not_durable(struct cl_core *c, uint64_t seq)
{
    for (size_t i = c->njobs; i-- > 0;)
        if (i < c->njobs && is_live(c->jobs[i]) && !c->jobs[i]->begun && c->jobs[i]->seq <= seq)
            cl_job_end(c, c->jobs[i], CL_JOB_FAILED, "The job could not be written to the disk");
}

bool cl_jobs_give_way(struct cl_core *c, const char *why)
{
    for (size_t i = c->njobs; i-- > 0;)
        if (i < c->njobs && is_live(c->jobs[i]) && c->jobs[i]->state != CL_JOB_GRANTED)
            fail(c, c->jobs[i], why, (int)strlen(why));
    return c->live_jobs == 0 && c->shard.nrecords == 0;
}

void cl_jobs_end_all(struct cl_core *c, const char *why)
{
    for (size_t i = c->njobs; i-- > 0;)
        if (i < c->njobs && is_live(c->jobs[i]))
            cl_job_end(c, c->jobs[i], CL_JOB_FAILED, "%s", why);
}

/* What was under way in an earlier life of this node. The outcome of what was granted is still to be learned. */
static void one_restarted(struct cl_core *c, struct cl_job *j)
{
    const struct cl_open_record *r = cl_record_find(c, &j->name);
    if (j->importing && r == NULL && owns_all(c->me, j->slots))
        cl_job_end(c, j, CL_JOB_SUCCESS, "%s", "");
    else if (j->importing || r == NULL || !cl_has(c->me, CL_MASTER))
        cl_job_end(c, j, CL_JOB_FAILED, "This node was restarted");
    else
        cl_job_enter(c, j, CL_JOB_GRANTED, HEAP_NEVER);
}

void cl_jobs_restarted(struct cl_core *c)
{
    for (size_t i = c->njobs; i-- > 0;)
        if (i < c->njobs && is_live(c->jobs[i]))
            one_restarted(c, c->jobs[i]);
}
