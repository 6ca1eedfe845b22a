/* The short way of a PING that is alone on its link, as nearly all are: its bytes go to the socket and "+PONG" comes
 * from there without the buffers, lists and objects of hiredis, which cost more than the rest of a PING. Whenever
 * something else is sent, or something else comes back, hiredis gets the PING as if it had been sent through it. */
#ifndef IO_LINK_PING_H
#define IO_LINK_PING_H

#include <hiredis/async.h>
#include <stdbool.h>

struct link_ping {
    enum {
        LINK_PING_NONE, /* hiredis has all that there is */
        LINK_PING_DUE,  /* leaves at the end of the turn */
        LINK_PING_SENT, /* "+PONG" is expected, and nothing else is under way */
        LINK_PING_IDLE, /* the last that came went a short way, and hiredis has had nothing to do since */
    } state;
    int fd;
};

enum link_ping_read {
    LINK_PING_ANSWERED, /* with "+PONG" */
    LINK_PING_WAITS,    /* nothing has come */
    LINK_PING_OTHER,    /* something else has come, or the end: hiredis is to read on */
    LINK_PING_BROKEN,   /* an error of the socket, in errno */
};

/* Whether nothing is under way: neither a command, nor bytes to be sent, nor a part of a reply. */
bool link_is_quiet(const struct link_ping *p, const redisAsyncContext *ac);
/* hiredis is about to send or to read. A PING that is due or sent is given to it; it will call fn for its answer. */
void link_ping_hand_over(struct link_ping *p, redisAsyncContext *ac, redisCallbackFn *fn);
/* Sends one that is due. false: hiredis has it, or the part that the socket did not take, and is to write. */
bool link_ping_send(struct link_ping *p, redisAsyncContext *ac, redisCallbackFn *fn);
/* Reads the answer to one that was sent. */
enum link_ping_read link_ping_read(struct link_ping *p, redisAsyncContext *ac, redisCallbackFn *fn);

#endif
