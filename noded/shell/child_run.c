/* The child's own part. It has a copy of everything and touches as little of it as it can: each page that is written
 * costs memory. */
#include "noded/shell/child.h"

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "noded/repl/aof_base.h"
#include "noded/repl/rdb_write.h"
#include "noded/shell/rdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROGRESS_US 1000000 /* between notes of how far it is */
#define NICER 5
#define COW_SHARE 100 /* counting the copied pages takes at most so much less than the work between */

struct run {
    const struct child_work *work;
    size_t keys;
    uint64_t bytes;  /* that went to descriptors */
    int64_t next_us; /* when the next note goes */
    /* ---- to descriptors ---- */
    struct taker {
        int fd;
        bool gone;
        size_t at; /* of the piece under way */
        int64_t moved_us;
    } * takers;
    struct pollfd *polls;
};

/* ---- what is told ---- */

/* Private pages that were written since the fork: the system's own sum. */
static size_t copied_bytes(void)
{
    char text[4096];
    int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *at = strstr(text, "Private_Dirty:");
    return at != NULL ? (size_t)strtoull(at + strlen("Private_Dirty:"), NULL, 10) * 1024 : 0;
}

/* A parent that is no more wants no notes. */
static void tell(const struct run *r, const struct child_note *note)
{
    while (write(r->work->pipe, note, sizeof *note) < 0 && errno == EINTR) {}
}

static void pulse(void *owner)
{
    struct run *r = owner;
    int64_t now_us = io_now_us();
    if (now_us < r->next_us)
        return;
    struct child_note note = {.kind = CHILD_PROGRESS, .keys = (int64_t)r->keys, .cow_bytes = copied_bytes()};
    tell(r, &note);
    int64_t wait_us = (io_now_us() - now_us) * COW_SHARE;
    r->next_us = now_us + (wait_us > PROGRESS_US ? wait_us : PROGRESS_US);
}

/* ---- to descriptors ---- */

