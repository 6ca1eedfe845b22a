#include "sentineld/shell/clients.h"

#include "tests/unit/shell/client_side.h"

/* ---- requests and replies ---- */

static void requests_in_pieces_and_pipelines(void **state)
{
    (void)state;
    static const char two[] = "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nping\r\n$5\r\nhello\r\n";
    int fd = join();
    for (size_t i = 0; i < sizeof two - 1; i++)
        say(fd, two + i, 1);
    hears(fd, "+PONG\r\n$5\r\nhello\r\n");
    struct buf many = {.n = 0}, pongs = {.n = 0};
    for (int i = 0; i < 5000; i++) {
        buf_puts(&many, "PING\r\n");
        buf_puts(&pongs, "+PONG\r\n");
    }
    say(fd, many.p, many.n);
    hears(fd, buf_str(&pongs));
    buf_free(&many);
    buf_free(&pongs);
    close(fd);
    wait_for_clients(0);
}

static void broken_requests_end_the_connection(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "PING\r\n*x\r\nPING\r\n");
    hears(fd, "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n");
    hears_the_end(fd);
    fd = join();
    says(fd, "POST /x HTTP/1.1\r\nSENTINEL REMOVE a\r\n");
    hears_the_end(fd);
    assert_int_equal(seen.n, 0);
    wait_for_clients(0);
}

static void answers_keep_the_order_of_requests(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "PING a\r\n" FLUSH "PING b\r\n" FLUSH "PING c\r\n");
    wait_for_events(2);
    hears(fd, "$1\r\na\r\n");
    answer_error(1, "ERR no disk");
    hears_nothing(fd);
    answer_ok(0);
    hears(fd, "+OK\r\n$1\r\nb\r\n-ERR no disk\r\n$1\r\nc\r\n");
    says(fd, "PING d\r\n");
    hears(fd, "$1\r\nd\r\n");
    close(fd);
}

static void an_answer_to_nobody_is_dropped(void **state)
{
    (void)state;
    int fd = join();
    says(fd, FLUSH);
    wait_for_events(1);
    close(fd);
    wait_for_clients(0);
    answer_ok(0);
    fd = join();
    says(fd, "PING\r\n");
    hears(fd, "+PONG\r\n");
    close(fd);
}

static void too_many_open_answers_hold_the_input(void **state)
{
    (void)state;
    struct buf many = {.n = 0}, oks = {.n = 0};
    int fd = join();
    for (int i = 0; i < 3 * CLIENT_WAITING_MAX; i++) {
        buf_puts(&many, FLUSH);
        buf_puts(&oks, "+OK\r\n");
    }
    say(fd, many.p, many.n);
    wait_for_events(CLIENT_WAITING_MAX);
    hears_nothing(fd);
    assert_int_equal(seen.n, CLIENT_WAITING_MAX);
    for (size_t i = 0; i < 3 * CLIENT_WAITING_MAX; i++) {
        wait_for_events(i < 2 * CLIENT_WAITING_MAX ? CLIENT_WAITING_MAX + i : 3 * CLIENT_WAITING_MAX);
        answer_ok(i);
    }
    hears(fd, buf_str(&oks));
    buf_free(&many);
    buf_free(&oks);
    close(fd);
}

static void reply_modes(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "CLIENT REPLY SKIP\r\nPING a\r\nPING b\r\nCLIENT REPLY OFF\r\nPING c\r\nCLIENT REPLY SKIP\r\nPING d\r\n"
             "CLIENT REPLY ON\r\nPING e\r\n");
    hears(fd, "$1\r\nb\r\n+OK\r\n$1\r\ne\r\n");
    says(fd, "CLIENT REPLY SKIP\r\n" FLUSH "PING f\r\n");
    wait_for_events(1);
    answer_ok(0);
    hears(fd, "$1\r\nf\r\n");
    close(fd);
}

static void ballots_are_answered_in_their_form(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 6379 3 *\r\nSENTINEL BALLOT " ID " 3\r\n"
             "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 3 *\r\n");
    wait_for_events(2);
    assert_int_equal(seen.kind[0], SN_EV_BALLOTS);
    struct sn_opinion opinion = {.down = true, .leader = ID, .leader_epoch = 9};
    clients_answer(d.clients, &(struct sn_effect){.kind = SN_FX_ANSWER_BALLOTS,
                                                  .token = seen.token[0],
                                                  .opinions = &opinion,
                                                  .count = 1,
                                                  .text = ID,
                                                  .epoch = 9});
    clients_answer(d.clients,
                   &(struct sn_effect){.kind = SN_FX_ANSWER_BALLOTS, .token = seen.token[1], .text = ID, .epoch = 9});
    hears(fd, "*3\r\n:1\r\n$40\r\n" ID "\r\n:9\r\n*3\r\n$40\r\n" ID "\r\n:9\r\n*0\r\n"
              "-ERR value is not an integer or out of range\r\n");
    close(fd);
}

/* ---- subscriptions ---- */

static void publish(const char *channel, const char *text)
{
    clients_publish(d.clients, channel, slice_of(text));
}

