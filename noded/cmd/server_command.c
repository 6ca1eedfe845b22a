/* MONITOR, SHUTDOWN, TIME: the server as a whole. */
#include "noded/cmd/block.h"
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/families.h"
#include "noded/cmd/monitor.h"

#include "common/base/text.h"

#include <inttypes.h>

static void monitor(struct nd_call *c)
{
    if (!nd_may_block(c)) {
        nd_error(c, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    nd_monitor_start(c->s);
    nd_ok(c);
}

/* Of this moment, not of the turn: clients compare it with their own clocks. */
static void time_now(struct nd_call *c)
{
    const struct nd_engine *e = c->e;
    int64_t unix_us = e->turn_ms * 1000 + (e->host.clock_us(e->host.owner) - e->turn_us);
    reply_array(c->r, 2);
    reply_bulk_int(c->r, unix_us / 1000000);
    reply_bulk_int(c->r, unix_us % 1000000);
}

static void waiter_gone(void *session)
{
    (void)session; /* those who wait are found among the sessions */
}

static void shutdown_node(struct nd_call *c)
{
    if (c->ended != NULL) {
        nd_error(c, "ERR Errors trying to SHUTDOWN. Check logs.");
        return;
    }
    static const struct {
        const char *word;
        uint32_t flag;
    } words[] = {{"nosave", ND_SHUTDOWN_NOSAVE},
                 {"save", ND_SHUTDOWN_SAVE},
                 {"now", ND_SHUTDOWN_NOW},
                 {"force", ND_SHUTDOWN_FORCE},
                 {"abort", ND_SHUTDOWN_ABORT}};
    uint32_t flags = 0;
    for (size_t i = 1; i < c->argc; i++) {
        uint32_t flag = 0;
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++)
            if (nd_arg_is(c, i, words[w].word))
                flag = words[w].flag;
        if (flag == 0) {
            nd_syntax_error(c);
            return;
        }
        flags |= flag;
    }
    const uint32_t both = ND_SHUTDOWN_NOSAVE | ND_SHUTDOWN_SAVE;
    if (((flags & ND_SHUTDOWN_ABORT) != 0 && flags != ND_SHUTDOWN_ABORT) || (flags & both) == both) {
        nd_syntax_error(c);
        return;
    }
    if ((flags & (ND_SHUTDOWN_NOW | ND_SHUTDOWN_ABORT)) == 0 && !nd_may_block(c)) {
        nd_error(c, "ERR SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client");
        return;
    }
    struct buf why = {0};
    switch (c->e->host.shutdown(c->e->host.owner, flags, &why)) {
    case ND_SHUTDOWN_AGREED:
        if ((flags & ND_SHUTDOWN_ABORT) != 0)
            nd_ok(c);
        else
            c->s->flags |= ND_S_CLOSING; /* nobody is answered: that the connection ends is the answer */
        break;
    case ND_SHUTDOWN_WAITS: nd_block_outside(c, waiter_gone, c->s); break;
    case ND_SHUTDOWN_REFUSED: nd_error(c, "ERR %s", buf_str(&why)); break;
    }
    buf_free(&why);
}

void nd_shutdown_given_up(struct nd_engine *e)
{
    for (struct nd_session *s = e->sessions, *next; s != NULL; s = next) {
        next = s->next;
        if (s->waiting != NULL && s->last != NULL && s->last->run == shutdown_node)
            nd_wait_over(s);
    }
}

const struct nd_command nd_server_commands[] = {
    {.name = "monitor",
     .arity = 1,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_LOADING | ND_STALE,
     .run = monitor,
     .syntax = "",
     .summary = "Shows every command that the server runs from now on.",
     .since = "1.0.0",
     .group = "server",
     .complexity = ""},
    {.name = "shutdown",
     .arity = -1,
     .flags = ND_ADMIN | ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_NO_MULTI | ND_ALLOW_BUSY,
     .run = shutdown_node,
     .syntax = "[NOSAVE | SAVE] [NOW]{@7.0.0} [FORCE]{@7.0.0} [ABORT]{@7.0.0}",
     .summary = "Ends the server.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(N) when N keys are saved, else O(1)"},
    {.name = "time",
     .arity = 1,
     .flags = ND_LOADING | ND_STALE | ND_FAST,
     .run = time_now,
     .syntax = "",
     .summary = "Shows the server's time: seconds since 1970, and microseconds.",
     .since = "2.6.0",
     .group = "server",
     .complexity = "O(1)",
     .tips = "nondeterministic_output"},
    {0},
};
