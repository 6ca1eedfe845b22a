/* Clusters in `nodectl status`: what the supervisors say of each as a whole. Its shards are groups like others. */
#ifndef NODECTL_STATUS_CLUSTER_H
#define NODECTL_STATUS_CLUSTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Whether this word of the command line means that group: its name, or the cluster that it is a shard of. */
bool status_means(const char *word, const char *group);

/* views: of status_collect(), with clusters [{...}] of SENTINEL CLUSTERS, all values text. Each cluster is told by the
 * supervisor that knows the highest epoch.
 *
 * [{ name, state, epoch, agreed (bool), slots_assigned, slots_covered, shards, nodes, lease_ms (0: without
 * leases), keys (or null), watched_by, told_by }] */
json_t *status_clusters(const json_t *views, const char *const *wanted, size_t nwanted, json_t *problems);

/* Adds leased_shards to each: of how many shards the master is under leases, which no other program than noded can be.
 * In a cluster with leases, one that takes writes without is a problem. groups: as status_merge() made them. */
void status_leases(json_t *clusters, const json_t *groups, json_t *problems);

void status_print_clusters(const json_t *clusters, FILE *out, bool colour); /* nothing when there is none */

#endif
