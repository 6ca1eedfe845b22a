#include "common/base/mem.h"
#include "sentineld/shell/config_inner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define AT(member) offsetof(struct config_group, member)
#define GIVEN_ROWS 11

static void read_rename(struct conf_reader *r, const config_setting_t *element, void *target);
static void read_peer_id(struct conf_reader *r, const config_setting_t *s, void *target);
static void read_known_sentinel(struct conf_reader *r, const config_setting_t *element, void *target);

/* In the order of enum sn_reborn. */
static const char *const reborn_words[] = {"failover", "follow", NULL};

/* The first rows are in the order of enum config_given. */
static const struct conf_key group_keys[] = {
    CONF_ROW_INT("quorum", AT(settings.quorum), 1, INT32_MAX, "supervisors that must see the master down"),
    CONF_ROW_INT("down_after_ms", AT(settings.down_after_ms), 1, CONFIG_MS_MAX,
                 "milliseconds of silence until an instance counts as down"),
    CONF_ROW_INT("failover_timeout_ms", AT(settings.failover_timeout_ms), 1, CONFIG_MS_MAX,
                 "milliseconds a failover may take"),
    CONF_ROW_INT("parallel_syncs", AT(settings.parallel_syncs), 1, INT32_MAX,
                 "replicas that are pointed at the new master at a time"),
    CONF_ROW_INT("master_reboot_down_after_ms", AT(settings.master_reboot_down_after_ms), 0, CONFIG_MS_MAX,
                 "milliseconds a restarted master may load before it counts as down; 0: off"),
    CONF_ROW_STRING("user", AT(settings.auth_user), 0, CONFIG_NAME_MAX, "the user to log in with; empty: default"),
    CONF_ROW_STRING("password", AT(settings.auth_pass), 0, CONFIG_SECRET_MAX,
                    "the password to log in with; empty: none"),
    CONF_ROW_STRING("notification_script", AT(settings.notification_script), 0, CONFIG_PATH_MAX,
                    "program to run on warning events"),
    CONF_ROW_STRING("client_reconfig_script", AT(settings.client_reconfig_script), 0, CONFIG_PATH_MAX,
                    "program to run when the master changes"),
    CONF_ROW_WORD("reborn_empty", AT(settings.reborn_empty), reborn_words,
                  "what to do with a master that came back empty"),
    CONF_ROW_EACH("rename_commands", CONF_LIST, read_rename, "commands that the nodes renamed"),
    CONF_ROW_STRING("name", AT(name), 1, CONFIG_NAME_MAX, "the name that clients ask for"),
    CONF_ROW_LIST("master", CONF_ADDRESS, AT(master), 0, "the address of the master"),
    CONF_ROW_INT("config_epoch", AT(config_epoch), 0, INT64_MAX, "the epoch of the master's configuration"),
    CONF_ROW_INT("leader_epoch", AT(leader_epoch), 0, INT64_MAX, "the epoch of the last vote"),
    CONF_ROW_LIST("known_replicas", CONF_ADDRESSES, AT(known_replicas), 0, "addresses of its replicas"),
    CONF_ROW_EACH("known_sentinels", CONF_LIST, read_known_sentinel, "its other supervisors"),
    {.name = NULL},
};

static const struct conf_key rename_keys[] = {
    CONF_ROW_STRING("from", offsetof(struct sn_rename, from), 1, 64, "the command's own name"),
    CONF_ROW_STRING("to", offsetof(struct sn_rename, to), 1, CONFIG_NAME_MAX, "its name on the nodes"),
    {.name = NULL},
};

static const struct conf_key peer_keys[] = {
    CONF_ROW_LIST("address", CONF_ADDRESS, offsetof(struct config_peer, address), 0, "where it listens"),
    CONF_ROW_EACH("id", CONF_OTHER, read_peer_id, "40 hexadecimal digits"),
    {.name = NULL},
};

static bool missing(struct conf_reader *r, const config_setting_t *element, const char *key, const char *what)
{
    if (config_setting_get_member(element, key) != NULL)
        return false;
    conf_problem(r->problems, element, key, "is missing: %s", what);
    return true;
}

/* --- parts of a group ------------------------------------------------------------------------------------------- */

static void read_rename(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct sn_settings *set = &((struct config_group *)target)->settings;
    struct sn_rename n = {0};
    conf_read(r, element, rename_keys, &n);
    bool incomplete = missing(r, element, "from", "the command's own name");
    incomplete = missing(r, element, "to", "its name on the nodes") || incomplete;
    for (size_t i = 0; n.from != NULL && i < set->nrenames; i++) {
        if (strcasecmp(set->renames[i].from, n.from) == 0)
            conf_problem(r->problems, element, "from", "command '%s' is renamed twice", n.from);
    }
    if (incomplete || n.from == NULL || n.to == NULL) {
        free(n.from);
        free(n.to);
        return;
    }
    set->renames = mem_array(set->renames, set->nrenames + 1, sizeof *set->renames);
    set->renames[set->nrenames++] = n;
}

