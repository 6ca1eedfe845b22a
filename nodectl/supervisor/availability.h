/* How available the masters were, out of what the supervisors recorded. Pure. */
#ifndef NODECTL_SUPERVISOR_AVAILABILITY_H
#define NODECTL_SUPERVISOR_AVAILABILITY_H

#include <jansson.h>
#include <stdint.h>

/* records: [{ by (a supervisor), events: of past_events(), oldest first, all of this group;
 *             down_after_ms; down_now (bool): it holds the master for objectively down }]
 *
 * An outage is the time from the last answer of the master (+sdown, less down-after) until there is another master
 * (+switch-master) or it answers again (-odown, -sdown), where the quorum agreed (+odown). What several supervisors
 * recorded of one outage is one outage, from the earliest beginning to the earliest end: by then somebody had a master
 * again. An outage whose end nobody recorded goes on until now where the master is down now, and until the last thing
 * that is known of it otherwise.
 *
 * The document: since_ms, until_ms (wall clock), recorded_since_ms (the oldest event that is kept; the numbers are of
 * the time since then when that is later than since_ms), failures, switches (with no outage: planned), down_ms,
 * longest_ms, between_ms (mean time between failures, -1: none failed), available (0 to 1), nines (whole ones; -1: no
 * outage), outages [{ begin_ms, end_ms, open (bool), by }] */
json_t *availability_of(const json_t *records, int64_t since_ms, int64_t now_ms);

/* "99.9950 %"; static. */
const char *availability_percent(double available);

#endif
