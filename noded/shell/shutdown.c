#include "noded/shell/shutdown.h"

#include "common/io/log.h"
#include "noded/cmd/pause.h"
#include "noded/repl/persist.h"
#include "noded/repl/serve.h"
#include "noded/shell/aof.h"
#include "noded/shell/child.h"
#include "noded/shell/node.h"

static void stop_waiting(struct node *n)
{
    if (n->shutdown.waits && !n->shutdown.for_base)
        nd_hold_writes(n->engine, ND_HOLD_SHUTDOWN, false);
    n->shutdown.waits = false;
}

/* Whether the program ends although this failed. */
static bool ends_anyway(struct node *n, uint32_t flags, const char *what)
{
    if (flags & ND_SHUTDOWN_FORCE) {
        io_log(IO_WARNING, "%s, and the program ends as it was told to (FORCE)", what);
        return true;
    }
    io_log(IO_WARNING, "%s, so the program does not end", what);
    stop_waiting(n);
    nd_shutdown_given_up(n->engine);
    return false;
}

static bool settle_file(struct node *n, uint32_t flags)
{
    struct buf why = {0};
    bool ok = aof_may_end(n->aof, &why);
    if (!ok)
        io_log(IO_WARNING, "The append-only file is not complete: %s", buf_str(&why));
    buf_free(&why);
    return ok || ends_anyway(n, flags, "The append-only file does not have all that was executed");
}

/* Saves where that is wanted, and ends. false: it could not be saved, and the program goes on. */
static bool finish(struct node *n, uint32_t flags)
{
    struct nd_persist *p = n->engine->persist;
    if (n->engine->loading) /* what is not loaded yet must not be lost by saving what is */
        flags = (flags & ~(uint32_t)ND_SHUTDOWN_SAVE) | ND_SHUTDOWN_NOSAVE;
    bool save = (flags & ND_SHUTDOWN_SAVE) != 0 || (p->point_count > 0 && (flags & ND_SHUTDOWN_NOSAVE) == 0);
    if (!settle_file(n, flags))
        return false;
    if (p->child != ND_CHILD_NONE) {
        io_log(IO_WARNING, "A child process is at work at the end: it is killed");
        nd_persist_stop(p);
        child_await_end(n->child);
    }
    if (save) {
        struct buf why = {0};
        bool ok = nd_persist_save(p, &why);
        buf_free(&why);
        if (!ok && !ends_anyway(n, flags, "The dataset could not be saved"))
            return false;
    }
    /* Nothing runs in what is left of this turn: it would be answered and not saved. */
    n->shutdown.waits = false;
    nd_pause(n->engine, INT64_MAX, true);
    node_stop(n);
    return true;
}

/* Begins to wait for replicas; false: there is nothing to wait for. */
static bool wait_for_replicas(struct node *n, uint32_t flags)
{
    struct nd_engine *e = n->engine;
    if ((flags & ND_SHUTDOWN_NOW) != 0 || e->config.shutdown_timeout_s == 0 || nd_serve_caught_up(n->repl))
        return false;
    io_log(IO_NOTICE, "The end waits at most %lld seconds for replicas that lag behind",
           (long long)e->config.shutdown_timeout_s);
    n->shutdown = (struct shutdown){
        .waits = true, .flags = flags, .until_us = e->now_us + e->config.shutdown_timeout_s * 1000000};
    nd_hold_writes(e, ND_HOLD_SHUTDOWN, true);
    return true;
}

/* A client is refused then. Behind a signal stands who would kill the program in the end: what is executed until the
 * base is whole is in the file that follows it. */
static bool wait_for_base(struct node *n, uint32_t flags)
{
    if ((flags & ND_SHUTDOWN_FORCE) != 0 || !aof_is_beginning(n->aof))
        return false;
    io_log(IO_NOTICE, "The end waits for the first base of the append-only file");
    n->shutdown = (struct shutdown){.waits = true, .for_base = true, .flags = flags};
    return true;
}

enum nd_shutdown_answer shutdown_ask(void *owner, uint32_t flags, struct buf *why)
{
    struct node *n = owner;
    if (flags & ND_SHUTDOWN_ABORT) {
        if (!n->shutdown.waits) {
            buf_puts(why, "No shutdown in progress.");
            return ND_SHUTDOWN_REFUSED;
        }
        io_log(IO_WARNING, "The end that was asked for is called off");
        stop_waiting(n);
        nd_shutdown_given_up(n->engine);
        return ND_SHUTDOWN_AGREED;
    }
    if (n->shutdown.waits && (flags & ND_SHUTDOWN_NOW) == 0)
        return ND_SHUTDOWN_WAITS;
    io_log(IO_WARNING, "A client asked for the end");
    if (!n->shutdown.waits && wait_for_replicas(n, flags))
        return ND_SHUTDOWN_WAITS;
    if (finish(n, flags))
        return ND_SHUTDOWN_AGREED;
    buf_puts(why, "Errors trying to SHUTDOWN. Check logs.");
    return ND_SHUTDOWN_REFUSED;
}

/* "default", or words in any letters. */
static uint32_t flags_of(const char *setting)
{
    static const struct {
        const char *word;
        uint32_t flag;
    } words[] = {{"nosave", ND_SHUTDOWN_NOSAVE},
                 {"save", ND_SHUTDOWN_SAVE},
                 {"now", ND_SHUTDOWN_NOW},
                 {"force", ND_SHUTDOWN_FORCE}};
    uint32_t flags = 0;
    for (struct slice rest = slice_of(setting); rest.n > 0;) {
        struct slice word = slice_cut(&rest, ' ');
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (slice_ieq(word, words[i].word))
                flags |= words[i].flag;
    }
    return flags;
}

void shutdown_signal(struct node *n, const char *name, const char *setting)
{
    uint32_t flags = flags_of(setting);
    if (n->ending)
        return;
    if (n->shutdown.waits && n->shutdown.for_base) {
        io_log(IO_WARNING, "%s again: the first base of the append-only file is still being written", name);
        return;
    }
    if (n->shutdown.waits) {
        io_log(IO_WARNING, "%s again: ending without waiting for replicas", name);
        finish(n, flags | n->shutdown.flags);
        return;
    }
    io_log(IO_WARNING, "%s received: ending", name);
    if (!wait_for_base(n, flags) && !wait_for_replicas(n, flags))
        finish(n, flags);
}

void shutdown_look(struct node *n)
{
    if (!n->shutdown.waits || n->ending)
        return;
    if (n->shutdown.for_base) {
        uint32_t flags = n->shutdown.flags;
        if (aof_is_beginning(n->aof))
            return;
        n->shutdown.waits = false;
        if (!wait_for_replicas(n, flags))
            finish(n, flags);
        return;
    }
    bool caught_up = nd_serve_caught_up(n->repl);
    if (!caught_up && n->engine->now_us < n->shutdown.until_us)
        return;
    if (!caught_up)
        io_log(IO_WARNING, "Replicas lag behind still: ending without them");
    finish(n, n->shutdown.flags);
}

int64_t shutdown_deadline(const struct node *n)
{
    return n->shutdown.waits && !n->shutdown.for_base ? n->shutdown.until_us : HEAP_NEVER;
}
