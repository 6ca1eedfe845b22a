#include "common/io/link_ping.h"

#include <errno.h>
#include <hiredis/sds.h>
#include <string.h>
#include <sys/socket.h>

static const char ping[] = "*1\r\n$4\r\nPING\r\n", pong[] = "+PONG\r\n";

#define PING_BYTES (sizeof ping - 1)
#define PONG_BYTES (sizeof pong - 1)

/* Having read a whole reply it has looked for a next one, and found nothing of it. */
static bool reader_is_idle(const redisReader *r)
{
    return r->pos == r->len && (r->ridx == -1 || (r->ridx == 0 && r->rstack[0].type == -1));
}

bool link_is_quiet(const struct link_ping *p, const redisAsyncContext *ac)
{
    return p->state == LINK_PING_IDLE ||
           (p->state == LINK_PING_NONE && ac->replies.head == NULL && ac->c.obuf != NULL && sdslen(ac->c.obuf) == 0 &&
            reader_is_idle(ac->c.reader));
}

/* The first `sent` bytes have left already. */
static void hand_over(struct link_ping *p, redisAsyncContext *ac, redisCallbackFn *fn, size_t sent)
{
    p->state = LINK_PING_NONE;
    if (redisAsyncFormattedCommand(ac, fn, NULL, ping, PING_BYTES) != REDIS_OK)
        return; /* it is about to end, which answers everything */
    if (sent == PING_BYTES)
        sdsclear(ac->c.obuf);
    else if (sent > 0)
        sdsrange(ac->c.obuf, (int)sent, -1);
}

void link_ping_hand_over(struct link_ping *p, redisAsyncContext *ac, redisCallbackFn *fn)
{
    if (p->state == LINK_PING_DUE || p->state == LINK_PING_SENT)
        hand_over(p, ac, fn, p->state == LINK_PING_SENT ? PING_BYTES : 0);
    p->state = LINK_PING_NONE;
}

bool link_ping_send(struct link_ping *p, redisAsyncContext *ac, redisCallbackFn *fn)
{
    ssize_t n = send(p->fd, ping, PING_BYTES, MSG_NOSIGNAL);
    if (n == (ssize_t)PING_BYTES) {
        p->state = LINK_PING_SENT;
        return true;
    }
    hand_over(p, ac, fn, n > 0 ? (size_t)n : 0);
    return false;
}

enum link_ping_read link_ping_read(struct link_ping *p, redisAsyncContext *ac, redisCallbackFn *fn)
{
    char got[PONG_BYTES];
    ssize_t n = recv(p->fd, got, sizeof got, 0);
    if (n == (ssize_t)PONG_BYTES && memcmp(got, pong, PONG_BYTES) == 0) {
        p->state = LINK_PING_IDLE;
        return LINK_PING_ANSWERED;
    }
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? LINK_PING_WAITS : LINK_PING_BROKEN;
    hand_over(p, ac, fn, PING_BYTES);
    if (n > 0)
        redisReaderFeed(ac->c.reader, got, (size_t)n);
    return LINK_PING_OTHER;
}
