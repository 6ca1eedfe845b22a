/* The processes of a fleet on this host. One is a member's own when its program is noded or sentineld and its first
 * argument the member's configuration file: so it is found whoever started it (nodectl, systemd, an operator, a drill),
 * and no file with a number can be out of date. It is signalled through a descriptor of the process itself. */
#ifndef NODECTL_LOCAL_MEMBERS_H
#define NODECTL_LOCAL_MEMBERS_H

#include "nodectl/local/layout.h"

#include <sys/types.h>

struct member_process {
    pid_t pid; /* 0: it does not run here */
    int fd;    /* pidfd; -1 */
};

/* One for each member of the layout, in its order. members_free() with the same layout. */
struct member_process *members_find(const struct layout *l);
void members_free(struct member_process *list, const struct layout *l);

/* The same for one member. */
struct member_process member_find(const struct layout *l, const struct layout_member *m);
void member_free(struct member_process *p);

bool member_signal(const struct member_process *p, int sig, struct buf *why);
bool member_has_ended(const struct member_process *p, int timeout_ms); /* waits so long at most */

/* Starts it: not as a child of ours, in its folder, with its output in DIR/FOLDER/log, and without passwords of ours in
 * its environment. true: the program runs; whether it stays is another matter. */
bool member_start(const struct layout *l, const struct layout_member *m, struct buf *why);
/* Appends the last lines of its log, each behind two spaces, for a message. */
void member_log_tail(const struct layout *l, const struct layout_member *m, struct buf *out);

#endif
