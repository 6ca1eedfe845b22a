/* Ports for processes that are about to be started: each is held, without listening, until ports_free(), so that nobody
 * else gets it meanwhile but the one that is meant (noded and sentineld bind with SO_REUSEADDR). */
#ifndef NODECTL_LOCAL_PORTS_H
#define NODECTL_LOCAL_PORTS_H

#include "common/base/bytes.h"

struct ports {
    int *fds;
    size_t n, cap;
};

/* Holds this port of an IP address of this host. false: somebody listens there, or it cannot be had; the reason is
 * appended to why. */
bool ports_hold(struct ports *p, const char *host, int port, struct buf *why);
/* Holds it, and the one `beside` above it (0: none), if nobody at all has them: neither listens nor holds, and no
 * connection is left of somebody who did. */
bool ports_hold_free(struct ports *p, const char *host, int port, int beside);
void ports_free(struct ports *p);

#endif
