/* Keys that have to be copied anew, each once however often it was written. */
#ifndef NODECTL_IMPORT_DIRTY_H
#define NODECTL_IMPORT_DIRTY_H

#include "common/base/map.h"

struct dirty {
    struct map *v; /* a set of keys for each database */
    size_t n, count;
};

/* A zeroed struct dirty is an empty one. */
void dirty_free(struct dirty *d); /* and is so again afterwards */
void dirty_add(struct dirty *d, int64_t db, struct slice key);
/* Forgets those of a database. */
void dirty_drop(struct dirty *d, int64_t db);
/* All that are there go to *to, which was empty, and d begins anew. */
void dirty_take(struct dirty *d, struct dirty *to);

#endif
