/* When snapshots are made and what a failed one means, without files and processes: time and the child are the test's.
 */
#include "noded/repl/extension.h"
#include "noded/repl/persist.h"

#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND_US INT64_C(1000000)

struct world {
    struct fixture *f;
    struct nd_engine *e;
    struct nd_persist *p;
    int starts, stops, saves;
    bool fails; /* forks and saves */
};

static bool on_start(void *owner, const struct nd_child_spec *spec, int64_t *fork_us, struct buf *why)
{
    struct world *w = owner;
    assert_non_null(spec->path);
    w->starts++;
    *fork_us = 77;
    if (w->fails)
        buf_puts(why, "no memory");
    return !w->fails;
}

static void on_stop(void *owner)
{
    ((struct world *)owner)->stops++;
}

static bool on_save(void *owner, const char *path, struct buf *why)
{
    struct world *w = owner;
    assert_string_equal(path, "dump.rdb");
    w->saves++;
    if (w->fails)
        buf_puts(why, "the disk is full");
    return !w->fails;
}

static bool on_load(void *owner, const char *path, bool replace, struct buf *why)
{
    (void)owner;
    (void)path;
    (void)replace;
    buf_puts(why, "not in this test");
    return false;
}

static int setup(void **state)
{
    /* Only the commands of persistence: the rest of the extension belongs to replication. */
    static const struct nd_command *const families[] = {nd_persist_commands, NULL};
    static const struct nd_extension extension = {.families = families, .flushed = nd_persist_flushed};
    struct world *w = calloc(1, sizeof *w);
    struct nd_persist_host host = {.owner = w, .start = on_start, .stop = on_stop, .save = on_save, .load = on_load};
    struct nd_config config;
    nd_config_init(&config);
    w->f = fixture_new_extended(&config, &extension);
    nd_config_free(&config);
    w->e = w->f->e;
    w->p = nd_persist_new(w->e, &host);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    nd_persist_free(w->p);
    fixture_free(w->f);
    free(w);
    return 0;
}

static void points(struct world *w, const char *save)
{
    struct slice words = slice_of(save);
    struct buf why = {0};
    assert_true(nd_setting_set(nd_setting_find(slice_of("save")), &w->e->config, &words, 1, &why));
    nd_persist_settings(w->p);
    buf_free(&why);
}

static void child_ends(struct world *w, bool ok)
{
    struct nd_child_end end = {.ok = ok, .why = ok ? "" : "killed", .cow_bytes = 4096};
    nd_persist_child_ended(w->p, &end);
}

static void says(struct world *w, const char *command, const char *begins)
{
    const char *answer = run(w->f, command);
    if (strncmp(answer, begins, strlen(begins)) != 0)
        fail_msg("%s: %s", command, answer);
}

/* Goes to the next deadline, and finds something to do there. */
static void at_deadline(struct world *w, int64_t most_s)
{
    int64_t at_us = nd_persist_deadline(w->p);
    assert_int_not_equal(at_us, HEAP_NEVER);
    assert_in_range(at_us - w->e->now_us, 0, most_s * SECOND_US);
    int starts = w->starts;
    fixture_forward_ms(w->f, (at_us - w->e->now_us) / 1000 - 1);
    nd_persist_tick(w->p);
    assert_int_equal(w->starts, starts);
    fixture_forward_ms(w->f, 2);
    nd_persist_tick(w->p);
    assert_int_equal(w->starts, starts + 1);
}

static void a_point_is_reached(void **state)
{
    struct world *w = *state;
    points(w, "100 3 10 5");
    assert_int_equal(nd_persist_deadline(w->p), HEAP_NEVER);
    says(w, "MSET a 1 b 2", "+OK");
    assert_int_equal(nd_persist_deadline(w->p), HEAP_NEVER);
    says(w, "SET c 3", "+OK");
    assert_in_range(nd_persist_deadline(w->p) - w->e->now_us, 99 * SECOND_US, 101 * SECOND_US);
    says(w, "MSET d 4 e 5", "+OK");
    at_deadline(w, 11);
    assert_int_equal(nd_persist_deadline(w->p), HEAP_NEVER);
    assert_true(w->e->keys.still);
    says(w, "SET while saving", "+OK");
    fixture_forward_ms(w->f, 3000);
    child_ends(w, true);
    assert_false(w->e->keys.still);
    assert_int_equal(nd_unsaved(w->e), 1);
    assert_int_equal(w->p->last_duration_s, 3);
    assert_int_equal(w->p->saves, 1);
    points(w, "");
    says(w, "MSET a 1 b 2 c 3 d 4 e 5", "+OK");
    assert_int_equal(nd_persist_deadline(w->p), HEAP_NEVER);
}

