#include "sentineld/shell/state_image.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct state_group *state_image_group(const struct state_image *m, const char *name)
{
    for (size_t i = 0; i < m->ngroups; i++)
        if (strcmp(m->groups[i].name, name) == 0)
            return &m->groups[i];
    return NULL;
}

struct state_group *state_image_add(struct state_image *m, const char *name)
{
    m->groups = mem_grow(m->groups, m->ngroups, &m->cap_groups, sizeof *m->groups);
    struct state_group *g = &m->groups[m->ngroups++];
    *g = (struct state_group){.name = mem_strdup(name)};
    return g;
}

void state_group_add_replica(struct state_group *g, const struct addr *a)
{
    g->replicas = mem_array(g->replicas, g->nreplicas + 1, sizeof *g->replicas);
    g->replicas[g->nreplicas++] = *a;
}

void state_group_add_peer(struct state_group *g, const struct addr *a, const char *id)
{
    g->peers = mem_array(g->peers, g->npeers + 1, sizeof *g->peers);
    struct sn_record_peer *p = &g->peers[g->npeers++];
    *p = (struct sn_record_peer){.addr = *a};
    memcpy(p->id, id, strnlen(id, RUNID_LEN));
}

void state_group_forget_members(struct state_group *g)
{
    free(g->replicas);
    free(g->peers);
    g->replicas = NULL;
    g->peers = NULL;
    g->nreplicas = g->npeers = 0;
}

static void free_group(struct state_group *g)
{
    free(g->name);
    free(g->fleet);
    free(g->nodes);
    state_group_forget_members(g);
}

void state_group_set_fleet(struct state_group *g, const char *fleet)
{
    free(g->fleet);
    free(g->nodes);
    g->fleet = mem_strdup(fleet);
    g->nodes = NULL;
    g->nnodes = 0;
}

void state_group_add_node(struct state_group *g, const char *id, const struct addr *a)
{
    g->nodes = mem_array(g->nodes, g->nnodes + 1, sizeof *g->nodes);
    struct sn_record_node *n = &g->nodes[g->nnodes++];
    *n = (struct sn_record_node){.addr = *a};
    memcpy(n->id, id, strnlen(id, RUNID_LEN));
}

struct state_fleet *state_image_fleet(const struct state_image *m, const char *name)
{
    for (size_t i = 0; i < m->nfleets; i++)
        if (strcmp(m->fleets[i].name, name) == 0)
            return &m->fleets[i];
    return NULL;
}

struct state_fleet *state_image_add_fleet(struct state_image *m, const char *name)
{
    m->fleets = mem_grow(m->fleets, m->nfleets, &m->cap_fleets, sizeof *m->fleets);
    struct state_fleet *f = &m->fleets[m->nfleets++];
    *f = (struct state_fleet){.name = mem_strdup(name)};
    return f;
}

void state_fleet_set_swap(struct state_fleet *f, const struct sn_swap *s, const char *lists)
{
    free(f->swap_lists);
    f->swap_lists = lists != NULL ? mem_strdup(lists) : NULL;
    f->swap = *s;
}

#define FLEET_KEY "cluster "

void state_fleet_key(struct buf *out, const char *fleet)
{
    buf_clear(out);
    buf_printf(out, FLEET_KEY "%s", fleet);
}

const char *state_fleet_of_key(const char *key)
{
    return strncmp(key, FLEET_KEY, strlen(FLEET_KEY)) == 0 ? key + strlen(FLEET_KEY) : NULL;
}

const char *state_options_get(const struct state_options *o, const char *group, const char *option)
{
    for (size_t i = 0; i < o->n; i++)
        if (slice_ieq(slice_of(o->v[i].option), option) && strcmp(o->v[i].group, group) == 0)
            return o->v[i].value;
    return NULL;
}

bool state_options_has_group(const struct state_options *o, const char *group)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->v[i].group, group) == 0)
            return true;
    return false;
}

void state_options_add(struct state_options *o, const char *group, const char *option, const char *value)
{
    o->v = mem_grow(o->v, o->n, &o->cap, sizeof *o->v);
    o->v[o->n++] = (struct state_option){mem_strdup(group), mem_strdup(option), mem_strdup(value)};
}

static void free_option(struct state_option *o)
{
    free(o->group);
    free(o->option);
    free(o->value);
}

void state_options_rename(struct state_options *o, const char *from, const char *to)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->n; i++) {
        struct state_option *at = &o->v[i];
        if (strcmp(at->group, to) == 0) {
            free_option(at);
            continue;
        }
        if (strcmp(at->group, from) == 0) {
            free(at->group);
            at->group = mem_strdup(to);
        }
        o->v[kept++] = *at;
    }
    o->n = kept;
}

void state_options_free(struct state_options *o)
{
    for (size_t i = 0; i < o->n; i++)
        free_option(&o->v[i]);
    free(o->v);
    *o = (struct state_options){.n = 0};
}

void state_image_free(struct state_image *m)
{
    for (size_t i = 0; i < m->ngroups; i++)
        free_group(&m->groups[i]);
    for (size_t i = 0; i < m->nfleets; i++) {
        free(m->fleets[i].name);
        free(m->fleets[i].swap_lists);
    }
    free(m->groups);
    free(m->fleets);
    free(m->list);
    state_options_free(&m->options);
    state_options_free(&m->file_values);
    *m = (struct state_image){.ngroups = 0};
}

static void copy_options(struct state_options *to, const struct state_options *from)
{
    for (size_t i = 0; i < from->n; i++)
        state_options_add(to, from->v[i].group, from->v[i].option, from->v[i].value);
}

void state_image_copy(struct state_image *to, const struct state_image *from)
{
    *to = (struct state_image){.epoch = from->epoch,
                               .joined = from->joined,
                               .list = from->list != NULL ? mem_strdup(from->list) : NULL,
                               .list_version = from->list_version,
                               .list_counted = from->list_counted};
    memcpy(to->id, from->id, sizeof to->id);
    for (size_t i = 0; i < from->ngroups; i++) {
        const struct state_group *g = &from->groups[i];
        struct state_group *copy = state_image_add(to, g->name);
        char *name = copy->name;
        *copy = *g;
        copy->name = name;
        copy->fleet = NULL;
        copy->nodes = NULL;
        copy->replicas = NULL;
        copy->peers = NULL;
        copy->nreplicas = copy->npeers = copy->nnodes = 0;
        for (size_t k = 0; k < g->nreplicas; k++)
            state_group_add_replica(copy, &g->replicas[k]);
        for (size_t k = 0; k < g->npeers; k++)
            state_group_add_peer(copy, &g->peers[k].addr, g->peers[k].id);
        if (g->fleet != NULL)
            state_group_set_fleet(copy, g->fleet);
        for (size_t k = 0; k < g->nnodes; k++)
            state_group_add_node(copy, g->nodes[k].id, &g->nodes[k].addr);
    }
    for (size_t i = 0; i < from->nfleets; i++) {
        struct state_fleet *copy = state_image_add_fleet(to, from->fleets[i].name);
        copy->monitored = from->fleets[i].monitored;
        copy->config_epoch = from->fleets[i].config_epoch;
        copy->vote_epoch = from->fleets[i].vote_epoch;
        state_fleet_set_swap(copy, &from->fleets[i].swap, from->fleets[i].swap_lists);
    }
    copy_options(&to->options, &from->options);
    copy_options(&to->file_values, &from->file_values);
}
