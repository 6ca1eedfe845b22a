#include "noded/shell/config_file.h"

#include "noded/shell/arguments.h"
#include "noded/shell/config_rewrite.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct nd_setting *row(const char *name)
{
    const struct nd_setting *s = nd_setting_find(slice_of(name));
    assert_non_null(s);
    return s;
}

static void shows(const struct nd_config *c, const char *name, const char *value)
{
    struct buf out = {0};
    nd_setting_get(row(name), c, &out);
    if (strcmp(buf_str(&out), value) != 0)
        fail_msg("%s is '%s' instead of '%s'", name, buf_str(&out), value);
    buf_free(&out);
}

static void set(struct nd_config *c, const char *name, const char *value)
{
    struct buf why = {0};
    struct slice word = slice_of(value);
    assert_true(nd_setting_set(row(name), c, &word, 1, &why));
    buf_free(&why);
}

static void reads_all_kinds(void **state)
{
    (void)state;
    static const char text[] = "# a comment\n"
                               "port = 7001; bind = [ \"127.0.0.1\", \"-::1\" ];\n"
                               "save = \"3600 1 300 100\"; appendonly = true, maxmemory = \"256mb\"\n"
                               "client_output_buffer_limit = [ \"normal 1mb 0 0\", \"replica 2mb 1mb 60\" ];\n"
                               "unixsocketperm = \"700\"; io_threads : 2\n"
                               "slowlog-max-len = 5000000000L; bio_cpulist = \"0-1\"; slave_priority = 7;\n";
    struct nd_config c;
    struct conf_problems p = {.count = 0};
    struct config_given given = {0};
    nd_config_init(&c);
    bool ok = config_text_read("t.conf", slice_of(text), &c, &given, &p);
    if (!ok)
        fail_msg("%s", buf_str(&p.text));
    assert_int_equal(given.n, 11);
    shows(&c, "port", "7001");
    shows(&c, "bind", "127.0.0.1 -::1");
    shows(&c, "save", "3600 1 300 100");
    shows(&c, "appendonly", "yes");
    shows(&c, "maxmemory", "268435456");
    shows(&c, "client-output-buffer-limit", "normal 1048576 0 0 slave 2097152 1048576 60 pubsub 33554432 8388608 60");
    shows(&c, "unixsocketperm", "700");
    shows(&c, "io-threads", "2");
    shows(&c, "slowlog-max-len", "5000000000");
    shows(&c, "bio_cpulist", "0-1");
    shows(&c, "replica-priority", "7");
    config_given_free(&given);
    buf_free(&p.text);
    nd_config_free(&c);
}

static void problem(const char *text, const char *expected)
{
    struct nd_config c;
    struct conf_problems p = {.count = 0};
    nd_config_init(&c);
    assert_false(config_text_read("t.conf", slice_of(text), &c, NULL, &p));
    if (strcmp(buf_str(&p.text), expected) != 0)
        fail_msg("'%s' instead of '%s'", buf_str(&p.text), expected);
    buf_free(&p.text);
    nd_config_free(&c);
}

static void says_where_and_what(void **state)
{
    (void)state;
    problem("\nprot = 1;\n", "t.conf:2: prot: unknown key (did you mean 'port'?)\n");
    problem("max_memory = 1;\n", "t.conf:1: max_memory: unknown key (did you mean 'maxmemory'?)\n");
    problem("loadmodule = \"x\";\n", "t.conf:1: loadmodule: unknown key; noded --help shows those that there are\n");
    problem("port = 70000;\nappendonly = 5;\n", "t.conf:1: port: argument must be between 0 and 65535 inclusive\n"
                                                "t.conf:2: appendonly: argument must be 'yes' or 'no'\n");
    problem("port = [ 1, 2 ];\n", "t.conf:1: port: expected one value: 0-65535 (TCP port; 0: none)\n");
    problem("port = { a = 1; };\n", "t.conf:1: port: expected one value: 0-65535 (TCP port; 0: none)\n");
    problem("replicaof = \"a 1\";\nslaveof = \"b 2\";\n",
            "t.conf:2: slaveof: given twice: replicaof is the same setting\n");
    problem("port 6379\n", "t.conf:1: syntax error at or before: port 6379\n");
}

/* ---- rewriting ---- */

static void rewrites(const char *old, const struct nd_config *c, const char *expected)
{
    struct buf out = {0}, why = {0};
    if (!config_rewrite_text("t.conf", slice_of(old), c, &out, &why))
        fail_msg("%s", buf_str(&why));
    if (strcmp(buf_str(&out), expected) != 0)
        fail_msg("---- instead of\n%s---- it is\n%s", expected, buf_str(&out));
    struct buf again = {0}; /* and then there is nothing more to write */
    assert_true(config_rewrite_text("t.conf", buf_slice(&out), c, &again, &why));
    assert_string_equal(buf_str(&again), buf_str(&out));
    buf_free(&again);
    buf_free(&out);
    buf_free(&why);
}

