#include "noded/shell/process.h"

#include "common/io/file.h"
#include "common/io/log.h"
#include "noded/shell/node.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One to a process, as its signals are. */
static struct {
    ev_signal term, interrupt, hangup;
    int parent; /* pipe to the waiting parent of a daemon; -1 none */
} process = {.parent = -1};

bool process_fill_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0)
            return false;
    } while (fd <= STDERR_FILENO);
    close(fd);
    return true;
}

char *process_executable(void)
{
    char target[4096];
    ssize_t n = readlink("/proc/self/exe", target, sizeof target - 1);
    if (n < 0)
        return NULL;
    target[n] = '\0';
    return io_path_absolute(target);
}

bool process_enter_folder(struct nd_config *config, struct buf *error)
{
    if (chdir(config->dir) != 0) {
        buf_printf(error, "dir %s cannot be entered: %s", config->dir, strerror(errno));
        return false;
    }
    char *here = io_path_absolute(".");
    if (here != NULL) {
        free(config->dir);
        config->dir = here;
    }
    return true;
}

bool process_open_log(const struct nd_config *config, struct buf *error)
{
    return io_log_open(config->logfile, (enum io_log_level)config->loglevel, error);
}

/* ---- in the background ---- */

/* The parent's part: a byte says that the child is ready, its end without one that it is not. */
static _Noreturn void wait_for_child(int from)
{
    char ready;
    ssize_t n;
    do {
        n = read(from, &ready, 1);
    } while (n < 0 && errno == EINTR);
    _exit(n == 1 ? 0 : 1);
}

bool process_go_to_background(const struct nd_config *config, struct buf *error)
{
    int ends[2];
    if (!config->daemonize)
        return true;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        buf_printf(error, "no pipe for going to the background: %s", strerror(errno));
        return false;
    }
    pid_t child = fork();
    if (child < 0) {
        buf_printf(error, "no process for going to the background: %s", strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    if (child > 0) {
        close(ends[1]);
        wait_for_child(ends[0]);
    }
    close(ends[0]);
    process.parent = ends[1];
    setsid();
    return true;
}

/* Standard error stays until here, so that a failed start can be read on the terminal. */
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    close(null);
}

static void tell_parent(void)
{
    if (process.parent < 0)
        return;
    leave_terminal();
    if (write(process.parent, "+", 1) != 1)
        io_log(IO_VERBOSE, "Whoever started this in the background has not waited for it");
    close(process.parent);
    process.parent = -1;
}

/* ---- the file with the number ---- */

void process_write_pid(const struct nd_config *config)
{
    if (config->pidfile[0] == '\0')
        return;
    FILE *f = fopen(config->pidfile, "we");
    if (f == NULL || fprintf(f, "%ld\n", (long)getpid()) < 0)
        io_log(IO_WARNING, "pidfile %s cannot be written: %s", config->pidfile, strerror(errno));
    if (f != NULL)
        fclose(f);
}

void process_remove_pid(const struct nd_config *config)
{
    if (config->pidfile[0] != '\0' && unlink(config->pidfile) != 0 && errno != ENOENT)
        io_log(IO_WARNING, "pidfile %s cannot be removed: %s", config->pidfile, strerror(errno));
}

/* ---- signals ---- */

static void on_end(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)loop;
    (void)events;
    struct node *n = w->data;
    const struct nd_config *config = &n->engine->config;
    node_time(n);
    if (w->signum == SIGTERM)
        shutdown_signal(n, "SIGTERM", config->shutdown_on_sigterm);
    else
        shutdown_signal(n, "SIGINT", config->shutdown_on_sigint);
    node_touch(n);
}

/* A closed terminal sends it too: the server lives on, as Redis does. */
static void on_hangup(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)loop;
    (void)w;
    (void)events;
    io_log_reopen();
    io_log(IO_NOTICE, "SIGHUP received: the log file was opened again");
}

static void watch(struct node *n, ev_signal *w, void (*run)(struct ev_loop *, ev_signal *, int), int number)
{
    ev_signal_init(w, run, number);
    w->data = n;
    ev_signal_start(io_loop_ev(n->loop), w);
}

void process_watch_signals(struct node *n)
{
    signal(SIGXFSZ, SIG_IGN); /* a file at its size limit is an error to report, like a full disk */
    watch(n, &process.term, on_end, SIGTERM);
    watch(n, &process.interrupt, on_end, SIGINT);
    watch(n, &process.hangup, on_hangup, SIGHUP);
}

void process_unwatch_signals(struct node *n)
{
    ev_signal_stop(io_loop_ev(n->loop), &process.term);
    ev_signal_stop(io_loop_ev(n->loop), &process.interrupt);
    ev_signal_stop(io_loop_ev(n->loop), &process.hangup);
}

/* ---- memory ---- */

void process_refuse_huge_pages(const struct nd_config *config)
{
    if (config->disable_thp && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
        io_log(IO_WARNING, "Huge pages cannot be switched off for this process: %s", strerror(errno));
}

/* Pages of a file that nobody can write are clean: the system has them at hand when they are touched again. */
static int forget_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0)
            continue;
        uintptr_t from = info->dlpi_addr + segment->p_vaddr, to = from + segment->p_memsz;
        from &= ~(page - 1);
        to = (to + page - 1) & ~(page - 1);
        madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}

void process_forget_start(void)
{
    dl_iterate_phdr(forget_segments, NULL);
}

/* ---- who wants to know ---- */

/* The service manager's protocol is one datagram to the socket that NOTIFY_SOCKET names; "@" in front stands for the
 * zero byte of an abstract name. Its library would more than triple what this program needs of memory when idle. */
static bool send_state(const char *name, const char *state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    if (n >= sizeof sa.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(sa.sun_path, name, n);
    if (name[0] == '@')
        sa.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    socklen_t room = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    bool ok = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa, room) >= 0;
    int why = errno;
    close(fd);
    errno = why;
    return ok;
}

static void tell_manager(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || (name[0] != '/' && name[0] != '@'))
        return;
    if (!send_state(name, state))
        io_log(IO_WARNING, "The service manager cannot be told: %s. NOTIFY_SOCKET names its socket", strerror(errno));
}

void process_ready(void)
{
    tell_manager("READY=1\nSTATUS=Ready to accept connections");
    tell_parent();
}

void process_stopping(void)
{
    tell_manager("STOPPING=1\nSTATUS=ending");
}
