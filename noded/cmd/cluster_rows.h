/* The functions behind the rows of CLUSTER, for cluster*.c. */
#ifndef CMD_CLUSTER_ROWS_H
#define CMD_CLUSTER_ROWS_H

#include "noded/cmd/cluster.h"

/* cluster_slots.c */
nd_command_fn nd_cluster_addslots, nd_cluster_addslotsrange, nd_cluster_delslots, nd_cluster_delslotsrange,
    nd_cluster_flushslots, nd_cluster_setslot, nd_cluster_keyslot, nd_cluster_countkeysinslot, nd_cluster_getkeysinslot,
    nd_cluster_slot_keys_command;

/* cluster_describe.c */
nd_command_fn nd_cluster_info_command, nd_cluster_nodes, nd_cluster_replicas, nd_cluster_slots, nd_cluster_shards,
    nd_cluster_links, nd_cluster_myid, nd_cluster_myshardid, nd_cluster_failure_reports;

/* cluster_migrate.c */
nd_command_fn nd_cluster_migrateslots, nd_cluster_cancelslotmigrations, nd_cluster_getslotmigrations,
    nd_cluster_freezeslotmigrations, nd_cluster_dbmap;

/* cluster_lease.c */
nd_command_fn nd_cluster_release, nd_cluster_takeover; /* CLUSTER FAILOVER TAKEOVER EPOCH: behind nd_cluster_reply() */

/* A field of a map: its name and its value. */
static inline void nd_cluster_put_text(struct reply *r, const char *name, const char *text)
{
    reply_bulks(r, name);
    reply_bulks(r, text);
}

static inline void nd_cluster_put_number(struct reply *r, const char *name, int64_t n)
{
    reply_bulks(r, name);
    reply_int(r, n);
}

static inline void nd_cluster_put_id(struct reply *r, const char *name, const struct cl_id *id) /* none: "" */
{
    char text[CL_ID_DIGITS + 1];
    nd_cluster_put_text(r, name, cl_id_is_none(id) ? "" : cl_id_text(id, text));
}

/* cluster_nodes.c */
nd_command_fn nd_cluster_meet, nd_cluster_forget, nd_cluster_replicate, nd_cluster_failover, nd_cluster_reset,
    nd_cluster_bumpepoch, nd_cluster_set_config_epoch, nd_cluster_saveconfig;

#endif
