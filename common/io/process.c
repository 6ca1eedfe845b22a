#include "common/io/process.h"

#include "common/base/mem.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DRAIN_LAST 64 /* pieces that are read when it has ended: what it left in the pipe */

struct io_process {
    struct io_loop *loop;
    ev_child child;
    ev_timer deadline;
    ev_io feeder; /* writes input; fd -1 when there is none */
    struct buf input;
    size_t written;
    ev_io drain; /* reads its output; fd -1 when it is inherited */
    struct buf output;
    size_t output_max;
    bool ends_group;
    bool timed_out;
    io_process_fn *ended;
    void *owner;
};

static void stop_feeding(struct io_process *p)
{
    if (p->feeder.fd < 0)
        return;
    ev_io_stop(io_loop_ev(p->loop), &p->feeder);
    close(p->feeder.fd);
    p->feeder.fd = -1;
    buf_free(&p->input);
}

static void on_feedable(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_process *p = w->data;
    ssize_t n = write(w->fd, p->input.p + p->written, p->input.n - p->written);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        p->written += (size_t)n;
    if (n < 0 || p->written == p->input.n) /* a child that does not read its input is no fault */
        stop_feeding(p);
}

static void stop_draining(struct io_process *p)
{
    if (p->drain.fd < 0)
        return;
    ev_io_stop(io_loop_ev(p->loop), &p->drain);
    close(p->drain.fd);
    p->drain.fd = -1;
}

/* Reads one piece. false: nothing is there now, or ever. */
static bool drain_once(struct io_process *p)
{
    char piece[4096];
    ssize_t n = read(p->drain.fd, piece, sizeof piece);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        stop_draining(p);
        return false;
    }
    size_t room = p->output_max - p->output.n;
    buf_put(&p->output, piece, (size_t)n < room ? (size_t)n : room); /* the rest is taken and thrown away */
    return true;
}

static void on_drainable(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    drain_once(w->data);
}

static void on_deadline(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_process *p = w->data;
    p->timed_out = true;
    io_process_kill(p);
}

static void on_exit_seen(struct ev_loop *ev, ev_child *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_process *p = w->data;
    int status = w->rstatus;
    struct io_process_exit end = {
        .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .timed_out = p->timed_out,
    };
    io_process_fn *ended = p->ended;
    ev_child_stop(io_loop_ev(p->loop), &p->child);
    if (p->ends_group)
        io_process_kill(p); /* its number is not given anew while a process of its group is there */
    for (int i = 0; i < DRAIN_LAST && p->drain.fd >= 0 && drain_once(p); i++)
        ;
    end.output = buf_slice(&p->output);
    ended(p->owner, p, &end);
    io_process_forget(p);
}

/* Our environment with the additions; an added name replaces ours. The caller frees the array, not the strings. */
static char **merged_environment(const char *const *added)
{
    size_t n = 0, cap = 0;
    char **v = NULL;
    for (size_t i = 0; added != NULL && added[i] != NULL; i++) {
        v = mem_grow(v, n, &cap, sizeof *v);
        v[n++] = (char *)(uintptr_t)added[i];
    }
    size_t own = n;
    for (size_t i = 0; environ != NULL && environ[i] != NULL; i++) {
        bool replaced = false;
        for (size_t j = 0; j < own && !replaced; j++) {
            const char *equals = strchr(v[j], '=');
            replaced = equals != NULL && strncmp(environ[i], v[j], (size_t)(equals - v[j]) + 1) == 0;
        }
        if (replaced)
            continue;
        v = mem_grow(v, n, &cap, sizeof *v);
        v[n++] = environ[i];
    }
    v = mem_grow(v, n, &cap, sizeof *v);
    v[n] = NULL;
    return v;
}

/* 0 or an errno. stdin_fd, output_fd -1: the child inherits ours. posix_spawn of glibc 2.24 and later runs the child on
 * the parent's memory until exec, so it costs the same however large we are, and it brings back the errno of exec. */
