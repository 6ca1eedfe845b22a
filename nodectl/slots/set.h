/* A set of slots, and what the mover and the planner have in common. Pure. */
#ifndef NODECTL_SLOTS_SET_H
#define NODECTL_SLOTS_SET_H

#include "common/base/bytes.h"
#include "common/base/runid.h"
#include "sentineld/core/cluster_nodes.h"

struct slot_set {
    uint8_t bits[SN_SLOTS / 8];
};

void slot_set_add(struct slot_set *s, unsigned slot);
void slot_set_drop(struct slot_set *s, unsigned slot);
bool slot_set_has(const struct slot_set *s, unsigned slot);
unsigned slot_set_count(const struct slot_set *s);
/* The first slot of it from `from` on; SN_SLOTS: there is none. for (s = slot_set_next(x, 0); s < SN_SLOTS; ...) */
unsigned slot_set_next(const struct slot_set *s, unsigned from);
/* The next run of neighbours from *first on; false: there is none. Both ends are in it. */
bool slot_set_range(const struct slot_set *s, unsigned *first, unsigned *last);
/* "0-100,200". At most `ranges` of them, then ", ... (17 ranges)"; 0: all. Nothing is written for an empty set. */
void slot_set_put(struct buf *out, const struct slot_set *s, size_t ranges);
/* Reads the same text, with commas or spaces between ranges. false: the reason is appended to why. */
bool slot_set_parse(struct slot_set *s, const char *text, struct buf *why);

/* Slots that go from one master to another. */
struct slot_move {
    runid from, to;
    struct slot_set slots;
};

struct slot_moves {
    struct slot_move *v; /* owned; a zeroed struct slot_moves is empty */
    size_t n, cap;
};

/* Adds a slot to the move between these two, which is made where there is none. */
void slot_moves_add(struct slot_moves *m, const char *from, const char *to, unsigned slot);
unsigned slot_moves_count(const struct slot_moves *m); /* slots of all of them */
void slot_moves_free(struct slot_moves *m);

#endif
