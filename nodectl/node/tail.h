/* The last lines of a file, and those that come. */
#ifndef NODECTL_NODE_TAIL_H
#define NODECTL_NODE_TAIL_H

#include "common/base/bytes.h"

/* Where the last `lines` lines of these bytes begin. Pure. */
size_t tail_start(struct slice text, size_t lines);
/* Prints the last lines of the file, without what a terminal would obey; follow: and what is appended, until Ctrl-C,
 * also when the file is begun anew or another one takes its name. false: it can't be read; why has the reason. */
bool tail_read(const char *path, size_t lines, struct buf *out, struct buf *why); /* the same, appended to out */
bool tail_print(const char *path, size_t lines, bool follow, struct buf *why);

#endif
