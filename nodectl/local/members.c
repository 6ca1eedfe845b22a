#include "nodectl/local/members.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "nodectl/drill/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define WORDS_MAX 16384 /* bytes of a command line that are looked at */
#define TAIL_BYTES 2000
#define TAIL_LINES 8

/* ---- finding ---- */

/* A file of /proc, or what a link there names; false: it is gone, or it is another user's. */
static bool look(pid_t pid, const char *name, struct buf *out)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    buf_clear(out);
    buf_reserve(out, WORDS_MAX);
    ssize_t n = readlink(path, out->p, WORDS_MAX);
    if (n < 0) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, out->p, WORDS_MAX) : -1;
        if (fd >= 0)
            close(fd);
    }
    out->n = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* The word by its number, each of which ends with a NUL; an empty slice when there are not so many. */
static struct slice word_at(const struct buf *words, size_t number)
{
    struct slice rest = buf_slice(words), word = {NULL, 0};
    for (size_t i = 0; i <= number; i++)
        word = slice_cut(&rest, '\0');
    return word;
}

static bool same_network(pid_t pid)
{
    struct buf theirs = {0}, ours = {0};
    bool same = look(pid, "ns/net", &theirs) && look(getpid(), "ns/net", &ours) &&
                slice_eq(buf_slice(&theirs), buf_slice(&ours));
    buf_free(&theirs);
    buf_free(&ours);
    return same;
}

/* An upgrade takes the program's file away: " (deleted)" is behind the path then. */
static bool runs(pid_t pid, const char *program)
{
    struct buf exe = {0};
    bool found = false;
    if (look(pid, "exe", &exe)) {
        char *path = slice_dup(buf_slice(&exe)), *slash = strrchr(path, '/');
        struct slice rest = slice_of(slash != NULL ? slash + 1 : path);
        found = slice_is(slice_cut(&rest, ' '), program);
        free(path);
    }
    buf_free(&exe);
    return found;
}

static pid_t parent_of(pid_t pid)
{
    struct buf text = {0};
    int64_t parent = 0;
    if (look(pid, "stat", &text)) {
        const char *all = buf_str(&text), *behind = strrchr(all, ')');
        struct slice rest = slice_of(behind != NULL && strlen(behind) > 4 ? behind + 4 : "");
        if (!text_i64(slice_cut(&rest, ' '), &parent))
            parent = 0;
    }
    buf_free(&text);
    return (pid_t)parent;
}

/* words: its command line. */
static bool is_of(const struct layout_member *m, const char *conf, const struct buf *words, pid_t pid)
{
    size_t at = m->supervisor ? 2 : 1;
    return slice_is(word_at(words, at), conf) && (!m->supervisor || slice_is(word_at(words, 1), "-c")) &&
           runs(pid, m->supervisor ? "sentineld" : "noded") && same_network(pid);
}

static bool command_line(pid_t pid, struct buf *words)
{
    return look(pid, "cmdline", words);
}

/* A process that writes a snapshot is a copy of the node, with the same command line: the node is its parent. */
static void take(struct member_process *p, pid_t pid)
{
    if (p->pid != 0 && parent_of(pid) == p->pid)
        return;
    if (p->pid != 0 && parent_of(p->pid) != pid)
        return; /* a second one, which cannot have the port */
    member_free(p);
    p->fd = pidfd_open(pid, 0);
    p->pid = p->fd >= 0 ? pid : 0;
}

static void find_all(const struct layout *l, struct member_process *list, const struct layout_member *only)
{
    struct buf words = {0};
    char **confs = mem_zalloc((l->n + 1) * sizeof *confs);
    DIR *proc = opendir("/proc");
    for (size_t i = 0; i < l->n; i++)
        confs[i] = layout_conf(l, &l->v[i]);
    for (struct dirent *e = proc != NULL ? readdir(proc) : NULL; e != NULL; e = readdir(proc)) {
        int64_t pid;
        if (!text_range(slice_of(e->d_name), 2, INT32_MAX, &pid) || !command_line((pid_t)pid, &words))
            continue;
        for (size_t i = 0; i < l->n; i++)
            if ((only == NULL || only == &l->v[i]) && is_of(&l->v[i], confs[i], &words, (pid_t)pid)) {
                take(&list[i], (pid_t)pid);
                /* The number may have become another's before it was opened. */
                if (!command_line((pid_t)pid, &words) || !is_of(&l->v[i], confs[i], &words, (pid_t)pid))
                    member_free(&list[i]);
                break;
            }
    }
    if (proc != NULL)
        (void)closedir(proc);
    for (size_t i = 0; i < l->n; i++)
        free(confs[i]);
    free(confs);
    buf_free(&words);
}

