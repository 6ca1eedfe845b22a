#include "noded/store/hash.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct nd_limits limits = {
    .hash_max_listpack_entries = 128, .hash_max_listpack_value = 64, .seed = {3, 4}};

/* ---- against an array ---- */

#define FIELDS 1200
struct model {
    struct buf value[FIELDS];
    bool in[FIELDS];
    unsigned seen[FIELDS];
    size_t n;
};

/* Every third field is a number, some are long. */
static struct slice field_of(size_t i, char out[400])
{
    if (i % 3 == 0)
        return (struct slice){out, (size_t)snprintf(out, 400, "%d", (int)i * (i % 2 == 0 ? 1000 : -1000))};
    size_t n = (size_t)snprintf(out, 400, "field:%zu", i);
    if (i > FIELDS / 2 && i % 50 == 1) {
        memset(out + n, '.', 200);
        n += 200;
    }
    return (struct slice){out, n};
}

static bool visit(void *owner, struct slice a, struct slice b, double score)
{
    struct model *m = owner;
    char tmp[400];
    (void)score;
    assert_true(a.n < sizeof tmp);
    memcpy(tmp, a.p, a.n);
    tmp[a.n] = '\0';
    size_t i = a.p[0] == 'f' ? strtoul(tmp + strlen("field:"), NULL, 10) : (size_t)labs(strtol(tmp, NULL, 10)) / 1000;
    assert_true(i < FIELDS && m->in[i]);
    assert_true(slice_eq(a, field_of(i, tmp)));
    assert_true(slice_eq(b, buf_slice(&m->value[i])));
    m->seen[i]++;
    return true;
}

static void show(void *owner, struct slice field, struct slice value)
{
    visit(owner, field, value, 0);
}

static size_t seen(struct model *m, unsigned most)
{
    size_t n = 0;
    for (size_t i = 0; i < FIELDS; i++) {
        assert_in_range(m->seen[i], 0, most);
        n += m->seen[i] > 0;
    }
    memset(m->seen, 0, sizeof m->seen);
    return n;
}

static void compare(const struct nd_value *v, struct model *m)
{
    assert_int_equal(nd_hash_length(v), m->n);
    nd_hash_visit(v, visit, m);
    assert_int_equal(seen(m, 1), m->n);
    uint64_t cursor = 0;
    do
        cursor = nd_hash_scan(v, cursor, show, m);
    while (cursor != 0);
    assert_int_equal(seen(m, UINT32_MAX), m->n);
}

static void draw_some(const struct nd_value *v, struct model *m, struct rng *r)
{
    size_t count = rng_below(r, m->n + 4);
    nd_hash_random_distinct(v, r, count, show, m);
    assert_int_equal(seen(m, 1), count < m->n ? count : m->n);
    if (m->n == 0)
        return;
    nd_hash_random(v, r, show, m);
    assert_int_equal(seen(m, 1), 1);
}

static struct slice draw_value(struct rng *r, char out[400], bool small)
{
    size_t n;
    switch (rng_below(r, 4)) {
    case 0: n = (size_t)snprintf(out, 400, "%lld", (long long)(rng_u64(r) >> rng_below(r, 64))); break;
    case 1:
        n = rng_below(r, small ? 65 : 400);
        memset(out, 'v', n);
        break;
    default:
        n = 5;
        memset(out, (int)('a' + rng_below(r, 26)), n);
        break;
    }
    return (struct slice){out, n};
}

static void change(struct nd_value *v, struct model *m, struct rng *r, size_t fields, bool small)
{
    char name[400], bytes[400], tmp[ND_PACK_INT_TEXT];
    size_t i = rng_below(r, fields);
    struct slice field = field_of(i, name), value, found;
    assert_int_equal(nd_hash_get(v, field, &found, tmp), m->in[i]);
    if (m->in[i])
        assert_true(slice_eq(found, buf_slice(&m->value[i])));
    if (rng_chance(r, 600000)) {
        value = draw_value(r, bytes, small);
        assert_int_equal(nd_hash_set(v, &limits, field, value), !m->in[i]);
        m->n += !m->in[i];
        m->in[i] = true;
        buf_clear(&m->value[i]);
        buf_put(&m->value[i], value.p, value.n);
    } else {
        assert_int_equal(nd_hash_remove(v, field), m->in[i]);
        m->n -= m->in[i];
        m->in[i] = false;
    }
}

