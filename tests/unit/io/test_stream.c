/* Streams: input in any pieces, output in one write per turn, bounds, and every way to end. */
#include "common/io/stream.h"

#include "common/io/clock.h"
#include "tests/unit/io/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct io_stream *stream;
    int fd; /* the other end, nonblocking */
    int calls, closed, lines;
    enum io_stream_end why;
    char text[200];
    struct buf seen;
    enum { TAKE_ALL, TAKE_LINES, TAKE_NOTHING, ECHO, BIG_ANSWERS, FREE_AT_ONCE, CLOSE_AFTER_ANSWER } mode;
};

static void on_data(void *owner, struct io_stream *s)
{
    struct side *side = owner;
    struct slice in = io_stream_in(s);
    side->calls++;
    switch (side->mode) {
    case TAKE_NOTHING: return;
    case FREE_AT_ONCE:
        side->stream = NULL;
        io_stream_free(s);
        return;
    case ECHO: buf_put(io_stream_out(s), in.p, in.n); /* fall through */
    case TAKE_ALL:
        buf_put(&side->seen, in.p, in.n);
        io_stream_drop(s, in.n);
        return;
    case CLOSE_AFTER_ANSWER:
        buf_puts(io_stream_out(s), "bye");
        io_stream_close_written(s, 0);
        return;
    case TAKE_LINES:
    case BIG_ANSWERS:
        for (const char *end; !io_stream_behind(s) && in.n > 0 && (end = memchr(in.p, '\n', in.n)) != NULL;) {
            side->lines++;
            io_stream_drop(s, (size_t)(end - in.p) + 1);
            in = io_stream_in(s);
            for (int i = 0; side->mode == BIG_ANSWERS && i < 100; i++)
                buf_printf(io_stream_out(s), "%01000d\n", i);
        }
        return;
    }
}

static void on_closed(void *owner, struct io_stream *s, enum io_stream_end why, const char *text)
{
    struct side *side = owner;
    assert_ptr_equal(s, side->stream);
    side->stream = NULL;
    side->closed++;
    side->why = why;
    snprintf(side->text, sizeof side->text, "%s", text);
}

static const struct io_stream_events events = {on_data, on_closed};

static void open_side(struct side *side, const struct io_stream_limits *limits)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    side->stream = io_stream_new(loop, fds[0], limits, &events, side);
    side->fd = fds[1];
    fcntl(side->fd, F_SETFL, O_NONBLOCK);
}

static void close_side(struct side *side)
{
    io_stream_free(side->stream);
    if (side->fd >= 0)
        close(side->fd);
    buf_free(&side->seen);
}

