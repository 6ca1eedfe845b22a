/* The part of an apply that is a rolling restart: settings that nodes read only when they start. */
#ifndef NODECTL_APPLY_RESTARTS_H
#define NODECTL_APPLY_RESTARTS_H

#include "nodectl/apply/steps.h"

/* What is wished of those settings. false: it is not to be had, and the change has failed for the reason. */
bool restarts_wish(struct apply *a);
/* After the additions are planned: adds the restarts. false as above. */
bool restarts_plan(struct apply *a);

#endif
