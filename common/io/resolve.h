/* Name resolution that never blocks the loop: getaddrinfo() in a small pool of threads. */
#ifndef IO_RESOLVE_H
#define IO_RESOLVE_H

#include "common/io/loop.h"

#include <stddef.h>

#define IO_IP_MAX 64      /* bytes of an IP literal with its zone and terminator */
#define IO_RESOLVED_MAX 8 /* addresses kept of one answer */

struct io_resolver;
struct io_resolve; /* one request */

struct io_resolved {
    const char *host;  /* as asked */
    const char *error; /* NULL: resolved */
    size_t n;          /* addresses, in the system's order of preference; >= 1 without error */
    const char (*ips)[IO_IP_MAX];
};

/* Always called from the loop, exactly once unless cancelled, never from inside io_resolve(). */
typedef void io_resolved_fn(void *owner, const struct io_resolved *answer);

/* threads: 1-16, started when first needed. waiting_max: requests that may wait for a thread (a request beyond it is
 * answered with an error, so that a dead name server cannot fill the memory). */
struct io_resolver *io_resolver_new(struct io_loop *loop, int threads, int waiting_max);
/* Cancels what is left. Threads that are inside a lookup end by themselves when it returns. */
void io_resolver_free(struct io_resolver *r);

/* IP literals are answered in the next turn without a thread. */
struct io_resolve *io_resolve(struct io_resolver *r, const char *host, io_resolved_fn *done, void *owner);
/* The callback will not be called; the request must not be used any more. Not allowed after the callback began. */
void io_resolve_cancel(struct io_resolver *r, struct io_resolve *q);

#endif
