#include "tests/unit/cmd/engine_fixture.h"

#include "common/base/mem.h"
#include "noded/cmd/monitor.h"
#include "noded/cmd/pause.h"
#include "noded/cmd/table.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct nd_command_stats stats_of(struct fixture *f, const char *name)
{
    struct slice word = slice_of(name);
    const struct nd_command *cmd = nd_command_find(f->e, &word, 1, NULL);
    assert_non_null(cmd);
    return f->e->stats.by_command[nd_command_number(f->e, cmd)];
}

static uint64_t errors_of(struct fixture *f, const char *code)
{
    const uint64_t *count = map_gets(&f->e->stats.errors_by_code, code);
    return count != NULL ? *count : 0;
}

static void every_row_is_found_by_its_name(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct nd_command *cmd, *before = NULL;
    size_t rows = 0;
    for (size_t i = 0; (cmd = nd_command_at(f->e, i)) != NULL; i++) {
        if (before != NULL)
            assert_true(strcmp(before->name, cmd->name) < 0);
        before = cmd;
        for (int style = 0; style < 3; style++) {
            char name[ND_NAME_MAX + 1];
            size_t n = strlen(cmd->name);
            for (size_t j = 0; j <= n; j++)
                name[j] = (char)(style == 0 || (style == 2 && j % 2 == 0) ? cmd->name[j] : toupper(cmd->name[j]));
            struct slice word = {name, n};
            const struct nd_command *parent = cmd;
            assert_ptr_equal(nd_command_find(f->e, &word, 1, &parent), cmd);
            assert_null(parent);
            /* A letter more, less, or another is another name. */
            name[n - 1] ^= 1;
            const struct nd_command *found = nd_command_find(f->e, &word, 1, NULL);
            assert_true(found != cmd);
            name[n - 1] ^= 1;
            name[0] = (char)(name[0] & ~0x60);
            assert_null(nd_command_find(f->e, &word, 1, NULL));
        }
        assert_ptr_equal(nd_command_numbered(f->e, nd_command_number(f->e, cmd)), cmd);
        assert_string_equal(nd_command_full_name(f->e, cmd), cmd->name);
        assert_true(cmd->run != NULL || cmd->subs != NULL);
        rows++;
        for (const struct nd_command *sub = cmd->subs; sub != NULL && sub->name != NULL; sub++) {
            struct slice words[] = {slice_of(cmd->name), slice_of(sub->name)};
            const struct nd_command *parent;
            assert_ptr_equal(nd_command_find(f->e, words, 2, &parent), sub);
            assert_ptr_equal(parent, cmd);
            char full[64];
            snprintf(full, sizeof full, "%s|%s", cmd->name, sub->name);
            assert_string_equal(nd_command_full_name(f->e, sub), full);
            assert_non_null(sub->run);
            rows++;
        }
    }
    assert_int_equal(rows, nd_command_numbers(f->e));
    assert_true(rows > 150);
    fixture_free(f);
}

static void names_that_are_none(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct slice none[] = {{"", 0}, {"g", 1}, {"ge\0", 3}, {"gett", 4}, {"get ", 4}, {"\xc7\xc5\xd4", 3}, {"g-t", 3}};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_null(nd_command_find(f->e, &none[i], 1, NULL));
    char longer[300];
    memset(longer, 'x', sizeof longer);
    for (size_t n = 1; n < sizeof longer; n++)
        assert_null(nd_command_find(f->e, &(struct slice){longer, n}, 1, NULL));
    assert_string_equal(run(f, "PUBSUB NOSUCH"), "-ERR unknown subcommand 'NOSUCH'. Try PUBSUB HELP.\r\n");
    assert_string_equal(run(f, "PUBSUB"), "-ERR wrong number of arguments for 'pubsub' command\r\n");
    assert_string_equal(run(f, "PUBSUB NUMPAT x"), "-ERR wrong number of arguments for 'pubsub|numpat' command\r\n");
    assert_string_equal(run(f, "nosuch a b c"),
                        "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' 'c' \r\n");
    assert_string_equal(run(f, "\"no\\r\\nsuch\" \"a\\x00b\""),
                        "-ERR unknown command 'no  such', with args beginning with: 'a' \r\n");
    /* 128 bytes of the name, and of the arguments with their quotes. */
    char command[700], expected[700], name[129], word[129];
    memset(name, 'n', 128);
    memset(word, 'w', 128);
    name[128] = word[128] = '\0';
    snprintf(command, sizeof command, "%snn %.126s %s", name, word, word);
    snprintf(expected, sizeof expected, "-ERR unknown command '%s', with args beginning with: '%.126s' \r\n", name,
             word);
    assert_string_equal(run(f, command), expected);
    snprintf(command, sizeof command, "x %.100s %s", word, word);
    snprintf(expected, sizeof expected, "-ERR unknown command 'x', with args beginning with: '%.100s' '%.25s' \r\n",
             word, word);
    assert_string_equal(run(f, command), expected);
    fixture_free(f);
}

