#include "nodectl/local/placement.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- zones ---- */

static const char *zone_name(const struct placement_host *h)
{
    return h->zone != NULL && h->zone[0] != '\0' ? h->zone : h->name;
}

/* The number of each host's zone, in the order in which zones come up. */
struct zones {
    size_t *of; /* by host */
    size_t n;
};

static struct zones zones_of(const struct placement_host *hosts, size_t nhosts)
{
    struct zones z = {.of = mem_zalloc((nhosts + 1) * sizeof *z.of)};
    for (size_t i = 0; i < nhosts; i++) {
        size_t k = 0;
        while (k < i && strcmp(zone_name(&hosts[k]), zone_name(&hosts[i])) != 0)
            k++;
        z.of[i] = k < i ? z.of[k] : z.n++;
    }
    return z;
}

static const char *zone_text(const struct placement_host *hosts, const struct zones *z, size_t zone)
{
    size_t i = 0;
    while (z->of[i] != zone)
        i++;
    return zone_name(&hosts[i]);
}

/* ---- how many nodes on which host ---- */

/* The host with the fewest so far, in the zone with the fewest, of those zones that have room; nhosts: none has. */
static size_t least(const struct zones *z, size_t nhosts, const size_t *counts, const size_t *in_zone, size_t room)
{
    size_t best = nhosts;
    for (size_t i = 0; i < nhosts; i++) {
        if (in_zone[z->of[i]] >= room)
            continue;
        if (best == nhosts || counts[i] < counts[best] ||
            (counts[i] == counts[best] && in_zone[z->of[i]] < in_zone[z->of[best]]))
            best = i;
    }
    return best;
}

bool placement_count(const struct placement_host *hosts, size_t nhosts, size_t shards, size_t replicas, size_t *counts,
                     struct buf *why)
{
    struct zones z = zones_of(hosts, nhosts);
    size_t *in_zone = mem_zalloc((z.n + 1) * sizeof *in_zone), n = shards * (1 + replicas);
    bool fits = nhosts == 1 || z.n > replicas;
    memset(counts, 0, nhosts * sizeof *counts);
    for (size_t i = 0; fits && i < n; i++) {
        size_t host = least(&z, nhosts, counts, in_zone, nhosts == 1 ? n : shards);
        counts[host]++;
        in_zone[z.of[host]]++;
    }
    if (!fits)
        buf_printf(why,
                   "a shard of %zu nodes needs %zu zones, and there are %zu: name more hosts, or leave the zones out "
                   "where hosts alone are to count",
                   replicas + 1, replicas + 1, z.n);
    free(in_zone);
    free(z.of);
    return fits;
}

/* ---- which node is of which shard ---- */

struct item {
    size_t node, zone, pass, turn; /* turn: its place among those of its zone and pass */
};

static int by_turn(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->zone != y->zone)
        return x->zone < y->zone ? -1 : 1;
    if (x->pass != y->pass)
        return x->pass < y->pass ? -1 : 1;
    if (x->turn != y->turn)
        return x->turn < y->turn ? -1 : 1;
    return x->node < y->node ? -1 : 1;
}

/* Nodes zone by zone; within a zone host by host in turn, each round begun by another host and another one in each
 * zone, so that the shards that have a node on one host have their others on different ones. */
static struct item *in_order(const struct zones *z, size_t nhosts, const struct placement_node *nodes, size_t n)
{
    struct item *items = mem_zalloc((n + 1) * sizeof *items);
    size_t *seen = mem_zalloc((nhosts + 1) * sizeof *seen);
    for (size_t i = 0; i < n; i++) {
        size_t host = nodes[i].host, first = 0, hosts = 1;
        for (size_t k = 0; k < nhosts; k++) {
            first += k < host && z->of[k] == z->of[host];
            hosts += k != host && z->of[k] == z->of[host];
        }
        size_t pass = seen[host]++;
        items[i] = (struct item){i, z->of[host], pass, (first + hosts - pass * z->of[host] % hosts) % hosts};
    }
    qsort(items, n, sizeof *items, by_turn);
    free(seen);
    return items;
}

/* Each zone has as many nodes as there are shards at most, and its nodes are neighbours in the order, so no two of them
 * come to the same shard. */
static void deal(const struct item *items, struct placement_node *nodes, size_t n, size_t shards)
{
    for (size_t i = 0; i < n; i++)
        nodes[items[i].node].shard = i % shards;
}

