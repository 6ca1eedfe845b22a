/* What LATENCY GRAPH and LATENCY DOCTOR make of the samples. */
#include "noded/cmd/latency.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS 80 /* of a band of the graph */
#define ROWS 4
#define STEPS_A_ROW 3 /* heights that one letter can show */
#define AGE_TEXT 24

static void extremes(const struct nd_latency_event *event, int64_t *low, int64_t *high)
{
    *low = INT64_MAX;
    *high = 0;
    for (unsigned i = 0; i < event->n; i++) {
        int64_t ms = nd_latency_sample(event, i)->ms;
        *low = ms < *low ? ms : *low;
        *high = ms > *high ? ms : *high;
    }
}

/* 0 for the lowest, just below ROWS * STEPS_A_ROW for the highest. */
static int height_of(int64_t ms, int64_t low, int64_t high)
{
    const int most = ROWS * STEPS_A_ROW;
    int height = high > low ? (int)((double)(ms - low) / (double)(high - low) * most) : 0;
    return height < most ? height : most - 1;
}

static char letter_at(int height, int row)
{
    int above = height - row * STEPS_A_ROW;
    return above < 0 ? ' ' : above < STEPS_A_ROW ? "_o#"[above] : '|';
}

static void put_age(char text[AGE_TEXT], int64_t seconds)
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (seconds < units[i].seconds && i + 1 < sizeof units / sizeof units[0])
        i++;
    snprintf(text, AGE_TEXT, "%" PRId64 "%c", seconds / units[i].seconds, units[i].unit);
}

/* The ages below a band, written downwards. */
static void put_ages(struct buf *out, const struct nd_latency_event *event, unsigned from, unsigned to, int64_t now_s)
{
    char ages[COLUMNS][AGE_TEXT];
    size_t longest = 0;
    for (unsigned i = from; i < to; i++) {
        int64_t age_s = now_s - nd_latency_sample(event, i)->unix_s;
        put_age(ages[i - from], age_s > 0 ? age_s : 0);
        size_t length = strlen(ages[i - from]);
        longest = length > longest ? length : longest;
    }
    for (size_t line = 0; line < longest; line++) {
        for (unsigned i = 0; i < to - from; i++)
            buf_putc(out, line < strlen(ages[i]) ? ages[i][line] : ' ');
        buf_putc(out, '\n');
    }
}

void nd_latency_graph(struct buf *out, const struct nd_latency_event *event, int64_t now_s)
{
    int64_t low, high;
    extremes(event, &low, &high);
    buf_printf(out, "%s - high %" PRId64 " ms, low %" PRId64 " ms (all time high %" PRId64 " ms)\n", event->name, high,
               low, event->max_ms);
    for (int i = 0; i < COLUMNS; i++)
        buf_putc(out, '-');
    buf_putc(out, '\n');
    for (unsigned from = 0, to; from < event->n; from = to) {
        to = event->n - from > COLUMNS ? from + COLUMNS : event->n;
        if (from > 0)
            buf_putc(out, '\n');
        for (int row = ROWS - 1; row >= 0; row--) {
            for (unsigned i = from; i < to; i++)
                buf_putc(out, letter_at(height_of(nd_latency_sample(event, i)->ms, low, high), row));
            buf_putc(out, '\n');
        }
        for (unsigned i = from; i < to; i++)
            buf_putc(out, ' ');
        buf_putc(out, '\n');
        put_ages(out, event, from, to, now_s);
    }
}

/* ---- the doctor ---- */

