/* How many keys nodes hold in which slots, in all of their databases together. */
#ifndef NODECTL_SLOTS_KEYS_H
#define NODECTL_SLOTS_KEYS_H

#include "nodectl/cluster/picture.h"
#include "nodectl/slots/set.h"

#define KEYS_DATABASES 1024 /* more are not looked at */

/* The keys of one slot in one database; there are none of those without. */
struct key_part {
    uint16_t slot;
    int16_t database;
    int64_t keys;
};

struct key_parts {
    struct key_part *v; /* owned */
    size_t n, cap;
};

struct key_counts {
    runid id;                                 /* in: the node */
    struct slot_set of;                       /* in: which slots are counted */
    struct key_parts *parts;                  /* in: NULL, or where each slot's keys in each database are added */
    int64_t keys[SN_SLOTS];                   /* out: of all databases */
    int16_t highest[SN_SLOTS];                /* out: the highest database with keys in it; -1: none */
    int64_t per_database[KEYS_DATABASES];     /* out: in the slots that are counted */
    int64_t keys_of_database[KEYS_DATABASES]; /* out: in all slots of the node */
    int databases;                            /* out: one above the highest with keys in any slot of the node */
    int64_t all;                              /* out: keys of the node, of all slots */
    int64_t bytes;                            /* out: what its data takes by its own word (used_memory_dataset) */
    int64_t ops;                              /* out: commands a second, by its own word */
};

/* Asks all of these nodes side by side. false: one does not answer, and the reason is appended to why. */
bool keys_count(struct picture *p, struct key_counts *counts, size_t n, struct buf *why);
/* One, on the heap; the caller frees. */
struct key_counts *keys_new(size_t n);

#endif