static void calls_and_errors_are_counted(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "SET a 1");
    run(f, "SET a 2");
    run(f, "SET a");
    run(f, "LPUSH a 2");
    run(f, "SET a 2 NX XX");
    run(f, "NOSUCH");
    struct nd_command_stats set = stats_of(f, "set"), lpush = stats_of(f, "lpush");
    assert_int_equal(set.calls, 3);
    assert_int_equal(set.rejected, 1);
    assert_int_equal(set.failed, 1);
    assert_int_equal(lpush.calls, 1);
    assert_int_equal(lpush.failed, 1);
    assert_int_equal(errors_of(f, "ERR"), 3);
    assert_int_equal(errors_of(f, "WRONGTYPE"), 1);
    assert_int_equal(f->e->stats.errors, 4);
    assert_int_equal(f->e->stats.commands, 4); /* what was refused was not run */
    assert_int_equal(f->e->changes, 2);
    nd_stats_reset(f->e);
    assert_int_equal(stats_of(f, "set").calls, 0);
    assert_int_equal(errors_of(f, "ERR"), 0);
    assert_int_equal(f->e->stats.errors, 0);
    assert_int_equal(f->e->changes, 2);
    fixture_free(f);
}

static void a_password_is_asked_for(void **state)
{
    (void)state;
    struct nd_config config;
    nd_config_init(&config);
    free(config.requirepass);
    config.requirepass = mem_strdup("secret");
    struct fixture *f = fixture_new_with(&config);
    nd_config_free(&config);
    assert_string_equal(run(f, "GET a"), "-NOAUTH Authentication required.\r\n");
    assert_string_equal(run(f, "NOSUCH"), "-ERR unknown command 'NOSUCH', with args beginning with: \r\n");
    assert_string_equal(run(f, "GET"), "-ERR wrong number of arguments for 'get' command\r\n");
    assert_string_equal(run(f, "EXEC"),
                        "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n");
    run(f, "AUTH secret");
    assert_string_equal(run(f, "GET a"), "$-1\r\n");
    /* Whoever was in stays in; without a password nobody is asked. */
    struct client *late = fixture_client(f);
    assert_string_equal(client_run(late, "GET a"), "-NOAUTH Authentication required.\r\n");
    f->e->config.requirepass[0] = '\0';
    assert_string_equal(client_run(late, "GET a"), "$-1\r\n");
    fixture_free(f);
}

