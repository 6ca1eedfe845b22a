/* A noded of our own that reads files, so that they are imported as a live server is: every file that noded can start
 * with, in all its forms, damaged ends included. It listens on this host alone, with a password of its own, works on
 * copies of what it would write to, and ends with us. */
#ifndef NODECTL_IMPORT_STAGE_H
#define NODECTL_IMPORT_STAGE_H

#include "common/base/addr.h"
#include "common/base/bytes.h"
#include "common/base/runid.h"

#include <sys/types.h>

struct stage {
    char *folder; /* NULL: none was made */
    pid_t pid;    /* 0: it does not run */
    struct addr addr;
    runid password;
};

/* Reads this RDB file, append-only file, folder of append-only files, or data folder with one of them. Waits until
 * all is read. false: the reason is appended to why, with what noded said. stage_end() either way. */
bool stage_begin(struct stage *s, const char *path, struct buf *why);
/* Ends it and takes its folder away. */
void stage_end(struct stage *s);

#endif
