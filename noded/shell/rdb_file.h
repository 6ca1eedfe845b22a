/* The RDB file on disk: written whole under another name, flushed, and put in its place; read in steps of a turn at the
 * start, or at once. */
#ifndef SHELL_RDB_FILE_H
#define SHELL_RDB_FILE_H

#include "noded/repl/rdb_write.h"
#include "noded/shell/node.h"

/* "temp-<pid>.rdb" in the folder of path: what a file is before it is whole. */
void rdb_temp_name(const char *path, int64_t pid, struct buf *out);
/* Removes those in the folder whose writers are no more. */
void rdb_temp_tidy(const char *folder);

/* Bytes into an open file, with the flushing that goes along. */
struct rdb_writing {
    int fd;
    uint64_t written, begun; /* bytes; of them on their way to the disk */
    void (*pulse)(void *owner);
    void *owner;
};
bool rdb_writing_put(void *writing, const char *p, size_t n); /* a struct nd_rdb_sink's put(); false: errno */

/* The whole way. pulse (may be NULL) is called now and then while it is written. false: path is as before, no other
 * file is left, and the reason is appended to why. */
bool rdb_file_write(const struct nd_keyspace *keys, const struct nd_rdb_facts *facts, const char *path, size_t *count,
                    void (*pulse)(void *owner), void *owner, struct buf *why);

/* struct nd_persist_host's save() and load(); owner: struct node. */
bool rdb_file_save(void *owner, const char *path, struct buf *why);
bool rdb_file_load(void *owner, const char *path, bool replace, struct buf *why);

/* At the start: dbfilename is loaded in steps, while clients get -LOADING. node_loaded() is told at the end, from
 * inside when there is no file. */
void rdb_load_start(struct node *n);
void rdb_load_stop(struct node *n); /* the program ends meanwhile */

#endif