/* What can be done about an event; shown once for all events that share it. */
static const struct {
    const char *event, *advice;
} advices[] = {
    {"command", "SLOWLOG GET names the commands that took long and their arguments."},
    {"fast-command", "Commands of constant time were slow: look for other load on the machine, for swapping, and for "
                     "values so large that copying them takes time."},
    {"command", "Deleting or replacing large values takes time: UNLINK and the lazyfree-lazy-* settings free them in "
                "the background."},
    {"expire-cycle", "Many keys expire at the same time: spread their times to live."},
    {"expire-cycle", "lazyfree-lazy-expire frees expired values in the background."},
    {"expire-del", "lazyfree-lazy-expire frees expired values in the background."},
    {"eviction-cycle", "The data does not fit into maxmemory: raise it, or have fewer keys written."},
    {"eviction-del", "lazyfree-lazy-eviction frees evicted values in the background."},
    {"fork", "A fork copies the page tables of all memory: several smaller nodes fork faster than a large one, and "
             "transparent huge pages should be off."},
    {"aof-fsync-always", "The disk is slow to flush: appendfsync everysec does not make commands wait for it."},
    {"aof-write", "The disk is slow to write: look for other programs that use it."},
    {"aof-write-pending-fsync", "The disk is slow to flush: no-appendfsync-on-rewrite avoids flushing while a child "
                                "process writes."},
};
#define ADVICES (sizeof advices / sizeof advices[0])

static void describe(struct buf *out, unsigned number, const struct nd_latency_event *event)
{
    double sum = 0, off = 0;
    for (unsigned i = 0; i < event->n; i++)
        sum += (double)nd_latency_sample(event, i)->ms;
    double mean = sum / event->n;
    for (unsigned i = 0; i < event->n; i++) {
        double from_mean = (double)nd_latency_sample(event, i)->ms - mean;
        off += from_mean < 0 ? -from_mean : from_mean;
    }
    buf_printf(out, "%u. %s: seen in %u second%s, %.0f ms on average (give or take %.0f ms), at worst %" PRId64 " ms",
               number, event->name, event->n, event->n == 1 ? "" : "s", mean, off / event->n, event->max_ms);
    if (event->n > 1) {
        int64_t span_s = nd_latency_sample(event, event->n - 1)->unix_s - nd_latency_sample(event, 0)->unix_s;
        buf_printf(out, ", every %.2f s", (double)span_s / (event->n - 1));
    }
    buf_puts(out, ".\n");
}

static bool said_before(const struct nd_latency *l, size_t advice)
{
    for (size_t i = 0; i < advice; i++)
        if (strcmp(advices[i].advice, advices[advice].advice) == 0 &&
            nd_latency_find(l, slice_of(advices[i].event)) != NULL)
            return true;
    return false;
}

static void advise(struct buf *out, const struct nd_engine *e)
{
    buf_puts(out, "\nWhat may help:\n\n");
    int64_t slow_us = e->config.slowlog_log_slower_than_us;
    bool commands = nd_latency_find(e->latency, slice_of("command")) != NULL;
    if (commands && (slow_us < 0 || slow_us / 1000 > e->config.latency_monitor_threshold_ms))
        buf_printf(out,
                   "- SLOWLOG keeps none of the shorter of these commands: CONFIG SET slowlog-log-slower-than "
                   "%" PRId64 ".\n",
                   e->config.latency_monitor_threshold_ms * 1000);
    for (size_t i = 0; i < ADVICES; i++)
        if (nd_latency_find(e->latency, slice_of(advices[i].event)) != NULL && !said_before(e->latency, i))
            buf_printf(out, "- %s\n", advices[i].advice);
}

void nd_latency_doctor(struct buf *out, const struct nd_engine *e)
{
    const struct nd_latency *l = e->latency;
    if (l->n == 0 && e->config.latency_monitor_threshold_ms == 0) {
        buf_puts(out, "Nobody is watching: latency-monitor-threshold is 0. With CONFIG SET latency-monitor-threshold "
                      "<milliseconds> the server remembers what takes that long.\n");
        return;
    }
    if (l->n == 0) {
        buf_printf(out, "Healthy: nothing that is watched has taken %" PRId64 " ms or longer.\n",
                   e->config.latency_monitor_threshold_ms);
        return;
    }
    buf_puts(out, "These took longer than latency-monitor-threshold allows:\n\n");
    for (size_t i = 0; i < l->n; i++)
        describe(out, (unsigned)i + 1, &l->events[i]);
    advise(out, e);
}
