/* nodectl cluster adopt: a cluster that was never supervised by these supervisors gets its entry in their configuration
 * files first. In the files of supervisors that nodectl made on this host it is written; for others it is shown, and
 * waited for. */
#ifndef NODECTL_CLUSTER_ADOPT_H
#define NODECTL_CLUSTER_ADOPT_H

#include "nodectl/command.h"
#include "nodectl/fleet.h"

#include <stdbool.h>

/* Whether a supervisor's configuration file has an entry of the cluster. */
enum adopt_entry {
    ADOPT_HAS,
    ADOPT_LACKS,
    ADOPT_UNTOLD /* it does not answer, may not tell it, or is of a version that does not know the question */
};
/* Asks all members that answer; what[i] belongs to members[i]. Forgets the answers. */
void adopt_ask_entries(struct fleet *f, const char *cluster, enum adopt_entry *what);

/* The verb with --seeds. Returns its exit code. */
int adopt_with_seeds(const struct command_call *call);

#endif
