#include "common/io/log.h"

#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A pipe takes up to PIPE_BUF (4,096) bytes whole or not at all, and poll() calls it writable only when that much fits.
 */
#define LINE_MAX_BYTES 4095
#define TEXT_MAX_BYTES 4000

static struct {
    int fd;
    char *path; /* NULL: standard error */
    enum io_log_level level;
    char role;
    unsigned long lost;
    bool torn; /* the last line got out only in part */
} log_state = {.fd = STDERR_FILENO, .level = IO_NOTICE, .role = 'X'};

static const char *const level_names[] = {"debug", "verbose", "notice", "warning"};

static int open_file(const char *path)
{
    /* O_NONBLOCK: a named pipe without a reader gives an error instead of a program that never starts. */
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
}

static void use(int fd, char *path)
{
    if (log_state.path != NULL) {
        close(log_state.fd);
        free(log_state.path);
    }
    log_state.fd = fd;
    log_state.path = path;
    log_state.torn = false;
}

bool io_log_open(const char *file, enum io_log_level level, struct buf *error)
{
    log_state.level = level;
    if (file == NULL || *file == '\0') {
        use(STDERR_FILENO, NULL);
        return true;
    }
    int fd = open_file(file);
    if (fd < 0) {
        buf_printf(error,
                   "log file %s cannot be opened: %s; create its folder, or give this user the right to write there",
                   file, strerror(errno));
        return false;
    }
    use(fd, mem_strdup(file));
    return true;
}

void io_log_reopen(void)
{
    if (log_state.path == NULL)
        return;
    int fd = open_file(log_state.path);
    if (fd < 0) {
        io_log(IO_WARNING, "Log file %s cannot be opened again: %s. Lines still go to the old file.", log_state.path,
               strerror(errno));
        return;
    }
    char *path = log_state.path;
    close(log_state.fd);
    log_state.path = NULL;
    use(fd, path);
}

void io_log_close(void)
{
    use(STDERR_FILENO, NULL);
}

void io_log_set_role(char role)
{
    log_state.role = role;
}

void io_log_set_level(enum io_log_level level)
{
    log_state.level = level;
}

enum io_log_level io_log_level(void)
{
    return log_state.level;
}

bool io_log_level_parse(struct slice name, enum io_log_level *out)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (slice_ieq(name, level_names[i])) {
            *out = (enum io_log_level)i;
            return true;
        }
    }
    return false;
}

const char *io_log_level_name(enum io_log_level level)
{
    return level_names[level];
}

/* Whether lines go to systemd's journal: it says in the environment which file it has made standard error. */
static bool is_journal(void)
{
    unsigned long long device, inode;
    struct stat st;
    const char *told = log_state.path == NULL ? getenv("JOURNAL_STREAM") : NULL;
    return told != NULL && sscanf(told, "%llu:%llu", &device, &inode) == 2 && fstat(log_state.fd, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

/* "1234:X 21 Nov 2026 20:56:00.123 # "; before it the number of a syslog level, which the journal reads. Returns its
 * length. */
static size_t put_head(char *line, size_t room, enum io_log_level level)
{
    struct timeval now;
    struct tm t;
    char date[32];
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &t);
    strftime(date, sizeof date, "%d %b %Y %H:%M:%S", &t);
    size_t mark = is_journal() ? (size_t)snprintf(line, room, "<%c>", "7654"[level]) : 0;
    return mark + (size_t)snprintf(line + mark, room - mark, "%d:%c %s.%03d %c ", (int)getpid(), log_state.role, date,
                                   (int)(now.tv_usec / 1000), ".-*#"[level]);
}

static bool put_line(const char *line, size_t n)
{
    struct pollfd p = {.fd = log_state.fd, .events = POLLOUT};
    if (poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0)
        return false;
    if (log_state.torn && write(log_state.fd, "\n", 1) != 1)
        return false;
    log_state.torn = false;
    ssize_t w;
    do {
        w = write(log_state.fd, line, n);
    } while (w < 0 && errno == EINTR);
    log_state.torn = w > 0 && (size_t)w < n;
    return w == (ssize_t)n;
}

static bool put_lost(void)
{
    char line[256];
    size_t n = put_head(line, sizeof line, IO_WARNING);
    n += (size_t)snprintf(line + n, sizeof line - n,
                          "%lu log lines before this one could not be written and are lost\n", log_state.lost);
    return put_line(line, n);
}

void io_log(enum io_log_level level, const char *fmt, ...)
{
    if (level < log_state.level)
        return;
    int saved = errno; /* callers log an error and go on to use errno */
    char line[LINE_MAX_BYTES + 1];
    size_t head = put_head(line, sizeof line, level);
    size_t room = TEXT_MAX_BYTES + 1;
    if (room > sizeof line - head - 1)
        room = sizeof line - head - 1;
    va_list ap;
    va_start(ap, fmt);
    int wanted = vsnprintf(line + head, room, fmt, ap);
    va_end(ap);
    size_t n = wanted < 0 ? 0 : (size_t)wanted < room ? (size_t)wanted : room - 1;
    for (size_t i = head; i < head + n; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
    }
    n += head;
    line[n++] = '\n';
    if (log_state.lost > 0 && put_lost())
        log_state.lost = 0;
    if (log_state.lost > 0 || !put_line(line, n))
        log_state.lost++;
    errno = saved;
}
