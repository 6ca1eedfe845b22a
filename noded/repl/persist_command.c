/* SAVE, BGSAVE, LASTSAVE. */
#include "noded/repl/extension.h"
#include "noded/repl/persist.h"

#include "noded/cmd/call.h"

static void save(struct nd_call *c)
{
    struct nd_persist *p = c->e->persist;
    struct buf why = {0};
    if (p->child == ND_CHILD_SAVE || p->child == ND_CHILD_SYNC) { /* that of a replica may be this very file */
        nd_error(c, "ERR Background save already in progress");
        return;
    }
    p->saves++;
    if (nd_persist_save(p, &why))
        nd_ok(c);
    else
        nd_error(c, "ERR %s", buf_str(&why));
    buf_free(&why);
}

static void bgsave(struct nd_call *c)
{
    struct nd_persist *p = c->e->persist;
    bool schedule = c->argc == 2 && nd_arg_is(c, 1, "schedule");
    struct buf why = {0};
    if (c->argc > 1 && !schedule) {
        nd_syntax_error(c);
    } else if (p->child == ND_CHILD_SAVE || p->child == ND_CHILD_SYNC) {
        nd_error(c, "ERR Background save already in progress");
    } else if ((p->child != ND_CHILD_NONE && schedule) || (c->s->flags & ND_S_IN_EXEC) != 0) {
        p->save_scheduled = true; /* a transaction is not to be cut in two by its own fork */
        reply_status(c->r, "Background saving scheduled");
    } else if (p->child != ND_CHILD_NONE) {
        nd_error(c, "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order "
                    "to schedule a BGSAVE whenever possible.");
    } else if (nd_persist_bgsave(p, &why)) {
        reply_status(c->r, "Background saving started");
    } else {
        nd_error(c, "ERR %s", buf_str(&why));
    }
    buf_free(&why);
}

static void lastsave(struct nd_call *c)
{
    reply_int(c->r, c->e->persist->last_save_s);
}

const struct nd_command nd_persist_commands[] = {
    {.name = "bgsave",
     .arity = -1,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_NO_ASYNC_LOADING,
     .run = bgsave,
     .syntax = "[SCHEDULE]{@3.2.2}",
     .summary = "Writes the dataset to the RDB file in a process of its own.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(1) here; the child writes N keys"},
    {.name = "lastsave",
     .arity = 1,
     .flags = ND_LOADING | ND_STALE | ND_FAST,
     .categories = ND_CAT_ADMIN | ND_CAT_DANGEROUS,
     .run = lastsave,
     .syntax = "",
     .summary = "Shows when the dataset was last written whole: seconds since 1970.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(1)",
     .tips = "nondeterministic_output"},
    {.name = "save",
     .arity = 1,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_NO_ASYNC_LOADING | ND_NO_MULTI,
     .run = save,
     .syntax = "",
     .summary = "Writes the dataset to the RDB file; everybody waits.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(N) for N keys"},
    {0},
};
