#include "noded/store/pack.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/store/little.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* The format. The header is total bytes (u32 LE) and number of elements (u16 LE; COUNT_UNKNOWN: count them). An element
 * is its head, which says kind and length, its data, and the length of both once more, to be read from behind. */
#define HEADER 6
#define END 0xFF
#define COUNT_UNKNOWN 65535
#define BYTES_MAX ((size_t)1 << 30)

#define STRING6 0x80  /* 10nnnnnn */
#define INT13 0xC0    /* 110vvvvv vvvvvvvv */
#define STRING12 0xE0 /* 1110nnnn nnnnnnnn */
#define STRING32 0xF0 /* and u32 LE */
#define INT16 0xF1
#define INT24 0xF2
#define INT32 0xF3
#define INT64 0xF4

#define NUMBER_TEXT_MAX 20 /* "-9223372036854775808" */

static unsigned char *bytes_of(const struct nd_pack *p)
{
    return (unsigned char *)p;
}

size_t nd_pack_bytes(const struct nd_pack *p)
{
    return nd_load32(bytes_of(p));
}

static unsigned header_count(const struct nd_pack *p)
{
    return nd_load16(bytes_of(p) + 4);
}

static void set_header(unsigned char *b, size_t bytes, size_t count)
{
    nd_store32(b, (uint32_t)bytes);
    nd_store16(b + 4, count < COUNT_UNKNOWN ? (uint32_t)count : COUNT_UNKNOWN);
}

/* Bytes that the backward length of n takes. The format's own thresholds, one short of what seven bits a byte could
 * hold. */
static size_t back_size(size_t n)
{
    return n <= 127 ? 1 : n < 16383 ? 2 : n < 2097151 ? 3 : n < 268435455 ? 4 : 5;
}

/* Written so that it is read from its last byte on: seven bits a byte, the lowest last; a set top bit says that another
 * byte stands in front. */
static void put_back(unsigned char *p, size_t n)
{
    size_t size = back_size(n);
    for (size_t i = size; i-- > 0; n >>= 7)
        p[i] = (unsigned char)((n & 127) | (i > 0 ? 128 : 0));
}

static size_t long_body_size(const unsigned char *e)
{
    unsigned char b = e[0];
    if (b < STRING12)
        return 2;
    if (b < STRING32)
        return 2 + ((size_t)(b & 0x0F) << 8 | e[1]);
    switch (b) {
    case STRING32: return 5 + (size_t)nd_load32(e + 1);
    case INT16: return 3;
    case INT24: return 4;
    case INT32: return 5;
    case INT64: return 9;
    default: break;
    }
    assert(!"an element of a pack");
    return 1;
}

/* Bytes of head and data. Most elements are short strings or small numbers, and walks are made of this. */
static inline size_t body_size(const unsigned char *e)
{
    unsigned char b = e[0];
    if (b < STRING6)
        return 1;
    return b < INT13 ? 1 + (size_t)(b & 0x3F) : long_body_size(e);
}

static inline size_t element_size(const unsigned char *e)
{
    size_t n = body_size(e);
    return n + (n <= 127 ? 1 : back_size(n));
}

/* The element that ends right before `end`. */
static unsigned char *element_before(unsigned char *end)
{
    size_t n = 0;
    unsigned shift = 0;
    unsigned char *at = end;
    do {
        at--;
        n |= (size_t)(*at & 127) << shift;
        shift += 7;
    } while (*at & 128);
    return at - n;
}

/* ---- numbers ---- */

static bool text_number(struct slice s, int64_t *out)
{
    if (s.n == 0 || s.n > NUMBER_TEXT_MAX || s.p[0] > '9' || (s.p[0] < '0' && s.p[0] != '-'))
        return false;
    return text_i64(s, out);
}

static int64_t signed_of(uint64_t v, unsigned bits)
{
    uint64_t sign = (uint64_t)1 << (bits - 1);
    return (int64_t)((v ^ sign) - sign);
}

