#include "noded/cmd/pubsub.h"

#include "noded/cmd/notify.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void messages_reach_channels_and_patterns(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *two = fixture_client(f), *three = fixture_client(f);
    three->s->r.proto = 3;
    assert_string_equal(client_run(two, "SUBSCRIBE a b a"),
                        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
                        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n");
    assert_string_equal(client_run(three, "PSUBSCRIBE a* [bc]"),
                        ">3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:1\r\n>3\r\n$10\r\npsubscribe\r\n$4\r\n[bc]\r\n:2\r\n");
    assert_string_equal(run(f, "PUBLISH a hi"), ":2\r\n");
    assert_string_equal(client_read(two), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    assert_string_equal(client_read(three), ">4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$2\r\nhi\r\n");
    assert_true(two->wakes > 0 && three->wakes > 0);
    assert_string_equal(run(f, "PUBLISH c hi"), ":1\r\n");
    assert_string_equal(run(f, "PUBLISH d hi"), ":0\r\n");
    assert_string_equal(fixture_effects(f), "-1 PUBLISH a hi\n-1 PUBLISH c hi\n-1 PUBLISH d hi\n");
    /* Shard channels are a world of their own. */
    assert_string_equal(client_run(two, "SSUBSCRIBE a"), "*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n");
    assert_string_equal(run(f, "SPUBLISH a hi"), ":1\r\n");
    assert_string_equal(client_read(two), "*3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    assert_string_equal(run(f, "PUBSUB SHARDCHANNELS"), "*1\r\n$1\r\na\r\n");
    assert_string_equal(run(f, "PUBSUB SHARDNUMSUB a b"), "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:0\r\n");
    assert_string_equal(run(f, "PUBSUB NUMSUB b a"), "*4\r\n$1\r\nb\r\n:1\r\n$1\r\na\r\n:1\r\n");
    assert_string_equal(run(f, "PUBSUB CHANNELS b*"), "*1\r\n$1\r\nb\r\n");
    assert_string_equal(run(f, "PUBSUB NUMPAT"), ":2\r\n");
    assert_int_equal(f->e->stats.pubsub_clients, 2);
    client_close(two);
    client_close(three);
    assert_int_equal(f->e->stats.pubsub_clients, 0);
    assert_string_equal(run(f, "PUBSUB CHANNELS"), "*0\r\n");
    fixture_free(f);
}

static void leaving(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_string_equal(run(f, "UNSUBSCRIBE"), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
    assert_string_equal(run(f, "PUNSUBSCRIBE x"), "*3\r\n$12\r\npunsubscribe\r\n$1\r\nx\r\n:0\r\n");
    run(f, "SUBSCRIBE a b c");
    run(f, "PSUBSCRIBE p");
    run(f, "SSUBSCRIBE s");
    assert_string_equal(
        run(f, "UNSUBSCRIBE b nosuch"),
        "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:3\r\n*3\r\n$11\r\nunsubscribe\r\n$6\r\nnosuch\r\n:3\r\n");
    const char *all = run(f, "UNSUBSCRIBE");
    assert_int_equal(strlen(all), 2 * strlen("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n"));
    assert_true(nd_session_subscribed(f->clients[0].s));
    assert_string_equal(run(f, "SUNSUBSCRIBE"), "*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n");
    assert_string_equal(run(f, "PUNSUBSCRIBE"), "*3\r\n$12\r\npunsubscribe\r\n$1\r\np\r\n:0\r\n");
    assert_false(nd_session_subscribed(f->clients[0].s));
    fixture_free(f);
}

static void own_messages_come_before_the_answer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->clients[0].s->r.proto = 3;
    run(f, "SUBSCRIBE a");
    assert_string_equal(run(f, "PUBLISH a x"), ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n:1\r\n");
    fixture_free(f);
}

static void events_are_published(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *c = fixture_client(f);
    client_run(c, "PSUBSCRIBE __key*");
    run(f, "SET a 1");
    assert_string_equal(client_read(c), "");
    f->e->config.notify_events = nd_notify_parse(slice_of("KEg$xn"));
    run(f, "SELECT 3");
    run(f, "SET a 1");
    assert_string_equal(client_read(c),
                        "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$16\r\n__keyspace@3__:a\r\n$3\r\nnew\r\n"
                        "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$18\r\n__keyevent@3__:new\r\n$1\r\na\r\n"
                        "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$16\r\n__keyspace@3__:a\r\n$3\r\nset\r\n"
                        "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$18\r\n__keyevent@3__:set\r\n$1\r\na\r\n");
    f->e->config.notify_events = nd_notify_parse(slice_of("Ex"));
    run(f, "SET b 1 PX 10");
    fixture_forward_ms(f, 11);
    run(f, "GET b");
    assert_string_equal(client_read(c),
                        "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$22\r\n__keyevent@3__:expired\r\n$1\r\nb\r\n");
    f->e->config.notify_events = nd_notify_parse(slice_of("Em"));
    run(f, "GET b");
    assert_string_equal(client_read(c),
                        "*4\r\n$8\r\npmessage\r\n$6\r\n__key*\r\n$22\r\n__keyevent@3__:keymiss\r\n$1\r\nb\r\n");
    fixture_free(f);
}

static void classes_of_events_as_letters(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"", ""},     {"A", "A"},        {"KEA", "AKE"}, {"AKE", "AKE"}, {"g$lshzxetd", "A"}, {"g$lshzxe", "g$lshzxe"},
        {"mn", "nm"}, {"AKEmn", "AKEm"}, {"xgx", "gx"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf b = {0};
        int classes = nd_notify_parse(slice_of(texts[i][0]));
        assert_true(classes >= 0);
        nd_notify_text(classes, &b);
        assert_string_equal(buf_str(&b), texts[i][1]);
        buf_free(&b);
    }
    assert_int_equal(nd_notify_parse(slice_of("KEq")), -1);
}

/* In a file or in a master's stream: there is nobody to send to. */
static void only_clients_subscribe(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct nd_session *master = nd_session_new(f->e, ND_MASTER, NULL, NULL);
    static const char *const words[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "SUNSUBSCRIBE"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct slice argv[] = {slice_of(words[i]), slice_of("news")};
        assert_int_equal(nd_session_run(master, 2, argv), ND_RAN);
    }
    assert_string_equal(run(f, "PUBLISH news hello"), ":0\r\n");
    assert_string_equal(run(f, "SPUBLISH news hello"), ":0\r\n");
    nd_session_free(master);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_clients_subscribe),
        cmocka_unit_test(messages_reach_channels_and_patterns),
        cmocka_unit_test(leaving),
        cmocka_unit_test(own_messages_come_before_the_answer),
        cmocka_unit_test(events_are_published),
        cmocka_unit_test(classes_of_events_as_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
