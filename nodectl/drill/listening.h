/* Who listens at an address of this host, out of /proc and the list of interfaces. */
#ifndef NODECTL_DRILL_LISTENING_H
#define NODECTL_DRILL_LISTENING_H

#include "common/base/addr.h"

#include <sys/types.h>

/* Whether one of this host's interfaces has it (names are looked up). */
bool listening_is_our_address(const struct addr *a);
/* Whether a listening socket of that process takes connections to it. Of a process of another user: false, unless this
 * is root. */
bool listening_is_of(pid_t pid, const struct addr *a);

#endif
