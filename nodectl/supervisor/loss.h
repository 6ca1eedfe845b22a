/* What would still work if a zone, a host or a single process were lost. Pure. */
#ifndef NODECTL_SUPERVISOR_LOSS_H
#define NODECTL_SUPERVISOR_LOSS_H

#include <jansson.h>
#include <stdbool.h>

/* fleet:
 *   supervisors [{ address, host, up }]
 *   shards [{ name, quorum, leases (bool), leased (bool: its master holds one now; absent: it does),
 *             supervisors [addresses: who watches it],
 *             nodes [{ address, host, up, master,
 *                      against (why it would not be promoted; null or absent: it would) }] }]
 *   zones { name: [hosts] }
 *
 * The document: ok (no loss of one of them stops writes to a shard), one_host (all is on one host, so its loss is the
 * loss of everything, and is not counted), losses: first what holds now, with nothing lost, then zones, hosts,
 * processes, each with
 *   kind (now, zone, host, supervisor, node), name, ok, supervisors (left), supervisors_known,
 *   shards: those that lose something or have something missing, [{ name, state, writes (bool), replicas (left), why }]
 * A shard's state is one of
 *   kept        its master and what a failover needs are left
 *   failover    its master is lost, and a replica of it is promoted
 *   alone       its master is left, and nothing else that could be promoted
 *   unwatched   its master is left and takes writes, but too few supervisors are left for a failover
 *   no-lease    its master is left, but holds no lease now, or too few supervisors are left to renew it: no writes
 *   lost        its master is lost, and nothing can be promoted: no writes */
json_t *loss_document(const json_t *fleet);

/* The loss of that name in the document, or NULL. */
const json_t *loss_named(const json_t *document, const char *name);

#endif
