/* What the append-only file's state decides: when something is written, flushed, rewritten, and who waits for it. */
#include "noded/repl/aof_state.h"

#include "tests/unit/cmd/engine_fixture.h"

#include "common/base/heap.h"
#include "noded/repl/persist.h"
#include "noded/repl/repl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND_US INT64_C(1000000)

struct world {
    struct fixture *f;
    struct nd_engine *e;
    struct nd_persist persist;
    struct nd_aof_state *s;
    int rewrites, closes;
    bool refuses;
};

static bool on_rewrite(void *owner, struct buf *why)
{
    struct world *w = owner;
    w->rewrites++;
    if (w->refuses) {
        buf_puts(why, "no");
        return false;
    }
    nd_aof_rewrite_began(w->s);
    return true;
}

static void on_close(void *owner)
{
    struct world *w = owner;
    w->closes++;
}

static void on_load(void *owner)
{
    (void)owner;
}

static int begin(void **state, bool cluster)
{
    struct world *w = calloc(1, sizeof *w);
    struct nd_aof_host host = {.owner = w, .rewrite = on_rewrite, .close = on_close, .load = on_load};
    struct nd_config config;
    nd_config_init(&config);
    config.cluster_enabled = cluster;
    w->f = fixture_new_with(&config);
    nd_config_free(&config);
    w->e = w->f->e;
    w->e->persist = &w->persist;
    w->s = nd_aof_new(w->e, &host);
    w->persist.e = w->e;
    w->persist.aof = w->s;
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return begin(state, false);
}

static int setup_cluster(void **state)
{
    return begin(state, true);
}

static int teardown(void **state)
{
    struct world *w = *state;
    w->e->persist = NULL;
    nd_aof_free(w->s);
    fixture_free(w->f);
    free(w);
    return 0;
}

static void feed(struct world *w, const char *word)
{
    struct slice argv[] = {slice_of("SET"), slice_of("k"), slice_of(word)};
    struct nd_effect_row row = {.db = 0, .argc = 3, .argv = argv};
    nd_aof_feed(w->s, &row, 1);
}

static void pass_us(struct world *w, int64_t us)
{
    w->e->now_us += us;
    w->e->now_ms += us / 1000;
}

/* A turn as the shell makes it, on a disk that works. Returns whether a flush has begun. */
static bool turn(struct world *w)
{
    if (nd_aof_may_write(w->s))
        nd_aof_wrote(w->s, w->s->pending.n);
    nd_aof_note_waiting(w->s);
    bool flushes = nd_aof_may_sync(w->s);
    if (flushes)
        nd_aof_sync_began(w->s);
    return flushes;
}

static void test_content(void **state)
{
    struct world *w = *state;
    feed(w, "early");
    assert_int_equal(w->s->put, 0);
    nd_aof_begin(w->s, 100, 50);
    struct slice set[] = {slice_of("SET"), slice_of("a"), slice_of("1")};
    struct slice message[] = {slice_of("PUBLISH"), slice_of("c"), slice_of("m")};
    struct nd_effect_row rows[] = {{.db = 3, .argc = 3, .argv = set}, {.db = -1, .argc = 3, .argv = message}};
    nd_aof_feed(w->s, rows, 2);
    nd_aof_feed(w->s, rows + 1, 1);
    assert_string_equal(buf_str(&w->s->pending),
                        "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n");
    w->e->loading = true;
    feed(w, "2");
    assert_int_equal(w->s->pending.n, w->s->put);
    w->e->loading = false;
    size_t before = w->s->pending.n;
    w->e->config.aof_timestamp_enabled = true;
    w->e->now_ms = 1500000000999;
    feed(w, "2");
    feed(w, "3");
    assert_int_equal(strncmp(buf_str(&w->s->pending) + before, "#TS:1500000000\r\n", 16), 0);
    assert_null(strstr(w->s->pending.p + before + 16, "#TS"));
    nd_aof_wrote(w->s, w->s->pending.n);
    assert_int_equal(w->s->size, 100 + w->s->put);
}

