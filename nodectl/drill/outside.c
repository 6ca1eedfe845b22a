#include "nodectl/drill/outside.h"

#include "common/io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)64 << 10)

static _Noreturn void exec_it(const char *const *argv, const char *const *env, int out)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL); /* a drill ignores it, and a shell's pipelines count on it */
    setpgid(0, 0);                  /* what the terminal sends on Ctrl-C is the drill's to decide on */
    for (size_t i = 0; env != NULL && env[i] != NULL; i++)
        putenv((char *)(uintptr_t)env[i]); /* it lives until the exec */
    int in = open("/dev/null", O_RDONLY);
    dup2(in, 0);
    dup2(out, 1);
    dup2(out, 2);
    closefrom(3);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    static const char text[] = "it cannot be started: ";
    const char *why = strerror(errno);
    if (write(2, text, sizeof text - 1) < 0 || write(2, why, strlen(why)) < 0)
        _exit(126);
    _exit(127);
}

static void take_output(int fd, struct buf *output)
{
    char part[4096];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0)
        if (output->n + (size_t)n <= OUTPUT_MAX)
            buf_put(output, part, (size_t)n);
}

/* Until it ends; what it has left running may hold on to its output. false: it took too long. */
static bool collect(int fd, int process, int64_t deadline_us, struct buf *output)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = process, .events = POLLIN}};
    do {
        int64_t left_us = deadline_us - io_now_us();
        if (left_us <= 0)
            return false;
        if (poll(p, 2, (int)(left_us / 1000) + 1) <= 0)
            continue;
        take_output(fd, output);
        if (p[0].revents & POLLHUP)
            p[0].fd = -1;
    } while (!(p[1].revents & POLLIN));
    take_output(fd, output);
    return true;
}

int outside_run(const char *const *argv, const char *const *env, int timeout_ms, struct buf *output)
{
    int ends[2], status = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        buf_puts(output, strerror(errno));
        return -1;
    }
    pid_t child = fork();
    if (child == 0)
        exec_it(argv, env, ends[1]);
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        buf_puts(output, strerror(errno));
        return -1;
    }
    int process = pidfd_open(child, 0);
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    bool ended = process >= 0 && collect(ends[0], process, io_now_us() + (int64_t)timeout_ms * 1000, output);
    close(ends[0]);
    if (process >= 0)
        close(process);
    if (!ended) {
        kill(-child, SIGKILL);
        buf_printf(output, "%sit was killed: it ran for more than %d ms", output->n > 0 ? "; " : "", timeout_ms);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!ended)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
