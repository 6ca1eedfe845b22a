/* SENTINEL SET: options and error texts are those of redis-sentinel 7.0.15, and one option more. */
#include "sentineld/core/settings.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNKNOWN "Unknown option or number of arguments for SENTINEL SET "
#define INVALID(value, option) "Invalid argument '" value "' for SENTINEL SET '" option "'"

static char error[200];

/* Sets from C strings; the list ends with NULL. */
static size_t set(struct sn_settings *s, ...)
{
    struct slice argv[8];
    size_t argc = 0;
    va_list ap;
    va_start(ap, s);
    for (const char *arg; (arg = va_arg(ap, const char *)) != NULL;)
        argv[argc++] = slice_of(arg);
    va_end(ap);
    error[0] = '\0';
    return sn_settings_set(s, argv, argc, error, sizeof error);
}

static int fresh(void **state)
{
    static struct sn_settings s;
    sn_settings_init(&s);
    *state = &s;
    return 0;
}

static int release(void **state)
{
    sn_settings_free(*state);
    return 0;
}

static void defaults(void **state)
{
    struct sn_settings *s = *state;
    assert_int_equal(s->quorum, 2);
    assert_int_equal(s->down_after_ms, 30000);
    assert_int_equal(s->failover_timeout_ms, 60000);
    assert_int_equal(s->parallel_syncs, 1);
    assert_int_equal(s->master_reboot_down_after_ms, 0);
    assert_int_equal(s->reborn_empty, SN_REBORN_FAILOVER);
    assert_string_equal(s->notification_script, "");
    assert_string_equal(s->client_reconfig_script, "");
    assert_string_equal(s->auth_user, "");
    assert_string_equal(s->auth_pass, "");
    assert_int_equal(s->nrenames, 0);
}

static void numbers(void **state)
{
    struct sn_settings *s = *state;
    assert_int_equal(set(s, "quorum", "3", NULL), 2);
    assert_int_equal(set(s, "Down-After-Milliseconds", "1", NULL), 2);
    assert_int_equal(set(s, "failover-timeout", "5", NULL), 2);
    assert_int_equal(set(s, "parallel-syncs", "2147483647", NULL), 2);
    assert_int_equal(set(s, "master-reboot-down-after-period", "7", NULL), 2);
    assert_int_equal(s->quorum, 3);
    assert_int_equal(s->down_after_ms, 1);
    assert_int_equal(s->failover_timeout_ms, 5);
    assert_int_equal(s->parallel_syncs, INT32_MAX);
    assert_int_equal(s->master_reboot_down_after_ms, 7);
    assert_int_equal(set(s, "master-reboot-down-after-period", "0", NULL), 2);
    assert_int_equal(s->master_reboot_down_after_ms, 0);
}

static void numbers_refused(void **state)
{
    struct sn_settings *s = *state;
    static const char *const options[] = {"quorum", "down-after-milliseconds", "failover-timeout", "parallel-syncs"};
    static const char *const values[] = {
        "0", "-1", "", "x", "1x", " 1", "01", "+1", "1.5", "99999999999999999999", "9223372036854775807"};
    for (size_t o = 0; o < 4; o++) {
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            char want[200];
            snprintf(want, sizeof want, INVALID("%s", "%s"), values[v], options[o]);
            assert_int_equal(set(s, options[o], values[v], NULL), 0);
            assert_string_equal(error, want);
        }
    }
    assert_int_equal(s->quorum, 2);
    assert_int_equal(s->down_after_ms, 30000);
    assert_int_equal(set(s, "master-reboot-down-after-period", "-1", NULL), 0);
    assert_string_equal(error, INVALID("-1", "master-reboot-down-after-period"));
}

static void ten_times_the_longest_time_is_a_number_of_microseconds(void **state)
{
    struct sn_settings *s = *state;
    assert_int_equal(set(s, "down-after-milliseconds", "100000000000000", NULL), 2);
    assert_true(s->down_after_ms <= INT64_MAX / 1000 / 10);
    assert_int_equal(set(s, "down-after-milliseconds", "100000000000001", NULL), 0);
}

