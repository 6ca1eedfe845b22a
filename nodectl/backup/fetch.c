#include "nodectl/backup/fetch.h"

#include "common/base/text.h"
#include "common/io/file.h"
#include "nodectl/fleet.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A node tells a replica every second that it lives; a snapshot may begin late, when another child of it is at work. */
#define SILENCE_MS 60000
#define PIECE_BYTES ((size_t)256 * 1024)
#define LINE_MAX_BYTES 1024

/* ---- the end ---- */

static void end(struct fetch *f, enum fetch_state state)
{
    if (f->fd >= 0 && !(f->follows && state == FETCH_DONE)) {
        close(f->fd);
        f->fd = -1;
    }
    f->state = state;
}

static void fail(struct fetch *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct fetch *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&f->error, fmt, ap);
    va_end(ap);
    end(f, FETCH_FAILED);
}

/* What it said, as far as a message needs it. */
static void fail_by_line(struct fetch *f, const char *what, struct slice line)
{
    struct buf quoted = {0};
    text_quote(&quoted, line, 200);
    fail(f, "%s: it answers %s", what, buf_str(&quoted));
    buf_free(&quoted);
}

void fetch_free(struct fetch *f)
{
    f->follows = false;
    end(f, f->state);
    content_free(&f->content);
    buf_free(&f->stream);
    buf_free(&f->error);
    buf_free(&f->out);
    buf_free(&f->line);
    buf_free(&f->piece);
}

/* ---- asking ---- */

enum { REQUEST_LOGIN, REQUEST_CAPABILITIES, REQUEST_SNAPSHOT_ONLY, REQUEST_PSYNC };

/* One after the other: PSYNC is taken only when nothing else is to be answered any more. */
static void request(struct fetch *f, size_t which)
{
    struct slice words[8];
    size_t n = 0;
    const struct asking *a = f->asking;
    char offset[24];
    if (which == REQUEST_LOGIN && a->node_password[0] == '\0')
        which = REQUEST_CAPABILITIES;
    if (which == REQUEST_SNAPSHOT_ONLY && f->follows)
        which = REQUEST_PSYNC;
    snprintf(offset, sizeof offset, "%lld", (long long)(f->resumes ? f->offset + 1 : -1));
    switch (which) {
    case REQUEST_LOGIN:
        words[n++] = slice_of("AUTH");
        if (a->node_user[0] != '\0')
            words[n++] = slice_of(a->node_user);
        words[n++] = slice_of(a->node_password);
        break;
    case REQUEST_CAPABILITIES: {
        static const char *const text[] = {"REPLCONF", "capa", "eof", "capa", "psync2", "capa", "databases"};
        for (; n < sizeof text / sizeof text[0]; n++)
            words[n] = slice_of(text[n]);
        break;
    }
    case REQUEST_SNAPSHOT_ONLY:
        words[n++] = slice_of("REPLCONF");
        words[n++] = slice_of("rdb-only");
        words[n++] = slice_of("1");
        break;
    default:
        words[n++] = slice_of("PSYNC");
        words[n++] = slice_of(f->resumes ? f->replid : "?");
        words[n++] = slice_of(offset);
    }
    buf_printf(&f->out, "*%zu\r\n", n);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&f->out, "$%zu\r\n", words[i].n);
        buf_put(&f->out, words[i].p, words[i].n);
        buf_puts(&f->out, "\r\n");
    }
    f->request = which;
}

/* "+FULLRESYNC <id> <offset>" */
static bool read_place(struct fetch *f, struct slice line)
{
    struct slice word = slice_cut(&line, ' ');
    return slice_is(word, "+FULLRESYNC") && runid_parse(slice_cut(&line, ' '), f->replid) &&
           text_range(line, 0, INT64_MAX, &f->offset);
}

/* "+CONTINUE", with another id when the node was promoted meanwhile. */
static void resumed(struct fetch *f, struct slice id)
{
    runid other;
    if (runid_parse(id, other))
        memcpy(f->replid, other, sizeof f->replid);
    end(f, FETCH_DONE);
}

