#include "noded/cmd/latency.h"

#include "common/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nd_latency *nd_latency_new(void)
{
    return mem_zalloc(sizeof(struct nd_latency));
}

void nd_latency_free(struct nd_latency *l)
{
    free(l->events);
    free(l);
}

static struct nd_latency_event *find(const struct nd_latency *l, struct slice name)
{
    for (size_t i = 0; i < l->n; i++)
        if (slice_is(name, l->events[i].name))
            return &l->events[i];
    return NULL;
}

const struct nd_latency_event *nd_latency_find(const struct nd_latency *l, struct slice name)
{
    return find(l, name);
}

const struct nd_latency_sample *nd_latency_sample(const struct nd_latency_event *event, unsigned i)
{
    return &event->samples[(event->next + ND_LATENCY_SAMPLES - event->n + i) % ND_LATENCY_SAMPLES];
}

static struct nd_latency_event *add(struct nd_latency *l, const char *name)
{
    l->events = mem_grow(l->events, l->n, &l->cap, sizeof *l->events);
    struct nd_latency_event *event = &l->events[l->n++];
    memset(event, 0, sizeof *event);
    snprintf(event->name, sizeof event->name, "%s", name);
    return event;
}

void nd_latency_note(struct nd_engine *e, const char *name, int64_t ms)
{
    int64_t threshold_ms = e->config.latency_monitor_threshold_ms, now_s = e->now_ms / 1000;
    if (threshold_ms == 0 || ms < threshold_ms)
        return;
    struct nd_latency_event *event = find(e->latency, slice_of(name));
    if (event == NULL)
        event = add(e->latency, name);
    if (ms > event->max_ms)
        event->max_ms = ms;
    struct nd_latency_sample *last = &event->samples[(event->next + ND_LATENCY_SAMPLES - 1) % ND_LATENCY_SAMPLES];
    if (event->n > 0 && last->unix_s == now_s) {
        last->ms = ms > last->ms ? ms : last->ms;
        return;
    }
    event->samples[event->next] = (struct nd_latency_sample){now_s, ms};
    event->next = (event->next + 1) % ND_LATENCY_SAMPLES;
    event->n += event->n < ND_LATENCY_SAMPLES;
}

bool nd_latency_forget(struct nd_latency *l, struct slice name)
{
    struct nd_latency_event *event = find(l, name);
    if (event == NULL)
        return false;
    l->n--;
    memmove(event, event + 1, (size_t)(l->events + l->n - event) * sizeof *event);
    return true;
}

void nd_latency_command_took(const struct nd_call *c, int64_t us)
{
    nd_latency_note(c->e, (c->cmd->flags & ND_FAST) != 0 ? "fast-command" : "command", us / 1000);
}
