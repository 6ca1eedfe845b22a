#include "tests/bus/lineage.h"

#include <string.h>

size_t lineage_find(const struct lineage *l, const struct cl_id *id)
{
    size_t at = 0;
    while (at < l->n && !cl_id_eq(&l->id[at], id))
        at++;
    return at;
}

void lineage_add(struct lineage *l, const struct cl_id *id)
{
    size_t at = lineage_find(l, id);
    if (at == l->n)
        l->n += l->n < LINEAGE ? 1 : 0;
    for (at = at < LINEAGE ? at : LINEAGE - 1; at > 0; at--)
        l->id[at] = l->id[at - 1];
    l->id[0] = *id;
}

void lineage_drop_newest(struct lineage *l)
{
    l->n--;
    memmove(&l->id[0], &l->id[1], l->n * sizeof l->id[0]);
}
