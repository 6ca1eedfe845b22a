/* Which process a drill may signal, and how it is started again: on real processes of this test's making. */
#include "nodectl/drill/process.h"

#include "common/base/mem.h"
#include "nodectl/drill/outside.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SECONDS_AT_MOST 60

/* A child that listens at a port of 127.0.0.1 and does nothing. */
static pid_t listener(struct addr *a)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof at;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int ok = bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, 1) == 0 &&
                 getsockname(fd, (struct sockaddr *)&at, &n) == 0;
        int port = ok ? ntohs(at.sin_port) : 0;
        if (write(ends[1], &port, sizeof port) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    int port = 0;
    assert_int_equal(read(ends[0], &port, sizeof port), sizeof port);
    assert_true(port > 0);
    close(ends[0]);
    close(ends[1]);
    assert_true(addr_set(a, slice_of("127.0.0.1"), port));
    return child;
}

/* "R", "S", "T": what /proc says of it. */
static char state_of(pid_t pid)
{
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    if (f != NULL)
        (void)fclose(f);
    return state;
}

static void wait_state(pid_t pid, bool stopped)
{
    while ((state_of(pid) == 'T') != stopped)
        usleep(1000);
}

static void only_the_process_at_the_address_is_signalled(void **state)
{
    (void)state;
    struct addr a, other, far;
    struct local_process p;
    struct buf why = {0};
    pid_t child = listener(&a), stranger = listener(&other);
    assert_int_equal(process_find(&p, &a, child, &why), PROCESS_HERE);
    assert_int_equal(p.pid, child);
    assert_int_equal(why.n, 0);
    assert_true(process_signal(&p, SIGSTOP, &why));
    wait_state(child, true);
    assert_true(process_signal(&p, SIGCONT, &why));
    wait_state(child, false);
    assert_false(process_wait_end(&p, 0));

    /* One that exists, and does not listen there: itself, or another one that listens elsewhere. */
    struct local_process q;
    assert_int_equal(process_find(&q, &a, getpid(), &why), PROCESS_REFUSED);
    assert_non_null(strstr(buf_str(&why), "does not listen at that address"));
    assert_int_equal(process_find(&q, &a, stranger, &why), PROCESS_REFUSED);
    assert_int_not_equal(process_find(&q, &a, 1, &why), PROCESS_HERE);
    assert_int_not_equal(process_find(&q, &a, 0, &why), PROCESS_HERE);
    assert_int_not_equal(process_find(&q, &a, -1, &why), PROCESS_HERE);
    /* The same port of another host. */
    assert_true(addr_set(&far, slice_of("203.0.113.7"), a.port));
    assert_int_equal(process_find(&q, &far, child, &why), PROCESS_ELSEWHERE);

    assert_true(process_signal(&p, SIGKILL, &why));
    assert_true(process_wait_end(&p, 5000));
    assert_int_equal(waitpid(child, NULL, 0), child);
    buf_clear(&why);
    assert_false(process_signal(&p, SIGKILL, &why)); /* whoever has its number now gets nothing */
    assert_non_null(strstr(buf_str(&why), "No such process"));
    assert_int_equal(process_find(&q, &a, child, &why), PROCESS_ELSEWHERE);
    process_free(&p);
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
    buf_free(&why);
}

static char *block(const char *text, size_t n)
{
    char *copy = mem_alloc(n);
    memcpy(copy, text, n);
    return copy;
}

