#include "noded/store/pack.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the bytes ---- */

static const char *const edges[] = {
    "0",
    "127",
    "128",
    "-1",
    "-4096",
    "4095",
    "4096",
    "-4097",
    "32767",
    "32768",
    "-32768",
    "-32769",
    "8388607",
    "8388608",
    "-8388608",
    "-8388609",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "-0",
    "+1",
    "007",
    " 1",
    "9223372036854775807",
    "99999999999999999999999999",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "1e3",
};
#define EDGES (sizeof edges / sizeof edges[0])

static struct nd_pack *append(struct nd_pack *p, const char *s)
{
    return nd_pack_append(p, slice_of(s));
}

/* What redis-server 7.0.15 makes of this list, as its DUMP shows it. */
static void elements_stand_as_redis_writes_them(void **state)
{
    (void)state;
    static const char *const words[] = {
        "0",
        "127",
        "128",
        "-1",
        "-4096",
        "4095",
        "4096",
        "-4097",
        "32767",
        "32768",
        "-32768",
        "-32769",
        "8388607",
        "8388608",
        "-8388608",
        "-8388609",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "",
        "a",
        "007",
        "-0",
        "+1",
    };
    static const char expected[] =
        "260100001e0000017f01c08002dfff02d00002cfff02f1001003f1ffef03f1ff7f03f200800004f1008003f2ff7fff04f2ffff7f"
        "04f30000800005f200008004f3ffff7fff05f3ffffff7f05f4000000800000000009f30000008005f4ffffff7fffffffff09f4ff"
        "ffffffffffff7f09f400000000000000800993393232333337323033363835343737353830381480018161028330303704822d30"
        "03822b3103bf78787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878"
        "787878787878787878787878787878787840e0407979797979797979797979797979797979797979797979797979797979797979"
        "797979797979797979797979797979797979797979797979797979797979797942ff";
    struct nd_pack *p = nd_pack_new(0);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        p = append(p, words[i]);
    char x[64];
    memset(x, 'x', 63);
    p = nd_pack_append(p, (struct slice){x, 63});
    memset(x, 'y', 64);
    p = nd_pack_append(p, (struct slice){x, 64});
    struct slice raw = nd_pack_raw(p);
    assert_int_equal(raw.n * 2, strlen(expected));
    for (size_t i = 0; i < raw.n; i++) {
        char hex[3];
        snprintf(hex, sizeof hex, "%02x", (unsigned char)raw.p[i]);
        assert_memory_equal(hex, expected + 2 * i, 2);
    }
    free(p);
}

/* Backward lengths around the places where they take another byte; again what redis-server wrote. */
static void backward_lengths_grow_as_in_redis(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        const char *tail;
        size_t tail_n;
    } cases[] = {{124, "z\x7e\xff", 3},
                 {4095, "z\x20\x81\xff", 4},
                 {16377, "z\x7f\xfe\xff", 4},
                 {16378, "z\x00\xff\xff\xff", 5},
                 {16379, "z\x01\x80\x80\xff", 5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *s = mem_alloc(cases[i].n);
        memset(s, 'z', cases[i].n);
        struct nd_pack *p = nd_pack_append(nd_pack_new(0), (struct slice){s, cases[i].n});
        struct slice raw = nd_pack_raw(p);
        assert_memory_equal(raw.p + raw.n - cases[i].tail_n, cases[i].tail, cases[i].tail_n);
        char tmp[ND_PACK_INT_TEXT];
        assert_true(slice_eq(nd_pack_get(nd_pack_last(p), tmp), (struct slice){s, cases[i].n}));
        free(p);
        free(s);
    }
}

static void an_empty_pack_has_no_elements(void **state)
{
    (void)state;
    struct nd_pack *p = nd_pack_new(100);
    assert_int_equal(nd_pack_bytes(p), 7);
    assert_int_equal(nd_pack_count(p), 0);
    assert_null(nd_pack_first(p));
    assert_null(nd_pack_last(p));
    assert_null(nd_pack_index(p, 0));
    assert_null(nd_pack_index(p, -1));
    assert_null(nd_pack_find(p, nd_pack_first(p), slice_of("a"), 0));
    struct nd_pack *loaded = nd_pack_load(nd_pack_raw(p));
    assert_non_null(loaded);
    free(loaded);
    free(nd_pack_shrink(p));
}

/* ---- against an array of strings ---- */

#define MAX 600
struct model {
    struct buf v[MAX];
    size_t n;
};

