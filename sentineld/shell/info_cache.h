/* The last INFO text of every node, for SENTINEL INFO-CACHE.
 *
 * The texts of thousands of servers differ in their values and hardly ever in the names of their lines. The names are
 * kept once for all texts that have the same ones, so that a node costs the bytes of its values: a third. */
#ifndef SHELL_INFO_CACHE_H
#define SHELL_INFO_CACHE_H

#include "common/base/bytes.h"

struct info_cache;

struct info_cache *info_cache_new(const uint64_t seed[2]); /* seed: of the hash tables, against flooding */
void info_cache_free(struct info_cache *c);                /* NULL is allowed */

/* Replaces what is kept of that node. Any bytes; what is past 256 KiB is not kept. when_us is given back as it is. */
void info_cache_put(struct info_cache *c, const char *node, struct slice text, int64_t when_us);
/* Byte for byte as it was put. n = 0 when there is none (*when_us is then 0). Valid until the next call with c. */
struct slice info_cache_get(struct info_cache *c, const char *node, int64_t *when_us);

size_t info_cache_count(const struct info_cache *c); /* nodes */
/* Forgets every node for which wanted() is false. */
void info_cache_sweep(struct info_cache *c, bool (*wanted)(void *arg, struct slice node), void *arg);

#endif