static void it_is_started_again_as_it_was(void **state)
{
    (void)state;
    static const char words[] = "sh\0-c\0echo \"$1 $WORD $(pwd) $(ulimit -n)\"\0sh\0an argument\0";
    static const char environment[] = "WORD=ours\0PATH=/usr/bin:/bin\0";
    char folder[] = "/tmp/drill-process-XXXXXX", output[64], text[256] = "", wanted[256];
    assert_non_null(mkdtemp(folder));
    snprintf(output, sizeof output, "%s/out", folder);
    FILE *f = fopen(output, "we");
    assert_non_null(f);
    (void)fclose(f);
    struct buf why = {0};
    struct local_process p = {.fd = -1,
                              .program = mem_strdup("/bin/sh"),
                              .folder = mem_strdup(folder),
                              .output = mem_strdup(output),
                              .words = block(words, sizeof words - 1),
                              .nwords = sizeof words - 1,
                              .environment = block(environment, sizeof environment - 1),
                              .nenvironment = sizeof environment - 1,
                              .user = geteuid(),
                              .group = getegid()};
    for (int i = 0; i < (int)RLIM_NLIMITS; i++)
        assert_int_equal(getrlimit((__rlimit_resource_t)i, &p.limits[i]), 0);
    p.limits[RLIMIT_NOFILE].rlim_cur = 77;
    assert_true(process_can_start_again(&p, "", &why));
    assert_true(process_start_again(&p, NULL, &why));
    while (text[0] == '\0') {
        f = fopen(output, "re");
        assert_non_null(f);
        if (fgets(text, sizeof text, f) == NULL)
            text[0] = '\0';
        (void)fclose(f);
        usleep(1000);
    }
    snprintf(wanted, sizeof wanted, "an argument ours %s 77\n", folder);
    assert_string_equal(text, wanted);

    /* What could not be started is known before anything is ended. */
    free(p.program);
    p.program = mem_strdup("/nowhere/noded (deleted)");
    assert_false(process_can_start_again(&p, "", &why));
    assert_non_null(strstr(buf_str(&why), "/nowhere/noded or its folder"));
    free(p.program);
    p.program = mem_strdup("/bin/sh (deleted)");
    assert_true(process_can_start_again(&p, "", &why));
    assert_string_equal(p.program, "/bin/sh");
    free(p.words);
    p.words = mem_strdup("redis-server *:6379");
    buf_clear(&why);
    assert_false(process_can_start_again(&p, "", &why));
    assert_non_null(strstr(buf_str(&why), "shows a title"));
    assert_true(process_can_start_again(&p, "/etc/redis.conf", &why));
    assert_int_equal(p.nwords, strlen("redis-server") + 1 + strlen("/etc/redis.conf") + 1);
    assert_string_equal(p.words, "redis-server");
    assert_string_equal(p.words + strlen("redis-server") + 1, "/etc/redis.conf");
    process_free(&p);
    buf_free(&why);
    unlink(output);
    rmdir(folder);
}

static void commands_end_with_their_status(void **state)
{
    (void)state;
    struct buf output = {0};
    const char *fine[] = {"sh", "-c", "echo $WORD; exit 3", NULL}, *env[] = {"WORD=here", NULL};
    assert_int_equal(outside_run(fine, env, 5000, &output), 3);
    assert_string_equal(buf_str(&output), "here\n");
    /* What it leaves running, with its output still open, is not waited for. */
    const char *leaves[] = {"sh", "-c", "sleep 2 & echo done", NULL};
    buf_clear(&output);
    assert_int_equal(outside_run(leaves, NULL, 5000, &output), 0);
    assert_string_equal(buf_str(&output), "done\n");
    const char *hangs[] = {"sleep", "20", NULL}, *missing[] = {"no-such-program", NULL};
    buf_clear(&output);
    assert_int_equal(outside_run(hangs, NULL, 50, &output), -1);
    assert_non_null(strstr(buf_str(&output), "more than 50 ms"));
    buf_clear(&output);
    assert_int_equal(outside_run(missing, NULL, 5000, &output), 127);
    assert_non_null(strstr(buf_str(&output), "cannot be started: No such file"));
    buf_free(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_process_at_the_address_is_signalled),
        cmocka_unit_test(it_is_started_again_as_it_was),
        cmocka_unit_test(commands_end_with_their_status),
    };
    alarm(SECONDS_AT_MOST);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
