/* A new fleet on paper: which programs, on which hosts, at which ports. */
#include "nodectl/local/create.h"

#include "common/base/mem.h"
#include "nodectl/drill/listening.h"
#include "nodectl/local/programs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE_PORT 7001
#define SUPERVISOR_PORT 26379
#define BUS 10000 /* the port of the bus is so much above the other, as everywhere */
#define PORT_MAX 65535

/* A folder that is not there, or has nothing in it. */
static bool dir_is_free(const char *dir, struct buf *why)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        if (errno != ENOENT)
            buf_printf(why, "%s cannot be used: %s", dir, strerror(errno));
        return errno == ENOENT;
    }
    size_t entries = 0;
    while (readdir(d) != NULL)
        entries++;
    (void)closedir(d);
    if (entries > 2)
        buf_printf(why, "%s is in use: it is not empty, and no fleet's. Give another one by --dir", dir);
    return entries <= 2;
}

/* ---- ports ---- */

struct place {
    const char *host;
    bool here, many; /* of this host; there are others in the fleet */
    int next_node, next_supervisor;
};

static bool take_port(struct create *c, const struct place *p, int *next, int beside, int *port, struct buf *why)
{
    for (; *next + beside <= PORT_MAX; (*next)++) {
        bool given = c->wish.port > 0;
        if (p->here && given && !ports_hold(&c->ports, p->host, *next, why))
            return false;
        if (p->here && given && beside > 0 && !ports_hold(&c->ports, p->host, *next + beside, why)) {
            buf_printf(
                why,
                "; it is for the bus of node %d. Where connections get their ports from there (see "
                "net.ipv4.ip_local_port_range), one that has ended holds it for a minute: a lower --port avoids that",
                *next);
            return false;
        }
        if (!p->here || given || ports_hold_free(&c->ports, p->host, *next, beside)) {
            *port = (*next)++;
            return true;
        }
    }
    buf_printf(why, "%s has no ports left", p->host);
    return false;
}

static bool add_member(struct create *c, struct place *p, bool supervisor, struct buf *why)
{
    int port, beside = supervisor ? 0 : BUS;
    struct addr a;
    if (!take_port(c, p, supervisor ? &p->next_supervisor : &p->next_node, beside, &port, why))
        return false;
    addr_set(&a, slice_of(p->host), port);
    struct layout_member *m = layout_add(&c->layout, supervisor, &a);
    snprintf(m->folder, sizeof m->folder, "%s%s%s-%d", p->many ? p->host : "", p->many ? "/" : "",
             supervisor ? "supervisor" : "node", port);
    m->bus_port = supervisor ? 0 : port + BUS;
    return true;
}

/* ---- who goes where ---- */

static struct place *places_of(const struct create *c, const struct hosts *hosts, const size_t *counts)
{
    struct place *places = mem_zalloc((hosts->n + 1) * sizeof *places);
    for (size_t i = 0; i < hosts->n; i++) {
        struct addr a;
        int port = c->wish.port;
        addr_set(&a, slice_of(hosts->v[i].name), 1);
        places[i] = (struct place){.host = hosts->v[i].name,
                                   .here = listening_is_our_address(&a),
                                   .many = hosts->n > 1,
                                   .next_node = port > 0 ? port : NODE_PORT,
                                   .next_supervisor = port > 0 ? port + (int)counts[i] : SUPERVISOR_PORT};
    }
    return places;
}

static bool add_nodes(struct create *c, const struct hosts *hosts, struct place *places, const size_t *counts,
                      struct buf *why)
{
    size_t n = (size_t)c->wish.shards * (1 + (size_t)c->wish.replicas), at = 0;
    struct placement_node *nodes = mem_zalloc((n + 1) * sizeof *nodes);
    bool ok = true;
    for (size_t h = 0; h < hosts->n; h++)
        for (size_t i = 0; i < counts[h]; i++)
            nodes[at++].host = h;
    ok = placement_deal(hosts->v, hosts->n, nodes, n, (size_t)c->wish.shards, why);
    for (size_t i = 0; i < n && ok; i++) {
        ok = add_member(c, &places[nodes[i].host], false, why);
        if (!ok)
            break;
        struct layout_member *m = &c->layout.v[c->layout.n - 1];
        m->shard = (int)nodes[i].shard + 1;
        m->master = nodes[i].master;
        free(m->zone);
        m->zone = mem_strdup(hosts->v[nodes[i].host].zone);
    }
    free(nodes);
    return ok;
}

static bool add_supervisors(struct create *c, const struct hosts *hosts, struct place *places, struct buf *why)
{
    size_t n = (size_t)c->wish.supervisors, *at = mem_zalloc((n + 1) * sizeof *at);
    bool ok = true;
    placement_supervisors(hosts->v, hosts->n, at, n);
    for (size_t i = 0; i < n && ok; i++) {
        ok = add_member(c, &places[at[i]], true, why);
        if (ok) {
            struct layout_member *m = &c->layout.v[c->layout.n - 1];
            free(m->zone);
            m->zone = mem_strdup(hosts->v[at[i]].zone);
        }
    }
    free(at);
    return ok;
}

static bool add_all(struct create *c, struct buf *why)
{
    struct hosts hosts;
    bool ok = hosts_read(&hosts, c->wish.hosts != NULL ? c->wish.hosts : "127.0.0.1", why);
    size_t *counts = mem_zalloc((hosts.n + 1) * sizeof *counts);
    ok = ok && placement_count(hosts.v, hosts.n, (size_t)c->wish.shards, (size_t)c->wish.replicas, counts, why);
    if (ok) {
        struct place *places = places_of(c, &hosts, counts);
        ok = add_nodes(c, &hosts, places, counts, why) && add_supervisors(c, &hosts, places, why);
        free(places);
    }
    free(counts);
    hosts_free(&hosts);
    return ok;
}

bool create_plan_layout(struct create *c, struct buf *why)
{
    struct layout *l = &c->layout;
    const struct targets *t = &c->asking.targets;
    *l = (struct layout){.dir = mem_strdup(c->wish.dir),
                         .name = mem_strdup(c->wish.name),
                         .run_as = mem_strdup(c->wish.run_as),
                         .runner = c->wish.runner,
                         .shards = c->wish.shards,
                         .replicas = c->wish.replicas,
                         .supervisors = c->wish.supervisors,
                         .down_after_ms = c->wish.down_after_ms,
                         .password_file = mem_strdup(t->password_file != NULL ? t->password_file : ""),
                         .node_password_file = mem_strdup(t->node_password_file != NULL ? t->node_password_file : "")};
    l->noded = program_beside("noded", why);
    l->sentineld = l->noded != NULL ? program_beside("sentineld", why) : NULL;
    return l->sentineld != NULL && dir_is_free(c->wish.dir, why) && add_all(c, why);
}
