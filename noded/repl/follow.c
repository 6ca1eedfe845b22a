#include "noded/repl/follow.h"

#include "common/base/mem.h"
#include "noded/cmd/block.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/expire.h"
#include "noded/cmd/migrate.h"
#include "noded/repl/follow_state.h"
#include "noded/repl/serve.h"
#include "noded/repl/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)

static const char UNBLOCKED[] =
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

/* ---- small things ---- */

void nd_follow_log(struct nd_following *f, int level, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    f->r->e->host.log(f->r->e->host.owner, level, buf_str(&text));
    buf_free(&text);
}

void nd_follow_send(struct nd_following *f, size_t argc, const char *const *words)
{
    struct slice argv[8];
    assert(argc <= sizeof argv / sizeof *argv);
    for (size_t i = 0; i < argc; i++)
        argv[i] = slice_of(words[i]);
    buf_clear(&f->out);
    nd_stream_request(&f->out, argc, argv);
    f->host.send(f->host.owner, f->out.p, f->out.n);
}

/* Whether a replica that is out of step may show what it has. */
static void judge_staleness(struct nd_following *f)
{
    struct nd_engine *e = f->r->e;
    bool stale = f->state != ND_FOLLOW_NOBODY && f->state != ND_FOLLOW_STREAMING && !e->config.replica_serve_stale_data;
    if (stale)
        e->guards |= ND_GUARD_STALE;
    else
        e->guards &= ~(uint32_t)ND_GUARD_STALE;
}

void nd_follow_enter(struct nd_following *f, enum nd_follow_state state)
{
    if (f->state == ND_FOLLOW_STREAMING && state != ND_FOLLOW_STREAMING)
        f->down_since_ms = f->r->e->now_ms;
    f->state = state;
    judge_staleness(f);
}

/* ---- the end of a link ---- */

static void hang_up(struct nd_following *f)
{
    if (f->state == ND_FOLLOW_NOBODY || f->state == ND_FOLLOW_WAITING || f->state == ND_FOLLOW_STOPPED)
        return;
    nd_payload_drop(f);
    nd_stream_end(f);
    f->host.close(f->host.owner);
    buf_clear(&f->line);
    f->unread = 0;
}

void nd_follow_retry(struct nd_following *f, int64_t wait_us)
{
    hang_up(f);
    nd_follow_enter(f, ND_FOLLOW_WAITING);
    f->try_us = f->r->e->now_us + wait_us;
}

void nd_follow_stop(struct nd_following *f, const char *why)
{
    nd_follow_log(
        f, ND_LOG_WARNING,
        "This node can not follow its master %s:%d any more: %s. It keeps what it has, and does not try again "
        "until REPLICAOF is said again",
        f->host_name, f->port, why);
    buf_clear(&f->stopped);
    buf_puts(&f->stopped, why);
    hang_up(f);
    nd_follow_enter(f, ND_FOLLOW_STOPPED);
    f->ask_full = true;
}

void nd_follow_lost(struct nd_repl *r, const char *why)
{
    struct nd_following *f = r->following;
    if (f->state == ND_FOLLOW_NOBODY || f->state == ND_FOLLOW_WAITING || f->state == ND_FOLLOW_STOPPED)
        return;
    nd_follow_log(f, ND_LOG_WARNING, "The link to the master %s:%d is lost: %s", f->host_name, f->port, why);
    /* One that was in step, or on the way to be, is tried again at once, but not more often than each second. */
    bool was_near = f->state == ND_FOLLOW_STREAMING || f->state == ND_FOLLOW_RECEIVING;
    int64_t lived_us = r->e->now_us - f->began_us;
    nd_follow_retry(f, was_near && lived_us >= SECOND_US ? 0 : was_near ? SECOND_US - lived_us : SECOND_US);
}

/* ---- roles ---- */

struct nd_following *nd_follow_new(struct nd_repl *r, const struct nd_follow_host *host)
{
    struct nd_following *f = mem_zalloc(sizeof *f);
    f->r = r;
    f->host = *host;
    f->heard_us = -1;
    f->limits = resp_limits_default;
    f->limits.max_query = SIZE_MAX / 2;
    r->following = f;
    return f;
}

void nd_follow_free(struct nd_repl *r)
{
    struct nd_following *f = r->following;
    if (f == NULL)
        return;
    nd_payload_drop(f);
    nd_stream_end(f);
    buf_free(&f->stopped);
    buf_free(&f->line);
    buf_free(&f->out);
    buf_free(&f->held);
    free(f->host_name);
    free(f);
    r->following = NULL;
}

/* The setting follows what was said, so that CONFIG REWRITE keeps it. */
static void write_setting(struct nd_following *f)
{
    struct nd_config *config = &f->r->e->config;
    struct buf text = {0};
    if (f->host_name != NULL)
        buf_printf(&text, "%s %d", f->host_name, f->port);
    free(config->replicaof);
    config->replicaof = mem_strdup(buf_str(&text));
    buf_free(&text);
}

