/* The unit of systemd whose main process a process is, of the system's manager or of its user's, and orders to it. */
#ifndef NODECTL_DRILL_UNIT_H
#define NODECTL_DRILL_UNIT_H

#include "common/base/bytes.h"

#include <sys/types.h>

struct unit {
    char *name;   /* owned; NULL: there is none */
    bool of_user; /* its manager is a user's */
};

/* What a file /proc/PID/cgroup says: several lines where the machine has hierarchies of version 1 too. */
struct unit unit_in_cgroups(struct slice text);
/* cgroups: as above, of that process. Asks systemd whether it is the unit's main process. */
struct unit unit_of_process(struct slice cgroups, pid_t pid);
void unit_free(struct unit *u);

/* systemctl VERB UNIT. Returns what outside_run() returns. */
int unit_order(const struct unit *u, const char *verb, int timeout_ms, struct buf *output);

#endif
