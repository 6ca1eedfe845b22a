/* Hashes: a listpack of fields and values while it is small, then a table whose elements are a field and its value in
 * one allocation. All functions take a value of type ND_HASH. */
#ifndef STORE_HASH_H
#define STORE_HASH_H

#include "noded/store/pack.h"
#include "noded/store/table.h"
#include "noded/store/value.h"

/* A field and a value are at most so many bytes each. Whoever has bytes from outside looks first. */
#define ND_HASH_BYTES_MAX ((size_t)UINT32_MAX)

struct nd_hash_table;

struct nd_value nd_hash_new(void); /* empty, a listpack */
/* A value that was a listpack of fields and values before it came here (DUMP, RDB). Takes the pack over and becomes a
 * table when it is past the limits. false: an odd number of elements, none, or a field twice; the pack is still the
 * caller's. */
bool nd_hash_from_pack(struct nd_pack *p, const struct nd_limits *limits, struct nd_value *out);
/* Becomes a table; `fields` is how many are expected. Nothing happens when it is one. */
void nd_hash_to_table(struct nd_value *v, const struct nd_limits *limits, size_t fields);

/* The value's bytes; good until the hash changes. false: no such field. */
bool nd_hash_get(const struct nd_value *v, struct slice field, struct slice *out, char tmp[ND_PACK_INT_TEXT]);
/* true: the field is new. Becomes a table when the limits say so. */
bool nd_hash_set(struct nd_value *v, const struct nd_limits *limits, struct slice field, struct slice value);
bool nd_hash_remove(struct nd_value *v, struct slice field); /* true: it was there */

/* Slices are good until fn returns. */
typedef void nd_hash_fn(void *owner, struct slice field, struct slice value);
/* SCAN's guarantees (table.h). A listpack shows everything at once. fn must not change the hash. */
uint64_t nd_hash_scan(const struct nd_value *v, uint64_t cursor, nd_hash_fn *fn, void *owner);
/* A random field of a hash that is not empty. */
void nd_hash_random(const struct nd_value *v, struct rng *rng, nd_hash_fn *fn, void *owner);
/* `count` random fields, all different; all of them when there are no more. In the hash's own order, or in none. */
void nd_hash_random_distinct(const struct nd_value *v, struct rng *rng, size_t count, nd_hash_fn *fn, void *owner);

/* ---- for value.c ---- */
void nd_hash_free(struct nd_value *v);
struct nd_value nd_hash_dup(const struct nd_value *v);
size_t nd_hash_length(const struct nd_value *v);
size_t nd_hash_memory(const struct nd_value *v, size_t samples);
size_t nd_hash_effort(const struct nd_value *v);
void nd_hash_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner);
/* The table of a hash that is one (DEBUG HTSTATS-KEY); NULL: it is a listpack. */
struct nd_table *nd_hash_table_of(const struct nd_value *v);

#endif
