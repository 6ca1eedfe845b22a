#include "noded/cluster/state.h"

void cl_epoch_heard(struct cl_core *c, uint64_t epoch)
{
    if (epoch <= c->current_epoch || epoch >= CL_EPOCH_MAX)
        return;
    c->current_epoch = epoch;
    c->version++;
    cl_saved_later(c);
}

uint64_t cl_greatest_epoch(const struct cl_core *c)
{
    uint64_t max = c->current_epoch;
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        max = n->config_epoch > max ? n->config_epoch : max;
    return max;
}

static void own_epoch_raise(struct cl_core *c)
{
    c->current_epoch++;
    c->me->config_epoch = c->current_epoch;
    c->version++;
    cl_durable(c);
}

/* Two masters at one epoch: the one with the smaller id takes a new one, so that a claim is always older or newer. */
void cl_collision(struct cl_core *c, struct cl_node *sender)
{
    if (PLANTED(6, cl_id_cmp(&sender->id, &c->me->id) <= 0, true))
        return;
    if (cl_epochs_by_ballot(c)) {
        /* Epochs are given by ballot (SAFETY E2): cl_wants_epoch() asks for one. */
        if (!c->lease.collision_told)
            CL_LOG(c, WARNING, "Another master has our config epoch %llu: the supervisors are asked to part us",
                   (unsigned long long)c->me->config_epoch);
        c->lease.collision_told = true;
        return;
    }
    own_epoch_raise(c);
    CL_LOG(c, NOTICE, "Another master had config epoch too: ours is %llu now", (unsigned long long)c->current_epoch);
}

/* A claim at an epoch that somebody else has too wins nothing from that one. */
static bool is_shared(const struct cl_core *c, uint64_t epoch)
{
    const struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n != c->me && cl_has(n, CL_MASTER) && n->config_epoch == epoch)
            return true;
    return false;
}

bool cl_is_at_the_top(const struct cl_core *c)
{
    uint64_t max = cl_greatest_epoch(c);
    return c->me->config_epoch != 0 && c->me->config_epoch == max && !is_shared(c, max);
}

bool cl_bump_epoch(struct cl_core *c, bool always)
{
    uint64_t max = cl_greatest_epoch(c);
    if (!always && cl_is_at_the_top(c))
        return false;
    if (c->current_epoch < max)
        c->current_epoch = max;
    own_epoch_raise(c);
    return true;
}

void cl_update_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender)
{
    struct cl_node *n = cl_node_find(c, &m->node);
    (void)sender;
    if (n == NULL || n == c->me || m->epoch >= CL_EPOCH_MAX || n->config_epoch >= m->epoch)
        return;
    if (!cl_has(n, CL_MASTER))
        cl_role_set(c, n, NULL);
    n->config_epoch = m->epoch;
    c->version++;
    cl_saved_later(c);
    cl_slots_claimed(c, n, m->epoch, m->slots);
}
