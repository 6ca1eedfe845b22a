/* nodectl fleet create: what is wished, what is there already, and which way leads from one to the other. */
#include "nodectl/local/create.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/file.h"
#include "nodectl/duration.h"
#include "nodectl/local/fleet_commands.h"
#include "nodectl/local/registry.h"
#include "nodectl/local/units.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MS 60000
#define ANSWER_MS 2000
#define DOWN_AFTER_MS 2000

/* ---- the wish ---- */

static int number(const struct command_call *call, const char *option, int low, int high, int absent, int *out)
{
    const char *text = command_value(call, option);
    int64_t value = absent;
    if (text != NULL && !text_range(slice_of(text), low, high, &value))
        return command_fail(call, EXIT_USAGE, "%s is '%s', but must be a number from %d to %d", option, text, low,
                            high);
    *out = (int)value;
    return EXIT_OK;
}

static int read_name(const struct command_call *call, struct create_wish *w)
{
    w->name = call->argc > 0 ? call->argv[0] : command_value(call, "--fleet");
    if (w->name == NULL)
        return command_fail(call, EXIT_USAGE, "the fleet needs a name: nodectl fleet create NAME");
    if (!layout_name_is_good(w->name))
        return command_fail(call, EXIT_USAGE,
                            "'%s' is no name for a fleet: letters and digits, with - _ . inside, 64 at most", w->name);
    return EXIT_OK;
}

static int read_runner(const struct command_call *call, struct create_wish *w)
{
    bool system = command_value(call, "--systemd") != NULL, user = command_value(call, "--systemd-user") != NULL;
    const char *run_as = command_value(call, "--run-as");
    w->runner = system ? RUN_BY_SYSTEMD : user ? RUN_BY_USER_SYSTEMD : RUN_BY_NODECTL;
    w->run_as = run_as != NULL ? run_as : "";
    if (system && user)
        return command_fail(call, EXIT_USAGE, "--systemd and --systemd-user exclude each other");
    if (system && run_as == NULL)
        return command_fail(call, EXIT_USAGE, "--systemd needs --run-as USER: the processes are not to run as root");
    if (!system && run_as != NULL)
        return command_fail(call, EXIT_USAGE, "--run-as is for --systemd; others run as you");
    return EXIT_OK;
}

/* Where it is, unless the operator says it. */
static int read_dir(const struct command_call *call, struct create_wish *w)
{
    const char *given = command_value(call, "--dir"), *home = getenv("HOME");
    struct buf path = {0};
    if (given != NULL)
        buf_puts(&path, given);
    else if (w->runner == RUN_BY_SYSTEMD)
        buf_printf(&path, "/var/lib/nodectl/%s", w->name);
    else if (home != NULL && home[0] != '\0')
        buf_printf(&path, "%s/.local/share/nodectl/%s", home, w->name);
    w->dir = path.n > 0 ? io_path_absolute(buf_str(&path)) : NULL;
    buf_free(&path);
    return w->dir != NULL ? EXIT_OK : command_fail(call, EXIT_USAGE, "HOME is not set: name the folder by --dir");
}

static int check_hosts(const struct command_call *call, const char *text)
{
    struct hosts hosts;
    struct buf why = {0};
    bool right = hosts_read(&hosts, text, &why);
    if (!right)
        command_fail_lines(call, buf_slice(&why));
    hosts_free(&hosts);
    buf_free(&why);
    return right ? EXIT_OK : EXIT_USAGE;
}

static int read_wish(const struct command_call *call, struct create *c)
{
    struct create_wish *w = &c->wish;
    const char *down = command_value(call, "--down-after");
    int code = read_name(call, w);
    w->down_after_ms = DOWN_AFTER_MS;
    w->hosts = command_value(call, "--hosts");
    w->nodes = command_value(call, "--nodes");
    w->listed = command_value(call, "--supervisor");
    code = code != EXIT_OK ? code : number(call, "--shards", 1, 1000, 3, &w->shards);
    code = code != EXIT_OK ? code : number(call, "--replicas", 0, 100, 1, &w->replicas);
    code = code != EXIT_OK ? code : number(call, "--supervisors", 0, 99, 3, &w->supervisors);
    code = code != EXIT_OK ? code : number(call, "--port", 1, 55535, 0, &w->port);
    code = code != EXIT_OK ? code : read_runner(call, w);
    code = code != EXIT_OK ? code : read_dir(call, w);
    if (code == EXIT_OK && down != NULL && !duration_parse(down, 100, 3600000, &w->down_after_ms))
        code = command_fail(call, EXIT_USAGE,
                            "--down-after is '%s', but must be a time from 100ms to 1h, as 500ms or 2s", down);
    if (code == EXIT_OK && w->hosts != NULL)
        code = check_hosts(call, w->hosts);
    if (code == EXIT_OK && w->nodes == NULL && command_value(call, "--node-user") != NULL)
        code = command_fail(call, EXIT_USAGE,
                            "--node-user is for --nodes: nodes that are made have no user but default");
    if (code == EXIT_OK && w->listed != NULL && w->nodes == NULL)
        code = command_fail(call, EXIT_USAGE, "--supervisor is for --nodes: a fleet that is made here gets its own");
    return code;
}

