/* What the supervisors say, asked again and again beside the screen, so that a key is obeyed while somebody does not
 * answer. */
#ifndef NODECTL_VIEW_FEED_H
#define NODECTL_VIEW_FEED_H

#include "nodectl/asking.h"

#include <jansson.h>

struct feed;

/* asking and groups must outlive it. NULL: the system gives no thread. */
struct feed *feed_start(const struct asking *asking, const char *const *groups, size_t ngroups, int every_ms);
/* { status, events, wall_ms } of the last look when there is a new one since the last call, else NULL; the caller's.
 * events: an array, or null where nobody tells them. */
json_t *feed_take(struct feed *f);
/* Ends it. false: it waits for an answer still; then nothing that it uses may be freed before the process ends. */
bool feed_stop(struct feed *f);

#endif
