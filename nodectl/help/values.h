/* Values that only the fleet itself or the configuration file knows, proposed at the end of a command line. */
#ifndef NODECTL_HELP_VALUES_H
#define NODECTL_HELP_VALUES_H

#include "nodectl/help/complete.h"

/* Offers what c->kind wants. Whoever does not answer within a moment has nothing to propose, and nothing is said of
 * that: the line is being typed. */
void complete_values(struct complete *c);

#endif
