/* nodectl shard: list, candidates, switchover. `failover` is cmd_failover.c. */
#ifndef NODECTL_SHARD_SHARD_COMMANDS_H
#define NODECTL_SHARD_SHARD_COMMANDS_H

#include "nodectl/command.h"

extern const struct command command_shard_candidates, command_shard_list, command_shard_switchover;

#endif