static void put(struct side *side, const char *text)
{
    assert_int_equal(write(side->fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* What has come at the other end, up to n bytes. */
static size_t get(struct side *side, char *out, size_t n)
{
    size_t got = 0;
    int64_t until = io_now_us() + 10000000;
    while (got < n && io_now_us() < until) {
        ssize_t r = read(side->fd, out + got, n - got);
        if (r > 0)
            got += (size_t)r;
        else if (r == 0)
            break;
        else
            harness_run_ms(1);
    }
    return got;
}

static void test_pieces(void **state)
{
    (void)state;
    struct side side = {.mode = TAKE_LINES};
    open_side(&side, NULL);
    put(&side, "on");
    harness_wait(&side.calls, 1);
    assert_int_equal(side.lines, 0);
    assert_true(slice_is(io_stream_in(side.stream), "on"));
    put(&side, "e\ntwo\nthr");
    harness_wait(&side.lines, 2);
    assert_true(slice_is(io_stream_in(side.stream), "thr"));
    put(&side, "ee\n");
    harness_wait(&side.lines, 3);
    assert_int_equal(io_stream_in(side.stream).n, 0);
    close_side(&side);
}

/* Dropping each of many pipelined commands must not move all that is behind it. */
static void test_many_small_drops(void **state)
{
    (void)state;
    struct side side = {.mode = TAKE_LINES};
    struct buf all = {0};
    open_side(&side, NULL);
    for (int i = 0; i < 10000; i++)
        buf_puts(&all, "PING something here\n");
    int64_t begin = io_now_us();
    for (size_t at = 0; at < all.n;) {
        ssize_t w = write(side.fd, all.p + at, all.n - at);
        at += w > 0 ? (size_t)w : 0;
        harness_run_ms(0);
    }
    harness_wait(&side.lines, 10000);
    assert_true(io_now_us() - begin < 5000000);
    buf_free(&all);
    close_side(&side);
}

static void test_output_leaves_at_the_end_of_the_turn(void **state)
{
    (void)state;
    struct side side = {.mode = TAKE_ALL};
    char got[100];
    open_side(&side, NULL);
    buf_puts(io_stream_out(side.stream), "one ");
    buf_puts(io_stream_out(side.stream), "two");
    assert_int_equal(read(side.fd, got, sizeof got), -1);
    assert_int_equal(io_stream_unsent(side.stream), 7);
    harness_run_ms(0);
    assert_int_equal(read(side.fd, got, sizeof got), 7); /* one segment */
    assert_int_equal(io_stream_unsent(side.stream), 0);
    close_side(&side);
}

static void test_large_echo(void **state)
{
    (void)state;
    struct side side = {.mode = ECHO};
    size_t n = 3000000, sent = 0, got = 0;
    char *out = malloc(n), *in = malloc(n);
    open_side(&side, NULL);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(i * 31 >> 3);
    int64_t until = io_now_us() + 20000000;
    while (got < n && io_now_us() < until) {
        ssize_t w = sent < n ? write(side.fd, out + sent, n - sent) : 0;
        sent += w > 0 ? (size_t)w : 0;
        harness_run_ms(0);
        ssize_t r = read(side.fd, in + got, n - got);
        got += r > 0 ? (size_t)r : 0;
    }
    assert_int_equal(got, n);
    assert_memory_equal(in, out, n);
    free(in);
    free(out);
    close_side(&side);
}

static void test_end_of_file(void **state)
{
    (void)state;
    struct side side = {.mode = ECHO};
    char got[10];
    open_side(&side, NULL);
    put(&side, "last");
    shutdown(side.fd, SHUT_WR);
    harness_wait(&side.closed, 1);
    assert_int_equal(side.why, IO_STREAM_EOF);
    assert_int_equal(get(&side, got, 4), 4); /* the answer was not lost */
    close_side(&side);
}

static void test_write_to_nobody(void **state)
{
    (void)state;
    struct side side = {.mode = TAKE_ALL};
    open_side(&side, NULL);
    close(side.fd);
    side.fd = -1;
    buf_puts(io_stream_out(side.stream), "hello");
    harness_wait(&side.closed, 1);
    assert_true(side.why == IO_STREAM_FAILED || side.why == IO_STREAM_EOF);
    close_side(&side);
}

static void test_input_limit(void **state)
{
    (void)state;
    struct io_stream_limits limits = {.in_max = 1000};
    struct side side = {.mode = TAKE_NOTHING};
    char part[501] = {0};
    memset(part, 'x', 500);
    open_side(&side, &limits);
    put(&side, part);
    harness_wait(&side.calls, 1);
    assert_int_equal(side.closed, 0);
    put(&side, part);
    harness_wait(&side.closed, 1);
    assert_int_equal(side.why, IO_STREAM_INPUT_LIMIT);
    assert_non_null(strstr(side.text, "1000 bytes"));
    close_side(&side);
}

static void test_output_limit(void **state)
{
    (void)state;
    struct io_stream_limits limits = {.out_max = 1000000};
    struct side side = {.mode = TAKE_ALL};
    open_side(&side, &limits);
    for (int i = 0; i < 100 && side.stream != NULL; i++) {
        for (int k = 0; k < 100; k++)
            buf_printf(io_stream_out(side.stream), "%01000d", k);
        harness_run_ms(0);
    }
    assert_int_equal(side.closed, 1);
    assert_int_equal(side.why, IO_STREAM_OUTPUT_LIMIT);
    close_side(&side);
}

/* A client that asks and asks and does not read: what it costs stays bounded, and it gets all of its answers later. */
static void test_behind(void **state)
{
    (void)state;
    struct side side = {.mode = BIG_ANSWERS};
    open_side(&side, NULL);
    for (int i = 0; i < 100; i++)
        put(&side, "ask\n");
    harness_wait(&side.lines, 1);
    harness_run_ms(50);
    int handled = side.lines;
    assert_in_range(handled, 10, 20); /* 100 KB each; 1 MiB and what the kernel takes */
    assert_true(io_stream_behind(side.stream));
    harness_run_ms(50);
    assert_int_equal(side.lines, handled);
    size_t all = (size_t)100 * 100 * 1001;
    char *got = malloc(all);
    assert_int_equal(get(&side, got, all), all);
    assert_int_equal(side.lines, 100);
    free(got);
    close_side(&side);
}

static void test_pause(void **state)
{
    (void)state;
    struct side side = {.mode = TAKE_NOTHING};
    open_side(&side, NULL);
    put(&side, "a\n");
    harness_wait(&side.calls, 1);
    io_stream_pause(side.stream, true);
    side.mode = TAKE_LINES;
    put(&side, "b\n");
    harness_run_ms(20);
    assert_int_equal(side.calls, 1);
    io_stream_pause(side.stream, false);
    harness_wait(&side.lines, 2); /* what was left, and what came meanwhile */
    close_side(&side);
}

static void test_free_in_data(void **state)
{
    (void)state;
    struct side side = {.mode = FREE_AT_ONCE};
    char got[1];
    open_side(&side, NULL);
    put(&side, "x");
    harness_wait(&side.calls, 1);
    assert_int_equal(get(&side, got, 1), 0);
    assert_int_equal(side.closed, 0);
    close_side(&side);
}

static void test_close_after_writing(void **state)
{
    (void)state;
    struct side side = {.mode = CLOSE_AFTER_ANSWER};
    char got[10];
    open_side(&side, NULL);
    put(&side, "quit");
    assert_int_equal(get(&side, got, sizeof got), 3); /* then end of file */
    assert_int_equal(side.closed, 0);
    put(&side, "more that nobody wants");
    close(side.fd);
    side.fd = -1;
    harness_wait(&side.closed, 1);
    assert_int_equal(side.why, IO_STREAM_CLOSED);
    assert_int_equal(side.calls, 1);
    close_side(&side);
}

static void test_close_without_a_reader(void **state)
{
    (void)state;
    struct side side = {.mode = TAKE_ALL};
    open_side(&side, NULL);
    for (int k = 0; k < 3000; k++)
        buf_printf(io_stream_out(side.stream), "%01000d", k);
    int64_t begin = io_now_us();
    io_stream_close_written(side.stream, 100);
    harness_wait(&side.closed, 1);
    assert_int_equal(side.why, IO_STREAM_CLOSED);
    assert_true(io_now_us() - begin >= 90000);
    close_side(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pieces, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_many_small_drops, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_output_leaves_at_the_end_of_the_turn, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_large_echo, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_end_of_file, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_write_to_nobody, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_input_limit, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_output_limit, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_behind, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_pause, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_free_in_data, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_close_after_writing, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_close_without_a_reader, harness_start, harness_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