static char *absolute(const char *path)
{
    return path != NULL ? io_path_absolute(path) : NULL;
}

static int read_asking(const struct command_call *call, struct create *c)
{
    int code = asking_read_format(call, &c->asking);
    c->wish.limit_ms = command_value(call, "--timeout") != NULL ? c->asking.timeout_ms : LIMIT_MS;
    c->asking.timeout_ms = ANSWER_MS;
    c->asking.targets.password_file = absolute(command_value(call, "--password-file"));
    c->asking.targets.node_password_file = absolute(command_value(call, "--node-password-file"));
    return code == EXIT_OK ? asking_read_logins(call, &c->asking) : code;
}

/* ---- what is there ---- */

/* One that was begun has to be the same. */
static bool is_as_wished(const struct create *c, struct buf *why)
{
    const struct layout *l = &c->layout;
    const struct create_wish *w = &c->wish;
    if (strcmp(l->name, w->name) != 0)
        buf_printf(why, "%s is the folder of fleet %s: give another one by --dir", l->dir, l->name);
    else if (l->shards != w->shards || l->replicas != w->replicas || l->supervisors != w->supervisors ||
             l->runner != w->runner)
        buf_printf(why,
                   "fleet %s was begun in %s with --shards %d --replicas %d --supervisors %d: give the same to go on, "
                   "or take it away by nodectl fleet destroy %s",
                   l->name, l->dir, l->shards, l->replicas, l->supervisors, l->name);
    return why->n == 0;
}

static bool take_recorded(struct create *c, const struct targets *found, struct buf *why)
{
    bool same = found->dir == NULL || command_value(c->call, "--dir") == NULL || strcmp(found->dir, c->wish.dir) == 0;
    c->recorded = found->fleet != NULL;
    if (found->fleet == NULL)
        return true;
    if (found->dir == NULL || !same) {
        buf_printf(why, "fleet %s is recorded in %s already%s%s: give another name", c->wish.name, c->registry,
                   found->dir != NULL ? ", in " : "", found->dir != NULL ? found->dir : "");
        return false;
    }
    free(c->wish.dir);
    c->wish.dir = mem_strdup(found->dir);
    return true;
}

/* What was begun is read, what is new is planned. */
static bool find_layout(struct create *c, const struct targets *recorded, struct buf *why)
{
    if (!take_recorded(c, recorded, why))
        return false;
    c->planned = !layout_is_there(c->wish.dir);
    if (c->planned)
        return create_plan_layout(c, why);
    if (!layout_load(&c->layout, c->wish.dir, why) || !is_as_wished(c, why))
        return false;
    if (c->layout.complete && c->recorded) {
        buf_printf(why, "fleet %s exists already, in %s. nodectl fleet start %s starts what of it does not run",
                   c->wish.name, c->layout.dir, c->wish.name);
        return false;
    }
    return true;
}

static int create(struct create *c)
{
    struct buf why = {0};
    struct targets recorded = {0};
    int code = EXIT_OK;
    if (c->wish.nodes != NULL)
        return create_joined(c);
    if (!registry_find(c->registry, c->wish.name, &recorded, &why))
        code = EXIT_USAGE;
    else if ((c->wish.runner != RUN_BY_NODECTL && !units_can(c->wish.runner, &why)) || !find_layout(c, &recorded, &why))
        code = EXIT_FAILED;
    if (code != EXIT_OK)
        command_fail_lines(c->call, buf_slice(&why));
    targets_free(&recorded);
    buf_free(&why);
    return code == EXIT_OK ? create_fleet(c) : code;
}

