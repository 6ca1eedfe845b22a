/* A further node for a fleet that fleet create made on this host: an empty one, which joins as any other. */
#ifndef NODECTL_NODE_GROW_H
#define NODECTL_NODE_GROW_H

#include "nodectl/rolling/edit.h"

/* Whether the fleet has a folder here; else the reason is appended to why. */
bool grow_can(const struct node_work *w, struct buf *why);
/* Takes a node of the folder that is of no cluster (one that was begun), or makes one on a free port; starts it with
 * these settings, and as many databases as the others have, and waits until it answers. false: why has the reason. */
bool grow_node(struct node_work *w, const struct fixed_settings *wished, struct addr *out, struct buf *why);

#endif
