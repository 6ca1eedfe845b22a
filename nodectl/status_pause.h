/* `nodectl status`: what operators have paused. Part of status_merge(). */
#ifndef NODECTL_STATUS_PAUSE_H
#define NODECTL_STATUS_PAUSE_H

#include <jansson.h>

/* The pauses of automatic failovers that the supervisors tell, each once: failover-paused (a group, a cluster or "*"),
 * -until, -by and -reason as in SENTINEL PAUSES, and at (at how many supervisors). views: of status_collect(). A new
 * array. */
json_t *status_pauses_of(const json_t *views);
/* The same as sentences. */
void status_pauses(const json_t *views, json_t *notes);

#endif
