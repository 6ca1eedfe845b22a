#include "noded/store/dump.h"

#include "common/base/mem.h"
#include "noded/store/digest.h"
#include "noded/store/hash.h"
#include "noded/store/list.h"
#include "noded/store/set.h"
#include "noded/store/string.h"
#include "noded/store/zset.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct nd_limits limits;

static size_t from_hex(const char *hex, unsigned char *out)
{
    size_t n = 0;
    for (; hex[0] != '\0'; hex += 2) {
        unsigned v;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        out[n++] = (unsigned char)v;
    }
    return n;
}

static bool show(void *owner, struct slice a, struct slice b, double score)
{
    struct buf *out = owner;
    if (out->n > 0)
        buf_putc(out, ' ');
    buf_put(out, a.p, a.n);
    if (b.p != NULL)
        buf_printf(out, "=%.*s", (int)b.n, b.p);
    if (score != 0)
        buf_printf(out, "@%g", score);
    return true;
}

static void shown(const struct nd_value *v, struct buf *out)
{
    buf_clear(out);
    if (v->type == ND_STRING) {
        char tmp[ND_INT_TEXT];
        struct slice s = nd_string_slice(v, tmp);
        buf_put(out, s.p, s.n);
    } else {
        nd_value_visit(v, show, out);
    }
}

/* Payloads that redis-server 7.0.15 gave, what they hold, and that ours are the same. */
static void the_payloads_of_redis(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *encoding, *text;
        int64_t entries; /* listpack limit of hashes and sorted sets */
    } rows[] = {
        {"00c139300a009d94ea2793fc08b9", "int", "12345", 128},
        {"00c0ff0a000c937e2485089dc5", "int", "-1", 128},
        {"000d313233343536373839303132330a005e0c12ae0429bc1e", "int", "1234567890123", 128},
        {"000568656c6c6f0a006372df766534200a", "embstr", "hello", 128},
        {"00c3094064016161e057000161610a00e8a3b507b06df271", "raw",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 128},
        {"1201021010000000030001018374776f040301ff0a006d376e5e57fd0ddc", "quicklist", "1 two 3", 128},
        {"0b18040000000400000001000000020000002c010000701101000a001440c9b9e6eb5e6a", "intset", "1 2 300 70000", 128},
        {"020101780a00ffe880ba760c2f09", "hashtable", "x", 128},
        {"1012120000000400816602817602816e020701ff0a00b82adea8407ffaa8", "listpack", "f=v n=7", 128},
        {"111414000000040081610283312e35048162020201ff0a00fa02b425af188763", "listpack", "a@1.5 b@2", 128},
        {"0502016200000000000004400161000000000000f0bf0a00f548222cce2a2a40", "skiplist", "a@-1 b@2.5", 0},
        {"0401016601760a00adf24356b1860efc", "hashtable", "f=v", 0},
    };
    struct buf text = {0}, again = {0}, why = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned char bytes[256];
        struct nd_value v;
        limits = nd_limits_default;
        limits.hash_max_listpack_entries = limits.zset_max_listpack_entries = rows[i].entries;
        struct slice payload = {(char *)bytes, from_hex(rows[i].hex, bytes)};
        assert_int_equal(nd_load_payload(payload, &limits, &v, &why), ND_PAYLOAD_OK);
        assert_string_equal(nd_encoding_name((enum nd_encoding)v.enc), rows[i].encoding);
        shown(&v, &text);
        assert_string_equal(buf_str(&text), rows[i].text);
        buf_clear(&again);
        nd_dump_payload(&again, &v, true);
        assert_true(slice_eq(buf_slice(&again), payload));
        nd_value_free(&v);
    }
    buf_free(&text);
    buf_free(&again);
    buf_free(&why);
}

/* Bodies in the encodings of Redis 2 to 6, and of 7.2, put together by hand from their definition. */
static const struct {
    int type;
    const char *hex, *encoding, *text;
} bodies[] = {
    {1,
     "02"
     "0161"
     "c07f",
     "quicklist", "a 127"},
    {3,
     "02"
     "0161"
     "03312e35"
     "0162"
     "ff",
     "listpack", "b@-inf a@1.5"},
    {9,
     "0b"
     "01"
     "01"
     "66"
     "03"
     "02"
     "6162630000"
     "ff",
     "listpack", "f=abc"},
    /* ziplist: bytes, tail, count; "a", then 5 as an immediate number, 1000 as int16 */
    {10,
     "14"
     "14000000"
     "0f000000"
     "0300"
     "000161"
     "03f6"
     "02c0e803"
     "ff",
     "quicklist", "a 5 1000"},
    {14,
     "01"
     "14"
     "14000000"
     "0f000000"
     "0300"
     "000161"
     "03f6"
     "02c0e803"
     "ff",
     "quicklist", "a 5 1000"},
    {12,
     "10"
     "10000000"
     "0d000000"
     "0200"
     "000161"
     "03f3"
     "ff",
     "listpack", "a@2"},
    {13,
     "10"
     "10000000"
     "0d000000"
     "0200"
     "000166"
     "03f2"
     "ff",
     "listpack", "f=1"},
    {20,
     "0c"
     "0c000000"
     "0200"
     "8161"
     "02"
     "0501"
     "ff",
     "hashtable", NULL},
};

