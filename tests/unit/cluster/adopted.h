/* A cluster of three shards that is supervised: masters are leased, replicas have inherited it. Masters are nodes 0, 2
 * and 4, each with the replica behind it; with two replicas each they are 0, 3 and 6. */
#ifndef TESTS_CLUSTER_ADOPTED_H
#define TESTS_CLUSTER_ADOPTED_H

#include "noded/cluster/state.h"
#include "tests/unit/cluster/leased.h"
#include "tests/unit/cluster/world.h"

#define MS INT64_C(1000)
#define TTL_MS 2000

struct world *formed(uint64_t seed, int replicas); /* not supervised yet */
struct world *adopted(uint64_t seed, int replicas);
struct cl_stamp stamp_of(struct world *w, int node);
/* CLUSTER LEASE of one supervisor; ttl_ms 0: a word without a grant. */
bool say(struct world *w, int node, int supervisor, int64_t ttl_ms, uint64_t epoch);
void lease(struct world *w, int node); /* by two of three */
bool writes(const struct world *w, int node);
bool is_supervised(struct world *w, void *arg);
bool supervised(struct world *w, int node);
bool is_free(struct world *w, void *arg);
bool is_promoted(struct world *w, void *arg);

#endif
