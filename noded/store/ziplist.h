/* The compact encodings of Redis before 7: ziplist and zipmap. They are only read, from old RDB files and payloads;
 * nothing here writes them. */
#ifndef STORE_ZIPLIST_H
#define STORE_ZIPLIST_H

#include "common/base/bytes.h"

/* The element is good until the function returns; false ends the walk. */
typedef bool nd_ziplist_fn(void *owner, struct slice element);

/* Shows each element, numbers as text. The bytes may be anything: false: they are not a whole, consistent ziplist (or
 * zipmap), or fn returned false; some elements may have been shown by then. */
bool nd_ziplist_walk(struct slice bytes, nd_ziplist_fn *fn, void *owner);
bool nd_zipmap_walk(struct slice bytes, nd_ziplist_fn *fn, void *owner); /* field, value, field, value, ... */

#endif
