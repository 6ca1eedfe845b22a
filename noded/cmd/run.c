#include "noded/cmd/run.h"

#include "common/base/mem.h"
#include "noded/cmd/block.h"
#include "noded/cmd/cluster.h"
#include "noded/cmd/effects.h"
#include "noded/cmd/latency.h"
#include "noded/cmd/monitor.h"
#include "noded/cmd/slot_stats.h"
#include "noded/cmd/slowlog.h"

#include <string.h>

#define ARGS_SHOWN 128 /* bytes of arguments in the message about an unknown command */

#define DROPPED_KEPT 65536 /* bytes of memory that dropped answers may keep */

/* States of a session that need a look before a command may run. */
#define LOOK_AT                                                                                                   \
    (ND_S_MULTI | ND_S_AUTHENTICATED | ND_S_REPLY_OFF | ND_S_REPLY_SKIP | ND_S_REPLY_SKIP_NEXT | ND_S_POSTPONED | \
     ND_S_SUBSCRIBED | ND_S_MONITOR | ND_S_ASKING | ND_S_IMPORT)

struct reply *nd_session_reply(struct nd_session *s)
{
    if (s->kind == ND_CLIENT && (s->flags & (ND_S_REPLY_OFF | ND_S_REPLY_SKIP | ND_S_IMPORT)) == 0)
        return &s->r;
    struct nd_engine *e = s->e;
    if (e->depth == 0 && e->dropped.cap > DROPPED_KEPT)
        buf_free(&e->dropped);
    else if (e->depth == 0)
        buf_clear(&e->dropped);
    e->nowhere = (struct reply){.out = &e->dropped, .proto = s->r.proto};
    return &e->nowhere;
}

void nd_session_answered(struct nd_session *s)
{
    if ((s->flags & (ND_S_REPLY_SKIP | ND_S_REPLY_SKIP_NEXT)) == 0)
        return;
    uint32_t skip = (s->flags & ND_S_REPLY_SKIP_NEXT) != 0 ? ND_S_REPLY_SKIP : 0;
    s->flags = (s->flags & ~(uint32_t)(ND_S_REPLY_SKIP | ND_S_REPLY_SKIP_NEXT)) | skip;
}

void nd_count_error(struct nd_engine *e, struct slice text)
{
    struct slice code = slice_cut(&text, ' ');
    uint64_t *count = map_get(&e->stats.errors_by_code, code);
    if (count == NULL) {
        count = mem_zalloc(sizeof *count);
        map_put(&e->stats.errors_by_code, code, count);
    }
    ++*count;
    e->stats.errors++;
}

void nd_count_call(struct nd_call *c, uint64_t usec)
{
    struct nd_command_stats *stats = &c->e->stats.by_command[c->row->number];
    stats->calls++;
    stats->usec += usec;
    stats->failed += c->failed;
    if (!c->e->config.latency_tracking)
        return;
    if (stats->latency == NULL)
        stats->latency = nd_histogram_new();
    nd_histogram_note(stats->latency, usec * 1000);
}

/* The clock is read once a command: where the session's last command ended its next one begins. */
int64_t nd_watch_start(struct nd_engine *e, struct nd_session *s)
{
    if (e->stopwatch != s)
        e->now_us = e->host.clock_us(e->host.owner);
    e->stopwatch = s;
    return e->now_us;
}

static void stop_watch(struct nd_engine *e, struct nd_session *s)
{
    int64_t now_us = e->host.clock_us(e->host.owner);
    e->now_us = now_us;
    e->stopwatch = s;
    if (now_us >= e->edge_us)
        nd_engine_moved_on(e);
}

static void say_effect(struct nd_call *c)
{
    struct nd_engine *e = c->e;
    e->changes += c->dirty;
    if (c->effect_said)
        return;
    int db = nd_db_number(c->db);
    if (e->depth == 0 && nd_effects_none(e->effects)) {
        struct nd_effect_row row = {.db = db, .argc = c->argc, .argv = c->argv};
        e->host.effects(e->host.owner, &row, 1);
    } else {
        nd_effects_keep(e->effects, db, c->argc, c->argv);
    }
}

void nd_run(struct nd_call *c)
{
    struct nd_engine *e = c->e;
    int64_t start_us = nd_watch_start(e, c->s);
    size_t answered = c->r->out->n;
    e->depth++;
    c->cmd->run(c);
    e->depth--;
    if (c->dirty > 0)
        say_effect(c);
    if (e->depth == 0) {
        nd_effects_flush(e);
        if (e->stream_offset != NULL)
            c->s->stream_offset = *e->stream_offset;
    }
    e->stats.commands++;
    stop_watch(e, c->s);
    if (e->monitors != NULL)
        nd_monitor_feed(c); /* behind the run: EXEC comes after what it ran */
    if (c->blocked)
        return;
    nd_count_call(c, (uint64_t)(e->now_us - start_us));
    if (c->in_slot)
        nd_slot_stats_count(c, e->now_us - start_us, c->r->out->n - answered);
    nd_slowlog_note(c, e->now_us - start_us);
    nd_latency_note_command(c, e->now_us - start_us);
}