static void model_insert(struct model *m, size_t at, struct slice s)
{
    assert_true(m->n < MAX);
    memmove(m->v + at + 1, m->v + at, (m->n - at) * sizeof m->v[0]);
    m->v[at] = (struct buf){0};
    buf_put(&m->v[at], s.p, s.n);
    m->n++;
}

static void model_remove(struct model *m, size_t at, size_t count)
{
    for (size_t i = at; i < at + count; i++)
        buf_free(&m->v[i]);
    memmove(m->v + at, m->v + at + count, (m->n - at - count) * sizeof m->v[0]);
    m->n -= count;
}

static void model_free(struct model *m)
{
    model_remove(m, 0, m->n);
}

static struct slice draw(struct rng *r, char *bytes)
{
    size_t n;
    switch (rng_below(r, 8)) {
    case 0:
    case 1: return slice_of(edges[rng_below(r, EDGES)]);
    case 2:
    case 3: {
        int64_t v = (int64_t)(rng_u64(r) >> rng_below(r, 64));
        n = (size_t)snprintf(bytes, 32, "%lld", (long long)(rng_chance(r, 500000) ? v : -1 - v));
        return (struct slice){bytes, n};
    }
    case 4: n = 60 + rng_below(r, 8); break;
    case 5: n = rng_chance(r, 100000) ? 4090 + rng_below(r, 12) : 125; break;
    default: n = rng_below(r, 4); break;
    }
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)('0' + rng_below(r, 12));
    return (struct slice){bytes, n};
}

static void compare(const struct nd_pack *p, const struct model *m)
{
    char tmp[ND_PACK_INT_TEXT];
    assert_int_equal(nd_pack_count(p), m->n);
    nd_pack_at at = nd_pack_first(p);
    size_t bytes = 7;
    for (size_t i = 0; i < m->n; i++, at = nd_pack_next(p, at)) {
        assert_non_null(at);
        assert_true(slice_eq(nd_pack_get(at, tmp), buf_slice(&m->v[i])));
        assert_true(nd_pack_is(at, buf_slice(&m->v[i])));
        bytes += nd_pack_cost(buf_slice(&m->v[i]));
    }
    assert_null(at);
    assert_int_equal(nd_pack_bytes(p), bytes);
    at = nd_pack_last(p);
    for (size_t i = m->n; i-- > 0; at = nd_pack_prev(p, at))
        assert_true(slice_eq(nd_pack_get(at, tmp), buf_slice(&m->v[i])));
    assert_null(at);
}

static void look_things_up(const struct nd_pack *p, const struct model *m, struct rng *r, char *bytes)
{
    char tmp[ND_PACK_INT_TEXT];
    int64_t i = rng_range(r, -(int64_t)m->n - 2, (int64_t)m->n + 2);
    nd_pack_at at = nd_pack_index(p, i);
    int64_t place = i < 0 ? i + (int64_t)m->n : i;
    if (place < 0 || place >= (int64_t)m->n)
        assert_null(at);
    else
        assert_true(slice_eq(nd_pack_get(at, tmp), buf_slice(&m->v[place])));
    struct slice s = m->n > 0 && rng_chance(r, 700000) ? buf_slice(&m->v[rng_below(r, m->n)]) : draw(r, bytes);
    size_t skip = rng_below(r, 3), from = 0;
    while (from < m->n && !slice_eq(buf_slice(&m->v[from]), s))
        from += skip + 1;
    at = nd_pack_find(p, nd_pack_first(p), s, skip);
    if (from >= m->n)
        assert_null(at);
    else
        assert_ptr_equal(at, nd_pack_index(p, (int64_t)from));
}

static struct nd_pack *change(struct nd_pack *p, struct model *m, struct rng *r, char *bytes)
{
    size_t i = m->n > 0 ? rng_below(r, m->n) : 0;
    nd_pack_at at = nd_pack_index(p, (int64_t)i);
    struct slice s = draw(r, bytes);
    char tmp[ND_PACK_INT_TEXT];
    switch (rng_below(r, m->n > MAX / 2 ? 8 : 6)) {
    case 0: model_insert(m, m->n, s); return nd_pack_append(p, s);
    case 1: model_insert(m, 0, s); return nd_pack_prepend(p, s);
    case 2:
    case 3:
        model_insert(m, at != NULL ? i : m->n, s);
        p = nd_pack_insert(p, &at, s);
        assert_true(slice_eq(nd_pack_get(at, tmp), s));
        return p;
    case 4:
        if (at == NULL)
            return p;
        model_remove(m, i, 1);
        model_insert(m, i, s);
        p = nd_pack_replace(p, &at, s);
        assert_ptr_equal(at, nd_pack_index(p, (int64_t)i));
        return p;
    default: break;
    }
    if (at == NULL)
        return p;
    size_t count = rng_chance(r, 800000) ? rng_below(r, 3) : rng_below(r, m->n);
    p = nd_pack_remove(p, &at, count);
    if (count > m->n - i)
        count = m->n - i;
    model_remove(m, i, count);
    assert_ptr_equal(at, nd_pack_index(p, (int64_t)i));
    return p;
}

