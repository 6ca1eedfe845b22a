/* What a file that was read again changes, found by comparing: pure. */
#ifndef SHELL_RELOAD_PLAN_H
#define SHELL_RELOAD_PLAN_H

#include "sentineld/core/reload.h"
#include "sentineld/core/state.h"
#include "sentineld/shell/config.h"
#include "sentineld/shell/state_image.h"

struct reload_plan {
    struct sn_reload *change;       /* for the core */
    struct state_options options;   /* changed at run time, as they will be: for users_reload() */
    struct buf notes;               /* what somebody should know, a line each */
    size_t added, removed, changed; /* groups; shards may be among those that change */
    size_t fleets_added, fleets_released, fleets_changed;
};

/* before: the file as it is in force. options, file: overrides.h. */
void reload_plan(const struct sn_core *core, const struct sentineld_config *before, const struct sentineld_config *now,
                 const struct state_options *options, const struct state_options *file, struct reload_plan *out);
void reload_plan_free(struct reload_plan *p); /* change too, unless it was taken (NULL) */

#endif
