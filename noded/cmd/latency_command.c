/* LATENCY: what took long, and how long each command takes. */
#include "noded/cmd/families.h"
#include "noded/cmd/latency.h"

static void latency_latest(struct nd_call *c)
{
    const struct nd_latency *l = c->e->latency;
    reply_array(c->r, l->n);
    for (size_t i = 0; i < l->n; i++) {
        const struct nd_latency_sample *last = nd_latency_sample(&l->events[i], l->events[i].n - 1);
        reply_array(c->r, 4);
        reply_bulks(c->r, l->events[i].name);
        reply_int(c->r, last->unix_s);
        reply_int(c->r, last->ms);
        reply_int(c->r, l->events[i].max_ms);
    }
}

static void latency_history(struct nd_call *c)
{
    const struct nd_latency_event *event = nd_latency_find(c->e->latency, c->argv[2]);
    unsigned n = event != NULL ? event->n : 0;
    reply_array(c->r, n);
    for (unsigned i = 0; i < n; i++) {
        reply_array(c->r, 2);
        reply_int(c->r, nd_latency_sample(event, i)->unix_s);
        reply_int(c->r, nd_latency_sample(event, i)->ms);
    }
}

static void latency_reset(struct nd_call *c)
{
    struct nd_latency *l = c->e->latency;
    size_t before = l->n;
    for (size_t i = 2; i < c->argc; i++)
        nd_latency_forget(l, c->argv[i]);
    if (c->argc == 2)
        l->n = 0;
    reply_int(c->r, (int64_t)(before - l->n));
}

static void latency_graph(struct nd_call *c)
{
    const struct nd_latency_event *event = nd_latency_find(c->e->latency, c->argv[2]);
    if (event == NULL) {
        nd_error(c, "ERR No samples available for event '%.*s'", (int)(c->argv[2].n < 128 ? c->argv[2].n : 128),
                 c->argv[2].p);
        return;
    }
    struct buf text = {0};
    nd_latency_graph(&text, event, c->now_ms / 1000);
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

static void latency_doctor(struct nd_call *c)
{
    struct buf text = {0};
    nd_latency_doctor(&text, c->e);
    reply_verbatim(c->r, text.p, text.n);
    buf_free(&text);
}

/* ---- histograms ---- */

static const struct nd_histogram *histogram_of(const struct nd_engine *e, const struct nd_command *row)
{
    return e->stats.by_command[nd_command_number(e, row)].latency;
}

/* The row's histogram and those of its subcommands. */
static size_t put_histograms(struct nd_call *c, const struct nd_command *row)
{
    const struct nd_histogram *h = histogram_of(c->e, row);
    size_t n = 0;
    if (h != NULL && h->total > 0) {
        reply_bulks(c->r, nd_command_full_name(c->e, row));
        reply_map(c->r, 2);
        reply_bulks(c->r, "calls");
        reply_int(c->r, (int64_t)h->total);
        reply_bulks(c->r, "histogram_usec");
        size_t levels = 0, mark = reply_begin(c->r);
        for (struct nd_histogram_level at = {0}; nd_histogram_next(h, &at); levels++) {
            reply_int(c->r, (int64_t)(at.up_to_ns / 1000));
            reply_int(c->r, (int64_t)at.count);
        }
        reply_end_map(c->r, mark, levels);
        n++;
    }
    for (size_t i = 0; row->subs != NULL && row->subs[i].name != NULL; i++)
        n += put_histograms(c, &row->subs[i]);
    return n;
}

static void latency_histogram(struct nd_call *c)
{
    size_t n = 0, mark = reply_begin(c->r);
    const struct nd_command *row;
    for (size_t i = 0; c->argc == 2 && (row = nd_command_at(c->e, i)) != NULL; i++)
        n += put_histograms(c, row);
    for (size_t i = 2; i < c->argc; i++) {
        row = nd_command_named(c->e, c->argv[i]);
        if (row != NULL)
            n += put_histograms(c, row);
    }
    reply_end_map(c->r, mark, n);
}

#define LATENCY_SUB(word, count, more, does, words, text, first_version, cost, tip)                          \
    {                                                                                                        \
        .name = word, .arity = count, .flags = ND_LOADING | ND_STALE | (more), .run = does, .syntax = words, \
        .summary = text, .since = first_version, .group = "server", .complexity = cost, .tips = tip          \
    }
#define WATCH (ND_ADMIN | ND_NOSCRIPT)
#define OF_ALL "nondeterministic_output request_policy:all_nodes response_policy:special"

static const struct nd_command latency_subs[] = {
    LATENCY_SUB("doctor", 2, WATCH, latency_doctor, "", "Tells in words what took long and what may help.", "2.8.13",
                "O(1)", OF_ALL),
    LATENCY_SUB("graph", 3, WATCH, latency_graph, "event", "Draws what is remembered of an event.", "2.8.13", "O(1)",
                OF_ALL),
    LATENCY_SUB("help", 2, 0, nd_help, "", "Shows what LATENCY can do.", "2.8.13", "O(1)", NULL),
    LATENCY_SUB("histogram", -2, WATCH, latency_histogram, "[command ...]",
                "Shows how long runs of commands take: how many took at most so many microseconds.", "7.0.0",
                "O(N) for N commands.", OF_ALL),
    LATENCY_SUB("history", 3, WATCH, latency_history, "event", "Shows what is remembered of an event: when, how long.",
                "2.8.13", "O(1)", OF_ALL),
    LATENCY_SUB("latest", 2, WATCH, latency_latest, "", "Shows the last time that each event took long.", "2.8.13",
                "O(1)", OF_ALL),
    LATENCY_SUB("reset", -2, WATCH, latency_reset, "[event ...]", "Forgets events, or all of them.", "2.8.13", "O(1)",
                "request_policy:all_nodes response_policy:all_succeeded"),
    {0},
};

const struct nd_command nd_latency_commands[] = {
    {.name = "latency",
     .arity = -2,
     .subs = latency_subs,
     .summary = "What took long.",
     .since = "2.8.13",
     .group = "server",
     .complexity = "Depends on the subcommand."},
    {0},
};
