#include "nodectl/import/dirty.h"

#include "common/base/mem.h"

#include <stdlib.h>

void dirty_free(struct dirty *d)
{
    for (size_t i = 0; i < d->n; i++)
        map_free(&d->v[i]);
    free(d->v);
    *d = (struct dirty){.v = NULL};
}

void dirty_add(struct dirty *d, int64_t db, struct slice key)
{
    if ((size_t)db >= d->n) {
        d->v = mem_array(d->v, (size_t)db + 1, sizeof *d->v);
        for (; d->n <= (size_t)db; d->n++)
            map_init(&d->v[d->n], 0, 0);
    }
    d->count += map_put(&d->v[db], key, d) == NULL;
}

void dirty_drop(struct dirty *d, int64_t db)
{
    if ((size_t)db >= d->n)
        return;
    d->count -= d->v[db].used;
    map_free(&d->v[db]);
}

void dirty_take(struct dirty *d, struct dirty *to)
{
    dirty_free(to);
    *to = *d;
    *d = (struct dirty){.v = NULL};
}
