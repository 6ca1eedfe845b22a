#include "tests/unit/cluster/moves.h"

bool migrate(struct world *w, int from, int to, int first, int last)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_id id = world_id(w, to);
    struct cl_move m = {.node = slice_of(cl_id_text(&id, text))};
    for (int slot = first; slot <= last; slot++)
        cl_bit_set(m.slots, slot);
    return world_command(w, from, &(struct cl_command){.verb = CL_MIGRATE_SLOTS, .moves = &m, .nmoves = 1});
}

const struct cl_job *last_job(const struct world *w, int node)
{
    const struct cl_core *c = w->nodes[node].core;
    return c->njobs > 0 ? c->jobs[c->njobs - 1] : NULL;
}

struct at {
    int node;
    enum cl_job_state state;
};

static bool is_at(struct world *w, void *arg)
{
    const struct at *a = arg;
    const struct cl_job *j = last_job(w, a->node);
    return j != NULL && j->state == a->state;
}

bool reaches(struct world *w, int node, enum cl_job_state state, int64_t us)
{
    return world_until(w, is_at, &(struct at){node, state}, us);
}

bool has_a_record(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].core->shard.nrecords == 1;
}

bool has_no_record(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].core->shard.nrecords == 0;
}
