#include "noded/cluster/state.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct slice key_of(const struct cl_id *id)
{
    return (struct slice){(const char *)id->b, sizeof id->b};
}

struct cl_node *cl_node_find(const struct cl_core *c, const struct cl_id *id)
{
    return map_get(&c->by_id, key_of(id));
}

struct cl_node *cl_node_find_text(const struct cl_core *c, struct slice text)
{
    struct cl_id id;
    return cl_id_parse(text, &id) ? cl_node_find(c, &id) : NULL;
}

struct cl_node *cl_each(const struct cl_core *c, size_t *it)
{
    while (*it < c->nnodes) {
        struct cl_node *n = c->nodes[(*it)++];
        if (n != NULL)
            return n;
    }
    return NULL;
}

bool cl_votes_here(const struct cl_node *n)
{
    return cl_has(n, CL_MASTER) && n->nslots > 0;
}

static size_t free_index(const struct cl_core *c)
{
    size_t i = c->known == c->nnodes ? c->nnodes : 0;
    while (i < c->nnodes && c->nodes[i] != NULL)
        i++;
    return i;
}

struct cl_node *cl_node_new(struct cl_core *c, const struct cl_id *id, uint16_t flags)
{
    size_t index = free_index(c);
    if (index >= CL_NODES_MAX)
        return NULL;
    if (index == c->nnodes) {
        c->nodes = mem_grow(c->nodes, c->nnodes, &c->cap_nodes, sizeof *c->nodes);
        c->nnodes++;
    }
    struct cl_node *n = mem_zalloc(sizeof *n);
    heap_node_init(&n->timer);
    n->id = *id;
    n->index = (uint16_t)index;
    n->flags = flags;
    n->created_us = n->heard_us = c->now_us;
    /* Long ago: a PING is due as soon as there is a link. */
    n->exchanged_us = c->now_us - 2 * cl_timeout_us(c);
    c->nodes[index] = n;
    c->known++;
    void *old = map_put(&c->by_id, key_of(id), n);
    assert(old == NULL);
    (void)old;
    c->version++;
    return n;
}

void cl_node_remove(struct cl_core *c, struct cl_node *n)
{
    assert(n != c->me);
    cl_node_uncounted(c, n);
    cl_slots_drop(c, n);
    for (size_t i = c->nopen; i-- > 0;)
        if (c->open[i].node == n)
            cl_open_clear(c, c->open[i].slot, c->open[i].importing);
    cl_reports_forget(c, n);
    cl_link_close(c, n);
    struct cl_node *o;
    for (size_t it = 0; (o = cl_each(c, &it)) != NULL;)
        if (o->master == n)
            o->master = NULL;
    struct cl_incoming *in;
    for (size_t it = 0; (in = idmap_next(&c->ins, &it)) != NULL;)
        if (in->node == n)
            in->node = NULL;
    if (c->manual.replica == n)
        cl_manual_end(c);
    heap_set(&c->heap, &n->timer, HEAP_NEVER);
    map_del(&c->by_id, key_of(&n->id));
    c->nodes[n->index] = NULL;
    c->known--;
    free(n->hostname);
    free(n->slots);
    free(n->reports);
    free(n);
    c->version++;
    c->looks = true;
    cl_saved_later(c);
}

void cl_node_rename(struct cl_core *c, struct cl_node *n, const struct cl_id *id)
{
    map_del(&c->by_id, key_of(&n->id));
    n->id = *id;
    map_put(&c->by_id, key_of(id), n);
    c->version++;
    cl_saved_later(c);
}

void cl_node_address(struct cl_core *c, struct cl_node *n, const char *ip, uint16_t port, uint16_t bus_port,
                     uint16_t other_port)
{
    assert(strlen(ip) < sizeof n->ip);
    n->other_port = other_port;
    if (strcmp(n->ip, ip) == 0 && n->port == port && n->bus_port == bus_port)
        return;
    bool moved = strcmp(n->ip, ip) != 0 || n->bus_port != bus_port;
    memmove(n->ip, ip, strlen(ip) + 1);
    n->port = port;
    n->bus_port = bus_port;
    cl_flags_set(c, n, 0, CL_NOADDR);
    c->version++;
    cl_saved_later(c);
    if (n == c->me)
        return;
    if (moved && n->link_state != CL_LINK_NONE)
        cl_link_close(c, n);
    if (moved)
        cl_tick_soon(c, n);
    if (c->me->master == n && cl_has(c->me, CL_REPLICA))
        cl_follow(c, n);
}

void cl_flags_set(struct cl_core *c, struct cl_node *n, uint16_t on, uint16_t off)
{
    uint16_t flags = (uint16_t)((n->flags & ~off) | on);
    if (flags == n->flags)
        return;
    uint16_t kept = CL_FAILED | CL_PFAIL | CL_MASTER | CL_REPLICA | CL_HANDSHAKE | CL_NOADDR | CL_NOFAILOVER;
    if (((flags ^ n->flags) & kept) != 0)
        cl_saved_later(c);
    n->flags = flags;
    c->version++;
    c->looks = true;
}

