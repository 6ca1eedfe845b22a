/* sentineld: supervises masters and replicas that speak the Redis protocol. */
#include "common/base/version.h"
#include "common/io/file.h"
#include "common/io/log.h"
#include "sentineld/shell/config.h"
#include "sentineld/shell/daemon.h"
#include "sentineld/shell/notify.h"
#include "sentineld/shell/reload.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_START = 1, EXIT_CONFIG = 2 };

/* Descriptors: a thousand for ourselves, scripts and the state; what the clients may take; and for each group room for
 * a master and a handful of replicas with two links each. */
#define FILES_OWN 1024
#define FILES_CLIENTS 10000
#define FILES_GROUP 24
#define FILES_LEAST 65536

static const char usage[] = "usage: sentineld -c FILE [--check]\n"
                            "       sentineld --version | --help\n"
                            "\n"
                            "  -c, --config FILE   the configuration file (required)\n"
                            "      --check         read and check the file, start nothing\n"
                            "      --version       print the version\n"
                            "      --help          print this\n"
                            "\n"
                            "Runs in the foreground. SIGTERM and SIGINT end it, SIGHUP reads the file again.\n"
                            "Exit status: 0 ended as asked, 1 could not start, 2 wrong arguments or configuration.\n";

struct arguments {
    const char *config;
    bool check;
};

/* Returns -1 to go on, or the exit status. */
static int read_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'k'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (c) {
        case 'c': a->config = optarg; break;
        case 'k': a->check = true; break;
        case 'v': printf("sentineld %s\n", SENTINELD_VERSION); return EXIT_OK;
        case 'h': fputs(usage, stdout); return EXIT_OK;
        default: fputs(usage, stderr); return EXIT_CONFIG;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sentineld: unexpected argument '%s'\n%s", argv[optind], usage);
        return EXIT_CONFIG;
    }
    if (a->config == NULL) {
        fprintf(stderr, "sentineld: no configuration file is given\n%s", usage);
        return EXIT_CONFIG;
    }
    return -1;
}

/* With one of these closed, the next file that is opened would get its number, and what is printed would go into it. */
static bool fill_standard_descriptors(void)
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

static void raise_file_limit(size_t groups)
{
    rlim_t wanted = FILES_OWN + FILES_CLIENTS + groups * FILES_GROUP;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t goal = wanted > FILES_LEAST ? wanted : FILES_LEAST;
    if (limit.rlim_max != RLIM_INFINITY && goal > limit.rlim_max)
        goal = limit.rlim_max;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= goal)
        return;
    limit.rlim_cur = goal;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        io_log(IO_WARNING, "The limit of open files cannot be raised to %llu: %s", (unsigned long long)goal,
               strerror(errno));
    else if (goal < wanted)
        io_log(
            IO_WARNING,
            "Only %llu files may be open at once, %llu may be wanted: raise the hard limit (LimitNOFILE= of the unit)",
            (unsigned long long)goal, (unsigned long long)wanted);
}

static bool make_folder(const char *path, struct buf *error)
{
    struct stat st;
    if (mkdir(path, 0700) == 0)
        return true;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    int why = errno == EEXIST ? ENOTDIR : errno;
    buf_printf(error, "state_dir %s cannot be made: %s", path, strerror(why));
    if (why == ENOENT)
        buf_puts(error, ". Make the folders above it first");
    return false;
}

static bool enter_state_dir(const char *path, struct buf *error)
{
    if (!make_folder(path, error))
        return false;
    if (chdir(path) == 0)
        return true;
    buf_printf(error, "state_dir %s cannot be entered: %s", path, strerror(errno));
    return false;
}

/* ---- signals ---- */

static void on_end(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)loop;
    (void)events;
    io_log(IO_WARNING, "%s received: ending", w->signum == SIGTERM ? "SIGTERM" : "SIGINT");
    daemon_stop(w->data, EXIT_OK);
}

