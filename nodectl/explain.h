/* One failover, told from the records of all supervisors. */
#ifndef NODECTL_EXPLAIN_H
#define NODECTL_EXPLAIN_H

#include "nodectl/asking.h"

#include <jansson.h>
#include <stdio.h>

/* Asks all supervisors that can be found for what they recorded of the group: an array of objects with address, id,
 * error (text or null), and notes (as of past_notes(), newest first). */
json_t *explain_collect(const struct asking *a, struct fleet *f, const char *group);

/* The document: group, epoch (the ballot's; of one that nobody knows the configuration's), config_epoch (or null),
 * outcome, by, from, to, at_ms; the notes stand, ballot (won or lost), promoted, switched, converged, aborted of the
 * one who led, null when there is none; records: all that was noted from the first sign to the end, by time, each
 * with its supervisor and `after_ms` since the first; since: what was noted later; supervisors.
 *
 * epoch: a ballot's, or a configuration's where no ballot has it; 0: the last one. kind not NULL: of the last note of
 * that kind. NULL: nothing is recorded that fits. */
json_t *explain_document(const json_t *collected, const char *group, int64_t epoch, const char *kind);

/* For people. */
void explain_print(const json_t *document, FILE *out, bool colour);

/* Feeds the record through the core again: an object with possible (bool), why, same (bool), checks: [what, recorded,
 * replayed, same]. */
json_t *explain_replay(const json_t *document);

#endif
