#include "common/base/rng.h"
#include "noded/store/list.h"
#include "tests/unit/cmd/answers.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void pushing_reading_changing(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/list.txt");
}

static void taking_from_the_ends(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/list_pop.txt");
}

static void from_one_list_to_another(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/list_move.txt");
}

static void looking_for_elements(void **state)
{
    (void)state;
    answers_check("tests/unit/cmd/answers/list_search.txt");
}

/* Redis tells watchers and listeners of it, but the replicas nothing. */
static void a_trim_that_takes_nothing_is_no_change(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *watcher = fixture_client(f);
    run(f, "RPUSH l a b c");
    fixture_effects(f);
    int64_t changes = f->e->changes;
    client_run(watcher, "WATCH l");
    assert_string_equal(run(f, "LTRIM l 0 -1"), "+OK\r\n");
    assert_string_equal(fixture_effects(f), "");
    assert_int_equal(f->e->changes, changes);
    client_run(watcher, "MULTI");
    assert_string_equal(client_run(watcher, "EXEC"), "*-1\r\n");
    fixture_free(f);
}

/* ---- waiting ---- */

static struct client *waiting(struct fixture *f, const char *command)
{
    struct client *c = fixture_client(f);
    assert_string_equal(client_run(c, command), "");
    assert_int_equal(c->ran, ND_BLOCKED);
    return c;
}

