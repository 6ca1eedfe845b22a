#include "common/io/file.h"

#include "tests/unit/io/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_read(void **state)
{
    (void)state;
    char path[] = "/tmp/test_file.XXXXXX";
    static char big[200000];
    struct buf out = {0}, error = {0};
    int fd = mkstemp(path);
    memset(big, 'b', sizeof big);
    assert_int_equal(write(fd, big, sizeof big), (ssize_t)sizeof big);
    close(fd);
    buf_puts(&out, "before ");
    assert_true(io_file_read(path, sizeof big, &out, &error));
    assert_int_equal(out.n, sizeof big + 7);
    assert_memory_equal(out.p, "before bbb", 10);
    assert_false(io_file_read(path, sizeof big - 1, &out, &error));
    assert_int_equal(out.n, sizeof big + 7);
    assert_non_null(strstr(buf_str(&error), "too large"));
    unlink(path);
    buf_clear(&error);
    assert_false(io_file_read(path, 10, &out, &error));
    assert_non_null(strstr(buf_str(&error), path));
    assert_non_null(strstr(buf_str(&error), "No such file"));
    buf_clear(&error);
    assert_false(io_file_read("/tmp", 10, &out, &error));
    assert_non_null(strstr(buf_str(&error), "is a folder"));
    buf_clear(&out);
    assert_true(io_file_read("/dev/null", 10, &out, &error));
    assert_int_equal(out.n, 0);
    buf_free(&out);
    buf_free(&error);
}

static void check_absolute(const char *path, const char *expected)
{
    char *absolute = io_path_absolute(path);
    assert_string_equal(absolute, expected);
    free(absolute);
}

static void test_absolute(void **state)
{
    (void)state;
    char *here = getcwd(NULL, 0);
    assert_int_equal(chdir("/usr/lib"), 0);
    check_absolute("/a/b", "/a/b");
    check_absolute("/a//b/./c/", "/a/b/c");
    check_absolute("/a/../b", "/b");
    check_absolute("/../../x", "/x");
    check_absolute("/", "/");
    check_absolute("//", "/");
    check_absolute("x", "/usr/lib/x");
    check_absolute(".", "/usr/lib");
    check_absolute("./", "/usr/lib");
    check_absolute("../x/..", "/usr");
    check_absolute("../../..", "/");
    check_absolute("", "/usr/lib");
    assert_int_equal(chdir("/"), 0);
    check_absolute("x", "/x");
    check_absolute(".", "/");
    assert_int_equal(chdir(here), 0);
    free(here);
}

static void check_folder(const char *path, const char *expected)
{
    char *folder = io_path_folder(path);
    assert_string_equal(folder, expected);
    free(folder);
}

static void test_folder(void **state)
{
    (void)state;
    check_folder("/a/b", "/a");
    check_folder("/a", "/");
    check_folder("a", ".");
    check_folder("a/b/c", "a/b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_absolute),
        cmocka_unit_test(test_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
