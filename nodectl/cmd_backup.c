/* nodectl backup: all databases of a whole cluster, kept in files. */
#include "nodectl/asking.h"
#include "nodectl/backup/verbs.h"
#include "nodectl/change.h"
#include "nodectl/tree.h"

#define NODES_TEXT                                                                                             \
    "The nodes are found through --seeds, or the fleet that --fleet names, or the supervisors. Nodes of any\n" \
    "cluster answer: noded, redis-server, valkey-server.\n"

#define END_OF_OPTIONS          \
    {                           \
        NULL, NULL, NULL, NULL, \
    }

static const struct command_option create_options[] = {
    {"--to", NULL, "DIR", "where the backup's folder is made (default: here)"},
    {"--parallel", NULL, "N", "snapshots that are taken at a time (default 4)"},
    {"--dry-run", NULL, NULL, "show from where the snapshots would be taken, and do nothing"},
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    END_OF_OPTIONS,
};

static const struct command command_backup_create = {
    .name = "create",
    .arguments = "",
    .summary = "Save all databases of all shards: a snapshot of each shard, and a manifest with checksums.",
    .text = NODES_TEXT
    "\n"
    "Each shard is saved as it was at one moment, with all that was acknowledged before the command began: a replica\n"
    "that is in step gives the snapshot, else the master, over the network, as a replica gets it. When slots move,\n"
    "masters change or databases are swapped meanwhile, the snapshots are taken again. Shards are not of the same\n"
    "moment. Snapshots are read while they come; what cannot be read (streams, functions, modules) ends the backup.\n"
    "\n"
    "The backup is a folder NAME-TIME with an RDB file for each shard and manifest.json. While it is made its name\n"
    "ends with .partial, so one that was cut short is never taken for a whole one.\n"
    "\n"
    "Example:\n"
    "  nodectl --fleet orders backup create --to /var/backups\n"
    "\n"
    "Exit status: 0 the backup is whole and on the disk; 1 there is none, for the reason on standard error; 2 the\n"
    "command line or the configuration file is wrong; 3 nobody can be asked; 130 it was interrupted.",
    .options = create_options,
    .run = backup_create,
};

static const struct command_option file_options[] = {
    OUTPUT_OPTION,
    END_OF_OPTIONS,
};

static const struct command command_backup_list = {
    .name = "list",
    .arguments = "[DIR]",
    .summary = "Show the backups in a folder.",
    .text =
        "Whole ones, ones that were cut short, and ones that lack a file or have a file of another length. The files\n"
        "themselves are not read: nodectl backup verify does that.\n"
        "\n"
        "Example:\n"
        "  nodectl backup list /var/backups\n"
        "\n"
        "Exit status: 0 all that is there is whole; 1 something is not, or the folder cannot be read; 2 the command\n"
        "line is wrong.",
    .options = file_options,
    .max_args = 1,
    .run = backup_list,
};

static const struct command command_backup_verify = {
    .name = "verify",
    .arguments = "BACKUP",
    .summary = "Read a backup, and compare every byte and every key with its manifest.",
    .text =
        "Checksums of the manifest and of each file, the structure of each file with its own checksum, the number of\n"
        "keys of each database, and that every key is in a slot of its shard.\n"
        "\n"
        "Example:\n"
        "  nodectl backup verify /var/backups/orders-20260102T030405Z\n"
        "\n"
        "Exit status: 0 it is whole; 1 it is not, or cannot be read; 2 the command line is wrong; 130 interrupted.",
    .options = file_options,
    .min_args = 1,
    .max_args = 1,
    .run = backup_verify,
};

static const struct command_option restore_options[] = {
    {"--to", NULL, "FLEET", "the fleet that gets the keys; the same as --fleet"},
    {"--databases", NULL, "LIST", "only these databases: 0,3,15"},
    {"--replace", NULL, NULL, "the target is not empty: replace keys of the same name, leave the others"},
    {"--flush", NULL, NULL, "the target is not empty: delete its keys first"},
    {"--confirm", NULL, "NAME", "the target, said again: needed with --yes --flush"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    END_OF_OPTIONS,
};

static const struct command command_backup_restore = {
    .name = "restore",
    .arguments = "BACKUP",
    .summary = "Put the keys of a backup into a cluster: show the plan, ask, act.",
    .text = NODES_TEXT
    "\n"
    "The cluster may have other shards, and as many as it likes: each key goes to the master that owns its slot, also\n"
    "while slots move. Keys keep the moment at which they expire; those whose moment is over are left out. A target\n"
    "with keys is refused, unless --replace or --flush says what becomes of them. The files are checked first. What\n"
    "was interrupted is begun anew with --replace.\n"
    "\n"
    "Example:\n"
    "  nodectl backup restore /var/backups/orders-20260102T030405Z --to orders-test\n"
    "\n"
    "Exit status: 0 every key is restored, or the plan was shown; 1 it failed, was refused or not confirmed; 2 the\n"
    "command line or the configuration file is wrong, or nobody can be asked and --yes is not given; 3 nobody\n"
    "answers; 130 it was interrupted.",
    .options = restore_options,
    .min_args = 1,
    .max_args = 1,
    .run = backup_restore,
};

static const struct command *const commands[] = {
    &command_backup_create, &command_backup_list, &command_backup_restore, &command_backup_verify, NULL,
};

const struct command command_backup = {
    .name = "backup",
    .summary = "Backups of a whole cluster: create, list, verify, restore.",
    .commands = commands,
};
