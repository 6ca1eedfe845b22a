#include "nodectl/node/placement.h"

#include <strings.h>

static bool is_replica_of(const struct picture_node *n, const struct picture_node *master)
{
    return !n->master && runid_cmp(n->master_id, master->id) == 0;
}

size_t placement_replicas(const struct picture *p, const struct picture_node *master,
                          const struct picture_node *leaving)
{
    size_t count = 0;
    for (size_t i = 0; i < p->n; i++)
        count += &p->v[i] != leaving && !p->v[i].fails && is_replica_of(&p->v[i], master);
    return count;
}

static bool shares_host(const struct picture *p, const struct picture_node *master, const struct addr *newcomer)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        if ((n == master || is_replica_of(n, master)) && strcasecmp(n->addr.host, newcomer->host) == 0 &&
            !addr_eq(&n->addr, newcomer))
            return true;
    }
    return false;
}

/* Less is better. */
static int compare(const struct picture *p, const struct picture_node *a, const struct picture_node *b,
                   const struct addr *newcomer, const struct picture_node *leaving)
{
    size_t na = placement_replicas(p, a, leaving), nb = placement_replicas(p, b, leaving);
    bool sa = shares_host(p, a, newcomer), sb = shares_host(p, b, newcomer);
    if (na != nb)
        return na < nb ? -1 : 1;
    if (sa != sb)
        return sb ? -1 : 1;
    return a->nslots != b->nslots ? (a->nslots > b->nslots ? -1 : 1) : 0;
}

const struct picture_node *placement_master(const struct picture *p, const struct addr *newcomer,
                                            const struct picture_node *leaving)
{
    const struct picture_node *best = NULL;
    for (size_t i = 0; i < p->n; i++) {
        const struct picture_node *n = &p->v[i];
        if (n == leaving || !n->master || n->nslots == 0 || n->fails)
            continue;
        if (best == NULL || compare(p, n, best, newcomer, leaving) < 0)
            best = n;
    }
    return best;
}