/* Nobody gets what he waits for on a replica: it comes from its master. */
static void send_waiting_away(struct nd_engine *e)
{
    struct nd_session *next;
    for (struct nd_session *s = e->sessions; s != NULL; s = next) {
        next = s->next;
        if (s->waiting == NULL)
            continue;
        uint32_t before = s->flags;
        s->flags |= ND_S_CLOSING;
        if (!nd_unblock(s, UNBLOCKED))
            s->flags = before;
    }
}

static void become_replica(struct nd_following *f)
{
    struct nd_repl *r = f->r;
    nd_effects_flush(r->e); /* what a transaction did before this belongs to our own history */
    r->e->is_replica = true;
    send_waiting_away(r->e);
    nd_migrations_disown(r->e, NULL);
    /* Without a backlog writes were not counted, so the place in our history says nothing. What is loaded from a file
     * at the start is another matter: then this comes first. */
    if (r->backlog == NULL) {
        nd_repl_new_history(r);
        r->offset = 0;
    }
    /* What the new master says from here on begins with the database that we said last. */
    if (r->stream_db < 0)
        r->stream_db = 0;
}

bool nd_follow_set(struct nd_repl *r, const char *host, int port, bool failover)
{
    struct nd_following *f = r->following;
    bool stopped = f->state == ND_FOLLOW_STOPPED;
    if (!failover && !stopped && f->host_name != NULL && slice_ieq(slice_of(host), f->host_name) && f->port == port)
        return false;
    char *name = mem_strdup(host);
    hang_up(f);
    free(f->host_name);
    f->host_name = name;
    f->port = port;
    f->failover = failover;
    f->failovers = 0;
    f->accepted[0] = f->guarded[0] = '\0';
    f->down_since_ms = 0;
    buf_clear(&f->stopped);
    if (f->state == ND_FOLLOW_NOBODY)
        become_replica(f);
    write_setting(f);
    nd_follow_enter(f, ND_FOLLOW_WAITING);
    f->try_us = r->e->now_us;
    return true;
}

void nd_follow_none(struct nd_repl *r)
{
    struct nd_following *f = r->following;
    if (f == NULL || f->state == ND_FOLLOW_NOBODY)
        return;
    hang_up(f);
    free(f->host_name);
    f->host_name = NULL;
    f->accepted[0] = f->guarded[0] = '\0';
    bool strayed = f->ask_full;
    f->ask_full = f->failover = false;
    buf_clear(&f->stopped);
    nd_follow_enter(f, ND_FOLLOW_NOBODY);
    f->down_since_ms = 0;
    write_setting(f);
    nd_effects_flush(r->e); /* of a transaction, before this: it is none of the new history's */
    if (strayed)            /* who followed the same master has something else */
        nd_repl_new_history(r);
    else
        nd_repl_fork_history(r);
    r->e->is_replica = false;
    nd_expiry_wake(r->e);
    nd_follow_file(f, true);
    /* Ours have to hear of the new name of the history. */
    nd_serve_history_changed(r);
}

void nd_follow_accept(struct nd_repl *r, const char *id)
{
    struct nd_following *f = r->following;
    memcpy(f->accepted, id, ND_REPL_ID);
    f->accepted[ND_REPL_ID] = '\0';
    if (f->state == ND_FOLLOW_WAITING)
        f->try_us = r->e->now_us;
}

void nd_follow_settings(struct nd_repl *r)
{
    if (r->following != NULL)
        judge_staleness(r->following);
}

/* ---- what is asked ---- */

const char *nd_follow_host_name(const struct nd_repl *r)
{
    return r->following != NULL ? r->following->host_name : NULL;
}

int nd_follow_port(const struct nd_repl *r)
{
    return r->following != NULL ? r->following->port : 0;
}

enum nd_follow_state nd_follow_state(const struct nd_repl *r)
{
    return r->following != NULL ? r->following->state : ND_FOLLOW_NOBODY;
}

const char *nd_follow_state_name(const struct nd_repl *r)
{
    static const char *const names[] = {
        [ND_FOLLOW_NOBODY] = "none",        [ND_FOLLOW_WAITING] = "connect",  [ND_FOLLOW_CONNECTING] = "connecting",
        [ND_FOLLOW_GREETING] = "handshake", [ND_FOLLOW_ASKING] = "handshake", [ND_FOLLOW_RECEIVING] = "sync",
        [ND_FOLLOW_FLUSHING] = "sync",      [ND_FOLLOW_LOADING] = "sync",     [ND_FOLLOW_STREAMING] = "connected",
        [ND_FOLLOW_STOPPED] = "connect",
    };
    return names[nd_follow_state(r)];
}

bool nd_follow_is_up(const struct nd_repl *r)
{
    return nd_follow_state(r) == ND_FOLLOW_STREAMING;
}

