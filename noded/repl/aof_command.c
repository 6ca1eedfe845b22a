/* BGREWRITEAOF, DEBUG LOADAOF. */
#include "noded/repl/aof_state.h"
#include "noded/repl/extension.h"
#include "noded/repl/persist.h"

#include "noded/cmd/block.h"
#include "noded/cmd/call.h"

static void rewrite(struct nd_call *c)
{
    switch (nd_aof_ask_rewrite(c->e->persist->aof, (c->s->flags & ND_S_IN_EXEC) != 0)) {
    case ND_AOF_STARTED: reply_status(c->r, "Background append only file rewriting started"); return;
    case ND_AOF_SCHEDULED: reply_status(c->r, "Background append only file rewriting scheduled"); return;
    case ND_AOF_IN_PROGRESS: nd_error(c, "ERR Background append only file rewriting already in progress"); return;
    case ND_AOF_REFUSED: break;
    }
    nd_error(c, "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.");
}

static void gone(void *what)
{
    struct nd_aof_state *s = what;
    s->reloads = NULL;
}

/* Requests of the files run as commands, so this one must be over, or wait, while they do. */
void nd_aof_reload(struct nd_call *c)
{
    struct nd_aof_state *s = c->e->persist->aof;
    if (c->ended != NULL) {
        s->reloads = NULL;
        if (s->reload_ok)
            nd_ok(c);
        else
            nd_error(c, "ERR Error trying to load the AOF files, check server logs.");
    } else if (s->mode == ND_AOF_WAITS || s->reloads != NULL || c->e->loading || !nd_may_block(c)) {
        nd_error(c, "ERR The append-only file cannot be loaded now");
    } else {
        s->reloads = c->s;
        nd_block_outside(c, gone, s);
        s->host.load(s->host.owner);
    }
    nd_effect_none(c);
}

void nd_aof_reloaded(struct nd_aof_state *s, bool ok)
{
    s->reload_ok = ok;
    s->e->saved = s->e->changes;
    if (s->reloads != NULL)
        nd_wait_over(s->reloads);
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