static void read_peer_id(struct conf_reader *r, const config_setting_t *s, void *target)
{
    const char *text = config_setting_type(s) == CONFIG_TYPE_STRING ? config_setting_get_string(s) : "";
    if (!runid_parse(slice_of(text), ((struct config_peer *)target)->id))
        conf_problem(r->problems, s, NULL, "expected a string of 40 hexadecimal digits");
}

static void read_known_sentinel(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct config_group *g = target;
    struct config_peer p = {0};
    conf_read(r, element, peer_keys, &p);
    missing(r, element, "address", "expected \"host:port\"");
    missing(r, element, "id", "expected 40 hexadecimal digits");
    config_check_hosts(r, element, "address", &p.address, 1);
    for (size_t i = 0; p.id[0] != '\0' && i < g->known_sentinel_count; i++) {
        if (strcmp(g->known_sentinels[i].id, p.id) == 0)
            conf_problem(r->problems, element, "id", "%s is listed twice", p.id);
    }
    g->known_sentinels = mem_array(g->known_sentinels, g->known_sentinel_count + 1, sizeof *g->known_sentinels);
    g->known_sentinels[g->known_sentinel_count++] = p;
}

/* --- the group -------------------------------------------------------------------------------------------------- */

static void check_name(struct conf_reader *r, const config_setting_t *element, struct config_group *g)
{
    const struct sentineld_config *c = r->context;
    const char *why;
    if (g->name == NULL) {
        missing(r, element, "name", "every group needs one");
        g->name = mem_strdup("");
        return;
    }
    if (!config_group_name_ok(slice_of(g->name), &why))
        conf_problem(r->problems, element, "name", "%s", why);
    for (size_t i = 0; i < c->group_count; i++) {
        if (strcmp(c->groups[i].name, g->name) == 0)
            conf_problem(r->problems, element, "name", "there are two groups named '%s'", g->name);
    }
}

/* quorum comes from the group, the defaults, or the majority of the supervisors. */
static void settle_quorum(struct conf_reader *r, const config_setting_t *element, struct config_group *g)
{
    const struct sentineld_config *c = r->context;
    size_t all = c->supervisors.n;
    bool own = (g->given & CONFIG_GIVEN_QUORUM) != 0;
    if (!own && c->defaults.quorum > 0)
        g->settings.quorum = c->defaults.quorum;
    else if (!own && all > 0)
        g->settings.quorum = (int64_t)(all / 2 + 1);
    else if (!own)
        conf_problem(r->problems, element, "quorum",
                     "is missing: give it here or in defaults, or list the supervisors, whose majority it then is");
    else if (all > 0 && g->settings.quorum > (int64_t)all)
        conf_problem(r->problems, element, "quorum", "%" PRId64 " can never be reached by %zu supervisors",
                     g->settings.quorum, all);
}

static void check_script(struct conf_reader *r, const config_setting_t *element, const char *key, const char *path)
{
    const struct sentineld_config *c = r->context;
    const char *fault = *path != '\0' ? config_script_fault(c->state_dir, path) : NULL;
    if (fault != NULL)
        conf_problem(r->problems, element, key, "%s%s%s %s", *path != '/' ? c->state_dir : "", *path != '/' ? "/" : "",
                     path, fault);
}

void config_read_group(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct sentineld_config *c = target;
    struct config_group g = {0};
    sn_settings_init(&g.settings);
    g.settings.down_after_ms = c->defaults.down_after_ms;
    g.settings.failover_timeout_ms = c->defaults.failover_timeout_ms;
    g.settings.parallel_syncs = c->defaults.parallel_syncs;
    g.given = (uint32_t)(conf_read(r, element, group_keys, &g) & ((1u << GIVEN_ROWS) - 1));
    check_name(r, element, &g);
    if (!missing(r, element, "master", "expected \"host:port\""))
        config_check_hosts(r, element, "master", &g.master, 1);
    settle_quorum(r, element, &g);
    config_check_hosts(r, element, "known_replicas", g.known_replicas.v, g.known_replicas.n);
    config_check_login(r, element, g.settings.auth_user, g.settings.auth_pass);
    check_script(r, element, "notification_script", g.settings.notification_script);
    check_script(r, element, "client_reconfig_script", g.settings.client_reconfig_script);
    c->groups = mem_array(c->groups, c->group_count + 1, sizeof *c->groups);
    c->groups[c->group_count++] = g;
}

void config_group_free(struct config_group *g)
{
    free(g->name);
    sn_settings_free(&g->settings);
    conf_addresses_free(&g->known_replicas);
    free(g->known_sentinels);
}
