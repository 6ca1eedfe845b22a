/* The mover: takes slots from masters to other masters, with the keys of all databases, while clients go on.
 *
 * Where both ends are noded, or Valkey since version 9, the slots of a pair go by atomic migrations (CLUSTER
 * MIGRATESLOTS): clients notice a pause of some milliseconds. Elsewhere they go key by key, as redis-cli does it, some
 * slots at once and their requests in pipelines. Pairs go side by side: a source gives to one target at a time, a
 * target takes from two sources.
 *
 * Nothing about it is kept in a file: what is under way or half done (a migration that another process began, slots
 * that a crash left open) is found at the nodes and finished. A master that was replaced meanwhile is followed to its
 * successor. */
#ifndef NODECTL_SLOTS_MOVE_H
#define NODECTL_SLOTS_MOVE_H

#include "nodectl/change.h"
#include "nodectl/cluster/picture.h"
#include "nodectl/slots/set.h"

struct mover {
    int64_t rate_bytes;  /* of all pairs together, in a second, by what the nodes say of their memory; 0: no limit */
    unsigned rate_slots; /* the same in slots; 0: no limit */
    bool key_by_key;     /* also between nodes that have atomic migrations */
    bool owner_wins;     /* of a key with two values that of the slot's owner stays, and the other is given up */
};

/* Rows of a command's options, for mover_options(). */
#define MOVER_OPTIONS                                                                                                 \
    {"--rate", NULL, "RATE", "at most so much in a second, as 20mb, or 100 for slots (default: as fast as it goes)"}, \
        {"--key-by-key", NULL, NULL, "with SETSLOT and MIGRATE also where slots could go in one piece"},              \
    {                                                                                                                 \
        "--owner-wins", NULL, NULL, "of a key with two values keep that of the slot's owner, and give up the other"   \
    }
/* EXIT_OK, or EXIT_USAGE with the reason on standard error. */
int mover_options(const struct command_call *call, struct mover *how);

/* Adds a step for each move to the plan, with its keys and the way that it goes; *first_step: the number of the first.
 * false: it cannot be done, or keys would be lost (those of databases that the target does not know); change_failed()
 * has the reason. */
bool mover_plan(struct change *c, struct picture *p, const struct slot_moves *m, const struct mover *how,
                size_t *first_step);
/* Does these steps, after change_agreed(), and shows how far it is. Looks anew at the cluster, so that no pointer into
 * the picture outlives it. Returns when all nodes that answer know the new owners. false: change_failed() has the
 * reason, or that it was interrupted; what was under way is finished then, and the same moves given again go on. */
bool mover_run(struct change *c, struct picture *p, const struct slot_moves *m, const struct mover *how,
               size_t first_step);

#endif
