/* Where the node listens: every address of `bind` on `port`, and the Unix socket. */
#ifndef SHELL_LISTEN_H
#define SHELL_LISTEN_H

#include "common/io/listener.h"
#include "noded/cmd/settings.h"

/* on_unix tells from which kind of socket fd came. */
typedef void listen_accept_fn(void *owner, int fd, const char *peer, bool on_unix);

struct listen;

/* NULL: an address that must be there is not; the reason is appended to error. An address with "-" in front may be
 * missing. No address at all is not an error here: see listen_count(). */
struct listen *listen_open(struct io_loop *loop, const struct nd_config *config, listen_accept_fn *accepted,
                           void *owner, struct buf *error);
void listen_close(struct listen *l); /* NULL is allowed */
size_t listen_count(const struct listen *l);
/* bind or port have changed: false, and everything as before, when that cannot be. The Unix socket stays. */
bool listen_change(struct listen *l, const struct nd_config *config, struct buf *error);
void listen_set_keepalive(struct listen *l, int keepalive_s);

#endif
