#include "common/base/sha1.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void hex_of(struct slice s, char out[2 * SHA1_BYTES + 1])
{
    unsigned char digest[SHA1_BYTES];
    sha1(s, digest);
    for (size_t i = 0; i < SHA1_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void the_published_digests(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } rows[] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    };
    char hex[2 * SHA1_BYTES + 1];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        hex_of(slice_of(rows[i].text), hex);
        assert_string_equal(hex, rows[i].hex);
    }
    static char million[1000000];
    memset(million, 'a', sizeof million);
    hex_of((struct slice){million, sizeof million}, hex);
    assert_string_equal(hex, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

/* Lengths around the 64 bytes of a block, where the padding changes: the digest of the digests of 0 to 299 bytes, as
 * Python's hashlib computes it. */
static void every_length_is_padded_rightly(void **state)
{
    (void)state;
    char text[300], all[300 * SHA1_BYTES], hex[2 * SHA1_BYTES + 1];
    for (size_t n = 0; n < sizeof text; n++) {
        unsigned char digest[SHA1_BYTES];
        text[n] = (char)(n * 7 + 1);
        sha1((struct slice){text, n}, digest);
        memcpy(all + n * SHA1_BYTES, digest, SHA1_BYTES);
    }
    hex_of((struct slice){all, sizeof all}, hex);
    assert_string_equal(hex, "6b60569190829fc0ca5f8b2961e86b7dbcb0b3af");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_digests),
        cmocka_unit_test(every_length_is_padded_rightly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
