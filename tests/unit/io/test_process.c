#include "common/io/process.h"

#include "common/io/clock.h"
#include "common/io/file.h"
#include "tests/unit/io/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ended {
    int n;
    struct io_process_exit how;
};

static void on_ended(void *owner, struct io_process *p, const struct io_process_exit *end)
{
    struct ended *e = owner;
    assert_true(io_process_pid(p) > 0);
    e->n++;
    e->how = *end;
}

static struct io_process *start(struct ended *e, const struct io_process_spec *spec)
{
    struct buf error = {0};
    struct io_process *p = io_process_start(loop, spec, on_ended, e, &error);
    if (p == NULL)
        fail_msg("%s", buf_str(&error));
    buf_free(&error);
    return p;
}

static struct io_process *shell(struct ended *e, const char *script, int64_t deadline_ms)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    return start(e, &(struct io_process_spec){.argv = argv, .deadline_ms = deadline_ms});
}

static void test_exit_codes(void **state)
{
    (void)state;
    struct ended a = {0}, b = {0}, c = {0};
    shell(&a, "exit 0", 0);
    shell(&b, "exit 42", 60000);
    shell(&c, "kill -TERM $$", 0);
    harness_wait(&a.n, 1);
    harness_wait(&b.n, 1);
    harness_wait(&c.n, 1);
    assert_int_equal(a.how.code, 0);
    assert_int_equal(b.how.code, 42);
    assert_int_equal(b.how.signal, 0);
    assert_false(b.how.timed_out);
    assert_int_equal(c.how.signal, SIGTERM);
    assert_int_equal(c.how.code, -1);
}

static void test_cannot_start(void **state)
{
    (void)state;
    const char *const paths[] = {"/does/not/exist", "/", "/etc/passwd"};
    for (size_t i = 0; i < 3; i++) {
        struct ended e = {0};
        struct buf error = {0};
        const char *argv[] = {paths[i], NULL};
        struct io_process_spec spec = {.argv = argv, .input = slice_of("unused")};
        assert_null(io_process_start(loop, &spec, on_ended, &e, &error));
        assert_non_null(strstr(buf_str(&error), paths[i]));
        assert_non_null(strstr(buf_str(&error), i == 0 ? "No such file" : "Permission denied"));
        buf_free(&error);
    }
}

static void keep_output(void *owner, struct io_process *p, const struct io_process_exit *end)
{
    struct buf *kept = owner;
    (void)p;
    buf_printf(kept, "%.*s|", (int)end->output.n, end->output.p != NULL ? end->output.p : "");
}

static void test_output_is_kept(void **state)
{
    (void)state;
    const char *const scripts[] = {"echo one; echo two >&2", "head -c 300000 /dev/zero | tr '\\0' x; exit 3", "exit 0"};
    struct buf kept = {0}, error = {0};
    for (int i = 0; i < 3; i++) {
        const char *argv[] = {"/bin/sh", "-c", scripts[i], NULL};
        struct io_process_spec spec = {.argv = argv, .output_max = 10};
        size_t before = kept.n;
        assert_non_null(io_process_start(loop, &spec, keep_output, &kept, &error));
        while (kept.n == before)
            io_loop_once(loop);
    }
    assert_string_equal(buf_str(&kept), "one\ntwo\n|xxxxxxxxxx||");
    buf_free(&kept);
}

