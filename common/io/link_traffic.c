/* What goes through a link that is up. PINGs and messages go a short way past hiredis; all else is hiredis' business.
 */
#include "common/io/link_inner.h"
#include "common/io/link_message.h"

#include <errno.h>
#include <hiredis/sds.h>
#include <string.h>
#include <sys/socket.h>

#define KEPT 512 /* bytes of memory that a connection keeps for reading when all is read; for writing too */

/* ---- reading ---- */

/* An INFO makes the reader grow to twice its size, and thousands of connections would keep that. */
static void shrink_reader(redisReader *r)
{
    if (r->pos != r->len || sdsalloc(r->buf) <= KEPT)
        return;
    sdsfree(r->buf);
    r->buf = sdsempty();
    r->pos = r->len = 0;
}

/* false: hiredis is to read. */
static bool read_pong(struct io_link *l)
{
    static char text[] = "PONG";
    static const redisReply pong = {.type = REDIS_REPLY_STATUS, .str = text, .len = sizeof text - 1};
    switch (link_ping_read(&l->ping, l->ac, link_on_reply)) {
    case LINK_PING_ANSWERED: link_answer(l, &pong); return true;
    case LINK_PING_WAITS: return true;
    case LINK_PING_BROKEN: link_because(l, IO_LINK_CLOSED, "%s", strerror(errno)); return true;
    case LINK_PING_OTHER: break;
    }
    return false;
}

static bool may_read_messages(const struct io_link *l)
{
    return l->guard.channel_count > 0 && l->events->message != NULL && (l->ac->c.flags & REDIS_SUBSCRIBED) != 0 &&
           link_is_quiet(&l->ping, l->ac);
}

/* false: hiredis is to read on; it has what is no message, or not a whole one. */
static bool read_messages(struct io_link *l)
{
    char bytes[LINK_MESSAGE_BYTES];
    struct slice channel, payload;
    ssize_t n = recv(l->ping.fd, bytes, sizeof bytes, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            link_because(l, IO_LINK_CLOSED, "%s", strerror(errno));
        return true;
    }
    struct slice rest = {bytes, (size_t)n};
    while (rest.n > 0 && link_message_cut(&l->guard, &rest, &channel, &payload)) {
        l->events->message(l->owner, l, channel, payload);
        if (l->freed || l->ac == NULL)
            return true;
    }
    if (n > 0 && rest.n == 0) {
        l->ping.state = LINK_PING_IDLE;
        return true;
    }
    if (rest.n > 0)
        redisReaderFeed(l->ac->c.reader, rest.p, rest.n);
    return false;
}

static void read_all(struct io_link *l)
{
    link_ping_hand_over(&l->ping, l->ac, link_on_reply);
    redisAsyncHandleRead(l->ac);
    if (l->ac != NULL && !l->freed && !link_guard_check(&l->guard))
        link_because(l, IO_LINK_PROTOCOL, "%s", l->guard.why);
    if (l->ac != NULL)
        shrink_reader(l->ac->c.reader);
}

void link_on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_link *l = w->data;
    link_enter(l);
    bool done = l->ping.state == LINK_PING_SENT ? read_pong(l) : may_read_messages(l) && read_messages(l);
    if (!done)
        read_all(l);
    link_leave(l);
}

/* ---- writing ---- */

/* As hiredis does it, but the memory of what was sent is kept: hiredis gives it back and asks for new each time. false:
 * hiredis is to write, for it is an error or more than the socket takes. */
static bool send_all(redisContext *c)
{
    if (c->obuf == NULL)
        return false;
    size_t n = sdslen(c->obuf);
    ssize_t sent = n > 0 ? send(c->fd, c->obuf, n, MSG_NOSIGNAL) : 0;
    if (sent < 0)
        return false;
    if ((size_t)sent < n) {
        sdsrange(c->obuf, (int)sent, -1);
        return false;
    }
    sdsclear(c->obuf);
    if (sdsalloc(c->obuf) > KEPT) {
        sdsfree(c->obuf);
        c->obuf = sdsempty();
    }
    return true;
}

void link_on_turn_end(struct io_turn_end *t)
{
    struct io_link *l = (struct io_link *)((char *)t - offsetof(struct io_link, turn_end));
    link_enter(l);
    l->flushing = true;
    bool due = l->ping.state == LINK_PING_DUE;
    if (l->ac != NULL && !(due ? link_ping_send(&l->ping, l->ac, link_on_reply) : send_all(&l->ac->c)))
        redisAsyncHandleWrite(l->ac);
    l->flushing = false;
    link_leave(l);
}
