/* A nonblocking TCP listener. */
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
void io_listener_close(struct io_listener *l); /* NULL is allowed */
int io_listener_port(const struct io_listener *l);

#endif
