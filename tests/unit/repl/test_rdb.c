/* RDB files: written and read again in pieces of every size, truncated, damaged, of other versions. */
#include "noded/repl/load.h"
#include "noded/repl/rdb_write.h"

#include "common/base/mem.h"
#include "noded/store/digest.h"
#include "noded/store/dump.h"
#include "noded/store/little.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a dataset ---- */

static void runf(struct fixture *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void runf(struct fixture *f, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    assert_int_not_equal(run(f, buf_str(&b))[0], '-');
    buf_free(&b);
}

/* Every type in its small and its large encoding. */
static void fill_db(struct fixture *f, int db, int large)
{
    runf(f, "SELECT %d", db);
    runf(f, "SET int%d 12345", db);
    runf(f, "SET negative -7");
    runf(f, "SET wide 1234567890123");
    runf(f, "SET empty \"\"");
    runf(f, "SET binary \"\\x00\\xff\\r\\n\"");
    runf(f, "SET soon x PX 100000");
    runf(f, "SETRANGE zeros 300 end");
    runf(f, "APPEND raw short");
    runf(f, "RPUSH list 1 two 3 -4");
    runf(f, "SADD numbers 1 2 300 70000");
    runf(f, "SADD set a b c");
    runf(f, "HSET hash f v n 7");
    runf(f, "ZADD zset 1.5 a 2 b -inf c");
    runf(f, "PEXPIRE hash 5000000");
    for (int i = 0; i < large; i++) {
        runf(f, "RPUSH biglist element:%d", i * 1000);
        runf(f, "SADD bignumbers %d", i * 3);
        runf(f, "SADD bigset member:%d", i);
        runf(f, "HSET bighash field:%d value:%d", i, i * 7);
        runf(f, "ZADD bigzset %d.25 member:%d", i * 11 % 97, i);
    }
}

static struct fixture *dataset(int databases, int large)
{
    struct fixture *f = fixture_new();
    for (int db = 0; db < databases; db++)
        fill_db(f, db, large);
    return f;
}

static bool put(void *owner, const char *p, size_t n)
{
    buf_put(owner, p, n);
    return true;
}

static void write_all(struct nd_engine *e, struct buf *out, bool compress, bool checksum)
{
    struct nd_rdb_facts facts;
    struct nd_rdb_sink sink = {.owner = out, .put = put};
    size_t keys, there = 0;
    nd_rdb_facts_now(e, &facts);
    facts.compress = compress;
    facts.checksum = checksum;
    assert_true(nd_rdb_write(&e->keys, &facts, &sink, &keys));
    for (int i = 0; i < e->keys.db_count; i++)
        there += nd_keyspace_peek(&e->keys, i) != NULL ? nd_db_count(nd_keyspace_peek(&e->keys, i)) : 0;
    assert_int_equal(keys, there);
}

/* ---- reading it ---- */

struct taken {
    struct nd_keyspace keys;
    struct nd_load load;
    enum nd_rdb_status status;
    char error[512];
    size_t left;
};

/* Feeds the bytes in pieces, each in memory of its own size, so that a sanitizer sees every byte read beyond it. */
static void take(struct fixture *f, struct slice file, size_t piece, struct taken *t)
{
    static const uint64_t seed[2] = {1, 2};
    memset(t, 0, sizeof *t);
    nd_keyspace_init(&t->keys, f->e->keys.db_count, false, seed);
    nd_load_init(&t->load, f->e, &t->keys);
    t->load.bytes = file.n;
    struct nd_rdb_reader *r = nd_load_reader(&t->load);
    t->status = ND_RDB_MORE;
    while (file.n > 0 && t->status == ND_RDB_MORE) {
        size_t n = file.n < piece ? file.n : piece;
        char *own = mem_alloc(n);
        memcpy(own, file.p, n);
        struct slice in = {own, n};
        do {
            t->status = nd_rdb_feed(r, &in, piece / 2);
        } while (t->status == ND_RDB_MORE && in.n > 0);
        file.p += n - in.n;
        file.n -= n - in.n;
        free(own);
    }
    t->left = file.n;
    snprintf(t->error, sizeof t->error, "%s", nd_rdb_error(r));
    if (t->status == ND_RDB_DONE)
        assert_int_equal(nd_rdb_keys(r), t->load.loaded + t->load.expired);
    if (t->status == ND_RDB_BAD)
        assert_int_not_equal(t->error[0], '\0');
    nd_rdb_reader_free(r);
}

static void drop(struct taken *t)
{
    nd_keyspace_free(&t->keys);
}

static void assert_same(struct fixture *f, struct nd_keyspace *k)
{
    unsigned char a[ND_DIGEST_BYTES], b[ND_DIGEST_BYTES];
    nd_digest_keyspace(&f->e->keys, a);
    nd_digest_keyspace(k, b);
    assert_memory_equal(a, b, sizeof a);
}

static void reads_back(struct fixture *f, struct slice file, size_t piece)
{
    struct taken t;
    take(f, file, piece, &t);
    assert_string_equal(t.error, "");
    assert_int_equal(t.status, ND_RDB_DONE);
    assert_int_equal(t.left, 0);
    assert_same(f, &t.keys);
    drop(&t);
}

static void a_dataset_is_read_back_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 4096, SIZE_MAX / 2};
    struct fixture *f = dataset(3, 700);
    for (int mode = 0; mode < 4; mode++) {
        struct buf file = {0};
        write_all(f->e, &file, mode & 1, mode & 2);
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
            reads_back(f, buf_slice(&file), pieces[i]);
        buf_free(&file);
    }
    fixture_free(f);
}

