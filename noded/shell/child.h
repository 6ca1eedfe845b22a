/* The child process that writes the dataset as it was when it was forked: to a file, or to sockets of replicas. It
 * needs nothing of the program around it, tells how far it is through a pipe, and ends by _exit(). */
#ifndef SHELL_CHILD_H
#define SHELL_CHILD_H

#include "noded/repl/persist.h"

#include <sys/types.h>

struct child;
struct node;

struct child *child_open(struct node *n);
void child_close(struct child *c); /* a living child is killed and waited for; NULL is allowed */

/* struct nd_persist_host's start() and stop(); owner: struct node. */
bool child_start(void *owner, const struct nd_child_spec *spec, int64_t *fork_us, struct buf *why);
void child_stop(void *owner);
void child_await_end(struct child *c); /* of one that was stopped: told as any other end, before this returns */

/* ---- inside of the child (child_run.c) ---- */

enum child_note_kind {
    CHILD_PROGRESS, /* keys and cow_bytes */
    CHILD_GOT,      /* the descriptor of this number has it all */
    CHILD_END       /* ok, keys, bytes, cow_bytes, why */
};

/* What goes through the pipe: less than the system writes in one piece. */
struct child_note {
    int kind;
    bool ok;
    size_t number;
    int64_t keys;
    uint64_t bytes; /* that each descriptor got; with the end */
    size_t cow_bytes;
    char why[256];
};

struct nd_rdb_facts;
struct child_work {
    const struct nd_child_spec *spec;
    const struct nd_keyspace *keys;
    const struct nd_rdb_facts *facts;
    int64_t timeout_ms; /* for a socket that takes nothing */
    int pipe;
    pid_t parent;
};
_Noreturn void child_run(const struct child_work *work);

#endif
