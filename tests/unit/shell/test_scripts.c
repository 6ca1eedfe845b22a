#include "sentineld/shell/scripts.h"

#include "common/io/clock.h"
#include "sentineld/shell/daemon.h"

#include <ev.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECONDS_AT_MOST 120

static char dir[256];
static struct daemon d;
static struct buf events; /* "<event> <text>\n" */
static size_t ends;       /* -script-child events */

/* The daemon's door for events, as the scripts see it. */
void daemon_publish(struct daemon *daemon, enum sn_level level, const char *name, const char *text)
{
    (void)daemon;
    buf_printf(&events, "%d %s %s\n", (int)level, name, text);
    ends += strcmp(name, "-script-child") == 0;
}

void daemon_step(struct daemon *daemon, struct sn_event *e)
{
    (void)daemon;
    (void)e;
}

static bool published(const char *text)
{
    return strstr(buf_str(&events), text) != NULL;
}

static size_t count(const char *text)
{
    size_t n = 0;
    for (const char *p = buf_str(&events); (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/test_scripts.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(dir) == NULL)
        return -1;
    struct sn_core_options o = {.globals = {.announce_ip = "", .user = "", .pass = "", .loglevel = ""}};
    sn_params_default(&o.params);
    o.params.script_retry_delay_ms = 1;
    buf_clear(&events);
    ends = 0;
    d = (struct daemon){.loop = io_loop_new(), .core = sn_core_new(&o, io_now_us())};
    d.scripts = scripts_new(&d);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    scripts_free(d.scripts);
    sn_core_free(d.core);
    io_loop_free(d.loop);
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static char *in_dir(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static char *script(const char *name, const char *body)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\ncd %s || exit 3\n%s\n", dir, body);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in_dir(name), 0755), 0);
    return in_dir(name);
}

static void queue(const char *path, const char *a, const char *b)
{
    char *argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)a, (char *)(uintptr_t)b, NULL};
    scripts_queue(d.scripts, argv);
}

static void run_until_empty(void)
{
    while (scripts_waiting(d.scripts) > 0)
        io_loop_once(d.loop);
}

static const char *content(const char *name)
{
    static char text[4096];
    int fd = open(in_dir(name), O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void arguments_arrive_and_success_is_silent(void **state)
{
    (void)state;
    queue(script("s", "printf '%s|%s|%s' \"$#\" \"$1\" \"$2\" >out"), "+sdown", "master mymaster 'x y'");
    run_until_empty();
    assert_string_equal(content("out"), "2|+sdown|master mymaster 'x y'");
    assert_true(published("0 +script-child "));
    assert_true(published("0 -script-child "));
    assert_false(published("-script-error"));
}

static void only_standard_descriptors_are_inherited(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY); /* not close-on-exec: a library might do that too */
    assert_true(fd > 2);
    queue(script("s", "ls /proc/self/fd >fds; ps -o pgid= -p $$ >group; echo $$ >pid"), "a", "b");
    run_until_empty();
    close(fd);
    /* 0, 1, 2, and what ls opened itself to read the folder. */
    assert_string_equal(content("fds"), "0\n1\n2\n3\n");
    long group = strtol(content("group"), NULL, 10);
    assert_int_equal(group, strtol(content("pid"), NULL, 10));
}

static void exit_1_is_tried_ten_times(void **state)
{
    (void)state;
    queue(script("s", "echo x >>tries; exit 1"), "a", "b");
    run_until_empty();
    assert_int_equal(strlen(content("tries")), 20);
    assert_int_equal(count("+script-child"), 10);
    assert_int_equal(count("-script-error"), 1);
    assert_true(published("/s 0 1\n"));
}

static void a_signal_is_tried_again(void **state)
{
    (void)state;
    queue(script("s", "test -e once && exit 0; : >once; kill -TERM $$"), "a", "b");
    run_until_empty();
    assert_int_equal(count("+script-child"), 2);
    assert_true(published(" 0 15\n"));
    assert_false(published("-script-error"));
}

static void exit_2_is_given_up(void **state)
{
    (void)state;
    queue(script("s", "exit 2"), "a", "b");
    run_until_empty();
    assert_int_equal(count("+script-child"), 1);
    assert_true(published("3 -script-error "));
    assert_true(published("/s 0 2\n"));
}

static void a_missing_script_is_given_up(void **state)
{
    (void)state;
    queue(in_dir("nothing"), "a", "b");
    run_until_empty();
    assert_int_equal(count("+script-child"), 0);
    assert_true(published("/nothing 0 2\n"));
}

static void a_script_that_hangs_is_killed_with_its_children(void **state)
{
    (void)state;
    d.core->params.script_max_runtime_ms = 150;
    queue(script("s", "test -e once && exit 0; : >once; sleep 600 & echo $! >child; wait"), "a", "b");
    run_until_empty();
    assert_true(published("3 -script-timeout "));
    assert_int_equal(count("-script-timeout"), 1);
    assert_int_equal(count("+script-child"), 2);
    pid_t child = (pid_t)strtol(content("child"), NULL, 10);
    assert_true(child > 1);
    /* Killed with its group; what is left of it is at most a zombie that waits for init. */
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)child);
    for (int i = 0; i < 5000; i++) {
        FILE *f = fopen(path, "r");
        if (f == NULL)
            return;
        assert_non_null(fgets(text, sizeof text, f));
        fclose(f);
        if (strstr(text, ") Z") != NULL || strstr(text, ") X") != NULL)
            return;
        usleep(1000);
    }
    fail_msg("the child of the script still runs: %s", text);
}

