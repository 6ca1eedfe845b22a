/* Channels and patterns, and who listens to them. */
#ifndef SHELL_PUBSUB_H
#define SHELL_PUBSUB_H

#include "common/base/bytes.h"

struct client;
struct pubsub;

struct pubsub *pubsub_new(const uint64_t seed[2]);
void pubsub_free(struct pubsub *ps); /* after the last client */

/* To every subscriber of the channel or of a pattern that matches it; returns how many messages were given to clients.
 */
size_t pubsub_publish(struct pubsub *ps, struct slice channel, struct slice payload);
/* Takes the client out everywhere, without telling it. */
void pubsub_forget(struct pubsub *ps, struct client *c);

size_t pubsub_channels(const struct pubsub *ps); /* with at least one subscriber */
size_t pubsub_patterns(const struct pubsub *ps);

#endif
