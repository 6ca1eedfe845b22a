/* nodectl fleet plan and apply. */
#ifndef NODECTL_APPLY_APPLY_COMMANDS_H
#define NODECTL_APPLY_APPLY_COMMANDS_H

#include "nodectl/command.h"

extern const struct command command_fleet_plan, command_fleet_apply;

#endif
