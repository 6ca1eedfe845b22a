/* A connection that this node opens, to an address and not a name: the links of replication and of migrations. */
#ifndef SHELL_DIAL_H
#define SHELL_DIAL_H

#include "noded/cmd/settings.h"

/* Begins to connect, from bind-source-addr where that is set. The descriptor (without blocking, closed by exec) becomes
 * writable when it is known what came of it. -1: it cannot be, errno says why. */
int dial(const struct nd_config *config, const char *ip, int port);
/* What came of it: 0, or the error. */
int dial_ended(int fd);

#endif
