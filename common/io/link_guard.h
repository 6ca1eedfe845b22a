/* Stands between hiredis' reader and its async dispatch, which trusts the server: hiredis 0.14 asserts (and so ends the
 * program) on a reply that nobody asked for and on a malformed push, and allocates whatever an array header names. The
 * guard refuses such a reply while it is parsed, which hiredis turns into an ordinary error of the connection. Inside
 * common/io only. */
#ifndef IO_LINK_GUARD_H
#define IO_LINK_GUARD_H

#include "common/base/bytes.h"

#include <hiredis/async.h>

#define LINK_CHANNELS_MAX 4

struct link_guard {
    redisAsyncContext *ac;
    size_t max;                             /* bytes of memory for one reply, bytes buffered */
    size_t used;                            /* by the reply that is being parsed */
    bool push;                              /* the reply that is being parsed is a push */
    bool confirms;                          /* ... and confirms a subscription */
    struct buf channels[LINK_CHANNELS_MAX]; /* that were subscribed to */
    size_t channel_count;
    const char *why; /* what was refused, NULL until then */
};

/* Puts the guard into the connection's reader. g must outlive ac. */
void link_guard_attach(struct link_guard *g, redisAsyncContext *ac, size_t max);
/* Whether it was subscribed to. */
bool link_guard_has_channel(const struct link_guard *g, struct slice name);
/* After each read: whether what is buffered can still become a reply within the bounds. false: see why. */
bool link_guard_check(struct link_guard *g);

#endif