struct member_process *members_find(const struct layout *l)
{
    struct member_process *list = mem_zalloc((l->n + 1) * sizeof *list);
    for (size_t i = 0; i < l->n; i++)
        list[i].fd = -1;
    find_all(l, list, NULL);
    return list;
}

void members_free(struct member_process *list, const struct layout *l)
{
    for (size_t i = 0; list != NULL && i < l->n; i++)
        member_free(&list[i]);
    free(list);
}

void member_free(struct member_process *p)
{
    if (p->fd >= 0)
        close(p->fd);
    *p = (struct member_process){.fd = -1};
}

struct member_process member_find(const struct layout *l, const struct layout_member *m)
{
    struct member_process *list = mem_zalloc((l->n + 1) * sizeof *list), one;
    for (size_t i = 0; i < l->n; i++)
        list[i].fd = -1;
    find_all(l, list, m);
    one = list[m - l->v];
    free(list);
    return one;
}

/* ---- ending ---- */

bool member_signal(const struct member_process *p, int sig, struct buf *why)
{
    if (pidfd_send_signal(p->fd, sig, NULL, 0) == 0 || errno == ESRCH)
        return true;
    buf_printf(why, "process %d cannot be signalled: %s", (int)p->pid, strerror(errno));
    return false;
}

bool member_has_ended(const struct member_process *p, int timeout_ms)
{
    struct pollfd f = {.fd = p->fd, .events = POLLIN};
    return p->pid == 0 || poll(&f, 1, timeout_ms) == 1;
}

/* ---- starting ---- */

static void put_word(struct buf *b, const char *word)
{
    buf_put(b, word, strlen(word) + 1);
}

static char *take_block(struct buf *b, size_t *n)
{
    *n = b->n;
    return b->p;
}

static bool make_log(const char *path, struct buf *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        buf_printf(why, "%s cannot be written: %s", path, strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

/* What our environment has for us alone is not theirs. */
static void put_environment(struct buf *block)
{
    static const char *const ours[] = {"NODECTL_", "NOTIFY_SOCKET=", "WATCHDOG_"};
    for (char **v = environ; *v != NULL; v++) {
        bool skipped = false;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            skipped = skipped || strncmp(*v, ours[i], strlen(ours[i])) == 0;
        if (!skipped)
            put_word(block, *v);
    }
}

bool member_start(const struct layout *l, const struct layout_member *m, struct buf *why)
{
    struct buf words = {0}, environment = {0};
    char *conf = layout_conf(l, m), *folder = layout_path(l, m, ""), *log = layout_path(l, m, "log");
    const char *program = layout_program(l, m);
    put_word(&words, program);
    if (m->supervisor)
        put_word(&words, "-c");
    put_word(&words, conf);
    put_environment(&environment);
    struct local_process p = {.fd = -1, .folder = folder, .output = log, .user = geteuid(), .group = getegid()};
    p.program = mem_strdup(program);
    p.words = take_block(&words, &p.nwords);
    p.environment = take_block(&environment, &p.nenvironment);
    for (int i = 0; i < (int)RLIM_NLIMITS; i++)
        if (getrlimit((__rlimit_resource_t)i, &p.limits[i]) != 0)
            p.limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    bool ok = make_log(log, why) && process_start_again(&p, NULL, why);
    process_free(&p);
    free(conf);
    return ok;
}

/* A process whose disk is full cannot say so there. */
static void put_disk(const char *path, struct buf *out)
{
    struct statvfs disk;
    if (statvfs(path, &disk) == 0 && (disk.f_bavail == 0 || (disk.f_files > 0 && disk.f_favail == 0)))
        buf_puts(out, "\nthe disk is full there");
}

void member_log_tail(const struct layout *l, const struct layout_member *m, struct buf *out)
{
    char *path = layout_path(l, m, "log"), text[TAIL_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text, size > TAIL_BYTES ? size - TAIL_BYTES : 0) : 0;
    size_t from = n > 0 ? (size_t)n : 0, lines = 0;
    if (from > 0 && text[from - 1] == '\n')
        from--;
    while (from > 0 && (text[from - 1] != '\n' || ++lines < TAIL_LINES))
        from--;
    if (n <= 0)
        buf_printf(out, "its log %s is empty", path);
    else
        buf_printf(out, "its log %s ends with:", path);
    for (struct slice rest = {text + from, n > 0 ? (size_t)n - from : 0}; rest.n > 0;) {
        struct slice line = slice_cut_line(&rest);
        buf_puts(out, "\n  ");
        buf_put(out, line.p, line.n);
    }
    if (fd >= 0)
        close(fd);
    put_disk(path, out);
    free(path);
}
