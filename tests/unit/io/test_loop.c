/* The loop's own promises: work at the end of a turn, and links before clients within one. */
#include "common/io/clock.h"
#include "common/io/loop.h"

#include "tests/unit/io/harness.h"

#include <ev.h>
#include <unistd.h>

static struct io_turn_end first, second, third;
static int order[10], n;

static void run_first(struct io_turn_end *t)
{
    assert_ptr_equal(t, &first);
    order[n++] = 1;
    if (n == 1)
        io_at_turn_end(loop, &third); /* still in this turn */
}

static void run_second(struct io_turn_end *t)
{
    (void)t;
    order[n++] = 2;
}

static void run_third(struct io_turn_end *t)
{
    (void)t;
    order[n++] = 3;
    io_turn_end_cancel(loop, &first);
}

static void test_turn_end(void **state)
{
    (void)state;
    first.run = run_first;
    second.run = run_second;
    third.run = run_third;
    io_at_turn_end(loop, &first);
    io_at_turn_end(loop, &second);
    io_at_turn_end(loop, &first); /* once, however often it was asked for */
    harness_run_ms(0);
    assert_int_equal(n, 3);
    assert_true(order[0] == 1 && order[1] == 2 && order[2] == 3);
    io_at_turn_end(loop, &second);
    io_at_turn_end(loop, &first);
    io_turn_end_cancel(loop, &second);
    io_turn_end_cancel(loop, &second);
    harness_run_ms(0);
    assert_int_equal(n, 4);
    assert_int_equal(order[3], 1);
}

static void test_turn_end_alone_does_not_go_on(void **state)
{
    (void)state;
    io_loop_run(loop); /* returns */
}

static int reads[4], read_count;

static void on_read(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)revents;
    char byte;
    assert_int_equal(read(w->fd, &byte, 1), 1);
    reads[read_count++] = *(int *)w->data;
    ev_io_stop(ev, w);
}

static void test_links_before_clients(void **state)
{
    (void)state;
    int priorities[4] = {IO_PRIORITY_ACCEPT, IO_PRIORITY_STREAM, IO_PRIORITY_LINK, IO_PRIORITY_PROCESS}, ends[4][2];
    ev_io w[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pipe(ends[i]), 0);
        assert_int_equal(write(ends[i][1], "x", 1), 1);
        ev_io_init(&w[i], on_read, ends[i][0], EV_READ);
        ev_set_priority(&w[i], priorities[i]);
        w[i].data = &priorities[i];
        ev_io_start(io_loop_ev(loop), &w[i]);
    }
    harness_wait(&read_count, 4);
    assert_int_equal(reads[0], IO_PRIORITY_LINK);
    assert_int_equal(reads[1], IO_PRIORITY_PROCESS);
    assert_int_equal(reads[2], IO_PRIORITY_STREAM);
    assert_int_equal(reads[3], IO_PRIORITY_ACCEPT);
    for (int i = 0; i < 4; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
}

static void test_clocks(void **state)
{
    (void)state;
    int64_t a = io_now_us();
    int64_t wall = io_wall_ms();
    usleep(2000);
    int64_t b = io_now_us();
    assert_true(b - a >= 2000);
    assert_true(wall > INT64_C(1600000000000)); /* after 2020, in milliseconds */
    assert_true(wall < INT64_C(16000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_turn_end, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_turn_end_alone_does_not_go_on, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_links_before_clients, harness_start, harness_end),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
