/* A node leaves a cluster. The order matters: its replicas follow others first; then every node forgets it, within the
 * minute for which none learns of it again; then the supervisors do; and only then it ends, or is made an empty node
 * again, so that nobody takes that for a fault. */
#ifndef NODECTL_NODE_LEAVE_H
#define NODECTL_NODE_LEAVE_H

#include "nodectl/node/work.h"

struct leave {
    runid id;
    struct addr addr;
    bool answered; /* when the plan was made */
};

/* What is planned for a node without slots, and done by leave_run(): up to three steps beside one for each replica. One
 * whose process is of a fleet that nodectl made here ends (retire.h); any other one becomes an empty node again. */
struct leave_plan {
    struct leave leave;
    struct leave_replica {
        runid id, to;
        size_t step;
    } * replicas;
    size_t nreplicas;
    size_t forget, supervisors, reset, retire; /* SIZE_MAX: not needed */
};

/* Whether it may go: false, and w->why has the reason. force: though nodes do not answer that will not hear of it. */
bool leave_check(struct node_work *w, const struct picture_node *n, bool force);
/* Adds its steps to the plan. replicas: those that follow it are given to other masters first. false: there is none,
 * which the change has failed for. */
bool leave_plan(struct node_work *w, struct leave_plan *l, const struct picture_node *n, bool replicas);
/* Both halves of it, for several nodes that leave together: all are forgotten, and then the supervisors are waited for,
 * which takes some seconds, once. */
bool leave_plan_forget(struct node_work *w, struct leave_plan *l, const struct picture_node *n, bool replicas);
void leave_plan_end(struct node_work *w, struct leave_plan *l);
/* The same of a node that no node of the cluster lists any more, and that still takes itself for one of them. */
void leave_plan_rest(struct node_work *w, struct leave_plan *l, const char *id, const struct addr *addr);
/* ... and of one whose process alone is left to be ended. */
void leave_plan_process(struct node_work *w, struct leave_plan *l, const struct addr *addr);
/* Does them, after change_agreed(). false: the change has failed. */
bool leave_run(struct node_work *w, struct leave_plan *l);
bool leave_run_forget(struct node_work *w, struct leave_plan *l);
bool leave_run_end(struct node_work *w, struct leave_plan *l);
void leave_free(struct leave_plan *l);

#endif
