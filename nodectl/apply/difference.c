#include "nodectl/apply/difference.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static void put(runid **list, size_t *n, const char *id)
{
    *list = mem_array(*list, *n + 1, sizeof **list);
    memcpy((*list)[(*n)++], id, sizeof(runid));
}

/* Masters by their slots, most first; the order of the picture between equals. */
static const struct picture_node **masters_of(const struct picture *p, size_t *n)
{
    const struct picture_node **v = mem_zalloc((p->n + 1) * sizeof(const struct picture_node *));
    *n = 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t at = (*n)++;
        if (!p->v[i].master) {
            (*n)--;
            continue;
        }
        for (; at > 0 && v[at - 1]->nslots < p->v[i].nslots; at--)
            v[at] = v[at - 1];
        v[at] = &p->v[i];
    }
    return v;
}

static bool is_of(const struct picture_node *n, const struct picture_node *master)
{
    return !n->master && runid_cmp(n->master_id, master->id) == 0;
}

static void leave_replicas(struct difference *d, const struct picture *p, const struct picture_node *master,
                           size_t excess)
{
    for (int living = 0; living < 2; living++)
        for (size_t i = p->n; i-- > 0 && excess > 0;)
            if (is_of(&p->v[i], master) && p->v[i].answers == (living == 1)) {
                put(&d->leave, &d->nleave, p->v[i].id);
                excess--;
            }
}

static void compare_replicas(struct difference *d, const struct picture *p, const struct picture_node *master,
                             size_t wished)
{
    size_t have = 0;
    for (size_t i = 0; i < p->n; i++)
        have += is_of(&p->v[i], master);
    for (size_t i = have; i < wished; i++)
        put(&d->replicas, &d->nreplicas, master->id);
    if (have > wished)
        leave_replicas(d, p, master, have - wished);
}

void difference_find(struct difference *d, const struct picture *p, size_t shards, size_t replicas)
{
    size_t n;
    const struct picture_node **masters = masters_of(p, &n);
    *d = (struct difference){.masters = n < shards ? shards - n : 0};
    for (size_t i = 0; i < n && i < shards; i++) {
        compare_replicas(d, p, masters[i], replicas);
        d->uneven = d->uneven || masters[i]->nslots == 0;
    }
    for (size_t i = n; i-- > shards;) {
        leave_replicas(d, p, masters[i], SIZE_MAX);
        put(&d->leave, &d->nleave, masters[i]->id);
        if (masters[i]->nslots > 0)
            put(&d->drain, &d->ndrain, masters[i]->id);
    }
    free(masters);
}

void difference_free(struct difference *d)
{
    free(d->replicas);
    free(d->leave);
    free(d->drain);
    *d = (struct difference){.masters = 0};
}
