#include "nodectl/drill/process.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/drill/listening.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)4 << 20) /* of a file of /proc */

static const char *proc_path(char path[64], pid_t pid, const char *name)
{
    snprintf(path, 64, "/proc/%d/%s", (int)pid, name);
    return path;
}

static bool read_proc(pid_t pid, const char *name, struct buf *out)
{
    char path[64], part[4096];
    int fd = open(proc_path(path, pid, name), O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    while (fd >= 0 && out->n < FILE_BYTES_MAX && (n = read(fd, part, sizeof part)) > 0)
        buf_put(out, part, (size_t)n);
    if (fd >= 0)
        close(fd);
    return fd >= 0 && n == 0;
}

static char *read_link(pid_t pid, const char *name)
{
    char path[64], target[4096];
    ssize_t n = readlink(proc_path(path, pid, name), target, sizeof target - 1);
    return n > 0 ? mem_strndup(target, (size_t)n) : NULL;
}

static bool same_network(pid_t pid)
{
    char *theirs = read_link(pid, "ns/net"), *ours = read_link(getpid(), "ns/net");
    bool same = theirs != NULL && ours != NULL && strcmp(theirs, ours) == 0;
    free(theirs);
    free(ours);
    return same;
}

/* ---- what is needed to start it again ---- */

static struct unit unit_of(pid_t pid)
{
    struct buf cgroups = {0};
    struct unit u = {.name = NULL};
    if (read_proc(pid, "cgroup", &cgroups))
        u = unit_of_process(buf_slice(&cgroups), pid);
    buf_free(&cgroups);
    return u;
}

static char *take(struct buf *b, size_t *n)
{
    char *p = b->p != NULL ? b->p : mem_zalloc(1);
    *n = b->n;
    *b = (struct buf){0};
    return p;
}

/* "Groups:\t4 27 1000" of its status. */
static void remember_groups(struct local_process *p)
{
    struct buf text = {0};
    if (!read_proc(p->pid, "status", &text))
        buf_clear(&text);
    for (struct slice rest = buf_slice(&text); rest.n > 0;) {
        struct slice line = slice_cut_line(&rest);
        if (!slice_is(slice_cut(&line, ':'), "Groups"))
            continue;
        for (line = slice_trim(line); line.n > 0;) {
            int64_t group;
            if (!text_range(slice_cut(&line, ' '), 0, UINT32_MAX, &group))
                continue;
            p->groups = mem_array(p->groups, p->ngroups + 1, sizeof *p->groups);
            p->groups[p->ngroups++] = (gid_t)group;
        }
    }
    buf_free(&text);
}

static bool remember(struct local_process *p, struct buf *why)
{
    struct buf words = {0}, environment = {0};
    char path[64];
    struct stat st;
    p->program = read_link(p->pid, "exe");
    p->folder = read_link(p->pid, "cwd");
    p->output = read_link(p->pid, "fd/1");
    if (p->output != NULL && (stat(p->output, &st) != 0 || !S_ISREG(st.st_mode))) {
        free(p->output);
        p->output = NULL;
    }
    bool ok = p->program != NULL && p->folder != NULL && read_proc(p->pid, "cmdline", &words) && words.n > 0 &&
              read_proc(p->pid, "environ", &environment) && stat(proc_path(path, p->pid, "."), &st) == 0;
    if (ok) {
        p->words = take(&words, &p->nwords);
        p->environment = take(&environment, &p->nenvironment);
        p->user = st.st_uid;
        p->group = st.st_gid;
        remember_groups(p);
        for (int i = 0; i < (int)RLIM_NLIMITS; i++)
            if (prlimit(p->pid, (__rlimit_resource_t)i, NULL, &p->limits[i]) != 0)
                p->limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
        p->unit = unit_of(p->pid);
    } else {
        buf_printf(why, "process %d cannot be looked at: it belongs to another user, who, or root, may run this drill",
                   (int)p->pid);
    }
    buf_free(&words);
    buf_free(&environment);
    return ok;
}

/* ---- finding ---- */

enum process_found process_find(struct local_process *p, const struct addr *a, int64_t pid, struct buf *why)
{
    *p = (struct local_process){.pid = (pid_t)pid, .fd = -1};
    if (!listening_is_our_address(a)) {
        buf_printf(why, "%s is no address of this host", a->host);
        return PROCESS_ELSEWHERE;
    }
    p->fd = pid > 1 && pid <= INT32_MAX ? pidfd_open(p->pid, 0) : -1;
    if (p->fd < 0 || !same_network(p->pid)) {
        buf_printf(why, "process %lld, of which it speaks, is none of this host, or not in this network namespace",
                   (long long)pid);
        process_free(p);
        return PROCESS_ELSEWHERE;
    }
    if (!remember(p, why)) {
        process_free(p);
        return PROCESS_REFUSED;
    }
    if (!listening_is_of(p->pid, a)) {
        buf_printf(why, "process %d does not listen at that address, though the node says that it is this process",
                   (int)p->pid);
        process_free(p);
        return PROCESS_REFUSED;
    }
    return PROCESS_HERE;
}

void process_free(struct local_process *p)
{
    if (p->fd >= 0)
        close(p->fd);
    unit_free(&p->unit);
    free(p->program);
    free(p->folder);
    free(p->output);
    free(p->words);
    free(p->environment);
    free(p->groups);
    *p = (struct local_process){.fd = -1};
}

static void put_word(struct buf *b, const char *word)
{
    buf_put(b, word, strlen(word) + 1);
}

/* An upgrade has taken the program's file away, or put another one in its place: /proc says so behind the path. */
static bool is_startable(struct local_process *p, struct buf *why)
{
    static const char gone[] = " (deleted)";
    size_t n = strlen(p->program), tail = sizeof gone - 1;
    if (n > tail && strcmp(p->program + n - tail, gone) == 0)
        p->program[n - tail] = '\0';
    bool ok = access(p->program, X_OK) == 0 && access(p->folder, X_OK) == 0;
    if (!ok)
        buf_printf(why, "process %d could not be started again: %s or its folder %s is gone", (int)p->pid, p->program,
                   p->folder);
    return ok;
}

/* Its own arguments and environment are under the title. */
static bool replace_title(struct local_process *p, const char *config_file, struct buf *why)
{
    struct buf words = {0}, environment = {0};
    struct slice title = slice_of(p->words);
    struct slice name = slice_cut(&title, ' ');
    if (title.p == NULL)
        return true;
    if (config_file[0] == '\0') {
        buf_printf(
            why,
            "process %d shows a title instead of its arguments and has no configuration file, so it could not be "
            "started again. Run it as a unit of systemd, or give harm_command and heal_command",
            (int)p->pid);
        return false;
    }
    buf_put(&words, name.p, name.n);
    put_word(&words, "");
    put_word(&words, config_file);
    for (char **v = environ; *v != NULL; v++)
        put_word(&environment, *v);
    free(p->words);
    free(p->environment);
    p->words = take(&words, &p->nwords);
    p->environment = take(&environment, &p->nenvironment);
    return true;
}

bool process_can_start_again(struct local_process *p, const char *config_file, struct buf *why)
{
    return p->unit.name != NULL || (is_startable(p, why) && replace_title(p, config_file, why));
}

/* ---- acting ---- */

bool process_signal(const struct local_process *p, int sig, struct buf *why)
{
    if (pidfd_send_signal(p->fd, sig, NULL, 0) == 0)
        return true;
    buf_printf(why, "signal %d to process %d: %s", sig, (int)p->pid, strerror(errno));
    return false;
}

bool process_wait_end(const struct local_process *p, int timeout_ms)
{
    struct pollfd f = {.fd = p->fd, .events = POLLIN};
    return poll(&f, 1, timeout_ms) == 1;
}

/* Pointers to the strings of a block; owned by the caller. */
static char **list_of(char *block, size_t n)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        count += block[i] == '\0';
    char **list = mem_zalloc((count + 1) * sizeof *list);
    for (size_t i = 0; i < n && at < count; i += strlen(block + i) + 1)
        list[at++] = block + i;
    return list;
}

