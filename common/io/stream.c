#include "common/io/stream.h"

#include "common/base/mem.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_CHUNK ((size_t)32 * 1024)
#define KEEP_MAX ((size_t)64 * 1024) /* an idle stream gives back buffers above this */
#define BEHIND ((size_t)1024 * 1024)
#define IN_MAX_DEFAULT ((size_t)1024 * 1024)
#define OUT_MAX_DEFAULT ((size_t)64 * 1024 * 1024)
#define LINGER_DEFAULT_MS 10000

struct io_stream {
    struct io_loop *loop;
    ev_io reader, writer;
    ev_timer linger;
    struct io_turn_end turn_end;
    struct buf in, out;
    size_t in_used, out_sent; /* bytes at the front that are done with */
    struct io_stream_limits limits;
    const struct io_stream_events *events;
    void *owner;
    bool paused;  /* by the owner */
    bool held;    /* by unsent output; data() is due when it has drained */
    bool closing; /* input is thrown away */
    bool shut;    /* our side has been closed */
    bool *freed;  /* set while a callback runs */
};

static void watch_input(struct io_stream *s)
{
    struct ev_loop *ev = io_loop_ev(s->loop);
    if ((s->paused || s->held) && !s->closing)
        ev_io_stop(ev, &s->reader);
    else
        ev_io_start(ev, &s->reader);
}

static void end(struct io_stream *s, enum io_stream_end why, const char *text)
{
    bool freed = false;
    s->freed = &freed;
    s->events->closed(s->owner, s, why, text);
    if (!freed) {
        s->freed = NULL;
        io_stream_free(s);
    }
}

static void end_errno(struct io_stream *s, const char *deed)
{
    char text[128];
    snprintf(text, sizeof text, "%s failed: %s", deed, strerror(errno));
    end(s, IO_STREAM_FAILED, text);
}

/* Shows the input to the owner. May free the stream. */
static void show(struct io_stream *s)
{
    bool freed = false;
    s->freed = &freed;
    s->events->data(s->owner, s);
    if (freed)
        return;
    s->freed = NULL;
    if (s->closing)
        return;
    size_t left = s->in.n - s->in_used;
    if (left > 0 && io_stream_behind(s)) {
        s->held = true;
        watch_input(s);
        return;
    }
    if (left >= s->limits.in_max) {
        char text[128];
        snprintf(text, sizeof text, "%zu bytes of input without a whole request; %zu are allowed", left,
                 s->limits.in_max);
        end(s, IO_STREAM_INPUT_LIMIT, text);
    } else if (left == 0) {
        buf_clear(&s->in);
        s->in_used = 0;
        if (s->in.cap > KEEP_MAX)
            buf_free(&s->in);
    }
}

static void throw_away(struct io_stream *s)
{
    char rest[4096];
    ssize_t n = read(s->reader.fd, rest, sizeof rest);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    if (s->shut)
        end(s, IO_STREAM_CLOSED, "closed after the last answer");
    else if (n == 0)
        ev_io_stop(io_loop_ev(s->loop), &s->reader); /* it still reads what we have for it */
    else
        end_errno(s, "reading");
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    struct io_stream *s = w->data;
    if (s->closing) {
        if (revents & EV_READ)
            throw_away(s);
        return;
    }
    if (s->paused || s->held)
        return;
    if (!(revents & EV_READ)) { /* fed: there is old input to look at */
        show(s);
        return;
    }
    if (s->in_used > 0) {
        buf_drop(&s->in, s->in_used);
        s->in_used = 0;
    }
    buf_reserve(&s->in, READ_CHUNK);
    ssize_t n = read(s->reader.fd, s->in.p + s->in.n, READ_CHUNK);
    if (n > 0) {
        s->in.n += (size_t)n;
        show(s);
    } else if (n == 0) {
        end(s, IO_STREAM_EOF, "the other side closed the connection");
    } else if (errno != EAGAIN && errno != EINTR) {
        end_errno(s, "reading");
    }
}

void io_stream_first(struct io_stream *s)
{
    if (ev_priority(&s->reader) == IO_PRIORITY_LINK)
        return;
    bool waits = ev_is_pending(&s->reader);
    ev_io_stop(io_loop_ev(s->loop), &s->reader);
    ev_set_priority(&s->reader, IO_PRIORITY_LINK);
    watch_input(s);
    if (waits)
        ev_feed_event(io_loop_ev(s->loop), &s->reader, EV_CUSTOM);
}

static void look_again(struct io_stream *s)
{
    watch_input(s);
    if (!s->paused && !s->held && s->in.n > s->in_used)
        ev_feed_event(io_loop_ev(s->loop), &s->reader, EV_CUSTOM);
}

static void all_written(struct io_stream *s)
{
    buf_clear(&s->out);
    s->out_sent = 0;
    if (s->out.cap > KEEP_MAX)
        buf_free(&s->out);
    ev_io_stop(io_loop_ev(s->loop), &s->writer);
    if (s->closing && !s->shut) {
        s->shut = true;
        shutdown(s->reader.fd, SHUT_WR);
        ev_io_start(io_loop_ev(s->loop), &s->reader);
    }
}

