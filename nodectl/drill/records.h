/* Reports of drills in the histories of the supervisors. */
#ifndef NODECTL_DRILL_RECORDS_H
#define NODECTL_DRILL_RECORDS_H

#include "nodectl/asking.h"

#include <jansson.h>

/* Gives the report to every supervisor that can be reached. Returns how many took it; who did not, and why, is appended
 * to why, a line each. */
size_t records_put(const struct asking *a, const json_t *document, struct buf *why);

/* All reports that any supervisor has, each once, the newest first; of an id only that one. NULL: code says which exit
 * status, and it was said why. */
json_t *records_get(const struct command_call *call, const struct asking *a, const char *id, int *code);

#endif
