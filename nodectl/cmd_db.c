/* nodectl db: the databases of a whole cluster. */
#include "nodectl/asking.h"
#include "nodectl/change.h"
#include "nodectl/db/verbs.h"
#include "nodectl/tree.h"

#define NODES_TEXT                                                                                             \
    "The nodes are found through --seeds, or the fleet that --fleet names, or the supervisors. Nodes of any\n" \
    "cluster answer: noded, redis-server, valkey-server.\n"

#define END_OF_OPTIONS          \
    {                           \
        NULL, NULL, NULL, NULL, \
    }

/* ---- list ---- */

static const struct command_option list_options[] = {
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    END_OF_OPTIONS,
};

static const struct command command_db_list = {
    .name = "list",
    .arguments = "",
    .summary = "Show what the databases hold: keys, keys that expire, memory, over all masters.",
    .text = NODES_TEXT
    "\n"
    "Memory is about right: it is the mean of 32 keys of each database at each master (MEMORY USAGE), times its keys.\n"
    "With -o wide there is a line for each master too. Databases without keys are not shown.\n"
    "\n"
    "Example:\n"
    "  nodectl --fleet orders db list -o wide\n"
    "\n"
    "Exit status: 0 all masters told it; 1 some did not, and the numbers are those of the others; 2 the command line "
    "or\n"
    "the configuration file is wrong; 3 nobody can be asked.",
    .options = list_options,
    .run = db_list,
};

/* ---- scan ---- */

static const struct command_option scan_options[] = {
    {"--match", NULL, "PATTERN", "only keys that match, as of SCAN: * ? [abc]"},
    {"--type", NULL, "string|list|set|zset|hash|stream", "only keys of this type; that of a module has nine letters"},
    {"--count", NULL, "N", "about how many keys a node looks at for one answer (default 1000)"},
    {"--limit", NULL, "N", "end after so many keys"},
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    END_OF_OPTIONS,
};

static const struct command command_db_scan = {
    .name = "scan",
    .arguments = "DATABASE",
    .summary = "Print the keys of a database, of all masters.",
    .text = NODES_TEXT
    "\n"
    "Keys are printed as they come, one a line, in quotes, as redis-cli shows them: \"a\\x00b\". With -o json or yaml\n"
    "each is an object with \"key\", or with \"key_base64\" when it is not UTF-8. A key that is there from the "
    "beginning\n"
    "to the end is shown, also when its slot moves or its master is replaced meanwhile; then it may be shown twice.\n"
    "\n"
    "Example:\n"
    "  nodectl --fleet orders db scan 3 --match 'user:*' --type hash\n"
    "\n"
    "Exit status: 0 all keys were shown, or as many as --limit says; 1 some could not be read; 2 the command line or\n"
    "the configuration file is wrong; 3 nobody can be asked; 130 it was interrupted.",
    .options = scan_options,
    .min_args = 1,
    .max_args = 1,
    .run = db_scan,
};

/* ---- swap ---- */

static const struct command_option swap_options[] = {
    {"--cluster", NULL, "NAME", "which cluster, where the supervisors have several (default: that of --fleet)"},
    {"--yes", "-y", NULL, "do not ask"},
    {"--dry-run", NULL, NULL, "show the plan, and do nothing"},
    ASKING_OPTIONS,
    END_OF_OPTIONS,
};

static const struct command command_db_swap = {
    .name = "swap",
    .arguments = "DATABASE DATABASE",
    .summary = "Exchange two databases on all masters of a supervised cluster, or on none: show the plan, ask, act.",
    .text = ASKING_TEXT
    "\n"
    "One supervisor is asked (SENTINEL SWAPDB). The supervisors decide by majority; what they have decided is brought\n"
    "to every master, however long that takes, and no client that was told OK reads the old mapping.\n"
    "\n"
    "Example:\n"
    "  nodectl --fleet orders db swap 0 1\n"
    "\n"
    "Exit status: 0 every master has done it; 1 it was refused, given up or not confirmed, or is decided and not yet\n"
    "done everywhere, as standard error says; 2 the command line or the configuration file is wrong, or nobody can be\n"
    "asked and --yes is not given; 3 no supervisor can be reached.",
    .options = swap_options,
    .min_args = 2,
    .max_args = 2,
    .run = db_swap,
};

/* ---- copy ---- */

static const struct command_option copy_options[] = {
    {"--replace", NULL, NULL, "replace keys that the target has already, instead of leaving them"},
    {"--match", NULL, "PATTERN", "only keys that match, as of SCAN: * ? [abc]"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    END_OF_OPTIONS,
};

static const struct command command_db_copy = {
    .name = "copy",
    .arguments = "SOURCE TARGET",
    .summary = "Copy the keys of one database into another: show the plan, ask, act.",
    .text = NODES_TEXT
    "\n"
    "Each master copies its own keys (COPY ... DB), with their time to live; no value leaves it. What is written\n"
    "meanwhile may be copied or not. After an interruption the same command goes on: keys that are there are left.\n"
    "Nodes with database 0 only, as redis-server has it in a cluster, are refused.\n"
    "\n"
    "Example:\n"
    "  nodectl --fleet orders db copy 0 5 --match 'user:*'\n"
    "\n"
    "Exit status: 0 done, or the plan was shown; 1 it failed or was not confirmed; 2 the command line or the\n"
    "configuration file is wrong, or nobody can be asked and --yes is not given; 3 nobody answers; 130 interrupted.",
    .options = copy_options,
    .min_args = 2,
    .max_args = 2,
    .run = db_copy,
};

/* ---- flush ---- */

static const struct command_option flush_options[] = {
    {"--confirm", NULL, "NAME/DB", "what is to be emptied, said again: needed with --yes"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    END_OF_OPTIONS,
};

static const struct command command_db_flush = {
    .name = "flush",
    .arguments = "DATABASE",
    .summary = "Delete all keys of a database on all masters: show the plan, ask for its name, act.",
    .text = NODES_TEXT
    "\n"
    "The name of the fleet (without one: the address that was named first) and the database have to be typed, as\n"
    "orders/3, before anything is deleted. A script says --yes --confirm orders/3. Masters free the memory behind\n"
    "the scenes (FLUSHDB ASYNC). Given again it goes on with the masters that it did not come to.\n"
    "\n"
    "Example:\n"
    "  nodectl --fleet orders db flush 3 --yes --confirm orders/3\n"
    "\n"
    "Exit status: 0 done, or the plan was shown; 1 it failed or was not confirmed; 2 the command line or the\n"
    "configuration file is wrong, or nobody can be asked and --yes is not given; 3 nobody answers; 130 interrupted.",
    .options = flush_options,
    .min_args = 1,
    .max_args = 1,
    .run = db_flush,
};

static const struct command *const commands[] = {
    &command_db_copy, &command_db_flush, &command_db_list, &command_db_scan, &command_db_swap, NULL,
};

const struct command command_db = {
    .name = "db",
    .summary = "Databases of a whole cluster: list, scan, copy, flush, swap.",
    .commands = commands,
};
