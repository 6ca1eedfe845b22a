/* SHA-256 (FIPS 180-4) of bytes in memory. Passwords are shown and compared by it, as Redis's ACL does. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "common/base/bytes.h"

#define SHA256_HEX 64 /* digits */

void sha256(struct slice s, unsigned char digest[32]);
void sha256_hex(struct slice s, char out[SHA256_HEX + 1]); /* lower case, terminated */

#endif
