/* Keys as they are shown, and what INFO keyspace tells. */
#include "nodectl/db/about.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void keys_are_shown_as_redis_cli_shows_them(void **state)
{
    (void)state;
    static const char bytes[] = "a\0\n\r\t\a\b\"\\'\x7f\xff z";
    struct buf out = {0};
    about_put_key(&out, (struct slice){bytes, sizeof bytes - 1});
    assert_string_equal(buf_str(&out), "\"a\\x00\\n\\r\\t\\a\\b\\\"\\\\'\\x7f\\xff z\"");
    buf_clear(&out);
    about_put_key(&out, slice_of(""));
    assert_string_equal(buf_str(&out), "\"\"");
    buf_free(&out);
}

static void keys_for_programs_are_text_or_base64(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *shown;
    } rows[] = {
        {"user:1", 6, "\"key\": \"user:1\""},
        {"gr\xc3\xbc\xc3\x9f", 6, "\"key\": \"gr\xc3\xbc\xc3\x9f\""},
        {"a\0b", 3, "\"key\": \"a\\u0000b\""},
        {"\xff", 1, "\"key_base64\": \"/w==\""},
        {"\xff\xfe", 2, "\"key_base64\": \"//4=\""},
        {"\xff\xfe\xfd", 3, "\"key_base64\": \"//79\""},
        {"\xff\xfe\xfd!", 4, "\"key_base64\": \"//79IQ==\""},
        {"", 0, "\"key\": \"\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = {0};
        about_put_key_json(&out, (struct slice){rows[i].bytes, rows[i].n});
        assert_string_equal(buf_str(&out), rows[i].shown);
        buf_free(&out);
    }
}

static void keyspace_is_read(void **state)
{
    (void)state;
    struct about_database_figures *v;
    size_t n = about_read_keyspace(slice_of("# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=99\r\n"
                                            "db12:keys=7,expires=0,avg_ttl=0,subexpiry=0\r\n"),
                                   &v);
    assert_int_equal(n, 13);
    assert_int_equal(v[0].keys, 3);
    assert_int_equal(v[0].expires, 1);
    assert_int_equal(v[0].average_ttl_ms, 99);
    assert_int_equal(v[5].keys, 0);
    assert_int_equal(v[12].keys, 7);
    free(v);
    n = about_read_keyspace(slice_of("# Keyspace\r\ndbx:keys=3\r\ndb99999:keys=1\r\ndb1:keys=-1\r\ndb\r\n:\r\n"), &v);
    assert_int_equal(n, 0);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_shown_as_redis_cli_shows_them),
        cmocka_unit_test(keys_for_programs_are_text_or_base64),
        cmocka_unit_test(keyspace_is_read),
    };
    return cmocka_run_group_tests_name("db about", tests, NULL, NULL);
}
