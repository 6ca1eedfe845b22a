/* What an apply does, step by step. */
#ifndef NODECTL_APPLY_STEPS_H
#define NODECTL_APPLY_STEPS_H

#include "nodectl/apply/difference.h"
#include "nodectl/apply/spec.h"
#include "nodectl/node/join.h"
#include "nodectl/node/leave.h"
#include "nodectl/rolling/order.h"
#include "nodectl/slots/move.h"

struct apply_add {
    bool master;
    size_t of;    /* of a replica: which of the new masters, by its place among the additions; SIZE_MAX: join.master */
    size_t spare; /* which of the spec's; SIZE_MAX: a node is started */
    size_t step;
    struct join join;
};

struct apply {
    struct node_work work;
    struct spec spec;
    struct difference difference;
    struct apply_add *adds;
    size_t nadds;
    size_t *option_steps; /* by option; SIZE_MAX: it is so at all nodes, or one of fixed */
    /* Settings that nodes read when they start: new ones start with them, the others are started again. */
    struct fixed_settings fixed;
    char databases[24]; /* the value of cluster-databases in it */
    struct rolling rolling;
    size_t rebalance; /* SIZE_MAX: it is not needed */
    struct slot_moves drained;
    size_t drain_step;
    struct leave_plan *leaves;
    size_t nleaves;
    struct mover how;
};

/* Adds the steps. false: it can't be done, and the change has failed for the reason. */
bool apply_plan(struct apply *a);
/* Does them, after change_agreed(). false: the change has failed. */
bool apply_run(struct apply *a);
void apply_free(struct apply *a); /* all but work */

#endif