static void answered(struct fetch *f, struct slice line)
{
    bool error = line.n > 0 && line.p[0] == '-';
    switch (f->request) {
    case REQUEST_LOGIN:
    case REQUEST_CAPABILITIES:
        if (error)
            fail_by_line(f, f->request == REQUEST_LOGIN ? "it refuses the login" : "it serves no replica", line);
        else
            request(f, f->request + 1);
        break;
    case REQUEST_SNAPSHOT_ONLY: /* who does not know it sends its stream too, until the connection is closed */
        request(f, REQUEST_PSYNC);
        break;
    default:
        if (f->resumes && line.n >= 9 && memcmp(line.p, "+CONTINUE", 9) == 0)
            resumed(f, slice_trim((struct slice){line.p + 9, line.n - 9}));
        else if (!f->resumes && read_place(f, line))
            f->state = FETCH_HEAD;
        else
            fail_by_line(f, "it gives no snapshot", line);
    }
}

/* "$<bytes>", or "$EOF:<mark>" when it does not know before how many. */
static void begin_body(struct fetch *f, struct slice line)
{
    static const char marked[] = "$EOF:";
    const size_t n = sizeof marked - 1;
    f->length = -1;
    if (line.n == n + FETCH_MARK && memcmp(line.p, marked, n) == 0) {
        memcpy(f->mark, line.p + n, FETCH_MARK);
    } else if (line.n < 2 || line.p[0] != '$' ||
               !text_range((struct slice){line.p + 1, line.n - 1}, 1, INT64_MAX, &f->length)) {
        fail_by_line(f, "it makes no snapshot", line);
        return;
    }
    f->state = FETCH_BODY;
}

/* ---- receiving ---- */

/* Cuts a line off; false: its end has not come. */
static bool cut_line(struct fetch *f, struct slice *in)
{
    const char *nl = memchr(in->p, '\n', in->n);
    size_t n = nl != NULL ? (size_t)(nl - in->p) : in->n;
    buf_put(&f->line, in->p, n);
    in->p += n + (nl != NULL);
    in->n -= n + (nl != NULL);
    if (f->line.n > LINE_MAX_BYTES)
        fail(f, "it answers with what is no reply");
    return nl != NULL && f->state != FETCH_FAILED;
}

static void take_line(struct fetch *f, struct slice *in)
{
    if (!cut_line(f, in))
        return;
    struct slice line = slice_trim(buf_slice(&f->line));
    if (line.n == 0) {
        /* It lives, and is not ready yet. */
    } else if (f->state == FETCH_GREETING) {
        answered(f, line);
    } else {
        begin_body(f, line);
    }
    buf_clear(&f->line);
}

static void whole(struct fetch *f)
{
    sha256_end_hex(&f->sum, f->sha256);
    if (f->file >= 0 && fsync(f->file) != 0) {
        f->of_disk = true;
        fail(f, "the snapshot cannot be written: %s", strerror(errno));
        return;
    }
    end(f, FETCH_DONE);
}

static void take_body(struct fetch *f, struct slice *in)
{
    struct slice rest = *in;
    int64_t left = f->length - f->bytes;
    if (f->length >= 0 && (int64_t)rest.n > left)
        rest.n = (size_t)left;
    enum nd_rdb_status st = content_feed(&f->content, &rest);
    size_t n = (size_t)(rest.p - in->p);
    if (st == ND_RDB_BAD) {
        fail(f, "the snapshot cannot be read: %s", content_error(&f->content));
        return;
    }
    if (f->file >= 0 && !io_write_all(f->file, (struct slice){in->p, n})) {
        f->of_disk = true;
        fail(f, "the snapshot cannot be written: %s", strerror(errno));
        return;
    }
    sha256_add(&f->sum, in->p, n);
    f->bytes += (int64_t)n;
    in->p += n;
    in->n -= n;
    if (f->length >= 0 && (st == ND_RDB_DONE) != (f->bytes == f->length))
        fail(f, "the snapshot is damaged: it has not the length that was said");
    else if (st == ND_RDB_DONE && f->length >= 0)
        whole(f);
    else if (st == ND_RDB_DONE)
        f->state = FETCH_MARKED;
}

static void take_mark(struct fetch *f, struct slice *in)
{
    size_t n = FETCH_MARK - f->line.n < in->n ? FETCH_MARK - f->line.n : in->n;
    buf_put(&f->line, in->p, n);
    in->p += n;
    in->n -= n;
    if (f->line.n < FETCH_MARK)
        return;
    if (memcmp(f->line.p, f->mark, FETCH_MARK) != 0)
        fail(f, "the snapshot is damaged: its mark is not behind it");
    else
        whole(f);
}

