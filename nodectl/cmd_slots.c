/* nodectl slots: which master has which slots, and moving them. The work is done in nodectl/slots. */
#include "nodectl/tree.h"

#include "nodectl/asking.h"
#include "nodectl/change.h"
#include "nodectl/slots/commands.h"
#include "nodectl/slots/move.h"

#define NODES_TEXT                                                                                                    \
    "The nodes are found through --seeds, or through the supervisors. noded, redis-server and valkey-server answer\n" \
    "it. Slots go in one piece between nodes of noded and between nodes of Valkey 9; elsewhere they go key by key, "  \
    "and\n"                                                                                                           \
    "with database 0 only where a node has no other.\n"

#define STATUS_TEXT                                                                                                \
    "Exit status: 0 it is done, or there was nothing to do; 1 it failed or was not confirmed, as standard error\n" \
    "says; 2 the command line or the configuration file is wrong; 3 no node can be asked; 130 interrupted."

/* ---- show ---- */

static const struct command_option show_options[] = {
    {"--slot", NULL, "SLOT", "only this slot"},
    {"--key", NULL, "KEY", "only the slot of this key"},
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_slots_show = {
    .name = "show",
    .arguments = "",
    .summary = "Which master has which slots, with a picture of them: ranges, counts, keys per database.",
    .text = NODES_TEXT
    "\n"
    "Each cell of the picture is a part of the 16384 slots, in the order of their numbers, with the letter of the\n"
    "master that has most of them; '.' is nobody's, '*' has slots that are open. -o wide has all ranges, the keys of\n"
    "each database, and what the slots take: memory (an estimate by a sample of the keys), and processor time and\n"
    "traffic of their commands since they came to their shard; '?' where the node does not tell it (CLUSTER\n"
    "SLOT-STATS).\n"
    "\n"
    "Example:\n"
    "  nodectl slots show\n"
    "  nodectl slots show --key user:1000 -o json\n"
    "\n"
    "Exit status: 0 shown; 1 a slot or an answer is missing, as standard error says; 2 the command line or the\n"
    "configuration file is wrong; 3 nobody can be asked.",
    .options = show_options,
    .run = slots_run_show,
};

/* ---- move ---- */

static const struct command_option move_options[] = {
    {"--from", NULL, "NODES", "the master that has them, or its shard; several with commas, or all (default all)"},
    {"--to", NULL, "NODE", "the master that gets them, or its shard"},
    {"--slots", NULL, "SLOTS", "these, as 0-100,200"},
    {"--count", NULL, "NUMBER",
     "so many, of as few ranges as possible; of several masters in proportion to their slots"},
    MOVER_OPTIONS,
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_slots_move = {
    .name = "move",
    .arguments = "",
    .summary = "Move slots from master to master with the keys of all databases, while clients go on.",
    .text = NODES_TEXT
    "\n"
    "A NODE is host:port, an id or its beginning, or the name of a shard. Where slots go in one piece clients see a\n"
    "pause of some milliseconds; key by key sixteen slots go at once. What would be lost (keys in databases that the\n"
    "target does not have, a stray key at the target that has another value) is refused before anything moves; a\n"
    "stray that comes while a slot is open leaves that slot open, and says so.\n"
    "\n"
    "Ctrl-C ends what is under way and stops; a migration that does not end by itself is taken back. The same\n"
    "command, given again, finds what is done, or half done after a crash, and goes on.\n"
    "\n"
    "Example:\n"
    "  nodectl slots move --from 127.0.0.1:7000 --to 127.0.0.1:7003 --count 1000\n"
    "  nodectl slots move --from all --to 127.0.0.1:7003 --count 4096\n"
    "  nodectl slots move --slots 0-99,200 --to orders/1a2b3c4d --yes\n"
    "\n" STATUS_TEXT,
    .options = move_options,
    .run = slots_run_move,
};

/* ---- rebalance ---- */

static const struct command_option rebalance_options[] = {
    {"--by", NULL, "slots|keys|memory|ops", "what each master gets its share of (default slots)"},
    {"--over", NULL, "TIME", "with --by ops: how long the commands are watched (default 2s)"},
    {"--weight", NULL, "LIST", "NODE=NUMBER of some masters, separated by commas; 0 empties one (default 1 each)"},
    {"--threshold", NULL, "PERCENT", "nothing moves while nobody is further off its share (default 2)"},
    {"--skip-empty-masters", NULL, NULL, "masters without slots get none (default: they get their share)"},
    MOVER_OPTIONS,
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_slots_rebalance = {
    .name = "rebalance",
    .arguments = "",
    .summary = "Give every master its share of the slots, or of keys, memory or commands, with few slots moved.",
    .text = NODES_TEXT
    "\n"
    "Memory is what each node says of its data, dealt to its slots by a sample of the keys of each (an estimate: a "
    "huge\n"
    "key may be missed). Operations are the processor time of each slot's commands, watched for --over; a slot that "
    "is\n"
    "hotter than others by far goes first. Both are asked by CLUSTER SLOT-STATS, which noded, valkey from 8 and redis\n"
    "from 8.2 on answer (there with cluster-slot-stats-enabled yes). Of other nodes memory is dealt by the number of\n"
    "keys, and operations are their commands a second, dealt evenly; the plan says what it went by.\n"
    "Masters that have no slots yet take part (what redis-cli calls --cluster-use-empty-masters).\n"
    "Several pairs of masters go side by side; a master gives to one at a time, and takes from two.\n"
    "\n"
    "Slots that are on their way already, after an interrupt or a crash, are finished first.\n"
    "\n"
    "Example:\n"
    "  nodectl slots rebalance --dry-run\n"
    "  nodectl slots rebalance --by ops --over 30s\n"
    "  nodectl slots rebalance --by memory --weight 127.0.0.1:7003=2 --rate 50mb --yes\n"
    "\n" STATUS_TEXT,
    .options = rebalance_options,
    .run = slots_run_rebalance,
};

/* ---- check ---- */

static const struct command_option check_options[] = {
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_slots_check = {
    .name = "check",
    .arguments = "",
    .summary = "Find what is wrong with the slots and nodes of a cluster; each finding says what to do.",
    .text = NODES_TEXT
    "\n"
    "Found are: nodes that do not answer, are failed, known to some only, or without an address; views that differ;\n"
    "slots that are nobody's or open; keys in slots of others, in all databases; migrations that hang or wait;\n"
    "masters without replicas, or with all of them on their own host; config epochs that collide; numbers and\n"
    "mappings of databases and libraries of functions that differ; masters without a lease. Each has a code that\n"
    "stays (slots-uncovered), so that scripts can look for it.\n"
    "\n"
    "Example:\n"
    "  nodectl slots check\n"
    "  nodectl slots check -o json\n"
    "\n"
    "Exit status: 0 clean (notes do not count); 1 there are findings; 2 the command line or the configuration file is\n"
    "wrong; 3 no node can be asked.",
    .options = check_options,
    .run = slots_run_check,
};

/* ---- fix ---- */

static const struct command_option fix_options[] = {
    {"--give-up-keys", NULL, NULL, "slots of masters that are lost with all replicas go to others, without their keys"},
    {"--confirm", NULL, "NAME", "the fleet or the first seed, said again: needed with --yes --give-up-keys"},
    MOVER_OPTIONS,
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_slots_fix = {
    .name = "fix",
    .arguments = "",
    .summary = "Mend slots: show what would be done, ask, and do what needs no guess.",
    .text = NODES_TEXT
    "\n"
    "Open slots are finished where keys are at their target already, and else taken back; keys in slots of others, "
    "and\n"
    "in slots that their owner does not send there, are brought to their masters; slots of nobody go to the master\n"
    "that alone has keys of them, or, where nobody has any,\n"
    "to the one with the fewest slots. All databases count. Nodes that some know and others do not are met again "
    "where\n"
    "they answer and belong to the cluster (with slots that are nobody else's, or as replica of such a master, or "
    "known\n"
    "to most); those that are gone, have no slots and no replicas are forgotten by all; so are handshakes with "
    "nobody.\n"
    "Where data could be lost (two masters have keys of a slot of nobody's, a node that may have some does not answer, "
    "a\n"
    "key has two values and --owner-wins is not given, a node that would be met claims slots of others), or where it "
    "cannot be told what was meant,\n"
    "nothing is done, and it says what you must decide. So it is with the slots of a master that does not answer and\n"
    "has no replica that does: --give-up-keys gives them to the others, and their keys are lost.\n"
    "\n"
    "Example:\n"
    "  nodectl slots fix --dry-run\n"
    "  nodectl slots fix --yes\n"
    "\n" STATUS_TEXT,
    .options = fix_options,
    .run = slots_run_fix,
};

static const struct command *const commands[] = {
    &command_slots_show, &command_slots_move, &command_slots_rebalance, &command_slots_check, &command_slots_fix, NULL,
};

const struct command command_slots = {
    .name = "slots",
    .summary = "Slots of a cluster: show, move, even out, check and mend them.",
    .commands = commands,
};