static void a_failed_snapshot_refuses_writes_and_is_tried_again(void **state)
{
    struct world *w = *state;
    points(w, "1 1");
    says(w, "SET a 1", "+OK");
    at_deadline(w, 3);
    child_ends(w, false);
    assert_int_not_equal(w->e->guards & ND_GUARD_SNAPSHOT_FAILED, 0);
    says(w, "SET a 2", "-MISCONF Redis is configured to save");
    says(w, "PING", "-MISCONF");
    says(w, "GET a", "$1");
    assert_int_equal(nd_unsaved(w->e), 1);
    int64_t left_us = nd_persist_deadline(w->p) - w->e->now_us;
    assert_in_range(left_us, 4 * SECOND_US, 6 * SECOND_US);
    w->fails = true;
    at_deadline(w, 6);
    assert_int_equal(w->p->child, ND_CHILD_NONE);
    assert_in_range(nd_persist_deadline(w->p) - w->e->now_us, 4 * SECOND_US, 6 * SECOND_US);
    w->fails = false;
    at_deadline(w, 6);
    child_ends(w, true);
    says(w, "SET a 2", "+OK");
}

static void without_points_a_failure_harms_nobody(void **state)
{
    struct world *w = *state;
    points(w, "");
    says(w, "BGSAVE", "+Background saving started");
    child_ends(w, false);
    says(w, "SET a 1", "+OK");
    points(w, "1 1");
    says(w, "SET a 2", "-MISCONF");
    says(w, "SAVE", "+OK");
    says(w, "SET a 2", "+OK");
    assert_int_equal(nd_unsaved(w->e), 1);
}

static void one_child_at_a_time(void **state)
{
    struct world *w = *state;
    points(w, "");
    says(w, "BGSAVE", "+Background saving started");
    says(w, "BGSAVE", "-ERR Background save already in progress");
    says(w, "BGSAVE SCHEDULE", "-ERR Background save already in progress");
    says(w, "SAVE", "-ERR Background save already in progress");
    nd_persist_child_progress(w->p, 5, 8192);
    assert_int_equal(w->p->child_keys_done, 5);
    child_ends(w, true);
    /* Another's: a save waits for its end. */
    struct nd_child_spec spec = {.kind = ND_CHILD_REWRITE, .path = "base"};
    struct buf why = {0};
    int64_t saves = (int64_t)w->p->saves;
    w->p->child = ND_CHILD_NONE;
    assert_true(nd_persist_start(w->p, &spec, NULL, NULL, &why));
    assert_false(nd_persist_start(w->p, &spec, NULL, NULL, &why));
    says(w, "BGSAVE", "-ERR Another child process is active");
    says(w, "BGSAVE SCHEDULE", "+Background saving scheduled");
    assert_int_equal(nd_persist_deadline(w->p), HEAP_NEVER);
    w->p->child = ND_CHILD_NONE; /* it has ended */
    assert_int_equal(nd_persist_deadline(w->p), w->e->now_us);
    nd_persist_tick(w->p);
    assert_int_equal(w->p->child, ND_CHILD_SAVE);
    assert_int_equal(w->p->saves, saves + 1);
    child_ends(w, true);
    buf_free(&why);
}

static void flushall_stops_the_child_and_empties_the_file(void **state)
{
    struct world *w = *state;
    points(w, "3600 1");
    says(w, "MSET a 1 b 2", "+OK");
    says(w, "BGSAVE", "+Background");
    says(w, "FLUSHALL", "+OK");
    assert_int_equal(w->stops, 1);
    assert_int_equal(w->saves, 1);
    assert_int_equal(nd_unsaved(w->e), 0);
    child_ends(w, false); /* by our own hand: nothing has failed */
    says(w, "SET a 1", "+OK");
    /* A child that had ended before it was stopped counts nothing twice. */
    says(w, "MSET a 1 b 2 c 3", "+OK");
    says(w, "BGSAVE", "+Background");
    says(w, "FLUSHALL", "+OK");
    child_ends(w, true);
    assert_int_equal(nd_unsaved(w->e), 0);
    says(w, "SET a 1", "+OK");
    assert_int_equal(nd_unsaved(w->e), 1);
    /* Nor does one that ends after the dataset was saved in another way (DEBUG RELOAD); it is stopped, it is older. */
    says(w, "BGSAVE", "+Background");
    int stops = w->stops, saves = w->saves;
    struct buf why = {0};
    assert_true(nd_persist_save(w->p, &why));
    buf_free(&why);
    assert_int_equal(w->stops, stops + 1);
    child_ends(w, false);
    says(w, "SET a 2", "+OK");
    assert_int_equal(nd_unsaved(w->e), 1);
    w->saves = saves;
    points(w, "");
    says(w, "FLUSHALL", "+OK");
    assert_int_equal(w->saves, saves);
}

/* The count of changes not saved is 0 again, as when the walk over what expires had seen all and went to sleep. */
static void a_save_hides_no_key_that_expires(void **state)
{
    struct world *w = *state;
    says(w, "SAVE", "+OK");
    for (int i = 0; i < 20; i++)
        fixture_forward_ms(w->f, 100);
    says(w, "SET a 1 PX 200", "+OK");
    says(w, "SAVE", "+OK");
    for (int i = 0; i < 10; i++) {
        int64_t left_us = nd_engine_deadline(w->e) - w->e->now_us;
        assert_true(left_us < SECOND_US);
        fixture_forward_ms(w->f, left_us > 0 ? left_us / 1000 + 1 : 1);
        if (w->e->stats.expired > 0)
            return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_point_is_reached, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_snapshot_refuses_writes_and_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(without_points_a_failure_harms_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(one_child_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(flushall_stops_the_child_and_empties_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_save_hides_no_key_that_expires, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
