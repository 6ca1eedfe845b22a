/* A backup on the disk: a folder with a file for each shard and the manifest. It is made under a name of its own, which
 * ends with ".partial", and gets its own name when all of it is flushed; so what was cut is never taken for a whole
 * one. */
#ifndef NODECTL_BACKUP_FOLDER_H
#define NODECTL_BACKUP_FOLDER_H

#include "nodectl/backup/manifest.h"
#include "nodectl/progress.h"

#define FOLDER_PARTIAL ".partial"

struct folder {
    char *whole;   /* the path that it will have */
    char *partial; /* that it has meanwhile; NULL: none was made, or it was finished */
};

/* Makes the folder for a backup of `fleet` that begins now, in `parent`, which is made when it is not there. false: the
 * reason is appended to why. folder_free() either way. */
bool folder_make(struct folder *f, const char *parent, const char *fleet, int64_t now_ms, struct buf *why);
/* A new file in it. Returns its descriptor, or -1. */
int folder_file(const struct folder *f, const char *name, struct buf *why);
/* Writes the manifest, flushes, and gives the folder its own name. */
bool folder_finish(struct folder *f, const struct manifest *m, struct buf *why);
/* Takes away what there is of one that was not finished. */
void folder_drop(struct folder *f);
void folder_free(struct folder *f);

/* Reads the manifest of the backup in this folder. manifest_free() either way. */
bool folder_manifest(const char *path, struct manifest *m, struct buf *why);

/* One file of a backup, read whole. each: NULL, or as struct content has it. */
struct folder_reading {
    bool (*each)(void *owner, struct nd_rdb_entry *entry, struct buf *why);
    void *owner;
    bool only_sum;             /* its bytes are compared with the manifest's checksum, and not looked into */
    struct progress *progress; /* NULL, or counts bytes */
    int64_t before;            /* that it has counted already */
};
/* false: it is not what the manifest says, or the reading was ended; the reason is appended to why. */
bool folder_read(const char *path, const struct manifest_shard *s, const struct folder_reading *how, struct buf *why);

#endif