static void sixteen_run_at_one_time(void **state)
{
    (void)state;
    (void)script("s", "read go <gate");
    assert_int_equal(mkfifo(in_dir("gate"), 0600), 0);
    const char *path = in_dir("s");
    for (int i = 0; i < 40; i++)
        queue(path, "a", "b");
    while (scripts_running(d.scripts) < 16)
        io_loop_once(d.loop);
    assert_int_equal(scripts_waiting(d.scripts), 40);
    struct script_view v;
    for (size_t i = 0; i < 40; i++) {
        assert_true(scripts_view(d.scripts, i, &v));
        assert_int_equal(v.running, i < 16); /* first come, first served */
        assert_int_equal(v.pid > 0, i < 16);
        assert_int_equal(v.retries, i < 16 ? 1 : 0);
        assert_string_equal(v.argv[1], "a");
    }
    assert_false(scripts_view(d.scripts, 40, &v));
    int gate = open(in_dir("gate"), O_RDWR); /* opened for both, so that readers to come find a writer */
    assert_true(gate >= 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(write(gate, "\n", 1), 1);
    while (scripts_waiting(d.scripts) > 0) {
        assert_in_range(scripts_running(d.scripts), 0, 16);
        io_loop_once(d.loop);
    }
    close(gate);
    assert_int_equal(ends, 40);
}

static void the_oldest_waiting_one_is_dropped_when_the_queue_is_full(void **state)
{
    (void)state;
    char number[16];
    for (int i = 0; i < 300; i++) {
        snprintf(number, sizeof number, "%d", i);
        queue("/bin/true", number, "b");
    }
    assert_int_equal(scripts_waiting(d.scripts), 256);
    struct script_view v;
    assert_true(scripts_view(d.scripts, 0, &v));
    assert_string_equal(v.argv[1], "44");
    run_until_empty();
    assert_int_equal(ends, 256);
}

static void the_delay_doubles(void **state)
{
    (void)state;
    d.core->params.script_retry_delay_ms = 100000;
    queue(script("s", "exit 1"), "a", "b");
    struct script_view v;
    while (ends == 0)
        io_loop_once(d.loop);
    assert_true(scripts_view(d.scripts, 0, &v));
    assert_false(v.running);
    assert_int_equal(v.retries, 1);
    assert_in_range(v.run_delay_ms, 90000, 100000);
}

/* Scripts that run when the daemon ends go with it. */
static void the_end_kills_what_runs(void **state)
{
    (void)state;
    queue(script("s", "echo $$ >pid; sleep 600"), "a", "b");
    while (scripts_running(d.scripts) == 0)
        io_loop_once(d.loop);
    struct script_view v;
    assert_true(scripts_view(d.scripts, 0, &v));
    pid_t pid = v.pid;
    scripts_free(d.scripts);
    d.scripts = scripts_new(&d);
    for (int i = 0; i < 5000 && kill(pid, 0) == 0; i++) {
        ev_run(io_loop_ev(d.loop), EVRUN_NOWAIT); /* libev reaps it */
        usleep(1000);
    }
    assert_int_equal(kill(pid, 0), -1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    alarm(SECONDS_AT_MOST);
    const struct CMUnitTest tests[] = {
        CASE(arguments_arrive_and_success_is_silent),
        CASE(only_standard_descriptors_are_inherited),
        CASE(exit_1_is_tried_ten_times),
        CASE(a_signal_is_tried_again),
        CASE(exit_2_is_given_up),
        CASE(a_missing_script_is_given_up),
        CASE(a_script_that_hangs_is_killed_with_its_children),
        CASE(sixteen_run_at_one_time),
        CASE(the_oldest_waiting_one_is_dropped_when_the_queue_is_full),
        CASE(the_delay_doubles),
        CASE(the_end_kills_what_runs),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&events);
    return failed;
}
