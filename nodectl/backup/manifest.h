/* The manifest of a backup: what its files hold, where it comes from, and the checksums that say whether all of it is
 * still what was written. A folder without one is no backup. */
#ifndef NODECTL_BACKUP_MANIFEST_H
#define NODECTL_BACKUP_MANIFEST_H

#include "common/base/sha256.h"
#include "nodectl/backup/content.h"

#include <jansson.h>

#define MANIFEST_FILE "manifest.json"
#define MANIFEST_MAX ((size_t)64 << 20) /* bytes */
#define MANIFEST_SHARDS_MAX 1000

struct manifest_shard {
    char *file;                  /* a name in the folder */
    int64_t bytes;               /* of the file */
    char sha256[SHA256_HEX + 1]; /* of it */
    uint8_t slots[CONTENT_SLOT_BYTES];
    runid master; /* the node that owned the slots */
    char *from;   /* host:port of the node that gave the snapshot */
    bool from_replica;
    char *version; /* of that node */
    runid replid;  /* the place in its history at which the snapshot stands */
    int64_t offset;
    int64_t expires, keys;
    struct content_database *databases; /* by number */
    size_t ndatabases;
};

struct manifest {
    char *fleet;        /* "" when it had no name */
    int64_t created_ms; /* Unix milliseconds: when the last snapshot was whole */
    char *tool;         /* version of nodectl */
    int64_t databases;  /* that the nodes have */
    int64_t mapping_epoch;
    struct manifest_shard *v;
    size_t n;
};

void manifest_free(struct manifest *m);
/* Adds a shard, cleared. */
struct manifest_shard *manifest_add(struct manifest *m);
/* With its checksum; the caller's. */
json_t *manifest_json(const struct manifest *m);
/* false: it is none, or not as it was written; the reason is appended to why. manifest_free() either way. */
bool manifest_read(struct manifest *m, const json_t *json, struct buf *why);

int64_t manifest_keys(const struct manifest *m);
int64_t manifest_expires(const struct manifest *m);
int64_t manifest_bytes(const struct manifest *m);
/* Databases up to the last one with keys. */
size_t manifest_databases_used(const struct manifest *m);
/* Keys of all shards in one database. */
struct content_database manifest_database(const struct manifest *m, size_t db);
/* "2026-11-22T16:50:00Z" */
#define MANIFEST_TIME 24
const char *manifest_time(int64_t ms, char out[MANIFEST_TIME]);

#endif
