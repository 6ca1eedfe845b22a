/* What a state directory holds, as data in memory: read at start, merged with the configuration file (merge.h), stored
 * again. */
#ifndef SHELL_STATE_IMAGE_H
#define SHELL_STATE_IMAGE_H

#include "common/base/bytes.h"
#include "sentineld/core/record.h"

struct state_group {
    char *name;
    bool monitored; /* false: removed at run time, or no longer in the file; kept for its last vote */
    struct addr master;
    uint64_t config_epoch, vote_epoch;
    runid vote_leader; /* "" before the first vote */
    struct addr *replicas;
    size_t nreplicas;
    struct sn_record_peer *peers;
    size_t npeers;
    char *fleet;                  /* of a shard: its cluster; NULL: a classic group */
    struct sn_record_node *nodes; /* of a shard: its nodes, its master first */
    size_t nnodes;
    runid lease_grantee; /* of a shard under leases (core/lease.h); "" none */
    int64_t lease_max_us;
    bool lease_settled;
};

/* A cluster; its shards are the groups that name it. */
struct state_fleet {
    char *name;
    bool monitored; /* false: released at run time, or no longer in the file; kept for its last vote */
    uint64_t config_epoch, vote_epoch;
    struct sn_swap swap; /* of databases over it; all zero: none was ever begun */
    char *swap_lists;    /* as core/record.h has them; NULL: there is no record */
};

struct state_option {
    char *group, *option, *value; /* group "": the daemon's own; of a cluster: see state_fleet_key() */
};

struct state_options {
    struct state_option *v;
    size_t n, cap;
};

struct state_image {
    runid id; /* "": the directory is new */
    uint64_t epoch;
    bool joined;
    char *list; /* of supervisors, as nodes were told of it; NULL: none was stored */
    uint64_t list_version;
    bool list_counted;
    struct state_group *groups; /* in the order in which they came */
    size_t ngroups, cap_groups;
    struct state_fleet *fleets;
    size_t nfleets, cap_fleets;
    struct state_options options;     /* changed at run time */
    struct state_options file_values; /* what the file said when it was last read */
};

/* A zeroed image is an empty one. */
void state_image_free(struct state_image *m);
void state_image_copy(struct state_image *to, const struct state_image *from);

struct state_group *state_image_group(const struct state_image *m, const char *name); /* NULL: none */
struct state_group *state_image_add(struct state_image *m, const char *name);         /* all else zero */
void state_group_add_replica(struct state_group *g, const struct addr *a);
void state_group_add_peer(struct state_group *g, const struct addr *a, const char *id);
void state_group_forget_members(struct state_group *g);
/* It is a shard of that cluster from now on; without nodes, until they are added in their order. */
void state_group_set_fleet(struct state_group *g, const char *fleet);
void state_group_add_node(struct state_group *g, const char *id, const struct addr *a);
struct state_fleet *state_image_fleet(const struct state_image *m, const char *name); /* NULL: none */
struct state_fleet *state_image_add_fleet(struct state_image *m, const char *name);   /* all else zero */
void state_fleet_set_swap(struct state_fleet *f, const struct sn_swap *s, const char *lists);

/* Under this name options of a cluster stand in the lists below. No group has it: names of groups hold no blanks. */
void state_fleet_key(struct buf *out, const char *fleet);
/* The cluster that such a name stands for, or NULL: it is the name of a group, or "" */
const char *state_fleet_of_key(const char *key);

/* Option names are compared without regard to case. */
const char *state_options_get(const struct state_options *o, const char *group, const char *option); /* NULL: none */
bool state_options_has_group(const struct state_options *o, const char *group);
void state_options_add(struct state_options *o, const char *group, const char *option, const char *value);
/* All of that group belong to the other one from now on, and what that had is gone. */
void state_options_rename(struct state_options *o, const char *from, const char *to);
void state_options_free(struct state_options *o);

#endif
