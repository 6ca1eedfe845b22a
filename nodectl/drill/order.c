#include "nodectl/drill/order.h"

#include "common/base/addr.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/conf.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN_FILE "/.config/nodectl-drills.conf"
#define SYSTEM_FILE "/etc/sentineld/drills.conf"
#define DAY_MS 86400000

#define NAME(id, name, deed, part, text) [DRILL_##id] = (name),
static const char *const names[] = {DRILL_TABLE(NAME)[DRILL_RANDOM] = "random", [DRILL_KINDS] = NULL};

void order_free(struct drill_order *o)
{
    free(o->name);
    free(o->cluster);
    free(o->group);
    free(o->shard);
    free(o->node);
    free(o->harm_command);
    free(o->heal_command);
    free(o->node_user);
    free(o->node_password);
    *o = (struct drill_order){0};
}

static struct drill_order defaults(enum drill_kind kind)
{
    return (struct drill_order){.kind = kind,
                                .max_outage_ms = -1,
                                .max_bystander_ms = ORDER_UNNOTICED_MS,
                                .max_time_s = 60,
                                .hold_ms = 1000,
                                .stale_ms = 1000,
                                .client_timeout_ms = 200,
                                .every_ms = 10,
                                .seed = -1,
                                .restore_roles = true};
}

#define AT(member) offsetof(struct drill_order, member)
static const struct conf_key drill_keys[] = {
    CONF_ROW_STRING("name", AT(name), 1, 64, "name for nodectl drill run"),
    CONF_ROW_WORD("kind", AT(kind), names, "what it does: the name of a built-in drill"),
    CONF_ROW_STRING("cluster", AT(cluster), 1, 255, "the cluster"),
    CONF_ROW_STRING("group", AT(group), 1, 255, "a group that is no cluster"),
    CONF_ROW_STRING("shard", AT(shard), 1, 255, "the shard; absent: one is drawn"),
    CONF_ROW_STRING("node", AT(node), 1, 255, "host:port of the node or supervisor; absent: one is drawn"),
    CONF_ROW_STRING("harm_command", AT(harm_command), 1, 4096, "run by /bin/sh instead of a signal"),
    CONF_ROW_STRING("heal_command", AT(heal_command), 1, 4096, "run by /bin/sh on the way back"),
    CONF_ROW_STRING("node_user", AT(node_user), 1, 255, "user at the nodes"),
    CONF_ROW_STRING("node_password", AT(node_password), 1, 1024, "password at the nodes"),
    CONF_ROW_INT("max_outage_ms", AT(max_outage_ms), 0, DAY_MS, "objective: time without an acknowledged write"),
    CONF_ROW_INT("max_bystander_ms", AT(max_bystander_ms), 0, DAY_MS, "objective: the same in another shard"),
    CONF_ROW_INT("max_lost", AT(max_lost), 0, INT32_MAX, "objective: acknowledged writes that may be lost"),
    CONF_ROW_INT("max_time_s", AT(max_time_s), 1, 86400, "then the way back begins"),
    CONF_ROW_INT("hold_ms", AT(hold_ms), 0, DAY_MS, "how long the harm lasts after it was noticed"),
    CONF_ROW_INT("stale_ms", AT(stale_ms), 0, DAY_MS, "a read that is older than this is stale"),
    CONF_ROW_INT("client_timeout_ms", AT(client_timeout_ms), 1, 60000, "when a client takes a node for dead"),
    CONF_ROW_INT("every_ms", AT(every_ms), 1, 60000, "between two writes in a database"),
    CONF_ROW_INT("databases", AT(databases), 0, ORDER_DATABASES_MAX,
                 "how many get canaries; 0: all that the nodes have"),
    CONF_ROW_BOOL("restore_roles", AT(restore_roles), "the old master becomes master again"),
    {.name = NULL},
};

struct orders {
    struct drill_order *v;
    size_t n;
};

static struct drill_order *add(struct orders *o)
{
    o->v = mem_array(o->v, o->n + 1, sizeof *o->v);
    return &o->v[o->n++];
}

static bool is_taken(const struct orders *o, const char *name)
{
    for (size_t i = 0; i + 1 < o->n; i++)
        if (strcmp(o->v[i].name, name) == 0)
            return true;
    return false;
}

static void read_drill(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct drill_order *d = add(r->context);
    (void)target;
    *d = defaults(DRILL_KINDS);
    conf_read(r, element, drill_keys, d);
    if (d->name == NULL) {
        conf_problem(r->problems, element, "name", "is missing");
        d->name = mem_strdup("?");
    } else if (is_taken(r->context, d->name)) {
        conf_problem(r->problems, element, "name", "there is a drill '%s' already", d->name);
    }
    if (d->kind == DRILL_KINDS)
        conf_problem(r->problems, element, "kind", "is missing: one of " DRILL_WORDS);
    if ((d->harm_command == NULL) != (d->heal_command == NULL))
        conf_problem(r->problems, element, "harm_command", "harm_command and heal_command go together");
    if (d->cluster != NULL && d->group != NULL)
        conf_problem(r->problems, element, "group", "a drill is about a cluster or about a group");
}