static void texts(void **state)
{
    struct sn_settings *s = *state;
    assert_int_equal(set(s, "notification-script", "/bin/n", NULL), 2);
    assert_int_equal(set(s, "client-reconfig-script", "/bin/c", NULL), 2);
    assert_int_equal(set(s, "auth-user", "u", NULL), 2);
    assert_int_equal(set(s, "AUTH-PASS", "p w'\"\xff", NULL), 2);
    assert_string_equal(s->notification_script, "/bin/n");
    assert_string_equal(s->client_reconfig_script, "/bin/c");
    assert_string_equal(s->auth_user, "u");
    assert_string_equal(s->auth_pass, "p w'\"\xff");
    assert_int_equal(set(s, "notification-script", "", NULL), 2);
    assert_int_equal(set(s, "client-reconfig-script", "", NULL), 2);
    assert_int_equal(set(s, "auth-user", "", NULL), 2);
    assert_int_equal(set(s, "auth-pass", "", NULL), 2);
    assert_string_equal(s->notification_script, "");
    assert_string_equal(s->client_reconfig_script, "");
    assert_string_equal(s->auth_user, "");
    assert_string_equal(s->auth_pass, "");
}

static void a_nul_would_cut_a_text(void **state)
{
    struct sn_settings *s = *state;
    struct slice argv[] = {slice_of("auth-pass"), {"secret\0more", 11}};
    assert_int_equal(sn_settings_set(s, argv, 2, error, sizeof error), 0);
    assert_string_equal(error, INVALID("******", "auth-pass")); /* a secret is never repeated */
    assert_string_equal(s->auth_pass, "");
}

static void reborn_empty(void **state)
{
    struct sn_settings *s = *state;
    assert_int_equal(set(s, "reborn-empty", "FOLLOW", NULL), 2);
    assert_int_equal(s->reborn_empty, SN_REBORN_FOLLOW);
    assert_int_equal(set(s, "reborn-empty", "failover", NULL), 2);
    assert_int_equal(s->reborn_empty, SN_REBORN_FAILOVER);
    assert_int_equal(set(s, "reborn-empty", "", NULL), 0);
    assert_string_equal(error, INVALID("", "reborn-empty"));
}

static void unknown(void **state)
{
    struct sn_settings *s = *state;
    assert_int_equal(set(s, "nosuch", "1", NULL), 0);
    assert_string_equal(error, UNKNOWN "'nosuch'");
    assert_int_equal(set(s, "quorum", NULL), 0);
    assert_string_equal(error, UNKNOWN "'quorum'");
    assert_int_equal(set(s, "rename-command", "a", NULL), 0);
    assert_string_equal(error, UNKNOWN "'rename-command'");
    assert_int_equal(set(s, "", "1", NULL), 0);
    assert_string_equal(error, UNKNOWN "''");
    assert_int_equal(sn_settings_set(s, NULL, 0, error, sizeof error), 0);
}

static void errors_stay_one_line_and_bounded(void **state)
{
    struct sn_settings *s = *state;
    char small[20], name[1000];
    assert_int_equal(set(s, "no\r\nsuch", "1", NULL), 0);
    assert_string_equal(error, UNKNOWN "'no  such'");
    memset(name, 'x', sizeof name);
    struct slice argv[] = {{name, sizeof name}, slice_of("1")};
    memset(error, '#', sizeof error);
    assert_int_equal(sn_settings_set(s, argv, 2, error, sizeof error), 0);
    assert_int_equal(strlen(error), sizeof error - 1);
    assert_int_equal(sn_settings_set(s, argv, 2, small, sizeof small), 0);
    assert_int_equal(strlen(small), sizeof small - 1);
}