static void messages_reach_channels_and_patterns(void **state)
{
    (void)state;
    int two = join(), three = join();
    says(two, "SUBSCRIBE +sdown\r\n");
    hears(two, "*3\r\n$9\r\nsubscribe\r\n$6\r\n+sdown\r\n:1\r\n");
    says(two, "PSUBSCRIBE *down -*\r\n");
    hears(two, "*3\r\n$10\r\npsubscribe\r\n$5\r\n*down\r\n:2\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\n-*\r\n:3\r\n");
    says(three, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*2\r\n$9\r\nSUBSCRIBE\r\n$6\r\n+sdown\r\n");
    hears(
        three,
        "%6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:2\r\n"
        "$4\r\nmode\r\n$8\r\nsentinel\r\n$7\r\nmodules\r\n*0\r\n>3\r\n$9\r\nsubscribe\r\n$6\r\n+sdown\r\n:1\r\n");
    assert_int_equal(clients_publish(d.clients, "+sdown", slice_of("x")), 3);
    assert_int_equal(clients_publish(d.clients, "other", slice_of("x")), 0);
    hears(two, "*3\r\n$7\r\nmessage\r\n$6\r\n+sdown\r\n$1\r\nx\r\n"
               "*4\r\n$8\r\npmessage\r\n$5\r\n*down\r\n$6\r\n+sdown\r\n$1\r\nx\r\n");
    hears(three, ">3\r\n$7\r\nmessage\r\n$6\r\n+sdown\r\n$1\r\nx\r\n");
    says(three, "PING\r\n"); /* a RESP3 client may go on with commands */
    hears(three, "+PONG\r\n");
    says(two, "SENTINEL MYID\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE *down\r\nPING\r\nPUNSUBSCRIBE\r\nPING\r\n");
    hears(
        two,
        "-ERR Can't execute 'sentinel|myid': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
        "in this "
        "context\r\n*3\r\n$11\r\nunsubscribe\r\n$6\r\n+sdown\r\n:2\r\n*3\r\n$12\r\npunsubscribe\r\n$5\r\n*down\r\n"
        ":1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n*3\r\n$12\r\npunsubscribe\r\n$2\r\n-*\r\n:0\r\n+PONG\r\n");
    close(two);
    close(three);
    wait_for_clients(0);
    assert_int_equal(clients_publish(d.clients, "+sdown", slice_of("x")), 0);
}

static void messages_queue_behind_an_open_answer(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "HELLO 3 AUTH default x\r\n");
    char hello[256];
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (recv(fd, hello, sizeof hello, MSG_DONTWAIT) <= 0 && io_now_us() < end_us)
        turn();
    says(fd, "SUBSCRIBE c\r\n" FLUSH "PING\r\n");
    wait_for_events(1);
    hears(fd, ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    publish("c", "m");
    hears_nothing(fd);
    answer_ok(0);
    hears(fd, "+OK\r\n+PONG\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    close(fd);
}

static void a_subscriber_that_does_not_read_is_closed(void **state)
{
    (void)state;
    int deaf = join(), reader = join();
    says(deaf, "SUBSCRIBE c\r\n");
    hears(deaf, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    size_t size = (size_t)1024 * 1024;
    char *text = mem_alloc(size);
    memset(text, 'x', size);
    int sent = 0;
    for (; clients_count(d.clients) == 2 && sent < 200; sent++) {
        clients_publish(d.clients, "c", (struct slice){text, size});
        turn();
    }
    assert_in_range(sent, CLIENT_OUT_MAX / size, 100);
    free(text);
    says(reader, "PING\r\n");
    hears(reader, "+PONG\r\n");
    close(deaf);
    close(reader);
}

static void only_hellos_are_taken(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "PUBLISH __sentinel__:hello hi\r\nPUBLISH +sdown hi\r\n");
    hears(fd, ":1\r\n-ERR Only HELLO messages are accepted by Sentinel instances.\r\n");
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.kind[0], SN_EV_HELLO);
    assert_string_equal(seen.text, "hi");
    close(fd);
}

static void subscriptions_of_one_client_are_bounded(void **state)
{
    (void)state;
    struct buf q = {.n = 0};
    buf_puts(&q, "SUBSCRIBE");
    for (int i = 0; i < 10001; i++)
        buf_printf(&q, " %d", i);
    buf_puts(&q, "\r\nPING\r\n");
    int fd = join();
    say(fd, q.p, q.n);
    hears(fd,
          "-ERR too many subscriptions of one client: at most 10000 channels and patterns of 4194304 bytes together\r\n"
          "+PONG\r\n");
    buf_free(&q);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(requests_in_pieces_and_pipelines),
        T(broken_requests_end_the_connection),
        T(answers_keep_the_order_of_requests),
        T(an_answer_to_nobody_is_dropped),
        T(too_many_open_answers_hold_the_input),
        T(reply_modes),
        T(ballots_are_answered_in_their_form),
        T(messages_reach_channels_and_patterns),
        T(messages_queue_behind_an_open_answer),
        T(a_subscriber_that_does_not_read_is_closed),
        T(only_hellos_are_taken),
        T(subscriptions_of_one_client_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