bool nd_follow_loads_aside(const struct nd_repl *r)
{
    return r->following != NULL && r->following->in.aside_made;
}

bool nd_follow_has_strayed(const struct nd_repl *r)
{
    return r->following != NULL && r->following->ask_full;
}

/* ---- the shell tells ---- */

void nd_follow_connected(struct nd_repl *r)
{
    struct nd_following *f = r->following;
    if (f->state != ND_FOLLOW_CONNECTING)
        return;
    f->heard_us = r->e->now_us;
    nd_greet_begin(f);
}

bool nd_follow_wants_bytes(const struct nd_repl *r)
{
    enum nd_follow_state state = nd_follow_state(r);
    return state == ND_FOLLOW_GREETING || state == ND_FOLLOW_ASKING || state == ND_FOLLOW_RECEIVING ||
           state == ND_FOLLOW_STREAMING;
}

bool nd_follow_bytes(struct nd_repl *r, struct slice *in, int64_t budget_us)
{
    struct nd_following *f = r->following;
    struct nd_engine *e = r->e;
    f->heard_us = e->now_us;
    int64_t until_us = budget_us > 0 ? e->host.clock_us(e->host.owner) + budget_us : HEAP_NEVER;
    for (;;) {
        enum nd_follow_state state = f->state;
        bool more = false;
        if (state == ND_FOLLOW_GREETING || state == ND_FOLLOW_ASKING)
            more = nd_greet_bytes(f, in);
        else if (state == ND_FOLLOW_RECEIVING)
            more = nd_payload_bytes(f, in, until_us);
        else if (state == ND_FOLLOW_STREAMING)
            more = nd_stream_bytes(f, in, until_us);
        if (f->state == state || !nd_follow_wants_bytes(r) || in->n == 0)
            return more && nd_follow_wants_bytes(r);
    }
}

/* ---- time ---- */

static int64_t timeout_us(const struct nd_following *f)
{
    return f->r->e->config.repl_timeout_s * SECOND_US;
}

int64_t nd_follow_deadline(const struct nd_repl *r)
{
    const struct nd_following *f = r->following;
    if (f == NULL)
        return HEAP_NEVER;
    switch (f->state) {
    case ND_FOLLOW_NOBODY:
    case ND_FOLLOW_STOPPED: return HEAP_NEVER;
    case ND_FOLLOW_WAITING: return r->e->loading ? HEAP_NEVER : f->try_us;
    case ND_FOLLOW_LOADING: return r->e->now_us;
    case ND_FOLLOW_FLUSHING: return f->say_us;
    case ND_FOLLOW_CONNECTING:
    case ND_FOLLOW_GREETING:
    case ND_FOLLOW_ASKING: return f->heard_us + timeout_us(f);
    case ND_FOLLOW_RECEIVING:
    case ND_FOLLOW_STREAMING: break;
    }
    int64_t silence_us = f->heard_us + timeout_us(f);
    return f->say_us < silence_us ? f->say_us : silence_us;
}

static void begin_link(struct nd_following *f)
{
    nd_follow_log(f, ND_LOG_NOTICE, "Connecting to the master %s:%d", f->host_name, f->port);
    f->heard_us = f->began_us = f->r->e->now_us;
    nd_follow_enter(f, ND_FOLLOW_CONNECTING);
    f->host.connect(f->host.owner, f->host_name, f->port);
}

/* Shows the master that we live: in the stream by an acknowledgement, else by an empty line. */
static void say(struct nd_following *f)
{
    if (f->say_us > f->r->e->now_us)
        return;
    f->say_us = f->r->e->now_us + SECOND_US;
    if (f->state == ND_FOLLOW_STREAMING)
        nd_stream_acknowledge(f);
    else if (f->state != ND_FOLLOW_RECEIVING || f->in.reader != NULL)
        f->host.send(f->host.owner, "\n", 1);
}

void nd_follow_tick(struct nd_repl *r)
{
    struct nd_following *f = r->following;
    if (f == NULL || f->state == ND_FOLLOW_NOBODY || f->state == ND_FOLLOW_STOPPED)
        return;
    if (f->state == ND_FOLLOW_WAITING) {
        if (!r->e->loading && f->try_us <= r->e->now_us)
            begin_link(f);
        return;
    }
    bool listens = f->state != ND_FOLLOW_LOADING && f->state != ND_FOLLOW_FLUSHING;
    if (listens && f->heard_us + timeout_us(f) <= r->e->now_us) {
        nd_follow_lost(r, "it was silent for longer than repl-timeout");
        return;
    }
    if (!listens)
        f->heard_us = r->e->now_us; /* its bytes wait until the file is loaded */
    if (!listens || f->state == ND_FOLLOW_RECEIVING || f->state == ND_FOLLOW_STREAMING)
        say(f);
    if (f->state == ND_FOLLOW_LOADING)
        nd_payload_step(f);
}
