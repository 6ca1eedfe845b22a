#include "common/base/sha256.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void the_published_digests(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char hex[SHA256_HEX + 1];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sha256_hex(slice_of(rows[i].text), hex);
        assert_string_equal(hex, rows[i].hex);
    }
    static char million[1000000];
    memset(million, 'a', sizeof million);
    sha256_hex((struct slice){million, sizeof million}, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Lengths around the 64 bytes of a block, where the padding changes: the digest of the digests of 0 to 299 bytes, as
 * Python's hashlib computes it. */
static void every_length_is_padded_rightly(void **state)
{
    (void)state;
    char text[300], all[300 * 32], hex[SHA256_HEX + 1];
    for (size_t n = 0; n < sizeof text; n++) {
        unsigned char digest[32];
        text[n] = (char)(n * 7 + 1);
        sha256((struct slice){text, n}, digest);
        memcpy(all + n * 32, digest, 32);
    }
    sha256_hex((struct slice){all, sizeof all}, hex);
    assert_string_equal(hex, "5ebbf7b17a4f2bbb50cae3f26da221c90542499a6b4cbc177190a5e8cf00710d");
}

/* In pieces of every size the digest is the same. */
static void pieces_make_the_same_digest(void **state)
{
    (void)state;
    char text[400], whole[SHA256_HEX + 1], pieces[SHA256_HEX + 1];
    for (size_t n = 0; n < sizeof text; n++)
        text[n] = (char)(n * 11 + 3);
    sha256_hex((struct slice){text, sizeof text}, whole);
    for (size_t piece = 1; piece <= 200; piece++) {
        struct sha256 sum;
        sha256_begin(&sum);
        for (size_t at = 0; at < sizeof text; at += piece)
            sha256_add(&sum, text + at, sizeof text - at < piece ? sizeof text - at : piece);
        sha256_end_hex(&sum, pieces);
        assert_string_equal(pieces, whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_digests),
        cmocka_unit_test(every_length_is_padded_rightly),
        cmocka_unit_test(pieces_make_the_same_digest),
    };
    return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
