/* Inside of the append-only file: for aof.c, aof_files.c, aof_load.c and aof_rewrite.c. */
#ifndef SHELL_AOF_INNER_H
#define SHELL_AOF_INNER_H

#include "noded/repl/aof_manifest.h"
#include "noded/shell/aof.h"
#include "noded/shell/aof_thread.h"

#include <ev.h>

struct aof_load;
struct aof_rewrite;

struct aof {
    struct node *node;
    struct nd_aof_state *state;
    struct aof_thread *thread; /* NULL until the first job */
    char *folder;              /* absolute; where the files are, from the time the file was switched on */
    char *prefix;              /* of the files' names (appendfilename) */
    struct nd_aof_manifest manifest;
    int fd;              /* of the last increment; -1 */
    int lock;            /* of the folder: nobody else writes there; -1 */
    uint64_t file_bytes; /* its length */
    struct aof_load *load;
    struct aof_rewrite *rewrite; /* under way */
    struct ev_timer reload;      /* DEBUG LOADAOF */
};

/* ---- aof_files.c: what may run in the thread too, and needs nothing of struct aof ---- */
char *aof_path(const char *folder, const char *name); /* the caller frees */
/* The file is written whole under another name, flushed, and takes the place of the old one. replaced (may be NULL):
 * that far it came, even when this is false: the folder could not be flushed. */
bool aof_manifest_save(const char *folder, const char *prefix, const struct nd_aof_manifest *m, bool *replaced,
                       struct buf *why);
/* true with an empty one: there is none. */
bool aof_manifest_read(const char *folder, const char *prefix, struct nd_aof_manifest *m, bool *found, struct buf *why);
int aof_increment_create(const char *folder, const char *name, struct buf *why); /* empty, for appending; -1 */
bool aof_folder_flush(const char *folder, struct buf *why);
bool aof_folder_make(const char *folder, struct buf *why); /* it may be there */
/* Nobody else may write in the folder from here on, until the descriptor is closed or the process is no more. -1: it is
 * not there, or its system has no locks; or, with a reason appended to why, another process has it. */
int aof_folder_lock(const char *folder, struct buf *why);
/* The whole of one file under another name, flushed, also the folder, where temp was before. */
bool aof_file_copy(const char *from, const char *temp, const char *to, struct buf *why);
int64_t aof_file_bytes(const char *folder, const char *name); /* -1: it cannot be told */
/* Deletes the files that are history. Those that cannot be deleted are of no harm; why tells of them. */
void aof_history_delete(const char *folder, const struct nd_aof_manifest *m, struct buf *why);

/* ---- aof.c ---- */
void aof_find_folder(struct aof *a);                  /* from the settings */
bool aof_take_folder(struct aof *a, struct buf *why); /* false: another process has it */
void aof_leave_folder(struct aof *a);
struct aof_thread *aof_worker(struct aof *a);
void aof_write(struct aof *a); /* what waits, as far as it goes */
/* Loading is over: the last increment goes on, or the first files are made. */
bool aof_go_on(struct aof *a, struct buf *why);

/* ---- aof_load.c ---- */
void aof_load_start(struct aof *a);                    /* in steps; then aof_go_on() */
bool aof_load_whole(struct aof *a, struct buf *error); /* at once, into an empty dataset; files stay as they are */
void aof_load_free(struct aof_load *l);                /* NULL is allowed */

/* ---- aof_rewrite.c ---- */
bool aof_rewrite_start(struct aof *a, struct buf *why);
void aof_rewrite_give_up(struct aof *a); /* the one under way, if there is one; its child is stopped */

#endif