static const struct conf_key file_keys[] = {
    CONF_ROW_EACH("drills", CONF_LIST, read_drill, "drills by name"),
    {.name = NULL},
};

static bool read_file(const char *path, struct orders *o, struct buf *error)
{
    struct conf_problems problems = {0};
    struct conf_file *file = conf_load(path, &problems);
    if (file != NULL) {
        struct conf_reader r = {.problems = &problems, .context = o};
        conf_read(&r, conf_root(file), file_keys, o);
        conf_free(file);
    }
    buf_put(error, problems.text.p, problems.text.n);
    buf_free(&problems.text);
    return file != NULL && problems.count == 0;
}

bool orders_read(const char *file, struct drill_order **list, size_t *count, struct buf *error)
{
    struct orders o = {0};
    struct buf own = {0};
    const char *home = getenv("HOME");
    for (int k = 0; k < DRILL_KINDS; k++) {
        struct drill_order *d = add(&o);
        *d = defaults((enum drill_kind)k);
        d->name = mem_strdup(names[k]);
    }
    buf_printf(&own, "%s" OWN_FILE, home != NULL ? home : "");
    if (file == NULL && home != NULL && access(buf_str(&own), F_OK) == 0)
        file = buf_str(&own);
    if (file == NULL && access(SYSTEM_FILE, F_OK) == 0)
        file = SYSTEM_FILE;
    bool ok = file == NULL || read_file(file, &o, error);
    buf_free(&own);
    *list = o.v;
    *count = o.n;
    return ok;
}

/* ---- the command line ---- */

static const struct {
    const char *option;
    size_t at;
    int64_t min, max;
} numbers[] = {
    {"--seed", AT(seed), 0, INT64_MAX},         {"--max-outage-ms", AT(max_outage_ms), 0, DAY_MS},
    {"--max-lost", AT(max_lost), 0, INT32_MAX}, {"--max-time-s", AT(max_time_s), 1, 86400},
    {"--hold-ms", AT(hold_ms), 0, DAY_MS},      {"--max-bystander-ms", AT(max_bystander_ms), 0, DAY_MS},
};

static const struct {
    const char *option;
    size_t at;
} words[] = {
    {"--cluster", AT(cluster)},
    {"--group", AT(group)},
    {"--shard", AT(shard)},
    {"--node", AT(node)},
};

static void set(char **to, const char *value)
{
    free(*to);
    *to = mem_strdup(value);
}

static void unset(char **to)
{
    free(*to);
    *to = NULL;
}

int order_options(const struct command_call *call, const struct asking *a, struct drill_order *o)
{
    const char *cluster = command_value(call, "--cluster");
    if (a->node_user[0] != '\0')
        set(&o->node_user, a->node_user);
    if (a->node_password[0] != '\0')
        set(&o->node_password, a->node_password);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const char *value = command_value(call, numbers[i].option);
        int64_t *to = (int64_t *)(void *)((char *)o + numbers[i].at);
        if (value != NULL && !text_range(slice_of(value), numbers[i].min, numbers[i].max, to))
            return command_fail(call, EXIT_USAGE, "%s is '%s', but must be a number from %lld to %lld",
                                numbers[i].option, value, (long long)numbers[i].min, (long long)numbers[i].max);
    }
    if (cluster != NULL && command_value(call, "--group") != NULL)
        return command_fail(call, EXIT_USAGE, "--cluster and --group: a drill is about one of them");
    if (cluster != NULL)
        unset(&o->group);
    if (command_value(call, "--group") != NULL)
        unset(&o->cluster);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (command_value(call, words[i].option) != NULL)
            set((char **)(void *)((char *)o + words[i].at), command_value(call, words[i].option));
    if (o->group != NULL && o->shard != NULL)
        return command_fail(call, EXIT_USAGE, "--shard is of a cluster, and %s is a group", o->group);
    if (command_value(call, "--no-restore-roles") != NULL)
        o->restore_roles = false;
    if (o->node != NULL && !addr_parse(slice_of(o->node), &(struct addr){0}))
        return command_fail(call, EXIT_USAGE, "--node is '%s', but must be host:port", o->node);
    if (o->node_user != NULL && o->node_password == NULL)
        return command_fail(
            call, EXIT_USAGE,
            "node_user needs a password: node_password, --node-password-file, or NODECTL_NODE_PASSWORD");
    return EXIT_OK;
}
