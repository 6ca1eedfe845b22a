/* What a state directory holds, as data in memory: read at start, merged with the configuration file (merge.h), stored
 * again. */
#ifndef SHELL_STATE_IMAGE_H
#define SHELL_STATE_IMAGE_H

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
};

struct state_option {
    char *group, *option, *value; /* group "": the daemon's own */
};

struct state_options {
    struct state_option *v;
    size_t n, cap;
};

struct state_image {
    runid id; /* "": the directory is new */
    uint64_t epoch;
    bool joined;
    struct state_group *groups; /* in the order in which they came */
    size_t ngroups, cap_groups;
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

/* Option names are compared without regard to case. */
const char *state_options_get(const struct state_options *o, const char *group, const char *option); /* NULL: none */
bool state_options_has_group(const struct state_options *o, const char *group);
void state_options_add(struct state_options *o, const char *group, const char *option, const char *value);
void state_options_free(struct state_options *o);

#endif
