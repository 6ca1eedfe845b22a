/* The backlog against a plain array that forgets nothing. */
#include "noded/repl/backlog.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define READERS 8
#define SLACK ((size_t)64 * 1024) /* whole blocks are kept: that much more than was asked for */

struct model {
    struct nd_backlog *b;
    struct buf all; /* every byte from the first offset on */
    int64_t begin;  /* offset before the first */
    size_t size;
    size_t due; /* bytes that must be there: a backlog that is made larger has not got back what it forgot */
    struct nd_backlog_cursor cursors[READERS];
    bool open[READERS];
    struct rng rng;
};

static struct model *model_new(size_t size, int64_t begin)
{
    struct model *m = mem_zalloc(sizeof *m);
    m->b = nd_backlog_new(size, begin);
    m->begin = begin;
    m->size = size;
    rng_seed(&m->rng, 7);
    return m;
}

static void model_free(struct model *m)
{
    for (size_t i = 0; i < READERS; i++)
        nd_backlog_close(&m->cursors[i]);
    nd_backlog_free(m->b);
    buf_free(&m->all);
    free(m);
}

static int64_t model_end(const struct model *m)
{
    return m->begin + (int64_t)m->all.n;
}

static void append(struct model *m, size_t n)
{
    size_t before = m->all.n;
    for (size_t i = 0; i < n; i++)
        buf_putc(&m->all, (char)rng_u64(&m->rng));
    nd_backlog_append(m->b, m->all.p + before, n);
    m->due = m->due + n < m->size ? m->due + n : m->size;
}

/* What the cursor sees is what was written from its offset on; `n` bytes of it are read. */
static void read_some(struct model *m, size_t i, size_t n)
{
    struct slice pieces[3];
    size_t unread = nd_backlog_unread(&m->cursors[i]);
    assert_int_equal(unread, model_end(m) + 1 - m->cursors[i].offset);
    size_t count = nd_backlog_peek(&m->cursors[i], pieces, 3), seen = 0;
    const char *expected = m->all.p + (m->cursors[i].offset - m->begin - 1);
    for (size_t k = 0; k < count; k++) {
        assert_true(pieces[k].n > 0);
        assert_true(seen + pieces[k].n <= unread);
        assert_memory_equal(pieces[k].p, expected + seen, pieces[k].n);
        seen += pieces[k].n;
    }
    assert_true(seen == unread || count == 3);
    nd_backlog_pass(&m->cursors[i], n < seen ? n : seen);
}

static void check(const struct model *m)
{
    assert_int_equal(nd_backlog_end(m->b), model_end(m));
    int64_t first = nd_backlog_first(m->b), kept = model_end(m) + 1 - first;
    int64_t wanted = (int64_t)m->due;
    assert_true(first > m->begin);
    assert_true(kept >= wanted);
    int64_t slowest = model_end(m) + 1;
    for (size_t i = 0; i < READERS; i++)
        if (m->open[i] && m->cursors[i].offset < slowest)
            slowest = m->cursors[i].offset;
    int64_t needed = model_end(m) + 1 - slowest;
    assert_true(kept <= (needed > wanted ? needed : wanted) + (int64_t)SLACK);
    assert_true(nd_backlog_memory(m->b) >= (size_t)kept);
}

static void step(struct model *m)
{
    size_t i = (size_t)rng_below(&m->rng, READERS);
    switch (rng_below(&m->rng, 12)) {
    case 0: append(m, (size_t)rng_below(&m->rng, 40000)); break;
    case 1:
    case 2:
    case 3:
    case 4: append(m, (size_t)rng_below(&m->rng, 300)); break;
    case 5:
        m->size = (size_t)rng_range(&m->rng, 1, 100000);
        nd_backlog_resize(m->b, m->size);
        m->due = m->due < m->size ? m->due : m->size;
        break;
    case 6:
        nd_backlog_close(&m->cursors[i]);
        nd_backlog_close(&m->cursors[i]);
        m->open[i] = false;
        assert_int_equal(nd_backlog_unread(&m->cursors[i]), 0);
        break;
    case 7:
        if (!m->open[i]) {
            int64_t first = nd_backlog_first(m->b);
            int64_t at = rng_range(&m->rng, first - 2, model_end(m) + 3);
            m->open[i] = nd_backlog_open(m->b, at, &m->cursors[i]);
            assert_int_equal(m->open[i], at >= first && at <= model_end(m) + 1);
        }
        break;
    default:
        if (m->open[i])
            read_some(m, i, (size_t)rng_below(&m->rng, 50000));
    }
}

static void random_operations(void **state)
{
    (void)state;
    struct model *m = model_new(20000, 41);
    for (int n = 0; n < 20000; n++) {
        step(m);
        check(m);
    }
    model_free(m);
}

static void empty_one_can_be_waited_at(void **state)
{
    (void)state;
    struct model *m = model_new(1000, 0);
    assert_int_equal(nd_backlog_first(m->b), 1);
    assert_int_equal(nd_backlog_end(m->b), 0);
    assert_false(nd_backlog_open(m->b, 0, &m->cursors[0]));
    assert_false(nd_backlog_open(m->b, 2, &m->cursors[0]));
    assert_true(nd_backlog_open(m->b, 1, &m->cursors[0]));
    assert_int_equal(nd_backlog_unread(&m->cursors[0]), 0);
    append(m, 100000);
    read_some(m, 0, 100000);
    assert_int_equal(nd_backlog_unread(&m->cursors[0]), 0);
    append(m, 1);
    assert_int_equal(nd_backlog_unread(&m->cursors[0]), 1);
    model_free(m);
}

/* What one reader lacks is there although it is past the size; without the reader it goes. */
static void slow_reader_keeps_what_it_lacks(void **state)
{
    (void)state;
    struct model *m = model_new(1000, 0);
    append(m, 10);
    assert_true(nd_backlog_open(m->b, 5, &m->cursors[0]));
    for (int i = 0; i < 1000; i++)
        append(m, 1000);
    assert_int_equal(nd_backlog_first(m->b), 1);
    assert_true(nd_backlog_memory(m->b) >= 1000000);
    nd_backlog_close(&m->cursors[0]);
    assert_true(nd_backlog_memory(m->b) < 100000);
    assert_false(nd_backlog_open(m->b, 5, &m->cursors[0]));
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations),
        cmocka_unit_test(empty_one_can_be_waited_at),
        cmocka_unit_test(slow_reader_keeps_what_it_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
