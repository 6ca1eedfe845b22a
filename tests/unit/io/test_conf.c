/* Reading files in libconfig syntax through a table. */
#include "common/io/conf.h"

#include "tests/unit/io/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct inner {
    int64_t n;
    bool flag;
};

struct target {
    int64_t count;
    bool flag;
    char *text;
    uint64_t size;
    struct addr address;
    int word;
    struct conf_strings strings;
    struct conf_addresses addresses;
    struct inner inner;
    struct inner each[4];
    size_t each_count;
    int other_type;
};

static const char *const words[] = {"red", "green", NULL};

static const struct conf_key inner_keys[] = {
    CONF_ROW_INT("n", offsetof(struct inner, n), -5, 5, "some number"),
    CONF_ROW_BOOL("flag", offsetof(struct inner, flag), "some flag"),
    {.name = NULL},
};

static void read_each(struct conf_reader *r, const config_setting_t *element, void *target)
{
    struct target *t = target;
    assert_ptr_equal(r->context, t);
    assert_true(t->each_count < 4);
    conf_read(r, element, inner_keys, &t->each[t->each_count++]);
}

static void read_other(struct conf_reader *r, const config_setting_t *s, void *target)
{
    (void)r;
    ((struct target *)target)->other_type = config_setting_type(s);
}

#define AT(member) offsetof(struct target, member)
static const struct conf_key keys[] = {
    CONF_ROW_INT("count", AT(count), 1, INT64_MAX, "how many"),
    CONF_ROW_BOOL("flag", AT(flag), "yes or no"),
    CONF_ROW_STRING("text", AT(text), 1, 10, "some text"),
    {.name = "size", .type = CONF_SIZE, .at = AT(size), .min = 10, .max = 1 << 30, .help = "how large"},
    CONF_ROW_LIST("address", CONF_ADDRESS, AT(address), 0, "where"),
    CONF_ROW_WORD("word", AT(word), words, "which color"),
    CONF_ROW_LIST("strings", CONF_STRINGS, AT(strings), 1, "names"),
    CONF_ROW_LIST("addresses", CONF_ADDRESSES, AT(addresses), 0, "places"),
    CONF_ROW_GROUP("inner", AT(inner), inner_keys, "more"),
    CONF_ROW_EACH("each", CONF_LIST, read_each, "even more"),
    CONF_ROW_EACH("other", CONF_OTHER, read_other, "anything"),
    {.name = NULL},
};

static struct target target;
static struct conf_problems problems;
static uint64_t given;

static int fresh(void **state)
{
    (void)state;
    memset(&target, 0, sizeof target);
    target.count = 77;
    problems = (struct conf_problems){.count = 0};
    return 0;
}

static int clean(void **state)
{
    (void)state;
    free(target.text);
    conf_strings_free(&target.strings);
    conf_addresses_free(&target.addresses);
    buf_free(&problems.text);
    return 0;
}

static void read_from(struct conf_file *f)
{
    struct conf_reader r = {.problems = &problems, .context = &target};
    if (f != NULL)
        given = conf_read(&r, conf_root(f), keys, &target);
    conf_free(f);
}

static void read_text(const char *text)
{
    read_from(conf_parse("x.conf", slice_of(text), &problems));
}

static void expect_problem(const char *text, const char *problem)
{
    clean(NULL);
    fresh(NULL);
    read_text(text);
    if (strstr(buf_str(&problems.text), problem) == NULL || problems.count == 0)
        fail_msg("%s\ngives: %s\nexpected: %s", text, buf_str(&problems.text), problem);
}

static void test_everything(void **state)
{
    (void)state;
    read_text(
        "count = 5000000000L; flag = true; text = \"hi\"; size = \"2mb\"; address = \"[::1]:80\"; word = \"green\";\n"
        "strings = [ \"a\", \"b\" ]; addresses = ( \"127.0.0.1:1\", \"host:2\" ); inner = { n = -5; flag = true; };\n"
        "each = ( { n = 1; }, { n = 2; } ); other = 1.5;");
    assert_string_equal(buf_str(&problems.text), "");
    assert_int_equal(target.count, 5000000000);
    assert_true(target.flag);
    assert_string_equal(target.text, "hi");
    assert_int_equal(target.size, 2 * 1024 * 1024);
    assert_string_equal(target.address.host, "::1");
    assert_int_equal(target.address.port, 80);
    assert_int_equal(target.word, 1);
    assert_int_equal(target.strings.n, 2);
    assert_string_equal(target.strings.v[1], "b");
    assert_int_equal(target.addresses.n, 2);
    assert_string_equal(target.addresses.v[1].host, "host");
    assert_int_equal(target.inner.n, -5);
    assert_int_equal(target.each_count, 2);
    assert_int_equal(target.each[1].n, 2);
    assert_int_equal(target.other_type, CONFIG_TYPE_FLOAT);
    assert_int_equal(given, 0x7ff);
}

static void test_absent_stays(void **state)
{
    (void)state;
    read_text("flag = false; /* nothing else */");
    assert_int_equal(problems.count, 0);
    assert_int_equal(given, 2);
    assert_int_equal(target.count, 77);
    assert_null(target.text);
}

