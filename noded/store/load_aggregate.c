#include "noded/store/load_types.h"

#include "noded/store/dump.h"
#include "noded/store/dump_types.h"
#include "noded/store/hash.h"
#include "noded/store/intset.h"
#include "noded/store/list.h"
#include "noded/store/pack.h"
#include "noded/store/set.h"
#include "noded/store/ziplist.h"
#include "noded/store/zset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A value in the making, fed with elements one by one. */
struct making {
    struct nd_value v;
    bool begun;
    enum nd_type type;
    const struct nd_limits *limits;
    const char *fault;
    struct buf first; /* of a pair, until the second comes */
    bool half;
};

static const char twice[] = "an element is there twice";

static void begin(struct making *m, struct slice first)
{
    if (m->type == ND_LIST)
        m->v = nd_list_new(m->limits);
    else if (m->type == ND_SET)
        m->v = nd_set_new(first, m->limits);
    else if (m->type == ND_HASH)
        m->v = nd_hash_new();
    else /* settles at the end: a listpack does not keep the sign of a zero */
        m->v = nd_zset_new_tree(m->limits->seed, 0);
    m->begun = true;
}

static bool put_score(struct making *m, struct slice member, double score)
{
    if (!m->begun)
        begin(m, member);
    if (isnan(score)) {
        m->fault = "a score is not a number";
        return false;
    }
    if (nd_zset_put(&m->v, member, &score, 0, m->limits) != ND_ZPUT_ADDED) {
        m->fault = twice;
        return false;
    }
    return true;
}

static bool put_pair(struct making *m, struct slice a, struct slice b)
{
    if (m->type == ND_ZSET) {
        double score;
        if (!nd_number_double(b, &score)) {
            m->fault = "a score is not a number";
            return false;
        }
        return put_score(m, a, score);
    }
    if (!m->begun)
        begin(m, a);
    if (!nd_hash_set(&m->v, m->limits, a, b))
        m->fault = twice;
    return m->fault == NULL;
}

/* An element of any type; of hashes and sorted sets the halves of the pairs one after the other. */
static bool put(void *owner, struct slice s)
{
    struct making *m = owner;
    if (m->type == ND_HASH || m->type == ND_ZSET) {
        m->half = !m->half;
        if (m->half) {
            buf_clear(&m->first);
            buf_put(&m->first, s.p, s.n);
            return true;
        }
        return put_pair(m, buf_slice(&m->first), s);
    }
    if (!m->begun)
        begin(m, s);
    if (m->type == ND_LIST)
        nd_list_push(&m->v, false, s);
    else if (!nd_set_add(&m->v, s, m->limits))
        m->fault = twice;
    return m->fault == NULL;
}

/* Count, then so many strings (twice as many when they are pairs). */
static bool read_strings(struct slice *in, struct making *m)
{
    uint64_t n, each = m->type == ND_HASH ? 2 : 1;
    struct buf memory = {0};
    struct slice s;
    bool ok = nd_load_length(in, &n);
    for (uint64_t i = 0; ok && i < n; i++)
        for (uint64_t k = 0; ok && k < each; k++)
            ok = nd_load_view(in, &memory, &s) && put(m, s);
    buf_free(&memory);
    return ok;
}

/* Scores before RDB 8 are text with a byte of length; three lengths are the numbers that have no digits. */
static bool read_old_score(struct slice *in, double *out)
{
    if (in->n < 1)
        return false;
    size_t n = (unsigned char)in->p[0];
    in->p++;
    in->n--;
    if (n >= 253) {
        *out = n == 253 ? (double)NAN : n == 254 ? (double)INFINITY : -(double)INFINITY;
        return true;
    }
    if (in->n < n || !nd_number_double((struct slice){in->p, n}, out))
        return false;
    in->p += n;
    in->n -= n;
    return true;
}

static bool read_score(struct slice *in, double *out)
{
    if (in->n < 8)
        return false;
    uint64_t bits = 0;
    for (size_t i = 8; i-- > 0;)
        bits = bits << 8 | (unsigned char)in->p[i];
    memcpy(out, &bits, sizeof bits);
    in->p += 8;
    in->n -= 8;
    return true;
}

static bool read_zset(struct slice *in, struct making *m, bool old)
{
    uint64_t n;
    struct buf memory = {0};
    struct slice s;
    double score;
    bool ok = nd_load_length(in, &n);
    for (uint64_t i = 0; ok && i < n; i++)
        ok = nd_load_view(in, &memory, &s) && (old ? read_old_score(in, &score) : read_score(in, &score)) &&
             put_score(m, s, score);
    buf_free(&memory);
    return ok;
}