static void encodings_follow_the_limits_of_the_reader(void **state)
{
    (void)state;
    struct fixture *f = dataset(1, 20);
    struct buf file = {0};
    write_all(f->e, &file, true, true);
    f->e->config.limits.hash_max_listpack_entries = 4;
    f->e->config.limits.zset_max_listpack_entries = 2;
    f->e->config.limits.set_max_intset_entries = 4;
    struct taken t;
    take(f, buf_slice(&file), 100, &t);
    assert_int_equal(t.status, ND_RDB_DONE);
    struct nd_db *db = nd_keyspace_db(&t.keys, 0);
    assert_int_equal(nd_db_find(db, slice_of("hash"))->v.enc, ND_ENC_LISTPACK);
    assert_int_equal(nd_db_find(db, slice_of("bighash"))->v.enc, ND_ENC_HASHTABLE);
    assert_int_equal(nd_db_find(db, slice_of("zset"))->v.enc, ND_ENC_SKIPLIST);
    assert_int_equal(nd_db_find(db, slice_of("numbers"))->v.enc, ND_ENC_INTSET);
    assert_int_equal(nd_db_find(db, slice_of("bignumbers"))->v.enc, ND_ENC_HASHTABLE);
    drop(&t);
    buf_free(&file);
    fixture_free(f);
}

static void expired_keys_are_dropped_by_a_master_only(void **state)
{
    (void)state;
    struct fixture *f = dataset(2, 3);
    struct buf file = {0};
    struct taken t;
    write_all(f->e, &file, true, true);
    f->e->now_ms += 200000;
    take(f, buf_slice(&file), 50, &t);
    assert_int_equal(t.load.expired, 2);
    assert_null(nd_db_find(nd_keyspace_db(&t.keys, 1), slice_of("soon")));
    assert_non_null(nd_db_find(nd_keyspace_db(&t.keys, 1), slice_of("hash")));
    drop(&t);
    f->e->is_replica = true;
    take(f, buf_slice(&file), 50, &t);
    assert_int_equal(t.load.expired, 0);
    assert_same(f, &t.keys);
    drop(&t);
    buf_free(&file);
    fixture_free(f);
}

static void ages_are_kept(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct buf file = {0};
    struct taken t;
    assert_string_equal(run(f, "CONFIG SET maxmemory-policy allkeys-lru"), "+OK\r\n");
    run(f, "SET old x");
    fixture_forward_ms(f, 50000);
    write_all(f->e, &file, true, true);
    take(f, buf_slice(&file), 3, &t);
    assert_int_equal(f->e->lru_clock - nd_db_find(nd_keyspace_db(&t.keys, 0), slice_of("old"))->v.age, 50);
    drop(&t);
    buf_clear(&file);
    assert_string_equal(run(f, "CONFIG SET maxmemory-policy allkeys-lfu"), "+OK\r\n");
    run(f, "SET often x");
    nd_db_find(nd_keyspace_db(&f->e->keys, 0), slice_of("often"))->v.age |= 77;
    unsigned counter = nd_db_find(nd_keyspace_db(&f->e->keys, 0), slice_of("often"))->v.age & 0xff;
    write_all(f->e, &file, true, true);
    take(f, buf_slice(&file), 3, &t);
    assert_int_equal(nd_db_find(nd_keyspace_db(&t.keys, 0), slice_of("often"))->v.age & 0xff, counter);
    drop(&t);
    buf_free(&file);
    fixture_free(f);
}

/* ---- damage ---- */