static void test_wrong_values(void **state)
{
    (void)state;
    expect_problem("count = 0;", "x.conf:1: count: expected 1 to 9223372036854775807 (how many), found 0\n");
    expect_problem("count = \"5\";",
                   "x.conf:1: count: expected a whole number without quotes (how many), found a string\n");
    expect_problem("count = 1.0;", "found a number with a fraction");
    expect_problem("flag = 1;", "expected true or false");
    expect_problem("flag = \"yes\";", "expected true or false");
    expect_problem("\n\ntext = \"\";", "x.conf:3: text: must not be empty");
    expect_problem("text = \"12345678901\";", "has 11 bytes; at most 10");
    expect_problem("text = 5;", "expected a string in quotes");
    expect_problem("size = 100;", "expected a size as a string with a unit");
    expect_problem("size = \"10parsecs\";", "\"10parsecs\" is not a size");
    expect_problem("size = \"5\";", "expected 10 to 1073741824 bytes");
    expect_problem("address = \"nowhere\";", "\"nowhere\" is not an address");
    expect_problem("address = \"a:70000\";", "a port from 1 to 65535");
    expect_problem("word = \"blue\";", "expected one of \"red\", \"green\" (which color), found \"blue\"");
    expect_problem("strings = \"a\";", "expected a list of strings");
    expect_problem("strings = [];", "strings: expected at least 1 (names), found 0");
    expect_problem("strings = [ 1 ];", "strings[0]: expected a string");
    expect_problem("addresses = ( \"a:1\", \"A:1\" );", "addresses[1]: \"A:1\" is listed twice");
    expect_problem("inner = 5;", "inner: expected a group");
    expect_problem("inner = { n = 6; };", "inner.n: expected -5 to 5");
    expect_problem("each = { n = 1; };", "each: expected a list of groups");
    expect_problem("each = ( 1 );", "each[0]: expected a group");
    expect_problem("each = ( { n = 1; }, { n = 9; } );", "each[1].n: expected -5 to 5");
}

static void test_unknown_keys(void **state)
{
    (void)state;
    expect_problem("cuont = 1;", "x.conf:1: cuont: unknown key (did you mean 'count'?)\n");
    expect_problem("inner = { falg = true; };", "inner.falg: unknown key (did you mean 'flag'?)");
    expect_problem("completely_different = 1;", "unknown key; known here: count, flag, text");
}

static void test_all_problems_in_one_run(void **state)
{
    (void)state;
    read_text("count = 0;\nflag = 3;\nnothing_like_it = 1;\nsize = 5000000000;\n");
    assert_int_equal(problems.count, 5); /* size: too large for libconfig, and not a string */
}

static void test_numbers_that_libconfig_would_cut(void **state)
{
    (void)state;
    expect_problem("a = 1;\ncount = 4294967296;", "x.conf:2: 4294967296 does not fit into 32 bits: write 4294967296L");
    expect_problem("count = 2147483648;", "does not fit");
    expect_problem("count = -2147483649;", "does not fit");
    expect_problem("count = 0xffffffff;", "0xffffffff does not fit");
    expect_problem("count = 99999999999999999999L;", "is too large");
    expect_problem("count = 9223372036854775808L;", "is too large");
    expect_problem("strings = [1,99999999999];", "does not fit");
    clean(NULL);
    fresh(NULL);
    read_text("count = 9223372036854775807L; text = \"4294967296\"; # 4294967296\n"
              "// 4294967296\n/* 4294967296\n*/ inner = { n = -2; }; other = 4294967296.5; a4294967296 = 1;");
    assert_int_equal(problems.count, 1); /* the unknown key alone */
    assert_int_equal(target.count, INT64_MAX);
}

static void test_syntax(void **state)
{
    (void)state;
    expect_problem("count = ;", "x.conf:1: syntax error at or before: count = ;");
    expect_problem("flag = true;\ncount = = 2;\n", "x.conf:2: syntax error at or before: count = = 2;");
    expect_problem("count = 1;\ncount = 2;", "x.conf:2: duplicate setting name");
    expect_problem("text = \"never closed\n\n\n", "x.conf:1: the string that begins here has no closing quote");
    expect_problem("\n/* never closed\n", "x.conf:2: the comment that begins here has no end");
    expect_problem("@include \"/does/not/exist\"", "x.conf:1: @include: /does/not/exist cannot be opened");
    expect_problem("@include nothing", "expected a file name in quotes");
    clean(NULL);
    fresh(NULL);
    read_from(conf_parse("x.conf", (struct slice){"a = 1;\0b", 8}, &problems));
    assert_non_null(strstr(buf_str(&problems.text), "NUL byte"));
}

