/* MONITOR: sessions that see every command. */
#ifndef CMD_MONITOR_H
#define CMD_MONITOR_H

#include "noded/cmd/call.h"

/* Shows this command to all sessions with ND_S_MONITOR, but for those that no monitor sees (administration, passwords).
 */
void nd_monitor_feed(const struct nd_call *c);
/* MONITOR and the end of it (RESET, a closed connection). */
void nd_monitor_start(struct nd_session *s);
void nd_monitor_stop(struct nd_session *s);

#endif
