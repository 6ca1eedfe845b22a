#include "nodectl/tree.h"

static const struct command *const commands[] = {
    &command_cluster,
    &command_config,
    &command_db,
    &command_drill,
    &command_events,
    &command_explain,
    &command_failover,
    &command_history,
    &command_hook,
    &command_status,
    NULL,
};

const struct command nodectl_root = {
    .name = "nodectl",
    .summary = "The operator's tool for fleets that sentineld supervises.",
    .commands = commands,
};
