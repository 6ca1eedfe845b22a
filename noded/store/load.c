#include "noded/store/dump.h"

#include "common/base/text.h"
#include "noded/store/dump_types.h"
#include "noded/store/load_types.h"
#include "noded/store/string.h"

#include <inttypes.h>
#include <liblzf/lzf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LZF says at most 264 bytes with three: what claims to become more than this many times its size is damaged, and no
 * memory is asked for on its word. */
#define LZF_GROWTH_MAX 264
#define STRING_MAX ((uint64_t)512 << 20)

static bool take(struct slice *in, size_t n, const unsigned char **out)
{
    if (in->n < n)
        return false;
    *out = (const unsigned char *)in->p;
    in->p += n;
    in->n -= n;
    return true;
}

/* A length, or the code of a string in a special form. */
static bool load_head(struct slice *in, uint64_t *n, bool *special)
{
    const unsigned char *p;
    if (!take(in, 1, &p))
        return false;
    *special = false;
    size_t bytes;
    switch (p[0] >> 6) {
    case RDB_LENGTH_6: *n = p[0] & 63; return true;
    case RDB_LENGTH_14:
        *n = (uint64_t)(p[0] & 63) << 8;
        if (!take(in, 1, &p))
            return false;
        *n |= p[0];
        return true;
    case RDB_SPECIAL:
        *special = true;
        *n = p[0] & 63;
        return true;
    default: bytes = p[0] == RDB_LENGTH_32 ? 4 : p[0] == RDB_LENGTH_64 ? 8 : 0;
    }
    if (bytes == 0 || !take(in, bytes, &p))
        return false;
    *n = 0;
    for (size_t i = 0; i < bytes; i++)
        *n = *n << 8 | p[i];
    return true;
}

bool nd_load_length(struct slice *in, uint64_t *out)
{
    bool special;
    return load_head(in, out, &special) && !special;
}

static bool load_number(struct slice *in, size_t bytes, struct buf *out)
{
    const unsigned char *p;
    if (!take(in, bytes, &p))
        return false;
    uint32_t v = 0;
    for (size_t i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    buf_printf(out, "%" PRId32, bytes == 1 ? (int8_t)v : bytes == 2 ? (int16_t)v : (int32_t)v);
    return true;
}

static bool load_compressed(struct slice *in, struct buf *out)
{
    uint64_t packed, n;
    const unsigned char *p;
    if (!nd_load_length(in, &packed) || !nd_load_length(in, &n) || packed > in->n || n > STRING_MAX || n == 0 ||
        n / LZF_GROWTH_MAX > packed || !take(in, (size_t)packed, &p))
        return false;
    buf_reserve(out, (size_t)n);
    if (lzf_decompress(p, (unsigned)packed, out->p + out->n, (unsigned)n) != n)
        return false;
    out->n += (size_t)n;
    return true;
}

bool nd_load_string(struct slice *in, struct buf *out)
{
    uint64_t n;
    bool special;
    const unsigned char *p;
    if (!load_head(in, &n, &special))
        return false;
    if (special)
        return n == RDB_LZF ? load_compressed(in, out) : n <= RDB_INT32 && load_number(in, (size_t)1 << n, out);
    if (n > STRING_MAX || !take(in, (size_t)n, &p))
        return false;
    buf_put(out, p, (size_t)n);
    return true;
}

bool nd_load_view(struct slice *in, struct buf *memory, struct slice *out)
{
    struct slice ahead = *in;
    uint64_t n;
    bool special;
    const unsigned char *p;
    if (load_head(&ahead, &n, &special) && !special) {
        if (n > STRING_MAX || !take(&ahead, (size_t)n, &p))
            return false;
        *out = (struct slice){(const char *)p, (size_t)n};
        *in = ahead;
        return true;
    }
    buf_clear(memory);
    if (!nd_load_string(in, memory))
        return false;
    *out = buf_slice(memory);
    return true;
}

static bool load_plain(struct slice *in, struct nd_value *out)
{
    struct buf memory = {0};
    struct slice s;
    bool ok = nd_load_view(in, &memory, &s);
    if (ok)
        *out = nd_string_make(s, true);
    buf_free(&memory);
    return ok;
}

/* What other versions have and this node has not. */
const char *nd_load_unknown(int type)
{
    switch (type) {
    case RDB_MODULE_OLD:
    case RDB_MODULE: return "a value of a module";
    case RDB_STREAM:
    case RDB_STREAM_2:
    case RDB_STREAM_3: return "a stream";
    case RDB_HASH_METADATA_OLD:
    case RDB_HASH_LISTPACK_EX_OLD:
    case RDB_HASH_METADATA:
    case RDB_HASH_LISTPACK_EX: return "a hash whose fields expire";
    default: return NULL;
    }
}

bool nd_load_value(struct slice *in, int type, const struct nd_limits *limits, struct nd_value *out, struct buf *why)
{
    const char *unknown = nd_load_unknown(type);
    if (unknown != NULL) {
        buf_printf(why, "it is %s (RDB type %d), which this server does not have", unknown, type);
        return false;
    }
    const char *fault = NULL;
    bool ok;
    if (type == RDB_STRING)
        ok = load_plain(in, out);
    else
        ok = nd_load_aggregate(in, type, limits, out, &fault);
    if (!ok)
        buf_printf(why, "%s (RDB type %d)", fault != NULL ? fault : "its data is damaged", type);
    return ok;
}

bool nd_rdb_version_is_known(uint64_t version)
{
    return version <= ND_RDB_VERSION_MAX || version == ND_RDB_VERSION_VALKEY;
}

enum nd_payload nd_load_payload(struct slice payload, const struct nd_limits *limits, struct nd_value *out,
                                struct buf *why)
{
    if (payload.n < 1 + 2 + 8) {
        buf_puts(why, "the payload is too short");
        return ND_PAYLOAD_VERSION;
    }
    const unsigned char *end = (const unsigned char *)payload.p + payload.n;
    unsigned version = (unsigned)end[-10] | (unsigned)end[-9] << 8;
    uint64_t sum = 0;
    for (int i = 1; i <= 8; i++)
        sum = sum << 8 | end[-i];
    if (!nd_rdb_version_is_known(version)) {
        buf_printf(why, "the payload has RDB version %u, and those up to %d and %d are read", version,
                   ND_RDB_VERSION_MAX, ND_RDB_VERSION_VALKEY);
        return ND_PAYLOAD_VERSION;
    }
    if (nd_crc64(0, payload.p, payload.n - 8) != sum) {
        buf_puts(why, "the payload's checksum is wrong");
        return ND_PAYLOAD_VERSION;
    }
    struct slice in = {payload.p + 1, payload.n - 11};
    if (!nd_load_value(&in, (unsigned char)payload.p[0], limits, out, why))
        return ND_PAYLOAD_BAD;
    if (in.n > 0) {
        nd_value_free(out);
        buf_printf(why, "%zu bytes follow the value", in.n);
        return ND_PAYLOAD_BAD;
    }
    return ND_PAYLOAD_OK;
}
