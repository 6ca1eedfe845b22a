/* A node that has left, and whose process is one of a fleet that fleet create made on this host: it ends, and the
 * fleet's record forgets it, so that fleet start does not bring it back. Its folder stays until
 * fleet destroy. */
#ifndef NODECTL_NODE_RETIRE_H
#define NODECTL_NODE_RETIRE_H

#include "nodectl/node/leave.h"

/* Whether the node at this address is one of those; then its folder is appended to folder. */
bool retire_is_ours(const struct node_work *w, const struct addr *a, struct buf *folder);
/* A step; `what` is the struct leave, of which only the address counts. Given again it finds what is done. */
bool retire(struct node_work *w, void *what);

#endif
