/* What a supervisor says to a noded about leases, and what that answers.
 *
 *   CLUSTER LEASE <own id> <speaker> <ttl-ms> <epoch> [<incarnation> <clock-us>]          -> a map
 *   CLUSTER LEASE RETURN <own id> <speaker> <epoch>                                       -> the same map
 *   CLUSTER FAILOVER TAKEOVER EPOCH <e> FROM <id>[,<id>...] [FORCE] [GRANTS <speaker> <grant> ...]  -> OK
 *
 * A speaker is `<version>:<position>:<address>,<address>,...`: the list of supervisors and one's own place in it. A
 * grant is `<position>/<incarnation>/<clock-us>/<ttl-ms>/<wait-ms>`; that is also the form in which voters tell theirs
 * to the candidate's supervisor. The incarnation is hexadecimal. */
#ifndef SHELL_WIRE_LEASE_H
#define SHELL_WIRE_LEASE_H

#include "sentineld/core/lease.h"
#include "sentineld/core/lease_told.h"
#include "sentineld/shell/wire.h"

/* stamp may be NULL, or have no incarnation: then it is left out, and nothing is granted. */
void wire_lease_request(struct wire_request *q, const char *id, const char *speaker, int64_t ttl_us, uint64_t epoch,
                        const struct sn_stamp *stamp);
void wire_lease_return(struct wire_request *q, const char *id, const char *speaker, uint64_t epoch);
/* from: ids with commas between them. force: whatever the node knows of its shard. grants: their texts; none: promoted
 * without leases. */
void wire_takeover_request(struct wire_request *q, uint64_t epoch, const char *from, bool force, const char *speaker,
                           char *const *grants, size_t n);

/* false: an error, or no such answer; *out is then all zero. Members that are missing are as if zero, except node, role
 * and stamp, without which it is none; members that are unknown are passed over. */
bool wire_lease_answer(const redisReply *reply, struct sn_lease_told *out);

#endif