static void takes_only_its_own_arguments(void **state)
{
    struct sn_settings *s = *state;
    assert_int_equal(set(s, "quorum", "4", "auth-pass", "x", NULL), 2);
    assert_int_equal(s->quorum, 4);
    assert_string_equal(s->auth_pass, "");
    assert_int_equal(set(s, "rename-command", "a", "b", "quorum", NULL), 3);
}

static void renames(void **state)
{
    struct sn_settings *s = *state;
    static const char slaveof[] = "SLAVEOF";
    assert_ptr_equal(sn_settings_command(s, slaveof), slaveof);
    assert_int_equal(set(s, "rename-command", "slaveof", "s1", NULL), 3);
    assert_int_equal(set(s, "rename-command", "CONFIG", "c1", NULL), 3);
    assert_int_equal(set(s, "rename-command", "client", "k1", NULL), 3);
    assert_string_equal(sn_settings_command(s, "SLAVEOF"), "s1");
    assert_string_equal(sn_settings_command(s, "config"), "c1");
    assert_int_equal(set(s, "rename-command", "SlaveOf", "s2", NULL), 3);
    assert_int_equal(s->nrenames, 3);
    assert_string_equal(sn_settings_command(s, "slaveof"), "s2");
    assert_int_equal(set(s, "rename-command", "slaveof", "SLAVEOF", NULL), 3); /* to itself: no longer renamed */
    assert_int_equal(s->nrenames, 2);
    assert_ptr_equal(sn_settings_command(s, slaveof), slaveof);
    assert_string_equal(sn_settings_command(s, "CONFIG"), "c1");
    assert_string_equal(sn_settings_command(s, "CLIENT"), "k1");
    assert_int_equal(set(s, "rename-command", "never", "never", NULL), 3);
    assert_int_equal(s->nrenames, 2);
}

static void renames_refused(void **state)
{
    struct sn_settings *s = *state;
    assert_int_equal(set(s, "rename-command", "", "b", NULL), 0);
    assert_string_equal(error, INVALID("", "rename-command"));
    assert_int_equal(set(s, "rename-command", "b", "", NULL), 0);
    assert_string_equal(error, INVALID("", "rename-command"));
    assert_int_equal(set(s, "rename-command", "a b", "c", NULL), 0);
    assert_string_equal(error, INVALID("a b", "rename-command"));
    assert_int_equal(set(s, "rename-command", "a", "c\r\nd", NULL), 0);
    assert_string_equal(error, INVALID("c  d", "rename-command"));
    assert_int_equal(s->nrenames, 0);
}

static void change_all(struct sn_settings *s)
{
    assert_int_equal(set(s, "quorum", "5", NULL), 2);
    assert_int_equal(set(s, "down-after-milliseconds", "1234", NULL), 2);
    assert_int_equal(set(s, "failover-timeout", "2345", NULL), 2);
    assert_int_equal(set(s, "parallel-syncs", "6", NULL), 2);
    assert_int_equal(set(s, "master-reboot-down-after-period", "3456", NULL), 2);
    assert_int_equal(set(s, "reborn-empty", "follow", NULL), 2);
    assert_int_equal(set(s, "notification-script", "/n", NULL), 2);
    assert_int_equal(set(s, "client-reconfig-script", "/c", NULL), 2);
    assert_int_equal(set(s, "auth-user", "me", NULL), 2);
    assert_int_equal(set(s, "auth-pass", "se cret", NULL), 2);
    assert_int_equal(set(s, "rename-command", "config", "zzz", NULL), 3);
    assert_int_equal(set(s, "rename-command", "slaveof", "yyy", NULL), 3);
}

struct listing {
    struct buf text;
    struct sn_settings *to; /* each option is set here again */
};

static void list_one(void *arg, const char *option, const char *value)
{
    struct listing *l = arg;
    buf_printf(&l->text, "%s=%s\n", option, value);
    if (l->to == NULL)
        return;
    struct slice rest = slice_of(value);
    struct slice argv[3] = {slice_of(option), rest, {NULL, 0}};
    size_t argc = 2;
    if (strcmp(option, "rename-command") == 0) {
        argv[1] = slice_cut(&rest, ' ');
        argv[2] = rest;
        argc = 3;
    }
    assert_int_equal(sn_settings_set(l->to, argv, argc, error, sizeof error), argc);
}

