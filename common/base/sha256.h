/* SHA-256 (FIPS 180-4), of bytes in memory or piece by piece. Passwords are shown and compared by it, as Redis's ACL
 * does, and files of a backup are known by it. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "common/base/bytes.h"

#define SHA256_HEX 64 /* digits */

void sha256(struct slice s, unsigned char digest[32]);
void sha256_hex(struct slice s, char out[SHA256_HEX + 1]); /* lower case, terminated */

/* Piece by piece: begin, add as often as one likes, end. */
struct sha256 {
    uint32_t h[8];
    uint64_t bytes;
    unsigned char held[64]; /* bytes of a block that is not full yet */
};
void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t n);
void sha256_end_hex(struct sha256 *s, char out[SHA256_HEX + 1]);

#endif
