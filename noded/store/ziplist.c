#include "noded/store/ziplist.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADER 10 /* bytes u32, tail u32, count u16 */
#define END 0xff
#define COUNT_UNKNOWN 0xffff

static uint64_t little(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

static int64_t little_signed(const unsigned char *p, size_t n)
{
    uint64_t v = little(p, n), sign = (uint64_t)1 << (8 * n - 1);
    return (int64_t)((v ^ sign) - sign);
}

/* The bytes of one element behind its "length of the one before"; how many it takes, 0: malformed. A number is written
 * into text. */
static size_t element_at(const unsigned char *p, size_t left, char text[24], struct slice *out)
{
    size_t head, n;
    if (left < 1)
        return 0;
    switch (p[0] >> 6) {
    case 0:
        head = 1;
        n = p[0] & 63;
        break;
    case 1:
        if (left < 2)
            return 0;
        head = 2;
        n = (size_t)(p[0] & 63) << 8 | p[1];
        break;
    case 2:
        if (left < 5 || p[0] != 0x80)
            return 0;
        head = 5;
        n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        break;
    default: {
        static const struct {
            unsigned char code, bytes;
        } kinds[] = {{0xc0, 2}, {0xd0, 4}, {0xe0, 8}, {0xf0, 3}, {0xfe, 1}};
        int64_t v = 0;
        size_t bytes = 0;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (p[0] == kinds[i].code)
                bytes = kinds[i].bytes;
        if (bytes > 0) {
            if (left < 1 + bytes)
                return 0;
            v = little_signed(p + 1, bytes);
        } else if (p[0] >= 0xf1 && p[0] <= 0xfd) {
            v = (p[0] & 15) - 1;
        } else {
            return 0;
        }
        int length = snprintf(text, 24, "%" PRId64, v);
        *out = (struct slice){text, (size_t)length};
        return 1 + bytes;
    }
    }
    if (n > left - head)
        return 0;
    *out = (struct slice){(const char *)p + head, n};
    return head + n;
}

bool nd_ziplist_walk(struct slice bytes, nd_ziplist_fn *fn, void *owner)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    if (bytes.n < HEADER + 1 || little(p, 4) != bytes.n || p[bytes.n - 1] != END)
        return false;
    size_t tail = little(p + 4, 4), count = little(p + 8, 2), seen = 0, before = 0, at = HEADER, last = HEADER;
    while (p[at] != END) {
        size_t start = at, head = p[at] < 254 ? 1 : 5;
        size_t left = bytes.n - 1 - at; /* without the end mark */
        if (left < head || (head == 1 ? p[at] : little(p + at + 1, 4)) != before)
            return false;
        char text[24];
        struct slice element;
        size_t n = element_at(p + at + head, left - head, text, &element);
        if (n == 0 || !fn(owner, element))
            return false;
        at += head + n;
        before = at - start;
        last = start;
        seen++;
    }
    return at == bytes.n - 1 && tail == last && (count == COUNT_UNKNOWN || count == seen);
}

/* A length of a zipmap at *at, which becomes what follows. */
static bool zipmap_length(const unsigned char *p, size_t end, size_t *at, size_t *out)
{
    if (*at >= end || p[*at] == END)
        return false;
    if (p[*at] < 254) {
        *out = p[(*at)++];
        return true;
    }
    if (end - *at < 5)
        return false;
    *out = little(p + *at + 1, 4);
    *at += 5;
    return true;
}

bool nd_zipmap_walk(struct slice bytes, nd_ziplist_fn *fn, void *owner)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    if (bytes.n < 2 || p[bytes.n - 1] != END)
        return false;
    size_t end = bytes.n - 1, at = 1, pairs = 0;
    while (at < end) {
        size_t n, unused;
        if (!zipmap_length(p, end, &at, &n) || n > end - at)
            return false;
        struct slice field = {(const char *)p + at, n};
        at += n;
        if (!zipmap_length(p, end, &at, &n) || at >= end)
            return false;
        unused = p[at++]; /* bytes left free behind the value when it was made shorter */
        if (n > end - at || unused > end - at - n)
            return false;
        struct slice value = {(const char *)p + at, n};
        at += n + unused;
        if (!fn(owner, field) || !fn(owner, value))
            return false;
        pairs++;
    }
    return p[0] >= 254 || p[0] == pairs;
}
