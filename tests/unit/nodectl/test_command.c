/* The command tree: finding commands, options, arguments, help, and exit codes. */
#include "nodectl/command.h"

#include "common/base/version.h"
#include "common/io/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    int runs, argc;
    const char *argv[8], *format, *verbose;
} seen;

static int run(const struct command_call *call)
{
    seen.runs++;
    seen.argc = call->argc;
    for (int i = 0; i < call->argc && i < 8; i++)
        seen.argv[i] = call->argv[i];
    seen.format = command_value(call, "--format");
    seen.verbose = command_value(call, "--verbose");
    assert_null(command_value(call, "--other"));
    puts("ran");
    return 7;
}

static const struct command_option options[] = {
    {"--format", "-o", "FORMAT", "how it looks"},
    {"--verbose", NULL, NULL, "say more"},
    {NULL, NULL, NULL, NULL},
};
static const struct command leaf = {.name = "leaf",
                                    .arguments = "FILE [MORE]",
                                    .summary = "Does a thing.",
                                    .text = "At length.",
                                    .options = options,
                                    .min_args = 1,
                                    .max_args = 2,
                                    .run = run};
static const struct command any = {
    .name = "any", .arguments = "[WORD...]", .summary = "Takes all.", .max_args = -1, .run = run};
static const struct command *const branch_commands[] = {&leaf, &any, NULL};
static const struct command branch = {.name = "branch", .summary = "A family.", .commands = branch_commands};
static const struct command *const root_commands[] = {&branch, &any, NULL};
static const struct command root = {.name = "tool", .summary = "A tool.", .commands = root_commands};

static char out[5000], err[5000];

static void slurp(const char *path, char *into, size_t room)
{
    struct buf b = {0}, error = {0};
    assert_true(io_file_read(path, room - 1, &b, &error));
    memcpy(into, buf_str(&b), b.n + 1);
    buf_free(&b);
    buf_free(&error);
}

/* Runs "tool" with the words of line, which are cut at spaces. */
static int call(const char *line)
{
    static char copy[300]; /* what was seen points into it */
    char paths[2][40] = {"/tmp/test_command.XXXXXX", "/tmp/test_command.XXXXXX"};
    char *argv[20] = {(char *)(uintptr_t) "tool"};
    int argc = 1, saved[2], code;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    memset(&seen, 0, sizeof seen);
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        int fd = mkstemp(paths[i]);
        saved[i] = dup(i + 1);
        dup2(fd, i + 1);
        close(fd);
    }
    code = command_main(&root, argc, argv);
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
    }
    slurp(paths[0], out, sizeof out);
    slurp(paths[1], err, sizeof err);
    unlink(paths[0]);
    unlink(paths[1]);
    return code;
}

static void test_runs(void **state)
{
    (void)state;
    assert_int_equal(call("branch leaf file"), 7);
    assert_int_equal(seen.argc, 1);
    assert_string_equal(out, "ran\n");
    assert_string_equal(err, "");
    assert_null(seen.format);
    assert_int_equal(call("any"), 7);
    assert_int_equal(seen.argc, 0);
    assert_int_equal(call("branch any a b c d e"), 7);
    assert_int_equal(seen.argc, 5);
}

static void test_options(void **state)
{
    (void)state;
    call("branch leaf a --format json b");
    assert_string_equal(seen.format, "json");
    assert_null(seen.verbose);
    assert_int_equal(seen.argc, 2);
    call("branch leaf --format=x=y --verbose a");
    assert_string_equal(seen.format, "x=y");
    assert_string_equal(seen.verbose, "");
    call("branch leaf -o json a");
    assert_string_equal(seen.format, "json");
    call("branch leaf -o a -o b c");
    assert_string_equal(seen.format, "b");
    call("branch leaf -- --verbose -o");
    assert_null(seen.verbose);
    assert_string_equal(seen.argv[0], "--verbose");
    assert_string_equal(seen.argv[1], "-o");
    call("branch leaf -"); /* a lone dash is an argument */
    assert_int_equal(seen.argc, 1);
}

static void expect_usage_error(const char *line, const char *text)
{
    assert_int_equal(call(line), EXIT_USAGE);
    assert_int_equal(seen.runs, 0);
    assert_string_equal(out, "");
    if (strstr(err, text) == NULL)
        fail_msg("%s says: %s", line, err);
}

static void test_usage_errors(void **state)
{
    (void)state;
    expect_usage_error("", "Usage: tool COMMAND");
    expect_usage_error("branch", "Usage: tool branch COMMAND");
    expect_usage_error("brunch", "there is no command 'brunch' (did you mean 'branch'?)");
    expect_usage_error("branch xxxxxxxxxx", "there is no command 'xxxxxxxxxx'\n");
    expect_usage_error("help nothing", "there is no command 'nothing'");
    expect_usage_error("--wrong", "unknown option '--wrong'");
    expect_usage_error("branch leaf --wrong a", "unknown option '--wrong'");
    expect_usage_error("branch leaf a --format", "option '--format' needs an argument");
    expect_usage_error("branch leaf a --verbose=1", "option '--verbose' takes no argument");
    expect_usage_error("branch leaf", "an argument is missing; expected: tool branch leaf FILE [MORE]");
    expect_usage_error("branch leaf a b c", "too many arguments");
    expect_usage_error("branch leaf", "'tool branch leaf --help' shows");
    expect_usage_error("any --format x", "unknown option '--format'");
}

static void expect_help(const char *line, const char *text)
{
    assert_int_equal(call(line), EXIT_OK);
    assert_int_equal(seen.runs, 0);
    assert_string_equal(err, "");
    if (strstr(out, text) == NULL)
        fail_msg("%s says: %s", line, out);
}

static void test_help(void **state)
{
    (void)state;
    expect_help("--help", "Usage: tool COMMAND\n\nA tool.\n\nCommands:\n  branch  A family.\n\nShort forms:\n"
                          "  any     branch any\n");
    expect_help("help", "Usage: tool COMMAND");
    expect_help("-h", "  --version");
    expect_help("branch --help", "Commands:\n  leaf  Does a thing.");
    expect_help("help branch", "'tool help branch COMMAND' tells more");
    expect_help("branch leaf --help", "Usage: tool branch leaf [OPTIONS] FILE [MORE]\n\nDoes a thing.\n\nAt length.\n");
    expect_help("help branch leaf",
                "  -o, --format FORMAT  how it looks\n  --verbose            say more\n  -h, --help  ");
    expect_help("branch leaf a b c --help", "Usage: tool branch leaf");
    expect_help("--version", "tool " SENTINELD_VERSION "\n");
    assert_int_equal(call("branch any -- --help"), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_usage_errors),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