static void advance(struct taker *t, const char *p, size_t n, int64_t now_us)
{
    ssize_t k = send(t->fd, p + t->at, n - t->at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (k > 0) {
        t->at += (size_t)k;
        t->moved_us = now_us;
    } else if (k < 0 && errno != EAGAIN && errno != EINTR) {
        t->gone = true;
    }
}

/* Milliseconds until the first of them has stood still for too long; who has, is left out. -1: nobody is awaited. */
static int64_t patience_ms(struct run *r, size_t n)
{
    int64_t least = -1, now_us = io_now_us();
    for (size_t i = 0; i < r->work->spec->fd_count; i++) {
        struct taker *t = &r->takers[i];
        if (t->gone || t->at == n)
            continue;
        int64_t left = r->work->timeout_ms - (now_us - t->moved_us) / 1000;
        t->gone = left <= 0;
        if (!t->gone && (least < 0 || left < least))
            least = left;
    }
    return least;
}

static void wait_for_takers(struct run *r, size_t n, int64_t at_most_ms)
{
    nfds_t count = 0;
    for (size_t i = 0; i < r->work->spec->fd_count; i++) {
        const struct taker *t = &r->takers[i];
        if (!t->gone && t->at < n)
            r->polls[count++] = (struct pollfd){.fd = t->fd, .events = POLLOUT};
    }
    (void)poll(r->polls, count, at_most_ms < 1000 ? (int)at_most_ms : 1000); /* whatever it says, all are tried */
}

/* A piece goes to all before the next one is made. */
static bool put_all(void *owner, const char *p, size_t n)
{
    struct run *r = owner;
    bool waits = false, any = false;
    for (size_t i = 0; i < r->work->spec->fd_count; i++) {
        r->takers[i].at = 0;
        r->takers[i].moved_us = io_now_us();
    }
    do {
        int64_t now_us = io_now_us();
        waits = any = false;
        for (size_t i = 0; i < r->work->spec->fd_count; i++) {
            struct taker *t = &r->takers[i];
            if (!t->gone && t->at < n)
                advance(t, p, n, now_us);
            any = any || !t->gone;
            waits = waits || (!t->gone && t->at < n);
        }
        int64_t left_ms = waits ? patience_ms(r, n) : -1;
        if (left_ms > 0)
            wait_for_takers(r, n, left_ms);
        pulse(r);
    } while (waits);
    r->bytes += n;
    if (!any)
        errno = EPIPE;
    return any;
}

static bool write_content(struct run *r, const struct nd_rdb_sink *sink)
{
    const struct child_work *work = r->work;
    if (work->spec->kind == ND_CHILD_SLOTS)
        return nd_aof_base_write_slots(work->keys, work->spec->slots, sink, &r->keys);
    return nd_rdb_write(work->keys, work->facts, sink, &r->keys);
}

static bool to_descriptors(struct run *r, struct buf *why)
{
    const struct nd_child_spec *spec = r->work->spec;
    r->takers = mem_zalloc(spec->fd_count * sizeof *r->takers);
    r->polls = mem_zalloc(spec->fd_count * sizeof *r->polls);
    for (size_t i = 0; i < spec->fd_count; i++)
        r->takers[i].fd = spec->fds[i];
    struct nd_rdb_sink sink = {.owner = r, .put = put_all};
    bool ok = put_all(r, spec->head.p, spec->head.n) && write_content(r, &sink) &&
              put_all(r, spec->tail.p, spec->tail.n);
    if (!ok)
        buf_puts(why, spec->kind == ND_CHILD_SLOTS ? "the target does not take the snapshot any more"
                                                   : "no replica takes the snapshot any more");
    for (size_t i = 0; i < spec->fd_count && ok; i++) {
        struct child_note note = {.kind = CHILD_GOT, .number = i};
        if (!r->takers[i].gone)
            tell(r, &note);
    }
    return ok;
}

/* ---- all of it ---- */

static int by_number(const void *a, const void *b)
{
    const int *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Clients that close must see their connections end, and a port must be free when the parent is no more: of the
 * parent's descriptors the child has only those that it writes to, and the three that every process has. */
static void close_others(const struct child_work *work)
{
    size_t n = 0, count = work->spec->path == NULL ? work->spec->fd_count : 0;
    int *kept = mem_array(NULL, count + 1, sizeof *kept);
    for (size_t i = 0; i < count; i++)
        kept[n++] = work->spec->fds[i];
    kept[n++] = work->pipe;
    qsort(kept, n, sizeof *kept, by_number);
    unsigned from = STDERR_FILENO + 1;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned)kept[i] > from)
            (void)close_range(from, (unsigned)kept[i] - 1, 0);
        if (kept[i] >= (int)from)
            from = (unsigned)kept[i] + 1;
    }
    (void)close_range(from, ~0U, 0);
    free(kept);
}

/* The terminal's Ctrl-C is for the parent, which then decides; its death is the child's. */
static void settle_down(const struct child_work *work)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, "noded-snapshot");
    /* Clients come before a file; a replica that waits is a client too, and a migration that lasts gathers writes. */
    if (work->spec->kind != ND_CHILD_SYNC && work->spec->kind != ND_CHILD_SLOTS)
        (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICER);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != work->parent)
        _exit(1);
}

_Noreturn void child_run(const struct child_work *work)
{
    struct run r = {.work = work, .next_us = io_now_us() + PROGRESS_US};
    struct child_note end = {.kind = CHILD_END};
    struct buf why = {0};
    settle_down(work);
    close_others(work);
    if (work->spec->path != NULL)
        end.ok = rdb_file_write(work->keys, work->facts, work->spec->path, &r.keys, pulse, &r, &why);
    else
        end.ok = to_descriptors(&r, &why);
    snprintf(end.why, sizeof end.why, "%s", buf_str(&why));
    end.keys = (int64_t)r.keys;
    end.bytes = r.bytes;
    end.cow_bytes = copied_bytes();
    tell(&r, &end);
    _exit(end.ok ? 0 : 1);
}
