/* The book of a drill's canaries: silences, stale reads, lost writes. */
#include "nodectl/drill/book.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000

/* Writes n more numbers, one in ten milliseconds, all acknowledged at once. Returns the time of the last one. */
static int64_t write_some(struct lane *l, int n, enum drill_phase phase, int64_t now_us)
{
    for (int i = 0; i < n; i++) {
        now_us += 10 * MS;
        lane_ack(l, lane_send(l), phase, now_us);
    }
    return now_us;
}

static void silences_are_kept_apart(void **state)
{
    (void)state;
    struct lane l;
    lane_init(&l, "k", 3, false, 0);
    int64_t now = write_some(&l, 5, DRILL_BEFORE, 0);
    assert_int_equal(l.silence_us[DRILL_BEFORE], 10 * MS);
    lane_send(&l); /* no answer ever comes */
    assert_int_equal(lane_silence_us(&l, DRILL_HARM, now + 300 * MS), 300 * MS);
    now += 700 * MS;
    lane_ack(&l, lane_send(&l), DRILL_HARM, now);
    now = write_some(&l, 5, DRILL_HARM, now);
    assert_int_equal(l.silence_us[DRILL_HARM], 700 * MS);
    assert_int_equal(l.silent_from_us[DRILL_HARM], 50 * MS);
    now = write_some(&l, 5, DRILL_RESTORE, now);
    assert_int_equal(l.silence_us[DRILL_RESTORE], 10 * MS);
    lane_close(&l, DRILL_RESTORE, now + 50 * MS); /* one that lasts to the end counts too */
    assert_int_equal(l.silence_us[DRILL_RESTORE], 50 * MS);
    assert_int_equal(l.silence_us[DRILL_HARM], 700 * MS);
    /* One that lasts from one phase into the next one counts in both. */
    lane_turn(&l, DRILL_RESTORE, now + 60 * MS + 50 * MS);
    assert_int_equal(l.silence_us[DRILL_RESTORE], 60 * MS);
    assert_int_equal(l.nacked, 16);
    assert_int_equal(l.sent, 17);
    lane_free(&l);
}

static void a_read_is_stale_when_it_misses_what_is_old(void **state)
{
    (void)state;
    struct lane l;
    lane_init(&l, "k", 0, false, 0);
    int64_t now = write_some(&l, 100, DRILL_BEFORE, 0); /* number n at n * 10 ms */
    assert_int_equal(lane_read(&l, 100, now, 50 * MS), 0);
    assert_int_equal(lane_read(&l, 95, now, 50 * MS), 0); /* 96 came 40 ms ago */
    assert_int_equal(l.stale, 0);
    /* 95 came 50 ms ago: it had to be there. */
    assert_int_equal(lane_read(&l, 94, now, 50 * MS), 50 * MS);
    assert_int_equal(lane_read(&l, 10, now, 50 * MS), 890 * MS);
    assert_int_equal(lane_read(&l, 0, now, 50 * MS), 990 * MS); /* the key is not there */
    assert_int_equal(l.stale, 3);
    assert_int_equal(l.stale_us, 990 * MS);
    assert_int_equal(l.reads, 5);
    /* While nothing is written nothing gets older than it is. */
    assert_int_equal(lane_read(&l, 100, now + 5000 * MS, 50 * MS), 0);
    assert_int_equal(lane_read(&l, 120, now, 50 * MS), 0); /* one that was executed and not yet acknowledged */
    lane_free(&l);
}

static void what_was_acknowledged_must_be_there(void **state)
{
    (void)state;
    struct lane l;
    lane_init(&l, "k", 0, false, 0);
    write_some(&l, 4, DRILL_BEFORE, 0); /* 1 to 4 */
    lane_send(&l);                      /* 5: nobody knows */
    lane_send(&l);                      /* 6: refused */
    write_some(&l, 2, DRILL_HARM, 0);   /* 7 and 8 */
    lane_settle(&l, (const int64_t[]){1, 2, 3, 4, 5, 7, 8}, 7);
    assert_int_equal(l.lost, 0);
    assert_int_equal(l.first_lost, 0);
    lane_settle(&l, (const int64_t[]){8, 7, 2, 1}, 4); /* in any order */
    assert_int_equal(l.lost, 2);
    assert_int_equal(l.first_lost, 3);
    lane_settle(&l, NULL, 0);
    assert_int_equal(l.lost, 6);
    assert_int_equal(l.first_lost, 1);
    lane_free(&l);
}

static void losses_are_counted_whatever_is_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct rng r;
        struct lane l;
        int64_t there[200];
        size_t n = 0;
        int64_t lost = 0;
        rng_seed(&r, seed);
        lane_init(&l, "k", 0, false, 0);
        for (int i = 0; i < 200; i++) {
            int64_t number = lane_send(&l);
            bool acked = rng_chance(&r, 800000), kept = rng_chance(&r, 900000);
            if (acked)
                lane_ack(&l, number, DRILL_HARM, i);
            if (kept)
                there[n++] = number;
            lost += acked && !kept;
        }
        for (size_t i = n; i > 1; i--) {
            size_t k = (size_t)rng_below(&r, i);
            int64_t other = there[k];
            there[k] = there[i - 1];
            there[i - 1] = other;
        }
        lane_settle(&l, there, n);
        assert_int_equal(l.lost, lost);
        lane_free(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silences_are_kept_apart),
        cmocka_unit_test(a_read_is_stale_when_it_misses_what_is_old),
        cmocka_unit_test(what_was_acknowledged_must_be_there),
        cmocka_unit_test(losses_are_counted_whatever_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