static const char file[] = "# my file\n"
                           "port = 7001; /* stays */ bind = [ \"127.0.0.1\" ]; // also stays = 1;\n"
                           "\n"
                           "maxmemory = \"1gb\" # a unit\n"
                           "timeout : 5,\n"
                           "requirepass = \"a;b # = c\" \"d\\\"e\";\n"
                           "save = \"3600 1\"\n";

static void unchanged_is_untouched(void **state)
{
    (void)state;
    struct nd_config c;
    struct conf_problems p = {.count = 0};
    nd_config_init(&c);
    assert_true(config_text_read("t.conf", slice_of(file), &c, NULL, &p));
    shows(&c, "requirepass", "a;b # = cd\"e");
    rewrites(file, &c, file);
    nd_config_free(&c);
}

static void changes_stand_in_their_place(void **state)
{
    (void)state;
    struct nd_config c;
    struct conf_problems p = {.count = 0};
    nd_config_init(&c);
    assert_true(config_text_read("t.conf", slice_of(file), &c, NULL, &p));
    set(&c, "port", "7002");
    set(&c, "bind", "127.0.0.1 10.0.0.1");
    set(&c, "maxmemory", "100mb");
    set(&c, "requirepass", "new");
    set(&c, "save", "");
    set(&c, "appendonly", "yes");
    set(&c, "slowlog-max-len", "5000000000");
    set(&c, "client-output-buffer-limit", "normal 5mb 0 0");
    set(&c, "unixsocketperm", "700");
    rewrites(file, &c,
             "# my file\n"
             "port = 7002; /* stays */ bind = [ \"127.0.0.1\", \"10.0.0.1\" ]; // also stays = 1;\n"
             "\n"
             "maxmemory = \"100mb\" # a unit\n"
             "timeout : 5,\n"
             "requirepass = \"new\";\n"
             "save = \"\"\n"
             "\n"
             "# Written by CONFIG REWRITE:\n"
             "appendonly = true;\n"
             "client_output_buffer_limit = [ \"normal 5242880 0 0\", \"slave 268435456 67108864 60\", "
             "\"pubsub 33554432 8388608 60\" ];\n"
             "slowlog_max_len = 5000000000L;\n"
             "unixsocketperm = \"700\";\n");
    nd_config_free(&c);
}

static void a_cluster_has_no_replicaof_in_the_file(void **state)
{
    (void)state;
    struct nd_config c;
    nd_config_init(&c);
    set(&c, "cluster-enabled", "yes");
    set(&c, "replicaof", "127.0.0.1 7002");
    rewrites("cluster_enabled = true;\n", &c, "cluster_enabled = true;\n");
    rewrites("replicaof = \"127.0.0.1 7001\";\ncluster_enabled = true;\n", &c, "cluster_enabled = true;\n");
    rewrites("cluster_enabled = true; # ours\n  slaveof : \"127.0.0.1 7001\" ,  \ntimeout = 0;", &c,
             "cluster_enabled = true; # ours\ntimeout = 0;\n");
    rewrites("cluster_enabled = true; replicaof = \"h 1\"; timeout = 0; # why\n", &c,
             "cluster_enabled = true;  timeout = 0; # why\n");
    rewrites("cluster_enabled = true;\nreplicaof = \"h 1\"; # its master\n", &c,
             "cluster_enabled = true;\n # its master\n");
    rewrites("cluster_enabled = true;\nreplicaof = \"h\" \" 1\"", &c, "cluster_enabled = true;\n");
    set(&c, "cluster-enabled", "no");
    rewrites("", &c, "\n# Written by CONFIG REWRITE:\nreplicaof = \"127.0.0.1 7002\";\n");
    nd_config_free(&c);
}

