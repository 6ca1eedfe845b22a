/* A promotion that an operator wants, from the first look to the end: `failover` and `shard switchover`. */
#ifndef NODECTL_SHARD_FAILOVER_RUN_H
#define NODECTL_SHARD_FAILOVER_RUN_H

#include "nodectl/change.h"
#include "nodectl/failover_plan.h"
#include "nodectl/failover_watch.h"
#include "nodectl/view/overview.h"

struct failover_run {
    /* The caller's. */
    const struct command_call *call;
    const struct asking *asking;
    struct failover_wish wish; /* group: as the operator wrote it, then the whole name */
    int64_t wait_ms;           /* for its end; 0: from the group's failover timeout */
    /* What came of it. watch.failure: why it is not possible, or did not succeed; empty: it did. */
    struct overview look;
    struct failover_plan plan;
    struct failover_watch watch;
    /* The rest is failover_run.c's. */
    char *group;       /* the whole name; owned */
    struct fleet ears; /* subscribed */
    int64_t start_ms;
    bool listening;
};

/* Looks, and makes the plan. EXIT_OK; EXIT_FAILED: it is not possible; EXIT_NOBODY: no supervisor answers, which was
 * said. The change has failed then. failover_run_free() in any case; then it may be prepared again, after wish.group is
 * set again. */
int failover_run_prepare(struct failover_run *r, struct change *c);
/* What people should know before they say yes. */
void failover_run_warn(const struct failover_run *r, struct change *c);
/* Instead of a plan, all that could be promoted (candidates.h); NULL: *code is as above. Owned by the caller. */
json_t *failover_run_candidates(struct failover_run *r, int *code);
/* Does this step of the change, waits until it is over, and tells people what came of it. */
void failover_run_perform(struct failover_run *r, struct change *c, size_t step);
/* For a program: { group, from, to, planned_to, coordinated, by, sentineld, phases_ms { by name }, events }. */
json_t *failover_run_result(const struct failover_run *r);
void failover_run_free(struct failover_run *r);

#endif
