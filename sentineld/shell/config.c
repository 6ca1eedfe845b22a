#include "sentineld/shell/config.h"

#include "common/base/mem.h"
#include "common/io/file.h"
#include "sentineld/shell/config_inner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct sentineld_config, member)

static void read_user(struct conf_reader *r, const config_setting_t *element, void *target);
static void read_id(struct conf_reader *r, const config_setting_t *s, void *target);

/* In the order of enum io_log_level. */
static const char *const level_words[] = {"debug", "verbose", "notice", "warning", NULL};
static const char *const access_words[] = {"all", "read", NULL};

static const struct conf_key announce_keys[] = {
    CONF_ROW_STRING("host", AT(announce.host) - AT(announce), 0, ADDR_HOST_MAX,
                    "the address that peers and clients are told; empty: found out"),
    CONF_ROW_INT("port", AT(announce.port) - AT(announce), 0, 65535,
                 "the port that peers and clients are told; 0: the one listened on"),
    {.name = NULL},
};

static const struct conf_key log_keys[] = {
    CONF_ROW_WORD("level", AT(log.level) - AT(log), level_words, "what is logged: this and all above"),
    CONF_ROW_STRING("file", AT(log.file) - AT(log), 0, CONFIG_PATH_MAX, "the log's path; empty: standard error"),
    {.name = NULL},
};

static const struct conf_key defaults_keys[] = {
    CONF_ROW_INT("quorum", AT(defaults.quorum) - AT(defaults), 1, INT32_MAX, "supervisors that must see a master down"),
    CONF_ROW_INT("down_after_ms", AT(defaults.down_after_ms) - AT(defaults), 1, CONFIG_MS_MAX,
                 "milliseconds of silence until an instance counts as down"),
    CONF_ROW_INT("failover_timeout_ms", AT(defaults.failover_timeout_ms) - AT(defaults), 1, CONFIG_MS_MAX,
                 "milliseconds a failover may take"),
    CONF_ROW_INT("parallel_syncs", AT(defaults.parallel_syncs) - AT(defaults), 1, INT32_MAX,
                 "replicas that are pointed at the new master at a time"),
    {.name = NULL},
};

static const struct conf_key history_keys[] = {
    CONF_ROW_INT("max_age_days", AT(history.max_age_days) - AT(history), 1, 36500,
                 "days after which events and decisions are forgotten"),
    CONF_ROW_INT("max_mb", AT(history.max_mb) - AT(history), 4, 1048576,
                 "mebibytes that history.db may take; the oldest entries go first"),
    {.name = NULL},
};

static const struct conf_key peer_auth_keys[] = {
    CONF_ROW_STRING("user", AT(peer_auth.user) - AT(peer_auth), 0, CONFIG_NAME_MAX,
                    "the user to log in with at peers; empty: default"),
    CONF_ROW_STRING("password", AT(peer_auth.password) - AT(peer_auth), 0, CONFIG_SECRET_MAX,
                    "the password to log in with at peers; empty: none"),
    {.name = NULL},
};

static const struct conf_key user_keys[] = {
    CONF_ROW_STRING("name", offsetof(struct config_user, name), 1, CONFIG_NAME_MAX,
                    "the name in AUTH; \"default\" is who needs none"),
    CONF_ROW_STRING("password", offsetof(struct config_user, password), 0, CONFIG_SECRET_MAX,
                    "the password in AUTH; empty: none is asked for"),
    CONF_ROW_WORD("access", offsetof(struct config_user, access), access_words, "what the user may do"),
    {.name = NULL},
};

