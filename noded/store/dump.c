#include "noded/store/dump.h"

#include "common/base/text.h"
#include "noded/store/dump_types.h"
#include "noded/store/intset.h"
#include "noded/store/list.h"
#include "noded/store/pack.h"
#include "noded/store/string.h"
#include "noded/store/zset.h"

#include <assert.h>
#include <liblzf/lzf.h>
#include <string.h>

#define COMPRESS_ABOVE 20 /* bytes; a shorter string is not worth it */

static void put_little(struct buf *out, uint64_t v, size_t n)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(v >> (8 * i));
    buf_put(out, bytes, n);
}

static void put_big(struct buf *out, uint64_t v, size_t n)
{
    while (n-- > 0)
        buf_putc(out, (char)(v >> (8 * n)));
}

void nd_dump_length(struct buf *out, uint64_t n)
{
    if (n < 1 << 6) {
        buf_putc(out, (char)n);
    } else if (n < 1 << 14) {
        buf_putc(out, (char)(RDB_LENGTH_14 << 6 | (int)(n >> 8)));
        buf_putc(out, (char)n);
    } else if (n <= UINT32_MAX) {
        buf_putc(out, (char)RDB_LENGTH_32);
        put_big(out, n, 4);
    } else {
        buf_putc(out, (char)RDB_LENGTH_64);
        put_big(out, n, 8);
    }
}

/* A number of at most 32 bits has a form of its own. */
static bool put_number(struct buf *out, int64_t v)
{
    static const struct {
        int64_t min, max;
        int code;
        size_t bytes;
    } forms[] = {
        {INT8_MIN, INT8_MAX, RDB_INT8, 1}, {INT16_MIN, INT16_MAX, RDB_INT16, 2}, {INT32_MIN, INT32_MAX, RDB_INT32, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (v < forms[i].min || v > forms[i].max)
            continue;
        buf_putc(out, (char)(RDB_SPECIAL << 6 | forms[i].code));
        put_little(out, (uint64_t)v, forms[i].bytes);
        return true;
    }
    return false;
}

/* Only when it makes the string at least four bytes shorter. */
static bool put_compressed(struct buf *out, struct slice s)
{
    if (s.n > UINT32_MAX)
        return false;
    struct buf packed = {0};
    buf_reserve(&packed, s.n);
    size_t n = lzf_compress(s.p, (unsigned)s.n, packed.p, (unsigned)s.n - 4);
    if (n > 0) {
        buf_putc(out, (char)(RDB_SPECIAL << 6 | RDB_LZF));
        nd_dump_length(out, n);
        nd_dump_length(out, s.n);
        buf_put(out, packed.p, n);
    }
    buf_free(&packed);
    return n > 0;
}

void nd_dump_string(struct buf *out, struct slice s, bool compress)
{
    int64_t v;
    if (s.n <= 11 && text_i64(s, &v) && put_number(out, v))
        return;
    if (compress && s.n > COMPRESS_ABOVE && put_compressed(out, s))
        return;
    nd_dump_length(out, s.n);
    buf_put(out, s.p, s.n);
}

int nd_dump_type(const struct nd_value *v)
{
    switch ((enum nd_type)v->type) {
    case ND_STRING: return RDB_STRING;
    case ND_LIST: return RDB_LIST_QUICKLIST_2;
    case ND_SET: return v->enc == ND_ENC_INTSET ? RDB_SET_INTSET : RDB_SET;
    case ND_ZSET: return v->enc == ND_ENC_LISTPACK ? RDB_ZSET_LISTPACK : RDB_ZSET_2;
    case ND_HASH: return v->enc == ND_ENC_LISTPACK ? RDB_HASH_LISTPACK : RDB_HASH;
    case ND_TYPES: break;
    }
    assert(!"a value has one of the types");
    return -1;
}

struct writing {
    struct buf *out;
    bool pairs, compress;
};

static bool write_element(void *owner, struct slice a, struct slice b, double score)
{
    (void)score;
    struct writing *w = owner;
    nd_dump_string(w->out, a, w->compress);
    if (w->pairs)
        nd_dump_string(w->out, b, w->compress);
    return true;
}

/* Highest score first, as Redis has it: what is read in this order always goes to the front. */
static void write_zset(struct buf *out, const struct nd_value *v, bool compress)
{
    struct nd_zset_iter it;
    struct slice member;
    double score;
    nd_dump_length(out, nd_zset_length(v));
    for (nd_zset_iterate(v, nd_zset_length(v) - 1, true, &it); nd_zset_next(&it, &member, &score);) {
        uint64_t bits;
        memcpy(&bits, &score, sizeof bits);
        nd_dump_string(out, member, compress);
        put_little(out, bits, 8);
    }
}

static void write_list(struct buf *out, const struct nd_value *v, bool compress)
{
    nd_dump_length(out, nd_list_nodes(v));
    for (const struct nd_list_node *n = nd_list_node_first(v); n != NULL; n = nd_list_node_next(n)) {
        bool packed;
        struct slice bytes = nd_list_node_bytes(n, &packed);
        nd_dump_length(out, packed ? RDB_NODE_PACKED : RDB_NODE_PLAIN);
        nd_dump_string(out, bytes, compress);
    }
}

void nd_dump_value(struct buf *out, const struct nd_value *v, bool compress)
{
    if (v->type == ND_STRING) {
        char tmp[ND_INT_TEXT];
        nd_dump_string(out, nd_string_slice(v, tmp), compress);
    } else if (v->type == ND_LIST) {
        write_list(out, v, compress);
    } else if (v->enc == ND_ENC_LISTPACK) {
        nd_dump_string(out, (struct slice){v->ptr, nd_pack_bytes(v->ptr)}, compress);
    } else if (v->enc == ND_ENC_INTSET) {
        nd_dump_string(out, nd_intset_raw(v->ptr), compress);
    } else if (v->type == ND_ZSET) {
        write_zset(out, v, compress);
    } else {
        struct writing w = {.out = out, .pairs = v->type == ND_HASH, .compress = compress};
        nd_dump_length(out, nd_value_length(v));
        nd_value_visit(v, write_element, &w);
    }
}

void nd_dump_payload(struct buf *out, const struct nd_value *v, bool compress)
{
    size_t start = out->n;
    buf_putc(out, (char)nd_dump_type(v));
    nd_dump_value(out, v, compress);
    put_little(out, ND_RDB_VERSION, 2);
    put_little(out, nd_crc64(0, out->p + start, out->n - start), 8);
}