/* Nothing that comes from a file may do more than give an error. */
static void test_noise(void **state)
{
    (void)state;
    uint32_t x = 7;
    const char *const pieces[] = {"count", " = ", ";",         "\"",   "\n", "(",    ")",     "{",  "}", "[",
                                  "]",     "1",   "-",         "L",    "0x", ".",    "/*",    "*/", "#", "//",
                                  "\\",    ",",   "@include ", "true", "e5", "\xff", "inner", " "};
    for (int round = 0; round < 2000; round++) {
        struct buf text = {0};
        clean(NULL);
        fresh(NULL);
        for (int i = 0; i < 30; i++) {
            x = x * 1664525u + 1013904223u;
            buf_puts(&text, pieces[(x >> 16) % (sizeof pieces / sizeof *pieces)]);
        }
        read_from(conf_parse("noise", buf_slice(&text), &problems));
        for (const char *p = buf_str(&problems.text); *p != '\0'; p = strchr(p, '\n') + 1)
            assert_memory_equal(p, "noise", 5);
        buf_free(&text);
    }
}

static char folder[] = "/tmp/test_conf.XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void remove_files(void)
{
    const char *const names[] = {"main", "sub/one", "sub/two", "loop"};
    char path[100];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/sub", folder);
    rmdir(path);
    rmdir(folder);
}

static void read_main(void)
{
    char path[100];
    snprintf(path, sizeof path, "%s/main", folder);
    clean(NULL);
    fresh(NULL);
    read_from(conf_load(path, &problems));
}

static void test_includes(void **state)
{
    (void)state;
    char path[100], expected[300];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sub", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file("main",
               "flag = true;\n  @include \"sub/one\"\ncount = 0;\ninner = {\n@include \"sub/two\"\n};\nbad1 = 1;\n");
    write_file("sub/one", "text = \"in one\";\nbad2 = 1;\nsize = \"1mb\";"); /* no newline at the end */
    write_file("sub/two", "n = 3;\n\nbad3 = 4294967296;\n");
    read_main();
    assert_string_equal(target.text, "in one");
    assert_int_equal(target.size, 1 << 20);
    assert_int_equal(target.inner.n, 3);
    assert_true(target.flag);
    const char *const where[] = {
        "main:3: count: ", "main:7: bad1: ", "sub/one:2: bad2: ", "sub/two:3: inner.bad3: ", "sub/two:3: 4294967296 "};
    for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
        snprintf(expected, sizeof expected, "%s/%s", folder, where[i]);
        if (strstr(buf_str(&problems.text), expected) == NULL)
            fail_msg("%s\nis not in\n%s", expected, buf_str(&problems.text));
    }
    assert_int_equal(problems.count, 5);

    write_file("sub/two", "@include \"one\"\n"); /* counts from the folder of the file that has it */
    read_main();
    assert_non_null(strstr(buf_str(&problems.text), "inner.text: unknown key"));

    write_file("main", "@include \"sub/one\"\nsyntax error here\n");
    read_main();
    snprintf(expected, sizeof expected, "%s/main:2: syntax error", folder);
    assert_non_null(strstr(buf_str(&problems.text), expected));

    write_file("main", "@include \"loop\"\n");
    write_file("loop", "@include \"loop\"\n");
    read_main();
    assert_non_null(strstr(buf_str(&problems.text), "more than 10 files inside each other"));

    write_file("main", "@include \"sub/one\"\n");
    write_file("sub/one", "text = \"not closed\n");
    read_main();
    snprintf(expected, sizeof expected, "%s/sub/one:1: the string", folder);
    assert_non_null(strstr(buf_str(&problems.text), expected));
    remove_files();
    read_main();
    assert_non_null(strstr(buf_str(&problems.text), "cannot be opened: No such file"));
}

static void test_too_many_lines(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 70000; i++)
        buf_putc(&text, '\n');
    read_from(conf_parse("x.conf", buf_slice(&text), &problems));
    assert_non_null(strstr(buf_str(&problems.text), "more than 65000 lines"));
    buf_free(&text);
}

static void test_written_strings_come_back(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        struct buf text = {0};
        char value[4] = {'a', (char)c, '0', '\0'};
        clean(NULL);
        fresh(NULL);
        buf_puts(&text, "text = ");
        conf_write_string(&text, slice_of(value));
        buf_puts(&text, ";");
        read_from(conf_parse("x.conf", buf_slice(&text), &problems));
        assert_string_equal(buf_str(&problems.text), "");
        assert_string_equal(target.text, value);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everything, fresh, clean),
        cmocka_unit_test_setup_teardown(test_absent_stays, fresh, clean),
        cmocka_unit_test_setup_teardown(test_wrong_values, fresh, clean),
        cmocka_unit_test_setup_teardown(test_unknown_keys, fresh, clean),
        cmocka_unit_test_setup_teardown(test_all_problems_in_one_run, fresh, clean),
        cmocka_unit_test_setup_teardown(test_numbers_that_libconfig_would_cut, fresh, clean),
        cmocka_unit_test_setup_teardown(test_syntax, fresh, clean),
        cmocka_unit_test_setup_teardown(test_noise, fresh, clean),
        cmocka_unit_test_setup_teardown(test_includes, fresh, clean),
        cmocka_unit_test_setup_teardown(test_too_many_lines, fresh, clean),
        cmocka_unit_test_setup_teardown(test_written_strings_come_back, fresh, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
