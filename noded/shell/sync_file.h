/* The file into which a snapshot of the master is taken: written as it comes, flushed in a thread of its own, read, and
 * then put in the place of dbfilename. */
#ifndef SHELL_SYNC_FILE_H
#define SHELL_SYNC_FILE_H

#include "noded/shell/node.h"

struct sync_file;

/* flushed: comes from the loop, unless the file was dropped before; error NULL: it is on the disk. */
struct sync_file *sync_file_new(struct node *n, void (*flushed)(void *owner, const char *error), void *owner);
void sync_file_free(struct sync_file *f); /* what is not kept is deleted */

bool sync_file_open(struct sync_file *f, struct buf *why);
bool sync_file_write(struct sync_file *f, const char *p, size_t n, struct buf *why);
void sync_file_flush(struct sync_file *f);
ptrdiff_t sync_file_read(struct sync_file *f, char *p, size_t n); /* on from the beginning; 0: the end; -1: errno */
void sync_file_rewind(struct sync_file *f);
void sync_file_keep(struct sync_file *f);
void sync_file_drop(struct sync_file *f);

#endif
