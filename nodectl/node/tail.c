#include "nodectl/node/tail.h"

#include "nodectl/interrupt.h"
#include "nodectl/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS 200
#define BACK_BYTES_MAX ((off_t)16 << 20) /* the last lines are looked for in so much of the end */

size_t tail_start(struct slice text, size_t lines)
{
    size_t at = text.n;
    if (at > 0 && text.p[at - 1] == '\n')
        at--; /* the end of the last line is not one more */
    if (lines == 0)
        return text.n;
    for (; at > 0; at--)
        if (text.p[at - 1] == '\n' && --lines == 0)
            return at;
    return 0;
}

/* Reads from `from` to the end. */
static bool read_rest(int fd, off_t from, struct buf *out)
{
    char part[65536];
    ssize_t n = -1;
    while ((n = pread(fd, part, sizeof part, from)) > 0) {
        buf_put(out, part, (size_t)n);
        from += n;
    }
    return n == 0;
}

/* Whole lines are printed; what is begun stays for the next time. */
static void print_whole(struct buf *text)
{
    size_t n = text->n;
    while (n > 0 && text->p[n - 1] != '\n')
        n--;
    print_lines(stdout, "", (struct slice){text->p, n});
    fflush(stdout);
    buf_drop(text, n);
}

/* The file that has the name now, when it is another one than the open one. -1: it is the same. */
static int another(const char *path, int fd, off_t read_so_far)
{
    struct stat open_one, named;
    if (stat(path, &named) != 0 || fstat(fd, &open_one) != 0)
        return -1;
    bool same = named.st_ino == open_one.st_ino && named.st_dev == open_one.st_dev;
    return same && named.st_size >= read_so_far ? -1 : open(path, O_RDONLY | O_CLOEXEC);
}

static void follow_file(const char *path, int *fd, off_t at, struct buf *text)
{
    while (interrupt_sleep(LOOK_MS)) {
        size_t before = text->n;
        if (!read_rest(*fd, at, text))
            return;
        at += (off_t)(text->n - before);
        if (text->n > before)
            print_whole(text);
        int next = another(path, *fd, at);
        if (next < 0)
            continue;
        close(*fd);
        *fd = next;
        at = 0;
        buf_clear(text);
    }
}

/* Opens it and reads its last lines; *end is where they end. -1: it can't be read. */
static int open_last(const char *path, size_t lines, struct buf *out, off_t *end, struct buf *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &st) == 0;
    off_t from = ok && st.st_size > BACK_BYTES_MAX ? st.st_size - BACK_BYTES_MAX : 0;
    ok = ok && read_rest(fd, from, out);
    if (!ok) {
        buf_printf(why, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *end = from + (off_t)out->n;
    buf_drop(out, tail_start(buf_slice(out), lines));
    return fd;
}

bool tail_read(const char *path, size_t lines, struct buf *out, struct buf *why)
{
    off_t end;
    int fd = open_last(path, lines, out, &end, why);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool tail_print(const char *path, size_t lines, bool follow, struct buf *why)
{
    struct buf text = {0};
    off_t end = 0;
    int fd = open_last(path, lines, &text, &end, why);
    if (fd >= 0 && follow) {
        print_whole(&text);
        follow_file(path, &fd, end, &text);
    }
    print_lines(stdout, "", buf_slice(&text));
    if (fd >= 0)
        close(fd);
    buf_free(&text);
    return fd >= 0;
}
