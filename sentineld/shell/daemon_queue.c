#include "sentineld/shell/daemon_queue.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct queued_event {
    struct sn_event event; /* first: event_free() finds the rest by it */
    struct queued_event *next;
    struct sn_info info;
    char **owned; /* memory that the event points to */
    size_t nowned, cap;
};

static char *keep(struct queued_event *q, char *p)
{
    q->owned = mem_grow(q->owned, q->nowned, &q->cap, sizeof *q->owned);
    q->owned[q->nowned++] = p;
    return p;
}

static const char *keep_text(struct queued_event *q, const char *s)
{
    return s == NULL ? NULL : keep(q, mem_strdup(s));
}

static struct slice keep_slice(struct queued_event *q, struct slice s)
{
    return s.p == NULL ? s : (struct slice){keep(q, slice_dup(s)), s.n};
}

static void *keep_array(struct queued_event *q, const void *v, size_t n, size_t size)
{
    char *copy = keep(q, mem_array(NULL, n, size));
    memcpy(copy, v, n * size);
    return copy;
}

static void copy_opinions(struct queued_event *q, const struct sn_opinion *v, size_t n)
{
    struct sn_opinion *copy = keep_array(q, v, n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        copy[i].group = keep_text(q, v[i].group);
    q->event.opinions = copy;
}

static void copy_ballots(struct queued_event *q, const struct sn_ballot *v, size_t n)
{
    struct sn_ballot *copy = keep_array(q, v, n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        copy[i].group = keep_text(q, v[i].group);
    q->event.ballots = copy;
}

static void copy_argv(struct queued_event *q, const struct slice *v, size_t n)
{
    struct slice *copy = keep_array(q, v, n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        copy[i] = keep_slice(q, v[i]);
    q->event.argv = copy;
}

void event_queue_put(struct event_queue *queue, struct sn_event *e)
{
    struct queued_event *q = mem_zalloc(sizeof *q);
    q->event = *e;
    q->event.ip = keep_text(q, e->ip);
    q->event.local_ip = keep_text(q, e->local_ip);
    q->event.text = keep_slice(q, e->text);
    q->event.group = keep_slice(q, e->group);
    if (e->info != NULL) {
        q->info = *e->info;
        sn_info_init(e->info);
        q->event.info = &q->info;
    }
    if (e->count > 0 && e->opinions != NULL)
        copy_opinions(q, e->opinions, e->count);
    if (e->count > 0 && e->ballots != NULL)
        copy_ballots(q, e->ballots, e->count);
    if (e->count > 0 && e->argv != NULL)
        copy_argv(q, e->argv, e->count);
    if (queue->last == NULL)
        queue->first = q;
    else
        queue->last->next = q;
    queue->last = q;
}

struct sn_event *event_queue_take(struct event_queue *queue)
{
    struct queued_event *q = queue->first;
    if (q == NULL)
        return NULL;
    queue->first = q->next;
    if (queue->first == NULL)
        queue->last = NULL;
    return &q->event;
}

void event_free(struct sn_event *e)
{
    struct queued_event *q = (struct queued_event *)e;
    for (size_t i = 0; i < q->nowned; i++)
        free(q->owned[i]);
    free(q->owned);
    if (e->info != NULL)
        sn_info_free(e->info);
    free(q);
}

void event_queue_free(struct event_queue *queue)
{
    struct sn_event *e;
    while ((e = event_queue_take(queue)) != NULL)
        event_free(e);
}
