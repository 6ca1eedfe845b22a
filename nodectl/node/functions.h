/* Libraries of functions (FUNCTION) are not part of any slot, so no slot brings them to a new master; who calls one
 * there gets an error. Nodes of noded have none. */
#ifndef NODECTL_NODE_FUNCTIONS_H
#define NODECTL_NODE_FUNCTIONS_H

#include "nodectl/node/work.h"

/* A master that has some; *count: how many. NULL: nobody has. */
struct picture_node *functions_source(struct picture *p, const char *but, size_t *count);
/* Copies those of one node to another, where those of the same name are replaced. false: the reason is appended to
 * why. */
bool functions_copy(struct picture *p, struct picture_node *from, struct picture_node *to, struct buf *why);

#endif
