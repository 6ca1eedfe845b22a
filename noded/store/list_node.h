/* Inside of lists: what list.c (ends, whole lists) and list_edit.c (the middle) share. */
#ifndef STORE_LIST_NODE_H
#define STORE_LIST_NODE_H

#include "noded/store/list.h"

struct nd_list_node {
    struct nd_list_node *prev, *next;
    unsigned char *block; /* plain: the element; else the pack begins at block + front */
    union {
        struct {
            uint32_t front, cap; /* cap: bytes of the block */
        };
        size_t plain_bytes;
    };
    uint32_t count; /* elements; a node that is in a list has one at least */
    bool plain;
};

struct nd_list {
    struct nd_list_node *head, *tail;
    size_t length; /* elements */
    uint64_t nodes : 48;
    int64_t fill : 16; /* list-max-listpack-size, in its range */
};
_Static_assert(sizeof(void *) != 8 || sizeof(struct nd_list) == 32, "small lists are many");

#define ND_LIST_PLAIN_MIN ((size_t)1 << 30) /* an element of so many bytes is in no pack; Redis 7.0's bound */

static inline struct nd_list *nd_list_of(const struct nd_value *v)
{
    return v->ptr;
}

static inline struct nd_pack *nd_list_pack(const struct nd_list_node *node)
{
    return (struct nd_pack *)(node->block + node->front);
}

size_t nd_list_node_limit(const struct nd_list *l); /* bytes of a pack */
/* May an element of n bytes be added to the node? node may be NULL (no). */
bool nd_list_fits(const struct nd_list *l, const struct nd_list_node *node, size_t n);
/* Adds at an end of a packed node that it fits in. */
void nd_list_node_push(struct nd_list *l, struct nd_list_node *node, bool front, struct slice s);
void nd_list_node_shrink(struct nd_list_node *node); /* after something was taken out */

/* A node with one element, linked behind `after` (NULL: as the head). front: more is to come in front of it. */
struct nd_list_node *nd_list_node_new(struct nd_list *l, struct nd_list_node *after, bool front, struct slice s);
/* A node around a pack, which it takes over. */
struct nd_list_node *nd_list_node_around(struct nd_list *l, struct nd_list_node *after, struct nd_pack *p,
                                         uint32_t count);
void nd_list_node_free(struct nd_list *l, struct nd_list_node *node); /* unlinks; l->length is the caller's matter */

#endif
