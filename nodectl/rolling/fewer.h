/* Fewer databases: a node that is started again with them reads nothing that is in one that is not there any more. */
#ifndef NODECTL_ROLLING_FEWER_H
#define NODECTL_ROLLING_FEWER_H

#include "nodectl/node/work.h"

/* No node holds keys in databases from this number on; else who does, and in which, is appended to why. */
bool fewer_can(struct node_work *w, int64_t databases, struct buf *why);
/* ... and the append-only file of this node, which has what was once there, is written anew. false: the reason is
 * appended to why. */
bool fewer_prepare(struct node_work *w, const char *id, int64_t databases, struct buf *why);

/* What of "INFO keyspace" is in databases from this number on: "db20 holds 3 keys". Pure. false: nothing is. */
bool fewer_find(struct slice info, int64_t databases, struct buf *out);

#endif
