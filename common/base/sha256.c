#include "common/base/sha256.h"

#include <string.h>

#define BLOCK 64

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

/* One round: d and h are what changes, and stand elsewhere in the next one, so nothing has to be moved. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                                    \
    do {                                                                                                    \
        uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25), choice = (e & f) ^ (~e & g);            \
        uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22), majority = (a & b) ^ (a & c) ^ (b & c); \
        uint32_t t1 = h + s1 + choice + round_constants[i] + w[i];                                          \
        d += t1;                                                                                            \
        h = t1 + s0 + majority;                                                                             \
    } while (0)

static void take_block(uint32_t state[8], const unsigned char *p)
{
    uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    for (int i = 0; i < 64; i += 8) {
        ROUND(a, b, c, d, e, f, g, h, i);
        ROUND(h, a, b, c, d, e, f, g, i + 1);
        ROUND(g, h, a, b, c, d, e, f, i + 2);
        ROUND(f, g, h, a, b, c, d, e, i + 3);
        ROUND(e, f, g, h, a, b, c, d, i + 4);
        ROUND(d, e, f, g, h, a, b, c, i + 5);
        ROUND(c, d, e, f, g, h, a, b, i + 6);
        ROUND(b, c, d, e, f, g, h, a, i + 7);
    }
    const uint32_t add[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++)
        state[i] += add[i];
}

void sha256_begin(struct sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    *s = (struct sha256){.bytes = 0};
    memcpy(s->h, start, sizeof start);
}

void sha256_add(struct sha256 *s, const void *p, size_t n)
{
    const unsigned char *at = p;
    size_t held = s->bytes % BLOCK;
    s->bytes += n;
    if (held > 0) {
        size_t more = n < BLOCK - held ? n : BLOCK - held;
        memcpy(s->held + held, at, more);
        at += more;
        n -= more;
        if (held + more < BLOCK)
            return;
        take_block(s->h, s->held);
    }
    for (; n >= BLOCK; n -= BLOCK, at += BLOCK)
        take_block(s->h, at);
    if (n > 0)
        memcpy(s->held, at, n);
}

static void end(struct sha256 *s, unsigned char digest[32])
{
    static const unsigned char padding[BLOCK] = {0x80};
    unsigned char length[8];
    uint64_t bits = s->bytes * 8;
    size_t held = s->bytes % BLOCK;
    for (size_t i = 0; i < 8; i++)
        length[7 - i] = (unsigned char)(bits >> (8 * i));
    sha256_add(s, padding, held < BLOCK - 8 ? BLOCK - 8 - held : 2 * BLOCK - 8 - held);
    sha256_add(s, length, sizeof length);
    for (size_t i = 0; i < 32; i++)
        digest[i] = (unsigned char)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256(struct slice s, unsigned char digest[32])
{
    struct sha256 sum;
    sha256_begin(&sum);
    if (s.n > 0)
        sha256_add(&sum, s.p, s.n);
    end(&sum, digest);
}

static void put_hex(const unsigned char digest[32], char out[SHA256_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 32; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[SHA256_HEX] = '\0';
}

void sha256_end_hex(struct sha256 *s, char out[SHA256_HEX + 1])
{
    unsigned char digest[32];
    end(s, digest);
    put_hex(digest, out);
}

void sha256_hex(struct slice s, char out[SHA256_HEX + 1])
{
    unsigned char digest[32];
    sha256(s, digest);
    put_hex(digest, out);
}
