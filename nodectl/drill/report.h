/* What came of a drill, as a document and for people. */
#ifndef NODECTL_DRILL_REPORT_H
#define NODECTL_DRILL_REPORT_H

#include "nodectl/drill/run.h"

#include <stdio.h>

/* What the supervisors recorded of the failover that the harm led to: { group, epoch (the ballot's), config_epoch,
 * detect, agree, elect, fence, promote, tell, converge, total } in milliseconds, null where nothing is known.
 * collected: of explain_collect(). old: the master before; since_epoch: the configuration's then. Pure. */
json_t *report_phases(const json_t *collected, const char *group, const char *old, int64_t since_epoch);

/* What the canaries saw: { outage_ms, outage_from_ms (after the harm, which was at start_us), ..., databases [],
 * errors [] }. Pure. */
json_t *report_canaries(const struct lane *lanes, size_t n, const struct client_errors *errors, int64_t start_us);

/* A reason why the drill has failed. */
void report_reason(json_t *reasons, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds the reasons for a failure to the list: objectives that were missed. lanes: the result of report_canaries().
 * Pure. */
void report_judge(json_t *reasons, const json_t *canaries, const struct drill_order *o);

/* The document: id, drill, kind, cluster, group, verdict ("PASS" or "FAIL"), reasons [], aborted, objective, victim,
 * harm, from, to, at_ms, took_ms, seed, phases_ms, what report_canaries() gives, steps [], back. */
json_t *report_document(struct drill_run *r, json_t *phases);

void report_print(const json_t *document, FILE *out, bool colour);
/* A row for each: number, time, id, drill, group, verdict, outage, lost. */
void report_print_list(const json_t *documents, FILE *out, bool colour);

#endif
