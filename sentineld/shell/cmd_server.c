#include "sentineld/shell/command.h"

#include "sentineld/shell/client.h"

void cmd_role(struct call *call)
{
    const struct sn_core *core = call->d->core;
    reply_array(call->r, 2);
    reply_bulks(call->r, "sentinel");
    reply_array(call->r, core->ngroups);
    for (size_t i = 0; i < core->ngroups; i++)
        reply_bulks(call->r, core->groups[i]->name);
}

/* There is no data set to save: NOSAVE, SAVE, NOW and FORCE are understood and make no difference, and an ending cannot
 * be aborted because it begins at once. */
void cmd_shutdown(struct call *call)
{
    bool save = false, nosave = false, abort = false, other = false;
    for (size_t i = 1; i < call->argc; i++) {
        if (slice_ieq(call->argv[i], "nosave"))
            nosave = true;
        else if (slice_ieq(call->argv[i], "save"))
            save = true;
        else if (slice_ieq(call->argv[i], "abort"))
            abort = true;
        else if (slice_ieq(call->argv[i], "now") || slice_ieq(call->argv[i], "force"))
            other = true;
        else {
            command_syntax_error(call);
            return;
        }
    }
    if ((save && nosave) || (abort && (save || nosave || other))) {
        command_syntax_error(call);
        return;
    }
    if (abort) {
        reply_error(call->r, "ERR No shutdown in progress.");
        return;
    }
    client_close(call->c, true); /* as in stock there is no reply: the connection ends */
    daemon_stop(call->d, 0);
}
