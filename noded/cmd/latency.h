/* LATENCY: what took long. Events of a kind ("command", "expire-cycle", "fork") that took latency-monitor-threshold or
 * longer are remembered with their time, the longest of each second; and, with latency-tracking, each command has a
 * histogram of how long its runs take. */
#ifndef CMD_LATENCY_H
#define CMD_LATENCY_H

#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/histogram.h"

#define ND_LATENCY_SAMPLES 160 /* kept of each kind of event */

struct nd_latency_sample {
    int64_t unix_s, ms;
};

struct nd_latency_event {
    char name[32];
    int64_t max_ms;                                       /* of all, those no longer kept too */
    struct nd_latency_sample samples[ND_LATENCY_SAMPLES]; /* a ring */
    unsigned n, next;
};

struct nd_latency {
    struct nd_latency_event *events;
    size_t n, cap;
};

struct nd_latency *nd_latency_new(void);
void nd_latency_free(struct nd_latency *l);

/* Something of this kind (31 letters at most) took so long; nothing happens below the threshold, or without one. */
void nd_latency_note(struct nd_engine *e, const char *name, int64_t ms);
/* The same around a piece of work: the clock is read only while there is a threshold. */
static inline int64_t nd_latency_begin(const struct nd_engine *e)
{
    return e->config.latency_monitor_threshold_ms != 0 ? e->host.clock_us(e->host.owner) : 0;
}
static inline void nd_latency_end(struct nd_engine *e, const char *event, int64_t began_us)
{
    if (began_us != 0)
        nd_latency_note(e, event, (e->host.clock_us(e->host.owner) - began_us) / 1000);
}
const struct nd_latency_event *nd_latency_find(const struct nd_latency *l, struct slice name);
/* The i-th of the event's samples, the oldest first; i < n. */
const struct nd_latency_sample *nd_latency_sample(const struct nd_latency_event *event, unsigned i);
/* Returns whether it was there. */
bool nd_latency_forget(struct nd_latency *l, struct slice name);

/* A command has run for so long. */
void nd_latency_command_took(const struct nd_call *c, int64_t us);
static inline void nd_latency_note_command(const struct nd_call *c, int64_t us)
{
    if (us >= 1000)
        nd_latency_command_took(c, us);
}

/* LATENCY GRAPH and LATENCY DOCTOR; append. */
void nd_latency_graph(struct buf *out, const struct nd_latency_event *event, int64_t now_s);
void nd_latency_doctor(struct buf *out, const struct nd_engine *e);

#endif
