#include "noded/cmd/pubsub.h"

#include "common/base/text.h"
#include "noded/cmd/call.h"
#include "noded/cmd/cluster.h"

#include <stdlib.h>

/* Confirmations are pushes: they come whatever CLIENT REPLY says. */
static void confirm(struct nd_call *c, const char *what, enum nd_channel_kind kind, struct slice name)
{
    struct nd_session *s = c->s;
    size_t count = kind == ND_SHARD_CHANNEL ? s->shard_channels.used : s->channels.used + s->patterns.used;
    reply_push(&s->r, 3);
    reply_bulks(&s->r, what);
    if (name.p != NULL)
        reply_bulk(&s->r, name.p, name.n);
    else
        reply_null(&s->r);
    reply_int(&s->r, (int64_t)count);
}

static void subscribe_to(struct nd_call *c, const char *what, enum nd_channel_kind kind)
{
    /* Nobody reads what a file or a master's stream would be sent. */
    if (c->s->kind != ND_CLIENT) {
        nd_error(c, "ERR only a client can subscribe");
        return;
    }
    for (size_t i = 1; i < c->argc; i++) {
        nd_subscribe(c->s, kind, c->argv[i]);
        confirm(c, what, kind, c->argv[i]);
    }
}

static void unsubscribe_from(struct nd_call *c, const char *what, enum nd_channel_kind kind)
{
    if (c->s->kind != ND_CLIENT)
        return;
    for (size_t i = 1; i < c->argc; i++) {
        nd_unsubscribe(c->s, kind, c->argv[i]);
        confirm(c, what, kind, c->argv[i]);
    }
    if (c->argc > 1)
        return;
    struct map *own = nd_subscriptions(c->s, kind);
    if (own->used == 0)
        confirm(c, what, kind, (struct slice){NULL, 0});
    /* The map changes with each that is left: begin anew each time. */
    while (own->used > 0) {
        struct slice name;
        size_t it = 0;
        map_next(own, &it, &name);
        struct slice copy = {slice_dup(name), name.n};
        nd_unsubscribe(c->s, kind, copy);
        confirm(c, what, kind, copy);
        free((char *)copy.p);
    }
}

static void subscribe_command(struct nd_call *c)
{
    subscribe_to(c, "subscribe", ND_CHANNEL);
}

static void psubscribe_command(struct nd_call *c)
{
    subscribe_to(c, "psubscribe", ND_PATTERN);
}