bool nd_pack_number(nd_pack_at at, int64_t *out)
{
    unsigned char b = at[0];
    if (b < STRING6)
        *out = b;
    else if (b < INT13)
        return false;
    else if (b < STRING12)
        *out = signed_of((uint64_t)(b & 0x1F) << 8 | at[1], 13);
    else if (b <= STRING32)
        return false;
    else if (b == INT16)
        *out = signed_of(nd_load16(at + 1), 16);
    else if (b == INT24)
        *out = signed_of(nd_load24(at + 1), 24);
    else if (b == INT32)
        *out = signed_of(nd_load32(at + 1), 32);
    else
        *out = (int64_t)nd_load64(at + 1);
    return true;
}

/* Both write the head of an element and return its length. */
static size_t number_head(unsigned char h[9], int64_t v)
{
    uint64_t u = (uint64_t)v;
    if (v >= 0 && v <= 127) {
        h[0] = (unsigned char)v;
        return 1;
    }
    if (v >= -4096 && v <= 4095) {
        h[0] = (unsigned char)(INT13 | (u >> 8 & 0x1F));
        h[1] = (unsigned char)u;
        return 2;
    }
    if (v >= INT16_MIN && v <= INT16_MAX) {
        h[0] = INT16;
        nd_store16(h + 1, (uint32_t)u);
        return 3;
    }
    if (v >= -(1 << 23) && v < 1 << 23) {
        h[0] = INT24;
        nd_store24(h + 1, (uint32_t)u);
        return 4;
    }
    if (v >= INT32_MIN && v <= INT32_MAX) {
        h[0] = INT32;
        nd_store32(h + 1, (uint32_t)u);
        return 5;
    }
    h[0] = INT64;
    nd_store64(h + 1, u);
    return 9;
}

static size_t string_head(unsigned char h[9], size_t n)
{
    if (n < 64) {
        h[0] = (unsigned char)(STRING6 | n);
        return 1;
    }
    if (n < 4096) {
        h[0] = (unsigned char)(STRING12 | n >> 8);
        h[1] = (unsigned char)n;
        return 2;
    }
    h[0] = STRING32;
    nd_store32(h + 1, (uint32_t)n);
    return 5;
}

struct nd_pack_item nd_pack_item(struct slice s)
{
    struct nd_pack_item item;
    int64_t v;
    if (text_number(s, &v)) {
        item.data = (struct slice){NULL, 0};
        item.head_n = (unsigned char)number_head(item.head, v);
    } else {
        assert(s.n < BYTES_MAX);
        item.data = s;
        item.head_n = (unsigned char)string_head(item.head, s.n);
    }
    size_t body = item.head_n + item.data.n;
    item.bytes = body + back_size(body);
    return item;
}

size_t nd_pack_cost(struct slice s)
{
    return nd_pack_item(s).bytes;
}

static void put_item(unsigned char *to, const struct nd_pack_item *item)
{
    size_t body = item->head_n + item->data.n;
    memcpy(to, item->head, item->head_n);
    if (item->data.n > 0)
        memcpy(to + item->head_n, item->data.p, item->data.n);
    put_back(to + body, body);
}

/* ---- the whole ---- */

void nd_pack_init(unsigned char at[ND_PACK_EMPTY_BYTES])
{
    set_header(at, ND_PACK_EMPTY_BYTES, 0);
    at[HEADER] = END;
}

struct nd_pack *nd_pack_new(size_t capacity)
{
    unsigned char *b = mem_alloc(capacity > ND_PACK_EMPTY_BYTES ? capacity : ND_PACK_EMPTY_BYTES);
    nd_pack_init(b);
    return (struct nd_pack *)b;
}

struct nd_pack *nd_pack_dup(const struct nd_pack *p)
{
    size_t n = nd_pack_bytes(p);
    return memcpy(mem_alloc(n), p, n);
}

struct slice nd_pack_raw(const struct nd_pack *p)
{
    return (struct slice){.p = (const char *)p, .n = nd_pack_bytes(p)};
}

