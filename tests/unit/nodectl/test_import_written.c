/* Which keys a command of a stream may have written, by what the source says of its commands; and keys that are written
 * again and again. */
#include "nodectl/import/dirty.h"
#include "nodectl/import/written.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Rows as COMMAND of Redis 7.0 has them: name, arity, flags, first, last, step. */
static const char commands[] = "*8\r\n"
                               "*6\r\n$3\r\nset\r\n:-3\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n"
                               "*6\r\n$4\r\nmset\r\n:-3\r\n*1\r\n+write\r\n:1\r\n:-1\r\n:2\r\n"
                               "*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n"
                               "*6\r\n$4\r\nsort\r\n:-2\r\n*2\r\n+write\r\n+movablekeys\r\n:1\r\n:1\r\n:1\r\n"
                               "*6\r\n$4\r\nmove\r\n:3\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n"
                               "*6\r\n$4\r\ncopy\r\n:-3\r\n*1\r\n+write\r\n:1\r\n:2\r\n:1\r\n"
                               "*6\r\n$4\r\nping\r\n:-1\r\n*1\r\n+fast\r\n:0\r\n:0\r\n:0\r\n"
                               "*10\r\n$6\r\nxgroup\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*1\r\n+x\r\n";

struct fixture {
    struct written w;
    int64_t db;
    char seen[256]; /* "db:key " for each */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    void *reply = NULL;
    redisReader *r = redisReaderCreate();
    redisReaderFeed(r, commands, sizeof commands - 1);
    assert_int_equal(redisReaderGetReply(r, &reply), REDIS_OK);
    assert_non_null(reply);
    assert_true(written_init(&f->w, reply));
    freeReplyObject(reply);
    redisReaderFree(r);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    written_free(&f->w);
    free(f);
    return 0;
}

static void on_key(void *owner, int64_t db, struct slice key)
{
    struct fixture *f = owner;
    size_t n = strlen(f->seen);
    snprintf(f->seen + n, sizeof f->seen - n, "%d:%.*s ", (int)db, (int)key.n, key.p);
}

static enum written_kind of(struct fixture *f, const char *line)
{
    struct slice argv[16], rest = slice_of(line);
    size_t argc = 0;
    while (rest.n > 0)
        argv[argc++] = slice_cut(&rest, ' ');
    f->seen[0] = '\0';
    return written_keys(&f->w, argv, argc, &f->db, on_key, f);
}

static void places_of_keys(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(of(f, "SET a b EX 10"), WRITTEN_KEYS);
    assert_string_equal(f->seen, "0:a ");
    assert_int_equal(of(f, "mset a 1 b 2 c 3"), WRITTEN_KEYS);
    assert_string_equal(f->seen, "0:a 0:b 0:c ");
    assert_int_equal(of(f, "GET a"), WRITTEN_KEYS);
    assert_string_equal(f->seen, "");
    assert_int_equal(of(f, "PING"), WRITTEN_KEYS);
    assert_string_equal(f->seen, "");
}

static void keys_that_may_be_anywhere(void **state)
{
    struct fixture *f = *state;
    of(f, "SORT s ALPHA STORE to");
    assert_string_equal(f->seen, "0:s 0:ALPHA 0:STORE 0:to ");
    of(f, "XGROUP CREATE s g");
    assert_string_equal(f->seen, "0:CREATE 0:s 0:g ");
}

static void other_databases(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(of(f, "SELECT 3"), WRITTEN_SELECT);
    assert_int_equal(f->db, 3);
    of(f, "MOVE a 5");
    assert_string_equal(f->seen, "3:a 5:a ");
    of(f, "COPY a b DB 7 REPLACE");
    assert_string_equal(f->seen, "3:a 7:a 3:b 7:b ");
    of(f, "COPY a b REPLACE");
    assert_string_equal(f->seen, "3:a 3:b ");
}

static void whole_databases(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(of(f, "FLUSHALL ASYNC"), WRITTEN_FLUSH_ALL);
    assert_int_equal(of(f, "flushdb"), WRITTEN_FLUSH_DB);
    assert_int_equal(of(f, "SWAPDB 1 2"), WRITTEN_SWAP);
    assert_int_equal(of(f, "JSON.SET a . 1"), WRITTEN_UNKNOWN);
    assert_int_equal(of(f, "SELECT x"), WRITTEN_UNKNOWN);
}

static void each_key_once(void **state)
{
    struct dirty d = {.v = NULL}, taken = {.v = NULL};
    (void)state;
    for (int i = 0; i < 10; i++) {
        dirty_add(&d, 0, slice_of("a"));
        dirty_add(&d, 9, slice_of("a"));
        dirty_add(&d, 9, slice_of("b"));
    }
    assert_int_equal(d.count, 3);
    dirty_drop(&d, 9);
    assert_int_equal(d.count, 1);
    dirty_drop(&d, 100);
    dirty_take(&d, &taken);
    assert_int_equal(d.count, 0);
    assert_int_equal(taken.count, 1);
    dirty_add(&d, 0, slice_of("a"));
    assert_int_equal(d.count, 1);
    dirty_free(&d);
    dirty_free(&taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(places_of_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_that_may_be_anywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_databases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whole_databases, set_up, tear_down),
        cmocka_unit_test(each_key_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
