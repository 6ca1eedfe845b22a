/* nodectl fleet create, start, stop, destroy, list: fleets of processes that nodectl starts by itself. */
#ifndef NODECTL_LOCAL_FLEET_COMMANDS_H
#define NODECTL_LOCAL_FLEET_COMMANDS_H

#include "nodectl/command.h"

extern const struct command command_fleet_create, command_fleet_destroy, command_fleet_list, command_fleet_start,
    command_fleet_stop;

#endif
