/* Hash map from a byte string to a pointer. Keys are copied. Iteration is in no useful order but is the same for the
 * same seed and history, so that the simulator repeats itself. Seeded against flooding (SipHash). */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "common/base/bytes.h"

struct map_entry;
struct map {
    struct map_entry *slots;
    size_t used, cap;
    uint64_t seed[2];
};

void map_init(struct map *m, uint64_t seed0, uint64_t seed1);
void map_free(struct map *m);                         /* the values are the caller's */
void *map_get(const struct map *m, struct slice key); /* NULL: not there */
void *map_gets(const struct map *m, const char *key);
void *map_put(struct map *m, struct slice key, void *value); /* the value it replaced, or NULL; value is not NULL */
void *map_puts(struct map *m, const char *key, void *value);
void *map_del(struct map *m, struct slice key); /* the value it had, or NULL */
void *map_dels(struct map *m, const char *key);

/* for (size_t it = 0; (v = map_next(m, &it, &key)) != NULL;)  The map must not change meanwhile. key may be NULL. */
void *map_next(const struct map *m, size_t *it, struct slice *key);

uint64_t map_hash(const uint64_t seed[2], const void *p, size_t n); /* SipHash-1-3 */

#endif
