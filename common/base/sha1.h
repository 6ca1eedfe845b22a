/* SHA-1 (FIPS 180-4) of bytes in memory. Not for secrets: Redis's DEBUG DIGEST is made of it, and ours has to be equal.
 */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include "common/base/bytes.h"

#define SHA1_BYTES 20

void sha1(struct slice s, unsigned char digest[SHA1_BYTES]);

#endif
