/* Reading the files of an append-only file: however its bytes are split, the dataset is that of the engine whose
 * effects they are; and what is damaged is refused where it is. */
#include "noded/repl/aof_read.h"

#include "tests/unit/cmd/engine_fixture.h"

#include "noded/repl/aof_base.h"
#include "noded/repl/aof_state.h"
#include "noded/repl/persist.h"
#include "noded/repl/rdb_write.h"
#include "noded/store/digest.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool put_bytes(void *owner, const char *p, size_t n)
{
    buf_put(owner, p, n);
    return true;
}

static void digest(struct fixture *f, char hex[2 * ND_DIGEST_BYTES + 1])
{
    unsigned char bytes[ND_DIGEST_BYTES];
    nd_digest_keyspace(&f->e->keys, bytes);
    nd_digest_hex(bytes, hex);
}

static const char *const words[] = {"SELECT 0",
                                    "SELECT 5",
                                    "SET a 1",
                                    "SET b 12345678901234567890",
                                    "INCR n",
                                    "RPUSH l a b c 1 2 3",
                                    "SADD s 1 2 3",
                                    "SADD s x",
                                    "HSET h f v g 7",
                                    "LPOP l",
                                    "ZADD z 1.5 a -inf b",
                                    "EXPIREAT a 99999999999",
                                    "SPOP s",
                                    "APPEND b \"\\r\\n*1\"",
                                    "DEL h",
                                    "SWAPDB 0 5",
                                    "FLUSHDB",
                                    "MSET q 1 r 2",
                                    "PERSIST a",
                                    "COPY z zz"};

static void fill(struct fixture *f, struct rng *rng, int count)
{
    for (int i = 0; i < count; i++)
        run(f, words[rng_below(rng, sizeof words / sizeof *words)]);
}

/* Feeds it in pieces. Returns the status at the end. */
static enum nd_aof_end read_file(struct nd_aof_reader *r, struct slice file, struct rng *rng, bool *bad)
{
    struct buf have = {0};
    size_t at = 0;
    *bad = false;
    nd_aof_reader_begin(r, file.n);
    for (;;) {
        struct slice in = buf_slice(&have);
        enum nd_aof_read st = nd_aof_read_some(r, &in, rng_below(rng, 200));
        buf_drop(&have, have.n - in.n);
        if (st == ND_AOF_BAD) {
            *bad = true;
            break;
        }
        if (st == ND_AOF_BUSY)
            continue;
        if (at == file.n)
            break;
        size_t n = 1 + rng_below(rng, 300);
        n = n < file.n - at ? n : file.n - at;
        buf_put(&have, file.p + at, n);
        at += n;
    }
    enum nd_aof_end end = *bad ? ND_AOF_END_BAD : nd_aof_reader_end(r, buf_slice(&have));
    buf_free(&have);
    return end;
}

static void write_base(struct fixture *f, bool as_requests, struct buf *out)
{
    struct nd_rdb_sink sink = {.owner = out, .put = put_bytes};
    struct nd_rdb_facts facts;
    nd_rdb_facts_now(f->e, &facts);
    assert_true(as_requests ? nd_aof_base_write(&f->e->keys, 77, &sink, NULL)
                            : nd_rdb_write(&f->e->keys, &facts, &sink, NULL));
}

static void test_whole(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 9);
    for (int round = 0; round < 60; round++) {
        struct fixture *from = fixture_new(), *to = fixture_new();
        struct buf base = {0};
        char a[2 * ND_DIGEST_BYTES + 1], b[2 * ND_DIGEST_BYTES + 1];
        fill(from, &rng, 80);
        write_base(from, round % 2 == 0, &base);
        to->e->loading = true;
        struct nd_aof_reader *r = nd_aof_reader_new(to->e);
        bool bad;
        assert_int_equal(read_file(r, buf_slice(&base), &rng, &bad), ND_AOF_END_WHOLE);
        assert_int_equal(nd_aof_whole(r), base.n);
        digest(from, a);
        digest(to, b);
        assert_string_equal(a, b);
        nd_aof_reader_free(r);
        buf_free(&base);
        fixture_free(from);
        fixture_free(to);
    }
}

static struct {
    const char *text;
    enum nd_aof_end end;
    size_t whole;
    const char *word; /* of the error */
} const cases[] = {
    {"", ND_AOF_END_WHOLE, 0, NULL},
    {"*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n", ND_AOF_END_WHOLE, 29, NULL},
    {"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*2\r\n$4\r\nIN", ND_AOF_END_TORN, 21, NULL},
    {"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n", ND_AOF_END_TORN, 21, NULL},
    {"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n#TS:123\r\n", ND_AOF_END_WHOLE, 30, NULL},
    {"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n#TS:1", ND_AOF_END_TORN, 21, NULL},
    {"*2\r\n$4\r\nINCR\r\n$1\r\na\r\nx", ND_AOF_END_BAD, 21, "offset 21"},
    {"*2\r\n$4\r\nINCR\r\n$1\r\nab\r\n", ND_AOF_END_BAD, 0, "offset 0"},
    {"*1\r\n$6\r\nNOSUCH\r\n", ND_AOF_END_BAD, 0, "NOSUCH"},
    {"*1\r\n$4\r\nINCR\r\n", ND_AOF_END_BAD, 0, "INCR"},
    {"*1\r\n$8\r\nSHUTDOWN\r\n", ND_AOF_END_BAD, 0, "SHUTDOWN"},
    {"*0\r\n", ND_AOF_END_BAD, 0, "offset 0"},
    {"*-1\r\n", ND_AOF_END_BAD, 0, "offset 0"},
    {"INCR a\r\n", ND_AOF_END_BAD, 0, "offset 0"},
    {"REDI", ND_AOF_END_BAD, 0, "snapshot"},
    {"VALK", ND_AOF_END_BAD, 0, "snapshot"},
    {"VALKEY080", ND_AOF_END_BAD, 0, ""},
    {"REDIS0011", ND_AOF_END_BAD, 0, ""},
    {"*2\r\n$4\r\nINCR\r\n$9\r\na\r\n*1\r\n", ND_AOF_END_BAD, 0, "length"},
    {"*2\r\n$4\r\nINCR\r\n$9\r\na\r\n*1", ND_AOF_END_TORN, 0, NULL},
    {"*2\r\n$7\r\nINCR\r\n$1\r\na", ND_AOF_END_BAD, 0, NULL},
    {"*2\r\n$40\r\nINCR\r\n$1\r\na\r\n", ND_AOF_END_TORN, 0, NULL},
};

static void test_cases(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int split = 0; split < 5; split++) {
            struct fixture *f = fixture_new();
            f->e->loading = true;
            struct nd_aof_reader *r = nd_aof_reader_new(f->e);
            bool bad;
            assert_int_equal(read_file(r, slice_of(cases[i].text), &rng, &bad), cases[i].end);
            if (cases[i].end != ND_AOF_END_BAD || cases[i].whole > 0)
                assert_int_equal(nd_aof_whole(r), cases[i].whole);
            if (cases[i].word != NULL)
                assert_non_null(strstr(nd_aof_error(r), cases[i].word));
            nd_aof_reader_free(r);
            fixture_free(f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