size_t nd_pack_count(const struct nd_pack *p)
{
    size_t n = header_count(p);
    if (n < COUNT_UNKNOWN)
        return n;
    n = 0;
    for (const unsigned char *e = bytes_of(p) + HEADER; *e != END; e += element_size(e))
        n++;
    return n;
}

struct nd_pack *nd_pack_shrink(struct nd_pack *p)
{
    return mem_realloc(p, nd_pack_bytes(p));
}

bool nd_pack_room(const struct nd_pack *p, size_t more)
{
    return more <= BYTES_MAX && nd_pack_bytes(p) + more <= BYTES_MAX;
}

/* ---- elements ---- */

nd_pack_at nd_pack_first(const struct nd_pack *p)
{
    unsigned char *e = bytes_of(p) + HEADER;
    return *e != END ? e : NULL;
}

nd_pack_at nd_pack_last(const struct nd_pack *p)
{
    size_t n = nd_pack_bytes(p);
    return n > ND_PACK_EMPTY_BYTES ? element_before(bytes_of(p) + n - 1) : NULL;
}

nd_pack_at nd_pack_next(const struct nd_pack *p, nd_pack_at at)
{
    (void)p;
    at += element_size(at);
    return *at != END ? at : NULL;
}

nd_pack_at nd_pack_prev(const struct nd_pack *p, nd_pack_at at)
{
    return at > bytes_of(p) + HEADER ? element_before(at) : NULL;
}

nd_pack_at nd_pack_index(const struct nd_pack *p, int64_t index)
{
    unsigned n = header_count(p);
    if (n < COUNT_UNKNOWN) {
        if (index < 0 ? index < -(int64_t)n : index >= (int64_t)n)
            return NULL;
        /* From the nearer end. */
        if (index >= 0 && index > (int64_t)n / 2)
            index -= n;
        else if (index < 0 && -index > (int64_t)n / 2)
            index += n;
    }
    nd_pack_at at;
    if (index >= 0) {
        at = nd_pack_first(p);
        while (at != NULL && index-- > 0)
            at = nd_pack_next(p, at);
    } else {
        at = nd_pack_last(p);
        while (at != NULL && ++index < 0)
            at = nd_pack_prev(p, at);
    }
    return at;
}

/* The bytes of an element that is no number. */
static struct slice string_of(nd_pack_at at)
{
    unsigned char b = at[0];
    size_t head = b < INT13 ? 1 : b < STRING32 ? 2 : 5;
    return (struct slice){.p = (const char *)at + head, .n = body_size(at) - head};
}

struct slice nd_pack_get(nd_pack_at at, char tmp[ND_PACK_INT_TEXT])
{
    int64_t v;
    if (!nd_pack_number(at, &v))
        return string_of(at);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char *end = tmp + ND_PACK_INT_TEXT, *to = end;
    do
        *--to = (char)('0' + u % 10);
    while ((u /= 10) > 0);
    if (v < 0)
        *--to = '-';
    return (struct slice){.p = to, .n = (size_t)(end - to)};
}

/* What is looked for, with its number worked out when the first number is met. */
struct wanted {
    struct slice s;
    int64_t number;
    enum { UNKNOWN, TEXT, NUMBER } kind;
};

static bool is_wanted(nd_pack_at at, struct wanted *w)
{
    int64_t v;
    if (!nd_pack_number(at, &v))
        return slice_eq(string_of(at), w->s);
    if (w->kind == UNKNOWN)
        w->kind = text_number(w->s, &w->number) ? NUMBER : TEXT;
    return w->kind == NUMBER && v == w->number;
}

bool nd_pack_is(nd_pack_at at, struct slice s)
{
    struct wanted w = {.s = s};
    return is_wanted(at, &w);
}

