#include "nodectl/tree.h"

#include "nodectl/asking.h"

/* By the alphabet, one in a line. */
/* clang-format off */
static const struct command *const commands[] = {
    &command_backup,
    &command_cluster,
    &command_complete,
    &command_completion,
    &command_config,
    &command_db,
    &command_doctor,
    &command_drill,
    &command_events,
    &command_explain,
    &command_failover,
    &command_fleet,
    &command_history,
    &command_hook,
    &command_import,
    &command_man,
    &command_node,
    &command_shard,
    &command_slots,
    &command_status,
    &command_supervisor,
    NULL,
};
/* clang-format on */

/* What may stand before the noun. */
static const struct command_option options[] = {
    ASKING_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command nodectl_root = {
    .name = "nodectl",
    .options = options,
    .summary = "The operator's tool for fleets of Redis-protocol servers that sentineld supervises.",
    .text = "Exit status:\n"
            "  0    good: done, shown, or nothing is wrong\n"
            "  1    it failed, was refused or not confirmed, or something is wrong; standard error says what\n"
            "  2    the command line or a file that it names is wrong, or nobody is there to be asked for a yes\n"
            "  3    nobody can be asked: no supervisor, and no node where the command speaks to nodes\n"
            "  130  interrupted by Ctrl-C; what was done, and how to go on, was said\n"
            "\n"
            "Environment:\n"
            "  NODECTL_FLEET          the fleet, when --fleet is not given\n"
            "  NODECTL_SUPERVISORS    supervisors, separated by commas, when neither is given\n"
            "  NODECTL_PASSWORD       the password at the supervisors\n"
            "  NODECTL_NODE_PASSWORD  the password at the nodes\n"
            "  NO_COLOR               when set, no colours are used; they are used on a terminal only\n"
            "\n"
            "Files:\n"
            "  ~/.config/nodectl.conf, else /etc/nodectl.conf     fleets and supervisors\n"
            "  ~/.config/nodectl-drills.conf, else /etc/sentineld/drills.conf  drills of your own\n"
            "\n"
            "Examples:\n"
            "  nodectl status\n"
            "  nodectl --fleet orders status -o json | jq .problems\n"
            "  nodectl shard switchover orders/1a2b3c4d --to 10.0.0.12:6379\n"
            "  nodectl explain orders/1a2b3c4d\n"
            "  nodectl drill run kill-master --cluster orders --max-outage-ms 3000",
    .commands = commands,
};
