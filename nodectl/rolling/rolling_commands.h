/* nodectl fleet restart. */
#ifndef NODECTL_ROLLING_ROLLING_COMMANDS_H
#define NODECTL_ROLLING_ROLLING_COMMANDS_H

#include "nodectl/command.h"

extern const struct command command_fleet_restart;

#endif