static void listed(void **state)
{
    struct sn_settings *s = *state;
    struct listing l = {.to = NULL};
    change_all(s);
    sn_settings_each(s, list_one, &l);
    assert_string_equal(buf_str(&l.text),
                        "quorum=5\ndown-after-milliseconds=1234\nfailover-timeout=2345\nparallel-syncs=6\n"
                        "master-reboot-down-after-period=3456\nnotification-script=/n\n"
                        "client-reconfig-script=/c\nauth-user=me\nauth-pass=se cret\nreborn-empty=follow\n"
                        "rename-command=config zzz\nrename-command=slaveof yyy\n");
    buf_free(&l.text);
}

static void what_is_listed_can_be_set_again(void **state)
{
    struct sn_settings *s = *state;
    struct sn_settings again;
    struct listing first = {.to = &again}, second = {.to = NULL};
    sn_settings_init(&again);
    change_all(s);
    sn_settings_each(s, list_one, &first);
    sn_settings_each(&again, list_one, &second);
    assert_string_equal(buf_str(&second.text), buf_str(&first.text));
    buf_free(&first.text);
    buf_free(&second.text);
    sn_settings_free(&again);
}

static void a_copy_is_independent(void **state)
{
    struct sn_settings *s = *state;
    struct sn_settings copy;
    struct listing l = {.to = NULL}, m = {.to = NULL};
    change_all(s);
    sn_settings_copy(&copy, s);
    sn_settings_each(s, list_one, &l);
    assert_int_equal(set(s, "auth-pass", "other", NULL), 2);
    assert_int_equal(set(s, "rename-command", "config", "config", NULL), 3);
    assert_int_equal(set(s, "rename-command", "slaveof", "changed", NULL), 3);
    sn_settings_each(&copy, list_one, &m);
    assert_string_equal(buf_str(&m.text), buf_str(&l.text));
    sn_settings_free(&copy);
    assert_null(copy.auth_pass);
    buf_free(&l.text);
    buf_free(&m.text);
}

static void random_arguments(void **state)
{
    struct sn_settings *s = *state;
    static const char *const words[] = {
        "quorum", "auth-pass", "rename-command",     "reborn-empty", "down-after-milliseconds", "follow", "12",
        "",       "x y",       "notification-script"};
    struct rng r;
    rng_seed(&r, 3);
    for (int i = 0; i < 20000; i++) {
        struct slice argv[4];
        char noise[16];
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (char)rng_below(&r, 256);
        size_t argc = (size_t)rng_below(&r, 5);
        for (size_t k = 0; k < argc; k++)
            argv[k] = rng_below(&r, 3) == 0 ? (struct slice){noise, (size_t)rng_below(&r, sizeof noise + 1)}
                                            : slice_of(words[rng_below(&r, 10)]);
        memset(error, 0, sizeof error);
        size_t took = sn_settings_set(s, argv, argc, error, sizeof error);
        assert_true(took <= argc);
        assert_int_equal(took == 0, error[0] != '\0');
        assert_true(s->quorum >= 1 && s->down_after_ms >= 1);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, release)
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(numbers),
        TEST(numbers_refused),
        TEST(ten_times_the_longest_time_is_a_number_of_microseconds),
        TEST(texts),
        TEST(a_nul_would_cut_a_text),
        TEST(reborn_empty),
        TEST(unknown),
        TEST(errors_stay_one_line_and_bounded),
        TEST(takes_only_its_own_arguments),
        TEST(renames),
        TEST(renames_refused),
        TEST(listed),
        TEST(what_is_listed_can_be_set_again),
        TEST(a_copy_is_independent),
        TEST(random_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
