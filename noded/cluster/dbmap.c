#include "noded/cluster/state.h"

void cl_swap(const struct cl_core *c, struct cl_swap_row *out)
{
    *out = c->shard.swap;
}

bool cl_databases_held(const struct cl_core *c, int *a, int *b)
{
    *a = c->shard.swap.a;
    *b = c->shard.swap.b;
    return c->shard.swap.prepared;
}

bool cl_supervised(const struct cl_core *c)
{
    return c->supervised;
}

void cl_dbmap_command(struct cl_core *c, cl_token token, const struct cl_command *m)
{
    (void)m;
    cl_effect_answer(c->fx, token, false, "ERR unknown subcommand");
}
