/* What must survive the process. A record replaces the one of the same kind and key; the state directory is a table per
 * kind. */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H

#include "common/base/addr.h"
#include "common/base/runid.h"
#include "sentineld/core/swap.h"

enum sn_record_kind {
    SN_REC_META,    /* epoch, joined */
    SN_REC_GROUP,   /* group; monitored, master, config_epoch, vote_epoch, vote_leader */
    SN_REC_MEMBERS, /* group; replicas, peers: all of them, replacing */
    SN_REC_OPTION,  /* group ("" for the daemon's own), option, value: a run-time change. rename-command is keyed by
                       "rename-command <old>" */
    SN_REC_FLEET, /* fleet; monitored (false: released at run time), config_epoch (the greatest heard of), vote_epoch */
    SN_REC_SHARD, /* group, fleet; monitored, master (its node id is nodes[0].id), nodes: all of them, replacing. Not
                     monitored: there is no such shard any more; a GROUP record with the same comes with it */
    SN_REC_RENAME, /* group, value: all that is stored under the name of that group is stored under this one now, and
                      what was there before is gone */
    SN_REC_LEASE,  /* group; grantee, lease_max_us, lease_settled: what lease.h keeps */
    SN_REC_LIST,   /* value (the list of supervisors), epoch (its version), joined (some node counts it) */
    SN_REC_SWAP,   /* fleet, swap: what swap.h keeps; value: the lists of supervisors that it is of (swap_state.h) */
    SN_REC_FILE,   /* group, option, value: what the configuration file says of it */
};

struct sn_record_peer {
    struct addr addr;
    runid id;
};

/* A node of a cluster. */
struct sn_record_node {
    runid id;
    struct addr addr; /* host "": nobody knows one */
};

struct sn_record {
    enum sn_record_kind kind;
    char *group;    /* owned, as all below */
    uint64_t epoch; /* the current epoch */
    bool joined;    /* SAFETY M2: has heard the epochs of a majority once */
    bool monitored; /* false: removed at run time */
    struct addr master;
    uint64_t config_epoch, vote_epoch;
    runid vote_leader; /* "" before the first vote */
    struct addr *replicas;
    size_t nreplicas;
    struct sn_record_peer *peers;
    size_t npeers;
    char *fleet;
    struct sn_record_node *nodes; /* of a shard, its master first */
    size_t nnodes;
    runid grantee;
    int64_t lease_max_us;
    bool lease_settled;
    struct sn_swap swap;
    char *option, *value; /* value NULL: back to the file's; FILE: the file names it no more */
};

void sn_record_free(struct sn_record *r); /* what it owns, not r itself */

#endif
