#include "noded/store/digest.h"

#include "common/base/sha1.h"
#include "noded/store/string.h"

#include <stdio.h>
#include <string.h>

_Static_assert(ND_DIGEST_BYTES == SHA1_BYTES, "the digest is a sum of SHA-1s");

/* Adds something whose place among the others does not matter. */
static void add(unsigned char digest[ND_DIGEST_BYTES], struct slice s)
{
    unsigned char hash[SHA1_BYTES];
    sha1(s, hash);
    for (size_t i = 0; i < SHA1_BYTES; i++)
        digest[i] ^= hash[i];
}

/* Adds something whose place matters. */
static void mix(unsigned char digest[ND_DIGEST_BYTES], struct slice s)
{
    add(digest, s);
    sha1((struct slice){(char *)digest, ND_DIGEST_BYTES}, digest);
}

/* Databases and types are mixed as 32 bits, highest byte first. */
static void mix_number(unsigned char digest[ND_DIGEST_BYTES], uint32_t v)
{
    unsigned char bytes[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16), (unsigned char)(v >> 8),
                              (unsigned char)v};
    mix(digest, (struct slice){(char *)bytes, sizeof bytes});
}

struct walk {
    unsigned char *digest;
    enum nd_type type;
};

static bool element(void *owner, struct slice a, struct slice b, double score)
{
    struct walk *w = owner;
    if (w->type == ND_LIST) {
        mix(w->digest, a);
    } else if (w->type == ND_SET) {
        add(w->digest, a);
    } else {
        unsigned char pair[ND_DIGEST_BYTES] = {0};
        char text[64];
        if (w->type == ND_ZSET) {
            int n = snprintf(text, sizeof text, "%.17g", score);
            b = (struct slice){text, (size_t)n};
        }
        mix(pair, a);
        mix(pair, b);
        add(w->digest, (struct slice){(char *)pair, sizeof pair});
    }
    return true;
}

static void mix_value(unsigned char digest[ND_DIGEST_BYTES], const struct nd_value *v, int64_t expire_ms)
{
    mix_number(digest, v->type);
    if (v->type == ND_STRING) {
        char tmp[ND_INT_TEXT];
        mix(digest, nd_string_slice(v, tmp));
    } else {
        struct walk w = {.digest = digest, .type = (enum nd_type)v->type};
        nd_value_visit(v, element, &w);
    }
    if (expire_ms != ND_NO_EXPIRE)
        add(digest, slice_of("!!expire!!"));
}

void nd_digest_value(const struct nd_value *v, int64_t expire_ms, unsigned char out[ND_DIGEST_BYTES])
{
    memset(out, 0, ND_DIGEST_BYTES);
    mix_value(out, v, expire_ms);
}

void nd_digest_keyspace(struct nd_keyspace *k, unsigned char out[ND_DIGEST_BYTES])
{
    memset(out, 0, ND_DIGEST_BYTES);
    for (int n = 0; n < k->db_count; n++) {
        struct nd_db *db = nd_keyspace_peek(k, n);
        if (db == NULL || nd_db_count(db) == 0)
            continue;
        mix_number(out, (uint32_t)n);
        struct nd_db_iter it;
        struct nd_entry *e;
        for (nd_db_iterate(db, &it); (e = nd_db_next(&it)) != NULL;) {
            unsigned char one[ND_DIGEST_BYTES] = {0};
            mix(one, nd_entry_key(e));
            mix_value(one, &e->v, nd_entry_expire(e));
            add(out, (struct slice){(char *)one, sizeof one});
        }
    }
}

void nd_digest_hex(const unsigned char digest[ND_DIGEST_BYTES], char out[2 * ND_DIGEST_BYTES + 1])
{
    for (size_t i = 0; i < ND_DIGEST_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
