/* A cluster of the small world under three supervisors (LIST3), who say what the test wants. Nodes 0, 2 and 4 are
 * masters, each with the replica behind it; with two replicas each they are 0, 3 and 6. */
#ifndef TESTS_CLUSTER_SUPERVISED_H
#define TESTS_CLUSTER_SUPERVISED_H

#include "noded/cluster/state.h"
#include "tests/unit/cluster/leased.h"
#include "tests/unit/cluster/world.h"

#define MS INT64_C(1000)
#define TTL_MS 2000

struct world *formed(uint64_t seed, int replicas);  /* three shards, without supervisors */
struct world *adopted(uint64_t seed, int replicas); /* all are supervised, and every master is leased */
struct cl_stamp stamp_of(struct world *w, int node);
/* CLUSTER LEASE of one supervisor; ttl_ms 0: a word without a grant. */
bool say(struct world *w, int node, int supervisor, int64_t ttl_ms, uint64_t epoch);
void lease(struct world *w, int node); /* a majority grants */
bool writes(const struct world *w, int node);
bool supervised(struct world *w, int node); /* it is so soon */
/* For world_until(), of the node whose number arg points to. */
bool is_supervised(struct world *w, void *arg);
bool is_free(struct world *w, void *arg);
bool is_promoted(struct world *w, void *arg);
/* TAKEOVER EPOCH FROM, with grants of `granted` supervisors that begin after wait_ms. true: the answer was OK. */
bool take_over(struct world *w, int node, uint64_t epoch, const struct cl_id *from, size_t nfrom, int granted,
               int64_t wait_ms);

#endif