static int run(const struct command_call *call)
{
    struct create c = {.call = call, .lock = -1, .begun_ms = fleet_now_ms()};
    int code = read_wish(call, &c);
    if (code == EXIT_OK)
        code = read_asking(call, &c);
    c.registry = registry_path(command_value(call, "--config"));
    if (code == EXIT_OK && c.registry == NULL)
        code = command_fail(call, EXIT_USAGE, "HOME is not set: name the file where fleets are recorded by --config");
    if (code == EXIT_OK)
        code = create(&c);
    if (c.lock >= 0)
        close(c.lock);
    ports_free(&c.ports);
    layout_free(&c.layout);
    asking_free(&c.asking);
    free(c.registry);
    free(c.wish.dir);
    return code;
}

static const struct command_option options[] = {
    {"--shards", NULL, "N", "how many shards (default 3)"},
    {"--replicas", NULL, "R", "replicas of each master (default 1)"},
    {"--supervisors", NULL, "N", "supervisors; 0: the nodes elect by themselves, without leases (default 3)"},
    {"--dir", NULL, "DIR", "folder for all of it (default ~/.local/share/nodectl/NAME)"},
    {"--port", NULL, "PORT", "first port; the others follow (default: free ones from 7001 and 26379 on)"},
    {"--down-after", NULL, "TIME", "silence that counts as down (default 2s); a lease is half of it"},
    {"--hosts", NULL, "HOSTS", "hosts with their zones, \"host[:zone],...\", or a file with one on each line"},
    {"--nodes", NULL, "ADDRESS",
     "host:port of empty nodes that run already, separated by commas: only the cluster is made"},
    {"--supervisor", "-s", "ADDRESS", "with --nodes: host:port of supervisors that are to watch it"},
    {"--systemd", NULL, NULL, "systemd runs the processes, as units of the system"},
    {"--systemd-user", NULL, NULL, "systemd runs the processes, as units of yours"},
    {"--run-as", NULL, "USER", "with --systemd: the user of the processes"},
    {"--fleet", NULL, "NAME", "the name, where it is not given as an argument"},
    {"--config", "-c", "FILE", "where the fleet is recorded (default ~/.config/nodectl.conf)"},
    OUTPUT_OPTION,
    {"--password-file", NULL, "FILE", "its first line becomes the password at the supervisors"},
    ASKING_LOGIN_OPTIONS,
    {"--timeout", "-t", "TIME", "how long it may take (default 1m)"},
    CHANGE_OPTIONS,
    {NULL, NULL, NULL, NULL},
};

const struct command command_fleet_create = {
    .name = "create",
    .arguments = "NAME",
    .summary = "Make a fleet: nodes, a cluster of them, and supervisors with leases over it.",
    .text =
        "The noded and sentineld beside nodectl are started on this host, on free ports, each in a folder of its own\n"
        "below --dir, and live on when nodectl ends. The fleet is recorded, so that --fleet NAME means it from then "
        "on.\n"
        "It returns when all is well: every slot covered, every master leased, all supervisors agreed. A creation "
        "that\n"
        "was cut short goes on when the same command is given again; nodectl fleet destroy takes away what there is.\n"
        "\n"
        "Over several hosts (--hosts) no shard has two nodes in one zone; a host without a zone is one by itself. The\n"
        "processes of this host are started; the folder is copied to the others, where nodectl fleet start --dir "
        "starts\n"
        "theirs; then the same command again makes the cluster.\n"
        "\n"
        "With --nodes a cluster is made of nodes that run already (noded, redis-server or valkey-server) and are "
        "empty;\n"
        "--hosts gives their zones. What the supervisors have to be told is printed.\n"
        "\n"
        "Passwords come from the first lines of files, and are written into the processes' configurations.\n"
        "\n"
        "Example:\n"
        "  nodectl fleet create orders --shards 3 --replicas 1\n"
        "  nodectl fleet create orders --hosts 10.0.0.1:a,10.0.0.2:b,10.0.0.3:c --dir /srv/orders\n"
        "\n"
        "Exit status: 0 done, or the plan was shown; 1 it failed, or was not confirmed; 2 the command line or a file "
        "that\n"
        "it names is wrong, or nobody can be asked and --yes is not given; 130 interrupted.",
    .options = options,
    .max_args = 1,
    .run = run,
};