static void become(const struct local_process *p)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_DFL);
    setsid();
    for (int i = 0; i < (int)RLIM_NLIMITS; i++)
        (void)setrlimit((__rlimit_resource_t)i, &p->limits[i]); /* what may not be raised stays */
    if (geteuid() == 0 && p->user != 0 &&
        (setgroups(p->ngroups, p->groups) != 0 || setgid(p->group) != 0 || setuid(p->user) != 0))
        return;
    int in = open("/dev/null", O_RDWR);
    int out = p->output != NULL ? open(p->output, O_WRONLY | O_APPEND) : -1;
    dup2(in, 0);
    dup2(out >= 0 ? out : in, 1);
    dup2(out >= 0 ? out : in, 2);
}

/* Through the pipe: the number of the new process, and why it could not become the program. */
struct told {
    int is_error, value;
};

/* In a fork of a fork. Does not return; what goes wrong is written to the pipe, which an exec closes. */
static _Noreturn void exec_again(const struct local_process *p, char **argv, char **env, int pipe_fd)
{
    become(p);
    int moved = dup2(pipe_fd, 3);
    fcntl(moved, F_SETFD, FD_CLOEXEC);
    closefrom(4);
    if (geteuid() == p->user && chdir(p->folder) == 0)
        execve(p->program, argv, env);
    struct told error = {.is_error = true, .value = errno != 0 ? errno : EPERM};
    ssize_t written = write(moved, &error, sizeof error);
    _exit(written > 0 ? 127 : 126);
}

/* The child of ours, between us and the program, which tells its number. */
static _Noreturn void fork_again(const struct local_process *p, char **argv, char **env, int pipe_fd)
{
    pid_t pid = fork();
    if (pid == 0)
        exec_again(p, argv, env, pipe_fd);
    struct told number = {.is_error = pid < 0, .value = pid < 0 ? errno : (int)pid};
    ssize_t written = write(pipe_fd, &number, sizeof number);
    _exit(written > 0 ? 0 : 1);
}

/* Returns the error, 0: there was none. */
static int read_started(int pipe_fd, pid_t *started)
{
    struct told t;
    int error = 0;
    while (read(pipe_fd, &t, sizeof t) == sizeof t) {
        if (t.is_error)
            error = t.value;
        else
            *started = (pid_t)t.value;
    }
    return error == 0 && *started < 0 ? EAGAIN : error;
}

bool process_start_again(const struct local_process *p, int *fd, struct buf *why)
{
    char **argv = list_of(p->words, p->nwords), **env = list_of(p->environment, p->nenvironment);
    int ends[2], error = 0, status;
    pid_t started = -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        error = errno;
    pid_t child = error == 0 ? fork() : -1;
    if (child == 0)
        fork_again(p, argv, env, ends[1]);
    if (error == 0) {
        close(ends[1]);
        if (child > 0)
            (void)waitpid(child, &status, 0);
        error = read_started(ends[0], &started);
        close(ends[0]);
    }
    free(argv);
    free(env);
    if (error != 0)
        buf_printf(why, "%s cannot be started: %s", p->program, strerror(error));
    if (fd != NULL)
        *fd = error == 0 ? pidfd_open(started, 0) : -1;
    return error == 0;
}
