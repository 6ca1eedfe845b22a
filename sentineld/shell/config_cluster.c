/* clusters: read and checked like everything else, then refused, because nothing in this version serves them.
 * A setting that is taken and ignored would be worse than none. */
#include "common/base/mem.h"
#include "sentineld/shell/config_inner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct config_cluster, member)

static const struct conf_key cluster_keys[] = {
    CONF_ROW_STRING("name", AT(name), 1, CONFIG_NAME_MAX, "the first part of the names of its shards"),
    CONF_ROW_LIST("seeds", CONF_ADDRESSES, AT(seeds), 1, "nodes to find the cluster from"),
    CONF_ROW_INT("quorum", AT(quorum), 1, INT32_MAX, "supervisors that must see a master down"),
    CONF_ROW_INT("down_after_ms", AT(down_after_ms), 1, CONFIG_MS_MAX,
                 "milliseconds of silence until an instance counts as down"),
    CONF_ROW_INT("failover_timeout_ms", AT(failover_timeout_ms), 1, CONFIG_MS_MAX, "milliseconds a failover may take"),
    CONF_ROW_INT("parallel_syncs", AT(parallel_syncs), 1, INT32_MAX,
                 "replicas that are pointed at the new master at a time"),
    CONF_ROW_INT("lease_ms", AT(lease_ms), 0, CONFIG_MS_MAX,
                 "milliseconds a master may write without hearing from a majority; 0: off"),
    CONF_ROW_STRING("user", AT(user), 0, CONFIG_NAME_MAX, "the user to log in with; empty: default"),
    CONF_ROW_STRING("password", AT(password), 0, CONFIG_SECRET_MAX, "the password to log in with; empty: none"),
    {.name = NULL},
};

static bool gives(const config_setting_t *element, const char *key)
{
    return config_setting_get_member(element, key) != NULL;
}

static void check_cluster(struct conf_reader *r, const config_setting_t *element, struct config_cluster *k)
{
    const struct sentineld_config *c = r->context;
    const char *why;
    for (size_t i = 0; i < 2; i++) {
        const char *key = i == 0 ? "name" : "seeds";
        if (!gives(element, key))
            conf_problem(r->problems, element, key, "is missing: every cluster needs it");
    }
    if (k->name != NULL && !config_group_name_ok(slice_of(k->name), &why))
        conf_problem(r->problems, element, "name", "%s", why);
    for (size_t i = 0; k->name != NULL && i < c->cluster_count; i++) {
        if (c->clusters[i].name != NULL && strcmp(c->clusters[i].name, k->name) == 0)
            conf_problem(r->problems, element, "name", "there are two clusters named '%s'", k->name);
    }
    if (k->lease_ms >= k->down_after_ms && gives(element, "lease_ms"))
        conf_problem(r->problems, element, "lease_ms",
                     "expected less than down_after_ms (%" PRId64 "): a lease has to end before its master is replaced",
                     k->down_after_ms);
    if (k->lease_ms > 0 && gives(element, "lease_ms") && c->supervisors.n == 0)
        conf_problem(r->problems, element, "lease_ms", "leases need the list of supervisors at the top");
    if (k->quorum == 0)
        conf_problem(r->problems, element, "quorum",
                     "is missing: give it here or in defaults, or list the supervisors, whose majority it then is");
    else if (c->supervisors.n > 0 && k->quorum > (int64_t)c->supervisors.n)
        conf_problem(r->problems, element, "quorum", "%" PRId64 " can never be reached by %zu supervisors", k->quorum,
                     c->supervisors.n);
    config_check_hosts(r, element, "seeds", k->seeds.v, k->seeds.n);
    config_check_login(r, element, k->user, k->password);
}

void config_read_cluster(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct sentineld_config *c = target;
    struct config_cluster k = {
        .quorum = c->defaults.quorum,
        .down_after_ms = c->defaults.down_after_ms,
        .failover_timeout_ms = c->defaults.failover_timeout_ms,
        .parallel_syncs = c->defaults.parallel_syncs,
        .user = mem_strdup(""),
        .password = mem_strdup(""),
    };
    if (k.quorum == 0 && c->supervisors.n > 0)
        k.quorum = (int64_t)(c->supervisors.n / 2 + 1);
    conf_read(r, element, cluster_keys, &k);
    if (!gives(element, "lease_ms"))
        k.lease_ms = c->supervisors.n > 0 ? k.down_after_ms / 2 : 0;
    check_cluster(r, element, &k);
    if (c->cluster_count == 0)
        conf_problem(r->problems, element->parent, NULL,
                     "clusters are not supported by this version yet: take them out, or use groups");
    c->clusters = mem_array(c->clusters, c->cluster_count + 1, sizeof *c->clusters);
    c->clusters[c->cluster_count++] = k;
}

void config_cluster_free(struct config_cluster *c)
{
    free(c->name);
    free(c->user);
    free(c->password);
    conf_addresses_free(&c->seeds);
}
