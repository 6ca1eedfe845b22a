/* Keys that a master holds in slots of another one are brought to it. */
#ifndef NODECTL_SLOTS_HOME_H
#define NODECTL_SLOTS_HOME_H

#include "nodectl/change.h"
#include "nodectl/cluster/picture.h"
#include "nodectl/slots/move.h"
#include "nodectl/slots/set.h"

/* From `at` to `to`, which has the slots. A key that the owner has too is deleted at `at` where both are the same, or
 * how->owner_wins; else it is left alone: nothing is replaced by another value. false: change_failed() has the reason;
 * given again it goes on. */
bool home_bring(struct change *c, struct picture *p, const char *at, const char *to, const struct slot_set *slots,
                const struct mover *how);

#endif
