/* The manifest of an append-only file: what is written is read again, and every damage is refused. */
#include "noded/repl/aof_manifest.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool read_text(const char *text, struct nd_aof_manifest *m, struct buf *why)
{
    return nd_aof_manifest_parse(m, slice_of(text), why);
}

static void reads(const char *text, const char *again)
{
    struct nd_aof_manifest m;
    struct buf why = {0}, out = {0};
    assert_true(read_text(text, &m, &why));
    nd_aof_manifest_write(&m, &out);
    assert_string_equal(buf_str(&out), again);
    buf_free(&why);
    buf_free(&out);
    nd_aof_manifest_free(&m);
}

static void refuses(const char *text, const char *word)
{
    struct nd_aof_manifest m;
    struct buf why = {0};
    assert_false(read_text(text, &m, &why));
    assert_non_null(strstr(buf_str(&why), word));
    assert_int_equal(m.n, 0);
    buf_free(&why);
    nd_aof_manifest_free(&m);
}

static void test_lines(void **state)
{
    (void)state;
    reads("file a.1.base.rdb seq 1 type b\nfile a.2.incr.aof seq 2 type i\n",
          "file a.1.base.rdb seq 1 type b\nfile a.2.incr.aof seq 2 type i\n");
    reads("# made by hand\n  seq 7 TYPE i FILE x later 3 \r\n", "file x seq 7 type i\n");
    reads("file i seq 1 type i\nfile h seq 9 type h\nfile b seq 2 type b\n",
          "file b seq 2 type b\nfile h seq 9 type h\nfile i seq 1 type i\n");
    reads("file \"a b\\x41\\\"\" seq 1 type b\n", "file \"a bA\\\"\" seq 1 type b\n");
    reads("file 'a \\'b' seq 1 type b\n", "file \"a 'b\" seq 1 type b\n");
}

static void test_damage(void **state)
{
    (void)state;
    refuses("", "nothing");
    refuses("\n", "line 1 has an empty line");
    refuses("file a seq 1 type b", "without an end");
    refuses("file a seq 1 type b\nfile c seq 1 type b\n", "line 2 has a second base");
    refuses("file a seq 2 type i\nfile b seq 2 type i\n", "rising");
    refuses("file a seq 2 type i\nfile b seq 1 type i\n", "rising");
    refuses("file a seq 0 type i\n", "seq");
    refuses("file a seq -1 type i\n", "seq");
    refuses("file a seq 1x type i\n", "seq");
    refuses("file a seq 99999999999999999999 type i\n", "seq");
    refuses("file a seq 1 type x\n", "neither");
    refuses("file a seq 1 type bb\n", "neither");
    refuses("file a seq 1\n", "missing");
    refuses("file a seq 1 type\n", "without a value");
    refuses("file ../a seq 1 type b\n", "folder");
    refuses("file .. seq 1 type b\n", "folder");
    refuses("file \"\" seq 1 type b\n", "without a name");
    refuses("file \"a\\x00b\" seq 1 type b\n", "zero");
    refuses("file \"a seq 1 type b\n", "quote");
    struct buf longer = {0};
    buf_puts(&longer, "file ");
    for (int i = 0; i < 1100; i++)
        buf_putc(&longer, 'a');
    buf_puts(&longer, " seq 1 type b\n");
    refuses(buf_str(&longer), "too long");
    buf_free(&longer);
}

/* A life of rewrites: the names never come twice, and what is written is read again at each step. */
static void test_life(void **state)
{
    (void)state;
    struct nd_aof_manifest m = {0};
    struct rng rng;
    rng_seed(&rng, 3);
    assert_true(nd_aof_manifest_empty(&m));
    for (int i = 0; i < 500; i++) {
        char *name;
        switch (rng_below(&rng, 4)) {
        case 0:
            name = nd_aof_next_base(&m, "x y", rng_chance(&rng, 500000));
            nd_aof_manifest_add_base(&m, name);
            assert_string_equal(nd_aof_manifest_base(&m)->name, name);
            free(name);
            break;
        case 1:
            name = nd_aof_next_incr(&m, "x y");
            nd_aof_manifest_add_incr(&m, name);
            assert_string_equal(nd_aof_manifest_last(&m)->name, name);
            free(name);
            break;
        case 2: nd_aof_manifest_retire(&m, rng_below(&rng, 3)); break;
        default: nd_aof_manifest_forget_history(&m); break;
        }
        struct nd_aof_manifest copy = {0}, again;
        struct buf text = {0}, twice = {0}, why = {0};
        nd_aof_manifest_copy(&copy, &m);
        nd_aof_manifest_write(&copy, &text);
        if (copy.n > 0) {
            assert_true(nd_aof_manifest_parse(&again, buf_slice(&text), &why));
            nd_aof_manifest_write(&again, &twice);
            assert_string_equal(buf_str(&text), buf_str(&twice));
            nd_aof_manifest_free(&again);
        }
        for (size_t a = 0; a < m.n; a++) {
            for (size_t b = a + 1; b < m.n; b++)
                assert_string_not_equal(m.files[a].name, m.files[b].name);
        }
        buf_free(&text);
        buf_free(&twice);
        nd_aof_manifest_free(&copy);
    }
    nd_aof_manifest_retire(&m, 0);
    assert_null(nd_aof_manifest_last(&m));
    nd_aof_manifest_forget_history(&m);
    assert_false(nd_aof_manifest_has(&m, ND_AOF_HISTORY));
    nd_aof_manifest_free(&m);
}

static void test_retire(void **state)
{
    (void)state;
    struct nd_aof_manifest m;
    struct buf why = {0}, out = {0};
    assert_true(
        read_text("file b seq 1 type b\nfile i1 seq 1 type i\nfile i2 seq 2 type i\nfile i3 seq 3 type i\n", &m, &why));
    nd_aof_manifest_add_base(&m, "b2");
    nd_aof_manifest_retire(&m, 1);
    nd_aof_manifest_write(&m, &out);
    assert_string_equal(buf_str(&out), "file b2 seq 2 type b\nfile b seq 1 type h\nfile i1 seq 1 type h\n"
                                       "file i2 seq 2 type h\nfile i3 seq 3 type i\n");
    buf_clear(&out);
    nd_aof_manifest_forget_history(&m);
    nd_aof_manifest_write(&m, &out);
    assert_string_equal(buf_str(&out), "file b2 seq 2 type b\nfile i3 seq 3 type i\n");
    buf_free(&out);
    nd_aof_manifest_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_retire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
