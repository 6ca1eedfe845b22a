/* What a rolling restart does, one after the other. */
#ifndef NODECTL_ROLLING_ORDER_H
#define NODECTL_ROLLING_ORDER_H

#include "nodectl/node/turn.h"
#include "nodectl/rolling/edit.h"
#include "nodectl/rolling/outage.h"
#include "nodectl/rolling/way.h"

/* In the fleet's folder, while one is not finished: when it began, in seconds of the clock. */
#define ROLLING_NOTE "restart-since"

enum order_kind {
    ORDER_NODE,   /* a replica, or a master without slots */
    ORDER_MASTER, /* a replica takes its place, it is started again, and takes its place back where that is wanted */
    ORDER_SUPERVISOR,
};

struct order {
    enum order_kind kind;
    runid id; /* of a node */
    struct way way;
    struct edit *edit; /* what of its configuration changes; NULL: nothing */
    size_t step;
    int64_t outage_ms; /* of a master's shard, as it was measured; -1: it was not */
};

struct rolling {
    struct node_work *work;
    const char *command; /* the operator's, or NULL */
    bool keep_masters;
    int64_t max_lag;       /* bytes that a replica may be behind when the next one's turn comes */
    int64_t max_outage_ms; /* -1: it is not measured */
    int64_t since_s;       /* wall clock: who was started at this time or later is left alone; 0: nobody */
    int64_t began_s;
    const char *dir;    /* the fleet's folder, where it is recorded that this one is not finished; NULL: nowhere */
    char go_on[80];     /* where it is not: what is said after a halt */
    struct edit *edits; /* owned; not NULL: only these nodes are started again, and no supervisor */
    size_t nedits;
    struct order *v; /* owned */
    size_t n, cap;
};

/* Whether nothing is wrong with the fleet, so that one of it may be missed: all nodes answer and agree, replicas are in
 * step, all supervisors find all well, and every leased master has as many grants as there are supervisors. */
bool rolling_is_well(struct rolling *r, struct buf *why);
/* Adds the orders and their steps. false: the reason is appended to why. */
bool rolling_plan(struct rolling *r, struct buf *why);
/* Does all of them. false: the change has failed. */
bool rolling_run(struct rolling *r);
void rolling_forget(const struct rolling *r); /* that one was not finished */
void rolling_free(struct rolling *r);         /* all but work */

#endif
