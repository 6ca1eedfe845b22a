#include "common/base/heap.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void an_empty_heap_has_no_top(void **state)
{
    (void)state;
    struct heap h = {0};
    struct heap_node n;
    heap_node_init(&n);
    assert_null(heap_top(&h));
    heap_set(&h, &n, HEAP_NEVER); /* taking out what is not in it changes nothing */
    assert_null(heap_top(&h));
    assert_int_equal(n.place, 0);
    heap_set(&h, &n, -5);
    assert_ptr_equal(heap_top(&h), &n);
    heap_set(&h, &n, HEAP_NEVER);
    assert_null(heap_top(&h));
    assert_int_equal(n.place, 0);
    assert_true(n.at == HEAP_NEVER);
    heap_free(&h);
    heap_free(&h);
}

static void equal_deadlines_fire_in_the_order_of_insertion(void **state)
{
    (void)state;
    enum { N = 100 };
    struct heap h = {0};
    struct heap_node n[N];
    for (int i = 0; i < N; i++) {
        heap_node_init(&n[i]);
        heap_set(&h, &n[i], 1000);
    }
    /* Set again to the same time it keeps its turn; moved away and back it goes to the end. */
    heap_set(&h, &n[3], 1000);
    heap_set(&h, &n[4], 2000);
    heap_set(&h, &n[4], 1000);
    for (int i = 0; i < N; i++) {
        if (i == 4)
            continue;
        assert_ptr_equal(heap_top(&h), &n[i]);
        heap_set(&h, &n[i], HEAP_NEVER);
    }
    assert_ptr_equal(heap_top(&h), &n[4]);
    heap_free(&h);
}

static size_t due_count;
static int64_t due_latest;

static void count_due(struct heap_node *n)
{
    due_count++;
    if (n->at > due_latest)
        due_latest = n->at;
}

static void all_that_is_due_is_found_and_stays(void **state)
{
    (void)state;
    enum { N = 300 };
    struct heap h = {0};
    struct heap_node n[N];
    struct rng r;
    rng_seed(&r, 7);
    due_count = 0;
    heap_each_due(&h, INT64_MAX - 1, count_due);
    assert_int_equal(due_count, 0);
    for (int i = 0; i < N; i++) {
        heap_node_init(&n[i]);
        heap_set(&h, &n[i], (int64_t)(rng_u64(&r) % 50));
    }
    for (int64_t now = -1; now <= 50; now++) {
        size_t wanted = 0;
        for (int i = 0; i < N; i++)
            wanted += n[i].at <= now;
        due_count = 0;
        due_latest = -1;
        heap_each_due(&h, now, count_due);
        assert_int_equal(due_count, wanted);
        assert_true(due_latest <= now);
    }
    assert_int_equal(h.n, N);
    heap_free(&h);
}

static const struct heap_node *model_top(const struct heap_node *v, size_t n)
{
    const struct heap_node *best = NULL;
    for (size_t i = 0; i < n; i++)
        if (v[i].place != 0 && (best == NULL || v[i].at < best->at || (v[i].at == best->at && v[i].turn < best->turn)))
            best = &v[i];
    return best;
}

static void random_changes_agree_with_a_linear_search(void **state)
{
    (void)state;
    enum { N = 60 };
    struct heap h = {0};
    struct heap_node n[N];
    struct rng r;
    rng_seed(&r, 9);
    for (int i = 0; i < N; i++)
        heap_node_init(&n[i]);
    for (int i = 0; i < 50000; i++) {
        struct heap_node *one = &n[rng_below(&r, N)];
        heap_set(&h, one, rng_chance(&r, 300000) ? HEAP_NEVER : rng_range(&r, -20, 20));
        assert_ptr_equal(heap_top(&h), model_top(n, N));
        size_t in = 0;
        for (size_t j = 0; j < N; j++) {
            in += n[j].place != 0;
            if (n[j].place != 0)
                assert_ptr_equal(h.v[n[j].place - 1].node, &n[j]);
        }
        assert_int_equal(in, h.n);
    }
    heap_free(&h);
}

static int by_time(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void draining_it_sorts(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct heap h = {0};
    struct heap_node *n = calloc(N, sizeof *n);
    int64_t *sorted = calloc(N, sizeof *sorted);
    assert_non_null(n);
    assert_non_null(sorted);
    struct rng r;
    rng_seed(&r, 10);
    for (int i = 0; i < N; i++) {
        heap_node_init(&n[i]);
        sorted[i] = rng_range(&r, INT64_MIN, INT64_MAX - 1);
        heap_set(&h, &n[i], sorted[i]);
    }
    qsort(sorted, N, sizeof *sorted, by_time);
    for (int i = 0; i < N; i++) {
        struct heap_node *top = heap_top(&h);
        assert_non_null(top);
        assert_true(top->at == sorted[i]);
        heap_set(&h, top, HEAP_NEVER);
    }
    assert_null(heap_top(&h));
    heap_free(&h);
    free(n);
    free(sorted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_top),
        cmocka_unit_test(equal_deadlines_fire_in_the_order_of_insertion),
        cmocka_unit_test(all_that_is_due_is_found_and_stays),
        cmocka_unit_test(random_changes_agree_with_a_linear_search),
        cmocka_unit_test(draining_it_sorts),
    };
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