static enum nd_ran ending(const struct nd_call *c)
{
    struct nd_session *s = c->s;
    nd_session_answered(s);
    if ((s->flags & ND_S_ASKING) != 0)
        nd_cluster_asked(s, c->cmd);
    /* Whoever waits for an answer on a replica's connection would take the stream for it. */
    if (s->kind == ND_REPLICA && c->r == &c->e->nowhere && c->e->dropped.n > 0)
        s->flags |= ND_S_CLOSING;
    return (s->flags & ND_S_CLOSING) != 0 ? ND_CLOSE : ND_RAN;
}

/* As printf's %.*s has it: up to a zero byte. */
static int text_len(struct slice s, size_t max)
{
    size_t n = s.n < max ? s.n : max;
    const char *zero = n > 0 ? memchr(s.p, '\0', n) : NULL;
    return (int)(zero != NULL ? (size_t)(zero - s.p) : n);
}

static void refuse_unknown(struct nd_call *c, const struct nd_indexed *parent)
{
    if (parent != NULL) {
        c->row = parent;
        char name[ND_NAME_MAX + 1];
        size_t n = 0;
        for (; parent->cmd->name[n] != '\0'; n++)
            name[n] = (char)(parent->cmd->name[n] - (parent->cmd->name[n] >= 'a' ? 'a' - 'A' : 0));
        name[n] = '\0';
        nd_refuse(c, "ERR unknown subcommand '%.*s'. Try %s HELP.", text_len(c->argv[1], 128), c->argv[1].p, name);
        return;
    }
    struct buf args = {0};
    for (size_t i = 1; i < c->argc && args.n < ARGS_SHOWN; i++)
        buf_printf(&args, "'%.*s' ", text_len(c->argv[i], ARGS_SHOWN - args.n), c->argv[i].p);
    nd_refuse(c, "ERR unknown command '%.*s', with args beginning with: %s", text_len(c->argv[0], 128), c->argv[0].p,
              buf_str(&args));
    buf_free(&args);
}

/* Words with which a browser begins that was led to this port: nothing of what follows may be run. */
static bool is_http(struct slice word)
{
    return slice_ieq(word, "post") || slice_ieq(word, "host:");
}

static enum nd_ran run_unknown(struct nd_call *c, const struct nd_indexed *parent)
{
    if (is_http(c->argv[0])) {
        struct nd_engine *e = c->e;
        struct buf line = {0};
        buf_printf(&line, "%s sent a line of HTTP and was disconnected: a web page may try to send commands here",
                   c->s->addr);
        e->host.log(e->host.owner, 3, buf_str(&line));
        buf_free(&line);
        c->s->flags |= ND_S_CLOSING;
        return ND_CLOSE;
    }
    refuse_unknown(c, parent);
    return ending(c);
}

enum nd_ran nd_session_run(struct nd_session *s, size_t argc, const struct slice *argv)
{
    struct nd_engine *e = s->e;
    const struct nd_indexed *parent;
    const struct nd_indexed *row = nd_commands_find(e->commands, argv, argc, &parent);
    uint32_t unusual = (s->flags ^ ND_S_AUTHENTICATED) & LOOK_AT;
    struct nd_call c = {
        .e = e,
        .s = s,
        .cmd = row != NULL ? row->cmd : NULL,
        .row = row,
        .db = s->db,
        .argc = argc,
        .argv = argv,
        .r = unusual == 0 && s->kind == ND_CLIENT ? &s->r : nd_session_reply(s),
        .now_ms = e->now_ms,
    };
    s->active_ms = e->now_ms;
    if (row == NULL)
        return run_unknown(&c, parent);
    s->last = row->cmd;
    if (!nd_arity_fits(row, argc, s->kind == ND_MASTER)) {
        nd_refuse(&c, "ERR wrong number of arguments for '%s' command", row->full_name);
        return ending(&c);
    }
    enum nd_gate gate = ND_GATE_OPEN;
    if (unusual != 0 || s->kind != ND_CLIENT || nd_engine_guarded(e))
        gate = nd_gate(&c);
    else if (nd_cluster_concerned(&c))
        gate = nd_cluster_gate(&c);
    if (gate == ND_GATE_OPEN && nd_lease_concerns(&c))
        gate = nd_lease_gate(&c);
    if (gate == ND_GATE_POSTPONED)
        return ND_POSTPONED;
    if (gate != ND_GATE_OPEN)
        return ending(&c);
    nd_run(&c);
    if (e->waits->ready_n > 0)
        nd_serve_ready(e);
    if (c.blocked)
        return ND_BLOCKED;
    return ending(&c);
}
