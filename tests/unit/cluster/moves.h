/* Migrations between nodes of the small world, and how far they are. */
#ifndef TESTS_CLUSTER_MOVES_H
#define TESTS_CLUSTER_MOVES_H

#include "noded/cluster/state.h"
#include "tests/unit/cluster/world.h"

/* CLUSTER MIGRATESLOTS of the slots from first to last. true: it was answered OK. */
bool migrate(struct world *w, int from, int to, int first, int last);
const struct cl_job *last_job(const struct world *w, int node); /* NULL: it never had one */
/* The node's last job is in that state within so long. */
bool reaches(struct world *w, int node, enum cl_job_state state, int64_t us);
/* For world_until(), of the node whose number arg points to. */
bool has_a_record(struct world *w, void *arg);
bool has_no_record(struct world *w, void *arg);

#endif
