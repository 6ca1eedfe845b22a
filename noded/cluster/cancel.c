/* CLUSTER CANCELSLOTMIGRATIONS, at the source: what is not granted yet ends, and nothing has moved. */
#include "noded/cluster/state.h"

static bool is_live(const struct cl_job *j)
{
    return j->state < CL_JOB_SUCCESS;
}

/* Nothing goes from here: Valkey's words, and where it can be ended. */
static void nothing_to_cancel(struct cl_core *c, cl_token token)
{
    char text[CL_ID_DIGITS + 1];
    const struct cl_node *master = cl_has(c->me, CL_MASTER) ? NULL : c->me->master;
    if (!cl_has(c->me, CL_MASTER))
        FAIL_WITH(c, token, "No migrations ongoing: this node is a replica, ask its master%s%s", master ? " " : "",
                  master != NULL ? cl_id_text(&master->id, text) : "");
    for (size_t i = 0; i < c->njobs; i++)
        if (is_live(c->jobs[i]) && c->jobs[i]->importing)
            FAIL_WITH(c, token, "No migrations ongoing from here: slots come here from node %s, which can cancel that",
                      cl_id_text(&c->jobs[i]->source, text));
    FAIL_WITH(c, token, "No migrations ongoing");
}

void cl_jobs_cancel(struct cl_core *c, cl_token token)
{
    size_t granted = 0, mine = 0;
    for (size_t i = 0; i < c->njobs; i++)
        mine += is_live(c->jobs[i]) && !c->jobs[i]->importing ? 1 : 0;
    if (mine == 0) {
        nothing_to_cancel(c, token);
        return;
    }
    for (size_t i = c->njobs; i-- > 0;) {
        struct cl_job *j = c->jobs[i];
        if (!is_live(j) || j->importing)
            continue;
        if (j->state == CL_JOB_GRANTED) {
            granted++;
            continue;
        }
        struct cl_open_record *r = cl_record_find(c, &j->name);
        if (r != NULL)
            cl_record_close(c, r);
        cl_job_end(c, j, CL_JOB_CANCELLED, "Cancelled by an operator");
        i = i < c->njobs ? i : c->njobs;
    }
    if (granted > 0)
        cl_effect_answer(c->fx, token, false, "ERR %zu migrations are granted: only the target can end them now",
                         granted);
    else
        cl_answer_durable(c, token, "OK");
}
