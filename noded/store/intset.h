/* Intset: a sorted array of numbers of 2, 4 or 8 bytes, the encoding of small sets of numbers and RDB's format for them
 * (encoding u32 LE, length u32 LE, numbers LE). A plain block of memory: free() frees it. */
#ifndef STORE_INTSET_H
#define STORE_INTSET_H

#include "common/base/bytes.h"
#include "common/base/rng.h"

struct nd_intset;

struct nd_intset *nd_intset_new(void);
size_t nd_intset_count(const struct nd_intset *s);
size_t nd_intset_bytes(const struct nd_intset *s);
bool nd_intset_has(const struct nd_intset *s, int64_t v);
struct nd_intset *nd_intset_add(struct nd_intset *s, int64_t v, bool *added);
struct nd_intset *nd_intset_remove(struct nd_intset *s, int64_t v, bool *removed);
int64_t nd_intset_get(const struct nd_intset *s, size_t index); /* in rising order */
struct nd_intset *nd_intset_dup(const struct nd_intset *s);
struct slice nd_intset_raw(const struct nd_intset *s); /* as RDB has it */
/* From outside: sorted, no duplicates, lengths right. Copies. NULL: not an intset. */
struct nd_intset *nd_intset_load(struct slice bytes);

#endif
