/* What a node says in CLUSTER NODES of its own slots: those that it claims, and those that are open. Pure. */
#ifndef NODECTL_SLOTS_OPEN_H
#define NODECTL_SLOTS_OPEN_H

#include "nodectl/slots/set.h"

struct open_slot {
    uint16_t slot;
    bool importing; /* from `other`; else migrating to it */
    runid other;
};

struct own_slots {
    runid id, master; /* of itself; of the master that it follows, "" else */
    struct slot_set slots;
    struct open_slot *open; /* owned */
    size_t nopen;
};

/* false: the text has no line of the teller itself; *out is empty then. */
bool own_slots_read(struct own_slots *out, struct slice nodes_text);
void own_slots_free(struct own_slots *o);
/* The open slot of that number and kind, or NULL. */
const struct open_slot *own_slots_open(const struct own_slots *o, unsigned slot, bool importing);

#endif
