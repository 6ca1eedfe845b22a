/* Channels, patterns and shard channels: who gets what is published. */
#ifndef CMD_PUBSUB_H
#define CMD_PUBSUB_H

#include "noded/cmd/engine.h"

enum nd_channel_kind { ND_CHANNEL, ND_PATTERN, ND_SHARD_CHANNEL, ND_CHANNEL_KINDS };

struct nd_channel;
struct nd_pubsub {
    struct map by_name[ND_CHANNEL_KINDS]; /* -> struct nd_channel: only what somebody is subscribed to */
};

struct nd_pubsub *nd_pubsub_new(const uint64_t seed[2]);
void nd_pubsub_free(struct nd_pubsub *p);

/* false: it was subscribed already. */
bool nd_subscribe(struct nd_session *s, enum nd_channel_kind kind, struct slice name);
bool nd_unsubscribe(struct nd_session *s, enum nd_channel_kind kind, struct slice name);
/* The session goes away, or RESET: leaves everything without a word. */
void nd_unsubscribe_all(struct nd_session *s);
struct map *nd_subscriptions(struct nd_session *s, enum nd_channel_kind kind);

/* To all that are subscribed to the channel, and to the patterns that fit (ND_SHARD_CHANNEL: to its own subscribers
 * only). Returns how many messages were sent. */
size_t nd_publish(struct nd_engine *e, enum nd_channel_kind kind, struct slice channel, struct slice message);
/* The channel belongs elsewhere from now on: all its subscribers leave it and are told so. */
void nd_channel_closed(struct nd_engine *e, enum nd_channel_kind kind, struct slice channel);
size_t nd_channel_subscribers(const struct nd_channel *c);

#endif
