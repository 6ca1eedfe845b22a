/* A nonblocking listener, TCP or Unix. */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "common/base/addr.h"
#include "common/io/loop.h"

struct io_listener;

/* fd is nonblocking, close-on-exec, with TCP_NODELAY and keepalive; it belongs to the callee. peer is "host:port". The
 * callee may close the listener. */
typedef void io_accept_fn(void *owner, int fd, const char *peer);

/* address: an IPv4 or IPv6 literal; port 0 lets the system choose (see io_listener_port). An IPv6 listener takes IPv6
 * only, so that "0.0.0.0" and "::" can both be listened on. NULL: not possible; the reason, with the address and what
 * to do about it, is appended to error. */
struct io_listener *io_listener_open(struct io_loop *loop, const struct addr *address, io_accept_fn *accepted,
                                     void *owner, struct buf *error);
/* What differs from io_listener_open()'s ways; zeroed is the least. */
struct io_listener_options {
    int backlog;          /* connections that may wait; 0: 511 */
    int keepalive_s;      /* silence after which the kernel asks a peer; 0: never */
    bool names;           /* the host may be a name: looking it up blocks */
    const char *path;     /* not NULL: a Unix socket there; the address does not matter and peer is "path:0" */
    unsigned permissions; /* of that path; 0: as umask says */
};
/* What was at options->path before is removed when it is a socket. On NULL errno says why too. */
struct io_listener *io_listener_open_with(struct io_loop *loop, const struct addr *address,
                                          const struct io_listener_options *options, io_accept_fn *accepted,
                                          void *owner, struct buf *error);
/* For connections accepted from now on; io_tcp_keepalive() for one that is there. */
void io_listener_set_keepalive(struct io_listener *l, int keepalive_s);
void io_tcp_keepalive(int fd, int keepalive_s);
/* The address of our end of a connection, "host:port" as peer has it. */
void io_local_text(int fd, char *out, size_t room);
void io_listener_close(struct io_listener *l); /* NULL is allowed; the path of a Unix socket is removed */
int io_listener_port(const struct io_listener *l);

#endif
