/* What the files of a link share. Inside common/io only. */
#ifndef IO_LINK_INNER_H
#define IO_LINK_INNER_H

#include "common/io/link_guard.h"
#include "common/io/link_pending.h"
#include "common/io/link_ping.h"

#include <ev.h>

enum link_state { LINK_OPENING, LINK_UP, LINK_DOWN };

/* First what every PING touches, together: there are thousands of links, and nearly all that a link does is that. */
struct io_link {
    struct io_loop *loop;
    enum link_state state;
    redisAsyncContext *ac;       /* NULL without a connection */
    struct io_turn_end turn_end; /* writes */
    int depth;                   /* > 0 inside one of our loop callbacks: freeing waits */
    bool freed;
    bool flushing;  /* in turn_end: what is left then waits for the socket */
    bool dying;     /* hiredis has begun to end the connection: nothing can be sent any more */
    bool connected; /* hiredis said so; told to the owner outside of hiredis */
    struct link_ping ping;
    char *why_text;
    void *owner;
    struct link_pendings pending;

    const struct io_link_events *events;
    enum io_link_down why; /* valid when why_text is not NULL */
    struct link_guard guard;
    size_t reply_max;
    ev_timer timer; /* until up: the connection's time; or at once, for a failure that was found early */
    struct io_resolver *resolver;
    struct io_resolve *resolving;
    char *host;
    int port;
    char *user, *password, *client_name, *source_ip;
    bool names_allowed;
    char (*ips)[IO_IP_MAX]; /* that the host stands for */
    size_t ip_count, ip_at;
};

/* Every callback of the loop is between link_enter() and link_leave(): inside, hiredis may hold the connection and the
 * owner may free the link; what that asks for is done in link_leave(), when nobody looks any more. */
void link_enter(struct io_link *l);
void link_leave(struct io_link *l);
/* The link ends, for this reason; the first one counts, what follows is its consequence. */
void link_because(struct io_link *l, enum io_link_down why, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void link_answer(struct io_link *l, const redisReply *reply);           /* to the first command that waits for one */
void link_on_reply(redisAsyncContext *ac, void *reply, void *privdata); /* hiredis' callback of every command */

/* link_traffic.c */
void link_on_readable(struct ev_loop *ev, ev_io *w, int revents);
void link_on_turn_end(struct io_turn_end *t);

#endif
