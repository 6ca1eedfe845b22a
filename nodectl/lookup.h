/* Addresses of several host names at once, within a time limit. */
#ifndef NODECTL_LOOKUP_H
#define NODECTL_LOOKUP_H

#include "common/io/resolve.h"

struct lookup {
    const char *host; /* in: a name or an IP literal; NULL is left out */
    size_t n;         /* out: how many addresses; 0 with an error */
    char ips[IO_RESOLVED_MAX][IO_IP_MAX];
    char error[128]; /* out: "" when resolved */
};

/* Returns after timeout_ms at the latest; a name that is not known by then gets an error. */
void lookup_run(struct lookup *list, size_t count, int timeout_ms);

#endif
