/* The verbs of nodectl node; cmd_node.c has their rows. Each returns the exit code. */
#ifndef NODECTL_NODE_VERBS_H
#define NODECTL_NODE_VERBS_H

#include "nodectl/command.h"

int node_add(const struct command_call *call);
int node_info(const struct command_call *call);
int node_list(const struct command_call *call);
int node_logs(const struct command_call *call);
int node_maintenance(const struct command_call *call);
int node_promote(const struct command_call *call);
int node_remove(const struct command_call *call);
int node_replace(const struct command_call *call);

#endif
