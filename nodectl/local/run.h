/* Starting and ending the processes of a fleet that belong to this host, by nodectl itself or by systemd. */
#ifndef NODECTL_LOCAL_RUN_H
#define NODECTL_LOCAL_RUN_H

#include "nodectl/asking.h"
#include "nodectl/local/layout.h"

#define PLURAL(n) ((n) == 1 ? "" : "s") /* of what there are n of, in a step's text */

/* Which of them. */
enum run_class { RUN_NODES, RUN_REPLICAS, RUN_MASTERS, RUN_SUPERVISORS };

/* How many of that class are of this host, and how many of those run. Replica or master is what a node says now; one
 * that says nothing is what it was when it was made. */
struct run_count {
    size_t here, running;
};
struct run_count run_count(const struct layout *l, const struct asking *a, enum run_class class);

/* Starts those of this host that do not run, and waits until all of them answer, so long at most. A node that reads its
 * data answers. false: the reason is appended to why, with the end of the log of one that has ended. */
bool run_start(const struct layout *l, const struct asking *a, enum run_class class, int limit_ms, struct buf *why);
/* Ends those of this host that run, side by side, and waits for that; force: kills who has not ended by then. false:
 * some do not end; who, is appended to why. */
bool run_stop(const struct layout *l, const struct asking *a, enum run_class class, int limit_ms, bool force,
              struct buf *why);

#endif
