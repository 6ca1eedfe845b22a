/* One process of a fleet's folder, started and ended as all of that fleet are: by nodectl itself or by systemd. */
#ifndef NODECTL_LOCAL_SINGLE_H
#define NODECTL_LOCAL_SINGLE_H

#include "nodectl/local/layout.h"

/* Whether it answers is another matter. false: the reason is appended to why. */
bool single_start(const struct layout *l, const struct layout_member *m, int limit_ms, struct buf *why);
/* Whoever started it; it may run no more. false: it does not end, or the reason is appended to why. */
bool single_stop(const struct layout *l, const struct layout_member *m, int limit_ms, struct buf *why);
/* Takes it out of fleet.json, which is saved, and its unit away; its folder stays until fleet destroy. m is no more
 * then. */
bool single_forget(struct layout *l, struct layout_member *m, struct buf *why);
/* The fleet's record in this file (as registry_path() gives it; NULL: there is none) names the nodes of the layout. */
bool single_record(const char *registry, const struct layout *l, struct buf *why);

#endif
