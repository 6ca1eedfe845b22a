/* A file is written anew beside itself and put in its place: who reads it sees the old one or the new one. */
#ifndef NODECTL_LOCAL_REPLACE_FILE_H
#define NODECTL_LOCAL_REPLACE_FILE_H

#include "common/base/bytes.h"

#include <sys/types.h>

/* An existing file keeps its permissions and its owner (as far as we may give it away), and a symbolic link stays one;
 * a new one gets `mode`. It is on the disk on return. false: the reason with the path is appended to why, and the old
 * file is as it was. */
bool replace_file(const char *path, struct slice text, mode_t mode, struct buf *why);

/* The folder with this mode, and those above it, as mkdir -p makes them. false: the reason is appended to why. */
bool make_folders(const char *path, mode_t mode, struct buf *why);

#endif