static void empty(struct nd_value *v, struct model *m)
{
    char name[400];
    for (size_t i = 0; i < FIELDS; i++) {
        assert_int_equal(nd_hash_remove(v, field_of(i, name)), m->in[i]);
        m->n -= m->in[i];
        m->in[i] = false;
    }
    compare(v, m);
}

static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    static struct model m;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct rng r;
        rng_seed(&r, seed);
        struct nd_value v = nd_hash_new();
        m.n = 0;
        memset(m.in, 0, sizeof m.in);
        for (int i = 0; i < 5000; i++) {
            bool small = i < 1500;
            change(&v, &m, &r, small ? 150 : FIELDS, small);
            if (small && m.n <= 128 && i < 200)
                assert_int_equal(v.enc, ND_ENC_LISTPACK);
            if (i % 100 == 0) {
                compare(&v, &m);
                draw_some(&v, &m, &r);
            }
        }
        assert_int_equal(v.enc, ND_ENC_HASHTABLE);
        struct nd_value copy = nd_hash_dup(&v);
        nd_hash_free(&v);
        compare(&copy, &m);
        empty(&copy, &m);
        nd_hash_free(&copy);
    }
    for (size_t i = 0; i < FIELDS; i++)
        buf_free(&m.value[i]);
}

/* ---- when a listpack becomes a table ---- */

static struct nd_value with_fields(int n)
{
    struct nd_value v = nd_hash_new();
    char name[32];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "f%d", i);
        assert_true(nd_hash_set(&v, &limits, slice_of(name), slice_of("1")));
    }
    return v;
}

static void limits_decide_the_encoding(void **state)
{
    (void)state;
    char bytes[65];
    memset(bytes, 'x', sizeof bytes);
    struct nd_value v = with_fields(128);
    assert_int_equal(v.enc, ND_ENC_LISTPACK);
    assert_null(nd_hash_table_of(&v));
    assert_int_equal(nd_hash_effort(&v), 1);
    assert_false(nd_hash_set(&v, &limits, slice_of("f7"), (struct slice){bytes, 64}));
    assert_int_equal(v.enc, ND_ENC_LISTPACK);
    nd_hash_set(&v, &limits, slice_of("one more"), slice_of("1"));
    assert_int_equal(v.enc, ND_ENC_HASHTABLE);
    assert_int_equal(nd_hash_length(&v), 129);
    assert_int_equal(nd_hash_effort(&v), 129);
    assert_non_null(nd_hash_table_of(&v));
    nd_hash_free(&v);

    v = with_fields(2);
    nd_hash_set(&v, &limits, slice_of("f1"), (struct slice){bytes, 65});
    assert_int_equal(v.enc, ND_ENC_HASHTABLE);
    nd_hash_free(&v);

    v = with_fields(2);
    nd_hash_set(&v, &limits, (struct slice){bytes, 65}, slice_of("1"));
    assert_int_equal(v.enc, ND_ENC_HASHTABLE);
    nd_hash_to_table(&v, &limits, 1000); /* it is one already */
    assert_int_equal(nd_hash_length(&v), 3);
    nd_hash_free(&v);
}

static bool from_words(const char *const *words, size_t n, const struct nd_limits *with, enum nd_encoding *enc)
{
    struct nd_pack *p = nd_pack_new(0);
    for (size_t i = 0; i < n; i++)
        p = nd_pack_append(p, slice_of(words[i]));
    struct nd_value v;
    bool ok = nd_hash_from_pack(p, with, &v);
    if (ok) {
        *enc = v.enc;
        assert_int_equal(nd_hash_length(&v), n / 2);
        nd_hash_free(&v);
    } else {
        free(p);
    }
    return ok;
}