static void a_replica_refuses_writes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->e->is_replica = true;
    assert_string_equal(run(f, "SET a 1"), "-READONLY You can't write against a read only replica.\r\n");
    assert_string_equal(run(f, "GET a"), "$-1\r\n");
    run(f, "MULTI");
    assert_string_equal(run(f, "SET a 1"), "-READONLY You can't write against a read only replica.\r\n");
    assert_string_equal(run(f, "EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
    /* A transaction that was begun while it was a master. */
    f->e->is_replica = false;
    run(f, "MULTI");
    run(f, "SET a 1");
    f->e->is_replica = true;
    assert_string_equal(run(f, "EXEC"), "-EXECABORT Transaction discarded because of: READONLY You can't write against "
                                        "a read only replica.\r\n");
    assert_string_equal(run(f, "MULTI"), "+OK\r\n"); /* the one before is over */
    run(f, "DISCARD");
    f->e->config.replica_read_only = false;
    assert_string_equal(run(f, "SET a 1"), "+OK\r\n");
    fixture_free(f);
}

static void nothing_but_the_allowed_while_loading(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->e->loading = true;
    assert_string_equal(run(f, "GET a"), "-LOADING Redis is loading the dataset in memory\r\n");
    assert_string_equal(run(f, "SELECT 1"), "+OK\r\n");
    f->e->loading = false;
    assert_string_equal(run(f, "GET a"), "$-1\r\n");
    fixture_free(f);
}

static void subscribed_clients_of_resp2_are_bound(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "SUBSCRIBE x");
    assert_string_equal(run(f, "GET a"),
                        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                        "allowed in this context\r\n");
    assert_string_equal(run(f, "PUBSUB NUMPAT"),
                        "-ERR Can't execute 'pubsub|numpat': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                        "RESET are allowed in this context\r\n");
    f->clients[0].s->r.proto = 3;
    assert_string_equal(run(f, "GET a"), "_\r\n");
    f->clients[0].s->r.proto = 2;
    run(f, "UNSUBSCRIBE");
    assert_string_equal(run(f, "GET a"), "$-1\r\n");
    fixture_free(f);
}

static void answers_can_be_turned_off(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_string_equal(run(f, "CLIENT REPLY SKIP"), "");
    assert_string_equal(run(f, "SET a 1"), "");
    assert_string_equal(run(f, "GET a"), "$1\r\n1\r\n");
    assert_string_equal(run(f, "CLIENT REPLY OFF"), "");
    assert_string_equal(run(f, "SET a 2"), "");
    assert_string_equal(run(f, "NOSUCH"), "");
    assert_string_equal(run(f, "GET"), "");
    assert_string_equal(run(f, "MULTI"), "");
    assert_string_equal(run(f, "KEYS *"), "");
    assert_string_equal(run(f, "EXEC"), "");
    /* Messages are no answers. */
    assert_string_equal(run(f, "SUBSCRIBE x"), "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
    run(f, "UNSUBSCRIBE");
    assert_string_equal(run(f, "CLIENT REPLY ON"), "+OK\r\n");
    assert_string_equal(run(f, "GET a"), "$1\r\n2\r\n");
    assert_int_equal(f->e->stats.errors, 2);
    fixture_free(f);
}

static void lines_of_http_end_the_connection(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_string_equal(run(f, "POST / HTTP/1.1"), "");
    assert_int_equal(f->clients[0].ran, ND_CLOSE);
    assert_true(strstr(buf_str(&f->log), "HTTP") != NULL);
    struct client *c = fixture_client(f);
    client_run(c, "Host: localhost");
    assert_int_equal(c->ran, ND_CLOSE);
    fixture_free(f);
}

static void monitors_see_what_runs(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *m = fixture_client(f);
    nd_monitor_start(m->s);
    run(f, "SET a \"x\\x00\\\"\\n\\xff\"");
    assert_string_equal(client_read(m), "+1700000000.000000 [0 127.0.0.1:50001] \"SET\" \"a\" "
                                        "\"x\\x00\\\"\\n\\xff\"\r\n");
    assert_true(m->wakes > 0);
    run(f, "SELECT 2");
    assert_string_equal(client_read(m), "+1700000000.000000 [2 127.0.0.1:50001] \"SELECT\" \"2\"\r\n");
    run(f, "MULTI");
    client_read(m);
    run(f, "GET a");
    assert_string_equal(client_read(m), "");
    run(f, "EXEC");
    assert_string_equal(client_read(m), "+1700000000.000000 [2 127.0.0.1:50001] \"GET\" \"a\"\r\n"
                                        "+1700000000.000000 [2 127.0.0.1:50001] \"EXEC\"\r\n");
    run(f, "NOSUCH");
    run(f, "GET");
    run(f, "CONFIG GET port");
    assert_string_equal(client_read(m), "");
    assert_string_equal(client_run(m, "GET a"), "-ERR Replica can't interact with the keyspace\r\n");
    nd_monitor_stop(m->s);
    run(f, "GET a");
    assert_string_equal(client_read(m), "");
    assert_null(f->e->monitors);
    fixture_free(f);
}

static void time_is_measured_by_one_clock(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    /* DEBUG SLEEP moves the fixture's clock. */
    f->e->config.enable_debug_command = ND_YES;
    assert_string_equal(run(f, "DEBUG SLEEP 0.25"), "+OK\r\n");
    assert_int_equal(stats_of(f, "debug").usec, 250000);
    assert_int_equal(f->e->now_ms, f->unix_ms + 250);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_by_its_name),
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(calls_and_errors_are_counted),
        cmocka_unit_test(a_password_is_asked_for),
        cmocka_unit_test(a_replica_refuses_writes),
        cmocka_unit_test(nothing_but_the_allowed_while_loading),
        cmocka_unit_test(subscribed_clients_of_resp2_are_bound),
        cmocka_unit_test(answers_can_be_turned_off),
        cmocka_unit_test(lines_of_http_end_the_connection),
        cmocka_unit_test(monitors_see_what_runs),
        cmocka_unit_test(time_is_measured_by_one_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
