/* nodectl fleet: a fleet as a whole. Each verb stands with its text in a file of its own folder; here is the list. */
#include "nodectl/apply/apply_commands.h"
#include "nodectl/local/fleet_commands.h"
#include "nodectl/rolling/rolling_commands.h"
#include "nodectl/tree.h"
#include "nodectl/view/view_commands.h"

/* By the alphabet, one in a line. */
/* clang-format off */
static const struct command *const commands[] = {
    &command_fleet_apply,
    &command_fleet_create,
    &command_fleet_destroy,
    &command_fleet_list,
    &command_fleet_plan,
    &command_fleet_restart,
    &command_fleet_start,
    &command_status,
    &command_fleet_stop,
    &command_fleet_topology,
    &command_fleet_watch,
    NULL,
};
/* clang-format on */

const struct command command_fleet = {
    .name = "fleet",
    .summary = "Make a fleet, start and stop it, change it, look at it, and take it away.",
    .commands = commands,
};