static void a_waiting_client_gets_what_came(void **state)
{
    (void)state;
    static const struct {
        const char *waits, *push, *answer, *effects, *left;
    } cases[] = {
        {"BLPOP no l 0", "RPUSH l a b c", "*2\r\n$1\r\nl\r\n$1\r\na\r\n", "0 RPUSH l a b c\n0 LPOP l\n", "b c"},
        {"BRPOP l no 0", "RPUSH l a b c", "*2\r\n$1\r\nl\r\n$1\r\nc\r\n", "0 RPUSH l a b c\n0 RPOP l\n", "a b"},
        {"BLMPOP 0 2 no l LEFT", "RPUSH l a b", "*2\r\n$1\r\nl\r\n*1\r\n$1\r\na\r\n", "0 RPUSH l a b\n0 LPOP l 1\n",
         "b"},
        {"BLMPOP 0 1 l RIGHT COUNT 2", "RPUSH l a b c", "*2\r\n$1\r\nl\r\n*2\r\n$1\r\nc\r\n$1\r\nb\r\n",
         "0 RPUSH l a b c\n0 RPOP l 2\n", "a"},
        {"BLMPOP 0 1 l LEFT COUNT 9", "RPUSH l a b", "*2\r\n$1\r\nl\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
         "0 RPUSH l a b\n0 LPOP l 2\n", ""},
        {"BLMOVE l m LEFT RIGHT 0", "RPUSH l a b", "$1\r\na\r\n", "0 RPUSH l a b\n0 LMOVE l m left right\n", "b"},
        {"BLMOVE l l LEFT RIGHT 0", "RPUSH l a b", "$1\r\na\r\n", "0 RPUSH l a b\n0 LMOVE l l left right\n", "b a"},
        {"BRPOPLPUSH l m 0", "RPUSH l a b", "$1\r\nb\r\n", "0 RPUSH l a b\n0 RPOPLPUSH l m\n", "a"},
        {"BLPOP l 0", "RENAME other l", "*2\r\n$1\r\nl\r\n$1\r\n1\r\n", "0 RENAME other l\n0 LPOP l\n", "2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = fixture_new();
        run(f, "RPUSH other 1 2");
        struct client *c = waiting(f, cases[i].waits);
        fixture_effects(f);
        run(f, cases[i].push);
        assert_string_equal(client_read(c), cases[i].answer);
        assert_string_equal(fixture_effects(f), cases[i].effects);
        struct buf left = {0};
        const char *at = run(f, "LRANGE l 0 -1");
        for (int line = 0; (at = strstr(at, "\r\n")) != NULL; line++, at++) {
            at += 2;
            if (line % 2 == 1)
                buf_printf(&left, left.n > 0 ? " %.1s" : "%.1s", at);
            at--;
        }
        assert_string_equal(buf_str(&left), cases[i].left);
        buf_free(&left);
        fixture_assert_copied(f);
        fixture_free(f);
    }
}

static void keys_of_other_types_do_not_matter_to_who_waits(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct client *c = waiting(f, "BLPOP a b 0");
    run(f, "SET a x");
    assert_string_equal(client_read(c), "");
    run(f, "LPUSH b 1");
    assert_string_equal(client_read(c), "*2\r\n$1\r\nb\r\n$1\r\n1\r\n");
    /* The other list of a move has to be one, though; the element stays. */
    c = waiting(f, "BRPOPLPUSH b a 0");
    run(f, "LPUSH b 2");
    assert_string_equal(client_read(c), "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert_string_equal(run(f, "LRANGE b 0 -1"), "*1\r\n$1\r\n2\r\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

static void waiting_ends_with_the_time(void **state)
{
    (void)state;
    static const char *const commands[] = {"BLPOP a b 0.2", "BRPOP a 0.2", "BLMPOP 0.2 1 a LEFT",
                                           "BLMOVE a b LEFT LEFT 0.2", "BRPOPLPUSH a b 0.2"};
    struct fixture *f = fixture_new();
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct client *c = waiting(f, commands[i]);
        fixture_forward_ms(f, 150);
        assert_string_equal(client_read(c), "");
        fixture_forward_ms(f, 60);
        assert_string_equal(client_read(c), "*-1\r\n");
    }
    assert_string_equal(fixture_effects(f), "");
    fixture_free(f);
}

/* ---- random commands: the copy that follows the effects has the same lists ---- */

static const char *element(struct rng *r)
{
    static char text[200];
    if (rng_chance(r, 50000)) {
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
    } else {
        snprintf(text, sizeof text, rng_chance(r, 500000) ? "%d" : "e%d", (int)rng_below(r, 12));
    }
    return text;
}

static void draw_command(struct rng *r, char *out, size_t n)
{
    int k = (int)rng_below(r, 4), m = (int)rng_below(r, 4), i = (int)rng_range(r, -6, 6), j = (int)rng_range(r, -6, 60);
    const char *side = rng_chance(r, 500000) ? "LEFT" : "RIGHT", *to = rng_chance(r, 500000) ? "LEFT" : "RIGHT";
    const char *e = element(r);
    switch (rng_below(r, 14)) {
    case 0: snprintf(out, n, "LPUSH k%d %s %d %d", k, e, i, j); break;
    case 1: snprintf(out, n, "RPUSH k%d %d %s %d", k, i, e, j); break;
    case 2: snprintf(out, n, "RPUSHX k%d %s", k, e); break;
    case 3: snprintf(out, n, "LPOP k%d", k); break;
    case 4: snprintf(out, n, "RPOP k%d %d", k, j > 0 ? j % 5 : 1); break;
    case 5: snprintf(out, n, "LSET k%d %d %s", k, i, e); break;
    case 6: snprintf(out, n, "LTRIM k%d %d %d", k, i, j); break;
    case 7: snprintf(out, n, "LREM k%d %d %s", k, i, e); break;
    case 8:
    case 9: snprintf(out, n, "LINSERT k%d %s %d %s", k, side[0] == 'L' ? "BEFORE" : "AFTER", i, e); break;
    case 10: snprintf(out, n, "LMOVE k%d k%d %s %s", k, m, side, to); break;
    case 11: snprintf(out, n, "LMPOP 2 k%d k%d %s COUNT %d", k, m, side, 1 + j * j % 7); break;
    case 12: snprintf(out, n, "RPOPLPUSH k%d k%d", k, m); break;
    default: snprintf(out, n, "%s k%d k%d 0", side[0] == 'L' ? "BLPOP" : "BRPOP", k, m); break;
    }
}

static void the_copy_follows_whatever_is_done(void **state)
{
    (void)state;
    static const int64_t fills[] = {-2, -1, 1, 4};
    struct rng r;
    rng_seed(&r, 17);
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        struct fixture *f = fixture_new();
        f->e->config.limits.list_max_listpack_size = fills[i];
        char command[600];
        for (int n = 0; n < 4000; n++) {
            draw_command(&r, command, sizeof command);
            if (command[0] == 'B' && f->client_count < FIXTURE_CLIENTS - 1) {
                struct client *c = fixture_client(f);
                client_run(c, command);
                client_close(c);
            } else if (command[0] != 'B') {
                run(f, command);
            }
            if (n % 200 == 0)
                fixture_assert_copied(f);
        }
        fixture_assert_copied(f);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushing_reading_changing),
        cmocka_unit_test(taking_from_the_ends),
        cmocka_unit_test(from_one_list_to_another),
        cmocka_unit_test(looking_for_elements),
        cmocka_unit_test(a_trim_that_takes_nothing_is_no_change),
        cmocka_unit_test(a_waiting_client_gets_what_came),
        cmocka_unit_test(keys_of_other_types_do_not_matter_to_who_waits),
        cmocka_unit_test(waiting_ends_with_the_time),
        cmocka_unit_test(the_copy_follows_whatever_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
