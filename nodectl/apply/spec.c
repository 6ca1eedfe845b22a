#include "nodectl/apply/spec.h"

#include "common/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS_MAX 1000
#define REPLICAS_MAX 20
#define DATABASES_MAX 16384

/* noded's names have hyphens, which libconfig's have too; whoever is used to noded.conf writes underscores. */
static char *option_name(const char *name)
{
    char *own = mem_strdup(name);
    for (char *c = own; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
    return own;
}

static char *option_value(const config_setting_t *s)
{
    char number[32];
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_STRING: return mem_strdup(config_setting_get_string(s));
    case CONFIG_TYPE_BOOL: return mem_strdup(config_setting_get_bool(s) ? "yes" : "no");
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        snprintf(number, sizeof number, "%lld", config_setting_get_int64(s));
        return mem_strdup(number);
    default: return NULL;
    }
}

/* What says who and where a node is, and where its data are: never the same for all of a fleet. */
static bool is_own(const char *name)
{
    static const char *const names[] = {"bind",
                                        "bind-source-addr",
                                        "port",
                                        "unixsocket",
                                        "dir",
                                        "dbfilename",
                                        "appenddirname",
                                        "appendfilename",
                                        "logfile",
                                        "pidfile",
                                        "replicaof",
                                        "slaveof",
                                        "cluster-port",
                                        "cluster-config-file",
                                        "tls-port",
                                        "cluster-enabled",
                                        "tls-cluster",
                                        "daemonize",
                                        "rename-command",
                                        "syslog-ident",
                                        "replica-announce-ip",
                                        "replica-announce-port",
                                        "aclfile"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "cluster-announce-", 17) == 0;
}

static bool is_for_all(struct conf_reader *r, const config_setting_t *at, const char *name)
{
    if (strcmp(name, "databases") == 0 || strcmp(name, "cluster-databases") == 0)
        conf_problem(r->problems, at, NULL, "say databases = N; beside options");
    else if (is_own(name))
        conf_problem(r->problems, at, NULL, "is not the same for all nodes: each has it in its configuration file");
    else
        return true;
    return false;
}

static void read_options(struct conf_reader *r, const config_setting_t *group, void *target)
{
    struct spec *s = target;
    if (!config_setting_is_group(group)) {
        conf_problem(r->problems, group, NULL, "must be a group: { maxmemory = \"1gb\"; }");
        return;
    }
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *one = config_setting_get_elem(group, (unsigned)i);
        char *value = option_value(one), *name = option_name(config_setting_name(one));
        if (value == NULL)
            conf_problem(r->problems, one, NULL, "must be a string, a number, true or false");
        if (value == NULL || !is_for_all(r, one, name)) {
            free(value);
            free(name);
            continue;
        }
        s->options = mem_array(s->options, s->noptions + 1, sizeof *s->options);
        s->options[s->noptions++] = (struct spec_option){name, value};
    }
}

static const struct conf_key keys[] = {
    CONF_ROW_STRING("name", offsetof(struct spec, name), 1, 255, "of the fleet, and of its cluster"),
    CONF_ROW_INT("shards", offsetof(struct spec, shards), 1, SHARDS_MAX, "masters with slots"),
    CONF_ROW_INT("replicas", offsetof(struct spec, replicas), 0, REPLICAS_MAX, "of each shard"),
    CONF_ROW_INT("databases", offsetof(struct spec, databases), 1, DATABASES_MAX, "that can be selected"),
    CONF_ROW_EACH("options", CONF_OTHER, read_options, "settings of the nodes"),
    CONF_ROW_LIST("spare", CONF_ADDRESSES, offsetof(struct spec, spare), 0, "empty nodes that run"),
    {.name = NULL},
};

bool spec_load(struct spec *s, const char *path, struct conf_problems *problems)
{
    *s = (struct spec){.name = NULL};
    struct conf_file *f = conf_load(path, problems);
    if (f == NULL)
        return false;
    struct conf_reader r = {.problems = problems};
    uint64_t given = conf_read(&r, conf_root(f), keys, s);
    for (unsigned i = 0; i < 3; i++)
        if (!(given & (UINT64_C(1) << i)))
            conf_problem(problems, conf_root(f), keys[i].name, "is missing");
    conf_free(f);
    return problems->count == 0;
}

void spec_free(struct spec *s)
{
    for (size_t i = 0; i < s->noptions; i++) {
        free(s->options[i].name);
        free(s->options[i].value);
    }
    free(s->options);
    free(s->name);
    conf_addresses_free(&s->spare);
    *s = (struct spec){.name = NULL};
}
