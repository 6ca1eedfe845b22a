/* Taking a fleet's files away. */
#ifndef NODECTL_LOCAL_REMOVE_H
#define NODECTL_LOCAL_REMOVE_H

#include "nodectl/local/layout.h"

/* A file, or a folder with all that is in it: `name` in the open folder `at`, or a path with AT_FDCWD. Symbolic links
 * are removed, and never followed. true too when there is none. false: errno says why. */
bool remove_below(int at, const char *name);

/* The folders of its processes, and of nodes that were removed, with all that is in them, fleet.json, and the folder
 * itself when nothing else is left in it. false: the reason is appended to why; what is left can be removed by the same
 * call. */
bool remove_fleet(const struct layout *l, struct buf *why);

#endif
