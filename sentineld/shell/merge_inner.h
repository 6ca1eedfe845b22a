/* Between merge.c (groups, the daemon's own) and merge_fleet.c (clusters). Nobody else includes this. */
#ifndef SHELL_MERGE_INNER_H
#define SHELL_MERGE_INNER_H

#include "sentineld/shell/merge.h"

/* What the file says of a group beside its settings, among its options. */
#define MERGE_MASTER "master"

struct merging {
    const struct sentineld_config *file;
    const struct state_image *stored;
    struct merged *out;
    const char *group; /* whose options are being listed */
};

/* Of sn_settings_each(): arg is the struct merging. Adds the setting to what the file says of m->group. */
void merge_add_setting(void *arg, const char *option, const char *value);
/* Whether the file says of an option what it said last time. An option it named neither time counts as unchanged. */
bool merge_unchanged(const struct merging *m, const char *group, const char *option);
bool merge_entry_unchanged(const struct merging *m, const char *group); /* of all that it says of the group */
/* Run-time options of the group go over settings (NULL: the daemon's own), unless the file changed what it says of
 * them under file_group. */
void merge_apply_options(struct merging *m, const char *group, const char *file_group, struct sn_settings *settings);
/* The last row of the image is supervised with these settings, copied. */
struct merged_group *merge_add_supervised(struct merging *m, const struct sn_settings *settings);
struct state_group *merge_add_row(struct merging *m, const char *name, const struct state_group *stored);
void merge_copy_members(struct state_group *to, const struct state_group *from);

/* merge_fleet.c */
void merge_list_cluster(struct merging *m, const struct config_cluster *k); /* what the file says of it, as options */
void merge_fleets(struct merging *m);

#endif
