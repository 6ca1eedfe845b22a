#include "noded/shell/replica_out.h"

#include "common/base/mem.h"
#include "common/io/log.h"
#include "noded/shell/client.h"
#include "noded/shell/node.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECES 32 /* of one system call */

struct replica_out {
    int file; /* -1: none */
    off_t at, size;
    bool lent;
};

static struct replica_out *out_of(struct client *c)
{
    if (c->replica == NULL) {
        c->replica = mem_zalloc(sizeof *c->replica);
        c->replica->file = -1;
    }
    return c->replica;
}

static void close_file(struct replica_out *o)
{
    if (o->file >= 0)
        close(o->file);
    o->file = -1;
}

bool replica_out_is_lent(const struct client *c)
{
    return c->replica != NULL && c->replica->lent;
}

/* A child would go on with its copy of the socket: the connection itself is ended. */
void replica_out_free(struct client *c)
{
    if (c->replica == NULL)
        return;
    if (c->replica->lent)
        shutdown(c->reader.fd, SHUT_RDWR);
    close_file(c->replica);
    free(c->replica);
    c->replica = NULL;
}

/* ---- sending ---- */

static void count(struct client *c, size_t n)
{
    struct nd_stats *stats = &c->all->engine->stats;
    stats->writes_processed++;
    stats->net_output += n;
    stats->repl_output += n;
}

/* What a call that sends came to. */
enum sent { SENT_SOME, SENT_FULL, SENT_FAILED };

static enum sent judge(struct client *c, ssize_t n)
{
    if (n > 0) {
        count(c, (size_t)n);
        return SENT_SOME;
    }
    if (n < 0 && errno == EINTR)
        return SENT_SOME;
    return n < 0 && errno == EAGAIN ? SENT_FULL : SENT_FAILED;
}

static enum sent send_file_piece(struct client *c, size_t most, size_t *done)
{
    struct replica_out *o = c->replica;
    size_t left = (size_t)(o->size - o->at);
    ssize_t n = sendfile(c->writer.fd, o->file, &o->at, left < most ? left : most);
    if (n == 0) { /* the file was cut: what was announced cannot be sent */
        errno = EIO;
        return SENT_FAILED;
    }
    if (n > 0)
        *done += (size_t)n;
    return judge(c, n);
}

static enum sent send_stream_piece(struct client *c, struct nd_backlog_cursor *cursor, size_t *done)
{
    struct slice pieces[PIECES];
    struct iovec v[PIECES];
    size_t count = nd_backlog_peek(cursor, pieces, PIECES);
    for (size_t i = 0; i < count; i++)
        v[i] = (struct iovec){(void *)pieces[i].p, pieces[i].n};
    ssize_t n = writev(c->writer.fd, v, (int)count);
    if (n > 0) {
        nd_backlog_pass(cursor, (size_t)n);
        *done += (size_t)n;
    }
    return judge(c, n);
}

bool replica_out_waits(const struct client *c)
{
    const struct nd_backlog_cursor *cursor = nd_serve_cursor(c->session);
    return (c->replica != NULL && c->replica->file >= 0) || (cursor != NULL && nd_backlog_unread(cursor) > 0);
}

size_t replica_out_unread(const struct client *c)
{
    return nd_serve_unread(c->session);
}

bool replica_out_send(struct client *c, size_t most)
{
    size_t done = 0;
    while (done < most && (c->flags & CLIENT_DYING) == 0) {
        enum sent sent;
        struct replica_out *o = c->replica;
        struct nd_backlog_cursor *cursor;
        if (o != NULL && o->file >= 0) {
            sent = o->at < o->size ? send_file_piece(c, most - done, &done) : SENT_SOME;
            if (sent == SENT_SOME && o->at == o->size) {
                close_file(o);
                nd_serve_file_sent(c->session);
            }
        } else if ((cursor = nd_serve_cursor(c->session)) != NULL && nd_backlog_unread(cursor) > 0) {
            sent = send_stream_piece(c, cursor, &done);
        } else {
            return true;
        }
        if (sent != SENT_SOME)
            return sent == SENT_FULL;
    }
    return true;
}

/* ---- what serving asks for ---- */

static bool host_flush(void *owner, struct nd_session *s)
{
    (void)owner;
    return client_send_now(s->shell);
}

static int host_socket(void *owner, const struct nd_session *s)
{
    (void)owner;
    const struct client *c = s->shell;
    return c->reader.fd;
}

static void host_lend(void *owner, struct nd_session *s, bool lent)
{
    (void)owner;
    struct client *c = s->shell;
    out_of(c)->lent = lent;
    if (!lent)
        clients_queue_send(c);
}

static bool host_send_file(void *owner, struct nd_session *s, const char *path, struct buf *why)
{
    (void)owner;
    struct client *c = s->shell;
    struct replica_out *o = out_of(c);
    struct stat st;
    close_file(o);
    o->file = open(path, O_RDONLY | O_CLOEXEC);
    if (o->file < 0 || fstat(o->file, &st) != 0) {
        buf_printf(why, "%s: %s", path, strerror(errno));
        close_file(o);
        return false;
    }
    o->at = 0;
    o->size = st.st_size;
    buf_printf(&c->out, "$%" PRId64 "\r\n", (int64_t)st.st_size);
    return true;
}

static void host_remove_file(void *owner, const char *path)
{
    (void)owner;
    if (unlink(path) != 0)
        io_log(IO_WARNING, "%s was made only for replicas and cannot be deleted: %s", path, strerror(errno));
}

static void host_delay_packets(void *owner, struct nd_session *s)
{
    (void)owner;
    const struct client *c = s->shell;
    int off = 0;
    /* On a Unix socket there is no such thing. */
    (void)setsockopt(c->reader.fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof off);
}

struct nd_serve_host replica_out_host(struct node *n)
{
    return (struct nd_serve_host){
        .owner = n,
        .flush = host_flush,
        .socket = host_socket,
        .lend = host_lend,
        .send_file = host_send_file,
        .remove_file = host_remove_file,
        .delay_packets = host_delay_packets,
    };
}
