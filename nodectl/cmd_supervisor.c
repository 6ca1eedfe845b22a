/* nodectl supervisor: the supervisors themselves, what they have recorded, and when they do nothing. */
#include "nodectl/supervisor/verbs.h"
#include "nodectl/tree.h"

/* clang-format off */
static const struct command *const commands[] = {
    &supervisor_list,
    &supervisor_add,
    &supervisor_remove,
    &supervisor_pause,
    &supervisor_resume,
    &supervisor_quorum,
    &supervisor_availability,
    &command_explain,
    &command_history,
    &command_events,
    NULL,
};
/* clang-format on */

const struct command command_supervisor = {
    .name = "supervisor",
    .summary = "The supervisors: who they are, what they decided and why, what would work without some of them.",
    .commands = commands,
};
