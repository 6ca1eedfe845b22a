/* All commands of nodectl. A family of commands lives in a file of its own and hangs itself in tree.c. */
#ifndef NODECTL_TREE_H
#define NODECTL_TREE_H

#include "nodectl/command.h"

extern const struct command nodectl_root;

extern const struct command command_backup;
extern const struct command command_cluster;
extern const struct command command_completion, command_complete, command_man; /* cmd_completion.c */
extern const struct command command_config;
extern const struct command command_config_check, command_config_diff; /* cmd_config_file.c */
extern const struct command command_db;
extern const struct command command_doctor;
extern const struct command command_drill;
extern const struct command command_failover;
extern const struct command command_events;
extern const struct command command_explain;
extern const struct command command_fleet;
extern const struct command command_history;
extern const struct command command_hook;
extern const struct command command_import;
extern const struct command command_node;
extern const struct command command_shard;
extern const struct command command_slots;
extern const struct command command_status;
extern const struct command command_supervisor;

#endif
