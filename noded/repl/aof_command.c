/* BGREWRITEAOF. */
#include "noded/repl/aof_state.h"
#include "noded/repl/extension.h"
#include "noded/repl/persist.h"

#include "noded/cmd/call.h"

static void rewrite(struct nd_call *c)
{
    switch (nd_aof_ask_rewrite(c->e->persist->aof, (c->s->flags & ND_S_IN_EXEC) != 0)) {
    case ND_AOF_STARTED: reply_status(c->r, "Background append only file rewriting started"); return;
    case ND_AOF_SCHEDULED: reply_status(c->r, "Background append only file rewriting scheduled"); return;
    case ND_AOF_IN_PROGRESS:
        nd_error(c, "ERR Background append only file rewriting already in progress");
        return;
    case ND_AOF_REFUSED: break;
    }
    nd_error(c, "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.");
}

const struct nd_command nd_aof_commands[] = {
    {.name = "bgrewriteaof",
     .arity = 1,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_NO_ASYNC_LOADING,
     .run = rewrite,
     .syntax = "",
     .summary = "Writes the append-only file anew, as small as the dataset allows, in a process of its own.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(1) here; the child writes N keys"},
    {0},
};
