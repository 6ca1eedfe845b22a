#include "sentineld/shell/command.h"

#include "common/base/text.h"
#include "sentineld/shell/client.h"

/* Stock's answer to a wrong number of words where the row's arity leaves room for more. */
static void wrong_words(struct call *call)
{
    reply_error(call->r, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                (int)(call->argv[1].n < 128 ? call->argv[1].n : 128), call->argv[1].p);
}

void cmd_client_id(struct call *call)
{
    reply_int(call->r, call->c->id);
}

void cmd_client_getname(struct call *call)
{
    if (call->c->name != NULL)
        reply_bulks(call->r, call->c->name);
    else
        reply_null(call->r);
}

void cmd_client_setname(struct call *call)
{
    if (client_set_text(&call->c->name, call->argv[2]))
        reply_status(call->r, "OK");
    else
        reply_error(call->r, "ERR Client names cannot contain spaces, newlines or special characters.");
}

void cmd_client_setinfo(struct call *call)
{
    struct client *c = call->c;
    struct slice option = call->argv[2];
    bool is_name = slice_ieq(option, "lib-name");
    if (!is_name && !slice_ieq(option, "lib-ver"))
        reply_error(call->r, "ERR Unrecognized option '%.*s'", (int)(option.n < 128 ? option.n : 128), option.p);
    else if (!client_set_text(is_name ? &c->lib_name : &c->lib_ver, call->argv[3]))
        reply_error(call->r, "ERR %s cannot contain spaces, newlines or special characters.",
                    is_name ? "lib-name" : "lib-ver");
    else
        reply_status(call->r, "OK");
}

void cmd_client_reply(struct call *call)
{
    struct client *c = call->c;
    if (slice_ieq(call->argv[2], "on")) {
        c->reply_mode = CLIENT_REPLY_ON;
        reply_status(call->r, "OK");
    } else if (slice_ieq(call->argv[2], "off")) {
        c->reply_mode = CLIENT_REPLY_OFF;
    } else if (slice_ieq(call->argv[2], "skip")) {
        if (c->reply_mode != CLIENT_REPLY_OFF)
            c->reply_mode = CLIENT_REPLY_SKIP_NEXT;
    } else {
        command_syntax_error(call);
    }
}

void cmd_client_no_evict(struct call *call)
{
    bool on = slice_ieq(call->argv[2], "on");
    if (!on && !slice_ieq(call->argv[2], "off")) {
        command_syntax_error(call);
        return;
    }
    call->c->no_evict = on; /* no client is ever evicted here; it is shown in the client's flags */
    reply_status(call->r, "OK");
}

void cmd_client_pause(struct call *call)
{
    if (call->argc > 4) {
        wrong_words(call);
        return;
    }
    bool all = call->argc == 3 || slice_ieq(call->argv[3], "all");
    if (!all && !slice_ieq(call->argv[3], "write")) {
        reply_error(call->r, "ERR CLIENT PAUSE mode must be WRITE or ALL");
        return;
    }
    int64_t ms;
    if (!text_range(call->argv[2], INT64_MIN, INT64_MAX / 1000000, &ms)) {
        reply_error(call->r, "ERR timeout is not an integer or out of range");
    } else if (ms < 0) {
        reply_error(call->r, "ERR timeout is negative");
    } else {
        if (all) /* nothing that clients of a supervisor can do is a write */
            clients_pause(call->c->all, ms);
        reply_status(call->r, "OK");
    }
}

void cmd_client_unpause(struct call *call)
{
    clients_pause(call->c->all, 0);
    reply_status(call->r, "OK");
}

/* No command blocks here, so there is never one to be released. */
void cmd_client_unblock(struct call *call)
{
    int64_t id;
    if (call->argc > 4)
        wrong_words(call);
    else if (call->argc == 4 && !slice_ieq(call->argv[3], "timeout") && !slice_ieq(call->argv[3], "error"))
        reply_error(call->r, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    else if (!text_i64(call->argv[2], &id))
        reply_error(call->r, "ERR value is not an integer or out of range");
    else
        reply_int(call->r, 0);
}

void cmd_client_help(struct call *call)
{
    command_help(call, "CLIENT", command_table_client);
}