static void no_part_of_a_file_is_taken_for_the_whole(void **state)
{
    (void)state;
    struct fixture *f = dataset(2, 3);
    struct buf file = {0};
    write_all(f->e, &file, true, true);
    for (size_t n = 0; n < file.n; n++) {
        struct taken t;
        take(f, (struct slice){file.p, n}, 7, &t);
        assert_int_equal(t.status, ND_RDB_MORE);
        drop(&t);
    }
    buf_free(&file);
    fixture_free(f);
}

/* With the checksum no damaged file is ever taken, but for damage that says that there is none. */
static void no_flipped_bit_passes(void **state)
{
    (void)state;
    struct fixture *f = dataset(1, 3);
    struct buf file = {0};
    write_all(f->e, &file, true, true);
    for (size_t i = 0; i < file.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct taken t;
            file.p[i] = (char)(file.p[i] ^ 1 << bit);
            take(f, buf_slice(&file), 4096, &t);
            assert_int_not_equal(t.status, ND_RDB_DONE);
            drop(&t);
            file.p[i] = (char)(file.p[i] ^ 1 << bit);
        }
    }
    buf_free(&file);
    fixture_free(f);
}

/* ---- files made by hand ---- */

static void begin(struct buf *b, const char *version)
{
    buf_clear(b);
    buf_printf(b, "REDIS%s", version);
    buf_put(b, "\xfe\x00", 2);
}

static void end(struct buf *b)
{
    buf_putc(b, (char)0xff);
    uint64_t sum = nd_crc64(0, b->p, b->n);
    unsigned char bytes[8];
    nd_store64(bytes, sum);
    buf_put(b, bytes, 8);
}

static void refused(struct fixture *f, const struct buf *b, const char *why)
{
    for (size_t piece = 1; piece < 100; piece += 98) {
        struct taken t;
        take(f, buf_slice(b), piece, &t);
        assert_int_equal(t.status, ND_RDB_BAD);
        if (strstr(t.error, why) == NULL)
            fail_msg("\"%s\" instead of \"%s\"", t.error, why);
        drop(&t);
    }
}

static void what_is_not_to_be_had_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *version, *item, *why;
        size_t n;
    } rows[] = {
        {"0010", "\x0f\x03str\x01", "byte 11: key str of database 0: it is a stream (RDB type 15)", 6},
        {"0010", "\x13\x01s\x01", "it is a stream (RDB type 19)", 4},
        {"0011", "\x15\x01s\x01", "it is a stream (RDB type 21)", 4},
        {"0010", "\x07\x01m\x01", "key m of database 0: it is a value of a module", 4},
        {"0012", "\x18\x01h\x01", "it is a hash whose fields expire", 4},
        {"0010", "\xf5\x03xyz", "functions", 5},
        {"0010", "\xf7\x03xyz", "module", 5},
        {"0010", "\x63\x01h\x01", "there is no type 99", 4},
        {"0013", "\xff", "its RDB version is 13, and this server reads those up to 12 and Valkey's 80", 1},
        {"0000", "\xff", "its RDB version is 0", 1},
        {"00x1", "\xff", "no number", 1},
        {"0010", "\xfe\x10\xff", "database 16, but there are only 16", 3},
        {"0010", "\xfe\xc0\xff", "a length makes no sense", 3},
        {"0010", "\x00\x01k\x01v\x00\x01k\x01w", "the key is there already", 10},
        {"0010", "\x00\x01k\x90\x00\x00\x00\x00", "a length makes no sense", 8},
        {"0010", "\x02\x01k\x02\x01w\x01w", "key k of database 0: an element is there twice (RDB type 2)", 8},
        {"0010", "\x0b\x01k\x05xxxxx", "RDB type 11", 9},
    };
    struct fixture *f = fixture_new();
    struct buf b = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(&b, rows[i].version);
        buf_put(&b, rows[i].item, rows[i].n);
        end(&b);
        refused(f, &b, rows[i].why);
    }
    buf_clear(&b);
    buf_puts(&b, "RADIS0010");
    refused(f, &b, "it is no RDB file");
    begin(&b, "0010");
    end(&b);
    b.p[b.n - 1] ^= 1;
    refused(f, &b, "the checksum is wrong");
    memset(b.p + b.n - 8, 0, 8); /* zeros: nobody summed */
    struct taken t;
    take(f, buf_slice(&b), 5, &t);
    assert_int_equal(t.status, ND_RDB_DONE);
    drop(&t);
    buf_free(&b);
    fixture_free(f);
}

