/* Where the processes of a fleet are, and which are up, as the supervisors see it. */
#ifndef NODECTL_SUPERVISOR_PLACEMENT_OF_H
#define NODECTL_SUPERVISOR_PLACEMENT_OF_H

#include "nodectl/supervisor/roll.h"

/* What loss_document() takes, new. zones: { name: [hosts] }. */
json_t *placement_of(const struct roll *r, json_t *zones);

#endif
