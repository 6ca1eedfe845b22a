/* nodectl shard: one shard of a cluster, or a group that is none; who is its master, and who could be. */
#include "nodectl/shard/shard_commands.h"
#include "nodectl/tree.h"

/* By the alphabet. */
static const struct command *const commands[] = {
    &command_shard_candidates, &command_failover, &command_shard_list, &command_shard_switchover, NULL,
};

const struct command command_shard = {
    .name = "shard",
    .summary = "A shard and its master: list them, see who could be promoted, and promote.",
    .commands = commands,
};