nd_pack_at nd_pack_find(const struct nd_pack *p, nd_pack_at at, struct slice s, size_t skip)
{
    (void)p;
    if (at == NULL)
        return NULL;
    struct wanted w = {.s = s};
    unsigned char short_head = (unsigned char)(s.n < 64 ? STRING6 | s.n : END);
    while (*at != END) {
        /* A short string is the one that is wanted only if already its head is the same. */
        if (*at >= STRING6 && *at < INT13) {
            if (*at == short_head && (s.n == 0 || memcmp(at + 1, s.p, s.n) == 0))
                return at;
        } else if (is_wanted(at, &w)) {
            return at;
        }
        at += element_size(at);
        for (size_t i = 0; i < skip && *at != END; i++)
            at += element_size(at);
    }
    return NULL;
}

/* ---- changes ---- */

/* Makes room for a pack of `bytes`. */
static unsigned char *reserve(unsigned char *b, size_t bytes)
{
    assert(bytes <= UINT32_MAX);
    return malloc_usable_size(b) >= bytes ? b : mem_realloc(b, bytes);
}

static void count_changed(unsigned char *b, size_t bytes, unsigned old_count, unsigned more)
{
    set_header(b, bytes, old_count < COUNT_UNKNOWN ? old_count + more : COUNT_UNKNOWN);
}

struct nd_pack *nd_pack_insert(struct nd_pack *p, nd_pack_at *at, struct slice s)
{
    struct nd_pack_item item = nd_pack_item(s);
    size_t bytes = nd_pack_bytes(p);
    size_t offset = at != NULL && *at != NULL ? (size_t)(*at - bytes_of(p)) : bytes - 1;
    unsigned char *b = reserve(bytes_of(p), bytes + item.bytes);
    memmove(b + offset + item.bytes, b + offset, bytes - offset);
    put_item(b + offset, &item);
    p = (struct nd_pack *)b;
    count_changed(b, bytes + item.bytes, header_count(p), 1);
    if (at != NULL)
        *at = b + offset;
    return p;
}

struct nd_pack *nd_pack_append(struct nd_pack *p, struct slice s)
{
    return nd_pack_insert(p, NULL, s);
}

struct nd_pack *nd_pack_prepend(struct nd_pack *p, struct slice s)
{
    nd_pack_at first = nd_pack_first(p);
    return nd_pack_insert(p, &first, s);
}

/* Gives memory back when more than half of it is unused; small blocks are not worth a copy. */
static unsigned char *settle(unsigned char *b, size_t bytes)
{
    return malloc_usable_size(b) > 2 * bytes + 64 ? mem_realloc(b, bytes) : b;
}

struct nd_pack *nd_pack_replace(struct nd_pack *p, nd_pack_at *at, struct slice s)
{
    struct nd_pack_item item = nd_pack_item(s);
    size_t old = element_size(*at), bytes = nd_pack_bytes(p), offset = (size_t)(*at - bytes_of(p));
    unsigned char *b = bytes_of(p);
    if (item.bytes != old) {
        size_t now = bytes - old + item.bytes;
        if (now > bytes)
            b = reserve(b, now);
        memmove(b + offset + item.bytes, b + offset + old, bytes - offset - old);
        nd_store32(b, (uint32_t)now);
        if (now < bytes)
            b = settle(b, now);
    }
    put_item(b + offset, &item);
    *at = b + offset;
    return (struct nd_pack *)b;
}

struct nd_pack *nd_pack_remove(struct nd_pack *p, nd_pack_at *at, size_t count)
{
    unsigned char *b = bytes_of(p), *end = *at;
    size_t bytes = nd_pack_bytes(p), offset = (size_t)(*at - b), gone = 0;
    while (gone < count && *end != END) {
        end += element_size(end);
        gone++;
    }
    size_t cut = (size_t)(end - *at);
    memmove(*at, end, bytes - offset - cut);
    bytes -= cut;
    nd_store32(b, (uint32_t)bytes);
    unsigned before = header_count(p);
    if (before < COUNT_UNKNOWN)
        nd_store16(b + 4, (uint32_t)(before - gone));
    b = settle(b, bytes);
    *at = b[offset] != END ? b + offset : NULL;
    return (struct nd_pack *)b;
}