/* Writes what the kernel takes. May free the stream. */
static void flush(struct io_stream *s)
{
    while (s->out_sent < s->out.n) {
        ssize_t n = write(s->writer.fd, s->out.p + s->out_sent, s->out.n - s->out_sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            end_errno(s, "writing");
            return;
        }
        s->out_sent += (size_t)n;
    }
    if (s->out_sent == s->out.n) {
        all_written(s);
    } else {
        if (s->out_sent > s->out.n / 2) { /* moved at most once per halving, so the whole stays linear */
            buf_drop(&s->out, s->out_sent);
            s->out_sent = 0;
        }
        if (io_stream_unsent(s) > s->limits.out_max) {
            char text[128];
            snprintf(text, sizeof text, "%zu bytes of output not read by the other side; %zu are allowed",
                     io_stream_unsent(s), s->limits.out_max);
            end(s, IO_STREAM_OUTPUT_LIMIT, text);
            return;
        }
        ev_io_start(io_loop_ev(s->loop), &s->writer);
    }
    if (s->held && !io_stream_behind(s)) {
        s->held = false;
        look_again(s);
    }
}

static void on_writable(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    flush(w->data);
}

static void on_turn_end(struct io_turn_end *t)
{
    struct io_stream *s = (struct io_stream *)((char *)t - offsetof(struct io_stream, turn_end));
    flush(s);
}

static void on_linger_over(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_stream *s = w->data;
    end(s, IO_STREAM_CLOSED,
        s->shut ? "closed after the last answer" : "closed; the other side did not read its answers");
}

struct io_stream *io_stream_new(struct io_loop *loop, int fd, const struct io_stream_limits *limits,
                                const struct io_stream_events *events, void *owner)
{
    struct io_stream *s = mem_zalloc(sizeof *s);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    s->loop = loop;
    s->events = events;
    s->owner = owner;
    if (limits != NULL)
        s->limits = *limits;
    if (s->limits.in_max == 0)
        s->limits.in_max = IN_MAX_DEFAULT;
    if (s->limits.out_max == 0)
        s->limits.out_max = OUT_MAX_DEFAULT;
    s->turn_end.run = on_turn_end;
    ev_io_init(&s->reader, on_readable, fd, EV_READ);
    ev_io_init(&s->writer, on_writable, fd, EV_WRITE);
    ev_timer_init(&s->linger, on_linger_over, 0., 0.);
    ev_set_priority(&s->reader, IO_PRIORITY_STREAM);
    ev_set_priority(&s->writer, IO_PRIORITY_STREAM);
    s->reader.data = s->writer.data = s->linger.data = s;
    watch_input(s);
    return s;
}

void io_stream_free(struct io_stream *s)
{
    if (s == NULL)
        return;
    struct ev_loop *ev = io_loop_ev(s->loop);
    io_turn_end_cancel(s->loop, &s->turn_end);
    ev_io_stop(ev, &s->reader); /* takes back a fed event too */
    ev_io_stop(ev, &s->writer);
    ev_timer_stop(ev, &s->linger);
    close(s->reader.fd);
    buf_free(&s->in);
    buf_free(&s->out);
    if (s->freed != NULL)
        *s->freed = true;
    free(s);
}

struct slice io_stream_in(const struct io_stream *s)
{
    return (struct slice){s->in.p + s->in_used, s->in.n - s->in_used};
}

void io_stream_drop(struct io_stream *s, size_t n)
{
    size_t left = s->in.n - s->in_used;
    s->in_used += n < left ? n : left;
}

struct buf *io_stream_out(struct io_stream *s)
{
    io_at_turn_end(s->loop, &s->turn_end);
    return &s->out;
}

size_t io_stream_unsent(const struct io_stream *s)
{
    return s->out.n - s->out_sent;
}

bool io_stream_behind(const struct io_stream *s)
{
    return io_stream_unsent(s) > BEHIND;
}

void io_stream_close_written(struct io_stream *s, int64_t linger_ms)
{
    if (s->closing)
        return;
    s->closing = true;
    s->in_used = s->in.n;
    ev_now_update(io_loop_ev(s->loop)); /* from now, however long this turn has taken */
    ev_timer_set(&s->linger, (double)(linger_ms > 0 ? linger_ms : LINGER_DEFAULT_MS) / 1000., 0.);
    ev_timer_start(io_loop_ev(s->loop), &s->linger);
    watch_input(s);
    io_at_turn_end(s->loop, &s->turn_end);
}

void io_stream_pause(struct io_stream *s, bool paused)
{
    if (s->paused == paused)
        return;
    s->paused = paused;
    look_again(s);
}

int io_stream_fd(const struct io_stream *s)
{
    return s->reader.fd;
}
