#include "noded/cluster/state.h"

#include <stdlib.h>

void cl_jobs_free(struct cl_core *c)
{
    for (size_t i = 0; i < c->njobs; i++)
        free(c->jobs[i]);
    free(c->jobs);
    free(c->shard.records);
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
        .message = j->message,
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

enum cl_hold cl_slot_hold(const struct cl_core *c, int slot)
{
    (void)c;
    (void)slot;
    return CL_HOLD_NOT;
}

bool cl_some_slot_held(const struct cl_core *c)
{
    (void)c;
    return false;
}

void cl_jobs_command(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    (void)m;
    cl_effect_answer(c->fx, token, false, "ERR unknown subcommand");
}

void cl_jobs_news(struct cl_core *c, const struct cl_event *e)
{
    (void)c;
    (void)e;
}
