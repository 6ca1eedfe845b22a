/* Who is where: clusters with their shards, masters and replicas, supervisors with the leases that they grant, and what
 * each host carries. Made from the document of status_merge(); no sockets. */
#ifndef NODECTL_VIEW_TOPOLOGY_H
#define NODECTL_VIEW_TOPOLOGY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* zones: { host: zone }, as far as they are known; what is not in it is a zone by itself.
 *
 * { ok, clusters [{ name, state, epoch, slots_covered, lease_ms, keys, shards [...] }], groups [...] (of no cluster),
 *   supervisors [{ address, id, reachable, grants, of }],
 *   hosts [{ host, zone, masters [], replicas [], supervisors [] }],
 *   problems [text], notes [text] }
 * shards and groups: name, state, config_epoch, slots, slot_ranges, master, replicas as in the document. grants: of how
 * many masters under leases (`of`) the supervisor has a lease out. zone: "" where it is not known. notes: which shards
 * would lose all of their copies with one host or zone, where there are several. */
json_t *topology_document(const json_t *status, const json_t *zones);

struct topology_style {
    bool colour, utf8, hosts; /* hosts: with what each of them carries */
};
void topology_print(const json_t *topology, const struct topology_style *style, FILE *out);

#endif
