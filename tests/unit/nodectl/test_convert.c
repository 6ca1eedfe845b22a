/* nodectl config convert: what comes out loads in our own loader and says the same; what does not is named. */
#include "nodectl/convert.h"

#include "common/io/file.h"
#include "sentineld/shell/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "89abcdef0123456789abcdef0123456789abcdef"
#define PEER "0123456789abcdef0123456789abcdef01234567"
#define MONITOR "sentinel monitor m 127.0.0.1 6379 2\n"

static struct convert c;
static struct sentineld_config *loaded;
static char path[] = "/tmp/test_convert.XXXXXX";

static int start(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static int end(void **state)
{
    (void)state;
    return unlink(path);
}

static void forget(void)
{
    convert_free(&c);
    c = (struct convert){.out = {0}};
    config_free(loaded);
    loaded = NULL;
}

static int clean(void **state)
{
    (void)state;
    forget();
    return 0;
}

static void read_text(const char *text, size_t n)
{
    forget();
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    directives_read(&c.in, path, &c.errors);
}

/* Converts and loads what comes out. */
static void convert_bytes(const char *text, size_t n)
{
    struct conf_problems problems = {.count = 0};
    read_text(text, n);
    if (c.errors.n == 0)
        convert_to_sentineld(&c);
    if (c.errors.n > 0)
        fail_msg("%.*s\nrefused: %s", (int)n, text, buf_str(&c.errors));
    loaded = config_parse("converted", buf_slice(&c.out), &problems);
    if (loaded == NULL)
        fail_msg("%s\n%s", buf_str(&c.out), buf_str(&problems.text));
    buf_free(&problems.text);
}

static void convert(const char *text)
{
    convert_bytes(text, strlen(text));
}

static void refuse(const char *text, const char *error)
{
    read_text(text, strlen(text));
    if (c.errors.n == 0)
        convert_to_sentineld(&c);
    if (c.errors.n == 0 || strstr(buf_str(&c.errors), error) == NULL)
        fail_msg("%s\ngives: %s\nexpected: %s", text, buf_str(&c.errors), error);
}

static void expect_left(int lines, const char *text)
{
    int n = 0;
    for (const char *p = buf_str(&c.left); *p != '\0'; p++)
        n += *p == '\n';
    if (n != lines || (text != NULL && strstr(buf_str(&c.left), text) == NULL))
        fail_msg("left: %s\nexpected %d lines with: %s", buf_str(&c.left), lines, text != NULL ? text : "");
}

static void test_debian_file(void **state)
{
    (void)state;
    struct buf text = {0}, error = {0};
    struct conf_problems problems = {.count = 0};
    forget();
    if (!directives_read(&c.in, "tests/unit/nodectl/sentinel.conf", &c.errors))
        fail_msg("%s", buf_str(&c.errors));
    convert_to_sentineld(&c);
    assert_int_equal(c.errors.n, 0);
    loaded = config_parse("converted", buf_slice(&c.out), &problems);
    assert_non_null(loaded);
    assert_int_equal(loaded->group_count, 1);
    const struct config_group *g = &loaded->groups[0];
    assert_string_equal(g->name, "mymaster");
    assert_int_equal(g->settings.quorum, 2);
    assert_int_equal(g->settings.down_after_ms, 30000);
    assert_int_equal(g->settings.failover_timeout_ms, 180000);
    assert_int_equal(g->given, CONFIG_GIVEN_QUORUM | CONFIG_GIVEN_DOWN_AFTER | CONFIG_GIVEN_FAILOVER_TIMEOUT |
                                   CONFIG_GIVEN_PARALLEL_SYNCS | CONFIG_GIVEN_REBOOT_DOWN_AFTER);
    assert_string_equal(loaded->state_dir, "/var/lib/redis");
    assert_string_equal(loaded->log.file, "/var/log/redis/redis-sentinel.log");
    assert_string_equal(loaded->listen.v[0].host, "0.0.0.0");
    expect_left(4, "sentinel.conf:3: daemonize yes: not carried over: ");
    buf_free(&text);
    buf_free(&error);
    buf_free(&problems.text);
}

static void test_everything(void **state)
{
    (void)state;
    convert("port 5000\nbind 127.0.0.1 ::1\ndir /tmp\nlogfile s.log\nloglevel debug\n" MONITOR
            "sentinel down-after-milliseconds m 1234\nsentinel failover-timeout m 2345\nsentinel parallel-syncs m 3\n"
            "sentinel master-reboot-down-after-period m 4\nsentinel auth-user m u\nsentinel auth-pass m p\n"
            "sentinel notification-script m /bin/true\nsentinel client-reconfig-script m /bin/false\n"
            "sentinel rename-command m CONFIG XC\nsentinel config-epoch m 5\nsentinel leader-epoch m 6\n"
            "sentinel known-replica m 127.0.0.1 6380\nsentinel known-slave m ::1 6381\n"
            "sentinel known-sentinel m 127.0.0.1 26380 " PEER "\nsentinel myid " ID "\nsentinel current-epoch 7\n"
            "sentinel announce-ip 10.0.0.1\nsentinel announce-port 6000\nSENTINEL Resolve-Hostnames no\n"
            "sentinel announce-hostnames no\nsentinel deny-scripts-reconfig no\nsentinel sentinel-user pu\n"
            "sentinel sentinel-pass pp\nrequirepass own\n");
    expect_left(0, NULL);
    assert_int_equal(loaded->listen.n, 2);
    assert_string_equal(loaded->listen.v[1].host, "::1");
    assert_int_equal(loaded->listen.v[1].port, 5000);
    assert_string_equal(loaded->state_dir, "/tmp");
    assert_string_equal(loaded->log.file, "/tmp/s.log");
    assert_int_equal(loaded->log.level, IO_DEBUG);
    assert_string_equal(loaded->announce.host, "10.0.0.1");
    assert_int_equal(loaded->announce.port, 6000);
    assert_string_equal(loaded->id, ID);
    assert_int_equal(loaded->current_epoch, 7);
    assert_false(loaded->deny_scripts_reconfig);
    assert_string_equal(loaded->peer_auth.user, "pu");
    assert_string_equal(loaded->peer_auth.password, "pp");
    assert_int_equal(loaded->user_count, 1);
    assert_string_equal(loaded->users[0].name, "default");
    assert_string_equal(loaded->users[0].password, "own");
    const struct config_group *g = &loaded->groups[0];
    assert_int_equal(g->settings.down_after_ms, 1234);
    assert_int_equal(g->settings.failover_timeout_ms, 2345);
    assert_int_equal(g->settings.parallel_syncs, 3);
    assert_int_equal(g->settings.master_reboot_down_after_ms, 4);
    assert_string_equal(g->settings.auth_user, "u");
    assert_string_equal(g->settings.auth_pass, "p");
    assert_string_equal(g->settings.notification_script, "/bin/true");
    assert_string_equal(g->settings.client_reconfig_script, "/bin/false");
    assert_string_equal(sn_settings_command(&g->settings, "CONFIG"), "XC");
    assert_int_equal(g->config_epoch, 5);
    assert_int_equal(g->leader_epoch, 6);
    assert_int_equal(g->known_replicas.n, 2);
    assert_string_equal(g->known_replicas.v[1].host, "::1");
    assert_int_equal(g->known_sentinel_count, 1);
    assert_string_equal(g->known_sentinels[0].id, PEER);
    assert_int_equal(g->known_sentinels[0].address.port, 26380);
}

static void test_options_before_monitor(void **state)
{
    (void)state;
    convert("sentinel parallel-syncs b 7\nsentinel parallel-syncs m 8\n" MONITOR "sentinel monitor b 127.0.0.1 1 1\n");
    assert_int_equal(loaded->group_count, 2);
    assert_int_equal(loaded->groups[0].settings.parallel_syncs, 8);
    assert_int_equal(loaded->groups[1].settings.parallel_syncs, 7);
}

static void test_quoting(void **state)
{
    (void)state;
    convert(MONITOR "sentinel auth-pass m \"p\\\"w\\\\ \\xff\\n#;\"\nrequirepass 'it\\'s \"so\"'\n  \t\n# sentinel "
                    "auth-pass m x\n");
    assert_string_equal(loaded->groups[0].settings.auth_pass, "p\"w\\ \xff\n#;");
    assert_string_equal(loaded->users[0].password, "it's \"so\"");
    assert_string_equal(loaded->peer_auth.password, "it's \"so\""); /* as in Redis, without a sentinel-pass */
}

/* What a sentinel rewrites is longer than what people write: the last of a setting counts, lists may hold doubles. */
static void test_doubles(void **state)
{
    (void)state;
    convert(MONITOR "sentinel down-after-milliseconds m 1\nsentinel down-after-milliseconds m 2\n"
                    "sentinel known-replica m 127.0.0.1 1\nsentinel known-replica m 127.0.0.1 1\n"
                    "sentinel known-replica m 127.0.0.1 6379\n"
                    "sentinel known-sentinel m 127.0.0.1 2 " PEER "\nsentinel known-sentinel m 127.0.0.1 3 " PEER "\n");
    expect_left(2, "this replica is listed already");
    assert_int_equal(loaded->groups[0].settings.down_after_ms, 2);
    assert_int_equal(loaded->groups[0].known_replicas.n, 1); /* the master is none of its replicas */
    assert_int_equal(loaded->groups[0].known_sentinel_count, 1);
    assert_int_equal(loaded->groups[0].known_sentinels[0].address.port, 2);
}

static void test_epochs(void **state)
{
    (void)state;
    convert(
        MONITOR
        "sentinel config-epoch m 7000000000\nsentinel leader-epoch m 9223372036854775807\nsentinel current-epoch 1\n");
    assert_int_equal(loaded->groups[0].config_epoch, 7000000000);
    assert_int_equal(loaded->groups[0].leader_epoch, INT64_MAX);
    assert_int_equal(loaded->current_epoch, INT64_MAX);
}

static void test_left_out(void **state)
{
    (void)state;
    convert("protected-mode no\nsentinel made-up 1\ntls-port 5\nport 0\nbind * -::* some-name\n");
    expect_left(6, ":2: sentinel made-up 1: not carried over");
    assert_string_equal(loaded->listen.v[0].host, "0.0.0.0");
    assert_int_equal(loaded->listen.v[0].port, 26379);

    convert(MONITOR
            "sentinel rename-command m SHUTDOWN \"\"\nsentinel auth-user m u\nsentinel known-sentinel m 127.0.0.1 5\n"
            "sentinel failover-timeout m 9999999999\nsentinel sentinel-user u\nsentinel announce-ip my.name\n");
    expect_left(6, "carried over as 2147483647");
    assert_string_equal(loaded->groups[0].settings.auth_user, "");
    assert_int_equal(loaded->groups[0].settings.failover_timeout_ms, INT32_MAX);

    convert("sentinel monitor a,b 127.0.0.1 1 1\nsentinel parallel-syncs a,b 2\n" MONITOR);
    expect_left(2, "a,b 127.0.0.1 1 1: not carried over, nor its other lines");
    assert_int_equal(loaded->group_count, 1);

    convert("bind some-name\n");
    assert_string_equal(loaded->listen.v[0].host, "127.0.0.1"); /* never more open than before */

    convert_bytes("requirepass \"a\\x00b\"\n", 20);
    expect_left(1, "a NUL byte cannot be written");
}

static void test_secrets_are_not_shown(void **state)
{
    (void)state;
    convert(MONITOR "user x on >hush ~* -@all\nsentinel auth-pass m \"hush\\x00\"\n");
    expect_left(2, "user x ...: ");
    assert_null(strstr(buf_str(&c.left), "hush"));
    refuse(MONITOR "requirepass hush hush\nsentinel sentinel-pass hush hush\nsentinel auth-pass m hush hush\n",
           "requirepass ...: ");
    assert_null(strstr(buf_str(&c.errors), "hush"));
}

static void expect_default(const char *text, const char *password, int access, int left)
{
    convert(text);
    expect_left(left, NULL);
    for (size_t i = 0; i < loaded->user_count; i++) {
        if (strcmp(loaded->users[i].name, "default") != 0)
            continue;
        assert_string_equal(loaded->users[i].password, password);
        assert_int_equal(loaded->users[i].access, access);
        return;
    }
    assert_null(password);
}

/* The conversion never lets anybody in who was kept out. */
static void test_users(void **state)
{
    (void)state;
    expect_default("", "", CONFIG_ACCESS_ALL, 0);
    expect_default("user default on nopass sanitize-payload ~* &* +@all\n", "", CONFIG_ACCESS_ALL, 0);
    expect_default("user default on >pw ~* &* +@all\n", "pw", CONFIG_ACCESS_ALL, 0);
    expect_default("user default on #abc ~* &* +@all\nrequirepass pw\n", "pw", CONFIG_ACCESS_ALL, 0);
    expect_default("user default on #abc ~* &* +@all\n", "#abc", CONFIG_ACCESS_ALL, 1);
    expect_default("user default on nopass -@all +ping\n", "", CONFIG_ACCESS_READ, 1);
    expect_default("user default on >pw -@all +ping\n", "pw", CONFIG_ACCESS_READ, 1);
    expect_default("user default off\nuser a on >p ~* &* +@all\n", NULL, 0, 0);
    assert_int_equal(loaded->user_count, 1);
    expect_default("user a on >p ~* &* +@all\n", "", CONFIG_ACCESS_ALL, 0);
    assert_int_equal(loaded->user_count, 2);
    expect_default("user a off >p ~* &* +@all\nuser b on >p >q +@all\nuser d on +@all\nuser e on #ab +@all\n", "",
                   CONFIG_ACCESS_ALL, 4);
    refuse("user a on nopass +@all\nuser a on nopass +@all\n", "listed twice");
}

static void test_names(void **state)
{
    (void)state;
    convert("sentinel resolve-hostnames yes\nsentinel monitor m redis.example 1 1\nsentinel announce-ip me.example\n"
            "sentinel known-replica m other.example 2\n");
    assert_string_equal(loaded->groups[0].master.host, "redis.example");
    assert_string_equal(loaded->announce.host, "me.example");
    refuse("sentinel monitor m redis.example 1 1\n", "redis.example is a name");
    refuse(MONITOR "sentinel known-replica m other.example 2\n", "other.example is a name");
}

static void test_refused(void **state)
{
    (void)state;
    refuse("sentinel\n", "expected an option");
    refuse("sentinel monitor m 127.0.0.1 6379\n", "expected: sentinel monitor NAME HOST PORT QUORUM");
    refuse("sentinel monitor m 127.0.0.1 x 2\n", "the address of the master is wrong");
    refuse("sentinel monitor m 127.0.0.1 70000 2\n", "the address of the master is wrong");
    refuse("sentinel monitor m 127.0.0.1 6379 0\n", "the quorum is wrong");
    refuse(MONITOR MONITOR, ":2: sentinel monitor m 127.0.0.1 6379 2: there are two masters");
    refuse("sentinel parallel-syncs m 1\n", "no 'sentinel monitor' line has this name");
    refuse(MONITOR "sentinel parallel-syncs m 0\n", "expected a whole number, 1 or more");
    refuse(MONITOR "sentinel parallel-syncs m\n", "wrong number of words");
    refuse(MONITOR "sentinel down-after-milliseconds m 5s\n", "expected a whole number");
    refuse(MONITOR "sentinel known-replica m 127.0.0.1 0\n", "expected a host and a port");
    refuse(MONITOR "sentinel known-sentinel m 127.0.0.1 x " PEER "\n", "expected a host and a port");
    refuse(MONITOR "sentinel rename-command m a b\nsentinel rename-command m A c\n", "renamed twice");
    refuse("sentinel myid 12\n", "40 hexadecimal digits");
    refuse("sentinel current-epoch -1\n", "expected a whole number");
    refuse("sentinel announce-port x\n", "expected a port");
    refuse("sentinel resolve-hostnames maybe\n", "expected yes or no");
    refuse("sentinel myid\n", "expected one value");
    refuse("port x\n", "expected a port");
    refuse("loglevel loud\n", "expected debug");
    refuse("port 1 2\n", "expected one value");
    refuse("requirepass \"abc\n", "the quotes do not match");
    refuse("requirepass \"abc\"d\n", "the quotes do not match");
}

static void convert_noded(const char *text)
{
    read_text(text, strlen(text));
    if (c.errors.n == 0)
        convert_to_noded(&c);
}

static void test_noded(void **state)
{
    (void)state;
    struct conf_problems problems = {.count = 0};
    convert_noded(
        "port 7001\nbind 127.0.0.1 -::1\ndir /var/lib/x/../noded\nsave 3600 1 300 100\nsave 60 10000\n"
        "appendonly yes\ncluster-enabled no\nmaxmemory 100MB\nclient-query-buffer-limit 8589934592\n"
        "slaveof 10.0.0.1 1\n"
        "SLAVE-PRIORITY 5\nclient-output-buffer-limit normal 0 0 0\nclient-output-buffer-limit pubsub 32mb 8mb 60\n"
        "requirepass \"a \\\"b\"\nrename-command CONFIG \"\"\nloadmodule x.so\nunknown-thing 1\nhz 1\nhz 20\n"
        "slowlog-max-len 5000000000\ntls-port 6380\ntls-cluster no\n");
    assert_int_equal(c.errors.n, 0);
    assert_string_equal(
        buf_str(&c.out),
        "port = 7001;\nbind = [ \"127.0.0.1\", \"-::1\" ];\ndir = \"/var/lib/noded\";\n"
        "save = \"3600 1 300 100 60 10000\";\nappendonly = true;\ncluster_enabled = false;\n"
        "maxmemory = \"100MB\";\nclient_query_buffer_limit = \"8589934592\";\nreplicaof = \"10.0.0.1 1\";\n"
        "replica_priority = 5;\nclient_output_buffer_limit = [ \"normal 0 0 0\", \"pubsub 32mb 8mb 60\" ];\n"
        "requirepass = \"a \\\"b\";\nhz = 20;\nslowlog_max_len = 5000000000L;\n"
        "tls_cluster = false;\n");
    expect_left(4, "unknown-thing 1: not carried over: not a directive of Redis 7.0");
    expect_left(4, "tls-port 6380: not carried over: noded cannot do that");
    struct conf_file *f = conf_parse("converted", buf_slice(&c.out), &problems);
    assert_non_null(f);
    assert_int_equal(problems.count, 0);
    conf_free(f);
    convert_noded("save 1 2\nsave \"\"\n");
    assert_string_equal(buf_str(&c.out), "save = \"\";\n");
    convert_noded("port abc\nappendonly maybe\nmaxmemory lots\nhz\ndir a b\n");
    assert_non_null(strstr(buf_str(&c.errors), ":1: port abc: expected a whole number"));
    assert_non_null(strstr(buf_str(&c.errors), ":2: appendonly maybe: expected yes or no"));
    assert_non_null(strstr(buf_str(&c.errors), ":3: maxmemory lots: expected a size"));
    assert_non_null(strstr(buf_str(&c.errors), ":4: hz: expected one value"));
    assert_non_null(strstr(buf_str(&c.errors), ":5: dir a b: expected one value"));
    convert_noded("port 70000\nsave 900\nappendfsync maybe\nclient-output-buffer-limit master 1 1 1\n");
    assert_non_null(strstr(buf_str(&c.errors), ":1: port 70000: argument must be between 0 and 65535 inclusive"));
    assert_non_null(strstr(buf_str(&c.errors), ":2: save 900: Invalid save parameters"));
    assert_non_null(strstr(buf_str(&c.errors), ":3: appendfsync maybe: argument(s) must be one of the following: "));
    assert_non_null(strstr(buf_str(&c.errors), ":4: client-output-buffer-limit master 1 1 1: Invalid client class"));
}

static void test_unreadable(void **state)
{
    (void)state;
    forget();
    assert_false(directives_read(&c.in, "/does/not/exist", &c.errors));
    assert_non_null(strstr(buf_str(&c.errors), "/does/not/exist cannot be opened: No such file or directory\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_debian_file, clean),
        cmocka_unit_test_teardown(test_everything, clean),
        cmocka_unit_test_teardown(test_options_before_monitor, clean),
        cmocka_unit_test_teardown(test_quoting, clean),
        cmocka_unit_test_teardown(test_doubles, clean),
        cmocka_unit_test_teardown(test_epochs, clean),
        cmocka_unit_test_teardown(test_left_out, clean),
        cmocka_unit_test_teardown(test_secrets_are_not_shown, clean),
        cmocka_unit_test_teardown(test_users, clean),
        cmocka_unit_test_teardown(test_names, clean),
        cmocka_unit_test_teardown(test_refused, clean),
        cmocka_unit_test_teardown(test_noded, clean),
        cmocka_unit_test_teardown(test_unreadable, clean),
    };
    return cmocka_run_group_tests(tests, start, end);
}