static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    static char bytes[5000];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng r;
        rng_seed(&r, seed);
        struct model m = {.n = 0};
        struct nd_pack *p = nd_pack_new(0);
        for (int i = 0; i < 2000; i++) {
            p = change(p, &m, &r, bytes);
            look_things_up(p, &m, &r, bytes);
            if (i % 16 == 0)
                compare(p, &m);
        }
        compare(p, &m);
        struct nd_pack *twice = nd_pack_concat(nd_pack_dup(p), p);
        assert_int_equal(nd_pack_count(twice), 2 * m.n);
        assert_int_equal(nd_pack_bytes(twice), 2 * nd_pack_bytes(p) - 7);
        struct nd_pack *loaded = nd_pack_load(nd_pack_raw(p));
        assert_non_null(loaded);
        compare(loaded, &m);
        free(loaded);
        free(twice);
        free(p);
        model_free(&m);
    }
}

/* ---- in a block with room at its ends ---- */

static void ends_grow_and_shrink_in_place(void **state)
{
    (void)state;
    static char bytes[5000];
    struct rng r;
    rng_seed(&r, 7);
    enum { SIZE = 4000 };
    unsigned char *block = mem_alloc(SIZE);
    struct model m = {.n = 0};
    struct nd_pack *p = (struct nd_pack *)(block + SIZE / 2);
    nd_pack_init((unsigned char *)p);
    for (int i = 0; i < 20000; i++) {
        size_t front = (size_t)((unsigned char *)p - block), back = SIZE - front - nd_pack_bytes(p);
        struct slice s = draw(&r, bytes);
        struct nd_pack_item item = nd_pack_item(s);
        bool in_front = rng_chance(&r, 500000);
        if (rng_chance(&r, 500000)) {
            if ((in_front ? front : back) < item.bytes)
                continue;
            if (in_front)
                p = nd_pack_grow_front(p, &item);
            else
                nd_pack_grow_back(p, &item);
            model_insert(&m, in_front ? 0 : m.n, s);
        } else if (m.n > 0) {
            if (in_front)
                p = nd_pack_drop_front(p);
            else
                nd_pack_drop_back(p);
            model_remove(&m, in_front ? 0 : m.n - 1, 1);
        }
        if (i % 8 == 0)
            compare(p, &m);
    }
    free(block);
    model_free(&m);
}

/* ---- many elements, and bytes from outside ---- */

static void more_elements_than_the_header_counts(void **state)
{
    (void)state;
    enum { N = 66000 };
    struct nd_pack *p = nd_pack_new(N * 4);
    for (int i = 0; i < N; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i % 100);
        p = append(p, text);
    }
    assert_int_equal(nd_pack_count(p), N);
    assert_null(nd_pack_index(p, N));
    assert_null(nd_pack_index(p, -N - 1));
    assert_true(nd_pack_is(nd_pack_index(p, N - 1), slice_of("99")));
    assert_true(nd_pack_is(nd_pack_index(p, -N), slice_of("0")));
    nd_pack_at at = nd_pack_index(p, 10);
    p = nd_pack_remove(p, &at, N - 20);
    assert_int_equal(nd_pack_count(p), 20);
    /* The header does not know; a copy from outside is counted anew. */
    struct nd_pack *loaded = nd_pack_load(nd_pack_raw(p));
    assert_int_equal(nd_pack_count(loaded), 20);
    assert_int_equal((unsigned char)nd_pack_raw(loaded).p[4], 20);
    free(loaded);
    free(p);
}

static bool loads(const char *bytes, size_t n)
{
    /* In memory of its own, so that the sanitizer sees a read past the end. */
    char *copy = mem_alloc(n);
    memcpy(copy, bytes, n);
    struct nd_pack *p = nd_pack_load((struct slice){copy, n});
    free(copy);
    free(p);
    return p != NULL;
}