static void old_and_newer_encodings_are_read(void **state)
{
    (void)state;
    struct buf text = {0}, why = {0};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        unsigned char bytes[256];
        struct nd_value v;
        struct slice in = {(char *)bytes, from_hex(bodies[i].hex, bytes)};
        if (!nd_load_value(&in, bodies[i].type, &limits, &v, &why))
            fail_msg("type %d: %s", bodies[i].type, buf_str(&why));
        assert_int_equal(in.n, 0);
        assert_string_equal(nd_encoding_name((enum nd_encoding)v.enc), bodies[i].encoding);
        shown(&v, &text);
        if (bodies[i].text != NULL)
            assert_string_equal(buf_str(&text), bodies[i].text);
        else
            assert_int_equal(nd_value_length(&v), 2);
        nd_value_free(&v);
    }
    buf_free(&text);
    buf_free(&why);
}

static void what_is_not_there_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        int type;
        const char *word;
    } rows[] = {{7, "module"},  {15, "stream"},        {19, "stream"},
                {21, "stream"}, {24, "fields expire"}, {99, "no such type"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf why = {0};
        struct nd_value v;
        struct slice in = {"\1\1a", 3};
        assert_false(nd_load_value(&in, rows[i].type, &limits, &v, &why));
        assert_non_null(strstr(buf_str(&why), rows[i].word));
        buf_free(&why);
    }
}

static void payloads_have_a_version_and_a_sum(void **state)
{
    (void)state;
    struct buf payload = {0}, why = {0};
    struct nd_value v = nd_string_make(slice_of("some text"), true), out;
    nd_dump_payload(&payload, &v, true);
    nd_value_free(&v);
    for (size_t i = 0; i < payload.n; i++) {
        payload.p[i] ^= 4;
        assert_int_equal(nd_load_payload(buf_slice(&payload), &limits, &out, &why), ND_PAYLOAD_VERSION);
        payload.p[i] ^= 4;
    }
    for (size_t n = 0; n < payload.n; n++)
        assert_int_equal(nd_load_payload((struct slice){payload.p, n}, &limits, &out, &why), ND_PAYLOAD_VERSION);
    assert_true(nd_crc64(0, "123456789", 9) == 0xe9c6d914c4b8d9caull);
    /* What DUMP says in Valkey 9.1.2: of "b", and of a hash whose one field expires. */
    struct slice text = {"\x00\x01"
                         "b\x50\x00\xd9\x0eq\x00"
                         "8\xb1uw",
                         13};
    struct slice expiring = {"\x16\x01\x01"
                             "f\x01v\x00\xd8\xc3,\xbb\x03\x00\x00\x50\x00V\x7f\x9c/*\x89\xe8\xb2",
                             24};
    assert_int_equal(nd_load_payload(text, &limits, &out, &why), ND_PAYLOAD_OK);
    nd_value_free(&out);
    buf_clear(&why);
    assert_int_equal(nd_load_payload(expiring, &limits, &out, &why), ND_PAYLOAD_BAD);
    assert_string_equal(buf_str(&why),
                        "it is a hash whose fields expire (RDB type 22), which this server does not have");
    buf_free(&payload);
    buf_free(&why);
}

/* ---- values of chance ---- */

static void random_text(struct rng *rng, struct buf *out)
{
    buf_clear(out);
    switch (rng_below(rng, 5)) {
    case 0: buf_printf(out, "%lld", (long long)rng_range(rng, -70000, 70000)); break;
    case 1: buf_printf(out, "%lld", (long long)rng_u64(rng)); break;
    case 2:
        for (size_t n = rng_below(rng, 200); n > 0; n--)
            buf_putc(out, (char)('a' + rng_below(rng, 3)));
        break;
    default:
        for (size_t n = rng_below(rng, 40); n > 0; n--)
            buf_putc(out, (char)rng_u64(rng));
    }
}

