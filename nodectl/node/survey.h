/* The nodes of a cluster one by one, for people and for programs. */
#ifndef NODECTL_NODE_SURVEY_H
#define NODECTL_NODE_SURVEY_H

#include "nodectl/node/work.h"

/* What each node says of itself, all asked side by side, in the order of the picture:
 * [{ address, id, role, shard, master, slots, state, link, lag_bytes, priority, version, server, epoch, keys, memory,
 *    uptime_s, process_id, config_file, error }]
 * state: "ok", "maintenance", "syncing", "loading" or "down". What a node does not tell is null. */
json_t *survey_nodes(struct node_work *w);

#endif
