/* Snapshots of a master that are not let in, or only when they are whole. */
#include "noded/repl/load.h"
#include "tests/unit/repl/follow_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void begin_with_keys(struct follower *w, int mode)
{
    run(w->f, "SET mine 1");
    w->f->e->config.repl_diskless_load = mode;
    nd_follow_set(w->r, "master", 6379, false);
    follower_connects(w);
}

static void test_guard(void **state)
{
    (void)state;
    for (size_t mode = 0; mode < 3; mode++) {
        struct follower *w = follower_new();
        struct buf all = {0};
        put_transcript(&all, no_commands, true, "");
        begin_with_keys(w, load_modes[mode]);
        follower_gets(w, all.p, all.n);
        assert_false(w->linked);
        assert_string_equal(run(w->f, "GET mine"), "$1\r\n1\r\n");
        struct buf info = {0};
        nd_follow_info(w->r, &info);
        assert_non_null(strstr(buf_str(&info), "master_sync_guarded:" ID_A));
        buf_free(&info);
        nd_follow_accept(w->r, ID_B);
        follower_forward(w, 1000);
        nd_follow_connected(w->r);
        follower_gets(w, all.p, all.n);
        assert_string_equal(run(w->f, "GET mine"), "$1\r\n1\r\n");
        nd_follow_accept(w->r, ID_A);
        follower_settle(w);
        nd_follow_connected(w->r);
        follower_gets(w, all.p, all.n);
        assert_true(nd_follow_is_up(w->r));
        assert_string_equal(run(w->f, "DBSIZE"), ":0\r\n");
        buf_free(&all);
        follower_free(w);
    }
}

/* What has expired is kept for the master to say so, and is no data: a master that has dropped it lost nothing. One key
 * that lasts makes the difference. */
static void test_guard_of_expired_keys(void **state)
{
    (void)state;
    for (size_t mode = 0; mode < 6; mode++) {
        bool lasts = mode >= 3;
        struct follower *w = follower_new();
        struct buf all = {0};
        put_transcript(&all, no_commands, true, "");
        run(w->f, "SELECT 3");
        run(w->f, "SET soon 1 PX 50");
        run(w->f, lasts ? "SET later 1 PX 5000" : "SET later 1 PX 60");
        w->f->e->config.repl_diskless_load = load_modes[mode % 3];
        nd_follow_set(w->r, "master", 6379, false);
        follower_connects(w);
        fixture_forward_ms(w->f, 100);
        follower_gets(w, all.p, all.n);
        assert_int_equal(nd_follow_is_up(w->r), !lasts);
        assert_int_equal(nd_keyspace_count(&w->f->e->keys), lasts ? 2 : 0);
        buf_free(&all);
        follower_free(w);
    }
}

static void put_empty(struct buf *out, bool emptied)
{
    static const char *const commands[] = {"SET a 1", "DEL a", NULL};
    put_transcript(out, emptied ? commands : no_commands, true, "");
}

/* Why a dataset is empty goes along the chain with it, but is not asked of files: what was written after them is lost
 * with whoever lost them. */
static void test_emptied(void **state)
{
    (void)state;
    for (size_t mode = 0; mode < 6; mode++) {
        bool emptied = mode >= 3;
        struct follower *w = follower_new();
        struct buf all = {0};
        put_empty(&all, emptied);
        begin_with_keys(w, load_modes[mode % 3]);
        nd_follow_accept(w->r, ID_A);
        follower_gets(w, all.p, all.n);
        assert_true(nd_follow_is_up(w->r));
        assert_int_equal(nd_keyspace_emptied(&w->f->e->keys), emptied);
        nd_follow_none(w->r);
        run(w->f, "SET a 1");
        assert_false(nd_keyspace_emptied(&w->f->e->keys));
        run(w->f, "FLUSHALL");
        assert_true(nd_keyspace_emptied(&w->f->e->keys));
        struct nd_load load;
        nd_load_init(&load, w->f->e, NULL);
        load.at_start = load.emptied = true;
        nd_load_end(&load);
        assert_false(nd_keyspace_emptied(&w->f->e->keys));
        buf_free(&all);
        follower_free(w);
    }
}

