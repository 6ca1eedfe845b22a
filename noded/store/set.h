/* The set type: an intset while every member is a number and there are at most set-max-intset-entries, else a table
 * with one allocation a member. A set never goes back to an intset, except where a command makes it anew. */
#ifndef STORE_SET_H
#define STORE_SET_H

#include "noded/store/intset.h"
#include "noded/store/table.h"
#include "noded/store/value.h"

#define ND_MEMBER_TEXT 24 /* bytes for a member that is a number */

/* ptr of ND_ENC_HASHTABLE. */
struct nd_set_table {
    struct nd_table t;
};

/* An empty set whose encoding suits this first member. Where limits are asked for, limits->seed must outlive the set.
 */
struct nd_value nd_set_new(struct slice first, const struct nd_limits *limits);
struct nd_value nd_set_new_intset(void); /* empty, for results of which nothing is known yet */
/* Takes the intset over, as a table when it has more numbers than the limit. */
struct nd_value nd_set_from_intset(struct nd_intset *numbers, const struct nd_limits *limits);
void nd_set_to_table(struct nd_value *v, const uint64_t seed[2], size_t reserve); /* no change when it is one */

bool nd_set_add(struct nd_value *v, struct slice member, const struct nd_limits *limits); /* false: it was there */
bool nd_set_remove(struct nd_value *v, struct slice member);                              /* false: it was not there */
bool nd_set_has(const struct nd_value *v, struct slice member);
/* A random member of a set that is not empty; a number is written into text. Good until the set changes. */
struct slice nd_set_random(const struct nd_value *v, struct rng *rng, char text[ND_MEMBER_TEXT]);

/* Every member: an intset's in rising order, a table's in no order. The set must not change meanwhile. Ends by itself
 * (nd_set_next() says false), or by nd_set_stop(). */
struct nd_set_iter {
    const struct nd_value *v;
    size_t index;
    struct nd_table_iter at;
    char text[ND_MEMBER_TEXT];
};
void nd_set_iterate(const struct nd_value *v, struct nd_set_iter *it);
bool nd_set_next(struct nd_set_iter *it, struct slice *member); /* good until the next call */
void nd_set_stop(struct nd_set_iter *it);

/* SSCAN: an intset is shown whole at once. */
typedef void nd_set_scan_fn(void *owner, struct slice member);
uint64_t nd_set_scan(const struct nd_value *v, uint64_t cursor, nd_set_scan_fn *fn, void *owner);

/* For value.c. */
void nd_set_free(struct nd_value *v);
struct nd_value nd_set_dup(const struct nd_value *v);
size_t nd_set_length(const struct nd_value *v);
size_t nd_set_memory(const struct nd_value *v, size_t samples);
size_t nd_set_effort(const struct nd_value *v);
void nd_set_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner);

#endif
