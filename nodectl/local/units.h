/* Fleets whose processes systemd starts: a unit for each, and systemctl. */
#ifndef NODECTL_LOCAL_UNITS_H
#define NODECTL_LOCAL_UNITS_H

#include "nodectl/local/layout.h"

enum units_order { UNITS_START, UNITS_STOP };

/* Whether there is a systemd that runs such units. false: the reason is appended to why. */
bool units_can(enum layout_runner runner, struct buf *why);
/* Writes the units of this host's processes and enables them, so that they start with the host; and takes them away:
 * those that are chosen by the layout's order, NULL: all. */
bool units_install(const struct layout *l, struct buf *why);
bool units_remove(const struct layout *l, const bool *chosen, struct buf *why);
/* chosen: by the layout's order. false: systemctl failed; what it said is appended to why. */
bool units_order(const struct layout *l, const bool *chosen, enum units_order order, int limit_ms, struct buf *why);

#endif