void cl_role_set(struct cl_core *c, struct cl_node *n, struct cl_node *master)
{
    uint16_t role = master != NULL ? CL_REPLICA : CL_MASTER;
    struct cl_node *old = n->master;
    if (old == master && cl_has(n, role))
        return;
    if (master != NULL) {
        master->had_replicas = true;
        cl_slots_yield(c, n);
        if (n != c->me && !cl_id_is_none(&master->shard))
            n->shard = master->shard;
    }
    n->master = master;
    if (old == c->me && n != c->me)
        n->left_us = c->now_us;
    else if (master == c->me)
        n->left_us = n->counted_until_us = 0;
    n->ours_seq = cl_next_seq(c);
    n->welcome = false;
    /* A master is an orphan only when it lost its replicas, not when they were taken elsewhere. */
    if (old != NULL && master != NULL && cl_replicas_of(c, old, false) == 0)
        old->had_replicas = false;
    if (old != NULL && master == NULL) {
        n->had_replicas = true;
        n->came_after = old->id;
    }
    cl_flags_set(c, n, role, (CL_MASTER | CL_REPLICA) & (uint16_t)~role);
    c->version++;
    c->looks = true;
    cl_saved_later(c);
    if (n == c->me || master == c->me)
        cl_durable(c);
}

void cl_master_known(struct cl_core *c, struct cl_node *n)
{
    struct cl_node *o;
    for (size_t it = 0; (o = cl_each(c, &it)) != NULL;)
        if (cl_has(o, CL_REPLICA) && o->master == NULL && o != n && cl_id_eq(&o->follows, &n->id))
            cl_role_set(c, o, n);
}

void cl_shard_name(struct cl_core *c)
{
    /* A nodes.conf of Redis 7.0 has none, and neither has a master of that kind whose replica we were. */
    if (!cl_id_is_none(&c->me->shard))
        return;
    cl_id_draw(&c->rng, &c->me->shard);
    c->version++;
    cl_durable(c);
}

void cl_hostname_set(struct cl_core *c, struct cl_node *n, struct slice name)
{
    if (slice_is(name, n->hostname != NULL ? n->hostname : ""))
        return;
    free(n->hostname);
    n->hostname = name.n > 0 ? slice_dup(name) : NULL;
    c->version++;
    cl_saved_later(c);
}

static struct cl_ban *find_ban(const struct cl_core *c, const struct cl_id *id)
{
    for (size_t i = 0; i < c->nbans; i++)
        if (c->bans[i].until_us > c->now_us && cl_id_eq(&c->bans[i].id, id))
            return &c->bans[i];
    return NULL;
}

bool cl_banned(const struct cl_core *c, const struct cl_id *id)
{
    const struct cl_ban *ban = find_ban(c, id);
    return ban != NULL && !ban->met;
}

static void drop_old_bans(struct cl_core *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->nbans; i++)
        if (c->bans[i].until_us > c->now_us)
            c->bans[kept++] = c->bans[i];
    c->nbans = kept;
}

void cl_ban(struct cl_core *c, const struct cl_id *id, int64_t seconds)
{
    if (cl_banned(c, id))
        return;
    drop_old_bans(c);
    struct cl_ban *ban = find_ban(c, id);
    if (ban == NULL) {
        c->bans = mem_grow(c->bans, c->nbans, &c->cap_bans, sizeof *c->bans);
        ban = &c->bans[c->nbans++];
    }
    *ban = (struct cl_ban){.id = *id, .until_us = c->now_us + seconds * INT64_C(1000000)};
}

void cl_ban_end(struct cl_core *c, const struct cl_id *id)
{
    struct cl_ban *ban = find_ban(c, id);
    if (ban != NULL)
        ban->met = true;
}

bool cl_ban_ended(const struct cl_core *c, const struct cl_id *id)
{
    const struct cl_ban *ban = find_ban(c, id);
    return ban != NULL && ban->met;
}

/* Whoever answers at that address: its id is not known yet, so it has one of chance until it says its own. NULL: that
 * address is being asked already. */
struct cl_node *cl_handshake(struct cl_core *c, const char *ip, uint16_t port, uint16_t bus_port, bool meet)
{
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (cl_has(n, CL_HANDSHAKE) && strcmp(n->ip, ip) == 0 && n->bus_port == bus_port)
            return NULL;
    struct cl_id id;
    cl_id_draw(&c->rng, &id);
    n = cl_node_new(c, &id, (uint16_t)(CL_HANDSHAKE | (meet ? CL_MEETING : 0)));
    if (n == NULL)
        return NULL;
    memcpy(n->ip, ip, strlen(ip) + 1);
    n->port = port;
    n->bus_port = bus_port;
    cl_tick_soon(c, n);
    return n;
}

int cl_replicas_of(const struct cl_core *c, const struct cl_node *master, bool working)
{
    int count = 0;
    struct cl_node *n;
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL;)
        if (n->master == master && cl_has(n, CL_REPLICA) && !(working && cl_has(n, CL_FAILED | CL_PFAIL)))
            count++;
    return count;
}