static void an_empty_file_gets_all_that_is_not_default(void **state)
{
    (void)state;
    struct nd_config c;
    nd_config_init(&c);
    set(&c, "port", "7001");
    set(&c, "notify-keyspace-events", "KEA");
    rewrites("", &c, "\n# Written by CONFIG REWRITE:\nnotify_keyspace_events = \"AKE\";\nport = 7001;\n");
    rewrites("timeout = 0", &c,
             "timeout = 0\n\n# Written by CONFIG REWRITE:\nnotify_keyspace_events = \"AKE\";\nport = 7001;\n");
    nd_config_free(&c);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void included_files_are_left_alone(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_config_XXXXXX", path[64], inner[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/main.conf", folder);
    snprintf(inner, sizeof inner, "%s/inner.conf", folder);
    write_file(path, "port = 7001;\n@include \"inner.conf\"\n");
    write_file(inner, "timeout = 5;\n");
    struct nd_config c;
    struct conf_problems p = {.count = 0};
    struct buf why = {0};
    nd_config_init(&c);
    assert_true(config_file_read(path, &c, NULL, &p));
    set(&c, "port", "7002");
    assert_true(config_rewrite(path, &c, &why));
    set(&c, "timeout", "6");
    assert_false(config_rewrite(path, &c, &why));
    assert_string_equal(buf_str(&why), "timeout is set in an included file, which is not rewritten: change it there");
    nd_config_free(&c);
    nd_config_init(&c);
    assert_true(config_file_read(path, &c, NULL, &p));
    shows(&c, "port", "7002");
    shows(&c, "timeout", "5");
    nd_config_free(&c);
    buf_free(&why);
    unlink(path);
    unlink(inner);
    rmdir(folder);
}

/* ---- the command line ---- */

static bool apply(struct nd_config *c, struct buf *error, struct arguments *a, char **argv)
{
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    return arguments_read(argc, argv, a, error) && arguments_apply(a, c, error);
}
#define ARGV(...) ((char *[]){"noded", __VA_ARGS__, NULL})

static void command_line(void **state)
{
    (void)state;
    struct nd_config c;
    struct buf error = {0};
    struct arguments a;
    nd_config_init(&c);
    assert_true(apply(&c, &error, &a,
                      ARGV("f.conf", "--port", "7000", "--bind", "127.0.0.1", "-::1", "--save", "900 1", "--save",
                           "300", "10", "--replicaof", "127.0.0.1 7001", "--maxmemory=5mb", "--list-max-listpack-size",
                           "-3", "--client-output-buffer-limit", "normal", "1", "2", "3",
                           "--client-output-buffer-limit", "pubsub 4 5 6")));
    assert_string_equal(a.file, "f.conf");
    shows(&c, "port", "7000");
    shows(&c, "bind", "127.0.0.1 -::1");
    shows(&c, "save", "900 1 300 10");
    shows(&c, "replicaof", "127.0.0.1 7001");
    shows(&c, "maxmemory", "5242880");
    shows(&c, "list-max-listpack-size", "-3");
    shows(&c, "client-output-buffer-limit", "normal 1 2 3 slave 268435456 67108864 60 pubsub 4 5 6");
    arguments_free(&a);
    assert_true(apply(&c, &error, &a,
                      ARGV("--save", "900 1", "--save", "", "--requirepass", "--dash", "--appendonly", "no")) == false);
    arguments_free(&a);
    buf_clear(&error);
    assert_true(apply(&c, &error, &a, ARGV("--save", "900 1", "--save", "", "--check")));
    assert_true(a.check);
    assert_null(a.file);
    shows(&c, "save", "");
    arguments_free(&a);
    nd_config_free(&c);
    buf_free(&error);
}

static void refused(char **argv, const char *expected)
{
    struct nd_config c;
    struct buf error = {0};
    struct arguments a;
    nd_config_init(&c);
    assert_false(apply(&c, &error, &a, argv));
    assert_string_equal(buf_str(&error), expected);
    arguments_free(&a);
    nd_config_free(&c);
    buf_free(&error);
}

static void wrong_command_lines(void **state)
{
    (void)state;
    refused(ARGV("--prot", "1"), "--prot: unknown option (did you mean '--port'?)\n");
    refused(ARGV("--port"), "--port: wrong number of arguments\n");
    refused(ARGV("--port", "1", "2"), "--port: wrong number of arguments\n");
    refused(ARGV("--port", "x", "--timeout", "y"), "--port: argument couldn't be parsed into an integer\n"
                                                   "--timeout: argument couldn't be parsed into an integer\n");
    refused(ARGV("a", "b"), "unexpected argument 'b'");
    refused(ARGV("-p", "7000"), "unexpected argument '-p'");
    refused(ARGV("--port=7000", "8000", "9000"), "unexpected argument '9000'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_kinds),
        cmocka_unit_test(says_where_and_what),
        cmocka_unit_test(unchanged_is_untouched),
        cmocka_unit_test(changes_stand_in_their_place),
        cmocka_unit_test(a_cluster_has_no_replicaof_in_the_file),
        cmocka_unit_test(an_empty_file_gets_all_that_is_not_default),
        cmocka_unit_test(included_files_are_left_alone),
        cmocka_unit_test(command_line),
        cmocka_unit_test(wrong_command_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
