/* nodectl cluster info, call and set-timeout, for the rows in cmd_cluster.c. */
#ifndef NODECTL_CLUSTER_COMMANDS_H
#define NODECTL_CLUSTER_COMMANDS_H

#include "nodectl/command.h"

extern const struct command command_cluster_info;
extern const struct command command_cluster_call;
extern const struct command command_cluster_set_timeout;

#endif
