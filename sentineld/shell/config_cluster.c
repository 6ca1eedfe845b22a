/* clusters: fleets of shards that are found from seed nodes. */
#include "common/base/mem.h"
#include "sentineld/shell/config_inner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SUPERVISORS_MAX 31 /* as many as a node counts */
#define LEASE_MS_LEAST 20  /* it is renewed four times while it lasts, and a turn of a busy loop takes milliseconds */

#define AT(member) offsetof(struct config_cluster, member)
/* "/" and eight digits of an id stand behind it in the names of its shards. */
#define SHARD_SUFFIX 9

/* In the order of enum sn_reborn. */
static const char *const reborn_words[] = {"failover", "follow", NULL};

static const struct conf_key cluster_keys[] = {
    CONF_ROW_STRING("name", AT(name), 1, CONFIG_NAME_MAX - SHARD_SUFFIX, "the first part of the names of its shards"),
    CONF_ROW_LIST("seeds", CONF_ADDRESSES, AT(seeds), 1, "nodes to find the cluster from"),
    CONF_ROW_INT("quorum", AT(settings.quorum), 1, INT32_MAX, "supervisors that must see a master down"),
    CONF_ROW_INT("down_after_ms", AT(settings.down_after_ms), 1, CONFIG_MS_MAX,
                 "milliseconds of silence until an instance counts as down"),
    CONF_ROW_INT("failover_timeout_ms", AT(settings.failover_timeout_ms), 1, CONFIG_MS_MAX,
                 "milliseconds a failover may take"),
    CONF_ROW_INT("parallel_syncs", AT(settings.parallel_syncs), 1, INT32_MAX,
                 "replicas that are pointed at the new master at a time"),
    CONF_ROW_INT("lease_ms", AT(lease_ms), 0, CONFIG_MS_MAX,
                 "milliseconds a master may write without hearing from a majority; 0: off"),
    CONF_ROW_STRING("user", AT(settings.auth_user), 0, CONFIG_NAME_MAX, "the user to log in with; empty: default"),
    CONF_ROW_STRING("password", AT(settings.auth_pass), 0, CONFIG_SECRET_MAX,
                    "the password to log in with; empty: none"),
    CONF_ROW_WORD("reborn_empty", AT(settings.reborn_empty), reborn_words,
                  "what to do with a master that came back empty"),
    {.name = NULL},
};

static bool gives(const config_setting_t *element, const char *key)
{
    return config_setting_get_member(element, key) != NULL;
}

static bool is_shard_name(const char *group, const char *cluster)
{
    size_t n = strlen(cluster);
    return strncmp(group, cluster, n) == 0 && group[n] == '/';
}

const struct config_cluster *config_cluster_of(const struct sentineld_config *c, const char *group)
{
    for (size_t i = 0; i < c->cluster_count; i++)
        if (is_shard_name(group, c->clusters[i].name))
            return &c->clusters[i];
    return NULL;
}

/* Names of groups, clusters and shards are of one kind: whoever asks by a name must get one answer. Groups stand above
 * clusters in the table of the file, so they have been read. */
static void check_name(struct conf_reader *r, const config_setting_t *element, const char *name)
{
    const struct sentineld_config *c = r->context;
    const char *why;
    if (!config_group_name_ok(slice_of(name), &why))
        conf_problem(r->problems, element, "name", "%s", why);
    else if (strchr(name, '/') != NULL)
        conf_problem(r->problems, element, "name", "must not hold a '/': it parts the cluster and its shard");
    for (size_t i = 0; i < c->cluster_count; i++)
        if (strcmp(c->clusters[i].name, name) == 0)
            conf_problem(r->problems, element, "name", "there are two clusters named '%s'", name);
    for (size_t i = 0; i < c->group_count; i++) {
        if (strcmp(c->groups[i].name, name) == 0)
            conf_problem(r->problems, element, "name", "there is a group named '%s' already", name);
        else if (is_shard_name(c->groups[i].name, name))
            conf_problem(r->problems, element, "name", "the group '%s' is named like one of its shards",
                         c->groups[i].name);
    }
}

static void check_cluster(struct conf_reader *r, const config_setting_t *element, const struct config_cluster *k)
{
    const struct sentineld_config *c = r->context;
    int64_t quorum = k->settings.quorum;
    if (!gives(element, "seeds"))
        conf_problem(r->problems, element, "seeds", "is missing: every cluster needs one node to be found from");
    if (k->lease_ms >= k->settings.down_after_ms && gives(element, "lease_ms"))
        conf_problem(r->problems, element, "lease_ms",
                     "expected less than down_after_ms (%" PRId64 "): a lease has to end before its master is replaced",
                     k->settings.down_after_ms);
    if (k->lease_ms > 0 && k->lease_ms < LEASE_MS_LEAST)
        conf_problem(r->problems, element, gives(element, "lease_ms") ? "lease_ms" : "down_after_ms",
                     "a lease of %" PRId64 " ms%s is over before it is renewed: expected %d or more, or lease_ms = 0",
                     k->lease_ms, gives(element, "lease_ms") ? "" : " (half of it)", LEASE_MS_LEAST);
    if (k->lease_ms > 0 && gives(element, "lease_ms") && c->supervisors.n == 0)
        conf_problem(r->problems, element, "lease_ms", "leases need the list of supervisors at the top");
    if (k->lease_ms > 0 && c->supervisors.n > SUPERVISORS_MAX)
        conf_problem(r->problems, element, "lease_ms", "leases are possible with up to %d supervisors",
                     SUPERVISORS_MAX);
    if (quorum == 0)
        conf_problem(r->problems, element, "quorum",
                     "is missing: give it here or in defaults, or list the supervisors, whose majority it then is");
    else if (c->supervisors.n > 0 && quorum > (int64_t)c->supervisors.n)
        conf_problem(r->problems, element, "quorum", "%" PRId64 " can never be reached by %zu supervisors", quorum,
                     c->supervisors.n);
    config_check_hosts(r, element, "seeds", k->seeds.v, k->seeds.n);
    config_check_login(r, element, k->settings.auth_user, k->settings.auth_pass);
}

void config_read_cluster(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct sentineld_config *c = target;
    struct config_cluster k = {.name = NULL};
    sn_settings_init(&k.settings);
    k.settings.quorum = c->defaults.quorum;
    k.settings.down_after_ms = c->defaults.down_after_ms;
    k.settings.failover_timeout_ms = c->defaults.failover_timeout_ms;
    k.settings.parallel_syncs = c->defaults.parallel_syncs;
    if (k.settings.quorum == 0 && c->supervisors.n > 0)
        k.settings.quorum = (int64_t)(c->supervisors.n / 2 + 1);
    conf_read(r, element, cluster_keys, &k);
    if (!gives(element, "lease_ms"))
        k.lease_ms = c->supervisors.n > 0 ? k.settings.down_after_ms / 2 : 0;
    if (k.name != NULL)
        check_name(r, element, k.name);
    else if (!gives(element, "name"))
        conf_problem(r->problems, element, "name", "is missing: every cluster needs one");
    if (k.name == NULL)
        k.name = mem_strdup("");
    check_cluster(r, element, &k);
    c->clusters = mem_array(c->clusters, c->cluster_count + 1, sizeof *c->clusters);
    c->clusters[c->cluster_count++] = k;
}

void config_cluster_free(struct config_cluster *c)
{
    free(c->name);
    sn_settings_free(&c->settings);
    conf_addresses_free(&c->seeds);
}