static void ssubscribe_command(struct nd_call *c)
{
    /* Redis allows the other two inside of a transaction. */
    if ((c->s->flags & ND_S_IN_EXEC) != 0) {
        nd_error(c, "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
        return;
    }
    subscribe_to(c, "ssubscribe", ND_SHARD_CHANNEL);
}

static void unsubscribe_command(struct nd_call *c)
{
    unsubscribe_from(c, "unsubscribe", ND_CHANNEL);
}

static void punsubscribe_command(struct nd_call *c)
{
    unsubscribe_from(c, "punsubscribe", ND_PATTERN);
}

static void sunsubscribe_command(struct nd_call *c)
{
    unsubscribe_from(c, "sunsubscribe", ND_SHARD_CHANNEL);
}

/* A message is an effect: subscribers of replicas get it too. In cluster mode the bus takes it there. */
static void publish_to(struct nd_call *c, enum nd_channel_kind kind)
{
    struct nd_cluster *cl = c->e->cluster;
    size_t sent = nd_publish(c->e, kind, c->argv[1], c->argv[2]);
    if (cl != NULL)
        cl->host.publish(cl->host.owner, c->argv[1], c->argv[2], kind == ND_SHARD_CHANNEL);
    else
        nd_effect_in(c, -1, c->argc, c->argv);
    reply_int(c->r, (int64_t)sent);
}

static void publish_command(struct nd_call *c)
{
    publish_to(c, ND_CHANNEL);
}

static void spublish_command(struct nd_call *c)
{
    publish_to(c, ND_SHARD_CHANNEL);
}

static void list_channels(struct nd_call *c, enum nd_channel_kind kind)
{
    if (c->argc > 3) {
        nd_subcommand_syntax(c);
        return;
    }
    size_t mark = reply_begin(c->r), n = 0;
    struct slice name;
    for (size_t it = 0; map_next(&c->e->pubsub->by_name[kind], &it, &name) != NULL;) {
        if (c->argc == 3 && !text_glob(c->argv[2], name, false))
            continue;
        reply_bulk(c->r, name.p, name.n);
        n++;
    }
    reply_end_array(c->r, mark, n);
}

static void count_subscribers(struct nd_call *c, enum nd_channel_kind kind)
{
    reply_array(c->r, (c->argc - 2) * 2);
    for (size_t i = 2; i < c->argc; i++) {
        const struct nd_channel *channel = map_get(&c->e->pubsub->by_name[kind], c->argv[i]);
        reply_bulk(c->r, c->argv[i].p, c->argv[i].n);
        reply_int(c->r, channel != NULL ? (int64_t)nd_channel_subscribers(channel) : 0);
    }
}

static void channels_command(struct nd_call *c)
{
    list_channels(c, ND_CHANNEL);
}

static void shardchannels_command(struct nd_call *c)
{
    list_channels(c, ND_SHARD_CHANNEL);
}

static void numsub_command(struct nd_call *c)
{
    count_subscribers(c, ND_CHANNEL);
}

static void shardnumsub_command(struct nd_call *c)
{
    count_subscribers(c, ND_SHARD_CHANNEL);
}

static void numpat_command(struct nd_call *c)
{
    reply_int(c->r, (int64_t)c->e->pubsub->by_name[ND_PATTERN].used);
}

#define OF_PUBSUB (ND_PUBSUB | ND_LOADING | ND_STALE)

static const struct nd_command pubsub_subs[] = {
    {
        .name = "channels",
        .arity = -2,
        .flags = OF_PUBSUB,
        .run = channels_command,
        .syntax = "[pattern]",
        .summary = "Lists the channels that have subscribers, or those of them that fit the pattern.",
        .since = "2.8.0",
        .group = "pubsub",
        .complexity = "O(N), N being the channels with subscribers",
    },
    {
        .name = "help",
        .arity = 2,
        .flags = ND_LOADING | ND_STALE,
        .run = nd_help,
        .syntax = "",
        .summary = "Shows this help.",
        .since = "6.2.0",
        .group = "pubsub",
        .complexity = "O(1)",
    },
    {
        .name = "numpat",
        .arity = 2,
        .flags = OF_PUBSUB,
        .run = numpat_command,
        .syntax = "",
        .summary = "Counts the patterns that clients are subscribed to.",
        .since = "2.8.0",
        .group = "pubsub",
        .complexity = "O(1)",
    },
    {
        .name = "numsub",
        .arity = -2,
        .flags = OF_PUBSUB,
        .run = numsub_command,
        .syntax = "[channel [channel ...]]",
        .summary = "Counts the subscribers of each of these channels, those of patterns left out.",
        .since = "2.8.0",
        .group = "pubsub",
        .complexity = "O(N), N being the channels asked for",
    },
    {
        .name = "shardchannels",
        .arity = -2,
        .flags = OF_PUBSUB,
        .run = shardchannels_command,
        .syntax = "[pattern]",
        .summary = "Lists the shard channels that have subscribers, or those of them that fit the pattern.",
        .since = "7.0.0",
        .group = "pubsub",
        .complexity = "O(N), N being the shard channels with subscribers",
    },
    {
        .name = "shardnumsub",
        .arity = -2,
        .flags = OF_PUBSUB,
        .run = shardnumsub_command,
        .syntax = "[shardchannel [shardchannel ...]]",
        .summary = "Counts the subscribers of each of these shard channels.",
        .since = "7.0.0",
        .group = "pubsub",
        .complexity = "O(N), N being the shard channels asked for",
    },
    {.name = NULL},
};

#define SUBSCRIBING (ND_PUBSUB | ND_NOSCRIPT | ND_LOADING | ND_STALE | ND_SUBSCRIBED)
#define SHARD_KEYS                                                \
    {                                                             \
        {                                                         \
            .flags = "NOT_KEY", .first = 1, .last = -1, .step = 1 \
        }                                                         \
    }

const struct nd_command nd_pubsub_commands[] = {
    {
        .name = "subscribe",
        .arity = -2,
        .flags = SUBSCRIBING,
        .run = subscribe_command,
        .syntax = "channel [channel ...]",
        .summary = "Subscribes to channels.",
        .since = "2.0.0",
        .group = "pubsub",
        .complexity = "O(1) for each channel",
    },
    {
        .name = "unsubscribe",
        .arity = -1,
        .flags = SUBSCRIBING,
        .run = unsubscribe_command,
        .syntax = "[channel [channel ...]]",
        .summary = "Leaves these channels, or all.",
        .since = "2.0.0",
        .group = "pubsub",
        .complexity = "O(N), N being the subscribers of each channel that is left",
    },
    {
        .name = "psubscribe",
        .arity = -2,
        .flags = SUBSCRIBING,
        .run = psubscribe_command,
        .syntax = "pattern [pattern ...]{=blocks}",
        .summary = "Subscribes to all channels that fit the patterns.",
        .since = "2.0.0",
        .group = "pubsub",
        .complexity = "O(1) for each pattern",
    },
    {
        .name = "punsubscribe",
        .arity = -1,
        .flags = SUBSCRIBING,
        .run = punsubscribe_command,
        .syntax = "[pattern [pattern ...]]",
        .summary = "Leaves these patterns, or all.",
        .since = "2.0.0",
        .group = "pubsub",
        .complexity = "O(N), N being the subscribers of each pattern that is left",
    },
    {
        .name = "ssubscribe",
        .arity = -2,
        .flags = SUBSCRIBING,
        .run = ssubscribe_command,
        .keys = SHARD_KEYS,
        .syntax = "shardchannel [shardchannel ...]",
        .summary = "Subscribes to shard channels.",
        .since = "7.0.0",
        .group = "pubsub",
        .complexity = "O(1) for each shard channel",
    },
    {
        .name = "sunsubscribe",
        .arity = -1,
        .flags = SUBSCRIBING,
        .run = sunsubscribe_command,
        .keys = SHARD_KEYS,
        .syntax = "[shardchannel [shardchannel ...]]",
        .summary = "Leaves these shard channels, or all.",
        .since = "7.0.0",
        .group = "pubsub",
        .complexity = "O(N), N being the subscribers of each shard channel that is left",
    },
    {
        .name = "publish",
        .arity = 3,
        .flags = ND_PUBSUB | ND_LOADING | ND_STALE | ND_FAST | ND_MAY_REPLICATE,
        .run = publish_command,
        .syntax = "channel message",
        .summary = "Sends a message to the subscribers of a channel.",
        .since = "2.0.0",
        .group = "pubsub",
        .complexity = "O(N+M), N being the channel's subscribers and M all patterns",
    },
    {
        .name = "spublish",
        .arity = 3,
        .flags = ND_PUBSUB | ND_LOADING | ND_STALE | ND_FAST | ND_MAY_REPLICATE,
        .run = spublish_command,
        .keys = {{.flags = "NOT_KEY", .first = 1, .last = 0, .step = 1}},
        .syntax = "shardchannel message",
        .summary = "Sends a message to the subscribers of a shard channel.",
        .since = "7.0.0",
        .group = "pubsub",
        .complexity = "O(N), N being the shard channel's subscribers",
    },
    {
        .name = "pubsub",
        .arity = -2,
        .flags = 0,
        .run = NULL,
        .subs = pubsub_subs,
        .syntax = "",
        .summary = "Commands that look at subscriptions.",
        .since = "2.8.0",
        .group = "pubsub",
        .complexity = "That of its subcommands",
    },
    {.name = NULL},
};
