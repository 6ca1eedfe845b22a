#include "common/io/log.h"

#include "common/io/clock.h"
#include "common/io/file.h"
#include "tests/unit/io/harness.h"

#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[128];

static int start(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_log.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/log", folder);
    return 0;
}

static int end(void **state)
{
    (void)state;
    char moved[160];
    io_log_close();
    unlink(path);
    snprintf(moved, sizeof moved, "%s.1", path);
    unlink(moved);
    return rmdir(folder);
}

static void open_log(enum io_log_level level)
{
    struct buf error = {0};
    assert_true(io_log_open(path, level, &error));
    buf_free(&error);
}

/* The caller frees. */
static char *content(const char *name)
{
    struct buf b = {0}, error = {0};
    assert_true(io_file_read(name, 1000000, &b, &error));
    buf_free(&error);
    buf_str(&b);
    return b.p;
}

static void test_lines(void **state)
{
    (void)state;
    open_log(IO_VERBOSE);
    io_log(IO_DEBUG, "not seen");
    io_log(IO_VERBOSE, "v %d", 1);
    io_log(IO_NOTICE, "n");
    io_log(IO_WARNING, "+sdown master %s", "mymaster");
    char *text = content(path);
    regex_t re;
    char pattern[800];
    const char *head = "%d:X [0-9][0-9] [A-Z][a-z][a-z] [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} ";
    char one[200];
    snprintf(one, sizeof one, head, (int)getpid());
    snprintf(pattern, sizeof pattern, "^%s- v 1\n%s\\* n\n%s# \\+sdown master mymaster\n$", one, one, one);
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fail_msg("%s", text);
    regfree(&re);
    free(text);
}

static void test_levels(void **state)
{
    (void)state;
    enum io_log_level level;
    const char *const names[] = {"debug", "verbose", "notice", "warning"};
    for (int i = 0; i < 4; i++) {
        assert_true(io_log_level_parse(slice_of(names[i]), &level));
        assert_int_equal(level, i);
        assert_string_equal(io_log_level_name(level), names[i]);
    }
    assert_true(io_log_level_parse(slice_of("WARNING"), &level));
    assert_false(io_log_level_parse(slice_of("loud"), &level));
    assert_false(io_log_level_parse(slice_of(""), &level));
    open_log(IO_WARNING);
    io_log(IO_NOTICE, "hidden");
    io_log_set_level(IO_DEBUG);
    assert_int_equal(io_log_level(), IO_DEBUG);
    io_log(IO_DEBUG, "shown");
    char *text = content(path);
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, " . shown\n"));
    free(text);
}

static void test_nothing_forges_a_line(void **state)
{
    (void)state;
    open_log(IO_NOTICE);
    io_log(IO_NOTICE, "name %s end", "a\n1:X 21 Nov 2026 20:56:00.123 # +switch-master\x1b[2J\x7f");
    char *text = content(path);
    assert_null(strchr(text, '\x1b'));
    assert_null(strchr(text, '\x7f'));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
}

static void test_long_line(void **state)
{
    (void)state;
    static char big[20000];
    memset(big, 'x', sizeof big - 1);
    open_log(IO_NOTICE);
    io_log(IO_NOTICE, "%s", big);
    io_log(IO_NOTICE, "next");
    char *text = content(path);
    assert_in_range(strlen(text), 4000, 4200);
    assert_non_null(strstr(text, "x\n"));
    assert_non_null(strstr(text, " * next\n"));
    free(text);
}

static void test_rotation(void **state)
{
    (void)state;
    char moved[160];
    snprintf(moved, sizeof moved, "%s.1", path);
    open_log(IO_NOTICE);
    io_log(IO_NOTICE, "before");
    assert_int_equal(rename(path, moved), 0);
    io_log(IO_NOTICE, "still there");
    io_log_reopen();
    io_log(IO_NOTICE, "after");
    char *old = content(moved), *new = content(path);
    assert_non_null(strstr(old, "before"));
    assert_non_null(strstr(old, "still there"));
    assert_null(strstr(old, "after"));
    assert_non_null(strstr(new, "after"));
    free(old);
    free(new);
}

static void test_cannot_open(void **state)
{
    (void)state;
    struct buf error = {0};
    open_log(IO_NOTICE);
    assert_false(io_log_open("/does/not/exist/log", IO_NOTICE, &error));
    assert_non_null(strstr(buf_str(&error), "/does/not/exist/log"));
    assert_non_null(strstr(buf_str(&error), "No such file"));
    io_log(IO_NOTICE, "goes where it went before");
    char *text = content(path);
    assert_non_null(strstr(text, "goes where"));
    free(text);
    buf_free(&error);
}

/* A full disk, made with a limit of the file's size: lines are dropped, and told when there is room again. */
static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit old, low;
    signal(SIGXFSZ, SIG_IGN);
    open_log(IO_NOTICE);
    io_log(IO_NOTICE, "first");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 60; /* in the middle of the second line */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    for (int i = 0; i < 5; i++)
        io_log(IO_NOTICE, "lost %d", i);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    io_log(IO_NOTICE, "last");
    char *text = content(path);
    assert_non_null(strstr(text, "first\n"));
    assert_non_null(strstr(text, "5 log lines before this one could not be written and are lost\n"));
    assert_non_null(strstr(text, "* last\n"));
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
        assert_non_null(strchr(line, '\n')); /* the torn line does not swallow the next */
    free(text);
}

/* Standard error is a pipe whose reader has stopped. */
static void test_reader_stopped(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDERR_FILENO);
    char *all = malloc(1000000);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    int64_t begin = io_now_us();
    for (int i = 0; i < 5000; i++)
        io_log(IO_WARNING, "line %d of many that nobody reads", i);
    int64_t took = io_now_us() - begin;
    ssize_t n = read(ends[0], all, 999999);
    io_log(IO_WARNING, "read again");
    ssize_t m = read(ends[0], all + n, (size_t)(999999 - n));
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    assert_true(took < 5000000);
    assert_true(n > 0 && m > 0);
    all[n + m] = '\0';
    assert_non_null(strstr(all, "line 0 of many"));
    assert_null(strstr(all, "line 4999 of many"));
    assert_non_null(strstr(all, "could not be written and are lost\n"));
    assert_non_null(strstr(all, "# read again\n"));
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, start, end),
        cmocka_unit_test_setup_teardown(test_levels, start, end),
        cmocka_unit_test_setup_teardown(test_nothing_forges_a_line, start, end),
        cmocka_unit_test_setup_teardown(test_long_line, start, end),
        cmocka_unit_test_setup_teardown(test_rotation, start, end),
        cmocka_unit_test_setup_teardown(test_cannot_open, start, end),
        cmocka_unit_test_setup_teardown(test_full_disk, start, end),
        cmocka_unit_test_setup_teardown(test_reader_stopped, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
