/* Open slots that are closed where they are (SETSLOT STABLE). A move by single keys speaks to both ends at last: killed
 * between the two words, it leaves the slot its target's, and open at a source that is redis-server. */
#ifndef NODECTL_SLOTS_CLOSE_H
#define NODECTL_SLOTS_CLOSE_H

#include "nodectl/change.h"
#include "nodectl/cluster/picture.h"
#include "nodectl/slots/set.h"

/* false: change_failed() has the reason. */
bool close_slots(struct change *c, struct picture *p, const char *at, const struct slot_set *slots);

/* Finds slots that a master has open towards one that has them already (`to`; NULL: anybody), with no key left in them:
 * each pair of masters is added to *left, with a step of the plan. false: change_failed() has the reason. */
bool close_left_plan(struct change *c, struct picture *p, const char *to, struct slot_moves *left);
/* Does these steps, which begin with that number. false: change_failed() has the reason. */
bool close_left_do(struct change *c, struct picture *p, const struct slot_moves *left, size_t first_step);

/* Whether each question that was put to it since fleet_forget() has a good answer; else change_failed() has the
 * reason. */
bool close_all_good(struct change *c, const struct picture_node *n);

#endif
