/* DEBUG DIGEST: a 160-bit sum over the whole dataset that does not depend on the order of keys or of members, equal to
 * Redis 7.0's over the same data. */
#ifndef STORE_DIGEST_H
#define STORE_DIGEST_H

#include "noded/store/keyspace.h"

#define ND_DIGEST_BYTES 20

/* As DEBUG DIGEST-VALUE has it: of the value, and of whether it has an expiry, without the key. */
void nd_digest_value(const struct nd_value *v, int64_t expire_ms, unsigned char out[ND_DIGEST_BYTES]);
void nd_digest_keyspace(struct nd_keyspace *k, unsigned char out[ND_DIGEST_BYTES]);
void nd_digest_hex(const unsigned char digest[ND_DIGEST_BYTES], char out[2 * ND_DIGEST_BYTES + 1]); /* terminated */

#endif
