/* What the service manager is told (sd_notify): READY once we listen, WATCHDOG from the loop itself, so that a loop
 * that stands still is noticed, RELOADING, STOPPING, and a STATUS line. Without NOTIFY_SOCKET in the environment all of
 * this does nothing and costs nothing. */
#ifndef SHELL_NOTIFY_H
#define SHELL_NOTIFY_H

#include <stdbool.h>

struct buf;
struct daemon;
struct notify;

/* Says READY=1 and begins with WATCHDOG=1 when WATCHDOG_USEC asks for it. NULL: nobody is to be told. Every function
 * below takes NULL. */
struct notify *notify_open(struct daemon *d);
void notify_close(struct notify *n);

void notify_reloading(struct notify *n); /* RELOADING=1 with MONOTONIC_USEC */
void notify_ready(struct notify *n);     /* the reload is over, well or not */
void notify_stopping(struct notify *n);
/* Something that the STATUS line tells may have changed: it is made anew within a fraction of a second. */
void notify_changed(struct notify *n);

/* The STATUS line: "3 groups, 1 master down (mymaster)". */
void notify_status_text(const struct daemon *d, struct buf *out);

#endif
