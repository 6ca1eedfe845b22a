/* `nodectl status`, second part: what the supervisors see, put together, and what is wrong with it. The result is the
 * document that `-o json` prints and that the tables are made from. */
#ifndef NODECTL_STATUS_MERGE_H
#define NODECTL_STATUS_MERGE_H

#include <jansson.h>
#include <stddef.h>

/* views: of status_collect(). wanted: the groups named by the operator; none: all.
 *
 * ok (bool), problems [text], notes [text],
 * supervisors [{ address, id, given, reachable, error }],
 * clusters: status_cluster.h,
 * groups [{ name, state (ok, s_down, o_down, or the failover's state), agreed (bool), config_epoch, quorum,
 *           quorum_ok (bool), usable_supervisors, known_supervisors, watched_by, slots (of a shard),
 *           slot_ranges ("0-99 200"), master, replicas [], supervisors [] }]
 *
 * master and replicas: address, run_id, flags [], state, connected, last_ok_ping_ms, info_age_ms, down_ms,
 *           seen_down_by [addresses], why; null when not known or not so. master: offset, offset_age_ms, ops_per_s,
 *           used_memory (bytes), lease_ms (that it has left), lease_grants (supervisors whose grants it has). replicas:
 *           priority, offset, lag_bytes, lag_s, master_link, master_link_down_ms, follows, announced; sync_guarded
 *           (the empty history of its master that it does not let in), where there is one.
 * supervisors of a group: address, id, reachable, says { master, config_epoch, state, grant_ms (of its lease
 *           to the master) }, seen_down_by,
 *           state (up, down, unknown), why. */
json_t *status_merge(const json_t *views, const char *const *wanted, size_t nwanted);

#endif
