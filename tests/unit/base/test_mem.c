#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static jmp_buf failed;
static size_t failed_wanted;

/* Ours instead of the one in tests/unit/support: the test goes on after a failure. */
void mem_fail(size_t wanted)
{
    failed_wanted = wanted;
    longjmp(failed, 1);
}

static void a_size_of_zero_gives_a_pointer(void **state)
{
    (void)state;
    void *p = mem_alloc(0), *q = mem_zalloc(0), *r = mem_realloc(NULL, 0);
    assert_non_null(p);
    assert_non_null(q);
    assert_non_null(r);
    r = mem_realloc(r, 0);
    assert_non_null(r);
    free(p);
    free(q);
    free(r);
}

static void zalloc_clears(void **state)
{
    (void)state;
    unsigned char *dirty = mem_alloc(4096);
    memset(dirty, 0xa5, 4096);
    free(dirty);
    unsigned char *p = mem_zalloc(4096);
    for (int i = 0; i < 4096; i++)
        assert_int_equal(p[i], 0);
    free(p);
}

static void an_array_whose_size_overflows_fails(void **state)
{
    (void)state;
    failed_wanted = 0;
    if (setjmp(failed) == 0) {
        void *p = mem_array(NULL, SIZE_MAX / 8 + 1, 8);
        free(p);
        fail_msg("mem_array() gave memory for a size that does not fit");
    }
    assert_int_equal(failed_wanted, SIZE_MAX);
    void *p = mem_array(NULL, 3, 8);
    p = mem_array(p, 0, 8);
    assert_non_null(p);
    p = mem_array(p, SIZE_MAX, 0);
    assert_non_null(p);
    free(p);
}

static void what_the_system_refuses_fails(void **state)
{
    (void)state;
    /* More than any address space has. Through a volatile, so that the compiler does not judge the size itself. */
    volatile size_t too_much = (size_t)1 << 62;
    failed_wanted = 0;
    if (setjmp(failed) == 0) {
        free(mem_alloc(too_much));
        fail_msg("mem_alloc() gave 4 EiB");
    }
    assert_int_equal(failed_wanted, too_much);
    failed_wanted = 0;
    if (setjmp(failed) == 0) {
        free(mem_zalloc(too_much));
        fail_msg("mem_zalloc() gave 4 EiB");
    }
    assert_int_equal(failed_wanted, too_much);
    char *kept = mem_strdup("still there");
    failed_wanted = 0;
    if (setjmp(failed) == 0) {
        free(mem_realloc(kept, too_much));
        fail_msg("mem_realloc() gave 4 EiB");
    }
    assert_int_equal(failed_wanted, too_much);
    assert_string_equal(kept, "still there");
    free(kept);
}

static void copies_are_terminated(void **state)
{
    (void)state;
    char *a = mem_strdup("");
    char *b = mem_strdup("sentinel");
    char *c = mem_strndup("sentinel", 4);
    char *d = mem_strndup("a\0b", 3);
    char *e = mem_strndup(NULL, 0);
    assert_string_equal(a, "");
    assert_string_equal(b, "sentinel");
    assert_string_equal(c, "sent");
    assert_memory_equal(d, "a\0b\0", 4);
    assert_string_equal(e, "");
    free(a);
    free(b);
    free(c);
    free(d);
    free(e);
}

static void an_array_grows_and_keeps_its_elements(void **state)
{
    (void)state;
    uint32_t *v = NULL;
    size_t n = 0, cap = 0, moves = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        size_t before = cap;
        v = mem_grow(v, n, &cap, sizeof *v);
        moves += cap != before;
        assert_true(cap > n);
        v[n++] = i;
    }
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(v[i], i);
    assert_true(moves <= 17);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_of_zero_gives_a_pointer),
        cmocka_unit_test(zalloc_clears),
        cmocka_unit_test(an_array_whose_size_overflows_fails),
        cmocka_unit_test(what_the_system_refuses_fails),
        cmocka_unit_test(copies_are_terminated),
        cmocka_unit_test(an_array_grows_and_keeps_its_elements),
    };
    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
