/* What the files of the connections (clients.c, client.c, client_slots.c) share with each other only. */
#ifndef SHELL_CLIENT_INNER_H
#define SHELL_CLIENT_INNER_H

#include "sentineld/shell/client.h"

struct client *client_new(struct clients *all, int fd, const char *peer);
void client_free(struct client *c);        /* at once; not while one of its callbacks or commands runs */
void client_go_on(struct client *c);       /* looks at its input again, if anything held it back */
void clients_sweep(struct io_turn_end *t); /* frees the doomed */

/* Where the next bytes of this client go: its socket's buffer, or the queue behind a deferred answer. NULL: it is
 * closed. */
struct buf *client_tail(struct client *c);
/* Closes a client whose queue is beyond the limit. */
void client_check_queue(struct client *c);
void client_slots_free(struct client *c);

/* cmd_acl_users.c: a users_fn; the owner is the set of clients. Closes connections of a user that is gone, and
 * subscribers to channels that are no longer allowed. */
void clients_user_changed(void *owner, const struct user *u, bool gone);

#endif
