/* What the files of a backup hold: keys by database, those of other slots, those that are on their way; payloads. */
#include "nodectl/backup/content.h"

#include "nodectl/backup/send.h"
#include "noded/repl/rdb_write.h"
#include "noded/store/dump.h"
#include "noded/store/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool put(void *owner, const char *p, size_t n)
{
    buf_put(owner, p, n);
    return true;
}

static void add(struct nd_keyspace *k, int db, const char *key, int64_t expire_ms)
{
    nd_db_add(nd_keyspace_db(k, db), slice_of(key), nd_string_make(slice_of("value"), false), expire_ms);
}

/* 200 keys in databases 0 and 9 of 16, and two on their way. */
static void make_file(struct buf *out, uint64_t mapping_epoch)
{
    static const uint64_t seed[2] = {1, 2};
    struct nd_keyspace k;
    struct nd_rdb_facts facts = {.checksum = true, .compress = true, .repl_stream_db = -1};
    struct nd_rdb_sink sink = {.owner = out, .put = put};
    nd_keyspace_init(&k, 16, true, seed);
    k.mapping_epoch = mapping_epoch;
    for (int i = 0; i < 200; i++) {
        char key[32];
        snprintf(key, sizeof key, "key:%d", i);
        add(&k, i % 3 == 0 ? 0 : 9, key, i % 4 == 0 ? 4102444800000 : ND_NO_EXPIRE);
    }
    add(&k, nd_shadow_number(&k, 0), "key:0", ND_NO_EXPIRE);
    add(&k, nd_shadow_number(&k, 3), "key:1", ND_NO_EXPIRE);
    assert_true(nd_rdb_write(&k, &facts, &sink, NULL));
    nd_keyspace_free(&k);
}

static enum nd_rdb_status feed(struct content *c, const struct buf *file, size_t piece)
{
    enum nd_rdb_status st = ND_RDB_MORE;
    for (size_t at = 0; at < file->n && st == ND_RDB_MORE; at += piece) {
        struct slice in = {file->p + at, file->n - at < piece ? file->n - at : piece};
        st = content_feed(c, &in);
    }
    return st;
}

static void set_slot_of(uint8_t *slots, const char *key, bool on)
{
    int slot = nd_key_slot(slice_of(key));
    slots[slot / 8] = (uint8_t)(on ? slots[slot / 8] | 1U << slot % 8 : slots[slot / 8] & ~(1U << slot % 8));
}

static void keys_are_counted_by_database_and_slot(void **state)
{
    (void)state;
    struct buf file = {0};
    uint8_t slots[CONTENT_SLOT_BYTES];
    make_file(&file, 7);
    memset(slots, 0xff, sizeof slots);
    set_slot_of(slots, "key:1", false);
    set_slot_of(slots, "key:6", false);
    for (size_t piece = 1; piece < 4096; piece = piece * 3 + 1) {
        struct content c;
        content_begin(&c, slots);
        assert_int_equal(feed(&c, &file, piece), ND_RDB_DONE);
        assert_int_equal(c.keys, 198);
        assert_int_equal(c.n, 10);
        assert_int_equal(c.v[0].keys, 66);
        assert_int_equal(c.v[9].keys, 132);
        assert_int_equal(c.v[5].keys, 0);
        assert_int_equal(c.expires, 50);
        assert_int_equal(c.v[0].expires + c.v[9].expires, 50);
        assert_int_equal(c.foreign, 2);
        assert_int_equal(c.aside, 2);
        assert_int_equal(c.unfinished, 1);
        assert_int_equal(c.databases, 16);
        assert_int_equal(c.mapping_epoch, 7);
        content_free(&c);
    }
    buf_free(&file);
}

/* Whatever byte changes, and wherever the file ends: it is never taken for a whole one. */
static void no_damage_passes(void **state)
{
    (void)state;
    struct buf file = {0};
    make_file(&file, 0);
    for (size_t at = 0; at < file.n; at++) {
        struct content c;
        content_begin(&c, NULL);
        file.p[at] ^= 0x10;
        enum nd_rdb_status st = feed(&c, &file, file.n);
        file.p[at] ^= 0x10;
        assert_true(st != ND_RDB_DONE);
        content_free(&c);
    }
    size_t whole = file.n;
    for (file.n = 0; file.n < whole; file.n++) {
        struct content c;
        content_begin(&c, NULL);
        assert_int_equal(feed(&c, &file, 1000), ND_RDB_MORE);
        content_free(&c);
    }
    buf_free(&file);
}

static void slots_are_written_and_read(void **state)
{
    (void)state;
    static const char *const good[] = {"", "0", "16383", "0-16383", "0-5460,5462", "1,3,5-7,16000-16383"};
    static const char *const bad[] = {"x", "1-", "-1", "5-4", "16384", "0-16384", "1;2", "1,,2", " 1"};
    uint8_t slots[CONTENT_SLOT_BYTES];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct buf text = {0};
        assert_true(content_read_slots(slice_of(good[i]), slots));
        content_put_slots(&text, slots);
        assert_string_equal(buf_str(&text), good[i]);
        buf_free(&text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(content_read_slots(slice_of(bad[i]), slots));
}

static void payloads_of_strings_are_those_of_dump(void **state)
{
    (void)state;
    static const char bytes[] = "a\0b\r\n\xff";
    const struct slice texts[] = {slice_of(""), slice_of("12345"), slice_of("-1"), {bytes, sizeof bytes - 1}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf payload = {0}, why = {0};
        struct nd_value v;
        char tmp[ND_INT_TEXT];
        send_put_text(&payload, texts[i]);
        assert_int_equal(nd_load_payload(buf_slice(&payload), &nd_limits_default, &v, &why), ND_PAYLOAD_OK);
        assert_true(slice_eq(nd_string_slice(&v, tmp), texts[i]));
        nd_value_free(&v);
        buf_free(&payload);
        buf_free(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_counted_by_database_and_slot),
        cmocka_unit_test(no_damage_passes),
        cmocka_unit_test(slots_are_written_and_read),
        cmocka_unit_test(payloads_of_strings_are_those_of_dump),
    };
    return cmocka_run_group_tests_name("backup content", tests, NULL, NULL);
}
