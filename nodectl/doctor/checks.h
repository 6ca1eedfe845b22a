/* The checks of `nodectl doctor`: pure functions from the facts (facts.h) to findings. */
#ifndef NODECTL_DOCTOR_CHECKS_H
#define NODECTL_DOCTOR_CHECKS_H

#include <jansson.h>
#include <stddef.h>

#define FINDING_NOTE "note"         /* worth knowing; nothing is wrong */
#define FINDING_WARNING "warning"   /* goes wrong when something else happens */
#define FINDING_CRITICAL "critical" /* is wrong now */

/* Adds { severity, check, where (an address, a host, a group or a cluster), what, change: "" } to findings. */
json_t *doctor_finding(json_t *findings, const char *severity, const char *check, const char *where, const char *what,
                       ...) __attribute__((format(printf, 5, 6)));
/* What to change about it: a command or a setting. */
void doctor_change(json_t *one, const char *change, ...) __attribute__((format(printf, 2, 3)));

typedef void doctor_check(const json_t *facts, json_t *findings);
doctor_check check_reach, check_clocks, check_versions, check_passwords; /* check_processes.c */
doctor_check check_kernel, check_memory;                                 /* check_machine.c */
doctor_check check_persistence;                                          /* check_persistence.c */
doctor_check check_replication, check_cluster, check_placement;          /* check_replication.c */
doctor_check check_mapping;                                              /* check_mapping.c */
doctor_check check_supervisors, check_quorum, check_timeouts;            /* check_supervisors.c */

/* All of them in order: findings, the worst first. A new array. */
json_t *doctor_findings(const json_t *facts);
/* Whether any finding is a warning or worse. */
int doctor_is_ill(const json_t *findings);

/* What the checks share: */
const json_t *doctor_info(const json_t *node);
const char *doctor_config(const json_t *node, const char *name); /* "" when it does not tell */
int doctor_is_master(const json_t *node);                        /* and answers */
/* The address of the master that it follows, or its own. Static buffers, a few. */
const char *doctor_master(const json_t *node);
/* "1.5 GB"; static buffers, a few. */
const char *doctor_bytes(long long n);

#endif