/* One flush at a time, for all that was written before it; nobody's answer overtakes it. */
static void test_always(void **state)
{
    struct world *w = *state;
    w->e->config.appendfsync = ND_FSYNC_ALWAYS;
    nd_aof_begin(w->s, 0, 0);
    assert_int_equal(nd_aof_answers(w->s, false), ND_AOF_FREE);
    feed(w, "1");
    assert_true(turn(w));
    assert_int_equal(nd_aof_answers(w->s, false), ND_AOF_FLIGHT);
    feed(w, "2");
    assert_false(turn(w)); /* it waits in memory: the kernel could let us wait for the flush */
    assert_true(w->s->pending.n > 0);
    assert_int_equal(nd_aof_answers(w->s, false), ND_AOF_LATER);
    nd_aof_sync_ended(w->s, NULL);
    assert_true(turn(w));
    assert_int_equal(w->s->pending.n, 0);
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_FLIGHT);
    nd_aof_sync_ended(w->s, NULL);
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_FREE);
    assert_false(turn(w));
    /* no-appendfsync-on-rewrite: nothing is promised while a child writes. */
    w->e->config.no_appendfsync_on_rewrite = true;
    w->persist.child = ND_CHILD_SAVE;
    feed(w, "3");
    assert_false(turn(w));
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_FREE);
    w->persist.child = ND_CHILD_NONE;
    assert_true(turn(w));
}

static void test_everysec(void **state)
{
    struct world *w = *state;
    nd_aof_begin(w->s, 0, 0);
    feed(w, "1");
    assert_false(turn(w));
    assert_int_equal(w->s->pending.n, 0);
    assert_int_equal(nd_aof_deadline(w->s), w->s->sync_began_us + SECOND_US);
    pass_us(w, SECOND_US);
    assert_true(turn(w));
    assert_int_equal(nd_aof_deadline(w->s), HEAP_NEVER);
    /* A flush that hangs: bytes wait, answers leave for two seconds. */
    feed(w, "2");
    turn(w);
    assert_int_equal(nd_aof_deadline(w->s), w->e->now_us + 2 * SECOND_US);
    pass_us(w, 2 * SECOND_US - 1);
    turn(w);
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_FREE);
    pass_us(w, 1);
    turn(w);
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_LATER);
    assert_int_equal(w->s->delayed_count, 1);
    assert_int_equal(nd_aof_deadline(w->s), HEAP_NEVER);
    nd_aof_sync_ended(w->s, NULL);
    turn(w);
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_FREE);
    assert_int_equal(w->s->pending.n, 0);
}

static void test_full_disk(void **state)
{
    struct world *w = *state;
    w->e->config.appendfsync = ND_FSYNC_ALWAYS;
    nd_aof_begin(w->s, 0, 0);
    feed(w, "1");
    assert_true(nd_aof_may_write(w->s));
    w->e->turn_us++;
    nd_aof_write_failed(w->s, "No space left on device");
    assert_false(nd_aof_may_write(w->s));
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_UNSAVED);
    assert_int_equal(nd_aof_answers(w->s, false), ND_AOF_FREE);
    assert_string_equal(run(w->f, "SET a 1"), "-MISCONF Errors writing to the AOF file: No space left on device\r\n");
    assert_string_equal(run(w->f, "GET a"), "$-1\r\n");
    assert_int_equal(nd_aof_deadline(w->s), w->e->now_us + SECOND_US);
    pass_us(w, SECOND_US);
    w->e->turn_us += SECOND_US;
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_FREE); /* nothing but an expiry can it have been */
    assert_true(nd_aof_may_write(w->s));
    nd_aof_write_failed(w->s, "No space left on device");
    pass_us(w, SECOND_US);
    assert_true(turn(w));
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_FLIGHT);
    assert_string_equal(run(w->f, "SET a 1"), "+OK\r\n");
}

