/* What INFO of a node says, as far as the core decides by it. The parser is pure and takes any bytes. */
#ifndef CORE_INFO_H
#define CORE_INFO_H

#include "common/base/addr.h"
#include "common/base/runid.h"

enum sn_role { SN_ROLE_UNKNOWN, SN_ROLE_MASTER, SN_ROLE_REPLICA };

#define SN_INFO_REPLICAS_MAX 1024

struct sn_info {
    runid run_id;
    enum sn_role role;
    struct addr master;          /* of a replica: master_host and master_port; host "" when none or "?" */
    bool master_link_up;         /* of a replica */
    int64_t master_link_down_ms; /* -1: not said */
    int64_t priority;            /* slave_priority (or replica_priority); 100 when not said */
    int64_t repl_offset;         /* of a replica slave_repl_offset, of a master master_repl_offset; -1 when not said */
    bool replica_announced;      /* true when not said */
    runid replid, replid2;       /* master_replid, master_replid2 ("" when not said or all zeros) */
    int64_t second_offset;       /* second_repl_offset; -1 */
    bool loading, async_loading; /* reading its data set from disk or from its master */
    bool syncing;                /* master_sync_in_progress */
    runid guarded;               /* of a noded replica: this empty history of its master is not let in; "" none is */
    bool emptied;                /* of a noded: it has no keys, and had some in this life or its master had */
    bool keys_known;             /* the keyspace section was there */
    int64_t keys;                /* over all databases */
    bool failover_running;       /* master_failover_state is there and not "no-failover" */
    bool failover_known;         /* master_failover_state is there: the server has FAILOVER */
    struct sn_info_replica {
        struct addr addr;
        int64_t offset, lag_s; /* -1 when not said */
        bool online;
    } * replicas; /* of a master; owned */
    size_t nreplicas;
};

void sn_info_init(struct sn_info *info);
void sn_info_free(struct sn_info *info);
/* Reads the text of INFO (any length, any bytes; unknown lines are skipped). `info` must be initialised and empty.
 * Accepts replica lines of old servers (ip,port without names) and of new ones, hostnames too. Returns false when the
 * text names no role: then it is not an INFO that can be decided by. */
bool sn_info_parse(struct sn_info *info, struct slice text);

#endif
