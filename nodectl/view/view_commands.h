/* nodectl fleet topology and watch: looking at a fleet. `status` is cmd_status.c. */
#ifndef NODECTL_VIEW_VIEW_COMMANDS_H
#define NODECTL_VIEW_VIEW_COMMANDS_H

#include "nodectl/command.h"

extern const struct command command_fleet_topology, command_fleet_watch;

#endif