static int spawn(const struct io_process_spec *spec, int stdin_fd, int output_fd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    char **env = merged_environment(spec->env);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    int why = 0;
    if (stdin_fd >= 0)
        why = posix_spawn_file_actions_adddup2(&actions, stdin_fd, STDIN_FILENO);
    for (int to = STDOUT_FILENO; to <= STDERR_FILENO && output_fd >= 0 && why == 0; to++)
        why = posix_spawn_file_actions_adddup2(&actions, output_fd, to);
    if (why == 0)
        why = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (why == 0)
        why = posix_spawn(pid, spec->argv[0], &actions, &attr, (char *const *)(uintptr_t)spec->argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    free(env);
    return why;
}

static struct io_process *watch(struct io_loop *loop, const struct io_process_spec *spec, pid_t pid, int input_fd,
                                int output_fd)
{
    struct ev_loop *ev = io_loop_ev(loop);
    struct io_process *p = mem_zalloc(sizeof *p);
    p->loop = loop;
    ev_child_init(&p->child, on_exit_seen, pid, 0);
    ev_set_priority(&p->child, IO_PRIORITY_PROCESS);
    p->child.data = p;
    ev_child_start(ev, &p->child);
    ev_timer_init(&p->deadline, on_deadline, (double)spec->deadline_ms / 1000., 0.);
    p->deadline.data = p;
    if (spec->deadline_ms > 0) {
        ev_now_update(ev); /* the deadline counts from now, not from the start of this turn */
        ev_timer_start(ev, &p->deadline);
    }
    ev_io_init(&p->feeder, on_feedable, input_fd, EV_WRITE);
    p->feeder.data = p;
    if (input_fd >= 0) {
        buf_put(&p->input, spec->input.p, spec->input.n);
        ev_io_start(ev, &p->feeder);
    }
    p->output_max = spec->output_max;
    p->ends_group = spec->ends_group;
    ev_io_init(&p->drain, on_drainable, output_fd, EV_READ);
    p->drain.data = p;
    if (output_fd >= 0)
        ev_io_start(ev, &p->drain);
    return p;
}

/* A pipe of which our end does not block. keep: which of the two is ours. */
static bool open_pipe(int ends[2], int keep)
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    fcntl(ends[keep], F_SETFL, O_NONBLOCK);
    return true;
}

static void close_pipe(int ends[2])
{
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

struct io_process *io_process_start(struct io_loop *loop, const struct io_process_spec *spec, io_process_fn *ended,
                                    void *owner, struct buf *error)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    if ((spec->input.p != NULL && !open_pipe(in, 1)) || (spec->output_max > 0 && !open_pipe(out, 0))) {
        buf_printf(error, "%s cannot be started: no pipe for its input and output: %s", spec->argv[0], strerror(errno));
        close_pipe(in);
        return NULL;
    }
    pid_t pid;
    int why = spawn(spec, in[0], out[1], &pid);
    if (why != 0) {
        buf_printf(error, "%s cannot be started: %s", spec->argv[0], strerror(why));
        close_pipe(in);
        close_pipe(out);
        return NULL;
    }
    close_pipe((int[2]){in[0], out[1]});
    struct io_process *p = watch(loop, spec, pid, in[1], out[0]);
    p->ended = ended;
    p->owner = owner;
    return p;
}

pid_t io_process_pid(const struct io_process *p)
{
    return p->child.pid;
}

void io_process_kill(struct io_process *p)
{
    kill(-p->child.pid, SIGKILL);
}

void io_process_forget(struct io_process *p)
{
    if (p == NULL)
        return;
    struct ev_loop *ev = io_loop_ev(p->loop);
    stop_feeding(p);
    stop_draining(p);
    buf_free(&p->output);
    ev_child_stop(ev, &p->child);
    ev_timer_stop(ev, &p->deadline);
    free(p);
}
