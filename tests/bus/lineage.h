/* The nodes that were masters of a shard one behind the other, the newest first. */
#ifndef BUS_LINEAGE_H
#define BUS_LINEAGE_H

#include "noded/cluster/id.h"

#include <stddef.h>

#define LINEAGE 8 /* older ones are forgotten */

struct lineage {
    struct cl_id id[LINEAGE];
    size_t n;
};

size_t lineage_find(const struct lineage *l, const struct cl_id *id); /* its place; n: it is not there */
void lineage_add(struct lineage *l, const struct cl_id *id);          /* as the newest, or it becomes that */
void lineage_drop_newest(struct lineage *l);                          /* there is one */

#endif