struct nd_pack *nd_pack_concat(struct nd_pack *a, const struct nd_pack *b)
{
    size_t an = nd_pack_bytes(a), more = nd_pack_bytes(b) - ND_PACK_EMPTY_BYTES;
    size_t count = nd_pack_count(a) + nd_pack_count(b);
    unsigned char *to = reserve(bytes_of(a), an + more);
    memcpy(to + an - 1, bytes_of(b) + HEADER, more + 1);
    set_header(to, an + more, count);
    return (struct nd_pack *)to;
}

/* ---- in a block with room at its ends ---- */

struct nd_pack *nd_pack_grow_front(struct nd_pack *p, const struct nd_pack_item *item)
{
    unsigned char *b = bytes_of(p) - item->bytes;
    size_t bytes = nd_pack_bytes(p) + item->bytes;
    unsigned count = header_count(p);
    put_item(b + HEADER, item);
    count_changed(b, bytes, count, 1);
    return (struct nd_pack *)b;
}

void nd_pack_grow_back(struct nd_pack *p, const struct nd_pack_item *item)
{
    unsigned char *b = bytes_of(p);
    size_t bytes = nd_pack_bytes(p);
    put_item(b + bytes - 1, item);
    b[bytes - 1 + item->bytes] = END;
    count_changed(b, bytes + item->bytes, header_count(p), 1);
}

/* One element less; a count that is not known stays so. */
static void dropped(unsigned char *b, size_t bytes, unsigned count)
{
    set_header(b, bytes, count < COUNT_UNKNOWN ? count - 1 : COUNT_UNKNOWN);
}

struct nd_pack *nd_pack_drop_front(struct nd_pack *p)
{
    size_t size = element_size(bytes_of(p) + HEADER), bytes = nd_pack_bytes(p);
    unsigned count = header_count(p);
    unsigned char *b = bytes_of(p) + size;
    dropped(b, bytes - size, count);
    return (struct nd_pack *)b;
}

void nd_pack_drop_back(struct nd_pack *p)
{
    unsigned char *b = bytes_of(p);
    size_t bytes = nd_pack_bytes(p);
    size_t kept = (size_t)(element_before(b + bytes - 1) - b) + 1;
    b[kept - 1] = END;
    dropped(b, kept, header_count(p));
}

/* ---- from outside ---- */

/* The bytes of an element's head that starts with b; 0: no such kind. */
static size_t head_size(unsigned char b)
{
    if (b < INT13)
        return 1;
    if (b < STRING32)
        return 2;
    return b <= INT64 ? (b == STRING32 || b == INT32 ? 5 : b == INT16 ? 3 : b == INT24 ? 4 : 9) : 0;
}

/* Size of the element at the front of n bytes; 0: it does not fit, or its backward length is another. */
static size_t checked_size(const unsigned char *e, size_t n)
{
    size_t head = head_size(e[0]);
    if (head == 0 || head > n)
        return 0;
    size_t body = body_size(e);
    size_t back = back_size(body);
    if (body > n || back > n - body)
        return 0;
    unsigned char right[5];
    put_back(right, body);
    return memcmp(e + body, right, back) == 0 ? body + back : 0;
}

struct nd_pack *nd_pack_load(struct slice bytes)
{
    const unsigned char *b = (const unsigned char *)bytes.p;
    if (bytes.n < ND_PACK_EMPTY_BYTES || bytes.n > BYTES_MAX || nd_load32(b) != bytes.n || b[bytes.n - 1] != END)
        return NULL;
    size_t at = HEADER, end = bytes.n - 1, count = 0;
    while (at < end) {
        size_t size = checked_size(b + at, end - at);
        if (size == 0)
            return NULL;
        at += size;
        count++;
    }
    size_t said = nd_load16(b + 4);
    if (said != COUNT_UNKNOWN && said != count)
        return NULL;
    unsigned char *copy = memcpy(mem_alloc(bytes.n), b, bytes.n);
    set_header(copy, bytes.n, count);
    return (struct nd_pack *)copy;
}