static struct nd_value random_value(struct rng *rng, enum nd_type type)
{
    struct buf a = {0}, b = {0};
    struct nd_value v;
    random_text(rng, &a);
    size_t n = 1 + rng_below(rng, rng_chance(rng, 200000) ? 900 : 40);
    if (type == ND_STRING) {
        if (rng_chance(rng, 100000)) {
            buf_reserve(&a, 20000);
            memset(a.p, 'x', 20000);
            a.n = 20000;
        }
        v = nd_string_make(buf_slice(&a), true);
    } else if (type == ND_LIST) {
        v = nd_list_new(&limits);
    } else if (type == ND_SET) {
        v = nd_set_new(buf_slice(&a), &limits);
    } else if (type == ND_ZSET) {
        v = nd_zset_new(buf_slice(&a), &limits);
    } else {
        v = nd_hash_new();
    }
    bool numbers = rng_chance(rng, 300000);
    for (; type != ND_STRING && n > 0; n--) {
        random_text(rng, &a);
        random_text(rng, &b);
        if (numbers) {
            buf_clear(&a);
            buf_printf(&a, "%lld", (long long)rng_range(rng, -1000, 1000));
        }
        double score = rng_chance(rng, 500000) ? (double)rng_range(rng, -9, 9) : (double)rng_range(rng, -999, 999) / 7;
        if (type == ND_LIST)
            nd_list_push(&v, rng_chance(rng, 500000), buf_slice(&a));
        else if (type == ND_SET)
            nd_set_add(&v, buf_slice(&a), &limits);
        else if (type == ND_ZSET)
            nd_zset_put(&v, buf_slice(&a), &score, 0, &limits);
        else
            nd_hash_set(&v, &limits, buf_slice(&a), buf_slice(&b));
    }
    buf_free(&a);
    buf_free(&b);
    return v;
}

static void every_value_comes_back(void **state)
{
    (void)state;
    struct rng rng;
    struct buf payload = {0}, why = {0};
    rng_seed(&rng, 7);
    for (int round = 0; round < 3000; round++) {
        struct nd_value v = random_value(&rng, (enum nd_type)(round % ND_TYPES)), w;
        unsigned char before[ND_DIGEST_BYTES], after[ND_DIGEST_BYTES];
        buf_clear(&payload);
        nd_dump_payload(&payload, &v, round % 2 == 0);
        if (nd_load_payload(buf_slice(&payload), &limits, &w, &why) != ND_PAYLOAD_OK)
            fail_msg("round %d: %s", round, buf_str(&why));
        nd_digest_value(&v, ND_NO_EXPIRE, before);
        nd_digest_value(&w, ND_NO_EXPIRE, after);
        assert_memory_equal(before, after, sizeof before);
        assert_int_equal(v.type, w.type);
        nd_value_free(&v);
        nd_value_free(&w);
    }
    buf_free(&payload);
    buf_free(&why);
}

/* A body whose bytes were changed: refused, or a value that is well formed, which shows in that it comes back. */
static void damaged_bodies_are_refused_or_whole(void **state)
{
    (void)state;
    struct rng rng;
    struct buf body = {0}, why = {0}, again = {0};
    int taken = 0, refused = 0;
    rng_seed(&rng, 11);
    for (int round = 0; round < 6000; round++) {
        struct nd_value v = random_value(&rng, (enum nd_type)(round % ND_TYPES)), w;
        int type = nd_dump_type(&v);
        buf_clear(&body);
        buf_clear(&why);
        nd_dump_value(&body, &v, round % 3 == 0);
        nd_value_free(&v);
        for (uint64_t flips = rng_below(&rng, 4); flips > 0 && body.n > 0; flips--)
            body.p[rng_below(&rng, rng_chance(&rng, 500000) && body.n > 16 ? 16 : body.n)] ^= (char)(1 << rng_below(
                                                                                                         &rng, 8));
        if (rng_chance(&rng, 100000) && body.n > 0)
            body.n = rng_below(&rng, body.n);
        struct slice in = {mem_strndup(body.p, body.n), body.n}; /* exact, so that a sanitizer sees a step beyond */
        const char *memory = in.p;
        if (nd_load_value(&in, type, &limits, &v, &why)) {
            struct slice back;
            taken++;
            buf_clear(&again);
            nd_dump_value(&again, &v, false);
            back = buf_slice(&again);
            if (!nd_load_value(&back, nd_dump_type(&v), &limits, &w, &why))
                fail_msg("round %d: what was taken does not come back: %s", round, buf_str(&why));
            assert_int_equal(nd_value_length(&v), nd_value_length(&w));
            nd_value_free(&w);
            nd_value_free(&v);
        } else {
            refused++;
            assert_true(why.n > 0);
        }
        free((char *)memory);
    }
    assert_true(taken > 500 && refused > 500);
    buf_free(&body);
    buf_free(&again);
    buf_free(&why);
}

static int set_up(void **state)
{
    (void)state;
    limits = nd_limits_default;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_payloads_of_redis, set_up),
        cmocka_unit_test_setup(old_and_newer_encodings_are_read, set_up),
        cmocka_unit_test_setup(what_is_not_there_is_refused_by_name, set_up),
        cmocka_unit_test_setup(payloads_have_a_version_and_a_sum, set_up),
        cmocka_unit_test_setup(every_value_comes_back, set_up),
        cmocka_unit_test_setup(damaged_bodies_are_refused_or_whole, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
