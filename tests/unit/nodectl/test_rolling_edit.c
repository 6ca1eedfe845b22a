/* Settings of the start in a noded.conf, and databases that hold keys. */
#include "nodectl/rolling/edit.h"
#include "nodectl/rolling/fewer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct fixed_settings wish(const char *name, const char *value)
{
    struct fixed_settings f = {.n = 0};
    struct buf why = {0};
    assert_true(fixed_add(&f, fixed_row(name), value, &why));
    return f;
}

static void edits_to(const char *name, const char *value, const char *old, const char *expected)
{
    struct fixed_settings f = wish(name, value);
    struct buf out = {0}, why = {0};
    bool ok = edit_text("noded.conf", slice_of(old), &f, &out, &why);
    if (expected == NULL) {
        assert_false(ok);
        assert_true(why.n > 0);
    } else {
        assert_string_equal(ok ? buf_str(&out) : buf_str(&why), expected);
    }
    buf_free(&out);
    buf_free(&why);
    free(f.v);
}

static void a_value_is_put_in_its_place(void **state)
{
    (void)state;
    edits_to("cluster-databases", "32", "# mine\nport = 7001; cluster_databases=16; # why\nhz = 20;\n",
             "# mine\nport = 7001; cluster_databases=32; # why\nhz = 20;\n");
    edits_to("io-threads", "4", "port = 7001;\nio-threads = 4;\n", "port = 7001;\nio-threads = 4;\n");
    edits_to("io-threads", "4", "port = 7001;", "port = 7001;\n\n# Written by CONFIG REWRITE:\nio_threads = 4;\n");
    edits_to("disable-thp", "no", "disable_thp = true;\n", "disable_thp = false;\n");
    edits_to("io-threads", "4", "port = \n", NULL);
    edits_to("io-threads", "4", "prot = 7001;\n", NULL);
}

static void lines_of_a_redis_conf(void **state)
{
    struct fixed_settings f = wish("io-threads", "4");
    struct buf out = {0}, why = {0};
    (void)state;
    assert_true(
        edit_text_redis(slice_of("# io-threads 9\nport 1\n io-threads 2\nIO-THREADS 3\nsave \"\""), &f, &out, &why));
    assert_string_equal(buf_str(&out), "# io-threads 9\nport 1\nsave \"\"\nio-threads 4\n");
    f.v[0].value = "4 5";
    assert_false(edit_text_redis(slice_of(""), &f, &out, &why));
    buf_free(&out);
    buf_free(&why);
    free(f.v);
}

static void values_are_looked_at(void **state)
{
    struct fixed_settings f = {.n = 0};
    struct buf why = {0};
    (void)state;
    assert_null(fixed_row("maxmemory"));
    assert_null(fixed_row("no-such-setting"));
    assert_false(fixed_add(&f, fixed_row("io-threads"), "many", &why));
    assert_true(why.n > 0 && f.n == 0);
    assert_true(fixed_add(&f, fixed_row("cluster-databases"), "20", &why));
    assert_int_equal(f.databases, 20);
    free(f.v);
    buf_free(&why);
}

static void finds(const char *info, int64_t databases, const char *expected)
{
    struct buf out = {0};
    bool found = fewer_find(slice_of(info), databases, &out);
    assert_int_equal(found, expected[0] != '\0');
    assert_string_equal(buf_str(&out), expected);
    buf_free(&out);
}

static void databases_that_hold_keys(void **state)
{
    static const char info[] = "# Keyspace\r\ndb0:keys=9,expires=0,avg_ttl=0\r\ndb4:keys=1,expires=1,avg_ttl=7\r\n"
                               "db17:keys=30,expires=0,avg_ttl=0\r\n";
    (void)state;
    finds(info, 18, "");
    finds(info, 17, "db17 holds 30 keys");
    finds(info, 4, "db4 holds 1 key, db17 holds 30 keys");
    finds("# Keyspace\r\n", 1, "");
    finds("db5\r\ndb6:\r\ndb7:keys=\r\ndbx:keys=4\r\n", 1, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_put_in_its_place),
        cmocka_unit_test(lines_of_a_redis_conf),
        cmocka_unit_test(values_are_looked_at),
        cmocka_unit_test(databases_that_hold_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
