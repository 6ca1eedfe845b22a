#include "tests/unit/cluster/supervised.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world *formed(uint64_t seed, int replicas)
{
    struct world *w = world_new(seed, 3 * (1 + replicas), 1000);
    assert_true(world_form(w, 3, replicas));
    return w;
}

struct cl_stamp stamp_of(struct world *w, int node)
{
    struct cl_lease_state s;
    cl_lease_state(w->nodes[node].core, w->now_us, &s);
    return (struct cl_stamp){s.incarnation, w->now_us};
}

bool say(struct world *w, int node, int supervisor, int64_t ttl_ms, uint64_t epoch)
{
    struct cl_lease_ask a = {
        .speaker = {1, supervisor, slice_of(LIST3)}, .ttl_ms = ttl_ms, .epoch = epoch, .stamp = stamp_of(w, node)};
    return world_command(w, node, &(struct cl_command){.verb = CL_LEASE, .lease = &a});
}

void lease(struct world *w, int node)
{
    assert_true(say(w, node, 0, TTL_MS, 0));
    assert_true(say(w, node, 1, TTL_MS, 0));
}

bool writes(const struct world *w, int node)
{
    return w->now_us < cl_lease_until(w->nodes[node].core);
}

bool is_supervised(struct world *w, void *arg)
{
    const struct world_node *n = &w->nodes[*(int *)arg];
    return cl_fenced(n->core);
}

bool supervised(struct world *w, int node)
{
    return world_until(w, is_supervised, &node, 3000 * MS);
}

bool is_free(struct world *w, void *arg)
{
    return !is_supervised(w, arg) && !w->nodes[*(int *)arg].core->supervised;
}

bool is_promoted(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].promotions > 0;
}

struct world *adopted(uint64_t seed, int replicas)
{
    struct world *w = formed(seed, replicas);
    for (int i = 0; i < w->nnodes; i += 1 + replicas)
        lease(w, i);
    for (int i = 0; i < w->nnodes; i++)
        assert_true(supervised(w, i));
    return w;
}

bool take_over(struct world *w, int node, uint64_t epoch, const struct cl_id *from, size_t nfrom, int granted,
               int64_t wait_ms)
{
    struct cl_speaker s = {1, 0, slice_of(LIST3)};
    struct cl_grant grants[3];
    for (int i = 0; i < granted; i++)
        grants[i] = (struct cl_grant){i, stamp_of(w, node), wait_ms + TTL_MS, wait_ms};
    struct cl_takeover t = {.epoch = epoch,
                            .from = from,
                            .nfrom = nfrom,
                            .speaker = granted > 0 ? &s : NULL,
                            .grants = grants,
                            .ngrants = (size_t)granted};
    return world_command(w, node, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t});
}