static void take(struct fetch *f, struct slice in)
{
    while (in.n > 0 && !fetch_is_over(f)) {
        if (f->state == FETCH_BODY)
            take_body(f, &in);
        else if (f->state == FETCH_MARKED)
            take_mark(f, &in);
        else
            take_line(f, &in);
    }
    if (f->state == FETCH_DONE && f->follows)
        buf_put(&f->stream, in.p, in.n);
}

static void receive(struct fetch *f)
{
    buf_reserve(&f->piece, PIECE_BYTES);
    ssize_t n = recv(f->fd, f->piece.p, PIECE_BYTES, 0);
    if (n > 0) {
        f->since_ms = fleet_now_ms();
        take(f, (struct slice){f->piece.p, (size_t)n});
    } else if (n == 0) {
        fail(f, f->state >= FETCH_BODY ? "it closed the connection before its snapshot was whole"
                                       : "it closed the connection");
    } else if (errno != EAGAIN && errno != EINTR) {
        fail(f, "%s", strerror(errno));
    }
}

/* ---- the connection ---- */

static void connected(struct fetch *f)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0) {
        fail(f, "%s", strerror(error != 0 ? error : errno));
        return;
    }
    f->since_ms = fleet_now_ms();
    f->state = FETCH_GREETING;
    request(f, REQUEST_LOGIN);
}

static void send_out(struct fetch *f)
{
    ssize_t n = send(f->fd, f->out.p, f->out.n, MSG_NOSIGNAL);
    if (n > 0)
        buf_drop(&f->out, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        fail(f, "%s", strerror(errno));
}

static void connect_to(struct fetch *f, const struct addr *from)
{
    char port[8];
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    snprintf(port, sizeof port, "%d", from->port);
    int code = getaddrinfo(from->host, port, &hints, &found);
    if (code != 0) {
        fail(f, "%s", gai_strerror(code));
        return;
    }
    f->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (f->fd < 0 || (connect(f->fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS))
        fail(f, "%s", strerror(errno));
    freeaddrinfo(found);
}

static void begin(struct fetch *f, const struct asking *a, const struct addr *from, int file, const uint8_t *slots)
{
    *f = (struct fetch){.from = *from, .fd = -1, .file = file, .asking = a, .length = -1, .since_ms = fleet_now_ms()};
    content_begin(&f->content, slots);
    sha256_begin(&f->sum);
}

void fetch_begin(struct fetch *f, const struct asking *a, const struct addr *from, int file, const uint8_t *slots)
{
    begin(f, a, from, file, slots);
    connect_to(f, from);
}

void fetch_resume(struct fetch *f, const struct asking *a, const struct addr *from, const char *replid, int64_t offset)
{
    begin(f, a, from, -1, NULL);
    f->offset = offset;
    f->follows = f->resumes = true;
    memcpy(f->replid, replid, sizeof f->replid);
    connect_to(f, from);
}

void fetch_acknowledge(struct fetch *f, int64_t offset)
{
    char number[24];
    int n = snprintf(number, sizeof number, "%lld", (long long)offset);
    buf_printf(&f->out, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%d\r\n%s\r\n", n, number);
}

short fetch_events(const struct fetch *f)
{
    return (short)(POLLIN | (f->state == FETCH_CONNECTING || f->out.n > 0 ? POLLOUT : 0));
}

void fetch_serve(struct fetch *f, short events)
{
    if (!fetch_is_open(f))
        return;
    if (f->state == FETCH_CONNECTING && (events & (POLLOUT | POLLERR | POLLHUP)) != 0)
        connected(f);
    else if ((events & (POLLIN | POLLERR | POLLHUP)) != 0)
        receive(f);
    if (fetch_is_open(f) && f->state != FETCH_CONNECTING && f->out.n > 0)
        send_out(f);
    int64_t patience_ms = f->state < FETCH_HEAD && f->request != REQUEST_PSYNC ? f->asking->timeout_ms : SILENCE_MS;
    if (fetch_is_open(f) && fleet_now_ms() - f->since_ms > patience_ms)
        fail(f, "it is silent for %lld seconds", (long long)(patience_ms + 999) / 1000);
}