static void older_versions_and_unknown_fields_are_read(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct buf b = {0};
    struct taken t;
    begin(&b, "0003"); /* without a checksum; expiry in seconds */
    buf_put(&b, "\xfd\x00\x00\x00\x7f\x00\x01k\x01v\xff", 11);
    buf_puts(&b, "what follows");
    f->e->now_ms = 1000;
    take(f, buf_slice(&b), 1, &t);
    assert_int_equal(t.status, ND_RDB_DONE);
    assert_int_equal(t.left, strlen("what follows"));
    assert_int_equal(nd_entry_expire(nd_db_find(nd_keyspace_db(&t.keys, 0), slice_of("k"))),
                     INT64_C(0x7f000000) * 1000);
    drop(&t);
    begin(&b, "0012");
    buf_put(&b, "\xfa\x03lua\x05x = 1\xf4\x05\x01\x00", 15);
    buf_put(&b, "\xfa\x07repl-id\x28", 10);
    buf_puts(&b, "0123456789012345678901234567890123456789");
    buf_put(&b, "\xfa\x0brepl-offset\xc1\x2c\x01", 16);
    buf_put(&b, "\xfa\x0erepl-stream-db\xc0\x02", 18);
    end(&b);
    take(f, buf_slice(&b), 2, &t);
    assert_string_equal(t.error, "");
    assert_int_equal(t.status, ND_RDB_DONE);
    assert_true(nd_load_has_place(&t.load));
    assert_int_equal(t.load.repl_offset, 300);
    assert_int_equal(t.load.repl_stream_db, 2);
    drop(&t);
    buf_free(&b);
    fixture_free(f);
}

/* ---- files of Valkey 9.1.2 ---- */

static const unsigned char valkey_file[] = {
    0x56, 0x41, 0x4c, 0x4b, 0x45, 0x59, 0x30, 0x38, 0x30, 0xfa, 0x0a, 0x76, 0x61, 0x6c, 0x6b, 0x65, 0x79, 0x2d, 0x76,
    0x65, 0x72, 0x05, 0x39, 0x2e, 0x31, 0x2e, 0x32, 0xfa, 0x0a, 0x72, 0x65, 0x64, 0x69, 0x73, 0x2d, 0x62, 0x69, 0x74,
    0x73, 0xc0, 0x40, 0xfa, 0x05, 0x63, 0x74, 0x69, 0x6d, 0x65, 0xc2, 0x7a, 0x51, 0x03, 0x6b, 0xfa, 0x08, 0x75, 0x73,
    0x65, 0x64, 0x2d, 0x6d, 0x65, 0x6d, 0xc2, 0x98, 0x1f, 0x11, 0x00, 0xfa, 0x08, 0x61, 0x6f, 0x66, 0x2d, 0x62, 0x61,
    0x73, 0x65, 0xc0, 0x00, 0xfe, 0x00, 0xfb, 0x08, 0x01, 0x00, 0x01, 0x73, 0x05, 0x76, 0x61, 0x6c, 0x75, 0x65, 0x00,
    0x01, 0x6e, 0xc1, 0x39, 0x30, 0xfc, 0x00, 0xd8, 0xc3, 0x2c, 0xbb, 0x03, 0x00, 0x00, 0x00, 0x01, 0x74, 0x01, 0x78,
    0x12, 0x01, 0x6c, 0x01, 0x02, 0x0d, 0x0d, 0x00, 0x00, 0x00, 0x02, 0x00, 0x81, 0x61, 0x02, 0x81, 0x62, 0x02, 0xff,
    0x0b, 0x01, 0x69, 0x0c, 0x02, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x02, 0x00, 0x14, 0x01, 0x6d,
    0x0d, 0x0d, 0x00, 0x00, 0x00, 0x02, 0x00, 0x81, 0x61, 0x02, 0x81, 0x62, 0x02, 0xff, 0x11, 0x01, 0x7a, 0x0f, 0x0f,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x81, 0x61, 0x02, 0x83, 0x31, 0x2e, 0x35, 0x04, 0xff, 0x10, 0x01, 0x68, 0x0d, 0x0d,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x81, 0x66, 0x02, 0x81, 0x76, 0x02, 0xff, 0xfe, 0x03, 0xfb, 0x01, 0x00, 0x00, 0x02,
    0x64, 0x33, 0x01, 0x78, 0xff, 0xb8, 0x92, 0x79, 0x31, 0x15, 0x4f, 0x9d, 0x3e};