/* What could not be flushed is only trusted again when it stands in new files. */
static void test_failed_flush(void **state)
{
    struct world *w = *state;
    w->e->config.appendfsync = ND_FSYNC_ALWAYS;
    nd_aof_begin(w->s, 0, 0);
    feed(w, "1");
    assert_true(turn(w));
    w->e->turn_us++;
    nd_aof_sync_ended(w->s, "Input/output error");
    assert_false(turn(w));
    assert_int_equal(w->e->guards, ND_GUARD_AOF_FAILED);
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_LATER);
    w->refuses = true;
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 1);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 1);
    assert_int_equal(nd_aof_deadline(w->s), w->e->now_us + SECOND_US);
    pass_us(w, SECOND_US);
    w->refuses = false;
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 2);
    assert_true(w->s->rewriting);
    nd_aof_rewrite_ended(w->s, true, 77, 0);
    assert_int_equal(w->e->guards, 0);
    assert_int_equal(w->s->size, 77);
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_FREE);
}

/* Somebody has to know when what is there now is on disk, whatever the settings say of flushing. */
static void test_asked_flush(void **state)
{
    struct world *w = *state;
    const char *error = NULL;
    assert_false(nd_aof_ask_flush(w->s)); /* it is off */
    nd_aof_begin(w->s, 0, 0);
    w->e->config.appendfsync = ND_FSYNC_NO;
    assert_int_equal(nd_aof_asked_flush(w->s, &error), ND_AOF_NOT_YET);
    assert_true(nd_aof_ask_flush(w->s)); /* of nothing */
    assert_int_equal(nd_aof_asked_flush(w->s, &error), ND_AOF_FLUSHED);
    assert_null(error);
    w->e->config.no_appendfsync_on_rewrite = true;
    w->persist.child = ND_CHILD_SAVE;
    feed(w, "1");
    assert_false(turn(w));
    feed(w, "2");
    assert_true(nd_aof_ask_flush(w->s));
    assert_int_equal(nd_aof_asked_flush(w->s, &error), ND_AOF_NOT_YET);
    assert_true(turn(w));
    feed(w, "3");
    nd_aof_sync_ended(w->s, NULL);
    assert_int_equal(nd_aof_asked_flush(w->s, &error), ND_AOF_FLUSHED);
    assert_false(turn(w));
    /* One that is under way has begun before it was asked. */
    w->persist.child = ND_CHILD_NONE;
    w->e->config.appendfsync = ND_FSYNC_ALWAYS;
    feed(w, "4");
    assert_true(turn(w));
    feed(w, "5");
    assert_true(nd_aof_ask_flush(w->s));
    nd_aof_sync_ended(w->s, NULL);
    assert_int_equal(nd_aof_asked_flush(w->s, &error), ND_AOF_NOT_YET);
    assert_true(turn(w));
    nd_aof_sync_ended(w->s, "Input/output error");
    assert_int_equal(nd_aof_asked_flush(w->s, &error), ND_AOF_FLUSH_FAILED);
    assert_string_equal(error, "Input/output error");
    assert_int_equal(nd_aof_asked_flush(w->s, &error), ND_AOF_NOT_YET);
    /* Switched off meanwhile: there is nothing to wait for. */
    assert_true(nd_aof_ask_flush(w->s));
    struct buf why = {0};
    assert_true(nd_aof_switch(w->s, false, &why));
    assert_int_equal(nd_aof_asked_flush(w->s, &error), ND_AOF_FLUSHED);
}

/* It grows while slots come and go; what it has grown by is looked at a little later. */
static void test_growth_while_slots_move(void **state)
{
    struct world *w = *state;
    struct nd_repl repl = {.exporting = true};
    w->e->config.auto_aof_rewrite_min_size = 1000;
    nd_aof_begin(w->s, 2000, 100);
    struct nd_db *shadow = nd_keyspace_shadow(&w->e->keys, 3);
    struct slice key = {"a", 1};
    nd_db_set_string(shadow, NULL, key, key, false, ND_NO_EXPIRE);
    assert_int_equal(nd_aof_deadline(w->s), HEAP_NEVER);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 0);
    nd_db_clear(shadow);
    w->e->repl = &repl;
    assert_int_equal(nd_aof_deadline(w->s), HEAP_NEVER);
    w->e->repl = NULL;
    nd_aof_put_off(w->s);
    int64_t at_us = nd_aof_deadline(w->s);
    assert_in_range(at_us, w->e->now_us + SECOND_US, w->e->now_us + 10 * SECOND_US);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 0);
    pass_us(w, at_us - w->e->now_us);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 1);
    nd_aof_rewrite_ended(w->s, true, 100, 0);
    nd_db_set_string(shadow, NULL, key, key, false, ND_NO_EXPIRE);
    assert_int_equal(nd_aof_ask_rewrite(w->s, false), ND_AOF_STARTED); /* somebody wants it */
}

