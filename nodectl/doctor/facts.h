/* What `nodectl doctor` looks at: the supervisors, the nodes and this machine, asked once. The checks (checks.h) are
 * made from this document alone. */
#ifndef NODECTL_DOCTOR_FACTS_H
#define NODECTL_DOCTOR_FACTS_H

#include "nodectl/asking.h"

#include <jansson.h>

/* supervisors: as of roll.h, and `masters`: [maps of SENTINEL MASTERS], `clusters_told`: [maps of SENTINEL CLUSTERS],
 *   ping_period_ms (-1: it does not tell), open (bool: it answered without a password, and not on a loopback address)
 * placement: what loss.h takes; null without supervisors
 * nodes: [{ address, host, error (text or null), local (bool: on this machine), open (as above),
 *   clock_ms, clock_error_ms, info { field: text }, config { name: text }, config_error (text or null),
 *   cluster { field: text of CLUSTER INFO } (empty: it is no cluster's), mapping { field: text of CLUSTER DBMAP } (the
 *   same), write_rate (bytes a second that its replication stream grew while we looked; of a master), and where it is
 *   local open_files (limit; -1: unbounded or not known), disk_free, disk_total (bytes of its dir's file system) }]
 * machine: overcommit_memory, transparent_hugepage (word), somaxconn; absent where they cannot be read
 *
 * EXIT_OK, or EXIT_NOBODY, which was said. The document is the caller's. */
int facts_collect(const struct command_call *call, const struct asking *a, json_t **facts);

/* facts_machine.c */
json_t *facts_machine(void);
bool facts_is_local(const char *host);                              /* an address of this machine */
void facts_process(json_t *node, const char *pid, const char *dir); /* adds open_files, disk_free and disk_total */

#endif
