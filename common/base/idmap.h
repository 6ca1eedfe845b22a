/* Table from a number to a pointer, for numbers that we give out ourselves, one after the other: links and the like. No
 * hashing: such numbers spread by themselves. For keys from outside there is map.h. */
#ifndef BASE_IDMAP_H
#define BASE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap_entry;
/* Zeroed is an empty one. */
struct idmap {
    struct idmap_entry *slots;
    size_t used, cap;
};

void idmap_free(struct idmap *m);                          /* the values are the caller's */
void *idmap_get(const struct idmap *m, uint64_t id);       /* NULL: not there */
void idmap_put(struct idmap *m, uint64_t id, void *value); /* replaces; value is not NULL */
void *idmap_del(struct idmap *m, uint64_t id);             /* the value it had, or NULL */
/* for (size_t it = 0; (v = idmap_next(m, &it)) != NULL;)  The table must not change meanwhile. */
void *idmap_next(const struct idmap *m, size_t *it);

#endif
