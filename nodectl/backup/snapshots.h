/* The snapshots of all shards of a cluster: which node gives that of which shard, getting them side by side, and
 * whether the cluster was the same before and after, so that every key is in exactly one of them. */
#ifndef NODECTL_BACKUP_SNAPSHOTS_H
#define NODECTL_BACKUP_SNAPSHOTS_H

#include "nodectl/backup/fetch.h"
#include "nodectl/backup/folder.h"
#include "nodectl/cluster/picture.h"

struct snapshot_source {
    struct addr addr;
    bool replica;
    char version[24];
};

struct snapshot {
    runid master; /* who owned the slots when it was planned */
    uint64_t epoch;
    uint8_t slots[CONTENT_SLOT_BYTES];
    runid replid;                    /* the master's history then, */
    int64_t offset;                  /* and how long it was: what was acknowledged before is in the snapshot */
    struct snapshot_source *sources; /* replicas that are in step, then the master */
    size_t n, at;
    char file[24];
    struct fetch fetch; /* begun when fd >= 0 */
    int fd;
    bool done;
};

struct snapshots {
    struct snapshot *v;
    size_t n;
    size_t unowned; /* slots without an owner */
    int64_t databases;
    struct buf notes; /* lines: sources that failed, and whoever took their place */
};

/* Looks at every shard. false: there is something in the way, which is appended to why. snapshots_free() either way. */
bool snapshots_plan(struct snapshots *s, struct picture *p, struct buf *why);
/* Gets all of them into the folder, `parallel` at a time. false: one cannot be had, or Ctrl-C was pressed. */
bool snapshots_take(struct snapshots *s, const struct asking *a, const struct folder *f, size_t parallel,
                    struct buf *why);
/* Afterwards: slots, masters and the mapping of databases are what they were. false: what has changed is appended. */
bool snapshots_still_true(const struct snapshots *s, const struct picture *now, struct buf *why);
void snapshots_describe(const struct snapshots *s, struct manifest *m); /* adds the shards */
void snapshots_free(struct snapshots *s);

#endif
