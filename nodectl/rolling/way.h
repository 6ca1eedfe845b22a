/* How the server at an address is started again: as a unit of systemd, by a signal and the same program with the same
 * arguments, or by a command of the operator, for other hosts. */
#ifndef NODECTL_ROLLING_WAY_H
#define NODECTL_ROLLING_WAY_H

#include "nodectl/asking.h"

struct way {
    struct addr addr;
    bool supervisor;
    int64_t uptime_s; /* when it was looked at */
    char how[64];     /* "process 4711 of this host", "unit noded@7001.service", "your command" */
    char config[512]; /* its configuration file; "" */
    char run_id[48];  /* of the process that runs */
    int64_t process_id;
};

/* Asks the server and looks for its process; command: the operator's, or NULL. Nothing is done. false: it can't be
 * started again from here, and why has the reason. */
bool way_find(struct way *w, const struct asking *a, const struct addr *at, bool supervisor, const char *command,
              struct buf *why);
/* Ends the process and starts it again, and waits until another process answers there that has loaded its data. */
bool way_take(struct way *w, const struct asking *a, const char *command, struct buf *why);

#endif