static bool read_nodes(struct slice *in, struct making *m, bool ziplists)
{
    uint64_t n, kind = RDB_NODE_PACKED;
    struct buf memory = {0};
    struct slice s;
    bool ok = nd_load_length(in, &n);
    begin(m, (struct slice){NULL, 0});
    for (uint64_t i = 0; ok && i < n; i++) {
        ok = (ziplists || (nd_load_length(in, &kind) && (kind == RDB_NODE_PACKED || kind == RDB_NODE_PLAIN))) &&
             nd_load_view(in, &memory, &s);
        if (ok)
            ok = ziplists ? nd_ziplist_walk(s, put, m) : nd_list_load_node(&m->v, s, kind == RDB_NODE_PACKED);
    }
    buf_free(&memory);
    return ok;
}

/* A hash or sorted set whose listpack can be taken as it is. */
static bool adopt_pack(struct slice bytes, struct making *m)
{
    struct nd_pack *p = nd_pack_load(bytes);
    if (p == NULL)
        return false;
    m->begun = m->type == ND_HASH ? nd_hash_from_pack(p, m->limits, &m->v) : nd_zset_from_pack(p, m->limits, &m->v);
    if (!m->begun) {
        if (m->type == ND_HASH) /* a sorted set's is freed by its callee */
            free(p);
        m->fault = "its pairs are not whole, not in order, or one is there twice";
    }
    return m->begun;
}

static bool adopt_intset(struct slice bytes, struct making *m)
{
    struct nd_intset *s = nd_intset_load(bytes);
    if (s == NULL)
        return false;
    m->v = nd_set_from_intset(s, m->limits);
    m->begun = true;
    return true;
}

static bool walk_pack(struct slice bytes, struct making *m)
{
    struct nd_pack *p = nd_pack_load(bytes);
    if (p == NULL)
        return false;
    bool ok = true;
    for (nd_pack_at at = nd_pack_first(p); ok && at != NULL; at = nd_pack_next(p, at)) {
        char tmp[ND_PACK_INT_TEXT];
        ok = put(m, nd_pack_get(at, tmp));
    }
    free(p);
    return ok;
}

/* The types that are one string. */
static bool read_blob(struct slice *in, int type, struct making *m)
{
    struct buf memory = {0};
    struct slice s;
    bool ok = nd_load_view(in, &memory, &s);
    if (ok) {
        switch (type) {
        case RDB_HASH_ZIPMAP: ok = nd_zipmap_walk(s, put, m); break;
        case RDB_SET_INTSET: ok = adopt_intset(s, m); break;
        case RDB_SET_LISTPACK: ok = walk_pack(s, m); break;
        case RDB_HASH_LISTPACK:
        case RDB_ZSET_LISTPACK: ok = adopt_pack(s, m); break;
        default: ok = nd_ziplist_walk(s, put, m);
        }
    }
    buf_free(&memory);
    return ok;
}

static bool type_of(int type, enum nd_type *out)
{
    switch (type) {
    case RDB_LIST:
    case RDB_LIST_ZIPLIST:
    case RDB_LIST_QUICKLIST:
    case RDB_LIST_QUICKLIST_2: *out = ND_LIST; return true;
    case RDB_SET:
    case RDB_SET_INTSET:
    case RDB_SET_LISTPACK: *out = ND_SET; return true;
    case RDB_ZSET:
    case RDB_ZSET_2:
    case RDB_ZSET_ZIPLIST:
    case RDB_ZSET_LISTPACK: *out = ND_ZSET; return true;
    case RDB_HASH:
    case RDB_HASH_ZIPMAP:
    case RDB_HASH_ZIPLIST:
    case RDB_HASH_LISTPACK: *out = ND_HASH; return true;
    default: return false;
    }
}

bool nd_load_aggregate(struct slice *in, int type, const struct nd_limits *limits, struct nd_value *out,
                       const char **fault)
{
    struct making m = {.limits = limits};
    if (!type_of(type, &m.type)) {
        *fault = "there is no such type";
        return false;
    }
    bool ok;
    if (type == RDB_LIST || type == RDB_SET || type == RDB_HASH)
        ok = read_strings(in, &m);
    else if (type == RDB_ZSET || type == RDB_ZSET_2)
        ok = read_zset(in, &m, type == RDB_ZSET);
    else if (type == RDB_LIST_QUICKLIST || type == RDB_LIST_QUICKLIST_2)
        ok = read_nodes(in, &m, type == RDB_LIST_QUICKLIST);
    else
        ok = read_blob(in, type, &m);
    buf_free(&m.first);
    if (ok && m.half) {
        m.fault = "the last element has no other half";
        ok = false;
    }
    if (ok && (!m.begun || nd_value_length(&m.v) == 0)) {
        m.fault = "it has no elements";
        ok = false;
    }
    if (ok && m.type == ND_ZSET)
        nd_zset_settle(&m.v, limits);
    if (ok)
        *out = m.v;
    else if (m.begun)
        nd_value_free(&m.v);
    *fault = m.fault;
    return ok;
}