/* A dataset of which the rest never came was not emptied by anybody. */
static void test_lost_half_way(void **state)
{
    (void)state;
    struct follower *w = follower_new();
    struct buf all = {0};
    put_transcript(&all, some_commands, true, "");
    w->f->e->config.repl_diskless_load = ND_DISKLESS_EMPTY;
    nd_follow_set(w->r, "master", 6379, false);
    follower_connects(w);
    follower_gets(w, all.p, all.n - 1); /* of the mark */
    assert_true(nd_keyspace_count(&w->f->e->keys) > 0);
    nd_follow_lost(w->r, "cut");
    assert_int_equal(nd_keyspace_count(&w->f->e->keys), 0);
    assert_false(nd_keyspace_emptied(&w->f->e->keys));
    buf_free(&all);
    follower_free(w);
}

/* Whichever byte is wrong or missing, the old dataset is there until a whole one has come. */
static void test_damage(void **state)
{
    (void)state;
    for (int marked = 0; marked < 2; marked++) {
        struct buf all = {0}, greeting = {0};
        put_transcript(&all, some_commands, marked, "");
        put_greeting(&greeting);
        size_t from = greeting.n + strlen("\n\n+FULLRESYNC " ID_A " 1000\r\n\n");
        buf_free(&greeting);
        for (size_t at = from; at < all.n; at++) {
            if (all.p[at] == '\r')
                continue; /* white space at the end of a line either way */
            struct follower *w = follower_new();
            begin_with_keys(w, ND_DISKLESS_DISABLED);
            struct buf bad = {0};
            buf_put(&bad, all.p, all.n);
            bad.p[at] = (char)(bad.p[at] ^ 4);
            follower_gets(w, bad.p, bad.n);
            assert_false(nd_follow_is_up(w->r));
            if (w->linked) /* it waits for a mark, or for more bytes */
                nd_follow_lost(w->r, "cut");
            assert_string_equal(run(w->f, "GET mine"), "$1\r\n1\r\n");
            buf_free(&bad);
            follower_free(w);
        }
        buf_free(&all);
    }
}

static void test_disk_full(void **state)
{
    (void)state;
    struct follower *w = follower_new();
    struct buf all = {0};
    put_transcript(&all, some_commands, true, some_stream);
    begin_with_keys(w, ND_DISKLESS_DISABLED);
    w->disk_full = true;
    follower_gets(w, all.p, all.n);
    assert_false(w->linked || w->file_is_open);
    assert_string_equal(run(w->f, "GET mine"), "$1\r\n1\r\n");
    w->disk_full = false;
    follower_forward(w, 1000);
    nd_follow_connected(w->r);
    follower_gets(w, all.p, all.n);
    assert_followed(w);
    buf_free(&all);
    follower_free(w);
}

/* While a dataset that takes the place of ours is read, ours answers; what would change it has to wait. */
static void test_loading_aside(void **state)
{
    (void)state;
    struct follower *w = follower_in_step("");
    w->f->e->config.repl_diskless_load = ND_DISKLESS_SWAPDB;
    w->linked = false;
    nd_follow_lost(w->r, "cut");
    follower_forward(w, 1000);
    nd_follow_connected(w->r);
    struct buf all = {0};
    put_transcript(&all, no_commands, false, some_stream);
    struct client *watcher = fixture_client(w->f);
    client_run(watcher, "WATCH a");
    struct slice in = {all.p, all.n - strlen(some_stream) - 20};
    size_t shown = in.n;
    nd_follow_bytes(w->r, &in, 0);
    assert_int_equal(in.n, 0);
    assert_true(nd_follow_loads_aside(w->r) && w->f->e->async_loading && !w->f->e->loading);
    assert_string_equal(run(w->f, "GET a"), "$1\r\n1\r\n");
    assert_string_equal(run(w->f, "PING"), "+PONG\r\n");
    follower_gets(w, all.p + shown, all.n - shown);
    assert_true(nd_follow_is_up(w->r));
    assert_string_equal(run(w->f, "GET a"), "$-1\r\n");
    client_run(watcher, "MULTI");
    client_run(watcher, "GET a");
    assert_string_equal(client_run(watcher, "EXEC"), "*-1\r\n");
    buf_free(&all);
    follower_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard),         cmocka_unit_test(test_guard_of_expired_keys),
        cmocka_unit_test(test_emptied),       cmocka_unit_test(test_lost_half_way),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_loading_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
