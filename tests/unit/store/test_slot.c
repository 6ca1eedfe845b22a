/* The slot of a key, against the definition of its checksum bit by bit. */
#include "noded/store/keyspace.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int slot_by_bits(const unsigned char *p, size_t n)
{
    unsigned crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned)p[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000) != 0 ? (crc << 1 ^ 0x1021) & 0xffff : crc << 1;
    }
    return (int)(crc % ND_SLOTS);
}

static void keys_of_every_length(void **state)
{
    (void)state;
    struct rng rng;
    unsigned char key[70];
    rng_seed(&rng, 3);
    assert_int_equal(slot_by_bits((const unsigned char *)"123456789", 9), 0x31c3 % ND_SLOTS);
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)rng_below(&rng, sizeof key);
        for (size_t i = 0; i < n; i++) {
            key[i] = (unsigned char)rng_u64(&rng);
            if (key[i] == '{')
                key[i] = 0;
        }
        assert_int_equal(nd_key_slot((struct slice){(const char *)key, n}), slot_by_bits(key, n));
    }
}

static void tags(void **state)
{
    (void)state;
    static const struct {
        const char *key, *counts;
    } rows[] = {{"{user}.a", "user"}, {"x{user}y{z}", "user"}, {"{}a", "{}a"},
                {"{a", "{a"},         {"a}{", "a}{"},          {"{{b}}", "{b"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *counts = rows[i].counts;
        assert_int_equal(nd_key_slot(slice_of(rows[i].key)),
                         slot_by_bits((const unsigned char *)counts, strlen(counts)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_length),
        cmocka_unit_test(tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
