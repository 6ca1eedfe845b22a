/* What a shard's RDB file holds, found out as its bytes arrive: every byte is looked at, and each key is counted by its
 * database. Keys that are no business of the shard are passed over: those of slots that it does not own, and those that
 * a node keeps aside because their slots are still on their way to it. */
#ifndef NODECTL_BACKUP_CONTENT_H
#define NODECTL_BACKUP_CONTENT_H

#include "common/base/runid.h"
#include "noded/repl/rdb_read.h"

#define CONTENT_DATABASES 16384 /* numbers that a database of a cluster may have: 0 to 16383 */
#define CONTENT_SLOT_BYTES (ND_SLOTS / 8)

struct content_database {
    int64_t keys, expires; /* expires: of them with an expiry */
};

struct content {
    const uint8_t *slots;       /* of the shard: bit s % 8 of byte s / 8; NULL: all. Must outlive it */
    struct content_database *v; /* by number; owned */
    size_t n;                   /* databases up to the last one with keys */
    int64_t keys, expires;      /* of all databases */
    int64_t foreign, aside;     /* passed over */
    int64_t unfinished; /* of those aside: their slots are the shard's already, but whoever takes them over has not put
                           them in their place yet, so they are missing */
    int64_t databases;  /* that the server has; 0: the file does not say */
    int64_t mapping_epoch; /* of the databases, 0: none was ever swapped */
    /* The keys that count, one after the other; NULL: they are counted only. A value is the callee's. false: the
     * reading ends, and the reason is appended to why. */
    bool (*each)(void *owner, struct nd_rdb_entry *entry, struct buf *why);
    void *owner;
    /* content.c's */
    struct nd_keyspace numbers;
    struct nd_rdb_reader *reader;
};

/* each and owner may be set afterwards. */
void content_begin(struct content *c, const uint8_t *slots);
/* As nd_rdb_feed(): takes bytes from the front. DONE: the file is whole and its own checksum is right; what is left
 * follows it. */
enum nd_rdb_status content_feed(struct content *c, struct slice *in);
const char *content_error(const struct content *c); /* after BAD: a clause with the place in the file */
void content_free(struct content *c);

static inline bool content_has_slot(const uint8_t *slots, int slot)
{
    return (slots[slot / 8] >> slot % 8 & 1) != 0;
}
/* "0-5460,5462": appended to out. */
void content_put_slots(struct buf *out, const uint8_t *slots);
/* Reads such a text, which is there whole or not at all. */
bool content_read_slots(struct slice text, uint8_t slots[CONTENT_SLOT_BYTES]);

#endif