/* A hash whose one field expires. */
static const unsigned char valkey_expiring[] = {
    0x56, 0x41, 0x4c, 0x4b, 0x45, 0x59, 0x30, 0x38, 0x30, 0xfa, 0x0a, 0x76, 0x61, 0x6c, 0x6b, 0x65, 0x79, 0x2d, 0x76,
    0x65, 0x72, 0x05, 0x39, 0x2e, 0x31, 0x2e, 0x32, 0xfa, 0x0a, 0x72, 0x65, 0x64, 0x69, 0x73, 0x2d, 0x62, 0x69, 0x74,
    0x73, 0xc0, 0x40, 0xfa, 0x05, 0x63, 0x74, 0x69, 0x6d, 0x65, 0xc2, 0x7a, 0x51, 0x03, 0x6b, 0xfa, 0x08, 0x75, 0x73,
    0x65, 0x64, 0x2d, 0x6d, 0x65, 0x6d, 0xc2, 0x38, 0x4a, 0x12, 0x00, 0xfa, 0x08, 0x61, 0x6f, 0x66, 0x2d, 0x62, 0x61,
    0x73, 0x65, 0xc0, 0x00, 0xfe, 0x00, 0xfb, 0x01, 0x00, 0x16, 0x02, 0x68, 0x78, 0x01, 0x01, 0x66, 0x01, 0x76, 0x00,
    0xd8, 0xc3, 0x2c, 0xbb, 0x03, 0x00, 0x00, 0xff, 0xf2, 0x57, 0x4a, 0xef, 0x0a, 0xb7, 0xa5, 0xc3};

static struct nd_entry *has(struct taken *t, int db, const char *key, enum nd_type type)
{
    struct nd_entry *e = nd_db_find(nd_keyspace_db(&t->keys, db), slice_of(key));
    assert_non_null(e);
    assert_int_equal(e->v.type, type);
    return e;
}

static void files_of_valkey_are_read(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct taken t;
    struct buf b = {0};
    for (size_t piece = 1; piece <= sizeof valkey_file; piece++) {
        take(f, (struct slice){(const char *)valkey_file, sizeof valkey_file}, piece, &t);
        assert_string_equal(t.error, "");
        assert_int_equal(t.status, ND_RDB_DONE);
        drop(&t);
    }
    take(f, (struct slice){(const char *)valkey_file, sizeof valkey_file}, sizeof valkey_file, &t);
    assert_int_equal(nd_entry_expire(has(&t, 0, "t", ND_STRING)), INT64_C(4102444800000));
    has(&t, 0, "l", ND_LIST);
    has(&t, 0, "i", ND_SET);
    has(&t, 0, "m", ND_SET);
    has(&t, 0, "z", ND_ZSET);
    has(&t, 0, "h", ND_HASH);
    has(&t, 3, "d3", ND_STRING);
    drop(&t);
    buf_put(&b, valkey_expiring, sizeof valkey_expiring);
    refused(f, &b, "key hx of database 0: it is a hash whose fields expire (RDB type 22)");
    buf_clear(&b);
    buf_puts(&b, "VALKEY081");
    refused(f, &b, "its RDB version is 81");
    buf_clear(&b);
    buf_puts(&b, "VALKEE080");
    refused(f, &b, "it is no RDB file");
    buf_free(&b);
    fixture_free(f);
}

/* A damaged count asks for no memory that the file could not fill. */
static void a_file_cannot_ask_for_room_that_it_does_not_fill(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct buf b = {0};
    struct taken t;
    begin(&b, "0010");
    buf_put(&b, "\xfb\x81\x0f\xff\xff\xff\xff\xff\xff\xff\x00", 11);
    buf_put(&b, "\x00\x01k\x01v", 5);
    end(&b);
    take(f, buf_slice(&b), 9, &t);
    assert_int_equal(t.status, ND_RDB_DONE);
    assert_true(nd_db_table_memory(nd_keyspace_db(&t.keys, 0), false) < 4096);
    drop(&t);
    begin(&b, "0010"); /* a list of 2^40 elements, of which one comes */
    buf_put(&b, "\x01\x01k\x81\x00\x00\x01\x00\x00\x00\x00\x00\x01x", 14);
    take(f, buf_slice(&b), 3, &t);
    assert_int_equal(t.status, ND_RDB_MORE);
    drop(&t);
    buf_free(&b);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dataset_is_read_back_in_pieces_of_any_size),
        cmocka_unit_test(encodings_follow_the_limits_of_the_reader),
        cmocka_unit_test(expired_keys_are_dropped_by_a_master_only),
        cmocka_unit_test(ages_are_kept),
        cmocka_unit_test(no_part_of_a_file_is_taken_for_the_whole),
        cmocka_unit_test(no_flipped_bit_passes),
        cmocka_unit_test(what_is_not_to_be_had_is_refused_by_name),
        cmocka_unit_test(older_versions_and_unknown_fields_are_read),
        cmocka_unit_test(files_of_valkey_are_read),
        cmocka_unit_test(a_file_cannot_ask_for_room_that_it_does_not_fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
