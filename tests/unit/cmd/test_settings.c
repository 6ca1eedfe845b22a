#include "noded/cmd/settings.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct nd_config config;

static int setup(void **state)
{
    (void)state;
    nd_config_init(&config);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nd_config_free(&config);
    return 0;
}

static const struct nd_setting *row(const char *name)
{
    const struct nd_setting *s = nd_setting_find(slice_of(name));
    if (s == NULL)
        fail_msg("no setting '%s'", name);
    return s;
}

static void shows(const char *name, const char *value)
{
    struct buf out = {0};
    nd_setting_get(row(name), &config, &out);
    if (strcmp(buf_str(&out), value) != 0)
        fail_msg("%s is '%s' instead of '%s'", name, buf_str(&out), value);
    buf_free(&out);
}

static void takes(const char *name, const char *value, const char *shown)
{
    struct buf why = {0};
    struct slice word = slice_of(value);
    if (!nd_setting_set(row(name), &config, &word, 1, &why))
        fail_msg("%s does not take '%s': %s", name, value, buf_str(&why));
    buf_free(&why);
    shows(name, shown);
}

/* And what it was it still is. */
static void refuses(const char *name, const char *value, const char *reason)
{
    struct buf why = {0}, before = {0}, after = {0};
    struct slice word = slice_of(value);
    nd_setting_get(row(name), &config, &before);
    if (nd_setting_set(row(name), &config, &word, 1, &why))
        fail_msg("%s takes '%s'", name, value);
    assert_string_equal(buf_str(&why), reason);
    nd_setting_get(row(name), &config, &after);
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
    buf_free(&why);
    buf_free(&before);
    buf_free(&after);
}

static void rows_are_in_order_and_found_by_both_names(void **state)
{
    (void)state;
    const struct nd_setting *s, *before = NULL;
    size_t n = 0;
    for (; (s = nd_setting_at(n)) != NULL; n++) {
        if (before != NULL && strcmp(nd_setting_name(before), nd_setting_name(s)) >= 0)
            fail_msg("%s stands before %s", nd_setting_name(before), nd_setting_name(s));
        assert_ptr_equal(nd_setting_find(slice_of(nd_setting_name(s))), s);
        if (nd_setting_alias(s) != NULL)
            assert_ptr_equal(nd_setting_find(slice_of(nd_setting_alias(s))), s);
        assert_true(strlen(nd_setting_help(s)) > 5);
        assert_true(nd_setting_is_default(s, &config));
        before = s;
    }
    assert_true(n > 150);
    assert_ptr_equal(row("MaxMemory"), row("maxmemory"));
    assert_null(nd_setting_find(slice_of("maxmemor")));
    assert_string_equal(nd_setting_nearest(slice_of("maxmemroy")), "maxmemory");
    assert_null(nd_setting_nearest(slice_of("entirely-different-thing")));
}

/* What is shown can be set again, and changes nothing. */
static void what_is_shown_is_taken(void **state)
{
    (void)state;
    const struct nd_setting *s;
    struct buf out = {0}, why = {0};
    for (size_t i = 0; (s = nd_setting_at(i)) != NULL; i++) {
        buf_clear(&out);
        nd_setting_get(s, &config, &out);
        char *text = slice_dup(buf_slice(&out));
        struct slice word = slice_of(text);
        if (!nd_setting_set(s, &config, &word, 1, &why))
            fail_msg("%s does not take '%s', which it shows: %s", nd_setting_name(s), text, buf_str(&why));
        shows(nd_setting_name(s), text);
        assert_true(nd_setting_is_default(s, &config));
        free(text);
    }
    buf_free(&out);
    buf_free(&why);
}

static void simple_kinds(void **state)
{
    (void)state;
    takes("appendonly", "YES", "yes");
    refuses("appendonly", "true", "argument must be 'yes' or 'no'");
    takes("timeout", "5", "5");
    assert_int_equal(config.timeout_s, 5);
    refuses("timeout", "05", "argument couldn't be parsed into an integer");
    refuses("timeout", "", "argument couldn't be parsed into an integer");
    refuses("timeout", "-1", "argument must be between 0 and 2147483647 inclusive");
    takes("slowlog-log-slower-than", "-1", "-1");
    takes("slave-priority", "7", "7");
    shows("replica-priority", "7");
    takes("loglevel", "WARNING", "warning");
    refuses("loglevel", "loud", "argument(s) must be one of the following: debug, verbose, notice, warning");
    takes("maxmemory-policy", "Allkeys-LFU", "allkeys-lfu");
    assert_int_equal(config.maxmemory_policy, ND_ALLKEYS_LFU);
    takes("unixsocketperm", "770", "770");
    assert_int_equal(config.unixsocketperm, 0770);
    refuses("unixsocketperm", "888", "argument couldn't be parsed as an octal number");
    refuses("unixsocketperm", "1777", "argument must be between 0 and 777 inclusive");
    takes("hz", "0", "1");
    takes("hz", "1000", "500");
    takes("requirepass", "two words", "two words");
    refuses("appendfilename", "a/b", "appendfilename can't be a path, just a filename");
}