static void packs_from_outside_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "1", "b", "a", "12", "b", "", "12"};
    static const char *const twice[] = {"a", "1", "b", "2", "a", "3"};
    static const char *const numbers[] = {"12", "1", "b", "2", "12", "3"};
    enum nd_encoding enc = ND_ENC_RAW;
    assert_true(from_words(good, 8, &limits, &enc));
    assert_int_equal(enc, ND_ENC_LISTPACK);
    assert_false(from_words(good, 7, &limits, &enc));
    assert_false(from_words(good, 0, &limits, &enc));
    assert_false(from_words(twice, 6, &limits, &enc));
    assert_false(from_words(numbers, 6, &limits, &enc));
    struct nd_limits few = limits;
    few.hash_max_listpack_entries = 3;
    assert_true(from_words(good, 8, &few, &enc));
    assert_int_equal(enc, ND_ENC_HASHTABLE);
    few.hash_max_listpack_entries = 2;
    assert_false(from_words(twice, 6, &few, &enc));
}

static void large_packs_from_outside_are_checked(void **state)
{
    (void)state;
    struct nd_limits many = limits;
    many.hash_max_listpack_entries = 100000;
    struct nd_pack *p = nd_pack_new(0);
    char text[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof text, "f%d", i);
        p = nd_pack_append(nd_pack_append(p, slice_of(text)), slice_of("v"));
    }
    struct nd_value v;
    assert_true(nd_hash_from_pack(p, &many, &v));
    assert_int_equal(v.enc, ND_ENC_LISTPACK);
    p = nd_pack_append(nd_pack_append(v.ptr, slice_of("f19999")), slice_of("v"));
    assert_false(nd_hash_from_pack(p, &many, &v));
    assert_false(nd_hash_from_pack(p, &limits, &v));
    free(p);
}

/* ---- chance ---- */

struct tally {
    unsigned count[40];
};

static void count(void *owner, struct slice field, struct slice value)
{
    struct tally *t = owner;
    int64_t number;
    (void)value;
    assert_true(text_range(field, 0, 39, &number));
    t->count[number]++;
}

/* Chi-squared of 40 cells stays below 85 but for one run in 20,000; the seeds are fixed. */
static void fair(const struct tally *t, double expected)
{
    double chi = 0;
    for (size_t i = 0; i < 40; i++)
        chi += (t->count[i] - expected) * (t->count[i] - expected) / expected;
    assert_true(chi < 85);
}

static void every_field_has_the_same_chance(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 11);
    for (int table = 0; table < 2; table++) {
        struct nd_value v = nd_hash_new();
        char text[16];
        for (int i = 0; i < 40; i++) {
            snprintf(text, sizeof text, "%d", i);
            nd_hash_set(&v, &limits, slice_of(text), slice_of("v"));
        }
        if (table)
            nd_hash_to_table(&v, &limits, 0);
        struct tally one = {{0}}, few = {{0}}, most = {{0}};
        for (int i = 0; i < 20000; i++) {
            nd_hash_random(&v, &r, count, &one);
            nd_hash_random_distinct(&v, &r, 4, count, &few);
            nd_hash_random_distinct(&v, &r, 30, count, &most);
        }
        fair(&one, 500);
        fair(&few, 2000);
        fair(&most, 15000);
        nd_hash_free(&v);
    }
}

static void memory_follows_the_contents(void **state)
{
    (void)state;
    struct nd_value v = with_fields(100);
    size_t packed = nd_hash_memory(&v, 5);
    assert_in_range(packed, 600, 1600);
    nd_hash_to_table(&v, &limits, 0);
    char text[200];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 2000; i++) {
        snprintf(text, 16, "%d", i);
        text[strlen(text)] = 'x';
        nd_hash_set(&v, &limits, (struct slice){text, 20}, (struct slice){text, 100});
    }
    size_t all = nd_hash_memory(&v, 0);
    assert_in_range(all, 2000 * 128, 2000 * 190);
    assert_in_range(nd_hash_memory(&v, 20), all / 2, all * 2);
    nd_hash_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_an_array), cmocka_unit_test(limits_decide_the_encoding),
        cmocka_unit_test(packs_from_outside_are_checked),     cmocka_unit_test(large_packs_from_outside_are_checked),
        cmocka_unit_test(every_field_has_the_same_chance),    cmocka_unit_test(memory_follows_the_contents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
