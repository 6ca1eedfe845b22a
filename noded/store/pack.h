/* Listpack: a run of small elements in one allocation, the encoding of small lists, hashes and sorted sets, and the
 * format in which RDB has them. The bytes are Redis's own format (header: total bytes u32 LE, elements u16 LE;
 * elements: encoding + data + backward length; 0xFF at the end), so that DUMP and RDB are a copy.
 *
 * A pack is a plain block of memory that begins with the header: free() frees it. Every change may move it: the new
 * address is returned. */
#ifndef STORE_PACK_H
#define STORE_PACK_H

#include "common/base/bytes.h"

struct nd_pack;                    /* opaque: the bytes themselves */
typedef unsigned char *nd_pack_at; /* an element; NULL: past the end */

struct nd_pack *nd_pack_new(size_t capacity); /* empty; capacity is a hint in bytes */
struct nd_pack *nd_pack_dup(const struct nd_pack *p);
size_t nd_pack_bytes(const struct nd_pack *p);
size_t nd_pack_count(const struct nd_pack *p);     /* walks when it has 65,535 or more */
struct nd_pack *nd_pack_shrink(struct nd_pack *p); /* gives memory beyond its bytes back */

nd_pack_at nd_pack_first(const struct nd_pack *p);
nd_pack_at nd_pack_last(const struct nd_pack *p);
nd_pack_at nd_pack_next(const struct nd_pack *p, nd_pack_at at);
nd_pack_at nd_pack_prev(const struct nd_pack *p, nd_pack_at at);
nd_pack_at nd_pack_index(const struct nd_pack *p, int64_t index); /* negative: from the end */

#define ND_PACK_INT_TEXT 24
/* The element's bytes; a number is written into tmp. */
struct slice nd_pack_get(nd_pack_at at, char tmp[ND_PACK_INT_TEXT]);
bool nd_pack_number(nd_pack_at at, int64_t *out); /* true: it is stored as a number */
bool nd_pack_is(nd_pack_at at, struct slice s);   /* the element equals these bytes */
/* The first element equal to s, looking at `at` and then at each (skip + 1)th; NULL: none. */
nd_pack_at nd_pack_find(const struct nd_pack *p, nd_pack_at at, struct slice s, size_t skip);

/* Text that string2ll takes is stored as a number. */
struct nd_pack *nd_pack_append(struct nd_pack *p, struct slice s);
struct nd_pack *nd_pack_prepend(struct nd_pack *p, struct slice s);
/* Before `at` (NULL: at the end). *at becomes the new element when at is not NULL. */
struct nd_pack *nd_pack_insert(struct nd_pack *p, nd_pack_at *at, struct slice s);
struct nd_pack *nd_pack_replace(struct nd_pack *p, nd_pack_at *at,
                                struct slice s); /* *at: the element in its new place */
/* Takes `count` elements out from *at on; *at becomes the one behind, or NULL. */
struct nd_pack *nd_pack_remove(struct nd_pack *p, nd_pack_at *at, size_t count);
struct nd_pack *nd_pack_concat(struct nd_pack *a, const struct nd_pack *b); /* b's elements behind a's */
/* Bytes that s would take. */
size_t nd_pack_cost(struct slice s);
/* `more` bytes can be added: a pack never grows past 1 GiB. What adds to a pack asks first (the limits of small
 * encodings can be set so high that this is the one that counts). */
bool nd_pack_room(const struct nd_pack *p, size_t more);

/* A pack inside of a larger block with room at its ends (a node of a list): adding and dropping there moves nothing but
 * the header. The block and its room are the caller's business. */
struct nd_pack_item { /* an element as it will stand */
    struct slice data;
    size_t bytes; /* all of it */
    unsigned char head[9], head_n;
};
struct nd_pack_item nd_pack_item(struct slice s);
/* item->bytes are free in front of p: returns where the pack begins now. */
struct nd_pack *nd_pack_grow_front(struct nd_pack *p, const struct nd_pack_item *item);
void nd_pack_grow_back(struct nd_pack *p, const struct nd_pack_item *item); /* they are free behind it */
struct nd_pack *nd_pack_drop_front(
    struct nd_pack *p);                    /* the first element, which is there; where the pack begins now */
void nd_pack_drop_back(struct nd_pack *p); /* the last, which is there */
#define ND_PACK_EMPTY_BYTES 7
void nd_pack_init(unsigned char at[ND_PACK_EMPTY_BYTES]); /* an empty one in place */

/* The bytes, as DUMP and RDB want them. */
struct slice nd_pack_raw(const struct nd_pack *p);

/* Bytes from outside (RESTORE, RDB, a master): every element in bounds, lengths in both directions, count and end
 * right. Only a pack that passed may be used. Copies. NULL: not a listpack. */
struct nd_pack *nd_pack_load(struct slice bytes);

#endif
