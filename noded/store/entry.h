/* A key with its value, its expiry and, for short strings, the bytes of the value in one allocation:
 *
 *     struct nd_value (16) | expiry in ms (8, when has_expire) | key bytes | string bytes (when embedded)
 *
 * So an entry moves when it gains or loses an expiry, or when an embedded string changes its length. Whoever may move
 * an entry takes it through the keyspace (keyspace.h), which puts the new address where the old one was. */
#ifndef STORE_ENTRY_H
#define STORE_ENTRY_H

#include "noded/store/value.h"

#include <string.h>

#define ND_NO_EXPIRE (-1)
#define ND_EMBED_MAX 128 /* a string value of up to so many bytes stands in its entry */

struct nd_entry {
    struct nd_value v;
};

static inline char *nd_entry_key_bytes(const struct nd_entry *e)
{
    return (char *)(e + 1) + (e->v.has_expire ? sizeof(int64_t) : 0);
}

static inline struct slice nd_entry_key(const struct nd_entry *e)
{
    return (struct slice){.p = nd_entry_key_bytes(e), .n = e->v.key_len};
}

/* Unix milliseconds, or ND_NO_EXPIRE. */
static inline int64_t nd_entry_expire(const struct nd_entry *e)
{
    if (!e->v.has_expire)
        return ND_NO_EXPIRE;
    int64_t at;
    memcpy(&at, e + 1, sizeof at);
    return at;
}

static inline char *nd_entry_embedded(const struct nd_entry *e)
{
    return nd_entry_key_bytes(e) + e->v.key_len;
}

#endif
