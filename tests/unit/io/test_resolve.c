#include "common/io/resolve.h"

#include "tests/unit/io/harness.h"

#include <stdio.h>
#include <string.h>

struct answer {
    int n, errors;
    char ip[IO_IP_MAX], error[200];
    int *total;
};

static void on_resolved(void *owner, const struct io_resolved *r)
{
    struct answer *a = owner;
    a->n++;
    if (a->total != NULL)
        (*a->total)++;
    if (r->error != NULL) {
        a->errors++;
        snprintf(a->error, sizeof a->error, "%s", r->error);
        return;
    }
    assert_true(r->n >= 1);
    snprintf(a->ip, sizeof a->ip, "%s", r->ips[0]);
}

static void test_literals(void **state)
{
    (void)state;
    struct answer a = {0}, b = {0};
    struct io_resolver *r = io_resolver_new(loop, 2, 10);
    io_resolve(r, "127.0.0.1", on_resolved, &a);
    io_resolve(r, "::1", on_resolved, &b);
    assert_int_equal(a.n + b.n, 0); /* not from inside */
    harness_wait(&b.n, 1);
    assert_string_equal(a.ip, "127.0.0.1");
    assert_string_equal(b.ip, "::1");
    io_resolver_free(r);
}

static void test_names(void **state)
{
    (void)state;
    struct answer a = {0}, b = {0};
    struct io_resolver *r = io_resolver_new(loop, 2, 10);
    io_resolve(r, "localhost", on_resolved, &a);
    io_resolve(r, "not..a..name", on_resolved, &b);
    harness_wait(&a.n, 1);
    harness_wait(&b.n, 1);
    assert_true(strcmp(a.ip, "127.0.0.1") == 0 || strcmp(a.ip, "::1") == 0);
    assert_int_equal(b.errors, 1);
    assert_true(b.error[0] != '\0');
    io_resolver_free(r);
}

static void test_loop_lives_for_answers(void **state)
{
    (void)state;
    struct answer a = {0};
    struct io_resolver *r = io_resolver_new(loop, 1, 10);
    io_resolve(r, "localhost", on_resolved, &a);
    io_loop_run(loop); /* ends by itself when nothing is left to wait for */
    assert_int_equal(a.n, 1);
    io_loop_run(loop);
    io_resolver_free(r);
}

static void test_many(void **state)
{
    (void)state;
    struct answer a[200];
    int total = 0;
    struct io_resolver *r = io_resolver_new(loop, 2, 200);
    memset(a, 0, sizeof a);
    for (int i = 0; i < 200; i++) {
        a[i].total = &total;
        io_resolve(r, "localhost", on_resolved, &a[i]);
    }
    harness_wait(&total, 200);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(a[i].n, 1);
        assert_int_equal(a[i].errors, 0);
    }
    io_resolver_free(r);
}

static void test_queue_is_bounded(void **state)
{
    (void)state;
    struct answer a = {0}, b = {0};
    struct io_resolver *r = io_resolver_new(loop, 1, 0);
    io_resolve(r, "localhost", on_resolved, &a);
    io_resolve(r, "127.0.0.1", on_resolved, &b); /* needs no thread and no place */
    harness_wait(&a.n, 1);
    harness_wait(&b.n, 1);
    assert_int_equal(a.errors, 1);
    assert_non_null(strstr(a.error, "too many"));
    assert_int_equal(b.errors, 0);
    io_resolver_free(r);
}

static void test_cancel(void **state)
{
    (void)state;
    struct answer a = {0}, b = {0};
    struct io_resolve *q[40];
    struct io_resolver *r = io_resolver_new(loop, 1, 100);
    q[0] = io_resolve(r, "127.0.0.1", on_resolved, &a); /* answered already, not told yet */
    for (int i = 1; i < 40; i++)
        q[i] = io_resolve(r, "localhost", on_resolved, &a); /* one runs, the others wait */
    for (int i = 0; i < 40; i++)
        io_resolve_cancel(r, q[i]);
    io_resolve(r, "localhost", on_resolved, &b);
    harness_wait(&b.n, 1);
    assert_int_equal(a.n, 0);
    io_resolver_free(r);
}

static void test_free_with_requests(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct answer a = {0};
        struct io_resolver *r = io_resolver_new(loop, 4, 100);
        for (int k = 0; k < 10; k++)
            io_resolve(r, k % 2 == 0 ? "localhost" : "127.0.0.1", on_resolved, &a);
        io_resolver_free(r);
        harness_run_ms(0);
        assert_int_equal(a.n, 0);
    }
    harness_run_ms(100); /* threads that were inside a lookup end; the sanitizer looks on */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_literals, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_names, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_loop_lives_for_answers, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_many, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_queue_is_bounded, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_cancel, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_free_with_requests, harness_start, harness_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
