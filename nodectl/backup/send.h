/* The keys of a backup's file on their way into a cluster: each goes to the owner of its slot, whatever shards there
 * are, with the time at which it expires. */
#ifndef NODECTL_BACKUP_SEND_H
#define NODECTL_BACKUP_SEND_H

#include "nodectl/backup/folder.h"
#include "nodectl/db/route.h"

struct send {
    /* The caller's. */
    struct picture *picture;
    const uint8_t *databases; /* bit d % 8 of byte d / 8: database d is wanted; NULL: all are */
    bool replace;             /* keys that are there give way */
    /* What came of it. */
    int64_t restored;
    int64_t expired;  /* their time is over: they were not sent */
    int64_t left_out; /* of other databases */
    /* send.c's */
    struct route route;
    struct buf payload;
    int64_t now_ms;
};

void send_begin(struct send *s);
/* All keys of one file. false: it ended early, by Ctrl-C too; the reason is appended to why. */
bool send_file(struct send *s, const char *folder, const struct manifest_shard *shard, struct progress *progress,
               int64_t before, struct buf *why);
void send_free(struct send *s);

/* DUMP's payload of a string, appended. */
void send_put_text(struct buf *out, struct slice text);

#endif
