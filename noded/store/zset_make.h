/* Making sorted sets, and from one encoding to the other: what zset.c and zset_make.c share. */
#ifndef STORE_ZSET_MAKE_H
#define STORE_ZSET_MAKE_H

#include "noded/store/bucket.h"
#include "noded/store/zset.h"

static inline struct slice zmember_key(const void *element)
{
    return nd_zmember_slice(element);
}

/* A member that is not there; hash is its hash in the table. */
void zset_add(struct nd_zset *z, uint64_t hash, struct slice member, double score);
void zset_to_tree(struct nd_value *v, const uint64_t seed[2]);
/* Whether one more member may be put into the listpack. */
bool zset_pack_takes(const struct nd_pack *pack, struct slice member, const struct nd_limits *limits);

#endif
