#include "sentineld/shell/cmd_sentinel.h"

#include <string.h>

#include "sentineld/core/fleet.h"
#include "sentineld/shell/overrides.h"
#include "sentineld/shell/reload.h"

/* SENTINEL RELOAD and OVERRIDES. */

void cmd_sentinel_reload(struct call *call)
{
    struct reload *r = call->d->reload;
    reload_ask(r, client_defer(call, CLIENT_ANSWER_HISTORY));
}

static const char *shown(const struct state_option *o, const char *value)
{
    return overrides_secret(o->option) && value[0] != '\0' ? "******" : value;
}

/* What the file says of an option: of a shard it says it of the cluster. NULL: nothing. */
static const char *file_value(const struct daemon *d, const struct state_option *o)
{
    const struct sn_group *g = sn_group_find(d->core, slice_of(o->group));
    struct buf key = {.n = 0};
    if (g != NULL && g->fleet != NULL)
        state_fleet_key(&key, g->fleet->name);
    const char *value = state_options_get(overrides_file(d->overrides), key.n > 0 ? buf_str(&key) : o->group,
                                          o->option);
    buf_free(&key);
    return value;
}

void cmd_sentinel_overrides(struct call *call)
{
    const struct state_options *set = overrides_options(call->d->overrides);
    bool paused = state_options_get(set, "", SN_PAUSE_OPTION) != NULL; /* no option of a file: SENTINEL PAUSES */
    reply_array(call->r, set->n - paused);
    for (size_t i = 0; i < set->n; i++) {
        const struct state_option *o = &set->v[i];
        if (strcmp(o->option, SN_PAUSE_OPTION) == 0)
            continue;
        const char *value = file_value(call->d, o);
        reply_map(call->r, 4);
        reply_bulks(call->r, "group");
        reply_bulks(call->r, o->group);
        reply_bulks(call->r, "option");
        reply_bulks(call->r, o->option);
        reply_bulks(call->r, "value");
        reply_bulks(call->r, shown(o, o->value));
        reply_bulks(call->r, "file");
        if (value != NULL)
            reply_bulks(call->r, shown(o, value));
        else
            reply_null(call->r);
    }
}
