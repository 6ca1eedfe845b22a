/* INFO-CACHE: what is put comes back byte for byte, whatever the bytes are. */
#include "sentineld/shell/info_cache.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t seed[2] = {1, 2};

static void assert_kept(struct info_cache *c, const char *node, struct slice text, int64_t when_us)
{
    int64_t when = -1;
    struct slice kept = info_cache_get(c, node, &when);
    assert_int_equal(when, when_us);
    assert_int_equal(kept.n, text.n);
    if (text.n > 0)
        assert_memory_equal(kept.p, text.p, text.n);
}

static void test_texts_come_back(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n\r\n# Keyspace\r\ndb0:keys=1,expires=0\r\n",
        "# Server\r\nredis_version:7.0.16\r\nrun_id:abcdef\r\n\r\n# Keyspace\r\ndb0:keys=12,expires=0\r\n",
        "role:master\nslave0:ip=::1,port=1\n",
        "no end of line:here",
        "no colon and no end of line",
        ":\r\n::\r\n:\n",
        "empty:\r\nempty:\n\n\n\r\n",
        "carriage:\r\r\nreturn\r:\n\r:x\r\n",
        "\n",
        "",
    };
    struct info_cache *c = info_cache_new(seed);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char node[32];
        snprintf(node, sizeof node, "127.0.0.1:%zu", i + 1);
        info_cache_put(c, node, slice_of(texts[i]), (int64_t)i + 1);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char node[32];
        snprintf(node, sizeof node, "127.0.0.1:%zu", i + 1);
        assert_kept(c, node, slice_of(texts[i]), (int64_t)i + 1);
    }
    assert_int_equal(info_cache_count(c), sizeof texts / sizeof *texts);
    int64_t when;
    assert_int_equal(info_cache_get(c, "127.0.0.1:999", &when).n, 0);
    assert_int_equal(when, 0);
    info_cache_free(c);
}

static void test_a_newer_text_replaces(void **state)
{
    (void)state;
    struct info_cache *c = info_cache_new(seed);
    info_cache_put(c, "a:1", slice_of("x:1\r\ny:2\r\n"), 1);
    info_cache_put(c, "b:1", slice_of("x:3\r\ny:4\r\n"), 2);
    info_cache_put(c, "a:1",
                   slice_of("x:1000000000000000000000000000000000000000000000000000000000000000000\r\ny:\r\n"), 3);
    assert_kept(c, "a:1", slice_of("x:1000000000000000000000000000000000000000000000000000000000000000000\r\ny:\r\n"),
                3);
    info_cache_put(c, "a:1", slice_of("other\r\nlines:1\r\n"), 4);
    assert_kept(c, "a:1", slice_of("other\r\nlines:1\r\n"), 4);
    assert_kept(c, "b:1", slice_of("x:3\r\ny:4\r\n"), 2);
    assert_int_equal(info_cache_count(c), 2);
    info_cache_free(c);
}

static void test_any_bytes(void **state)
{
    (void)state;
    static const char alphabet[] = {'a', ':', '\r', '\n', '\0', '\xff'};
    struct info_cache *c = info_cache_new(seed);
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        char text[24], node[16];
        struct slice s = {text, rng_below(&rng, sizeof text + 1)};
        for (size_t k = 0; k < s.n; k++)
            text[k] = alphabet[rng_below(&rng, sizeof alphabet)];
        snprintf(node, sizeof node, "n:%d", 1 + i % 7);
        info_cache_put(c, node, s, i);
        assert_kept(c, node, s, i);
    }
    info_cache_free(c);
}

/* The same lines with other values, as one server sends them again and again; sometimes a line more or less. */
static void test_values_change(void **state)
{
    (void)state;
    static const char *const lines[] = {"# Server", "a", "b", "", "long_name", "# End", "c"};
    static const char values[] = {'1', '2', ':', '\r', '\0', ' '};
    struct info_cache *c = info_cache_new(seed);
    struct rng rng;
    rng_seed(&rng, 8);
    for (int i = 0; i < 5000; i++) {
        char text[256];
        size_t n = 0;
        for (size_t k = 0; k < sizeof lines / sizeof *lines; k++) {
            if (rng_below(&rng, 40) == 0)
                continue;
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", lines[k]);
            if (lines[k][0] != '#' && lines[k][0] != '\0') {
                text[n++] = ':';
                for (uint64_t more = rng_below(&rng, 8); more > 0; more--)
                    text[n++] = values[rng_below(&rng, sizeof values)];
            }
            if (rng_below(&rng, 60) > 0)
                text[n++] = '\r';
            if (rng_below(&rng, 60) > 0)
                text[n++] = '\n';
        }
        info_cache_put(c, i % 2 == 0 ? "a:1" : "b:2", (struct slice){text, n}, i);
        assert_kept(c, i % 2 == 0 ? "a:1" : "b:2", (struct slice){text, n}, i);
    }
    info_cache_free(c);
}

static void test_a_giant_is_cut(void **state)
{
    (void)state;
    size_t n = (size_t)300 * 1024;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'x', n);
    struct info_cache *c = info_cache_new(seed);
    info_cache_put(c, "a:1", (struct slice){text, n}, 1);
    assert_kept(c, "a:1", (struct slice){text, (size_t)256 * 1024}, 1);
    info_cache_free(c);
    free(text);
}

static bool is_even(void *arg, struct slice node)
{
    (*(int *)arg)++;
    return (node.p[node.n - 1] - '0') % 2 == 0;
}

static void test_sweep(void **state)
{
    (void)state;
    struct info_cache *c = info_cache_new(seed);
    for (int i = 0; i < 100; i++) {
        char node[16];
        snprintf(node, sizeof node, "n:%d", i);
        info_cache_put(c, node, slice_of(i % 3 == 0 ? "role:master\r\n" : "role:slave\r\nx:y\r\n"), i);
    }
    int asked = 0;
    info_cache_sweep(c, is_even, &asked);
    assert_int_equal(asked, 100);
    assert_int_equal(info_cache_count(c), 50);
    assert_kept(c, "n:42", slice_of("role:master\r\n"), 42);
    assert_kept(c, "n:44", slice_of("role:slave\r\nx:y\r\n"), 44);
    assert_kept(c, "n:43", slice_of(""), 0);
    info_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_come_back), cmocka_unit_test(test_a_newer_text_replaces),
        cmocka_unit_test(test_any_bytes),       cmocka_unit_test(test_a_giant_is_cut),
        cmocka_unit_test(test_sweep),           cmocka_unit_test(test_values_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