/* What it leaves behind in its process group ends with it, and does not keep its output open. */
static void test_rest_of_the_group_is_ended(void **state)
{
    (void)state;
    struct buf kept = {0}, error = {0};
    const char *argv[] = {"/bin/sh", "-c", "sleep 1000 & echo $!", NULL};
    struct io_process_spec spec = {.argv = argv, .output_max = 100, .ends_group = true};
    assert_non_null(io_process_start(loop, &spec, keep_output, &kept, &error));
    while (kept.n == 0)
        io_loop_once(loop);
    pid_t left = (pid_t)strtol(buf_str(&kept), NULL, 10);
    assert_true(left > 1);
    for (int i = 0; i < 500 && kill(left, 0) == 0; i++) {
        char path[64], line[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", (int)left);
        FILE *f = fopen(path, "r");
        if (f != NULL && fgets(line, sizeof line, f) == NULL)
            line[0] = '\0';
        if (f != NULL)
            fclose(f);
        if (strstr(line, ") Z ") != NULL)
            break; /* dead, and whoever reaps orphans here has not come by yet */
        usleep(10000);
        assert_true(i < 499);
    }
    buf_free(&kept);
}

/* The deadline ends the script's own children too. */
static void test_deadline(void **state)
{
    (void)state;
    struct ended e = {0};
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    /* The children hold the pipe's end as their standard input; it closes when the last of them is gone. */
    int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(ends[1], STDIN_FILENO);
    int64_t begin = io_now_us();
    shell(&e, "trap '' TERM; sleep 1000 <&0 & sleep 1000", 200);
    if (saved >= 0)
        dup2(saved, STDIN_FILENO);
    else
        close(STDIN_FILENO);
    close(ends[1]);
    harness_wait(&e.n, 1);
    assert_true(e.how.timed_out);
    assert_int_equal(e.how.signal, SIGKILL);
    assert_in_range(io_now_us() - begin, 190000, 5000000);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    if (saved >= 0)
        close(saved);
}

static void test_kill_and_forget(void **state)
{
    (void)state;
    struct ended e = {0}, f = {0};
    struct io_process *p = shell(&e, "sleep 1000", 0);
    io_process_kill(p);
    harness_wait(&e.n, 1);
    assert_int_equal(e.how.signal, SIGKILL);
    assert_false(e.how.timed_out);
    p = shell(&f, "exit 0", 0);
    io_process_forget(p);
    harness_run_ms(50);
    assert_int_equal(f.n, 0);
}

static void check_script(const char *script, const struct io_process_spec *more, const char *expected)
{
    struct ended e = {0};
    char path[] = "/tmp/test_process.XXXXXX";
    struct buf command = {0}, out = {0}, error = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    buf_printf(&command, "{ %s; } > %s", script, path);
    const char *argv[] = {"/bin/sh", "-c", buf_str(&command), NULL};
    struct io_process_spec spec = *more;
    spec.argv = argv;
    start(&e, &spec);
    harness_wait(&e.n, 1);
    assert_true(io_file_read(path, (size_t)64 * 1024 * 1024, &out, &error));
    unlink(path);
    assert_string_equal(buf_str(&out), expected);
    buf_free(&command);
    buf_free(&out);
    buf_free(&error);
}

static void test_environment(void **state)
{
    (void)state;
    const char *env[] = {"ADDED=yes", "REPLACED=new", NULL};
    setenv("REPLACED", "old", 1);
    setenv("KEPT", "kept", 1);
    check_script("echo $ADDED $REPLACED $KEPT; env | grep -c ^REPLACED=", &(struct io_process_spec){.env = env},
                 "yes new kept\n1\n");
}

static void test_input(void **state)
{
    (void)state;
    static char big[300000];
    memset(big, 'x', sizeof big);
    check_script("cat", &(struct io_process_spec){.input = slice_of("hello\n")}, "hello\n");
    check_script("wc -c", &(struct io_process_spec){.input = {big, sizeof big}}, "300000\n");
    check_script("echo not read", &(struct io_process_spec){.input = {big, sizeof big}}, "not read\n");
    check_script("cat", &(struct io_process_spec){.input = {"", 0}}, "");
}

static void test_descriptors_and_signals(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY); /* without close-on-exec */
    /* ls itself opens one, for the folder it lists. */
    check_script(
        "ls /proc/self/fd | grep -v '^[0123]$'; echo; grep SigIgn /proc/self/status | grep -c 0000000000001000",
        &(struct io_process_spec){.input = slice_of("")}, "\n0\n");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exit_codes, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_cannot_start, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_output_is_kept, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_rest_of_the_group_is_ended, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_deadline, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_kill_and_forget, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_environment, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_input, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_descriptors_and_signals, harness_start, harness_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
