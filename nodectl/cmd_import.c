/* nodectl import: data of other servers, live or from files. */
#include "nodectl/tree.h"

#include "nodectl/asking.h"
#include "nodectl/change.h"
#include "nodectl/import/verbs.h"

static const struct command_option from_options[] = {
    {"--cut-over", NULL, "now|ask|never", "now: when all is copied; ask: when it is typed; never: follow until Ctrl-C"},
    {"--replace", NULL, NULL, "the target may hold keys: all of them are deleted first"},
    {"--confirm", NULL, "NAME", "the target, said again: needed with --yes --replace"},
    {"--no-check", NULL, NULL, "do not compare keys and digests at the end, while writers wait"},
    {"--leave-source", NULL, NULL, "let the source take writes again after the cut-over"},
    {"--source-user", NULL, "NAME", "user at the source; the password is in NODECTL_SOURCE_PASSWORD"},
    {"--source-password-file", NULL, "FILE", "its first line is the password at the source"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_import_from = {
    .name = "from",
    .arguments = "ADDRESS",
    .summary =
        "Take over a live server, a replica set or a cluster with all databases, and follow it until the cut-over.",
    .text =
        "ADDRESS is host:port of a redis-server, valkey-server or noded; a replica stands for its master, a node of a\n"
        "cluster for all masters of it. nodectl attaches as a replica does, so nothing is to be set up at the source:\n"
        "the snapshot is copied, then what is written is copied anew, key by key, until the cut-over. At the cut-over\n"
        "writers wait (CLIENT PAUSE WRITE), the rest is copied, keys and digests of every database are compared, and\n"
        "then the source refuses writes (min-replicas-to-write), so that no client goes on there unnoticed.\n"
        "Writers wait for five seconds at a time, which is said anew every second: so long they wait if nodectl is\n"
        "killed then. Until the end the source's repl-diskless-sync-delay is 0, that nobody waits for a snapshot.\n"
        "A source that exchanges databases (SWAPDB) is copied from the beginning again. If it ends early, the source\n"
        "is as it was; the same command with --replace begins anew. With --replace the source is read once to its end\n"
        "before anything is deleted. On a terminal the cut-over is asked for; elsewhere, and with --yes, it comes "
        "when\n"
        "all is copied. A source that is the target itself, under whatever address, is refused.\n"
        "\n"
        "Exit status: 0 cut over, and both sides were equal; 1 it failed, or they were not; 2 the command line is "
        "wrong;\n"
        "3 no node of the target can be asked; 130 interrupted.\n"
        "\n"
        "Example:\n"
        "  nodectl --fleet orders import from 10.0.0.5:6379",
    .options = from_options,
    .min_args = 1,
    .max_args = 1,
    .run = import_from,
};

static const struct command_option file_options[] = {
    {"--replace", NULL, NULL, "the target may hold keys: all of them are deleted first"},
    {"--confirm", NULL, "NAME", "the target, said again: needed with --yes --replace"},
    {"--no-check", NULL, NULL, "do not compare keys and digests at the end"},
    CHANGE_OPTIONS,
    ASKING_OPTIONS,
    ASKING_NODES_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

static const struct command command_import_file = {
    .name = "file",
    .arguments = "PATH...",
    .summary = "Bring RDB and append-only files of Redis, Valkey or noded into a cluster, with all databases.",
    .text =
        "PATH is an RDB file, an append-only file, a folder of append-only files (appendonlydir), or the data folder "
        "of a\n"
        "server; several, when a cluster's data is in several. The noded that lies beside nodectl reads them, on this\n"
        "host alone and on copies of what it might write to (in TMPDIR), so there must be memory for them. For what\n"
        "nodectl backup has made there is nodectl backup restore.\n"
        "\n"
        "Exit status: 0 all is in the target, and was compared; 1 it failed, or the two differ; 2 the command line is\n"
        "wrong; 3 no node of the target can be asked; 130 interrupted.\n"
        "\n"
        "Example:\n"
        "  nodectl --fleet orders import file /var/lib/redis/dump.rdb",
    .options = file_options,
    .min_args = 1,
    .max_args = -1,
    .run = import_file,
};

static const struct command *const commands[] = {&command_import_file, &command_import_from, NULL};

const struct command command_import = {
    .name = "import",
    .arguments = "",
    .summary = "Bring data of other servers into a cluster: live, or from RDB and AOF files.",
    .commands = commands,
};
