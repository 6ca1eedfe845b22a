/* Lists: a chain of nodes, each a listpack of some kilobytes, or one plain element too big for that. As in Redis 7.0,
 * so that DUMP and RDB are a copy of the nodes.
 *
 * A node's listpack stands in a block with room at both ends: a push or pop at an end of the list moves no other
 * element. All functions take a value of type ND_LIST. */
#ifndef STORE_LIST_H
#define STORE_LIST_H

#include "noded/store/pack.h"
#include "noded/store/value.h"

struct nd_list;
struct nd_list_node;

/* An empty list. How big its nodes grow is settled now (limits->list_max_listpack_size), as in Redis. */
struct nd_value nd_list_new(const struct nd_limits *limits);

/* ---- the ends ---- */
void nd_list_push(struct nd_value *v, bool front, struct slice s);
/* The element at an end of a list that is not empty; good until the list changes. */
struct slice nd_list_end(const struct nd_value *v, bool front, char tmp[ND_PACK_INT_TEXT]);
void nd_list_drop(struct nd_value *v, bool front); /* takes it out; it is there */

/* ---- elements in between ---- */
/* An element: good until the list changes, unless the change says where it is now. */
struct nd_list_at {
    struct nd_list_node *node;
    nd_pack_at at; /* in a packed node */
};
/* index: negative from the end. false: out of range. O(nodes) + O(elements of one node). */
bool nd_list_seek(const struct nd_value *v, int64_t index, struct nd_list_at *out);
bool nd_list_step(struct nd_list_at *at, bool backwards); /* to the neighbour; false: there is none, *at is of no use */
struct slice nd_list_get(const struct nd_list_at *at, char tmp[ND_PACK_INT_TEXT]);
bool nd_list_is(const struct nd_list_at *at, struct slice s);
/* Takes it out; *at becomes its neighbour in the direction of the walk. false: there is none. */
bool nd_list_remove(struct nd_value *v, struct nd_list_at *at, bool backwards);
void nd_list_insert(struct nd_value *v, const struct nd_list_at *at, bool after, struct slice s);
void nd_list_replace(struct nd_value *v, const struct nd_list_at *at, struct slice s);
/* `count` elements from `start` on; both in range. Whole nodes go at once. */
void nd_list_remove_range(struct nd_value *v, size_t start, size_t count);

/* ---- nodes, for DUMP and RDB ---- */
size_t nd_list_nodes(const struct nd_value *v);
const struct nd_list_node *nd_list_node_first(const struct nd_value *v);
const struct nd_list_node *nd_list_node_next(const struct nd_list_node *node); /* NULL: past the last */
/* packed (may be NULL): a listpack; else the element itself. */
struct slice nd_list_node_bytes(const struct nd_list_node *node, bool *packed);
/* A node from outside, behind the last. false: packed, but no listpack. An empty listpack adds nothing. */
bool nd_list_load_node(struct nd_value *v, struct slice bytes, bool packed);

/* ---- for value.c ---- */
void nd_list_free(struct nd_value *v);
struct nd_value nd_list_dup(const struct nd_value *v);
size_t nd_list_length(const struct nd_value *v);
size_t nd_list_memory(const struct nd_value *v, size_t samples);
size_t nd_list_effort(const struct nd_value *v);
void nd_list_visit(const struct nd_value *v, nd_visit_fn *fn, void *owner);

#endif
