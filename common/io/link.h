/* An outgoing connection to a process that speaks the Redis protocol: a node or another supervisor. hiredis underneath
 * (0.14: RESP2), guarded against what that does not survive: unasked and malformed replies, giant headers, replies
 * without end.
 *
 * A link is opened, comes up, goes down, is freed. It never reconnects: when to try again is the core's decision. */
#ifndef IO_LINK_H
#define IO_LINK_H

#include "common/base/addr.h"
#include "common/io/loop.h"
#include "common/io/resolve.h"

#include <hiredis/hiredis.h>

struct io_link;

enum io_link_down {
    IO_LINK_RESOLVE,   /* the name has no address, or names are not allowed here */
    IO_LINK_REFUSED,   /* nobody listens there: the process is gone */
    IO_LINK_UNREACHED, /* no route, or the connection could not be made for another reason */
    IO_LINK_TIMEOUT,   /* no connection within connect_timeout_us */
    IO_LINK_CLOSED,    /* the other side closed or reset an established connection, or turned it away with an error */
    IO_LINK_PROTOCOL,  /* it does not speak the protocol, or a reply passed reply_max */
};
const char *io_link_down_name(enum io_link_down why); /* "refused" */

struct io_link_options {
    const char *user;           /* NULL or "": the default user */
    const char *password;       /* NULL or "": no AUTH is sent */
    const char *client_name;    /* NULL or "": no CLIENT SETNAME; sent best effort, the answer is ignored */
    const char *source_ip;      /* NULL or "": the system's choice */
    bool resolve;               /* names are allowed; otherwise only IP literals */
    int64_t connect_timeout_us; /* for resolving and connecting together; 0 means 5 s */
    size_t reply_max;           /* bytes of memory for one reply, and bytes buffered; 0 means 16 MiB */
};

/* All are called from the loop, never from inside a function of this header. io_link_free() is allowed in each. */
struct io_link_events {
    /* Connected to ip. AUTH and CLIENT SETNAME are on their way before anything that is sent from here. */
    void (*up)(void *owner, struct io_link *l, const char *ip);
    /* The link is dead, also if it never came up; text is for people ("127.0.0.1:6379: Connection refused"). Commands
     * without a reply were answered with NULL before. The owner frees the link, here or later. */
    void (*down)(void *owner, struct io_link *l, enum io_link_down why, const char *text);
    /* AUTH was answered with this error. The link stays up. May be NULL. */
    void (*auth_refused)(void *owner, struct io_link *l, const char *text);
    /* A subscription was confirmed. May be NULL. */
    void (*subscribed)(void *owner, struct io_link *l, struct slice channel);
    /* A message on a subscribed channel. May be NULL when nothing is subscribed. */
    void (*message)(void *owner, struct io_link *l, struct slice channel, struct slice payload);
};

/* reply is NULL when the link died or was freed before the answer. Called exactly once for every command that
 * io_link_send() took. reply belongs to the link and ends with the call. arg is the one given with the command. During
 * io_link_free() (reply NULL) no function of the link may be called. */
typedef void io_reply_fn(void *owner, struct io_link *l, const redisReply *reply, void *arg);

/* resolver may be NULL when options->resolve is false. The strings of options are copied; events must outlive the link.
 * Never fails: what goes wrong is told by down(). */
struct io_link *io_link_open(struct io_loop *loop, struct io_resolver *resolver, const struct addr *address,
                             const struct io_link_options *options, const struct io_link_events *events, void *owner);
/* Closes at once. Pending commands are answered with NULL; down() is not called. NULL is allowed. */
void io_link_free(struct io_link *l);

bool io_link_is_up(const struct io_link *l);
size_t io_link_pending(const struct io_link *l);   /* commands without an answer, AUTH and SETNAME included */
struct addr io_link_addr(const struct io_link *l); /* as opened */
const char *io_link_ip(const struct io_link *l);   /* connected to; "" before up */
/* The local address of the connection, which is how the other side reaches this host. false: not connected. */
bool io_link_local_ip(const struct io_link *l, char out[IO_IP_MAX]);

/* Sends a command; all commands of one turn leave in one write. false, and nothing is called: the link is not up, is in
 * subscribe mode, has 16 MiB unsent already, or the command is one that changes what replies mean (SUBSCRIBE and its
 * kin, MONITOR). fn may be NULL (the answer is ignored). */
bool io_link_send(struct io_link *l, size_t argc, const struct slice *argv, io_reply_fn *fn, void *arg);
/* The same with C strings: io_link_command(l, fn, arg, "CONFIG", "REWRITE", NULL). */
bool io_link_command(struct io_link *l, io_reply_fn *fn, void *arg, ...) __attribute__((sentinel));
/* io_link_command(l, fn, arg, "PING", NULL) at a fraction of the cost: hundreds are sent in a second. */
bool io_link_ping(struct io_link *l, io_reply_fn *fn, void *arg);
/* Enters subscribe mode (for good). A refusal (NOPERM, NOAUTH) takes the link down as IO_LINK_CLOSED with the error's
 * text. */
bool io_link_subscribe(struct io_link *l, const char *channel);

#endif
