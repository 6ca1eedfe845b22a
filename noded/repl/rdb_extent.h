/* How far a value of an RDB file reaches, found out while its bytes arrive: each byte is looked at once, however small
 * the pieces are. Only the lengths are read; what the value is decides nd_load_value(). */
#ifndef REPL_RDB_EXTENT_H
#define REPL_RDB_EXTENT_H

#include "common/base/bytes.h"

enum nd_extent_status { ND_EXTENT_MORE, ND_EXTENT_DONE, ND_EXTENT_BAD };

/* One number or string, or a value of many of them. */
struct nd_extent {
    size_t at;     /* bytes of the item that are accounted for; may be beyond those that are there */
    uint64_t left; /* parts still to come */
    uint8_t type;  /* RDB's */
    uint8_t step;  /* within an element */
    bool counted;  /* the number of elements was read */
};

/* A value of this RDB type begins at the item's byte `at`. false: nobody knows how far such a value reaches. */
bool nd_extent_begin(struct nd_extent *x, int type, size_t at);
/* p and n: the item from its first byte on, as far as it is there; what was given before is given again. DONE: it is
 * whole and has x->at bytes. BAD: a length makes no sense. */
enum nd_extent_status nd_extent_go_on(struct nd_extent *x, const char *p, size_t n);

/* A length, or a string with its head, at byte *at: *at becomes what follows. With a string *at may come to lie beyond
 * n: the string is not whole. */
enum nd_extent_status nd_extent_length(const char *p, size_t n, size_t *at, uint64_t *out);
enum nd_extent_status nd_extent_string(const char *p, size_t n, size_t *at);

#endif
