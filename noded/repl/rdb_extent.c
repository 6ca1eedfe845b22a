#include "noded/repl/rdb_extent.h"

#include "noded/store/dump_types.h"

#define STRING_MAX ((uint64_t)512 << 20)

/* What an element of an aggregate is made of. */
enum part { PART_END, PART_STRING, PART_LENGTH, PART_EIGHT, PART_SCORE };

/* The parts of one element; a value that is one string has no count. NULL: unknown. */
static const uint8_t *parts_of(int type, bool *counted)
{
    static const uint8_t string[] = {PART_STRING, PART_END};
    static const uint8_t pair[] = {PART_STRING, PART_STRING, PART_END};
    static const uint8_t node[] = {PART_LENGTH, PART_STRING, PART_END};
    static const uint8_t old_score[] = {PART_STRING, PART_SCORE, PART_END};
    static const uint8_t score[] = {PART_STRING, PART_EIGHT, PART_END};
    *counted = true;
    switch (type) {
    case RDB_STRING:
    case RDB_HASH_ZIPMAP:
    case RDB_LIST_ZIPLIST:
    case RDB_SET_INTSET:
    case RDB_ZSET_ZIPLIST:
    case RDB_HASH_ZIPLIST:
    case RDB_HASH_LISTPACK:
    case RDB_ZSET_LISTPACK:
    case RDB_SET_LISTPACK: *counted = false; return string;
    case RDB_LIST:
    case RDB_SET:
    case RDB_LIST_QUICKLIST: return string;
    case RDB_HASH: return pair;
    case RDB_ZSET: return old_score;
    case RDB_ZSET_2: return score;
    case RDB_LIST_QUICKLIST_2: return node;
    default: return NULL;
    }
}

/* A length, or what a string in a special form is: then *special. */
static enum nd_extent_status head(const char *p, size_t n, size_t *at, uint64_t *out, bool *special)
{
    if (*at >= n)
        return ND_EXTENT_MORE;
    const unsigned char *b = (const unsigned char *)p + *at;
    size_t there = n - *at, bytes = 0;
    *special = b[0] >> 6 == RDB_SPECIAL;
    if (b[0] >> 6 == RDB_LENGTH_6 || *special) {
        *out = b[0] & 63;
        *at += 1;
        return ND_EXTENT_DONE;
    }
    if (b[0] >> 6 == RDB_LENGTH_14) {
        if (there < 2)
            return ND_EXTENT_MORE;
        *out = (uint64_t)(b[0] & 63) << 8 | b[1];
        *at += 2;
        return ND_EXTENT_DONE;
    }
    bytes = b[0] == RDB_LENGTH_32 ? 4 : b[0] == RDB_LENGTH_64 ? 8 : 0;
    if (bytes == 0)
        return ND_EXTENT_BAD;
    if (there < 1 + bytes)
        return ND_EXTENT_MORE;
    *out = 0;
    for (size_t i = 1; i <= bytes; i++)
        *out = *out << 8 | b[i];
    *at += 1 + bytes;
    return ND_EXTENT_DONE;
}

enum nd_extent_status nd_extent_length(const char *p, size_t n, size_t *at, uint64_t *out)
{
    bool special;
    size_t next = *at;
    enum nd_extent_status s = head(p, n, &next, out, &special);
    if (s == ND_EXTENT_DONE && special)
        return ND_EXTENT_BAD;
    if (s == ND_EXTENT_DONE)
        *at = next;
    return s;
}

enum nd_extent_status nd_extent_string(const char *p, size_t n, size_t *at)
{
    bool special;
    size_t next = *at;
    uint64_t len, whole;
    enum nd_extent_status s = head(p, n, &next, &len, &special);
    if (s != ND_EXTENT_DONE)
        return s;
    if (special && len == RDB_LZF) {
        s = nd_extent_length(p, n, &next, &len);
        if (s == ND_EXTENT_DONE)
            s = nd_extent_length(p, n, &next, &whole);
        if (s != ND_EXTENT_DONE)
            return s;
    } else if (special) {
        if (len > RDB_INT32)
            return ND_EXTENT_BAD;
        len = (uint64_t)1 << len;
    }
    if (len > STRING_MAX)
        return ND_EXTENT_BAD;
    *at = next + (size_t)len;
    return ND_EXTENT_DONE;
}

/* Scores before RDB 8: a byte of length, of which three values stand for what has no digits. */
static enum nd_extent_status old_score(const char *p, size_t n, size_t *at)
{
    if (*at >= n)
        return ND_EXTENT_MORE;
    unsigned char len = (unsigned char)p[*at];
    *at += 1 + (size_t)(len < 253 ? len : 0);
    return ND_EXTENT_DONE;
}

bool nd_extent_begin(struct nd_extent *x, int type, size_t at)
{
    bool counted;
    *x = (struct nd_extent){.at = at, .type = (uint8_t)type};
    if (type < 0 || type > UINT8_MAX || parts_of(type, &counted) == NULL)
        return false;
    x->counted = !counted;
    x->left = 1;
    return true;
}

static enum nd_extent_status one_part(struct nd_extent *x, enum part part, const char *p, size_t n)
{
    uint64_t unused;
    switch (part) {
    case PART_STRING: return nd_extent_string(p, n, &x->at);
    case PART_LENGTH: return nd_extent_length(p, n, &x->at, &unused);
    case PART_SCORE: return old_score(p, n, &x->at);
    case PART_EIGHT: x->at += 8; return ND_EXTENT_DONE;
    case PART_END: break;
    }
    return ND_EXTENT_BAD;
}

enum nd_extent_status nd_extent_go_on(struct nd_extent *x, const char *p, size_t n)
{
    bool counted;
    const uint8_t *parts = parts_of(x->type, &counted);
    if (!x->counted) {
        enum nd_extent_status s = nd_extent_length(p, n, &x->at, &x->left);
        if (s != ND_EXTENT_DONE)
            return s;
        x->counted = true;
    }
    while (x->left > 0) {
        if (x->at > n)
            return ND_EXTENT_MORE;
        enum nd_extent_status s = one_part(x, (enum part)parts[x->step], p, n);
        if (s != ND_EXTENT_DONE)
            return s;
        x->step++;
        if (parts[x->step] == PART_END) {
            x->step = 0;
            x->left--;
        }
    }
    return x->at <= n ? ND_EXTENT_DONE : ND_EXTENT_MORE;
}