/* Rows are read in this order: groups look at what stands above them. */
static const struct conf_key top_keys[] = {
    CONF_ROW_LIST("listen", CONF_ADDRESSES, AT(listen), 1, "addresses of this host to accept connections on"),
    CONF_ROW_STRING("state_dir", AT(state_dir), 1, CONFIG_PATH_MAX, "the folder of the state database"),
    CONF_ROW_GROUP("announce", AT(announce), announce_keys, "what peers and clients are told"),
    CONF_ROW_GROUP("log", AT(log), log_keys, "the log"),
    CONF_ROW_BOOL("deny_scripts_reconfig", AT(deny_scripts_reconfig), "SENTINEL SET cannot change scripts"),
    CONF_ROW_BOOL("resolve_hostnames", AT(resolve_hostnames), "names are allowed as hosts"),
    CONF_ROW_BOOL("announce_hostnames", AT(announce_hostnames), "clients are told names rather than addresses"),
    CONF_ROW_LIST("supervisors", CONF_ADDRESSES, AT(supervisors), 0,
                  "all supervisors, this one included; empty: discovered"),
    CONF_ROW_GROUP("history", AT(history), history_keys, "how much of what happened is kept"),
    CONF_ROW_EACH("users", CONF_LIST, read_user, "who may log in"),
    CONF_ROW_GROUP("peer_auth", AT(peer_auth), peer_auth_keys, "how to log in at peers"),
    CONF_ROW_GROUP("defaults", AT(defaults), defaults_keys, "settings for groups and clusters that leave them out"),
    CONF_ROW_EACH("id", CONF_OTHER, read_id, "40 hexadecimal digits"),
    CONF_ROW_INT("current_epoch", AT(current_epoch), 0, INT64_MAX, "the epoch to start from"),
    CONF_ROW_EACH("groups", CONF_LIST, config_read_group, "masters with their replicas"),
    CONF_ROW_EACH("clusters", CONF_LIST, config_read_cluster, "clusters by their seeds"),
    CONF_ROW_EACH("hooks", CONF_LIST, config_read_hook, "programs to run on events"),
    {.name = NULL},
};

static void read_id(struct conf_reader *r, const config_setting_t *s, void *target)
{
    struct sentineld_config *c = target;
    const char *text = config_setting_type(s) == CONFIG_TYPE_STRING ? config_setting_get_string(s) : "";
    if (!runid_parse(slice_of(text), c->id))
        conf_problem(r->problems, s, NULL, "expected a string of 40 hexadecimal digits");
}

static void read_user(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct sentineld_config *c = target;
    struct config_user u = {.password = mem_strdup("")};
    conf_read(r, element, user_keys, &u);
    const char *why;
    if (u.name == NULL) {
        if (config_setting_get_member(element, "name") == NULL)
            conf_problem(r->problems, element, "name", "is missing: every user needs a name");
        u.name = mem_strdup("");
    } else if (!config_group_name_ok(slice_of(u.name), &why)) {
        conf_problem(r->problems, element, "name", "%s", why);
    }
    for (size_t i = 0; i < c->user_count; i++) {
        if (strcmp(c->users[i].name, u.name) == 0)
            conf_problem(r->problems, element, "name", "user '%s' is listed twice", u.name);
    }
    c->users = mem_array(c->users, c->user_count + 1, sizeof *c->users);
    c->users[c->user_count++] = u;
}

static struct sentineld_config *with_defaults(void)
{
    struct sentineld_config *c = mem_zalloc(sizeof *c);
    c->listen.v = mem_array(NULL, 1, sizeof *c->listen.v);
    c->listen.n = 1;
    addr_set(&c->listen.v[0], slice_of("127.0.0.1"), 26379);
    c->state_dir = mem_strdup("/var/lib/sentineld");
    c->announce.host = mem_strdup("");
    c->log.level = IO_NOTICE;
    c->log.file = mem_strdup("");
    c->defaults.down_after_ms = 30000;
    c->defaults.failover_timeout_ms = 60000;
    c->defaults.parallel_syncs = 1;
    c->history.max_age_days = 30;
    c->history.max_mb = 64;
    c->deny_scripts_reconfig = true;
    c->peer_auth.user = mem_strdup("");
    c->peer_auth.password = mem_strdup("");
    return c;
}

/* Relative paths count from where the daemon is started; it changes into state_dir later. */
static void make_absolute(struct conf_reader *r, const config_setting_t *root, const char *key, char **path)
{
    if (**path == '\0')
        return;
    const struct sentineld_config *c = r->context;
    if (c->base != NULL && **path != '/') {
        struct buf full = {.n = 0};
        buf_printf(&full, "%s/%s", c->base, *path);
        free(*path);
        *path = mem_strdup(buf_str(&full));
        buf_free(&full);
        return;
    }
    char *absolute = io_path_absolute(*path);
    if (absolute == NULL) {
        conf_problem(r->problems, root, key, "the working directory is unknown: give an absolute path");
        return;
    }
    free(*path);
    *path = absolute;
}