static void test_growth(void **state)
{
    struct world *w = *state;
    w->e->config.auto_aof_rewrite_min_size = 1000;
    nd_aof_begin(w->s, 900, 100);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 0);
    w->s->size = 1001;
    assert_true(nd_aof_deadline(w->s) <= w->e->now_us);
    w->persist.child = ND_CHILD_SAVE;
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 0);
    assert_int_equal(nd_aof_ask_rewrite(w->s, false), ND_AOF_SCHEDULED);
    w->persist.child = ND_CHILD_NONE;
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 1);
    assert_int_equal(nd_aof_ask_rewrite(w->s, false), ND_AOF_IN_PROGRESS);
    nd_aof_rewrite_ended(w->s, true, 5000, 0);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 1);
    w->s->size = 9999;
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 1);
    w->s->size = 10000;
    w->refuses = true;
    for (int i = 0; i < 3; i++) { /* failures are tried again, later and later */
        nd_aof_tick(w->s);
        pass_us(w, SECOND_US);
    }
    assert_int_equal(w->rewrites, 4);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 5);
    pass_us(w, 59 * SECOND_US);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 5);
    pass_us(w, SECOND_US);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 6);
    assert_int_equal(nd_aof_deadline(w->s), w->e->now_us + 120 * SECOND_US);
    w->e->config.auto_aof_rewrite_percentage = 0;
    assert_int_equal(nd_aof_deadline(w->s), HEAP_NEVER);
}

static void test_switch(void **state)
{
    struct world *w = *state;
    struct buf why = {0};
    assert_true(nd_aof_switch(w->s, true, &why));
    assert_int_equal(w->s->mode, ND_AOF_WAITS);
    assert_int_equal(w->rewrites, 1);
    feed(w, "1");
    assert_true(w->s->pending.n > 0);
    nd_aof_rewrite_ended(w->s, false, 0, 0); /* its increment goes with it */
    assert_int_equal(w->s->pending.n, 0);
    assert_int_equal(w->s->mode, ND_AOF_WAITS);
    feed(w, "2");
    assert_int_equal(w->s->pending.n, 0);
    pass_us(w, SECOND_US);
    nd_aof_tick(w->s);
    assert_int_equal(w->rewrites, 2);
    feed(w, "3");
    nd_aof_rewrite_ended(w->s, true, 9, 0);
    assert_int_equal(w->s->mode, ND_AOF_ON);
    assert_non_null(strstr(buf_str(&w->s->pending), "SELECT"));
    assert_true(nd_aof_switch(w->s, false, &why));
    assert_int_equal(w->closes, 1);
    assert_int_equal(nd_aof_answers(w->s, true), ND_AOF_FREE);
    w->refuses = true;
    assert_false(nd_aof_switch(w->s, true, &why));
    assert_int_equal(w->s->mode, ND_AOF_OFF);
    nd_aof_start_over(w->s); /* never gives up */
    nd_aof_tick(w->s);
    assert_int_equal(w->s->mode, ND_AOF_WAITS);
    buf_free(&why);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_content),      TEST(test_always),
        TEST(test_everysec),     TEST(test_full_disk),
        TEST(test_failed_flush), TEST(test_asked_flush),
        TEST(test_growth),       cmocka_unit_test_setup_teardown(test_growth_while_slots_move, setup_cluster, teardown),
        TEST(test_switch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
