/* What the configuration file says and what the state directory remembers, made one. Pure: no clock, no file, no random
 * source.
 *
 * A run-time change wins over the file until the file's own value changes. For that the state keeps what the file said
 * when it was last read (file_values):
 * - An option set at run time holds while the file's value of it is the one of last time; otherwise the file's value
 * holds and the change is forgotten.
 * - The master of a group is the state's (after a failover: the new one), which the group's supervisors have agreed
 * upon. A file that begins to name another one is a new configuration, and that needs an epoch of its own, voted for by
 * a majority: a supervisor that knows no other of the group takes the file's at the next epoch, and forgets the
 * replicas of the old master; where others are known, the state's stays and a note says how a master is moved.
 * - A group removed at run time stays away until its entry in the file changes. One that has gone from the file is no
 * longer supervised. One monitored at run time lives in the state alone.
 * - The shards of a cluster are the state's; the file names the cluster, where it is found, and the settings of all its
 * shards. A run-time option of a shard holds while the file's value for the cluster is the one of last time. A cluster
 * released at run time stays so until its entry changes; one that has gone from the file is released.
 * - The last vote of a group is never forgotten, so that a group that comes back can't be voted for twice at one epoch.
 * - id and current_epoch of the file count only while the state is new; config_epoch, leader_epoch, known_replicas and
 * known_sentinels of a group only while the state doesn't know the group. */
#ifndef SHELL_MERGE_H
#define SHELL_MERGE_H

#include "sentineld/core/core.h"
#include "sentineld/shell/config.h"
#include "sentineld/shell/state_image.h"

struct merged_group {
    struct sn_settings settings;
    size_t row;   /* in image.groups */
    size_t fleet; /* of a shard: its cluster, in fleets; SIZE_MAX: a classic group */
};

struct merged_fleet {
    struct sn_settings settings;
    int64_t lease_ms;
    struct addr *seeds; /* owned */
    size_t nseeds;
    size_t row;   /* in image.fleets */
    bool release; /* it has gone from the file: to be supervised only until its nodes are told so */
};

struct merged {
    struct state_image image; /* to be stored */
    struct sn_globals globals;
    struct sn_params params;
    struct merged_group *groups; /* to be supervised: in the order of the file, then those of the state */
    size_t ngroups;
    struct merged_fleet *fleets;
    size_t nfleets;
    struct buf notes; /* what somebody should know, a line each */
};

/* new_id: the id when neither the state nor the file has one. */
void merge(const struct sentineld_config *file, const struct state_image *stored, const char *new_id,
           struct merged *out);
void merged_free(struct merged *m);
/* A group as the core takes it; it points into m. */
struct sn_core_group merged_core_group(const struct merged *m, size_t i);
/* A cluster as the core takes it; it points into m, but its shards are an array that the caller frees. */
struct sn_core_fleet merged_core_fleet(const struct merged *m, size_t i);

#endif