static void memory_values(void **state)
{
    (void)state;
    takes("maxmemory", "1k", "1000");
    takes("maxmemory", "1KB", "1024");
    takes("maxmemory", "3mb", "3145728");
    takes("maxmemory", "2g", "2000000000");
    takes("maxmemory", "10b", "10");
    takes("maxmemory", "", "0");
    refuses("maxmemory", "1.5mb", "argument must be a memory value");
    refuses("maxmemory", "-1", "argument must be a memory value");
    refuses("maxmemory", "1tb", "argument must be a memory value");
    refuses("hash-max-listpack-value", "99999999999999999999",
            "argument must be between 0 and 9223372036854775807 inclusive");
    refuses("proto-max-bulk-len", "1kb", "argument must be between 1048576 and 536870912 inclusive");
    takes("repl-backlog-size", "10", "16384");
    takes("maxmemory-clients", "5%", "5%");
    assert_int_equal(config.maxmemory_clients, -5);
    takes("maxmemory-clients", "1mb", "1048576");
    takes("maxmemory-clients", "0%", "0");
    refuses("maxmemory-clients", "101%", "percentage argument must be less or equal to 100");
    refuses("maxmemory-clients", "-5%", "argument must be a memory or percent value");
}

static void several_words(void **state)
{
    (void)state;
    takes("save", "900 1 300 10", "900 1 300 10");
    takes("save", "", "");
    refuses("save", "900", "Invalid save parameters");
    refuses("save", "0 1", "Invalid save parameters");
    const char *rest = "slave 268435456 67108864 60 pubsub 33554432 8388608 60";
    char text[200];
    snprintf(text, sizeof text, "normal 1048576 0 5 %s", rest);
    takes("client-output-buffer-limit", "normal 1mb 0 5", text);
    assert_int_equal(config.output[ND_CLASS_NORMAL].hard_bytes, 1048576);
    takes("client-output-buffer-limit", "replica 1 2 3 normal 0 0 0",
          "normal 0 0 0 slave 1 2 3 pubsub 33554432 8388608 60");
    refuses("client-output-buffer-limit", "normal 1 2", "Wrong number of arguments in buffer limit configuration.");
    refuses("client-output-buffer-limit", "normal 0 0 0 master 1 1 1",
            "Invalid client class specified in buffer limit configuration.");
    refuses("client-output-buffer-limit", "normal 0 0 -5",
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    takes("notify-keyspace-events", "KEA", "AKE");
    takes("notify-keyspace-events", "Elg", "glE");
    refuses("notify-keyspace-events", "qq", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    takes("shutdown-on-sigterm", "force now save", "save now force");
    refuses("shutdown-on-sigterm", "save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously");
    takes("replicaof", "host 6379", "host 6379");
    takes("replicaof", "no one", "");
    refuses("replicaof", "host 99999", "Invalid master port");
    takes("latency-tracking-info-percentiles", "50 99.99", "50 99.99");
    refuses("latency-tracking-info-percentiles", "101",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
    takes("bind", "127.0.0.1   -::1", "127.0.0.1 -::1");
    struct slice words[] = {slice_of("10.0.0.1"), slice_of("10.0.0.2")};
    struct buf why = {0};
    assert_true(nd_setting_set(row("bind"), &config, words, 2, &why));
    shows("bind", "10.0.0.1 10.0.0.2");
    assert_false(nd_setting_set(row("timeout"), &config, words, 2, &why));
    assert_string_equal(buf_str(&why), "wrong number of arguments");
    buf_free(&why);
}

/* Whoever asks for TLS must not believe that he has it. */
static void what_is_not_to_be_had(void **state)
{
    (void)state;
    takes("tls-port", "0", "0");
    refuses("tls-port", "6380", "this server cannot do that: only the default is taken");
    refuses("aclfile", "users.acl", "this server cannot do that: only the default is taken");
    takes("io-threads", "4", "4");
    assert_true(nd_setting_unused(row("io-threads")));
    assert_false(nd_setting_is_default(row("io-threads"), &config));
    assert_true(nd_setting_sensitive(row("requirepass")));
    assert_true(nd_setting_immutable(row("databases")));
    assert_true(nd_setting_protected(row("dir")));
}

static void a_copy_is_deep(void **state)
{
    (void)state;
    struct nd_config copy;
    takes("requirepass", "first", "first");
    takes("io-threads", "2", "2");
    nd_config_copy(&copy, &config);
    takes("requirepass", "second", "second");
    takes("io-threads", "3", "3");
    takes("maxmemory", "1gb", "1073741824");
    nd_config_free(&config);
    config = copy;
    shows("requirepass", "first");
    shows("io-threads", "2");
    shows("maxmemory", "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_in_order_and_found_by_both_names, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_shown_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(simple_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_values, setup, teardown),
        cmocka_unit_test_setup_teardown(several_words, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_to_be_had, setup, teardown),
        cmocka_unit_test_setup_teardown(a_copy_is_deep, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
