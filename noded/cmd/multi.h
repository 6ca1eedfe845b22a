/* The commands that a transaction has queued. */
#ifndef CMD_MULTI_H
#define CMD_MULTI_H

#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/table.h"

struct nd_queued {
    const struct nd_indexed *row;
    size_t argc;
    struct slice *argv; /* one allocation with its bytes */
};

struct nd_multi {
    struct nd_queued *v;
    size_t n, cap;
    uint32_t flags; /* of all commands together */
    size_t memory;  /* bytes */
};

void nd_multi_queue(struct nd_call *c); /* and answers QUEUED */
/* Ends the transaction: queue, flags and watched keys. */
void nd_multi_discard(struct nd_session *s);
void nd_multi_free(struct nd_multi *m); /* NULL is fine */

#endif
