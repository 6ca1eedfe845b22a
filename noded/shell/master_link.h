/* The connection to the node's master, and the file into which a snapshot of it is taken: what noded/repl/follow.h asks
 * of the program. */
#ifndef SHELL_MASTER_LINK_H
#define SHELL_MASTER_LINK_H

#include "noded/repl/follow.h"
#include "noded/shell/node.h"

struct master_link;

struct master_link *master_link_open(struct node *n);
void master_link_close(struct master_link *l); /* NULL is allowed; the machine is gone, or is not called any more */
struct nd_follow_host master_link_host(struct master_link *l);
/* The node follows whom its settings name (replicaof), if they do. */
void master_link_start(struct master_link *l);
/* The end of a turn: reading goes on when the machine can take more. */
void master_link_turn_end(struct master_link *l);
/* CLIENT KILL of the master's session. */
void master_link_kill(struct master_link *l, const char *why);
/* Bytes of its buffers. */
size_t master_link_memory(const struct master_link *l);

#endif
