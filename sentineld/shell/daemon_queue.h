/* Events that arise while effects are being done: copied whole, and given to the core when the effects are done. */
#ifndef SHELL_DAEMON_QUEUE_H
#define SHELL_DAEMON_QUEUE_H

#include "sentineld/core/event.h"

struct queued_event;

/* Zeroed is empty. */
struct event_queue {
    struct queued_event *first, *last;
};

/* Everything that the event points to is copied; the contents of its info are taken, and the info left empty. */
void event_queue_put(struct event_queue *q, struct sn_event *e);
/* The oldest, for the caller to give to event_free(); NULL: none. */
struct sn_event *event_queue_take(struct event_queue *q);
void event_free(struct sn_event *e);
void event_queue_free(struct event_queue *q);

#endif