/* A way from a host with many masters to one with at least two fewer: `by[h]` is the node of host h that becomes a
 * master there, for one whose master is on the host before. Returns the host at its end; nhosts: there is none. */
static size_t find_way(const struct placement_node *nodes, size_t n, size_t nhosts, const size_t *masters, size_t from,
                       const struct placement_node *const *of, size_t *by)
{
    size_t *queue = mem_zalloc((nhosts + 1) * sizeof *queue), head = 0, tail = 0, found = nhosts;
    for (size_t h = 0; h < nhosts; h++)
        by[h] = n;
    for (queue[tail++] = from; head < tail && found == nhosts; head++) {
        for (size_t i = 0; i < n && found == nhosts; i++) {
            size_t h = nodes[i].host;
            if (h == from || by[h] < n || of[nodes[i].shard]->host != queue[head])
                continue;
            by[h] = i;
            queue[tail++] = h;
            found = masters[h] + 2 <= masters[from] ? h : nhosts;
        }
    }
    free(queue);
    return found;
}

/* One master to each shard, as many to each host as can be. */
static void choose_masters(struct placement_node *nodes, size_t n, size_t nhosts, size_t shards)
{
    size_t *masters = mem_zalloc((nhosts + 1) * sizeof *masters), *by = mem_zalloc((nhosts + 1) * sizeof *by);
    const struct placement_node **of = mem_zalloc((shards + 1) * sizeof(struct placement_node *));
    for (size_t i = 0; i < n; i++)
        if (of[nodes[i].shard] == NULL || masters[nodes[i].host] < masters[of[nodes[i].shard]->host]) {
            if (of[nodes[i].shard] != NULL)
                masters[of[nodes[i].shard]->host]--;
            of[nodes[i].shard] = &nodes[i];
            masters[nodes[i].host]++;
        }
    for (size_t from = 0; from < nhosts;) {
        size_t h = find_way(nodes, n, nhosts, masters, from, of, by);
        if (h == nhosts) {
            from++;
            continue;
        }
        masters[h]++;
        masters[from]--;
        while (h != from) {
            size_t shard = nodes[by[h]].shard, before = of[shard]->host;
            of[shard] = &nodes[by[h]];
            h = before;
        }
        from = 0;
    }
    for (size_t i = 0; i < n; i++)
        nodes[i].master = of[nodes[i].shard] == &nodes[i];
    free(of);
    free(by);
    free(masters);
}

bool placement_deal(const struct placement_host *hosts, size_t nhosts, struct placement_node *nodes, size_t n,
                    size_t shards, struct buf *why)
{
    struct zones z = zones_of(hosts, nhosts);
    size_t *in_zone = mem_zalloc((z.n + 1) * sizeof *in_zone);
    bool fits = true;
    for (size_t i = 0; i < n; i++)
        in_zone[z.of[nodes[i].host]]++;
    for (size_t k = 0; k < z.n && z.n > 1; k++)
        if (in_zone[k] > shards) {
            buf_printf(why, "%s%s has %zu of the %zu nodes: two of one shard would be there", fits ? "" : "; ",
                       zone_text(hosts, &z, k), in_zone[k], n);
            fits = false;
        }
    if (fits) {
        struct item *items = in_order(&z, nhosts, nodes, n);
        deal(items, nodes, n, shards);
        choose_masters(nodes, n, nhosts, shards);
        free(items);
    }
    free(in_zone);
    free(z.of);
    return fits;
}

void placement_supervisors(const struct placement_host *hosts, size_t nhosts, size_t *places, size_t n)
{
    struct zones z = zones_of(hosts, nhosts);
    size_t *counts = mem_zalloc((nhosts + 1) * sizeof *counts);
    size_t *in_zone = mem_zalloc((z.n + 1) * sizeof *in_zone);
    for (size_t i = 0; i < n; i++) {
        size_t best = 0;
        for (size_t k = 1; k < nhosts; k++)
            if (in_zone[z.of[k]] < in_zone[z.of[best]] ||
                (in_zone[z.of[k]] == in_zone[z.of[best]] && counts[k] < counts[best]))
                best = k;
        places[i] = best;
        counts[best]++;
        in_zone[z.of[best]]++;
    }
    free(in_zone);
    free(counts);
    free(z.of);
}