#define LOADS(s) loads(s, sizeof(s) - 1)

static void what_is_no_listpack_is_refused(void **state)
{
    (void)state;
    assert_true(LOADS("\x07\0\0\0\0\0\xff"));
    assert_true(LOADS("\x09\0\0\0\x01\0\x05\x01\xff"));
    assert_true(LOADS("\x09\0\0\0\xff\xff\x05\x01\xff"));
    assert_false(LOADS("\x09\0\0\0\x02\0\x05\x01\xff"));  /* count */
    assert_false(LOADS("\x08\0\0\0\x01\0\x05\x01\xff"));  /* bytes */
    assert_false(LOADS("\x09\0\0\0\x01\0\x05\x01\xfe"));  /* end */
    assert_false(LOADS("\x09\0\0\0\x01\0\x05\x02\xff"));  /* backward length */
    assert_false(LOADS("\x0a\0\0\0\x01\0\x81z\x03\xff")); /* backward length of a string */
    assert_true(LOADS("\x0a\0\0\0\x01\0\x81z\x02\xff"));
    assert_false(LOADS("\x0a\0\0\0\x01\0\x82z\x02\xff"));        /* length past the end */
    assert_false(LOADS("\x09\0\0\0\x01\0\xf5\x01\xff"));         /* no such kind */
    assert_false(LOADS("\x08\0\0\0\x01\0\xf4\xff"));             /* cut in the middle */
    assert_false(LOADS("\x0b\0\0\0\x01\0\xf0\xff\xff\xff\xff")); /* four gigabytes */
    assert_false(LOADS("\x06\0\0\0\0\0"));
    assert_false(LOADS(""));
    assert_false(LOADS("\xff"));
    assert_false(LOADS("\x07\0\0\0\0\0\xff\xff"));
}

static void damaged_packs_are_refused_or_harmless(void **state)
{
    (void)state;
    static char bytes[5000];
    struct rng r;
    rng_seed(&r, 3);
    struct nd_pack *p = nd_pack_new(0);
    for (int i = 0; i < 12; i++)
        p = nd_pack_append(p, draw(&r, bytes));
    struct slice good = nd_pack_raw(p);
    char *bad = mem_alloc(good.n);
    size_t accepted = 0;
    for (int i = 0; i < 100000; i++) {
        memcpy(bad, good.p, good.n);
        for (uint64_t k = 1 + rng_below(&r, 3); k > 0; k--)
            bad[rng_below(&r, good.n)] = (char)(rng_chance(&r, 300000) ? 0xf0 + rng_below(&r, 5) : rng_u64(&r));
        struct nd_pack *q = nd_pack_load((struct slice){bad, good.n});
        if (q == NULL)
            continue;
        accepted++;
        size_t forth = 0, back = 0;
        char tmp[ND_PACK_INT_TEXT];
        for (nd_pack_at at = nd_pack_first(q); at != NULL; at = nd_pack_next(q, at), forth++)
            assert_true(nd_pack_is(at, nd_pack_get(at, tmp)));
        for (nd_pack_at at = nd_pack_last(q); at != NULL; at = nd_pack_prev(q, at))
            back++;
        assert_int_equal(forth, back);
        assert_int_equal(forth, nd_pack_count(q));
        free(q);
    }
    assert_true(accepted > 1000); /* changed data bytes are no damage */
    free(bad);
    free(p);
}

static void a_pack_is_bounded(void **state)
{
    (void)state;
    struct nd_pack *p = nd_pack_new(0);
    assert_true(nd_pack_room(p, (1 << 30) - 7));
    assert_false(nd_pack_room(p, (1 << 30) - 6));
    assert_false(nd_pack_room(p, SIZE_MAX));
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_stand_as_redis_writes_them),
        cmocka_unit_test(backward_lengths_grow_as_in_redis),
        cmocka_unit_test(an_empty_pack_has_no_elements),
        cmocka_unit_test(random_changes_agree_with_an_array),
        cmocka_unit_test(ends_grow_and_shrink_in_place),
        cmocka_unit_test(more_elements_than_the_header_counts),
        cmocka_unit_test(what_is_no_listpack_is_refused),
        cmocka_unit_test(damaged_packs_are_refused_or_harmless),
        cmocka_unit_test(a_pack_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
