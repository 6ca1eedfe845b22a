#include "noded/cluster/id.h"

#include <string.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool cl_id_parse(struct slice s, struct cl_id *out)
{
    struct cl_id id;
    if (s.n != CL_ID_DIGITS)
        return false;
    for (size_t i = 0; i < sizeof id.b; i++) {
        int high = digit(s.p[2 * i]), low = digit(s.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id.b[i] = (uint8_t)(high << 4 | low);
    }
    *out = id;
    return true;
}

const char *cl_id_text(const struct cl_id *id, char out[CL_ID_DIGITS + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof id->b; i++) {
        out[2 * i] = digits[id->b[i] >> 4];
        out[2 * i + 1] = digits[id->b[i] & 15];
    }
    out[CL_ID_DIGITS] = '\0';
    return out;
}

void cl_id_put(struct buf *out, const struct cl_id *id)
{
    char text[CL_ID_DIGITS + 1];
    buf_put(out, cl_id_text(id, text), CL_ID_DIGITS);
}

bool cl_id_eq(const struct cl_id *a, const struct cl_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

int cl_id_cmp(const struct cl_id *a, const struct cl_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

bool cl_id_is_none(const struct cl_id *id)
{
    static const struct cl_id none;
    return cl_id_eq(id, &none);
}

void cl_id_draw(struct rng *r, struct cl_id *out)
{
    do {
        for (size_t i = 0; i < sizeof out->b; i++)
            out->b[i] = (uint8_t)rng_u64(r);
    } while (cl_id_is_none(out));
}

/* Maps are mostly long runs of one kind: eight bytes of them are passed at once. */
int cl_bit_next(const uint8_t *map, int from, bool value)
{
    const uint64_t dull = value ? 0 : UINT64_MAX;
    while (from < CL_SLOTS) {
        uint64_t eight;
        if ((from & 63) == 0 && (memcpy(&eight, map + from / 8, sizeof eight), eight == dull)) {
            from += 64;
            continue;
        }
        unsigned left = (unsigned)(uint8_t)(map[from / 8] ^ (uint8_t)dull) >> (from & 7);
        if (left != 0)
            return from + __builtin_ctz(left);
        from = (from | 7) + 1;
    }
    return CL_SLOTS;
}
