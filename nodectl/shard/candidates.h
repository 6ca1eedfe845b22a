/* Who could be the master of a shard: the supervisors' own ranking, with what each would lose. No sockets. */
#ifndef NODECTL_SHARD_CANDIDATES_H
#define NODECTL_SHARD_CANDIDATES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* group: of status_merge(). ranking: of failover_ranking(); NULL: the supervisor is none of ours, and the order is that
 * of stock Sentinel. by: who tells it.
 *
 * { group, master { address, state, offset }, by, ranked_by ("sentineld" or "rules of redis-sentinel"),
 *   candidates [{ rank (from 1; null: it is not promoted), address, state, suitable (bool), reason (or null), impaired,
 *                 priority, offset, lag_bytes, lag_s, loss_bytes (or null: not known) }] }
 * loss_bytes: what the master has acknowledged and this replica does not have, so what were lost if it was promoted in
 * its place at once; a switchover loses nothing. */
json_t *candidates_document(const json_t *group, const json_t *ranking, const char *by);

void candidates_print(const json_t *candidates, FILE *out, bool colour);

#endif
