/* SipHash-1-3 made to be inlined: every lookup of a key begins with it. The same function as map_hash(). */
#ifndef STORE_SIPHASH_H
#define STORE_SIPHASH_H

#include "common/base/bytes.h"

static inline uint64_t nd_sip_rotl(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

/* Little endian on every machine; compilers make one load of it. */
static inline uint64_t nd_sip_load(const unsigned char *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
           (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

#define ND_SIP_ROUND(v0, v1, v2, v3)   \
    do {                               \
        v0 += v1;                      \
        v2 += v3;                      \
        v1 = nd_sip_rotl(v1, 13) ^ v0; \
        v3 = nd_sip_rotl(v3, 16) ^ v2; \
        v0 = nd_sip_rotl(v0, 32) + v3; \
        v2 += v1;                      \
        v1 = nd_sip_rotl(v1, 17) ^ v2; \
        v3 = nd_sip_rotl(v3, 21) ^ v0; \
        v2 = nd_sip_rotl(v2, 32);      \
    } while (0)

static inline uint64_t nd_siphash(const uint64_t seed[2], const void *bytes, size_t n)
{
    uint64_t v0 = seed[0] ^ 0x736f6d6570736575U, v1 = seed[1] ^ 0x646f72616e646f6dU;
    uint64_t v2 = seed[0] ^ 0x6c7967656e657261U, v3 = seed[1] ^ 0x7465646279746573U;
    const unsigned char *p = bytes;
    uint64_t last = (uint64_t)n << 56;
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word = nd_sip_load(p);
        v3 ^= word;
        ND_SIP_ROUND(v0, v1, v2, v3);
        v0 ^= word;
    }
    if (left > 0 && n >= 8) {
        /* The last eight bytes hold those that are left, behind some that were taken already. */
        last |= nd_sip_load(p + left - 8) >> (8 * (8 - left));
    } else {
        for (size_t i = 0; i < left; i++)
            last |= (uint64_t)p[i] << (8 * i);
    }
    v3 ^= last;
    ND_SIP_ROUND(v0, v1, v2, v3);
    v0 ^= last;
    v2 ^= 0xff;
    ND_SIP_ROUND(v0, v1, v2, v3);
    ND_SIP_ROUND(v0, v1, v2, v3);
    ND_SIP_ROUND(v0, v1, v2, v3);
    return v0 ^ v1 ^ v2 ^ v3;
}

#endif
