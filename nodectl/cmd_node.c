/* nodectl node: the nodes of a cluster, one by one. */
#include "nodectl/change.h"
#include "nodectl/node/verbs.h"
#include "nodectl/slots/move.h"
#include "nodectl/tree.h"

#define NODE_TEXT                                                                                          \
    "A node is named by its host:port, its id, or the beginning of one. The cluster may be one of noded, " \
    "redis-server\n"                                                                                       \
    "or valkey-server, with supervisors or without; --seeds names nodes where there are none.\n"
#define EXITS_CHANGE                                                                                               \
    "\n"                                                                                                           \
    "Exit status: 0 done, or nothing was to be done; 1 it failed, was refused or not confirmed, as standard\n"     \
    "error says; 2 the command line or the configuration file is wrong, or nobody can be asked and --yes is not\n" \
    "given; 3 no node of a cluster answers; 130 interrupted. The same command, given again, finds what is done\n"  \
    "and goes on."

static const struct command_option add_options[] = {
    {"--shard", NULL, "SHARD", "its name, or any node of it (default: the one with the fewest replicas)"},
    {"--master", NULL, NULL, "it stays a master; slots are given to it later"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_node_add = {
    .name = "add",
    .arguments = "[ADDRESS]",
    .summary = "Let an empty node join the cluster, as a replica or as a master without slots.",
    .text = NODE_TEXT
    "\n"
    "It is met (CLUSTER MEET), made a replica (CLUSTER REPLICATE), and waited for until it has the data of its master\n"
    "and all nodes and supervisors know it. A node with keys, with slots, or of another cluster is refused. Without\n"
    "--shard it goes where the fewest replicas are, and rather to a shard that has no node on its host.\n"
    "Without ADDRESS, for a fleet that fleet create made on this host, a node is started first. With --master it gets\n"
    "the libraries of functions that the other masters have (redis-server and valkey-server).\n"
    "\n"
    "Example:\n"
    "  nodectl node add 10.0.0.14:7001 --shard 1a2b3c4d\n" EXITS_CHANGE,
    .options = add_options,
    .min_args = 0,
    .max_args = 1,
    .run = node_add,
};

static const struct command_option remove_options[] = {
    {"--force", NULL, NULL, "though another node does not answer, which would bring it back if it ever returned"},
    MOVER_OPTIONS,
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command_option replace_options[] = {
    {"--force", NULL, NULL, "though another node does not answer, which would bring it back if it ever returned"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_node_remove = {
    .name = "remove",
    .arguments = "NODE",
    .summary = "Take a node out of the cluster: its slots and replicas go to others, and nobody remembers it.",
    .text = NODE_TEXT
    "\n"
    "The slots of a master are moved to the others with their keys; its replicas follow other masters. Then every "
    "node\n"
    "is told to forget it (CLUSTER FORGET) and asked again until none lists it, and the supervisors are waited for.\n"
    "A node of a fleet that fleet create made on this host ends then, and fleet start does not bring it back; its\n"
    "folder stays until fleet destroy. Any other one is made an empty node, and runs on. A node that is dead can be\n"
    "removed too, but not a dead master with slots: nobody has their keys but its replicas.\n"
    "\n"
    "Example:\n"
    "  nodectl node remove 10.0.0.13:7001\n" EXITS_CHANGE,
    .options = remove_options,
    .min_args = 1,
    .max_args = 1,
    .run = node_remove,
};

static const struct command command_node_replace = {
    .name = "replace",
    .arguments = "OLD NEW",
    .summary = "Put an empty node that runs in the place of another one, without losing a write.",
    .text = NODE_TEXT "\n"
                      "NEW joins as a replica of the same master and gets the data. If OLD is a master the two change "
                      "places by a planned\n"
                      "switch. Then OLD is removed, as by node remove.\n"
                      "\n"
                      "Example:\n"
                      "  nodectl node replace 10.0.0.13:7001 10.0.0.14:7001\n" EXITS_CHANGE,
    .options = replace_options,
    .min_args = 2,
    .max_args = 2,
    .run = node_replace,
};

static const struct command_option change_options[] = {
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_node_promote = {
    .name = "promote",
    .arguments = "NODE",
    .summary = "Make a replica the master of its shard by a planned switch; no write is lost.",
    .text = NODE_TEXT "\n"
                      "Where the cluster is supervised its supervisors do it (SENTINEL FAILOVER shard COORDINATED TO "
                      "node), else the node\n"
                      "(CLUSTER FAILOVER). It is over when all nodes and supervisors agree.\n"
                      "\n"
                      "Example:\n"
                      "  nodectl node promote 10.0.0.13:7001\n" EXITS_CHANGE,
    .options = change_options,
    .min_args = 1,
    .max_args = 1,
    .run = node_promote,
};

static const struct command_option maintenance_options[] = {
    {"--priority", NULL, "N", "of off: the replica-priority that it gets (default: as before on, else 100)"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_node_maintenance = {
    .name = "maintenance",
    .arguments = "on|off NODE",
    .summary = "Take a node out of service without removing it, and bring it back.",
    .text = NODE_TEXT
    "\n"
    "on: it is no candidate for promotion any more (replica-priority 0; without supervisors "
    "cluster-replica-no-failover\n"
    "too), and if it is a master a replica takes its place by a planned switch. It may be stopped then: the "
    "supervisors\n"
    "go on to tell that it is down (+sdown), and promote nobody for it. off makes it a candidate again, with the\n"
    "replica-priority that it had where fleet create made the fleet on this host, else with 100; it stays the replica\n"
    "that it is (node promote makes it a master). With a configuration file the setting is written there, "
    "else\n"
    "it ends with the process. node list shows it.\n"
    "\n"
    "Example:\n"
    "  nodectl node maintenance on 10.0.0.13:7001\n" EXITS_CHANGE,
    .options = maintenance_options,
    .min_args = 2,
    .max_args = 2,
    .run = node_maintenance,
};

static const struct command_option look_options[] = {
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

#define EXITS_LOOK                                                                                        \
    "\n"                                                                                                  \
    "Exit status: 0 all is well; 1 a node is down, or there is no such node; 2 the command line or the\n" \
    "configuration file is wrong; 3 no node of a cluster answers."

static const struct command command_node_list = {
    .name = "list",
    .arguments = "",
    .summary = "All nodes of the cluster with role, state, slots, lag and priority.",
    .text = NODE_TEXT
    "\n"
    "Each node is asked itself. The state is ok, maintenance, syncing (a replica without a link to its master), "
    "loading\n"
    "or down. LAG is how many bytes the master is ahead. -o wide adds version, memory, uptime, epoch and id.\n"
    "\n"
    "Example:\n"
    "  nodectl node list --seeds 10.0.0.11:7001 -o wide\n" EXITS_LOOK,
    .options = look_options,
    .min_args = 0,
    .max_args = 0,
    .run = node_list,
};

static const struct command command_node_info = {
    .name = "info",
    .arguments = "NODE",
    .summary = "What one node says of itself.",
    .text = NODE_TEXT "\n"
                      "Example:\n"
                      "  nodectl node info 10.0.0.13:7001\n" EXITS_LOOK,
    .options = look_options,
    .min_args = 1,
    .max_args = 1,
    .run = node_info,
};

static const struct command_option logs_options[] = {
    {"--lines", "-n", "LINES", "how many of the last lines (default 50)"},
    {"--follow", NULL, NULL, "go on with what is written from now on, until Ctrl-C"},
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_node_logs = {
    .name = "logs",
    .arguments = "NODE",
    .summary = "The end of the log of a node that runs on this host.",
    .text = NODE_TEXT
    "\n"
    "The log is the file that is set at the node, else that of its standard output, else the journal of its systemd\n"
    "unit (journalctl). Of a node on another host it says where to look.\n"
    "\n"
    "Example:\n"
    "  nodectl node logs 127.0.0.1:7001 -n 100 --follow\n"
    "\n"
    "Exit status: 0 shown; 1 the log is not here, or can't be read; 2 the command line or the configuration\n"
    "file is wrong; 3 no node of a cluster answers.",
    .options = logs_options,
    .min_args = 1,
    .max_args = 1,
    .run = node_logs,
};

static const struct command *const commands[] = {
    &command_node_add,    &command_node_info,        &command_node_list,
    &command_node_logs,   &command_node_maintenance, &command_node_promote,
    &command_node_remove, &command_node_replace,     NULL,
};

const struct command command_node = {
    .name = "node",
    .summary = "Nodes of a cluster: add, remove, replace, promote, put into maintenance; lists and logs.",
    .commands = commands,
};