static void check_top(struct conf_reader *r, const config_setting_t *root, struct sentineld_config *c)
{
    const config_setting_t *listen = config_setting_get_member(root, "listen");
    for (size_t i = 0; i < c->listen.n; i++) {
        if (!addr_is_ip(c->listen.v[i].host))
            conf_problem(r->problems, listen, NULL, "\"%s\" is a name: expected an IPv4 or IPv6 address of this host",
                         c->listen.v[i].host);
    }
    struct addr announced;
    const config_setting_t *announce = config_setting_get_member(root, "announce");
    if (c->announce.host[0] != '\0' && !addr_set(&announced, slice_of(c->announce.host), 1))
        conf_problem(r->problems, announce, "host", "\"%s\" is not a host", c->announce.host);
    else if (c->announce.host[0] != '\0' && !addr_is_ip(c->announce.host) && !c->resolve_hostnames)
        conf_problem(r->problems, announce, "host", "\"%s\" is a name: names need resolve_hostnames = true",
                     c->announce.host);
    config_check_hosts(r, root, "supervisors", c->supervisors.v, c->supervisors.n);
    config_check_login(r, config_setting_get_member(root, "peer_auth"), c->peer_auth.user, c->peer_auth.password);
    if (c->defaults.quorum > (int64_t)c->supervisors.n && c->supervisors.n > 0)
        conf_problem(r->problems, config_setting_get_member(root, "defaults"), "quorum",
                     "%" PRId64 " can never be reached by %zu supervisors", c->defaults.quorum, c->supervisors.n);
    if (c->user_count == 0) {
        c->users = mem_array(NULL, 1, sizeof *c->users);
        c->users[c->user_count++] = (struct config_user){mem_strdup("default"), mem_strdup(""), CONFIG_ACCESS_ALL};
    }
}

static struct sentineld_config *read_file(struct conf_file *f, const char *base, struct conf_problems *problems)
{
    struct sentineld_config *c = with_defaults();
    c->base = base;
    struct conf_reader r = {.problems = problems, .context = c};
    size_t before = problems->count;
    const config_setting_t *root = conf_root(f);
    conf_read(&r, root, top_keys, c);
    check_top(&r, root, c);
    make_absolute(&r, root, "state_dir", &c->state_dir);
    make_absolute(&r, root, "log.file", &c->log.file);
    if (c->supervisors.n > 0 && problems->count == before)
        config_find_self(&r, root, c);
    c->base = NULL;
    if (problems->count == 0)
        return c;
    config_free(c);
    return NULL;
}

static struct sentineld_config *finish(struct conf_file *f, const char *base, struct conf_problems *problems)
{
    if (f == NULL)
        return NULL;
    struct sentineld_config *c = read_file(f, base, problems);
    conf_free(f);
    return c;
}

struct sentineld_config *config_load(const char *path, struct conf_problems *problems)
{
    return finish(conf_load(path, problems), NULL, problems);
}

struct sentineld_config *config_load_from(const char *path, const char *base, struct conf_problems *problems)
{
    return finish(conf_load(path, problems), base, problems);
}

struct sentineld_config *config_parse(const char *name, struct slice text, struct conf_problems *problems)
{
    return finish(conf_parse(name, text, problems), NULL, problems);
}

void config_free(struct sentineld_config *c)
{
    if (c == NULL)
        return;
    conf_addresses_free(&c->listen);
    conf_addresses_free(&c->supervisors);
    free(c->state_dir);
    free(c->announce.host);
    free(c->log.file);
    free(c->peer_auth.user);
    free(c->peer_auth.password);
    for (size_t i = 0; i < c->user_count; i++) {
        free(c->users[i].name);
        free(c->users[i].password);
    }
    for (size_t i = 0; i < c->group_count; i++)
        config_group_free(&c->groups[i]);
    for (size_t i = 0; i < c->cluster_count; i++)
        config_cluster_free(&c->clusters[i]);
    for (size_t i = 0; i < c->hook_count; i++)
        config_hook_free(&c->hooks[i]);
    free(c->users);
    free(c->groups);
    free(c->clusters);
    free(c->hooks);
    free(c);
}