static void on_hangup(struct ev_loop *loop, ev_signal *w, int events)
{
    (void)loop;
    (void)events;
    struct daemon *d = w->data;
    io_log(IO_NOTICE, "SIGHUP received: reading %s again", d->config_path);
    reload_ask(d->reload, 0);
}

struct signals {
    ev_signal term, interrupt, hangup;
};

static void watch(struct daemon *d, ev_signal *w, void (*run)(struct ev_loop *, ev_signal *, int), int number)
{
    ev_signal_init(w, run, number);
    w->data = d;
    ev_signal_start(io_loop_ev(d->loop), w);
}

static void watch_signals(struct daemon *d, struct signals *s)
{
    watch(d, &s->term, on_end, SIGTERM);
    watch(d, &s->interrupt, on_end, SIGINT);
    watch(d, &s->hangup, on_hangup, SIGHUP);
}

static void unwatch_signals(struct daemon *d, struct signals *s)
{
    ev_signal_stop(io_loop_ev(d->loop), &s->term);
    ev_signal_stop(io_loop_ev(d->loop), &s->interrupt);
    ev_signal_stop(io_loop_ev(d->loop), &s->hangup);
}

/* ---- the run ---- */

static int fail(struct buf *error)
{
    io_log(IO_WARNING, "sentineld cannot start: %s", buf_str(error));
    buf_free(error);
    return EXIT_START;
}

static int run(struct sentineld_config *config, const char *path, const char *executable)
{
    struct buf error = {.n = 0};
    char *start_dir = io_path_absolute("."); /* NULL when it is unknown: the file has no relative paths then */
    if (!enter_state_dir(config->state_dir, &error) ||
        !io_log_open(config->log.file, (enum io_log_level)config->log.level, &error)) {
        config_free(config);
        free(start_dir);
        return fail(&error);
    }
    raise_file_limit(config->group_count);
    struct daemon d = {.config_path = path, .executable = executable, .start_dir = start_dir};
    if (!daemon_open(&d, config, &error)) {
        int status = fail(&error);
        daemon_close(&d);
        free(start_dir);
        return status;
    }
    buf_free(&error);
    io_log(IO_WARNING, "sentineld %s has started: id %s, port %d, process %ld, state in %s", SENTINELD_VERSION,
           d.core->id, d.port, (long)getpid(), config->state_dir);
    struct signals signals;
    watch_signals(&d, &signals);
    d.notify = notify_open(&d);
    io_loop_run(d.loop);
    unwatch_signals(&d, &signals);
    int status = d.exit_status;
    bool ended = daemon_close(&d);
    free(start_dir);
    io_log(IO_WARNING, "sentineld has ended");
    if (!ended) {
        io_log_close();
        _exit(status);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct arguments a = {.config = NULL};
    if (!fill_standard_descriptors())
        return EXIT_START;
    int status = read_arguments(argc, argv, &a);
    if (status >= 0)
        return status;
    umask(077); /* the state holds passwords */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its size limit is an error to report, like a full disk */
    struct conf_problems problems = {.count = 0};
    struct sentineld_config *config = config_load(a.config, &problems);
    if (config == NULL) {
        fputs(buf_str(&problems.text), stderr);
        buf_free(&problems.text);
        return EXIT_CONFIG;
    }
    buf_free(&problems.text);
    if (a.check) {
        printf("%s: good; %zu group%s, %zu cluster%s\n", a.config, config->group_count,
               config->group_count == 1 ? "" : "s", config->cluster_count, config->cluster_count == 1 ? "" : "s");
        config_free(config);
        return EXIT_OK;
    }
    char *path = io_path_absolute(a.config), *executable = io_path_absolute("/proc/self/exe");
    char target[4096];
    ssize_t n = readlink("/proc/self/exe", target, sizeof target - 1);
    if (n > 0) {
        target[n] = '\0';
        free(executable);
        executable = io_path_absolute(target);
    }
    status = run(config, path == NULL ? a.config : path, executable == NULL ? argv[0] : executable);
    free(path);
    free(executable);
    io_log_close();
    return status;
}
