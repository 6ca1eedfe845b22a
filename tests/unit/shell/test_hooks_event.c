#include "sentineld/shell/hooks_event.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"

static struct hook_event *event(const char *name, const char *payload, const char *group)
{
    struct hook_event *e = hook_event_new(name, "warning", payload, group);
    e->config_epoch = 7;
    e->current_epoch = 9;
    e->wall_ms = 1795300000123;
    e->number = 3;
    e->started_ms = 1795000000000;
    memcpy(e->supervisor, ID, sizeof e->supervisor);
    e->port = 26379;
    return e;
}

static json_t *json_of(struct hook_event *e)
{
    struct buf line = {.n = 0};
    json_error_t error;
    hook_event_json(e, 2, &line);
    assert_int_equal(line.p[line.n - 1], '\n');
    assert_null(memchr(line.p, '\n', line.n - 1));
    json_t *o = json_loads(buf_str(&line), 0, &error);
    if (o == NULL)
        fail_msg("%s: %s", error.text, buf_str(&line));
    buf_free(&line);
    return o;
}

static const char *text_at(json_t *o, const char *a, const char *b)
{
    json_t *v = json_object_get(o, a);
    v = b != NULL ? json_object_get(v, b) : v;
    return json_is_string(v) ? json_string_value(v) : "(none)";
}

static long long number_at(json_t *o, const char *a, const char *b)
{
    json_t *v = json_object_get(o, a);
    v = b != NULL ? json_object_get(v, b) : v;
    return json_is_integer(v) ? (long long)json_integer_value(v) : -1;
}

static bool has(char **env, const char *line)
{
    for (char **v = env; *v != NULL; v++)
        if (strcmp(*v, line) == 0)
            return true;
    return false;
}

static void a_switch_names_both_masters(void **state)
{
    (void)state;
    struct hook_event *e = event("+switch-master", "g 10.0.0.1 6379 10.0.0.2 6380", "g");
    json_t *o = json_of(e);
    assert_string_equal(text_at(o, "event", NULL), "+switch-master");
    assert_string_equal(text_at(o, "group", NULL), "g");
    assert_string_equal(text_at(o, "from", "host"), "10.0.0.1");
    assert_int_equal(number_at(o, "to", "port"), 6380);
    assert_int_equal(number_at(o, "epoch", NULL), 7);
    assert_int_equal(number_at(o, "current_epoch", NULL), 9);
    assert_int_equal(number_at(o, "attempt", NULL), 2);
    assert_string_equal(text_at(o, "time", NULL), "2026-11-21T22:26:40.123Z");
    assert_string_equal(text_at(o, "event_id", NULL), ID "-1795000000000-3");
    assert_string_equal(text_at(o, "supervisor", "id"), ID);
    assert_null(json_object_get(o, "instance"));
    char **env = hook_event_env(e, 2);
    assert_true(has(env, "SENTINELD_FROM_HOST=10.0.0.1"));
    assert_true(has(env, "SENTINELD_TO_PORT=6380"));
    assert_true(has(env, "SENTINELD_ATTEMPT=2"));
    hook_event_env_free(env);
    json_decref(o);
    hook_event_drop(e);
}

static void an_instance_is_taken_apart(void **state)
{
    (void)state;
    struct hook_event *e = event("+slave-reconf-sent", "slave 10.0.0.2:1 10.0.0.2 1 @ g 10.0.0.1 6379 more words", "g");
    json_t *o = json_of(e);
    assert_string_equal(text_at(o, "instance", "type"), "slave");
    assert_string_equal(text_at(o, "instance", "name"), "10.0.0.2:1");
    assert_int_equal(number_at(o, "instance", "port"), 1);
    assert_string_equal(text_at(o, "master", "host"), "10.0.0.1");
    assert_string_equal(text_at(o, "detail", NULL), "more words");
    json_decref(o);
    hook_event_drop(e);

    e = event("+odown", "master g 10.0.0.1 6379 #quorum 2/2", "g");
    o = json_of(e);
    assert_int_equal(number_at(o, "master", "port"), 6379);
    assert_string_equal(text_at(o, "detail", NULL), "#quorum 2/2");
    json_decref(o);
    hook_event_drop(e);
}

/* Payloads are bytes from outside, and some events have other shapes. */
static void odd_payloads_are_still_json(void **state)
{
    (void)state;
    static const char *const payloads[] = {"",
                                           " ",
                                           "master",
                                           "master g",
                                           "master g host",
                                           "master g host port",
                                           "master g 10.0.0.1 99999",
                                           "slave n 10.0.0.1 1 @",
                                           "slave n 10.0.0.1 1 @ g 10.0.0.1 -4 x",
                                           "#tilt mode entered",
                                           "\xff\xfe \"quoted\" \\ \x01 \xc3\xa9"};
    static const char *const names[] = {"+switch-master", "+tilt", "pre-failover"};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        for (size_t k = 0; k < 3; k++) {
            struct hook_event *e = event(names[k], payloads[i], k == 1 ? NULL : "g");
            json_t *o = json_of(e);
            assert_true(json_is_string(json_object_get(o, "payload")));
            assert_true(k != 1 || json_is_null(json_object_get(o, "group")));
            assert_null(json_object_get(o, "from"));
            assert_null(json_object_get(o, "to"));
            char **env = hook_event_env(e, 1);
            assert_true(has(env, k == 1 ? "SENTINELD_GROUP=" : "SENTINELD_GROUP=g"));
            hook_event_env_free(env);
            json_decref(o);
            hook_event_drop(e);
        }
    }
}

static void samples_look_like_the_real_thing(void **state)
{
    (void)state;
    static const char *const names[] = {"+switch-master", "pre-failover", "+odown", "+slave", "-sdown", "own"};
    struct addr master, replica;
    assert_true(addr_set(&master, slice_of("10.0.0.1"), 6379) && addr_set(&replica, slice_of("10.0.0.2"), 6380));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct hook_event *e = hook_event_sample(names[i], "g", &master, &replica);
        struct hook_facts f;
        hook_event_facts(e, &f);
        assert_true(e->test);
        assert_string_equal(i < 2 ? f.from.host : f.master.host, "10.0.0.1");
        assert_string_equal(i < 2 ? f.to.host : f.address.host, i == 3 || i < 2 ? "10.0.0.2" : "10.0.0.1");
        hook_event_drop(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_switch_names_both_masters),
        cmocka_unit_test(an_instance_is_taken_apart),
        cmocka_unit_test(odd_payloads_are_still_json),
        cmocka_unit_test(samples_look_like_the_real_thing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
