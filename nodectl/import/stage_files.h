/* What a path given to nodectl import file holds, and the folder that a noded is to start with. */
#ifndef NODECTL_IMPORT_STAGE_FILES_H
#define NODECTL_IMPORT_STAGE_FILES_H

#include "common/base/bytes.h"

struct stage_files {
    bool append_only; /* else a snapshot, dump.rdb */
    char name[256];   /* of the append-only files: what stands before ".manifest" */
};

/* Puts what the path holds into the folder: an RDB file by a link, as it is only read; append-only files as copies.
 * false: there is nothing that noded reads, or it cannot be copied; the reason is appended to why. */
bool stage_files_put(struct stage_files *f, const char *path, const char *folder, struct buf *why);

#endif
