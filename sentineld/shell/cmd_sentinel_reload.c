#include "sentineld/shell/cmd_sentinel.h"

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

void cmd_sentinel_overrides(struct call *call)
{
    const struct state_options *set = overrides_options(call->d->overrides);
    const struct state_options *file = overrides_file(call->d->overrides);
    reply_array(call->r, set->n);
    for (size_t i = 0; i < set->n; i++) {
        const struct state_option *o = &set->v[i];
        const char *value = state_options_get(file, o->group, o->option);
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
