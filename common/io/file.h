/* Files read and written whole, what makes them last, and paths. */
#ifndef IO_FILE_H
#define IO_FILE_H

#include "common/base/bytes.h"

/* Appends the content of a regular file (or of a pipe) to out. false: it cannot be read or has more than max bytes; the
 * reason with the path is appended to error, and out is as before. */
bool io_file_read(const char *path, size_t max, struct buf *out, struct buf *error);

/* Writes all of it, however many calls that takes. false: errno says why; a part may be written. */
bool io_write_all(int fd, struct slice bytes);
/* A new, renamed or removed name lasts when its folder is flushed. false: errno says why. */
bool io_folder_flush(const char *folder);
bool io_name_flush(const char *path); /* the folder that path is in */

/* path made absolute from the working directory, without "." and ".." parts and doubled slashes; symbolic links stay,
 * and nothing needs to exist. NULL: the working directory is unknown. The caller frees. */
char *io_path_absolute(const char *path);
/* The folder part of path: "/a/b" gives "/a", "b" gives ".". The caller frees. */
char *io_path_folder(const char *path);

#endif
