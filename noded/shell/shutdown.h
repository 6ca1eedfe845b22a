/* The end of the program, as SHUTDOWN and signals ask for it: replicas get time to catch up, the dataset is saved, and
 * what cannot be saved keeps the program alive unless it was told otherwise. */
#ifndef SHELL_SHUTDOWN_H
#define SHELL_SHUTDOWN_H

#include "noded/cmd/engine.h"

struct node;

struct shutdown {
    bool waits;     /* for replicas, or */
    bool for_base;  /* for the first base of the append-only file */
    uint32_t flags; /* ND_SHUTDOWN_* */
    int64_t until_us;
};

/* struct nd_host's shutdown(); owner: struct node. */
enum nd_shutdown_answer shutdown_ask(void *owner, uint32_t flags, struct buf *why);
/* A signal came, and the setting says what it means. */
void shutdown_signal(struct node *n, const char *name, const char *setting);

/* The end of a turn: what is waited for may have come. */
void shutdown_look(struct node *n);
/* The next time (mono us) for shutdown_look(); HEAP_NEVER: none. */
int64_t shutdown_deadline(const struct node *n);

#endif
